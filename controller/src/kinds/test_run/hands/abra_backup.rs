//! Backups of apps that abra deployed, taken as their people take them: by abra and the server's backup bot. Where no bot
//! runs, the engine is enough.

use std::sync::Arc;

use api_types::reason;
use ports::abra::{Abra, AbraApp};
use ports::swarm::{Engine, Filter};

use super::super::work::{BackupTaken, Outcome, bad};
use super::Job;
use crate::runtime::outcome::Failure;

/// The label of the service that takes backups for a whole server.
const BOT_LABEL: (&str, &str) = ("coop-cloud.backupbot.enabled", "true");

/// An app that abra deployed, and its abra.
#[derive(Clone)]
pub(in crate::kinds::test_run) struct ByAbra {
    pub(super) abra: Arc<dyn Abra>,
    pub(super) app: AbraApp,
}

/// Returns by whose hand the run's app is backed up by a bot; `None` when the engine does it.
pub(super) async fn bot<'a>(job: &'a Job, engine: &dyn Engine) -> Result<Option<&'a ByAbra>, Failure> {
    let Some(by_abra) = &job.by_abra else { return Ok(None) };
    let (name, value) = BOT_LABEL;
    let filter = Filter { labels: vec![(name.to_owned(), value.to_owned())], ..Filter::default() };
    let is_there = !engine.services(&filter).await?.is_empty();
    Ok(is_there.then_some(by_abra))
}

/// Lets the bot take a backup; what it holds is the restore's to prove. Returns the snapshot's id beside it.
pub(super) async fn take(
    job: &Job,
    by_abra: &ByAbra,
    captures: u32,
) -> Result<Outcome<(BackupTaken, String)>, Failure> {
    job.say(format!("abra app backup create {}", by_abra.app.domain)).await;
    let Some(snapshot) = by_abra.abra.back_up(&by_abra.app).await? else {
        let message = "abra app backup create ended well, but names no snapshot: nothing shows that there is a backup.";
        job.say(message).await;
        return Ok(bad(reason::EMPTY_BACKUP, message));
    };
    job.say(format!("snapshot {snapshot}")).await;
    Ok(Outcome::Good((BackupTaken { captures, ..BackupTaken::default() }, snapshot)))
}

/// Lets the bot give a snapshot back.
pub(super) async fn restore(job: &Job, by_abra: &ByAbra, snapshot: &str) -> Result<(), Failure> {
    job.say(format!("abra app restore {}: snapshot {snapshot}", by_abra.app.domain)).await;
    Ok(by_abra.abra.restore(&by_abra.app, snapshot).await?)
}
