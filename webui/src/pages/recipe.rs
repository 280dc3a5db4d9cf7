//! One recipe: how good it is and why not better, its history, its pull requests, its versions.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::kind::Object as Typed;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::RungStatus;
use api_types::status::Status;
use maud::{Markup, html};

use super::{ROWS_MAX, page_number, typed};
use crate::actions::Deed;
use crate::index::{RECIPES, RUNGS, RUNS, RunSummary, short};
use crate::route::{Place, kind_path, object_path};
use crate::view::parts::{
    ago, command, conditions, deed, empty, level, live_page, object_link, pairs, pill, run_source, run_state, runs,
};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Runs in the history strip.
const HISTORY: usize = 24;
/// Versions that are listed.
const VERSIONS: usize = 20;

/// Returns the page.
///
/// # Errors
/// `NotFound`.
pub(crate) fn page(visit: &Visit, place: &Place) -> Result<Page, Status> {
    let recipe: Typed<Recipe> = typed::<Recipe>(visit, place)?;
    let sees_runs = visit.sees(RUNS, &place.namespace);
    let all = || visit.index.runs_of_recipe(&place.namespace, &place.name).filter(move |_| sees_runs);
    let mut page = live_page(&place.name, Section::Recipes, &[RECIPES, RUNS]);
    page.head = html! { p.crumbs { a href="/recipes" { "Recipes" } " / " (place.namespace) } };
    page.part("top", top(visit, &recipe));
    let last = all().find(|run| run.is_judged() && run.pull_request.is_none()).cloned();
    page.part("ladder", ladder(&recipe, last.as_deref()));
    let history: Vec<&RunSummary> = all().filter(|run| run.is_finished()).take(HISTORY).map(|run| &**run).collect();
    page.part("history", strip(&history));
    page.part("pulls", pulls(visit, all()));
    let at = page_number(visit);
    let shown: Vec<&RunSummary> = all().skip(at * ROWS_MAX).take(ROWS_MAX / 2).map(|run| &**run).collect();
    page.part("runs", html! {
        section aria-label="Runs" {
            h2 { "Runs" }
            @if shown.is_empty() { p.muted { "None yet." } } @else {
                (runs(visit, shown.into_iter(), "Runs", false))
                p { a href=(format!("/runs?q={}&namespace={}", place.name, place.namespace)) { "All runs of " (place.name) } }
            }
        }
    });
    page.part("versions", versions(&recipe));
    page.part("badge", badge(place));
    page.part(
        "state",
        html! {
            section aria-label="Conditions" { h2 { "Conditions" } (conditions(&recipe.status.conditions, visit.now)) }
        },
    );
    let (word, within) = (format!("recipe/{}", place.name), format!("-n {}", place.namespace));
    let runs_by = format!("ccctl get testruns {within} --field-selector=spec.recipeRef={}", place.name);
    page.by_command(&[
        ("ladder", format!("ccctl why {word} {within}")),
        ("history", runs_by.clone()),
        ("pulls", format!("{runs_by} -o wide")),
        ("runs", runs_by),
        ("versions", format!("ccctl get {word} {within} -o jsonpath='{{.status.versions}}'")),
        ("state", format!("ccctl describe {word} {within}")),
    ]);
    page.commands = vec![
        format!("ccctl run {} -n {} --wait", place.name, place.namespace),
        format!("ccctl why recipe/{} -n {}", place.name, place.namespace),
    ];
    Ok(page)
}

fn top(visit: &Visit, recipe: &Typed<Recipe>) -> Markup {
    let (namespace, name) = (&recipe.metadata.namespace, &recipe.metadata.name);
    let status = &recipe.status;
    html! {
        div.title {
            h1 { (name) " " (level(status.level)) @if recipe.spec.suspend { " " (pill(Tone::Quiet, "Suspended")) } }
            div.actions {
                (deed(visit, Deed::Test, RECIPES, namespace, name))
                @if recipe.spec.suspend { (deed(visit, Deed::Resume, RECIPES, namespace, name)) }
                @else { (deed(visit, Deed::Suspend, RECIPES, namespace, name)) }
                a.button href=(kind_path(RECIPES, namespace, name)) { "YAML" }
            }
        }
        (pairs(vec![
            ("Source", html! { bdi.mono { (recipe.spec.source.url) } " at " bdi.mono { (recipe.spec.source.branch) } }),
            ("Newest version", html! { @match &status.latest_version { Some(version) => bdi.mono { (version) }, None => "–" } }),
            ("Last green", html! {
                @match &status.last_green {
                    Some(green) => { bdi.mono { (green.version) } " " code title=(green.commit) { (short(&green.commit)) } },
                    None => "never",
                }
            }),
            ("Fetched", html! { @match &status.last_fetched { Some(moment) => (ago(moment, visit.now)), None => "never" } }),
        ]))
    }
}

