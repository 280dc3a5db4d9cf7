//! Every verb, with what it refuses.

use std::sync::Arc;

use api_types::status::Reason;
use serde_json::json;

use super::{Bench, widget_body};
use crate::commit::{Expected, Write};
use crate::error::{CommitError, ResourceChange};
use crate::object::Draft;
use crate::request::{Body, DeleteOptions, DryRun, Outcome, Part, Patch, Propagation, WriteOptions};

#[tokio::test]
async fn a_created_object_carries_what_the_server_decides() {
    let bench = Bench::new().await;
    let metadata = json!({"uid": "forged", "generation": 7, "creationTimestamp": "1999-01-01T00:00:00Z"});
    let written = bench.create_with("a", metadata, json!({"text": "x"})).await.unwrap();
    let value = written.object.value();
    assert_eq!(written.outcome, Outcome::Created);
    assert_eq!(value["metadata"]["generation"], 1);
    assert_eq!(value["metadata"]["uid"].as_str().unwrap().len(), 36);
    assert!(value["metadata"]["creationTimestamp"].as_str().unwrap().starts_with("2026-01-01T"));
    assert_eq!(value["metadata"]["resourceVersion"], written.object.revision.to_string());
    assert_eq!(value["spec"], json!({"size": 1, "text": "x"}));
}

#[tokio::test]
async fn a_write_is_there_after_a_restart() {
    let bench = Bench::new().await;
    let written = bench.create("a", json!({"text": "x".repeat(20_000)})).await.unwrap();
    let bench = bench.reopen().await;
    let found = bench.store.get(&bench.resource("widgets.test.example.com"), "default/a").unwrap();
    assert_eq!(found.json(), written.object.json());
    assert_eq!(bench.store.state().revision, written.object.revision);
}

#[tokio::test]
async fn creating_twice_is_refused() {
    let bench = Bench::new().await;
    bench.create("a", json!({})).await.unwrap();
    let status = bench.create("a", json!({})).await.unwrap_err();
    assert_eq!(status.message, "widgets.test.example.com \"a\" already exists");
    assert_eq!((status.code, status.reason), (409, Some(Reason::AlreadyExists)));
}

#[tokio::test]
async fn a_generated_name_has_the_prefix_and_five_characters() {
    let bench = Bench::new().await;
    let body = widget_body(json!({"generateName": "run-"}), json!({}));
    let written = bench.store.create(&bench.widget(""), body, &WriteOptions::by("test")).await.unwrap();
    let name = written.object.name().to_owned();
    assert!(name.starts_with("run-") && name.len() == 9, "{name}");
}

#[tokio::test]
async fn a_body_about_something_else_is_refused() {
    let bench = Bench::new().await;
    let cases = [
        (json!({"kind": "Gadget", "apiVersion": "test.example.com/v1"}), 422),
        (json!({"kind": "Widget", "apiVersion": "test.example.com/v9"}), 400),
        (json!({"apiVersion": "test.example.com/v1"}), 400),
        (
            json!({"kind": "Widget", "apiVersion": "test.example.com/v1", "metadata": {"name": "a", "namespace": "x"}}),
            400,
        ),
        (json!({"kind": "Widget", "apiVersion": "test.example.com/v1", "metadata": {}}), 422),
        (json!([]), 400),
    ];
    for (body, code) in cases {
        let shown = body.to_string();
        let result = bench.store.create(&bench.widget(""), Body::from(body), &WriteOptions::by("test")).await;
        assert_eq!(result.unwrap_err().code, code, "{shown}");
    }
    assert!(bench.names().is_empty());
}

#[tokio::test]
async fn a_missing_or_ending_namespace_takes_no_new_objects() {
    let bench = Bench::new().await;
    let missing = bench.target("widgets.test.example.com", "nope", "a");
    let body = || widget_body(json!({"name": "a"}), json!({}));
    let status = bench.store.create(&missing, body(), &WriteOptions::by("test")).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (404, "namespaces \"nope\" not found"));

    bench.delete(&bench.target("namespaces", "", "other")).await.unwrap();
    let ending = bench.target("widgets.test.example.com", "other", "a");
    let status = bench.store.create(&ending, body(), &WriteOptions::by("test")).await.unwrap_err();
    assert_eq!(status.code, 403);
    assert_eq!(status.details.unwrap().causes[0].reason, "NamespaceTerminating");
}

