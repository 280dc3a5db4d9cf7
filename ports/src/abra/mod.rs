//! `abra`, the command line of Co-op Cloud: deploys recipes as their maintainers do.
//!
//! Each app has a folder of its own for abra (`ABRA_DIR`), because abra's work tree of a recipe is one for all apps and
//! moves at every command. Nothing is asked of the network but the engine: the recipe is checked out beforehand
//! ([`AbraApp::recipe_folder`]), and every command is told to be offline. Whether an app has converged is decided
//! elsewhere: abra is told not to wait.
//!
//! Repeating a command is not idempotent for abra; here it is: what is there already, or gone already, is a value.

pub mod conformance;
pub mod fake;
pub mod parse;
pub mod process;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use async_trait::async_trait;

use crate::error::Error;

/// The server by which abra knows the engine of this machine.
pub const SERVER: &str = "default";

/// An app, as abra is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbraApp {
    /// Its own `ABRA_DIR`, absolute.
    pub folder: PathBuf,
    /// Its domain, which is its name for abra.
    pub domain: String,
    /// Name of its recipe.
    pub recipe: String,
    /// Address of the engine: `unix:///path`.
    pub engine: String,
}

impl AbraApp {
    /// Checks the names and returns the app.
    ///
    /// # Errors
    /// `Terminal` with `InvalidName`: none of them may look like an option or a path.
    pub fn new(folder: PathBuf, domain: &str, recipe: &str, engine: &str) -> Result<Self, Error> {
        for name in [domain, recipe] {
            crate::files::FileName::new(name)?;
        }
        let (domain, recipe, engine) = (domain.to_owned(), recipe.to_owned(), engine.to_owned());
        Ok(Self { folder, domain, recipe, engine })
    }

    /// Returns where the recipe must be checked out.
    #[must_use]
    pub fn recipe_folder(&self) -> PathBuf {
        self.folder.join("recipes").join(&self.recipe)
    }

    /// Returns where its environment is.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        self.folder.join("servers").join(SERVER).join(format!("{}.env", self.domain))
    }
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A published version: an annotated tag. Abra lints it first, and wants a clean work tree.
    Version(String),
    /// What the work tree holds. Abra neither lints nor moves it.
    WorkTree,
}

/// What became of something that may have been so already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was done.
    Made,
    /// It was so already.
    Was,
}

/// A secret that abra made.
#[derive(Clone, PartialEq, Eq)]
pub struct MadeSecret {
    /// Its short name.
    pub name: String,
    /// Its value; this is the only time that abra tells.
    pub value: String,
}

impl std::fmt::Debug for MadeSecret {
    /// Leaves the value out.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("MadeSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One rule of abra's linter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintRule {
    /// Such as `R009`.
    pub reference: String,
    /// What it asks for.
    pub rule: String,
    /// `error` or `warn`.
    pub severity: String,
    /// Whether it is satisfied, or was skipped.
    pub is_satisfied: bool,
    /// What to do.
    pub advice: String,
}

/// The command line of Co-op Cloud.
///
/// # Errors
/// All calls: `Terminal` with `AbraNotFound` when it is not installed, `AbraTooOld` when it lacks an option that is
/// needed, `AbraFailed` with its own words when it gives up for a reason that time does not heal; `Retryable` with
/// `EngineUnreachable`, `TimedOut`, and `AbraFailed` when it ended by a signal. Words of abra have no secrets in them.
#[async_trait]
pub trait Abra: Send + Sync {
    /// Returns the version of abra.
    async fn version(&self) -> Result<String, Error>;

    /// Lays out the app's folder and writes its environment, for its owner only. What is there is replaced; the recipe
    /// is left alone.
    async fn prepare(&self, app: &AbraApp, env: &str) -> Result<(), Error>;

    /// Deploys, and does not wait for it. An app that is deployed is deployed again. Returns abra's words.
    ///
    /// # Errors
    /// Besides: `Terminal` with `SecretMissing`, `RecipeInvalid` (it does not pass the linter, or is not as it should
    /// be), `WorkTreeDirty`, `ConfigChangedWithoutVersion`.
    async fn deploy(&self, app: &AbraApp, target: &Target) -> Result<String, Error>;

    /// Undeploys. Volumes and secrets stay. Abra returns before everything is gone, and leaves a network for good that
    /// the engine did not let go at once because a task still ended in it.
    async fn undeploy(&self, app: &AbraApp) -> Result<Change, Error>;

    /// Makes the secrets that are missing, by the rules of the recipe, and returns them.
    async fn generate_secrets(&self, app: &AbraApp) -> Result<Vec<MadeSecret>, Error>;

    /// Puts a secret in; one that is there stays as it is.
    async fn insert_secret(&self, app: &AbraApp, name: &str, version: &str, value: &[u8]) -> Result<Change, Error>;

    /// Removes all secrets of an app that is not deployed.
    async fn remove_secrets(&self, app: &AbraApp) -> Result<Change, Error>;

    /// Removes all volumes of an app that is not deployed.
    async fn remove_volumes(&self, app: &AbraApp) -> Result<Change, Error>;

    /// Lets the server's backup bot take a backup of a deployed app, hooks included, and returns the snapshot's id;
    /// nothing when no id is named, and so nothing shows that there is one.
    ///
    /// # Errors
    /// Besides: `Terminal` with `NoBackupBot` when none runs on the server.
    async fn back_up(&self, app: &AbraApp) -> Result<Option<String>, Error>;

    /// Lets it give the app a snapshot back, hooks included. An abra that cannot name one restores the newest.
    ///
    /// # Errors
    /// As [`back_up`](Self::back_up).
    async fn restore(&self, app: &AbraApp, snapshot: &str) -> Result<(), Error>;

    /// Lints what the work tree of the recipe holds.
    async fn lint(&self, app: &AbraApp) -> Result<Vec<LintRule>, Error>;
}
