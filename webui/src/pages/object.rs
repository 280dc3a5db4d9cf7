//! Any object of any kind: its conditions, its owners and what it owns, its events, its YAML.

use api_types::condition::Condition;
use api_types::kind::Object as Typed;
use api_types::kinds::app::App;
use api_types::status::Status;
use maud::{Markup, html};
use serde_json::Value;
use store::registry::{EVENTS, Resource};

use super::run_parts::events;
use crate::actions::Deed;
use crate::route::{Place, object_path};
use crate::router::not_found;
use crate::view::parts::{ago, conditions, deed, live_page, pairs, pill};
use crate::view::words::Tone;
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Children that are listed.
const CHILDREN_MAX: usize = 50;
/// How far up owners are followed.
const DEPTH_MAX: usize = 8;

/// Returns the page.
///
/// # Errors
/// `NotFound`.
pub(crate) fn page(visit: &Visit, key: &str, place: &Place) -> Result<Page, Status> {
    let resource = visit.state.registry.get(key).cloned().ok_or_else(not_found)?;
    let object =
        visit.state.get(key, &place.key()).ok_or_else(|| Status::not_found(&resource.names, &place.name))?.value();
    let mut page = live_page(&place.name, section(key), &[]);
    page.watches = vec![key.to_owned(), EVENTS.to_owned()];
    page.head = html! {
        p.crumbs { a href=(format!("/kinds/{key}")) { (resource.names.kind) }
            @if !place.namespace.is_empty() { " / " (place.namespace) } }
    };
    page.part("top", top(visit, &resource, place, &object));
    if let Some(found) = read_conditions(&object) {
        page.part(
            "state",
            html! {
                section aria-label="Conditions" { h2 { "Conditions" } (conditions(&found, visit.now)) }
            },
        );
    }
    if key == crate::index::APPS
        && let Some(app) = visit.index.apps.get(place.key().as_str())
    {
        app_parts(&mut page, visit, app);
    }
    page.part("family", family(visit, &object));
    page.part("events", events(visit, &resource.names.kind, &place.namespace, &place.name));
    page.part("yaml", yaml(key, object));
    let within = if place.namespace.is_empty() { String::new() } else { format!(" -n {}", place.namespace) };
    let word = format!("{}/{}", resource.singular, place.name);
    page.by_command(&[
        ("state", format!("ccctl describe {word}{within}")),
        ("events", format!("ccctl events{within} --for {word}")),
        ("yaml", format!("ccctl get {word}{within} -o yaml")),
    ]);
    page.commands = vec![
        format!("ccctl get {word}{within} -o yaml"),
        format!("ccctl why {word}{within}"),
        format!("ccctl edit {word}{within}"),
    ];
    Ok(page)
}

/// Adds what is told of an App alone.
fn app_parts(page: &mut Page, visit: &Visit, app: &Typed<App>) {
    let titled = |title: &str, content: Markup| {
        html! { section aria-label=(title) { h2 { (title) } (content) } }
    };
    if let Some(updates) = super::apps::updates(app) {
        page.part("updates", titled("Updates", updates));
    }
    if let Some(neighbours) = super::apps::neighbours(visit, app) {
        page.part("neighbours", titled("Dependencies", neighbours));
    }
    if let Some(secrets) = super::apps::secrets(visit, app) {
        page.part("secrets", titled("Secrets", secrets));
    }
    page.part("services", titled("Services", super::apps::services(visit, app)));
}

fn section(key: &str) -> Section {
    use crate::index::{APPROVALS, APPS, CERTIFICATES, HOSTS, RECIPES, REPOSITORIES, RUNS};
    match key {
        APPROVALS => Section::Approvals,
        APPS => Section::Apps,
        CERTIFICATES => Section::Certificates,
        HOSTS => Section::Hosts,
        RECIPES => Section::Recipes,
        REPOSITORIES => Section::Repositories,
        RUNS => Section::Runs,
        _ => Section::Kinds,
    }
}

fn top(visit: &Visit, resource: &Resource, place: &Place, object: &Value) -> Markup {
    let metadata = &object["metadata"];
    let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
    let own_page = object_path(&resource.key, &place.namespace, &place.name);
    let is_suspended = object["spec"]["suspend"] == true;
    let action = |what| deed(visit, what, &resource.key, &place.namespace, &place.name);
    html! {
        div.title {
            h1 { (place.name) @if is_suspended { " " (pill(Tone::Quiet, "Suspended")) } }
            div.actions {
                @if own_page != visit.path && !own_page.starts_with("/kinds/") { a.button href=(own_page) { "Its page" } }
                @if resource.names.group == api_types::meta::GROUP {
                    @if is_suspended { (action(Deed::Resume)) } @else { (action(Deed::Suspend)) }
                }
                (action(Deed::Delete))
            }
        }
        @if let Some(since) = metadata["deletionTimestamp"].as_str() {
            p.note.warning { "It is being deleted since " (ago(since, visit.now)) "; it goes when its finalizers are gone." }
        }
        (pairs(vec![
            ("Kind", html! { (resource.names.kind) " " code { (object["apiVersion"].as_str().unwrap_or_default()) } }),
            ("Created", html! { (ago(&text("creationTimestamp"), visit.now)) }),
            ("Generation", html! { (metadata["generation"].as_i64().unwrap_or(0)) }),
            ("Labels", words(&metadata["labels"])),
            ("Finalizers", html! { @match metadata["finalizers"].as_array() {
                Some(all) => { @for one in all { span.tag { (one.as_str().unwrap_or_default()) } " " } }, None => "none" } }),
            ("UID", html! { code { (text("uid")) } }),
        ]))
    }
}

