//! Pieces that many pages share.

use api_types::condition::Condition;
use api_types::duration_text::human_duration;
use api_types::kinds::test_run::Lane;
use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{self, Tone};
use super::{Page, Section, with_parameter};
use crate::actions::Deed;
use crate::index::RunSummary;
use crate::route::{deed_path, object_path};
use crate::visit::Visit;

/// Returns a state as sign, word and colour.
pub(crate) fn pill(tone: Tone, word: &str) -> Markup {
    html! { span class=(format!("pill {}", tone.class())) { span aria-hidden="true" { (tone.sign()) } " " (word) } }
}

/// Returns a level; what was never measured is grey.
pub(crate) fn level(level: Option<u8>) -> Markup {
    match level {
        Some(level) => html! {
            span class=(format!("level {}", words::level(level).class())) title=(format!("Level {level} of 5")) {
                span.hidden-words { "level " } (level)
            }
        },
        None => html! { span.level.quiet title="No level yet" { span.hidden-words { "no level" } "–" } },
    }
}

/// Returns how long ago something was; the exact moment is its title.
pub(crate) fn ago(text: &str, now: Timestamp) -> Markup {
    match text.parse::<Timestamp>() {
        Ok(moment) => at(moment, now),
        Err(_) => html! { span.muted { "–" } },
    }
}

/// Returns how long ago a moment was, or in how long it will be.
pub(crate) fn at(moment: Timestamp, now: Timestamp) -> Markup {
    let seconds = now.duration_since(moment).as_secs();
    let exact = moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(moment.to_string()) title=(exact) { (relative(seconds)) } }
}

fn relative(seconds: i64) -> String {
    if seconds < -1 {
        format!("in {}", human_duration(-seconds))
    } else {
        format!("{} ago", human_duration(seconds.max(0)))
    }
}

/// Returns how long something goes on already; the script counts on.
pub(crate) fn going_on(since: Timestamp, now: Timestamp) -> Markup {
    let seconds = now.duration_since(since).as_secs();
    html! { time data-since datetime=(since.to_string()) { (words::duration(seconds)) } }
}

/// Returns a run's duration, still counting when it has not ended.
pub(crate) fn run_time(run: &RunSummary, now: Timestamp) -> Markup {
    match (run.started, run.is_finished(), run.seconds(now)) {
        (Some(started), false, _) => going_on(started, now),
        (_, _, Some(seconds)) => html! { (words::duration(seconds)) },
        _ => html! { span.muted { "–" } },
    }
}

/// Returns a command that can be copied.
pub(crate) fn command(text: &str) -> Markup {
    html! {
        div.command {
            code tabindex="0" { (text) }
            button.small type="button" data-copy=(text) hidden { "Copy" }
        }
    }
}

/// Returns a link to an object's own page.
pub(crate) fn object_link(key: &str, namespace: &str, name: &str) -> Markup {
    html! { a href=(object_path(key, namespace, name)) { (name) } }
}

/// Returns a button that leads to the question whether one is sure; nothing for whoever may not do it.
pub(crate) fn deed(visit: &Visit, deed: Deed, key: &str, namespace: &str, name: &str) -> Markup {
    html! {
        @if deed.is_allowed(visit, key, namespace, name) {
            a class=(if deed.is_grave() { "button grave" } else { "button" })
                href=(deed_path(deed, key, namespace, name)) { (deed.label()) }
        }
    }
}

/// Returns what a run tests, in few words.
pub(crate) fn run_source(run: &RunSummary) -> Markup {
    html! {
        @if let Some(number) = run.pull_request {
            span { "pull request #" (number) }
            @if let Some(author) = &run.author { " by " bdi { (author) } }
            @if run.fork { " (fork)" }
            " "
        }
        @if let Some(asked) = &run.asked { bdi.mono { (asked) } " " }
        @if let Some(commit) = run.short_commit() { code title=(run.commit.as_deref().unwrap_or_default()) { (commit) } }
        @if run.lane == Lane::Quick { " " span.tag { "quick" } }
    }
}

