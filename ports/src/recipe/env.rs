//! `.env` files: values, the modifiers behind them, and changes that leave the rest as it was written.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use crate::compose::{Finding, Place, Severity};

/// One assignment of an `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The variable.
    pub key: String,
    /// Its value, quotes taken away and variables of earlier lines replaced.
    pub value: String,
    /// What the comment behind the value says: `# length=32 charset=hex`.
    pub modifiers: BTreeMap<String, String>,
    /// Line, from 1.
    pub line: u32,
    /// Bytes of the whole assignment in the text, its comment and line end included.
    span: (usize, usize),
}

/// An `.env` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    text: String,
    /// All assignments, in order; the last one of a key wins.
    pub entries: Vec<Entry>,
}

impl EnvFile {
    /// Reads a file. `name` is what findings call it.
    ///
    /// Single quotes keep their content as it is; otherwise `$NAME` and `${NAME}` stand for earlier lines of the
    /// file, which is how `COMPOSE_FILE="$COMPOSE_FILE:compose.x.yml"` appends, and double quotes know `\n`.
    ///
    /// # Errors
    ///
    /// Every line that is neither an assignment nor a comment, and a quote that is not closed.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let mut file = Self { text: text.to_owned(), entries: Vec::new() };
        let mut findings = Vec::new();
        let mut values = BTreeMap::new();
        let (mut start, mut line) = (0, 1);
        while start < text.len() {
            let assignment = read(text, start);
            let lines = text[start..assignment.end].matches('\n').count();
            match assignment.outcome {
                Ok(None) => {}
                Ok(Some(parts)) => {
                    let value = match parts.quote {
                        Quote::Single => parts.value,
                        Quote::Double => expand(&unescaped(&parts.value), &values),
                        Quote::None => expand(&parts.value, &values),
                    };
                    values.insert(parts.key.clone(), value.clone());
                    let span = (start, assignment.end);
                    file.entries.push(Entry { key: parts.key, value, modifiers: parts.modifiers, line, span });
                }
                Err(message) => findings.push(Finding {
                    severity: Severity::Error,
                    rule: "InvalidEnvFile".to_owned(),
                    place: Place { file: name.to_owned(), line, path: String::new() },
                    message,
                }),
            }
            start = assignment.end;
            line += u32::try_from(lines).unwrap_or(u32::MAX);
        }
        if findings.is_empty() { Ok(file) } else { Err(findings) }
    }

    /// Returns the file's text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns all variables with the values they have at the end of the file.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, String> {
        self.entries.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
    }

    /// Returns a variable's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| entry.value.as_str())
    }

    /// Returns the last assignment of a variable.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key == key)
    }

    /// Gives a variable a value: in its last line when there is one, modifiers kept, else in a new last line.
    pub fn set(&mut self, key: &str, value: &str) {
        let quoted = quote(value);
        let mut text = self.text.clone();
        match self.entry(key) {
            Some(entry) => {
                let modifiers: Vec<String> =
                    entry.modifiers.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let comment = if modifiers.is_empty() { String::new() } else { format!(" # {}", modifiers.join(" ")) };
                text.replace_range(entry.span.0..entry.span.1, &format!("{key}={quoted}{comment}\n"));
            }
            None => {
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&format!("{key}={quoted}\n"));
            }
        }
        // The other assignments are as good as they were, and the new one is well formed.
        if let Ok(file) = Self::parse("", &text) {
            *self = file;
        }
    }
}

struct Assignment {
    outcome: Result<Option<Parts>, String>,
    /// Where the next line begins.
    end: usize,
}

struct Parts {
    key: String,
    value: String,
    quote: Quote,
    modifiers: BTreeMap<String, String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Reads one line, or as many as a quoted value has.
fn read(text: &str, start: usize) -> Assignment {
    let line_end = |from: usize| text[from..].find('\n').map_or(text.len(), |end| from + end + 1);
    let end = line_end(start);
    let line = text[start..end].trim();
    if line.is_empty() || line.starts_with('#') {
        return Assignment { outcome: Ok(None), end };
    }
    let fail = |message: &str| Assignment { outcome: Err(message.to_owned()), end };
    let Some(equals) = text[start..end].find('=') else {
        return fail("the line is neither `KEY=value` nor a comment");
    };
    let key = text[start..start + equals].trim();
    let key = key.strip_prefix("export ").unwrap_or(key).trim();
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return fail("the name of a variable has letters, digits and `_` only");
    }
    let value_start = start + equals + 1;
    let blanks = text[value_start..end].len() - text[value_start..end].trim_start_matches([' ', '\t']).len();
    let value_start = value_start + blanks;
    let quote = match text.as_bytes().get(value_start) {
        Some(b'\'') => Quote::Single,
        Some(b'"') => Quote::Double,
        _ => Quote::None,
    };
    let parts = |value: &str, comment: &str| Parts {
        key: key.to_owned(),
        value: value.to_owned(),
        quote,
        modifiers: modifiers(comment),
    };
    if quote == Quote::None {
        let value = &text[value_start..end];
        // A comment begins at a `#` that follows a blank, or right away.
        let comment = value
            .char_indices()
            .find(|(at, letter)| *letter == '#' && (*at == 0 || value[..*at].ends_with([' ', '\t'])))
            .map_or(value.len(), |(at, _)| at);
        return Assignment { outcome: Ok(Some(parts(value[..comment].trim(), &value[comment..]))), end };
    }
    let mark = if quote == Quote::Single { b'\'' } else { b'"' };
    match closing(&text.as_bytes()[value_start + 1..], mark) {
        None => fail("a quote is not closed"),
        Some(length) => {
            let close = value_start + 1 + length;
            let end = line_end(close);
            let value = &text[value_start + 1..close];
            Assignment { outcome: Ok(Some(parts(value, &text[close + 1..end]))), end }
        }
    }
}

/// Returns where a quote is closed; a backslash keeps one open.
fn closing(bytes: &[u8], mark: u8) -> Option<usize> {
    let mut is_escaped = false;
    bytes.iter().position(|byte| {
        let closes = *byte == mark && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        closes
    })
}

/// Reads `# key=value key=value`.
fn modifiers(comment: &str) -> BTreeMap<String, String> {
    let comment = comment.trim().trim_start_matches('#');
    comment
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Replaces `\n`, `\r` and escaped letters, but for `\$`, which keeps a dollar sign from being expanded.
fn unescaped(value: &str) -> String {
    let mut out = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => match letters.next() {
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('$') => out.push_str("\\$"),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            (other, false) => out.push(other),
        }
    }
    out
}

static VARIABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\\\$|\$\{([A-Z0-9_]+)\}|\$([A-Z0-9_]+)").expect("the pattern is constant"));

/// Replaces variables; those that no earlier line sets are empty.
fn expand(value: &str, values: &BTreeMap<String, String>) -> String {
    let expanded = VARIABLE.replace_all(value, |captures: &Captures<'_>| {
        if let Some(plain) = captures[0].strip_prefix('\\') {
            return plain.to_owned();
        }
        let name = captures.get(1).or_else(|| captures.get(2)).map_or("", |name| name.as_str());
        values.get(name).cloned().unwrap_or_default()
    });
    expanded.into_owned()
}

/// Returns a value as it has to be written, so that it is read back as it is.
#[must_use]
pub fn quote(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@,+=%".contains(&byte);
    if value.bytes().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from("\"");
    for letter in value.chars() {
        match letter {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' | '$' => {
                quoted.push('\\');
                quoted.push(letter);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
