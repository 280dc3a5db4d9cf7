//! The supervisor of jobs as a program of its own, for the tests of this crate; ccd has it as a hidden subcommand.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        Some(folder) => ports::jobs::supervisor::run(Path::new(&folder)).into(),
        None => ExitCode::from(2),
    }
}
