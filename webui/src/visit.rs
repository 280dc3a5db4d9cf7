//! One request for a page: who asks, for what, and everything that the page is made of.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use apiserver::access::Access;
use apiserver::api::Api;
use apiserver::authentication::{ANONYMOUS, User};
use apiserver::authorization::Decision;
use apiserver::request::{RequestInfo, query_values};
use jiff::Timestamp;
use store::registry::{NAMESPACES, Resource};
use store::state::State;

use crate::index::{Index, RECIPES, RUNS};
use crate::pictures::Gallery;
use crate::review::Reviews;
use crate::session::Session;

/// The label with which a namespace is shown to everybody, when it is `true`.
pub(crate) const PUBLIC_LABEL: &str = "ci.coopcloud.tech/public";
/// What everybody sees of a public namespace, each with its subresources.
const PUBLIC: [(&str, &[&str]); 2] = [(RECIPES, &[""]), (RUNS, &["", "log", "artifacts"])];

/// One request for a page.
pub(crate) struct Visit {
    pub access: Access,
    pub api: Arc<Api>,
    pub user: Arc<User>,
    pub session: Option<Session>,
    /// Bound to the browser: what forms carry.
    pub form_token: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub state: Arc<State>,
    pub index: Index,
    pub now: Timestamp,
    /// Looks at commits; pages that are sent while somebody looks do without.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// Draws cards, likewise.
    pub gallery: Option<Gallery>,
    sights: Mutex<HashMap<String, Arc<Sight>>>,
}

/// In which namespaces somebody sees a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    Everywhere,
    In(BTreeSet<String>),
}

impl Sight {
    /// Returns whether objects in `namespace` are seen.
    pub(crate) fn sees(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::In(namespaces) => namespaces.contains(namespace),
        }
    }

    /// Returns whether nothing is seen at all.
    pub(crate) fn is_blind(&self) -> bool {
        matches!(self, Self::In(namespaces) if namespaces.is_empty())
    }
}

/// What a visit is made of that its page does not decide.
pub(crate) struct Visitor {
    pub user: Arc<User>,
    pub session: Option<Session>,
    pub form_token: String,
}

impl Visit {
    pub(crate) fn new(
        api: &Arc<Api>,
        state: Arc<State>,
        index: Index,
        visitor: Visitor,
        path: &str,
        query: &str,
    ) -> Self {
        Self {
            access: api.access.clone(),
            now: api.clock.now(),
            api: api.clone(),
            user: visitor.user,
            session: visitor.session,
            form_token: visitor.form_token,
            path: path.to_owned(),
            query: query_values(query).collect(),
            state,
            index,
            reviews: None,
            gallery: None,
            sights: Mutex::default(),
        }
    }

    /// Returns the value of a query parameter; empty when it is not there.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// Returns whether nobody has signed in.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.user.name == ANONYMOUS
    }

    /// Returns whether the reader may do something with one object, or with all of a namespace.
    pub(crate) fn may(&self, verb: &str, key: &str, namespace: &str, name: &str) -> bool {
        let Some(resource) = self.state.registry.get(key) else { return false };
        let info = ask(verb, resource, namespace, name, "");
        self.access.authorizer.authorize(&self.user, &info).allowed
    }

    /// Returns whether the reader may have the files that a run left.
    pub(crate) fn sees_artifacts(&self, namespace: &str, name: &str) -> bool {
        let Some(resource) = self.state.registry.get(RUNS) else { return false };
        let info = ask("get", resource, namespace, name, "artifacts");
        decide(&self.access, &self.user, &self.state, &info).allowed
    }

    /// Returns in which namespaces the reader sees a kind.
    pub(crate) fn sight(&self, key: &str) -> Arc<Sight> {
        let mut sights = self.sights.lock().unwrap_or_else(PoisonError::into_inner);
        sights
            .entry(key.to_owned())
            .or_insert_with(|| Arc::new(sight(&self.access, &self.user, &self.state, key)))
            .clone()
    }

    /// Returns whether the reader sees a kind's objects in a namespace; the empty one is that of cluster-scoped kinds.
    pub(crate) fn sees(&self, key: &str, namespace: &str) -> bool {
        self.sight(key).sees(namespace)
    }

    /// Returns the namespaces in which anything at all can be shown, for the choice of one.
    pub(crate) fn namespaces(&self) -> Vec<String> {
        let (runs, recipes) = (self.sight(RUNS), self.sight(RECIPES));
        namespaces(&self.state).filter(|name| runs.sees(name) || recipes.sees(name)).map(str::to_owned).collect()
    }
}

/// Returns in which namespaces somebody sees a kind.
pub(crate) fn sight(access: &Access, user: &User, state: &State, key: &str) -> Sight {
    let Some(resource) = state.registry.get(key) else { return Sight::In(BTreeSet::new()) };
    if access.authorizer.authorize(user, &ask("list", resource, "", "", "")).allowed {
        return Sight::Everywhere;
    }
    if !resource.is_namespaced() {
        return Sight::In(BTreeSet::new());
    }
    let seen = namespaces(state).filter(|namespace| {
        is_public(state, key, namespace, "")
            || access.authorizer.authorize(user, &ask("list", resource, namespace, "", "")).allowed
    });
    Sight::In(seen.map(str::to_owned).collect())
}

/// Judges a request for one object, or for a namespace: roles decide, and what is public everybody may read.
pub(crate) fn decide(access: &Access, user: &User, state: &State, info: &RequestInfo) -> Decision {
    let decision = access.authorizer.authorize(user, info);
    if decision.allowed || info.is_mutating() {
        return decision;
    }
    let key = store::registry::resource_key(&info.group, &info.resource);
    if is_public(state, &key, &info.namespace, &info.subresource) {
        return Decision { allowed: true, reason: Arc::from("the namespace is public") };
    }
    decision
}

/// Returns whether everybody may read a kind in a namespace.
pub(crate) fn is_public(state: &State, key: &str, namespace: &str, subresource: &str) -> bool {
    let is_shown = PUBLIC.iter().any(|(shown, parts)| *shown == key && parts.contains(&subresource));
    is_shown && state.get(NAMESPACES, namespace).is_some_and(|namespace| namespace.label(PUBLIC_LABEL) == Some("true"))
}

/// Returns what a request for a page asks of the API, in the words of authorisation and audit.
pub(crate) fn ask(verb: &str, resource: &Resource, namespace: &str, name: &str, subresource: &str) -> RequestInfo {
    RequestInfo {
        verb: verb.to_owned(),
        group: resource.names.group.clone(),
        version: resource.storage_version().name.clone(),
        resource: resource.names.plural.clone(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        path: String::new(),
        is_resource: true,
    }
}

fn namespaces(state: &State) -> impl Iterator<Item = &str> {
    state.objects_from(NAMESPACES, "").map(|object| object.name())
}
