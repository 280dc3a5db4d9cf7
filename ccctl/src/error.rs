//! What went wrong, in words for a person, with the next thing to type and an exit code for a program.

use api_types::status::{Reason, Status};

use crate::client::request::namespace_of_path;

/// How a command that did not fail ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what was asked.
    Success,
    /// It answered "no": `diff` found differences, `auth can-i` is not allowed, `doctor` found a fault, `secret scan` a
    /// secret.
    Negative,
    /// The test run that was followed ended with a rung that failed.
    RunFailed,
    /// The test run that was followed could not be judged, for reasons that are not the recipe's.
    RunUnjudged,
    /// The test run that was followed was cancelled.
    RunCancelled,
}

impl Outcome {
    /// How a test run that was followed may end without success, with what it means; feeds the documentation.
    pub const OF_RUNS: [(Self, &'static str); 3] = [
        (Self::RunFailed, "`run --wait` and `rerun --wait`: the run ended as Failed: a rung failed"),
        (Self::RunUnjudged, "`run --wait` and `rerun --wait`: the run ended as Error: it could not be judged"),
        (Self::RunCancelled, "`run --wait` and `rerun --wait`: the run was cancelled"),
    ];

    /// Returns `Success` for yes and the negative answer for no.
    #[must_use]
    pub fn from_yes(yes: bool) -> Self {
        if yes { Self::Success } else { Self::Negative }
    }

    /// Returns the exit code as documented in `docs/cli/exit-codes.md`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Negative => 1,
            Self::RunFailed => 6,
            Self::RunUnjudged => 7,
            Self::RunCancelled => 8,
        }
    }
}

/// Who has to act on an error; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The server answered and refused.
    Server,
    /// What was typed or handed in cannot be understood.
    User,
    /// The server cannot be reached, or not be trusted.
    Network,
    /// Something did not happen in the time allowed for it.
    Timeout,
    /// The kubeconfig is missing or wrong.
    Config,
    /// The reader of our output went away.
    BrokenPipe,
    /// Ctrl-C.
    Interrupted,
}

impl ErrorKind {
    /// Every kind with what it means, in the order of the exit codes; feeds the documentation.
    pub const ALL: [(Self, &'static str); 7] = [
        (
            Self::Server,
            "The server refused the request (or: the answer is \"no\", as in `diff`, `auth can-i` and `secret scan`)",
        ),
        (Self::User, "The command line, a file or an edited text cannot be understood"),
        (Self::Network, "The server cannot be reached or its certificate cannot be trusted"),
        (Self::Timeout, "What was waited for did not happen in time"),
        (Self::Config, "The kubeconfig is missing or wrong"),
        (Self::Interrupted, "Interrupted with Ctrl-C"),
        (Self::BrokenPipe, "The reader of the output went away; nothing is printed about it"),
    ];

    /// Returns the exit code as documented in `docs/cli/exit-codes.md`.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Server => 1,
            Self::User => 2,
            Self::Network => 3,
            Self::Timeout => 4,
            Self::Config => 5,
            Self::Interrupted => 130,
            Self::BrokenPipe => 141,
        }
    }
}

/// A failed command.
#[derive(Debug)]
pub struct CommandError {
    /// Who has to act.
    pub kind: ErrorKind,
    /// What failed and why, without a prefix.
    pub message: String,
    /// What to type next, most useful first.
    pub hints: Vec<String>,
    /// The server's own words, when it answered.
    pub status: Option<Box<Status>>,
    /// Set when the message was printed already; only the exit code is left to deliver.
    reported: bool,
    /// Replaces the kind's exit code.
    exit_code: Option<u8>,
}

/// Result of everything that can fail in a command.
pub type Result<T, E = CommandError> = std::result::Result<T, E>;

