//! Events of all objects, newest first.

use maud::html;

use super::{ROWS_MAX, page_number};
use crate::index::{EVENTS, EventSummary};
use crate::route::object_path;
use crate::view::parts::{ago, choice, empty, filters, live_page, namespace_choice, pager, pill};
use crate::view::words::Tone;
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Events", Section::Events, &[EVENTS]);
    page.head = html! {
        h1 { "Events" }
        (filters(visit, &html! {
            label { span { "About" } input type="search" name="q" value=(visit.parameter("q")); }
            (choice(visit, "type", "Type", &[("", "all"), ("Warning", "warnings")]))
            (namespace_choice(visit))
        }))
    };
    let sight = visit.sight(EVENTS);
    let (wanted, namespace) = (visit.parameter("q").to_lowercase(), visit.parameter("namespace"));
    let only_warnings = visit.parameter("type") == "Warning";
    let at = page_number(visit);
    let found = visit.index.events.values().map(|event| &**event).filter(|event| {
        sight.sees(&event.namespace)
            && (namespace.is_empty() || event.namespace == namespace)
            && (!only_warnings || event.is_warning)
            && (wanted.is_empty()
                || event.about_name.contains(&wanted)
                || event.reason.to_lowercase().contains(&wanted))
    });
    let found: Vec<&EventSummary> = found.skip(at * ROWS_MAX).take(ROWS_MAX + 1).collect();
    page.part(
        "events",
        html! {
            @if found.is_empty() {
                (empty("No events here", "Events are kept for a while, then they go."))
            } @else {
                ul.rows {
                    @for event in found.iter().take(ROWS_MAX) {
                        li {
                            span.line {
                                (pill(if event.is_warning { Tone::Warning } else { Tone::Quiet }, &event.reason)) " "
                                @match about(visit, event) {
                                    Some(path) => a href=(path) { (event.about_kind) "/" (event.about_name) },
                                    None => span { (event.about_kind) "/" bdi { (event.about_name) } },
                                }
                                @if event.count > 1 { " " span.tag { (event.count) "×" } }
                            }
                            span.why { bdi { (event.message) } }
                            span.took { (ago(&event.last, visit.now)) }
                        }
                    }
                }
                (pager(visit, at, found.len() > ROWS_MAX))
            }
        },
    );
    page.commands = vec!["ccctl events -A".to_owned()];
    page
}

/// Returns the address of what an event is about.
fn about(visit: &Visit, event: &EventSummary) -> Option<String> {
    let resource = visit.state.registry.find_kind(&event.about_group, &event.about_kind)?;
    Some(object_path(&resource.key, &event.about_namespace, &event.about_name))
}
