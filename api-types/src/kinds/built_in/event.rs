//! Event: what happened to an object. One storage, two faces: `v1` and `events.k8s.io/v1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{PrinterColumn, Scope};
use crate::kinds::built_in::service_account::ObjectReference;
use crate::meta::ObjectMeta;
use crate::registry::{BuiltIn, Definition, built_in};

/// A whole Event as `v1` shows it, and as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["involvedObject"]))]
pub struct Event {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// What it is about; in the same namespace, or cluster-scoped.
    pub involved_object: ObjectReference,
    /// One CamelCase word for programs.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// A sentence for people.
    #[schemars(length(max = 32768))]
    pub message: String,
    /// Who wrote it, in the old way.
    pub source: EventSource,
    /// When it happened first.
    #[schemars(extend("nullable" = true))]
    pub first_timestamp: Option<String>,
    /// When it happened last.
    #[schemars(extend("nullable" = true))]
    pub last_timestamp: Option<String>,
    /// How often it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2147483647))]
    pub count: Option<i32>,
    /// `Normal` or `Warning`.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub type_: String,
    /// When it happened first, with microseconds.
    #[schemars(extend("nullable" = true))]
    pub event_time: Option<String>,
    /// That it happened again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// What was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub action: String,
    /// A second object that has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// Who wrote it.
    #[schemars(length(max = 253))]
    pub reporting_component: String,
    /// Which instance of it.
    #[schemars(length(max = 253))]
    pub reporting_instance: String,
}

/// A whole Event as `events.k8s.io/v1` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NewEvent {
    /// Name, labels and the like.
    #[schemars(skip)]
    pub metadata: ObjectMeta,
    /// When it happened first, with microseconds.
    #[schemars(extend("nullable" = true))]
    pub event_time: Option<String>,
    /// That it happened again and again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// Who wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub reporting_controller: String,
    /// Which instance of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub reporting_instance: String,
    /// What was done.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub action: String,
    /// One CamelCase word for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// What it is about; in the same namespace, or cluster-scoped.
    pub regarding: ObjectReference,
    /// A second object that has to do with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32768))]
    pub note: String,
    /// `Normal` or `Warning`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub type_: String,
    /// Who wrote it, in the old way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deprecated_source: Option<EventSource>,
    /// When it happened first, in the old way.
    #[schemars(extend("nullable" = true))]
    pub deprecated_first_timestamp: Option<String>,
    /// When it happened last, in the old way.
    #[schemars(extend("nullable" = true))]
    pub deprecated_last_timestamp: Option<String>,
    /// How often it happened, in the old way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2147483647))]
    pub deprecated_count: Option<i32>,
}

/// Who wrote an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSource {
    /// The program.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub component: String,
    /// The machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub host: String,
}

/// That something happened again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSeries {
    /// How often.
    #[schemars(range(min = 0, max = 2147483647))]
    pub count: i32,
    /// When it happened last, with microseconds.
    #[schemars(extend("nullable" = true))]
    pub last_observed_time: Option<String>,
}

/// Returns the definition of the face that is stored.
#[must_use]
pub fn definition() -> Definition {
    let column = |name: &str, type_: &str, path: &str, text: &str| PrinterColumn::new(name, type_, path, text);
    built_in::<Event>(&BuiltIn {
        group: "",
        version: "v1",
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        scope: Scope::Namespaced,
        description: "Event says what happened to an object.",
        columns: vec![
            column(
                "Last Seen",
                "date",
                ".['lastTimestamp','eventTime','firstTimestamp']",
                "How long ago it happened last.",
            ),
            column("Type", "string", ".type", "Normal or Warning."),
            column("Reason", "string", ".reason", "One word for programs."),
            column("Object", "string", "{.involvedObject.kind}/{.involvedObject.name}", "What it is about."),
            column("Subobject", "string", ".involvedObject.fieldPath", "The part that it is about.").wide(),
            column("Source", "string", ".['reportingComponent']", "Who wrote it.").wide(),
            column("Message", "string", ".message", "A sentence for people."),
            column("First Seen", "date", ".['firstTimestamp','eventTime']", "How long ago it happened first.").wide(),
            column("Count", "integer", ".count", "How often it happened.").wide(),
            column("Name", "string", ".metadata.name", "Name of the Event.").wide(),
        ],
        selectable_fields: &[
            ".involvedObject.kind",
            ".involvedObject.namespace",
            ".involvedObject.name",
            ".involvedObject.uid",
            ".involvedObject.apiVersion",
            ".involvedObject.resourceVersion",
            ".involvedObject.fieldPath",
            ".reason",
            ".reportingComponent",
            ".source",
            ".type",
        ],
        ..BuiltIn::default()
    })
}

/// Returns the definition of the other face; its objects are those of [`definition`].
#[must_use]
pub fn other_face() -> Definition {
    built_in::<NewEvent>(&BuiltIn {
        group: "events.k8s.io",
        version: "v1",
        kind: "Event",
        plural: "events",
        short_names: &["ev"],
        scope: Scope::Namespaced,
        description: "Event says what happened to an object.",
        columns: Vec::new(),
        selectable_fields: &[
            ".regarding.kind",
            ".regarding.namespace",
            ".regarding.name",
            ".regarding.uid",
            ".reason",
            ".reportingController",
            ".type",
        ],
        ..BuiltIn::default()
    })
}
