//! How records and the store's own facts become rows of the engine, and back.
//!
//! A record is the row of its revision, cut into parts of at most [`ROW_BYTES_MAX`] because sled keeps larger values in
//! files that it never syncs. The `m` row is rewritten in every batch and says what the other rows must add up to.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Batch, ROW_BYTES_MAX};
use crate::guards::{Guard, Guards};
use crate::keyring::{self, Keyring, SealError};
use crate::object::{Object, RecordError};

/// Version of the whole layout: keys, parts and the meta row. A newer store is refused.
pub(crate) const STORE_FORMAT: u32 = 1;

const META_KEY: &[u8] = b"m";
const META_BYTES: usize = 40;
const RECORD_PREFIX: u8 = b'r';
const RECORD_KEY_BYTES: usize = 11;

/// What the store knows about itself; on disk in the same batch as the rows it describes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The newest revision ever given out.
    pub revision: u64,
    /// Changes up to this one are not in the history on disk; the one in memory may reach further back.
    pub compacted: u64,
    /// Records stored.
    pub records: u64,
    /// Exclusive or over [`record_hash`] of every record stored: a lost, stale or swapped row changes it.
    pub hash: u64,
}

/// Why stored rows cannot be believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("row {0:02x?} has a key of unknown form")]
    UnknownKey(Vec<u8>),
    #[error("the meta row is missing although there are records")]
    MetaMissing,
    #[error("the meta row is malformed")]
    MetaMalformed,
    #[error("the store has format {0}, this program reads up to {STORE_FORMAT}: start the newer program")]
    Newer(u32),
    #[error("part {part} of revision {revision} is missing")]
    PartMissing { revision: u64, part: u16 },
    #[error("revision {revision}: {source}")]
    Record { revision: u64, source: RecordError },
    #[error("revision {revision} cannot be opened: {source}")]
    Sealed { revision: u64, source: SealError },
    #[error("{found} records with hash {found_hash:016x} found, {expected} with hash {expected_hash:016x} expected")]
    Hash { found: u64, found_hash: u64, expected: u64, expected_hash: u64 },
}

impl Meta {
    pub(crate) fn add(&mut self, object: &Object) {
        self.records += 1;
        self.hash ^= record_hash(object);
    }

    pub(crate) fn remove(&mut self, object: &Object) {
        self.records -= 1;
        self.hash ^= record_hash(object);
    }

    fn encode(self) -> Vec<u8> {
        let mut row = Vec::with_capacity(META_BYTES);
        row.extend_from_slice(&STORE_FORMAT.to_le_bytes());
        row.extend_from_slice(&[0; 4]);
        for number in [self.revision, self.compacted, self.records, self.hash] {
            row.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32c::crc32c(&row);
        row[4..8].copy_from_slice(&sum.to_le_bytes());
        row
    }

    fn decode(row: &[u8]) -> Result<Self, RowError> {
        let format = row.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes)).ok_or(RowError::MetaMalformed)?;
        if format > STORE_FORMAT {
            return Err(RowError::Newer(format));
        }
        let row: [u8; META_BYTES] = row.try_into().map_err(|_| RowError::MetaMalformed)?;
        let mut unsealed = row;
        unsealed[4..8].fill(0);
        if row[4..8] != crc32c::crc32c(&unsealed).to_le_bytes() {
            return Err(RowError::MetaMalformed);
        }
        let number = |index: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&row[8 + index * 8..16 + index * 8]);
            u64::from_le_bytes(bytes)
        };
        Ok(Self { revision: number(0), compacted: number(1), records: number(2), hash: number(3) })
    }
}

/// Adds the rows of `object` to `batch`.
pub(crate) fn put_record(batch: &mut Batch, object: &Arc<Object>, keyring: &Keyring) {
    let record = keyring.record(object);
    for part in 0..record.len().div_ceil(ROW_BYTES_MAX) {
        let start = part * ROW_BYTES_MAX;
        let end = record.len().min(start + ROW_BYTES_MAX);
        batch.puts.push((record_key(object.revision, part), record.slice(start..end)));
    }
}

/// Adds the removal of the rows of `object` to `batch`: as many as it may have, sealed or not.
pub(crate) fn delete_record(batch: &mut Batch, object: &Object) {
    delete_rows(batch, object.revision, keyring::bytes_max(object));
}

