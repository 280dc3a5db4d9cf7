//! The columns of Kubernetes' own kinds.

use api_types::duration_text;
use api_types::table::{ColumnDefinition, TablePlan};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::AGE_TEXT;

/// Computes a cell from an object as it is shown, at a moment.
pub(super) type CellFunction = fn(&Value, Timestamp) -> Value;

type Column = (ColumnDefinition, CellFunction);

/// Returns the columns of a built-in kind; `None` for every other.
pub(super) fn built_in_columns(group: &str, plural: &str) -> Option<Vec<Column>> {
    let columns = match (group, plural) {
        ("", "namespaces") => vec![
            name_column(),
            text("Status", "The status of the namespace", |object, _| object["status"]["phase"].clone()),
            age_column(),
        ],
        ("", "secrets") => vec![
            name_column(),
            text("Type", "Used to facilitate programmatic handling of secret data.", |object, _| {
                object["type"].clone()
            }),
            text("Data", "How many entries the secret holds.", |object, _| json!(count(&object["data"]))),
            age_column(),
        ],
        ("", "configmaps") => vec![
            name_column(),
            text("Data", "How many entries the map holds.", |object, _| {
                json!(count(&object["data"]) + count(&object["binaryData"]))
            }),
            age_column(),
        ],
        ("", "serviceaccounts") => vec![
            name_column(),
            text("Secrets", "How many secrets the account may use.", |object, _| json!(count(&object["secrets"]))),
            age_column(),
        ],
        ("", "services") => vec![
            name_column(),
            text("Type", "How the service is exposed.", |object, _| object["spec"]["type"].clone()),
            age_column(),
        ],
        ("", "pods") => pod_columns(),
        ("" | "events.k8s.io", "events") => event_columns(),
        ("coordination.k8s.io", "leases") => vec![
            name_column(),
            text("Holder", "Who holds the lease.", |object, _| object["spec"]["holderIdentity"].clone()),
            age_column(),
        ],
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => vec![
            name_column(),
            text("Role", "What the subjects are given.", |object, _| {
                let role = &object["roleRef"];
                json!(format!("{}/{}", plain(&role["kind"]), plain(&role["name"])))
            }),
            age_column(),
        ],
        ("rbac.authorization.k8s.io", "roles" | "clusterroles")
        | ("apiextensions.k8s.io", "customresourcedefinitions") => vec![
            name_column(),
            text("Created At", AGE_TEXT, |object, _| object["metadata"]["creationTimestamp"].clone()),
        ],
        _ => return None,
    };
    Some(columns)
}

fn event_columns() -> Vec<Column> {
    let wide = |name: &str, description: &str, function: CellFunction| {
        let (definition, function) = text(name, description, function);
        (ColumnDefinition { priority: 1, ..definition }, function)
    };
    let (name, name_cell) = name_column();
    let name = (ColumnDefinition { priority: 1, ..name }, name_cell);
    vec![
        text("Last Seen", "The time at which the most recent occurrence of this event was recorded.", last_seen),
        text("Type", "Type of this event (Normal, Warning), new types could be added in the future", |event, _| {
            event["type"].clone()
        }),
        text(
            "Reason",
            "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
            |event, _| event["reason"].clone(),
        ),
        text("Object", "The object that this event is about.", |event, _| {
            let about = about(event);
            let (kind, name) = (plain(&about["kind"]).to_lowercase(), plain(&about["name"]));
            json!(if name.is_empty() { kind } else { format!("{kind}/{name}") })
        }),
        wide(
            "Subobject",
            "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.",
            |event, _| json!(plain(&about(event)["fieldPath"])),
        ),
        wide("Source", "The component reporting this event. Should be a short machine understandable string.", source),
        text("Message", "A human-readable description of the status of this operation.", |event, _| {
            json!(first_text([&event["message"], &event["note"]]).trim())
        }),
        wide(
            "First Seen",
            "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
            |event, now| {
                let first = [&event["firstTimestamp"], &event["deprecatedFirstTimestamp"], &event["eventTime"]];
                json!(age(first_text(first), now))
            },
        ),
        wide("Count", "The number of times this event has occurred.", |event, _| {
            let counts = [&event["series"]["count"], &event["count"], &event["deprecatedCount"]];
            counts.into_iter().find(|count| count.as_i64().is_some_and(|count| count > 0)).cloned().unwrap_or(json!(1))
        }),
        name,
    ]
}

fn pod_columns() -> Vec<Column> {
    vec![
        name_column(),
        text("Ready", "How many of the run's stages have succeeded.", |pod, _| {
            let statuses = pod["status"]["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ready = statuses.iter().filter(|status| status["ready"] == true).count();
            json!(format!("{ready}/{}", statuses.len()))
        }),
        text("Status", "The phase of the run.", |pod, _| pod["status"]["phase"].clone()),
        text("Restarts", "Runs are never restarted.", |_, _| json!("0")),
        age_column(),
    ]
}

fn last_seen(event: &Value, now: Timestamp) -> Value {
    let seen = [
        &event["series"]["lastObservedTime"],
        &event["lastTimestamp"],
        &event["deprecatedLastTimestamp"],
        &event["eventTime"],
    ];
    json!(age(first_text(seen), now))
}

fn source(event: &Value, _now: Timestamp) -> Value {
    let old = [&event["source"], &event["deprecatedSource"]].into_iter().find(|source| source["component"].is_string());
    let reporting = first_text([&event["reportingComponent"], &event["reportingController"]]);
    let (component, host) = match old {
        Some(source) => (plain(&source["component"]), plain(&source["host"])),
        None => (reporting, plain(&event["reportingInstance"])),
    };
    json!(if host.is_empty() { component.to_owned() } else { format!("{component}, {host}") })
}

fn about(event: &Value) -> &Value {
    if event["involvedObject"].is_object() { &event["involvedObject"] } else { &event["regarding"] }
}

fn text(name: &str, description: &str, function: CellFunction) -> Column {
    let definition = ColumnDefinition {
        name: name.to_owned(),
        type_: "string".to_owned(),
        format: String::new(),
        description: description.to_owned(),
        priority: 0,
    };
    (definition, function)
}

fn name_column() -> Column {
    let plan = TablePlan::new(&[]);
    let definition = plan.column_definitions().first().cloned().expect("the name is always the first column");
    (definition, |object, _| object["metadata"]["name"].clone())
}

fn age(since: &str, now: Timestamp) -> String {
    duration_text::age(since, now).unwrap_or_else(|| "<unknown>".to_owned())
}

fn age_column() -> Column {
    text("Age", AGE_TEXT, |object, now| json!(age(plain(&object["metadata"]["creationTimestamp"]), now)))
}

fn first_text<const N: usize>(candidates: [&Value; N]) -> &str {
    candidates.into_iter().map(plain).find(|text| !text.is_empty()).unwrap_or_default()
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn count(value: &Value) -> usize {
    value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len)
}
