//! What a run has done for it: the orders that it gives, and what comes back.
//!
//! The run decides, [`Hands`] do. An order may be given again after a restart or a hiccup, so that everything it
//! does can be done twice; results travel as JSON, and a bad result is a result, not a failure.

use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::check::Action;
use api_types::kinds::identity::Identity;
use api_types::kinds::recipe::{Recipe, RecipeTest, RecipeVersion};
use api_types::kinds::test_run::{Artifact, RunLog, RungName, TestResult, TestRun};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::steps::Step;
use crate::runtime::outcome::Failure;
use crate::trust::Tier;

/// Everything that an order needs to know.
#[derive(Clone, Debug)]
pub struct Order {
    /// Computed id: the same order has the same id.
    pub id: String,
    /// The step that gives it.
    pub step: Step,
    /// After this time it is cut off.
    pub time_max: Duration,
    /// Waits so long before it begins: after a hiccup.
    pub delay: Duration,
    /// The run as its status says now.
    pub run: Arc<Object<TestRun>>,
    /// Its recipe.
    pub recipe: Arc<Object<Recipe>>,
    /// By which rules compose files are judged.
    pub tier: Tier,
    /// Whether files of the commit may be mounted into test containers.
    pub may_mount: bool,
    /// What to do.
    pub work: Work,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Work {
    /// Fetch the recipe and find out what head and published versions are. → [`Fetched`]
    Fetch,
    /// Load and judge the compose files of one side. → [`Rendered`]
    Render {
        /// Which.
        side: Side,
        /// Version or commit.
        identity: Identity,
    },
    /// Pull images that the engine does not have. → nothing
    Pull {
        /// Which side's.
        side: Side,
        /// The images.
        images: Vec<String>,
    },
    /// Seed or destroy data; in the backup rung also the markers of the volumes that are backed up. → nothing
    Perform {
        /// To which rung it counts.
        stage: RungName,
        /// Seed or destroy.
        what: Deed,
        /// The tests whose deeds they are.
        actions: Vec<(String, Action)>,
    },
    /// Run one check. → [`TestResult`]
    Check {
        /// To which rung it counts.
        stage: RungName,
        /// What is checked.
        check: Check,
    },
    /// Take a backup of the running app. → [`BackupTaken`]
    BackUp,
    /// Prove that destroyed data is gone: these tests must fail now. → nothing
    ProveDestroyed {
        /// The tests.
        tests: Vec<RecipeTest>,
    },
    /// Give the app its backup back. → nothing
    Restore,
    /// Run the linters on the head. → [`Vec`] of [`TestResult`]
    Lint,
    /// Take a picture of the app, if it can be had. → [`Vec`] of [`Artifact`]
    Screenshot,
    /// Collect what explains a failure. → nothing
    Evidence,
    /// List what the run has on the swarm, and remove what its app does not remove: test containers, the work tree.
    /// → [`Inventory`] of what there was
    CleanUp,
    /// List what is still there once the app is gone. → [`Inventory`]
    Leftovers,
    /// Write the results as files, and close the logs. → [`Written`]
    Results,
    /// Remove every file of the run. → nothing
    RemoveFiles,
}

/// Which state of the recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// What is upgraded from.
    Base,
    /// What is tested.
    Head,
}

impl Side {
    /// Returns the word for ids and messages.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
        }
    }
}

/// What is done to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Put in.
    Seed,
    /// Taken away.
    Destroy,
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    /// Every service runs as many tasks of its newest spec as it should.
    Services,
    /// The domain answers as `health` says.
    Health,
    /// What runs is the head, and differs from the base.
    Head,
    /// The markers that were put into the backed-up volumes are back.
    Markers,
    /// One of the recipe's own tests.
    Own(Box<RecipeTest>),
}

impl Check {
    /// Returns its name among the results. The generic ones have a slash, which names of tests cannot have.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Services => "generic/services".to_owned(),
            Self::Health => "generic/health".to_owned(),
            Self::Head => "generic/head".to_owned(),
            Self::Markers => "generic/restored".to_owned(),
            Self::Own(test) => test.name.clone(),
        }
    }

    /// Returns whether it comes with every run, whatever the recipe says.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        !matches!(self, Self::Own(_))
    }
}

/// What an order came to, when nothing of ours failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome<T> {
    /// It did what it should.
    Good(T),
    /// It ran, and the answer is no.
    Bad {
        /// For programs; `blame` says whose fault it is.
        reason: String,
        /// For people.
        message: String,
    },
}

impl<T: Serialize> Outcome<T> {
    /// Returns the outcome as it travels.
    ///
    /// # Panics
    /// Never: results are plain data with text keys.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("results are plain data with text keys")
    }
}

/// Returns a bad outcome.
#[must_use]
pub fn bad<T>(reason: &str, message: impl Into<String>) -> Outcome<T> {
    Outcome::Bad { reason: reason.to_owned(), message: message.into() }
}

/// What was fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetched {
    /// The head's commit.
    pub commit: String,
    /// The version that the head says it is, else the newest tag before it.
    pub version: Option<String>,
    /// Whether the head is a published version.
    pub is_published: bool,
    /// Published versions: the annotated tags.
    pub published: Vec<RecipeVersion>,
    /// Tip of the recipe's branch.
    pub branch_tip: Option<String>,
}

/// What the compose files of one side come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rendered {
    /// What would run.
    pub identity: Identity,
    /// The images as the engine is asked for them.
    pub images: Vec<String>,
    /// Whether a service has a backup label.
    pub has_backup_label: bool,
}

/// A backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackupTaken {
    /// How many files it holds.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
    /// How often it was taken until its check said yes.
    pub captures: u32,
    /// Whether markers were put into volumes that it holds.
    pub has_markers: bool,
}

/// What is on the swarm and the disk, as `kind/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Inventory {
    /// Everything that was found.
    pub objects: Vec<String>,
}

/// What a run leaves in the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Written {
    /// Its files.
    pub artifacts: Artifacts,
    /// Its logs.
    pub logs: Vec<RunLog>,
}

/// Files that were written.
pub type Artifacts = Vec<Artifact>;
/// Results of the linters.
pub type LintResults = Vec<TestResult>;

/// Does what a run orders.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Carries an order out and returns an [`Outcome`] as JSON.
    ///
    /// # Errors
    /// Our own trouble: the engine, the network, the disk. A check that says no is an [`Outcome::Bad`] or a
    /// [`TestResult`] that failed.
    async fn perform(&self, order: Order) -> Result<Value, Failure>;

    /// Returns whether pictures of apps can be taken; where not, none are ordered.
    fn take_pictures(&self) -> bool {
        false
    }
}
