//! Which objects a list or a watch is about: labels, and fields that the kind declares selectable.

use std::cell::OnceCell;

use api_types::selector::{FieldSelector, Selector as LabelSelector, SelectorError};
use api_types::status::{Reason, Status};
use serde_json::Value;

use crate::object::Object;
use crate::registry::{EVENTS, Resource, ResourceVersion};

/// Fields of Events that clients select by, beside the metadata of all kinds.
const EVENT_FIELDS: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

/// A label selector and a field selector; the default selects everything.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Selector {
    /// Parses the two query parameters for one version of a resource; empty texts select everything.
    ///
    /// # Errors
    /// `BadRequest` with Kubernetes' wording for a text that cannot be read or a field that cannot be selected by.
    pub fn parse(resource: &Resource, version: &ResourceVersion, labels: &str, fields: &str) -> Result<Self, Status> {
        let refuse = |error: SelectorError| Status::failure(Reason::BadRequest, error.to_string());
        let labels = LabelSelector::parse(labels).map_err(refuse)?;
        let fields = FieldSelector::parse(fields).map_err(refuse)?;
        fields.check_fields(|field| is_selectable(resource, version, field)).map_err(refuse)?;
        Ok(Self { labels, fields })
    }

    /// Returns whether every object matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// Returns the only name that can match, when the selector names one.
    #[must_use]
    pub fn exact_name(&self) -> Option<&str> {
        self.fields.exact("metadata.name")
    }

    /// Returns whether `object` matches. JSON is parsed only when a field beside name and namespace is asked for.
    #[must_use]
    pub fn matches(&self, object: &Object) -> bool {
        if !self.labels.is_everything() && !self.labels.matches(|key| object.label(key)) {
            return false;
        }
        if self.fields.is_everything() {
            return true;
        }
        let parsed: OnceCell<Value> = OnceCell::new();
        self.fields.matches(|field| {
            Some(match field {
                "metadata.name" => object.name().to_owned(),
                "metadata.namespace" => object.namespace().to_owned(),
                other => text_at(parsed.get_or_init(|| object.value()), other),
            })
        })
    }
}

fn is_selectable(resource: &Resource, version: &ResourceVersion, field: &str) -> bool {
    matches!(field, "metadata.name" | "metadata.namespace")
        || version.selectable_fields.iter().any(|selectable| selectable.json_path.trim_start_matches('.') == field)
        || (&*resource.key == EVENTS && EVENT_FIELDS.contains(&field))
}

/// Returns the text of a dotted path; what is absent is the empty text, as in Kubernetes.
fn text_at(value: &Value, path: &str) -> String {
    // `source` of an Event means its component, or who reports it.
    if path == "source" {
        let component = text_at(value, "source.component");
        return if component.is_empty() { text_at(value, "reportingComponent") } else { component };
    }
    match path.split('.').try_fold(value, |value, member| value.get(member)) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
