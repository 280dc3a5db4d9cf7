//! What is told on a forge: one comment under a pull request, and one status on a commit. Pure.
//!
//! Whatever did not come from here stands in code spans: there it can neither format, nor link, nor mention anybody.
//! Nothing here decides anything: the verdict is the run's.

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::test_run::{Lane, Phase, Rung, RungName, RungStatus, TestRun, TestRunStatus};
use api_types::reason;
use ports::forge::{CommitStatus, DESCRIPTION_CHARACTERS_MAX, StatusState};
use ports::redact::Redactor;

use super::redacted::redacted;
use super::subject::Subject;
use super::text::{bounded, code, one_line, short, span};
use super::{commands, since};
use crate::kinds::test_run::ladder;

/// Characters of a message that are shown.
const MESSAGE_CHARACTERS_MAX: usize = 600;
/// Failed tests that are listed.
const TESTS_MAX: usize = 10;
/// Earlier runs that are listed.
const EARLIER_MAX: usize = 10;
/// Leftovers that are listed.
const LEFTOVERS_MAX: usize = 10;

/// Returns the hidden mark by which the comment of a recipe is found again.
#[must_use]
pub fn marker(namespace: &str, recipe: &str) -> String {
    format!("<!-- cc-ci:report {namespace}/{recipe} -->")
}

/// Returns the name of the commit status of a run. Only runs that can speak for the recipe have the plain one, so that
/// nothing less can make it green.
#[must_use]
pub fn context(run: &Object<TestRun>) -> String {
    let recipe = &run.spec.recipe_ref;
    match run.spec.lane {
        Lane::Quick => format!("cc-ci/{recipe}/quick"),
        Lane::Cold if !run.spec.stages.is_empty() => format!("cc-ci/{recipe}/partial"),
        Lane::Cold => format!("cc-ci/{recipe}"),
    }
}

/// Returns the address of a run's web page.
#[must_use]
pub fn page(run: &Object<TestRun>, public_url: &str) -> String {
    format!("{public_url}/runs/{}/{}", run.metadata.namespace, run.metadata.name)
}

/// Returns the commit status of a run. `of` is what started it, when other things with the same commit share the status.
#[must_use]
pub fn status(run: &Object<TestRun>, of: Option<&str>, redactor: &Redactor, page: Option<&str>) -> CommitStatus {
    let run = &redacted(run, redactor);
    let level = run.status.level.unwrap_or_default();
    // Where there is no pull request, nobody can comment.
    let hint = |word: &str| match &run.spec.source.pull_request {
        Some(_) => format!(". Comment {word}"),
        None => String::new(),
    };
    let (state, description) = match run.status.phase.unwrap_or_default() {
        Phase::Succeeded => (StatusState::Success, format!("Level {level} of 5.{}", cap(run))),
        Phase::Failed => (StatusState::Failure, format!("Level {level} of 5: {}{}", first_problem(run), hint("!why"))),
        Phase::Error => (StatusState::Error, format!("Not judged: {}{}", summary(run), hint("!rerun"))),
        Phase::Cancelled => (StatusState::Error, format!("Cancelled{}", hint("!rerun"))),
        Phase::Running => (StatusState::Pending, format!("Running{}", at_work(run))),
        Phase::Queued => (StatusState::Pending, "Waiting for its turn".to_owned()),
        Phase::Pending if awaits_approval(run) => {
            (StatusState::Pending, "Waiting for an approval of this commit. A maintainer comments !ok".to_owned())
        }
        Phase::Pending => (StatusState::Pending, "Being looked at".to_owned()),
    };
    let of = of.map(|words| format!("{words}: ")).unwrap_or_default();
    let description = one_line(&redactor.text(&format!("{of}{description}")));
    CommitStatus {
        context: context(run),
        state: state.word().to_owned(),
        description: description.chars().take(DESCRIPTION_CHARACTERS_MAX).collect(),
        target_url: page.unwrap_or_default().to_owned(),
    }
}

/// What a comment says beside the run that it is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The runs of the same thread before it, newest first.
    pub earlier: &'a [Object<TestRun>],
    /// The last green run of the recipe before it.
    pub green: Option<&'a Object<TestRun>>,
    /// A newer run of the same commit and what it is about, another pull request or a tag: the commit status tells that
    /// one instead.
    pub elsewhere: Option<(&'a Object<TestRun>, &'a Subject)>,
    /// The address of the run's web page, where there is one.
    pub page: Option<&'a str>,
}

