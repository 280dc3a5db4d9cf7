//! The repository keeps its own rules: arrows between crates, a purpose on every file, nothing forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use store::guards::Guard;

/// Which workspace crates each crate may use. `ARCHITECTURE.md` draws the same picture.
const ARROWS: [(&str, &[&str]); 8] = [
    ("api-types", &[]),
    ("store", &["api-types"]),
    ("apiserver", &["api-types", "store"]),
    ("ports", &[]),
    ("webui", &["api-types", "apiserver", "store"]),
    ("controller", &["api-types", "apiserver", "ports", "store", "webui"]),
    ("ccctl", &["api-types"]),
    ("tests", &["api-types", "apiserver", "ccctl", "controller", "ports", "store", "webui"]),
];

/// Dependencies that only some crates may name.
const FENCED: [(&str, &[&str]); 4] = [
    ("sled", &["store"]),
    ("bollard", &["ports"]),
    ("instant-acme", &["ports"]),
    ("reqwest", &["ports", "ccctl", "tests"]),
];

/// What says no more than what the API says must not name: dependencies, and words of the source beside tests.
const NO_EFFECTS: (&[&str], &[&str]) = (
    &["async-std", "axum", "bollard", "futures", "http", "hyper", "hyper-util", "mio", "rustix", "tempfile", "tokio"],
    &["std::net", "std::process", "std::thread", "std::env", "::now()", "async fn", ".await"],
);

/// What a line says that uses the file system.
const FILE_SYSTEM: &str = r"(?m)^ *[^/ ].*(\bfs\b|\.(exists|try_exists|read_dir|read_link|canonicalize)\(\))";

/// Which files, or folders of them, may use the file system outside their tests, and what for. A list, because clippy's
/// `disallowed_methods` would want an `expect` on each of the many functions that have business with files.
const FILE_USERS: [(&str, &str); 16] = [
    ("ports/", "effects live here"),
    ("ccctl/", "a person's program reads and writes the files that the person names"),
    ("store/src/engine/", "rows on disk, and the room for them"),
    ("store/src/backup.rs", "a restored store takes its place when it is whole"),
    ("apiserver/src/data_dir/", "what lies where in the data directory, and who may read it"),
    ("apiserver/src/admin/client.rs", "reads the data directory's certificate to trust the server that it asks"),
    ("apiserver/src/audit/writer.rs", "the audit log is a file"),
    ("apiserver/src/authentication/token_file.rs", "the tokens are a file"),
    ("apiserver/src/authentication/tokens.rs", "notices that the file of tokens is another one"),
    ("apiserver/src/config/mod.rs", "the configuration is a file"),
    ("apiserver/src/hooks/seen.rs", "deliveries that were taken are remembered in a file"),
    ("apiserver/src/metrics/figures.rs", "reads /proc about its own process"),
    ("apiserver/src/tls/mod.rs", "keys and certificates are files"),
    ("webui/src/session.rs", "the key of sessions is a file"),
    ("controller/src/commands/", "what a person types is about the data directory and files of theirs"),
    ("controller/src/environment.rs", "reads the machine's name, looks for programs"),
];

