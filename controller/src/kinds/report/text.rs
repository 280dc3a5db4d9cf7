//! How text of others, times and commits are put in. Pure.

use jiff::Timestamp;
use ports::forge::COMMENT_BYTES_MAX;

/// Returns the first seven characters of a commit.
#[must_use]
pub fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// Returns a span of time as people write it: `45s`, `2m10`, `1h05`.
#[must_use]
pub fn span(from: Option<&str>, to: Option<&str>) -> Option<String> {
    let (from, to): (Timestamp, Timestamp) = (from?.parse().ok()?, to?.parse().ok()?);
    let seconds = to.duration_since(from).as_secs().max(0);
    Some(match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m{:02}", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}", seconds / 3600, seconds % 3600 / 60),
    })
}

/// Returns a text on one line, without what would not be seen.
#[must_use]
pub fn one_line(text: &str) -> String {
    let visible = |letter: char| if letter.is_control() || is_invisible(letter) { ' ' } else { letter };
    text.chars().map(visible).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that turn the direction of text, or join it unseen.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns a text as a code span: nothing in it is markup, a link or a mention.
#[must_use]
pub fn code(text: &str, characters_max: usize) -> String {
    let line = one_line(text).replace('`', "'");
    let mut short: String = line.chars().take(characters_max).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    if short.is_empty() { String::new() } else { format!("`{short}`") }
}

/// Cuts a text at the end of a line so that every forge takes it.
#[must_use]
pub fn bounded(text: &str) -> String {
    if text.len() <= COMMENT_BYTES_MAX {
        return text.to_owned();
    }
    let mut end = COMMENT_BYTES_MAX - 64;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').unwrap_or(end);
    format!("{}\n\n(The rest is left out.)", &text[..end])
}
