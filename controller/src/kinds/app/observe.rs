//! What is known of an App: what should run, what does, and how far work on it is. Changes nothing in the world.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::app::{App, Deployer, VolumePolicy};
use api_types::kinds::identity::{Identity, ServiceImage};
use api_types::reason;
use jiff::Timestamp;
use ports::error::ErrorKind;
use ports::swarm::{Engine, Filter, IMAGE_LABEL, Node, Service, Task, TaskState};

use super::converge::{self, Budget, Goal, Judgement, Mark, SPEC_LABEL, Verdict, judge};
use super::dependencies::{self, Dependencies};
use super::deployer::compare::{differences, fit};
use super::deployer::decorate::{COMMIT_LABEL, VERSION_LABEL};
use super::deployer::swarm::Native;
use super::deployer::{Deploys as _, Effect, Live, Prune, Refusal};
use super::generated::Kept;
use super::health::Probes;
use super::inventory::{Inventory, World};
use super::labels::{APP_LABEL, UID_LABEL};
use super::memory::Memory;
use super::prepare::Prepared;
use super::teardown::{Progress, Scope, recorded_volumes};
use super::upgrade::after::Seen;
use super::{ADOPT_ANNOTATION, Apps, application, images, place, rotation, stack_name, upgrade};
use crate::runtime::blocking::blocking;
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;

/// What is known of an App.
#[derive(Debug)]
pub enum Observed {
    /// It is being deleted.
    Leaving(Box<Leaving>),
    /// It should run.
    Present(Box<Present>),
}

/// What is left of a stack that has to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Leaving {
    /// What is left.
    pub inventory: Inventory,
    /// What has to go.
    pub scope: Scope,
    /// How far it is.
    pub progress: Progress,
    /// Apps that need it and go before it.
    pub going_first: Vec<String>,
}

impl Leaving {
    /// Returns what is left of an App that never had anything: nothing, and that for ever. No moment near the present will
    /// do: a decision is made for the moment at which the look began.
    pub(super) fn nothing(scope: Scope) -> Self {
        let epoch = Some(Timestamp::UNIX_EPOCH);
        let progress = Progress { ended_since: epoch, clean_since: epoch, ..Progress::default() };
        Self { inventory: Inventory::default(), scope, progress, going_first: Vec::new() }
    }
}

/// What is known of an App that should run.
#[derive(Debug)]
pub struct Present {
    /// The stack's name.
    pub stack: String,
    /// The Host that it runs on.
    pub host: String,
    /// With what it is deployed.
    pub deployer: Deployer,
    /// What should run.
    pub source: Source,
    /// The images.
    pub images: Images,
    /// What does run; why that cannot be seen otherwise.
    pub swarm: Result<Swarm, Failure>,
    /// Whether it answers.
    pub probes: Probes,
    /// The OAuth2 application that it has at a forge.
    pub(super) application: application::care::Seen,
    /// How the Apps are that it needs.
    pub dependencies: Dependencies,
    /// What is kept of its generated secrets.
    pub(super) kept: Kept,
    /// What an upgrade has to know.
    pub upgrade: Seen,
    /// Whether what should run should be looked up again, because it may be something else by now.
    pub refresh_due: bool,
}

/// What should run, as far as it is known.
#[derive(Clone, Debug)]
pub enum Source {
    /// Nobody has looked yet.
    Absent,
    /// It is being fetched and read.
    Busy,
    /// It cannot be deployed.
    Refused(Refusal),
    /// It is known.
    Ready(Arc<Prepared>),
}

/// The images of what should run.
#[derive(Clone, Debug)]
pub enum Images {
    /// All are there, as far as they have to be.
    Settled,
    /// Some are not.
    Missing,
    /// They are being pulled.
    Busy,
    /// One cannot be had.
    Failed(Refusal),
}

/// Whose the stack is.
#[derive(Clone, Debug)]
pub enum Claim {
    /// Ours, or nobody's.
    Ours,
    /// Somebody else's.
    Foreign(Refusal),
    /// An earlier App of ours left something that goes first.
    Leftovers(Box<Leaving>),
    /// Tasks of an earlier deploy are still ending.
    Ending,
}