/// Adds the removal of the rows of the record of `revision`, which takes at most `bytes`.
pub(crate) fn delete_rows(batch: &mut Batch, revision: u64, bytes: usize) {
    for part in 0..bytes.div_ceil(ROW_BYTES_MAX) {
        batch.deletes.push(record_key(revision, part));
    }
}

/// Adds the meta row to `batch`.
pub(crate) fn put_meta(batch: &mut Batch, meta: Meta) {
    batch.puts.push((META_KEY.to_vec(), Bytes::from(meta.encode())));
}

/// Puts rows together again, in the order in which the engine scans them.
#[derive(Default)]
pub(crate) struct Assembler {
    keyring: Arc<Keyring>,
    /// Whether a record is not sealed as it would be now.
    is_stale: bool,
    meta: Option<Meta>,
    current: Option<(u64, Vec<u8>)>,
    parts: u16,
    found: Meta,
    guards: Guards,
}

impl Assembler {
    pub(crate) fn new(guards: Guards, keyring: Arc<Keyring>) -> Self {
        Self { guards, keyring, ..Self::default() }
    }

    /// Takes the next row; returns a record when the row before it completed one.
    pub(crate) fn row(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Object>, RowError> {
        if key == META_KEY {
            self.meta = Some(Meta::decode(value)?);
            return Ok(None);
        }
        let (revision, part) = parse_record_key(key).ok_or_else(|| RowError::UnknownKey(key.to_vec()))?;
        if let Some((current, bytes)) = &mut self.current
            && *current == revision
        {
            if part != self.parts {
                return Err(RowError::PartMissing { revision, part: self.parts });
            }
            bytes.extend_from_slice(value);
            self.parts += 1;
            return Ok(None);
        }
        if part != 0 {
            return Err(RowError::PartMissing { revision, part: 0 });
        }
        let done = self.take()?;
        self.current = Some((revision, value.to_vec()));
        self.parts = 1;
        Ok(done)
    }

    /// Ends the scan: returns the last record, and the meta row after comparing it with what was found; and whether
    /// any record should be sealed anew.
    pub(crate) fn finish(mut self) -> Result<(Option<Object>, Meta, bool), RowError> {
        let last = self.take()?;
        let Some(meta) = self.meta else {
            return if self.found == Meta::default() {
                Ok((None, Meta::default(), false))
            } else {
                Err(RowError::MetaMissing)
            };
        };
        let adds_up = (self.found.records, self.found.hash) == (meta.records, meta.hash);
        if !adds_up && self.guards.has(Guard::RecordsHash) {
            return Err(RowError::Hash {
                found: self.found.records,
                found_hash: self.found.hash,
                expected: meta.records,
                expected_hash: meta.hash,
            });
        }
        Ok((last, meta, self.is_stale))
    }

    fn take(&mut self) -> Result<Option<Object>, RowError> {
        let Some((revision, bytes)) = self.current.take() else { return Ok(None) };
        let seal = keyring::seal_of(&bytes);
        let plain = self.keyring.open(bytes, revision).map_err(|source| RowError::Sealed { revision, source })?;
        let object = Object::from_record(Bytes::from(plain), revision, self.guards)
            .map_err(|source| RowError::Record { revision, source })?;
        self.is_stale |= self.keyring.is_stale(seal, object.resource());
        self.found.add(&object);
        Ok(Some(object))
    }
}

fn record_key(revision: u64, part: usize) -> Vec<u8> {
    let part = u16::try_from(part).expect("objects are bounded far below 65 536 parts");
    let mut key = Vec::with_capacity(RECORD_KEY_BYTES);
    key.push(RECORD_PREFIX);
    key.extend_from_slice(&revision.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

fn parse_record_key(key: &[u8]) -> Option<(u64, u16)> {
    let key: &[u8; RECORD_KEY_BYTES] = key.try_into().ok()?;
    let [RECORD_PREFIX, revision @ .., high, low] = key else { return None };
    Some((u64::from_be_bytes(*revision), u16::from_be_bytes([*high, *low])))
}

/// Mixes revision and checksum so that two swapped records do not cancel out (the finaliser of SplitMix64).
pub(crate) fn record_hash(object: &Object) -> u64 {
    let mut hash = object.revision.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (u64::from(object.checksum()) << 16);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ (hash >> 31)
}
