//! Services and what becomes of their tasks.

use super::{Behaviour, Case, Harness, Stack, attach, panic_with, running, service, task, tasks, until};
use crate::error::ErrorKind;
use crate::swarm::spec::{
    ConfigReference, Mount, Placement, PortConfig, ResourceAmounts, Resources, SecretReference, ServiceMode,
};
use crate::swarm::{Filter, NewNetwork, Removal, TaskState};

/// The cases of this file.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_service_runs_and_reads_back_as_it_was_asked_for",
        run: |harness, stack| Box::pin(a_service_runs_and_reads_back_as_it_was_asked_for(harness, stack)),
    },
    Case { name: "a_service_is_made_once", run: |harness, stack| Box::pin(a_service_is_made_once(harness, stack)) },
    Case {
        name: "what_a_service_names_must_be_there",
        run: |harness, stack| Box::pin(what_a_service_names_must_be_there(harness, stack)),
    },
    Case {
        name: "a_task_starts_until_it_is_healthy",
        run: |harness, stack| Box::pin(a_task_starts_until_it_is_healthy(harness, stack)),
    },
    Case {
        name: "a_task_that_ends_is_failed_and_replaced",
        run: |harness, stack| Box::pin(a_task_that_ends_is_failed_and_replaced(harness, stack)),
    },
    Case {
        name: "a_task_without_an_image_is_rejected",
        run: |harness, stack| Box::pin(a_task_without_an_image_is_rejected(harness, stack)),
    },
    Case {
        name: "a_task_that_is_never_healthy_fails",
        run: |harness, stack| Box::pin(a_task_that_is_never_healthy_fails(harness, stack)),
    },
    Case {
        name: "a_task_that_fits_nowhere_is_pending_and_says_why",
        run: |harness, stack| Box::pin(a_task_that_fits_nowhere_is_pending_and_says_why(harness, stack)),
    },
    Case {
        name: "a_port_of_the_host_is_given_once",
        run: |harness, stack| Box::pin(a_port_of_the_host_is_given_once(harness, stack)),
    },
    Case {
        name: "a_bind_of_what_is_not_there_is_rejected",
        run: |harness, stack| Box::pin(a_bind_of_what_is_not_there_is_rejected(harness, stack)),
    },
    Case { name: "a_job_completes", run: |harness, stack| Box::pin(a_job_completes(harness, stack)) },
    Case {
        name: "a_service_without_replicas_has_no_tasks",
        run: |harness, stack| Box::pin(a_service_without_replicas_has_no_tasks(harness, stack)),
    },
    Case {
        name: "after_removal_tasks_and_containers_end_before_networks_go",
        run: |harness, stack| Box::pin(after_removal_tasks_and_containers_end_before_networks_go(harness, stack)),
    },
];

async fn a_service_runs_and_reads_back_as_it_was_asked_for(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    spec.labels.insert("which".to_owned(), "one".to_owned());
    spec.task_template.container_spec.env = vec!["A=1".to_owned(), "B".to_owned()];
    let limits = ResourceAmounts { memory_bytes: 64 << 20, ..ResourceAmounts::default() };
    spec.task_template.resources = Some(Resources { limits: Some(limits), reservations: None });
    let mount =
        Mount { type_: "volume".to_owned(), source: stack.part("d"), target: "/d".to_owned(), ..Mount::default() };
    spec.task_template.container_spec.mounts = vec![mount];
    let id = engine.create_service(&spec, None).await.expect("it is made");
    let labelled = Filter { labels: vec![("which".to_owned(), "one".to_owned())], ..stack.filter() };
    let listed = engine.services(&labelled).await.expect("services can be listed");
    let [listed] = &listed[..] else { unreachable!("one service: {listed:?}") };
    assert_eq!((&listed.id, &listed.previous, &listed.update), (&id, &None, &None));
    assert!(listed.version > 0 && listed.created_at.is_some());
    let (ours, theirs) = (&spec.task_template, &listed.spec.task_template);
    assert_eq!(theirs.container_spec, ours.container_spec);
    assert_eq!((&listed.spec.name, &listed.spec.labels, &listed.spec.mode), (&spec.name, &spec.labels, &spec.mode));
    let limits = |template: &crate::swarm::spec::TaskSpec| template.resources.clone().and_then(|all| all.limits);
    assert_eq!(limits(theirs), limits(ours));
    let task = running(engine, &stack).await;
    assert_eq!((&task.service_id, &task.stack, task.slot, task.desired), (&id, &stack.name, 1, TaskState::Running));
    assert!(!task.container_id.is_empty() && !task.node_id.is_empty() && task.exit_code.is_none(), "{task:?}");
    let details = engine.container(&task.container_id).await.expect("it answers").expect("it is there");
    assert!(details.is_running && details.exit_code.is_none() && !details.is_oom_killed, "{details:?}");
    assert_eq!(details.health, "");
    let other = Filter { labels: vec![("which".to_owned(), "two".to_owned())], ..stack.filter() };
    assert!(engine.services(&other).await.expect("services can be listed").is_empty());
}