/// Returns a table of runs; `with_recipe` is false on a recipe's own page.
pub(crate) fn runs<'a>(
    visit: &Visit,
    runs: impl Iterator<Item = &'a RunSummary>,
    caption: &str,
    with_recipe: bool,
) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label=(caption) {
            table {
                thead { tr {
                    th scope="col" { "Run" }
                    @if with_recipe { th scope="col" { "Recipe" } }
                    th scope="col" { "State" }
                    th scope="col" { "Level" }
                    th scope="col" { "Ladder" }
                    th scope="col" { "What" }
                    th.number scope="col" { "Took" }
                    th.number scope="col" { "Created" }
                } }
                tbody {
                    @for run in runs {
                        tr {
                            th scope="row" { (object_link(crate::index::RUNS, &run.namespace, &run.name)) }
                            @if with_recipe {
                                td { (object_link(crate::index::RECIPES, &run.namespace, &run.recipe)) }
                            }
                            td { (run_state(run)) }
                            td { (level(run.level)) }
                            td { (super::picture::rungs(run)) }
                            td { (run_source(run)) }
                            td.number { (run_time(run, visit.now)) }
                            td.number { (ago(&run.created, visit.now)) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a run's phase, with what it waits for or does.
pub(crate) fn run_state(run: &RunSummary) -> Markup {
    let (tone, word) = words::phase(run.phase);
    html! { (pill(tone, word)) }
}

/// Returns a table of conditions, the bad ones first.
pub(crate) fn conditions(conditions: &[Condition], now: Timestamp) -> Markup {
    let mut sorted: Vec<&Condition> = conditions.iter().collect();
    sorted.sort_by_key(|condition| words::condition(&condition.type_, condition.status) != Tone::Bad);
    html! {
        @if sorted.is_empty() {
            p.muted { "No conditions yet." }
        } @else {
            div.table-frame tabindex="0" role="group" aria-label="Conditions" {
                table.conditions {
                    thead { tr {
                        th scope="col" { "Condition" } th scope="col" { "Status" } th scope="col" { "Why" }
                        th.number scope="col" { "Since" }
                    } }
                    tbody {
                        @for condition in sorted {
                            tr {
                                th scope="row" { (condition.type_) }
                                td { (pill(words::condition(&condition.type_, condition.status), condition.status.word())) }
                                td.prose {
                                    @if !condition.reason.is_empty() { strong { (condition.reason) } ". " }
                                    bdi { (condition.message) }
                                }
                                td.number { (ago(&condition.last_transition_time, now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns pairs of words and what they stand for.
pub(crate) fn pairs(pairs: Vec<(&str, Markup)>) -> Markup {
    html! {
        dl.pairs { @for (word, value) in pairs { div { dt { (word) } dd { (value) } } } }
    }
}

/// Returns the choice of a namespace, for pages over all of them.
pub(crate) fn namespace_choice(visit: &Visit) -> Markup {
    let namespaces = visit.namespaces();
    let chosen = visit.parameter("namespace");
    html! {
        @if namespaces.len() > 1 {
            label { span { "Namespace" }
                select name="namespace" {
                    option value="" { "all" }
                    @for namespace in &namespaces {
                        option value=(namespace) selected[namespace == chosen] { (namespace) }
                    }
                }
            }
        }
    }
}

/// Returns a row of filters that works as a form.
pub(crate) fn filters(visit: &Visit, inner: &Markup) -> Markup {
    html! {
        form.filters method="get" action=(visit.path) role="search" {
            (inner)
            button type="submit" { "Show" }
        }
    }
}

/// Returns a choice of one word among several.
pub(crate) fn choice(visit: &Visit, name: &str, label: &str, options: &[(&str, &str)]) -> Markup {
    let chosen = visit.parameter(name);
    html! {
        label { span { (label) }
            select name=(name) {
                @for (value, word) in options { option value=(value) selected[*value == chosen] { (word) } }
            }
        }
    }
}

/// Returns links to the pages before and after.
pub(crate) fn pager(visit: &Visit, at: usize, has_more: bool) -> Markup {
    html! {
        @if at > 0 || has_more {
            nav.pager aria-label="More" {
                @if at > 0 {
                    a.button rel="prev" href=(with_parameter(visit, "at", &page_number(at - 1))) { "← Newer" }
                }
                @if has_more {
                    a.button rel="next" href=(with_parameter(visit, "at", &page_number(at + 1))) { "Older →" }
                }
            }
        }
    }
}

fn page_number(at: usize) -> String {
    if at == 0 { String::new() } else { at.to_string() }
}

/// Returns an empty page's one sentence.
pub(crate) fn empty(title: &str, text: &str) -> Markup {
    html! { div.empty { p.empty-title { (title) } p { (text) } } }
}

/// Returns a page with a title, live over these resources.
pub(crate) fn live_page(title: &str, section: Section, watches: &[&str]) -> Page {
    Page::new(title, section).watching(watches)
}
