//! The user of the simulation: makes, changes, suspends and deletes objects at random moments, then sets them right.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{READY, RECONCILING, STALLED, find, is_true};
use api_types::status::{Reason, Status};
use controller::runtime::objects::memory::MemoryObjects;
use controller::runtime::objects::{ObjectKey, Objects, StoredObject};
use controller::runtime::pass::status::conditions;
use serde_json::{Value, json};

use super::kinds::{GADGETS, GATES, Outside, PARTS, job_id};
use super::{SETTLE_MAX, SETTLE_PERIOD, Scenario};
use crate::seed::Random;

const GATE_COUNT: u64 = 4;
/// How many things the user does for each gadget.
const DEEDS_PER_GADGET: u64 = 6;
/// In every so many-th run the user is restless, for so long, with so many gadgets.
const RESTLESS_EVERY: u64 = 8;
const RESTLESS_ROUNDS: u64 = 700;
const RESTLESS_GADGETS: u64 = 8;
const NAMESPACE: &str = "default";

/// How likely the flaws of a new gadget are, in percent.
struct Chances {
    wrong: u64,
    poison: u64,
    suspend: u64,
}

const FLAWED: Chances = Chances { wrong: 15, poison: 8, suspend: 10 };
const PLAIN: Chances = Chances { wrong: 0, poison: 0, suspend: 0 };

/// Somebody who works with the store directly, without faults: what is acknowledged has happened.
pub(super) struct User {
    random: Random,
    scenario: Scenario,
    objects: Arc<dyn Objects>,
    outside: Arc<Outside>,
    created: u64,
    deleted: u64,
}

impl User {
    pub(super) fn new(scenario: Scenario, objects: Arc<dyn Objects>, outside: Arc<Outside>) -> Self {
        // Another sequence than the faults': a fault more or less must not change what the user does.
        let random = Random::new(scenario.seed ^ 0x5EED_0F05);
        Self { random, scenario, objects, outside, created: 0, deleted: 0 }
    }

    /// Returns how many objects the user has deleted before the end.
    pub(super) fn deleted(&self) -> u64 {
        self.deleted
    }

    /// Makes everything and changes it while the faults are on.
    pub(super) async fn misbehave(&mut self) -> Result<(), String> {
        for gate in 0..GATE_COUNT {
            let open = self.random.below(2) == 0;
            let gate = json!({"apiVersion": "sim.example.com/v1", "kind": "Gate",
                "metadata": {"name": format!("gate-{gate}"), "namespace": NAMESPACE}, "spec": {"open": open}});
            self.objects.create(GATES, gate).await.map_err(|error| error.to_string())?;
        }
        let deeds = self.scenario.gadgets * DEEDS_PER_GADGET;
        for deed in 0..deeds {
            if deed % DEEDS_PER_GADGET == 0 {
                self.create(&FLAWED).await?;
            } else {
                self.meddle().await?;
            }
            if self.random.below(3) == 0 {
                tokio::time::sleep(Duration::from_millis(self.random.below(1500))).await;
            }
        }
        Ok(())
    }

