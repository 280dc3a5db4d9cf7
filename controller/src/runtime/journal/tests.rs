//! An effect happens once, whatever is cut off where.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use ports::clock::FakeClock;
use serde_json::json;

use super::Journal;
use crate::runtime::guards::Guards;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ServedResource, StoredObject};
use crate::runtime::outcome::Failure;

fn journal() -> Journal {
    let served = ServedResource {
        resource: "configmaps".into(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespaced: true,
    };
    let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
    let memory = MemoryObjects::new(vec![served], clock.clone(), 100);
    Journal::new(Arc::new(SharedMemory(Arc::new(memory))), clock, Guards::all())
}

fn owner(uid: &str) -> StoredObject {
    let metadata = json!({"name": "a", "namespace": "default", "uid": uid});
    let value = json!({"apiVersion": "v1", "kind": "Thing", "metadata": metadata});
    StoredObject::new("things", value).unwrap()
}

async fn never() -> Result<Option<String>, Failure> {
    unreachable!("nobody may look when nothing was cut off")
}

#[tokio::test]
async fn an_effect_happens_once_and_its_result_is_remembered() {
    let (journal, count) = (journal(), AtomicU32::new(0));
    for _ in 0..3 {
        let perform = async || Ok(format!("comment-{}", count.fetch_add(1, Ordering::Relaxed)));
        let result = journal.once(&owner("u"), "comment", never, perform).await.unwrap();
        assert_eq!(result, "comment-0");
    }
    assert_eq!(journal.result(&owner("u"), "comment").await.unwrap().as_deref(), Some("comment-0"));
    assert_eq!(journal.result(&owner("another"), "comment").await.unwrap(), None);
    assert!(journal.open().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_cut_off_is_looked_for_before_it_is_done_again() {
    for (happened, performed) in [(true, 1), (false, 2)] {
        let (journal, count) = (journal(), AtomicU32::new(0));
        let cut_off = async || {
            count.fetch_add(1, Ordering::Relaxed);
            Err(Failure::retryable("ReplyLost", "the reply was lost"))
        };
        journal.once(&owner("u"), "comment", never, cut_off).await.unwrap_err();
        let open = journal.open().await.unwrap();
        assert_eq!((open.len(), &*open[0].effect, &*open[0].owner.key), (1, "comment", "default/a"));
        let look = async || Ok(happened.then(|| "found".to_owned()));
        let perform = async || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok("made".to_owned())
        };
        let result = journal.once(&owner("u"), "comment", look, perform).await.unwrap();
        assert_eq!(result, if happened { "found" } else { "made" });
        assert_eq!(count.load(Ordering::Relaxed), performed, "happened: {happened}");
        assert!(journal.open().await.unwrap().is_empty());
    }
}
