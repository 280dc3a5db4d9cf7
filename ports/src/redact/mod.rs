//! [`Redactor`]: knows every secret that is in use and takes it out of text, wherever text leaves the process.
//!
//! A secret is found as it is, in base64 (standard and URL alphabet, at each of the three alignments, so also inside of
//! something larger), URL-encoded, and escaped as in JSON; and cut into pieces over the chunks of a stream
//! ([`Redacted`]). Of a secret of several lines each line counts as well.
//!
//! What is not found: values shorter than [`VALUE_BYTES_MIN`], which would blank out half of every log and are no
//! secrets anyhow; base64 with line breaks; and whatever a program makes of a secret otherwise.

mod forms;
mod stream;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};

pub use stream::Redacted;

/// Stands where a secret was.
pub const MASK: &str = "[redacted]";
/// Values with fewer bytes are not taken for secrets.
pub const VALUE_BYTES_MIN: usize = 6;
/// Of a longer value, only the beginning and its lines are found.
pub const VALUE_BYTES_MAX: usize = 16 << 10;
/// So many bytes of each form are searched for; where they are found, the rest is compared. The automaton stays small
/// however long secrets are.
const ANCHOR_BYTES: usize = 16;

/// Whether a value is found from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Yes.
    Masked,
    /// No: it is too short.
    TooShort,
}

/// Takes secrets out of text. Cheap to clone; all clones know the same secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// By the key under which they were added: two keys may have the same value.
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    patterns: RwLock<Arc<Patterns>>,
}

/// What is looked for.
#[derive(Default)]
pub(crate) struct Patterns {
    /// Sorted, so that prefixes are found by bisection.
    sorted: Vec<Vec<u8>>,
    longest: usize,
    first_bytes: Option<Box<[bool; 256]>>,
    /// Finds the beginnings of what is looked for.
    automaton: Option<AhoCorasick>,
    /// For each beginning where in `sorted` those stand that have it.
    with_anchor: Vec<Range<usize>>,
}

impl Redactor {
    /// Adds a secret under a key, or replaces the one that the key has.
    pub fn insert(&self, key: &str, value: &[u8]) -> Known {
        let mut values = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        if value.trim_ascii().len() < VALUE_BYTES_MIN {
            if values.remove(key).is_some() {
                self.rebuild(&values);
            }
            return Known::TooShort;
        }
        let before = values.insert(key.to_owned(), value.to_vec());
        if before.as_deref() != Some(value) {
            self.rebuild(&values);
        }
        Known::Masked
    }

    /// Forgets the secret of a key. Text that is still on its way may hold it: forget it after the last use.
    pub fn remove(&self, key: &str) {
        let mut values = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.remove(key).is_some() {
            self.rebuild(&values);
        }
    }

    /// Forgets the secrets of all keys that begin with `prefix`.
    pub fn remove_all(&self, prefix: &str) {
        let mut values = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        let before = values.len();
        values.retain(|key, _| !key.starts_with(prefix));
        if values.len() != before {
            self.rebuild(&values);
        }
    }

    /// Replaces the secrets of all keys that begin with `prefix` by these, whose keys must begin with it.
    pub fn replace_all(&self, prefix: &str, secrets: impl IntoIterator<Item = (String, Vec<u8>)>) {
        let mut values = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = values.clone();
        next.retain(|key, _| !key.starts_with(prefix));
        next.extend(secrets.into_iter().filter(|(_, value)| value.trim_ascii().len() >= VALUE_BYTES_MIN));
        if next != *values {
            *values = next;
            self.rebuild(&values);
        }
    }

    /// Returns the text without secrets.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.bytes(text.as_bytes())).into_owned()
    }

    /// Returns the bytes without secrets.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> Vec<u8> {
        // Nearly always.
        if self.patterns().matches(bytes).is_empty() {
            return bytes.to_vec();
        }
        let mut stream = self.stream();
        let mut clean = stream.push(bytes);
        clean.extend(stream.finish());
        clean
    }

    /// Returns a filter for something that comes in pieces.
    #[must_use]
    pub fn stream(&self) -> Redacted {
        Redacted::new(self.clone())
    }

    pub(crate) fn patterns(&self) -> Arc<Patterns> {
        Arc::clone(&self.shared.patterns.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn rebuild(&self, values: &BTreeMap<String, Vec<u8>>) {
        let patterns = Arc::new(Patterns::of(values.values().map(Vec::as_slice)));
        *self.shared.patterns.write().unwrap_or_else(PoisonError::into_inner) = patterns;
    }
}

impl std::fmt::Debug for Redactor {
    /// Tells how many secrets there are, and no more.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.shared.values.lock().unwrap_or_else(PoisonError::into_inner).len();
        formatter.debug_struct("Redactor").field("secrets", &count).finish_non_exhaustive()
    }
}

fn anchor(pattern: &[u8]) -> &[u8] {
    &pattern[..pattern.len().min(ANCHOR_BYTES)]
}

impl Patterns {
    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut sorted: Vec<Vec<u8>> = values.flat_map(forms::of).collect();
        sorted.sort();
        sorted.dedup();
        if sorted.is_empty() {
            return Self::default();
        }
        let mut first_bytes = Box::new([false; 256]);
        for pattern in &sorted {
            first_bytes[usize::from(pattern[0])] = true;
        }
        let longest = sorted.iter().map(Vec::len).max().unwrap_or(0);
        let mut with_anchor: Vec<Range<usize>> = Vec::new();
        for (index, pattern) in sorted.iter().enumerate() {
            match with_anchor.last_mut() {
                Some(last) if anchor(&sorted[last.start]) == anchor(pattern) => last.end = index + 1,
                _ => with_anchor.push(index..index + 1),
            }
        }
        let anchors = with_anchor.iter().map(|range| anchor(&sorted[range.start]));
        // Standard, because all overlapping matches are wanted. The sizes are bounded: it cannot run out of states.
        let automaton = AhoCorasickBuilder::new().match_kind(MatchKind::Standard).build(anchors).ok();
        Self { longest, first_bytes: Some(first_bytes), automaton, with_anchor, sorted }
    }

    /// Returns where secrets are, in order, overlapping ones as one.
    fn matches(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut found: Vec<Range<usize>> = Vec::new();
        for one in automaton.find_overlapping_iter(bytes) {
            let candidates = &self.sorted[self.with_anchor[one.pattern().as_usize()].clone()];
            let is_here = |pattern: &&Vec<u8>| bytes[one.start()..].starts_with(pattern);
            found.extend(candidates.iter().filter(is_here).map(|pattern| one.start()..one.start() + pattern.len()));
        }
        found.sort_unstable_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }

    /// Returns how many bytes at the end may be the beginning of a secret.
    fn pending(&self, bytes: &[u8]) -> usize {
        let Some(first_bytes) = &self.first_bytes else { return 0 };
        let from = bytes.len() - bytes.len().min(self.longest.saturating_sub(1));
        let begins = |start: &usize| {
            let tail = &bytes[*start..];
            let at = self.sorted.partition_point(|pattern| pattern.as_slice() <= tail);
            // The next in order is one that begins with the tail and goes on, if there is any.
            self.sorted.get(at).is_some_and(|pattern| pattern.starts_with(tail))
        };
        let mut starts = (from..bytes.len()).filter(|start| first_bytes[usize::from(bytes[*start])]);
        starts.find(begins).map_or(0, |start| bytes.len() - start)
    }
}
