//! The page of a log: its end first, folded by stage, searchable, each line with a link of its own.

use api_types::kind::Object as Typed;
use api_types::kinds::test_run::{RungStatus, TestRun};
use api_types::status::Status;
use apiserver::pods::LogRequest;
use maud::{Markup, html};

use super::{Line, read, row};
use crate::ansi;
use crate::index::{RUNGS, RUNS};
use crate::pages::typed;
use crate::route::Place;
use crate::view::parts::{object_link, pill};
use crate::view::{Page, Section, encode, with_parameter, words};
use crate::visit::Visit;

/// Lines on one page.
const LINES_MAX: usize = 500;
/// Lines that a search finds.
const FOUND_MAX: usize = 300;

/// Returns the page.
///
/// # Errors
/// `NotFound` when there is no such run.
pub(crate) async fn page(visit: &Visit, place: &Place) -> Result<Page, Status> {
    let run: Typed<TestRun> = typed::<TestRun>(visit, place)?;
    let is_finished = run.status.phase.unwrap_or_default().is_finished();
    let wanted = visit.parameter("q").to_owned();
    let stage = stage(visit, &run);
    let request = LogRequest {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        uid: run.metadata.uid.clone(),
        timestamps: true,
        ..LogRequest::default()
    };
    let (all, problem) = match read(visit, request).await {
        Ok(lines) => (lines, None),
        Err(status) => (Vec::new(), Some(status.message)),
    };
    let total = all.len();
    let of_stage: Vec<&Line> =
        all.iter().filter(|line| stage.as_ref().is_none_or(|stage| line.stage == *stage)).collect();
    let window = Window::of(visit, &of_stage);
    let mut page = Page::new(format!("Log of {}", place.name), Section::Runs);
    page.kind = "log";
    page.head = head(visit, place, &run, stage.as_deref());
    let follows = !is_finished && stage.is_none() && wanted.is_empty() && window.reaches_end;
    page.part("lines", html! {
        @if let Some(problem) = &problem { p.note.warning { bdi { (problem) } } }
        @if wanted.is_empty() {
            (shown(visit, place, &of_stage, &window))
            @if follows {
                div.log { ol #following data-follow=(format!("/runs/{}/{}/log/stream?after={total}", place.namespace, place.name)) {} }
                p.muted #end { "The run goes on. Without JavaScript, read the page again." }
            } @else if total > 0 && window.reaches_end { p.muted #end { "This is the end of the log." } }
        } @else { (found(place, &of_stage, &wanted)) }
        @if total == 0 && problem.is_none() { p.muted { "Nothing was written." } }
    });
    page.commands = vec![format!("ccctl logs testrun/{} -n {} --follow", place.name, place.namespace)];
    Ok(page)
}

/// Returns the stage that is asked for, if the run has it.
fn stage(visit: &Visit, run: &Typed<TestRun>) -> Option<String> {
    let wanted = visit.parameter("stage");
    stages(run).into_iter().find(|stage| stage == wanted)
}

/// Returns the stages that have a log.
fn stages(run: &Typed<TestRun>) -> Vec<String> {
    run.status.logs.iter().map(|log| log.name.clone()).collect()
}

/// Which lines are shown, by their places in the list.
struct Window {
    from: usize,
    to: usize,
    reaches_end: bool,
}

impl Window {
    fn of(visit: &Visit, lines: &[&Line]) -> Self {
        let count = lines.len();
        let number = |name: &str| visit.parameter(name).parse::<u64>().ok();
        let place = |number: u64| lines.partition_point(|line| line.number < number);
        let to = match (number("line"), number("to")) {
            (Some(line), _) => (place(line) + LINES_MAX / 2).min(count),
            (None, Some(to)) => place(to).min(count),
            (None, None) => count,
        };
        Self { from: to.saturating_sub(LINES_MAX), to, reaches_end: to == count }
    }
}

fn head(visit: &Visit, place: &Place, run: &Typed<TestRun>, stage: Option<&str>) -> Markup {
    let path = format!("/runs/{}/{}/log", place.namespace, place.name);
    let raw = stage.map_or_else(|| format!("{path}/raw"), |stage| format!("{path}/raw?stage={}", encode(stage)));
    html! {
        p.crumbs { a href="/runs" { "Runs" } " / " (object_link(RUNS, &place.namespace, &place.name)) }
        div.title { h1 { "Log" } div.actions { a.button href=(raw) { "Raw" } } }
        form.filters method="get" action=(path) role="search" {
            label { span { "Search" } input type="search" name="q" value=(visit.parameter("q")); }
            label { span { "Stage" } select name="stage" {
                option value="" { "all" }
                @for name in stages(run) {
                    option value=(name) selected[stage == Some(name.as_str())] { (name) (result(run, &name)) }
                }
            } }
            button type="submit" { "Show" }
        }
    }
}

fn result(run: &Typed<TestRun>, stage: &str) -> &'static str {
    let rung = RUNGS.iter().find(|(_, word)| *word == stage).map(|(rung, _)| *rung);
    let found = run.status.rungs.iter().find(|found| Some(found.name) == rung);
    match found.map(|found| found.status) {
        Some(RungStatus::Fail) => " (failed)",
        _ => "",
    }
}

fn shown(visit: &Visit, place: &Place, lines: &[&Line], window: &Window) -> Markup {
    let shown = &lines[window.from..window.to];
    let first = shown.first().map_or(0, |line| line.number);
    html! {
        @if window.from > 0 {
            p { a.button href=(with_parameter(visit, "to", &first.to_string())) { "Earlier lines (" (window.from) ")" } }
        }
        @for group in shown.chunk_by(|left, right| left.stage == right.stage) {
            details.stage open {
                summary { span { (group[0].stage) } span.muted { (words::count(group.len(), "line", "lines")) } }
                div.log tabindex="0" role="group" aria-label=(format!("Lines of {}", group[0].stage)) {
                    ol { @for line in group { (row(line, &place.namespace, &place.name)) } }
                }
            }
        }
        @if !window.reaches_end {
            p { a.button href=(format!("/runs/{}/{}/log", place.namespace, place.name)) { "The end of the log" } }
        }
    }
}

fn found(place: &Place, lines: &[&Line], wanted: &str) -> Markup {
    let needle = wanted.to_lowercase();
    let found: Vec<&&Line> = lines
        .iter()
        .filter(|line| ansi::plain(&line.text).to_lowercase().contains(&needle))
        .take(FOUND_MAX + 1)
        .collect();
    html! {
        p role="status" {
            @if found.len() > FOUND_MAX { "More than " (FOUND_MAX) " lines" } @else { (words::count(found.len(), "line", "lines")) }
            " with " strong { bdi { (wanted) } } "."
        }
        @if found.is_empty() { p { (pill(words::Tone::Quiet, "Nothing found")) } } @else {
            div.log tabindex="0" role="group" aria-label="Lines that were found" {
                ol { @for line in found.iter().take(FOUND_MAX) { (row(line, &place.namespace, &place.name)) } }
            }
        }
    }
}
