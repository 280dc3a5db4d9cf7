//! May they: role-based access control over Role, ClusterRole, RoleBinding and ClusterRoleBinding objects.
//!
//! The objects are compiled into an index by subject whenever one of them changes; a request reads the index without
//! parsing, locking or allocating. What no rule allows is denied.

pub mod access_review;
pub mod defaults;
pub mod escalation;
pub mod follow;
mod index;
pub mod objects;
pub mod rules;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use api_types::status::{Reason, ResourceNames, Status, StatusDetails};
use arc_swap::ArcSwap;

use crate::authentication::{MASTERS, User};
use crate::request::RequestInfo;
use index::Index;
use objects::RoleObjects;
use rules::path_matches;

/// Paths that answer everybody, with or without a token. Readiness probes and scrapers must work on a fresh install,
/// and no edit of a role may lock them out.
pub const OPEN_PATHS: [&str; 10] = [
    "/healthz",
    "/healthz/*",
    "/livez",
    "/livez/*",
    "/readyz",
    "/readyz/*",
    "/version",
    "/version/",
    "/metrics",
    "/metrics/",
];

/// The answer to "may this user do this".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Which binding allowed it, or what was wrong with a binding that might have; may be empty.
    pub reason: Arc<str>,
}

/// Decides what users may do.
pub struct Authorizer {
    index: ArcSwap<Index>,
    open_paths: Vec<String>,
    nothing_to_say: Arc<str>,
    open_reason: Arc<str>,
}

impl Authorizer {
    /// Returns an authorizer that denies everything but [`OPEN_PATHS`], `also_open` and `system:masters`.
    ///
    /// `also_open` are paths that everybody may GET; a trailing `*` matches any rest.
    #[must_use]
    pub fn new(also_open: &[String]) -> Self {
        let open_paths = OPEN_PATHS.iter().map(|path| (*path).to_owned()).chain(also_open.iter().cloned()).collect();
        Self {
            index: ArcSwap::from_pointee(Index::default()),
            open_paths,
            nothing_to_say: Arc::from(""),
            open_reason: Arc::from("the path is open to everybody"),
        }
    }

    /// Replaces all roles and bindings; the next request is judged by the new ones.
    pub fn replace(&self, objects: &RoleObjects) {
        self.index.store(Arc::new(Index::compile(objects)));
    }

    /// Returns whether `user` may do what `request` asks.
    #[must_use]
    pub fn authorize(&self, user: &User, request: &RequestInfo) -> Decision {
        if user.is_in(MASTERS) {
            return Decision { allowed: true, reason: Arc::clone(&self.nothing_to_say) };
        }
        let reads = !request.is_resource && matches!(request.verb.as_str(), "get" | "head");
        if let Some(open) = reads.then(|| self.open(&request.path)).flatten() {
            return open;
        }
        let index = self.index.load();
        if let Some(reason) = index.allows(user, request) {
            return Decision { allowed: true, reason };
        }
        let problem = index.problem(user, request);
        Decision { allowed: false, reason: problem.unwrap_or_else(|| Arc::clone(&self.nothing_to_say)) }
    }

    /// Returns nothing when `user` may do it.
    ///
    /// # Errors
    /// 403 in Kubernetes' words when they may not.
    pub fn require(&self, user: &User, request: &RequestInfo) -> Result<(), Status> {
        let decision = self.authorize(user, request);
        if decision.allowed { Ok(()) } else { Err(forbidden(user, request, &decision.reason)) }
    }

    /// Returns whether any binding names this user.
    #[must_use]
    pub fn knows_user(&self, name: &str) -> bool {
        self.index.load().knows_user(name)
    }

    /// Returns whether any binding names this group.
    #[must_use]
    pub fn knows_group(&self, name: &str) -> bool {
        self.index.load().knows_group(name)
    }

    /// Returns the decision on reading a path that everybody may read; `None` for any other.
    #[must_use]
    pub fn open(&self, path: &str) -> Option<Decision> {
        let is_open = self.open_paths.iter().any(|pattern| path_matches(pattern, path));
        is_open.then(|| Decision { allowed: true, reason: Arc::clone(&self.open_reason) })
    }
}

/// Returns 403 with Kubernetes' text; `reason` is appended when there is one.
#[must_use]
pub fn forbidden(user: &User, request: &RequestInfo, reason: &str) -> Status {
    let suffix = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if !request.is_resource {
        let message =
            format!("forbidden: User {:?} cannot {} path {:?}{suffix}", user.name, request.verb, request.path);
        let mut status = Status::failure(Reason::Forbidden, message);
        status.details = Some(StatusDetails::default());
        return status;
    }
    let scope = if request.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {:?}", request.namespace)
    };
    let why = format!(
        "User {:?} cannot {} resource {:?} in API group {:?} {scope}{suffix}",
        user.name,
        request.verb,
        request.combined_resource(),
        request.group
    );
    let names = ResourceNames { group: request.group.clone(), plural: request.resource.clone(), kind: String::new() };
    if request.name.is_empty() {
        return Status::failure(Reason::Forbidden, format!("{} is forbidden: {why}", names.qualified_plural()))
            .about(&names, "");
    }
    Status::forbidden(&names, &request.name, &why)
}
