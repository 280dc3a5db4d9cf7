//! Home: what needs somebody now, what runs, and how the machines are.

use std::collections::BTreeSet;
use std::sync::Arc;

use api_types::condition::{ConditionStatus, find};
use api_types::kinds::test_run::Phase;
use jiff::Timestamp;
use maud::{Markup, html};

use super::hosts::gauges;
use crate::index::{APPROVALS, APPS, CERTIFICATES, HOSTS, RECIPES, RUNS, RunSummary};
use crate::view::parts::{ago, at, empty, level, live_page, object_link, pill, run_source, run_time, runs};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Entries of one box.
const ENTRIES_MAX: usize = 6;
/// Finished runs below.
const RECENT: usize = 12;
/// Runs that are looked at for what they left behind.
const LOOKED_AT_MAX: usize = 500;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Now", Section::Home, &[RUNS, RECIPES, CERTIFICATES, HOSTS, APPROVALS, APPS]);
    page.part("needs", needs(visit));
    page.part("running", running(visit));
    if visit.sees(HOSTS, "") && !visit.index.hosts.is_empty() {
        page.part("hosts", hosts(visit));
    }
    page.part("recent", recent(visit));
    page.by_command(&[
        ("needs", "ccctl doctor".to_owned()),
        ("running", "ccctl get testruns -A --field-selector=status.phase=Running".to_owned()),
        ("hosts", "ccctl top".to_owned()),
        ("recent", "ccctl get testruns -A".to_owned()),
    ]);
    page.commands = vec!["ccctl get testruns -A --watch".to_owned(), "ccctl doctor".to_owned()];
    page
}

/// One box of the board.
struct Need {
    title: &'static str,
    calm: &'static str,
    tone: Tone,
    more: &'static str,
    entries: Vec<Markup>,
}

fn needs(visit: &Visit) -> Markup {
    let needs = [failing(visit), waiting(visit), expiring(visit), leaks(visit)];
    let is_calm = needs.iter().all(|need| need.entries.is_empty());
    html! {
        @if is_calm {
            div.calm role="status" {
                p.calm-title { span aria-hidden="true" { "✓ " } "Nothing needs you" }
                p { "No recipe fails, nobody waits for you, no certificate expires, nothing was left behind." }
            }
        } @else {
            div.board {
                @for need in &needs { (need_box(need)) }
            }
        }
    }
}

fn need_box(need: &Need) -> Markup {
    let tone = if need.entries.is_empty() { Tone::Quiet } else { need.tone };
    html! {
        section class=(format!("need {}", tone.class())) aria-label=(need.title) {
            h2 { span { (need.title) } span.tally { (need.entries.len()) } }
            @if need.entries.is_empty() {
                p.muted { (need.calm) }
            } @else {
                ul { @for entry in need.entries.iter().take(ENTRIES_MAX) { li { (entry) } } }
                @if need.entries.len() > ENTRIES_MAX {
                    p { a href=(need.more) { "and " (need.entries.len() - ENTRIES_MAX) " more" } }
                }
            }
        }
    }
}

/// Recipes whose last finished run did not succeed.
fn failing(visit: &Visit) -> Need {
    let sight = visit.sight(RECIPES);
    let mut entries = Vec::new();
    for recipe in visit.index.recipes.values().filter(|recipe| sight.sees(&recipe.metadata.namespace)) {
        let (namespace, name) = (&recipe.metadata.namespace, &recipe.metadata.name);
        let last = visit.index.runs_of_recipe(namespace, name).find(|run| run.is_judged() || run.phase == Phase::Error);
        let Some(last) = last.filter(|run| run.phase != Phase::Succeeded) else { continue };
        let (tone, word) = words::phase(last.phase);
        entries.push(html! {
            div.line { (object_link(RECIPES, namespace, name)) " " (level(last.level)) " " (pill(tone, word)) }
            p.why { a href=(crate::route::object_path(RUNS, namespace, &last.name)) { (run_source(last)) }
                @if let Some(why) = &last.why { " — " bdi { (first_line(why)) } } }
        });
    }
    Need {
        title: "Failing",
        calm: "Every recipe's last run succeeded.",
        tone: Tone::Bad,
        more: "/recipes?show=failing",
        entries,
    }
}

/// What waits for a person.
fn waiting(visit: &Visit) -> Need {
    let sight = visit.sight(RUNS);
    let mut entries = Vec::new();
    let mut seen = BTreeSet::new();
    for run in visit.index.active.values().filter(|run| run.unapproved.is_some() && sight.sees(&run.namespace)) {
        if !seen.insert((run.recipe_key(), run.pull_request)) {
            continue;
        }
        entries.push(html! {
            div.line { (object_link(RUNS, &run.namespace, &run.name)) " " (pill(Tone::Waiting, "Approval")) }
            p.why { (run_source(run)) }
        });
    }
    for run in held(visit).filter(|run| sight.sees(&run.namespace)) {
        let until = run.held_until.as_deref().unwrap_or_default();
        entries.push(html! {
            div.line { (object_link(RUNS, &run.namespace, &run.name)) " " (pill(Tone::Waiting, "Held")) }
            p.why { "kept for a look, it ends " (ago(until, visit.now)) }
        });
    }
    let title = "Waiting for you";
    Need { title, calm: "Nobody waits for an approval.", tone: Tone::Warning, more: "/approvals", entries }
}

