//! A new store is prepared, an old one completed; roles are in force as soon as they are written.

use std::sync::Arc;

use serde_json::json;
use store::request::{Body, DeleteOptions, Part, Patch, Target, WriteOptions};
use store::store::{OpenOptions, Store};
use tokio_util::sync::CancellationToken;

use super::prepare;
use crate::authentication::{Credential, User};
use crate::authorization::{Authorizer, follow};
use crate::built_in::{own_definitions, registry};
use crate::request::RequestInfo;

fn open(directory: &std::path::Path) -> Store {
    Store::open(OpenOptions::new(directory.join("store"), registry())).unwrap()
}

fn target(store: &Store, group: &str, kind: &str, namespace: &str, name: &str) -> Target {
    Target::new(store.registry().find_kind(group, kind).unwrap(), namespace, name)
}

const RBAC: &str = "rbac.authorization.k8s.io";

#[tokio::test]
async fn a_second_start_changes_nothing_and_completes_what_people_cut() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    prepare(&store, &own_definitions()).await.unwrap();
    let revision = store.state().revision;
    prepare(&store, &own_definitions()).await.unwrap();
    assert_eq!(store.state().revision, revision);
    let view = target(&store, RBAC, "ClusterRole", "", "view");
    let whole = store.get(&view.resource, "view").unwrap().value();
    let added = json!({"apiGroups": ["x.y"], "resources": ["things"], "verbs": ["get"]});
    let cut = Patch::Merge(json!({"rules": [added]}));
    store.patch(&view, Part::Whole, &cut, &WriteOptions::by("test")).await.unwrap();
    store.close().await;
    drop(store);
    let store = open(directory.path());
    prepare(&store, &own_definitions()).await.unwrap();
    let rules = store.get(&view.resource, "view").unwrap().value()["rules"].as_array().unwrap().clone();
    assert_eq!(rules.len(), whole["rules"].as_array().unwrap().len() + 1);
    for kind in ["Recipe", "TestRun", "App", "Forge"] {
        assert!(store.registry().find_kind("ci.coopcloud.tech", kind).is_some(), "{kind}");
    }
    store.close().await;
}

#[tokio::test]
async fn roles_are_in_force_after_their_write_and_out_of_it_after_their_end() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    prepare(&store, &[]).await.unwrap();
    let authorizer = Arc::new(Authorizer::new(&[]));
    let cancel = CancellationToken::new();
    let following = tokio::spawn(follow::follow(Arc::clone(&authorizer), store.clone(), cancel.clone()));
    let bob = User::named("bob", &[], Credential::None);
    let request = RequestInfo::parse(&http::Method::GET, "/api/v1/namespaces/default/configmaps", None);
    let becomes = async |expected: bool| {
        let changed = async {
            while authorizer.authorize(&bob, &request).allowed != expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(1), changed).await.expect("in force within a second");
    };
    becomes(false).await;
    let binding = target(&store, RBAC, "RoleBinding", "default", "bob");
    let body = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": {"name": "bob", "namespace": "default"},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": RBAC, "kind": "User", "name": "bob"}]});
    store.create(&binding, Body::from(body), &WriteOptions::by("test")).await.unwrap();
    becomes(true).await;
    store.delete(&binding, &DeleteOptions::default()).await.unwrap();
    becomes(false).await;
    cancel.cancel();
    following.await.unwrap();
    store.close().await;
}