    /// In some runs, changes a few gadgets so often that they alone keep every worker busy: nobody else may starve.
    pub(super) async fn disturb(&mut self) -> Result<(), String> {
        if !self.scenario.seed.is_multiple_of(RESTLESS_EVERY) {
            return Ok(());
        }
        let first = self.created;
        for _ in 0..RESTLESS_GADGETS {
            self.create(&PLAIN).await?;
        }
        for round in 0..RESTLESS_ROUNDS {
            // Now and then everybody else wants a turn too.
            let disturbed = if round % 100 == 0 { 0..self.created } else { first..self.created };
            for index in disturbed {
                let value = Value::from(round.to_string());
                let label = |gadget: &mut Value| gadget["metadata"]["labels"] = json!({"round": value});
                self.change(&format!("gadget-{index}"), label).await?;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.until(unsettled_in).await
    }

    /// Makes everything right that a user has to make right, and waits until the loop has done its part.
    pub(super) async fn set_right(&mut self) -> Result<(), String> {
        for gate in 0..GATE_COUNT {
            let key = ObjectKey::new(GATES, NAMESPACE, &format!("gate-{gate}"));
            self.change_object(&key, |gate| gate["spec"]["open"] = Value::from(true)).await?;
        }
        for index in 0..self.created {
            self.change(&format!("gadget-{index}"), |gadget| {
                for flaw in ["wrong", "poison", "suspend"] {
                    gadget["spec"][flaw] = Value::from(false);
                }
            })
            .await?;
        }
        // Changes that meet passes which are running on the version before.
        for _ in 0..self.created * 4 {
            let (name, tag) = (format!("gadget-{}", self.random.below(self.created)), self.random.below(1000));
            self.change(&name, |gadget| gadget["spec"]["tag"] = Value::from(tag)).await?;
            tokio::time::sleep(Duration::from_millis(self.random.below(60))).await;
        }
        self.until(unsettled_in).await
    }

    /// Deletes all gadgets and waits until they are gone.
    pub(super) async fn delete_everything(&mut self) -> Result<(), String> {
        for index in 0..self.created {
            self.delete(&format!("gadget-{index}")).await?;
        }
        self.until(|objects| objects.first().map(|object| format!("{} is still there", object.key))).await
    }

    async fn create(&mut self, chances: &Chances) -> Result<(), String> {
        let name = format!("gadget-{}", self.created);
        self.created += 1;
        let chance = |random: &mut Random, in_hundred: u64| random.below(100) < in_hundred;
        let gadget = json!({
            "apiVersion": "sim.example.com/v1",
            "kind": "Gadget",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "gate": format!("gate-{}", self.random.below(GATE_COUNT)),
                "parts": self.random.below(4),
                "jobSeconds": self.random.below(30),
                "wrong": chance(&mut self.random, chances.wrong),
                "poison": chance(&mut self.random, chances.poison),
                "suspend": chance(&mut self.random, chances.suspend),
                "tag": 1,
            },
        });
        self.objects.create(GADGETS, gadget).await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Does one thing to a gadget that may or may not be there.
    async fn meddle(&mut self) -> Result<(), String> {
        let name = format!("gadget-{}", self.random.below(self.created));
        match self.random.below(12) {
            0..4 => {
                let tag = self.random.below(1000);
                self.change(&name, |gadget| gadget["spec"]["tag"] = Value::from(tag)).await
            }
            4..6 => {
                let label = self.random.below(1000).to_string();
                self.change(&name, |gadget| gadget["metadata"]["labels"] = json!({"touched": label})).await
            }
            6 => {
                let flaws = ["wrong", "poison", "suspend"];
                let flaw = flaws[usize::try_from(self.random.below(3)).unwrap_or(0)];
                let on = self.random.below(2) == 0;
                self.change(&name, |gadget| gadget["spec"][flaw] = Value::from(on)).await
            }
            7 | 8 => {
                let key = ObjectKey::new(GATES, NAMESPACE, &format!("gate-{}", self.random.below(GATE_COUNT)));
                let open = self.random.below(2) == 0;
                self.change_object(&key, |gate| gate["spec"]["open"] = Value::from(open)).await
            }
            9 => self.lose_job(&name).await,
            10 => self.delete(&name).await,
            _ => Ok(()),
        }
    }

    async fn lose_job(&mut self, name: &str) -> Result<(), String> {
        let Ok(gadget) = self.objects.get(&ObjectKey::new(GADGETS, NAMESPACE, name)).await else { return Ok(()) };
        let uid = &gadget.metadata.uid;
        if self.outside.jobs.lose(&job_id(uid)) {
            *self.outside.lock().lost.entry(uid.clone()).or_default() += 1;
        }
        Ok(())
    }

    async fn delete(&mut self, name: &str) -> Result<(), String> {
        match self.objects.delete(&ObjectKey::new(GADGETS, NAMESPACE, name), None).await {
            Ok(()) => {
                self.deleted += 1;
                Ok(())
            }
            Err(status) => missing_is_fine(status),
        }
    }

    async fn change(&self, name: &str, change: impl Fn(&mut Value)) -> Result<(), String> {
        self.change_object(&ObjectKey::new(GADGETS, NAMESPACE, name), change).await
    }

    async fn change_object(&self, key: &ObjectKey, change: impl Fn(&mut Value)) -> Result<(), String> {
        let object = match self.objects.get(key).await {
            Ok(object) => object,
            Err(status) => return missing_is_fine(status),
        };
        let mut value = object.value.clone();
        change(&mut value);
        match self.objects.update(key, value).await {
            Ok(_) => Ok(()),
            Err(status) => missing_is_fine(status),
        }
    }

    /// Waits until `wrong` finds nothing more among the gadgets.
    async fn until(&self, wrong: impl Fn(&[Arc<StoredObject>]) -> Option<String>) -> Result<(), String> {
        let began = tokio::time::Instant::now();
        loop {
            let listing = self.objects.list(GADGETS, None).await.map_err(|error| error.to_string())?;
            let Some(wrong) = wrong(&listing.objects) else { return Ok(()) };
            if began.elapsed() > SETTLE_MAX {
                return Err(format!("{SETTLE_MAX:?} after the faults ended: {wrong}"));
            }
            tokio::time::sleep(SETTLE_PERIOD).await;
        }
    }
}

/// Returns what is not as it should be when all is set right.
pub(super) fn unsettled(memory: &MemoryObjects) -> Option<String> {
    let parts: BTreeMap<String, bool> = memory
        .all(PARTS)
        .iter()
        .map(|part| (part.key.to_string(), is_true(&conditions(&part.value["status"]), READY)))
        .collect();
    let part = parts.iter().find(|(_, ready)| !**ready).map(|(key, _)| format!("{key} is not ready"));
    unsettled_in(&memory.all(GADGETS)).or(part)
}

fn unsettled_in(gadgets: &[Arc<StoredObject>]) -> Option<String> {
    gadgets.iter().find_map(|gadget| {
        let status = &gadget.value["status"];
        let conditions = conditions(status);
        let is_settled = !gadget.is_being_deleted()
            && is_true(&conditions, READY)
            && find(&conditions, STALLED).is_none()
            && find(&conditions, RECONCILING).is_none()
            && status["tag"] == gadget.value["spec"]["tag"]
            && status["observedGeneration"] == gadget.metadata.generation;
        (!is_settled).then(|| format!("{} is {}", gadget.key, gadget.value))
    })
}

fn missing_is_fine(status: Status) -> Result<(), String> {
    if status.reason == Some(Reason::NotFound) { Ok(()) } else { Err(status.to_string()) }
}