/// Returns the comment about a run.
#[must_use]
pub fn comment(run: &Object<TestRun>, around: &Around<'_>, redactor: &Redactor) -> String {
    let run = &redacted(run, redactor);
    let mut text = format!("{}\n", marker(&run.metadata.namespace, &run.spec.recipe_ref));
    text.push_str(&headline(run, around.page));
    text.push_str("\n\n");
    text.push_str(&rungs(&run.status));
    text.push_str("\n\n");
    let paragraphs = [
        state(run),
        problems(run),
        around.green.and_then(|green| since::paragraph(run, &redacted(green, redactor))),
        teardown(run),
        around.elsewhere.map(|(other, of)| told_instead(other, of)),
        commands::log(run, around.page),
        commands::reproduction(run),
        next(run),
    ];
    for paragraph in paragraphs.into_iter().flatten() {
        text.push_str(&paragraph);
        text.push_str("\n\n");
    }
    text.push_str(&history(around.earlier));
    let text = redactor.text(&text);
    bounded(text.trim_end())
}

fn headline(run: &Object<TestRun>, page: Option<&str>) -> String {
    let flower = match run.status.phase.unwrap_or_default() {
        Phase::Succeeded => "🌻",
        Phase::Failed => "🥀",
        Phase::Error | Phase::Cancelled => "🍂",
        Phase::Running | Phase::Queued | Phase::Pending => "🌱",
    };
    let outcome = match (run.status.phase.unwrap_or_default(), run.status.level) {
        (Phase::Succeeded | Phase::Failed, Some(level)) => format!("level {level} of 5"),
        (phase, _) => word(phase, run).to_owned(),
    };
    let lane = match (run.spec.lane, run.spec.stages.is_empty()) {
        (Lane::Quick, _) => "quick: a hint, no proof",
        (Lane::Cold, false) => "only some rungs: no proof",
        (Lane::Cold, true) => "cold",
    };
    let mut parts = vec![format!("{flower} **{}**", run.spec.recipe_ref), outcome];
    parts.push(format!("PR head {}", code(short(head(run)), 16)));
    parts.push(lane.to_owned());
    parts.extend(span(run.status.started_at.as_deref(), run.status.finished_at.as_deref()));
    let mut line = parts.join(" · ");
    match page {
        Some(page) => line.push_str(&format!(" — [run]({page})")),
        None => line.push_str(&format!(" — run {}", code(&run.metadata.name, 253))),
    }
    line
}

/// Says that the commit status is about a run of something else.
fn told_instead(other: &Object<TestRun>, of: &Subject) -> String {
    let what = match of.thread {
        Some(number) => format!("Pull request {number} has the same head commit"),
        None => format!("The same commit was tested because of {}", code(&of.words, 128)),
    };
    let name = code(&other.metadata.name, 253);
    format!("{what}, and forges keep one status for a commit: it tells the newer run {name}.")
}

fn word(phase: Phase, run: &Object<TestRun>) -> &'static str {
    match phase {
        Phase::Pending if awaits_approval(run) => "waits for an approval",
        Phase::Pending => "is being looked at",
        Phase::Queued => "waits for its turn",
        Phase::Running if run.status.held_until.is_some() => "is held for a look",
        Phase::Running => "runs",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
        Phase::Error => "could not be judged",
        Phase::Cancelled => "was cancelled",
    }
}

fn rungs(status: &TestRunStatus) -> String {
    let words = ladder::ORDER.into_iter().map(|name| {
        let rung = status.rungs.iter().find(|rung| rung.name == name);
        let sign = match rung.map(|rung| (rung.status, rung.reason.as_deref())) {
            Some((RungStatus::Pass, _)) => "✔",
            Some((RungStatus::Fail, _)) => "✘",
            Some((RungStatus::Skip, _)) => "skipped",
            Some((_, Some(reason::PROGRESSING))) => "…",
            _ => "–",
        };
        let time = rung.and_then(|rung| span(rung.started_at.as_deref(), rung.finished_at.as_deref()));
        let time = time.map(|time| format!(" {time}")).unwrap_or_default();
        let from = match (name, status.upgrades.len()) {
            (RungName::Upgrade, 2..) => format!(" (from {} versions)", status.upgrades.len()),
            _ => String::new(),
        };
        format!("{} {sign}{from}{time}", ladder::word(name))
    });
    words.collect::<Vec<_>>().join(" · ")
}

