//! Repositories, and what became of the events that came from them.

use api_types::kind::Object as Typed;
use api_types::kinds::repository::{InboxEvent, Repository};
use maud::{Markup, html};

use super::apps::ready;
use crate::index::REPOSITORIES;
use crate::view::parts::{ago, empty, live_page, object_link, pairs, pill};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Events that are listed of each sort.
const EVENTS_MAX: usize = 50;

/// Events with the names of their repositories.
type Inbox<'a> = Vec<(&'a str, &'a InboxEvent)>;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Repositories", Section::Repositories, &[REPOSITORIES]);
    let sight = visit.sight(REPOSITORIES);
    let found: Vec<&Typed<Repository>> = visit
        .index
        .repositories
        .values()
        .filter(|repository| sight.sees(&repository.metadata.namespace))
        .map(|repository| &**repository)
        .collect();
    page.part(
        "repositories",
        html! {
            @if found.is_empty() {
                (empty("No repositories", "A Repository is watched for comments, tags, pushes and times."))
            }
            @for repository in &found { (one(visit, repository)) }
        },
    );
    let handled = inbox(&found, |repository| &repository.status.handled);
    let none = "No event has started anything yet.";
    page.part("handled", inbox_part(visit, "Something was done about", none, Tone::Good, &handled));
    let ignored = inbox(&found, |repository| &repository.status.ignored);
    let none = "Every event so far started something, or was no command.";
    page.part("inbox", inbox_part(visit, "Nothing was done about", none, Tone::Quiet, &ignored));
    page.by_command(&[("inbox", "ccctl inbox".to_owned()), ("handled", "ccctl inbox".to_owned())]);
    page.commands = vec!["ccctl get repositories -A -o wide".to_owned()];
    page
}

fn one(visit: &Visit, repository: &Typed<Repository>) -> Markup {
    let (spec, status) = (&repository.spec, &repository.status);
    let counts = &status.counts;
    html! {
        article.card {
            h2 { (object_link(REPOSITORIES, &repository.metadata.namespace, &repository.metadata.name)) " "
                (ready(&status.conditions, repository.is_being_deleted(), spec.suspend)) }
            (pairs(vec![
                ("On the forge", html! { bdi.mono { (spec.owner) "/" (spec.name) } " at " bdi { (spec.forge_ref) } }),
                ("Asked", html! { (ago(status.last_polled.as_deref().unwrap_or_default(), visit.now)) ", every " (spec.poll_interval.as_str()) }),
                ("Events", html! { (counts.seen) " read, " (counts.accepted) " started something, " (counts.rejected)
                    " by somebody who may not, " (counts.ignored) " were no commands" }),
                ("Polls without answer", html! { (counts.failed_polls) }),
            ]))
        }
    }
}

/// Returns events of all repositories, newest first.
fn inbox<'a>(repositories: &[&'a Typed<Repository>], list: fn(&'a Typed<Repository>) -> &'a [InboxEvent]) -> Inbox<'a> {
    let mut events: Inbox<'a> = repositories
        .iter()
        .flat_map(|repository| list(repository).iter().map(|event| (repository.metadata.name.as_str(), event)))
        .collect();
    events.sort_by(|left, right| right.1.at.cmp(&left.1.at));
    events
}

/// One list of events: `tone` is that of what became of them.
fn inbox_part(visit: &Visit, title: &str, none: &str, tone: Tone, events: &Inbox<'_>) -> Markup {
    html! {
        section aria-label=(title) {
            h2 { (title) " " span.tally { (events.len()) } }
            @if events.is_empty() { p.muted { (none) } } @else {
                ul.rows {
                    @for (repository, event) in events.iter().take(EVENTS_MAX) {
                        li {
                            span.line { (pill(tone, &event.reason)) " " bdi { (repository) }
                                @if let Some(number) = event.pull_request { " #" (number) }
                                " " (format!("{:?}", event.on)) @if let Some(author) = &event.author { " by " bdi { (author) } } }
                            span.why { bdi { (event.message) } }
                            span.took { (ago(&event.at, visit.now)) }
                        }
                    }
                }
                @if events.len() > EVENTS_MAX { p.muted { (words::count(events.len() - EVENTS_MAX, "more", "more")) } }
            }
        }
    }
}
