//! What people can open and type about a run: its log, and the same run once more. Pure.

use api_types::kind::Object;
use api_types::kinds::test_run::{Lane, Phase, TestRun};

use super::text::code;
use crate::kinds::test_run::ladder;

/// Characters of a command that are shown; names are at most 253, and a run has three of them at most.
const COMMAND_CHARACTERS_MAX: usize = 1200;
/// How long what failed is kept for a look when the run is reproduced.
const HOLD: &str = "30m";

/// Returns where the log is, for a run that has one.
#[must_use]
pub fn log(run: &Object<TestRun>, page: Option<&str>) -> Option<String> {
    run.status.started_at.as_ref()?;
    let link = page.map(|page| format!("[page]({page}/log) · ")).unwrap_or_default();
    let command = format!("ccctl logs testrun/{} -n {}", run.metadata.name, run.metadata.namespace);
    Some(format!("Log: {link}{}", code(&command, COMMAND_CHARACTERS_MAX)))
}

/// Returns how to reproduce a run that has ended; `None` before.
#[must_use]
pub fn reproduction(run: &Object<TestRun>) -> Option<String> {
    let phase = run.status.phase.filter(|phase| phase.is_finished())?;
    Some(format!("Reproduce: {}", code(&again(run, phase)?, COMMAND_CHARACTERS_MAX)))
}

/// Returns the command that tests the same once more: the same commit, lane, rungs and base. What fails then is kept for a
/// look. People copy commands without reading them: there is none where a word is more than a shell's plain word, which
/// the grammars of names, references and versions do not allow.
fn again(run: &Object<TestRun>, phase: Phase) -> Option<String> {
    let (spec, source) = (&run.spec, &run.spec.source);
    let number = source.pull_request.as_ref().map(|of| of.number.to_string());
    let stages: Vec<&str> = spec.stages.iter().map(|name| ladder::word(*name)).collect();
    let stages = (!stages.is_empty()).then(|| stages.join(","));
    let options = [
        ("--commit=", source.commit.as_deref()),
        ("--ref=", source.reference.as_deref()),
        ("--version=", source.version.as_deref()),
        ("--pr=", number.as_deref()),
        ("--fork", source.pull_request.as_ref().filter(|of| of.fork).map(|_| "")),
        ("--lane=", (spec.lane == Lane::Quick).then_some("quick")),
        ("--stages=", stages.as_deref()),
        ("--base-version=", spec.base_version.as_deref()),
        ("--hold-on-failure=", (phase != Phase::Succeeded).then_some(HOLD)),
    ];
    let mut command = format!("ccctl run {} -n {}", spec.recipe_ref, run.metadata.namespace);
    for (name, value) in options {
        command.extend(value.map(|value| format!(" {name}{value}")));
    }
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || " -_.,+:/@=".contains(letter);
    command.chars().all(is_plain).then_some(command)
}
