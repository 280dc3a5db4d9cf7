//! The set of objects that a folder is applied as, and which of them go when the folder no longer names them. Pure.
//!
//! Labels and annotations are those of Kubernetes' ApplySets (KEP-3659), so that other tools know what they see. The set's
//! own record is a ConfigMap: it says of which kinds and in which namespaces members may be. Each member carries the set's
//! id as a label.

use std::collections::BTreeSet;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::{CommandError, Result};

/// Label of a member: the id of its set.
pub const PART_OF: &str = "applyset.kubernetes.io/part-of";
/// Label of the record: the set's id.
const ID: &str = "applyset.kubernetes.io/id";
/// Annotation of the record: with what the set is applied.
const TOOLING: &str = "applyset.kubernetes.io/tooling";
/// Annotation of the record: kinds of members.
const GROUP_KINDS: &str = "applyset.kubernetes.io/contains-group-kinds";
/// Annotation of the record: namespaces of members besides the record's own.
const NAMESPACES: &str = "applyset.kubernetes.io/additional-namespaces";
/// What stands in `TOOLING`.
const OURS: &str = concat!("ccctl/v", env!("CARGO_PKG_VERSION"));
/// Longest name of a set.
const NAME_LENGTH_MAX: usize = 63;

/// A set of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplySet {
    /// Its name: that of its record.
    pub name: String,
    /// The namespace of its record.
    pub namespace: String,
}

/// What the record of a set says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Kinds of members, as `Kind.group`.
    pub group_kinds: BTreeSet<String>,
    /// Namespaces of members.
    pub namespaces: BTreeSet<String>,
}

/// What becomes of a member that the files no longer name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is deleted.
    Prune,
    /// It is going already.
    Going,
    /// It stays: it was not applied under our field manager, whatever its label says.
    NotOurs,
    /// It stays: what lives in it would go with it.
    TooMuchGoesWithIt,
}

impl ApplySet {
    /// Returns the set's id, as Kubernetes computes it.
    #[must_use]
    pub fn id(&self) -> String {
        let text = format!("{}.{}.ConfigMap.", self.name, self.namespace);
        format!("applyset-{}-v1", URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes())))
    }

    /// Returns the record of the set, as it is applied.
    #[must_use]
    pub fn record(&self, scope: &Scope) -> Value {
        let joined = |words: &mut dyn Iterator<Item = &String>| words.cloned().collect::<Vec<_>>().join(",");
        let namespaces = joined(&mut scope.namespaces.iter().filter(|namespace| **namespace != self.namespace));
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": {ID: self.id()},
                "annotations": {
                    TOOLING: OURS,
                    GROUP_KINDS: joined(&mut scope.group_kinds.iter()),
                    NAMESPACES: namespaces,
                },
            },
        })
    }

    /// Reads the record of the set.
    ///
    /// # Errors
    /// It is something else, or some other tool's.
    pub fn read(&self, record: &Value) -> Result<Scope> {
        let metadata = &record["metadata"];
        let elsewhere = "choose another name with --applyset";
        if metadata["labels"][ID] != self.id().as_str() {
            let text = format!("the ConfigMap {} is there already and is not the record of a set", self.name);
            return Err(CommandError::user(text).hint(elsewhere));
        }
        let annotation = |name: &str| metadata["annotations"][name].as_str().unwrap_or_default();
        let tooling = annotation(TOOLING);
        if !tooling.starts_with("ccctl/") {
            let text = format!("the set {} is applied with {tooling:?}, not with ccctl", self.name);
            return Err(CommandError::user(text).hint(elsewhere));
        }
        let words = |name: &str| {
            annotation(name).split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let mut namespaces = words(NAMESPACES);
        namespaces.insert(self.namespace.clone());
        Ok(Scope { group_kinds: words(GROUP_KINDS), namespaces })
    }
}

impl Scope {
    /// Returns both scopes in one.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        self.group_kinds.extend(other.group_kinds.iter().cloned());
        self.namespaces.extend(other.namespaces.iter().cloned());
        self
    }
}

/// Returns how a kind is written in a record.
#[must_use]
pub fn group_kind(api_version: &str, kind: &str) -> String {
    match api_version.split_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    }
}

