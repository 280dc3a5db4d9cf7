//! Which objects go by themselves, and when: Events, and runs that have finished.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use api_types::units::DurationText;
use jiff::Timestamp;
use serde_json::Value;

use super::{CollectorOptions, Place};
use crate::object::Object;
use crate::registry::{EVENTS, Resource};
use crate::state::State;

/// Deadlines in order, and each object's own.
pub(super) struct Deadlines {
    options: CollectorOptions,
    ordered: BTreeSet<(Timestamp, Place)>,
    by_place: HashMap<Place, Timestamp>,
    /// Whether objects of a resource may have a time to live, so that others are never parsed.
    mortal: HashMap<Arc<str>, bool>,
}

impl Deadlines {
    pub(super) fn new(options: CollectorOptions) -> Self {
        Self { options, ordered: BTreeSet::new(), by_place: HashMap::new(), mortal: HashMap::new() }
    }

    pub(super) fn learn(&mut self, state: &State, place: &Place, object: &Object) {
        self.forget(place);
        let deadline = if &*place.resource == EVENTS {
            last_seen(&object.value()).and_then(|seen| seen.checked_add(self.options.event_ttl).ok())
        } else {
            let resource = state.registry.get(&place.resource);
            let mortal = *self
                .mortal
                .entry(place.resource.clone())
                .or_insert_with(|| resource.is_some_and(|resource| has_time_to_live(resource)));
            mortal.then(|| finished_deadline(&object.value())).flatten()
        };
        if let Some(deadline) = deadline {
            self.ordered.insert((deadline, place.clone()));
            self.by_place.insert(place.clone(), deadline);
        }
    }

    pub(super) fn forget(&mut self, place: &Place) {
        if let Some(deadline) = self.by_place.remove(place) {
            self.ordered.remove(&(deadline, place.clone()));
        }
    }

    /// Takes out what is due at `now`.
    pub(super) fn due(&mut self, now: Timestamp) -> Vec<Place> {
        let mut due = Vec::new();
        while let Some((deadline, _)) = self.ordered.first()
            && *deadline <= now
        {
            let Some((_, place)) = self.ordered.pop_first() else { break };
            self.by_place.remove(&place);
            due.push(place);
        }
        due
    }
}

fn has_time_to_live(resource: &Resource) -> bool {
    let schema = resource.storage_version().schema.schema();
    schema.properties.get("spec").is_some_and(|spec| spec.properties.contains_key("ttlAfterFinished"))
}

fn last_seen(event: &Value) -> Option<Timestamp> {
    ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp", "/metadata/creationTimestamp"]
        .iter()
        .filter_map(|path| event.pointer(path)?.as_str()?.parse().ok())
        .max()
}

/// A run is over when its `Succeeded` condition is decided; then its time to live runs.
fn finished_deadline(run: &Value) -> Option<Timestamp> {
    let ttl = DurationText::parse(run.pointer("/spec/ttlAfterFinished")?.as_str()?).ok()?;
    let conditions = run.pointer("/status/conditions")?.as_array()?;
    let succeeded = conditions.iter().find(|condition| condition["type"] == "Succeeded")?;
    if !matches!(succeeded["status"].as_str(), Some("True" | "False")) {
        return None;
    }
    let finished: Timestamp = succeeded["lastTransitionTime"].as_str()?.parse().ok()?;
    finished.checked_add(ttl.span()).ok()
}
