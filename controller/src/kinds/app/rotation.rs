//! Rotation of generated secrets: another value under the next version, tried like any other change, and taken back when
//! the app does not get well with it.
//!
//! ```text
//!   annotation rotate.ci.coopcloud.tech/SECRET: WORD, another WORD than the last one
//!        │
//!        ▼                       Ready
//!   version + 1, a new value ──────────────► the old value goes, here and in the swarm
//!        │  not converged, not reachable, not healthy, and it was Ready before
//!        └─────────────────────────────────► the old version again; the new value goes
//! ```
//!
//! How far it is stands in the Secret of generated values, so that a ccd that is started again goes on where it was. A
//! version that was tried is never used again with another value. The secret of an OAuth2 application is asked for in the same
//! way, and made by its forge (`application/care.rs`): the former one is no good from then on.

use std::collections::BTreeMap;

use api_types::condition::{self, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::app::{
    App, AppSecretSource, AppSecretState, AppStatus, ROTATE_ANNOTATION_PREFIX, RotationResult, SecretRotation,
};
use api_types::kinds::app_upgrade::AppUpgrade;
use api_types::reason;
use jiff::Timestamp;
use ports::recipe::secret::Rule;
use serde::{Deserialize, Serialize};

use super::act::Action;
use super::application::care::Own;
use super::generated::{History, Kept};
use super::observe::{Claim, Present, Source};
use super::prepare::{Prepared, PreparedSecret};
use super::{Apps, stack_name};
use crate::runtime::events::{EventKind, seconds};
use crate::runtime::outcome::Failure;
use crate::runtime::reconciler::Decision;

/// Most secrets in the status, as the schema has it.
const SECRETS_MAX: usize = 128;
/// Most characters of why a rotation came to nothing, likewise.
const MESSAGE_CHARACTERS_MAX: usize = 1024;

/// What became of the rotations of one secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rotation {
    /// The word of the annotation that was acted upon last.
    pub(crate) asked: String,
    /// By how much the version is ahead of the recipe's.
    pub(crate) step: u32,
    /// By how much it ever was.
    pub(crate) highest: u32,
    /// While the new value is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trial: Option<Trial>,
    /// What the last one came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended: Option<Ended>,
}

/// A new value that is being tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Trial {
    /// The step before.
    pub(crate) step_before: u32,
    /// The name in the swarm before.
    pub(crate) name_before: String,
    /// Whether the app was ready: only then is it the new value's fault that it is not.
    pub(crate) was_ready: bool,
    /// When it began.
    pub(crate) since: String,
}

/// What a rotation came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Ended {
    /// In a word.
    pub(crate) result: RotationResult,
    /// When.
    pub(crate) at: String,
    /// Why.
    pub(crate) message: String,
}

/// Rotations that are to begin, and that cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Secrets that get another value: their names in the compose file, the word that asks, their names in the swarm now.
    begin: Vec<(String, String, String)>,
    /// Secrets that cannot: names, the word, and why not.
    refuse: Vec<(String, String, String)>,
    /// The word that asks for another secret of the OAuth2 application.
    renew: Option<String>,
    was_ready: bool,
}

/// Returns the word with which another value of a secret is asked for.
pub(super) fn word_of<'a>(app: &'a Object<App>, secret: &str) -> Option<&'a str> {
    app.metadata.annotations.get(&format!("{ROTATE_ANNOTATION_PREFIX}{secret}")).map(String::as_str)
}

/// Returns what an annotation asks for, by names of secrets, as far as nothing has come of it yet.
fn asked<'a>(app: &'a Object<App>, history: &History) -> BTreeMap<&'a str, &'a str> {
    let words = app.metadata.annotations.iter();
    let words = words.filter_map(|(name, word)| Some((name.strip_prefix(ROTATE_ANNOTATION_PREFIX)?, word.as_str())));
    words.filter(|(name, word)| history.rotations.get(*name).is_none_or(|known| known.asked != *word)).collect()
}

