//! What ccd is installed with is well formed, keeps its promises, and does not drift from the program: the systemd
//! unit, the NixOS module, the stack, the recipe, and the page on operating it.

mod compose;
mod nix;
mod operate;
mod program;
mod server;
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} is unreadable: {error}"))
}

/// Returns the version of the workspace, which is that of all programs.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Runs a program that must be there: what it needs is installed by `.ci/setup`.
fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{} does not run: {error}; see .ci/setup", command.get_program().display()))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
