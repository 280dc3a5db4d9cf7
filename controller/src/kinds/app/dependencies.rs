//! Apps that other Apps need: who waits for whom, and in which order they go.
//!
//! ```text
//!   spec.dependsOn ─► every App of it Ready? ── yes ─► the stack is handed over
//!                          │ no: DependenciesReady=False says for which; what runs already goes on
//!                          └ they wait for each other: DependencyCycle, until a person changes one of them
//!
//!   deleted together: those that need an App go before it
//! ```
//!
//! Nobody polls: an App names those it needs, and is woken when they change.

use std::collections::BTreeSet;
use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::app_upgrade::AppUpgrade;
use api_types::reason;
use serde_json::Value;

use super::Apps;
use super::act::Action;
use super::decide::finish;
use crate::runtime::cache::Cache;
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::BLOCKED_POLL;
use crate::runtime::reconciler::{Decision, Next};

/// Most names that a message shows.
const NAMES_SHOWN: usize = 5;
/// How often Apps that go first are looked at although nothing was heard of them.
const LEAVING_POLL: Duration = Duration::from_secs(5);

/// How the Apps are that an App needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Dependencies {
    /// It needs none.
    #[default]
    None,
    /// All are ready.
    Ready(usize),
    /// It waits, for the reason that the sentence says.
    Waiting(String),
    /// They need each other, in this order.
    Cycle(Vec<String>),
}

/// Returns the keys of the Apps that an App needs.
pub(super) fn references(app: &Object<App>) -> impl Iterator<Item = ObjectKey> {
    let namespace = &app.metadata.namespace;
    app.spec.depends_on.iter().map(|needed| ObjectKey::new(&App::resource(), namespace, &needed.name))
}

/// Looks at the Apps that an App needs.
pub(super) fn look(cache: &Cache, app: &Object<App>) -> Dependencies {
    if app.spec.depends_on.is_empty() {
        return Dependencies::None;
    }
    let namespace = &app.metadata.namespace;
    let needs = |name: &str| {
        let stored = cache.get(&ObjectKey::new(&App::resource(), namespace, name));
        stored.map(|stored| needed_by(&stored)).unwrap_or_default()
    };
    let own: Vec<String> = app.spec.depends_on.iter().map(|needed| needed.name.clone()).collect();
    if let Some(cycle) = cycle(&app.metadata.name, &own, &needs) {
        return Dependencies::Cycle(cycle);
    }
    let state = |key: ObjectKey| match cache.get(&key) {
        None => Some(format!("{0}, which does not exist (apply it, or take it out of spec.dependsOn)", key.name())),
        Some(stored) if stored.is_being_deleted() => Some(format!("{}, which is being deleted", key.name())),
        Some(stored) if !is_ready(&stored) => {
            let why = ready_message(&stored.value).unwrap_or_else(|| "nothing is known of it yet.".to_owned());
            Some(format!("{0}, which is not ready (see ccctl why app/{0}): {why}", key.name()))
        }
        Some(_) => None,
    };
    let waiting: Vec<String> = references(app).filter_map(state).collect();
    match waiting.as_slice() {
        [] => Dependencies::Ready(own.len()),
        [first, rest @ ..] => {
            let first = first.trim_end_matches('.');
            let more = if rest.is_empty() { String::new() } else { format!(" And {} more.", rest.len()) };
            Dependencies::Waiting(format!("It waits for the App {first}.{more}"))
        }
    }
}

/// Returns the names of the Apps that a stored App needs.
fn needed_by(stored: &StoredObject) -> Vec<String> {
    let needed = stored.value["spec"]["dependsOn"].as_array().into_iter().flatten();
    needed.filter_map(|needed| needed["name"].as_str().map(str::to_owned)).collect()
}

/// Returns whether an App is ready as it is asked for now.
fn is_ready(stored: &StoredObject) -> bool {
    let status = &stored.value["status"];
    let is_current = status["observedGeneration"].as_i64().unwrap_or(0) == stored.metadata.generation;
    is_current && ready_of(&stored.value).is_some_and(|ready| ready["status"] == "True")
}

fn ready_of(value: &Value) -> Option<&Value> {
    value["status"]["conditions"].as_array()?.iter().find(|found| found["type"] == READY)
}

fn ready_message(value: &Value) -> Option<String> {
    ready_of(value)?["message"].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Returns a way from an App over those it needs back to itself.
fn cycle(app: &str, own: &[String], needs: &dyn Fn(&str) -> Vec<String>) -> Option<Vec<String>> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    // Ways that are still to be followed: the shortest first.
    let mut ways: std::collections::VecDeque<Vec<String>> =
        own.iter().map(|name| vec![app.to_owned(), name.clone()]).collect();
    while let Some(way) = ways.pop_front() {
        let last = way.last()?;
        if last == app {
            return Some(way);
        }
        if seen.insert(last.clone()) {
            ways.extend(needs(last).into_iter().map(|next| [way.as_slice(), &[next]].concat()));
        }
    }
    None
}

