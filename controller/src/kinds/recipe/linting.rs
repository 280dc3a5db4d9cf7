//! What our linter says of the tip of a recipe's branch.

use std::collections::BTreeMap;

use api_types::condition::{Condition, ConditionStatus};
use api_types::reason;
use ports::compose::{LoadError, LoadInput, load};
use ports::error::Error;
use ports::git::{Git, RefName, RemoteUrl, Revision};
use ports::recipe::app::{AppEnvironment, compose_files};
use ports::recipe::env::EnvFile;
use ports::recipe::lint::{LintInput, Report, Tag, lint};
use serde_json::{Value, json};

use crate::commit_files::CommitFiles;

/// Whether the linter finds no errors.
pub(super) const LINTED: &str = "Linted";
/// Findings that a message names.
const FINDINGS_MAX: usize = 5;

/// Lints the tip of a branch; `None` when there is no such branch.
pub(super) async fn look(
    git: &dyn Git,
    url: &RemoteUrl,
    branch: &RefName,
    recipe: &str,
) -> Result<Option<Value>, Error> {
    let Some(head) = git.resolve(url, &Revision::Branch(branch.clone())).await? else { return Ok(None) };
    let files = CommitFiles::read(git, url, &head).await?;
    let tags = git.tags(url).await?;
    let tags: Vec<Tag> =
        tags.iter().map(|tag| Tag { name: tag.name.to_string(), is_annotated: tag.is_annotated }).collect();
    Ok(Some(summary(&report(&files, recipe, &tags))))
}

fn report(files: &CommitFiles, recipe: &str, tags: &[Tag]) -> Report {
    let text = |name: &str| files.content.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let sample = EnvFile::parse(".env.sample", &text(".env.sample").unwrap_or_default());
    let loaded = sample.map_err(|findings| LoadError { findings }).and_then(|sample| {
        let abra_sh = text("abra.sh").unwrap_or_default();
        let domain = format!("{recipe}.example.com");
        let environment = AppEnvironment {
            recipe,
            version: "",
            domain: &domain,
            sample: sample.values(),
            env: BTreeMap::new(),
            abra_sh: &abra_sh,
        };
        let variables = environment.variables();
        // A name that leads out is what loading complains about, too.
        let names = compose_files(&variables).unwrap_or_else(|name| vec![name]);
        let input = LoadInput {
            stack: environment.stack(),
            files: names.clone(),
            env: variables,
            directory: "/".to_owned(),
            changes: BTreeMap::new(),
        };
        load(&input, files).map(|stack| (stack, names))
    });
    let (stack, names) = match &loaded {
        Ok((stack, names)) => (Ok(stack), names.as_slice()),
        Err(error) => (Err(error), [].as_slice()),
    };
    lint(&LintInput { files, stack, compose_files: names, tags: Some(tags) })
}

/// Returns what is kept of a report.
fn summary(report: &Report) -> Value {
    let said: Vec<String> = report
        .findings
        .iter()
        .map(|finding| format!("{} {finding}", finding.rule))
        .chain(report.unverified.iter().map(|(rule, why)| format!("{rule} was not looked at: {why}")))
        .collect();
    let shown = said.iter().take(FINDINGS_MAX).map(String::as_str).collect::<Vec<_>>().join("; ");
    json!({"isClean": report.is_clean(), "count": said.len(), "shown": shown})
}

/// Returns the condition that a summary becomes.
pub(super) fn condition(summary: &Value) -> Condition {
    let (count, shown) = (summary["count"].as_u64().unwrap_or(0), summary["shown"].as_str().unwrap_or_default());
    let more = count.saturating_sub(FINDINGS_MAX as u64);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    match (summary["isClean"].as_bool().unwrap_or(false), count) {
        (true, 0) => Condition::new(LINTED, ConditionStatus::True, reason::CHECKS_PASSED, "The linter finds nothing."),
        (true, _) => {
            let message = format!("The linter finds no errors, but {count} things to better: {shown}{more}.");
            Condition::new(LINTED, ConditionStatus::True, reason::CHECKS_PASSED, message)
        }
        (false, _) => {
            let message = format!("The linter finds errors: {shown}{more}.");
            Condition::new(LINTED, ConditionStatus::False, reason::LINT_FAILED, message)
        }
    }
}
