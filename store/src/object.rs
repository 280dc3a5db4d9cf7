//! One object as it is kept in memory and on disk: a single buffer that is the row, the record and the JSON.
//!
//! ```text
//!  0      1      2          6            10           14
//!  format flags  crc32c     json start   version pos  …meta section…            json…
//!  u8     u8     u32        u32          u32          resource key uid labels owners
//! ```
//!
//! In layout 3 the uid is not written a second time: in its place stands, as `u32`, how far before the end of the record
//! its 36 characters begin in the JSON. Layout 1 has it as text; so have records of an older program, and those of
//! objects whose uid is no UUID.
//!
//! The checksum covers everything behind it. All integers are little-endian. Strings are `u16` length and UTF-8. What
//! lists, selectors and the collector need (labels, owners, flags) is read from the meta section without parsing JSON
//! and without a second allocation: at 100 000 objects that is the difference between fitting and not.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api_types::status::{Reason, Status};
use bytes::{Buf as _, Bytes};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::guards::{Guard, Guards};

#[cfg(test)]
mod tests;

/// Version of the record layout; a store with a newer one is refused, an older one read. A sealed record begins with 2.
pub(crate) const RECORD_FORMAT: u8 = 3;
/// The layout in which the uid is a text of the meta section.
const FORMAT_WITH_UID: u8 = 1;
/// Characters of a UUID.
const UID_BYTES: usize = 36;

const HEADER_BYTES: usize = 14;
const FLAG_DELETED: u8 = 1;
const FLAG_CREATED: u8 = 2;
const FLAG_OWNERS: u8 = 4;
const FLAG_FINALIZERS: u8 = 8;
const FLAG_DELETING: u8 = 16;

/// One object at one revision. Cheap to share, never changed.
pub struct Object {
    record: Bytes,
    /// The store's revision of this version; 0 for the answer to a dry run that would create.
    pub revision: u64,
    /// See [`Object::supersede`].
    is_superseded: AtomicBool,
}

/// An object that is ready to be written but has no revision yet.
///
/// Its record is laid out already, so that little is left to be done by who gives out revisions: only
/// `metadata.resourceVersion` is missing, and there is room for it before the beginning.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// `room` bytes of no meaning, then the record, its header still empty.
    record: Vec<u8>,
    /// For the version.
    room: usize,
    /// Where the JSON begins in `record`.
    json_start: usize,
    /// Where the version goes in the JSON: before all other members of the metadata.
    version_at: usize,
    flags: u8,
    format: u8,
}

/// A record that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum RecordError {
    #[error("record is cut off after {0} bytes")]
    Truncated(usize),
    #[error("record has layout {0}, this program reads up to {RECORD_FORMAT}")]
    Format(u8),
    #[error("checksum is {found:08x}, expected {expected:08x}")]
    Checksum { expected: u32, found: u32 },
    #[error("record is malformed: {0}")]
    Malformed(&'static str),
}

