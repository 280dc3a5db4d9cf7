//! Backup, restore and export: everything at one revision as JSON lines.
//!
//! ```text
//! {"backup":"cc-ci","format":2,"revision":4711}
//! {"resource":"testruns.ci.coopcloud.tech","object":{…}}
//! {"resource":"secrets","revision":4700,"sealed":"…"}
//! …
//! {"objects":2,"sha256":"…"}
//! ```
//!
//! The checksum covers every line before the last. A backup is taken from an immutable state: no lock, no pause. Secrets
//! are sealed in it as they are on disk, and so it takes the store's key to restore them; without a key, as in tests, they
//! are in the clear, and the format is 1.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::{Batch, Engine, EngineOptions};
use crate::error::OpenError;
use crate::keyring::{Keyring, is_sealed};
use crate::object::{Draft, Object, object_key};
use crate::open::{open_error, verify as verify_store};
use crate::registry::Registry;
use crate::rows::{self, Meta};
use crate::state::State;

/// Without sealed lines, as programs wrote it before there were any.
const FORMAT_PLAIN: u32 = 1;
/// With them.
const FORMAT: u32 = 2;
/// A restored store goes on this far above the backup, so that no revision that anybody may have seen is given out twice.
const REVISION_GAP: u64 = 1 << 30;
/// How the line of an object begins.
const LINE_START: &[u8] = br#"{"resource":"#;
/// Longest line read, well above the largest object.
const LINE_BYTES_MAX: u64 = 16 << 20;
const RESTORE_BATCH_RECORDS: usize = 512;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupSummary {
    /// The revision that it shows.
    pub revision: u64,
    /// How many objects it holds.
    pub objects: u64,
}

/// Why a backup could not be restored. The directory is as it was, or does not exist.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory already holds a store.
    #[error("{0} already holds a store: restore into a new directory, or move the old one away first")]
    NotEmpty(String),
    /// The file is not a backup, or is damaged.
    #[error("line {line} of the backup: {why}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// The backup or the directory cannot be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The new store cannot be written or read back.
    #[error(transparent)]
    Open(#[from] OpenError),
}

#[derive(Serialize, Deserialize)]
struct Header {
    backup: String,
    format: u32,
    revision: u64,
}

/// One object, as it is or sealed.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    resource: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    object: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Cow<'a, str>>,
}

#[derive(Serialize, Deserialize)]
struct Footer {
    objects: u64,
    sha256: String,
}

/// What a sealed line is bound to: its place in this backup's text cannot be known, the object and its revision can.
fn purpose(resource: &str, revision: u64) -> Vec<u8> {
    format!("ccd backup 2 {resource} {revision}").into_bytes()
}

/// Writes everything in `state` to `output`, secrets sealed with `keyring`.
///
/// # Errors
/// What `output` says.
pub fn write_backup(state: &State, keyring: &Keyring, output: &mut dyn Write) -> io::Result<BackupSummary> {
    let mut sum = Context::new(&SHA256);
    let mut put = |line: &[u8], output: &mut dyn Write| -> io::Result<()> {
        sum.update(line);
        sum.update(b"\n");
        output.write_all(line)?;
        output.write_all(b"\n")
    };
    let format = if keyring.ids().is_empty() { FORMAT_PLAIN } else { FORMAT };
    let header = Header { backup: "cc-ci".to_owned(), format, revision: state.revision };
    put(&serde_json::to_vec(&header)?, output)?;
    let mut resources: Vec<_> = state.resources.iter().collect();
    resources.sort_unstable_by_key(|(resource, _)| (*resource).clone());
    let mut objects = 0;
    for (resource, resource_state) in resources {
        for object in resource_state.objects.values() {
            put(&line_of(resource, object, keyring)?, output)?;
            objects += 1;
        }
    }
    let footer = Footer { objects, sha256: HEXLOWER.encode(sum.finish().as_ref()) };
    output.write_all(&serde_json::to_vec(&footer)?)?;
    output.write_all(b"\n")?;
    output.flush()?;
    Ok(BackupSummary { revision: state.revision, objects })
}

fn line_of(resource: &str, object: &Object, keyring: &Keyring) -> serde_json::Result<Vec<u8>> {
    let (json, revision) = (object.json(), object.revision);
    let sealed = if is_sealed(resource) { keyring.seal_text(&json, &purpose(resource, revision)) } else { None };
    let mut line = Line { resource: resource.into(), object: None, revision: None, sealed: None };
    match sealed {
        Some(sealed) => (line.revision, line.sealed) = (Some(revision), Some(STANDARD.encode(sealed).into())),
        None => line.object = Some(serde_json::from_slice(&json)?),
    }
    serde_json::to_vec(&line)
}