#[tokio::test]
async fn the_default_namespace_stays() {
    let bench = Bench::new().await;
    let status = bench.delete(&bench.target("namespaces", "", "default")).await.unwrap_err();
    assert_eq!(status.message, "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[tokio::test]
async fn an_update_needs_the_present_version() {
    let bench = Bench::new().await;
    let first = bench.create("a", json!({})).await.unwrap();
    let put = |version: Option<u64>, size: u64| {
        let mut metadata = json!({"name": "a"});
        if let Some(version) = version {
            metadata["resourceVersion"] = json!(version.to_string());
        }
        widget_body(metadata, json!({"size": size}))
    };
    let options = WriteOptions::by("test");
    let target = bench.widget("a");
    let second = bench.store.update(&target, Part::Whole, put(Some(first.object.revision), 2), &options).await.unwrap();
    assert_eq!(second.object.value()["metadata"]["generation"], 2);
    let stale = bench.store.update(&target, Part::Whole, put(Some(first.object.revision), 3), &options).await;
    assert_eq!(stale.unwrap_err().code, 409);
    let blind = bench.store.update(&target, Part::Whole, put(None, 3), &options).await;
    assert_eq!(blind.unwrap_err().details.unwrap().causes[0].field, "metadata.resourceVersion");
}

#[tokio::test]
async fn a_write_that_changes_nothing_is_no_write() {
    let bench = Bench::new().await;
    let first = bench.create("a", json!({"size": 3})).await.unwrap();
    let before = bench.store.state().revision;
    let again = bench.merge(&bench.widget("a"), Part::Whole, json!({"spec": {"size": 3}})).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    assert_eq!(again.object.revision, first.object.revision);
    assert_eq!(bench.store.state().revision, before);
}

#[tokio::test]
async fn status_and_the_rest_do_not_touch_each_other() {
    let bench = Bench::new().await;
    bench.create("a", json!({"size": 3})).await.unwrap();
    let target = bench.widget("a");
    let patch = json!({"metadata": {"labels": {"x": "y"}}, "spec": {"size": 9}, "status": {"phase": "Running"}});
    let status = bench.merge(&target, Part::Status, patch.clone()).await.unwrap().object.value();
    assert_eq!((&status["spec"]["size"], &status["status"]["phase"]), (&json!(3), &json!("Running")));
    assert_eq!(status["metadata"]["labels"], json!(null));
    assert_eq!(status["metadata"]["generation"], 1);
    let whole = json!({"spec": {"size": 9}, "status": {"phase": "Forged"}});
    let whole = bench.merge(&target, Part::Whole, whole).await.unwrap().object.value();
    assert_eq!((&whole["spec"]["size"], &whole["status"]["phase"]), (&json!(9), &json!("Running")));
    assert_eq!(whole["metadata"]["generation"], 2);
}

#[tokio::test]
async fn finalizers_hold_an_object_until_they_are_gone() {
    let bench = Bench::new().await;
    bench.create_with("a", json!({"finalizers": ["test.example.com/hold"]}), json!({})).await.unwrap();
    let target = bench.widget("a");
    let marked = bench.delete(&target).await.unwrap();
    assert_eq!(marked.outcome, Outcome::Deleting);
    assert_eq!(marked.object.value()["metadata"]["generation"], 2);
    assert_eq!(bench.delete(&target).await.unwrap().object.revision, marked.object.revision);

    let more = json!({"metadata": {"finalizers": ["test.example.com/hold", "test.example.com/new"]}});
    let status = bench.merge(&target, Part::Whole, more).await.unwrap_err();
    assert_eq!(status.details.unwrap().causes[0].field, "metadata.finalizers");

    let clear = json!({"metadata": {"deletionTimestamp": null}});
    assert_eq!(bench.merge(&target, Part::Whole, clear).await.unwrap().outcome, Outcome::Unchanged);

    let last = bench.merge(&target, Part::Whole, json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert_eq!(last.outcome, Outcome::Deleted);
    assert!(bench.names().is_empty());
    assert!(bench.reopen().await.names().is_empty());
}

#[tokio::test]
async fn delete_preconditions_name_one_life_and_one_version() {
    let bench = Bench::new().await;
    let written = bench.create("a", json!({})).await.unwrap();
    let target = bench.widget("a");
    let wrong_uid = DeleteOptions { uid: Some("other".to_owned()), ..DeleteOptions::default() };
    assert_eq!(bench.store.delete(&target, &wrong_uid).await.unwrap_err().code, 409);
    let wrong_version = DeleteOptions { resource_version: Some("1".to_owned()), ..DeleteOptions::default() };
    assert_eq!(bench.store.delete(&target, &wrong_version).await.unwrap_err().code, 409);
    let right = DeleteOptions {
        uid: Some(written.object.uid().to_owned()),
        resource_version: Some(written.object.revision.to_string()),
        propagation: Some(Propagation::Background),
        dry_run: DryRun::No,
    };
    assert_eq!(bench.store.delete(&target, &right).await.unwrap().outcome, Outcome::Deleted);
    assert_eq!(bench.delete(&target).await.unwrap_err().code, 404);
}

#[tokio::test]
async fn a_dry_run_answers_as_if_and_leaves_nothing() {
    let bench = Bench::new().await;
    let before = bench.store.state().revision;
    let options = WriteOptions { dry_run: DryRun::All, ..WriteOptions::by("test") };
    let body = widget_body(json!({"name": "a"}), json!({}));
    let written = bench.store.create(&bench.widget("a"), body, &options).await.unwrap();
    assert_eq!(written.object.value()["spec"]["size"], 1);
    assert_eq!(written.object.value()["metadata"].get("resourceVersion"), None);
    assert_eq!(bench.store.state().revision, before);

    let real = bench.create("b", json!({})).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"size": 5}}));
    let tried = bench.store.patch(&bench.widget("b"), Part::Whole, &patch, &options).await.unwrap();
    assert_eq!(tried.object.value()["spec"]["size"], 5);
    assert_eq!(tried.object.value()["metadata"]["resourceVersion"], real.object.revision.to_string());
    assert_eq!(bench.store.get(&bench.widget("b").resource, "default/b").unwrap().value()["spec"]["size"], 1);
}

