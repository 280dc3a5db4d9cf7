//! [`RunFiles`]: what a run leaves: logs (see [`run_logs`](super::run_logs)) and artifacts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::run_logs::StageLogs;
use super::{Area, FileName, FileRoot};
use crate::clock::Clock;
use crate::error::Error;
use crate::redact::Redactor;

/// Marks a run, or a stage, to which nothing will be added.
pub(super) const COMPLETE: &str = "complete";

/// Names a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// Its namespace.
    pub namespace: FileName,
    /// Its name.
    pub name: FileName,
    /// What tells it from another of the same name.
    pub uid: FileName,
}

impl RunKey {
    /// Checks and returns a key.
    ///
    /// # Errors
    /// `Terminal` with `InvalidName`.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Result<Self, Error> {
        Ok(Self { namespace: FileName::new(namespace)?, name: FileName::new(name)?, uid: FileName::new(uid)? })
    }

    pub(super) fn folder(&self) -> PathBuf {
        [Area::Runs.name(), self.namespace.as_str(), self.name.as_str(), self.uid.as_str()].iter().collect()
    }
}

/// How much a run may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// Most bytes of the log of one stage; of a longer one the middle is dropped.
    pub stage_log_bytes: u64,
    /// Most bytes of one artifact.
    pub artifact_bytes: u64,
    /// Most artifacts of one run.
    pub artifacts: usize,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { stage_log_bytes: 4 << 20, artifact_bytes: 32 << 20, artifacts: 64 }
    }
}

/// A file that a run left for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactInfo {
    /// Its name.
    pub name: FileName,
    /// Its media type, by its name.
    pub media_type: &'static str,
    /// How long it is.
    pub bytes: u64,
    /// SHA-256 of its content, in hexadecimal digits.
    pub sha256: String,
}

/// What runs leave. Cheap to clone; all clones share the same files. Its calls block for as long as the disk does.
#[derive(Clone)]
pub struct RunFiles {
    pub(super) root: FileRoot,
    pub(super) redactor: Redactor,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: RunLimits,
    pub(super) stages: Arc<StageLogs>,
    bells: Arc<Mutex<HashMap<RunKey, watch::Sender<u64>>>>,
}

impl RunFiles {
    /// Returns what runs leave under a root, with everything that `redactor` knows taken out.
    #[must_use]
    pub fn new(root: FileRoot, redactor: Redactor, clock: Arc<dyn Clock>, limits: RunLimits) -> Self {
        Self { root, redactor, clock, limits, stages: Arc::default(), bells: Arc::default() }
    }

    /// Adds an artifact, or replaces the one with its name. Secrets in one that is text are taken out.
    ///
    /// # Errors
    /// `Terminal` with `ArtifactTooLarge` or `TooManyArtifacts`; `Retryable` with `DiskFull`.
    pub fn put_artifact(&self, key: &RunKey, name: &FileName, content: &[u8]) -> Result<ArtifactInfo, Error> {
        let media_type = media_type(name.as_str());
        let content = if is_text(media_type) { self.redactor.bytes(content) } else { content.to_vec() };
        if content.len() as u64 > self.limits.artifact_bytes {
            let message = format!("the artifact {name} is larger than {} bytes", self.limits.artifact_bytes);
            return Err(Error::terminal("ArtifactTooLarge", message));
        }
        let folder = key.folder().join("artifacts");
        let names = self.root.names(&folder)?;
        if names.len() >= self.limits.artifacts && !names.iter().any(|one| one == name.as_str()) {
            let message = format!("the run has {} artifacts already, the most that it may", names.len());
            return Err(Error::terminal("TooManyArtifacts", message));
        }
        self.root.write(&folder.join(name.as_str()), &content)?;
        Ok(info(name.clone(), media_type, &content))
    }

