//! Writes that wait for the disk share its next sync; when too many wait, the next is told to come again.

use std::pin::Pin;

use api_types::status::{Reason, Status};
use futures::FutureExt as _;
use serde_json::json;

use super::{Clock, memory_options};
use crate::engine::memory::{Call, MemoryEngine};
use crate::request::{Body, Target, WriteOptions, Written};
use crate::store::{QUEUE_TRANSACTIONS_MAX, Store};

type Creation<'a> = Pin<Box<dyn Future<Output = Result<Written, Status>> + 'a>>;

fn create(store: &Store, number: usize) -> Creation<'_> {
    let name = format!("n{number}");
    let target = Target::new(store.registry().get("namespaces").unwrap(), "", &name);
    let body = Body::from(json!({"metadata": {"name": name}}));
    Box::pin(async move { store.create(&target, body, &WriteOptions::by("test")).await })
}

/// Holds the first write at the disk, lets `waiting` others come meanwhile and one more, and then lets go. Returns how the one
/// more was answered, if it was at once, and how many commits there were.
async fn crowd(waiting: usize) -> (Option<Status>, u64) {
    let engine = MemoryEngine::default();
    let (mut commits_begun, let_go_on) = engine.hold_commits();
    let store = Store::with_engine(Box::new(engine.clone()), memory_options(&Clock::default())).unwrap();
    let mut creations: Vec<Creation<'_>> = (0..=waiting).map(|number| create(&store, number)).collect();
    let (first, others) = creations.split_first_mut().unwrap();
    assert!(first.now_or_never().is_none());
    commits_begun.recv().await.unwrap();
    for other in others {
        assert!(other.now_or_never().is_none());
    }
    let mut one_more = create(&store, waiting + 1);
    let answered = (&mut one_more).now_or_never();
    let refused = answered.map(|answered| answered.expect_err("there was no room"));
    drop(let_go_on);
    for created in futures::future::join_all(creations).await {
        created.unwrap();
    }
    if refused.is_none() {
        one_more.await.unwrap();
    } else {
        create(&store, waiting + 1).await.unwrap();
    }
    store.close().await;
    assert_eq!(store.state().count("namespaces"), waiting + 2);
    assert_eq!(store.figures().groups_total, engine.calls(Call::Commit));
    (refused, engine.calls(Call::Commit))
}

#[tokio::test]
async fn writes_that_wait_share_one_commit() {
    assert_eq!(crowd(99).await, (None, 2));
}

#[tokio::test]
async fn a_group_has_an_end() {
    // One that was held, then groups of 1024.
    assert_eq!(crowd(3 * 1024 - 1).await, (None, 1 + 3));
    assert_eq!(crowd(3 * 1024).await, (None, 1 + 4));
}

#[tokio::test]
async fn a_write_that_finds_the_queue_full_is_told_to_come_again() {
    let (refused, commits) = crowd(QUEUE_TRANSACTIONS_MAX).await;
    let refused = refused.expect("the queue was not full");
    let delay = refused.details.as_ref().map(|details| details.retry_after_seconds);
    assert_eq!((refused.code, refused.reason, delay), (429, Some(Reason::TooManyRequests), Some(1)));
    assert_eq!(refused.message, "too many writes are waiting for the disk, please try again later");
    // The one that was held, 8 full groups, the one that came again.
    assert_eq!(commits, 1 + 8 + 1);
}
