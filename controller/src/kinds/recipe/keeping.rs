//! Which finished runs are kept, and how long.

use api_types::kind::Object;
use api_types::kinds::recipe::{Keep, RecipeStatus};
use api_types::kinds::test_run::{Phase, TestRun};
use jiff::{SignedDuration, Timestamp};

/// Runs that one action deletes.
const DELETIONS_MAX: usize = 20;

/// What happens to finished runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    /// Those that go now: names and UIDs.
    pub(super) go: Vec<(String, String)>,
    /// When the next one may have to go.
    pub(super) next: Option<Timestamp>,
}

/// Returns what happens to the finished runs. Those with a time of their own go when it is over; the others as `keep`
/// says, but for the last run and the last green one, which stay.
pub(super) fn retention(runs: &[Object<TestRun>], keep: &Keep, status: &RecipeStatus, now: Timestamp) -> Retention {
    let mut retention = Retention::default();
    let mut finished: Vec<(Timestamp, &Object<TestRun>)> = runs
        .iter()
        .filter(|run| !run.is_being_deleted() && run.status.phase.is_some_and(Phase::is_finished))
        .filter_map(|run| Some((run.status.finished_at.as_deref()?.parse().ok()?, run)))
        .collect();
    // Newest first.
    finished.sort_by(|one, other| (other.0, &other.1.metadata.name).cmp(&(one.0, &one.1.metadata.name)));
    let last = status.last_run.as_ref().map(|run| run.name.as_str());
    let green = finished.iter().find(|(_, run)| is_green(run, status)).map(|(_, run)| run.metadata.name.as_str());
    let (mut succeeded, mut failed) = (0, 0);
    for (at, run) in finished {
        let name = run.metadata.name.as_str();
        let (span, is_one_too_many) = if let Some(time) = &run.spec.ttl_after_finished {
            (time.span(), false)
        } else if Some(name) == last || Some(name) == green {
            continue;
        } else {
            let (count, most) = match run.status.phase {
                Some(Phase::Succeeded) => (&mut succeeded, keep.succeeded),
                _ => (&mut failed, keep.failed),
            };
            *count += 1;
            (keep.age.span(), *count > most)
        };
        let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
        let until = at.saturating_add(span).unwrap_or(Timestamp::MAX);
        if until <= now || is_one_too_many {
            retention.go.push((run.metadata.name.clone(), run.metadata.uid.clone()));
        } else {
            retention.next = Some(retention.next.map_or(until, |next| next.min(until)));
        }
    }
    retention.go.truncate(DELETIONS_MAX);
    retention
}

fn is_green(run: &Object<TestRun>, status: &RecipeStatus) -> bool {
    let tested = run.status.head.as_ref().and_then(|head| head.commit.as_deref());
    let green = status.last_green.as_ref().map(|green| green.commit.as_str());
    run.status.phase == Some(Phase::Succeeded) && green.is_some() && tested == green
}
