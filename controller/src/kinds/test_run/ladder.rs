//! From rungs to a level, a cap in plain words, and a verdict. Pure.
//!
//! The level is the highest rung that passed below which there is only Pass or declared Skip. What has no result is
//! `Unverified`, which blocks like a failure: a level can understate, never overstate.

#[cfg(test)]
mod tests;

use api_types::kinds::recipe::RecipeSpec;
use api_types::kinds::test_run::{Lane, Phase, Rung, RungName, RungStatus, TestRunSpec, TestRunStatus};
use api_types::reason;

use super::blame::{Blame, blame_of};

/// The rungs from the lowest, which is level 1, to the highest, which is level 5.
pub const ORDER: [RungName; 5] =
    [RungName::Install, RungName::Upgrade, RungName::BackupRestore, RungName::Functional, RungName::Lint];

/// How a finished run is summed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The last phase.
    pub phase: Phase,
    /// Reason of the condition `Succeeded`.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// Returns the word that people use for a rung.
#[must_use]
pub fn word(rung: RungName) -> &'static str {
    match rung {
        RungName::Install => "install",
        RungName::Upgrade => "upgrade",
        RungName::BackupRestore => "backup-restore",
        RungName::Functional => "functional",
        RungName::Lint => "lint",
    }
}

/// Returns whether a run was started with this rung.
#[must_use]
pub fn is_selected(spec: &TestRunSpec, rung: RungName) -> bool {
    let listed = spec.stages.is_empty() || spec.stages.contains(&rung);
    let in_lane = spec.lane == Lane::Cold || !matches!(rung, RungName::BackupRestore | RungName::Lint);
    listed && in_lane
}

/// Returns the rungs of a run that has not begun: what is left out or declared says so, the rest is not reached yet.
#[must_use]
pub fn initial(spec: &TestRunSpec, recipe: &RecipeSpec) -> Vec<Rung> {
    let rung = |name: RungName| {
        if !is_selected(spec, name) {
            let message = if spec.lane == Lane::Quick && !matches!(name, RungName::Install) {
                "The quick lane leaves it out; run the cold lane for it."
            } else {
                "The run was started without it (spec.stages)."
            };
            return result(name, RungStatus::Unverified, reason::NOT_SELECTED, message);
        }
        match recipe.expected_skips.get(&name) {
            Some(why) => result(name, RungStatus::Skip, reason::EXPECTED_SKIP, &format!("Declared: {why}")),
            None => result(name, RungStatus::Unverified, reason::NOT_REACHED, "It has not been reached yet."),
        }
    };
    ORDER.map(rung).to_vec()
}

fn result(name: RungName, status: RungStatus, reason: &str, message: &str) -> Rung {
    Rung {
        name,
        status,
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        started_at: None,
        finished_at: None,
    }
}

/// Returns the level that rungs have earned, 0 to 5. A rung that is missing is Unverified.
#[must_use]
pub fn level(rungs: &[Rung]) -> u8 {
    let mut level = 0;
    for (number, name) in (1..).zip(ORDER) {
        match status(rungs, name) {
            RungStatus::Pass => level = number,
            RungStatus::Skip => {}
            RungStatus::Fail | RungStatus::Unverified => break,
        }
    }
    level
}

/// Returns why the level is not higher, in plain words; `None` at level 5.
#[must_use]
pub fn cap(rungs: &[Rung]) -> Option<String> {
    if level(rungs) == 5 {
        return None;
    }
    let name = ORDER.into_iter().find(|name| matches!(status(rungs, *name), RungStatus::Fail | RungStatus::Unverified));
    let Some(name) = name else {
        let skipped = ORDER.into_iter().rev().take_while(|name| status(rungs, *name) == RungStatus::Skip);
        let words: Vec<&str> = skipped.map(word).collect();
        return Some(format!("Nothing above was checked: {} is declared not to apply.", words.join(" and ")));
    };
    let verb = if status(rungs, name) == RungStatus::Fail { "failed" } else { "was not verified" };
    let found = rungs.iter().find(|rung| rung.name == name);
    let why = found.and_then(|rung| rung.message.clone()).unwrap_or_else(|| "It has no result.".to_owned());
    Some(shortened(&format!("{} {verb}: {why}", capitalised(word(name))), 1024))
}

/// Sums up a run whose rungs have their last results. `ended` is why it was ended early by something other than a
/// rung, with that reason and message.
#[must_use]
pub fn verdict(spec: &TestRunSpec, rungs: &[Rung], ended: Option<&Ended>) -> Verdict {
    if let Some(Ended { phase, reason, message }) = ended {
        return Verdict { phase: *phase, reason: reason.clone(), message: message.clone() };
    }
    let wanted = || ORDER.into_iter().filter(|name| is_selected(spec, *name));
    if let Some(name) = wanted().find(|name| status(rungs, *name) == RungStatus::Fail) {
        let message = sentence_about(rungs, name, "failed");
        return Verdict { phase: Phase::Failed, reason: reason::RUNG_FAILED.to_owned(), message };
    }
    let Some(name) = wanted().find(|name| status(rungs, *name) == RungStatus::Unverified) else {
        let level = level(rungs);
        let message = format!("Every rung that was wanted passed or is declared not to apply: level {level} of 5.");
        return Verdict { phase: Phase::Succeeded, reason: reason::ALL_PASSED.to_owned(), message };
    };
    let reason_of =
        |name: RungName| rungs.iter().find(|rung| rung.name == name).and_then(|rung| rung.reason.as_deref());
    // Our own trouble outranks what the recipe has not got: with it, nothing is known about the recipe.
    let ours = wanted().find(|name| {
        status(rungs, *name) == RungStatus::Unverified
            && reason_of(*name).is_some_and(|reason| blame_of(reason) == Blame::Ours)
    });
    match ours {
        Some(name) => Verdict {
            phase: Phase::Error,
            reason: reason_of(name).unwrap_or(reason::RUNG_UNVERIFIED).to_owned(),
            message: sentence_about(rungs, name, "was not verified"),
        },
        None => Verdict {
            phase: Phase::Failed,
            reason: reason::RUNG_UNVERIFIED.to_owned(),
            message: sentence_about(rungs, name, "was not verified"),
        },
    }
}

/// Why a run was ended before its last rung by something other than a rung.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The phase it ends in.
    pub phase: Phase,
    /// For programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// Returns whether a finished run may count as the recipe's last green one: a whole cold run, outside a pull request,
/// of everything, that left nothing behind.
#[must_use]
pub fn counts_as_green(spec: &TestRunSpec, status: &TestRunStatus) -> bool {
    let is_clean = status.cleanup.as_ref().is_some_and(|cleanup| cleanup.remaining.is_empty());
    spec.lane == Lane::Cold
        && spec.source.pull_request.is_none()
        && ORDER.into_iter().all(|rung| is_selected(spec, rung))
        && status.phase == Some(Phase::Succeeded)
        && is_clean
}

fn status(rungs: &[Rung], name: RungName) -> RungStatus {
    rungs.iter().find(|rung| rung.name == name).map_or(RungStatus::Unverified, |rung| rung.status)
}

fn sentence_about(rungs: &[Rung], name: RungName, verb: &str) -> String {
    let found = rungs.iter().find(|rung| rung.name == name);
    let why = found.and_then(|rung| rung.message.as_deref()).unwrap_or("It has no result.");
    format!("{} {verb}: {why}", capitalised(word(name)))
}

fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Cuts a text down to so many bytes at most, at a character's end.
pub(super) fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8()));
    format!("{}…", &text[..end])
}
