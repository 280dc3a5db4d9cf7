//! States as words, signs and colours, always all three.

use api_types::condition::ConditionStatus;
use api_types::kinds::test_run::{Phase, RungStatus};

/// What a state feels like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Busy,
    Waiting,
    Warning,
    Quiet,
}

impl Tone {
    /// Returns the class of the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Warning => "warning",
            Self::Quiet => "quiet",
        }
    }

    /// Returns the sign that stands beside the word.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✕",
            Self::Busy => "●",
            Self::Waiting => "○",
            Self::Warning => "!",
            Self::Quiet => "–",
        }
    }
}

/// Returns how a phase is shown.
pub(crate) fn phase(phase: Phase) -> (Tone, &'static str) {
    match phase {
        Phase::Pending => (Tone::Waiting, "Pending"),
        Phase::Queued => (Tone::Waiting, "Queued"),
        Phase::Running => (Tone::Busy, "Running"),
        Phase::Succeeded => (Tone::Good, "Succeeded"),
        Phase::Failed => (Tone::Bad, "Failed"),
        Phase::Error => (Tone::Warning, "Error"),
        Phase::Cancelled => (Tone::Quiet, "Cancelled"),
    }
}

/// Returns how the result of a rung or test is shown.
pub(crate) fn rung(status: RungStatus) -> (Tone, &'static str) {
    match status {
        RungStatus::Pass => (Tone::Good, "Pass"),
        RungStatus::Fail => (Tone::Bad, "Fail"),
        RungStatus::Skip => (Tone::Quiet, "Skip"),
        RungStatus::Unverified => (Tone::Warning, "Unverified"),
    }
}

/// Returns how a level is shown.
pub(crate) fn level(level: u8) -> Tone {
    match level {
        0 | 1 => Tone::Bad,
        2 | 3 => Tone::Warning,
        _ => Tone::Good,
    }
}

/// Conditions that are bad news when they are true.
const UNWELCOME: [&str; 4] = ["Stalled", "Drifted", "Expiring", "Suspended"];

/// Returns how a condition is shown.
pub(crate) fn condition(type_: &str, status: ConditionStatus) -> Tone {
    match (status, UNWELCOME.contains(&type_)) {
        (ConditionStatus::Unknown, _) => Tone::Waiting,
        (ConditionStatus::True, _) if type_ == "Reconciling" => Tone::Busy,
        (ConditionStatus::True, false) | (ConditionStatus::False, true) => Tone::Good,
        (ConditionStatus::False, false) if type_ == "Reconciling" => Tone::Good,
        (ConditionStatus::False, false) => Tone::Bad,
        (ConditionStatus::True, true) => Tone::Warning,
    }
}

/// Returns whole seconds as people write them: `2m 10s`.
pub(crate) fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// Returns bytes as people write them: `1.4 GiB`.
pub(crate) fn bytes(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
    let mut amount = bytes.max(0) as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 || amount >= 100.0 {
        format!("{amount:.0} {}", UNITS[unit])
    } else {
        format!("{amount:.1} {}", UNITS[unit])
    }
}

/// Returns `1 run` or `3 runs`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_readable() {
        assert_eq!([5, 130, 3700, 90_000].map(duration), ["5s", "2m 10s", "1h 01m", "1d 1h"]);
        assert_eq!([0, 900, 1536, 5 << 30, 700 << 20].map(bytes), ["0 B", "900 B", "1.5 KiB", "5.0 GiB", "700 MiB"]);
    }
}
