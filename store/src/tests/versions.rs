//! Kinds with several versions: what is stored with one stays whole when another becomes the storage version.

use api_types::status::Reason;
use serde_json::{Value, json};

use super::{Bench, GROUP};
use crate::registry::DEFINITIONS;
use crate::request::{Body, Outcome, Part, Patch, Target, WriteOptions};

const NAME: &str = "tools.test.example.com";

fn versions(storage: &str, names: &[&str]) -> Value {
    let version = |name: &&str| {
        json!({"name": name, "served": true, "storage": *name == storage,
               "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    names.iter().map(version).collect()
}

/// A kind with two versions, and one object; the first version is the storage version.
async fn with_an_object() -> Bench {
    let bench = Bench::new().await;
    let definition = json!({
        "metadata": {"name": NAME},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "tools", "kind": "Tool"},
                 "versions": versions("v1", &["v1", "v2"])},
    });
    let target = bench.target(DEFINITIONS, "", "");
    bench.store.create(&target, Body::from(definition), &WriteOptions::by("test")).await.unwrap();
    let body =
        json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Tool", "metadata": {"name": "a"}, "spec": {"size": 1}});
    bench.store.create(&tool(&bench), Body::from(body), &WriteOptions::by("test")).await.unwrap();
    bench
}

async fn give_another_storage_version(bench: &Bench) {
    let patch = json!({"spec": {"versions": versions("v2", &["v1", "v2"])}});
    bench.merge(&definition_target(bench), Part::Whole, patch).await.unwrap();
}

/// The same when the second version is the storage version, and the object still stored with the first.
async fn with_an_object_of_before() -> Bench {
    let bench = with_an_object().await;
    give_another_storage_version(&bench).await;
    bench
}

fn tool(bench: &Bench) -> Target {
    bench.target(NAME, "default", "a")
}

fn definition_target(bench: &Bench) -> Target {
    bench.target(DEFINITIONS, "", NAME)
}

fn stored(bench: &Bench) -> (String, Vec<String>) {
    let object = bench.store.get(&bench.resource(NAME), "default/a").unwrap();
    (object.api_version().into_owned(), bench.resource(NAME).stored_versions.clone())
}

/// Returns the messages of a refusal, without what comes before them.
async fn refusals(bench: &Bench, part: Part, patch: Value) -> Vec<(String, String)> {
    let status = bench.merge(&definition_target(bench), part, patch).await.unwrap_err();
    status.details.unwrap().causes.into_iter().map(|cause| (cause.field, cause.message)).collect()
}

#[tokio::test]
async fn nothing_is_stored_with_a_version_that_was_dropped_while_it_was_written() {
    let bench = with_an_object().await;
    // Whoever was admitted before the changes still sees the kind like this.
    let seen = bench.resource(NAME);
    let create = async |name: &str| {
        let body = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Tool", "metadata": {"name": name}});
        bench.store.create(&Target::new(&seen, "default", ""), Body::from(body), &WriteOptions::by("test")).await
    };
    give_another_storage_version(&bench).await;
    let written = create("b").await.unwrap();
    assert_eq!(written.object.api_version(), format!("{GROUP}/v1"), "objects of both versions may still be stored");
    for name in ["a", "b"] {
        bench.merge(&bench.target(NAME, "default", name), Part::Whole, json!({})).await.unwrap();
    }
    bench.merge(&definition_target(&bench), Part::Status, json!({"status": {"storedVersions": ["v2"]}})).await.unwrap();
    let status = create("c").await.unwrap_err();
    assert_eq!(status.reason, Some(Reason::Conflict));
    let why = "the definition of its kind was given another storage version at this moment, please try again";
    assert!(status.message.ends_with(why), "{}", status.message);
    assert!(bench.store.get(&seen, "default/c").is_none());
    // Not more than the version counts: another change of the definition is no reason to refuse.
    let seen = bench.resource(NAME);
    bench
        .merge(&definition_target(&bench), Part::Whole, json!({"spec": {"versions": versions("v2", &["v2"])}}))
        .await
        .unwrap();
    let body = json!({"apiVersion": format!("{GROUP}/v2"), "kind": "Tool", "metadata": {"name": "d"}});
    bench.store.create(&Target::new(&seen, "default", ""), Body::from(body), &WriteOptions::by("test")).await.unwrap();
}

#[tokio::test]
async fn a_version_stays_when_something_was_stored_with_it_while_it_was_dropped() {
    let bench = with_an_object().await;
    let seen = bench.resource(NAME);
    give_another_storage_version(&bench).await;
    bench.merge(&tool(&bench), Part::Whole, json!({})).await.unwrap();
    let transaction = bench.store.transaction();
    let without = Patch::Merge(json!({"status": {"storedVersions": ["v2"]}}));
    transaction.patch(&definition_target(&bench), Part::Status, &without, &WriteOptions::by("test")).await.unwrap();
    // Nothing was stored with the version when the change was admitted.
    let body = json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Tool", "metadata": {"name": "b"}});
    bench.store.create(&Target::new(&seen, "default", ""), Body::from(body), &WriteOptions::by("test")).await.unwrap();
    assert_eq!(transaction.commit().await.unwrap_err().reason, Some(Reason::Conflict));
    assert_eq!(bench.resource(NAME).stored_versions, ["v1", "v2"]);
}

#[tokio::test]
async fn an_object_moves_when_it_is_written_again_as_it_is() {
    let bench = with_an_object_of_before().await;
    assert_eq!(stored(&bench), (format!("{GROUP}/v1"), vec!["v1".to_owned(), "v2".to_owned()]));
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        let written = bench.merge(&tool(&bench), Part::Whole, json!({})).await.unwrap();
        outcomes.push(written.outcome);
        assert_eq!(written.object.value()["metadata"]["generation"], 1);
    }
    assert_eq!(outcomes, [Outcome::Updated, Outcome::Unchanged]);
    assert_eq!(stored(&bench).0, format!("{GROUP}/v2"));
}

