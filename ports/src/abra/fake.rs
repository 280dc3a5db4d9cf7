//! [`FakeAbra`]: an abra that keeps state and deploys nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Abra, AbraApp, Change, LintRule, MadeSecret, SERVER, Target};
use crate::error::{Error, ErrorKind};

#[derive(Debug, Default)]
struct State {
    deployed: BTreeMap<String, Target>,
    secrets: BTreeMap<String, BTreeSet<String>>,
    volumes: BTreeSet<String>,
    snapshots: Vec<String>,
    fault: Option<(ErrorKind, &'static str, String)>,
    lint: Vec<LintRule>,
    calls: Vec<String>,
}

/// An abra that keeps state and deploys nothing. Secrets are those that the environment names: `SECRET_X_VERSION=v1`.
#[derive(Debug, Default)]
pub struct FakeAbra {
    state: Mutex<State>,
}

impl FakeAbra {
    /// Lets every call fail from now on; `None` mends it.
    pub fn set_fault(&self, fault: Option<(ErrorKind, &'static str, &str)>) {
        self.state().fault = fault.map(|(kind, reason, message)| (kind, reason, message.to_owned()));
    }

    /// Says what the linter finds.
    pub fn set_lint(&self, rules: Vec<LintRule>) {
        self.state().lint = rules;
    }

    /// Returns what of an app is deployed.
    #[must_use]
    pub fn deployed(&self, domain: &str) -> Option<Target> {
        self.state().deployed.get(domain).cloned()
    }

    /// Returns the calls so far: a verb and a domain.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, verb: &str, app: &AbraApp) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        state.calls.push(format!("{verb} {}", app.domain));
        match &state.fault {
            Some((kind, reason, message)) => Err(Error::new(*kind, reason, message.clone())),
            None => Ok(state),
        }
    }
}

/// Returns names and versions of the secrets that the environment of an app names.
fn wanted(app: &AbraApp) -> Result<BTreeSet<String>, Error> {
    let text = fs::read_to_string(app.env_file())
        .map_err(|error| Error::terminal("AbraFailed", "abra says: the app has no environment").because(error))?;
    let names = text.lines().filter_map(|line| {
        let (name, version) = line.split_once('=')?;
        let name = name.strip_prefix("SECRET_")?.strip_suffix("_VERSION")?.to_lowercase();
        Some(format!("{name}_{}", version.split('#').next().unwrap_or_default().trim()))
    });
    Ok(names.collect())
}

#[async_trait]
impl Abra for FakeAbra {
    async fn version(&self) -> Result<String, Error> {
        match &self.state().fault {
            Some((kind, reason, message)) => Err(Error::new(*kind, reason, message.clone())),
            None => Ok("0.13.0-beta".to_owned()),
        }
    }

    async fn prepare(&self, app: &AbraApp, env: &str) -> Result<(), Error> {
        drop(self.begin("prepare", app)?);
        let written = || {
            fs::create_dir_all(app.folder.join("servers").join(SERVER))?;
            fs::create_dir_all(app.folder.join("recipes"))?;
            fs::write(app.env_file(), env)
        };
        written().map_err(|error| crate::files::failure("abra's folder of the app cannot be written", error))
    }

    async fn deploy(&self, app: &AbraApp, target: &Target) -> Result<String, Error> {
        let mut state = self.begin("deploy", app)?;
        let there = state.secrets.get(&app.domain).cloned().unwrap_or_default();
        if let Some(missing) = wanted(app)?.into_iter().find(|name| !there.contains(name)) {
            return Err(Error::terminal("SecretMissing", format!("abra says: secret not generated: {missing}")));
        }
        state.deployed.insert(app.domain.clone(), target.clone());
        state.volumes.insert(app.domain.clone());
        Ok("INFO deployed".to_owned())
    }

    async fn undeploy(&self, app: &AbraApp) -> Result<Change, Error> {
        let removed = self.begin("undeploy", app)?.deployed.remove(&app.domain);
        Ok(if removed.is_some() { Change::Made } else { Change::Was })
    }

    async fn generate_secrets(&self, app: &AbraApp) -> Result<Vec<MadeSecret>, Error> {
        let mut state = self.begin("generate", app)?;
        let there = state.secrets.entry(app.domain.clone()).or_default();
        let made = wanted(app)?.into_iter().filter(|name| there.insert(name.clone()));
        let short = |name: &str| name.rsplit_once('_').map_or(name, |(name, _)| name).to_owned();
        Ok(made.map(|name| MadeSecret { value: format!("made-for-{name}"), name: short(&name) }).collect())
    }

    async fn insert_secret(&self, app: &AbraApp, name: &str, version: &str, _: &[u8]) -> Result<Change, Error> {
        let mut state = self.begin("insert", app)?;
        let is_new = state.secrets.entry(app.domain.clone()).or_default().insert(format!("{name}_{version}"));
        Ok(if is_new { Change::Made } else { Change::Was })
    }

    async fn remove_secrets(&self, app: &AbraApp) -> Result<Change, Error> {
        let removed = self.begin("remove secrets", app)?.secrets.remove(&app.domain).unwrap_or_default();
        Ok(if removed.is_empty() { Change::Was } else { Change::Made })
    }

    async fn remove_volumes(&self, app: &AbraApp) -> Result<Change, Error> {
        let is_removed = self.begin("remove volumes", app)?.volumes.remove(&app.domain);
        Ok(if is_removed { Change::Made } else { Change::Was })
    }

    async fn back_up(&self, app: &AbraApp) -> Result<Option<String>, Error> {
        let mut state = self.begin("back up", app)?;
        if !state.deployed.contains_key(&app.domain) {
            return Err(Error::terminal("AbraFailed", format!("abra says: {} is not deployed", app.domain)));
        }
        let id = format!("{:08x}", 0xb0_0000 + state.snapshots.len());
        state.snapshots.push(id.clone());
        Ok(Some(id))
    }

    async fn restore(&self, app: &AbraApp, snapshot: &str) -> Result<(), Error> {
        let state = self.begin(&format!("restore {snapshot}"), app)?;
        if state.snapshots.iter().any(|known| known == snapshot) {
            return Ok(());
        }
        Err(Error::terminal("AbraFailed", format!("abra says: there is no snapshot {snapshot}")))
    }

    async fn lint(&self, app: &AbraApp) -> Result<Vec<LintRule>, Error> {
        Ok(self.begin("lint", app)?.lint.clone())
    }
}
