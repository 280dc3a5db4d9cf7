//! Whole lives of Apps that abra deploys: a played one, which reads the recipe itself and knows nothing of our labels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use api_types::condition::{ConditionStatus, find};
use api_types::kinds::app::Deployer;
use async_trait::async_trait;
use ports::abra::{Abra, AbraApp, Change, LintRule, MadeSecret, SERVER, Target};
use ports::compose::{CheckoutFiles, LoadInput, load};
use ports::error::Error;
use ports::recipe::app::{compose_files, expose, type_value};
use ports::recipe::env::EnvFile;
use ports::recipe::{abra_sh, labels, names};
use ports::swarm::fake::FakeEngine;
use ports::swarm::{Engine as _, Filter};
use serde_json::json;

use super::world::{ABRA, COMPOSE, SAMPLE, STACK, World};
use crate::kinds::app::deployer::swarm::Native;
use crate::kinds::app::deployer::{Deploys as _, Effect, Live, Wanted};
use crate::kinds::app::labels::{Owner, UID_LABEL, without_own};
use crate::kinds::app::pull_secrets::PullSecrets;

/// Plays abra on a played engine.
struct PlayedAbra {
    engine: FakeEngine,
    deploys: Mutex<Vec<Target>>,
    fault: Mutex<Option<String>>,
}

impl PlayedAbra {
    /// Returns what abra would deploy.
    fn wanted(app: &AbraApp, target: &Target) -> Wanted {
        let folder = app.recipe_folder();
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let env = EnvFile::parse(".env", &std::fs::read_to_string(app.env_file()).unwrap()).unwrap();
        let commit = text(".git/HEAD").trim().to_owned();
        let version = match target {
            Target::Version(version) => version.clone(),
            Target::WorkTree => commit[..8].to_owned(),
        };
        let mut variables = env.values();
        variables.extend(abra_sh::exports(&text("abra.sh")));
        let stack_name = names::stack_name(&app.domain);
        variables.insert("STACK_NAME".to_owned(), stack_name.clone());
        variables.insert("TYPE".to_owned(), type_value(&app.recipe, &version));
        let input = LoadInput {
            stack: stack_name.clone(),
            files: compose_files(&variables).unwrap(),
            env: variables.clone(),
            directory: folder.display().to_string(),
            changes: BTreeMap::new(),
        };
        let mut stack = load(&input, &CheckoutFiles::open(&folder).unwrap()).unwrap();
        expose(&mut stack, &variables);
        let is_pinned = matches!(target, Target::Version(_));
        let identity = labels::Identity {
            recipe: app.recipe.clone(),
            version: is_pinned.then(|| version.clone()),
            chaos_commit: (!is_pinned).then_some(commit),
        };
        labels::write(&mut stack, &identity);
        let owner =
            Owner { app: String::new(), uid: String::new(), stack: stack_name, installation: String::new(), run: None };
        Wanted {
            owner,
            stack,
            secrets: BTreeMap::new(),
            given: BTreeSet::new(),
            retired: Vec::new(),
            goes_with_app: false,
            pull_secrets: PullSecrets::default(),
            images: BTreeMap::new(),
        }
    }
}

#[async_trait]
impl Abra for PlayedAbra {
    async fn version(&self) -> Result<String, Error> {
        Ok("0.13.0-beta".to_owned())
    }

    async fn prepare(&self, app: &AbraApp, env: &str) -> Result<(), Error> {
        std::fs::create_dir_all(app.folder.join("recipes")).unwrap();
        std::fs::create_dir_all(app.folder.join("servers").join(SERVER)).unwrap();
        std::fs::write(app.env_file(), env).unwrap();
        Ok(())
    }

    async fn deploy(&self, app: &AbraApp, target: &Target) -> Result<String, Error> {
        if let Some(words) = self.fault.lock().unwrap().clone() {
            return Err(ports::abra::parse::meaning(&words));
        }
        self.deploys.lock().unwrap().push(target.clone());
        let (wanted, all) = (Self::wanted(app, target), Filter::default());
        let live = Live {
            services: self.engine.services(&Filter::stack(STACK)).await?,
            networks: self.engine.networks(&all).await?,
            secrets: self.engine.secrets(&all).await?,
            configs: self.engine.configs(&all).await?,
        };
        let effects =
            Native.missing(&wanted, &live).map_err(|refusal| Error::terminal(refusal.reason, refusal.message))?;
        for mut effect in effects {
            if let Effect::CreateService(spec) | Effect::UpdateService { spec, .. } = &mut effect {
                spec.labels = without_own(&spec.labels);
            }
            Native
                .apply(&self.engine, &wanted, &effect)
                .await
                .map_err(|failure| Error::retryable("Played", failure.message))?;
        }
        Ok("INFO deployed".to_owned())
    }

    async fn undeploy(&self, _: &AbraApp) -> Result<Change, Error> {
        unreachable!("stacks are torn down through the engine")
    }

    async fn generate_secrets(&self, _: &AbraApp) -> Result<Vec<MadeSecret>, Error> {
        unreachable!("secrets are made through the engine")
    }