/// What runs.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// Whose it is.
    pub claim: Claim,
    /// What is still to be done to hand the stack over.
    pub missing: Result<Vec<Effect>, Refusal>,
    /// After which time more of it may be done; `None` when nothing was done a moment ago already.
    pub held_for: Option<Duration>,
    /// For how long the engine is left alone, because it was away a moment ago.
    pub settles_for: Option<Duration>,
    /// For how long nothing is put right, because that was done a few times in a row.
    pub rests_for: Option<Duration>,
    /// Secrets that are to be generated first, by their names in the swarm.
    pub secrets_to_make: Vec<String>,
    /// Secrets whose value was used and is nowhere any more, likewise.
    pub secrets_lost: Vec<String>,
    /// What the swarm has made of the services that were handed over.
    pub judgements: Vec<Judgement>,
    /// For how long no task and no service has moved, as far as was seen.
    pub still: Duration,
    /// What is no longer needed.
    pub surplus: Vec<Effect>,
    /// What runs, by the labels and images of the services.
    pub identity: Option<Identity>,
}

impl Swarm {
    /// Returns a swarm in which nothing but the claim has been looked at.
    fn claimed(claim: Claim) -> Self {
        Self {
            claim,
            missing: Ok(Vec::new()),
            held_for: None,
            settles_for: None,
            rests_for: None,
            secrets_to_make: Vec::new(),
            secrets_lost: Vec::new(),
            judgements: Vec::new(),
            still: Duration::ZERO,
            surplus: Vec::new(),
            identity: None,
        }
    }
}

impl Apps {
    pub(super) async fn look(&self, app: &Object<App>) -> Result<Observed, Failure> {
        if app.is_being_deleted() {
            return self.look_at_leaving(app).await.map(|leaving| Observed::Leaving(Box::new(leaving)));
        }
        let stack = stack_name(&app.spec.domain);
        self.check_domain(app, &stack)?;
        let host = place::choose(&self.cache, app)?;
        let (source, refresh_due) = self.source_and_age(app, &stack)?;
        let mut present = Present {
            stack,
            host: host.name.clone(),
            deployer: Deployer::Swarm,
            source: source.clone(),
            images: Images::Settled,
            swarm: Err(Failure::retryable(reason::PROGRESSING, "it has not been looked at")),
            probes: Probes::default(),
            application: self.look_at_application(app),
            dependencies: dependencies::look(&self.cache, app),
            kept: self.kept(app)?,
            upgrade: Seen::default(),
            refresh_due,
        };
        let Source::Ready(prepared) = source else { return Ok(Observed::Present(Box::new(present))) };
        let engine = self.outside.engines.connect(&host.engine)?;
        if let Ok((deployer, _)) = self.deployer(app, &prepared, &host.engine) {
            present.deployer = deployer;
        }
        let swarm = self.swarm(app, &prepared, &*engine, &host).await;
        match swarm {
            Ok((swarm, images, upgrade)) => {
                present.swarm = Ok(swarm);
                present.images = images;
                present.upgrade = upgrade;
            }
            Err(failure) if failure.kind == ErrorKind::Bug => return Err(failure),
            Err(failure) => {
                let now = self.outside.clock.now();
                self.with_memory(app, |memory| {
                    memory.clocks.values_mut().for_each(converge::Clocks::stop);
                    memory.engine_away_at = Some(now);
                });
                present.swarm = Err(failure);
            }
        }
        present.probes = self.probes(app);
        Ok(Observed::Present(Box::new(present)))
    }

    /// Returns what should run, as far as it is known.
    pub(super) fn source(&self, app: &Object<App>, stack: &str) -> Result<Source, Failure> {
        self.source_and_age(app, stack).map(|(source, _)| source)
    }

