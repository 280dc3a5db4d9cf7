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
    /// What a version waits for that is not taken: the named one, else the one that is available.
    pub held: Option<Held>,
}

/// A version that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The version.
    pub version: RecipeVersion,
    /// The version that runs instead.
    pub from: RecipeVersion,
    /// What it waits for.
    pub why: Why,
    /// Whether the spec names it.
    pub is_named: bool,
}

/// What a version waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A step that large is for a person to take.
    Major,
    /// The policy does not take it.
    Policy,
    /// The window.
    Window,
    /// Its release notes ask somebody to do something.
    Notes,
    /// It was tried, and did not serve.
    Failed,
    /// Its files cannot be deployed.
    Refused,
    /// No upgrade can begin at present.
    Obstacle,
}

/// What the choice rests on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// The version that the spec names.
    pub named: Option<&'a RecipeVersion>,
    /// The version that was chosen before.
    pub current: Option<&'a RecipeVersion>,
    /// Which steps are taken by themselves.
    pub auto: AutoUpdate,
    /// Whether they may be taken now.
    pub is_open: bool,
    /// The version that was tried last and did not serve; neither it nor any before it is tried again by itself.
    pub failed: Option<&'a RecipeVersion>,
    /// Versions whose files cannot be deployed: not taken while another one can stay.
    pub refused: &'a [RecipeVersion],
    /// Versions whose release notes ask somebody to do something.
    pub by_hand: &'a [RecipeVersion],
    /// Whether something stands in the way of any upgrade.
    pub is_obstructed: bool,
}

/// Chooses among the published versions. Without a named one it is the latest at first, and stays what it is then but for
/// the steps that the policy allows. What is named is taken whatever the policy says, but for what has failed or cannot be
/// deployed.
#[must_use]
pub fn choose(published: &[RecipeVersion], wish: &Wish<'_>) -> Choice {
    let latest = published.iter().max();
    let current = wish.current.filter(|current| published.contains(current));
    let base = match (wish.named, current) {
        // A policy has gone on from the named one.
        (Some(named), Some(current)) if wish.auto != AutoUpdate::None && is_allowed(named, current, wish.auto) => {
            current
        }
        (Some(named), Some(current)) => {
            let why = match () {
                () if named == current => None,
                () if wish.refused.contains(named) => Some(Why::Refused),
                () if wish.failed == Some(named) => Some(Why::Failed),
                () if wish.is_obstructed => Some(Why::Obstacle),
                () => None,
            };
            if let Some(why) = why {
                let held = Held { version: named.clone(), from: current.clone(), why, is_named: true };
                let available = latest.filter(|latest| *latest > current).cloned();
                return Choice { version: Some(current.clone()), available, held: Some(held) };
            }
            named
        }
        (Some(named), None) => named,
        (None, Some(current)) => current,
        (None, None) => match latest {
            Some(latest) => latest,
            None => return Choice { version: None, available: None, held: None },
        },
    };
    let steps = || published.iter().filter(|version| is_allowed(base, version, wish.auto));
    let step = steps().filter(|version| obstacle(base, version, wish).is_none()).max();
    let version = step.unwrap_or(base);
    let available = latest.filter(|latest| *latest > version);
    let held = available.map(|available| Held {
        version: available.clone(),
        from: version.clone(),
        why: obstacle(version, available, wish).unwrap_or(Why::Policy),
        is_named: false,
    });
    Choice { version: Some(version.clone()), available: available.cloned(), held }
}

