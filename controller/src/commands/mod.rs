//! `ccd` as a function, and one file per command.

pub(crate) mod backup;
pub(crate) mod certificate;
pub(crate) mod check;
pub(crate) mod logging;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod table;
pub(crate) mod token;
pub(crate) mod version;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use apiserver::config::{Config, ConfigError};
use apiserver::data_dir::DataPaths;
use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::Value;

use crate::environment::Environment;
use crate::outside::Outside;
use crate::runtime::manager::Manager;

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
    Serve(serve::Arguments),
    /// Look at everything that the daemon needs and say how to mend what is wrong
    Check(check::Arguments),
    /// Write everything in the store into one file, also while the daemon runs
    Backup(backup::BackupArguments),
    /// Make the store anew from a backup; the daemon must not run
    Restore(restore::Arguments),
    /// Write every object into a directory as YAML, also while the daemon runs
    Export(backup::ExportArguments),
    /// Make, list and revoke the tokens with which people and programs sign in
    Token(token::Arguments),
    /// Make a client certificate with which a program signs in
    Certificate(certificate::Arguments),
    /// Print the version
    Version(version::Arguments),
    /// Watch over one job so that it outlives the daemon; started by the daemon
    #[command(hide = true)]
    JobSupervisor {
        /// Folder of the job
        folder: PathBuf,
    },
}

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All is well.
    Well,
    /// It found something that a person must mend.
    Trouble,
}

/// What a daemon has besides our own kinds: how a program of somebody else's brings its kinds along. `ccd` itself adds
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Additions {
    /// Whole `CustomResourceDefinition` objects.
    pub definitions: Vec<Value>,
    /// Registers the reconcilers.
    pub register: Option<fn(&mut Manager, &Outside)>,
}

/// Returns the definition of `ccd`'s command line, from which `docs/cli/ccd.md` is made.
#[must_use]
pub fn command_line() -> clap::Command {
    Arguments::command()
}

/// Runs `ccd` with the arguments of this process.
pub fn main(additions: &Additions) -> ExitCode {
    let environment = Environment::real();
    let arguments = Arguments::parse();
    let mut output = std::io::stdout().lock();
    let result = match arguments.command {
        Command::Serve(arguments) => {
            drop(output);
            serve::run(&arguments, &environment, additions)
        }
        Command::Check(arguments) => check::run(&arguments, &environment, &mut output),
        Command::Backup(arguments) => backup::run_backup(&arguments, &environment, &mut output),
        Command::Restore(arguments) => restore::run(&arguments, &environment, &mut output),
        Command::Export(arguments) => backup::run_export(&arguments, &environment, &mut output),
        Command::Token(arguments) => token::run(&arguments, &environment, &mut output),
        Command::Certificate(arguments) => certificate::run(&arguments, &environment, &mut output),
        Command::Version(arguments) => version::run(&arguments, &mut output),
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

/// Where the daemon keeps everything; the same for all commands.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DataDirArgument {
    /// Directory of the daemon's data [default: ./ccd-data, as root /var/lib/ccd]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataDirArgument {
    pub(crate) fn path(&self, environment: &Environment) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| environment.default_data_dir())
    }

    pub(crate) fn paths(&self, environment: &Environment) -> DataPaths {
        DataPaths::new(&self.path(environment))
    }

    #[cfg(test)]
    pub(crate) fn of(path: &Path) -> Self {
        Self { data_dir: Some(path.to_owned()) }
    }
}

/// Reads the configuration that is named, or the data directory's own when there is one.
pub(crate) fn read_config(named: Option<&Path>, paths: &DataPaths) -> Result<Config, ConfigError> {
    match named {
        Some(path) => Config::read(path),
        None if paths.config().exists() => Config::read(&paths.config()),
        None => Ok(Config::default()),
    }
}

/// Returns a runtime for commands that ask the network or the store a few things.
pub(crate) fn small_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    use anyhow::Context as _;
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")
}
