//! What a commit changes that waits for trust, before somebody approves it.

use std::sync::Arc;

use api_types::status::Status;
use maud::{Markup, html};

use super::approvals::difference;
use crate::actions::Deed;
use crate::index::{RECIPES, RUNS, RunSummary, short};
use crate::review::{Review, ReviewFile};
use crate::route::Place;
use crate::router::not_found;
use crate::view::parts::{ago, deed, object_link, pill, run_source};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page.
///
/// # Errors
/// `NotFound`.
pub(crate) async fn page(visit: &Visit, place: &Place) -> Result<Page, Status> {
    let run = visit.index.run(&place.key()).cloned().ok_or_else(not_found)?;
    let mut page = Page::new(format!("Review of {}", place.name), Section::Approvals);
    page.head = html! {
        p.crumbs { a href="/approvals" { "Approvals" } " / " (object_link(RECIPES, &run.namespace, &run.recipe)) }
        div.title {
            h1 { "What " (object_link(RUNS, &run.namespace, &run.name)) " would run" }
            div.actions {
                @if run.unapproved.is_some() {
                    (deed(visit, Deed::Approve, RUNS, &run.namespace, &run.name))
                    (deed(visit, Deed::Deny, RUNS, &run.namespace, &run.name))
                }
            }
        }
    };
    page.part("facts", facts(visit, &run));
    let looked = match &visit.reviews {
        Some(reviews) => reviews.look(&place.namespace, &place.name).await,
        None => Err("This server does not look at commits.".to_owned()),
    };
    match looked {
        Ok(review) => {
            page.part("findings", findings(&review));
            page.part("files", files(&review));
        }
        Err(why) => page.part("problem", problem(visit, &run, &why)),
    }
    page.commands = vec![
        format!("ccctl why testrun/{} -n {}", place.name, place.namespace),
        format!("ccctl approve {} -n {}", place.name, place.namespace),
        format!("ccctl deny {} -n {}", place.name, place.namespace),
    ];
    Ok(page)
}

fn facts(visit: &Visit, run: &RunSummary) -> Markup {
    html! {
        p { (run_source(run)) " " span.muted { "asked " (ago(&run.created, visit.now)) } }
        @match &run.unapproved {
            Some(why) => p.note.warning { bdi { (why) } },
            None => p.muted { "It does not wait for approval any more." },
        }
        @if let Some(url) = difference(visit, run) {
            p { a href=(url) rel="noreferrer" { "The pull request on the forge" } }
        }
    }
}

fn problem(visit: &Visit, run: &RunSummary, why: &str) -> Markup {
    html! {
        section.card aria-label="What it changes" {
            h2 { "What it changes is not known here" }
            p role="alert" { bdi { (why) } }
            @if let Some(url) = difference(visit, run) {
                p { "Look at it " a href=(url) rel="noreferrer" { "on the forge" } " before you trust it, or load this page again." }
            } @else { p { "Load this page again, or look at the pull request on the forge, before you trust it." } }
        }
    }
}

/// What policy says.
fn findings(review: &Review) -> Markup {
    let refused = review.findings.iter().filter(|finding| finding.is_refused).count();
    html! {
        section.card aria-label="Policy" {
            h2 { "Policy" }
            @if review.findings.is_empty() {
                p { (pill(Tone::Good, "Nothing found")) " What it deploys stays within what everybody may do." }
            } @else if refused > 0 {
                p { (pill(Tone::Bad, "Refused")) " An approval alone does not let it run: " (words::count(refused, "thing is", "things are"))
                    " not allowed. A maintainer permits them in " code { "spec.trust.allow" } " of the Recipe." }
            } @else {
                p { (pill(Tone::Warning, "To note")) " It may run once it is approved." }
            }
            ul.findings {
                @for finding in &review.findings {
                    li { (if finding.is_refused { pill(Tone::Bad, "refused") } else { pill(Tone::Warning, "note") }) " " bdi { (finding.text) } }
                }
            }
        }
    }
}

fn files(review: &Review) -> Markup {
    let (decide, others): (Vec<&ReviewFile>, Vec<&ReviewFile>) =
        review.files.iter().partition(|file| file.why.is_some());
    html! {
        section aria-label="Changed files" {
            h2 { "Files that decide what runs " span.tally { (decide.len()) } }
            p.muted { "Commit " code { (review.commit) } ", compared with where it left " bdi.mono { (review.branch) } " (" code { (short(&review.base)) } ")." }
            @if decide.is_empty() { p { "None of them is changed." } }
            @for file in &decide { (difference_of(file, true)) }
            @if !others.is_empty() {
                h2 { "Other files " span.tally { (others.len()) } }
                @for file in &others { (difference_of(file, false)) }
            }
            @if review.files_left_out > 0 {
                p.note.warning { (words::count(review.files_left_out, "more file is", "more files are")) " changed and not shown: look at the pull request on the forge." }
            }
            @if review.is_cut_off {
                p.note.warning { "The difference is longer than is shown here: look at the pull request on the forge." }
            }
        }
    }
}

fn difference_of(file: &ReviewFile, is_open: bool) -> Markup {
    let count = |sign: char| file.lines.iter().filter(|line| line.starts_with(sign)).count();
    html! {
        details.diff open[is_open] {
            summary {
                bdi.mono { (file.path) } " " span.added { "+" (count('+')) } " " span.removed { "−" (count('-')) }
                @if let Some(why) = file.why { " " span.muted { (why) } }
            }
            pre tabindex="0" aria-label="Difference" {
                @for line in &file.lines {
                    span class=(line_class(line)) { bdi { (line) } } "\n"
                }
            }
            @if file.is_cut_off { p.muted { "More of this file is changed than is shown." } }
        }
    }
}

fn line_class(line: &str) -> &'static str {
    match line.as_bytes().first() {
        Some(b'+') => "add",
        Some(b'-') => "del",
        Some(b'@') => "hunk",
        _ => "same",
    }
}

/// What is known of a review in a line, and the way to it.
pub(crate) fn summary(review: Option<&Arc<Review>>, namespace: &str, name: &str) -> Markup {
    let path = format!("/approvals/{namespace}/{name}");
    html! {
        p {
            a.button href=(path) { "What it changes" }
            @if let Some(review) = review {
                @let decide = review.files.iter().filter(|file| file.why.is_some()).count();
                @let refused = review.findings.iter().filter(|finding| finding.is_refused).count();
                " " (words::count(review.files.len() + review.files_left_out, "file", "files")) ", "
                (words::count(decide, "of them decides", "of them decide")) " what runs"
                @if refused > 0 { " · " (pill(Tone::Bad, "refused by policy")) }
            }
        }
    }
}
