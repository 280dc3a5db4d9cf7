//! [`RunHands`]: does what runs order, on the real world.

mod abra_backup;
mod abra_lint;
mod attempt;
mod backup;
mod checks;
mod clean_up;
mod container;
mod evidence;
mod exec;
mod junit;
mod results;
mod screenshot;
pub(crate) mod source;
mod tar_files;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, Deployer};
use api_types::kinds::test_run::RungStatus;
use api_types::reason;
use async_trait::async_trait;
use ports::abra::AbraApp;
use ports::error::{Error, ErrorKind};
use ports::files::{Area, FileName, RunKey};
use ports::recipe::names::stack_name;
use ports::swarm::Engine;
use ports::swarm::registries::Registries;
use serde_json::Value;

use self::abra_backup::ByAbra;
use super::folders::Folder;
use super::work::{Deed, Hands, Order, Outcome, Work, bad};
use crate::kinds::app::deployer::abra::ABRA_FOLDER;
use crate::kinds::app::prepare::recipe_name;
use crate::kinds::app::{installation_key, place, pull_secrets};
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;

/// The label of everything that a run itself makes in the swarm; its value is the run's uid.
pub const RUN_LABEL: &str = "ci.coopcloud.tech/run";

/// Does what runs order.
pub struct RunHands {
    outside: Outside,
    cache: Arc<Cache>,
}

impl RunHands {
    /// Returns hands that reach outside through `outside`, and find Apps and Hosts in `cache`.
    #[must_use]
    pub fn new(outside: Outside, cache: Arc<Cache>) -> Self {
        Self { outside, cache }
    }

    /// Returns everything that an order works with.
    fn job(&self, order: Order) -> Result<Job, Failure> {
        let run = &order.run;
        let key = RunKey::new(&run.metadata.namespace, &run.metadata.name, &run.metadata.uid)?;
        let domain = run.status.domain.clone().unwrap_or_default();
        let log = FileName::new(order.step.log())?;
        let installation =
            self.cache.get(&installation_key()).map(|found| found.metadata.uid.clone()).unwrap_or_default();
        let outside = self.outside.clone();
        let is_here = self.place(&order).is_ok_and(|place| place.engine.starts_with("unix://"));
        let names = &order.recipe.spec.image_pull_secrets;
        let registries = pull_secrets::read(&self.cache, &run.metadata.namespace, names).map(|found| found.registries);
        let by_abra = self.by_abra(&order, &domain)?;
        Ok(Job {
            outside,
            registries,
            by_abra,
            is_here,
            stack: stack_name(&domain),
            domain,
            installation,
            key,
            log,
            order,
        })
    }

    /// Returns the engine on which the run's app is, or will be.
    fn engine(&self, order: &Order) -> Result<Arc<dyn Engine>, Failure> {
        Ok(self.outside.engines.connect(&self.place(order)?.engine)?)
    }

    fn place(&self, order: &Order) -> Result<place::Place, Failure> {
        let run = &order.run;
        let app = self.app(order);
        let app = app.unwrap_or_else(|| Object::new(&run.metadata.namespace, &run.metadata.name, Default::default()));
        place::choose(&self.cache, &app)
    }

    fn app(&self, order: &Order) -> Option<Object<App>> {
        let run = &order.run;
        let key = ObjectKey::new(&App::resource(), &run.metadata.namespace, &run.metadata.name);
        self.cache.get(&key).and_then(|app| Object::<App>::from_value(&app.value).ok())
    }

    /// Returns the run's app as abra knows it, if abra deployed it.
    fn by_abra(&self, order: &Order, domain: &str) -> Result<Option<ByAbra>, Failure> {
        let deployer = self.app(order).and_then(|app| app.status.deployer);
        let (Some(abra), Some(Deployer::Abra)) = (&self.outside.abra, deployer) else { return Ok(None) };
        // Without an engine nothing is backed up, and cleaning up goes on.
        let Ok(place) = self.place(order) else { return Ok(None) };
        let folder = self.outside.files.path(Area::Apps, &FileName::new(stack_name(domain))?).join(ABRA_FOLDER);
        let recipe = recipe_name(&order.recipe.spec.source.url);
        let app = AbraApp::new(folder, domain, &recipe, &place.engine)?;
        Ok(Some(ByAbra { abra: abra.clone(), app }))
    }
}

/// One order with everything that it works with.
pub(super) struct Job {
    pub(super) outside: Outside,
    pub(super) order: Order,
    /// The Recipe's credentials for registries. The images of its tests are its owner's to name.
    pub(super) registries: Result<Registries, Failure>,
    /// The app as abra knows it, if abra deployed it.
    pub(super) by_abra: Option<ByAbra>,
    /// Whether the engine is that of the machine that ccd runs on.
    pub(super) is_here: bool,
    pub(super) stack: String,
    pub(super) domain: String,
    /// What tells this ccd's things on an engine from another's.
    pub(super) installation: String,
    pub(super) key: RunKey,
    log: FileName,
}

