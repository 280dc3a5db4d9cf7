//! The objects around an object: those that it waits for, those that its spec names, those that it owns, and its owners.

use std::collections::HashSet;

use serde_json::Value;

use super::Link;
use super::findings::{Finding, State};
use crate::discovery::ResourceType;
use crate::error::Result;
use crate::fields;
use crate::objects;
use crate::reference::{self, ObjectReference};
use crate::session::Session;

/// Depth of fields in a spec that are searched for references.
const SPEC_DEPTH_MAX: usize = 6;
/// Groups whose objects are never owned by something that can fail.
const GROUPS_WITHOUT_CHILDREN: [&str; 5] = [
    "rbac.authorization.k8s.io",
    "apiextensions.k8s.io",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
];

/// Returns the object that explains `object` best, if any does.
pub(super) async fn next(
    session: &Session,
    reference: &ObjectReference,
    object: &Value,
    visited: &HashSet<String>,
) -> Result<Option<Link>> {
    for (field, target) in waited_for(reference, object) {
        if visited.contains(&target.path()) {
            continue;
        }
        if let Some(link) = visit(session, target, "waits for", &field).await?.filter(is_waited_for) {
            return Ok(Some(link));
        }
    }
    for (field, target) in references(session, reference, &object["spec"]).await? {
        if visited.contains(&target.path()) {
            continue;
        }
        if let Some(link) = visit(session, target, "because", &field).await?.filter(explains) {
            return Ok(Some(link));
        }
    }
    if let Some(link) = worst_child(session, reference, object, visited).await? {
        return Ok(Some(link));
    }
    for owner in owners(session, reference, object).await? {
        if visited.contains(&owner.path()) {
            continue;
        }
        if let Some(link) = visit(session, owner, "its owner", "metadata.ownerReferences").await?.filter(explains) {
            return Ok(Some(link));
        }
    }
    Ok(None)
}

/// Returns the objects of its own kind that an object needs, as far as it says that it waits for them.
fn waited_for(from: &ObjectReference, object: &Value) -> Vec<(String, ObjectReference)> {
    let conditions = fields::conditions(object);
    if !conditions.iter().any(|condition| condition.type_ == "DependenciesReady" && condition.is_bad()) {
        return Vec::new();
    }
    let needed = object["spec"]["dependsOn"].as_array().into_iter().flatten().enumerate();
    let named = needed.map(|(index, needed)| (index, fields::text(needed, "name")));
    named
        .filter(|(_, name)| !name.is_empty())
        .map(|(index, name)| {
            let target = ObjectReference { name: name.to_owned(), ..from.clone() };
            (format!("spec.dependsOn[{index}]"), target)
        })
        .collect()
}

/// Returns whether an object that is needed is not ready. Whatever else it has to complain about keeps nobody waiting.
fn is_waited_for(link: &Link) -> bool {
    let Some(object) = &link.object else { return true };
    let conditions = fields::conditions(object);
    let is_ready = fields::summary(&conditions).is_some_and(|summary| summary.status == "True");
    !is_ready || fields::is_outdated(object) || link.finding.state == State::Terminating
}

fn explains(link: &Link) -> bool {
    link.finding.state != State::Fine
}

