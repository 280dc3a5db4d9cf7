//! One run: what failed first, then everything else.

use api_types::kind::Object as Typed;
use api_types::kinds::test_run::{Lane, Phase, RungStatus, TestRun};
use api_types::status::Status;
use maud::{Markup, html};

use super::recipe::cap;
use super::run_parts::{artifacts, cleanup, events, inputs, stack, tests, timeline};
use super::typed;
use crate::actions::Deed;
use crate::index::{APPS, EVENTS, RECIPES, RUNGS, RUNS, RunSummary, short};
use crate::logs::{self, Excerpt};
use crate::route::{Place, kind_path};
use crate::view::parts::{
    ago, conditions, deed, level, live_page, object_link, pairs, pill, run_source, run_state, run_time,
};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Names the run that a run repeats.
const RERUN_OF: &str = "ci.coopcloud.tech/rerun-of";
/// Lines of the log on the page.
const LOG_LINES: u64 = 30;
/// Lines of the log beside a failure.
const FAILURE_LINES: u64 = 12;

/// Returns the page.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn page(visit: &Visit, place: &Place) -> Result<Page, Status> {
    let run: Typed<TestRun> = typed::<TestRun>(visit, place)?;
    let short_form = RunSummary::of(&run);
    let mut page = live_page(&place.name, Section::Runs, &[RUNS, APPS, EVENTS]);
    page.head = html! {
        p.crumbs { a href="/runs" { "Runs" } " / " (object_link(RECIPES, &place.namespace, &run.spec.recipe_ref)) }
    };
    page.part("top", top(visit, &run, &short_form));
    let failed = failed_stage(&run);
    let excerpt = match &failed {
        Some(stage) => logs::excerpt(visit, &run, Some(stage), FAILURE_LINES).await,
        None => Excerpt::default(),
    };
    page.part("failure", failure(&run, &short_form, failed.as_deref(), &excerpt));
    page.part("ladder", ladder(&run, &short_form));
    page.part("timeline", timeline(visit, &run, &short_form));
    page.part("tests", tests(&run));
    page.part("stack", stack(visit, &run));
    let tail = logs::excerpt(visit, &run, None, LOG_LINES).await;
    page.part("log", log(&run, &tail, short_form.is_finished()));
    page.part("artifacts", artifacts(&run));
    page.part("inputs", inputs(visit, &run));
    page.part("cleanup", cleanup(&run));
    page.part(
        "state",
        html! {
            section aria-label="Conditions" { h2 { "Conditions" } (conditions(&run.status.conditions, visit.now)) }
        },
    );
    page.part("events", events(visit, "TestRun", &place.namespace, &place.name));
    let (word, within) = (format!("testrun/{}", place.name), format!("-n {}", place.namespace));
    let of = |field: &str| format!("ccctl get {word} {within} -o jsonpath='{{.status.{field}}}'");
    page.by_command(&[
        ("failure", format!("ccctl why {word} {within}")),
        ("ladder", of("rungs")),
        ("timeline", of("steps")),
        ("tests", of("tests")),
        ("stack", format!("ccctl describe app/{} {within}", run.status.app_ref.as_deref().unwrap_or(&place.name))),
        ("log", format!("ccctl logs {word} {within} --tail={LOG_LINES}")),
        ("artifacts", of("artifacts")),
        ("inputs", of("head")),
        ("cleanup", of("cleanup")),
        ("state", of("conditions")),
        ("events", format!("ccctl events {within} --for {word}")),
    ]);
    page.commands = vec![
        format!("ccctl logs testrun/{} -n {} --follow", place.name, place.namespace),
        format!("ccctl why testrun/{} -n {}", place.name, place.namespace),
    ];
    Ok(page)
}

fn top(visit: &Visit, run: &Typed<TestRun>, short_form: &RunSummary) -> Markup {
    let (namespace, name) = (&run.metadata.namespace, &run.metadata.name);
    let action = |what| deed(visit, what, RUNS, namespace, name);
    html! {
        div.title {
            h1 { (name) }
            p.verdict { (run_state(short_form)) " " (level(run.status.level))
                @if run.spec.cancel && !short_form.is_finished() { " " (pill(Tone::Quiet, "being cancelled")) } }
            div.actions {
                @if short_form.unapproved.is_some() { (action(Deed::Approve)) (action(Deed::Deny)) }
                @if short_form.is_finished() { (action(Deed::Rerun)) } @else {
                    @if !run.spec.cancel { (action(Deed::Cancel)) }
                    (action(Deed::Hold))
                }
                a.button href=(format!("/runs/{namespace}/{name}/log")) { "Log" }
                a.button href=(kind_path(RUNS, namespace, name)) { "YAML" }
            }
        }
        @if let Some(queue) = run.status.queue.as_ref().filter(|_| run.status.phase == Some(Phase::Queued)) {
            p.note.waiting { "Place " (queue.position) " in the " a href="/queue" { "queue" } ": " bdi { (queue.reason) } }
        }
        @if let Some(why) = &short_form.unapproved { p.note.warning { bdi { (why) } } }
        @if let Some(until) = run.status.held_until.as_ref().filter(|_| !short_form.is_finished()) {
            p.note.waiting { "Kept for a look; it is taken down " (ago(until, visit.now)) "." }
        }
        (pairs(facts(visit, run, short_form)))
    }
}

