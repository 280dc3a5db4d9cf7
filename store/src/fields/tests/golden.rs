//! Replays recordings of a real kube-apiserver: each write's recorded input through our functions, compared with the
//! recorded answer, times included.

use std::collections::HashMap;

use api_types::schema::Schema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fields::{Writer, apply, same_but_for_times, scale, track_create, track_update};
use crate::patch::{json_patch, merge_patch, require_object, strategic_merge_patch};

/// One recorded request and its answer.
#[derive(Deserialize)]
struct Step {
    step: String,
    method: String,
    path: String,
    content_type: Option<String>,
    body: Option<String>,
    status: u16,
    response: Value,
}

/// Answers that other parts of the store give: the address, the manager's name, the object's version and absence.
const ELSEWHERE: [&str; 8] = [
    "ssa no manager",
    "ssa no name",
    "ssa name mismatch",
    "ssa rv mismatch",
    "ssa status missing obj",
    "ssa create uid",
    "ssa yaml multi",
    "ssa no kind",
];

/// A recorded kind: how it merges, and what every object of it has.
struct Kind {
    schema: Schema,
    empty: Value,
    has_status: bool,
}

#[test]
fn every_recorded_write_has_the_recorded_owners_and_content() {
    let mut live: HashMap<String, Value> = HashMap::new();
    let mut replayed = 0;
    for line in include_str!("golden.jsonl").lines() {
        let step: Step = serde_json::from_str(line).unwrap();
        if ELSEWHERE.contains(&step.step.as_str()) {
            continue;
        }
        let is_error = step.response["kind"] == "Status";
        let is_write = matches!(step.method.as_str(), "POST" | "PUT" | "PATCH");
        if is_write {
            if let Some(parent) = replay(&step, &live) {
                live.insert(object_key(&parent), parent);
            }
            replayed += 1;
        } else if step.step == "scale get after" {
            let parent = &live[&object_key(&step.response)];
            assert_owners(&step, parent);
            assert_eq!(parent["spec"], step.response["spec"]);
        }
        let is_scale = step.response["kind"] == "Scale";
        if !is_error && !is_scale && !step.path.contains("dryRun") {
            live.insert(object_key(&step.response), step.response);
        }
    }
    assert_eq!(replayed, 89, "every recorded write is replayed");
}

/// Returns the parent after a write of its scale, whose recorded answer shows a `Scale` only.
fn replay(step: &Step, live: &HashMap<String, Value>) -> Option<Value> {
    let (item, subresource) = address(&step.path);
    let kind = kind_of(&item);
    let now = newest_time(&step.response);
    let body = step.body.as_deref().map(parse).unwrap_or_default();
    let manager = step.path.split_once("fieldManager=").map_or("battery", |(_, rest)| rest.split('&').next().unwrap());
    let api_version = match subresource.as_str() {
        "scale" => "autoscaling/v1".to_owned(),
        _ => item.api_version.clone(),
    };
    let kind_name = step.response["kind"].as_str().filter(|kind| *kind != "Status").unwrap_or("Recipe").to_owned();
    let writer = Writer {
        schema: &kind.schema,
        api_version: &api_version,
        kind: &kind_name,
        manager,
        subresource: &subresource,
        now: &now,
        has_status_subresource: kind.has_status,
    };
    let old = item.name.as_ref().and_then(|name| live.get(&format!("{}/{}/{name}", item.api_version, item.plural)));
    match step.content_type.as_deref() {
        Some("application/apply-patch+yaml") => replay_apply(step, &writer, old, &body),
        _ if step.method == "POST" => {
            let mut new = without_entries(&step.response);
            if step.step == "create with status" {
                new["status"] = body["status"].clone();
            }
            track_create(&writer, &kind.empty, &mut new);
            assert_owners(step, &new);
        }
        _ if subresource == "scale" => {
            let mut parent = merge_patch(old.unwrap(), &body);
            track_update(&writer, old, &mut parent);
            return Some(parent);
        }
        _ => replay_change(step, &writer, old.unwrap(), &body),
    }
    None
}

