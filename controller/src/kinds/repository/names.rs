//! What is written on objects that comments make, so that one command makes them once. Pure.

use api_types::kind::Object;
use api_types::kinds::repository::TriggerEvent;
use api_types::kinds::test_run::TestRun;

use super::happenings::Happening;
use crate::runtime::backoff::hash;

/// Label: number of the comment that asked for it.
pub const COMMENT_LABEL: &str = "ci.coopcloud.tech/comment-id";
/// Label: number of the pull request.
pub const PULL_REQUEST_LABEL: &str = "ci.coopcloud.tech/pull-request";
/// Annotation: name of the Repository.
pub const REPOSITORY_ANNOTATION: &str = "ci.coopcloud.tech/repository";
/// Annotation: who asked for it.
pub const REQUESTED_BY_ANNOTATION: &str = "ci.coopcloud.tech/requested-by";
/// Label: the kind of event that started it, when that was no comment: `tag`, `push` or `schedule`.
pub const TRIGGER_LABEL: &str = "ci.coopcloud.tech/trigger";
/// Annotation: the tag, branch or schedule that started it.
pub const TRIGGERED_BY_ANNOTATION: &str = "ci.coopcloud.tech/triggered-by";
/// Annotation: the run that made it pointless.
pub const SUPERSEDED_BY_ANNOTATION: &str = "ci.coopcloud.tech/superseded-by";

/// Characters of a recipe's name that go into the name of a run.
const RECIPE_CHARACTERS_MAX: usize = 200;
/// Characters of a tag or branch that go into the name of a run.
const SUBJECT_CHARACTERS_MAX: usize = 40;
/// Digits of a commit in the name of an Approval; `ccctl approve` uses as many.
const APPROVAL_DIGITS: usize = 12;

/// Returns the name of the run that a comment asks for: `<recipe>-pr<N>-<short head>-<comment>`.
#[must_use]
pub fn run_name(recipe: &str, pull_request: i64, head_sha: &str, comment: i64) -> String {
    let recipe = &recipe[..recipe.len().min(RECIPE_CHARACTERS_MAX)];
    let short = head_sha.get(..7).unwrap_or(head_sha).to_ascii_lowercase();
    format!("{}-pr{pull_request}-{short}-{comment}", recipe.trim_end_matches(['-', '.']))
}

/// Returns the word for a kind of event in names and labels.
#[must_use]
pub fn trigger_word(on: TriggerEvent) -> &'static str {
    match on {
        TriggerEvent::Comment => "comment",
        TriggerEvent::Tag => "tag",
        TriggerEvent::Push => "push",
        TriggerEvent::Schedule => "schedule",
    }
}

/// Returns the name of the run that a tag, a push or a time starts: the same for the same tag at the same commit, for
/// the same commit of a branch, and for the same time. What a name cannot hold is told apart by the digits at its end.
#[must_use]
pub fn happening_run_name(repository: &str, happening: &Happening) -> String {
    let recipe = &happening.recipe[..happening.recipe.len().min(RECIPE_CHARACTERS_MAX / 2)];
    let recipe = recipe.trim_end_matches(['-', '.']);
    let word = trigger_word(happening.on);
    let commit = happening.commit.as_deref().unwrap_or_default();
    let what = match happening.on {
        TriggerEvent::Schedule => happening.at.strftime("%Y%m%d-%H%M").to_string(),
        _ => format!("{}-{}", slug(&happening.subject), commit.get(..7).unwrap_or(commit)),
    };
    let of = format!("{repository}\n{word}\n{}\n{commit}\n{}", happening.subject, happening.recipe);
    format!("{recipe}-{word}-{what}-{:08x}", hash(&of, 0) >> 32)
}

fn slug(text: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    let slug: String = text.chars().take(SUBJECT_CHARACTERS_MAX).map(plain).collect();
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
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
