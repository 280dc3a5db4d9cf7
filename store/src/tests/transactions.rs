//! Transactions: changes of several objects that happen together or not at all.

use api_types::status::Reason;
use serde_json::{Value, json};

use super::{Bench, definition, widget_body};
use crate::registry::DEFINITIONS;
use crate::request::{Body, DeleteOptions, DryRun, Part, Patch, WriteOptions};
use crate::write::{Force, TRANSACTION_BYTES_MAX, TRANSACTION_WRITES_MAX, Transaction};

/// A widget with `text` for its spec.
fn widget(name: &str, text: &str) -> Body {
    widget_body(json!({"name": name}), json!({"text": text}))
}

fn by_test() -> WriteOptions {
    WriteOptions::by("test")
}

fn text(bench: &Bench, name: &str) -> Option<String> {
    let object = bench.store.get(&bench.resource("widgets.test.example.com"), &format!("default/{name}"))?;
    Some(object.value()["spec"]["text"].as_str().unwrap_or_default().to_owned())
}

/// One change of each kind: creates `new` and `applied`, replaces `replaced`, patches `patched`, deletes `deleted`.
async fn one_of_each(bench: &Bench) -> Transaction {
    let transaction = bench.store.transaction();
    transaction.create(&bench.widget("new"), widget("new", "1"), &by_test()).await.unwrap();
    transaction
        .apply(&bench.widget("applied"), Part::Whole, widget("applied", "1"), &by_test(), Force::No)
        .await
        .unwrap();
    let mut replaced =
        bench.store.get(&bench.resource("widgets.test.example.com"), "default/replaced").unwrap().value();
    replaced["spec"]["text"] = Value::from("1");
    transaction.update(&bench.widget("replaced"), Part::Whole, Body::from(replaced), &by_test()).await.unwrap();
    let patch = Patch::Merge(json!({"spec": {"text": "1"}}));
    transaction.patch(&bench.widget("patched"), Part::Whole, &patch, &by_test()).await.unwrap();
    transaction.delete(&bench.widget("deleted"), &DeleteOptions::default()).await.unwrap();
    transaction
}

const NAMES: [&str; 5] = ["new", "applied", "replaced", "patched", "deleted"];

async fn with_old_widgets() -> Bench {
    let bench = Bench::new().await;
    for name in &NAMES[2..] {
        bench.create(name, json!({"text": "0"})).await.unwrap();
    }
    bench
}

fn texts(bench: &Bench) -> Vec<String> {
    NAMES.iter().map(|name| text(bench, name).unwrap_or_else(|| "-".to_owned())).collect()
}

#[tokio::test]
async fn all_changes_are_seen_at_once_and_are_there_after_a_restart() {
    let bench = with_old_widgets().await;
    let (before, groups) = (bench.store.state().revision, bench.store.figures().groups_total);
    let transaction = one_of_each(&bench).await;
    assert_eq!(texts(&bench), ["-", "-", "0", "0", "0"], "nothing happens before the commit");
    let written = transaction.commit().await.unwrap();
    let names: Vec<_> = written.iter().map(|object| (object.name().to_owned(), object.revision - before)).collect();
    let expected: Vec<_> = NAMES.iter().map(|name| (*name).to_owned()).zip(1..).collect();
    assert_eq!(names, expected);
    assert_eq!(bench.store.figures().groups_total, groups + 1, "one batch on disk");
    let bench = bench.reopen().await;
    assert_eq!(texts(&bench), ["1", "1", "1", "1", "-"]);
}

