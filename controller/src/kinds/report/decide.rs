//! Whether something has to be told, looked after, or left alone. Pure.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::test_run::{Phase, Report, TestRun, TestRunStatus};
use api_types::reason;
use jiff::Timestamp;
use ports::forge::CommitStatus;
use ports::redact::Redactor;

use super::render::{self, Around};
use super::subject::Subject;
use crate::runtime::backoff::hash;
use crate::runtime::reconciler::{Decision, Next};

/// Least time between two edits of a comment whose run goes on.
const EDIT_GAP: Duration = Duration::from_secs(3);
/// How often what was told is looked for, while the run goes on and in the hour after it.
const CHECK_PERIOD: Duration = Duration::from_mins(2);
/// How often later.
const CHECK_PERIOD_LATER: Duration = Duration::from_mins(10);
/// What is older is left as it is.
const CHECK_AGE_MAX: Duration = Duration::from_hours(24);

/// What should stand on the forge. Both are absent when a newer run has taken the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The comment.
    pub comment: Option<String>,
    /// The commit status.
    pub status: Option<CommitStatus>,
}

/// What was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// As it stands in the status.
    pub report: Report,
    /// When it was told, or last seen to stand there.
    pub at: Timestamp,
}

/// What is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What should stand there; `None` when there is nobody to tell, or nothing yet that it could be told of.
    pub wanted: Option<Wanted>,
    /// What this process told.
    pub told: Option<Told>,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Tell it.
    Tell,
    /// Look whether it stands there, and tell it if not.
    Check,
}

impl Wanted {
    /// Returns what should stand there for a run; `siblings` are all runs of its pull request or commit, newest first; `green`
    /// is the last green run of its recipe before it; `public_url` is where people reach the web pages.
    #[must_use]
    pub fn of(
        run: &Object<TestRun>,
        siblings: &[Object<TestRun>],
        green: Option<&Object<TestRun>>,
        redactor: &Redactor,
        public_url: Option<&str>,
    ) -> Self {
        let Some(own) = Subject::of(run) else { return Self { comment: None, status: None } };
        let is_own = |other: &&Object<TestRun>| other.metadata.uid == run.metadata.uid;
        let told: Vec<(&Object<TestRun>, Subject)> =
            siblings.iter().filter_map(|other| Some((other, Subject::of(other)?))).collect();
        let of_thread =
            || told.iter().filter(|(_, of)| own.thread.is_some() && of.thread == own.thread).map(|(other, _)| *other);
        let newest = own.thread.is_some() && of_thread().next().is_none_or(|first| is_own(&first));
        let context = render::context(run);
        // A run of the same commit and name that is newer speaks instead.
        let speaks = told.iter().find(|(other, of)| of.commit == own.commit && render::context(other) == context);
        // Forges keep statuses by commit: pull requests with one head, and the tag that leads to it, share theirs, and it
        // says whose run it tells.
        let is_shared = told.iter().any(|(_, of)| of.commit == own.commit && of.words != own.words);
        let elsewhere = speaks.filter(|(_, of)| of.words != own.words);
        let elsewhere = elsewhere.map(|(other, of)| (*other, of));
        let speaks = speaks.is_none_or(|(speaker, _)| is_own(speaker));
        let of = is_shared.then_some(own.words.as_str());
        let earlier: Vec<Object<TestRun>> = of_thread().filter(|other| !is_own(other)).cloned().collect();
        let page = public_url.map(|url| render::page(run, url));
        let around = Around { earlier: &earlier, green, elsewhere, page: page.as_deref() };
        Self {
            comment: newest.then(|| render::comment(run, &around, redactor)),
            status: speaks.then(|| render::status(run, of, redactor, page.as_deref())),
        }
    }

    /// Returns the text that `status.report.hash` has when this was told.
    #[must_use]
    pub fn hash(&self) -> String {
        let of = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| format!("{:016x}", hash(&text, 0)));
        let status = self.status.as_ref();
        let status = status
            .map(|status| format!("{}\n{}\n{}{}", status.context, status.state, status.description, status.target_url));
        format!("{}.{}", of(self.comment.clone()), of(status))
    }
}

/// Decides.
#[must_use]
pub fn decide(run: &Object<TestRun>, seen: &Observed, now: Timestamp) -> Decision<TestRunStatus, Action> {
    let mut status = run.status.clone();
    let Some(wanted) = &seen.wanted else { return Decision::wait(status, Next::OnChange) };
    let is_over = status.phase.is_some_and(Phase::is_finished);
    let age = age(&status, now);
    let known = seen.told.as_ref();
    let report = known.map(|told| told.report.clone()).or_else(|| status.report.clone());
    let is_told = report.as_ref().is_some_and(|report| report.hash.as_deref() == Some(&wanted.hash()));
    let since = known.map(|told| Duration::try_from(now.duration_since(told.at)).unwrap_or_default());
    status.report = report;
    if !is_told {
        if let Some(left) = since.and_then(|since| EDIT_GAP.checked_sub(since)).filter(|left| !left.is_zero())
            && !is_over
        {
            return Decision::wait(status, Next::After(left));
        }
        // While the run goes on, the next edit is never far; what is told last is told once it is told.
        if is_over || condition::find(&status.conditions, ConditionType::Reported.word()).is_none() {
            say(&mut status, ConditionStatus::Unknown, reason::PROGRESSING, "The forge is being told.");
        }
        return Decision::act(status, Action::Tell);
    }
    let period = if is_over && age > Duration::from_hours(1) { CHECK_PERIOD_LATER } else { CHECK_PERIOD };
    // After a restart nobody knows when it was seen last.
    let Some(left) = since.and_then(|since| period.checked_sub(since)).filter(|left| !left.is_zero()) else {
        return Decision::act(status, Action::Check);
    };
    let has_thread = run.spec.source.pull_request.is_some();
    let message = match (&wanted.comment, &wanted.status) {
        (None, Some(_)) if !has_thread => "The commit status says how it is.",
        (None, None) if !has_thread => "The commit status is that of a newer run.",
        (Some(_), Some(_)) => "Comment and commit status say how it is.",
        (None, Some(_)) => "The commit status says how it is; the comment is about a newer run.",
        (Some(_), None) => "The comment says how it is; the commit status is that of a newer run.",
        (None, None) => "Comment and commit status are about a newer run.",
    };
    say(&mut status, ConditionStatus::True, reason::REPORTED, message);
    Decision::wait(status, Next::After(left))
}

/// Returns whether what was told of a run is left as it is, because the run has ended long ago.
#[must_use]
pub fn is_left_alone(status: &TestRunStatus, now: Timestamp) -> bool {
    status.phase.is_some_and(Phase::is_finished) && status.report.is_some() && age(status, now) > CHECK_AGE_MAX
}

fn age(status: &TestRunStatus, now: Timestamp) -> Duration {
    let ended = status.finished_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    ended.map(|ended| Duration::try_from(now.duration_since(ended)).unwrap_or_default()).unwrap_or_default()
}

fn say(status: &mut TestRunStatus, word: ConditionStatus, reason: &str, message: &str) {
    condition::set(&mut status.conditions, Condition::new(ConditionType::Reported.word(), word, reason, message));
}