/// Returns by how much versions are ahead of the recipe's, by names in the compose file.
pub(super) fn steps(history: &History) -> BTreeMap<String, u32> {
    let ahead = history.rotations.iter().filter(|(_, rotation)| rotation.step > 0);
    ahead.map(|(name, rotation)| (name.clone(), rotation.step)).collect()
}

/// Returns the same as they would be once everything that is asked for has begun.
pub(super) fn steps_to_come(app: &Object<App>, kept: &Kept) -> BTreeMap<String, u32> {
    let mut steps = steps(&kept.history);
    for name in asked(app, &kept.history).into_keys() {
        let highest = kept.history.rotations.get(name).map_or(0, |rotation| rotation.highest.max(rotation.step));
        steps.insert(name.to_owned(), highest + 1);
    }
    steps
}

/// Returns a version that is ahead of another one by so many steps: `v1` and 2 are `v3`.
#[must_use]
pub(super) fn ahead(version: &str, step: u32) -> String {
    let digits = version.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, number) = version.split_at(version.len() - digits);
    // Without a number, and beyond what numbers can say, the step stands behind it.
    match number.parse::<u32>().ok().and_then(|number| number.checked_add(step)) {
        Some(number) => format!("{head}{number}"),
        None => format!("{version}r{step}"),
    }
}

/// Returns what names of the versions of a secret begin with.
fn prefix(name: &str) -> &str {
    name.rfind('_').map_or(name, |at| &name[..=at])
}

/// Returns what names of secrets in the swarm begin with whose former versions are needed no longer.
pub(super) fn retired(history: &History, prepared: &Prepared) -> Vec<String> {
    let own = format!("{}_", prepared.wanted.owner.stack);
    let is_over = |secret: &&PreparedSecret| {
        history.rotations.get(&secret.key).is_some_and(|rotation| rotation.trial.is_none() && rotation.highest > 0)
    };
    let prefixes = prepared.secrets.iter().filter(is_over).map(|secret| prefix(&secret.name).to_owned());
    prefixes.filter(|prefix| prefix.starts_with(&own)).collect()
}

/// Returns whether a name is that of a former version.
#[must_use]
pub(super) fn is_former(name: &str, prefixes: &[String]) -> bool {
    let is_version = |rest: &str| rest.starts_with('v') && rest.len() > 1 && !rest.contains('_');
    prefixes.iter().any(|prefix| name.strip_prefix(prefix.as_str()).is_some_and(is_version))
}

