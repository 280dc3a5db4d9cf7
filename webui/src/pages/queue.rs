//! What runs, what waits, and for what.

use api_types::kinds::test_run::Phase;
use maud::{Markup, html};

use crate::actions::Deed;
use crate::index::{HOSTS, RUNS, RunSummary};
use crate::view::parts::{ago, deed, empty, live_page, object_link, pill, run_source, run_time};
use crate::view::words::Tone;
use crate::view::{Page, Section, picture};
use crate::visit::Visit;

/// Waiting runs that are listed.
const WAITING_MAX: usize = 100;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Queue", Section::Queue, &[RUNS, HOSTS]);
    let sight = visit.sight(RUNS);
    let active = || visit.index.active.values().filter(|run| sight.sees(&run.namespace)).map(|run| &**run);
    let running: Vec<&RunSummary> = active().filter(|run| run.phase == Phase::Running).collect();
    let mut waiting: Vec<&RunSummary> = active().filter(|run| run.phase != Phase::Running).collect();
    // Those without a place yet come last, the older ones first.
    waiting.sort_by_key(|run| (run.queue.as_ref().map_or(u32::MAX, |queue| queue.0), run.created.clone()));
    page.part("capacity", capacity(visit, running.len()));
    page.part("running", running_part(visit, &running));
    page.part("waiting", waiting_part(visit, &waiting));
    page.by_command(&[
        ("capacity", "ccctl top".to_owned()),
        ("running", "ccctl get testruns -A --field-selector=status.phase=Running".to_owned()),
        ("waiting", "ccctl get testruns -A --field-selector=status.phase=Queued".to_owned()),
    ]);
    page.commands = vec!["ccctl get testruns -A --field-selector=status.phase=Queued".to_owned()];
    page
}

fn capacity(visit: &Visit, running: usize) -> Markup {
    let room: u32 = visit.index.hosts.values().map(|host| host.spec.capacity.runs).sum();
    html! {
        @if visit.sees(HOSTS, "") && room > 0 {
            p { (running) " of " (room) " places taken on "
                @for (at, host) in visit.index.hosts.values().enumerate() {
                    @if at > 0 { ", " }
                    (object_link(HOSTS, "", &host.metadata.name))
                } "." }
        }
    }
}

fn running_part(visit: &Visit, running: &[&RunSummary]) -> Markup {
    html! {
        section.card aria-label="Running" {
            h2 { "Running" }
            @if running.is_empty() { p.muted { "Nothing runs." } } @else {
                ul.rows {
                    @for run in running {
                        li {
                            span.line { (object_link(RUNS, &run.namespace, &run.name)) " " (picture::rungs(run))
                                @if run.cancel { " " (pill(Tone::Quiet, "being cancelled")) } }
                            span.why { (run_source(run)) @if let Some(step) = &run.step { " · " (step) } }
                            span.took { (run_time(run, visit.now)) " " (deed(visit, Deed::Cancel, RUNS, &run.namespace, &run.name)) }
                        }
                    }
                }
            }
        }
    }
}

fn waiting_part(visit: &Visit, waiting: &[&RunSummary]) -> Markup {
    html! {
        section.card aria-label="Waiting" {
            h2 { "Waiting " span.tally { (waiting.len()) } }
            @if waiting.is_empty() {
                (empty("Nobody waits", "A run that is asked for now begins at once."))
            } @else {
                ol.rows {
                    @for run in waiting.iter().take(WAITING_MAX) {
                        li {
                            span.line {
                                @if let Some((position, _)) = &run.queue { span.step { (position) } " " }
                                (object_link(RUNS, &run.namespace, &run.name))
                            }
                            span.why {
                                @match (&run.unapproved, &run.queue) {
                                    (Some(why), _) => bdi { (why) },
                                    (None, Some((_, reason))) => bdi { (reason) },
                                    (None, None) => "it is being looked at",
                                }
                            }
                            span.took { (ago(&run.created, visit.now)) }
                        }
                    }
                }
                @if waiting.len() > WAITING_MAX { p.muted { "and " (waiting.len() - WAITING_MAX) " more" } }
            }
        }
    }
}
