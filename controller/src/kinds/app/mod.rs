//! App: keeps one recipe deployed under one domain. See `README.md` beside this file.

pub mod act;
mod application;
pub mod converge;
pub mod decide;
pub mod dependencies;
pub mod deployer;
mod drift;
pub(crate) mod generated;
pub mod health;
pub mod images;
pub mod inventory;
pub mod labels;
mod left;
mod memory;
pub mod observe;
pub mod place;
pub mod plan;
pub mod prepare;
pub mod pull_secrets;
pub mod reaper;
mod repairs;
mod repeats;
pub mod rotation;
pub mod secrets;
pub mod teardown;
pub mod upgrade;
pub mod version;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::built_in::namespace::Namespace;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::forge::Forge;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::TestRun;
use api_types::reason;
use jiff::Timestamp;

use crate::kinds::certificate::share;
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::ControllerOptions;
use crate::runtime::events::{EventKind, Recorder};
use crate::runtime::manager::Manager;
use crate::runtime::objects::{ObjectKey, Objects, StoredObject};
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler};

use act::{Action, probe_id};
use api_types::kinds::app::Deployer;
use deployer::abra::{ByAbra, choose};
use deployer::swarm::Native;
use deployer::{Deploys, Refusal};
use health::Probes;
use labels::Owner;
use memory::Memory;
use observe::Observed;
use prepare::Prepared;

/// On an App that may take over a stack that it did not deploy: `"true"`.
pub const ADOPT_ANNOTATION: &str = "ci.coopcloud.tech/adopt";
/// The finalizer: the App goes when its stack is gone, and that is proved.
pub const FINALIZER: &str = "ci.coopcloud.tech/app";
/// Longest name of a stack, as abra cuts it.
const STACK_LENGTH_MAX: usize = 45;

/// Returns how the controller of Apps works.
#[must_use]
pub fn options() -> ControllerOptions {
    let watches = [
        Host::resource(),
        Recipe::resource(),
        TestRun::resource(),
        Namespace::resource(),
        Certificate::resource(),
        Forge::resource(),
        "secrets".to_owned(),
    ];
    ControllerOptions { watches: watches.to_vec(), ..ControllerOptions::default() }
}

type Memories = Arc<Mutex<HashMap<String, Memory>>>;

/// The reconciler.
pub struct Apps {
    objects: Arc<dyn Objects>,
    cache: Arc<Cache>,
    recorder: Recorder,
    outside: Outside,
    /// By uid.
    memories: Memories,
    /// Names of networks by id.
    networks: Mutex<BTreeMap<String, String>>,
}

impl Apps {
    /// Returns the reconciler of the Apps that `manager` looks after.
    #[must_use]
    pub fn new(manager: &Manager, outside: Outside) -> Self {
        let shared = manager.shared();
        Self::over(shared.objects.clone(), shared.cache.clone(), shared.recorder.clone(), outside)
    }

    /// Returns a reconciler of the Apps in a cache.
    pub(crate) fn over(objects: Arc<dyn Objects>, cache: Arc<Cache>, recorder: Recorder, outside: Outside) -> Self {
        Self { objects, cache, recorder, outside, memories: Memories::default(), networks: Mutex::default() }
    }

    fn key(&self, app: &Object<App>) -> ObjectKey {
        ObjectKey::new(&App::resource(), &app.metadata.namespace, &app.metadata.name)
    }

    fn with_memory<Output>(&self, app: &Object<App>, use_it: impl FnOnce(&mut Memory) -> Output) -> Output {
        let mut memories = self.memories.lock().unwrap_or_else(PoisonError::into_inner);
        if !memories.contains_key(&app.metadata.uid) {
            // Those whose Apps are gone are of no use to anybody.
            let known: BTreeSet<String> =
                self.cache.list(&App::resource()).iter().map(|stored| stored.metadata.uid.clone()).collect();
            memories.retain(|uid, _| known.contains(uid));
        }
        use_it(memories.entry(app.metadata.uid.clone()).or_default())
    }

    /// Returns by what an App is deployed.
    fn deployer(
        &self,
        app: &Object<App>,
        prepared: &Prepared,
        engine: &str,
    ) -> Result<(Deployer, Arc<dyn Deploys>), Refusal> {
        let chosen = choose(app.spec.deployer, self.outside.abra.is_some(), &prepared.order, engine)?;
        match (chosen, &self.outside.abra, &prepared.order) {
            (Deployer::Abra, Some(abra), Ok(order)) => {
                let by_abra = ByAbra {
                    abra: abra.clone(),
                    git: self.outside.git.clone(),
                    operations: self.outside.operations.clone(),
                    app: self.key(app),
                    id: format!("app/{}/abra/{}", app.metadata.uid, prepared.hash),
                    order: order.clone(),
                    engine: engine.to_owned(),
                };
                Ok((Deployer::Abra, Arc::new(by_abra)))
            }
            _ => Ok((Deployer::Swarm, Arc::new(Native))),
        }
    }

