//! The end of a run: every rung gets its last words, then level, phase and summary follow. Pure.

use api_types::condition::{ConditionStatus, ConditionType};
use api_types::kinds::test_run::{Phase, RungStatus, TestRunSpec, TestRunStatus};
use api_types::reason;
use jiff::Timestamp;

use super::decide::say;
use super::ladder::{self, Ended};
use crate::runtime::events::seconds;

/// Returns whether a rung still waits for its result.
#[must_use]
pub fn is_open(status: &TestRunStatus, name: api_types::kinds::test_run::RungName) -> bool {
    status.rungs.iter().any(|rung| {
        rung.name == name
            && rung.status == RungStatus::Unverified
            && matches!(rung.reason.as_deref(), Some(reason::NOT_REACHED | reason::PROGRESSING))
    })
}

/// Gives rungs without a result the reason why there will be none, and sets level, cap and `Tested`.
pub fn conclude(spec: &TestRunSpec, status: &mut TestRunStatus, ended: Option<&Ended>) {
    let first_failure = status
        .rungs
        .iter()
        .find(|rung| ladder::is_selected(spec, rung.name) && is_trouble(rung.status, rung.reason.as_deref()))
        .map(|rung| {
            format!("the {} rung ended with {}", ladder::word(rung.name), rung.reason.as_deref().unwrap_or("no reason"))
        });
    let open: Vec<_> = ladder::ORDER.into_iter().filter(|name| is_open(status, *name)).collect();
    for rung in status.rungs.iter_mut().filter(|rung| open.contains(&rung.name)) {
        let was_running = rung.reason.as_deref() == Some(reason::PROGRESSING);
        let (reason, message) = match ended {
            Some(ended) if was_running => (ended.reason.clone(), ended.message.clone()),
            Some(ended) => (reason::NOT_REACHED.to_owned(), format!("The run ended before it: {}", ended.message)),
            None => {
                let why = first_failure.clone().unwrap_or_else(|| "nothing could be checked".to_owned());
                (reason::NOT_REACHED.to_owned(), format!("It was not reached, because {why}."))
            }
        };
        rung.reason = Some(reason);
        rung.message = Some(ladder::shortened(&message, 4096));
    }
    status.level = Some(ladder::level(&status.rungs));
    status.level_cap = ladder::cap(&status.rungs);
    let level = status.level.unwrap_or_default();
    let (word, reason, message) = match ended {
        None => (ConditionStatus::True, reason::SUCCEEDED, format!("Every rung has a result: level {level} of 5.")),
        Some(ended) => {
            (ConditionStatus::False, reason::NOT_REACHED, format!("The run was ended early. {}", ended.message))
        }
    };
    say(status, ConditionType::Tested, word, reason, &message);
}

fn is_trouble(status: RungStatus, reason: Option<&str>) -> bool {
    match status {
        RungStatus::Fail => true,
        RungStatus::Unverified => {
            !matches!(reason, Some(reason::NOT_REACHED | reason::PROGRESSING | reason::NOT_SELECTED))
        }
        RungStatus::Pass | RungStatus::Skip => false,
    }
}

/// Ends a run whose rungs are concluded and which has been cleaned up.
pub fn finish(spec: &TestRunSpec, status: &mut TestRunStatus, ended: Option<&Ended>, now: Timestamp) {
    let verdict = ladder::verdict(spec, &status.rungs, ended);
    let word = if verdict.phase == Phase::Succeeded { ConditionStatus::True } else { ConditionStatus::False };
    status.phase = Some(verdict.phase);
    status.finished_at = Some(seconds(now));
    status.held_until = None;
    say(status, ConditionType::Succeeded, word, &verdict.reason, &verdict.message);
}
