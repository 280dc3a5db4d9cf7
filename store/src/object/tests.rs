//! What a record says of its object is what the object says, in both layouts and at every revision.

use serde_json::json;

use super::*;

const UUID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";

fn draft(uid: &Value) -> Draft {
    draft_after(uid, 5)
}

fn draft_after(uid: &Value, newest: u64) -> Draft {
    let value = json!({
        "apiVersion": "v1", "kind": "Thing",
        "metadata": {
            "annotations": {"uid": "another", "quote": "\"uid\":\"none\""},
            "labels": {"app": "one", "tier": "two"},
            "name": "a", "namespace": "n", "uid": uid,
            "ownerReferences": [{"uid": "owner-1"}, {"uid": UUID}],
        },
        "spec": {"uid": "not mine"},
    });
    Draft::new("things.example.com", "n/a", &value, newest).unwrap()
}

fn read(object: &Object) -> Result<Object, RecordError> {
    Object::from_record(object.record.clone(), object.revision, Guards::all())
}

#[track_caller]
fn expect_all(object: &Object, uid: &str) {
    let metadata = &object.value()["metadata"];
    assert_eq!((object.uid(), metadata["uid"].as_str().unwrap_or_default()), (uid, uid));
    assert_eq!(
        (object.resource(), object.key(), object.namespace(), object.name()),
        ("things.example.com", "n/a", "n", "a")
    );
    assert_eq!(object.labels().collect::<Vec<_>>(), [("app", "one"), ("tier", "two")]);
    assert_eq!(object.owner_uids(), ["owner-1", UUID]);
    let version = (object.revision > 0).then(|| object.revision.to_string());
    assert_eq!(metadata["resourceVersion"].as_str(), version.as_deref());
}

#[test]
fn what_lists_and_selectors_need_is_read_without_parsing() {
    let cases = [
        (json!(UUID), UUID, RECORD_FORMAT),
        (json!("plain"), "plain", FORMAT_WITH_UID),
        // As long as a UUID, and written with escapes.
        (json!("\"".repeat(36)), &*"\"".repeat(36), FORMAT_WITH_UID),
        (json!("é".repeat(18)), &*"é".repeat(18), FORMAT_WITH_UID),
        (Value::Null, "", FORMAT_WITH_UID),
    ];
    for (uid, text, format) in cases {
        let draft = draft(&uid);
        assert_eq!(draft.format, format, "{text}");
        for revision in [0, 1, 99_999, u64::MAX] {
            let object = draft.clone().finish(revision);
            expect_all(&object, text);
            expect_all(&read(&object).unwrap(), text);
            for other in [0, 7, 1 << 40] {
                expect_all(&object.at_revision(other), text);
            }
        }
    }
}

#[test]
fn a_record_is_the_same_however_much_room_was_made_for_its_version() {
    let uid = json!(UUID);
    for revision in [0, 1, 99_999, u64::MAX] {
        let expected = draft_after(&uid, revision);
        assert_eq!(
            (expected.record.capacity(), expected.room),
            (expected.record.len(), version_member(revision).len())
        );
        let expected = expected.finish(revision);
        for newest in [0, 9, 10, 100_000, u64::MAX] {
            let object = draft_after(&uid, newest).finish(revision);
            assert_eq!(object.record, expected.record, "{revision} with room for {newest}");
        }
    }
}

#[test]
fn what_counts_as_the_size_of_an_object_is_its_json_without_a_version() {
    let draft = draft(&json!(UUID));
    let bytes = draft.clone().finish(0).json().len();
    assert_eq!(draft.check_size(bytes), Ok(()));
    let refused = draft.check_size(bytes - 1).unwrap_err();
    let limit = bytes - 1;
    assert_eq!(refused.message, format!("Request entity too large: the object is {bytes} bytes, limit is {limit}"));
}

#[test]
fn the_uid_is_not_kept_twice() {
    let (short, long) = (draft(&json!(UUID)).finish(5), draft(&json!("x".repeat(36))).finish(5));
    assert_eq!(long.size_bytes() - short.size_bytes(), 2 + UID_BYTES - 4);
}

#[test]
fn a_reference_that_leads_nowhere_is_damage() {
    let object = draft(&json!(UUID)).finish(5);
    let position = object.uid_position();
    let json_bytes = object.record.len() - object.json_start();
    for distance in [0, 35, json_bytes + 1, object.record.len(), u32::MAX as usize] {
        let mut record = object.record.to_vec();
        record[position..position + 4].copy_from_slice(&length(distance).to_le_bytes());
        seal(&mut record);
        let read = Object::from_record(Bytes::from(record), 5, Guards::all());
        let expected = RecordError::Malformed("the uid lies outside of the JSON or is not UTF-8");
        assert_eq!(read.map(|object| object.uid().to_owned()), Err(expected), "{distance}");
    }
}

#[test]
fn a_newer_layout_is_refused() {
    let mut record = draft(&json!(UUID)).finish(5).record.to_vec();
    record[0] = RECORD_FORMAT + 1;
    seal(&mut record);
    let read = Object::from_record(Bytes::from(record), 5, Guards::all());
    assert_eq!(read.map(drop), Err(RecordError::Format(RECORD_FORMAT + 1)));
}
