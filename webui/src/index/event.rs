//! An event in short.

use std::sync::Arc;

use api_types::kinds::built_in::event::Event;
use store::object::Object;

/// An event in short.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventSummary {
    pub namespace: String,
    /// When it happened last, RFC 3339.
    pub last: String,
    pub count: i32,
    pub is_warning: bool,
    pub reason: String,
    pub message: String,
    pub about_kind: String,
    pub about_group: String,
    pub about_namespace: String,
    pub about_name: String,
}

impl EventSummary {
    /// Reads an event; `None` when it has another shape than this program knows.
    pub(crate) fn read(object: &Object) -> Option<Self> {
        let event: Event = serde_json::from_slice(&object.json()).ok()?;
        let series = event.series.as_ref();
        let last = series
            .and_then(|series| series.last_observed_time.clone())
            .or(event.last_timestamp)
            .or(event.event_time)
            .or(event.first_timestamp)
            .or(event.metadata.creation_timestamp)
            .unwrap_or_default();
        let about = event.involved_object;
        let group = about.api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Some(Self {
            namespace: event.metadata.namespace,
            last,
            count: series.map(|series| series.count).or(event.count).unwrap_or(1),
            is_warning: event.type_ == "Warning",
            reason: event.reason,
            message: event.message,
            about_kind: about.kind,
            about_group: group,
            about_namespace: about.namespace,
            about_name: about.name,
        })
    }

    /// Returns `kind/namespace/name` of what it is about.
    pub(crate) fn about_key(&self) -> Arc<str> {
        Arc::from(format!("{}/{}/{}", self.about_kind, self.about_namespace, self.about_name))
    }
}
