//! Equal events are one, counted; recording is bounded and survives a restart.

use std::sync::Arc;

use jiff::Timestamp;
use ports::clock::FakeClock;
use prometheus_client::registry::Registry;
use serde_json::json;

use super::{EVENTS, EventKind, Recorder, WAITING_MAX};
use crate::runtime::metrics::Metrics;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{Objects, ServedResource, StoredObject};

struct Bench {
    memory: Arc<MemoryObjects>,
    objects: Arc<dyn Objects>,
    clock: Arc<FakeClock>,
}

fn bench() -> Bench {
    let served =
        ServedResource { resource: EVENTS.into(), api_version: "v1".into(), kind: "Event".into(), namespaced: true };
    let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
    let memory = Arc::new(MemoryObjects::new(vec![served], clock.clone(), 100));
    Bench { objects: Arc::new(SharedMemory(memory.clone())), memory, clock }
}

impl Bench {
    fn recorder(&self) -> Recorder {
        Recorder::new(self.clock.clone(), Metrics::new(&mut Registry::default()))
    }
}

fn object(namespace: &str) -> StoredObject {
    let value =
        json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "a", "namespace": namespace, "uid": "u"}});
    StoredObject::new("things", value).unwrap()
}

#[tokio::test]
async fn equal_events_are_counted_also_over_a_restart() {
    let bench = bench();
    for (second, recorder) in [(10, bench.recorder()), (20, bench.recorder())] {
        bench.clock.set(Timestamp::from_second(second).unwrap());
        for _ in 0..3 {
            recorder.record("thing", &object("default"), EventKind::Warning, "Failed", "It failed.");
        }
        recorder.write_all(&bench.objects).await;
    }
    let events = bench.memory.all(EVENTS);
    assert_eq!(events.len(), 1);
    let event = &events[0].value;
    assert_eq!((&event["count"], &event["type"], &event["reason"]), (&json!(6), &json!("Warning"), &json!("Failed")));
    assert_eq!(event["firstTimestamp"], "1970-01-01T00:00:10Z");
    assert_eq!(event["lastTimestamp"], "1970-01-01T00:00:20Z");
    assert_eq!(event["involvedObject"]["uid"], "u");
}

#[tokio::test]
async fn different_events_are_apart_and_cluster_objects_have_theirs_in_default() {
    let bench = bench();
    let recorder = bench.recorder();
    for message in ["One.", "Two."] {
        recorder.record("thing", &object(""), EventKind::Normal, "Done", message);
    }
    recorder.write_all(&bench.objects).await;
    let namespaces: Vec<_> = bench.memory.all(EVENTS).iter().map(|event| event.metadata.namespace.clone()).collect();
    assert_eq!(namespaces, ["default", "default"]);
}

#[tokio::test]
async fn a_flood_is_dropped_and_not_kept() {
    let bench = bench();
    let recorder = bench.recorder();
    for index in 0..WAITING_MAX + 10 {
        recorder.record("thing", &object("default"), EventKind::Normal, "Flood", &index.to_string());
    }
    recorder.write_all(&bench.objects).await;
    assert_eq!(bench.memory.count(EVENTS), WAITING_MAX);
}