/// The ladder with the reason why it ends where it does.
fn ladder(recipe: &Typed<Recipe>, last: Option<&RunSummary>) -> Markup {
    html! {
        section.card aria-label="Ladder" {
            h2 { "Ladder" }
            @match last {
                None => p.muted { "No run outside a pull request has ended yet." },
                Some(run) => {
                    ol.ladder {
                        @for (at, (rung, name)) in RUNGS.iter().enumerate() {
                            @let state = run.rungs[at].map(|rung| rung.status);
                            @let (tone, word) = state.map_or((Tone::Quiet, "Not run"), words::rung);
                            li class=(tone.class()) {
                                span.step { (at + 1) } span.name { (name) } (pill(tone, word))
                                @if let Some(reason) = recipe.spec.expected_skips.get(rung) {
                                    span.muted { "declared: " bdi { (reason) } }
                                }
                            }
                        }
                    }
                    p { (cap(run)) " " a href=(object_path(RUNS, &run.namespace, &run.name)) { "The run" } }
                }
            }
        }
    }
}

/// Returns why a run's level is not higher, in one sentence.
pub(crate) fn cap(run: &RunSummary) -> String {
    let Some(level) = run.level else { return "It has no level.".to_owned() };
    if level == 5 {
        return "Level 5: every rung passed or is declared not to apply.".to_owned();
    }
    let blocking = RUNGS
        .iter()
        .zip(run.rungs)
        .find(|(_, rung)| rung.is_none_or(|rung| matches!(rung.status, RungStatus::Fail | RungStatus::Unverified)));
    let Some(((_, name), rung)) = blocking else { return format!("Level {level}.") };
    let why = match rung.map(|rung| rung.status) {
        Some(RungStatus::Fail) => "failed",
        _ => "was not checked",
    };
    format!("Level {level}: {name} {why}, and nothing above it counts.")
}

/// The history: one column for each run, one row for each rung.
fn strip(history: &[&RunSummary]) -> Markup {
    html! {
        @if !history.is_empty() {
            section.card aria-label="History" {
                h2 { "History" }
                div.table-frame tabindex="0" role="group" aria-label="History, newest first" {
                    table.strip {
                        tbody {
                            @for (at, (_, name)) in RUNGS.iter().enumerate() {
                                tr {
                                    th scope="row" { (name) }
                                    @for run in history {
                                        @let (tone, word) = run.rungs[at].map_or((Tone::Quiet, "not run"), |rung| words::rung(rung.status));
                                        td {
                                            a class=(format!("cell {}", tone.class())) href=(object_path(RUNS, &run.namespace, &run.name))
                                                title=(format!("{}: {word}", run.name)) {
                                                span.hidden-words { (run.name) " " (name) " " (word) }
                                                span aria-hidden="true" { (tone.sign()) }
                                            }
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                p.muted { "Newest first." }
            }
        }
    }
}

/// The last run of each pull request.
fn pulls<'a>(visit: &Visit, all: impl Iterator<Item = &'a Arc<RunSummary>>) -> Markup {
    let mut newest: BTreeMap<i64, &RunSummary> = BTreeMap::new();
    for run in all.take(500) {
        if let Some(number) = run.pull_request {
            newest.entry(number).or_insert(run);
        }
    }
    html! {
        @if !newest.is_empty() {
            section.card aria-label="Pull requests" {
                h2 { "Pull requests" }
                ul.rows {
                    @for run in newest.values().rev().take(10) {
                        li {
                            span.line { (object_link(RUNS, &run.namespace, &run.name)) " " (run_state(run)) " " (level(run.level)) }
                            span.why { (run_source(run)) }
                            span.took { (ago(&run.created, visit.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn versions(recipe: &Typed<Recipe>) -> Markup {
    let status = &recipe.status;
    let green = status.last_green.as_ref().map(|green| green.version.as_str());
    html! {
        section aria-label="Versions" {
            h2 { "Versions" }
            @if status.versions.is_empty() {
                (empty("No published versions", "Versions are annotated tags such as 1.2.0+3.4.5."))
            } @else {
                ul.versions {
                    @for version in status.versions.iter().take(VERSIONS) {
                        li { bdi.mono { (version.version) } " " code { (short(&version.commit)) }
                            @if green == Some(version.version.as_str()) { " " (pill(Tone::Good, "last green")) } }
                    }
                }
                @if status.versions.len() > VERSIONS { p.muted { "and " (status.versions.len() - VERSIONS) " older ones" } }
            }
            @if !status.ignored_tags.is_empty() {
                details {
                    summary { (words::count(status.ignored_tags.len(), "tag is no version", "tags are no versions")) }
                    ul { @for tag in &status.ignored_tags { li { bdi.mono { (tag.name) } ": " bdi { (tag.reason) } } } }
                }
            }
        }
    }
}

fn badge(place: &Place) -> Markup {
    let path = format!("/badge/{}/{}", place.namespace, place.name);
    html! {
        details.card {
            summary { "Badge" }
            p { img src=(format!("{path}.svg")) alt=(format!("level of {}", place.name)) height="20"; }
            p.muted { "Put the address of this server before it. Strangers see it when the namespace has the label "
                code { "ci.coopcloud.tech/public=true" } "." }
            (command(&format!("[![{}]({path}.svg)](/recipes/{}/{})", place.name, place.namespace, place.name)))
            (command(&format!("https://img.shields.io/endpoint?url={path}.json")))
        }
    }
}