/// Adds to a decision what rotations make of it. Pure.
pub(super) fn follow(
    app: &Object<App>,
    present: &Present,
    mut decided: Decision<AppStatus, Action>,
    now: Timestamp,
) -> Decision<AppStatus, Action> {
    let history = &present.kept.history;
    let tried = || history.rotations.iter().filter(|(_, rotation)| rotation.trial.is_some());
    let prepared = match &present.source {
        Source::Ready(prepared) => prepared,
        // The next version may have a name that is too long, for example.
        Source::Refused(refusal) if tried().next().is_some() && refusal.reason == reason::NAME_TOO_LONG => {
            return Decision::act(decided.status, Action::TurnBack(refusal.message.clone()));
        }
        _ => return decided,
    };
    decided.status.secrets = states(app, prepared, present, &decided.status, now);
    if !matches!(&present.swarm, Ok(swarm) if matches!(swarm.claim, Claim::Ours)) {
        return decided;
    }
    let status = &decided.status;
    // One change at a time: an upgrade that is under way is judged first.
    if app.status.upgrade.as_ref().is_some_and(AppUpgrade::is_under_way) {
        return decided;
    }
    if tried().next().is_some() {
        let name_of = |key: &str| prepared.secrets.iter().find(|secret| secret.key == key).map(|found| &found.name);
        let is_same = |(key, rotation): (&String, &Rotation)| {
            rotation.trial.as_ref().is_some_and(|trial| name_of(key) == Some(&trial.name_before))
        };
        if tried().any(is_same) {
            let why = "The recipe gives the secret the same name whatever its version is: its compose file has to use \
                       the variable SECRET_…_VERSION.";
            return Decision::act(decided.status, Action::TurnBack(why.to_owned()));
        }
        if condition::is_true(&status.conditions, READY) && status.deployed_hash.as_ref() == Some(&prepared.hash) {
            return Decision::act(decided.status, Action::Settle);
        }
        let was_ready = tried().all(|(_, rotation)| rotation.trial.as_ref().is_some_and(|trial| trial.was_ready));
        if was_ready && let Some(why) = trouble(status) {
            return Decision::act(decided.status, Action::TurnBack(why));
        }
        return decided;
    }
    let is_idle = matches!(decided.action, None | Some(Action::Probe | Action::Prepare));
    let deployed = condition::find(&status.conditions, ConditionType::Deployed.word());
    let is_settled = deployed.is_some_and(|found| found.status != ConditionStatus::Unknown);
    if !is_idle || !is_settled || status.deployed_hash.is_none() {
        return decided;
    }
    match wish(app, prepared, history, present.application.own.as_ref()) {
        Some(wish) => Decision::act(decided.status, Action::Rotate(wish)),
        None => decided,
    }
}

/// Returns what is asked for and has not begun.
fn wish(app: &Object<App>, prepared: &Prepared, history: &History, own: Option<&Own>) -> Option<Wish> {
    let mut wish = Wish { was_ready: condition::is_true(&app.status.conditions, READY), ..Wish::default() };
    for (name, word) in asked(app, history) {
        if let Some(own) = own.filter(|own| own.secret == name) {
            if own.asked != word && !own.rests {
                wish.renew = Some(word.to_owned());
            }
            continue;
        }
        let secret = prepared.secrets.iter().find(|secret| secret.key == name);
        let obstacle = match secret {
            None => Some("The recipe has no secret of this name: see status.secrets.".to_owned()),
            Some(secret) if secret.is_given => {
                Some("Its value is given by a Secret or a Certificate: change it there.".to_owned())
            }
            Some(PreparedSecret { rule: Rule::ByHand, .. }) => Some(
                "The recipe does not let it be generated: put its value into a Secret, and name that in spec.secrets."
                    .to_owned(),
            ),
            Some(_) => None,
        };
        match (obstacle, secret) {
            (None, Some(secret)) => wish.begin.push((name.to_owned(), word.to_owned(), secret.name.clone())),
            (why, _) => wish.refuse.push((name.to_owned(), word.to_owned(), why.unwrap_or_default())),
        }
    }
    (!wish.begin.is_empty() || !wish.refuse.is_empty() || wish.renew.is_some()).then_some(wish)
}

/// Returns what is wrong with an app for certain.
fn trouble(status: &AppStatus) -> Option<String> {
    let types = [ConditionType::Deployed, ConditionType::Converged, ConditionType::Reachable, ConditionType::Healthy];
    let found = types.iter().filter_map(|type_| condition::find(&status.conditions, type_.word()));
    found.into_iter().find(|found| found.status == ConditionStatus::False).map(|found| found.message.clone())
}