    fn source_and_age(&self, app: &Object<App>, stack: &str) -> Result<(Source, bool), Failure> {
        let inputs = self.inputs(app, stack)?;
        let operation = inputs.operation_id(&app.metadata.uid);
        let state = self.outside.operations.state(&operation);
        let is_busy = matches!(state, OperationState::Running(_));
        if matches!(state, OperationState::Done(_)) {
            self.outside.operations.forget(&operation);
        }
        let key = inputs.key();
        let known = self.with_memory(app, |memory| memory.prepared.clone()).filter(|(of, ..)| *of == key);
        let now = self.outside.clock.now();
        match (known, state) {
            (Some((_, Ok(prepared), at)), state) => {
                if let OperationState::Done(Err(failure)) = &state {
                    tracing::warn!(app = %self.key(app).key, error = failure.message, "cannot look for a newer state");
                    self.with_memory(app, |memory| memory.prepared = Some((key, Ok(prepared.clone()), now)));
                    return Ok((Source::Ready(prepared), false));
                }
                let pause = if inputs.is_fixed() && !prepared.is_named_held { REFRESH_FIXED } else { REFRESH };
                let is_due = inputs.may_step() && now.duration_since(at).unsigned_abs() >= pause && !is_busy;
                Ok((Source::Ready(prepared), is_due))
            }
            (_, OperationState::Done(Err(failure))) => Err(failure),
            (Some((_, Err(refusal), at)), _) if is_busy || !is_over(at, now) => Ok((Source::Refused(refusal), false)),
            (_, OperationState::Running(_)) => Ok((Source::Busy, false)),
            _ => Ok((Source::Absent, false)),
        }
    }

    async fn has_files(&self, stack: &str) -> Result<bool, Failure> {
        let (files, stack) = (self.outside.files.clone(), stack.to_owned());
        blocking(move || super::secrets::is_kept(&files, &stack)).await?
    }

    /// Two Apps cannot have one stack: the one that came first has it, until it is gone.
    pub(super) fn check_domain(&self, app: &Object<App>, stack: &str) -> Result<(), Failure> {
        let Some(first) = self.first_of_stack(stack) else { return Ok(()) };
        if first.metadata.uid == app.metadata.uid {
            return Ok(());
        }
        let message = format!(
            "the domain {} belongs to the App {}, which came first: give this App another domain, or delete that one",
            app.spec.domain, first.key.key
        );
        Err(Failure::blocked(reason::DOMAIN_TAKEN, message, vec![first.key.clone()]))
    }

    async fn look_at_leaving(&self, app: &Object<App>) -> Result<Leaving, Failure> {
        // Whatever is under way for it ends here: it would build up what is being torn down.
        self.outside.operations.forget_all(&self.key(app));
        let scope = match app.spec.volumes {
            VolumePolicy::Delete => Scope::Everything,
            VolumePolicy::Retain => Scope::KeepData,
        };
        let stack = app.status.stack.clone().unwrap_or_else(|| stack_name(&app.spec.domain));
        let is_first = self.is_first_of_stack(app, &stack);
        if !is_first || app.status.deployed_hash.is_none() && app.status.remaining.is_empty() {
            // It never deployed anything, so that nothing can be its own but what was kept for it.
            let mut leaving = Leaving::nothing(scope);
            if self.kept_is_worthless(app) || self.application_goes(app) {
                leaving.scope = Scope::Everything;
                leaving.inventory.has_files = true;
            }
            return Ok(leaving);
        }
        let host = place::choose(&self.cache, app)?;
        let engine = self.outside.engines.connect(&host.engine)?;
        self.leaving(app, &stack, scope, &*engine).await
    }

    /// Takes stock of a stack that has to go.
    pub(super) async fn leaving(
        &self,
        app: &Object<App>,
        stack: &str,
        scope: Scope,
        engine: &dyn Engine,
    ) -> Result<Leaving, Failure> {
        let world = World::read(engine).await?;
        let recorded: BTreeSet<String> = recorded_volumes(&app.status.remaining).map(str::to_owned).collect();
        let mut inventory = world.of_stack(stack, &self.known_stacks(), &recorded);
        if scope == Scope::KeepData && app.status.upgrade.as_ref().is_some_and(upgrade::needs_copies) {
            // The volumes may be half put back: what they should hold is in the copies alone.
            inventory.volumes.retain(|volume| !volume.labels.contains_key(upgrade::SNAPSHOT_LABEL));
        }
        inventory.has_files = self.has_files(stack).await? || self.kept_goes(app) || self.application_goes(app);
        let now = self.outside.clock.now();
        let progress = self.with_memory(app, |memory| {
            memory.progress = memory.progress.after(&inventory, scope, now);
            memory.progress
        });
        Ok(Leaving { inventory, scope, progress, going_first: dependencies::going_first(&self.cache, app) })
    }

