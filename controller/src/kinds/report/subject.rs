//! What a run is about, as the forge sees it: a commit, and the pull request under which people talk about it. Pure.

use api_types::kind::Object;
use api_types::kinds::test_run::TestRun;

use crate::kinds::repository::names;

/// What a run is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The pull request whose thread has the comment; `None` for runs that a tag, a push or a time started.
    pub thread: Option<i64>,
    /// The commit that has the status: whole and hexadecimal.
    pub commit: String,
    /// What started it, for people: `Pull request 7`, `Tag 1.2.0+6.4.3`, `Push to main`, `Schedule 0 3 * * 0`.
    pub words: String,
}

impl Subject {
    /// Returns what a run is about; `None` when nobody on the forge is told of it: somebody started it by hand, or it is
    /// about a branch whose tip has not been read yet.
    #[must_use]
    pub fn of(run: &Object<TestRun>) -> Option<Self> {
        if let Some(pull_request) = &run.spec.source.pull_request {
            let words = format!("Pull request {}", pull_request.number);
            return Some(Self { thread: Some(pull_request.number), commit: pull_request.head_sha.clone(), words });
        }
        let trigger = run.metadata.labels.get(names::TRIGGER_LABEL)?;
        let read = || run.status.head.as_ref().and_then(|head| head.commit.clone());
        let commit = run.spec.source.commit.clone().or_else(read)?;
        let by = run.metadata.annotations.get(names::TRIGGERED_BY_ANNOTATION).map(String::as_str).unwrap_or_default();
        let words = match trigger.as_str() {
            "tag" => format!("Tag {by}"),
            "push" => format!("Push to {by}"),
            "schedule" => format!("Schedule {by}"),
            _ => return None,
        };
        Some(Self { thread: None, commit, words: words.trim_end().to_owned() })
    }
}
