//! [`SopsKeeper`]: Secrets that say by an annotation which file of sops they come from hold what it says.
//!
//! ```text
//!  Secret, sops-file: /etc/cc-ci/secrets.yaml ─► read, opened, checked ─► data ─► Apps, Forges, … as with any Secret
//!          sops-path: forge                        │ cannot be used
//!                                                  ▼
//!                        sops-state, an event; data stays as it was
//! ```
//!
//! Files are looked at every few seconds by what they hold. Plain text is only ever in memory, and in the store as every
//! Secret is: sealed.

mod decide;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use api_types::reason;
use api_types::status::{Reason, Status};
use ports::error::chain;
use ports::files::GivenFiles;
use ports::sops::{BYTES_MAX, Identities, IdentityFile, Opened, SopsError};

use crate::runtime::cache::Cache;
use crate::runtime::events::{EventKind, Recorder};
use crate::runtime::objects::{Objects, StoredObject};
use crate::runtime::outcome::Failure;

use decide::{Change, Wanted};

/// How often files are looked at. A file that cannot be used is told at the second look, because programs write files in
/// pieces.
const PERIOD: Duration = Duration::from_secs(5);
const SECRETS: &str = "secrets";

/// Which files Secrets may come from, and what opens them.
#[derive(Clone, Debug)]
pub struct SopsFiles {
    /// Files that may be named.
    pub given: GivenFiles,
    /// Files with identities; those that are not there are passed over.
    pub identities: Vec<IdentityFile>,
}

/// Keeps Secrets as their files say.
pub struct SopsKeeper {
    /// What Secrets there are: looking costs next to nothing, however many.
    cache: Arc<Cache>,
    objects: Arc<dyn Objects>,
    recorder: Recorder,
    files: SopsFiles,
    /// What was wrong at the last look, by uid.
    wrong: HashMap<String, String>,
}

impl SopsKeeper {
    /// Returns a keeper that has looked at nothing yet.
    #[must_use]
    pub fn new(cache: Arc<Cache>, objects: Arc<dyn Objects>, recorder: Recorder, files: SopsFiles) -> Self {
        Self { cache, objects, recorder, files, wrong: HashMap::new() }
    }

    /// Looks again and again until it is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(failure) = self.look().await {
                tracing::warn!(error = failure.message, "Secrets that come from files of sops stay as they are");
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the store does not answer. What is wrong with a file is told at the Secret.
    pub async fn look(&mut self) -> Result<(), Failure> {
        let named: Vec<(Arc<StoredObject>, Wanted)> = self
            .cache
            .list(SECRETS)
            .into_iter()
            .filter(|secret| !secret.is_being_deleted())
            .filter_map(|secret| Wanted::of(&secret).map(|wanted| (secret, wanted)))
            .collect();
        self.wrong.retain(|uid, _| named.iter().any(|(secret, _)| secret.metadata.uid == *uid));
        if named.is_empty() {
            return Ok(());
        }
        let files = self.files.clone();
        let read = move || {
            let (identities, wrong) = files.identities();
            let open = |(secret, wanted): (Arc<StoredObject>, Wanted)| {
                let found = files.open(&wanted, &identities, &wrong);
                (secret, wanted, found)
            };
            named.into_iter().map(open).collect::<Vec<_>>()
        };
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.map_err(|error| Failure::bug(format!("work on files panicked: {error}")))?;
        for (secret, wanted, found) in read {
            let was_wrong = self.wrong.remove(&secret.metadata.uid);
            if let Err(message) = &found {
                self.wrong.insert(secret.metadata.uid.clone(), message.clone());
                if was_wrong.as_ref() != Some(message) {
                    continue;
                }
            }
            self.keep(&secret, &wanted, found.map(|opened| opened.beneath(&wanted.path))).await?;
        }
        Ok(())
    }

    /// Writes what follows from what was found. When the Secret does not take it, that is what is wrong.
    async fn keep(
        &self,
        secret: &StoredObject,
        wanted: &Wanted,
        found: Result<BTreeMap<String, String>, String>,
    ) -> Result<(), Failure> {
        let Some(change) = decide::decide(secret, wanted, found) else { return Ok(()) };
        let Some(refused) = self.write(secret, change).await? else { return Ok(()) };
        let why = format!("the Secret does not take them: {}", refused.message);
        match decide::decide(secret, wanted, Err(why)) {
            Some(change) => self.write(secret, change).await.map(drop),
            None => Ok(()),
        }
    }

    /// Writes a change and tells of it; returns why it is refused for good.
    async fn write(&self, secret: &StoredObject, change: Change) -> Result<Option<Status>, Failure> {
        let Change { value, kind, message } = change;
        match self.objects.update(&secret.key, value).await {
            Ok(_) => {}
            Err(status) => {
                return match status.reason {
                    // The next look sees it as it is then.
                    Some(Reason::Conflict | Reason::NotFound) => Ok(None),
                    Some(Reason::Invalid | Reason::RequestEntityTooLarge) => Ok(Some(status)),
                    _ => Err(status.into()),
                };
            }
        }
        let word = if kind == EventKind::Normal { reason::SOPS_READ } else { reason::SOPS_FAILED };
        self.recorder.record("sops", secret, kind, word, &message);
        Ok(None)
    }
}

impl SopsFiles {
    /// Returns what opens files, and what is wrong with each file of identities that is of no use: one that works is
    /// enough.
    fn identities(&self) -> (Identities, Vec<String>) {
        let mut identities = Identities::default();
        let added = self.identities.iter().map(|file| identities.add_file(file));
        let wrong = added.filter_map(|added| added.err().map(|error| error.to_string())).collect();
        (identities, wrong)
    }

    /// Opens a file, or says in one sentence why that cannot be.
    fn open(&self, wanted: &Wanted, identities: &Identities, wrong: &[String]) -> Result<Opened, String> {
        if identities.is_empty() && wrong.is_empty() {
            let names: Vec<String> = self.identities.iter().map(|file| file.path.display().to_string()).collect();
            return Err(format!(
                "there is nothing to open it with: none of the files in secrets.age_identities of the configuration is there \
                 ({})",
                names.join(", ")
            ));
        }
        let also = || wrong.join("; ");
        if identities.is_empty() {
            return Err(also());
        }
        let bytes = self.given.read(Path::new(&wanted.file), BYTES_MAX).map_err(|error| chain(&error))?;
        Opened::read(&bytes, identities).map_err(|error| match error {
            SopsError::NoIdentity { .. } if !wrong.is_empty() => {
                format!("the file {}: {error}; or mend this: {}", wanted.file, also())
            }
            error => format!("the file {}: {error}", wanted.file),
        })
    }
}
