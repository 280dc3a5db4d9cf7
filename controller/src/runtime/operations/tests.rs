//! What becomes of operations.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;

fn owner(name: &str) -> ObjectKey {
    ObjectKey::new("widgets.example.com", "default", name)
}

async fn settled(operations: &Operations, id: &str) -> Result<Value, Failure> {
    loop {
        match operations.state(id) {
            OperationState::Done(result) => return result,
            OperationState::Running(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            OperationState::Absent => panic!("{id} is absent"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_runs_once_however_often_it_is_started_until_it_is_forgotten() {
    let operations = Operations::default();
    let runs = Arc::new(AtomicU32::new(0));
    for round in 1..=2 {
        for _ in 0..3 {
            let runs = runs.clone();
            operations.start("a", &owner("w"), Duration::from_secs(1), async move {
                Ok(json!(runs.fetch_add(1, Ordering::SeqCst) + 1))
            });
        }
        assert_eq!(settled(&operations, "a").await.expect("it ends well"), json!(round));
        operations.forget("a");
        assert!(matches!(operations.state("a"), OperationState::Absent));
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_and_what_panics_are_failures_with_their_own_reasons() {
    let operations = Operations::default();
    operations.start("slow", &owner("w"), Duration::from_secs(5), std::future::pending());
    operations.start("poison", &owner("w"), Duration::from_secs(5), async { panic!("on purpose") });
    assert_eq!(settled(&operations, "slow").await.expect_err("it is cut off").reason, TIMED_OUT);
    assert_eq!(settled(&operations, "poison").await.expect_err("it panicked").reason, "InternalError");
}

#[tokio::test(start_paused = true)]
async fn forgetting_an_owner_cuts_off_its_operations_and_no_others() {
    let operations = Operations::default();
    let dropped = Arc::new(());
    for name in ["gone", "stays"] {
        let held = dropped.clone();
        operations.start(name, &owner(name), Duration::from_hours(1), async move {
            std::future::pending::<()>().await;
            drop(held);
            Ok(Value::Null)
        });
    }
    tokio::task::yield_now().await;
    operations.forget_all(&owner("gone"));
    tokio::task::yield_now().await;
    assert!(matches!(operations.state("gone"), OperationState::Absent));
    assert!(matches!(operations.state("stays"), OperationState::Running(_)));
    assert_eq!(Arc::strong_count(&dropped), 2, "the future of the forgotten one was dropped");
    drop(operations);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&dropped), 1, "nothing goes on without anybody to look at it");
}

#[tokio::test(start_paused = true)]
async fn only_what_has_ended_is_forgotten_and_only_of_its_owner() {
    let operations = Operations::default();
    for (id, name) in [("ended", "w"), ("other", "v")] {
        operations.start(id, &owner(name), Duration::from_secs(1), async { Ok(Value::Null) });
        settled(&operations, id).await.expect("it ends well");
    }
    operations.start("runs", &owner("w"), Duration::from_hours(1), std::future::pending());
    operations.forget_ended(&owner("w"));
    assert!(matches!(operations.state("ended"), OperationState::Absent));
    assert!(matches!(operations.state("runs"), OperationState::Running(_)));
    assert!(matches!(operations.state("other"), OperationState::Done(_)));
}
