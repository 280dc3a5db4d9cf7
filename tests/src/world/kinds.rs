//! The two kinds of the simulation. A Gadget does everything that a real kind may do: it holds something outside,
//! waits for a Gate that it names, has Parts as children, runs a job, and posts a receipt that must be posted once.
//! A Part just becomes ready after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, READY, is_true};
use api_types::kind::{Kind, Object};
use controller::runtime::journal::Journal;
use controller::runtime::objects::{ObjectKey, Objects, StoredObject};
use controller::runtime::outcome::Failure;
use controller::runtime::reconciler::{Decision, Next, Reconciler};
use jiff::Timestamp;
use ports::jobs::fake::FakeJobs;
use ports::jobs::{JobId, JobSpec, JobState, Jobs as _, Limits};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::faults::{Faults, refused};

/// Key of the resource of gadgets.
pub const GADGETS: &str = "gadgets.sim.example.com";
/// Key of the resource of parts.
pub const PARTS: &str = "parts.sim.example.com";
/// Key of the resource of gates.
pub const GATES: &str = "gates.sim.example.com";
/// What a poisoned gadget panics with.
pub const POISON: &str = "the gadget is poisoned";
/// The once-only effect.
const RECEIPT: &str = "post-receipt";

/// The kind Gadget.
#[derive(Debug)]
pub struct Gadget;

/// Desired state of a Gadget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct GadgetSpec {
    /// Name of the gate that must be open.
    pub gate: String,
    /// How many parts it has.
    pub parts: u32,
    /// How long its job runs.
    pub job_seconds: u64,
    /// Makes no sense, so that a person must change it.
    pub wrong: bool,
    /// Makes the reconciler panic.
    pub poison: bool,
    /// Copied to the status.
    pub tag: i64,
    /// Keeps the loop away.
    pub suspend: bool,
}

/// Observed state of a Gadget.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GadgetStatus {
    /// What is observed.
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    pub observed_generation: i64,
    /// The tag of that generation.
    pub tag: i64,
    /// What the receipt said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub receipt: String,
}

impl Kind for Gadget {
    const GROUP: &'static str = "sim.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Gadget";
    const PLURAL: &'static str = "gadgets";
    type Spec = GadgetSpec;
    type Status = GadgetStatus;
}

/// What exists outside the store; it outlives every process.
#[derive(Debug, Default)]
pub struct Outside {
    contents: Mutex<OutsideContents>,
    /// The jobs.
    pub jobs: FakeJobs,
}

/// What is held, posted and observed.
#[derive(Debug, Default)]
pub struct OutsideContents {
    /// Uids that hold something that must be given back.
    pub held: BTreeSet<String>,
    /// How often a receipt was posted for each uid.
    pub receipts: BTreeMap<String, u32>,
    /// Job ids that were lost, with how often.
    pub lost: BTreeMap<String, u32>,
    /// Keys of which a pass runs now.
    running: BTreeMap<String, u32>,
    /// Keys of which two passes ran at once.
    pub doubled: BTreeSet<String>,
}

impl Outside {
    /// Returns what there is.
    pub fn lock(&self) -> MutexGuard<'_, OutsideContents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a pass reaches outside for `key` until the answer is dropped.
    fn enter(self: &Arc<Self>, key: &str) -> Visit {
        let mut contents = self.lock();
        let count = contents.running.entry(key.to_owned()).or_default();
        *count += 1;
        if *count > 1 {
            contents.doubled.insert(key.to_owned());
        }
        Visit { outside: self.clone(), key: key.to_owned() }
    }
}

struct Visit {
    outside: Arc<Outside>,
    key: String,
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(count) = self.outside.lock().running.get_mut(&self.key) {
            *count -= 1;
        }
    }
}

/// The reconciler of gadgets.
pub struct Gadgets {
    /// The store, with faults.
    pub objects: Arc<dyn Objects>,
    /// The journal, in the store with faults.
    pub journal: Journal,
    /// Everything else.
    pub outside: Arc<Outside>,
    /// The faults.
    pub faults: Arc<Faults>,
}

/// What a gadget's reconciler sees.
pub struct Seen {
    held: bool,
    parts: u32,
    parts_ready: u32,
    job: JobState,
    receipt: Option<String>,
}

/// What a gadget's reconciler can do.
#[derive(Debug)]
pub enum Act {
    /// Take hold of something outside.
    Hold,
    /// Give it back.
    Release,
    /// Make the parts that are missing.
    MakeParts,
    /// Start the job.
    StartJob,
    /// End the job.
    CancelJob,
    /// Forget the job.
    RemoveJob,
    /// Post the receipt: once.
    Post,
}

