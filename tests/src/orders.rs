//! The kind Order: a real kind with real effects, for a `ccd` that is killed at any moment. Everything it does leaves a
//! trace in files, one line for each time, so that what happened twice is seen.
//!
//! An order holds a file as long as it lives, has ConfigMaps as children, runs a program, and posts receipts that must
//! be posted once each.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{Condition, ConditionStatus, READY};
use api_types::kind::{Kind, Object};
use api_types::status::Reason;
use controller::commands::Additions;
use controller::outside::Outside;
use controller::runtime::controller::ControllerOptions;
use controller::runtime::job_keeper::JobOwner;
use controller::runtime::journal::Journal;
use controller::runtime::manager::Manager;
use controller::runtime::objects::{ObjectKey, Objects};
use controller::runtime::outcome::Failure;
use controller::runtime::reconciler::{Decision, Next, Reconciler};
use jiff::Timestamp;
use ports::jobs::{JobId, JobSpec, JobState, Jobs, Limits};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

/// How long a receipt takes after it has been posted and before anybody is told: the moment to be killed in.
const REPLY_DELAY: Duration = Duration::from_millis(3);

/// The kind Order.
#[derive(Debug)]
pub struct Order;

/// Desired state of an Order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct OrderSpec {
    /// Where the traces are left.
    pub folder: PathBuf,
    /// How many ConfigMaps it has.
    pub parts: u32,
    /// How many receipts it posts.
    pub receipts: u32,
    /// Whether it runs a program.
    pub job: bool,
}

/// Observed state of an Order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OrderStatus {
    /// What is observed.
    pub conditions: Vec<Condition>,
    /// The generation that this status is about.
    pub observed_generation: i64,
}

impl Kind for Order {
    const GROUP: &'static str = "test.example.com";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Order";
    const PLURAL: &'static str = "orders";
    type Spec = OrderSpec;
    type Status = OrderStatus;
}

/// Returns what makes a `ccd` that knows orders.
#[must_use]
pub fn additions() -> Additions {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": Order::resource()},
        "spec": {
            "group": Order::GROUP, "scope": "Namespaced", "names": {"kind": Order::KIND, "plural": Order::PLURAL},
            "versions": [{
                "name": Order::VERSION, "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": open, "status": open}}},
            }],
        },
    });
    Additions { definitions: vec![definition], register: Some(register) }
}

fn register(manager: &mut Manager, outside: &Outside) {
    let objects = manager.shared().objects.clone();
    let orders = Orders { objects, journal: manager.journal(), jobs: outside.jobs.clone() };
    let options =
        ControllerOptions { concurrency: 32, owns: vec!["configmaps".to_owned()], ..ControllerOptions::default() };
    manager.register(orders, options);
}

/// Returns the file that an order with this uid holds.
#[must_use]
pub fn held(folder: &Path, uid: &str) -> PathBuf {
    folder.join(format!("held-{uid}"))
}

/// Returns the file to which an order's receipt of this number is posted.
#[must_use]
pub fn receipt(folder: &Path, uid: &str, number: u32) -> PathBuf {
    folder.join(format!("receipt-{uid}-{number}"))
}

/// Returns the file to which an order's program writes a line each time it runs.
#[must_use]
pub fn ran(folder: &Path, uid: &str) -> PathBuf {
    folder.join(format!("ran-{uid}"))
}

struct Orders {
    objects: Arc<dyn Objects>,
    journal: Journal,
    jobs: Arc<dyn Jobs>,
}

struct Seen {
    held: bool,
    missing_part: Option<u32>,
    job: JobState,
    receipts: u32,
}

#[derive(Debug)]
enum Act {
    Hold,
    Release,
    MakePart(u32),
    StartJob,
    CancelJob,
    RemoveJob,
    Post(u32),
}

impl Reconciler for Orders {
    type Kind = Order;
    type Observed = Seen;
    type Action = Act;

    const FINALIZER: Option<&'static str> = Some("test.example.com/order");

    async fn observe(&self, order: &Object<Order>) -> Result<Seen, Failure> {
        let uid = &order.metadata.uid;
        let held = exists(&held(&order.spec.folder, uid)).await?;
        let job = self.jobs.state(&job_id(uid)?).await?;
        let mut seen = Seen { held, missing_part: None, job, receipts: 0 };
        if order.is_being_deleted() {
            return Ok(seen);
        }
        for part in 0..order.spec.parts {
            match self.objects.get(&part_key(order, part)).await {
                Ok(_) => {}
                Err(status) if status.reason == Some(Reason::NotFound) => {
                    seen.missing_part = Some(part);
                    break;
                }
                Err(status) => return Err(status.into()),
            }
        }
        while seen.receipts < order.spec.receipts && self.journal.result(order, &effect(seen.receipts)).await?.is_some()
        {
            seen.receipts += 1;
        }
        Ok(seen)
    }

