//! Ages as kubectl prints them: `4s`, `5m12s`, `3d2h`.

use jiff::Timestamp;

#[cfg(test)]
mod tests;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Returns a span of whole seconds in at most two units, the coarser the longer it is.
///
/// A span of less than -1 s (a clock that runs ahead) is `<invalid>`.
#[must_use]
pub fn human_duration(seconds: i64) -> String {
    match seconds {
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two_units(seconds, (MINUTE, 'm'), (1, 's')),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two_units(seconds, (HOUR, 'h'), (MINUTE, 'm')),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two_units(seconds, (DAY, 'd'), (HOUR, 'h')),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two_units(seconds, (YEAR, 'y'), (DAY, 'd')),
        _ => format!("{}y", seconds / YEAR),
    }
}

/// Returns how long ago an RFC 3339 time was, or nothing when it is none.
#[must_use]
pub fn age(since: &str, now: Timestamp) -> Option<String> {
    let since: Timestamp = since.parse().ok()?;
    Some(human_duration(now.duration_since(since).as_secs()))
}

fn two_units(seconds: i64, (large, large_name): (i64, char), (small, small_name): (i64, char)) -> String {
    let count = seconds / large;
    match seconds % large / small {
        0 => format!("{count}{large_name}"),
        rest => format!("{count}{large_name}{rest}{small_name}"),
    }
}
