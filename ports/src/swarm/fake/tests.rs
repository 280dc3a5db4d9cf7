//! The fake keeps the contract, and plays the traps that the contract is silent about.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;

use super::{Behaviour, FakeEngine, Fault};
use crate::error::ErrorKind;
use crate::swarm::conformance::{self, Harness, cases, healthcheck};
use crate::swarm::spec::{
    ContainerSpec, EndpointSpec, NetworkAttachment, PortConfig, ServiceMode, ServiceSpec, UpdateConfig,
};
use crate::swarm::{Engine, Filter, NewNetwork, Task, TaskState, UpdateState};

struct Fake(FakeEngine);

impl Harness for Fake {
    fn engine(&self) -> &dyn Engine {
        &self.0
    }

    fn container(&self, behaviour: conformance::Behaviour) -> ContainerSpec {
        use conformance::Behaviour as Wanted;
        let (image, behaviour) = match behaviour {
            Wanted::Runs => ("r/app:1".to_owned(), Behaviour::runs()),
            Wanted::SaysHello => {
                ("r/hello:1".to_owned(), Behaviour { log: vec!["hello".to_owned()], ..Behaviour::runs() })
            }
            Wanted::GetsHealthy => ("r/slow:1".to_owned(), Behaviour::healthy_after(Duration::from_secs(1))),
            Wanted::NeverHealthy => ("r/ill:1".to_owned(), Behaviour::never_healthy()),
            Wanted::Exits(code) => (format!("r/exits:{code}"), Behaviour::exits(Duration::ZERO, code.into())),
            Wanted::MissingImage => ("r/none:1".to_owned(), Behaviour::missing()),
        };
        self.0.behave(&image, behaviour);
        let healthcheck = (image == "r/slow:1" || image == "r/ill:1").then(|| healthcheck("true"));
        ContainerSpec { image, healthcheck, ..ContainerSpec::default() }
    }

    fn image(&self) -> String {
        "r/app:1".to_owned()
    }
}