/// Returns what the status says of each secret.
fn states(
    app: &Object<App>,
    prepared: &Prepared,
    present: &Present,
    status: &AppStatus,
    now: Timestamp,
) -> Vec<AppSecretState> {
    let kept = &present.kept;
    let is_ready =
        condition::is_true(&status.conditions, READY) && status.deployed_hash.as_ref() == Some(&prepared.hash);
    let state = |secret: &PreparedSecret| {
        let own = present.application.own.as_ref().filter(|own| own.secret == secret.key && secret.is_given);
        let source = if own.is_some() {
            AppSecretSource::Application
        } else if secret.is_given {
            AppSecretSource::Given
        } else if kept.values.contains_key(&secret.name) {
            AppSecretSource::Generated
        } else {
            AppSecretSource::Found
        };
        let before = app.status.secrets.iter().find(|before| before.name == secret.key);
        let since = before.filter(|before| before.version == secret.version).and_then(|before| before.since.clone());
        let made = kept.history.made.get(&secret.name).cloned();
        let rotation = kept.history.rotations.get(&secret.key).and_then(outcome);
        let of_application = |own: &Own| outcome_of_application(app, own, before, is_ready);
        AppSecretState {
            name: secret.key.clone(),
            source,
            version: secret.version.chars().take(64).collect(),
            since: made.or(since).or_else(|| Some(seconds(now))),
            rotation: own.map_or(rotation, of_application),
        }
    };
    prepared.secrets.iter().take(SECRETS_MAX).map(state).collect()
}

/// What became of another secret of the OAuth2 application that was asked for.
fn outcome_of_application(
    app: &Object<App>,
    own: &Own,
    before: Option<&AppSecretState>,
    is_ready: bool,
) -> Option<SecretRotation> {
    let is_asked = word_of(app, &own.secret).is_some_and(|word| word != own.asked);
    if let Some((at, why)) = own.delay.as_ref().filter(|_| is_asked) {
        let message = why.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        return Some(SecretRotation { result: RotationResult::Trying, at: at.clone(), message });
    }
    let at = own.rotated_at.clone()?;
    let known = before.and_then(|before| before.rotation.as_ref());
    let had_succeeded = known.is_some_and(|known| known.at == at && known.result == RotationResult::Succeeded);
    let result = if is_ready || had_succeeded { RotationResult::Succeeded } else { RotationResult::Trying };
    let message = "The forge has made another secret, and takes the former one no longer.".to_owned();
    Some(SecretRotation { result, at, message })
}

fn outcome(rotation: &Rotation) -> Option<SecretRotation> {
    if let Some(trial) = &rotation.trial {
        let message = "The new value is in use; the old one goes once the app is ready.".to_owned();
        return Some(SecretRotation { result: RotationResult::Trying, at: trial.since.clone(), message });
    }
    let Ended { result, at, message } = rotation.ended.clone()?;
    Some(SecretRotation { result, at, message })
}

impl Apps {
    /// Begins rotations: from here on, other versions are wanted.
    pub(super) async fn rotate(&self, app: &Object<App>, wish: &Wish) -> Result<(), Failure> {
        let now = seconds(self.outside.clock.now());
        self.keep(app, &stack_name(&app.spec.domain), |kept| {
            for (name, word, name_before) in &wish.begin {
                let rotation = kept.history.rotations.entry(name.clone()).or_default();
                // The pass before was cut off right after its write.
                if rotation.asked == *word {
                    continue;
                }
                rotation.trial = Some(Trial {
                    step_before: rotation.step,
                    name_before: name_before.clone(),
                    was_ready: wish.was_ready,
                    since: now.clone(),
                });
                rotation.highest = rotation.highest.max(rotation.step) + 1;
                rotation.step = rotation.highest;
                rotation.asked.clone_from(word);
                rotation.ended = None;
            }
            for (name, word, why) in &wish.refuse {
                let rotation = kept.history.rotations.entry(name.clone()).or_default();
                rotation.asked.clone_from(word);
                rotation.ended = Some(Ended { result: RotationResult::Refused, at: now.clone(), message: why.clone() });
            }
        })
        .await?;
        for (name, ..) in &wish.begin {
            let text = format!("The secret {name} gets another value, as was asked for.");
            self.record(app, EventKind::Normal, reason::ROTATING, &text);
        }
        for (name, _, why) in &wish.refuse {
            let text = format!("The secret {name} cannot be rotated. {why}");
            self.record(app, EventKind::Warning, reason::ROTATION_REFUSED, &text);
        }
        match &wish.renew {
            Some(word) => self.renew_application(app, word).await,
            None => Ok(()),
        }
    }

