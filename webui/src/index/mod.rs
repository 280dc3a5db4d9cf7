//! What pages are made of: a small picture of every run, recipe, app and event, kept beside the store and brought up to
//! date by the changes since it was looked at last.
//!
//! A page of a busy store must not parse ten thousand runs. The index parses each object once, when it changes; pages
//! read it in the order in which they show it. Its maps are persistent, so a page works on a picture of its own.

mod event;
mod run;

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::kind::{Kind, Object as Typed};
use api_types::kinds::app::App;
use api_types::kinds::approval::Approval;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::host::Host;
use api_types::kinds::recipe::Recipe;
use api_types::kinds::repository::Repository;
use imbl::{HashMap, OrdMap, OrdSet};
use store::object::Object;
use store::state::State;

pub(crate) use event::EventSummary;
pub(crate) use run::{RUNGS, RunSummary, moment, short};

/// Keys of the resources that pages know.
pub(crate) const RUNS: &str = "testruns.ci.coopcloud.tech";
pub(crate) const RECIPES: &str = "recipes.ci.coopcloud.tech";
pub(crate) const APPS: &str = "apps.ci.coopcloud.tech";
pub(crate) const HOSTS: &str = "hosts.ci.coopcloud.tech";
pub(crate) const CERTIFICATES: &str = "certificates.ci.coopcloud.tech";
pub(crate) const REPOSITORIES: &str = "repositories.ci.coopcloud.tech";
pub(crate) const APPROVALS: &str = "approvals.ci.coopcloud.tech";
pub(crate) const EVENTS: &str = "events";

/// Newest first: when it was created, then its key.
pub(crate) type Newest = (Reverse<String>, Arc<str>);
/// Runs, newest first.
pub(crate) type RunsByAge = OrdMap<Newest, Arc<RunSummary>>;
/// Events, newest first.
pub(crate) type EventsByAge = OrdMap<Newest, Arc<EventSummary>>;
/// An object's resource and key.
pub(crate) type Member = (Arc<str>, Arc<str>);
/// Objects of one kind by their key in the store.
pub(crate) type Objects<K> = OrdMap<Arc<str>, Arc<Typed<K>>>;

/// The index at one revision. Clones share everything.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// Up to which revision it follows the store.
    pub revision: u64,
    /// Every run.
    pub runs: RunsByAge,
    /// Runs that have not ended.
    pub active: RunsByAge,
    /// The runs of each recipe, by `namespace/recipe`.
    pub runs_of: HashMap<Arc<str>, RunsByAge>,
    pub recipes: Objects<Recipe>,
    pub apps: Objects<App>,
    pub hosts: Objects<Host>,
    pub certificates: Objects<Certificate>,
    pub repositories: Objects<Repository>,
    pub approvals: Objects<Approval>,
    /// Every event.
    pub events: EventsByAge,
    /// The events of each object, by `kind/namespace/name`.
    pub events_of: HashMap<Arc<str>, EventsByAge>,
    /// What each object owns, by its uid.
    pub children: HashMap<Arc<str>, OrdSet<Member>>,
    run_by_key: HashMap<Arc<str>, Arc<RunSummary>>,
    event_by_key: HashMap<Arc<str>, Arc<EventSummary>>,
    owners: HashMap<Member, Vec<Arc<str>>>,
}

/// The one index of a server.
#[derive(Default)]
pub(crate) struct SharedIndex(Mutex<Index>);

impl SharedIndex {
    /// Returns the index at `state`, or a little later.
    pub(crate) fn at(&self, state: &State) -> Index {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        index.follow(state);
        index.clone()
    }
}

impl Index {
    /// Brings the index up to the state; one that is newer stays as it is.
    pub(crate) fn follow(&mut self, state: &State) {
        if self.revision >= state.revision && self.revision > 0 {
            return;
        }
        if self.revision == 0 || self.revision < state.compacted {
            *self = Self::default();
            for object in state.all_objects() {
                self.put(object);
            }
        } else {
            let changes: Vec<_> = state.changes_after(self.revision).cloned().collect();
            for change in changes {
                self.take(&change.object);
                if !change.object.is_deleted() {
                    self.put(&change.object);
                }
            }
        }
        self.revision = state.revision;
    }

    /// Returns a run's picture.
    pub(crate) fn run(&self, key: &str) -> Option<&Arc<RunSummary>> {
        self.run_by_key.get(key)
    }

    /// Iterates over the runs of a recipe, newest first.
    pub(crate) fn runs_of_recipe(&self, namespace: &str, recipe: &str) -> impl Iterator<Item = &Arc<RunSummary>> {
        self.runs_of.get(format!("{namespace}/{recipe}").as_str()).into_iter().flat_map(|runs| runs.values())
    }

