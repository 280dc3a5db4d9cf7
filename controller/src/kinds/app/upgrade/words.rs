//! What is said of a version that waits. Pure.

use api_types::kinds::app::AutoUpdate;
use api_types::kinds::app_upgrade::{HeldVersion, NOTES_CHARACTERS_MAX, NOTES_MAX, ReleaseNotes, VersionStep};
use api_types::reason;
use ports::recipe::release::{Notes, asks_for_hands};
use ports::recipe::version::{RecipeVersion, Step};

use super::{RETRY_ANNOTATION, SNAPSHOT_ANNOTATION};
use crate::kinds::app::deployer::Refusal;
use crate::kinds::app::version::{Held, Why};

/// Most characters of a line of notes that a message repeats.
const LINE_CHARACTERS_MAX: usize = 200;
/// Most characters of why a version cannot be deployed.
const REFUSAL_CHARACTERS_MAX: usize = 2000;

/// What is known besides the version.
#[derive(Clone, Debug, Default)]
pub struct About<'a> {
    /// The App, as `namespace/name`.
    pub app: &'a str,
    /// What is taken by itself.
    pub auto: AutoUpdate,
    /// The window in words; empty when there is none.
    pub window: String,
    /// Release notes of the versions on the way, oldest first.
    pub notes: &'a [Notes],
    /// What stands in the way of any upgrade.
    pub obstacle: Option<&'a Refusal>,
    /// Why this version cannot be deployed.
    pub refusal: Option<&'a Refusal>,
}

/// Returns what a status says of a version that waits.
#[must_use]
pub fn held(held: &Held, about: &About<'_>) -> HeldVersion {
    let Held { version, from, why, .. } = held;
    let step = step(from, version);
    let size = step.map_or("", |step| match step {
        VersionStep::Major => "major ",
        VersionStep::Minor => "minor ",
        VersionStep::Patch => "patch ",
        VersionStep::Upstream => "",
    });
    let app = App::read(about.app);
    let take = format!("To take it: {}.", app.patch_version(version));
    let to_read = if about.notes.is_empty() { "" } else { " Read its release notes first: status.held.notes." };
    let (reason, message) = match why {
        Why::Major => (
            reason::MAJOR_HELD,
            format!("Version {version} is a major step from {from}, and waits for a person.{to_read} {take}"),
        ),
        Why::Policy => {
            let policy = match about.auto {
                AutoUpdate::None => "spec.updatePolicy takes none by itself",
                AutoUpdate::Patch => "spec.updatePolicy takes patches alone by itself",
                AutoUpdate::Minor => "spec.updatePolicy does not take it by itself",
            };
            let text = format!("Version {version} is a {size}step from {from}, and {policy}.{to_read} {take}");
            (reason::UPDATE_AVAILABLE, text)
        }
        Why::Window => {
            let text = format!(
                "Version {version} is taken in its window, {}. To take it now: {}.",
                about.window,
                app.patch_version(version)
            );
            (reason::OUTSIDE_WINDOW, text)
        }
        Why::Notes => (reason::NOTES_HELD, notes_message(held, about, &take)),
        Why::Failed => {
            let text = format!(
                "Version {version} was tried and did not serve, so that {from} was brought back (status.upgrade says why). It \
                 is tried again when the spec changes, or: {}.",
                app.retry()
            );
            (reason::UPGRADE_FAILED, text)
        }
        Why::Refused => refused_message(held, about, &app),
        Why::Obstacle => {
            let obstacle =
                about.obstacle.map_or((reason::SNAPSHOT_IMPOSSIBLE, ""), |found| (found.reason, &found.message));
            let text = format!(
                "Version {version} waits, because the volumes are copied before an upgrade. {} To upgrade without a copy, and \
                 without a way back by itself: {}.",
                obstacle.1,
                app.annotate(SNAPSHOT_ANNOTATION, "false")
            );
            (obstacle.0, text)
        }
    };
    HeldVersion {
        version: version.to_string(),
        from: Some(from.to_string()),
        step,
        reason: reason.to_owned(),
        message,
        notes: shown(about.notes),
    }
}

