//! What `abra recipe lint` says of the head, where abra is installed: the linter that maintainers use themselves.
//!
//! It reads files of the recipe on this machine, so it is given what maintainers wrote, and nothing of strangers.

use api_types::kinds::test_run::{RungName, RungStatus, TestResult};
use ports::abra::{AbraApp, LintRule};
use ports::error::{ErrorKind, chain};
use ports::files::Area;
use ports::git::{CommitId, RemoteUrl};

use super::Job;
use crate::kinds::app::prepare::recipe_name;
use crate::runtime::outcome::{Failure, sentence};
use crate::trust::Tier;

/// Abra lints without an engine, but is told of one.
const NO_ENGINE: &str = "unix:///dev/null";

/// Lets abra lint the head; no results where there is no abra that can.
pub(super) async fn look(job: &Job, url: &RemoteUrl) -> Result<Vec<TestResult>, Failure> {
    let Some(abra) = &job.outside.abra else { return Ok(Vec::new()) };
    if job.order.tier != Tier::Trusted {
        job.say("abra recipe lint: left out, because a stranger wrote this").await;
        return Ok(Vec::new());
    }
    let head = job.order.run.status.head.as_ref().and_then(|head| head.commit.clone()).unwrap_or_default();
    let folder = job.outside.files.path(Area::Trees, &job.abra_folder()?);
    let app = AbraApp::new(folder, &job.domain, &recipe_name(url.as_str()), NO_ENGINE)?;
    let linted = match abra.prepare(&app, "").await {
        Ok(()) => {
            job.outside.git.checkout(url, &CommitId::new(head)?, &app.recipe_folder()).await?;
            abra.lint(&app).await
        }
        Err(error) => Err(error),
    };
    match linted {
        Ok(rules) => {
            for rule in rules.iter().filter(|rule| !rule.is_satisfied) {
                job.say(format!("abra {} {}: {} ({})", rule.severity, rule.reference, rule.rule, rule.advice)).await;
            }
            Ok(results(&rules))
        }
        Err(error) if error.reason == "RecipeInvalid" => {
            job.say(format!("abra recipe lint: {}", chain(&error))).await;
            Ok(vec![result("rules", RungStatus::Fail, job.clean(&sentence(&chain(&error))))])
        }
        // An abra that is too old, or that writes what we cannot read, says nothing about the recipe.
        Err(error) if error.kind == ErrorKind::Terminal => {
            job.say(format!("abra recipe lint does not work here: {}", chain(&error))).await;
            Ok(Vec::new())
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns a result for each rule that is broken, and one for all the others.
pub(super) fn results(rules: &[LintRule]) -> Vec<TestResult> {
    let broken = || rules.iter().filter(|rule| !rule.is_satisfied);
    let is_error = |rule: &LintRule| rule.severity.eq_ignore_ascii_case("error");
    let warnings = broken().filter(|rule| !is_error(rule)).count();
    let message =
        format!("{} of {} rules are kept, {warnings} are warnings", rules.len() - broken().count(), rules.len());
    let each = broken().map(|rule| {
        let text = format!("{}: {}", rule.rule, rule.advice);
        if is_error(rule) {
            result(&rule.reference, RungStatus::Fail, text)
        } else {
            result(&rule.reference, RungStatus::Pass, format!("warning: {text}"))
        }
    });
    std::iter::once(result("rules", RungStatus::Pass, message)).chain(each).collect()
}

fn result(name: &str, status: RungStatus, message: String) -> TestResult {
    TestResult {
        stage: RungName::Lint,
        name: format!("abra/{name}"),
        status,
        message: Some(message),
        ..TestResult::default()
    }
}
