//! Puts on the forge what should stand there, and remembers what was put.

use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::test_run::{Report, TestRun};
use api_types::reason;
use jiff::Timestamp;
use ports::error::ErrorKind;
use ports::forge::CommitStatus;

use super::decide::{Action, Told, Wanted};
use super::subject::Subject;
use super::{Reports, render};
use crate::kinds::forge::connection::{self, RepositoryConnection};
use crate::runtime::outcome::Failure;

/// A wait that a failed half asks for is no longer than this.
const RETRY_MAX: Duration = Duration::from_hours(1);
/// The wait before something is told again that the forge refused.
const REFUSED_RETRY: Duration = Duration::from_mins(5);

impl Reports {
    pub(super) async fn tell(&self, run: &Object<TestRun>, action: Action) -> Result<(), Failure> {
        let Some(subject) = Subject::of(run) else { return Ok(()) };
        let repository = self.repository(run)?;
        let to = connection::connect_repository(&self.cache, &self.outside, &repository)?;
        let marker = render::marker(&run.metadata.namespace, &run.spec.recipe_ref);
        let place = subject.thread.map_or_else(|| subject.commit.clone(), |number| number.to_string());
        let turn = self.turn(&format!("{}#{place} {marker}", to.repository));
        let _turn = turn.lock().await;
        // What is wanted may have changed while others had their turn.
        let wanted = self.wanted(run);
        let mut report = self.told(&run.metadata.uid).map(|told| told.report).or_else(|| run.status.report.clone());
        let before = report.clone().unwrap_or_default();
        let report = report.get_or_insert_default();
        let commented = match (&wanted.comment, subject.thread) {
            (None, _) | (_, None) => Ok(()),
            (Some(text), Some(number)) => {
                let known = report.comment_id.or_else(|| self.comment_of_siblings(run));
                let put = put_comment(&to, number, known, &marker, text, &action).await;
                put.map(|id| report.comment_id = Some(id))
            }
        };
        let stated = match &wanted.status {
            None => Ok(()),
            Some(status) => {
                let put = put_status(&to, &subject.commit, status, &action, &before).await;
                put.map(|()| report.status_context = Some(status.context.clone()))
            }
        };
        report.hash = match (&commented, &stated) {
            (Ok(()), Ok(())) => Some(wanted.hash()),
            _ => half(&before, &wanted, commented.is_ok(), stated.is_ok()),
        };
        let told = Told { report: report.clone(), at: self.clock.now() };
        if commented.is_ok() && stated.is_ok() {
            self.remember(&run.metadata.uid, told);
        } else {
            // It is tried again when the backoff ends, not when the gap between edits does.
            self.remember(&run.metadata.uid, Told { at: Timestamp::UNIX_EPOCH, ..told });
        }
        let failure = commented.err().or(stated.err()).map(Failure::from);
        failure.map_or(Ok(()), |failure| {
            let retry_after = failure.retry_after.map(|time| time.min(RETRY_MAX));
            // What a forge refuses today it may take tomorrow, and nothing of an ended run would ever change again.
            let may_heal = failure.kind == ErrorKind::Terminal && failure.reason != reason::COMMIT_NOT_FOUND;
            if may_heal {
                let retry_after = Some(retry_after.unwrap_or_default().max(REFUSED_RETRY));
                return Err(Failure { retry_after, kind: ErrorKind::Blocked, ..failure });
            }
            Err(Failure { retry_after, ..failure })
        })
    }

    /// Returns the comment that an earlier run of the pull request wrote.
    fn comment_of_siblings(&self, run: &Object<TestRun>) -> Option<i64> {
        let number = |run: &Object<TestRun>| run.spec.source.pull_request.as_ref().map(|of| of.number);
        let mut siblings = Self::siblings(run, &self.cache.list(&TestRun::resource()));
        siblings.retain(|other| number(other) == number(run));
        let of = |run: &Object<TestRun>| {
            let told = self.told(&run.metadata.uid).and_then(|told| told.report.comment_id);
            told.or_else(|| run.status.report.as_ref()?.comment_id)
        };
        siblings.iter().find_map(of)
    }
}

/// Returns the hash of what was told when only one half was.
fn half(before: &Report, wanted: &Wanted, commented: bool, stated: bool) -> Option<String> {
    let new = wanted.hash();
    let (comment, status) = new.split_once('.')?;
    let old = before.hash.as_deref().unwrap_or("?.?");
    let (old_comment, old_status) = old.split_once('.').unwrap_or(("?", "?"));
    Some(format!("{}.{}", if commented { comment } else { old_comment }, if stated { status } else { old_status }))
}

/// Puts the comment there and returns its number.
async fn put_comment(
    to: &RepositoryConnection,
    pull_request: i64,
    known: Option<i64>,
    marker: &str,
    text: &str,
    action: &Action,
) -> Result<i64, ports::error::Error> {
    let (forge, repository) = (&to.connection.forge, &to.repository);
    if let Some(id) = known {
        if *action == Action::Check
            && let Some(comment) = forge.comment(repository, id).await?
            && is_same(&comment.body, text)
        {
            return Ok(id);
        }
        if forge.edit_comment(repository, id, text).await?.is_some() {
            return Ok(id);
        }
    }
    // Either it was deleted, or ccd ended before it could note the number, or this is the first.
    let comments = forge.comments_of(repository, pull_request).await?;
    let own = comments
        .iter()
        .find(|comment| connection::is_own(&to.connection, &comment.author) && comment.body.contains(marker));
    if let Some(comment) = own
        && (is_same(&comment.body, text) || forge.edit_comment(repository, comment.id, text).await?.is_some())
    {
        return Ok(comment.id);
    }
    Ok(forge.create_comment(repository, pull_request, text).await?.id)
}

fn is_same(one: &str, other: &str) -> bool {
    one.replace("\r\n", "\n").trim() == other.trim()
}

/// Puts the commit status there, unless it stands there already.
async fn put_status(
    to: &RepositoryConnection,
    sha: &str,
    status: &CommitStatus,
    action: &Action,
    before: &Report,
) -> Result<(), ports::error::Error> {
    let (forge, repository) = (&to.connection.forge, &to.repository);
    let is_told = before.hash.as_deref().and_then(|hash| hash.split_once('.')).map(|(_, status)| status);
    let wanted = Wanted { comment: None, status: Some(status.clone()) }.hash();
    if *action == Action::Tell && is_told == wanted.split_once('.').map(|(_, status)| status) {
        return Ok(());
    }
    if *action == Action::Check || is_told.is_none() {
        let present = forge.statuses(repository, sha).await?;
        let same = |found: &&CommitStatus| {
            found.context == status.context && found.state == status.state && found.description == status.description
        };
        if present.iter().any(|found| same(&found)) {
            return Ok(());
        }
    }
    forge.set_status(repository, sha, status).await
}
