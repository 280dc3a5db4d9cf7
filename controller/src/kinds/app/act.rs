//! The effects of the App reconciler: one variant, one effect, each of which may be cut off and done again.

use std::sync::PoisonError;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::app::App;
use ports::swarm::{Engine, Removal};
use serde_json::Value;

use super::deployer::Effect;
use super::observe::Source;
use super::rotation::Wish;
use super::teardown::Step;
use super::upgrade::Direction;
use super::upgrade::after::Told;
use super::{Apps, health, images, place, prepare, secrets, stack_name};
use crate::runtime::blocking::blocking;
use crate::runtime::events::EventKind;
use crate::runtime::outcome::Failure;

/// What fetching and reading a recipe may take.
const PREPARE_TIME_MAX: Duration = Duration::from_mins(15);
/// What one round of checks may take.
const PROBE_TIME_MAX: Duration = Duration::from_mins(1);

/// What can be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Begin to find out what should run.
    Prepare,
    /// Begin to pull images.
    Pull,
    /// Generate secrets, by their names in the swarm.
    MakeSecrets(Vec<String>),
    /// Hand the stack over, from here on.
    Deploy(Vec<Effect>),
    /// Put right what somebody changed, which the text tells.
    Repair(Vec<Effect>, String),
    /// Remove what is no longer needed.
    Prune(Vec<Effect>),
    /// Begin a round of checks.
    Probe,
    /// Give secrets other values.
    Rotate(Wish),
    /// Ask the forge whether the OAuth2 application is still there.
    LookAfterApplication,
    /// End rotations well.
    Settle,
    /// End rotations badly, which the text says why.
    TurnBack(String),
    /// Stop what uses volumes that are about to be copied: services, and containers that have ended.
    Stop {
        /// Services, by id.
        services: Vec<String>,
        /// Containers, by id.
        containers: Vec<String>,
    },
    /// Begin to copy these volumes.
    Save(Vec<String>),
    /// Begin to put copies of these volumes back.
    Restore(Vec<String>),
    /// Remove volumes that are needed no longer.
    DropVolumes {
        /// By name.
        volumes: Vec<String>,
        /// Containers, by id, that have ended and keep them.
        containers: Vec<String>,
    },
    /// Tell what has become of an upgrade.
    Tell(Told),
    /// Take the next step of a teardown.
    TearDown(Step),
}

impl Apps {
    pub(super) async fn carry_out(&self, app: &Object<App>, action: Action) -> Result<(), Failure> {
        match action {
            Action::Prepare => self.begin_to_prepare(app).await,
            Action::Pull => self.begin_to_pull(app),
            Action::MakeSecrets(names) => self.make_secrets(app, &names).await,
            Action::Deploy(effects) | Action::Prune(effects) => self.apply(app, &effects).await,
            Action::Repair(effects, told) => {
                self.record(app, EventKind::Warning, api_types::reason::DRIFTED, &told);
                self.apply(app, &effects).await?;
                let now = self.outside.clock.now();
                self.with_memory(app, |memory| memory.repairs.note(now));
                Ok(())
            }
            Action::Probe => self.begin_to_probe(app),
            Action::Rotate(wish) => self.rotate(app, &wish).await,
            Action::LookAfterApplication => self.look_after_application(app).await,
            Action::Settle => self.settle(app).await,
            Action::TurnBack(why) => self.turn_back(app, &why).await,
            Action::Stop { services, containers } => self.stop_users(app, services, containers).await,
            Action::Save(volumes) => self.begin_to_copy(app, volumes, Direction::Save),
            Action::Restore(volumes) => self.begin_to_copy(app, volumes, Direction::Restore),
            Action::DropVolumes { volumes, containers } => self.drop_volumes(app, volumes, containers).await,
            Action::Tell(told) => {
                let kind = if told.is_warning { EventKind::Warning } else { EventKind::Normal };
                self.record(app, kind, told.reason, &told.message);
                Ok(())
            }
            Action::TearDown(step) => self.tear_down(app, step).await,
        }
    }

    async fn begin_to_prepare(&self, app: &Object<App>) -> Result<(), Failure> {
        let stack = stack_name(&app.spec.domain);
        self.ensure_application(app).await?;
        let needs_key = !self.inputs(app, &stack)?.given_secrets.is_empty();
        self.gather(app, &stack, needs_key).await?;
        let inputs = self.inputs(app, &stack)?;
        let (outside, memories, uid) = (self.outside.clone(), self.memories.clone(), app.metadata.uid.clone());
        let operation = inputs.operation_id(&uid);
        let (recorder, stored) = (self.recorder.clone(), self.cache.get(&self.key(app)));
        let known = app.status.held.as_ref().map(|held| (held.version.clone(), held.reason.clone()));
        let work = async move {
            let key = inputs.key();
            let prepared = prepare::prepare(&inputs, &outside).await?;
            if let (Some(stored), Some(held)) = (stored, prepared.as_ref().ok().and_then(|found| found.held.as_ref()))
                && known != Some((held.version.clone(), held.reason.clone()))
            {
                recorder.record("app", &stored, EventKind::Normal, &held.reason, &held.message);
            }
            let now = outside.clock.now();
            let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
            memories.entry(uid).or_default().prepared = Some((key, prepared, now));
            Ok(Value::Null)
        };
        self.outside.operations.start(&operation, &self.key(app), PREPARE_TIME_MAX, work);
        Ok(())
    }

