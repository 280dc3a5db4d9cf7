//! What people type: the command line client of the API. It speaks HTTP only and knows no kind by heart: what it
//! prints comes from discovery, from the server's tables and from OpenAPI.
//!
//! ```text
//!  environment ─► arguments ─► session ─► commands/<verb> ─► client ─► the server
//!                                │                │
//!                              config          output ─► stdout (data), stderr (notes)
//! ```

pub mod arguments;
pub mod client;
pub mod commands;
pub mod config;
pub mod discovery;
pub mod documents;
pub mod environment;
pub mod error;
pub mod fields;
pub mod manifests;
pub mod objects;
pub mod output;
pub mod reference;
pub mod session;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::Arguments;
use crate::environment::Environment;
use crate::error::{CommandError, ErrorKind};
use crate::session::Session;

/// Parses `arguments` (the program's name first), runs the command and returns its exit code.
///
/// Errors are printed to stderr here and nowhere else; a reader that went away (`ccctl get … | head`) is not an error
/// worth a word.
#[must_use]
pub fn run(arguments: Vec<OsString>, environment: Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // clap decides between stdout with 0 (help) and stderr with 2 (usage).
            let code = if error.use_stderr() { ErrorKind::User.exit_code() } else { 0 };
            return if error.print().is_ok() { ExitCode::from(code) } else { ErrorKind::BrokenPipe.exit_code().into() };
        }
    };
    let session = Session::new(arguments.global, environment);
    let result = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::user(format!("cannot start: {error}")))
        .and_then(|runtime| {
            let result = runtime.block_on(async {
                tokio::select! {
                    result = commands::run(&session, arguments.command) => result,
                    _ = tokio::signal::ctrl_c() => Err(CommandError::interrupted()),
                }
            });
            // A blocked read of stdin must not keep the process alive after Ctrl-C.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(outcome) => ExitCode::from(outcome.exit_code()),
        Err(error) => {
            let error = session.explained(error);
            error.print(session.stderr_colours());
            ExitCode::from(error.exit_code())
        }
    }
}