/// Reads an object; one that we may not read explains nothing.
async fn visit(session: &Session, reference: ObjectReference, relation: &str, field: &str) -> Result<Option<Link>> {
    let relation = relation.to_owned();
    match objects::fetch(session, &reference).await {
        Ok(object) => {
            let finding = Finding::of(&object, session.now());
            Ok(Some(Link { reference, relation, object: Some(object), finding }))
        }
        Err(error) if error.is_not_found() => {
            Ok(Some(Link { reference, relation, object: None, finding: Finding::missing(field) }))
        }
        Err(error) if error.status.is_some() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds every field of a spec that names another object: `recipeRef`, `tokenSecretRef`, `secretRef`, …
async fn references(session: &Session, from: &ObjectReference, spec: &Value) -> Result<Vec<(String, ObjectReference)>> {
    let discovery = session.discovery().await?;
    let mut fields = Vec::new();
    collect(spec, "spec", SPEC_DEPTH_MAX, &mut fields);
    let mut found = Vec::new();
    for (path, field, value) in fields {
        let (name, kind, namespace) = match &value {
            Value::String(name) => (name.clone(), None, None),
            Value::Object(_) => (
                fields::text(&value, "name").to_owned(),
                value["kind"].as_str().map(str::to_owned),
                value["namespace"].as_str().map(str::to_owned),
            ),
            _ => continue,
        };
        let Some(resource) =
            kind.as_deref().and_then(|kind| discovery.find(kind)).or_else(|| type_of_field(&discovery, &field))
        else {
            continue;
        };
        if name.is_empty() {
            continue;
        }
        let namespace = resource
            .namespaced
            .then(|| namespace.or_else(|| from.namespace.clone()).unwrap_or_else(|| "default".to_owned()));
        found.push((path, ObjectReference { resource: resource.clone(), namespace, name }));
    }
    Ok(found)
}

fn collect(value: &Value, path: &str, depth: usize, found: &mut Vec<(String, String, Value)>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                if name.ends_with("Ref") && name.len() > 3 {
                    found.push((path, name.clone(), field.clone()));
                } else {
                    collect(field, &path, depth - 1, found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{path}[{index}]"), depth - 1, found);
            }
        }
        _ => {}
    }
}

/// Reads the type off a field's name: `flakeBuildRef` names a `FlakeBuild`, `tokenSecretRef` a `Secret`.
fn type_of_field<'types>(discovery: &'types crate::discovery::Discovery, field: &str) -> Option<&'types ResourceType> {
    let name = field.strip_suffix("Ref")?;
    let starts = name.char_indices().filter(|(offset, character)| *offset == 0 || character.is_ascii_uppercase());
    let words: Vec<&str> = starts.map(|(offset, _)| &name[offset..]).collect();
    words.into_iter().find_map(|word| discovery.find(word))
}

/// Returns the owned object that is worst off.
async fn worst_child(
    session: &Session,
    reference: &ObjectReference,
    object: &Value,
    visited: &HashSet<String>,
) -> Result<Option<Link>> {
    let Some(uid) = object["metadata"]["uid"].as_str() else { return Ok(None) };
    let discovery = session.discovery().await?;
    let types = discovery.types.iter().filter(|candidate| {
        candidate.preferred
            && candidate.supports("list")
            && candidate.plural != "events"
            && (reference.namespace.is_none() || candidate.namespaced)
            && !GROUPS_WITHOUT_CHILDREN.contains(&candidate.group.as_str())
    });
    let mut worst: Option<Link> = None;
    for resource in types {
        let items = match objects::list(session, resource, reference.namespace.as_deref()).await {
            Ok(items) => items,
            Err(error) if error.status.is_some() => continue,
            Err(error) => return Err(error),
        };
        for item in items {
            let owners = item["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
            let child = reference::of_object(resource, &item);
            if owners.iter().all(|owner| owner["uid"] != uid) || visited.contains(&child.path()) {
                continue;
            }
            let finding = Finding::of(&item, session.now());
            let is_worse = worst.as_ref().is_none_or(|known| severity(&finding) > severity(&known.finding));
            if finding.state != State::Fine && is_worse {
                worst = Some(Link { reference: child, relation: "because".to_owned(), object: Some(item), finding });
            }
        }
    }
    Ok(worst)
}

fn severity(finding: &Finding) -> u8 {
    match finding.state {
        State::Fine => 0,
        State::Open => 1,
        State::Suspended => 2,
        State::Terminating => 3,
        State::Missing => 4,
        State::Bad => 5,
    }
}

async fn owners(session: &Session, reference: &ObjectReference, object: &Value) -> Result<Vec<ObjectReference>> {
    let mut found = Vec::new();
    for owner in object["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
        let (api_version, kind) = (fields::text(owner, "apiVersion"), fields::text(owner, "kind"));
        if let Some(resource) = session.resource_type_of(api_version, kind).await? {
            let namespace = if resource.namespaced { reference.namespace.clone() } else { None };
            found.push(ObjectReference { namespace, name: fields::text(owner, "name").to_owned(), resource });
        }
    }
    Ok(found)
}
