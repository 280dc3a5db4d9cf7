//! Every kind there is, and the objects of any of them, with the columns that the command line prints.

use std::sync::Arc;

use api_types::status::Status;
use api_types::table::TablePlan;
use maud::{Markup, html};
use serde_json::Value;
use store::object::Object;
use store::registry::{Origin, Resource};

use super::{ROWS_MAX, page_number};
use crate::route::{kind_path, object_path};
use crate::router::not_found;
use crate::view::parts::{empty, filters, live_page, namespace_choice, pager};
use crate::view::words::count;
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page of all kinds.
pub(crate) fn all(visit: &Visit) -> Page {
    let mut page = Page::new("All kinds", Section::Kinds);
    let belongs = |title: &str, resource: &Resource| match title {
        "Ours" => resource.names.group == api_types::meta::GROUP,
        "Yours" => resource.origin == Origin::Definition && resource.names.group != api_types::meta::GROUP,
        _ => resource.origin == Origin::BuiltIn,
    };
    page.part("kinds", html! {
        @for title in ["Ours", "Yours", "Kubernetes' own"] {
            @let kinds: Vec<&Arc<Resource>> = visit.state.registry.iter().filter(|resource| belongs(title, resource)).collect();
            @if !kinds.is_empty() {
                section aria-label=(title) {
                    h2 { (title) }
                    ul.kinds {
                        @for resource in kinds { (kind(visit, resource)) }
                    }
                }
            }
        }
    });
    page.commands = vec!["ccctl api-resources".to_owned()];
    page
}

fn kind(visit: &Visit, resource: &Resource) -> Markup {
    let sight = visit.sight(&resource.key);
    html! {
        li {
            @if sight.is_blind() {
                span { (resource.names.kind) } span.muted { "not for you" }
            } @else {
                a href=(format!("/kinds/{}", resource.key)) { (resource.names.kind) }
                span.muted {
                    @if sight.sees("") { (count(visit.state.count(&resource.key), "object", "objects")) }
                }
            }
        }
    }
}

/// Returns the page of one kind's objects.
///
/// # Errors
/// `NotFound` when there is no such kind.
pub(crate) fn one(visit: &Visit, key: &str) -> Result<Page, Status> {
    let resource = visit.state.registry.get(key).cloned().ok_or_else(not_found)?;
    let sight = visit.sight(key);
    let mut page = live_page(&resource.names.kind, Section::Kinds, &[]);
    page.watches = vec![key.to_owned()];
    page.head = html! {
        p.crumbs { a href="/kinds" { "All kinds" } }
        h1 { (resource.names.kind) }
        (filters(visit, &html! {
            label { span { "Name" } input type="search" name="q" value=(visit.parameter("q")); }
            @if resource.is_namespaced() { (namespace_choice(visit)) }
        }))
    };
    let (wanted, namespace) = (visit.parameter("q"), visit.parameter("namespace"));
    let from = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let at = page_number(visit);
    let found = visit.state.objects_from(key, &from).take_while(|object| object.key().starts_with(&from));
    let found = found.filter(|object| sight.sees(object.namespace()) && object.name().contains(wanted));
    let found: Vec<&Arc<Object>> = found.skip(at * ROWS_MAX).take(ROWS_MAX + 1).collect();
    page.part(
        "objects",
        html! {
            @if found.is_empty() { (empty("Nothing here", "There is no such object, or you may not see it.")) } @else {
                (table(visit, &resource, &found[..found.len().min(ROWS_MAX)]))
                (pager(visit, at, found.len() > ROWS_MAX))
            }
        },
    );
    let everywhere = if resource.is_namespaced() { " -A" } else { "" };
    page.commands = vec![
        format!("ccctl get {}{everywhere}", resource.names.plural),
        format!("ccctl explain {}", resource.names.plural),
    ];
    Ok(page)
}

fn table(visit: &Visit, resource: &Resource, objects: &[&Arc<Object>]) -> Markup {
    let plan = TablePlan::new(&resource.storage_version().columns);
    let shown: Vec<usize> =
        (1..plan.column_definitions().len()).filter(|at| plan.column_definitions()[*at].priority == 0).collect();
    let is_own = resource.names.group == api_types::meta::GROUP;
    html! {
        div.table-frame tabindex="0" role="group" aria-label=(resource.names.kind) {
            table {
                thead { tr {
                    th scope="col" { "Name" }
                    @if resource.is_namespaced() { th scope="col" { "Namespace" } }
                    @for at in &shown { th scope="col" title=(plan.column_definitions()[*at].description) { (plan.column_definitions()[*at].name) } }
                } }
                tbody {
                    @for object in objects {
                        @let cells = plan.cells(&object.value(), visit.now);
                        @let path = if is_own { object_path(&resource.key, object.namespace(), object.name()) } else { kind_path(&resource.key, object.namespace(), object.name()) };
                        tr {
                            th scope="row" { a href=(path) { (object.name()) } }
                            @if resource.is_namespaced() { td { (object.namespace()) } }
                            @for at in &shown { td { bdi { (cell(cells.get(*at))) } } }
                        }
                    }
                }
            }
        }
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
