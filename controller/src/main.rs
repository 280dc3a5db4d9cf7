//! `ccd`: the daemon, and the commands for whoever runs it.

use std::process::ExitCode;

use controller::commands::{self, Additions};

/// Measured under many small writes, jemalloc takes a third of the processor time off the whole program: objects and rows
/// are made by one thread and freed by another, which the C library's allocator is slow at.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    commands::main(&Additions::default())
}