fn words(labels: &Value) -> Markup {
    html! {
        @match labels.as_object().filter(|labels| !labels.is_empty()) {
            Some(labels) => { @for (key, value) in labels { span.tag { (key) "=" (value.as_str().unwrap_or_default()) } " " } },
            None => "none",
        }
    }
}

fn read_conditions(object: &Value) -> Option<Vec<Condition>> {
    let conditions = object["status"]["conditions"].as_array()?;
    Some(conditions.iter().filter_map(|condition| serde_json::from_value(condition.clone()).ok()).collect())
}

/// Who owns it, up to the root, and what it owns.
fn family(visit: &Visit, object: &Value) -> Markup {
    let mut owners = Vec::new();
    let mut at = object.clone();
    while owners.len() < DEPTH_MAX {
        let Some(owner) = at["metadata"]["ownerReferences"].as_array().and_then(|owners| owners.first()).cloned()
        else {
            break;
        };
        let namespace = at["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let Some((path, found)) = find_owner(visit, &owner, &namespace) else {
            owners.push((None, owner));
            break;
        };
        owners.push((Some(path), owner));
        at = found;
    }
    let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
    let children: Vec<(&str, &str)> = visit
        .index
        .children
        .get(uid)
        .into_iter()
        .flat_map(|children| children.iter())
        .map(|(resource, key)| (&**resource, &**key))
        .filter(|(resource, key)| visit.sees(resource, key.split_once('/').map_or("", |(namespace, _)| namespace)))
        .collect();
    html! {
        @if !owners.is_empty() || !children.is_empty() {
            section aria-label="Family" {
                h2 { "Family" }
                ul.tree {
                    @for (path, owner) in owners.iter().rev() {
                        li { @match path {
                            Some(path) => a href=(path) { (owner_name(owner)) },
                            None => { bdi { (owner_name(owner)) } " " span.muted { "(gone, or not for you)" } },
                        } " owns" }
                    }
                    li { strong { "this object" } @if !children.is_empty() { ", which owns" } }
                    @for (resource, key) in children.iter().take(CHILDREN_MAX) {
                        @let (namespace, name) = key.split_once('/').unwrap_or(("", key));
                        li.child { a href=(object_path(resource, namespace, name)) { (kind_of(visit, resource)) "/" (name) } }
                    }
                    @if children.len() > CHILDREN_MAX { li.child { "and " (children.len() - CHILDREN_MAX) " more" } }
                }
            }
        }
    }
}

fn owner_name(owner: &Value) -> String {
    format!("{}/{}", owner["kind"].as_str().unwrap_or_default(), owner["name"].as_str().unwrap_or_default())
}

fn kind_of<'a>(visit: &'a Visit, resource: &'a str) -> &'a str {
    visit.state.registry.get(resource).map_or(resource, |resource| resource.names.kind.as_str())
}

/// Finds an owner by its identity: another object may have its name by now.
fn find_owner(visit: &Visit, owner: &Value, namespace: &str) -> Option<(String, Value)> {
    let api_version = owner["apiVersion"].as_str()?;
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let resource = visit.state.registry.find_kind(group, owner["kind"].as_str()?)?;
    let namespace = if resource.is_namespaced() { namespace } else { "" };
    let place = Place { namespace: namespace.to_owned(), name: owner["name"].as_str()?.to_owned() };
    if !visit.may("get", &resource.key, namespace, &place.name) {
        return None;
    }
    let found = visit.state.get(&resource.key, &place.key())?;
    (found.uid() == owner["uid"].as_str()?).then(|| (object_path(&resource.key, namespace, &place.name), found.value()))
}

fn yaml(key: &str, mut object: Value) -> Markup {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    let is_secret = key == "secrets";
    if is_secret {
        hide(&mut object);
    }
    let text = serde_saphyr::to_string(&object).unwrap_or_else(|error| format!("# it cannot be written: {error}"));
    html! {
        section aria-label="YAML" {
            div.title { h2 { "YAML" } div.actions { button.small type="button" data-copy-from="yaml-text" hidden { "Copy" } } }
            @if is_secret { p.muted { "Values of secrets are never shown here." } }
            pre.yaml #yaml-text tabindex="0" { (text) }
        }
    }
}

/// Puts the length of each secret value in its place, also where an earlier `apply` repeated it.
fn hide(object: &mut Value) {
    for field in ["data", "stringData"] {
        for value in object[field].as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
            *value = Value::from(format!("({} characters, hidden)", value.as_str().unwrap_or_default().len()));
        }
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}
