//! `ccd` itself, with one kind more that has effects: for the tests that kill it.

use std::process::ExitCode;

fn main() -> ExitCode {
    controller::commands::main(&tests::orders::additions())
}