/// What an unfinished run waits for.
fn state(run: &Object<TestRun>) -> Option<String> {
    let phase = run.status.phase.unwrap_or_default();
    if phase.is_finished() {
        return None;
    }
    if awaits_approval(run) {
        let commit = short(head(run));
        return Some(format!(
            "It comes from a fork: a maintainer looks at the commit and comments `!ok` (or `!ok {commit}`)."
        ));
    }
    if let Some(queue) = &run.status.queue {
        return Some(format!("Place {} in the queue: {}", queue.position, code(&queue.reason, MESSAGE_CHARACTERS_MAX)));
    }
    let held = run.status.held_until.as_deref()?;
    let domain = run.status.domain.as_deref().unwrap_or_default();
    Some(format!("Held until {} at {}; `!cancel` ends it.", code(held, 64), code(domain, 253)))
}

fn problems(run: &Object<TestRun>) -> Option<String> {
    let mut lines = Vec::new();
    for rung in run.status.rungs.iter().filter(|rung| is_problem(run, rung)) {
        let (sign, message) = match rung.status {
            RungStatus::Fail => ("✘", rung.message.as_deref()),
            _ => ("–", rung.message.as_deref()),
        };
        let reason = rung.reason.as_deref().unwrap_or_default();
        let message = message.map(|text| format!(" {}", code(text, MESSAGE_CHARACTERS_MAX))).unwrap_or_default();
        lines.push(format!("- {sign} **{}** {}{message}", ladder::word(rung.name), code(reason, 128)));
    }
    let failed: Vec<_> = run.status.tests.iter().filter(|test| test.status == RungStatus::Fail).collect();
    for test in failed.iter().take(TESTS_MAX) {
        let message = test.message.as_deref().unwrap_or_default();
        lines.push(format!("- ✘ test {} {}", code(&test.name, 128), code(message, MESSAGE_CHARACTERS_MAX)));
    }
    if failed.len() > TESTS_MAX {
        lines.push(format!("- and {} more tests", failed.len() - TESTS_MAX));
    }
    if run.status.phase == Some(Phase::Error) {
        lines.push(format!("- {}", code(&summary(run), MESSAGE_CHARACTERS_MAX)));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn is_problem(run: &Object<TestRun>, rung: &Rung) -> bool {
    let is_over = run.status.phase.is_some_and(Phase::is_finished);
    match rung.status {
        RungStatus::Fail => true,
        // What was never reached is explained by what came before it.
        RungStatus::Unverified => {
            is_over && !matches!(rung.reason.as_deref(), Some(reason::NOT_REACHED | reason::NOT_SELECTED))
        }
        RungStatus::Pass | RungStatus::Skip => false,
    }
}

fn teardown(run: &Object<TestRun>) -> Option<String> {
    let cleanup = run.status.cleanup.as_ref()?;
    if cleanup.remaining.is_empty() {
        let objects = if cleanup.removed.len() == 1 { "object" } else { "objects" };
        return Some(format!("Teardown: clean ({} {objects} removed, 0 left).", cleanup.removed.len()));
    }
    let named: Vec<String> = cleanup.remaining.iter().take(LEFTOVERS_MAX).map(|name| code(name, 128)).collect();
    let are_left = match cleanup.remaining.len() {
        1 => "1 object is left".to_owned(),
        count => format!("{count} objects are left"),
    };
    Some(format!("Teardown: {are_left}: {}.", named.join(", ")))
}

fn next(run: &Object<TestRun>) -> Option<String> {
    let phase = run.status.phase.unwrap_or_default();
    let words: &[&str] = match phase {
        Phase::Failed => &["`!rerun failed`", "`!why`", "`!help`"],
        Phase::Error | Phase::Cancelled => &["`!rerun`", "`!why`", "`!help`"],
        Phase::Succeeded => &["`!testme`", "`!help`"],
        _ => &["`!cancel`", "`!status`", "`!help`"],
    };
    Some(format!("Next: {}", words.join(" · ")))
}

fn history(earlier: &[Object<TestRun>]) -> String {
    if earlier.is_empty() {
        return String::new();
    }
    let mut lines = vec![format!("<details><summary>Earlier runs ({})</summary>\n", earlier.len())];
    for run in earlier.iter().take(EARLIER_MAX) {
        let phase = run.status.phase.unwrap_or_default();
        let level = run.status.level.map(|level| format!(" · level {level}")).unwrap_or_default();
        let commit = code(short(head(run)), 16);
        lines.push(format!("- {} · {commit} · {}{level}", code(&run.metadata.name, 253), word(phase, run)));
    }
    lines.push("\n</details>".to_owned());
    lines.join("\n")
}

fn head(run: &Object<TestRun>) -> &str {
    run.spec.source.pull_request.as_ref().map(|pull_request| pull_request.head_sha.as_str()).unwrap_or_default()
}

/// Returns whether a run waits for an approval.
#[must_use]
pub fn awaits_approval(run: &Object<TestRun>) -> bool {
    condition::find(&run.status.conditions, ConditionType::Approved.word()).is_some_and(|approved| {
        approved.status == ConditionStatus::False
            && matches!(approved.reason.as_str(), reason::AWAITING_APPROVAL | reason::APPROVAL_VOID)
    })
}

fn summary(run: &Object<TestRun>) -> String {
    let found = condition::find(&run.status.conditions, ConditionType::Succeeded.word());
    found.map(|found| found.message.trim_end_matches('.').to_owned()).unwrap_or_default()
}

fn cap(run: &Object<TestRun>) -> String {
    run.status.level_cap.as_deref().map(|cap| format!(" {cap}")).unwrap_or_default()
}

fn first_problem(run: &Object<TestRun>) -> String {
    match run.status.rungs.iter().find(|rung| rung.status == RungStatus::Fail) {
        Some(rung) => {
            format!("{} failed ({})", ladder::word(rung.name), rung.reason.as_deref().unwrap_or("no reason"))
        }
        None => summary(run),
    }
}

fn at_work(run: &Object<TestRun>) -> String {
    let found = run.status.rungs.iter().find(|rung| rung.reason.as_deref() == Some(reason::PROGRESSING));
    found.map(|rung| format!(": {}", ladder::word(rung.name))).unwrap_or_default()
}

/// Returns the answer to `!status`: one line for each run.
#[must_use]
pub fn status_lines(runs: &[Object<TestRun>]) -> String {
    if runs.is_empty() {
        return "There are no runs of this pull request. `!testme` starts one.".to_owned();
    }
    let line = |run: &Object<TestRun>| {
        let level = run.status.level.map(|level| format!(" · level {level} of 5")).unwrap_or_default();
        let queue = run.status.queue.as_ref().map(|queue| format!(" · place {}", queue.position)).unwrap_or_default();
        let word = word(run.status.phase.unwrap_or_default(), run);
        format!("- {} · {} · {word}{queue}{level}", code(&run.metadata.name, 253), code(short(head(run)), 16))
    };
    runs.iter().take(EARLIER_MAX).map(line).collect::<Vec<_>>().join("\n")
}

/// Returns the answer to `!why`: what the last run says of itself.
#[must_use]
pub fn why(run: &Object<TestRun>) -> String {
    let mut text = headline(run, None);
    for paragraph in [state(run), problems(run), teardown(run)].into_iter().flatten() {
        text.push_str("\n\n");
        text.push_str(&paragraph);
    }
    let summary = summary(run);
    if !summary.is_empty() {
        text.push_str(&format!("\n\n{}", code(&summary, MESSAGE_CHARACTERS_MAX)));
    }
    text
}

/// Returns the rungs that did not pass in a run.
#[must_use]
pub fn not_passed(run: &Object<TestRun>) -> Vec<RungName> {
    let bad = |name: &RungName| {
        let rung = run.status.rungs.iter().find(|rung| rung.name == *name);
        !rung.is_some_and(|rung| matches!(rung.status, RungStatus::Pass | RungStatus::Skip))
    };
    ladder::ORDER.into_iter().filter(bad).collect()
}
