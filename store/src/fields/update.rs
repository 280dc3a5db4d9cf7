//! Ownership after every write that is not server-side apply.

use serde_json::Value;

use super::Writer;
use super::compare::{Difference, compare};
use super::managed::{Identity, Ledger};
use super::scope::Scope;

/// See [`super::track_update`].
pub(super) fn track_update(writer: &Writer<'_>, old: Option<&Value>, new: &mut Value) {
    let Some(old) = old else { return track_create(writer, None, new) };
    let sent = take_entries(new);
    let mut ledger = Ledger::of_update(old, sent, writer.subresource);
    if !ledger.is_empty() {
        let changed = compare(&Scope::of(writer), Some(old), new);
        claim(writer, changed, &mut ledger, new);
    }
    ledger.write(new);
}

/// See [`super::track_create`].
pub(super) fn track_create(writer: &Writer<'_>, empty: Option<&Value>, new: &mut Value) {
    take_entries(new);
    let mut ledger = Ledger::default();
    let changed = compare(&Scope::of(writer), empty, new);
    claim(writer, changed, &mut ledger, new);
    ledger.write(new);
}

fn claim(writer: &Writer<'_>, changed: Difference, ledger: &mut Ledger, new: &Value) {
    if changed.is_empty() {
        return;
    }
    // The writer's own earlier entry yields as well: what it changes again, it gains again, and then its time moves.
    ledger.yield_fields(&changed, None);
    if changed.gained.is_empty() {
        return;
    }
    let api_version = writer.entry_version(new);
    let who = Identity::updater(writer.manager, api_version, writer.subresource);
    ledger.add(who, api_version, changed.gained, writer.entry_time());
    ledger.cap();
}

fn take_entries(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}
