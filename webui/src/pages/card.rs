//! A run's result in one picture that fits into a chat or a page of somebody else's.

use api_types::kind::Object as Typed;
use api_types::kinds::test_run::TestRun;
use api_types::status::Status;
use maud::{Markup, html};

use super::recipe::cap;
use super::run_parts::head_commit;
use super::typed;
use crate::index::{RUNGS, RUNS, RunSummary};
use crate::route::{Place, object_path};
use crate::view::parts::{level, pill, run_state};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// The artifact that shows the app's first page.
pub(crate) const SCREENSHOT: &str = "screenshot.png";

/// Returns the page.
///
/// # Errors
/// `NotFound`.
pub(crate) fn page(visit: &Visit, place: &Place) -> Result<Page, Status> {
    let run: Typed<TestRun> = typed::<TestRun>(visit, place)?;
    let short_form = RunSummary::of(&run);
    let mut page = Page::new(format!("{}: summary", place.name), Section::Runs).watching(&[RUNS]);
    page.kind = "card";
    page.head = html! {};
    let shown = run.status.artifacts.iter().any(|artifact| artifact.name == SCREENSHOT);
    let source = format!("/runs/{}/{}/artifacts/{SCREENSHOT}", place.namespace, place.name);
    page.part("card", card(visit, &run, &short_form, shown.then_some(source.as_str())));
    page.commands = vec![format!("ccctl get testrun/{} -n {} -o wide", place.name, place.namespace)];
    Ok(page)
}

/// Returns the card of a run for a picture of it; `screenshot` is where the app's own is taken from.
///
/// # Errors
/// `NotFound`.
pub(crate) fn card_with(visit: &Visit, place: &Place, screenshot: Option<&str>) -> Result<Markup, Status> {
    let run: Typed<TestRun> = typed::<TestRun>(visit, place)?;
    Ok(card(visit, &run, &RunSummary::of(&run), screenshot))
}

fn card(visit: &Visit, run: &Typed<TestRun>, short_form: &RunSummary, screenshot: Option<&str>) -> Markup {
    let version = run.status.head.as_ref().and_then(|head| head.version.clone());
    let (namespace, name) = (&run.metadata.namespace, &run.metadata.name);
    html! {
        article.summary-card {
            header {
                h1 { (run.spec.recipe_ref) } " " (level(run.status.level)) " " (run_state(short_form))
                p.muted { @if let Some(version) = &version { bdi.mono { (version) } " " }
                    @if let Some(commit) = head_commit(run) { code { (commit) } }
                    @if let Some(seconds) = short_form.seconds(visit.now) { " · " (words::duration(seconds)) } }
            }
            ol.ladder {
                @for (at, (_, rung)) in RUNGS.iter().enumerate() {
                    @let (tone, word) = short_form.rungs[at].map_or((Tone::Quiet, "Not run"), |rung| words::rung(rung.status));
                    li class=(tone.class()) { span.step { (at + 1) } span.name { (rung) } (pill(tone, word)) }
                }
            }
            @match screenshot {
                Some(source) => img.screenshot src=(source)
                    alt="The app's first page as the run saw it" width="640" height="400";,
                None => p.placeholder { "No screenshot" },
            }
            @if short_form.is_finished() { p { (cap(short_form)) } }
            p { a href=(object_path(RUNS, namespace, name)) { "The whole run" } }
        }
    }
}