    /// Returns an artifact; `None` when there is none of this name.
    ///
    /// # Errors
    /// `Retryable` when it cannot be read.
    pub fn artifact(&self, key: &RunKey, name: &FileName) -> Result<Option<(ArtifactInfo, Vec<u8>)>, Error> {
        let path = key.folder().join("artifacts").join(name.as_str());
        let content = self.root.read(&path, self.limits.artifact_bytes)?;
        Ok(content.map(|content| (info(name.clone(), media_type(name.as_str()), &content), content)))
    }

    /// Returns the artifacts of a run, in the order of their names.
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    pub fn artifacts(&self, key: &RunKey) -> Result<Vec<ArtifactInfo>, Error> {
        let names = self.root.names(&key.folder().join("artifacts"))?;
        let names = names.into_iter().filter_map(|name| FileName::new(name).ok());
        let found: Result<Vec<_>, Error> = names.map(|name| self.artifact(key, &name)).collect();
        Ok(found?.into_iter().flatten().map(|(info, _)| info).collect())
    }

    /// Says that nothing will be added to a run any more: who follows its log comes to an end.
    ///
    /// # Errors
    /// `Retryable` with `DiskFull`.
    pub fn complete(&self, key: &RunKey) -> Result<(), Error> {
        self.root.write(&key.folder().join(COMPLETE), b"")?;
        self.ring(key);
        Ok(())
    }

    /// Returns whether [`complete`](Self::complete) was said.
    ///
    /// # Errors
    /// `Retryable` when that cannot be told.
    pub fn is_complete(&self, key: &RunKey) -> Result<bool, Error> {
        Ok(self.root.open_file(&key.folder().join(COMPLETE))?.is_some())
    }

    /// Returns whether a run has left anything.
    ///
    /// # Errors
    /// `Retryable` when that cannot be told.
    pub fn is_there(&self, key: &RunKey) -> Result<bool, Error> {
        Ok(!self.root.names(&key.folder())?.is_empty())
    }

    /// Removes everything that a run left. Who follows its log comes to an end.
    ///
    /// # Errors
    /// `Retryable` when it cannot be removed.
    pub fn remove(&self, key: &RunKey) -> Result<(), Error> {
        self.root.remove_path(&key.folder())?;
        self.bells.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        // Folders of the name and the namespace go when they are empty.
        for folder in key.folder().ancestors().skip(1).take(2) {
            self.root.remove_empty(folder)?;
        }
        Ok(())
    }

    /// Returns every run that has left something, in their order.
    ///
    /// # Errors
    /// `Retryable` when they cannot be read.
    pub fn runs(&self) -> Result<Vec<RunKey>, Error> {
        let mut runs = Vec::new();
        for namespace in self.root.list(Area::Runs)? {
            let folder = Path::new(Area::Runs.name()).join(&namespace);
            for name in self.root.names(&folder)? {
                for uid in self.root.names(&folder.join(&name))? {
                    // Whatever else is there is not ours.
                    runs.extend(RunKey::new(&namespace, &name, &uid));
                }
            }
        }
        Ok(runs)
    }

    /// Wakes who follows the run.
    pub(super) fn ring(&self, key: &RunKey) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(key) {
            bell.send_modify(|rung| *rung = rung.wrapping_add(1));
        }
    }

    /// Returns what wakes at everything that is added.
    pub(super) fn bell(&self, key: &RunKey) -> watch::Receiver<u64> {
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody listens any more to those without receivers.
        bells.retain(|one, bell| one == key || bell.receiver_count() > 0);
        bells.entry(key.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }
}

fn info(name: FileName, media_type: &'static str, content: &[u8]) -> ArtifactInfo {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content);
    let sha256 = digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    ArtifactInfo { name, media_type, bytes: content.len() as u64, sha256 }
}

fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "json" => "application/json",
        "xml" => "application/xml",
        "txt" | "log" | "md" | "yml" | "yaml" => "text/plain; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "svg" => "image/svg+xml",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || ["json", "xml"].iter().any(|end| media_type.ends_with(end))
}