impl Draft {
    /// Prepares `value` for writing as `key` of `resource` (`plural.group`).
    ///
    /// A `metadata.resourceVersion` in `value` is ignored: the committer decides it. Room is made for one of as many digits
    /// as `newest` has, which should be one that is about as new: then the record is laid out but once.
    ///
    /// # Errors
    /// `RequestEntityTooLarge` for metadata that the record cannot hold: more than 65 535 labels or owners, or one text
    /// of theirs longer than 65 535 bytes.
    pub(crate) fn new(resource: &str, key: &str, value: &Value, newest: u64) -> Result<Self, Status> {
        let metadata = &value["metadata"];
        let uid = metadata["uid"].as_str().unwrap_or_default();
        let format = if is_uuid(uid) { RECORD_FORMAT } else { FORMAT_WITH_UID };
        let room = version_member(newest).len();
        let mut record = Vec::with_capacity(2048);
        record.resize(room + HEADER_BYTES, 0);
        put_text(&mut record, resource)?;
        put_text(&mut record, key)?;
        let uid_position = record.len();
        if format == RECORD_FORMAT {
            record.extend_from_slice(&[0; 4]);
        } else {
            put_text(&mut record, uid)?;
        }
        put_labels(&mut record, &metadata["labels"])?;
        let owners = put_owners(&mut record, &metadata["ownerReferences"])?;
        let json_start = record.len();
        let Places { version, uid } = put_without_version(&mut record, value);
        if format == RECORD_FORMAT {
            let from_end = length(record.len() - uid).to_le_bytes();
            record[uid_position..uid_position + 4].copy_from_slice(&from_end);
        }
        // It stays as it is for the object's life.
        record.shrink_to_fit();
        let mut flags = 0;
        if owners {
            flags |= FLAG_OWNERS;
        }
        if metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty()) {
            flags |= FLAG_FINALIZERS;
        }
        if metadata["deletionTimestamp"].is_string() {
            flags |= FLAG_DELETING;
        }
        Ok(Self { record, room, json_start, version_at: version - json_start, flags, format })
    }

    /// Marks the record as the first of its object's life.
    pub(crate) fn created(mut self) -> Self {
        self.flags |= FLAG_CREATED;
        self
    }

    /// Marks the record as the last of its object's life.
    pub(crate) fn deleted(mut self) -> Self {
        self.flags |= FLAG_DELETED;
        self
    }

    /// Returns the bytes of its JSON, without the version.
    pub(crate) fn size_bytes(&self) -> usize {
        self.record.len() - self.json_start
    }

    /// Checks the size of the JSON against a bound.
    ///
    /// # Errors
    /// `RequestEntityTooLarge`.
    pub(crate) fn check_size(&self, bytes_max: usize) -> Result<(), Status> {
        let bytes = self.size_bytes();
        if bytes <= bytes_max {
            return Ok(());
        }
        Err(Status::failure(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: the object is {bytes} bytes, limit is {bytes_max}"),
        ))
    }

    /// Returns the object with `revision` as its `resourceVersion`; 0 is none.
    pub(crate) fn finish(self, revision: u64) -> Object {
        let Self { mut record, mut room, json_start, version_at, flags, format } = self;
        let version = version_member(revision);
        let meta_end = json_start - room;
        if version.len() > room {
            // Rare: the number of digits has grown since.
            record.splice(..0, std::iter::repeat_n(0, version.len() - room));
            record.shrink_to_fit();
            room = version.len();
        }
        // What comes before the version moves into the room: mostly that is less than what comes behind.
        let (start, end) = (room - version.len(), room + meta_end + version_at);
        record.copy_within(room..end, start);
        record[end - version.len()..end].copy_from_slice(version.as_bytes());
        let bytes = &mut record[start..];
        (bytes[0], bytes[1]) = (format, flags);
        bytes[6..10].copy_from_slice(&length(meta_end).to_le_bytes());
        bytes[10..14].copy_from_slice(&length(version_at).to_le_bytes());
        seal(bytes);
        let mut record = Bytes::from(record);
        record.advance(start);
        Object::of(record, revision)
    }
}

impl Object {
    fn of(record: Bytes, revision: u64) -> Self {
        Self { record, revision, is_superseded: AtomicBool::new(false) }
    }

    /// Notes that another version takes this one's place, which may still come to nothing when it cannot be written.
    pub(crate) fn supersede(&self) {
        self.is_superseded.store(true, Ordering::Relaxed);
    }

    /// Returns whether another version may have taken this one's place. A `false` is certain, and spares looking for the
    /// object in a map of all others.
    pub(crate) fn may_be_superseded(&self) -> bool {
        self.is_superseded.load(Ordering::Relaxed)
    }

