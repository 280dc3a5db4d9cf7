//! Which version of a recipe an App runs. Pure.

use api_types::kinds::app::{AutoUpdate, UpdateWindow, Weekday};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ports::recipe::version::{RecipeVersion, Step};

/// What is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The version; `None` when the recipe has published none.
    pub version: Option<RecipeVersion>,
    /// A newer one that is not taken.
    pub available: Option<RecipeVersion>,
}

/// What the choice rests on.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// The version that the spec names.
    pub named: Option<&'a RecipeVersion>,
    /// The version that was chosen before.
    pub current: Option<&'a RecipeVersion>,
    /// Which steps are taken by themselves.
    pub auto: AutoUpdate,
    /// Whether they may be taken now.
    pub is_open: bool,
}

/// Chooses among the published versions. Without a named one it is the latest at first, and stays what it is then but for
/// the steps that the policy allows.
#[must_use]
pub fn choose(published: &[RecipeVersion], wish: &Wish<'_>) -> Choice {
    let latest = published.iter().max();
    let current = wish.current.filter(|current| published.contains(current));
    let base = match (wish.named, current) {
        // A policy has gone on from the named one.
        (Some(named), Some(current)) if wish.auto != AutoUpdate::None && is_allowed(named, current, wish.auto) => {
            current
        }
        (Some(named), _) => named,
        (None, Some(current)) => current,
        (None, None) => match latest {
            Some(latest) => latest,
            None => return Choice { version: None, available: None },
        },
    };
    let step = published.iter().filter(|version| is_allowed(base, version, wish.auto)).max();
    let version = step.filter(|_| wish.is_open).unwrap_or(base);
    let available = latest.filter(|latest| *latest > version);
    Choice { version: Some(version.clone()), available: available.cloned() }
}

fn is_allowed(from: &RecipeVersion, to: &RecipeVersion, auto: AutoUpdate) -> bool {
    matches!(
        (auto, from.step_to(to)),
        (AutoUpdate::Patch | AutoUpdate::Minor, Step::Upstream | Step::Patch) | (AutoUpdate::Minor, Step::Minor)
    )
}

/// Returns whether a window is open. One that ends before it begins ends on the next day; one in an unknown time zone is
/// closed.
#[must_use]
pub fn is_open(window: Option<&UpdateWindow>, now: Timestamp) -> bool {
    let Some(window) = window else { return true };
    let zone = match &window.time_zone {
        None => TimeZone::UTC,
        Some(name) => match TimeZone::get(name) {
            Ok(zone) => zone,
            Err(_) => return false,
        },
    };
    let (Some(start), Some(end)) = (minutes(&window.start), minutes(&window.end)) else { return false };
    let local = now.to_zoned(zone);
    let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
    let today = local.weekday().to_monday_zero_offset();
    let begins_on = |day: i8| window.days.is_empty() || window.days.iter().any(|weekday| offset(*weekday) == day);
    if start <= end {
        return begins_on(today) && (start..=end).contains(&minute);
    }
    let yesterday = (today + 6) % 7;
    (minute >= start && begins_on(today)) || (minute <= end && begins_on(yesterday))
}

fn minutes(text: &str) -> Option<i32> {
    let (hours, minutes) = text.split_once(':')?;
    Some(hours.parse::<i32>().ok()? * 60 + minutes.parse::<i32>().ok()?)
}

fn offset(day: Weekday) -> i8 {
    match day {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> RecipeVersion {
        RecipeVersion::parse(text).unwrap()
    }

    #[test]
    fn which_version_is_chosen() {
        let published: Vec<RecipeVersion> = ["1.0.0+1", "1.0.1+1", "1.1.0+2", "2.0.0+3"].map(version).to_vec();
        use AutoUpdate::{Minor, None as Never, Patch};
        let cases = [
            ("nothing is named: the latest", None, None, Never, true, "2.0.0+3", None),
            ("and it stays", None, Some("1.1.0+2"), Never, true, "1.1.0+2", Some("2.0.0+3")),
            ("a named one is taken", Some("1.0.0+1"), None, Never, true, "1.0.0+1", Some("2.0.0+3")),
            ("even back", Some("1.0.0+1"), Some("2.0.0+3"), Patch, false, "1.0.0+1", Some("2.0.0+3")),
            ("a patch", Some("1.0.0+1"), None, Patch, true, "1.0.1+1", Some("2.0.0+3")),
            ("a minor", Some("1.0.0+1"), Some("1.0.1+1"), Minor, true, "1.1.0+2", Some("2.0.0+3")),
            ("not outside its window", Some("1.0.0+1"), None, Minor, false, "1.0.0+1", Some("2.0.0+3")),
            ("what was taken is kept", Some("1.0.0+1"), Some("1.1.0+2"), Minor, false, "1.1.0+2", Some("2.0.0+3")),
            ("no major", None, Some("1.1.0+2"), Minor, true, "1.1.0+2", Some("2.0.0+3")),
            ("one that is gone is not kept", None, Some("0.9.0"), Never, true, "2.0.0+3", None),
        ];
        for (name, named, current, auto, is_open, expected, available) in cases {
            let (named, current) = (named.map(version), current.map(version));
            let wish = Wish { named: named.as_ref(), current: current.as_ref(), auto, is_open };
            let choice = choose(&published, &wish);
            assert_eq!(choice.version, Some(version(expected)), "{name}");
            assert_eq!(choice.available, available.map(version), "{name}");
        }
        assert_eq!(choose(&[], &Wish::default()).version, None);
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let window = UpdateWindow {
            start: "22:00".to_owned(),
            end: "05:30".to_owned(),
            days: vec![Weekday::Friday],
            time_zone: Some("UTC".to_owned()),
        };
        let cases = [
            ("2026-11-27T21:59:00Z", false),
            ("2026-11-27T22:00:00Z", true),
            ("2026-11-28T05:30:00Z", true),
            ("2026-11-28T05:31:00Z", false),
            ("2026-11-28T22:30:00Z", false),
            ("2026-11-27T03:00:00Z", false),
        ];
        for (moment, expected) in cases {
            assert_eq!(is_open(Some(&window), moment.parse().unwrap()), expected, "{moment}");
        }
        assert!(is_open(None, Timestamp::UNIX_EPOCH));
        let nowhere = UpdateWindow { time_zone: Some("Moon/Base".to_owned()), ..window };
        assert!(!is_open(Some(&nowhere), "2026-11-27T22:00:00Z".parse().unwrap()));
    }
}