    async fn insert_secret(&self, _: &AbraApp, _: &str, _: &str, _: &[u8]) -> Result<Change, Error> {
        unreachable!("secrets are made through the engine")
    }

    async fn remove_secrets(&self, _: &AbraApp) -> Result<Change, Error> {
        unreachable!("stacks are torn down through the engine")
    }

    async fn remove_volumes(&self, _: &AbraApp) -> Result<Change, Error> {
        unreachable!("stacks are torn down through the engine")
    }

    async fn back_up(&self, _: &AbraApp) -> Result<Option<String>, Error> {
        unreachable!("Apps are not backed up")
    }

    async fn restore(&self, _: &AbraApp, _: &str) -> Result<(), Error> {
        unreachable!("Apps are not backed up")
    }

    async fn lint(&self, _: &AbraApp) -> Result<Vec<LintRule>, Error> {
        Ok(Vec::new())
    }
}

async fn world() -> (World, Arc<PlayedAbra>) {
    let mut world = World::start().await;
    let abra =
        Arc::new(PlayedAbra { engine: world.engine.clone(), deploys: Mutex::default(), fault: Mutex::default() });
    world.abra = Some(abra.clone());
    world.run();
    (world, abra)
}

#[tokio::test(start_paused = true)]
async fn abra_deploys_once_and_the_stack_is_ours_without_a_restart() {
    let (world, abra) = world().await;
    let before = world.inventory().await;
    world.create_app("x", json!({})).await;
    let status = world.until_ready("x").await;
    assert_eq!(status.deployer, Some(Deployer::Abra));
    assert_eq!(*abra.deploys.lock().unwrap(), [Target::Version("1.0.0+1".to_owned())]);
    let app = world.service("app").await.unwrap();
    assert_eq!(app.spec.labels[&format!("coop-cloud.{STACK}.version")], "1.0.0+1");
    assert!(app.spec.labels.contains_key(UID_LABEL), "it is found again: {:?}", app.spec.labels);
    let tasks = world.engine.tasks(&Filter::stack(STACK)).await.unwrap();
    assert_eq!(tasks.len(), 2, "our labels restart nothing");
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(world.inventory().await, before);
}

#[tokio::test(start_paused = true)]
async fn one_deployer_takes_over_from_the_other_without_a_restart() {
    let (world, abra) = world().await;
    world.create_app("x", json!({"deployer": "Swarm"})).await;
    let status = world.until_ready("x").await;
    assert_eq!(status.deployer, Some(Deployer::Swarm));
    let tasks = world.running_tasks().await;
    for (deployer, expected) in [("Abra", Deployer::Abra), ("Swarm", Deployer::Swarm), ("Auto", Deployer::Abra)] {
        world.change("x", |value| value["spec"]["deployer"] = json!(deployer)).await;
        let is_so = |status: &api_types::kinds::app::AppStatus| {
            status.deployer == Some(expected) && api_types::condition::is_true(&status.conditions, "Ready")
        };
        world.until("x", deployer, is_so).await;
        assert_eq!(world.running_tasks().await, tasks, "{deployer}");
    }
    assert!(abra.deploys.lock().unwrap().is_empty(), "there was nothing to deploy");
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_by_abra_happens_in_place() {
    let (world, abra) = world().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    let compose = COMPOSE.replace("app:1", "app:2");
    let files = [("compose.yml", &*compose), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")];
    world.publish("2.0.0+1", &files);
    world.change("x", |value| value["spec"]["version"] = json!("2.0.0+1")).await;
    let is_two = |status: &api_types::kinds::app::AppStatus| {
        let version = status.observed.as_ref().and_then(|observed| observed.version.as_deref());
        version == Some("2.0.0+1") && api_types::condition::is_true(&status.conditions, "Ready")
    };
    world.until("x", "it is the second version", is_two).await;
    assert!(world.service("app").await.unwrap().spec.task_template.container_spec.image.contains("app:2"));
    assert_eq!(abra.deploys.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_abra_gives_up_with_is_said() {
    let (world, abra) = world().await;
    *abra.fault.lock().unwrap() = Some("unable to validate recipe: R009".to_owned());
    world.create_app("x", json!({})).await;
    let says = |status: &api_types::kinds::app::AppStatus| {
        status.conditions.iter().any(|condition| condition.message.contains("R009"))
    };
    world.until("x", "it says why", says).await;
    *abra.fault.lock().unwrap() = None;
    world.change("x", |value| value["spec"]["env"] = json!({"A": "1"})).await;
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_an_abra_that_cannot_is_told() {
    let world = World::start().await;
    world.create_app("x", json!({"deployer": "Abra"})).await;
    let status = world
        .until("x", "it is refused", |status| {
            status.conditions.iter().any(|condition| condition.reason == "ToolMissing")
        })
        .await;
    assert!(find(&status.conditions, "Ready").is_some_and(|ready| ready.status != ConditionStatus::True));
    assert!(world.service("app").await.is_none());
}