/// Returns why a step is not taken by itself.
fn obstacle(from: &RecipeVersion, to: &RecipeVersion, wish: &Wish<'_>) -> Option<Why> {
    if wish.failed.is_some_and(|failed| to <= failed) {
        return Some(Why::Failed);
    }
    if !is_allowed(from, to, wish.auto) {
        return Some(if from.step_to(to) == Step::Major { Why::Major } else { Why::Policy });
    }
    if wish.by_hand.iter().any(|version| version > from && version <= to) {
        return Some(Why::Notes);
    }
    if wish.refused.contains(to) {
        return Some(Why::Refused);
    }
    if !wish.is_open {
        return Some(Why::Window);
    }
    wish.is_obstructed.then_some(Why::Obstacle)
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
            let wish = Wish { named: named.as_ref(), current: current.as_ref(), auto, is_open, ..Wish::default() };
            let choice = choose(&published, &wish);
            assert_eq!(choice.version, Some(version(expected)), "{name}");
            assert_eq!(choice.available, available.map(version), "{name}");
        }
        assert_eq!(choose(&[], &Wish::default()).version, None);
    }

    /// name | how many are published | named | current | auto | window | failed | notes that ask | refused | obstacle | runs |
    /// held | why
    const WAITING: &str = "\
a major|4|-|1.1.0+2|Minor|open|-|-|-|-|1.1.0+2|2.0.0+3|Major
no policy|3|-|1.0.0+1|None|open|-|-|-|-|1.0.0+1|1.1.0+2|Policy
a minor|3|-|1.0.0+1|Patch|open|-|-|-|-|1.0.1+1|1.1.0+2|Policy
later|3|-|1.0.0+1|Minor|closed|-|-|-|-|1.0.0+1|1.1.0+2|Window
notes|3|-|1.0.0+1|Minor|open|-|1.1.0+2|-|-|1.0.1+1|1.1.0+2|Notes
notes on the way|3|-|1.0.0+1|Minor|open|-|1.0.1+1|-|-|1.0.0+1|1.1.0+2|Notes
it failed|3|-|1.0.1+1|Minor|open|1.1.0+2|-|-|-|1.0.1+1|1.1.0+2|Failed
nor one before it|3|-|1.0.0+1|Minor|open|1.1.0+2|-|-|-|1.0.0+1|1.1.0+2|Failed
no room|3|-|1.0.0+1|Minor|open|-|-|-|yes|1.0.0+1|1.1.0+2|Obstacle
the named one failed|4|2.0.0+3|1.0.0+1|None|open|2.0.0+3|-|-|-|1.0.0+1|2.0.0+3|Failed
no room for the named one|4|1.1.0+2|1.0.0+1|None|open|-|-|-|yes|1.0.0+1|1.1.0+2|Obstacle
it cannot be deployed|3|-|1.0.0+1|Minor|open|-|-|1.1.0+2|-|1.0.1+1|1.1.0+2|Refused
that comes before its window|3|-|1.0.0+1|Minor|closed|-|-|1.1.0+2|-|1.0.0+1|1.1.0+2|Refused
but after its size|4|-|1.1.0+2|Minor|open|-|-|2.0.0+3|-|1.1.0+2|2.0.0+3|Major
the named one cannot be deployed|4|2.0.0+3|1.0.0+1|None|open|2.0.0+3|-|2.0.0+3|yes|1.0.0+1|2.0.0+3|Refused
nor one before|4|1.0.0+1|1.1.0+2|None|open|-|-|1.0.0+1|-|1.1.0+2|1.0.0+1|Refused";

    #[test]
    fn what_a_version_waits_for() {
        let published: Vec<RecipeVersion> = ["1.0.0+1", "1.0.1+1", "1.1.0+2", "2.0.0+3"].map(version).to_vec();
        for line in WAITING.lines() {
            let words: Vec<&str> = line.split('|').collect();
            let at = |place: usize| RecipeVersion::parse(words[place]);
            let (named, current, failed) = (at(2), at(3), at(6));
            let by_hand: Vec<RecipeVersion> = at(7).into_iter().collect();
            let refused: Vec<RecipeVersion> = at(8).into_iter().collect();
            let wish = Wish {
                named: named.as_ref(),
                current: current.as_ref(),
                auto: match words[4] {
                    "Minor" => AutoUpdate::Minor,
                    "Patch" => AutoUpdate::Patch,
                    _ => AutoUpdate::None,
                },
                is_open: words[5] == "open",
                failed: failed.as_ref(),
                refused: &refused,
                by_hand: &by_hand,
                is_obstructed: words[9] == "yes",
            };
            let choice = choose(&published[..words[1].parse().unwrap()], &wish);
            assert_eq!(choice.version, at(10), "{line}");
            let held = choice.held.unwrap();
            assert_eq!((Some(held.version), format!("{:?}", held.why)), (at(11), words[12].to_owned()), "{line}");
        }
    }

    #[test]
    fn what_is_newer_than_a_failed_one_and_what_a_person_names_is_taken() {
        let published: Vec<RecipeVersion> = ["1.0.0+1", "1.0.1+1", "1.1.0+2", "2.0.0+3"].map(version).to_vec();
        let (failed, current, named) = (version("1.0.1+1"), version("1.0.0+1"), version("2.0.0+3"));
        let auto = AutoUpdate::Minor;
        let wish = Wish { current: Some(&current), auto, is_open: true, failed: Some(&failed), ..Wish::default() };
        assert_eq!(choose(&published[..3], &wish).version, Some(version("1.1.0+2")));
        let by_hand = [named.clone()];
        let wish = Wish { named: Some(&named), current: Some(&current), by_hand: &by_hand, ..Wish::default() };
        assert_eq!(choose(&published, &wish), Choice { version: Some(named.clone()), available: None, held: None });
        let all_bad = Wish { refused: &published, is_obstructed: true, ..Wish::default() };
        assert_eq!(choose(&published, &all_bad).version, Some(named), "nothing could stay instead");
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
