//! What git writes, read.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::error::Error;
use crate::git::{CommitId, FileKind, NearestTag, RefName, RemoteUrl, Tag, TreeFile, TreePath};

/// Changed files that are named.
const CHANGED_MAX: usize = 20;
/// Digits of the hash in a mirror's name.
const HASH_DIGITS: usize = 24;
/// Bytes of the readable part of a mirror's name.
const READABLE_BYTES_MAX: usize = 60;

/// One line a tag: name, own type, own name, type and name of what it stands for, moment.
pub(super) const TAG_FORMAT: &str =
    "--format=%(refname)%09%(objecttype)%09%(objectname)%09%(*objecttype)%09%(*objectname)%09%(creatordate:unix)";

/// Returns the name of the folder of a URL's mirror: readable, and different for different URLs.
pub(super) fn mirror_name(url: &RemoteUrl) -> String {
    let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    let readable: String = rest
        .chars()
        .map(|character| if character.is_ascii_alphanumeric() { character.to_ascii_lowercase() } else { '-' })
        .collect();
    let readable = readable.trim_matches('-').trim_end_matches("-git");
    let readable = &readable[readable.len().saturating_sub(READABLE_BYTES_MAX)..];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, url.as_str().as_bytes());
    let hash = digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("{}-{}", readable.trim_start_matches('-'), &hash[..HASH_DIGITS])
}

/// Reads one line of [`TAG_FORMAT`]; `None` for a tag that stands for no commit or has a name that we do not take.
pub(super) fn tag(line: &str) -> Option<Tag> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let name = RefName::new(next()?.strip_prefix("refs/tags/")?).ok()?;
    let (own_type, own, target_type, target, moment) = (next()?, next()?, next()?, next()?, next()?);
    let (commit, is_annotated) = match (own_type, target_type) {
        ("commit", _) => (own, false),
        ("tag", "commit") => (target, true),
        _ => return None,
    };
    let made_at = moment.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    Some(Tag {
        name,
        commit: CommitId::new(commit).ok()?,
        is_annotated,
        made_at: made_at.unwrap_or(Timestamp::UNIX_EPOCH),
    })
}

/// Reads `git status -z`.
pub(super) fn status(output: &str) -> Vec<String> {
    output.split_terminator('\0').filter_map(|entry| entry.get(3..)).take(CHANGED_MAX).map(str::to_owned).collect()
}

/// Reads one entry of `git ls-tree -z` and returns the name of the blob, if it is a file.
pub(super) fn blob(listing: &str) -> Option<&str> {
    let (entry, _path) = listing.split('\0').next()?.split_once('\t')?;
    let mut fields = entry.split_ascii_whitespace();
    let (mode, kind, object) = (fields.next()?, fields.next()?, fields.next()?);
    (kind == "blob" && mode.starts_with("100")).then_some(object)
}

/// Reads one entry of `git ls-tree -r -z -l`.
pub(super) fn tree_file(entry: &str) -> Result<TreeFile, Error> {
    let unexpected = || Error::bug("InternalError", format!("git ls-tree says {entry:?}"));
    let (fields, path) = entry.split_once('\t').ok_or_else(unexpected)?;
    let mut fields = fields.split_ascii_whitespace();
    let (mode, bytes) = (fields.next().ok_or_else(unexpected)?, fields.nth(2).ok_or_else(unexpected)?);
    let kind = match mode {
        "100755" => FileKind::Executable,
        "120000" => FileKind::Link,
        "160000" => FileKind::Submodule,
        _ => FileKind::Regular,
    };
    Ok(TreeFile { path: TreePath::new(path)?, kind, bytes: bytes.parse().unwrap_or(0) })
}

/// Reads `git describe --long`: `NAME-DISTANCE-gHASH`.
pub(super) fn description(text: &str) -> Option<NearestTag> {
    let mut parts = text.rsplitn(3, '-');
    let (_hash, distance, name) = (parts.next()?, parts.next()?, parts.next()?);
    Some(NearestTag { name: RefName::new(name).ok()?, distance: distance.parse().ok()? })
}
