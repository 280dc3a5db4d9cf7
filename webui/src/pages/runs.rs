//! Every run, newest first.

use api_types::kinds::test_run::Phase;
use maud::html;

use super::{ROWS_MAX, page_number};
use crate::index::{RUNS, RunSummary};
use crate::view::parts::{choice, empty, filters, live_page, namespace_choice, pager, runs};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Runs", Section::Runs, &[RUNS]);
    let phases = [
        ("", "all"),
        ("active", "not ended"),
        ("failed", "failed"),
        ("error", "could not be judged"),
        ("succeeded", "succeeded"),
        ("cancelled", "cancelled"),
    ];
    page.head = html! {
        h1 { "Runs" }
        (filters(visit, &html! {
            label { span { "Recipe or run" } input type="search" name="q" value=(visit.parameter("q")); }
            (choice(visit, "phase", "State", &phases))
            (namespace_choice(visit))
        }))
    };
    let at = page_number(visit);
    let found: Vec<&RunSummary> = matching(visit).skip(at * ROWS_MAX).take(ROWS_MAX + 1).collect();
    let has_more = found.len() > ROWS_MAX;
    page.part(
        "runs",
        html! {
            @if found.is_empty() {
                (empty("No runs here", "Press “Test now” on a recipe's page, or change what is shown above."))
            } @else {
                (runs(visit, found.into_iter().take(ROWS_MAX), "Runs", true))
                (pager(visit, at, has_more))
            }
        },
    );
    page.commands = vec!["ccctl get testruns -A".to_owned()];
    page
}

fn matching(visit: &Visit) -> impl Iterator<Item = &RunSummary> {
    let sight = visit.sight(RUNS);
    let (wanted, namespace) = (visit.parameter("q").to_lowercase(), visit.parameter("namespace"));
    let phase = visit.parameter("phase");
    let all = if phase == "active" { &visit.index.active } else { &visit.index.runs };
    all.values().map(|run| &**run).filter(move |run| {
        sight.sees(&run.namespace)
            && (namespace.is_empty() || run.namespace == namespace)
            && (wanted.is_empty() || run.name.contains(&wanted) || run.recipe.contains(&wanted))
            && match phase {
                "failed" => run.phase == Phase::Failed,
                "error" => run.phase == Phase::Error,
                "succeeded" => run.phase == Phase::Succeeded,
                "cancelled" => run.phase == Phase::Cancelled,
                _ => true,
            }
    })
}
