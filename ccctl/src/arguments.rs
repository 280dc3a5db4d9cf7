//! The command line: what every command takes, and which commands there are.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// Manage recipes, test runs, apps and everything else that ccd keeps
///
/// ccctl talks to ccd over HTTP(S). It finds the server in a kubeconfig: --kubeconfig, $KUBECONFIG,
/// ~/.config/ccctl/config or ~/.kube/config.
#[derive(Debug, Parser)]
#[command(
    name = "ccctl",
    version,
    propagate_version = false,
    disable_help_subcommand = true,
    max_term_width = 110,
    after_help = "Start here:\n  ccctl doctor                 is everything all right?\n  ccctl get testruns -A        what ran lately\n  ccctl why testrun/NAME       why did it end like that\n  ccctl explain recipe.spec    which fields are there"
)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArguments,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection and output")]
pub struct GlobalArguments {
    /// Kubeconfig to use instead of $KUBECONFIG and the files in the home folder
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Cluster entry of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User entry of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// Namespace to work in
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Address of the server, such as https://127.0.0.1:8443
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token; everybody on this machine can read it while the command runs, so prefer tokenFile in a kubeconfig
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// File with the certificates to trust, PEM
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,
    /// File with the client certificate, PEM
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_certificate: Option<PathBuf>,
    /// File with the key of the client certificate, PEM
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// Trust any certificate; anybody on the way can read and change everything
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// Act as this user, if the server lets you
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub as_user: Option<String>,
    /// Act as a member of this group; repeatable
    #[arg(long, global = true, value_name = "GROUP", hide_short_help = true)]
    pub as_group: Vec<String>,
    /// Longest wait for one answer, such as 30s or 2m; 0 waits for ever
    #[arg(long, global = true, value_name = "DURATION", hide_short_help = true)]
    pub request_timeout: Option<TimeLimit>,
    /// Folder for discovery documents
    #[arg(long, global = true, value_name = "FOLDER", hide_short_help = true)]
    pub cache_dir: Option<PathBuf>,
    /// Print the requests as curl commands instead of the result; nothing is changed
    #[arg(long, global = true)]
    pub curl: bool,
    /// Print no colours; setting $NO_COLOR does the same
    #[arg(long, global = true, hide_short_help = true)]
    pub no_color: bool,
    /// Print no notes to stderr, only errors
    #[arg(short, long, global = true, hide_short_help = true)]
    pub quiet: bool,
}

/// A duration as people type it: `30s`, `5m`, `1h30m`; a bare number counts seconds; 0 means without limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

impl std::str::FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration = parse_duration(text)?;
        Ok(Self((!duration.is_zero()).then_some(duration)))
    }
}

/// Reads `90`, `90s`, `1m30s`, `2h`, `1d`, `500ms`.
///
/// # Errors
/// A sentence about what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected = || format!("\"{text}\" is not a duration: write for example 30s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits =
            rest.find(|character: char| !character.is_ascii_digit() && character != '.').ok_or_else(expected)?;
        let number: f64 = rest[..digits].parse().map_err(|_| expected())?;
        let after = &rest[digits..];
        let letters = after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let seconds = match &after[..letters] {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(expected()),
        };
        total += Duration::try_from_secs_f64(number * seconds).map_err(|_| expected())?;
        rest = &after[letters..];
    }
    if text.is_empty() { Err(expected()) } else { Ok(total) }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print objects as a table, YAML, JSON or one field
    Get(commands::get::GetArguments),
    /// Print everything about objects: fields, conditions, events
    Describe(commands::describe::DescribeArguments),
    /// Say why an object is as it is, and what to type next
    Why(commands::why::WhyArguments),
    /// Make objects what files say (server-side apply)
    Apply(commands::apply::ApplyArguments),
    /// Show what `apply` would change
    Diff(commands::diff::DiffArguments),
    /// Show what `apply` would change, and what would be done about it in the swarm
    Plan(commands::plan::PlanArguments),
    /// Create objects from files or from arguments
    Create(commands::create::CreateArguments),
    /// Change an object in your editor
    Edit(commands::edit::EditArguments),
    /// Change fields of an object
    Patch(commands::patch::PatchArguments),
    /// Delete objects
    Delete(commands::delete::DeleteArguments),
    /// Set, change or remove labels
    Label(commands::label::LabelArguments),
    /// Set, change or remove annotations
    Annotate(commands::label::AnnotateArguments),
    /// Set the number of replicas
    Scale(commands::scale::ScaleArguments),
    /// Stop the server from working on objects
    Suspend(commands::suspend::SuspendArguments),
    /// Let the server work on suspended objects again
    Resume(commands::suspend::ResumeArguments),
    /// Wait until objects reach a state
    Wait(commands::wait::WaitArguments),
    /// Print changes as they happen
    Watch(commands::watch::WatchArguments),
    /// Print events, oldest first
    Events(commands::events::EventsArguments),
    /// Print the log of a test run
    Logs(commands::logs::LogsArguments),
    /// Print figures of hosts and apps
    Top(commands::top::TopArguments),
    /// Test a recipe now
    Run(commands::run::RunArguments),
    /// Test again what a test run tested
    Rerun(commands::run::RerunArguments),
    /// Stop a test run
    Cancel(commands::cancel::CancelArguments),
    /// Let a pull request's head commit be tested
    Approve(commands::approve::ApproveArguments),
    /// Take an approval back
    Deny(commands::approve::DenyArguments),
    /// Let comments on a repository's pull requests start test runs
    Enroll(commands::enroll::EnrollArguments),
    /// Print what was seen on forges and what was decided about it
    Inbox(commands::inbox::InboxArguments),
    /// Describe the fields of a resource type
    Explain(commands::explain::ExplainArguments),
    /// List the resource types of the server
    ApiResources(commands::api_resources::ApiResourcesArguments),
    /// List the API versions of the server
    ApiVersions,
    /// Ask who you are and what you may do
    Auth(commands::auth::AuthArguments),
    /// Make, list and revoke tokens
    Token(commands::token::TokenArguments),
    /// Find secrets where they do not belong
    Secret(commands::secret::SecretArguments),
    /// Check everything between here and the server
    Doctor,
    /// Save everything that the server keeps to a file
    Backup(commands::backup::BackupArguments),
    /// Replace everything that the server keeps with a backup
    Restore(commands::backup::RestoreArguments),
    /// Look at and change the kubeconfig
    Config(commands::config::ConfigArguments),
    /// Print a completion script for a shell
    Completion(commands::completion::CompletionArguments),
    /// Names for the word that is being typed; asked for by completion scripts
    #[command(name = "__complete", hide = true)]
    Complete(commands::completion::candidates::CompleteArguments),
    /// Write manual pages
    Man(commands::man::ManArguments),
    /// Print the version of ccctl and of the server
    Version(commands::version::VersionArguments),
}
