//! From what a comment says to the command in it. Pure.
//!
//! ```text
//! !testme [--quick] [--only RUNG,…] [--from last|all|VERSION] [--hold-on-fail 30m]
//! !rerun [failed|RUNG]     !cancel     !ok [COMMIT]     !deny     !status     !why     !help
//! ```
//!
//! A command stands on a line of its own, outside of quotes, code and HTML. The first one of a comment counts. `!testme`
//! stands for whatever phrase the trigger has.

use api_types::kinds::test_run::{ALL_VERSIONS, Lane, RungName};
use api_types::units::DurationText;
use ports::recipe::version::RecipeVersion;

/// Longest line that is looked at, in bytes; no command is longer.
const LINE_BYTES_MAX: usize = 512;
/// Longest that a failed app can be held, in hours.
const HOLD_HOURS_MAX: u64 = 24;
/// Fewest digits by which a commit is named.
const COMMIT_DIGITS_MIN: usize = 7;
/// The words besides the phrases of triggers.
const WORDS: [&str; 7] = ["!rerun", "!cancel", "!ok", "!deny", "!status", "!why", "!help"];

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Test the head; the phrase says which triggers are meant.
    Test(String, TestOptions),
    /// Test the head again.
    Rerun(Rerun),
    /// End the runs of the pull request.
    Cancel,
    /// Approve the head, or this commit if it is the head.
    Approve(Option<String>),
    /// Take approvals back, and end the runs.
    Deny,
    /// Say how the runs are.
    Status,
    /// Say why the last run is as it is.
    Why,
    /// Say which commands there are.
    Help,
}

/// What `!testme` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestOptions {
    /// How thoroughly.
    pub lane: Lane,
    /// Only these rungs; all when empty.
    pub stages: Vec<RungName>,
    /// The version to upgrade from, or `all`; the usual one when absent.
    pub from: Option<String>,
    /// How long a failed app is kept.
    pub hold: Option<DurationText>,
}

/// What is tested again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rerun {
    /// What the last run tested.
    Same,
    /// What did not pass in the last run.
    Failed,
    /// One rung.
    Rung(RungName),
}

/// What a comment comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no command in it.
    Nothing,
    /// A command.
    Command(Command),
    /// Something that was meant as a command and is none.
    Wrong {
        /// What to write instead, for people. Only words of ours.
        message: String,
        /// Whether the first word is one of ours: then it was surely meant as a command.
        is_our_word: bool,
    },
}

/// Finds the command in a comment. `phrases` are those of the triggers.
#[must_use]
pub fn read(body: &str, phrases: &[&str]) -> Found {
    let mut found = Found::Nothing;
    for line in spoken_lines(body) {
        match read_line(line, phrases) {
            Found::Nothing => {}
            command @ Found::Command(_) => return command,
            wrong @ Found::Wrong { is_our_word: true, .. } => return wrong,
            wrong @ Found::Wrong { .. } => {
                if found == Found::Nothing {
                    found = wrong;
                }
            }
        }
    }
    found
}

/// Returns the lines that somebody says: neither quoted nor code nor hidden.
fn spoken_lines(body: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut fence: Option<(char, usize)> = None;
    let mut until: Option<&str> = None;
    for line in body.lines() {
        let trimmed = line.trim();
        if let Some(end) = until {
            if line.to_ascii_lowercase().contains(end) {
                until = None;
            }
            continue;
        }
        let marks = fence_of(trimmed);
        if let Some((mark, count)) = fence {
            let closes = marks.is_some_and(|(other, more)| other == mark && more >= count)
                && trimmed.chars().all(|letter| letter == mark);
            if closes {
                fence = None;
            }
            continue;
        }
        if marks.is_some() {
            fence = marks;
            continue;
        }
        if let Some(end) = hidden_until(&line.to_ascii_lowercase()) {
            until = end;
            continue;
        }
        let is_indented = line.starts_with('\t') || line.starts_with("    ");
        if !is_indented && !trimmed.starts_with('>') && line.len() <= LINE_BYTES_MAX {
            lines.push(trimmed);
        }
    }
    lines
}

/// Returns the mark and length of a fence that a line begins with.
fn fence_of(line: &str) -> Option<(char, usize)> {
    ['`', '~'].into_iter().find_map(|mark| {
        let count = line.chars().take_while(|letter| *letter == mark).count();
        (count >= 3).then_some((mark, count))
    })
}

/// Returns what ends the hidden or preformatted text that a line begins; `Some(None)` when the line itself ends it.
fn hidden_until(line: &str) -> Option<Option<&'static str>> {
    let kinds = [("<!--", "-->"), ("<pre", "</pre>"), ("<code", "</code>"), ("<blockquote", "</blockquote>")];
    let (_, (begin, end)) =
        kinds.into_iter().filter_map(|kind| Some((line.find(kind.0)?, kind))).min_by_key(|(at, _)| *at)?;
    let at = line.find(begin)?;
    Some(if line[at..].contains(end) { None } else { Some(end) })
}