#[tokio::test]
async fn a_version_may_go_when_nothing_is_stored_with_it() {
    let bench = with_an_object_of_before().await;
    let only_v2 = json!({"spec": {"versions": versions("v2", &["v2"])}});
    let left_out = json!({"status": {"storedVersions": ["v2"]}});
    let must_remain = "Invalid value: \"v1\": missing from spec.versions; v1 was previously a storage version, and must \
                       remain in spec.versions until a storage migration ensures no data remains persisted in v1 and \
                       removes v1 from status.storedVersions";
    let refused = refusals(&bench, Part::Whole, only_v2.clone()).await;
    assert_eq!(refused, [("status.storedVersions[0]".to_owned(), must_remain.to_owned())]);
    let still_stored = "Forbidden: 1 objects are still stored as v1, the first is default/a; write them all again first: \
                        kubectl get tools.test.example.com --all-namespaces --output json | kubectl replace --filename -";
    let refused = refusals(&bench, Part::Status, left_out.clone()).await;
    assert_eq!(refused, [("status.storedVersions".to_owned(), still_stored.to_owned())]);
    let bench = bench.reopen().await;
    bench.merge(&tool(&bench), Part::Whole, json!({})).await.unwrap();
    bench.merge(&definition_target(&bench), Part::Status, left_out).await.unwrap();
    bench.merge(&definition_target(&bench), Part::Whole, only_v2).await.unwrap();
    let bench = bench.reopen().await;
    assert_eq!(stored(&bench), (format!("{GROUP}/v2"), vec!["v2".to_owned()]));
}

#[tokio::test]
async fn the_stored_versions_of_a_definition_name_the_storage_version_and_only_versions_that_are_there() {
    let bench = with_an_object_of_before().await;
    let lacks = "must have the storage version v2";
    let cases = [
        (
            json!([]),
            vec![
                format!("Invalid value: []string{{}}: must have at least one stored version"),
                format!("Invalid value: []string{{}}: {lacks}"),
            ],
        ),
        (json!(["v1"]), vec![format!("Invalid value: []string{{\"v1\"}}: {lacks}")]),
        (
            Value::Null,
            vec![
                format!("Invalid value: []string{{}}: must have at least one stored version"),
                format!("Invalid value: []string{{}}: {lacks}"),
            ],
        ),
    ];
    for (given, messages) in cases {
        let refused = refusals(&bench, Part::Status, json!({"status": {"storedVersions": given}})).await;
        assert_eq!(refused.into_iter().map(|(_, message)| message).collect::<Vec<_>>(), messages);
    }
    // Whoever writes all of a definition says nothing about what is stored.
    bench.merge(&definition_target(&bench), Part::Whole, json!({"status": {"storedVersions": ["v2"]}})).await.unwrap();
    assert_eq!(stored(&bench).1, ["v1", "v2"]);
}
