//! `ccctl man`: manual pages, one per command.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use crate::arguments::Arguments;
use crate::error::{CommandError, Outcome, Result};
use crate::session::Session;

/// Write manual pages
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl man | man -l -\n  ccctl man --folder /usr/local/share/man/man1")]
pub struct ManArguments {
    /// Folder to write one page per command to; without it the main page goes to standard output
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Runs the command; asks no server.
///
/// # Errors
/// The folder cannot be written.
pub fn run(session: &Session, arguments: &ManArguments) -> Result<Outcome> {
    let mut command = Arguments::command();
    command.build();
    let failed = |error: std::io::Error| CommandError::user(format!("cannot write manual pages: {error}"));
    match &arguments.folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(command, folder).map_err(failed)?;
            session.note(&format!("manual pages are in {}", folder.display()));
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(failed)?;
            session.print_bytes(&page)?;
        }
    }
    Ok(Outcome::Success)
}