fn read_line(line: &str, phrases: &[&str]) -> Found {
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Found::Nothing };
    let arguments: Vec<String> = words.map(straightened).collect();
    let wrong = |message: String| Found::Wrong { message, is_our_word: true };
    if phrases.contains(&first) {
        return match test_options(&arguments) {
            Ok(options) => Found::Command(Command::Test(first.to_owned(), options)),
            Err(message) => wrong(message),
        };
    }
    let command = match (first, arguments.as_slice()) {
        ("!rerun", []) => Command::Rerun(Rerun::Same),
        ("!rerun", [what]) if what == "failed" => Command::Rerun(Rerun::Failed),
        ("!rerun", [what]) => match rung(what) {
            Some(rung) => Command::Rerun(Rerun::Rung(rung)),
            None => return wrong(format!("`!rerun` takes `failed` or a rung: {RUNGS}.")),
        },
        ("!cancel", []) => Command::Cancel,
        ("!ok", []) => Command::Approve(None),
        ("!ok", [commit]) if is_commit(commit) => Command::Approve(Some(commit.to_ascii_lowercase())),
        ("!ok", _) => return wrong("`!ok` takes nothing, or the commit that you looked at: `!ok 3fa21c9`.".to_owned()),
        ("!deny", []) => Command::Deny,
        ("!status", []) => Command::Status,
        ("!why", []) => Command::Why,
        ("!help", []) => Command::Help,
        (word, _) if WORDS.contains(&word) => return wrong(format!("`{word}` takes nothing of this kind.")),
        _ => return unknown(first, phrases),
    };
    Found::Command(command)
}

/// Mail programs and telephones make one dash of two.
fn straightened(word: &str) -> String {
    match word.strip_prefix(['—', '–']) {
        Some(rest) => format!("--{rest}"),
        None => word.to_owned(),
    }
}

fn unknown(word: &str, phrases: &[&str]) -> Found {
    let is_word = word.strip_prefix('!').is_some_and(|rest| {
        rest.starts_with(|letter: char| letter.is_ascii_alphabetic())
            && rest.len() <= 32
            && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    });
    if !is_word {
        return Found::Nothing;
    }
    let known = || WORDS.iter().copied().chain(phrases.iter().copied());
    let near = known().map(|known| (distance(word, known), known)).min().filter(|(distance, _)| *distance <= 2);
    let message = match near {
        Some((_, known)) => format!("There is no such command. Did you mean `{known}`?"),
        None => "There is no such command.".to_owned(),
    };
    Found::Wrong { message, is_our_word: false }
}

const RUNGS: &str = "`install`, `upgrade`, `backup-restore`, `functional`, `lint`";

fn rung(word: &str) -> Option<RungName> {
    Some(match word.to_ascii_lowercase().as_str() {
        "install" => RungName::Install,
        "upgrade" => RungName::Upgrade,
        "backup-restore" | "backup" | "restore" => RungName::BackupRestore,
        "functional" | "tests" => RungName::Functional,
        "lint" => RungName::Lint,
        _ => return None,
    })
}

fn is_commit(text: &str) -> bool {
    (COMMIT_DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn test_options(arguments: &[String]) -> Result<TestOptions, String> {
    let mut options = TestOptions::default();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let mut value = |example: &str| {
            let value = given.clone().or_else(|| words.next().cloned()).filter(|value| !value.starts_with("--"));
            value.ok_or_else(|| format!("`{name}` needs a value: `{name} {example}`."))
        };
        match name {
            "--quick" if given.is_none() => options.lane = Lane::Quick,
            "--only" => {
                for part in value("install,upgrade")?.split(',').filter(|part| !part.is_empty()) {
                    let rung = rung(part).ok_or_else(|| format!("`--only` takes rungs: {RUNGS}."))?;
                    if !options.stages.contains(&rung) {
                        options.stages.push(rung);
                    }
                }
                options.stages.sort_unstable();
            }
            "--from" => options.from = from(&value("1.2.0+3.4.5")?)?,
            "--hold-on-fail" => options.hold = Some(hold(&value("30m")?)?),
            _ => {
                return Err("The options are `--quick`, `--only RUNG,…`, `--from last|all|VERSION` and \
                            `--hold-on-fail 30m`."
                    .to_owned());
            }
        }
    }
    Ok(options)
}

fn from(value: &str) -> Result<Option<String>, String> {
    match value {
        "last" => Ok(None),
        ALL_VERSIONS => Ok(Some(value.to_owned())),
        version if RecipeVersion::parse(version).is_some() => Ok(Some(version.to_owned())),
        _ => Err("`--from` takes `last`, `all` or a published version such as `1.2.0+3.4.5`.".to_owned()),
    }
}

fn hold(value: &str) -> Result<DurationText, String> {
    let wrong = || format!("`--hold-on-fail` takes a span of time up to {HOLD_HOURS_MAX}h, such as `30m`.");
    let span = DurationText::parse(value).map_err(|_| wrong())?;
    if span.span().as_secs() > HOLD_HOURS_MAX * 3600 || span.span().is_zero() { Err(wrong()) } else { Ok(span) }
}

/// Returns how many letters must be added, taken away or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, letter_there) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *letter_there);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