    /// Ends rotations well: the former values go.
    pub(super) async fn settle(&self, app: &Object<App>) -> Result<(), Failure> {
        let stack = stack_name(&app.spec.domain);
        let Source::Ready(prepared) = self.source(app, &stack)? else { return Ok(()) };
        let now = seconds(self.outside.clock.now());
        let mut ended = Vec::new();
        self.keep(app, &stack, |kept| {
            for (name, rotation) in &mut kept.history.rotations {
                let Some(trial) = rotation.trial.take() else { continue };
                let message = "The app is ready with the new value.".to_owned();
                rotation.ended = Some(Ended { result: RotationResult::Succeeded, at: now.clone(), message });
                let former = prefix(&trial.name_before).to_owned();
                let is_used = |value: &String| prepared.secrets.iter().any(|secret| secret.name == *value);
                let goes = |value: &String| !is_used(value) && is_former(value, std::slice::from_ref(&former));
                kept.values.retain(|value, _| !goes(value));
                kept.history.made.retain(|value, _| !goes(value));
                ended.push(name.clone());
            }
        })
        .await?;
        self.with_memory(app, |memory| memory.swept = None);
        for name in ended {
            let text = format!("The secret {name} has its new value, and the app is ready with it.");
            self.record(app, EventKind::Normal, reason::ROTATED, &text);
        }
        Ok(())
    }

    /// Ends rotations badly: the former versions are wanted again, and the new values go.
    pub(super) async fn turn_back(&self, app: &Object<App>, why: &str) -> Result<(), Failure> {
        let stack = stack_name(&app.spec.domain);
        let source = self.source(app, &stack)?;
        let now = seconds(self.outside.clock.now());
        let mut ended = Vec::new();
        self.keep(app, &stack, |kept| {
            for (name, rotation) in &mut kept.history.rotations {
                let Some(trial) = rotation.trial.take() else { continue };
                rotation.step = trial.step_before;
                let message = why.chars().take(MESSAGE_CHARACTERS_MAX).collect();
                rotation.ended = Some(Ended { result: RotationResult::TurnedBack, at: now.clone(), message });
                let Source::Ready(prepared) = &source else { continue };
                let tried = prepared.secrets.iter().find(|secret| secret.key == *name);
                if let Some(tried) = tried.filter(|tried| tried.name != trial.name_before) {
                    kept.values.remove(&tried.name);
                    kept.history.made.remove(&tried.name);
                }
                ended.push(name.clone());
            }
        })
        .await?;
        self.with_memory(app, |memory| memory.swept = None);
        for name in ended {
            let text = format!("The secret {name} keeps its old value, because the app did not get well: {why}");
            self.record(app, EventKind::Warning, reason::ROTATION_TURNED_BACK, &text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_on_from_the_recipes() {
        let cases = [
            ("v1", 1, "v2"),
            ("v9", 2, "v11"),
            ("1", 1, "2"),
            ("blue", 3, "bluer3"),
            ("", 1, "r1"),
            ("v4294967295", 1, "v4294967295r1"),
        ];
        for (version, step, expected) in cases {
            assert_eq!(ahead(version, step), expected, "{version} + {step}");
        }
    }

    #[test]
    fn former_versions_are_those_of_the_very_secret() {
        let prefixes = [prefix("x_db_password_v2").to_owned()];
        assert_eq!(prefixes, ["x_db_password_"]);
        for (name, expected) in [
            ("x_db_password_v1", true),
            ("x_db_password_root_v1", false),
            ("x_db_password_", false),
            ("x_db_v1", false),
            ("y_db_password_v1", false),
        ] {
            assert_eq!(is_former(name, &prefixes), expected, "{name}");
        }
    }
}
