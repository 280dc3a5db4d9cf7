//! `ccctl completion`: scripts for bash, zsh and fish.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::error::{Outcome, Result};
use crate::session::Session;

/// Print a completion script
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Set it up:\n  bash  ccctl completion bash > ~/.local/share/bash-completion/completions/ccctl\n  zsh   ccctl completion zsh > ~/.zfunc/_ccctl      (with fpath+=~/.zfunc before compinit)\n  fish  ccctl completion fish > ~/.config/fish/completions/ccctl.fish"
)]
pub struct CompletionArguments {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Runs the command; asks no server.
///
/// # Errors
/// Stdout is gone.
pub fn run(session: &Session, arguments: &CompletionArguments) -> Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "ccctl", &mut script);
    session.print_bytes(&script)?;
    Ok(Outcome::Success)
}