    /// Iterates over the events of an object, newest first.
    pub(crate) fn events_about(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> impl Iterator<Item = &Arc<EventSummary>> {
        self.events_of.get(format!("{kind}/{namespace}/{name}").as_str()).into_iter().flat_map(|events| events.values())
    }

    fn put(&mut self, object: &Object) {
        let key: Arc<str> = Arc::from(object.key());
        let owners = object.owner_uids();
        if !owners.is_empty() {
            let resource: Arc<str> = Arc::from(object.resource());
            let owners: Vec<Arc<str>> = owners.into_iter().map(Arc::from).collect();
            for owner in &owners {
                self.children.entry(owner.clone()).or_default().insert((resource.clone(), key.clone()));
            }
            self.owners.insert((resource, key.clone()), owners);
        }
        match object.resource() {
            RUNS => self.put_run(key, object),
            EVENTS => self.put_event(key, object),
            RECIPES => put_typed(&mut self.recipes, key, object),
            APPS => put_typed(&mut self.apps, key, object),
            HOSTS => put_typed(&mut self.hosts, key, object),
            CERTIFICATES => put_typed(&mut self.certificates, key, object),
            REPOSITORIES => put_typed(&mut self.repositories, key, object),
            APPROVALS => put_typed(&mut self.approvals, key, object),
            _ => {}
        }
    }

    fn put_run(&mut self, key: Arc<str>, object: &Object) {
        let Some(run) = RunSummary::read(object).map(Arc::new) else { return };
        let place = newest(&run.created, &key);
        self.runs.insert(place.clone(), run.clone());
        if !run.is_finished() {
            self.active.insert(place.clone(), run.clone());
        }
        self.runs_of.entry(run.recipe_key()).or_default().insert(place, run.clone());
        self.run_by_key.insert(key, run);
    }

    fn put_event(&mut self, key: Arc<str>, object: &Object) {
        let Some(event) = EventSummary::read(object).map(Arc::new) else { return };
        let place = newest(&event.last, &key);
        self.events.insert(place.clone(), event.clone());
        self.events_of.entry(event.about_key()).or_default().insert(place, event.clone());
        self.event_by_key.insert(key, event);
    }

    /// Forgets what is known of an object.
    fn take(&mut self, object: &Object) {
        let key = object.key();
        self.take_owners(object);
        match object.resource() {
            RUNS => self.take_run(key),
            EVENTS => self.take_event(key),
            RECIPES => drop(self.recipes.remove(key)),
            APPS => drop(self.apps.remove(key)),
            HOSTS => drop(self.hosts.remove(key)),
            CERTIFICATES => drop(self.certificates.remove(key)),
            REPOSITORIES => drop(self.repositories.remove(key)),
            APPROVALS => drop(self.approvals.remove(key)),
            _ => {}
        }
    }

    fn take_owners(&mut self, object: &Object) {
        let child: Member = (Arc::from(object.resource()), Arc::from(object.key()));
        for owner in self.owners.remove(&child).into_iter().flatten() {
            if let Some(children) = self.children.get_mut(&owner) {
                children.remove(&child);
                if children.is_empty() {
                    self.children.remove(&owner);
                }
            }
        }
    }

    fn take_run(&mut self, key: &str) {
        let Some(run) = self.run_by_key.remove(key) else { return };
        let place = newest(&run.created, key);
        self.runs.remove(&place);
        self.active.remove(&place);
        take_from(&mut self.runs_of, &run.recipe_key(), &place);
    }

    fn take_event(&mut self, key: &str) {
        let Some(event) = self.event_by_key.remove(key) else { return };
        let place = newest(&event.last, key);
        self.events.remove(&place);
        take_from(&mut self.events_of, &event.about_key(), &place);
    }
}

fn newest(moment: &str, key: &str) -> Newest {
    (Reverse(moment.to_owned()), Arc::from(key))
}

fn take_from<T: Clone>(groups: &mut HashMap<Arc<str>, OrdMap<Newest, T>>, group: &Arc<str>, place: &Newest) {
    if let Some(members) = groups.get_mut(group) {
        members.remove(place);
        if members.is_empty() {
            groups.remove(group);
        }
    }
}

/// An object that an older or newer program wrote in another shape is left out rather than shown wrongly; its generic
/// page still shows it.
fn put_typed<K: Kind>(objects: &mut Objects<K>, key: Arc<str>, object: &Object) {
    if let Ok(typed) = serde_json::from_slice::<Typed<K>>(&object.json()) {
        objects.insert(key, Arc::new(typed));
    }
}
