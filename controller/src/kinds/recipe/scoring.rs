//! What a recipe's versions are, and what its runs say about it.

use api_types::kind::Object;
use api_types::kinds::recipe::{IgnoredTag, LastRun, RecipeStatus, RecipeVersion};
use api_types::kinds::test_run::{Lane, Phase, TestRun};
use ports::git::Tag;
use ports::recipe::version::RecipeVersion as Version;

/// Versions that are listed.
const VERSIONS_MAX: usize = 200;
/// Tags that are listed as ignored.
const IGNORED_MAX: usize = 20;

/// Puts the versions into the status: the annotated tags, newest first by their numbers, not by their dates.
pub(super) fn put_versions(status: &mut RecipeStatus, tags: &[Tag]) {
    let mut versions = Vec::new();
    let mut ignored = Vec::new();
    for tag in tags {
        let name = tag.name.to_string();
        match Version::parse(&name) {
            Some(version) if tag.is_annotated => versions.push((version, tag)),
            Some(_) => ignored.push(IgnoredTag {
                name: name.clone(),
                reason: format!("It is not annotated, so abra does not take it: git tag -f -a {name} {name}^{{}}"),
            }),
            None => ignored.push(IgnoredTag {
                name,
                reason: "It is no version: a recipe's version is like 1.2.0+6.4.3".to_owned(),
            }),
        }
    }
    versions.sort_by(|one, other| other.0.cmp(&one.0));
    ignored.sort_by(|one, other| one.name.cmp(&other.name));
    ignored.truncate(IGNORED_MAX);
    let listed = versions
        .iter()
        .take(VERSIONS_MAX)
        .map(|(_, tag)| RecipeVersion { version: tag.name.to_string(), commit: tag.commit.to_string() });
    status.versions = listed.collect();
    status.latest_version = status.versions.first().map(|version| version.version.clone());
    status.ignored_tags = ignored;
}

/// Puts what the runs say into the status.
pub(super) fn put_score(status: &mut RecipeStatus, runs: &[Object<TestRun>]) {
    let begun = |run: &&Object<TestRun>| (run.metadata.creation_timestamp.clone(), run.metadata.name.clone());
    if let Some(last) = runs.iter().max_by_key(begun) {
        status.last_run = Some(LastRun {
            name: last.metadata.name.clone(),
            phase: last.status.phase,
            finished_at: last.status.finished_at.clone(),
        });
    }
    let mut complete: Vec<&Object<TestRun>> = runs.iter().filter(|run| is_authority(run)).collect();
    complete.sort_by_key(|run| run.status.finished_at.clone());
    if let Some(last) = complete.last() {
        status.level = last.status.level;
    }
    for run in complete.into_iter().filter(|run| run.status.phase == Some(Phase::Succeeded)) {
        if let Some(green) = promoted(status, run) {
            status.last_green = Some(green);
        }
    }
}

/// Returns whether a run can speak for the recipe: from nothing, through every rung, outside of pull requests, and to
/// the end.
fn is_authority(run: &Object<TestRun>) -> bool {
    let spec = &run.spec;
    spec.lane == Lane::Cold
        && spec.stages.is_empty()
        && spec.source.pull_request.is_none()
        && matches!(run.status.phase, Some(Phase::Succeeded | Phase::Failed))
}

/// Returns the version that a green run promotes: a published one, at the very commit of its tag, and never an older one
/// than was green before.
fn promoted(status: &RecipeStatus, run: &Object<TestRun>) -> Option<RecipeVersion> {
    let head = run.status.head.as_ref()?;
    let tested = RecipeVersion { version: head.version.clone()?, commit: head.commit.clone()? };
    if !status.versions.contains(&tested) {
        return None;
    }
    let version = Version::parse(&tested.version)?;
    let before = status.last_green.as_ref().and_then(|green| Version::parse(&green.version));
    before.is_none_or(|before| version >= before).then_some(tested)
}
