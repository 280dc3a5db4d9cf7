//! Who owns which field of an object: `metadata.managedFields`, and server-side apply on top of it.
//!
//! Everything here is a pure function of objects and a [`Schema`]. A write that is not an apply calls
//! [`track_update`] with the object before and after; the writer owns what it changed, everybody else loses it. An
//! apply calls [`apply()`], which merges, finds conflicts, takes out what its manager no longer applies and writes the
//! owners. Both want objects as they are after decoding and defaulting.
//!
//! | file | what it holds |
//! |---|---|
//! | `set` | sets of paths, in the shape in which they are stored |
//! | `path` | path elements: their stored form, their order, their text |
//! | `typed` | how a value merges where it stands |
//! | `scope` | which part of an object a writer may own |
//! | `from_value`, `compare` | the paths of a value; the paths that a write changed |
//! | `check`, `merge`, `conflict` | the steps of an apply |
//! | `managed` | the entries: identity, order, times, how many |

mod apply;
mod check;
mod compare;
mod conflict;
mod from_value;
mod go_text;
mod managed;
pub(crate) mod merge;
mod path;
pub mod scale;
mod scope;
mod set;
#[cfg(test)]
mod tests;
pub(crate) mod typed;
mod update;

use api_types::schema::Schema;
use api_types::status::Status;
use serde_json::Value;

/// Who writes, and through which door.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The schema of the object's version.
    pub schema: &'a Schema,
    /// `group/version` of the request; for the scale subresource the object's own is recorded instead.
    pub api_version: &'a str,
    /// The object's kind.
    pub kind: &'a str,
    /// The field manager.
    pub manager: &'a str,
    /// `status`, `scale`, … or empty for the whole object.
    pub subresource: &'a str,
    /// The time of the request: RFC 3339, UTC, whole seconds.
    pub now: &'a str,
    /// Whether the status is written apart from the rest.
    pub has_status_subresource: bool,
}

impl<'a> Writer<'a> {
    /// Returns the version that the writer's entry names.
    fn entry_version<'v>(&self, object: &'v Value) -> &'v str
    where
        'a: 'v,
    {
        match self.subresource {
            "scale" => object.get("apiVersion").and_then(Value::as_str).unwrap_or_default(),
            _ => self.api_version,
        }
    }

    /// Returns the time that the writer's entry gets: entries that came through scale have none, as in Kubernetes.
    fn entry_time(&self) -> Option<&'a str> {
        (self.subresource != "scale").then_some(self.now)
    }
}

/// Writes `new.metadata.managedFields` for a write that is not an apply. `old` is the stored object with its entries,
/// `None` for a creation.
///
/// What the client sent as `managedFields` counts only on an update of the whole object: a well-formed list replaces
/// the stored one, `[]` and `[{}]` empty it, anything else is ignored. An object without entries stays without them
/// until the first apply. A `new` without `metadata` is left alone.
pub fn track_update(writer: &Writer<'_>, old: Option<&Value>, new: &mut Value) {
    update::track_update(writer, old, new);
}

/// As [`track_update`] for a creation, but what `empty` already has belongs to nobody. Kubernetes' own kinds have
/// members that exist in every object (`spec` of a Lease), so that nobody brought them.
pub fn track_create(writer: &Writer<'_>, empty: &Value, new: &mut Value) {
    update::track_create(writer, Some(empty), new);
}

/// Returns `live` with `configuration` applied and the owners written; before defaulting and validation. Without
/// `live` the result is the new object.
///
/// # Errors
/// `BadRequest` when the configuration's type is another one, when it has `managedFields` or does not fit the schema;
/// `Conflict`, without `force`, with one cause for each field that another manager owns and the configuration would
/// change.
pub fn apply(writer: &Writer<'_>, live: Option<&Value>, configuration: &Value, force: bool) -> Result<Value, Status> {
    apply::apply(writer, live, configuration, force)
}

/// Returns whether two objects are the same but for the times of their `managedFields` entries, their
/// `resourceVersion` and the version they are seen through. Writing the second over the first would change nothing that
/// anybody asked for.
#[must_use]
pub fn same_but_for_times(stored: &Value, new: &Value) -> bool {
    managed::same_but_for_times(stored, new)
}
