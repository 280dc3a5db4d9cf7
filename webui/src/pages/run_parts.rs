//! Parts of the page of a run: times, tests, services, files, inputs, clean-up, events.

use std::collections::BTreeMap;

use api_types::kind::Object as Typed;
use api_types::kinds::identity::Identity;
use api_types::kinds::test_run::{Lane, Phase, RungName, RungStatus, TestRun};
use jiff::Timestamp;
use maud::{Markup, html};

use super::typed;
use crate::index::{APPS, EVENTS, EventSummary, RUNS, RunSummary, moment, short};
use crate::route::Place;
use crate::view::parts::{ago, going_on, object_link, pairs, pill};
use crate::view::picture;
use crate::view::words::{self, Tone};
use crate::visit::Visit;

/// Runs whose times make what is usual.
const USUAL_OF: usize = 15;
/// Events on the page of an object.
const EVENTS_MAX: usize = 30;

/// The steps with their times, against what is usual.
pub(crate) fn timeline(visit: &Visit, run: &Typed<TestRun>, short_form: &RunSummary) -> Markup {
    let Some(begin) = short_form.started else { return html! {} };
    let whole = short_form.seconds(visit.now).unwrap_or(0).max(1);
    let usual = Usual::of(visit, short_form);
    let per_mille = |at: Timestamp| at.duration_since(begin).as_secs().clamp(0, whole) * 1000 / whole;
    html! {
        section.card aria-label="Times" {
            h2 { "Times" }
            @if let Some(seconds) = usual.whole {
                p.muted { "Usually " (words::duration(seconds)) " (median of " (words::count(usual.runs, "successful run", "successful runs")) "); the marks show what is usual for each step." }
            }
            ol.timeline {
                @for step in run.status.steps.iter() {
                    @if let Some(started) = moment(step.started_at.as_deref()) {
                        @let ended = moment(step.finished_at.as_deref());
                        @let tone = step_tone(step.outcome.as_deref(), ended.is_some());
                        @let median = usual.steps.get(step.name.as_str()).copied();
                        li {
                            span.name { (step.name)
                                @if step.attempts.unwrap_or(1) > 1 { " " span.tag { "try " (step.attempts.unwrap_or(1)) } } }
                            (picture::span(tone.class(), per_mille(started), per_mille(ended.unwrap_or(visit.now)), median.map(|seconds| seconds.min(whole) * 1000 / whole)))
                            span.took { @match ended {
                                Some(ended) => (words::duration(ended.duration_since(started).as_secs())),
                                None => (going_on(started, visit.now)),
                            } }
                            @if let Some(median) = median {
                                span.usually.muted { "usually " (words::duration(median)) }
                            }
                            @if let Some(message) = step.message.as_ref().filter(|_| tone != Tone::Good) {
                                span.why { bdi { (message) } }
                            }
                        }
                    }
                }
            }
            @if run.status.steps.is_empty() { (rung_times(short_form)) }
        }
    }
}

fn step_tone(outcome: Option<&str>, has_ended: bool) -> Tone {
    match (outcome, has_ended) {
        (_, false) => Tone::Busy,
        (Some("Done") | None, true) => Tone::Good,
        (Some("Failed" | "Fail"), true) => Tone::Bad,
        (Some(_), true) => Tone::Warning,
    }
}

fn rung_times(run: &RunSummary) -> Markup {
    html! {
        ol.timeline {
            @for ((_, name), rung) in crate::index::RUNGS.iter().zip(run.rungs) {
                @if let Some(seconds) = rung.and_then(|rung| rung.seconds) {
                    li { span.name { (name) } span.took { (words::duration(seconds)) } }
                }
            }
        }
    }
}

/// How long the last successful runs of the same recipe and lane took: medians, in seconds.
struct Usual<'a> {
    runs: usize,
    whole: Option<i64>,
    steps: BTreeMap<&'a str, i64>,
}

impl<'a> Usual<'a> {
    fn of(visit: &'a Visit, run: &RunSummary) -> Self {
        let same = visit
            .index
            .runs_of_recipe(&run.namespace, &run.recipe)
            .filter(|other| other.phase == Phase::Succeeded && other.lane == run.lane && other.name != run.name);
        let same: Vec<_> = same.take(USUAL_OF).collect();
        let mut of_steps: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for (name, seconds) in same.iter().flat_map(|other| &other.times) {
            of_steps.entry(name).or_default().push(i64::from(*seconds));
        }
        let steps = of_steps.into_iter().filter_map(|(name, times)| Some((name, median(times)?))).collect();
        let whole = median(same.iter().filter_map(|other| other.seconds(visit.now)).collect());
        Self { runs: same.len(), whole, steps }
    }
}

