//! What abra writes, read. It changes from version to version: keys are compared without case and punctuation, and what is
//! not understood is no error unless it is needed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{LintRule, MadeSecret};
use crate::error::Error;

/// Bytes of abra's words in a message.
const WORDS_BYTES_MAX: usize = 600;

/// Returns what abra gave up with: the rest of the first line that begins with `FATA`, and of those that belong to it.
#[must_use]
pub fn fatal(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("FATA"));
    let first = lines.next()?.trim_start_matches("FATA").trim();
    let is_log = |line: &&str| ["INFO", "WARN", "DEBU", "ERRO", "FATA"].iter().any(|level| line.starts_with(level));
    let rest = lines.take_while(|line| !line.is_empty() && !is_log(line));
    let mut all = std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" ");
    let mut end = all.len().min(WORDS_BYTES_MAX);
    while !all.is_char_boundary(end) {
        end -= 1;
    }
    all.truncate(end);
    // Debug output puts file and line first.
    let words = all.strip_prefix('<').and_then(|rest| rest.split_once("> ")).map_or(all.as_str(), |(_, words)| words);
    Some(words.to_owned())
}

/// Returns what giving up with these words means.
#[must_use]
pub fn meaning(words: &str) -> Error {
    let says = |sign: &str| words.to_ascii_lowercase().contains(sign);
    let any = |signs: &[&str]| signs.iter().any(|sign| says(sign));
    let message = format!("abra says: {words}");
    if any(&[
        "secret not generated",
        "secret not inserted",
        "unable to deploy, secrets not generated",
        "secret not found",
    ]) {
        Error::terminal("SecretMissing", message)
    } else if any(&["backupbot", "backup-bot", "backup bot"]) && any(&["not found", "no ", "not deployed", "unable to"])
    {
        Error::terminal("NoBackupBot", message)
    } else if any(&["only updates to labels are allowed"]) {
        let message =
            format!("a config has another content under the same name: raise its version in abra.sh ({message})");
        Error::terminal("ConfigChangedWithoutVersion", message)
    } else if any(&["locally unstaged changes", "unstaged changes"]) {
        Error::terminal("WorkTreeDirty", message)
    } else if says("failed to remove network") && says("in use") {
        Error::retryable("NetworkInUse", message)
    } else if any(&[
        "cannot connect to the docker daemon",
        "connection refused",
        "is the docker daemon running",
        "i/o timeout",
    ]) {
        Error::retryable("EngineUnreachable", message)
    } else if any(&[
        "lint",
        "unable to validate recipe",
        "not annotated",
        "does not match format",
        "version mismatched",
    ]) {
        Error::terminal("RecipeInvalid", message)
    } else {
        Error::terminal("AbraFailed", message)
    }
}

/// Reads what `secret generate --machine` writes: `[{name, value}]`, or one object that maps names to values.
#[must_use]
pub fn made_secrets(text: &str) -> Vec<MadeSecret> {
    match json(text) {
        Some(Value::Array(rows)) => rows
            .iter()
            .filter_map(|row| {
                let row = normal(row);
                Some(MadeSecret { name: row.get("name")?.clone(), value: row.get("value")?.clone() })
            })
            .collect(),
        Some(Value::Object(pairs)) => pairs
            .into_iter()
            .filter_map(|(name, value)| Some(MadeSecret { name, value: value.as_str()?.to_owned() }))
            .collect(),
        _ => Vec::new(),
    }
}

/// Returns the id of the snapshot that a backup made: the last that restic's own words (`snapshot 0a1b2c3d saved`) or its
/// JSON (`"snapshot_id": "0a1b…"`) name.
#[must_use]
pub fn snapshot(text: &str) -> Option<String> {
    let words: Vec<&str> =
        text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_').filter(|word| !word.is_empty()).collect();
    let is_id = |word: &str| (8..=64).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_named = |pair: &&[&str]| matches!(pair[0], "snapshot_id" | "snapshot") && is_id(pair[1]);
    words.windows(2).rev().find(is_named).map(|pair| pair[1].to_owned())
}

/// Finds the JSON between log lines.
fn json(text: &str) -> Option<Value> {
    let begins = text.match_indices(['[', '{']).map(|(at, _)| at);
    begins.filter_map(|at| serde_json::Deserializer::from_str(&text[at..]).into_iter().next()?.ok()).find(
        |value: &Value| value.is_object() || value.as_array().is_some_and(|rows| rows.iter().all(Value::is_object)),
    )
}

/// Returns a row with keys in lower case, without spaces, dashes and underscores.
fn normal(row: &Value) -> BTreeMap<String, String> {
    let key = |key: &str| key.chars().filter(|one| one.is_alphanumeric()).collect::<String>().to_lowercase();
    let pairs = row.as_object().into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((key(name), value.as_str()?.to_owned()))).collect()
}

/// Reads the linter's table: a row for each rule, with `│` or `|` between the columns.
#[must_use]
pub fn lint_rules(text: &str) -> Vec<LintRule> {
    let rows = text.lines().map(|line| {
        let cells: Vec<&str> = line.split(['│', '|', '┃']).map(str::trim).collect();
        // What stands before the first and behind the last border is empty.
        cells.into_iter().skip_while(|cell| cell.is_empty()).collect::<Vec<_>>()
    });
    rows.filter_map(|row| {
        let reference = row.first()?.trim();
        let is_reference = reference.len() == 4 && reference.starts_with('R') && reference[1..].parse::<u16>().is_ok();
        let cell = |index: usize| row.get(index).map_or("", |cell| *cell);
        let yes = |text: &str| ["✅", "✔", "yes", "true"].iter().any(|sign| text.contains(sign));
        is_reference.then(|| LintRule {
            reference: reference.to_owned(),
            rule: cell(1).to_owned(),
            severity: cell(2).to_owned(),
            is_satisfied: yes(cell(3)) || yes(cell(4)),
            advice: cell(5).to_owned(),
        })
    })
    .collect()
}