#[tokio::test]
async fn nothing_happens_when_one_change_cannot_be_made() {
    let bench = with_old_widgets().await;
    let (old, gone) =
        (["-", "-", "0", "0", "0"], "the object has been modified; please apply your changes to the latest");
    let cases: [(&str, Reason, &str); 4] = [
        ("new", Reason::AlreadyExists, "\"new\" already exists"),
        ("replaced", Reason::Conflict, gone),
        ("patched", Reason::Conflict, gone),
        ("deleted", Reason::Conflict, gone),
    ];
    for (meanwhile, reason, message) in cases {
        let transaction = one_of_each(&bench).await;
        let mut expected = old.map(str::to_owned);
        let place = NAMES.iter().position(|name| *name == meanwhile).unwrap();
        if meanwhile == "new" {
            bench.create("new", json!({"text": "2"})).await.unwrap();
        } else {
            bench.merge(&bench.widget(meanwhile), Part::Whole, json!({"spec": {"text": "2"}})).await.unwrap();
        }
        expected[place] = "2".to_owned();
        let status = transaction.commit().await.unwrap_err();
        assert_eq!(status.reason, Some(reason), "{meanwhile}");
        assert!(status.message.contains(message) && status.message.contains(meanwhile), "{}", status.message);
        assert_eq!(texts(&bench), expected);
        if meanwhile == "new" {
            bench.delete(&bench.widget("new")).await.unwrap();
        } else {
            bench.merge(&bench.widget(meanwhile), Part::Whole, json!({"spec": {"text": "0"}})).await.unwrap();
        }
    }
    let transaction = bench.store.transaction();
    transaction.create(&bench.target("gadgets.test.example.com", "", "g"), gadget("g"), &by_test()).await.unwrap();
    let elsewhere = bench.target("widgets.test.example.com", "other", "w");
    transaction.create(&elsewhere, widget("w", "1"), &by_test()).await.unwrap();
    bench.delete(&bench.target("namespaces", "", "other")).await.unwrap();
    let status = transaction.commit().await.unwrap_err();
    assert_eq!(status.reason, Some(Reason::Forbidden), "{}", status.message);
    assert!(bench.store.get(&bench.resource("gadgets.test.example.com"), "g").is_none());
}

fn gadget(name: &str) -> Body {
    Body::from(json!({"apiVersion": "test.example.com/v1", "kind": "Gadget", "metadata": {"name": name}}))
}

#[tokio::test]
async fn two_definitions_of_one_transaction_cannot_both_have_a_name() {
    let bench = Bench::new().await;
    let transaction = bench.store.transaction();
    for plural in ["firsts", "seconds"] {
        let mut definition = definition("Thing", "Cluster");
        definition["metadata"]["name"] = Value::from(format!("{plural}.test.example.com"));
        definition["spec"]["names"]["plural"] = Value::from(plural);
        transaction.create(&bench.target(DEFINITIONS, "", ""), Body::from(definition), &by_test()).await.unwrap();
    }
    let status = transaction.commit().await.unwrap_err();
    assert_eq!(status.reason, Some(Reason::Conflict));
    assert!(bench.store.registry().get("firsts.test.example.com").is_none());
}

#[tokio::test]
async fn what_changes_nothing_is_not_in_it_and_what_is_dropped_does_not_happen() {
    let bench = with_old_widgets().await;
    let revision = bench.store.state().revision;
    let transaction = bench.store.transaction();
    let nothing = Patch::Merge(json!({"spec": {"text": "0"}}));
    transaction.patch(&bench.widget("patched"), Part::Whole, &nothing, &by_test()).await.unwrap();
    let dry = WriteOptions { dry_run: DryRun::All, ..by_test() };
    transaction.create(&bench.widget("new"), widget("new", "1"), &dry).await.unwrap();
    assert!(transaction.commit().await.unwrap().is_empty());
    drop(one_of_each(&bench).await);
    assert_eq!(bench.store.state().revision, revision);
}

#[tokio::test]
async fn an_object_is_changed_once_and_there_are_bounds() {
    let bench = with_old_widgets().await;
    let transaction = one_of_each(&bench).await;
    let twice = transaction.delete(&bench.widget("patched"), &DeleteOptions::default()).await.unwrap_err();
    let why = "widgets.test.example.com default/patched is in the transaction already: it changes an object once";
    assert_eq!((twice.reason, &*twice.message), (Some(Reason::BadRequest), why));
    transaction.commit().await.unwrap();

    let transaction = bench.store.transaction();
    for number in 0..TRANSACTION_WRITES_MAX {
        let name = format!("w{number}");
        transaction.create(&bench.widget(&name), widget(&name, ""), &by_test()).await.unwrap();
    }
    let one_too_many = transaction.create(&bench.widget("w"), widget("w", ""), &by_test()).await.unwrap_err();
    assert_eq!(one_too_many.reason, Some(Reason::RequestEntityTooLarge));
    assert_eq!(transaction.commit().await.unwrap().len(), TRANSACTION_WRITES_MAX);

    let transaction = bench.store.transaction();
    let large = "x".repeat(TRANSACTION_BYTES_MAX + 1);
    transaction.create(&bench.widget("large"), widget("large", &large), &by_test()).await.unwrap();
    let too_large = transaction.create(&bench.widget("small"), widget("small", ""), &by_test()).await.unwrap_err();
    assert!(
        too_large.message.starts_with("the transaction is too large with widgets.test.example.com default/small: ")
    );
    transaction.commit().await.unwrap();
}