    /// Returns what is known about whether it answers, of this deploy.
    fn probes(&self, app: &Object<App>) -> Probes {
        let is_busy = matches!(self.outside.operations.state(&probe_id(app)), OperationState::Running(_));
        self.with_memory(app, |memory| {
            let mut probes =
                if memory.probes.0 == app.status.deployed_at { memory.probes.1.clone() } else { Probes::default() };
            probes.is_busy = is_busy;
            probes
        })
    }

    fn record(&self, app: &Object<App>, kind: EventKind, reason: &str, message: &str) {
        if let Some(stored) = self.cache.get(&self.key(app)) {
            self.recorder.record("app", &stored, kind, reason, message);
        }
    }

    /// Returns who owns what an App deploys.
    fn owner_of(&self, app: &Object<App>, stack: &str) -> Result<Owner, Failure> {
        let Some(namespace) = self.cache.get(&installation_key()) else {
            return Err(Failure::retryable(reason::PROGRESSING, "the namespace default has not been seen yet"));
        };
        Ok(Owner {
            app: format!("{}/{}", app.metadata.namespace, app.metadata.name),
            uid: app.metadata.uid.clone(),
            stack: stack.to_owned(),
            installation: namespace.metadata.uid.clone(),
            run: (app.metadata.owner_references.iter().find(|owner| owner.kind == TestRun::KIND))
                .map(|run| format!("{}/{}", app.metadata.namespace, run.name)),
        })
    }

    /// Returns the App that has a stack: the one that was created first among those whose domains name it.
    fn first_of_stack(&self, stack: &str) -> Option<Arc<StoredObject>> {
        let apps = self.cache.list(&App::resource());
        let of_stack = apps.into_iter().filter(|stored| stack_of(stored).as_deref() == Some(stack));
        of_stack.min_by(|left, right| order(left).cmp(&order(right)))
    }

    /// Returns whether an App has its stack, and not another one that came before it.
    fn is_first_of_stack(&self, app: &Object<App>, stack: &str) -> bool {
        self.first_of_stack(stack).is_none_or(|first| first.metadata.uid == app.metadata.uid)
    }

    /// Returns the stacks of all Apps.
    fn known_stacks(&self) -> BTreeSet<String> {
        self.cache.list(&App::resource()).iter().filter_map(|stored| stack_of(stored)).collect()
    }
}

impl Reconciler for Apps {
    type Kind = App;
    type Observed = Observed;
    type Action = Action;

    const FINALIZER: Option<&'static str> = Some(FINALIZER);

    async fn observe(&self, app: &Object<App>) -> Result<Observed, Failure> {
        self.look(app).await
    }

    fn decide(app: &Object<App>, observed: &Observed, now: Timestamp) -> Decision<AppStatus, Action> {
        decide::decide(app, observed, now)
    }

    async fn act(&self, app: &Object<App>, action: Action) -> Result<(), Failure> {
        self.carry_out(app, action).await
    }

    fn gone(&self, key: &ObjectKey) {
        self.outside.operations.forget_all(key);
    }

    fn references(app: &Object<App>) -> Vec<ObjectKey> {
        prepare::references(app)
    }

    fn named_by(other: &StoredObject) -> Vec<ObjectKey> {
        let is_certificate = *other.key.resource == *Certificate::resource();
        if is_certificate { share::apps_of(other) } else { Vec::new() }
    }
}

/// Returns the name of the stack of a domain, as abra makes it: dots become underscores, and it is cut.
#[must_use]
pub fn stack_name(domain: &str) -> String {
    domain.replace('.', "_").chars().take(STACK_LENGTH_MAX).collect()
}

fn stack_of(stored: &StoredObject) -> Option<String> {
    stored.value["spec"]["domain"].as_str().map(stack_name)
}

fn order(stored: &StoredObject) -> (String, &str) {
    (stored.metadata.creation_timestamp.clone().unwrap_or_default(), &stored.key.key)
}

/// Returns the object whose uid tells this ccd from others: it is there from the first start on, and never goes.
pub(crate) fn installation_key() -> ObjectKey {
    ObjectKey::new(&Namespace::resource(), "", "default")
}
