//! Which images may go: those that nothing uses and that were not used for a while, the longest unused first.
//!
//! The engine knows when an image was built, not when it was used, so its own pruning throws away what the next run
//! needs. We remember ourselves; after a restart of ccd every image counts as used at that moment, so that nothing goes
//! too early.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use ports::host::DiskFigures;
use ports::swarm::Image;

/// An image that nothing uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// Its id.
    pub id: String,
    /// When it was used last, or seen first.
    pub used_at: Timestamp,
    /// Its size in bytes.
    pub bytes: u64,
}

/// When images were used last, by their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses(HashMap<String, Timestamp>);

impl Uses {
    /// Remembers that images are used now: those that are wanted, and those that are seen for the first time. Forgets
    /// those that are gone.
    pub fn note(&mut self, images: &[Image], wanted: &BTreeSet<String>, now: Timestamp) {
        let known: BTreeSet<&str> = images.iter().map(|image| image.id.as_str()).collect();
        self.0.retain(|id, _| known.contains(id.as_str()));
        for image in images {
            if is_wanted(image, wanted) {
                self.0.insert(image.id.clone(), now);
            } else {
                self.0.entry(image.id.clone()).or_insert(now);
            }
        }
    }

    /// Returns the images that are not wanted, the longest unused first, of those the largest.
    #[must_use]
    pub fn unused(&self, images: &[Image], wanted: &BTreeSet<String>) -> Vec<Unused> {
        let unused = images.iter().filter(|image| !is_wanted(image, wanted)).filter_map(|image| {
            let used_at = *self.0.get(&image.id)?;
            Some(Unused { id: image.id.clone(), used_at, bytes: image.bytes })
        });
        let mut unused: Vec<Unused> = unused.collect();
        unused
            .sort_by(|left, right| (left.used_at, right.bytes, &left.id).cmp(&(right.used_at, left.bytes, &right.id)));
        unused
    }
}

/// Returns whether one of the names in `wanted` (`name:tag`, `name@digest`, `name:tag@digest`, or an id) means an image.
fn is_wanted(image: &Image, wanted: &BTreeSet<String>) -> bool {
    wanted.iter().any(|name| match name.split_once('@') {
        Some((_, digest)) => image.digests.iter().any(|known| known.ends_with(digest)),
        None => {
            let is_id = name == &image.id
                || (name.len() >= 12
                    && image.id.strip_prefix("sha256:").is_some_and(|id| id.starts_with(name.as_str())));
            is_id || image.tags.iter().any(|tag| tag == name || tag.strip_suffix(":latest") == Some(name))
        }
    })
}

/// Returns the name that means an image: by its digest where one is known.
#[must_use]
pub fn reference(image: &str, digest: Option<&str>) -> String {
    match digest {
        Some(digest) if !image.contains('@') => format!("{image}@{digest}"),
        _ => image.to_owned(),
    }
}

/// Returns how much of a disk is used, in percent, rounded up: what only root may use counts as used.
#[must_use]
pub fn used_percent(disk: &DiskFigures) -> u8 {
    if disk.total_bytes == 0 {
        return 0;
    }
    let used = u128::from(disk.total_bytes - disk.free_bytes.min(disk.total_bytes));
    u8::try_from((used * 100).div_ceil(u128::from(disk.total_bytes))).unwrap_or(100)
}
