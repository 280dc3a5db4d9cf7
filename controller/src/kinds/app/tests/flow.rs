//! Whole lives of Apps.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Kind as _;
use api_types::kinds::app::{App, AppStatus};
use api_types::kinds::recipe::Recipe;
use api_types::kinds::test_run::TestRun;
use api_types::reason;
use ports::probe::fake::FakeAnswer;
use ports::swarm::fake::{Behaviour, Fault};
use ports::swarm::{Engine as _, Filter};
use serde_json::json;

use super::world::{ABRA, COMPOSE, DOMAIN, SAMPLE, STACK, World};
use crate::kinds::app::ADOPT_ANNOTATION;
use crate::kinds::app::labels::{APP_LABEL, SPEC_LABEL};
use crate::kinds::app::reaper::Mode;
use crate::kinds::app::upgrade::SNAPSHOT_ANNOTATION;
use crate::runtime::objects::ObjectKey;

fn condition(status: &AppStatus, type_: &str) -> (ConditionStatus, String) {
    let found = find(&status.conditions, type_).unwrap();
    (found.status, found.reason.clone())
}

async fn minutes(count: u64) {
    tokio::time::sleep(Duration::from_mins(count)).await;
}

#[tokio::test(start_paused = true)]
async fn an_app_is_installed_answers_and_goes_without_a_trace() {
    let world = World::start().await;
    let before = world.inventory().await;
    world.create_app("x", json!({})).await;
    let status = world.until_ready("x").await;
    assert_eq!(status.stack.as_deref(), Some(STACK));
    assert_eq!(status.host.as_deref(), Some("here"));
    let observed = status.observed.unwrap();
    assert_eq!(observed.version.as_deref(), Some("1.0.0+1"));
    assert_eq!(observed.commit, status.desired.unwrap().commit);
    assert_eq!(observed.images.iter().map(|image| image.service.as_str()).collect::<Vec<_>>(), ["app", "db"]);
    assert_eq!(status.services.iter().map(|service| service.running).collect::<Vec<_>>(), [1, 1]);
    let app = world.service("app").await.unwrap();
    assert_eq!(app.spec.labels[APP_LABEL], "default/x");
    assert_eq!(app.spec.labels[&format!("coop-cloud.{STACK}.version")], "1.0.0+1");
    assert!(app.spec.task_template.container_spec.env.contains(&format!("DOMAIN={DOMAIN}")), "abra exposes it");
    let secrets = world.engine.secrets(&Filter::default()).await.unwrap();
    assert_eq!(secrets.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), [format!("{STACK}_pass_v1")]);
    world.delete("x").await;
    world.until_gone("x").await;
    assert_eq!(world.inventory().await, before);
    assert_eq!(world.engine.addresses_lost("proxy"), 0);
}

#[tokio::test(start_paused = true)]
async fn apps_that_run_cost_next_to_nothing() {
    let world = World::start().await;
    for number in 0..20 {
        let domain = format!("a{number}.example");
        world.probe.set_host(&domain, FakeAnswer::Status(200, String::new()));
        world.create_app(&format!("a{number}"), json!({"domain": domain})).await;
    }
    for number in 0..20 {
        world.until_ready(&format!("a{number}")).await;
    }
    minutes(5).await;
    let before = world.engine.calls().len();
    minutes(10).await;
    let calls = world.engine.calls().len() - before;
    assert!(calls < 2 * 600, "{calls} calls in ten minutes");
}

const COMPOSE_2: &str = "\
version: '3.8'
services:
  app:
    image: 127.0.0.1:5000/app:2
    networks: [proxy]
    configs: [{source: conf, target: /conf}]
    secrets: [pass]
    volumes: ['data:/data']
    deploy:
      labels:
        - 'traefik.http.routers.${STACK_NAME}.rule=Host(`${DOMAIN}`)'
      update_config: {failure_action: rollback, order: start-first}
networks:
  proxy: {external: true}
volumes: {data: {}}
secrets:
  pass: {external: true, name: '${STACK_NAME}_pass_${SECRET_PASS_VERSION}'}
configs:
  conf: {name: '${STACK_NAME}_conf_${CONF_VERSION}', file: conf.tmpl}
