//! What waits for trust, and what was trusted.

use api_types::kind::Object as Typed;
use api_types::kinds::approval::Approval;
use maud::{Markup, html};

use super::review;
use crate::actions::Deed;
use crate::index::{APPROVALS, FORGES, RECIPES, REPOSITORIES, RUNS, RunSummary, short};
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
    page.by_command(&[
        ("waiting", "ccctl get testruns -A --field-selector=status.phase=Pending".to_owned()),
        ("given", "ccctl get approvals -A -o wide".to_owned()),
    ]);
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
                    (review::summary(visit.reviews.as_ref().and_then(|reviews| reviews.known(&run.namespace, &run.name)).as_ref(), &run.namespace, &run.name))
                    @if let Some(commit) = &run.commit {
                        p { "Read the commit before you trust it: " code { (commit) }
                            @if let Some(url) = difference(visit, run) {
                                " · " a href=(url) rel="noreferrer" { "what the pull request changes, on the forge" }
                            } }
                    }
                }
            }
        }
    }
}

/// Returns where the forge shows what a run's pull request changes, for readers who may see where it comes from.
pub(crate) fn difference(visit: &Visit, run: &RunSummary) -> Option<String> {
    let number = run.pull_request?;
    let recipe = visit.index.recipes.get(&*run.recipe_key())?;
    let name = recipe.spec.repository_ref.as_ref()?;
    if !visit.sees(REPOSITORIES, &run.namespace) {
        return None;
    }
    let repository = visit.index.repositories.get(format!("{}/{name}", run.namespace).as_str())?;
    let spec = &repository.spec;
    if !visit.may("get", FORGES, "", &spec.forge_ref) {
        return None;
    }
    let forge = visit.state.get(FORGES, &spec.forge_ref)?.value();
    // Admission lets in addresses of the web alone; names on a forge need no escaping.
    let base = forge["spec"]["url"].as_str().filter(|url| url.starts_with("http"))?.trim_end_matches('/').to_owned();
    Some(format!("{base}/{}/{}/pulls/{number}/files", spec.owner, spec.name))
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
