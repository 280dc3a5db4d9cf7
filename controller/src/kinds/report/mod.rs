//! Report: tells the forge how a run is: one comment under its pull request, edited in place, and one status on its commit.
//! See `README.md` beside this file.
//!
//! A second reconciler of TestRuns, which writes only `status.report` and the condition `Reported`: nothing that goes
//! wrong here can touch a verdict.

pub mod commands;
pub mod decide;
pub mod redacted;
pub mod render;
pub mod since;
pub mod subject;
mod tell;
pub mod text;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::kind::{Kind as _, Object};
use api_types::kinds::forge::Forge;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::Repository;
use api_types::kinds::test_run::{TestRun, TestRunStatus};
use api_types::reason;
use jiff::Timestamp;
use ports::clock::Clock;

use crate::kinds::forge::connection::SECRETS;
use crate::kinds::repository::names;
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::{ControllerOptions, Shared};
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler, StatusPart, Writes};
use decide::{Action, Observed, Told, Wanted};
use subject::Subject;

/// What is written here of a TestRun's status, and nowhere else.
pub const PART: StatusPart = StatusPart { members: &["report"], conditions: &["Reported"] };

/// The reconciler.
pub struct Reports {
    cache: Arc<Cache>,
    outside: Outside,
    clock: Arc<dyn Clock>,
    /// What was told, by uid of the run. Also in the status; here until that is written.
    told: Mutex<HashMap<String, Told>>,
    /// One at a time for each comment: two runs of a pull request share it. For each commit, where there is no comment.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Reports {
    /// Returns the reconciler.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside) -> Self {
        Self {
            cache: shared.cache.clone(),
            clock: shared.clock.clone(),
            outside,
            told: Mutex::default(),
            turns: Mutex::default(),
        }
    }

    /// Returns how its controller works: few at once, since all share the forge's pace.
    #[must_use]
    pub fn options() -> ControllerOptions {
        let watches = [Recipe::resource(), Repository::resource(), Forge::resource(), SECRETS.to_owned()];
        ControllerOptions { concurrency: 4, watches: watches.to_vec(), ..ControllerOptions::default() }
    }

    /// Returns the Repository whose pull request or commit a run is about.
    fn repository(&self, run: &Object<TestRun>) -> Result<Object<Repository>, Failure> {
        let namespace = &run.metadata.namespace;
        let name = names::repository_of(run).or_else(|| {
            let recipe = self.cache.get(&ObjectKey::new(&Recipe::resource(), namespace, &run.spec.recipe_ref))?;
            recipe.value["spec"]["repositoryRef"].as_str().map(str::to_owned)
        });
        let Some(name) = name else {
            let recipe = ObjectKey::new(&Recipe::resource(), namespace, &run.spec.recipe_ref);
            let message = format!(
                "nobody can be told: the Recipe {} names no Repository; set its spec.repositoryRef",
                run.spec.recipe_ref
            );
            return Err(Failure::blocked(reason::NOT_ENROLLED, message, vec![recipe]));
        };
        let key = ObjectKey::new(&Repository::resource(), namespace, &name);
        let stored = self.cache.get(&key).ok_or_else(|| {
            let message = format!("nobody can be told: the Repository {name} does not exist; apply it");
            Failure::blocked(reason::DEPENDENCY_NOT_READY, message, vec![key.clone()])
        })?;
        Object::from_value(&stored.value).map_err(|error| Failure::bug(error.to_string()))
    }

    /// Returns the runs of the same recipe and the same pull request or commit that the forge is told of, newest first; the
    /// run itself is among them.
    fn siblings(run: &Object<TestRun>, stored: &[Arc<StoredObject>]) -> Vec<Object<TestRun>> {
        let Some(own) = Subject::of(run) else { return Vec::new() };
        let same = stored.iter().filter(|found| {
            let (spec, source) = (&found.value["spec"], &found.value["spec"]["source"]);
            let of = &source["pullRequest"];
            let commits = [&of["headSHA"], &source["commit"], &found.value["status"]["head"]["commit"]];
            found.metadata.namespace == run.metadata.namespace
                && spec["recipeRef"] == run.spec.recipe_ref.as_str()
                && (own.thread.is_some_and(|number| of["number"].as_i64() == Some(number))
                    || commits.into_iter().any(|commit| *commit == own.commit.as_str()))
        });
        let is_told = |other: &Object<TestRun>| {
            Subject::of(other)
                .is_some_and(|of| of.commit == own.commit || (own.thread.is_some() && of.thread == own.thread))
        };
        let mut siblings: Vec<Object<TestRun>> =
            same.filter_map(|found| Object::from_value(&found.value).ok()).filter(is_told).collect();
        siblings.sort_by_cached_key(|run| std::cmp::Reverse(names::age(run)));
        siblings
    }

    /// Returns the last green run of the same recipe before this one: from nothing, through every rung, and ended when this
    /// one began.
    fn last_green(run: &Object<TestRun>, stored: &[Arc<StoredObject>]) -> Option<Object<TestRun>> {
        let moment = |text: Option<&str>| text.and_then(|text| text.parse::<Timestamp>().ok());
        let began = moment(run.status.started_at.as_deref());
        let ended = |found: &Arc<StoredObject>| moment(found.value["status"]["finishedAt"].as_str());
        let green = stored.iter().filter(|found| {
            let (spec, status) = (&found.value["spec"], &found.value["status"]);
            found.metadata.namespace == run.metadata.namespace
                && found.metadata.uid != run.metadata.uid
                && spec["recipeRef"] == run.spec.recipe_ref.as_str()
                && status["phase"] == "Succeeded"
                && spec["lane"] != "Quick"
                && spec["stages"].as_array().is_none_or(Vec::is_empty)
                && ended(found).is_some_and(|ended| began.is_none_or(|began| ended <= began))
        });
        let last = green.max_by_key(|found| (ended(found), found.metadata.name.clone()))?;
        Object::from_value(&last.value).ok()
    }

    fn told(&self, uid: &str) -> Option<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn remember(&self, uid: &str, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(uid.to_owned(), told);
    }

    fn turn(&self, comment: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Turns that nobody has or waits for are of no use.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(comment.to_owned()).or_default().clone()
    }

    fn wanted(&self, run: &Object<TestRun>) -> Wanted {
        let public_url = self.outside.public_url.as_deref();
        let stored = self.cache.list(&TestRun::resource());
        let green = Self::last_green(run, &stored);
        Wanted::of(run, &Self::siblings(run, &stored), green.as_ref(), &self.outside.redactor, public_url)
    }
}

