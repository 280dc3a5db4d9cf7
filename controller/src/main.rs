//! `ccd`: the daemon, and the commands for whoever runs it.

use std::process::ExitCode;

use controller::commands::{self, Additions};
// The C library's `malloc` is replaced by jemalloc's when this is linked. Measured under many small writes, that takes a
// third of the processor time off the whole program: objects and rows are made by one thread and freed by another, which
// the C library's is slow at. It is no `global_allocator`: behind one, the compiler no longer asks for zeroed memory where
// a program fills new memory with zeros, and sled does that to 20 MB which it never touches again.
use tikv_jemallocator as _;

fn main() -> ExitCode {
    commands::main(&Additions::default())
}