    /// Looks at the swarm.
    async fn swarm(
        &self,
        app: &Object<App>,
        prepared: &Prepared,
        engine: &dyn Engine,
        host: &place::Place,
    ) -> Result<(Swarm, Images, Seen), Failure> {
        let stack = &prepared.wanted.owner.stack;
        let filter = Filter::stack(stack);
        let services = engine.services(&filter).await?;
        let claim = self.claim(app, stack, &services, engine).await?;
        if !matches!(claim, Claim::Ours) {
            return Ok((Swarm::claimed(claim), Images::Settled, Seen::default()));
        }
        let is_handed_over = is_handed_over(app, prepared);
        let upgrade = self.look_at_upgrade(app, prepared, &services, engine).await?;
        let identity = identity(&services);
        let network_names = self.network_names(&services, engine).await?;
        let (wanted_images, images) = self.images(app, prepared, &services);
        let mut wanted = prepared.wanted.clone();
        wanted.images = wanted_images;
        let kept = self.kept(app)?;
        wanted.retired = rotation::retired(&kept.history, prepared);
        wanted.secrets.extend(kept.values);
        let (mut judgements, mut still) = (Vec::new(), Duration::ZERO);
        if is_handed_over {
            let tasks = engine.tasks(&filter).await?;
            let now = self.outside.clock.now();
            still = self.with_memory(app, |memory| memory.motion.still_for(&services, &tasks, now));
            let nodes = engine.nodes().await?;
            let out_of_memory = out_of_memory(engine, &tasks).await?;
            let seen = Looked { services: &services, tasks, nodes, out_of_memory, network_names };
            judgements = self.judge_all(app, prepared, &wanted.images, &seen);
        }
        let is_converged = converge::worst(&judgements).is_none_or(|worst| worst.verdict == Verdict::Converged);
        let is_drifted = judgements.iter().any(|judgement| judgement.reason.wants_repair());
        let has_swept = self.with_memory(app, |memory| memory.swept.as_deref() == Some(&prepared.hash));
        let settles_for = self.settles_for(app);
        let now = self.outside.clock.now();
        let rests_for = self.with_memory(app, |memory| memory.repairs.held_for(now));
        let mut swarm = Swarm { judgements, still, identity, settles_for, rests_for, ..Swarm::claimed(Claim::Ours) };
        if is_handed_over && !is_drifted && (!is_converged || has_swept) {
            return Ok((swarm, images, upgrade));
        }
        let live = live(services, engine).await?;
        let deployer = self.deployer(app, prepared, &host.engine).map(|(_, deployer)| deployer);
        let to_make = secrets_to_make(prepared, &wanted, &live);
        let was_used = |name: &String| app.status.secret_names.contains(name);
        (swarm.secrets_lost, swarm.secrets_to_make) = to_make.into_iter().partition(was_used);
        if !is_handed_over || is_drifted {
            let missing = deployer.and_then(|deployer| deployer.missing(&wanted, &live));
            let now = self.outside.clock.now();
            let allow = |effects| self.with_memory(app, |memory| memory.repeats.allow(effects, &live, now));
            swarm.missing = missing.and_then(allow).map(|allowed| {
                swarm.held_for = allowed.held_for;
                allowed.effects
            });
        } else {
            let prune = if app.spec.prune_dropped { Prune::Services } else { Prune::Nothing };
            swarm.surplus = Native.surplus(&wanted, &live, prune);
            if swarm.surplus.is_empty() {
                // What has been swept stays so until something else is deployed.
                self.with_memory(app, |memory| memory.swept = Some(prepared.hash.clone()));
            }
        }
        Ok((swarm, images, upgrade))
    }

