//! Every case of `fixtures/compose` means what `docker stack config` says it means.
//!
//! What it says is recorded in the fixtures (`fixtures/compose/record` writes it anew); where the same client is at
//! hand, it is asked again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::compose::source::CheckoutFiles;
use crate::compose::{LoadError, LoadInput, Merged, merge_files};

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/compose")
}

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus()).expect("the corpus is there");
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(folders.len() >= 60, "the corpus has only {} cases", folders.len());
    folders
}

/// Returns what is to be loaded for a case; the checkout's folder is called /recipe.
pub(super) fn input(folder: &Path) -> LoadInput {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let mut files = lines(read("files"));
    if files.is_empty() {
        files.push("compose.yml".to_owned());
    }
    let env: BTreeMap<String, String> = lines(read("environment"))
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    LoadInput { stack: "stack".to_owned(), files, env, directory: "/recipe".to_owned(), ..LoadInput::default() }
}

fn merge(folder: &Path) -> Result<Merged, LoadError> {
    let files = CheckoutFiles::open(folder).expect("the case's folder opens");
    merge_files(&input(folder), &files)
}

/// Drops what Docker does not print though it has read it: `x-` keys of networks, and of volumes.
fn printed(mut value: Value) -> Value {
    for section in ["networks", "volumes"] {
        let Some(section) = value.get_mut(section).and_then(Value::as_object_mut) else { continue };
        for entry in section.values_mut().filter_map(Value::as_object_mut) {
            entry.retain(|key, _| !key.starts_with("x-"));
        }
    }
    if let Some(map) = value.as_object_mut() {
        map.retain(|key, section| key == "services" || section.as_object().is_none_or(|map| !map.is_empty()));
        map.entry("version").or_insert_with(|| "3.13".into());
        map.entry("services").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if matches!(map["version"].as_str(), Some("3" | "")) {
            map.insert("version".to_owned(), "3.13".into());
        }
    }
    value
}

#[test]
fn every_case_means_what_docker_says() {
    let mut differences = Vec::new();
    for folder in cases() {
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        let expected = std::fs::read_to_string(folder.join("expected.yml")).ok();
        match (merge(&folder), expected) {
            (Ok(merged), Some(expected)) => {
                let expected: Value = serde_saphyr::from_str(&expected).expect("Docker prints YAML");
                let (ours, theirs) = (printed(merged.to_json()), printed(expected));
                if ours != theirs {
                    let pretty = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
                    differences.push(format!("{name}\nours:\n{}\nDocker's:\n{}", pretty(&ours), pretty(&theirs)));
                }
            }
            (Err(_), None) => {}
            (Ok(_), None) => {
                let why = std::fs::read_to_string(folder.join("expected.error")).expect("a verdict is recorded");
                differences.push(format!("{name}: Docker refuses it: {why}"));
            }
            (Err(error), Some(_)) => differences.push(format!("{name}: Docker takes it, but we say: {error}")),
        }
    }
    assert!(differences.is_empty(), "{} cases differ:\n\n{}", differences.len(), differences.join("\n\n"));
}

#[test]
fn refusals_say_where() {
    for folder in cases() {
        let Err(error) = merge(&folder) else { continue };
        for finding in error.findings {
            assert!(!finding.place.file.is_empty(), "{}: {finding}: no file", folder.display());
            let says_line = finding.place.line > 0
                || matches!(finding.rule.as_str(), "WrongType" | "UnreadableFile" | "VersionMismatch");
            assert!(says_line, "{}: {finding}: no line", folder.display());
        }
    }
}

/// Returns whether the docker client that is at hand is of the version that the corpus was recorded with.
fn has_same_client() -> bool {
    let recorded = std::fs::read_to_string(corpus().join("ORACLE")).expect("the corpus names its oracle");
    let output = Command::new("docker").arg("--version").output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(recorded.trim()))
}

#[test]
fn docker_still_says_what_is_recorded() {
    if !has_same_client() {
        eprintln!("the docker client is another one than the corpus was recorded with: only the record is compared");
        return;
    }
    let copy = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(corpus()).arg(copy.path().join("compose")).status();
    assert!(copied.is_ok_and(|status| status.success()));
    let recorded = Command::new(copy.path().join("compose/record")).status();
    assert!(recorded.is_ok_and(|status| status.success()), "the record cannot be written anew");
    let difference = Command::new("diff").arg("-r").arg(corpus()).arg(copy.path().join("compose")).output();
    let difference = difference.expect("diff runs");
    assert!(difference.status.success(), "{}", String::from_utf8_lossy(&difference.stdout));
}
