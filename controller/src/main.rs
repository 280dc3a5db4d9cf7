//! `ccd`: the daemon, and the commands for whoever runs it.

use std::process::ExitCode;

use controller::commands::{self, Additions};

fn main() -> ExitCode {
    commands::main(&Additions::default())
}