/// Returns the middle of some times; of an even number of them the later of the two in the middle.
fn median(mut times: Vec<i64>) -> Option<i64> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// Every check and test, those that failed first.
pub(crate) fn tests(run: &Typed<TestRun>) -> Markup {
    let mut sorted: Vec<_> = run.status.tests.iter().collect();
    sorted.sort_by_key(|test| match test.status {
        RungStatus::Fail => 0,
        RungStatus::Unverified => 1,
        RungStatus::Pass | RungStatus::Skip => 2,
    });
    html! {
        @if !sorted.is_empty() {
            section aria-label="Tests" {
                h2 { "Tests " span.tally { (sorted.len()) } }
                div.table-frame tabindex="0" role="group" aria-label="Tests" {
                    table {
                        thead { tr {
                            th scope="col" { "Test" } th scope="col" { "Rung" } th scope="col" { "Result" }
                            th scope="col" { "What happened" } th.number scope="col" { "Took" }
                        } }
                        tbody {
                            @for test in sorted {
                                @let (tone, word) = words::rung(test.status);
                                tr {
                                    th scope="row" { bdi { (test.name) } }
                                    td { (rung_word(test.stage)) }
                                    td { (pill(tone, word)) }
                                    td.prose { @if let Some(message) = &test.message { bdi { (message) } } }
                                    td.number { @if let Some(time) = test.duration_milliseconds { (milliseconds(time)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn rung_word(rung: RungName) -> &'static str {
    crate::index::RUNGS.iter().find(|(name, _)| *name == rung).map_or("", |(_, word)| word)
}

fn milliseconds(time: i64) -> String {
    if time < 10_000 { format!("{time} ms") } else { words::duration(time / 1000) }
}

/// The services of the run's app, while there is one.
pub(crate) fn stack(visit: &Visit, run: &Typed<TestRun>) -> Markup {
    let namespace = &run.metadata.namespace;
    let Some(name) = &run.status.app_ref else { return html! {} };
    // Whoever may read runs need not be allowed to read apps.
    if !visit.may("get", APPS, namespace, name) {
        return html! {};
    }
    let Some(app) = visit.index.apps.get(format!("{namespace}/{name}").as_str()) else { return html! {} };
    html! {
        section.card aria-label="Services" {
            h2 { "Services of " (object_link(APPS, namespace, name)) }
            (super::apps::services(visit, app))
        }
    }
}

/// The files that the run left.
pub(crate) fn artifacts(run: &Typed<TestRun>) -> Markup {
    let found = &run.status.artifacts;
    let path = |file: &str| format!("/runs/{}/{}/artifacts/{file}", run.metadata.namespace, run.metadata.name);
    let picture = found.iter().find(|artifact| artifact.name == "screenshot.png" && artifact.media_type == "image/png");
    html! {
        @if !found.is_empty() {
            section.card aria-label="Artifacts" {
                h2 { "Artifacts" }
                @if let Some(picture) = picture {
                    a href=(path(&picture.name)) {
                        img.screenshot src=(path(&picture.name)) alt="The app's first page as the run saw it" loading="lazy"
                            width="640" height="400";
                    }
                }
                ul.files {
                    @for artifact in found {
                        li { a href=(path(&artifact.name)) { bdi { (artifact.name) } }
                            " " span.muted { (artifact.media_type) ", " (words::bytes(artifact.bytes)) } }
                    }
                }
            }
        }
    }
}

/// What went in, and how it differs from the last green run.
pub(crate) fn inputs(visit: &Visit, run: &Typed<TestRun>) -> Markup {
    let Some(head) = &run.status.head else { return html! {} };
    let green = last_green(visit, run);
    let before: BTreeMap<&str, String> = green
        .iter()
        .filter_map(|green| green.status.head.as_ref())
        .flat_map(|head| head.images.iter().map(|image| (image.service.as_str(), image_text(image))))
        .collect();
    html! {
        section aria-label="Inputs" {
            h2 { "Inputs" }
            (pairs(vec![
                ("Version", html! { bdi.mono { (head.version.as_deref().unwrap_or("–")) } }),
                ("Commit", html! { code { (head.commit.as_deref().unwrap_or("–")) } }),
                ("Compared with", html! { @match &green {
                    Some(green) => { "the last green run, " (object_link(RUNS, &green.metadata.namespace, &green.metadata.name)) },
                    None => "no earlier green run is kept",
                } }),
            ]))
            @if !head.images.is_empty() { (images(head, &before, green.is_some())) }
        }
    }
}

fn images(head: &Identity, before: &BTreeMap<&str, String>, has_green: bool) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Images" {
            table {
                thead { tr { th scope="col" { "Service" } th scope="col" { "Image" } @if has_green { th scope="col" { "Since the last green run" } } } }
                tbody {
                    @for image in &head.images {
                        tr {
                            th scope="row" { (image.service) }
                            td { bdi.mono { (image.image) }
                                @if let Some(digest) = &image.digest { br; code.muted { (digest.get(..19).unwrap_or(digest)) } } }
                            @if has_green {
                                td { @match before.get(image.service.as_str()) {
                                    None => (pill(Tone::Warning, "new")),
                                    Some(old) if *old == image_text(image) => span.muted { "the same" },
                                    Some(old) => { (pill(Tone::Warning, "changed")) " from " bdi.mono { (old) } },
                                } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn image_text(image: &api_types::kinds::identity::ServiceImage) -> String {
    match &image.digest {
        Some(digest) => format!("{} {}", image.image, digest.get(..19).unwrap_or(digest)),
        None => image.image.clone(),
    }
}

/// Returns the last green run before a run, by the rule of the comments on pull requests: from nothing, through every rung,
/// and ended when this one began.
fn last_green(visit: &Visit, run: &Typed<TestRun>) -> Option<Typed<TestRun>> {
    let began = moment(run.status.started_at.as_deref());
    let of_recipe = visit.index.runs_of_recipe(&run.metadata.namespace, &run.spec.recipe_ref);
    let green = of_recipe.filter(|other| {
        other.phase == Phase::Succeeded
            && other.lane == Lane::Cold
            && !other.partial
            && other.name != run.metadata.name
            && other.finished.is_some_and(|ended| began.is_none_or(|began| ended <= began))
    });
    let green = green.max_by_key(|other| (other.finished, &other.name))?;
    typed::<TestRun>(visit, &Place { namespace: green.namespace.clone(), name: green.name.clone() }).ok()
}

/// The proof that nothing is left, or what is.
pub(crate) fn cleanup(run: &Typed<TestRun>) -> Markup {
    let Some(cleanup) = &run.status.cleanup else { return html! {} };
    let is_clean = cleanup.remaining.is_empty() && api_types::condition::is_true(&run.status.conditions, "CleanedUp");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for thing in &cleanup.removed {
        *kinds.entry(thing.split('/').next().unwrap_or("thing")).or_default() += 1;
    }
    let tally: Vec<String> =
        kinds.iter().map(|(kind, count)| words::count(*count, kind, &format!("{kind}s"))).collect();
    html! {
        section.card aria-label="Clean-up" {
            h2 { "Clean-up" }
            @if !cleanup.remaining.is_empty() {
                p { (pill(Tone::Bad, "Left behind")) " " (words::count(cleanup.remaining.len(), "thing is", "things are")) " still there:" }
                ul { @for thing in &cleanup.remaining { li { bdi.mono { (thing) } } } }
            } @else if is_clean {
                p { (pill(Tone::Good, "Proven clean")) " An inventory by label and by name found nothing of this run." }
            } @else {
                p { (pill(Tone::Waiting, "Not proven yet")) }
            }
            @if !cleanup.removed.is_empty() {
                details { summary { (words::count(cleanup.removed.len(), "thing was removed", "things were removed")) " (" (tally.join(", ")) ")" }
                    ul.plain { @for thing in &cleanup.removed { li { bdi.mono { (thing) } } } } }
            }
        }
    }
}

/// The events about an object, newest first.
pub(crate) fn events(visit: &Visit, kind: &str, namespace: &str, name: &str) -> Markup {
    if !visit.sees(EVENTS, namespace) {
        return html! {};
    }
    let found: Vec<&EventSummary> =
        visit.index.events_about(kind, namespace, name).take(EVENTS_MAX).map(|event| &**event).collect();
    html! {
        section aria-label="Events" {
            h2 { "Events" }
            @if found.is_empty() { p.muted { "No events are kept." } } @else {
                ul.events { @for event in found { (event_row(event, visit.now)) } }
            }
        }
    }
}

/// One event as a row.
pub(crate) fn event_row(event: &EventSummary, now: Timestamp) -> Markup {
    let tone = if event.is_warning { Tone::Warning } else { Tone::Quiet };
    html! {
        li {
            span.line { (pill(tone, &event.reason)) @if event.count > 1 { " " span.tag { (event.count) "×" } } }
            span.why { bdi { (event.message) } }
            span.took { (ago(&event.last, now)) }
        }
    }
}

/// Returns the first characters of the tested commit.
pub(crate) fn head_commit(run: &Typed<TestRun>) -> Option<&str> {
    run.status.head.as_ref()?.commit.as_deref().map(short)
}