fn refused_message(held: &Held, about: &About<'_>, app: &App<'_>) -> (&'static str, String) {
    let Held { version, from, is_named, .. } = held;
    let (reason, why) =
        about.refusal.map_or((reason::COMPOSE_INVALID, ""), |refusal| (refusal.reason, refusal.message.as_str()));
    let why: String = plain(why).chars().take(REFUSAL_CHARACTERS_MAX).collect();
    let stay = match is_named {
        true => format!(" To stay with {from}: {}.", app.patch_version(from)),
        false => String::new(),
    };
    let text = format!(
        "Version {version} cannot be deployed, and {from} runs on. {why} It is looked at again every few minutes, and now \
         with: {}.{stay}",
        app.retry()
    );
    (reason, text)
}

fn notes_message(held: &Held, about: &About<'_>, take: &str) -> String {
    let found = about.notes.iter().find_map(|notes| Some((&notes.version, asks_for_hands(&notes.text)?)));
    let said = found.map_or(String::new(), |(of, line)| {
        let line: String = line.chars().take(LINE_CHARACTERS_MAX).collect();
        format!(" Those of {of} say: “{}”.", plain(&line).trim_end_matches(['.', '\n']))
    });
    format!(
        "Version {} waits for a person, because release notes since {} ask for something (status.held.notes).{said} {take}",
        held.version, held.from
    )
}

fn step(from: &RecipeVersion, to: &RecipeVersion) -> Option<VersionStep> {
    match from.step_to(to) {
        Step::Major => Some(VersionStep::Major),
        Step::Minor => Some(VersionStep::Minor),
        Step::Patch => Some(VersionStep::Patch),
        Step::Upstream => Some(VersionStep::Upstream),
        Step::Same | Step::Down => None,
    }
}

/// Returns notes as a status has them: the newest ones, oldest first, cut off and without signs that move a cursor or turn
/// text around.
fn shown(notes: &[Notes]) -> Vec<ReleaseNotes> {
    let first = notes.len().saturating_sub(NOTES_MAX);
    let texts = notes[first..].iter().map(|notes| {
        let mut text: String = plain(&notes.text).chars().take(NOTES_CHARACTERS_MAX).collect();
        if text.chars().count() == NOTES_CHARACTERS_MAX {
            text.push('…');
        }
        // Longer than the schema allows only with signs of many bytes, which it counts as one each.
        ReleaseNotes { version: notes.version.to_string(), text }
    });
    texts.collect()
}

/// Returns text without control characters other than line feeds, and without those that change its direction.
#[must_use]
pub fn plain(text: &str) -> String {
    let is_hidden = |sign: char| {
        sign.is_control() && sign != '\n'
            || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.replace("\r\n", "\n").replace('\t', " ").chars().filter(|sign| !is_hidden(*sign)).collect()
}

/// An App in commands.
pub(super) struct App<'a> {
    namespace: &'a str,
    name: &'a str,
}

impl<'a> App<'a> {
    /// Reads `namespace/name`.
    pub(super) fn read(app: &'a str) -> Self {
        let (namespace, name) = app.split_once('/').unwrap_or(("default", app));
        Self { namespace, name }
    }

    fn patch(&self, patch: &str) -> String {
        format!("ccctl patch app/{} -n {} -p '{patch}'", self.name, self.namespace)
    }

    fn patch_version(&self, version: &RecipeVersion) -> String {
        self.patch(&format!("{{\"spec\":{{\"version\":\"{version}\"}}}}"))
    }

    fn annotate(&self, name: &str, value: &str) -> String {
        format!("ccctl annotate app {} -n {} {name}={value} --overwrite", self.name, self.namespace)
    }

