//! From the store's objects to the queue, and the places that are set aside.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use api_types::condition::{self, ConditionStatus, ConditionType};
use api_types::kind::Object;
use api_types::kinds::host::{Host, HostStatus};
use api_types::kinds::recipe::RecipeSpec;
use api_types::reason;
use api_types::units::Quantity;
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::queue::{Active, Queue, Room, Waiting};
use crate::kinds::app::place;
use crate::runtime::objects::StoredObject;

/// What the queue is made of.
pub(super) struct Material {
    /// Every TestRun.
    pub(super) runs: Vec<Arc<StoredObject>>,
    /// Every Recipe.
    pub(super) recipes: Vec<Arc<StoredObject>>,
    /// Every Host.
    pub(super) hosts: Vec<Arc<StoredObject>>,
    /// Every App.
    pub(super) apps: Vec<Arc<StoredObject>>,
    /// Uids of runs for which a place was set aside, and whose status does not say so yet.
    pub(super) reserved: HashSet<String>,
    /// The registry wants to be asked no more before this moment.
    pub(super) pulls_paused_until: Option<Timestamp>,
}

impl Material {
    /// Returns the queue as `asking` sees it: the run that asks is in it, although its status may not say so yet.
    pub(super) fn queue(&self, asking: &str, domain: Option<&str>) -> Queue {
        let needs = self.needs();
        let mut queue = Queue::default();
        let mut deployed = 0_u64;
        for run in &self.runs {
            let status = &run.value["status"];
            let recipe = recipe_key(run);
            note_begun(&mut queue.last_begun, &recipe, &status["startedAt"]);
            if is_finished(status) {
                continue;
            }
            let key = (*run.key.key).to_owned();
            let (memory_bytes, disk_bytes) = needs.get(&recipe).copied().unwrap_or_default();
            let own_domain = status["domain"].as_str().unwrap_or_default().to_owned();
            if has_begun(status) || self.reserved.contains(&run.metadata.uid) {
                if has_condition(status, ConditionType::Deployed) {
                    deployed += memory_bytes;
                }
                let is_held = status["heldUntil"].is_string();
                queue.active.push(Active { key, recipe, domain: own_domain, memory_bytes, is_held });
            } else if key == asking || waits(run) {
                let domain = match domain {
                    Some(domain) if key == asking => domain.to_owned(),
                    _ if own_domain.is_empty() => key.clone(),
                    _ => own_domain,
                };
                let created_at = run.value["metadata"]["creationTimestamp"].as_str().unwrap_or_default().to_owned();
                queue.waiting.push(Waiting { key, recipe, created_at, domain, memory_bytes, disk_bytes });
            }
        }
        queue.other_domains = self.other_domains();
        let set_aside: u64 = queue.active.iter().map(|run| run.memory_bytes).sum();
        // What runs that are deployed use is already missing from what is available.
        queue.room = self.room(set_aside.saturating_sub(deployed));
        queue
    }

    /// Memory and disk that each recipe's runs need.
    fn needs(&self) -> BTreeMap<String, (u64, u64)> {
        let bytes = |quantity: &Option<Quantity>| quantity.as_ref().map_or(0, Quantity::round_up);
        let of = |recipe: &Arc<StoredObject>| {
            let spec = RecipeSpec::deserialize(&recipe.value["spec"]).unwrap_or_default();
            ((*recipe.key.key).to_owned(), (bytes(&spec.requires.memory), bytes(&spec.requires.disk)))
        };
        self.recipes.iter().map(of).collect()
    }

    /// Domains of Apps that are no run's.
    fn other_domains(&self) -> BTreeSet<String> {
        let is_of_a_run =
            |app: &&Arc<StoredObject>| app.metadata.owner_references.iter().any(|owner| owner.kind == "TestRun");
        let others = self.apps.iter().filter(|app| !is_of_a_run(app));
        others.filter_map(|app| app.value["spec"]["domain"].as_str().map(str::to_owned)).collect()
    }

