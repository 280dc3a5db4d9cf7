//! What is written on objects that comments make, so that one command makes them once. Pure.

use api_types::kind::Object;
use api_types::kinds::test_run::TestRun;

/// Label: number of the comment that asked for it.
pub const COMMENT_LABEL: &str = "ci.coopcloud.tech/comment-id";
/// Label: number of the pull request.
pub const PULL_REQUEST_LABEL: &str = "ci.coopcloud.tech/pull-request";
/// Annotation: name of the Repository.
pub const REPOSITORY_ANNOTATION: &str = "ci.coopcloud.tech/repository";
/// Annotation: who asked for it.
pub const REQUESTED_BY_ANNOTATION: &str = "ci.coopcloud.tech/requested-by";
/// Annotation: the run that made it pointless.
pub const SUPERSEDED_BY_ANNOTATION: &str = "ci.coopcloud.tech/superseded-by";

/// Characters of a recipe's name that go into the name of a run.
const RECIPE_CHARACTERS_MAX: usize = 200;
/// Digits of a commit in the name of an Approval; `ccctl approve` uses as many.
const APPROVAL_DIGITS: usize = 12;

/// Returns the name of the run that a comment asks for: `<recipe>-pr<N>-<short head>-<comment>`.
#[must_use]
pub fn run_name(recipe: &str, pull_request: i64, head_sha: &str, comment: i64) -> String {
    let recipe = &recipe[..recipe.len().min(RECIPE_CHARACTERS_MAX)];
    let short = head_sha.get(..7).unwrap_or(head_sha).to_ascii_lowercase();
    format!("{}-pr{pull_request}-{short}-{comment}", recipe.trim_end_matches(['-', '.']))
}

/// Returns the name of the Approval of a head, the same whoever approves it.
#[must_use]
pub fn approval_name(repository: &str, pull_request: i64, head_sha: &str) -> String {
    let short = head_sha.get(..APPROVAL_DIGITS).unwrap_or(head_sha).to_ascii_lowercase();
    format!("{repository}-pr{pull_request}-{short}")
}

/// Returns the number of the comment that asked for a run.
#[must_use]
pub fn comment_of(run: &Object<TestRun>) -> Option<i64> {
    run.metadata.labels.get(COMMENT_LABEL)?.parse().ok()
}

/// Returns the name of the Repository that a run came from.
#[must_use]
pub fn repository_of(run: &Object<TestRun>) -> Option<String> {
    run.metadata.annotations.get(REPOSITORY_ANNOTATION).cloned()
}

/// Returns what orders runs by their age.
#[must_use]
pub fn age(run: &Object<TestRun>) -> (String, i64, String) {
    let created = run.metadata.creation_timestamp.clone().unwrap_or_default();
    (created, comment_of(run).unwrap_or_default(), run.metadata.name.clone())
}
