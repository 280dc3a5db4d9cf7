//! Whether what a test saw is what it expects, and whether it is looked at again. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use api_types::kinds::check::Expectation;

/// Most bytes of an output that a message shows.
const SHOWN_BYTES_MAX: usize = 400;
/// Most bytes that a regular expression may compile to: patterns come from people.
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// How long the way to an app may be broken before it is held against the app: a connection that a restart or a crowded
/// machine cuts off heals within seconds.
const BROKEN_MAX: Duration = Duration::from_secs(30);

/// What a test saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Status of the HTTP answer; `None` for what is no HTTP.
    pub status: Option<u16>,
    /// Exit code; `None` for what is no program.
    pub exit_code: Option<i64>,
    /// Whether a connection came about; `None` for what is no plain connection.
    pub is_open: Option<bool>,
    /// Whether the way to the app broke before its whole answer was there: it may have answered well, and nobody knows.
    pub is_broken: bool,
    /// Body or output.
    pub text: String,
    /// A sentence about it, for people.
    pub note: String,
}

/// Returns why what was seen is not what is expected, for people; `None` when it is. Without an expectation an answer
/// must be below 400 and an exit code 0.
#[must_use]
pub fn complaint(expect: Option<&Expectation>, sight: &Sight) -> Option<String> {
    let none = Expectation::default();
    let expect = expect.unwrap_or(&none);
    wrong_outcome(expect, sight).or_else(|| wrong_text(expect, sight))
}

/// Returns whether what was complained about is looked at again, `elapsed` after the first look: within the time that the
/// test allows for (`within`), and while the way to the app is broken for half a minute, but never past `most`.
#[must_use]
pub fn is_tried_again(sight: &Sight, elapsed: Duration, within: Duration, most: Duration) -> bool {
    let patience = if sight.is_broken { within.max(BROKEN_MAX) } else { within };
    elapsed < patience.min(most)
}

fn wrong_outcome(expect: &Expectation, sight: &Sight) -> Option<String> {
    if let Some(status) = sight.status {
        let is_good = if expect.statuses.is_empty() { status < 400 } else { expect.statuses.contains(&status) };
        if !is_good {
            let wanted = if expect.statuses.is_empty() {
                "below 400".to_owned()
            } else {
                let words: Vec<String> = expect.statuses.iter().map(u16::to_string).collect();
                words.join(" or ")
            };
            return Some(format!("the status is {status} instead of {wanted}{}", shown(&sight.text)));
        }
    }
    if let Some(code) = sight.exit_code {
        let wanted = i64::from(expect.exit_code.unwrap_or(0));
        if code != wanted {
            return Some(format!("the exit code is {code} instead of {wanted}{}", shown(&sight.text)));
        }
    }
    let nothing = sight.status.is_none() && sight.exit_code.is_none() && sight.is_open != Some(true);
    nothing.then(|| sight.note.clone())
}

fn wrong_text(expect: &Expectation, sight: &Sight) -> Option<String> {
    if let Some(missing) = expect.contains.iter().find(|text| !sight.text.contains(text.as_str())) {
        return Some(format!("{missing:?} is missing{}", shown(&sight.text)));
    }
    if let Some(unwanted) = expect.lacks.iter().find(|text| sight.text.contains(text.as_str())) {
        return Some(format!("{unwanted:?} is there, and should not be{}", shown(&sight.text)));
    }
    let pattern = expect.matches.as_ref()?;
    match regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build() {
        Ok(expression) if expression.is_match(&sight.text) => None,
        Ok(_) => Some(format!("nothing matches {pattern:?}{}", shown(&sight.text))),
        Err(error) => Some(format!("the pattern {pattern:?} cannot be used: {error}")),
    }
}

fn shown(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return " (there is no output)".to_owned();
    }
    // The end of an output tells most about a failure.
    let start = text.len().saturating_sub(SHOWN_BYTES_MAX);
    let start = text.ceil_char_boundary(start);
    let dots = if start > 0 { "…" } else { "" };
    format!(": {dots}{}", &text[start..])
}
