//! `ccd`: the daemon, and the commands for whoever runs it.

mod commands;
mod environment;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use environment::Environment;

/// The control plane for small hosting co-ops: recipes tested and apps kept running on Docker Swarm
#[derive(Debug, Parser)]
#[command(name = "ccd", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: store, API, reconcilers and web pages in one process
    Serve(commands::serve::Arguments),
    /// Look at everything that the daemon needs and say how to mend what is wrong
    Check(commands::check::Arguments),
    /// Write everything in the store into one file, also while the daemon runs
    Backup(commands::backup::BackupArguments),
    /// Make the store anew from a backup; the daemon must not run
    Restore(commands::restore::Arguments),
    /// Write every object into a directory as YAML, also while the daemon runs
    Export(commands::backup::ExportArguments),
    /// Make, list and revoke the tokens with which people and programs sign in
    Token(commands::token::Arguments),
    /// Print the version
    Version(commands::version::Arguments),
    /// Watch over one job so that it outlives the daemon; started by the daemon
    #[command(hide = true)]
    JobSupervisor {
        /// Folder of the job
        folder: std::path::PathBuf,
    },
}

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// All is well.
    Well,
    /// It found something that a person must mend.
    Trouble,
}

fn main() -> ExitCode {
    let environment = Environment::real();
    let arguments = Arguments::parse();
    let mut output = std::io::stdout().lock();
    let result = match arguments.command {
        Command::Serve(arguments) => {
            drop(output);
            commands::serve::run(&arguments, &environment)
        }
        Command::Check(arguments) => commands::check::run(&arguments, &environment, &mut output),
        Command::Backup(arguments) => commands::backup::run_backup(&arguments, &environment, &mut output),
        Command::Restore(arguments) => commands::restore::run(&arguments, &environment, &mut output),
        Command::Export(arguments) => commands::backup::run_export(&arguments, &environment, &mut output),
        Command::Token(arguments) => commands::token::run(&arguments, &environment, &mut output),
        Command::Version(arguments) => commands::version::run(&arguments, &mut output),
        Command::JobSupervisor { folder } => {
            drop(output);
            return ExitCode::from(ports::jobs::supervisor::run(&folder));
        }
    };
    match result {
        Ok(Outcome::Well) => ExitCode::SUCCESS,
        Ok(Outcome::Trouble) => ExitCode::from(2),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ccd: failed to {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads our output may have seen enough (`ccd token list | head -1`).
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
