//! Repositories, and what became of the events that came from them.

use api_types::kind::Object as Typed;
use api_types::kinds::repository::Repository;
use maud::{Markup, html};

use super::apps::ready;
use crate::index::REPOSITORIES;
use crate::view::parts::{ago, empty, live_page, object_link, pairs, pill};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

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
    page.part("inbox", inbox(visit, &found));
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

/// What nothing was done about, of all repositories, newest first.
fn inbox(visit: &Visit, repositories: &[&Typed<Repository>]) -> Markup {
    let mut events: Vec<_> = repositories
        .iter()
        .flat_map(|repository| repository.status.ignored.iter().map(move |event| (repository, event)))
        .collect();
    events.sort_by(|left, right| right.1.at.cmp(&left.1.at));
    html! {
        section aria-label="Inbox" {
            h2 { "Nothing was done about " span.tally { (events.len()) } }
            @if events.is_empty() { p.muted { "Every event so far started something, or was no command." } } @else {
                ul.rows {
                    @for (repository, event) in events.iter().take(50) {
                        li {
                            span.line { (pill(Tone::Quiet, &event.reason)) " " bdi { (repository.metadata.name) }
                                @if let Some(number) = event.pull_request { " #" (number) }
                                " " (format!("{:?}", event.on)) @if let Some(author) = &event.author { " by " bdi { (author) } } }
                            span.why { bdi { (event.message) } }
                            span.took { (ago(&event.at, visit.now)) }
                        }
                    }
                }
                @if events.len() > 50 { p.muted { (words::count(events.len() - 50, "more", "more")) } }
            }
        }
    }
}
