//! The question whether one is sure, with the form that does it.

use api_types::status::Status;
use maud::{Markup, html};

use crate::actions::Deed;
use crate::index::{APPROVALS, RECIPES, RUNS};
use crate::route::{Place, deed_path, object_path};
use crate::router::not_found;
use crate::view::parts::object_link;
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page; `problem` is what the API said when it was tried.
///
/// # Errors
/// `NotFound` when the object is not there, or nothing of the kind can be done with it.
pub(crate) fn page(
    visit: &Visit,
    deed: Deed,
    key: &str,
    place: &Place,
    problem: Option<&Status>,
) -> Result<Page, Status> {
    let resource = visit.state.registry.get(key).cloned().ok_or_else(not_found)?;
    let object = visit.state.get(key, &place.key()).ok_or_else(|| Status::not_found(&resource.names, &place.name))?;
    if !deed.fits(key) {
        return Err(not_found());
    }
    let is_allowed = deed.is_allowed(visit, key, &place.namespace, &place.name);
    let back = object_path(key, &place.namespace, &place.name);
    let mut page = Page::new(format!("{} {}?", deed.label(), place.name), Section::None);
    page.head = html! { h1 { (deed.label()) " " (object_link(key, &place.namespace, &place.name)) "?" } };
    page.part(
        "form",
        html! {
            @if let Some(status) = problem { (refusal(status)) }
            p { (deed.explained()) }
            @if !is_allowed {
                p.note.warning { "Your role does not allow this. Ask an administrator, or sign in as somebody else." }
            }
            form.card.stack method="post" action=(deed_path(deed, key, &place.namespace, &place.name)) {
                input type="hidden" name="token" value=(visit.form_token);
                input type="hidden" name="uid" value=(object.uid());
                (fields(visit, deed, place))
                div.actions {
                    button class=(if deed.is_grave() { "grave" } else { "primary" }) type="submit" { (deed.label()) }
                    a.button href=(back) { "Back" }
                }
            }
        },
    );
    page.commands = vec![deed.command(&resource, place)];
    Ok(page)
}

fn refusal(status: &Status) -> Markup {
    html! {
        div.note.bad role="alert" {
            p { bdi { (status.message) } }
            @if let Some(details) = status.details.as_ref().filter(|details| !details.causes.is_empty()) {
                ul { @for cause in &details.causes { li { code { (cause.field) } " " bdi { (cause.message) } } } }
            }
        }
    }
}

fn fields(visit: &Visit, deed: Deed, place: &Place) -> Markup {
    match deed {
        Deed::Test => {
            let recipe = visit.index.recipes.get(place.key().as_str());
            let branch = recipe.map_or("main", |recipe| recipe.spec.source.branch.as_str());
            html! {
                label { span { "Branch, tag or version" } input name="ref" value=(branch) required spellcheck="false"; }
                label { span { "How" } select name="lane" { option value="Cold" { "thoroughly" } option value="Quick" { "quickly: a hint" } } }
                label { span { "When it fails" } select name="hold" {
                    option value="" { "take it down at once" } option value="30m" { "keep it 30 minutes for a look" }
                    option value="2h" { "keep it 2 hours" } } }
            }
        }
        Deed::Hold => html! {
            label { span { "When it fails, keep it for" } select name="hold" {
                option value="30m" { "30 minutes" } option value="2h" { "2 hours" } option value="24h" { "a day" }
                option value="" { "not at all" } } }
        },
        Deed::Approve => html! {
            fieldset {
                legend { "For what" }
                label.radio { input type="radio" name="scope" value="Once" checked; span { "this commit" } }
                label.radio { input type="radio" name="scope" value="Author"; span { "this commit, and later pull requests of the same author" } }
            }
            (commit(visit, place))
        },
        Deed::Deny => commit(visit, place),
        Deed::Delete | Deed::Rerun | Deed::Cancel | Deed::Suspend | Deed::Resume => html! {},
    }
}

fn commit(visit: &Visit, place: &Place) -> Markup {
    html! {
        @if let Some(run) = visit.index.run(&place.key()) {
            p { "Commit " code { (run.commit.as_deref().unwrap_or("–")) } " of " (object_link(RECIPES, &run.namespace, &run.recipe)) "." }
            @let sees = visit.sees(APPROVALS, &place.namespace);
            @let given = visit.index.approvals.values().filter(|approval| {
                sees && approval.metadata.namespace == place.namespace && Some(&approval.spec.head_sha) == run.commit.as_ref()
            });
            @for approval in given {
                p.muted { "Approved already: " (object_link(APPROVALS, &approval.metadata.namespace, &approval.metadata.name)) " by " bdi { (approval.spec.approved_by) } }
            }
            p { (object_link(RUNS, &run.namespace, &run.name)) }
        }
    }
}