impl Reconciler for Reports {
    type Kind = TestRun;
    type Observed = Observed;
    type Action = Action;

    const WRITES: Writes = Writes::Only(PART);
    const NAME: Option<&'static str> = Some("report");

    async fn observe(&self, run: &Object<TestRun>) -> Result<Observed, Failure> {
        if Subject::of(run).is_none() || run.is_being_deleted() {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(&run.metadata.uid);
            return Ok(Observed { wanted: None, told: None });
        }
        if decide::is_left_alone(&run.status, self.clock.now()) {
            // Of thousands of old runs nobody reads the siblings after a restart.
            return Ok(Observed { wanted: None, told: None });
        }
        let resources = [TestRun::resource(), Recipe::resource(), Repository::resource(), Forge::resource()];
        if let Some(missing) = resources.iter().find(|resource| !self.cache.is_synced(resource)) {
            return Err(Failure::outdated(format!("the first list of {missing} has not arrived yet")));
        }
        // Whether it can be told at all shows before anything is decided.
        self.repository(run)?;
        Ok(Observed { wanted: Some(self.wanted(run)), told: self.told(&run.metadata.uid) })
    }

    fn decide(run: &Object<TestRun>, seen: &Observed, now: Timestamp) -> Decision<TestRunStatus, Action> {
        decide::decide(run, seen, now)
    }

    async fn act(&self, run: &Object<TestRun>, action: Action) -> Result<(), Failure> {
        self.tell(run, action).await
    }

    fn references(run: &Object<TestRun>) -> Vec<ObjectKey> {
        vec![ObjectKey::new(&Recipe::resource(), &run.metadata.namespace, &run.spec.recipe_ref)]
    }
}