/// A test that takes a guard of the store away and fails unless that is missed: file, name, guard.
const GUARDS: [(Guard, &str, &str); 12] = [
    (Guard::AnswerAfterSync, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (Guard::PublishAfterSync, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (Guard::SyncAfterFlush, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (Guard::SyncJournal, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (
        Guard::JournalChecksum,
        "store/src/engine/journal/tests.rs",
        "without_the_checksum_a_torn_frame_is_taken_for_a_whole_one",
    ),
    (Guard::StopAfterFailedSync, "tests/it/power_cut.rs", "power_cut_suite_misses_the_stop_after_a_failed_sync"),
    (Guard::SyncDirectories, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (Guard::RecordChecksum, "store/src/tests/damage.rs", "checksum_and_hash_are_both_needed"),
    (Guard::RecordsHash, "store/src/tests/damage.rs", "checksum_and_hash_are_both_needed"),
    (
        Guard::KeepDeletions,
        "store/src/tests/space.rs",
        "files_that_were_written_anew_have_the_deletions_of_their_history",
    ),
    (Guard::ResumeExactly, "tests/it/power_cut.rs", "power_cut_suite_misses_each_guard"),
    (Guard::CheckExpectations, "store/src/tests/concurrency.rs", "without_the_last_look_at_races_patches_are_lost"),
];

/// Longest source file, in lines.
const FILE_LINES_MAX: usize = 800;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_path_buf()
}

pub(crate) fn tracked(pattern: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", pattern])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files fails: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    names.lines().map(|name| root().join(name)).filter(|path| path.exists()).collect()
}

pub(crate) fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{} is unreadable: {error}", path.display()))
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// Normal and build dependencies of each workspace crate; what tests need is their own business.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("dependencies").iter();
            let names = dependencies
                .filter(|dependency| dependency["kind"] != "dev")
                .map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
            (package["name"].as_str().expect("a name").to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn arrows_between_crates_run_one_way() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let dependencies = dependencies();
    let members: BTreeSet<&str> = allowed.keys().copied().collect();
    assert_eq!(members, dependencies.keys().map(String::as_str).collect(), "a crate is missing from ARROWS");
    for (name, uses) in &dependencies {
        for used in uses.iter().filter(|used| members.contains(used.as_str())) {
            assert!(allowed[name.as_str()].contains(&used.as_str()), "{name} must not use {used}");
        }
    }
}

#[test]
fn fenced_dependencies_stay_behind_their_crate() {
    for (name, uses) in dependencies() {
        for (fenced, owners) in FENCED {
            assert!(!uses.contains(fenced) || owners.contains(&name.as_str()), "{name} must not name {fenced}");
        }
    }
}

#[test]
fn api_types_has_no_effects() {
    let (dependencies_never, words_never) = NO_EFFECTS;
    let dependencies = &dependencies()["api-types"];
    let named: Vec<_> = dependencies_never.iter().filter(|name| dependencies.contains(**name)).collect();
    assert!(named.is_empty(), "api-types must not name {named:?}");
    for path in tracked("api-types/src/*.rs") {
        let text = beside_tests(path.strip_prefix(root()).expect("it is tracked"));
        for word in words_never {
            assert!(!text.contains(word), "{} must not contain {word}", path.display());
        }
    }
}

#[test]
fn only_one_file_names_sled() {
    let named: Vec<PathBuf> = tracked("*.rs")
        .into_iter()
        .filter(|path| !path.ends_with("tests/it/tidy.rs"))
        .filter(|path| read(path).replace("super::sled::", "").replace("self::sled::", "").contains("sled::"))
        .collect();
    let expected = [root().join("store/src/engine/sled.rs")];
    assert!(named.iter().all(|path| expected.contains(path)), "{named:?}");
}

/// Returns what a source file holds for others than its tests; nothing if all of it is for them.
pub(crate) fn beside_tests(path: &Path) -> String {
    let is_test = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
    let text = if is_test { String::new() } else { read(&root().join(path)) };
    let tests = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..tests].to_owned()
}

#[test]
fn only_listed_files_use_the_file_system() {
    let file_system = regex::Regex::new(FILE_SYSTEM).expect("a regular expression");
    let mut used = BTreeSet::new();
    let mut unlisted = Vec::new();
    for path in tracked("*.rs") {
        let name = path.strip_prefix(root()).expect("it is tracked").to_owned();
        if !file_system.is_match(&beside_tests(&name)) {
            continue;
        }
        match FILE_USERS.iter().find(|(user, _)| name.starts_with(user)) {
            Some((user, _)) => drop(used.insert(*user)),
            None => unlisted.push(name),
        }
    }
    assert!(unlisted.is_empty(), "effects belong into ports; if they cannot, say why in FILE_USERS: {unlisted:#?}");
    let idle: Vec<_> = FILE_USERS.iter().filter(|(user, _)| !used.contains(user)).collect();
    assert!(idle.is_empty(), "these use no files any more: {idle:#?}");
}

#[test]
fn every_guard_of_the_store_is_missed_by_a_test() {
    let source = read(&root().join("store/src/guards.rs"));
    let body = source.split("pub enum Guard {").nth(1).and_then(|rest| rest.split('}').next()).expect("an enum");
    let variants: Vec<&str> = body.lines().filter_map(|line| line.trim().strip_suffix(',')).collect();
    assert_eq!(variants, Guard::ALL.map(|guard| format!("{guard:?}")), "Guard::ALL forgets some");
    assert_eq!(GUARDS.map(|(guard, ..)| guard), Guard::ALL, "GUARDS forgets some");
    for (guard, file, test) in GUARDS {
        let text = read(&root().join(file));
        let test = text.split_once(&format!("fn {test}(")).map(|(_, rest)| rest.split("\n}\n").next().expect("a body"));
        let is_named = test.is_some_and(|test| test.contains(&format!("Guard::{guard:?}")));
        assert!(is_named, "the test that {file} is said to have for {guard:?} does not name it");
    }
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent: Vec<PathBuf> = tracked("*.rs").into_iter().filter(|path| !read(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "these files do not open with `//! `: {silent:#?}");
}

#[test]
fn no_source_file_is_too_long_to_read() {
    let long: Vec<(PathBuf, usize)> = tracked("*.rs")
        .into_iter()
        .map(|path| (path.clone(), read(&path).lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .collect();
    assert!(long.is_empty(), "split these files: {long:#?}");
}

#[test]
fn every_integration_test_file_is_a_module() {
    let main = read(&root().join("tests/it/main.rs"));
    for path in tracked("tests/it/*.rs") {
        let is_top = path.parent().is_some_and(|parent| parent.ends_with("tests/it"));
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        if is_top && stem != "main" {
            assert!(main.contains(&format!("mod {stem};")), "tests/it/main.rs forgets {stem}");
        }
    }
}

#[test]
fn no_test_is_ignored() {
    let needle = concat!("#[", "ignore");
    let ignored: Vec<PathBuf> = tracked("*.rs").into_iter().filter(|path| read(path).contains(needle)).collect();
    assert!(ignored.is_empty(), "{ignored:?}");
}

#[test]
fn decisions_are_pure() {
    for path in tracked("controller/src/kinds/*/decide.rs") {
        let text = read(&path);
        for forbidden in ["std::fs", "std::env", "::now()", "async fn", ".await"] {
            assert!(!text.contains(forbidden), "{} must not contain {forbidden}", path.display());
        }
    }
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut broken = Vec::new();
    for path in tracked("*.md") {
        for target in links(&read(&path)) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !path.parent().expect("a file lies in a folder").join(file).exists() {
                broken.push(format!("{} -> {file}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What stands for a name that a reader chooses, in paths of documents.
const PLACEHOLDERS: [&str; 2] = ["widget", "TARGET"];

#[test]
fn documents_name_files_that_exist() {
    let files: BTreeSet<PathBuf> =
        tracked("*").iter().map(|path| path.strip_prefix(root()).expect("it is tracked").to_owned()).collect();
    let folders: BTreeSet<&Path> = files.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    let exists = |path: &Path| files.contains(path) || folders.contains(path);
    let mut missing = Vec::new();
    for document in tracked("*.md") {
        for span in code_spans(&read(&document)) {
            let Some((top, rest)) = span.trim_end_matches('/').split_once('/') else { continue };
            let is_path = span.chars().all(|letter| letter.is_ascii_alphanumeric() || "/._-".contains(letter));
            let is_open = PLACEHOLDERS.iter().any(|placeholder| span.contains(placeholder));
            if !is_path || is_open || top.is_empty() || !folders.contains(Path::new(top)) {
                continue;
            }
            // `ports/swarm` is a module.
            if !exists(&Path::new(top).join(rest)) && !exists(&Path::new(top).join("src").join(rest)) {
                missing.push(format!("{}: {span}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Returns the lines of a document that are outside code blocks.
fn lines_outside_blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    })
}

/// Returns what stands between backticks outside code blocks.
fn code_spans(text: &str) -> Vec<String> {
    lines_outside_blocks(text).flat_map(|line| line.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// Returns the targets of Markdown links outside code blocks.
fn links(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in lines_outside_blocks(text) {
        // Outside code spans: patterns in them look like links.
        let prose: String = line.split('`').step_by(2).collect();
        let mut rest = prose.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            if let Some(end) = rest.find(')') {
                targets.push(rest[..end].to_owned());
            }
        }
    }
    targets
}
