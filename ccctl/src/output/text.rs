//! Small pieces of text: durations, widths, colours.

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A colour of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Bad.
    Red,
    /// Good.
    Green,
    /// In between.
    Yellow,
    /// Moving.
    Cyan,
    /// Headings.
    Bold,
    /// Less important.
    Dim,
}

/// Returns text in a colour, or as it is when colours are off.
#[must_use]
pub fn coloured(text: &str, colour: Colour, colours: bool) -> String {
    if !colours || text.is_empty() {
        return text.to_owned();
    }
    let code = match colour {
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Cyan => 36,
        Colour::Bold => 1,
        Colour::Dim => 2,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// Returns the columns that text takes on a terminal.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Cuts text to a width; what is cut shows as `…`.
#[must_use]
pub fn truncated(text: &str, width_max: usize) -> String {
    if width(text) <= width_max {
        return text.to_owned();
    }
    let mut taken = 0;
    let mut kept = String::new();
    for character in text.chars() {
        taken += character.width().unwrap_or(0);
        if taken + 1 > width_max {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// Replaces control characters, so that nothing the server says can move the cursor or hide text.
#[must_use]
pub fn harmless(text: &str) -> String {
    text.chars()
        .map(
            |character| {
                if character.is_control() && character != '\n' && character != '\t' { '\u{fffd}' } else { character }
            },
        )
        .collect()
}

/// Returns the time since an RFC 3339 time as kubectl abbreviates it; `<unknown>` when there is none.
#[must_use]
pub fn age(time: Option<&str>, now: Timestamp) -> String {
    time.and_then(|time| api_types::duration_text::age(time, now)).unwrap_or_else(|| "<unknown>".to_owned())
}

/// Returns bytes with a unit: `1.5Gi`.
#[must_use]
pub fn bytes(count: f64) -> String {
    let mut value = count;
    for unit in ["B", "Ki", "Mi", "Gi", "Ti"] {
        if value.abs() < 1024.0 || unit == "Ti" {
            return if unit == "B" || value.fract() == 0.0 {
                format!("{value:.0}{unit}")
            } else {
                format!("{value:.1}{unit}")
            };
        }
        value /= 1024.0;
    }
    format!("{value:.1}")
}
