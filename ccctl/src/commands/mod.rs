//! The commands, one file each.

pub mod api_resources;
pub mod apply;
pub mod approve;
pub mod auth;
pub mod backup;
pub mod cancel;
pub mod completion;
pub mod config;
pub mod create;
pub mod delete;
pub mod describe;
pub mod diff;
pub mod doctor;
pub mod edit;
pub mod enroll;
pub mod events;
pub mod explain;
pub mod get;
pub mod inbox;
pub mod label;
pub mod logs;
pub mod man;
pub mod patch;
pub mod plan;
pub mod run;
pub mod scale;
pub mod secret;
pub mod suspend;
pub mod token;
pub mod top;
pub mod version;
pub mod wait;
pub mod watch;
pub mod why;

use std::pin::Pin;

use crate::arguments::Command;
use crate::error::{Outcome, Result};
use crate::session::Session;

/// Name under which ccctl's applies own fields. Other commands own theirs under names of their own, so that a conflict
/// says which of them set the field.
pub const FIELD_MANAGER: &str = "ccctl";

/// Runs a command.
///
/// # Errors
/// What the command says.
pub async fn run(session: &Session, command: Command) -> Result<Outcome> {
    // Boxed, because the commands' futures differ in size and only one of them is needed.
    let future: Pin<Box<dyn Future<Output = Result<Outcome>> + '_>> = match command {
        Command::Get(arguments) => Box::pin(get::run(session, arguments)),
        Command::Describe(arguments) => Box::pin(describe::run(session, arguments)),
        Command::Why(arguments) => Box::pin(why::run(session, arguments)),
        Command::Apply(arguments) => Box::pin(apply::run(session, arguments)),
        Command::Diff(arguments) => Box::pin(diff::run(session, arguments)),
        Command::Plan(arguments) => Box::pin(plan::run(session, arguments)),
        Command::Create(arguments) => Box::pin(create::run(session, arguments)),
        Command::Edit(arguments) => Box::pin(edit::run(session, arguments)),
        Command::Patch(arguments) => Box::pin(patch::run(session, arguments)),
        Command::Delete(arguments) => Box::pin(delete::run(session, arguments)),
        Command::Label(arguments) => Box::pin(label::run_label(session, arguments)),
        Command::Annotate(arguments) => Box::pin(label::run_annotate(session, arguments)),
        Command::Scale(arguments) => Box::pin(scale::run(session, arguments)),
        Command::Suspend(arguments) => Box::pin(suspend::run(session, arguments.selection, suspend::Wanted::Suspended)),
        Command::Resume(arguments) => Box::pin(suspend::run(session, arguments.selection, suspend::Wanted::Active)),
        Command::Wait(arguments) => Box::pin(wait::run(session, arguments)),
        Command::Watch(arguments) => Box::pin(watch::run(session, arguments)),
        Command::Events(arguments) => Box::pin(events::run(session, arguments)),
        Command::Logs(arguments) => Box::pin(logs::run(session, arguments)),
        Command::Top(arguments) => Box::pin(top::run(session, arguments)),
        Command::Run(arguments) => Box::pin(run::run(session, arguments)),
        Command::Rerun(arguments) => Box::pin(run::rerun(session, arguments)),
        Command::Cancel(arguments) => Box::pin(cancel::run(session, arguments)),
        Command::Approve(arguments) => Box::pin(approve::approve(session, arguments)),
        Command::Deny(arguments) => Box::pin(approve::deny(session, arguments)),
        Command::Enroll(arguments) => Box::pin(enroll::run(session, arguments)),
        Command::Inbox(arguments) => Box::pin(inbox::run(session, arguments)),
        Command::Explain(arguments) => Box::pin(explain::run(session, arguments)),
        Command::ApiResources(arguments) => Box::pin(api_resources::run(session, arguments)),
        Command::ApiVersions => Box::pin(api_resources::versions(session)),
        Command::Auth(arguments) => Box::pin(auth::run(session, arguments)),
        Command::Token(arguments) => Box::pin(token::run(session, arguments)),
        Command::Secret(arguments) => Box::pin(secret::run(session, arguments)),
        Command::Doctor => Box::pin(doctor::run(session)),
        Command::Backup(arguments) => Box::pin(backup::backup(session, arguments)),
        Command::Restore(arguments) => Box::pin(backup::restore(session, arguments)),
        Command::Config(arguments) => Box::pin(async move { config::run(session, arguments) }),
        Command::Completion(arguments) => Box::pin(async move { completion::run(session, &arguments) }),
        Command::Complete(arguments) => Box::pin(completion::candidates::run(session, arguments)),
        Command::Man(arguments) => Box::pin(async move { man::run(session, &arguments) }),
        Command::Version(arguments) => Box::pin(version::run(session, arguments)),
    };
    future.await
}

/// Whether a change is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum DryRun {
    /// Carry it out
    #[default]
    None,
    /// Let the server check it and throw it away
    Server,
    /// Send nothing, only print what would be sent
    Client,
}

impl DryRun {
    /// Returns what is printed behind the verb.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Server => " (server dry run)",
            Self::Client => " (dry run)",
        }
    }

    /// Returns the value of the query parameter `dryRun`.
    #[must_use]
    pub fn query(self) -> Option<&'static str> {
        (self == Self::Server).then_some("All")
    }
}