    /// Returns the command that asks for a failed version again: the value is another each time.
    fn retry(&self) -> String {
        self.annotate(RETRY_ANNOTATION, "$(date +%s)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> RecipeVersion {
        RecipeVersion::parse(text).unwrap()
    }

    fn said(why: Why, auto: AutoUpdate, notes: &[(&str, &str)]) -> HeldVersion {
        let notes: Vec<Notes> =
            notes.iter().map(|(of, text)| Notes { version: version(of), text: (*text).to_owned() }).collect();
        let obstacle = Refusal { reason: reason::NO_ROOM, message: "There is no room.".to_owned() };
        let refusal = Refusal { reason: reason::NAME_TOO_LONG, message: "A name is\u{202e} too long.".to_owned() };
        let about = About {
            app: "team/book",
            auto,
            window: "from 02:00 to 05:00 UTC".to_owned(),
            notes: &notes,
            obstacle: Some(&obstacle),
            refusal: Some(&refusal),
        };
        held(&Held { version: version("2.0.0+3"), from: version("1.1.0+2"), why, is_named: true }, &about)
    }

    #[test]
    fn what_waits_says_why_and_what_to_type() {
        let typed = "ccctl patch app/book -n team -p '{\"spec\":{\"version\":\"2.0.0+3\"}}'";
        let major = said(Why::Major, AutoUpdate::Minor, &[("2.0.0+3", "Rename the volume.")]);
        assert_eq!((major.reason.as_str(), major.step), ("MajorHeld", Some(VersionStep::Major)));
        assert!(
            major.message.contains("major step from 1.1.0+2") && major.message.contains(typed),
            "{}",
            major.message
        );
        assert!(major.message.contains("status.held.notes"), "{}", major.message);
        assert_eq!(major.notes[0].text, "Rename the volume.");
        let cases = [
            (Why::Policy, AutoUpdate::None, "UpdateAvailable", "takes none by itself", typed),
            (Why::Policy, AutoUpdate::Patch, "UpdateAvailable", "takes patches alone", typed),
            (Why::Window, AutoUpdate::Minor, "OutsideWindow", "from 02:00 to 05:00 UTC", typed),
            (
                Why::Failed,
                AutoUpdate::Minor,
                "UpgradeFailed",
                "did not serve",
                "ccctl annotate app book -n team ci.coopcloud.tech/retry-upgrade=$(date +%s)",
            ),
            (
                Why::Refused,
                AutoUpdate::None,
                "NameTooLong",
                "1.1.0+2 runs on. A name is too long. It is",
                "To stay with 1.1.0+2: ccctl patch app/book -n team -p '{\"spec\":{\"version\":\"1.1.0+2\"}}'",
            ),
            (
                Why::Obstacle,
                AutoUpdate::Minor,
                "InsufficientDisk",
                "There is no room.",
                "ci.coopcloud.tech/snapshot=false",
            ),
        ];
        for (why, auto, reason, text, typed) in cases {
            let held = said(why, auto, &[]);
            assert_eq!(held.reason, reason);
            assert!(held.message.contains(text) && held.message.contains(typed), "{}", held.message);
            assert!(!held.message.contains("status.held.notes"), "there are none: {}", held.message);
        }
        let notes = said(
            Why::Notes,
            AutoUpdate::Minor,
            &[("1.2.0+2", "New."), ("1.3.0+2", "# 1.3\nYou must run\x1b[2J it.\n")],
        );
        assert!(notes.message.contains("Those of 1.3.0+2 say: “You must run[2J it”."), "{}", notes.message);
    }

    #[test]
    fn notes_are_bounded_and_harmless() {
        let long = "é".repeat(10_000);
        let many: Vec<(String, &str)> =
            (0..40).map(|minor| (format!("1.{minor}.0"), "a\u{202e}b\x07\tc\r\nd")).collect();
        let mut notes: Vec<(&str, &str)> = many.iter().map(|(version, text)| (version.as_str(), *text)).collect();
        notes.push(("2.0.0+3", &long));
        let held = said(Why::Major, AutoUpdate::Minor, &notes);
        assert_eq!(held.notes.len(), NOTES_MAX);
        assert_eq!(held.notes[0].text, "ab c\nd");
        let last = &held.notes[NOTES_MAX - 1];
        assert_eq!((last.version.as_str(), last.text.chars().count()), ("2.0.0+3", NOTES_CHARACTERS_MAX + 1));
    }
}