fn engine() -> FakeEngine {
    FakeEngine::starting_at("2026-01-01T00:00:00Z".parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_fake_conforms() {
    for case in cases() {
        // The name of the case that fails stands above its panic.
        println!("{}", case.name);
        case.run(&Fake(engine())).await;
    }
}

fn service(name: &str, image: &str) -> ServiceSpec {
    let mut spec = ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() };
    spec.task_template.container_spec.image = image.to_owned();
    spec.mode = ServiceMode::Replicated { replicas: Some(1) };
    spec
}

async fn tasks(engine: &FakeEngine) -> Vec<Task> {
    engine.tasks(&Filter::default()).await.unwrap()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Deploys on `proxy` and a network of its own, and takes both away in an order.
async fn deploy_and_remove(engine: &FakeEngine, networks_first: bool) -> TaskState {
    let own = NewNetwork { name: "a_internal".to_owned(), ..NewNetwork::default() };
    let own = engine.create_network(&own).await.unwrap();
    let mut spec = service("a_app", "r/app:1");
    for target in ["proxy", "a_internal"] {
        let attachment = NetworkAttachment { target: target.to_owned(), ..NetworkAttachment::default() };
        spec.task_template.networks.push(attachment);
    }
    let id = engine.create_service(&spec, None).await.unwrap();
    pass(10).await;
    let state = tasks(engine).await.last().map_or(TaskState::New, |task| task.state);
    engine.remove_service(&id).await.unwrap();
    if networks_first {
        engine.remove_network(&own).await.unwrap();
        pass(10).await;
    } else {
        pass(10).await;
        engine.remove_network(&own).await.unwrap();
    }
    state
}

#[tokio::test(start_paused = true)]
async fn addresses_are_lost_when_networks_go_before_tasks() {
    let engine = engine();
    let proxy =
        NewNetwork { name: "proxy".to_owned(), subnets: vec!["10.9.0.0/28".to_owned()], ..NewNetwork::default() };
    engine.create_network(&proxy).await.unwrap();
    for _ in 0..25 {
        assert_eq!(deploy_and_remove(&engine, false).await, TaskState::Running);
    }
    assert_eq!(engine.addresses_lost("proxy"), 0);
    let mut cycles = 0;
    while deploy_and_remove(&engine, true).await == TaskState::Running {
        cycles += 1;
        assert!(cycles < 25, "the network of 12 addresses never fills up");
    }
    assert_eq!((cycles, engine.addresses_lost("proxy")), (12, 12));
    engine.restart();
    assert_eq!(deploy_and_remove(&engine, false).await, TaskState::Running);
}

#[tokio::test(start_paused = true)]
async fn start_first_and_a_port_of_the_host_wait_for_each_other() {
    let engine = engine();
    let mut spec = service("a_app", "r/app:1");
    let (target_port, published_port, publish_mode) = (80, 8080, "host".to_owned());
    let port = PortConfig { protocol: "tcp".to_owned(), target_port, published_port, publish_mode };
    spec.endpoint_spec = Some(EndpointSpec { ports: vec![port], ..EndpointSpec::default() });
    let (order, failure_action) = ("start-first".to_owned(), "rollback".to_owned());
    spec.update_config = Some(UpdateConfig { order, failure_action, ..UpdateConfig::default() });
    let id = engine.create_service(&spec, None).await.unwrap();
    pass(10).await;
    spec.task_template.container_spec.env = vec!["A=1".to_owned()];
    let version = engine.services(&Filter::default()).await.unwrap()[0].version;
    engine.update_service(&id, version, &spec, None).await.unwrap();
    pass(3600).await;
    let update = engine.services(&Filter::default()).await.unwrap()[0].update.clone().unwrap();
    assert_eq!(update.state, UpdateState::Updating, "for ever");
    let states: Vec<_> = tasks(&engine).await.iter().map(|task| (task.state, task.error.clone())).collect();
    let why = "no suitable node (host-mode port already in use on 1 node)".to_owned();
    assert_eq!(states, [(TaskState::Running, String::new()), (TaskState::Pending, why)]);
}

#[tokio::test(start_paused = true)]
async fn an_update_is_not_seen_for_a_moment_and_a_rollback_forgets_it() {
    let engine = engine();
    engine.behave("r/app:2", Behaviour::exits(Duration::from_secs(1), 1));
    let mut spec = service("a_app", "r/app:1");
    let failure_action = "rollback".to_owned();
    spec.update_config = Some(UpdateConfig { failure_action, ..UpdateConfig::default() });
    let id = engine.create_service(&spec, None).await.unwrap();
    pass(10).await;
    "r/app:2".clone_into(&mut spec.task_template.container_spec.image);
    let before = engine.services(&Filter::default()).await.unwrap().remove(0);
    engine.update_service(&id, before.version, &spec, None).await.unwrap();
    let seen = engine.services(&Filter::default()).await.unwrap().remove(0);
    assert_eq!((seen.update, seen.previous.is_some()), (None, true), "nothing tells that it goes on");
    assert!(tasks(&engine).await.iter().all(|task| !task.is_up_to_date));
    pass(1).await;
    let seen = engine.services(&Filter::default()).await.unwrap().remove(0);
    assert_eq!(seen.update.unwrap().state, UpdateState::Updating);
    pass(60).await;
    let seen = engine.services(&Filter::default()).await.unwrap().remove(0);
    assert_eq!(seen.update.unwrap().state, UpdateState::RollbackCompleted);
    assert_eq!((&seen.spec, seen.previous), (&before.spec, None));
    let running = tasks(&engine).await.into_iter().filter(|task| task.state == TaskState::Running);
    assert_eq!(running.map(|task| task.is_up_to_date).collect::<Vec<_>>(), [true], "and all is green again");
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_goes_on_and_containers_may_recover() {
    let engine = engine();
    let crash = Behaviour::exits(Duration::from_secs(1), 1);
    engine.behave_in_turn("r/app:1", [crash.clone(), crash, Behaviour::runs()]);
    engine.create_service(&service("a_app", "r/app:1"), None).await.unwrap();
    pass(60).await;
    let states: Vec<_> = tasks(&engine).await.iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Failed, TaskState::Failed, TaskState::Running]);
    assert_eq!(engine.crash("a_app", 9), 1);
    let last = tasks(&engine).await.into_iter().filter(|task| task.exit_code == Some(9)).count();
    assert_eq!(last, 1);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ignores_the_signal_takes_its_whole_grace() {
    let engine = engine();
    engine.behave("r/app:1", Behaviour::ignores_stop());
    let id = engine.create_service(&service("a_app", "r/app:1"), None).await.unwrap();
    pass(10).await;
    engine.remove_service(&id).await.unwrap();
    pass(11).await;
    assert_eq!(tasks(&engine).await.len(), 1);
    pass(2).await;
    assert_eq!(tasks(&engine).await.len(), 0);
    assert_eq!(engine.containers(&Filter::default()).await.unwrap().len(), 1, "its container outlives it");
    pass(2).await;
    assert_eq!(engine.containers(&Filter::default()).await.unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn faults_hit_the_call_they_are_meant_for() {
    let engine = engine();
    let spec = service("a_app", "r/app:1");
    engine.fail("create_service", Fault::Unreachable);
    engine.fail("create_service", Fault::LostReply);
    let error = engine.create_service(&spec, None).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "EngineUnreachable"));
    assert!(engine.services(&Filter::default()).await.unwrap().is_empty(), "nothing happened");
    let error = engine.create_service(&spec, None).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "EngineTimeout"));
    assert_eq!(engine.services(&Filter::default()).await.unwrap().len(), 1, "it happened all the same");
    let mut events = engine.events().await.unwrap();
    engine.set_reachable(false);
    assert!(events.next().await.is_none(), "streams end");
    assert_eq!(engine.info().await.unwrap_err().reason, "EngineUnreachable");
    engine.set_reachable(true);
    assert!(engine.info().await.is_ok());
    assert_eq!(engine.calls().iter().filter(|call| **call == "create_service").count(), 2);
}

#[tokio::test(start_paused = true)]
async fn its_moments_follow_the_clock_that_it_was_given() {
    let engine = engine();
    pass(3600).await;
    engine.create_service(&service("a_app", "r/app:1"), None).await.unwrap();
    let created = engine.services(&Filter::default()).await.unwrap()[0].created_at;
    assert_eq!(created, Some("2026-01-01T01:00:00Z".parse::<Timestamp>().unwrap()));
}
