//! One leads, the other waits, and nobody writes who no longer leads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ports::clock::PausedClock;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Election, Fence, LEASES, LeaderOptions};
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{Objects, ServedResource};

fn objects() -> Arc<dyn Objects> {
    let served = ServedResource {
        resource: LEASES.into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        namespaced: true,
    };
    let clock = Arc::new(PausedClock::starting_at(Timestamp::UNIX_EPOCH));
    Arc::new(SharedMemory(Arc::new(MemoryObjects::new(vec![served], clock, 100))))
}

fn election(objects: &Arc<dyn Objects>, identity: &str) -> (Election, Fence) {
    let fence = Fence::closed();
    let clock = Arc::new(PausedClock::starting_at(Timestamp::UNIX_EPOCH));
    (Election::new(LeaderOptions::new(identity), objects.clone(), clock, fence.clone()), fence)
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_only_after_the_leaders_fence_has_closed() {
    let objects = objects();
    let (mut first, first_fence) = election(&objects, "first");
    first.win().await;
    assert!(first_fence.is_open());
    let (mut second, second_fence) = election(&objects, "second");
    let began = Instant::now();
    second.win().await;
    assert!(began.elapsed() >= Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(!first_fence.is_open() && second_fence.is_open());
    assert!(first_fence.check().is_err());
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_under_the_same_name_leads_at_once() {
    let objects = objects();
    election(&objects, "only").0.win().await;
    let began = Instant::now();
    election(&objects, "only").0.win().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_renews_keeps_the_lease_and_one_that_stops_gives_it_back() {
    let objects = objects();
    let (mut first, fence) = election(&objects, "first");
    first.win().await;
    let stop = CancellationToken::new();
    let holding = tokio::spawn({
        let stop = stop.clone();
        async move { first.hold(&stop).await }
    });
    let (mut second, _) = election(&objects, "second");
    assert!(tokio::time::timeout(Duration::from_secs(120), second.win()).await.is_err());
    assert!(fence.is_open());
    stop.cancel();
    holding.await.unwrap();
    assert!(!fence.is_open());
    let began = Instant::now();
    second.win().await;
    assert!(began.elapsed() <= Duration::from_secs(2));
}