    /// Returns for how long nothing is to be handed to an engine that was away.
    fn settles_for(&self, app: &Object<App>) -> Option<Duration> {
        let away_at = self.with_memory(app, |memory| memory.engine_away_at)?;
        let back_for = self.outside.clock.now().duration_since(away_at).unsigned_abs();
        ENGINE_SETTLES.checked_sub(back_for).filter(|left| !left.is_zero())
    }

    fn judge_all(
        &self,
        app: &Object<App>,
        prepared: &Prepared,
        images: &BTreeMap<String, String>,
        seen: &Looked<'_>,
    ) -> Vec<Judgement> {
        let now = self.outside.clock.now();
        let deployed_at = app.status.deployed_at.as_ref().and_then(|at| at.parse::<Timestamp>().ok()).unwrap_or(now);
        let converged = api_types::condition::ConditionType::Converged.word();
        let had_converged = api_types::condition::is_true(&app.status.conditions, converged);
        self.with_memory(app, |memory: &mut Memory| {
            let mut judgements = Vec::new();
            for service in &prepared.wanted.stack.services {
                let live = seen.services.iter().find(|live| live.spec.name == service.spec.name);
                let spec = fit(&service.spec, live, images, &seen.network_names);
                let mark = Mark::Label(spec.labels.get(SPEC_LABEL).cloned().unwrap_or_default());
                let differing = live.map(|live| differences(&spec, &live.spec, &seen.network_names));
                if differing.as_ref().is_some_and(Vec::is_empty) {
                    memory.repeats.settled(&spec.name);
                }
                let tasks = seen.tasks.iter().filter(|task| live.is_some_and(|live| live.id == task.service_id));
                let looked = converge::Seen {
                    service: live.cloned(),
                    tasks: tasks.cloned().collect(),
                    nodes: seen.nodes.clone(),
                    differences: differing.unwrap_or_default(),
                    out_of_memory: seen.out_of_memory.clone(),
                };
                let is_pinned = spec.task_template.container_spec.image.contains('@');
                let goal = Goal {
                    service: service.short_name.clone(),
                    mark,
                    budget: Budget::of(&spec, prepared.pull_timeout, prepared.converge_timeout),
                    spec,
                    applied_at: deployed_at,
                    is_pulled: is_pinned && seen.nodes.len() == 1,
                    had_converged,
                };
                let clocks = memory.clocks.entry(service.short_name.clone()).or_default();
                let (judgement, next) = judge(&goal, &looked, clocks, now);
                *clocks = next;
                judgements.push(judgement);
            }
            judgements
        })
    }

    /// Says whose the stack is that is there.
    pub(super) async fn claim(
        &self,
        app: &Object<App>,
        stack: &str,
        services: &[Service],
        engine: &dyn Engine,
    ) -> Result<Claim, Failure> {
        let owner = self.owner_of(app, stack)?;
        let may_adopt = app.metadata.annotations.get(ADOPT_ANNOTATION).is_some_and(|value| value == "true");
        let has_deployed = app.status.deployed_hash.is_some();
        let is_foreign = |service: &&Service| service.spec.labels.get(APP_LABEL) != Some(&owner.app);
        if !has_deployed
            && !may_adopt
            && let Some(foreign) = services.iter().find(is_foreign)
        {
            return Ok(self.foreign(stack, foreign));
        }
        if has_deployed || may_adopt {
            return Ok(Claim::Ours);
        }
        let is_predecessor = services.iter().any(|service| service.spec.labels.get(UID_LABEL) != Some(&owner.uid));
        if app.spec.volumes == VolumePolicy::Retain && is_predecessor {
            return Ok(Claim::Ours);
        }
        let scope = match app.spec.volumes {
            VolumePolicy::Delete => Scope::Everything,
            VolumePolicy::Retain => Scope::KeepData,
        };
        let mut leaving = self.leaving(app, stack, scope, engine).await?;
        // They are this App's own: it was prepared before anybody asked whose the stack is, and what that made (the key
        // from which versions of given secrets follow) is needed for as long as the App lives.
        leaving.inventory.has_files = false;
        Ok(claim_on_leftovers(stack, app.spec.volumes, leaving))
    }