fn replay_apply(step: &Step, writer: &Writer<'_>, old: Option<&Value>, body: &Value) {
    let scaled;
    let body = if writer.subresource == "scale" {
        scaled = scale::configuration_for_parent(old.unwrap(), ".spec.replicas", body);
        &scaled
    } else {
        body
    };
    let result = apply(writer, old, body, step.path.contains("force=true"));
    match result {
        Err(status) => {
            let mut wanted = step.response.clone();
            // The recorded server calls a configuration that does not fit its own failure; we call it a bad request.
            if wanted["code"] == 500 {
                wanted["code"] = json!(400);
                wanted["reason"] = json!("BadRequest");
            }
            assert_eq!(serde_json::to_value(&status).unwrap(), wanted, "{}", step.step);
        }
        Ok(mut merged) => {
            assert!(step.status < 300, "{} must fail with {}", step.step, step.response["message"]);
            assert_owners(step, &merged);
            assert_eq!(
                old.is_some_and(|old| same_but_for_times(old, &merged)),
                old.is_some_and(
                    |old| old["metadata"]["resourceVersion"] == step.response["metadata"]["resourceVersion"]
                ),
                "{}: whether anything is written",
                step.step
            );
            complete(&mut merged, &step.response);
            assert_eq!(merged, step.response, "{}", step.step);
        }
    }
}

fn replay_change(step: &Step, writer: &Writer<'_>, old: &Value, body: &Value) {
    let patched = match step.content_type.as_deref() {
        Some("application/merge-patch+json") => require_object(body).map(|()| merge_patch(old, body)),
        Some("application/json-patch+json") => json_patch(old, body),
        Some("application/strategic-merge-patch+json") => strategic_merge_patch(old, body, writer.schema),
        _ => Ok(body.clone()),
    };
    let mut new = match patched {
        Err(status) => return assert_eq!(serde_json::to_value(&status).unwrap(), step.response, "{}", step.step),
        Ok(patched) => patched,
    };
    assert!(step.status < 300, "{} must fail with {}", step.step, step.response["message"]);
    isolate(writer, old, &mut new);
    complete(&mut new, &step.response);
    track_update(writer, Some(old), &mut new);
    assert_owners(step, &new);
    assert_eq!(new, step.response, "{}", step.step);
}

/// Does what admission does around our functions: default, status isolation, system metadata.
fn complete(object: &mut Value, recorded: &Value) {
    if object["spec"]["version"].is_string() && object["spec"]["replicas"].is_null() {
        object["spec"]["replicas"] = json!(1);
    }
    let system = [
        "uid",
        "resourceVersion",
        "creationTimestamp",
        "generation",
        "namespace",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    for name in system {
        match recorded["metadata"].get(name) {
            Some(value) => object["metadata"][name] = value.clone(),
            None => drop(object["metadata"].as_object_mut().unwrap().remove(name)),
        }
    }
    for name in ["finalizers", "labels"] {
        if object["metadata"][name].as_array().is_some_and(Vec::is_empty) {
            object["metadata"].as_object_mut().unwrap().remove(name);
        }
    }
}

fn isolate(writer: &Writer<'_>, old: &Value, new: &mut Value) {
    let from = |source: &Value, target: &mut Value| match source.get("status") {
        Some(status) => target["status"] = status.clone(),
        None => drop(target.as_object_mut().unwrap().remove("status")),
    };
    if writer.subresource == "status" {
        let mut kept = old.clone();
        from(new, &mut kept);
        *new = kept;
    } else if writer.has_status_subresource {
        from(old, new);
    }
}

fn assert_owners(step: &Step, object: &Value) {
    let owners = |object: &Value| object["metadata"].get("managedFields").cloned().unwrap_or_default();
    let show = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    let (found, wanted) = (owners(object), owners(&step.response));
    assert_eq!(found, wanted, "{}: found {} wanted {}", step.step, show(&found), show(&wanted));
}

fn parse(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|_| {
        // The recordings hold one document that is not JSON.
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "metadata": {"name": "s3"},
            "spec": {"version": "1"}})
    })
}

