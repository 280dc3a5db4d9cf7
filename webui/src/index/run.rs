//! A run in short: what lists and scoreboards show of it.

use std::sync::Arc;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Object as Typed;
use api_types::kinds::test_run::{Lane, Phase, RungName, RungStatus, TestRun};
use jiff::Timestamp;
use store::object::Object;

/// The rungs in their order, with the words that people read.
pub(crate) const RUNGS: [(RungName, &str); 5] = [
    (RungName::Install, "install"),
    (RungName::Upgrade, "upgrade"),
    (RungName::BackupRestore, "backup-restore"),
    (RungName::Functional, "functional"),
    (RungName::Lint, "lint"),
];

/// A run in short.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunSummary {
    pub namespace: String,
    pub name: String,
    pub recipe: String,
    /// RFC 3339 in whole seconds, so that text order is time order.
    pub created: String,
    pub phase: Phase,
    pub lane: Lane,
    /// Only some rungs were wanted.
    pub partial: bool,
    pub level: Option<u8>,
    pub pull_request: Option<i64>,
    pub author: Option<String>,
    pub fork: bool,
    pub commit: Option<String>,
    /// Version, branch or tag as it was asked for.
    pub asked: Option<String>,
    pub started: Option<Timestamp>,
    pub finished: Option<Timestamp>,
    pub queue: Option<(u32, String)>,
    /// In the order of [`RUNGS`].
    pub rungs: [Option<RungSummary>; 5],
    /// How long each step took, in seconds, of a run that succeeded: others say nothing about what is usual.
    pub times: Box<[(Box<str>, u32)]>,
    /// What it does at this moment.
    pub step: Option<String>,
    /// Why it did not succeed, for people.
    pub why: Option<String>,
    /// Why it waits for somebody's approval.
    pub unapproved: Option<String>,
    pub cancel: bool,
    /// What is left although it has ended.
    pub remaining: usize,
    /// Until when a failed app is kept.
    pub held_until: Option<String>,
}

/// A rung in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RungSummary {
    pub status: RungStatus,
    pub seconds: Option<i64>,
    pub began: bool,
}

impl RunSummary {
    /// Reads a run; `None` when it has another shape than this program knows.
    pub(crate) fn read(object: &Object) -> Option<Self> {
        let run: Typed<TestRun> = serde_json::from_slice(&object.json()).ok()?;
        Some(Self::of(&run))
    }

    /// Returns the short form of a run.
    pub(crate) fn of(run: &Typed<TestRun>) -> Self {
        let (spec, status) = (&run.spec, &run.status);
        let pull_request = spec.source.pull_request.as_ref();
        let commit = status.head.as_ref().and_then(|head| head.commit.clone()).or_else(|| spec.source.commit.clone());
        let mut rungs = [None; 5];
        for rung in &status.rungs {
            let Some(at) = RUNGS.iter().position(|(name, _)| *name == rung.name) else { continue };
            let seconds = seconds_between(rung.started_at.as_deref(), rung.finished_at.as_deref());
            rungs[at] = Some(RungSummary { status: rung.status, seconds, began: rung.started_at.is_some() });
        }
        let current = status.steps.iter().rev().find(|step| step.started_at.is_some() && step.finished_at.is_none());
        Self {
            namespace: run.metadata.namespace.clone(),
            name: run.metadata.name.clone(),
            recipe: spec.recipe_ref.clone(),
            created: run.metadata.creation_timestamp.clone().unwrap_or_default(),
            phase: status.phase.unwrap_or_default(),
            lane: spec.lane,
            partial: !spec.stages.is_empty(),
            level: status.level,
            pull_request: pull_request.map(|pull| pull.number),
            author: pull_request.and_then(|pull| pull.author.clone()),
            fork: pull_request.is_some_and(|pull| pull.fork),
            commit,
            asked: spec.source.version.clone().or_else(|| spec.source.reference.clone()),
            started: moment(status.started_at.as_deref()),
            finished: moment(status.finished_at.as_deref()),
            queue: status.queue.as_ref().map(|queue| (queue.position, queue.reason.clone())),
            rungs,
            times: times(run),
            step: current.map(|step| step.name.clone()),
            why: why(run),
            unapproved: unapproved(run),
            cancel: spec.cancel,
            remaining: status.cleanup.as_ref().map_or(0, |cleanup| cleanup.remaining.len()),
            held_until: status.held_until.clone(),
        }
    }

    /// Returns whether nothing will happen any more.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase.is_finished()
    }

    /// Returns whether the run ended and says something about the recipe: its level counts.
    pub(crate) fn is_judged(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// Returns `namespace/recipe`.
    pub(crate) fn recipe_key(&self) -> Arc<str> {
        Arc::from(format!("{}/{}", self.namespace, self.recipe))
    }

    /// Returns how long the run took, or takes already.
    pub(crate) fn seconds(&self, now: Timestamp) -> Option<i64> {
        let end = match (self.finished, self.is_finished()) {
            (Some(finished), _) => finished,
            (None, false) => now,
            (None, true) => return None,
        };
        Some(end.duration_since(self.started?).as_secs().max(0))
    }

    /// Returns the first seven characters of the commit.
    pub(crate) fn short_commit(&self) -> Option<&str> {
        self.commit.as_deref().map(short)
    }
}

/// Returns the first seven characters of a commit.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// Returns a moment, when the text is one.
pub(crate) fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// Returns the whole seconds between two moments.
fn seconds_between(from: Option<&str>, to: Option<&str>) -> Option<i64> {
    Some(moment(to)?.duration_since(moment(from)?).as_secs().max(0))
}

/// Returns how long each step of a run that succeeded took.
fn times(run: &Typed<TestRun>) -> Box<[(Box<str>, u32)]> {
    if run.status.phase != Some(Phase::Succeeded) {
        return Box::default();
    }
    let took = |step: &api_types::kinds::test_run::Step| {
        let seconds = seconds_between(step.started_at.as_deref(), step.finished_at.as_deref())?;
        Some((Box::from(step.name.as_str()), u32::try_from(seconds).ok()?))
    };
    run.status.steps.iter().filter_map(took).collect()
}

/// Returns the sentence that explains the outcome: that of the first rung that failed, else that of the summary.
fn why(run: &Typed<TestRun>) -> Option<String> {
    let phase = run.status.phase.unwrap_or_default();
    if matches!(phase, Phase::Succeeded | Phase::Pending | Phase::Queued) {
        return None;
    }
    let failed = run.status.rungs.iter().find(|rung| rung.status == RungStatus::Fail);
    let of_rung = failed.and_then(|rung| rung.message.clone());
    let summary = find(&run.status.conditions, api_types::condition::SUCCEEDED)
        .filter(|condition| condition.status == ConditionStatus::False)
        .map(|condition| condition.message.clone());
    of_rung.or(summary).filter(|text| !text.is_empty())
}

/// Returns what the condition `Approved` says while it keeps the run from beginning.
fn unapproved(run: &Typed<TestRun>) -> Option<String> {
    if run.status.phase.unwrap_or_default().is_finished() || run.spec.source.pull_request.is_none() {
        return None;
    }
    let approved = find(&run.status.conditions, "Approved")?;
    (approved.status != ConditionStatus::True && run.status.started_at.is_none()).then(|| approved.message.clone())
}