    fn foreign(&self, stack: &str, service: &Service) -> Claim {
        let whose = service.spec.labels.get(APP_LABEL);
        let message = match whose {
            Some(other) => format!(
                "The stack {stack} was deployed by the App {other}, which is no more; it is being taken down. To take it \
                 over as it is instead, annotate this App: {ADOPT_ANNOTATION}=true."
            ),
            None => format!(
                "A stack {stack} runs already ({}), and was not deployed from here. To take it over without a restart, \
                 annotate this App: {ADOPT_ANNOTATION}=true. Or remove it: docker stack rm {stack}.",
                service.spec.name
            ),
        };
        Claim::Foreign(Refusal { reason: reason::STACK_NOT_OURS, message })
    }

    /// Returns the names of the networks that services are attached to, by id. They hardly ever change: they are asked
    /// for again only when one is unknown.
    async fn network_names(
        &self,
        services: &[Service],
        engine: &dyn Engine,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let targets = || services.iter().flat_map(|service| &service.spec.task_template.networks);
        let known = self.networks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if targets().all(|network| known.contains_key(&network.target)) {
            return Ok(known);
        }
        let networks = engine.networks(&Filter::default()).await?;
        let names: BTreeMap<String, String> = networks.into_iter().map(|network| (network.id, network.name)).collect();
        self.networks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).extend(names.clone());
        Ok(names)
    }

    /// Returns to what images are pinned, and whether all are there.
    fn images(
        &self,
        app: &Object<App>,
        prepared: &Prepared,
        services: &[Service],
    ) -> (BTreeMap<String, String>, Images) {
        let operation = images::operation_id(app, prepared);
        let state = self.outside.operations.state(&operation);
        let now = self.outside.clock.now();
        self.with_memory(app, |memory| {
            let wanted = images::to_settle(prepared, services);
            let settled = || memory.images.iter().map(|(name, image)| (name.clone(), image.clone())).collect();
            if wanted.iter().all(|image| memory.images.contains_key(*image)) {
                return (settled(), Images::Settled);
            }
            let images = match state {
                OperationState::Running(_) => Images::Busy,
                OperationState::Absent => match &memory.images_refused {
                    Some((at, refused, refusal)) if *refused == operation && !is_over(*at, now) => {
                        Images::Failed(refusal.clone())
                    }
                    _ => Images::Missing,
                },
                OperationState::Done(result) => {
                    self.outside.operations.forget(&operation);
                    match result.map_err(|failure| images::refusal(&failure, prepared)) {
                        Ok(_) if wanted.iter().all(|image| memory.images.contains_key(*image)) => Images::Settled,
                        Ok(_) => Images::Missing,
                        Err(None) => {
                            memory.engine_away_at = Some(now);
                            Images::Missing
                        }
                        Err(Some(refusal)) => {
                            memory.images_refused = Some((now, operation.clone(), refusal.clone()));
                            Images::Failed(refusal)
                        }
                    }
                }
            };
            (settled(), images)
        })
    }
}

/// How often a branch is looked at, and newer versions are looked for.
const REFRESH: Duration = Duration::from_mins(5);
/// How often newer versions are looked for that nobody takes: only people want to know of them.
const REFRESH_FIXED: Duration = Duration::from_hours(1);
/// How long an engine is given after it was away: it answers before its swarm has found its tasks again, and an update in
/// that moment can leave a task in `starting` for good.
const ENGINE_SETTLES: Duration = Duration::from_secs(15);
/// How long a refusal of a registry or a repository stands before it is asked again.
const REFUSED_PAUSE: Duration = Duration::from_mins(1);

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at).unsigned_abs() >= REFUSED_PAUSE
}

struct Looked<'a> {
    services: &'a [Service],
    tasks: Vec<Task>,
    nodes: Vec<Node>,
    out_of_memory: BTreeSet<String>,
    network_names: BTreeMap<String, String>,
}

/// Returns whether the stack was handed over as it should be now.
pub(super) fn is_handed_over(app: &Object<App>, prepared: &Prepared) -> bool {
    let deployed = api_types::condition::ConditionType::Deployed.word();
    app.status.deployed_hash.as_deref() == Some(&prepared.hash)
        && app.status.observed_generation == app.metadata.generation
        && api_types::condition::is_true(&app.status.conditions, deployed)
}

