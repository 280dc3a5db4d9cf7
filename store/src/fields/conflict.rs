//! The answer to an apply that wants fields of other managers.

use api_types::status::{Reason, Status, StatusCause, StatusDetails};
use serde_json::Value;

use super::managed::{Identity, Ledger, fields};
use super::path;
use super::set::{self, Node};

/// The scale subresource shows its owners and their one field as those of a `Scale` object.
const SCALE_API_VERSION: &str = "autoscaling/v1";
const SCALE_FIELD: &str = ".spec.replicas";

/// Fields that one other manager owns and the apply would change.
#[derive(Debug)]
pub(super) struct Conflict {
    /// As messages name the manager: `"upd" using example.org/v1`.
    owner: String,
    fields: Node,
}

/// Finds what `wanted` takes from others than `applier`, in the order of their names.
pub(super) fn find(ledger: &Ledger, applier: Identity<'_>, wanted: &Node) -> Vec<Conflict> {
    let through_scale = applier.subresource == "scale";
    let mut owners: Vec<(Identity<'_>, &Value)> =
        ledger.entries().iter().map(|entry| (Identity::of(entry), entry)).filter(|(who, _)| *who != applier).collect();
    owners.sort_by_key(|(who, _)| *who);
    owners
        .into_iter()
        .filter_map(|(who, entry)| {
            let fields = set::intersect(fields(entry)?, wanted);
            (!fields.is_empty()).then(|| Conflict { owner: describe(who, through_scale), fields })
        })
        .collect()
}

/// Takes `allowed` out of the conflicts.
pub(super) fn without(conflicts: Vec<Conflict>, allowed: &Node) -> Vec<Conflict> {
    conflicts
        .into_iter()
        .filter_map(|mut conflict| {
            set::subtract(&mut conflict.fields, allowed);
            (!conflict.fields.is_empty()).then_some(conflict)
        })
        .collect()
}

/// Returns the 409 with one cause for each field.
pub(super) fn status(conflicts: &[Conflict], subresource: &str) -> Status {
    let fields = |conflict: &Conflict| match subresource {
        "scale" => vec![SCALE_FIELD.to_owned()],
        _ => path::paths(&conflict.fields),
    };
    let mut causes = Vec::new();
    let mut lines = Vec::new();
    for conflict in conflicts {
        lines.push(format!("conflicts with {}:", conflict.owner));
        for field in fields(conflict) {
            lines.push(format!("- {field}"));
            let message = format!("conflict with {}", conflict.owner);
            causes.push(StatusCause { reason: "FieldManagerConflict".to_owned(), message, field });
        }
    }
    let message = match causes.as_slice() {
        [one] => format!("Apply failed with 1 conflict: {}: {}", one.message, one.field),
        many => format!("Apply failed with {} conflicts: {}", many.len(), lines.join("\n")),
    };
    let mut status = Status::failure(Reason::Conflict, message);
    status.details = Some(StatusDetails { causes, ..StatusDetails::default() });
    status
}

fn describe(who: Identity<'_>, through_scale: bool) -> String {
    let mut text = super::go_text::quoted(who.manager);
    if !who.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", super::go_text::quoted(who.subresource)));
    }
    if who.operation == "Update" {
        let version = if through_scale { SCALE_API_VERSION } else { who.api_version };
        text.push_str(&format!(" using {version}"));
    }
    text
}
