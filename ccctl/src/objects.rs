//! Reading objects: one, a list in pages, the events about one.

use serde_json::Value;

use crate::client::request::ApiRequest;
use crate::discovery::ResourceType;
use crate::error::Result;
use crate::reference::ObjectReference;
use crate::session::Session;

/// Objects to ask for at once.
pub const PAGE: u32 = 500;

/// Reads one object.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn fetch(session: &Session, reference: &ObjectReference) -> Result<Value> {
    session.client()?.json(ApiRequest::get(reference.path())).await
}

/// Reads every page of a list or table into one; a `page` of 0 asks for everything at once.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn list_pages(session: &Session, request: ApiRequest, page: u32) -> Result<Value> {
    let first = match page {
        0 => request.clone(),
        page => request.clone().query("limit", page.to_string()),
    };
    let mut whole = session.client()?.json(first).await?;
    let field = if whole["kind"] == "Table" { "rows" } else { "items" };
    while let Some(token) = next_page(&whole) {
        let next = request.clone().query("limit", page.to_string()).query("continue", token);
        let mut part = session.client()?.json(next).await?;
        let mut rows = part[field].take();
        if let (Some(all), Some(more)) = (whole[field].as_array_mut(), rows.as_array_mut()) {
            all.append(more);
        }
        whole["metadata"] = part["metadata"].take();
    }
    Ok(whole)
}

fn next_page(list: &Value) -> Option<String> {
    list["metadata"]["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned)
}

/// Reads every object of a type.
///
/// # Errors
/// The server cannot be reached or refuses.
pub async fn list(session: &Session, resource: &ResourceType, namespace: Option<&str>) -> Result<Vec<Value>> {
    let mut list = list_pages(session, ApiRequest::get(resource.collection_path(namespace)), PAGE).await?;
    let mut items = match list["items"].take() {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    for item in &mut items {
        complete(item, resource);
    }
    Ok(items)
}

/// Fills in `apiVersion` and `kind`, which the server leaves out of the items of some lists.
pub fn complete(item: &mut Value, resource: &ResourceType) {
    let Some(fields) = item.as_object_mut() else { return };
    fields.entry("apiVersion").or_insert_with(|| Value::from(resource.api_version()));
    fields.entry("kind").or_insert_with(|| Value::from(resource.kind.clone()));
}

/// Returns the path of the events of a namespace; those of cluster-scoped objects live in `default`.
#[must_use]
pub fn events_path(namespace: Option<&str>) -> String {
    format!("/api/v1/namespaces/{}/events", crate::client::request::segment(namespace.unwrap_or("default")))
}

/// Reads the events about one object, oldest first. A server without events has none.
///
/// # Errors
/// The server cannot be reached.
pub async fn events_about(session: &Session, reference: &ObjectReference, object: &Value) -> Result<Vec<Value>> {
    let mut selector = vec![
        format!("involvedObject.name={}", reference.name),
        format!("involvedObject.kind={}", reference.resource.kind),
    ];
    selector.extend(reference.namespace.iter().map(|namespace| format!("involvedObject.namespace={namespace}")));
    selector.extend(object["metadata"]["uid"].as_str().map(|uid| format!("involvedObject.uid={uid}")));
    let request =
        ApiRequest::get(events_path(reference.namespace.as_deref())).query("fieldSelector", selector.join(","));
    let mut list = match list_pages(session, request, PAGE).await {
        Ok(list) => list,
        Err(error) if error.status.is_some() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut events = match list["items"].take() {
        Value::Array(events) => events,
        _ => Vec::new(),
    };
    events.sort_by_key(event_time);
    Ok(events)
}

/// Returns when an event was last seen.
#[must_use]
pub fn event_time(event: &Value) -> Option<String> {
    let nested = event["series"]["lastObservedTime"].as_str();
    nested
        .or_else(|| {
            ["lastTimestamp", "eventTime", "firstTimestamp"].into_iter().find_map(|field| event[field].as_str())
        })
        .or_else(|| event["metadata"]["creationTimestamp"].as_str())
        .map(str::to_owned)
}

/// Returns when an event was first seen.
#[must_use]
pub fn event_first_time(event: &Value) -> Option<String> {
    ["firstTimestamp", "eventTime"]
        .into_iter()
        .find_map(|field| event[field].as_str())
        .map(str::to_owned)
        .or_else(|| event_time(event))
}

/// Returns how often an event was seen.
#[must_use]
pub fn event_count(event: &Value) -> u64 {
    event["series"]["count"].as_u64().or_else(|| event["count"].as_u64()).unwrap_or(1)
}
