//! The decision: pure, so that it is a table of cases.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, READY};
use api_types::kind::Object;
use api_types::kinds::recipe::{Recipe, RecipeStatus};
use api_types::kinds::test_run::Phase;
use api_types::reason;
use jiff::Timestamp;

use super::fetching::{self, FETCH_ANNOTATION, Fetched};
use super::keeping::retention;
use super::linting;
use super::scoring::{put_score, put_versions};
use super::{Action, FetchState, Observed, Source};
use crate::runtime::reconciler::{Decision, Next};
use crate::schedule::Cron;

/// Whether the last fetch went well.
pub(super) const FETCHED: &str = "Fetched";
/// How often runs that are not over are looked at: most of them are not ours, so that nobody wakes us.
const RUNS_PERIOD: Duration = Duration::from_secs(15);
/// Longest that nothing is looked at.
const PERIOD_MAX: Duration = Duration::from_mins(1);
/// Branches that a message names.
const BRANCHES_NAMED_MAX: usize = 10;

pub(super) fn decide(object: &Object<Recipe>, observed: &Observed, now: Timestamp) -> Decision<RecipeStatus, Action> {
    let mut status = object.status.clone();
    if object.is_being_deleted() {
        return Decision::wait(status, Next::Finalized);
    }
    if let FetchState::Ended(Fetched { at, failure: None, lint }) = &observed.fetch {
        status.last_fetched = Some(at.to_string());
        status.fetch_request = object.metadata.annotations.get(FETCH_ANNOTATION).cloned();
        match lint {
            Some(lint) => condition::set(&mut status.conditions, linting::condition(lint)),
            None => condition::remove(&mut status.conditions, linting::LINTED),
        }
    }
    if let Some(source) = &observed.source {
        put_versions(&mut status, &source.tags);
        status.head = source.head.as_ref().map(ToString::to_string);
    }
    put_score(&mut status, &observed.runs);
    let schedule = schedule(object, &mut status, observed, now);
    let fetched = fetched_condition(object, &status, observed);
    condition::set(&mut status.conditions, fetched);
    let ready = ready_condition(object, &status, observed, schedule.as_ref().err());
    condition::set(&mut status.conditions, ready);

    let due = fetching::due(&status, object, &observed.fetch, observed.source.is_some());
    if due.is_some_and(|due| due <= now) {
        return Decision::act(status, Action::Fetch);
    }
    let schedule = schedule.unwrap_or_default();
    if let Some(run) = schedule.run {
        return Decision::act(status, run);
    }
    let retention = retention(&observed.runs, &object.spec.keep, &status, now);
    if !retention.go.is_empty() {
        return Decision::act(status, Action::DeleteRuns(retention.go));
    }
    let goes_on = observed.runs.iter().any(|run| !run.status.phase.unwrap_or_default().is_finished());
    let mut wait = if goes_on { RUNS_PERIOD } else { PERIOD_MAX };
    for moment in [due, schedule.next, retention.next].into_iter().flatten() {
        // What is due already has been decided above.
        wait = wait.min(Duration::try_from(moment.duration_since(now)).unwrap_or_default().max(Duration::from_secs(1)));
    }
    Decision::wait(status, Next::After(wait))
}

/// What the schedule wants.
#[derive(Debug, Default)]
struct Scheduled {
    run: Option<Action>,
    next: Option<Timestamp>,
}

/// Returns what the schedule wants. Of the times that were missed only the last counts. A run is only taken for started
/// when it is seen, so that none is lost when ccd ends in between.
fn schedule(
    object: &Object<Recipe>,
    status: &mut RecipeStatus,
    observed: &Observed,
    now: Timestamp,
) -> Result<Scheduled, String> {
    let Some(schedule) = &object.spec.schedule else {
        status.last_scheduled = None;
        return Ok(Scheduled::default());
    };
    let cron = Cron::parse(&schedule.cron, schedule.time_zone.as_deref()).map_err(|error| error.to_string())?;
    let last = status.last_scheduled.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    let Some(last) = last else {
        // It begins now: what would have been before is nobody's wish.
        status.last_scheduled = Some(now.to_string());
        return Ok(Scheduled { run: None, next: cron.next_after(now) });
    };
    let next = cron.next_after(now);
    let (Some(fired), Some(version)) = (cron.last_between(last, now), status.latest_version.clone()) else {
        return Ok(Scheduled { run: None, next });
    };
    let name = run_name(&object.metadata.name, fired);
    if observed.runs.iter().any(|run| run.metadata.name == name) {
        status.last_scheduled = Some(fired.to_string());
        return Ok(Scheduled { run: None, next });
    }
    Ok(Scheduled { run: Some(Action::StartRun { name, version }), next })
}