fn facts(visit: &Visit, run: &Typed<TestRun>, short_form: &RunSummary) -> Vec<(&'static str, Markup)> {
    let status = &run.status;
    let mut facts = vec![
        ("Tests", html! { (run_source(short_form)) }),
        ("Took", html! { (run_time(short_form, visit.now)) }),
        ("Created", html! { (ago(&short_form.created, visit.now)) }),
    ];
    if let Some(base) = &status.base {
        let version = base.version.as_deref().unwrap_or("–");
        facts.push((
            "Upgraded from",
            html! {
                bdi.mono { (version) } @if let Some(commit) = &base.commit { " " code { (short(commit)) } }
                @if let Some(why) = &status.base_reason { br; span.muted { bdi { (why) } } }
            },
        ));
    }
    if let Some(domain) = &status.domain {
        facts.push(("Domain", html! { bdi.mono { (domain) } }));
    }
    if run.spec.lane == Lane::Quick {
        facts.push(("Lane", html! { "quick: a hint, no authority" }));
    }
    if let Some(old) = run.metadata.annotations.get(RERUN_OF) {
        facts.push(("Repeats", html! { (object_link(RUNS, &run.metadata.namespace, old)) }));
    }
    facts
}

/// Returns the name of the stage that failed first.
fn failed_stage(run: &Typed<TestRun>) -> Option<String> {
    let failed = run.status.rungs.iter().find(|rung| rung.status == RungStatus::Fail)?;
    RUNGS.iter().find(|(name, _)| *name == failed.name).map(|(_, word)| (*word).to_owned())
}

/// What went wrong, before everything else.
fn failure(run: &Typed<TestRun>, short_form: &RunSummary, stage: Option<&str>, excerpt: &Excerpt) -> Markup {
    let tests = run.status.tests.iter().filter(|test| test.status == RungStatus::Fail);
    let is_bad = matches!(short_form.phase, Phase::Failed | Phase::Error) || stage.is_some();
    html! {
        @if is_bad {
            section.failure aria-label="What went wrong" {
                h2 { @match stage { Some(stage) => { "Failed in " (stage) }, None => "It could not be judged" } }
                @if let Some(why) = &short_form.why { p.reason { bdi { (why) } } }
                @for test in tests {
                    div.failed-test {
                        strong { bdi { (test.name) } }
                        @if let Some(message) = &test.message { pre tabindex="0" { bdi { (message) } } }
                    }
                }
                @if !excerpt.lines.is_empty() {
                    (logs::lines(excerpt, &short_form.namespace, &short_form.name, "failure"))
                }
            }
        }
    }
}

fn ladder(run: &Typed<TestRun>, short_form: &RunSummary) -> Markup {
    html! {
        section.card aria-label="Ladder" {
            h2 { "Ladder" }
            ol.ladder {
                @for (at, (rung, name)) in RUNGS.iter().enumerate() {
                    @let found = run.status.rungs.iter().find(|found| found.name == *rung);
                    @let (tone, word) = rung_state(short_form, at);
                    li class=(tone.class()) {
                        span.step { (at + 1) } span.name { (name) } (pill(tone, word))
                        @if let Some(message) = found.and_then(|rung| rung.message.as_ref()) {
                            span.muted.prose { bdi { (message) } }
                        }
                    }
                }
            }
            @if short_form.is_finished() && run.status.level.is_some() {
                p { @match &run.status.level_cap { Some(why) => bdi { (why) }, None => (cap(short_form)) } }
            }
        }
    }
}

/// Returns how one rung of a run stands, in progress included.
fn rung_state(run: &RunSummary, at: usize) -> (Tone, &'static str) {
    match run.rungs[at] {
        Some(rung) if rung.status == RungStatus::Unverified && !run.is_finished() && rung.began => {
            (Tone::Busy, "Running")
        }
        Some(rung) if rung.status == RungStatus::Unverified && !run.is_finished() => (Tone::Quiet, "To come"),
        Some(rung) => words::rung(rung.status),
        None if run.is_finished() => (Tone::Quiet, "Not run"),
        None => (Tone::Quiet, "To come"),
    }
}

fn log(run: &Typed<TestRun>, tail: &Excerpt, is_finished: bool) -> Markup {
    let (namespace, name) = (&run.metadata.namespace, &run.metadata.name);
    html! {
        section.card aria-label="Log" {
            div.title {
                h2 { "Log" }
                div.actions {
                    a.button.small href=(format!("/runs/{namespace}/{name}/log")) { "Whole log" }
                    a.button.small href=(format!("/runs/{namespace}/{name}/log/raw")) { "Raw" }
                }
            }
            @match (&tail.problem, tail.lines.is_empty()) {
                (Some(problem), _) => p.muted { bdi { (problem) } },
                (None, true) => p.muted { "Nothing was written yet." },
                (None, false) => (logs::lines(tail, namespace, name, "tail")),
            }
            @if !is_finished { p.muted { "It goes on." } }
        }
    }
}
