//! The results as files: `results.json` for programs, `junit.xml` for continuous integration servers.

use api_types::kinds::test_run::{RungStatus, TestResult, TestRunStatus};
use ports::files::junit::{self, Case, Suite};
use serde_json::{Map, Value, json};

use super::super::ladder;
use super::super::work::Written;
use super::{Job, evidence};
use crate::runtime::blocking::blocking;
use crate::runtime::outcome::Failure;

/// Writes both files and closes the logs.
pub(super) async fn write(job: &Job) -> Result<Written, Failure> {
    let text = serde_json::to_vec_pretty(&document(job)).map_err(|error| Failure::bug(error.to_string()))?;
    evidence::put(job, "results.json", text).await?;
    let name = &job.order.run.metadata.name;
    let xml = junit::document(name, &suites(&job.order.run.status));
    evidence::put(job, "junit.xml", xml.into_bytes()).await?;
    let (files, key) = (job.outside.runs.clone(), job.key.clone());
    let listed = move || {
        files.complete(&key)?;
        Ok::<_, ports::error::Error>((files.artifacts(&key)?, files.logs(&key)?))
    };
    let (artifacts, logs) = blocking(listed).await??;
    let log = |info: ports::files::run_logs::LogInfo| api_types::kinds::test_run::RunLog {
        name: info.stage.to_string(),
        bytes: i64::try_from(info.bytes).unwrap_or(i64::MAX),
        truncated: info.is_truncated,
        complete: info.is_complete,
    };
    Ok(Written {
        artifacts: artifacts.into_iter().map(evidence::artifact).collect(),
        logs: logs.into_iter().map(log).collect(),
    })
}

fn document(job: &Job) -> Value {
    let run = &job.order.run;
    let status = &run.status;
    let word = |rung: &api_types::kinds::test_run::Rung| ladder::word(rung.name).to_owned();
    let skipped = status.rungs.iter().filter(|rung| rung.status == RungStatus::Skip);
    let intentional: Map<String, Value> = skipped.map(|rung| (word(rung), json!(rung.message))).collect();
    let unintentional: Vec<String> =
        status.rungs.iter().filter(|rung| rung.status == RungStatus::Unverified).map(word).collect();
    let is_clean = status.cleanup.as_ref().is_some_and(|cleanup| cleanup.remaining.is_empty());
    let ended = super::super::running::ended_of(status);
    let verdict = ladder::verdict(&run.spec, &status.rungs, ended.as_ref());
    json!({
        "run": run.metadata.name, "namespace": run.metadata.namespace, "recipe": run.spec.recipe_ref,
        "lane": run.spec.lane, "source": run.spec.source, "base": status.base, "baseReason": status.base_reason,
        "head": status.head, "domain": status.domain, "phase": verdict.phase, "reason": verdict.reason,
        "message": verdict.message, "level": status.level, "levelCap": status.level_cap, "rungs": status.rungs,
        "tests": status.tests, "steps": status.steps, "skips": {"intentional": intentional, "unintentional": unintentional},
        "flags": {"cleanTeardown": is_clean}, "cleanup": status.cleanup, "startedAt": status.started_at,
    })
}

fn suites(status: &TestRunStatus) -> Vec<Suite> {
    let suite = |rung: &api_types::kinds::test_run::Rung| {
        let mut cases: Vec<Case> = status.tests.iter().filter(|test| test.stage == rung.name).map(case).collect();
        if cases.is_empty() {
            cases.push(Case {
                name: ladder::word(rung.name).to_owned(),
                milliseconds: 0,
                outcome: outcome(rung.status, rung.message.as_deref()),
            });
        }
        let started_at = rung.started_at.as_deref().and_then(|text| text.parse().ok());
        Suite { name: ladder::word(rung.name).to_owned(), started_at, cases }
    };
    status.rungs.iter().map(suite).collect()
}

fn case(test: &TestResult) -> Case {
    Case {
        name: test.name.clone(),
        milliseconds: u64::try_from(test.duration_milliseconds.unwrap_or(0)).unwrap_or(0),
        outcome: outcome(test.status, test.message.as_deref()),
    }
}

fn outcome(status: RungStatus, message: Option<&str>) -> junit::Outcome {
    let message = message.unwrap_or_default().to_owned();
    match status {
        RungStatus::Pass => junit::Outcome::Pass,
        RungStatus::Fail => junit::Outcome::Fail(message),
        RungStatus::Skip => junit::Outcome::Skip(message),
        RungStatus::Unverified => junit::Outcome::Error(message),
    }
}
