//! A file of sops as it is written: values in their order, and the part `sops`.
//!
//! The MAC is over the values in the order of the file, so an ordered reader is needed; what plain scalars mean follows the
//! same library that sops reads YAML with ([`crate::compose::scalar`]).

use granit_parser::{Event, Options, Parser, ScalarStyle};
use regex::Regex;

use super::SopsError;
use crate::compose::scalar;
use crate::compose::tree::Value;

/// Deepest nesting.
const DEPTH_MAX: usize = 32;
/// Most values.
const VALUES_MAX: usize = 20_000;
/// The member that says how the rest is encrypted.
const MEMBER: &str = "sops";
/// What keys of plain values end with when the file says nothing else.
const UNENCRYPTED_SUFFIX: &str = "_unencrypted";

/// A value of the file.
#[derive(Debug)]
pub(super) enum Scalar {
    Null,
    Text(String),
    /// A number, a truth or a time, as sops prints it.
    Other(String),
}

/// A value and its place.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Keys from the top; members of lists have the list's. It is what encryption is bound to.
    pub keys: Vec<String>,
    /// The same with the places in lists.
    pub path: Vec<String>,
    pub scalar: Scalar,
}

/// A data key for one recipient.
#[derive(Debug, Default)]
pub(super) struct AgeEntry {
    pub recipient: String,
    pub enc: String,
}

/// The part `sops`.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    pub age: Vec<AgeEntry>,
    pub mac: String,
    pub last_modified: String,
    pub mac_only_encrypted: bool,
    unencrypted_suffix: Option<String>,
    encrypted_suffix: Option<String>,
    unencrypted_regex: Option<Regex>,
    encrypted_regex: Option<Regex>,
}

/// A whole file.
#[derive(Debug)]
pub(super) struct Document {
    pub leaves: Vec<Leaf>,
    pub metadata: Metadata,
}

fn unsuitable(message: impl Into<String>) -> SopsError {
    SopsError::Unsuitable(message.into())
}

impl Document {
    /// Reads YAML, of which JSON is a part.
    pub(super) fn parse(text: &str) -> Result<Self, SopsError> {
        let mut leaves = leaves(text)?;
        let of_sops: Vec<Leaf> =
            leaves.extract_if(.., |leaf| leaf.keys.first().is_some_and(|key| key == MEMBER)).collect();
        if of_sops.is_empty() {
            return Err(unsuitable("it is not encrypted with sops: run `sops encrypt --in-place` on it"));
        }
        Ok(Self { leaves, metadata: Metadata::of(&of_sops)? })
    }
}

impl Metadata {
    fn of(leaves: &[Leaf]) -> Result<Self, SopsError> {
        let mut metadata = Self::default();
        for leaf in leaves {
            let path: Vec<&str> = leaf.path.iter().skip(1).map(String::as_str).collect();
            let text = match &leaf.scalar {
                Scalar::Null => continue,
                Scalar::Text(text) | Scalar::Other(text) => text.clone(),
            };
            metadata.take(&path, text)?;
        }
        if metadata.age.is_empty() {
            return Err(unsuitable(
                "it is not encrypted for any age recipient: add ccd's to .sops.yaml and run `sops updatekeys`",
            ));
        }
        if metadata.mac.is_empty() || metadata.last_modified.is_empty() {
            return Err(unsuitable("its MAC is missing: write it anew with `sops edit`"));
        }
        let rules = [metadata.unencrypted_suffix.is_some(), metadata.encrypted_suffix.is_some()];
        let patterns = [metadata.unencrypted_regex.is_some(), metadata.encrypted_regex.is_some()];
        match rules.iter().chain(&patterns).filter(|is_given| **is_given).count() {
            0 => metadata.unencrypted_suffix = Some(UNENCRYPTED_SUFFIX.to_owned()),
            1 => {}
            _ => return Err(unsuitable("it has more than one rule for what is encrypted: keep one in .sops.yaml")),
        }
        Ok(metadata)
    }