    /// What the host has to give: the first by name whose engine manages a swarm, as Apps choose it.
    fn room(&self, claimed_bytes: u64) -> Room {
        let mut hosts: Vec<Object<Host>> =
            self.hosts.iter().filter_map(|host| Object::<Host>::from_value(&host.value).ok()).collect();
        hosts.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
        let active = |host: &&Object<Host>| {
            condition::is_true(&host.status.conditions, ConditionType::SwarmActive.word()) && !host.is_being_deleted()
        };
        let Some(host) = hosts.iter().find(active) else {
            return Room { closed: Some((reason::HOST_NOT_READY, no_host(&hosts))), ..Room::default() };
        };
        let floors = &host.spec.floors;
        let memory = host.status.memory.as_ref().map(|memory| {
            let free = u64::try_from(memory.available_bytes).unwrap_or_default();
            free.saturating_sub(floors.memory.round_up()).saturating_sub(claimed_bytes)
        });
        Room {
            host: Some(host.metadata.name.clone()),
            closed: closed(host),
            runs_max: usize::try_from(host.spec.capacity.runs).unwrap_or(usize::MAX),
            memory_bytes_max: host.spec.capacity.memory.as_ref().map(Quantity::round_up),
            memory_bytes_free: memory,
            disk_bytes_free: place::bytes_free(host),
            pulls_paused_until: self.pulls_paused_until,
        }
    }
}

fn no_host(hosts: &[Object<Host>]) -> String {
    match hosts.first() {
        None => "There is no Host: apply one that names the engine (kubectl explain host).".to_owned(),
        Some(host) => {
            let said = condition::find(&host.status.conditions, ConditionType::Ready.word());
            let why = said.map_or_else(|| "it has not been looked at yet".to_owned(), |ready| ready.message.clone());
            format!("No Host has an engine that manages a swarm. Host {}: {why}", host.metadata.name)
        }
    }
}

fn closed(host: &Object<Host>) -> Option<(&'static str, String)> {
    if host.spec.suspend {
        return Some((
            reason::SUSPENDED,
            format!("Host {} is suspended (spec.suspend) and starts nothing.", host.metadata.name),
        ));
    }
    let said = |type_: ConditionType, reason: &'static str, status: &HostStatus| {
        condition::find(&status.conditions, type_.word())
            .filter(|condition| condition.status == ConditionStatus::False)
            .map(|condition| (reason, format!("Host {}: {}", host.metadata.name, condition.message)))
    };
    let order = [
        (ConditionType::EngineReachable, reason::HOST_NOT_READY),
        (ConditionType::NetworksReady, reason::HOST_NOT_READY),
        (ConditionType::DiskOk, reason::BELOW_FLOOR),
        (ConditionType::InodesOk, reason::BELOW_FLOOR),
        (ConditionType::MemoryOk, reason::BELOW_FLOOR),
    ];
    order.into_iter().find_map(|(type_, reason)| said(type_, reason, &host.status))
}

fn recipe_key(run: &StoredObject) -> String {
    let recipe = run.value["spec"]["recipeRef"].as_str().unwrap_or_default();
    format!("{}/{recipe}", run.metadata.namespace)
}

fn note_begun(last_begun: &mut BTreeMap<String, String>, recipe: &str, started: &Value) {
    if let Some(started) = started.as_str()
        && last_begun.get(recipe).is_none_or(|known| **known < *started)
    {
        last_begun.insert(recipe.to_owned(), started.to_owned());
    }
}

pub(super) fn is_finished(status: &Value) -> bool {
    matches!(status["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"))
}

pub(super) fn has_begun(status: &Value) -> bool {
    has_condition(status, ConditionType::Scheduled)
}

fn has_condition(status: &Value, type_: ConditionType) -> bool {
    status["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == type_.word() && condition["status"] == "True")
}

/// Whether a run wants to begin: also one that was created this moment and has no status yet, so that those that were
/// created together take turns from the start.
fn waits(run: &StoredObject) -> bool {
    let status = &run.value["status"];
    let is_refused = |type_: ConditionType| {
        status["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == type_.word() && condition["status"] != "True")
    };
    matches!(status["phase"].as_str(), None | Some("Pending" | "Queued"))
        && !is_refused(ConditionType::Accepted)
        && !is_refused(ConditionType::Approved)
        && !run.is_suspended()
        && !run.is_being_deleted()
        && run.value["spec"]["cancel"] != true
}