async fn a_service_is_made_once(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let spec = stack.service("app", harness.container(Behaviour::Runs));
    engine.create_service(&spec, None).await.expect("it is made");
    let error = engine.create_service(&spec, None).await.expect_err("the name is taken");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "AlreadyExists"), "{error}");
}

async fn what_a_service_names_must_be_there(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let plain = stack.service("app", harness.container(Behaviour::Runs));
    let name = stack.part("none");
    let (mut secret, mut config, mut network) = (plain.clone(), plain.clone(), plain.clone());
    let reference = SecretReference { name: name.clone(), ..SecretReference::default() };
    secret.task_template.container_spec.secrets.push(reference);
    let reference = ConfigReference { name: name.clone(), ..ConfigReference::default() };
    config.task_template.container_spec.configs.push(reference);
    attach(&mut network, &name);
    let cases = [(secret, "SecretNotFound"), (config, "ConfigNotFound"), (network, "NetworkNotFound")];
    for (spec, reason) in cases {
        let error = engine.create_service(&spec, None).await.expect_err("something is missing");
        assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, reason), "{error}");
        assert!(error.message.contains(&name), "{error}");
    }
    assert!(engine.services(&stack.filter()).await.expect("services can be listed").is_empty());
}

async fn a_task_starts_until_it_is_healthy(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let spec = stack.service("app", harness.container(Behaviour::GetsHealthy));
    engine.create_service(&spec, None).await.expect("it is made");
    task(engine, &stack, "a task starts", |task| task.state == TaskState::Starting).await;
    let task = running(engine, &stack).await;
    let details = engine.container(&task.container_id).await.expect("it answers").expect("it is there");
    assert_eq!(details.health, "healthy", "{details:?}");
}

async fn a_task_that_ends_is_failed_and_replaced(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let spec = stack.service("app", harness.container(Behaviour::Exits(3)));
    engine.create_service(&spec, None).await.expect("it is made");
    let failed = task(engine, &stack, "a task fails", |task| task.state == TaskState::Failed).await;
    assert_eq!(failed.exit_code, Some(3), "{failed:?}");
    assert!(failed.error.contains("non-zero exit (3)"), "{failed:?}");
    let next = task(engine, &stack, "another one takes its slot", |task| task.id != failed.id).await;
    assert_eq!((next.slot, next.is_up_to_date), (failed.slot, true));
}

async fn a_task_without_an_image_is_rejected(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let spec = stack.service("app", harness.container(Behaviour::MissingImage));
    engine.create_service(&spec, None).await.expect("it is made");
    let rejected = task(engine, &stack, "a task is rejected", |task| task.state == TaskState::Rejected).await;
    assert!(rejected.error.contains("No such image"), "{rejected:?}");
    assert_eq!(rejected.exit_code, None, "it never ran");
}

async fn a_task_that_is_never_healthy_fails(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let spec = stack.service("app", harness.container(Behaviour::NeverHealthy));
    engine.create_service(&spec, None).await.expect("it is made");
    let failed = task(engine, &stack, "a task fails", |task| task.state == TaskState::Failed).await;
    assert!(failed.error.contains("unhealthy"), "{failed:?}");
}

async fn a_task_that_fits_nowhere_is_pending_and_says_why(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    let constraints = vec!["node.labels.nowhere==true".to_owned()];
    spec.task_template.placement = Some(Placement { constraints, ..Placement::default() });
    engine.create_service(&spec, None).await.expect("it is made");
    let says_why = |task: &crate::swarm::Task| task.state == TaskState::Pending && !task.error.is_empty();
    let pending = task(engine, &stack, "a task says why it is pending", says_why).await;
    assert!(pending.error.contains("no suitable node"), "{pending:?}");
}