    /// Reads a record that was written as `revision`, checking its checksum and layout.
    pub(crate) fn from_record(record: Bytes, revision: u64, guards: Guards) -> Result<Self, RecordError> {
        if record.len() < HEADER_BYTES {
            return Err(RecordError::Truncated(record.len()));
        }
        if ![FORMAT_WITH_UID, RECORD_FORMAT].contains(&record[0]) {
            return Err(RecordError::Format(record[0]));
        }
        let expected = read_u32(&record, 2);
        let found = checksum(&record);
        if expected != found && guards.has(Guard::RecordChecksum) {
            return Err(RecordError::Checksum { expected, found });
        }
        let json_start = read_u32(&record, 6) as usize;
        let version_at = read_u32(&record, 10) as usize;
        if json_start > record.len() || json_start + version_at > record.len() {
            return Err(RecordError::Malformed("the JSON starts behind the end"));
        }
        let object = Self::of(record, revision);
        object.check_meta()?;
        Ok(object)
    }

    /// Returns the JSON exactly as it is served, `metadata.resourceVersion` included.
    #[must_use]
    pub fn json(&self) -> Bytes {
        self.record.slice(self.json_start()..)
    }

    /// Returns the `apiVersion` that it is stored with.
    #[must_use]
    pub fn api_version(&self) -> Cow<'_, str> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Head<'a> {
            #[serde(borrow)]
            api_version: Cow<'a, str>,
        }
        let head: Head<'_> =
            serde_json::from_slice(&self.record[self.json_start()..]).expect("stored JSON has an apiVersion");
        head.api_version
    }

    /// Returns the JSON with another `apiVersion`: the same object seen through another served version.
    #[must_use]
    pub fn json_as(&self, api_version: &str) -> Bytes {
        if self.api_version() == api_version {
            return self.json();
        }
        let mut value = self.value();
        value["apiVersion"] = Value::String(api_version.to_owned());
        Bytes::from(serde_json::to_vec(&value).expect("a JSON value always serialises"))
    }

    /// Parses the JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.record[self.json_start()..]).expect("stored JSON was serialised by this program")
    }

    /// Returns `plural.group`, or the plural alone for the core group.
    #[must_use]
    pub fn resource(&self) -> &str {
        self.text(HEADER_BYTES).0
    }

    /// Returns `namespace/name`, or the name alone for cluster-scoped objects.
    #[must_use]
    pub fn key(&self) -> &str {
        let (_, next) = self.text(HEADER_BYTES);
        self.text(next).0
    }

    /// Returns the namespace, empty for cluster-scoped objects.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.key().split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        let key = self.key();
        key.split_once('/').map_or(key, |(_, name)| name)
    }

    /// Returns the unique id.
    #[must_use]
    pub fn uid(&self) -> &str {
        let position = self.uid_position();
        if self.record[0] == FORMAT_WITH_UID {
            return self.text(position).0;
        }
        let start = self.record.len() - read_u32(&self.record, position) as usize;
        std::str::from_utf8(&self.record[start..start + UID_BYTES]).expect("checked when the record was read")
    }

    /// Iterates over the labels in the order of their keys.
    #[must_use]
    pub fn labels(&self) -> Labels<'_> {
        let position = self.uid_position();
        let next = if self.record[0] == FORMAT_WITH_UID { self.text(position).1 } else { position + 4 };
        Labels { object: self, position: next + 2, remaining: self.read_u16(next) }
    }

    /// Returns the value of one label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Returns the uids of the owners; empty for most objects.
    #[must_use]
    pub fn owner_uids(&self) -> Vec<&str> {
        if self.flags() & FLAG_OWNERS == 0 {
            return Vec::new();
        }
        let mut labels = self.labels();
        for _ in labels.by_ref() {}
        let mut position = labels.position;
        let count = self.read_u16(position);
        position += 2;
        (0..count)
            .map(|_| {
                let (uid, next) = self.text(position);
                position = next;
                uid
            })
            .collect()
    }

    /// Returns whether the object is waiting for its finalizers.
    #[must_use]
    pub fn is_deleting(&self) -> bool {
        self.flags() & FLAG_DELETING != 0
    }

    /// Returns whether somebody must still clean up before the object may go.
    #[must_use]
    pub fn has_finalizers(&self) -> bool {
        self.flags() & FLAG_FINALIZERS != 0
    }

    /// Returns whether this is the last state of an object that is gone.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.flags() & FLAG_DELETED != 0
    }

    /// Returns whether this is the first version of its object.
    #[must_use]
    pub(crate) fn is_created(&self) -> bool {
        self.flags() & FLAG_CREATED != 0
    }

    /// Returns the record as it is stored.
    pub(crate) fn record(&self) -> &Bytes {
        &self.record
    }

    /// Returns the checksum over the record.
    pub(crate) fn checksum(&self) -> u32 {
        read_u32(&self.record, 2)
    }

    /// Returns the same content with another `resourceVersion`, as a watch shows an object that left its selection.
    #[must_use]
    pub(crate) fn at_revision(&self, revision: u64) -> Self {
        let (json_start, version_at) = (self.json_start(), read_u32(&self.record, 10) as usize);
        let (before, rest) = self.record.split_at(json_start + version_at);
        let behind = &rest[version_member(self.revision).len()..];
        let room = version_member(revision).len();
        let record = [&vec![0; room], before, behind].concat();
        let json_start = room + json_start;
        Draft { record, room, json_start, version_at, flags: self.flags(), format: self.record[0] }.finish(revision)
    }

    /// Returns the bytes this object occupies.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.record.len()
    }

    fn flags(&self) -> u8 {
        self.record[1]
    }

    fn json_start(&self) -> usize {
        read_u32(&self.record, 6) as usize
    }

    fn uid_position(&self) -> usize {
        let (_, key) = self.text(HEADER_BYTES);
        self.text(key).1
    }

    fn read_u16(&self, position: usize) -> u16 {
        u16::from_le_bytes([self.record[position], self.record[position + 1]])
    }

    fn text(&self, position: usize) -> (&str, usize) {
        let start = position + 2;
        let end = start + usize::from(self.read_u16(position));
        (std::str::from_utf8(&self.record[start..end]).expect("checked when the record was read"), end)
    }

    /// Walks the whole meta section once, so that no accessor can run over its end later.
    fn check_meta(&self) -> Result<(), RecordError> {
        let end = self.json_start();
        let mut position = HEADER_BYTES;
        let text = |position: usize| -> Result<usize, RecordError> {
            let start = position + 2;
            if start > end {
                return Err(RecordError::Malformed("the meta section is cut off"));
            }
            let stop = start + usize::from(self.read_u16(position));
            if stop > end || std::str::from_utf8(&self.record[start..stop]).is_err() {
                return Err(RecordError::Malformed("a text of the meta section is cut off or not UTF-8"));
            }
            Ok(stop)
        };
        for _ in 0..2 {
            position = text(position)?;
        }
        position = if self.record[0] == FORMAT_WITH_UID { text(position)? } else { self.check_uid(position)? };
        for texts_per_entry in [2, 1] {
            if position + 2 > end {
                return Err(RecordError::Malformed("the meta section is cut off"));
            }
            let count = usize::from(self.read_u16(position));
            position += 2;
            for _ in 0..count * texts_per_entry {
                position = text(position)?;
            }
        }
        if position == end { Ok(()) } else { Err(RecordError::Malformed("the meta section is too long")) }
    }

    /// Checks the uid that `position` refers to; returns where the meta section goes on.
    fn check_uid(&self, position: usize) -> Result<usize, RecordError> {
        let next = position + 4;
        if next > self.json_start() {
            return Err(RecordError::Malformed("the meta section is cut off"));
        }
        let start = self.record.len().checked_sub(read_u32(&self.record, position) as usize);
        let uid = start
            .filter(|start| *start >= self.json_start())
            .and_then(|start| self.record.get(start..start + UID_BYTES));
        match uid.map(std::str::from_utf8) {
            Some(Ok(_)) => Ok(next),
            _ => Err(RecordError::Malformed("the uid lies outside of the JSON or is not UTF-8")),
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}@{}", self.resource(), self.key(), self.revision)
    }
}