    fn begin_to_pull(&self, app: &Object<App>) -> Result<(), Failure> {
        let Source::Ready(prepared) = self.source(app, &stack_name(&app.spec.domain))? else { return Ok(()) };
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        let (memories, uid) = (self.memories.clone(), app.metadata.uid.clone());
        let operation = images::operation_id(app, &prepared);
        let limit = prepared.pull_timeout;
        let work = async move {
            let services = engine.services(&ports::swarm::Filter::stack(&prepared.wanted.owner.stack)).await?;
            let wanted: Vec<String> = images::to_settle(&prepared, &services).into_iter().map(str::to_owned).collect();
            let settled = std::sync::Mutex::default();
            let registries = &prepared.wanted.pull_secrets.registries;
            let result = images::settle(&*engine, &wanted, registries, &settled, &prepared.last_pull_error).await;
            let settled = settled.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
            memories.entry(uid).or_default().images.extend(settled);
            result.map(|()| Value::Null)
        };
        self.outside.operations.start(&operation, &self.key(app), limit, work);
        Ok(())
    }

    async fn make_secrets(&self, app: &Object<App>, names: &[String]) -> Result<(), Failure> {
        let stack = stack_name(&app.spec.domain);
        let Source::Ready(prepared) = self.source(app, &stack)? else { return Ok(()) };
        self.generate(app, &stack, &prepared.secret_rules, names).await
    }

    async fn apply(&self, app: &Object<App>, effects: &[Effect]) -> Result<(), Failure> {
        let Source::Ready(prepared) = self.source(app, &stack_name(&app.spec.domain))? else { return Ok(()) };
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        let mut wanted = prepared.wanted.clone();
        wanted.secrets.extend(self.kept(app)?.values);
        // What cannot be deployed as it is asked for was refused before.
        let Ok((_, deployer)) = self.deployer(app, &prepared, &host.engine) else { return Ok(()) };
        for effect in effects {
            tracing::info!(app = %self.key(app).key, ?effect, "deploying");
            deployer.apply(&*engine, &wanted, effect).await?;
            let now = self.outside.clock.now();
            self.with_memory(app, |memory| memory.repeats.note(effect, now));
        }
        Ok(())
    }

    fn begin_to_probe(&self, app: &Object<App>) -> Result<(), Failure> {
        let Source::Ready(prepared) = self.source(app, &stack_name(&app.spec.domain))? else { return Ok(()) };
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        let (outside, memories, uid) = (self.outside.clone(), self.memories.clone(), app.metadata.uid.clone());
        let domain = app.spec.domain.clone();
        let deployed_at = app.status.deployed_at.clone();
        let operation = probe_id(app);
        self.outside.operations.forget(&operation);
        let work = async move {
            let round = health::round(&outside, &*engine, &prepared, &domain).await;
            let mut memories = memories.lock().unwrap_or_else(PoisonError::into_inner);
            let memory = memories.entry(uid).or_default();
            if memory.probes.0 != deployed_at {
                memory.probes = (deployed_at, health::Probes::default());
            }
            memory.probes.1.take_in(round);
            Ok(Value::Null)
        };
        self.outside.operations.start(&operation, &self.key(app), PROBE_TIME_MAX, work);
        Ok(())
    }

    async fn tear_down(&self, app: &Object<App>, step: Step) -> Result<(), Failure> {
        let stack = app.status.stack.clone().unwrap_or_else(|| stack_name(&app.spec.domain));
        if step == Step::RemoveFiles {
            return self.remove_files(app, &stack).await;
        }
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        tracing::info!(app = %self.key(app).key, ?step, "tearing down");
        if matches!(step, Step::RemoveServices(_))
            && let Some(warning) = self.warning_of_dependents(app)
        {
            self.record(app, EventKind::Warning, api_types::reason::DEPENDENTS_LEFT, &warning);
        }
        take_step(&*engine, &step).await
    }

    async fn remove_files(&self, app: &Object<App>, stack: &str) -> Result<(), Failure> {
        // Another App of the stack that came first has the folder.
        if self.is_first_of_stack(app, stack) {
            let (files, stack) = (self.outside.files.clone(), stack.to_owned());
            blocking(move || secrets::remove(&files, &stack)).await??;
        }
        self.remove_application(app).await?;
        self.forget_kept(app).await?;
        self.outside.redactor.remove_all(&format!("app/{}/", app.metadata.uid));
        Ok(())
    }
}

/// Returns the id of the operation that asks whether an app answers.
pub(super) fn probe_id(app: &Object<App>) -> String {
    format!("app/{}/probe", app.metadata.uid)
}

/// Takes a step of a teardown that is the engine's to do. What is in use stays until a later pass.
pub(super) async fn take_step(engine: &dyn Engine, step: &Step) -> Result<(), Failure> {
    let mut in_use = Vec::new();
    let mut note = |removal: Removal| {
        if let Removal::InUse(why) = removal {
            in_use.push(why);
        }
    };
    match step {
        Step::RemoveServices(ids) => {
            for id in ids {
                note(engine.remove_service(id).await?);
            }
        }
        Step::RemoveContainers(ids) => {
            for id in ids {
                note(engine.remove_container(id).await?);
            }
        }
        Step::RemoveNetworks(ids) => {
            for id in ids {
                note(engine.remove_network(id).await?);
            }
        }
        Step::RemoveConfigs(ids) => {
            for id in ids {
                note(engine.remove_config(id).await?);
            }
        }
        Step::RemoveSecrets(ids) => {
            for id in ids {
                note(engine.remove_secret(id).await?);
            }
        }
        Step::RemoveVolumes(names) => {
            for name in names {
                note(engine.remove_volume(name).await?);
            }
        }
        Step::WaitForTasks | Step::RemoveFiles | Step::AuditAgain(_) | Step::Done => {}
    }
    if let Some(why) = in_use.first() {
        tracing::debug!(why, count = in_use.len(), "still in use");
    }
    Ok(())
}
