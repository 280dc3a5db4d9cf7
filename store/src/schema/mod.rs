//! What an object may look like: strict decoding, pruning, defaulting, validation. Pure functions, no I/O.
//!
//! [`decode_json`] reads a document, [`CompiledSchema`] answers for one version of one kind, and
//! [`validate_metadata`] knows what is the same for all kinds. Messages, fields and order are those of
//! kube-apiserver, because clients and people compare them.

mod cel;
pub mod compiled;
pub mod decode;
mod default;
mod formats;
mod go_json;
mod lists;
pub mod metadata;
mod node;
mod path;
mod prune;
mod regex;
mod structural;
mod text;
mod validate;

#[cfg(test)]
mod tests;

pub use self::compiled::CompiledSchema;
pub(crate) use self::decode::is_deeper_than;
pub use self::decode::{DecodeError, Decoded, MAX_DEPTH, decode_json, is_too_deep, is_too_large};
pub use self::metadata::{MetadataRules, NameGrammar, validate_metadata};