async fn a_port_of_the_host_is_given_once(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("one", harness.container(Behaviour::Runs));
    let port = PortConfig {
        protocol: "tcp".to_owned(),
        target_port: 80,
        published_port: 26_999,
        publish_mode: "host".to_owned(),
    };
    spec.endpoint_spec.get_or_insert_default().ports = vec![port];
    engine.create_service(&spec, None).await.expect("it is made");
    running(engine, &stack).await;
    let second = crate::swarm::spec::ServiceSpec { name: stack.part("two"), ..spec };
    let id = engine.create_service(&second, None).await.expect("it is made");
    let waits = |task: &crate::swarm::Task| task.service_id == id && !task.error.is_empty();
    let pending = task(engine, &stack, "the second one waits", waits).await;
    assert_eq!(pending.state, TaskState::Pending);
    assert!(pending.error.contains("host-mode port already in use"), "{pending:?}");
}

async fn a_bind_of_what_is_not_there_is_rejected(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    let (source, target) = ("/nowhere/at/all".to_owned(), "/d".to_owned());
    let mount = Mount { type_: "bind".to_owned(), source, target, ..Mount::default() };
    spec.task_template.container_spec.mounts = vec![mount];
    engine.create_service(&spec, None).await.expect("it is made");
    let rejected = task(engine, &stack, "a task is rejected", |task| task.state == TaskState::Rejected).await;
    assert!(rejected.error.contains("bind source path does not exist"), "{rejected:?}");
}

async fn a_job_completes(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("job", harness.container(Behaviour::Exits(0)));
    spec.mode = ServiceMode::ReplicatedJob { max_concurrent: Some(1), total_completions: Some(1) };
    spec.endpoint_spec = None;
    // The engine refuses both for jobs.
    (spec.update_config, spec.rollback_config) = (None, None);
    let policy = spec.task_template.restart_policy.get_or_insert_default();
    policy.condition = "none".to_owned();
    engine.create_service(&spec, None).await.expect("it is made");
    let done = task(engine, &stack, "the job completes", |task| task.state == TaskState::Complete).await;
    assert_eq!(done.exit_code, Some(0), "{done:?}");
    let details = engine.container(&done.container_id).await.expect("it answers").expect("it is kept");
    assert_eq!((details.is_running, details.exit_code), (false, Some(0)));
}

async fn a_service_without_replicas_has_no_tasks(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    engine.create_service(&spec, None).await.expect("it is made");
    running(engine, &stack).await;
    spec.mode = ServiceMode::Replicated { replicas: Some(0) };
    let current = service(engine, &spec.name).await;
    engine.update_service(&current.id, current.version, &spec, None).await.expect("it is updated");
    until("no task is meant to run", async || {
        let tasks = tasks(engine, &stack).await;
        tasks.iter().all(|task| task.state.is_terminal() && task.desired > TaskState::Running).then_some(())
    })
    .await;
    assert_eq!(service(engine, &spec.name).await.update, None, "a change of numbers is no rollout");
}

async fn after_removal_tasks_and_containers_end_before_networks_go(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let new = NewNetwork { name: stack.part("net"), labels: stack.labels(), ..NewNetwork::default() };
    let network = engine.create_network(&new).await.expect("it is made");
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    attach(&mut spec, &new.name);
    let service = engine.create_service(&spec, None).await.expect("it is made");
    running(engine, &stack).await;
    assert_eq!(engine.remove_service(&service).await.expect("it is removed"), Removal::Gone);
    assert!(engine.services(&stack.filter()).await.expect("services can be listed").is_empty());
    let still = tasks(engine, &stack).await;
    assert!(still.iter().any(|task| task.state == TaskState::Running), "a task outlives its service: {still:?}");
    let by_service = Filter { service: Some(service), ..Filter::default() };
    let found = engine.tasks(&by_service).await.expect("tasks of a removed service can be asked for");
    assert!(found.iter().all(|task| still.iter().any(|other| other.id == task.id)), "{found:?}");
    until("tasks and containers are gone", async || {
        let containers = engine.containers(&stack.filter()).await.expect("containers can be listed");
        (tasks(engine, &stack).await.is_empty() && containers.is_empty()).then_some(())
    })
    .await;
    match engine.remove_network(&network).await.expect("the engine answers") {
        Removal::Gone => {}
        Removal::InUse(why) => panic_with(&format!("nothing uses it any more: {why}")),
    }
}