";

fn second(world: &World) {
    let abra = "export CONF_VERSION=v2\n";
    world.publish(
        "1.1.0+2",
        &[("compose.yml", COMPOSE_2), (".env.sample", SAMPLE), ("abra.sh", abra), ("conf.tmpl", "b")],
    );
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_happens_in_place_and_what_is_no_longer_named_goes() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    let secrets = world.engine.secrets(&Filter::default()).await.unwrap();
    second(&world);
    world.change("x", |app| app["spec"]["version"] = json!("1.1.0+2")).await;
    let status = world.until_ready("x").await;
    assert_eq!(status.observed.unwrap().version.as_deref(), Some("1.1.0+2"));
    assert!(world.service("db").await.is_none(), "it is no longer in the compose file");
    assert_eq!(world.engine.secrets(&Filter::default()).await.unwrap(), secrets, "generated once");
    world.delete("x").await;
    world.until_gone("x").await;
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_the_swarm_rolls_back_is_a_failure_and_is_not_tried_again() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    second(&world);
    world.engine.behave("127.0.0.1:5000/app:2", Behaviour::exits(Duration::from_secs(1), 1));
    // Without a copy of its volumes the App does not go back by itself: what the swarm does is all there is.
    world.change("x", |app| app["metadata"]["annotations"] = json!({SNAPSHOT_ANNOTATION: "false"})).await;
    world.change("x", |app| app["spec"]["version"] = json!("1.1.0+2")).await;
    let failed = world.until_condition("x", "Converged", ConditionStatus::False, reason::ROLLED_BACK).await;
    assert_ne!(failed.observed.unwrap().version.as_deref(), Some("1.1.0+2"), "not what was asked for");
    let updates = |world: &World| world.engine.calls().iter().filter(|call| **call == "update_service").count();
    let before = updates(&world);
    minutes(30).await;
    assert_eq!(updates(&world), before);
    let status = world.app("x").await.unwrap().status;
    assert_eq!(condition(&status, "Ready"), (ConditionStatus::False, reason::ROLLED_BACK.to_owned()));
    world.change("x", |app| app["spec"]["version"] = json!("1.0.0+1")).await;
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_has_its_reason_and_ends_early() {
    let cases: [(&str, Behaviour, &str, &str, u64); 6] = [
        ("missing", Behaviour::missing(), "Deployed", reason::IMAGE_NOT_FOUND, 10),
        ("crash", Behaviour::exits(Duration::from_secs(1), 3), "Converged", reason::CRASH_LOOP, 60),
        ("memory", Behaviour::runs_out_of_memory(Duration::from_secs(1)), "Converged", reason::OUT_OF_MEMORY, 60),
        ("mount", Behaviour::rejected("bind source path does not exist: /gone"), "Converged", reason::MOUNT_FAILED, 60),
        ("unhealthy", Behaviour::never_healthy(), "Converged", reason::UNHEALTHY, 900),
        ("slow pull", Behaviour::slow_pull(Duration::from_hours(1)), "Deployed", reason::PULL_TIMEOUT, 1000),
    ];
    for (name, behaviour, type_, reason, seconds) in cases {
        let world = World::start().await;
        world.engine.behave("127.0.0.1:5000/app:1", behaviour);
        let began = tokio::time::Instant::now();
        world.create_app("x", json!({})).await;
        world.until_condition("x", type_, ConditionStatus::False, reason).await;
        let took = began.elapsed();
        assert!(took <= Duration::from_secs(seconds), "{name} took {took:?}");
        world.delete("x").await;
        world.until_gone("x").await;
        assert_eq!(world.inventory().await["services"], [""; 0], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_start_is_waited_for() {
    let world = World::start().await;
    world.engine.behave("127.0.0.1:5000/app:1", Behaviour::healthy_after(Duration::from_secs(80)));
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changes_is_put_right() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    minutes(1).await;
    let db = world.service("db").await.unwrap();
    world.engine.remove_service(&db.id).await.unwrap();
    world.until("x", "it is seen", |status| condition(status, "Drifted").0 == ConditionStatus::True).await;
    world.until_ready("x").await;
    assert!(world.service("db").await.is_some());
    minutes(1).await;
    let app = world.service("app").await.unwrap();
    let mut spec = app.spec.clone();
    spec.task_template.container_spec.image = "127.0.0.1:5000/other:1".to_owned();
    world.engine.update_service(&app.id, app.version, &spec, None).await.unwrap();
    world.until("x", "it is seen", |status| condition(status, "Drifted").0 == ConditionStatus::True).await;
    let status = world.until_ready("x").await;
    assert_eq!(condition(&status, "Drifted").0, ConditionStatus::False);
    let image = world.service("app").await.unwrap().spec.task_template.container_spec.image;
    assert!(image.starts_with("127.0.0.1:5000/app:1"), "{image}");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_makes_nothing_of_anything() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    let tasks = world.running_tasks().await;
    world.engine.set_reachable(false);
    world.until("x", "nobody knows", |status| condition(status, "Ready").0 == ConditionStatus::Unknown).await;
    minutes(60).await;
    assert_eq!(condition(&world.app("x").await.unwrap().status, "Converged").0, ConditionStatus::Unknown);
    world.engine.set_reachable(true);
    world.until_ready("x").await;
    assert_eq!(world.running_tasks().await, tasks);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_has_come_back_is_given_time_before_it_is_told_anything() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    second(&world);
    let updates = |world: &World| world.engine.calls().iter().filter(|call| **call == "update_service").count();
    let before = updates(&world);
    world.engine.set_reachable(false);
    world.until("x", "nobody knows", |status| condition(status, "Ready").0 == ConditionStatus::Unknown).await;
    world.change("x", |app| app["spec"]["version"] = json!("1.1.0+2")).await;
    minutes(1).await;
    world.engine.set_reachable(true);
    // It may have been found away up to five seconds ago.
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(updates(&world), before, "it was told at once");
    let status = world.until_ready("x").await;
    assert_eq!(status.observed.unwrap().version.as_deref(), Some("1.1.0+2"));
}

#[tokio::test(start_paused = true)]
async fn two_apps_of_one_domain_take_turns() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    minutes(1).await;
    world.create_app("y", json!({})).await;
    let taken = |status: &AppStatus| {
        find(&status.conditions, "Ready").is_some_and(|found| found.reason == reason::DOMAIN_TAKEN)
    };
    for _ in 0..600 {
        if world.app("y").await.is_some_and(|app| taken(&app.status)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(taken(&world.app("y").await.unwrap().status));
    world.delete("x").await;
    world.until_gone("x").await;
    world.until_ready("y").await;
    assert_eq!(world.service("app").await.unwrap().spec.labels[APP_LABEL], "default/y");
}

#[tokio::test(start_paused = true)]
async fn a_stack_of_somebody_else_is_left_alone_until_the_app_may_take_it_over() {
    let world = World::start().await;
    world.create_app("x", json!({"volumes": "Retain"})).await;
    world.until_ready("x").await;
    // As if abra had made it: no label of ours, and no App.
    world.change("x", |app| app["metadata"]["finalizers"] = json!([])).await;
    world.delete("x").await;
    if world.app("x").await.is_some() {
        world.change("x", |app| app["metadata"]["finalizers"] = json!([])).await;
    }
    for name in ["app", "db"] {
        let service = world.service(name).await.unwrap();
        let mut spec = service.spec.clone();
        spec.labels = crate::kinds::app::labels::without_own(&spec.labels);
        world.engine.update_service(&service.id, service.version, &spec, None).await.unwrap();
    }
    let tasks = world.running_tasks().await;
    world.create_app("y", json!({"volumes": "Retain"})).await;
    world.until_condition("y", "Deployed", ConditionStatus::False, reason::STACK_NOT_OURS).await;
    assert!(!world.service("app").await.unwrap().spec.labels.contains_key(SPEC_LABEL));
    world.change("y", |app| app["metadata"]["annotations"] = json!({ADOPT_ANNOTATION: "true"})).await;
    world.until_ready("y").await;
    assert_eq!(world.running_tasks().await, tasks, "no task was restarted");
    assert_eq!(world.service("app").await.unwrap().spec.labels[APP_LABEL], "default/y");
}

#[tokio::test(start_paused = true)]
async fn data_that_stays_is_found_again_with_its_secrets() {
    let world = World::start().await;
    world.create_app("x", json!({"volumes": "Retain"})).await;
    world.until_ready("x").await;
    world.delete("x").await;
    world.until_gone("x").await;
    let left = world.inventory().await;
    assert_eq!((left["services"].len(), left["networks"].len(), left["configs"].len()), (0, 1, 0));
    assert_eq!(left["secrets"], [format!("{STACK}_pass_v1")]);
    assert_eq!(left["volumes"], [format!("{STACK}_data")]);
    // One that would delete them does not begin on top of them: they are another App's.
    world.create_app("y", json!({"volumes": "Retain"})).await;
    world.until_ready("y").await;
    world.change("y", |app| app["spec"]["volumes"] = json!("Delete")).await;
    world.until_ready("y").await;
    world.delete("y").await;
    world.until_gone("y").await;
    let left = world.inventory().await;
    assert_eq!((left["secrets"].len(), left["volumes"].len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_ccd_that_is_killed_after_any_call_to_the_engine_goes_on() {
    let mut counts = Vec::new();
    for calls in (1..60).step_by(4) {
        let mut world = World::start().await;
        let before = world.inventory().await;
        let kill_after = |world: &World, more: usize| world.engine.calls().len() + more;
        world.create_app("x", json!({})).await;
        let limit = kill_after(&world, calls);
        for _ in 0..2000 {
            if world.engine.calls().len() >= limit {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.run();
        world.until_ready("x").await;
        let names = world.inventory().await;
        counts.push((names["services"].len(), names["secrets"].len(), names["configs"].len(), names["networks"].len()));
        world.delete("x").await;
        let limit = kill_after(&world, calls);
        for _ in 0..4000 {
            if world.engine.calls().len() >= limit || world.app("x").await.is_none() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.run();
        world.until_gone("x").await;
        assert_eq!(world.inventory().await, before, "killed after {calls} calls");
    }
    assert!(counts.iter().all(|count| *count == (2, 1, 1, 2)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn an_app_can_be_deleted_at_any_moment_of_its_deploy() {
    for wait in (0..60).step_by(3) {
        let world = World::start().await;
        let before = world.inventory().await;
        world.create_app("x", json!({})).await;
        tokio::time::sleep(Duration::from_millis(wait * 100)).await;
        world.delete("x").await;
        world.until_gone("x").await;
        assert_eq!(world.inventory().await, before, "deleted after {} ms", wait * 100);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_or_lose_their_answer_are_got_over() {
    for call in ["services", "tasks", "create_service", "create_network", "create_config", "create_secret", "networks"]
    {
        for fault in [Fault::Unreachable, Fault::NoLeader, Fault::LostReply] {
            let world = World::start().await;
            let before = world.inventory().await;
            world.engine.fail(call, fault);
            world.create_app("x", json!({})).await;
            world.until_ready("x").await;
            for call in ["remove_service", "remove_network", "remove_config", "remove_volume", "containers"] {
                world.engine.fail(call, fault);
            }
            world.delete("x").await;
            world.until_gone("x").await;
            assert_eq!(world.inventory().await, before, "{call} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_no_app_is_reaped_but_nothing_else() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    world.create_app("y", json!({"domain": "y.example"})).await;
    world.probe.set_host("y.example", FakeAnswer::Status(200, String::new()));
    world.until_ready("y").await;
    forget(&world, "x").await;
    let mut looking = world.reaper(Mode::DryRun);
    looking.tick().await;
    looking.tick().await;
    assert!(world.service("app").await.is_some(), "it only looks");
    let mut reaper = world.reaper(Mode::Act);
    reaper.tick().await;
    assert!(world.service("app").await.is_some(), "it must be seen twice");
    reaper.tick().await;
    let left = world.inventory().await;
    assert_eq!(left["services"], ["y_example_app", "y_example_db"]);
    assert_eq!(left["networks"], ["proxy", "y_example_internal"]);
    assert_eq!(left["volumes"], ["y_example_data"]);
    assert_eq!(left["secrets"], ["y_example_pass_v1"]);
}

/// Takes an App out of the store by force: the engine looks as after the restore of a backup that is older than it.
async fn forget(world: &World, name: &str) {
    for _ in 0..2 {
        if world.app(name).await.is_some() {
            world.change(name, |app| app["metadata"]["finalizers"] = json!([])).await;
            world.delete(name).await;
        }
    }
    assert!(world.app(name).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn what_was_there_when_the_store_was_restored_is_for_a_person_to_decide_about() {
    for (seconds, run, is_kept) in [(1, None, true), (-1, None, false), (1, Some("run"), false)] {
        let mut world = World::start().await;
        world.create_app("x", json!({})).await;
        let owner = run.map(|run| json!({"apiVersion": "v1", "kind": "TestRun", "name": run, "uid": "r"}));
        world.change("x", |app| app["metadata"]["ownerReferences"] = owner.iter().cloned().collect()).await;
        world.until_ready("x").await;
        let created_at = world.service("app").await.unwrap().created_at.unwrap();
        // The older store never knew the App, and so nobody began to take it down.
        world.kill();
        forget(&world, "x").await;
        world.run();
        let restored_at = created_at + jiff::SignedDuration::from_secs(seconds);
        let mut reaper = world.reaper(Mode::Act).restored_at(Some(restored_at));
        reaper.tick().await;
        reaper.tick().await;
        assert_eq!(world.service("app").await.is_some(), is_kept, "{seconds} {run:?}");
        // Events are written beside what they are about.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = world.objects.list("events", None).await.unwrap().objects;
        let said = events.iter().find(|event| event.value["reason"] == reason::ORPHAN_KEPT);
        let message = said.map(|event| event.value["message"].as_str().unwrap().to_owned()).unwrap_or_default();
        assert_eq!(message.ends_with("or take the stack down: docker stack rm x_example"), is_kept, "{message}");
        if is_kept {
            // Applied again as it says, it is taken over as it runs, whatever the App says of its volumes.
            world.create_app("x", json!({"suspend": true})).await;
            world.change("x", |app| app["metadata"]["annotations"][ADOPT_ANNOTATION] = json!("true")).await;
            world.change("x", |app| app["spec"]["suspend"] = json!(false)).await;
            world.until_ready("x").await;
            assert_eq!(world.service("app").await.unwrap().created_at, Some(created_at));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_config_that_changed_under_its_name_is_refused_with_the_way_out() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    world.publish(
        "1.0.1+1",
        &[("compose.yml", COMPOSE), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "b")],
    );
    world.change("x", |app| app["spec"]["version"] = json!("1.0.1+1")).await;
    let status =
        world.until_condition("x", "Deployed", ConditionStatus::False, reason::CONFIG_CHANGED_WITHOUT_VERSION).await;
    let message = &find(&status.conditions, "Deployed").unwrap().message;
    assert!(message.contains("Raise CONF_VERSION in abra.sh"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn an_app_that_does_not_answer_is_given_its_time_and_then_called_unreachable() {
    let world = World::start().await;
    world.probe.set_host(DOMAIN, FakeAnswer::Status(502, String::new()));
    world.create_app("x", json!({})).await;
    world.until_condition("x", "Reachable", ConditionStatus::Unknown, reason::PROBING).await;
    world.until_condition("x", "Reachable", ConditionStatus::False, reason::BACKEND_DOWN).await;
    world.probe.set_host(DOMAIN, FakeAnswer::Status(200, String::new()));
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_fork_may_not_do_is_refused_before_anything_is_made() {
    let world = World::start().await;
    let before = world.inventory().await;
    let bind = COMPOSE.replace("volumes: ['data:/data']", "volumes: ['/etc:/data']");
    world.publish("1.2.0+1", &[("compose.yml", &bind), (".env.sample", SAMPLE), ("abra.sh", ABRA), ("conf.tmpl", "a")]);
    let recipe = json!({"source": {"url": super::world::URL}});
    world.create(&Recipe::resource(), "default", "demo", recipe).await;
    let pull_request = json!({"number": 7, "headSHA": "a".repeat(40), "fork": true});
    world
        .create(
            &TestRun::resource(),
            "default",
            "run",
            json!({"recipeRef": "demo", "source": {"pullRequest": pull_request}}),
        )
        .await;
    let run = world.objects.get(&ObjectKey::new(&TestRun::resource(), "default", "run")).await.unwrap();
    let mut owner = serde_json::to_value(run.as_owner()).unwrap();
    owner["kind"] = json!("TestRun");
    owner["apiVersion"] = json!("ci.coopcloud.tech/v1alpha1");
    let app = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App",
        "metadata": {"name": "x", "namespace": "default", "ownerReferences": [owner]},
        "spec": {"recipe": {"recipeRef": "demo"}, "domain": DOMAIN, "version": "1.2.0+1", "volumes": "Delete"}});
    world.objects.create(&App::resource(), app).await.unwrap();
    let status = world.until_condition("x", "Configured", ConditionStatus::False, reason::POLICY_REFUSED).await;
    let message = &find(&status.conditions, "Configured").unwrap().message;
    assert!(message.contains("compose.yml:8"), "{message}");
    assert_eq!(world.inventory().await, before);
    // The recipe's owner says that it may.
    let key = ObjectKey::new(&Recipe::resource(), "default", "demo");
    let mut recipe = world.objects.get(&key).await.unwrap().value.clone();
    recipe["spec"]["trust"] = json!({"allow": {"hostBinds": ["/etc"]}});
    world.objects.update(&key, recipe).await.unwrap();
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_field_that_the_engine_writes_otherwise_is_named_and_not_updated_for_ever() {
    let world = World::start().await;
    world.engine.normalise(|spec| {
        if spec.name == format!("{STACK}_app") {
            spec.task_template.container_spec.hostname = "normalised".to_owned();
        }
    });
    world.create_app("x", json!({})).await;
    let status = world.until_condition("x", "Deployed", ConditionStatus::False, reason::SPEC_NOT_KEPT).await;
    let message = &find(&status.conditions, "Deployed").unwrap().message;
    assert!(message.contains("TaskTemplate.ContainerSpec.Hostname differs"), "{message}");
    let updates = |world: &World| world.engine.calls().iter().filter(|call| **call == "update_service").count();
    assert_eq!(updates(&world), 3);
    minutes(9).await;
    assert_eq!(updates(&world), 3);
    minutes(120).await;
    assert!(updates(&world) <= 3 * 14, "{} updates in two hours", updates(&world));
    // Once the engine (or whoever it was) leaves the field alone, it is put right.
    world.engine.normalise(|_| {});
    world.until_ready("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_field_that_is_changed_back_each_time_is_named_as_well() {
    let world = World::start().await;
    world.create_app("x", json!({})).await;
    world.until_ready("x").await;
    minutes(1).await;
    world.engine.normalise(|spec| spec.task_template.container_spec.hostname = "theirs".to_owned());
    let db = world.service("db").await.unwrap();
    world.engine.update_service(&db.id, db.version, &db.spec, None).await.unwrap();
    world.until_condition("x", "Deployed", ConditionStatus::False, reason::SPEC_NOT_KEPT).await;
    world.delete("x").await;
    world.until_gone("x").await;
}

#[tokio::test(start_paused = true)]
async fn a_given_secret_has_the_same_version_after_a_restart() {
    for volumes in ["Delete", "Retain"] {
        let mut world = World::start().await;
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": "given", "namespace": "default"}, "data": {"value": "c2VjcmV0"}});
        world.objects.create("secrets", secret).await.unwrap();
        let secrets = json!([{"name": "pass", "valueFrom": {"name": "given", "key": "value"}}]);
        world.create_app("x", json!({"secrets": secrets, "volumes": volumes})).await;
        world.until_ready("x").await;
        let (tasks, before) = (world.running_tasks().await, world.inventory().await);
        for _ in 0..2 {
            world.run();
            minutes(10).await;
            world.until_ready("x").await;
        }
        assert_eq!(world.inventory().await, before, "{volumes}");
        assert_eq!(world.running_tasks().await, tasks, "{volumes}");
    }
}