impl CommandError {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), status: None, reported: false, exit_code: None }
    }

    /// Returns an error about what was typed or handed in.
    #[must_use]
    pub fn user(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::User, message)
    }

    /// Returns an error about the kubeconfig.
    #[must_use]
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// Returns an error about the way to the server.
    #[must_use]
    pub fn network(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Network, message)
    }

    /// Returns an error about time that ran out.
    #[must_use]
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Timeout, message)
    }

    /// Returns an error about an answer that no server should give.
    #[must_use]
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Server, message)
    }

    /// Returns the end by Ctrl-C.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(ErrorKind::Interrupted, "interrupted")
    }

    /// Returns the error for a failed write to stdout.
    #[must_use]
    pub fn from_output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::new(ErrorKind::BrokenPipe, "broken pipe"),
            _ => Self::user(format!("cannot write to stdout: {error}")),
        }
    }

    /// Returns the error for a refusal, worded as kubectl words it. `path` is the request's path.
    #[must_use]
    pub fn from_status(status: Status, path: &str) -> Self {
        let mut error = Self::new(ErrorKind::Server, status_message(&status));
        if status.code == 504 || status.reason == Some(Reason::Timeout) {
            error.kind = ErrorKind::Timeout;
        }
        error.hints = status_hints(&status, namespace_of_path(path));
        error.status = Some(Box::new(status));
        error
    }

    /// Adds what to type next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Puts the step that failed in front of the server's words, as in `error when creating "x.yaml": …`.
    #[must_use]
    pub fn while_doing(mut self, step: &str) -> Self {
        match &self.status {
            Some(status) if status.reason != Some(Reason::Invalid) || causes(status).is_empty() => {
                self.message = format!("{}{step}: {}", prefix(status), status.message);
            }
            Some(_) => {}
            None => self.message = format!("{step}: {}", self.message),
        }
        self
    }

    /// Replaces the exit code.
    #[must_use]
    pub fn exit_with(mut self, code: u8) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// Says whether the server answered 404.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.has_code(404)
    }

    /// Says whether the server does not even know the resource type, unlike an object that is not there.
    #[must_use]
    pub fn is_unknown_resource(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            status.code == 404 && status.details.as_ref().is_none_or(|details| details.kind.is_empty())
        })
    }

    /// Says whether the server answered with this HTTP status code.
    #[must_use]
    pub fn has_code(&self, code: u16) -> bool {
        self.status.as_ref().is_some_and(|status| status.code == code)
    }

    /// Returns the exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        self.exit_code.unwrap_or_else(|| self.kind.exit_code())
    }

    /// Prints the error and its hints to stderr, once.
    pub fn print(&self, colours: bool) {
        if self.reported || matches!(self.kind, ErrorKind::BrokenPipe | ErrorKind::Interrupted) {
            return;
        }
        let (red, cyan, reset) = if colours { ("\x1b[31m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
        // A refusal brings its own beginning, all but the one without credentials, as with kubectl.
        let is_refusal = self.status.as_ref().is_some_and(|status| status.reason != Some(Reason::Unauthorized));
        let beginning = if is_refusal { "" } else { "error: " };
        eprintln!("{red}{beginning}{}{reset}", self.message);
        for hint in &self.hints {
            eprintln!("{cyan}hint:{reset} {hint}");
        }
    }

    /// Marks the error as printed.
    #[must_use]
    pub fn reported(mut self) -> Self {
        self.reported = true;
        self
    }
}

fn causes(status: &Status) -> &[api_types::status::StatusCause] {
    status.details.as_ref().map_or(&[], |details| &details.causes)
}

fn prefix(status: &Status) -> String {
    match reason_word(status) {
        Some(reason) => format!("Error from server ({reason}): "),
        None => "Error from server: ".to_owned(),
    }
}

fn reason_word(status: &Status) -> Option<String> {
    status.reason.map(|reason| format!("{reason:?}"))
}

fn status_message(status: &Status) -> String {
    if status.reason == Some(Reason::Unauthorized) {
        return "You must be logged in to the server (Unauthorized)".to_owned();
    }
    let (Some(Reason::Invalid), Some(details)) = (status.reason, status.details.as_ref()) else {
        return format!("{}{}", prefix(status), status.message);
    };
    let kind = if details.kind.is_empty() { "object" } else { &details.kind };
    match details.causes.as_slice() {
        [] => format!("{}{}", prefix(status), status.message),
        [one] => format!("The {kind} \"{}\" is invalid: {}", details.name, cause_text(one)),
        many => {
            let lines: Vec<String> = many.iter().map(|cause| format!("* {}", cause_text(cause))).collect();
            format!("The {kind} \"{}\" is invalid:\n{}", details.name, lines.join("\n"))
        }
    }
}

fn cause_text(cause: &api_types::status::StatusCause) -> String {
    if cause.field.is_empty() { cause.message.clone() } else { format!("{}: {}", cause.field, cause.message) }
}

/// Returns the next commands for a refusal; everything they need stands in the status and the path.
fn status_hints(status: &Status, namespace: Option<&str>) -> Vec<String> {
    let details = status.details.clone().unwrap_or_default();
    let within = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    let hint = match status.reason {
        Some(Reason::NotFound) if details.kind == "namespaces" => {
            format!(
                "make it with `ccctl create namespace {}`, or see what is there with `ccctl get namespaces`",
                details.name
            )
        }
        Some(Reason::NotFound) if !details.kind.is_empty() => {
            format!("see what is there with `ccctl get {}{within}`", details.kind)
        }
        Some(Reason::AlreadyExists) => format!(
            "look at it with `ccctl get {} {}{within} -o yaml`; `ccctl apply -f FILE` changes what is there",
            details.kind, details.name
        ),
        Some(Reason::Conflict) if details.causes.iter().any(|cause| cause.reason == "FieldManagerConflict") => {
            "these fields belong to somebody else: leave them out of the file, or take them over with --force-conflicts"
                .to_owned()
        }
        Some(Reason::Conflict) => "somebody changed it in the meantime: look again and repeat".to_owned(),
        Some(Reason::Forbidden) if status.message.contains(" cannot ") => {
            format!("see what you may do with `ccctl auth can-i --list{within}`")
        }
        Some(Reason::Unauthorized) => "find out what is wrong with `ccctl doctor`".to_owned(),
        Some(Reason::Invalid) => invalid_hint(&details),
        Some(Reason::BadRequest) if status.message.contains("unknown field") => unknown_field_hint(&status.message),
        Some(Reason::BadRequest) if status.message.contains("typed patch object") => {
            match status.message.split_once("Kind=").and_then(|(_, rest)| rest.split_once(')')) {
                Some((kind, _)) => fields_hint(kind),
                None => String::new(),
            }
        }
        Some(Reason::Expired) => "the list changed while it was read: run the command again".to_owned(),
        Some(Reason::TooManyRequests | Reason::ServiceUnavailable) => {
            format!("the server is busy: try again in {} s", details.retry_after_seconds.max(1))
        }
        Some(Reason::StorageReadOnly) => {
            "the server's disk is full or broken: see `ccctl doctor` and its log".to_owned()
        }
        Some(Reason::InternalError) => "this is a fault of the server: its log has the details".to_owned(),
        _ => return Vec::new(),
    };
    if hint.is_empty() { Vec::new() } else { vec![hint] }
}

fn invalid_hint(details: &api_types::status::StatusDetails) -> String {
    let field = details.causes.iter().map(|cause| cause.field.as_str()).find(|field| {
        let first = field.trim_start_matches('.').split('.').next().unwrap_or_default();
        ["spec", "status", "data", "rules"].contains(&first.split('[').next().unwrap_or_default())
    });
    let (Some(field), false) = (field, details.kind.is_empty()) else { return String::new() };
    format!("see what the field takes with `ccctl explain {}.{}`", details.kind.to_lowercase(), without_indexes(field))
}

fn unknown_field_hint(message: &str) -> String {
    match message.split_once(" in version ") {
        Some((kind, _)) if kind.chars().all(char::is_alphanumeric) => fields_hint(kind),
        _ => String::new(),
    }
}

fn fields_hint(kind: &str) -> String {
    format!("see the fields there are with `ccctl explain {} --recursive`", kind.to_lowercase())
}

/// Drops `[…]` from a field path, because a schema has no indexes.
fn without_indexes(field: &str) -> String {
    let mut depth = 0_usize;
    let mut text = String::new();
    for character in field.trim_start_matches('.').chars() {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => text.push(character),
            _ => {}
        }
    }
    text
}
