//! The process' environment: variables, terminal and clock. The only file that reads any of them.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use jiff::Timestamp;

/// The variables that change what ccctl does; every other one is ignored.
const VARIABLES: [&str; 15] = [
    "HOME",
    "KUBECONFIG",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "NO_COLOR",
    "TERM",
    "KUBE_EDITOR",
    "VISUAL",
    "EDITOR",
    "SHELL",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
];

/// What the process was started with.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<&'static str, String>,
    /// Width of the terminal behind stdout in columns; `None` when stdout is no terminal.
    pub stdout_width: Option<usize>,
    /// Whether stderr is a terminal.
    pub stderr_is_terminal: bool,
    /// Whether stdin is a terminal.
    pub stdin_is_terminal: bool,
}

impl Environment {
    /// Reads the environment of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads environment variables")]
    pub fn of_process() -> Self {
        let variables = VARIABLES
            .into_iter()
            .filter_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()).map(|value| (name, value)))
            .collect();
        let stdout_width = std::io::stdout()
            .is_terminal()
            .then(|| terminal_size::terminal_size().map_or(80, |(width, _)| usize::from(width.0)));
        Self {
            variables,
            stdout_width,
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdin_is_terminal: std::io::stdin().is_terminal(),
        }
    }

    /// Returns the time of day.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Returns a variable that is set and not empty.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// Returns the home folder.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// Returns the folder for ccctl's own configuration: `$XDG_CONFIG_HOME/ccctl` or `~/.config/ccctl`.
    #[must_use]
    pub fn config_folder(&self) -> Option<PathBuf> {
        let base =
            self.variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| Some(self.home()?.join(".config")))?;
        Some(base.join("ccctl"))
    }

    /// Returns the folder for what can be fetched again: `$XDG_CACHE_HOME/ccctl` or `~/.cache/ccctl`.
    #[must_use]
    pub fn cache_folder(&self) -> Option<PathBuf> {
        let base = self.variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(self.home()?.join(".cache")))?;
        Some(base.join("ccctl"))
    }

    /// Returns the command line of the person's editor, `vi` when none is named.
    #[must_use]
    pub fn editor(&self) -> &str {
        ["KUBE_EDITOR", "VISUAL", "EDITOR"].into_iter().find_map(|name| self.variable(name)).unwrap_or("vi")
    }

    /// Returns the proxy for `scheme` (`http` or `https`) and the hosts that go around it.
    #[must_use]
    pub fn proxy(&self, scheme: &str) -> Option<(&str, Option<&str>)> {
        let names = if scheme == "https" { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
        let proxy = names.into_iter().find_map(|name| self.variable(name))?;
        Some((proxy, self.variable("NO_PROXY")))
    }

    /// Says whether the person allows colours at all.
    #[must_use]
    pub fn allows_colours(&self) -> bool {
        self.variable("NO_COLOR").is_none() && self.variable("TERM") != Some("dumb")
    }
}