impl Gadgets {
    async fn outside<T>(&self, call: impl Future<Output = Result<T, ports::error::Error>>) -> Result<T, Failure> {
        self.faults.call(async { call.await.map_err(Failure::from) }, refused).await
    }

    async fn check_gate(&self, object: &Object<Gadget>) -> Result<(), Failure> {
        let gate = ObjectKey::new(GATES, &object.metadata.namespace, &object.spec.gate);
        let open = self.objects.get(&gate).await.is_ok_and(|gate| gate.value["spec"]["open"] == true);
        if open {
            return Ok(());
        }
        let message = format!("the gate {} is not open; open it", object.spec.gate);
        Err(Failure::blocked("GateClosed", message, vec![gate]))
    }
}

impl Reconciler for Gadgets {
    type Kind = Gadget;
    type Observed = Seen;
    type Action = Act;

    const FINALIZER: Option<&'static str> = Some("sim.example.com/cleanup");

    async fn observe(&self, object: &Object<Gadget>) -> Result<Seen, Failure> {
        let uid = &object.metadata.uid;
        let _visit = self.outside.enter(uid);
        let held = self.outside(async { Ok(self.outside.lock().held.contains(uid)) }).await?;
        let job = self.outside(self.outside.jobs.state(&job_id(uid))).await?;
        if object.is_being_deleted() {
            return Ok(Seen { held, parts: 0, parts_ready: 0, job, receipt: None });
        }
        assert!(!object.spec.poison, "{POISON}");
        if object.spec.wrong {
            return Err(Failure::terminal("SpecWrong", "the gadget makes no sense; set spec.wrong to false"));
        }
        self.check_gate(object).await?;
        let listing = self.objects.list(PARTS, Some(&object.metadata.namespace)).await?;
        let is_ours = |part: &&Arc<StoredObject>| part.metadata.owner_references.iter().any(|owner| owner.uid == *uid);
        let ours: Vec<_> = listing.objects.iter().filter(is_ours).collect();
        let ready = ours
            .iter()
            .filter(|part| is_true(&controller::runtime::pass::status::conditions(&part.value["status"]), READY));
        let parts_ready = u32::try_from(ready.count()).unwrap_or(u32::MAX);
        let receipt = self.journal.result(object, RECEIPT).await?;
        Ok(Seen { held, parts: u32::try_from(ours.len()).unwrap_or(u32::MAX), parts_ready, job, receipt })
    }

    fn decide(object: &Object<Gadget>, seen: &Seen, _now: Timestamp) -> Decision<GadgetStatus, Act> {
        let mut status = object.status.clone();
        status.tag = object.spec.tag;
        let mut say = |word: ConditionStatus, reason: &str, message: &str| {
            api_types::condition::set(&mut status.conditions, Condition::new(READY, word, reason, message));
        };
        if object.is_being_deleted() {
            say(ConditionStatus::False, "Deleting", "The gadget is being taken apart.");
            return match (&seen.job, seen.held) {
                (JobState::Running, _) => {
                    Decision { next: Next::After(Duration::from_secs(1)), ..Decision::act(status, Act::CancelJob) }
                }
                (JobState::Exited(_) | JobState::Lost, _) => Decision::act(status, Act::RemoveJob),
                (JobState::Absent, true) => Decision::act(status, Act::Release),
                (JobState::Absent, false) => Decision::wait(status, Next::Finalized),
            };
        }
        say(ConditionStatus::Unknown, "Progressing", "The gadget is being put together.");
        if !seen.held {
            return Decision::act(status, Act::Hold);
        }
        if seen.parts < object.spec.parts {
            return Decision::act(status, Act::MakeParts);
        }
        match &seen.job {
            JobState::Absent => return Decision::act(status, Act::StartJob),
            JobState::Running => return Decision::wait(status, Next::After(Duration::from_secs(2))),
            JobState::Lost => return Decision::act(status, Act::RemoveJob),
            JobState::Exited(_) => {}
        }
        let Some(receipt) = &seen.receipt else { return Decision::act(status, Act::Post) };
        if seen.parts_ready < object.spec.parts {
            return Decision::wait(status, Next::OnChange);
        }
        say(ConditionStatus::True, "Complete", "The gadget works.");
        status.receipt.clone_from(receipt);
        Decision::wait(status, Next::OnChange)
    }