/// Returns the name of the run of a moment: the same for the same moment.
fn run_name(recipe: &str, fired: Timestamp) -> String {
    let recipe = &recipe[..recipe.len().min(230)];
    format!("{}-at-{}", recipe.trim_end_matches(['-', '.']), fired.strftime("%Y%m%d-%H%M"))
}

fn fetched_condition(object: &Object<Recipe>, status: &RecipeStatus, observed: &Observed) -> Condition {
    let of = |truth, reason: &str, message: String| Condition::new(FETCHED, truth, reason, message);
    let url = &object.spec.source.url;
    match (&observed.fetch, &observed.source) {
        (FetchState::Ended(Fetched { failure: Some(failure), .. }), _) => {
            of(ConditionStatus::False, &failure.reason, failure.message.clone())
        }
        (_, None) => of(ConditionStatus::Unknown, reason::PROGRESSING, format!("{url} is being fetched.")),
        // While it is fetched again, what was said of the last time stays true.
        (FetchState::Absent | FetchState::Running, Some(_))
            if condition::find(&status.conditions, FETCHED)
                .is_some_and(|condition| condition.status == ConditionStatus::False) =>
        {
            condition::find(&status.conditions, FETCHED).cloned().unwrap_or_default()
        }
        (_, Some(source)) => {
            let count = status.versions.len();
            let versions = match (count, &status.latest_version) {
                (0, _) | (_, None) => "there is no published version".to_owned(),
                (1, Some(latest)) => format!("there is one published version, {latest}"),
                (_, Some(latest)) => format!("there are {count} published versions, the newest {latest}"),
            };
            let tip = source.head.as_ref().map_or("nothing", |head| head.short());
            let message = format!("Branch {} is at {tip}; {versions}.", object.spec.source.branch);
            of(ConditionStatus::True, reason::FETCHED, message)
        }
    }
}

fn ready_condition(
    object: &Object<Recipe>,
    status: &RecipeStatus,
    observed: &Observed,
    bad_schedule: Option<&String>,
) -> Condition {
    let not = |reason: &str, message: String| Condition::new(READY, ConditionStatus::False, reason, message);
    let Some(source) = &observed.source else {
        let fetched = condition::find(&status.conditions, FETCHED).cloned().unwrap_or_default();
        return Condition::new(READY, fetched.status, &fetched.reason, fetched.message);
    };
    if let FetchState::Ended(Fetched { failure: Some(failure), .. }) = &observed.fetch
        && !failure.is_retryable
    {
        return not(&failure.reason, failure.message.clone());
    }
    if source.head.is_none() {
        return not(reason::BRANCH_NOT_FOUND, branch_not_found(object, source));
    }
    if !source.missing_files.is_empty() {
        let files = source.missing_files.join(" and ");
        let message =
            format!("Branch {} has no {files}: it is no recipe. Check spec.source.", object.spec.source.branch);
        return not(reason::NO_RECIPE, message);
    }
    if let Some(problem) = bad_schedule {
        return not(reason::INVALID_SPEC, crate::runtime::outcome::sentence(problem));
    }
    let mut message = match &status.latest_version {
        Some(latest) => format!("The recipe can be tested; its newest version is {latest}."),
        None => "The recipe can be tested, but only by commit: it has no published version.".to_owned(),
    };
    if let Some(first) = status.ignored_tags.first() {
        let count = status.ignored_tags.len();
        message.push_str(&format!(" {count} tags are ignored, such as {}: see status.ignoredTags.", first.name));
    }
    if observed.runs.iter().any(|run| run.status.phase == Some(Phase::Running)) {
        message.push_str(" A run goes on.");
    }
    Condition::new(READY, ConditionStatus::True, reason::SUCCEEDED, message)
}

fn branch_not_found(object: &Object<Recipe>, source: &Source) -> String {
    let branch = &object.spec.source.branch;
    if source.branches.is_empty() {
        return format!("The repository is empty: push the branch {branch}.");
    }
    let named: Vec<&str> = source.branches.iter().take(BRANCHES_NAMED_MAX).map(|name| name.as_str()).collect();
    format!("There is no branch {branch}: set spec.source.branch to one of {}.", named.join(", "))
}