impl Job {
    /// Adds lines to the step's log. A log that cannot be written keeps nobody from working.
    pub(super) async fn say(&self, text: impl Into<String>) {
        let (files, key, log, text) = (self.outside.runs.clone(), self.key.clone(), self.log.clone(), text.into());
        let write = move || files.log(&key, &log).and_then(|mut log| log.line(&text));
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!(run = %self.order.run.metadata.name, error = %error, "a line of a run's log is lost");
        }
    }

    /// Returns the text without secrets: for messages that end in a status.
    pub(super) fn clean(&self, text: &str) -> String {
        self.outside.redactor.text(text)
    }

    /// Returns the folder of the work tree.
    pub(super) fn tree(&self) -> Result<FileName, Error> {
        FileName::new(Folder::Tree.of(&self.order.run.metadata.uid))
    }

    /// Returns the folder in which abra looks at the recipe.
    pub(super) fn abra_folder(&self) -> Result<FileName, Error> {
        FileName::new(Folder::Abra.of(&self.order.run.metadata.uid))
    }

    /// Returns the folder of the backup.
    pub(super) fn backup_folder(&self) -> Result<FileName, Error> {
        FileName::new(Folder::Backup.of(&self.order.run.metadata.uid))
    }
}

#[async_trait]
impl Hands for RunHands {
    fn take_pictures(&self) -> bool {
        self.outside.camera.is_some()
    }

    async fn perform(&self, order: Order) -> Result<Value, Failure> {
        let work = order.work.clone();
        let needs_engine = !matches!(
            work,
            Work::Fetch | Work::Render { .. } | Work::Lint | Work::Screenshot | Work::Results | Work::RemoveFiles
        );
        let engine = if needs_engine { self.engine(&order) } else { Err(Failure::bug("no engine is needed")) };
        let job = self.job(order)?;
        let step = job.order.step.name();
        let began = tokio::time::Instant::now();
        let value = match work {
            Work::Fetch => source::fetch(&job).await?.to_value(),
            Work::Render { side, identity } => source::render(&job, side, identity).await?.to_value(),
            Work::Lint => source::lint(&job).await?.to_value(),
            Work::Pull { images, .. } => source::pull(&job, &*engine?, &images).await?.to_value(),
            Work::Perform { stage, what, actions } => perform(&job, &*engine?, stage, what, &actions).await?.to_value(),
            Work::Check { check, .. } => Outcome::Good(checks::check(&job, &*engine?, &check).await?).to_value(),
            Work::BackUp => backup::take(&job, &*engine?).await?.to_value(),
            Work::ProveDestroyed { tests } => prove_destroyed(&job, &*engine?, &tests).await?.to_value(),
            Work::Restore => backup::restore(&job, &*engine?).await?.to_value(),
            Work::Screenshot => Outcome::Good(screenshot::take(&job).await).to_value(),
            Work::Evidence => Outcome::Good(evidence::collect(&job, &*engine?).await?).to_value(),
            Work::CleanUp => Outcome::Good(clean_up::own_things(&job, engine).await?).to_value(),
            Work::Leftovers => Outcome::Good(clean_up::leftovers(&job, engine).await?).to_value(),
            Work::Results => Outcome::Good(results::write(&job).await?).to_value(),
            Work::RemoveFiles => clean_up::files(&job).await?.to_value(),
        };
        tracing::debug!(run = %job.order.run.metadata.name, step, took_ms = began.elapsed().as_millis(), "ordered");
        Ok(value)
    }
}

/// Seeds or destroys.
async fn perform(
    job: &Job,
    engine: &dyn Engine,
    stage: api_types::kinds::test_run::RungName,
    what: Deed,
    actions: &[(String, api_types::kinds::check::Action)],
) -> Result<Outcome<()>, Failure> {
    let word = if what == Deed::Seed { "seed" } else { "destroy" };
    for (test, action) in actions {
        if let Some(complaint) = attempt::action(job, engine, test, action).await? {
            let message = format!("The {word} of the test {test} failed: {}.", job.clean(&complaint));
            job.say(&message).await;
            return Ok(bad(reason::SEED_FAILED, message));
        }
        job.say(format!("{word} of {test}: done")).await;
    }
    if stage == api_types::kinds::test_run::RungName::BackupRestore {
        return backup::mark(job, engine, what).await;
    }
    Ok(Outcome::Good(()))
}

/// Proves that a test would notice the loss of its data, by seeing it fail while the data is gone.
async fn prove_destroyed(
    job: &Job,
    engine: &dyn Engine,
    tests: &[api_types::kinds::recipe::RecipeTest],
) -> Result<Outcome<()>, Failure> {
    for test in tests {
        let mut once = test.clone();
        if let Some(expect) = &mut once.expect {
            expect.within = None;
        }
        let result = checks::own(job, engine, &once).await?;
        if result.status == RungStatus::Pass {
            let message = format!(
                "The test {} still passes after its destroy: the restore would prove nothing. Make destroy remove what \
                 seed put in.",
                test.name
            );
            job.say(&message).await;
            return Ok(bad(reason::NOT_DESTROYED, message));
        }
        job.say(format!("{} notices that its data is gone", test.name)).await;
    }
    Ok(Outcome::Good(()))
}

/// Sorts an error of a port: what a person must change is an answer, everything else is our trouble.
pub(super) fn answer<T>(error: Error, reason: &str) -> Result<Outcome<T>, Failure> {
    match error.kind {
        ErrorKind::Terminal => Ok(bad(reason, crate::runtime::outcome::sentence(&ports::error::chain(&error)))),
        _ => Err(error.into()),
    }
}