    fn decide(order: &Object<Order>, seen: &Seen, _now: Timestamp) -> Decision<OrderStatus, Act> {
        let mut status = order.status.clone();
        let mut say = |word: ConditionStatus, reason: &str, message: &str| {
            api_types::condition::set(&mut status.conditions, Condition::new(READY, word, reason, message));
        };
        if order.is_being_deleted() {
            say(ConditionStatus::False, "Deleting", "The order is being taken back.");
            return match (&seen.job, seen.held) {
                (JobState::Running, _) => {
                    Decision { next: Next::After(Duration::from_millis(100)), ..Decision::act(status, Act::CancelJob) }
                }
                (JobState::Exited(_) | JobState::Lost, _) => Decision::act(status, Act::RemoveJob),
                (JobState::Absent, true) => Decision::act(status, Act::Release),
                (JobState::Absent, false) => Decision::wait(status, Next::Finalized),
            };
        }
        say(ConditionStatus::Unknown, "Progressing", "The order is being carried out.");
        if !seen.held {
            return Decision::act(status, Act::Hold);
        }
        if let Some(part) = seen.missing_part {
            return Decision::act(status, Act::MakePart(part));
        }
        if seen.receipts < order.spec.receipts {
            return Decision::act(status, Act::Post(seen.receipts));
        }
        if order.spec.job {
            match &seen.job {
                JobState::Absent => return Decision::act(status, Act::StartJob),
                // Its end rings.
                JobState::Running => return Decision::wait(status, Next::OnChange),
                JobState::Lost => return Decision::act(status, Act::RemoveJob),
                JobState::Exited(_) => {}
            }
        }
        say(ConditionStatus::True, "Complete", "The order is carried out.");
        Decision::wait(status, Next::OnChange)
    }

    async fn act(&self, order: &Object<Order>, action: Act) -> Result<(), Failure> {
        let (folder, uid) = (&order.spec.folder, &order.metadata.uid);
        match action {
            Act::Hold => append(&held(folder, uid)).await,
            Act::Release => tokio::fs::remove_file(held(folder, uid)).await.map_err(|error| disk(&error)),
            Act::MakePart(part) => self.make_part(order, part).await,
            Act::StartJob => Ok(self.jobs.start(&job(order)?).await?),
            Act::CancelJob => Ok(self.jobs.cancel(&job_id(uid)?).await?),
            Act::RemoveJob => Ok(self.jobs.remove(&job_id(uid)?).await?),
            Act::Post(number) => {
                let file = receipt(folder, uid, number);
                let look = || async { Ok(is_written(&file).await?.then(|| "posted".to_owned())) };
                let post = || async {
                    append(&file).await?;
                    tokio::time::sleep(REPLY_DELAY).await;
                    Ok("posted".to_owned())
                };
                self.journal.once(order, &effect(number), look, post).await.map(|_| ())
            }
        }
    }
}

impl Orders {
    async fn make_part(&self, order: &Object<Order>, part: u32) -> Result<(), Failure> {
        let key = part_key(order, part);
        let owner = json!({"apiVersion": Order::api_version(), "kind": Order::KIND, "name": order.metadata.name,
            "uid": order.metadata.uid, "controller": true});
        let value: Value = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": key.name(), "namespace": key.namespace(), "ownerReferences": [owner]},
        });
        match self.objects.create("configmaps", value).await {
            Err(status) if status.reason != Some(Reason::AlreadyExists) => Err(status.into()),
            _ => Ok(()),
        }
    }
}

fn effect(number: u32) -> String {
    format!("receipt-{number}")
}

fn part_key(order: &Object<Order>, part: u32) -> ObjectKey {
    ObjectKey::new("configmaps", &order.metadata.namespace, &format!("{}-part-{part}", order.metadata.name))
}

fn job_id(uid: &str) -> Result<JobId, Failure> {
    Ok(JobId::new(format!("order-{uid}"))?)
}

fn job(order: &Object<Order>) -> Result<JobSpec, Failure> {
    let file = ran(&order.spec.folder, &order.metadata.uid);
    let script = "echo ran >> \"$0\"; sleep 0.05".to_owned();
    Ok(JobSpec {
        id: job_id(&order.metadata.uid)?,
        owner: JobOwner::of(order).to_string(),
        argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script, file.display().to_string()],
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: order.spec.folder.clone(),
        limits: Limits::default(),
    })
}

async fn exists(path: &Path) -> Result<bool, Failure> {
    tokio::fs::try_exists(path).await.map_err(|error| disk(&error))
}

/// Whether a line has been written: a kill between making the file and writing to it leaves an empty one.
async fn is_written(path: &Path) -> Result<bool, Failure> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(metadata.len() > 0),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(disk(&error)),
    }
}

/// Writes one line more, in one system call: a kill leaves no half of one.
async fn append(path: &Path) -> Result<(), Failure> {
    let file = tokio::fs::OpenOptions::new().create(true).append(true).open(path).await;
    let mut file = file.map_err(|error| disk(&error))?;
    file.write_all(b"done\n").await.map_err(|error| disk(&error))?;
    file.flush().await.map_err(|error| disk(&error))
}

fn disk(error: &std::io::Error) -> Failure {
    Failure::retryable("Disk", error.to_string())
}
