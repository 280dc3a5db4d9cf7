//! Recipe: fetches what is under test, keeps score of its runs, starts some and lets old ones go. See `README.md` beside
//! this file.

mod decide;
mod fetching;
mod keeping;
mod linting;
pub mod mirrors;
mod scoring;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::recipe::{Recipe, RecipeStatus};
use api_types::kinds::test_run::TestRun;
use api_types::status::Reason;
use futures::future::try_join_all;
use jiff::Timestamp;
use ports::git::{CommitId, RefName, RemoteUrl, Revision, Tag, TreePath};
use serde_json::json;

use crate::outside::Outside;
use crate::runtime::controller::ControllerOptions;
use crate::runtime::objects::besides::remove;
use crate::runtime::objects::{ObjectKey, Objects};
use crate::runtime::operations::OperationState;
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::{Decision, Reconciler};

pub use fetching::{FETCH_ANNOTATION, Fetched};

/// The file without which nothing is a recipe.
const COMPOSE_FILE: &str = "compose.yml";
/// The file from which the environment of an app is made.
const SAMPLE_FILE: &str = ".env.sample";

/// What is known about a recipe's source and its runs.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How the fetch that is asked for goes.
    pub fetch: FetchState,
    /// What was fetched; `None` when nothing was, or not from this URL.
    pub source: Option<Source>,
    /// The runs of the recipe.
    pub runs: Vec<Object<TestRun>>,
}

/// How a fetch goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum FetchState {
    /// It was not begun.
    #[default]
    Absent,
    /// It goes on.
    Running,
    /// It ended.
    Ended(Fetched),
}

/// What the mirror holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The tip of the branch; `None` when there is no such branch.
    pub head: Option<CommitId>,
    /// All branches.
    pub branches: Vec<RefName>,
    /// All tags.
    pub tags: Vec<Tag>,
    /// Files that a recipe must have and the tip has not.
    pub missing_files: Vec<&'static str>,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin to fetch.
    Fetch,
    /// Start a run that the schedule wants.
    StartRun {
        /// Its name.
        name: String,
        /// What it tests.
        version: String,
    },
    /// Let these runs go: names and UIDs.
    DeleteRuns(Vec<(String, String)>),
}

/// The reconciler.
pub struct Recipes {
    objects: Arc<dyn Objects>,
    outside: Outside,
}

impl Recipes {
    /// Returns the reconciler of the recipes in `objects`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, outside: Outside) -> Self {
        Self { objects, outside }
    }

    /// Returns how its controller works.
    #[must_use]
    pub fn options() -> ControllerOptions {
        ControllerOptions { owns: vec![TestRun::resource()], ..ControllerOptions::default() }
    }

    async fn source(&self, object: &Object<Recipe>) -> Result<Option<Source>, Failure> {
        let git = &self.outside.git;
        let url = RemoteUrl::new(&object.spec.source.url)?;
        let branch = RefName::new(&object.spec.source.branch)?;
        let tags = match git.tags(&url).await {
            Err(error) if error.reason == "NotFetched" => return Ok(None),
            other => other?,
        };
        let (branches, head) = (git.branches(&url).await?, git.resolve(&url, &Revision::Branch(branch)).await?);
        let mut missing_files = Vec::new();
        if let Some(head) = &head {
            for file in [COMPOSE_FILE, SAMPLE_FILE] {
                if git.show(&url, head, &TreePath::new(file)?).await?.is_none() {
                    missing_files.push(file);
                }
            }
        }
        Ok(Some(Source { head, branches, tags, missing_files }))
    }

    async fn runs(&self, object: &Object<Recipe>) -> Result<Vec<Object<TestRun>>, Failure> {
        let listing = self.objects.list(&TestRun::resource(), Some(&object.metadata.namespace)).await?;
        let ours = listing.objects.iter().filter(|run| run.value["spec"]["recipeRef"] == object.metadata.name.as_str());
        ours.map(|run| Object::from_value(&run.value).map_err(|error| Failure::bug(error.to_string()))).collect()
    }

    async fn start_run(&self, object: &Object<Recipe>, name: &str, version: &str) -> Result<(), Failure> {
        let run = json!({
            "apiVersion": TestRun::api_version(),
            "kind": TestRun::KIND,
            "metadata": {
                "name": name,
                "namespace": object.metadata.namespace,
                "ownerReferences": [{
                    "apiVersion": Recipe::api_version(), "kind": Recipe::KIND, "name": object.metadata.name,
                    "uid": object.metadata.uid, "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"recipeRef": object.metadata.name, "source": {"version": version}},
        });
        match self.objects.create(&TestRun::resource(), run).await {
            Err(status) if status.reason == Some(Reason::AlreadyExists) => Ok(()),
            other => Ok(other.map(|_| ())?),
        }
    }

    async fn delete_runs(&self, namespace: &str, runs: &[(String, String)]) -> Result<(), Failure> {
        let deletions = runs.iter().map(|(name, uid)| async move {
            let key = ObjectKey::new(&TestRun::resource(), namespace, name);
            remove(&*self.objects, &key, uid).await.map_err(Failure::from)
        });
        try_join_all(deletions).await.map(|_| ())
    }
}

impl Reconciler for Recipes {
    type Kind = Recipe;
    type Observed = Observed;
    type Action = Action;

    async fn observe(&self, object: &Object<Recipe>) -> Result<Observed, Failure> {
        if object.is_being_deleted() {
            return Ok(Observed::default());
        }
        let fetch = match self.outside.operations.state(&fetching::id(object)) {
            OperationState::Absent => FetchState::Absent,
            OperationState::Running(_) => FetchState::Running,
            OperationState::Done(result) => FetchState::Ended(Fetched::read(result, self.outside.clock.now())),
        };
        let (source, runs) = (self.source(object).await?, self.runs(object).await?);
        Ok(Observed { fetch, source, runs })
    }

    fn decide(object: &Object<Recipe>, observed: &Observed, now: Timestamp) -> Decision<RecipeStatus, Action> {
        decide::decide(object, observed, now)
    }

    async fn act(&self, object: &Object<Recipe>, action: Action) -> Result<(), Failure> {
        match action {
            Action::Fetch => fetching::begin(&self.outside, object),
            Action::StartRun { name, version } => self.start_run(object, &name, &version).await,
            Action::DeleteRuns(runs) => self.delete_runs(&object.metadata.namespace, &runs).await,
        }
    }

    fn gone(&self, key: &ObjectKey) {
        self.outside.operations.forget_all(key);
    }
}