fn without_entries(object: &Value) -> Value {
    let mut bare = object.clone();
    bare["metadata"].as_object_mut().unwrap().remove("managedFields");
    bare
}

fn newest_time(response: &Value) -> String {
    let times = response["metadata"]["managedFields"].as_array().into_iter().flatten();
    times.filter_map(|entry| entry["time"].as_str()).max().unwrap_or("2026-11-21T04:45:48Z").to_owned()
}

fn object_key(object: &Value) -> String {
    let plural = match object["kind"].as_str().unwrap() {
        "Recipe" => "recipes",
        "Namespace" => "namespaces",
        "Foo" => "foos",
        "Lease" => "leases",
        "ConfigMap" => "configmaps",
        "Secret" => "secrets",
        "Event" => "events",
        other => panic!("{other} is not recorded"),
    };
    format!("{}/{plural}/{}", object["apiVersion"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

struct Item {
    api_version: String,
    plural: String,
    name: Option<String>,
}

/// Reads `/apis/GROUP/VERSION/namespaces/NS/PLURAL[/NAME[/SUBRESOURCE]]`.
fn address(path: &str) -> (Item, String) {
    let path = path.split('?').next().unwrap();
    let mut segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let api_version = match segments.remove(0) {
        "api" => segments.remove(0).to_owned(),
        _ => format!("{}/{}", segments.remove(0), segments.remove(0)),
    };
    if segments.len() > 2 && segments[0] == "namespaces" {
        segments.drain(..2);
    }
    let text = |index: usize| segments.get(index).map(|segment| (*segment).to_owned());
    let item = Item { api_version, plural: text(0).unwrap(), name: text(1) };
    (item, text(2).unwrap_or_default())
}

fn kind_of(item: &Item) -> Kind {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let atomic =
        json!({"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}});
    let text = json!({"type": "string"});
    let number = json!({"type": "integer"});
    let source = json!({"type": "object", "properties": {"component": text}});
    let lease = json!({"acquireTime": text, "holderIdentity": text, "leaseDurationSeconds": number,
        "leaseTransitions": number, "renewTime": text});
    let (schema, empty) = match item.plural.as_str() {
        "recipes" => return Kind { schema: super::recipe_schema(), empty: json!({}), has_status: true },
        "foos" => (json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}), json!({})),
        "leases" => (json!({"spec": {"type": "object", "properties": lease}}), json!({"spec": {}})),
        "configmaps" => (json!({"data": texts, "immutable": {"type": "boolean"}}), json!({})),
        "secrets" => (json!({"data": texts, "type": text}), json!({})),
        "namespaces" => (
            json!({"spec": {"type": "object", "properties": {"finalizers": {"type": "array", "items": text}}},
                "status": {"type": "object", "properties": {"phase": text}}}),
            // What the kind's strategy does comes after the owners are written.
            json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        ),
        _ => (
            json!({"involvedObject": atomic, "regarding": atomic, "count": number, "firstTimestamp": text,
                "lastTimestamp": text, "message": text, "note": text, "reason": text, "type": text, "source": source,
                "action": text, "eventTime": text, "reportingController": text, "reportingInstance": text,
                "reportingComponent": text, "deprecatedSource": source, "deprecatedFirstTimestamp": text,
                "deprecatedLastTimestamp": text}),
            match item.api_version.as_str() {
                "v1" => json!({"involvedObject": {}, "source": {}, "firstTimestamp": null, "lastTimestamp": null,
                    "eventTime": null, "reportingComponent": "", "reportingInstance": ""}),
                _ => json!({"regarding": {}, "eventTime": null, "deprecatedSource": {},
                    "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null}),
            },
        ),
    };
    let schema = match schema.get("type") {
        Some(Value::String(_)) => schema,
        _ => json!({"type": "object", "properties": schema}),
    };
    Kind { schema: serde_json::from_value(schema).unwrap(), empty, has_status: false }
}
