//! Keeping the authorizer's index equal to the roles and bindings in the store.

use std::sync::Arc;

use serde_json::Value;
use store::state::State;
use store::store::Store;
use tokio_util::sync::CancellationToken;

use super::Authorizer;
use super::objects::RoleObjects;

/// The four resources, as the store calls them.
pub const ROLE_RESOURCES: [&str; 4] = [
    "clusterrolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
];

/// Reads all roles and bindings of `state`. Returns the newest revision that was read.
pub fn load(authorizer: &Authorizer, state: &State) -> u64 {
    let values: Vec<Value> = ROLE_RESOURCES
        .iter()
        .flat_map(|resource| state.objects_from(resource, ""))
        .map(|object| object.value())
        .collect();
    let (objects, problems) = RoleObjects::read(&values);
    for problem in problems {
        tracing::warn!("a role or binding grants nothing because it cannot be read: {problem}");
    }
    authorizer.replace(&objects);
    newest_revision(state)
}

/// Reads roles and bindings again after each of their changes, until `cancel`. A change is in force as soon as this
/// task has run once: well below a second, whatever else is written.
pub async fn follow(authorizer: Arc<Authorizer>, store: Store, cancel: CancellationToken) {
    let mut bell = store.changes();
    let mut loaded = load(&authorizer, &store.state());
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            rung = bell.changed() => {
                if rung.is_err() {
                    return;
                }
            }
        }
        let state = store.state();
        if newest_revision(&state) != loaded {
            loaded = load(&authorizer, &state);
        }
    }
}

fn newest_revision(state: &State) -> u64 {
    ROLE_RESOURCES.iter().map(|resource| state.resource_revision(resource)).max().unwrap_or_default()
}
