//! What waits for trust, and what was trusted.

use api_types::kind::Object as Typed;
use api_types::kinds::approval::Approval;
use maud::{Markup, html};

use crate::actions::Deed;
use crate::index::{APPROVALS, RECIPES, RUNS, RunSummary, short};
use crate::view::parts::{ago, conditions, deed, empty, live_page, object_link, run_source};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Approvals that are listed.
const APPROVALS_MAX: usize = 50;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Approvals", Section::Approvals, &[APPROVALS, RUNS]);
    let sight = visit.sight(RUNS);
    let waiting: Vec<&RunSummary> = visit
        .index
        .active
        .values()
        .filter(|run| run.unapproved.is_some() && sight.sees(&run.namespace))
        .map(|run| &**run)
        .collect();
    page.part("waiting", waiting_part(visit, &waiting));
    let sight = visit.sight(APPROVALS);
    let mut given: Vec<&Typed<Approval>> = visit
        .index
        .approvals
        .values()
        .filter(|approval| sight.sees(&approval.metadata.namespace))
        .map(|approval| &**approval)
        .collect();
    given.sort_by(|left, right| right.metadata.creation_timestamp.cmp(&left.metadata.creation_timestamp));
    page.part("given", given_part(visit, &given));
    page.commands = vec!["ccctl approve TESTRUN".to_owned(), "ccctl deny TESTRUN".to_owned()];
    page
}

fn waiting_part(visit: &Visit, waiting: &[&RunSummary]) -> Markup {
    html! {
        section aria-label="Waiting for approval" {
            h2 { "Waiting for approval " span.tally { (waiting.len()) } }
            @if waiting.is_empty() {
                (empty("Nobody waits", "Runs of people who are not trusted yet would stand here."))
            }
            @for run in waiting {
                article.card {
                    div.title {
                        h3 { (object_link(RECIPES, &run.namespace, &run.recipe)) ": " (run_source(run)) }
                        div.actions {
                            (deed(visit, Deed::Approve, RUNS, &run.namespace, &run.name))
                            (deed(visit, Deed::Deny, RUNS, &run.namespace, &run.name))
                        }
                    }
                    @if let Some(why) = &run.unapproved { p { bdi { (why) } } }
                    p.muted { (object_link(RUNS, &run.namespace, &run.name)) " · asked " (ago(&run.created, visit.now))
                        " · an approval is for this commit alone: a push takes it away" }
                    @if let Some(commit) = &run.commit { p { "Read the commit before you trust it: " code { (commit) } } }
                }
            }
        }
    }
}

fn given_part(visit: &Visit, given: &[&Typed<Approval>]) -> Markup {
    html! {
        section aria-label="Given" {
            h2 { "Given" }
            @if given.is_empty() { p.muted { "None." } } @else {
                div.table-frame tabindex="0" role="group" aria-label="Approvals" {
                    table {
                        thead { tr {
                            th scope="col" { "Approval" } th scope="col" { "Pull request" } th scope="col" { "Commit" }
                            th scope="col" { "For" } th scope="col" { "By" } th.number scope="col" { "Given" }
                        } }
                        tbody {
                            @for approval in given.iter().take(APPROVALS_MAX) {
                                tr {
                                    th scope="row" { (object_link(APPROVALS, &approval.metadata.namespace, &approval.metadata.name)) }
                                    td { bdi { (approval.spec.repository_ref) } " #" (approval.spec.pull_request) }
                                    td { code { (short(&approval.spec.head_sha)) } }
                                    td { (format!("{:?}", approval.spec.scope)) }
                                    td { bdi { (approval.spec.approved_by) } }
                                    td.number { (ago(approval.metadata.creation_timestamp.as_deref().unwrap_or_default(), visit.now)) }
                                }
                            }
                        }
                    }
                }
                @if let [only] = given { (conditions(&only.status.conditions, visit.now)) }
            }
        }
    }
}
