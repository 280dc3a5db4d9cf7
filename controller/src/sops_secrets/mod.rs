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

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api_types::reason;
use api_types::status::Reason;
use ports::error::chain;
use ports::files::GivenFiles;
use ports::sops::{BYTES_MAX, Identities, Opened};

use crate::runtime::events::{EventKind, Recorder};
use crate::runtime::objects::{Objects, StoredObject};
use crate::runtime::outcome::Failure;

use decide::{Change, Wanted};

/// How often files are looked at. A file that cannot be used is told at the second look, because programs write files in
/// pieces.
const PERIOD: Duration = Duration::from_secs(5);
const SECRETS: &str = "secrets";
/// Permissions of others.
const OTHERS: u32 = 0o077;

/// Which files Secrets may come from, and what opens them.
#[derive(Clone, Debug)]
pub struct SopsFiles {
    /// Files that may be named.
    pub given: GivenFiles,
    /// Files with identities; those that are not there are passed over.
    pub identities: Vec<PathBuf>,
}

/// Keeps Secrets as their files say.
pub struct SopsKeeper {
    objects: Arc<dyn Objects>,
    recorder: Recorder,
    files: SopsFiles,
    /// What was wrong at the last look, by uid.
    wrong: HashMap<String, String>,
}

impl SopsKeeper {
    /// Returns a keeper that has looked at nothing yet.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, recorder: Recorder, files: SopsFiles) -> Self {
        Self { objects, recorder, files, wrong: HashMap::new() }
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
        let secrets = self.objects.list(SECRETS, None).await?.objects;
        let named: Vec<(Arc<StoredObject>, Wanted)> = secrets
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
            let identities = files.identities();
            let open = |(secret, wanted): (Arc<StoredObject>, Wanted)| {
                let found = match &identities {
                    Ok(identities) => files.open(&wanted, identities),
                    Err(message) => Err(message.clone()),
                };
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
            if let Some(change) = decide::decide(&secret, &wanted, found.map(|opened| opened.beneath(&wanted.path))) {
                self.write(&secret, change).await?;
            }
        }
        Ok(())
    }

    async fn write(&self, secret: &StoredObject, change: Change) -> Result<(), Failure> {
        let Change { value, kind, message } = change;
        match self.objects.update(&secret.key, value).await {
            Ok(_) => {}
            // The next look sees it as it is then.
            Err(status) if matches!(status.reason, Some(Reason::Conflict | Reason::NotFound)) => return Ok(()),
            Err(status) if status.reason == Some(Reason::Invalid) => {
                let message = format!("What the file holds cannot be put into the Secret: {}.", status.message);
                self.recorder.record("sops", secret, EventKind::Warning, reason::SOPS_FAILED, &message);
                return Ok(());
            }
            Err(status) => return Err(status.into()),
        }
        let word = if kind == EventKind::Normal { reason::SOPS_READ } else { reason::SOPS_FAILED };
        self.recorder.record("sops", secret, kind, word, &message);
        Ok(())
    }
}

impl SopsFiles {
    /// Returns what opens files, or what is wrong with it.
    fn identities(&self) -> Result<Identities, String> {
        let mut identities = Identities::default();
        let mut any = false;
        for path in self.identities.iter().filter(|path| path.exists()) {
            let text = private(path).map_err(|why| format!("the identities in {}: {why}", path.display()))?;
            identities.add(&text).map_err(|error| format!("the identities in {}, {error}", path.display()))?;
            any = true;
        }
        let names: Vec<String> = self.identities.iter().map(|path| path.display().to_string()).collect();
        let none = || {
            format!(
                "there is nothing to open it with: none of the files in secrets.age_identities of the configuration is there \
                 ({})",
                names.join(", ")
            )
        };
        if any { Ok(identities) } else { Err(none()) }
    }

    fn open(&self, wanted: &Wanted, identities: &Identities) -> Result<Opened, String> {
        let bytes = self.given.read(Path::new(&wanted.file), BYTES_MAX).map_err(|error| chain(&error))?;
        Opened::read(&bytes, identities).map_err(|error| format!("the file {}: {error}", wanted.file))
    }
}

/// Returns the text of a file that only its owner can read.
fn private(path: &Path) -> Result<String, String> {
    // systemd keeps credentials from others itself; a link may lead to where /nix/store or the like is.
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.permissions().mode() & OTHERS != 0 {
        return Err(format!("others can read it; run `chmod go= {}`", path.display()));
    }
    if metadata.len() > BYTES_MAX as u64 {
        return Err("it is too large for a file of keys".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