/// Iterator over an object's labels.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    object: &'a Object,
    position: usize,
    remaining: u16,
}

impl<'a> Iterator for Labels<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        let (key, next) = self.object.text(self.position);
        let (value, next) = self.object.text(next);
        self.position = next;
        Some((key, value))
    }
}

/// Returns `namespace/name`, or the name alone when `namespace` is empty: the order of lists is the order of these.
#[must_use]
pub fn object_key(namespace: &str, name: &str) -> Arc<str> {
    let key: Cow<'_, str> =
        if namespace.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{namespace}/{name}")) };
    Arc::from(key)
}

/// Where something is in a record that is being laid out.
struct Places {
    /// Where the version goes: before all other members of the metadata.
    version: usize,
    /// Where the characters of the uid begin.
    uid: usize,
}

/// Adds `value` as JSON without `metadata.resourceVersion`.
fn put_without_version(record: &mut Vec<u8>, value: &Value) -> Places {
    let mut places = Places { version: record.len(), uid: record.len() };
    record.push(b'{');
    for (name, member) in value.as_object().into_iter().flatten() {
        put_name(record, name);
        if name != "metadata" {
            put_json(record, member);
            continue;
        }
        record.push(b'{');
        places.version = record.len();
        for (name, member) in member.as_object().into_iter().flatten() {
            if name == "resourceVersion" {
                continue;
            }
            put_name(record, name);
            if name == "uid" {
                places.uid = record.len() + 1;
            }
            put_json(record, member);
        }
        record.push(b'}');
    }
    record.push(b'}');
    places
}

