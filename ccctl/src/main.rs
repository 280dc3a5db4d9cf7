//! `ccctl`: hands the process' arguments and environment to the library and leaves with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ccctl::run(std::env::args_os().collect(), ccctl::environment::Environment::of_process())
}