fn held(visit: &Visit) -> impl Iterator<Item = &Arc<RunSummary>> {
    let now = visit.now;
    visit.index.active.values().filter(move |run| {
        run.held_until.as_deref().and_then(|until| until.parse::<Timestamp>().ok()).is_some_and(|until| until > now)
    })
}

/// Certificates that expire, or are not what they should be.
fn expiring(visit: &Visit) -> Need {
    let sight = visit.sight(CERTIFICATES);
    let mut entries = Vec::new();
    for certificate in visit.index.certificates.values().filter(|found| sight.sees(&found.metadata.namespace)) {
        let conditions = &certificate.status.conditions;
        let expires = find(conditions, "Expiring").is_some_and(|found| found.status == ConditionStatus::True);
        let ready = find(conditions, "Ready").filter(|found| found.status == ConditionStatus::False);
        if !expires && ready.is_none() {
            continue;
        }
        let (namespace, name) = (&certificate.metadata.namespace, &certificate.metadata.name);
        let until = certificate.status.not_after.as_deref().unwrap_or_default();
        entries.push(html! {
            div.line { (object_link(CERTIFICATES, namespace, name)) " "
                @if expires { (pill(Tone::Warning, "Expiring")) } @else { (pill(Tone::Bad, "Not ready")) } }
            p.why { @if !until.is_empty() { "ends " (ago(until, visit.now)) " " }
                @if let Some(ready) = ready { bdi { (first_line(&ready.message)) } } }
        });
    }
    let calm = "No certificate is about to expire.";
    Need { title: "Expiring", calm, tone: Tone::Warning, more: "/certificates", entries }
}

/// What runs left behind although they ended.
fn leaks(visit: &Visit) -> Need {
    let sight = visit.sight(RUNS);
    let looked_at = visit.index.runs.values().take(LOOKED_AT_MAX);
    let entries = looked_at.filter(|run| run.is_finished() && run.remaining > 0 && sight.sees(&run.namespace));
    let entries = entries.map(|run| {
        html! {
            div.line { (object_link(RUNS, &run.namespace, &run.name)) " " (pill(Tone::Bad, "Left behind")) }
            p.why { (words::count(run.remaining, "thing", "things")) " still there" }
        }
    });
    let entries = entries.collect();
    Need { title: "Leaks", calm: "Nothing was left behind.", tone: Tone::Bad, more: "/runs", entries }
}

fn running(visit: &Visit) -> Markup {
    let sight = visit.sight(RUNS);
    let active: Vec<_> = visit.index.active.values().filter(|run| sight.sees(&run.namespace)).collect();
    let going: Vec<_> = active.iter().filter(|run| run.phase == Phase::Running).collect();
    let queued = active.len() - going.len();
    html! {
        section.card aria-label="Running now" {
            h2 { "Running now" }
            @if going.is_empty() {
                p.muted { "Nothing runs." }
            } @else {
                ul.running {
                    @for run in going {
                        li {
                            span.line { (object_link(RUNS, &run.namespace, &run.name)) " " (crate::view::picture::rungs(run)) }
                            span.why { (run_source(run)) @if let Some(step) = &run.step { " · " (step) } }
                            span.took { (run_time(run, visit.now)) }
                        }
                    }
                }
            }
            @if queued > 0 { p { a href="/queue" { (words::count(queued, "run waits", "runs wait")) } } }
        }
    }
}

fn hosts(visit: &Visit) -> Markup {
    html! {
        section.card aria-label="Hosts" {
            h2 { a href="/hosts" { "Hosts" } }
            div.hosts {
                @for host in visit.index.hosts.values() {
                    div {
                        p.line { (object_link(HOSTS, "", &host.metadata.name)) " " (super::hosts::state(host)) }
                        (gauges(host))
                        @if let Some(seen) = crate::index::moment(host.status.observed_at.as_deref()) {
                            p.muted { "looked at " (at(seen, visit.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn recent(visit: &Visit) -> Markup {
    let sight = visit.sight(RUNS);
    let finished = visit.index.runs.values().filter(|run| run.is_finished() && sight.sees(&run.namespace));
    let finished: Vec<&RunSummary> = finished.take(RECENT).map(|run| &**run).collect();
    html! {
        section aria-label="Last results" {
            h2 { "Last results" }
            @if finished.is_empty() {
                (empty("No run has ended yet", "Enrol a recipe, then press “Test now” on its page, or type `ccctl run RECIPE`."))
            } @else {
                (runs(visit, finished.into_iter(), "Last results", true))
                p { a href="/runs" { "All runs" } }
            }
        }
    }
}

/// Returns the first line of a message.
pub(crate) fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