/// Returns how the version stands in JSON before other members; nothing for 0.
fn version_member(revision: u64) -> String {
    if revision == 0 { String::new() } else { format!("\"resourceVersion\":\"{revision}\",") }
}

/// Whether `uid` has the form of a UUID, so that it stands in JSON as it is.
fn is_uuid(uid: &str) -> bool {
    uid.len() == UID_BYTES && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn put_name(json: &mut Vec<u8>, name: &str) {
    if json.last() != Some(&b'{') {
        json.push(b',');
    }
    put_json(json, name);
    json.push(b':');
}

fn put_json<T: serde::Serialize + ?Sized>(json: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(json, value).expect("a JSON value always serialises");
}

fn put_text(meta: &mut Vec<u8>, text: &str) -> Result<(), Status> {
    put_count(meta, text.len(), "bytes in one text of metadata")?;
    meta.extend_from_slice(text.as_bytes());
    Ok(())
}

fn put_labels(meta: &mut Vec<u8>, labels: &Value) -> Result<(), Status> {
    put_count(meta, labels.as_object().map_or(0, Map::len), "labels")?;
    for (key, value) in labels.as_object().into_iter().flatten() {
        put_text(meta, key)?;
        put_text(meta, value.as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn put_owners(meta: &mut Vec<u8>, owners: &Value) -> Result<bool, Status> {
    let owners = owners.as_array().map(Vec::as_slice).unwrap_or_default();
    put_count(meta, owners.len(), "ownerReferences")?;
    for owner in owners {
        put_text(meta, owner["uid"].as_str().unwrap_or_default())?;
    }
    Ok(!owners.is_empty())
}

/// Kubernetes has no bound of its own here, so this one is reached by requests that admission lets pass.
fn put_count(meta: &mut Vec<u8>, count: usize, what: &str) -> Result<(), Status> {
    let Ok(stored) = u16::try_from(count) else {
        let message = format!("Request entity too large: the object has {count} {what}, limit is {}", u16::MAX);
        return Err(Status::failure(Reason::RequestEntityTooLarge, message));
    };
    meta.extend_from_slice(&stored.to_le_bytes());
    Ok(())
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("objects are bounded by admission to a few MiB")
}

fn read_u32(record: &[u8], position: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&record[position..position + 4]);
    u32::from_le_bytes(bytes)
}

/// The flags stand before the checksum in the layout and are part of what it covers.
fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..2]), &record[6..])
}

fn seal(record: &mut [u8]) {
    let sum = checksum(record);
    record[2..6].copy_from_slice(&sum.to_le_bytes());
}
