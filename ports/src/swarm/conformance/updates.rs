//! Updates, and what they come to.

use super::{Behaviour, Case, Harness, SECOND, Stack, running, service, task, until};
use crate::error::ErrorKind;
use crate::swarm::spec::{ServiceSpec, UpdateConfig};
use crate::swarm::{Engine, Filter, Service, TaskState, UpdateState};

/// The cases of this file.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "an_update_replaces_tasks_and_completes",
        run: |harness, stack| Box::pin(an_update_replaces_tasks_and_completes(harness, stack)),
    },
    Case {
        name: "an_old_version_is_out_of_sequence",
        run: |harness, stack| Box::pin(an_old_version_is_out_of_sequence(harness, stack)),
    },
    Case {
        name: "an_update_that_changes_no_task_has_no_status",
        run: |harness, stack| Box::pin(an_update_that_changes_no_task_has_no_status(harness, stack)),
    },
    Case {
        name: "forced_updates_are_counted_and_kept",
        run: |harness, stack| Box::pin(forced_updates_are_counted_and_kept(harness, stack)),
    },
    Case {
        name: "a_failed_update_is_paused",
        run: |harness, stack| Box::pin(a_failed_update_is_paused(harness, stack)),
    },
    Case {
        name: "a_failed_update_is_rolled_back",
        run: |harness, stack| Box::pin(a_failed_update_is_rolled_back(harness, stack)),
    },
    Case {
        name: "start_first_starts_the_new_before_it_stops_the_old",
        run: |harness, stack| Box::pin(start_first_starts_the_new_before_it_stops_the_old(harness, stack)),
    },
];

/// Makes a service that runs and returns it.
async fn given(harness: &dyn Harness, stack: &Stack) -> ServiceSpec {
    let spec = stack.service("app", harness.container(Behaviour::Runs));
    harness.engine().create_service(&spec, None).await.expect("it is made");
    running(harness.engine(), stack).await;
    spec
}

async fn update(engine: &dyn Engine, spec: &ServiceSpec) -> Service {
    let current = service(engine, &spec.name).await;
    engine.update_service(&current.id, current.version, spec, None).await.expect("it is updated");
    current
}

async fn state(engine: &dyn Engine, name: &str, wanted: &UpdateState) -> Service {
    until(&format!("the update is {}", wanted.word()), async || {
        let service = service(engine, name).await;
        let is_there = service.update.as_ref().is_some_and(|update| update.state == *wanted);
        is_there.then_some(service)
    })
    .await
}

async fn an_update_replaces_tasks_and_completes(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    let old = running(engine, &stack).await;
    spec.task_template.container_spec.env = vec!["NEW=1".to_owned()];
    let before = update(engine, &spec).await;
    let after = state(engine, &spec.name, &UpdateState::Completed).await;
    assert!(after.version > before.version);
    let previous = after.previous.expect("it remembers what was before");
    assert!(previous.task_template.container_spec.env.is_empty());
    let status = after.update.expect("it was there");
    assert!(status.started_at.is_some() && status.completed_at.is_some(), "{status:?}");
    let new = running(engine, &stack).await;
    assert_ne!(new.id, old.id);
    let tasks = super::tasks(engine, &stack).await;
    for task in tasks {
        assert_eq!(task.is_up_to_date, task.id == new.id, "{task:?}");
    }
}

async fn an_old_version_is_out_of_sequence(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    spec.labels.insert("n".to_owned(), "1".to_owned());
    let old = update(engine, &spec).await;
    spec.labels.insert("n".to_owned(), "2".to_owned());
    let error = engine.update_service(&old.id, old.version, &spec, None).await.expect_err("it is newer");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "OutOfSequence"), "{error}");
    let error = engine.update_service("there-is-none", 1, &spec, None).await.expect_err("there is none");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "ServiceNotFound"), "{error}");
}

async fn an_update_that_changes_no_task_has_no_status(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    let task = running(engine, &stack).await;
    spec.labels.insert("n".to_owned(), "1".to_owned());
    update(engine, &spec).await;
    let after = service(engine, &spec.name).await;
    assert_eq!((after.update, after.spec.labels), (None, spec.labels));
    assert_eq!(running(engine, &stack).await.id, task.id, "its task goes on");
}

async fn forced_updates_are_counted_and_kept(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    let task = running(engine, &stack).await;
    spec.task_template.force_update = 3;
    update(engine, &spec).await;
    state(engine, &spec.name, &UpdateState::Completed).await;
    let new = running(engine, &stack).await;
    assert_ne!(new.id, task.id, "a forced update replaces tasks");
    spec.task_template.force_update = 0;
    update(engine, &spec).await;
    let after = service(engine, &spec.name).await;
    assert_eq!((after.spec.task_template.force_update, after.update), (3, None));
    assert_eq!(running(engine, &stack).await.id, new.id);
}

async fn a_failed_update_is_paused(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    spec.task_template.container_spec.image = harness.container(Behaviour::MissingImage).image;
    update(engine, &spec).await;
    let paused = state(engine, &spec.name, &UpdateState::Paused).await;
    let message = paused.update.expect("it was there").message;
    assert!(message.contains("paused"), "{message}");
    assert_eq!(paused.spec.task_template.container_spec.image, spec.task_template.container_spec.image);
}

async fn a_failed_update_is_rolled_back(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = given(harness, &stack).await;
    let old = spec.clone();
    spec.task_template.container_spec.image = harness.container(Behaviour::MissingImage).image;
    let failure_action = "rollback".to_owned();
    spec.update_config = Some(UpdateConfig { failure_action, monitor: 2 * SECOND, ..UpdateConfig::default() });
    update(engine, &spec).await;
    let after = state(engine, &spec.name, &UpdateState::RollbackCompleted).await;
    let image = &after.spec.task_template.container_spec.image;
    assert_eq!(image, &old.task_template.container_spec.image, "the old spec is back");
    assert_eq!(after.previous, None, "and nothing tells what was asked for");
    let runs = running(engine, &stack).await;
    assert_eq!(runs.image, old.task_template.container_spec.image);
}

async fn start_first_starts_the_new_before_it_stops_the_old(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::GetsHealthy));
    let order = "start-first".to_owned();
    spec.update_config = Some(UpdateConfig { order, monitor: SECOND, ..UpdateConfig::default() });
    let id = engine.create_service(&spec, None).await.expect("it is made");
    let old = running(engine, &stack).await;
    spec.task_template.container_spec.env = vec!["NEW=1".to_owned()];
    update(engine, &spec).await;
    let is_new = |task: &crate::swarm::Task| task.state == TaskState::Starting && task.id != old.id;
    let new = task(engine, &stack, "the new one starts", is_new).await;
    let by_service = Filter { service: Some(id), ..Filter::default() };
    let both = engine.tasks(&by_service).await.expect("tasks can be listed");
    let still = both.iter().find(|task| task.id == old.id).expect("the old one is there");
    assert_eq!((still.state, still.slot), (TaskState::Running, new.slot), "{both:?}");
    state(engine, &spec.name, &UpdateState::Completed).await;
    assert_eq!(running(engine, &stack).await.id, new.id);
}