    fn take(&mut self, path: &[&str], text: String) -> Result<(), SopsError> {
        let regex = |text: &str| {
            Regex::new(text)
                .map(Some)
                .map_err(|_| unsuitable("its rule for what is encrypted is no regular expression"))
        };
        match path {
            ["age", index, member] => {
                let index: usize = index.parse().unwrap_or(usize::MAX);
                if index == self.age.len() {
                    self.age.push(AgeEntry::default());
                }
                match (self.age.get_mut(index), *member) {
                    (Some(entry), "recipient") => entry.recipient = text,
                    (Some(entry), "enc") => entry.enc = text,
                    _ => {}
                }
            }
            ["mac"] => self.mac = text,
            ["lastmodified"] => self.last_modified = text,
            ["mac_only_encrypted"] => self.mac_only_encrypted = text == "True",
            ["unencrypted_suffix"] => self.unencrypted_suffix = Some(text),
            ["encrypted_suffix"] => self.encrypted_suffix = Some(text),
            ["unencrypted_regex"] => self.unencrypted_regex = regex(&text)?,
            ["encrypted_regex"] => self.encrypted_regex = regex(&text)?,
            ["key_groups", ..] | ["shamir_threshold"] => {
                return Err(unsuitable(
                    "its key is split over key groups, which ccd does not put together: use one group",
                ));
            }
            ["unencrypted_comment_regex" | "encrypted_comment_regex"] => {
                return Err(unsuitable(
                    "what is encrypted follows from comments in it, which ccd does not read: use a rule on names",
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the value at these keys is encrypted.
    pub(super) fn is_encrypted(&self, keys: &[String]) -> bool {
        let any = |holds: &dyn Fn(&String) -> bool| keys.iter().any(holds);
        if let Some(suffix) = &self.encrypted_suffix {
            return any(&|key| key.ends_with(suffix.as_str()));
        }
        if let Some(pattern) = &self.encrypted_regex {
            return any(&|key| pattern.is_match(key));
        }
        if let Some(pattern) = &self.unencrypted_regex {
            return !any(&|key| pattern.is_match(key));
        }
        let suffix = self.unencrypted_suffix.as_deref().unwrap_or(UNENCRYPTED_SUFFIX);
        !any(&|key| key.ends_with(suffix))
    }
}

/// A list or mapping whose end has not come yet.
enum Open {
    List(usize),
    Map(Option<String>),
}

/// Returns all scalars of a text with their places, in order.
fn leaves(text: &str) -> Result<Vec<Leaf>, SopsError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX + 1;
    options.block_nesting_limit = DEPTH_MAX + 1;
    let mut parser = Parser::new_from_str_with_options(text, options);
    let (mut open, mut leaves): (Vec<Open>, Vec<Leaf>) = (Vec::new(), Vec::new());
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let (event, _) = event.map_err(|error| {
            unsuitable(format!("it is neither YAML nor JSON (line {}): {}", error.marker().line(), error.info()))
        })?;
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(unsuitable("it has several documents: keep each in a file of its own"));
                }
            }
            Event::Alias(_) => return Err(unsuitable("it has YAML aliases: write what they stand for")),
            Event::Scalar(text, style, _, tag) => {
                if let Some(Open::Map(key @ None)) = open.last_mut() {
                    *key = Some(text.into_owned());
                    continue;
                }
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                leaves.push(leaf(&open, scalar_of(&text, is_plain)));
                finish(&mut open);
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() >= DEPTH_MAX || matches!(open.last(), Some(Open::Map(None))) {
                    return Err(unsuitable("it is nested too deep, or has a key that is no text"));
                }
                let is_list = matches!(event, Event::SequenceStart(..));
                open.push(if is_list { Open::List(0) } else { Open::Map(None) });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                finish(&mut open);
            }
            _ => {}
        }
        if leaves.len() > VALUES_MAX {
            return Err(unsuitable(format!("it has more than {VALUES_MAX} values")));
        }
    }
    Ok(leaves)
}

/// A value has ended: the next one of the list, or the next key.
fn finish(open: &mut [Open]) {
    match open.last_mut() {
        Some(Open::List(index)) => *index += 1,
        Some(Open::Map(key)) => *key = None,
        None => {}
    }
}

fn leaf(open: &[Open], scalar: Scalar) -> Leaf {
    let (mut keys, mut path) = (Vec::new(), Vec::new());
    for one in open {
        match one {
            Open::List(index) => path.push(index.to_string()),
            Open::Map(key) => {
                let key = key.clone().unwrap_or_default();
                path.push(key.clone());
                keys.push(key);
            }
        }
    }
    Leaf { keys, path, scalar }
}

fn scalar_of(text: &str, is_plain: bool) -> Scalar {
    if !is_plain {
        return Scalar::Text(text.to_owned());
    }
    match scalar::resolve(text) {
        Value::Null => Scalar::Null,
        Value::Bool(is_true) => Scalar::Other(if is_true { "True" } else { "False" }.to_owned()),
        Value::Int(number) => Scalar::Other(number.to_string()),
        Value::Unsigned(number) => Scalar::Other(number.to_string()),
        Value::Float(number) => Scalar::Other(number.to_string()),
        Value::Time(_) => Scalar::Other(text.to_owned()),
        Value::Text(text) => Scalar::Text(text),
        Value::List(_) | Value::Map(_) => Scalar::Null,
    }
}
