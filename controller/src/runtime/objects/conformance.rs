//! What every implementation of [`Objects`] must do: the same suite for the real store and for the one in memory.
//!
//! It needs the resource `widgets.test.example.com` (namespaced, with a status) and the namespace `default`.

use std::sync::Arc;
use std::time::Duration;

use api_types::status::Reason;
use serde_json::{Value, json};

use super::{Change, ObjectKey, Objects, StoredObject};

pub(crate) const WIDGETS: &str = "widgets.test.example.com";

pub(crate) async fn check(objects: &Arc<dyn Objects>) {
    an_object_has_a_life(objects).await;
    a_write_names_the_version_it_is_based_on(objects).await;
    spec_and_status_are_apart(objects).await;
    a_finalizer_holds_an_object_back(objects).await;
    only_the_object_with_the_uid_is_deleted(objects).await;
    a_watch_goes_on_where_a_list_ended(objects).await;
    what_is_not_there_is_not_found(objects).await;
}

pub(crate) fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "test.example.com/v1",
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"size": 1},
    })
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(WIDGETS, "default", name)
}

async fn create(objects: &Arc<dyn Objects>, name: &str) -> Arc<StoredObject> {
    objects.create(WIDGETS, widget(name)).await.unwrap()
}

async fn an_object_has_a_life(objects: &Arc<dyn Objects>) {
    let created = create(objects, "life").await;
    assert_eq!((created.metadata.generation, &*created.key.key), (1, "default/life"));
    assert!(!created.metadata.uid.is_empty() && created.revision > 0);
    let again = objects.create(WIDGETS, widget("life")).await.unwrap_err();
    assert_eq!(again.reason, Some(Reason::AlreadyExists));
    assert_eq!(objects.get(&created.key).await.unwrap().value, created.value);
    objects.delete(&created.key, None).await.unwrap();
    let gone = objects.get(&created.key).await.unwrap_err();
    assert_eq!(gone.reason, Some(Reason::NotFound));
}

async fn a_write_names_the_version_it_is_based_on(objects: &Arc<dyn Objects>) {
    let old = create(objects, "race").await;
    let mut value = old.value.clone();
    value["spec"]["size"] = Value::from(2);
    let new = objects.update(&old.key, value.clone()).await.unwrap();
    assert!(new.revision > old.revision);
    assert_eq!(objects.update(&old.key, value.clone()).await.unwrap_err().reason, Some(Reason::Conflict));
    assert_eq!(objects.update_status(&old, json!({})).await.unwrap_err().reason, Some(Reason::Conflict));
    let same = objects.update(&new.key, new.value.clone()).await.unwrap();
    assert_eq!(same.revision, new.revision, "writing what is there already writes nothing");
}

async fn spec_and_status_are_apart(objects: &Arc<dyn Objects>) {
    let object = create(objects, "apart").await;
    let mut both = object.value.clone();
    both["spec"]["size"] = Value::from(5);
    both["status"] = json!({"seen": 5});
    let object = objects.update_status(&object, both["status"].clone()).await.unwrap();
    assert_eq!((&object.value["spec"]["size"], &object.value["status"]["seen"]), (&json!(1), &json!(5)));
    assert_eq!(object.metadata.generation, 1, "a status is not a wish");
    both["metadata"] = object.value["metadata"].clone();
    both["status"] = json!({"seen": 6});
    let object = objects.update(&object.key, both).await.unwrap();
    assert_eq!((&object.value["spec"]["size"], &object.value["status"]["seen"]), (&json!(5), &json!(5)));
    assert_eq!(object.metadata.generation, 2);
}

async fn a_finalizer_holds_an_object_back(objects: &Arc<dyn Objects>) {
    let mut value = widget("held");
    value["metadata"]["finalizers"] = json!(["test.example.com/hold"]);
    let object = objects.create(WIDGETS, value).await.unwrap();
    objects.delete(&object.key, None).await.unwrap();
    objects.delete(&object.key, None).await.unwrap();
    let object = objects.get(&object.key).await.unwrap();
    assert!(object.is_being_deleted());
    let mut value = object.value.clone();
    value["metadata"]["finalizers"] = json!([]);
    objects.update(&object.key, value).await.unwrap();
    assert_eq!(objects.get(&object.key).await.unwrap_err().reason, Some(Reason::NotFound));
}

async fn only_the_object_with_the_uid_is_deleted(objects: &Arc<dyn Objects>) {
    let object = create(objects, "identity").await;
    let wrong = objects.delete(&object.key, Some("another")).await.unwrap_err();
    assert_eq!(wrong.reason, Some(Reason::Conflict));
    objects.delete(&object.key, Some(&object.metadata.uid)).await.unwrap();
}

async fn a_watch_goes_on_where_a_list_ended(objects: &Arc<dyn Objects>) {
    let before = create(objects, "before").await;
    let listing = objects.list(WIDGETS, Some("default")).await.unwrap();
    assert!(listing.objects.iter().any(|object| object.key == before.key));
    assert!(objects.list(WIDGETS, Some("elsewhere")).await.unwrap().objects.is_empty());
    let mut watch = objects.watch(WIDGETS, listing.revision).await.unwrap();
    let after = create(objects, "after").await;
    objects.delete(&after.key, None).await.unwrap();
    let mut changes = Vec::new();
    while changes.len() < 2 {
        let next = tokio::time::timeout(Duration::from_secs(20), watch.next()).await;
        changes.extend(next.unwrap().unwrap());
    }
    assert!(matches!(&changes[0], Change::Is(object) if object.key == after.key), "{changes:?}");
    assert!(matches!(&changes[1], Change::Gone(object) if object.key == after.key), "{changes:?}");
    assert!(changes[1].object().revision > after.revision, "an end has a revision of its own");
}

async fn what_is_not_there_is_not_found(objects: &Arc<dyn Objects>) {
    let unknown = ObjectKey::new("nothings.example.com", "default", "a");
    for missing in [unknown, key("never")] {
        let reason = Some(Reason::NotFound);
        assert_eq!(objects.get(&missing).await.unwrap_err().reason, reason, "{missing}");
        assert_eq!(objects.delete(&missing, None).await.unwrap_err().reason, reason, "{missing}");
        assert_eq!(objects.update(&missing, widget("never")).await.unwrap_err().reason, reason, "{missing}");
    }
    assert_eq!(objects.list("nothings.example.com", None).await.unwrap_err().reason, Some(Reason::NotFound));
    assert!(objects.served().iter().any(|served| &*served.resource == WIDGETS && served.namespaced));
}