/// Returns resource and JSON of the object in a line of a backup; nothing for its first and last line.
///
/// # Errors
/// A sentence that says what is wrong with the line, such as that the key is missing.
pub fn object_of_line(line: &[u8], keyring: &Keyring) -> Result<Option<(String, Value)>, String> {
    if !line.starts_with(LINE_START) {
        return Ok(None);
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let value = match (line.object, line.revision, line.sealed) {
        (Some(object), None, None) => serde_json::from_str(object.get()),
        (None, Some(revision), Some(sealed)) => {
            let sealed = STANDARD.decode(&*sealed).map_err(|error| error.to_string())?;
            let json = keyring.open_text(sealed, &purpose(&line.resource, revision));
            serde_json::from_slice(&json.map_err(|error| error.to_string())?)
        }
        _ => return Err("it holds no object, and none that is sealed".to_owned()),
    };
    Ok(Some((line.resource.into_owned(), value.map_err(|error| error.to_string())?)))
}

/// Makes a new store in `dir` from a backup, keeping identities and resource versions.
///
/// The store appears in `dir` only when the whole backup has been read, checked and written to disk. Secrets are opened
/// with `keyring`, and sealed with its first key.
///
/// # Errors
/// [`RestoreError`]; nothing is left behind then.
pub fn restore_backup(
    input: &mut dyn BufRead,
    dir: &Path,
    built_in: Registry,
    keyring: &Arc<Keyring>,
) -> Result<BackupSummary, RestoreError> {
    if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RestoreError::NotEmpty(dir.display().to_string()));
    }
    let mut unfinished = dir.as_os_str().to_owned();
    unfinished.push(".restoring");
    let unfinished = Path::new(&unfinished);
    if unfinished.exists() {
        std::fs::remove_dir_all(unfinished)?;
    }
    let restored = crate::engine::open(unfinished, &EngineOptions::default())
        .map_err(|error| RestoreError::from(open_error(&error)))
        .and_then(|engine| fill(input, &engine, keyring))
        .and_then(|summary| verify_store(unfinished, built_in, keyring).map(|_| summary).map_err(RestoreError::from))
        .and_then(|summary| {
            if dir.exists() {
                std::fs::remove_dir(dir)?;
            }
            std::fs::rename(unfinished, dir)?;
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            std::fs::File::open(parent)?.sync_all()?;
            Ok(summary)
        });
    if restored.is_err() && unfinished.exists() {
        std::fs::remove_dir_all(unfinished)?;
    }
    restored
}

/// Reads a store from beginning to end and compares every checksum. It is opened as [`Store::open`] opens it, alone, and so
/// brought to this program's format; no object changes.
///
/// # Errors
/// As [`Store::open`], and `Missing` when there is no store in `dir`: none is made.
///
/// [`Store::open`]: crate::store::Store::open
pub fn verify(dir: &Path, built_in: Registry, keyring: &Arc<Keyring>) -> Result<BackupSummary, OpenError> {
    let loaded = verify_store(dir, built_in, keyring)?;
    Ok(BackupSummary {
        revision: loaded.state.revision,
        objects: loaded.state.resources.values().map(|resource| resource.objects.len() as u64).sum(),
    })
}

/// Writes what the backup holds into `engine`, which is empty. The row that makes it a store comes last.
pub(crate) fn fill(
    input: &mut dyn BufRead,
    engine: &dyn Engine,
    keyring: &Keyring,
) -> Result<BackupSummary, RestoreError> {
    let mut lines = Lines { input, number: 0, sum: Context::new(&SHA256), buffer: Vec::new() };
    let header: Header = serde_json::from_slice(lines.next()?).map_err(|error| lines.wrong(&error.to_string()))?;
    if header.backup != "cc-ci" || !(FORMAT_PLAIN..=FORMAT).contains(&header.format) {
        return Err(lines.wrong("this is not a backup that this program reads"));
    }
    let mut meta = Meta { revision: header.revision + REVISION_GAP, ..Meta::default() };
    meta.compacted = meta.revision;
    let mut batch = Batch::default();
    let mut revisions = std::collections::HashSet::new();
    loop {
        let before = lines.sum.clone();
        let line = lines.next()?.to_vec();
        if let Ok(footer) = serde_json::from_slice::<Footer>(&line) {
            if footer.sha256 != HEXLOWER.encode(before.finish().as_ref()) || footer.objects != meta.records {
                return Err(lines.wrong("the checksum does not match: the backup is damaged"));
            }
            break;
        }
        let found = object_of_line(&line, keyring).map_err(|why| lines.wrong(&why))?;
        let (resource, value) = found.ok_or_else(|| lines.wrong("this is no object"))?;
        let metadata = &value["metadata"];
        let revision = metadata["resourceVersion"].as_str().and_then(|version| version.parse().ok());
        let revision: u64 = revision.ok_or_else(|| lines.wrong("the object has no resourceVersion"))?;
        if revision > header.revision || !revisions.insert(revision) {
            return Err(lines.wrong("the object's resourceVersion is not from this backup"));
        }
        let text = |name: &str| metadata[name].as_str().unwrap_or_default();
        let draft = Draft::new(&resource, &object_key(text("namespace"), text("name")), &value, revision)
            .map_err(|status| lines.wrong(&status.message))?;
        let object = Arc::new(draft.created().finish(revision));
        rows::put_record(&mut batch, &object, keyring);
        meta.add(&object);
        if batch.puts.len() >= RESTORE_BATCH_RECORDS {
            engine.commit(std::mem::take(&mut batch)).map_err(|error| open_error(&error))?;
        }
    }
    rows::put_meta(&mut batch, meta);
    engine.commit(batch).map_err(|error| open_error(&error))?;
    Ok(BackupSummary { revision: header.revision, objects: meta.records })
}

/// Reads bounded lines and sums them up.
struct Lines<'a> {
    input: &'a mut dyn BufRead,
    number: u64,
    sum: Context,
    buffer: Vec<u8>,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<&[u8], RestoreError> {
        self.number += 1;
        self.buffer.clear();
        io::Read::take(&mut *self.input, LINE_BYTES_MAX).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.pop() != Some(b'\n') {
            return Err(self.wrong("the backup ends in the middle"));
        }
        self.sum.update(&self.buffer);
        self.sum.update(b"\n");
        Ok(&self.buffer)
    }

    fn wrong(&self, why: &str) -> RestoreError {
        RestoreError::Malformed { line: self.number, why: why.to_owned() }
    }
}