/// What an App that has deployed nothing yet finds under its name.
fn claim_on_leftovers(stack: &str, policy: VolumePolicy, leaving: Leaving) -> Claim {
    let inventory = &leaving.inventory;
    let is_ending = inventory.services.is_empty()
        && (inventory.tasks.iter().any(|task| !task.state.is_terminal()) || !inventory.containers.is_empty());
    if policy == VolumePolicy::Retain {
        // Data that an earlier App left is what this one wants.
        return if is_ending { Claim::Ending } else { Claim::Ours };
    }
    if super::teardown::remaining(inventory, leaving.scope).is_empty() {
        return Claim::Ours;
    }
    let items = inventory.networks.iter().chain(&inventory.configs).chain(&inventory.secrets);
    let foreign = items
        .chain(&inventory.volumes)
        .find(|item| !item.labels.contains_key(APP_LABEL) && !super::labels::is_anonymous(&item.name));
    match foreign {
        Some(foreign) => Claim::Foreign(Refusal {
            reason: reason::STACK_NOT_OURS,
            message: format!(
                "{} is there already under the name of the stack {stack}, and was not made from here. This App would \
                 delete it with its own data: remove it, or annotate this App: {ADOPT_ANNOTATION}=true.",
                foreign.name
            ),
        }),
        None => Claim::Leftovers(Box::new(leaving)),
    }
}

pub(super) async fn live(services: Vec<Service>, engine: &dyn Engine) -> Result<Live, Failure> {
    let all = Filter::default();
    Ok(Live {
        services,
        networks: engine.networks(&all).await?,
        secrets: engine.secrets(&all).await?,
        configs: engine.configs(&all).await?,
    })
}

/// Returns the secrets that the recipe lets us make, that the swarm does not have, and whose value is not there yet.
pub(super) fn secrets_to_make(prepared: &Prepared, wanted: &super::deployer::Wanted, live: &Live) -> Vec<String> {
    let missing = prepared
        .secret_rules
        .keys()
        .filter(|name| !wanted.secrets.contains_key(*name) && !live.secrets.iter().any(|secret| secret.name == **name));
    missing.cloned().collect()
}

/// Returns what runs, as services say it. What they do not agree upon is nothing.
fn identity(services: &[Service]) -> Option<Identity> {
    if services.is_empty() {
        return None;
    }
    let agreed = |label: &str| {
        let mut values = services.iter().map(|service| service.spec.labels.get(label));
        let first = values.next().flatten()?;
        values.all(|value| value == Some(first)).then(|| first.clone())
    };
    let images = services.iter().map(|service| {
        let image = &service.spec.task_template.container_spec.image;
        let (name, digest) =
            image.split_once('@').map_or((image.as_str(), None), |(name, digest)| (name, Some(digest)));
        let stack = service.spec.labels.get(ports::swarm::STACK_LABEL).map(|stack| format!("{stack}_"));
        let short = stack.and_then(|prefix| service.spec.name.strip_prefix(&prefix).map(str::to_owned));
        ServiceImage {
            service: short.unwrap_or_else(|| service.spec.name.clone()),
            image: service.spec.labels.get(IMAGE_LABEL).cloned().unwrap_or_else(|| name.to_owned()),
            digest: digest.map(str::to_owned),
        }
    });
    Some(Identity { version: agreed(VERSION_LABEL), commit: agreed(COMMIT_LABEL), images: images.take(128).collect() })
}

/// Returns the tasks that the kernel killed for want of memory: only their containers know.
async fn out_of_memory(engine: &dyn Engine, tasks: &[Task]) -> Result<BTreeSet<String>, Failure> {
    let mut killed = BTreeSet::new();
    let candidates = tasks.iter().rev().filter(|task| {
        task.is_up_to_date
            && task.state == TaskState::Failed
            && task.exit_code == Some(137)
            && !task.container_id.is_empty()
    });
    for task in candidates.take(3) {
        if engine.container(&task.container_id).await?.is_some_and(|container| container.is_oom_killed) {
            killed.insert(task.id.clone());
        }
    }
    Ok(killed)
}
