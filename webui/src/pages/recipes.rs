//! The scoreboard: every recipe with its level, its trend, and how old the last thorough run is.

use std::sync::Arc;

use api_types::kind::Object as Typed;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::{Lane, Phase};
use maud::{Markup, html};

use super::{ROWS_MAX, page_number};
use crate::index::{RECIPES, RUNS, RunSummary};
use crate::view::parts::{
    ago, choice, empty, filters, level, live_page, namespace_choice, object_link, pager, pill, run_state,
};
use crate::view::words::Tone;
use crate::view::{Page, Section, picture};
use crate::visit::Visit;

/// Runs of which the trend is made.
const TREND: usize = 12;
/// Days after which a thorough run counts as old.
pub(crate) const STALE_DAYS: i64 = 30;
const SECONDS_PER_DAY: i64 = 86_400;

/// One row before it is drawn.
pub(crate) struct Row {
    pub recipe: Arc<Typed<Recipe>>,
    /// Judged runs outside pull requests, newest first.
    pub judged: Vec<Arc<RunSummary>>,
    pub last: Option<Arc<RunSummary>>,
    /// When the last thorough run outside a pull request ended.
    pub last_cold: Option<String>,
}

impl Row {
    pub(crate) fn of(visit: &Visit, recipe: &Arc<Typed<Recipe>>) -> Self {
        let (namespace, name) = (&recipe.metadata.namespace, &recipe.metadata.name);
        let sees_runs = visit.sees(RUNS, namespace);
        let runs = || visit.index.runs_of_recipe(namespace, name).filter(move |_| sees_runs);
        let own = |run: &&Arc<RunSummary>| run.is_judged() && run.pull_request.is_none();
        let last_cold = runs().filter(own).find(|run| run.lane == Lane::Cold);
        Self {
            recipe: recipe.clone(),
            judged: runs().filter(own).take(TREND).cloned().collect(),
            last: runs().find(|run| run.is_finished()).cloned(),
            last_cold: last_cold.and_then(|run| run.finished).map(|finished| finished.to_string()),
        }
    }

    /// Returns whether the last finished run did not succeed.
    pub(crate) fn is_failing(&self) -> bool {
        self.last.as_ref().is_some_and(|run| matches!(run.phase, Phase::Failed | Phase::Error))
    }

    /// Returns whether nothing thorough was run for long.
    pub(crate) fn is_stale(&self, visit: &Visit) -> bool {
        let finished = self.last_cold.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        finished.is_none_or(|finished| visit.now.duration_since(finished).as_secs() > STALE_DAYS * SECONDS_PER_DAY)
    }
}

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Recipes", Section::Recipes, &[RECIPES, RUNS]);
    page.head = html! { h1 { "Recipes" } (filter_row(visit)) };
    let rows = rows(visit);
    let at = page_number(visit);
    let total = rows.len();
    let shown: Vec<&Row> = rows.iter().skip(at * ROWS_MAX * 2).take(ROWS_MAX * 2).collect();
    page.part(
        "board",
        html! {
            @if shown.is_empty() {
                (empty("No recipes here", "Enrol one: `kubectl apply -f recipe.yaml`, or change what is shown above."))
            } @else {
                (table(visit, &shown))
                (pager(visit, at, total > (at + 1) * ROWS_MAX * 2))
            }
        },
    );
    page.commands = vec!["ccctl get recipes -A".to_owned()];
    page
}

fn filter_row(visit: &Visit) -> Markup {
    let shows = [("", "all"), ("failing", "failing"), ("stale", "not tested for 30 days"), ("suspended", "suspended")];
    let sorts = [("", "name"), ("level", "lowest level first"), ("tested", "longest untested first")];
    filters(
        visit,
        &html! {
            label { span { "Name" } input type="search" name="q" value=(visit.parameter("q")) placeholder="nextcloud"; }
            (choice(visit, "show", "Show", &shows))
            (choice(visit, "sort", "Order", &sorts))
            (namespace_choice(visit))
        },
    )
}

fn rows(visit: &Visit) -> Vec<Row> {
    let sight = visit.sight(RECIPES);
    let (wanted, namespace) = (visit.parameter("q").to_lowercase(), visit.parameter("namespace"));
    let recipes = visit.index.recipes.values().filter(|recipe| {
        sight.sees(&recipe.metadata.namespace)
            && (namespace.is_empty() || recipe.metadata.namespace == namespace)
            && (wanted.is_empty() || recipe.metadata.name.contains(&wanted))
    });
    let mut rows: Vec<Row> = recipes.map(|recipe| Row::of(visit, recipe)).collect();
    match visit.parameter("show") {
        "failing" => rows.retain(Row::is_failing),
        "stale" => rows.retain(|row| row.is_stale(visit)),
        "suspended" => rows.retain(|row| row.recipe.spec.suspend),
        _ => {}
    }
    match visit.parameter("sort") {
        "level" => rows.sort_by_key(|row| row.recipe.status.level),
        "tested" => rows.sort_by(|left, right| left.last_cold.cmp(&right.last_cold)),
        _ => {}
    }
    rows
}

fn table(visit: &Visit, rows: &[&Row]) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Recipes" {
            table {
                thead { tr {
                    th scope="col" { "Recipe" }
                    th scope="col" { "Level" }
                    th scope="col" { "Trend" }
                    th scope="col" { "Last result" }
                    th scope="col" { "Last green" }
                    th scope="col" { "Newest" }
                    th.number scope="col" { "Tested" }
                } }
                tbody {
                    @for row in rows { (table_row(visit, row)) }
                }
            }
        }
    }
}

fn table_row(visit: &Visit, row: &Row) -> Markup {
    let (recipe, status) = (&row.recipe, &row.recipe.status);
    let namespace = &recipe.metadata.namespace;
    let trend: Vec<&RunSummary> = row.judged.iter().rev().map(|run| &**run).collect();
    html! {
        tr {
            th scope="row" {
                (object_link(RECIPES, namespace, &recipe.metadata.name))
                @if namespace != "default" { " " span.tag { (namespace) } }
                @if recipe.spec.suspend { " " (pill(Tone::Quiet, "Suspended")) }
            }
            td { (level(status.level)) }
            td { (picture::trend(&trend)) }
            td {
                @match &row.last {
                    Some(run) => a.plain href=(crate::route::object_path(RUNS, namespace, &run.name)) { (run_state(run)) },
                    None => span.muted { "never tested" },
                }
            }
            td { @match &status.last_green { Some(green) => bdi.mono { (green.version) }, None => span.muted { "–" } } }
            td { @match &status.latest_version { Some(version) => bdi.mono { (version) }, None => span.muted { "–" } } }
            td.number {
                @match &row.last_cold { Some(moment) => (ago(moment, visit.now)), None => span.muted { "–" } }
                @if row.last_cold.is_some() && row.is_stale(visit) { " " (pill(Tone::Warning, "old")) }
            }
        }
    }
}
