//! The deployer by abra: the same stack, handed over by the program that recipes' maintainers use.
//!
//! ```text
//!   what differs ──nothing of weight──► the engine's API (secrets, labels of ours, repairs)
//!        └── a network, config or service ──► abra, once for each stack that is wanted ──► what still differs: the API
//! ```
//!
//! Abra is asked once for each hash of a stack. What differs afterwards, and what drifts later, is put right through the
//! API: so two programs that read a compose file differently never take turns for ever. Secrets are made through the API
//! too, with our labels, which abra ignores: they are found again when the App goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_types::kinds::app::Deployer;
use api_types::reason;
use async_trait::async_trait;
use ports::abra::{Abra, AbraApp, Target};
use ports::git::{CommitId, Git, RemoteUrl};
use ports::recipe::env::EnvFile;
use ports::swarm::Engine;
use serde_json::json;

use super::compare::differences;
use super::swarm::Native;
use super::{Deploys, Effect, Live, Prune, Refusal, Wanted};
use crate::runtime::objects::ObjectKey;
use crate::runtime::operations::{OperationState, Operations};
use crate::runtime::outcome::Failure;

/// Longest that one deploy by abra may take, its checkout included.
const TIME_MAX: Duration = Duration::from_mins(10);
/// How long a pass waits for it; then another one does.
const PATIENCE: Duration = Duration::from_secs(10);
/// The folder that abra gets in an app's own.
pub(crate) const ABRA_FOLDER: &str = "abra";
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// What abra is to deploy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Where the recipe is.
    pub url: RemoteUrl,
    /// The commit.
    pub commit: CommitId,
    /// The published version that it is; `None` for a commit that is named as such.
    pub version: Option<String>,
    /// Name of the recipe.
    pub recipe: String,
    /// The app's domain.
    pub domain: String,
    /// The text of the app's `.env`.
    pub env: String,
    /// The app's folder, in which abra gets one of its own.
    pub folder: PathBuf,
}

/// Returns the text of the `.env` that gives abra these variables: the sample, so that its modifiers stay, with what
/// differs. What `abra.sh` exports and what abra sets itself is left to it.
#[must_use]
pub fn env_text<'a>(
    sample: &EnvFile,
    recipe: &str,
    variables: impl IntoIterator<Item = (&'a String, &'a String)>,
    is_left_to_abra: impl Fn(&str) -> bool,
) -> String {
    let mut env = sample.clone();
    env.set("TYPE", recipe);
    for (name, value) in variables {
        if name != "TYPE" && !is_left_to_abra(name) && env.get(name) != Some(value) {
            env.set(name, value);
        }
    }
    env.text().to_owned()
}

/// Returns by what a stack is deployed. `order` says why abra cannot, if it cannot.
///
/// # Errors
/// When abra is asked for, and cannot.
pub fn choose(
    asked: Deployer,
    has_abra: bool,
    order: &Result<Order, String>,
    engine: &str,
) -> Result<Deployer, Refusal> {
    let obstacle = match order {
        _ if !has_abra => Some("it is not installed, or abra.program in the configuration names another place"),
        Err(why) => Some(why.as_str()),
        Ok(_) if !engine.starts_with("unix://") => Some("the engine is not on this machine"),
        Ok(_) => None,
    };
    match (asked, obstacle) {
        (Deployer::Swarm, _) | (Deployer::Auto, Some(_)) => Ok(Deployer::Swarm),
        (Deployer::Auto | Deployer::Abra, None) => Ok(Deployer::Abra),
        (Deployer::Abra, Some(why)) => Err(Refusal {
            reason: reason::TOOL_MISSING,
            message: format!(
                "The App asks for abra, which cannot deploy it: {why}. Set spec.deployer to Swarm or Auto."
            ),
        }),
    }
}

/// Hands a stack over by abra.
pub struct ByAbra {
    /// The program.
    pub abra: Arc<dyn Abra>,
    /// For the recipe's work tree.
    pub git: Arc<dyn Git>,
    /// A deploy takes longer than a pass may.
    pub operations: Operations,
    /// The App.
    pub app: ObjectKey,
    /// Names the deploy of this very stack.
    pub id: String,
    /// What is deployed.
    pub order: Order,
    /// Where the engine listens.
    pub engine: String,
}

impl ByAbra {
    fn has_deployed(&self) -> bool {
        matches!(self.operations.state(&self.id), OperationState::Done(Ok(_)))
    }

    fn begin(&self) -> Result<(), Failure> {
        let order = self.order.clone();
        let app = AbraApp::new(order.folder.join(ABRA_FOLDER), &order.domain, &order.recipe, &self.engine)?;
        let (abra, git) = (self.abra.clone(), self.git.clone());
        let work = async move {
            abra.prepare(&app, &order.env).await?;
            git.checkout(&order.url, &order.commit, &app.recipe_folder()).await?;
            let target = order.version.map_or(Target::WorkTree, Target::Version);
            let words = abra.deploy(&app, &target).await?;
            tracing::info!(domain = app.domain, words, "abra has deployed");
            Ok(json!({}))
        };
        self.operations.start(&self.id, &self.app, TIME_MAX, work);
        Ok(())
    }

    async fn deploy(&self) -> Result<(), Failure> {
        if matches!(self.operations.state(&self.id), OperationState::Absent) {
            self.begin()?;
        }
        let ended = async {
            loop {
                match self.operations.state(&self.id) {
                    OperationState::Running(_) => tokio::time::sleep(LOOK).await,
                    OperationState::Absent => return Ok(()),
                    OperationState::Done(result) => return result.map(|_| ()),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, ended).await {
            // The next pass waits on.
            Err(_) => Ok(()),
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                self.operations.forget(&self.id);
                Err(failure)
            }
        }
    }
}

/// Returns whether an effect changes more than what abra does not know: secrets of ours, labels of ours.
fn is_of_weight(effect: &Effect, live: &Live) -> bool {
    match effect {
        Effect::CreateNetwork(_) | Effect::CreateConfig(_) | Effect::CreateService(_) => true,
        Effect::UpdateService { spec, .. } => live.service(&spec.name).is_none_or(|present| {
            let mut bare = spec.as_ref().clone();
            let own = |labels: &ports::swarm::spec::Labels| crate::kinds::app::labels::without_own(labels);
            bare.labels = own(&bare.labels);
            let mut there = present.spec.clone();
            there.labels = own(&there.labels);
            !differences(&bare, &there, &live.network_names()).is_empty()
        }),
        _ => false,
    }
}

#[async_trait]
impl Deploys for ByAbra {
    fn missing(&self, wanted: &Wanted, live: &Live) -> Result<Vec<Effect>, Refusal> {
        let effects = Native.missing(wanted, live)?;
        if self.has_deployed() || !effects.iter().any(|effect| is_of_weight(effect, live)) {
            return Ok(effects);
        }
        // Abra wants its secrets to be there.
        let secrets = effects.into_iter().filter(|effect| matches!(effect, Effect::CreateSecret(_)));
        Ok(secrets.chain([Effect::DeployByAbra(self.order.domain.clone())]).collect())
    }

    fn surplus(&self, wanted: &Wanted, live: &Live, prune: Prune) -> Vec<Effect> {
        Native.surplus(wanted, live, prune)
    }

    async fn apply(&self, engine: &dyn Engine, wanted: &Wanted, effect: &Effect) -> Result<(), Failure> {
        match effect {
            Effect::DeployByAbra(_) => self.deploy().await,
            other => Native.apply(engine, wanted, other).await,
        }
    }
}
