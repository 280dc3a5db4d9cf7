//! Whether each Forge answers, takes its token, and lets it do what is needed: asked anew, with the token that the store
//! holds, and judged as the daemon judges it. Nothing of a token is shown.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{self, ConditionStatus, READY};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::forge::Forge;
use api_types::reason;
use apiserver::admin::BACKUP_PATH;
use apiserver::admin::client::download;
use apiserver::config::Config;
use apiserver::data_dir::{DataDir, DataPaths};
use futures::future::join_all;
use jiff::Timestamp;
use ports::error::chain;
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::forge::{ForgeAddress, Forges};
use ports::redact::Redactor;
use serde_json::Value;
use store::backup::{object_of_line, write_backup};
use store::keyring::Keyring;
use store::store::{OpenOptions, Store};

use super::Finding;
use crate::commands::backup::{Lines, keyring};
use crate::commands::small_runtime;
use crate::environment::Environment;
use crate::kinds::forge::connection::{self, SECRETS};
use crate::kinds::forge::{Forges as Reconciler, Observed};
use crate::runtime::outcome::{Failure, sentence};
use crate::runtime::reconciler::Reconciler as _;

const CHECK: &str = "forge";
/// Longest that the store may take to show what it holds.
const READ_TIME_MAX: Duration = Duration::from_secs(10);
/// Longest that all forges together may take; each is asked beside the others.
const ASK_TIME_MAX: Duration = Duration::from_secs(12);
/// Longest text of a finding, in characters: a server may answer with a page.
const DETAIL_CHARACTERS_MAX: usize = 300;

/// What the store holds about forges.
#[derive(Debug, Default)]
pub(super) struct SetUp {
    forges: Vec<Object<Forge>>,
    /// By `NAMESPACE/NAME`.
    secrets: BTreeMap<String, Value>,
}

/// Returns a finding for each Forge, or one that there is none.
pub(super) fn look(config: &Config, paths: &DataPaths, environment: &Environment, now: Timestamp) -> Vec<Finding> {
    let fix = "start the daemon and look again: `ccctl get forges`";
    let read = match read(paths, environment) {
        Ok(read) => read,
        Err(problem) => return vec![Finding::warn(CHECK, format!("the store does not show them: {problem}"), fix)],
    };
    if read.forges.is_empty() {
        return vec![Finding::ok(CHECK, "there is none; docs/forges.md says how to set one up")];
    }
    let forges = match HttpForges::open(&config.probe.ca_files, ForgeTimes::default()) {
        Ok(forges) => forges,
        Err(error) => return vec![Finding::fail(CHECK, chain(&error), "mend probe.ca_files in the configuration")],
    };
    match small_runtime() {
        Ok(runtime) => runtime.block_on(ask(&forges, &read, ASK_TIME_MAX, now)),
        Err(error) => vec![Finding::warn(CHECK, error.to_string(), fix)],
    }
}

/// Reads Forges and Secrets from the running daemon, or from the store when none runs.
fn read(paths: &DataPaths, environment: &Environment) -> Result<SetUp, String> {
    let mut set_up = SetUp::default();
    if paths.holder().is_none() && !paths.store().exists() {
        return Ok(set_up);
    }
    let runtime = small_runtime().map_err(|error| error.to_string())?;
    let keyring = Arc::new(keyring(paths, environment).map_err(|error| error.to_string())?);
    let mut lines = Lines::new(|line: &[u8]| set_up.take(line, &keyring));
    if paths.holder().is_some() {
        let download = async { tokio::time::timeout(READ_TIME_MAX, download(paths, BACKUP_PATH, &mut lines)).await };
        let read = runtime.block_on(download);
        read.map_err(|_| format!("the daemon took longer than {} s", READ_TIME_MAX.as_secs()))?
            .map_err(|error| error.to_string())?;
    } else {
        let _held = DataDir::open(paths.root()).map_err(|error| error.to_string())?;
        let options = OpenOptions {
            keyring: keyring.clone(),
            ..OpenOptions::new(paths.store(), apiserver::built_in::registry())
        };
        let store = Store::open(options).map_err(|error| error.to_string())?;
        let written = write_backup(&store.state(), store.keyring(), &mut lines).map_err(|error| error.to_string());
        runtime.block_on(store.close());
        written?;
    }
    set_up.forges.sort_by(|left, right| left.metadata.name.cmp(&right.metadata.name));
    Ok(set_up)
}