    async fn act(&self, object: &Object<Gadget>, action: Act) -> Result<(), Failure> {
        let uid = &object.metadata.uid;
        let _visit = self.outside.enter(uid);
        let jobs = &self.outside.jobs;
        let id = job_id(uid);
        match action {
            Act::Hold => {
                let hold = async {
                    self.outside.lock().held.insert(uid.clone());
                    Ok(())
                };
                self.outside(hold).await
            }
            Act::Release => {
                let release = async {
                    self.outside.lock().held.remove(uid);
                    Ok(())
                };
                self.outside(release).await
            }
            Act::MakeParts => self.make_parts(object).await,
            Act::StartJob => self.outside(jobs.start(&job(object, id))).await,
            Act::CancelJob => self.outside(jobs.cancel(&id)).await,
            Act::RemoveJob => self.outside(jobs.remove(&id)).await,
            Act::Post => {
                let look = || {
                    self.outside(async {
                        let posted = self.outside.lock().receipts.get(uid).copied().unwrap_or(0);
                        Ok((posted > 0).then(|| "posted".to_owned()))
                    })
                };
                let post = || {
                    self.outside(async {
                        *self.outside.lock().receipts.entry(uid.clone()).or_default() += 1;
                        Ok("posted".to_owned())
                    })
                };
                self.journal.once(object, RECEIPT, look, post).await.map(|_| ())
            }
        }
    }

    fn references(object: &Object<Gadget>) -> Vec<ObjectKey> {
        vec![ObjectKey::new(GATES, &object.metadata.namespace, &object.spec.gate)]
    }
}

impl Gadgets {
    async fn make_parts(&self, object: &Object<Gadget>) -> Result<(), Failure> {
        let owner = stored(object)?.as_owner();
        for index in 0..object.spec.parts {
            let name = format!("{}-{index}", object.metadata.name);
            let part = json!({
                "apiVersion": "sim.example.com/v1",
                "kind": "Part",
                "metadata": {"name": name, "namespace": object.metadata.namespace, "ownerReferences": [owner]},
                "spec": {"seconds": index + 1},
            });
            match self.objects.create(PARTS, part).await {
                Err(status) if status.reason != Some(api_types::status::Reason::AlreadyExists) => {
                    return Err(status.into());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn stored(object: &Object<Gadget>) -> Result<StoredObject, Failure> {
    let value = serde_json::to_value(object).map_err(|error| Failure::bug(error.to_string()))?;
    StoredObject::new(GADGETS, value).map_err(|error| Failure::bug(error.to_string()))
}

/// Returns the id of a gadget's job.
#[must_use]
pub fn job_id(uid: &str) -> JobId {
    JobId::new(format!("gadget-{uid}")).expect("uids of the simulation fit into ids")
}

fn job(object: &Object<Gadget>, id: JobId) -> JobSpec {
    JobSpec {
        id,
        owner: format!("{}/{}", object.metadata.namespace, object.metadata.name),
        argv: vec!["sleep".to_owned(), object.spec.job_seconds.to_string(), "0".to_owned()],
        env: BTreeMap::new(),
        cwd: "/".into(),
        limits: Limits::default(),
    }
}

/// The kind Part.
#[derive(Debug)]
pub struct Part;

/// Desired state of a Part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct PartSpec {
    /// How long it takes to become ready.
    pub seconds: i64,
}

/// Observed state of a Part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PartStatus {
    /// What is observed.
    pub conditions: Vec<Condition>,
}

impl Kind for Part {
    const GROUP: &'static str = "sim.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Part";
    const PLURAL: &'static str = "parts";
    type Spec = PartSpec;
    type Status = PartStatus;
}

/// The reconciler of parts.
pub struct Parts;

impl Reconciler for Parts {
    type Kind = Part;
    type Observed = ();
    type Action = ();

    async fn observe(&self, _object: &Object<Part>) -> Result<(), Failure> {
        Ok(())
    }

    fn decide(object: &Object<Part>, (): &(), now: Timestamp) -> Decision<PartStatus, ()> {
        let created: Option<Timestamp> = object.metadata.creation_timestamp.as_ref().and_then(|text| text.parse().ok());
        let age = created.map_or(i64::MAX, |created| now.as_second() - created.as_second());
        let is_ready = age >= object.spec.seconds;
        let (word, next) = if is_ready {
            (ConditionStatus::True, Next::OnChange)
        } else {
            (ConditionStatus::False, Next::After(Duration::from_secs(1)))
        };
        let ready = Condition::new(READY, word, "Aged", "The part is ready when it is old enough.");
        Decision::wait(PartStatus { conditions: vec![ready] }, next)
    }

    async fn act(&self, _object: &Object<Part>, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}