#[tokio::test]
async fn an_object_that_is_too_large_is_refused() {
    let bench = Bench::new().await;
    let status = bench.create("a", json!({"text": "x".repeat(2 << 20)})).await.unwrap_err();
    assert_eq!((status.code, status.reason), (413, Some(Reason::RequestEntityTooLarge)));
}

#[tokio::test]
async fn a_definition_serves_its_kind_until_its_end() {
    let bench = Bench::new().await.reopen().await;
    bench.create("a", json!({})).await.unwrap();
    let definition = bench.target(crate::registry::DEFINITIONS, "", "widgets.test.example.com");
    let marked = bench.delete(&definition).await.unwrap();
    assert_eq!(marked.outcome, Outcome::Deleting);
    // What is there can still be changed, but nothing new comes, also not from those who were admitted before.
    let refused = bench.create("b", json!({})).await.unwrap_err();
    assert_eq!(refused.reason, Some(Reason::MethodNotAllowed));
    assert_eq!(refused.message, "create not allowed while custom resource definition is terminating");
    let changed = |change| CommitError::ResourceChanged { index: 0, change };
    let late = creations(&bench, &[("b", Expected::Absent)]);
    assert_eq!(bench.store.commit(late).await.unwrap_err(), changed(ResourceChange::Terminating));
    bench.merge(&bench.widget("a"), Part::Whole, json!({"metadata": {"labels": {"is": "changed"}}})).await.unwrap();
    let (widget, late) = (bench.widget("a"), creations(&bench, &[("b", Expected::Absent)]));
    bench.delete(&widget).await.unwrap();
    bench.merge(&definition, Part::Whole, json!({"metadata": {"finalizers": null}})).await.unwrap();
    assert!(bench.store.registry().get("widgets.test.example.com").is_none());
    assert_eq!(bench.store.commit(late).await.unwrap_err(), changed(ResourceChange::Gone));
}

/// A transaction that creates widgets, and expects each where it says.
fn creations(bench: &Bench, expectations: &[(&str, Expected)]) -> Vec<Write> {
    let write = |(name, expected): &(&str, Expected)| {
        let key = format!("default/{name}");
        let value = json!({"apiVersion": "test.example.com/v1", "kind": "Widget",
            "metadata": {"name": name, "namespace": "default", "uid": name}, "spec": {}});
        Write {
            resource: bench.resource("widgets.test.example.com"),
            key: Arc::from(key.as_str()),
            expected: *expected,
            draft: Draft::new("widgets.test.example.com", &key, &value, 1).unwrap(),
            deletes: false,
            namespace: Some(Arc::from("default")),
            registry: None,
        }
    };
    expectations.iter().map(write).collect()
}

#[tokio::test]
async fn a_transaction_happens_whole_or_not_at_all() {
    let bench = Bench::new().await;
    let before = bench.store.state().revision;
    let stale = creations(&bench, &[("a", Expected::Absent), ("b", Expected::Revision(1))]);
    assert_eq!(bench.store.commit(stale).await.unwrap_err(), CommitError::Stale { index: 1 });
    assert_eq!((bench.names().len(), bench.store.state().revision), (0, before));
    let whole = creations(&bench, &[("a", Expected::Absent), ("b", Expected::Absent), ("c", Expected::Absent)]);
    let written = bench.store.commit(whole).await.unwrap();
    let revisions: Vec<u64> = written.iter().map(|object| object.revision).collect();
    assert_eq!(revisions, [before + 1, before + 2, before + 3]);
    let bench = bench.reopen().await;
    assert_eq!(bench.names(), ["default/a", "default/b", "default/c"]);
}