/// Returns the name that a set has when nobody names it: that of the one folder that is applied.
///
/// # Errors
/// There is no such folder, or its name is of no use.
pub fn default_name(files: &[String]) -> Result<String> {
    let unnamed = || {
        CommandError::user("what is applied has no name of its own, so that it cannot be told what belongs to it")
            .hint("name it with `--applyset NAME`, the same each time")
    };
    let [only] = files else { return Err(unnamed()) };
    let folder = Path::new(only).canonicalize().ok().filter(|path| path.is_dir()).ok_or_else(unnamed)?;
    let folder = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain: String =
        folder.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let name = plain.trim_matches('-');
    if is_name(name) { Ok(name.to_owned()) } else { Err(unnamed()) }
}

/// Returns whether a set may be called so.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.bytes().all(is_plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Says what becomes of a member that the files no longer name.
#[must_use]
pub fn fate(object: &Value, field_manager: &str) -> Fate {
    let metadata = &object["metadata"];
    let mut managers = metadata["managedFields"].as_array().into_iter().flatten();
    let applied = |entry: &Value| entry["manager"] == field_manager && entry["operation"] == "Apply";
    if !managers.any(applied) {
        return Fate::NotOurs;
    }
    if matches!(object["kind"].as_str(), Some("Namespace" | "CustomResourceDefinition")) {
        return Fate::TooMuchGoesWithIt;
    }
    if metadata["deletionTimestamp"].is_string() { Fate::Going } else { Fate::Prune }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> ApplySet {
        ApplySet { name: "infra".to_owned(), namespace: "default".to_owned() }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let scope = Scope {
            group_kinds: words(&["App.ci.coopcloud.tech", "ConfigMap"]),
            namespaces: words(&["default", "team"]),
        };
        let record = set().record(&scope);
        assert_eq!(set().read(&record).unwrap(), scope);
        assert_eq!(record["metadata"]["annotations"][NAMESPACES], "team");
        assert_eq!(set().id(), "applyset-2RXDgtDh2ZKnC-1hdChtYXhAFyLw5CycFLImB9QRu10-v1");
        assert!(set().id().len() <= 63, "it is the value of a label");
    }

    #[test]
    fn what_is_no_record_of_ours_is_refused() {
        let mut record = set().record(&Scope::default());
        record["metadata"]["annotations"][TOOLING] = "kubectl/v1.32".into();
        assert!(set().read(&record).unwrap_err().message.contains("kubectl"));
        record["metadata"]["labels"] = json!({});
        assert!(set().read(&record).unwrap_err().message.contains("not the record"));
    }

    #[test]
    fn only_what_was_applied_goes() {
        let ours = json!([{"manager": "ccctl", "operation": "Apply"}]);
        let cases = [
            ("applied by us", "App", ours.clone(), None, Fate::Prune),
            ("going already", "App", ours.clone(), Some("2026-01-02T03:04:05Z"), Fate::Going),
            ("labelled by hand", "App", json!([{"manager": "ccctl", "operation": "Update"}]), None, Fate::NotOurs),
            ("applied by others", "App", json!([{"manager": "flux", "operation": "Apply"}]), None, Fate::NotOurs),
            ("nobody says", "App", Value::Null, None, Fate::NotOurs),
            ("a namespace", "Namespace", ours.clone(), None, Fate::TooMuchGoesWithIt),
            ("a definition", "CustomResourceDefinition", ours, None, Fate::TooMuchGoesWithIt),
        ];
        for (name, kind, managed, deleted, expected) in cases {
            let object = json!({"kind": kind, "metadata": {"managedFields": managed, "deletionTimestamp": deleted}});
            assert_eq!(fate(&object, "ccctl"), expected, "{name}");
        }
    }

    #[test]
    fn a_set_is_called_like_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("Our_infra.d");
        std::fs::create_dir(&inner).unwrap();
        let text = |path: &Path| path.display().to_string();
        assert_eq!(default_name(&[text(&inner)]).unwrap(), "our-infra-d");
        assert_eq!(default_name(&[text(&inner.join("..").join("Our_infra.d"))]).unwrap(), "our-infra-d");
        for files in [vec![], vec!["-".to_owned()], vec![text(&inner), text(&inner)], vec!["/".to_owned()]] {
            assert!(default_name(&files).is_err(), "{files:?}");
        }
        for (name, expected) in [("a", true), ("a-1", true), ("", false), ("-a", false), ("A", false), ("a.b", false)] {
            assert_eq!(is_name(name), expected, "{name:?}");
        }
    }
}