/// Holds a decision back that would hand the stack over before those that it needs are ready. What runs goes on, and is
/// put right when it drifts. Pure.
pub(super) fn hold(
    app: &Object<App>,
    dependencies: &Dependencies,
    decided: Decision<AppStatus, Action>,
) -> Decision<AppStatus, Action> {
    let Decision { mut status, action, next } = decided;
    let type_ = ConditionType::DependenciesReady.word();
    let (word, reason, message) = match dependencies {
        Dependencies::None => {
            condition::remove(&mut status.conditions, type_);
            return Decision { status, action, next };
        }
        Dependencies::Ready(count) => {
            let text = match count {
                1 => "The App that it needs is ready.".to_owned(),
                count => format!("All {count} Apps that it needs are ready."),
            };
            condition::set(
                &mut status.conditions,
                Condition::new(type_, ConditionStatus::True, reason::DEPENDENCIES_READY, text),
            );
            return Decision { status, action, next };
        }
        Dependencies::Waiting(text) => (ConditionStatus::Unknown, reason::DEPENDENCY_NOT_READY, text.clone()),
        Dependencies::Cycle(names) => {
            let text = format!(
                "Apps that wait for each other are never deployed: {}. Take one out of spec.dependsOn.",
                names.join(" → ")
            );
            (ConditionStatus::False, reason::DEPENDENCY_CYCLE, text)
        }
    };
    condition::set(&mut status.conditions, Condition::new(type_, ConditionStatus::False, reason, message.clone()));
    let is_under_way = |upgrade: &Option<AppUpgrade>| upgrade.as_ref().is_some_and(AppUpgrade::is_under_way);
    let begins = is_under_way(&status.upgrade);
    let hands_over = matches!(action, Some(Action::Deploy(_) | Action::MakeSecrets(_) | Action::Rotate(_)));
    // An upgrade that has begun has stopped what ran: it goes on, or back.
    if is_under_way(&app.status.upgrade) || !(begins || hands_over) {
        return Decision { status, action, next };
    }
    // Nothing has begun.
    status.deployed_hash.clone_from(&app.status.deployed_hash);
    status.deployed_at.clone_from(&app.status.deployed_at);
    status.deployed_version.clone_from(&app.status.deployed_version);
    status.upgrade.clone_from(&app.status.upgrade);
    if !matches!(action, Some(Action::Rotate(_))) {
        condition::set(&mut status.conditions, Condition::new(ConditionType::Deployed.word(), word, reason, message));
    }
    Decision::wait(finish(status), Next::After(BLOCKED_POLL))
}

/// Returns the Apps that need one which is being deleted, and go as well: they go before it, but for those that it needs
/// itself.
pub(super) fn going_first(cache: &Cache, app: &Object<App>) -> Vec<String> {
    let namespace = &app.metadata.namespace;
    let all: Vec<_> = cache.list(&App::resource());
    let needs = |name: &str| {
        let stored = cache.get(&ObjectKey::new(&App::resource(), namespace, name));
        stored.map(|stored| needed_by(&stored)).unwrap_or_default()
    };
    let is_needed = |name: &str| {
        let own: Vec<String> = app.spec.depends_on.iter().map(|needed| needed.name.clone()).collect();
        reaches(&own, name, &needs)
    };
    all.iter()
        .filter(|stored| stored.metadata.namespace == *namespace && stored.is_being_deleted())
        .filter(|stored| stored.metadata.name != app.metadata.name)
        .filter(|stored| needed_by(stored).contains(&app.metadata.name) && !is_needed(&stored.metadata.name))
        .map(|stored| stored.metadata.name.clone())
        .collect()
}

fn reaches(from: &[String], name: &str, needs: &dyn Fn(&str) -> Vec<String>) -> bool {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut open = from.to_vec();
    while let Some(next) = open.pop() {
        if next == name {
            return true;
        }
        if seen.insert(next.clone()) {
            open.extend(needs(&next));
        }
    }
    false
}

/// Returns the Apps that need one and stay.
fn left_behind(cache: &Cache, app: &Object<App>) -> Vec<String> {
    let stays = |stored: &StoredObject| {
        stored.metadata.namespace == app.metadata.namespace
            && !stored.is_being_deleted()
            && needed_by(stored).contains(&app.metadata.name)
    };
    cache
        .list(&App::resource())
        .iter()
        .filter(|stored| stays(stored))
        .map(|stored| stored.metadata.name.clone())
        .collect()
}

/// Holds the first step of a teardown back until those are gone that go first. Pure.
pub(super) fn hold_leaving(
    going_first: &[String],
    decided: Decision<AppStatus, Action>,
) -> Decision<AppStatus, Action> {
    if going_first.is_empty() {
        return decided;
    }
    let mut status = decided.status;
    let text = format!("It goes once those are gone that need it: {}.", shown(going_first));
    for type_ in [ConditionType::Deployed.word(), READY] {
        condition::set(
            &mut status.conditions,
            Condition::new(type_, ConditionStatus::False, reason::UNDEPLOYING, text.clone()),
        );
    }
    Decision::wait(status, Next::After(LEAVING_POLL))
}

fn shown(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

impl Apps {
    /// Returns a warning about the Apps that need one which goes, and stay.
    pub(super) fn warning_of_dependents(&self, app: &Object<App>) -> Option<String> {
        let left = left_behind(&self.cache, app);
        let text = || format!("It is deleted although Apps need it: {}. They may stop working.", shown(&left));
        (!left.is_empty()).then(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_back_is_found_whatever_lies_beside_it() {
        let needs = |name: &str| -> Vec<String> {
            let names: &[&str] = match name {
                "b" => &["c", "d"],
                "c" => &["a"],
                "d" => &["d"],
                _ => &[],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(cycle("a", &of(&["b"]), &needs), Some(of(&["a", "b", "c", "a"])));
        assert_eq!(cycle("a", &of(&["a"]), &needs), Some(of(&["a", "a"])));
        assert_eq!(cycle("z", &of(&["b"]), &needs), None, "it waits for a cycle, and is no part of it");
        assert_eq!(cycle("z", &[], &needs), None);
    }
}