impl SetUp {
    /// Takes what is needed out of one line of a backup.
    fn take(&mut self, line: &[u8], keyring: &Keyring) -> io::Result<()> {
        let forges = Forge::resource();
        let is_of = |resource: &str| line.starts_with(format!("{{\"resource\":\"{resource}\"").as_bytes());
        if !is_of(&forges) && !is_of(SECRETS) {
            return Ok(());
        }
        let Some((resource, object)) = object_of_line(line, keyring).map_err(io::Error::other)? else { return Ok(()) };
        if resource == forges {
            self.forges.extend(Object::from_value(&object).ok());
        } else {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let name = format!("{}/{}", text("namespace"), text("name"));
            self.secrets.insert(name, object);
        }
        Ok(())
    }
}

/// Asks all forges side by side.
pub(super) async fn ask(forges: &dyn Forges, set_up: &SetUp, time_max: Duration, now: Timestamp) -> Vec<Finding> {
    let findings = set_up.forges.iter().map(|forge| async move {
        let asked = tokio::time::timeout(time_max, ask_one(forges, forge, set_up, now)).await;
        asked.unwrap_or_else(|_| {
            let detail = format!("{} did not answer within {} s", named(forge), time_max.as_secs());
            Finding::warn(CHECK, detail, fix(forge, reason::TIMED_OUT))
        })
    });
    join_all(findings).await
}

async fn ask_one(forges: &dyn Forges, forge: &Object<Forge>, set_up: &SetUp, now: Timestamp) -> Finding {
    if forge.spec.suspend {
        return Finding::ok(CHECK, format!("{}: suspended, so nobody asks it", named(forge)));
    }
    let reference = &forge.spec.token_secret_ref;
    let secret = set_up.secrets.get(&format!("{}/{}", reference.namespace, reference.name));
    let redactor = Redactor::default();
    let seen = match connection::token(reference, secret) {
        Err(problem) => Err(Failure::blocked(reason::SECRET_MISSING, problem, Vec::new())),
        Ok(token) => {
            // What a server answers may repeat what it was sent.
            redactor.insert(&forge.metadata.name, token.reveal().as_bytes());
            match forges.connect(&ForgeAddress { url: forge.spec.url.clone(), token }) {
                Ok(asked) => Ok(Observed::of(&*asked).await),
                Err(error) => Err(Failure::from(error)),
            }
        }
    };
    let (is_well, reason, message) = match seen {
        Err(failure) => (false, failure.reason, sentence(&failure.message)),
        Ok(seen) => {
            let status = Reconciler::decide(forge, &seen, now).status;
            let ready = condition::find(&status.conditions, READY).cloned().unwrap_or_default();
            (ready.status == ConditionStatus::True, ready.reason, ready.message)
        }
    };
    let message = redactor.text(message.trim_end_matches('.'));
    let detail: String = format!("{}: {message}", named(forge)).chars().take(DETAIL_CHARACTERS_MAX).collect();
    if is_well { Finding::ok(CHECK, detail) } else { Finding::warn(CHECK, detail, fix(forge, &reason)) }
}

fn named(forge: &Object<Forge>) -> String {
    format!("{} at {}", forge.metadata.name, forge.spec.url)
}

/// Returns what to do about a reason.
fn fix(forge: &Object<Forge>, why: &str) -> String {
    let (name, reference) = (&forge.metadata.name, &forge.spec.token_secret_ref);
    let secret = format!("the Secret {}/{}", reference.namespace, reference.name);
    match why {
        reason::SECRET_MISSING => format!(
            "`kubectl create secret generic {} -n {} --from-literal={}=TOKEN`",
            reference.name,
            reference.namespace,
            reference.key.as_deref().unwrap_or("token")
        ),
        reason::UNAUTHORIZED => format!("make a new token on the forge and put it into {secret}"),
        reason::SCOPES_MISSING | reason::FORBIDDEN => {
            format!("make a token with all scopes that docs/forges.md lists and put it into {secret}")
        }
        reason::UNSUPPORTED_VERSION => "upgrade the server".to_owned(),
        reason::INVALID_SPEC => format!("`kubectl edit forge {name}`"),
        "Redirected" => format!("set spec.url to where it answers itself: `kubectl edit forge {name}`"),
        reason::RATE_LIMITED => "wait; the daemon does so by itself".to_owned(),
        _ => format!("see whether the server is well and spec.url is right: `kubectl edit forge {name}`"),
    }
}

#[cfg(test)]
impl SetUp {
    /// Returns what a store with these lines in its backup shows.
    pub(super) fn of(backup: &[String]) -> Self {
        let mut set_up = Self::default();
        for line in backup {
            set_up.take(line.as_bytes(), &Keyring::default()).expect("lines of a backup");
        }
        set_up
    }
}
