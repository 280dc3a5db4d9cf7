//! `ccctl completion`: scripts for bash, zsh and fish. What the command line itself allows stands in the scripts; the
//! names of resource types and objects are asked for while somebody types, by the hidden command `__complete`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::error::{Outcome, Result};
use crate::session::Session;

pub mod candidates;

/// What asks for names in bash and falls back to what the script knows by itself.
const BASH: &str = r#"
_ccctl_names() {
    local line found=()
    while IFS= read -r line; do found+=("$line"); done \
        < <("$1" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ ${#found[@]} -gt 0 ]]; then
        COMPREPLY=("${found[@]}")
        [[ ${#found[@]} -eq 1 && ${found[0]} == */ ]] && compopt -o nospace
        return 0
    fi
    _ccctl "$@"
}
complete -F _ccctl_names -o bashdefault -o default ccctl
"#;

/// The same for zsh.
const ZSH: &str = r#"
_ccctl_names() {
    local -a found
    found=("${(@f)$(${words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=("${(@)found:#}")
    if (( ${#found} )); then
        compadd -S '' -- "${found[@]}"
    else
        _ccctl "$@"
    fi
}
compdef _ccctl_names ccctl
"#;

/// The same for fish, whose lists of candidates add up.
const FISH: &str = r#"
complete -c ccctl -f -a '(ccctl __complete -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)'
"#;

/// Print a completion script
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Set it up:\n  bash  ccctl completion bash > ~/.local/share/bash-completion/completions/ccctl\n  zsh   ccctl completion zsh > ~/.zfunc/_ccctl      (with fpath+=~/.zfunc before compinit)\n  fish  ccctl completion fish > ~/.config/fish/completions/ccctl.fish\n\nNames of resource types and objects are completed too: `ccctl describe tr <TAB>`."
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
    let names = match arguments.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
        _ => "",
    };
    script.extend_from_slice(names.as_bytes());
    session.print_bytes(&script)?;
    Ok(Outcome::Success)
}
