//! The engine itself, networks, secrets, configs and volumes.

use super::{Behaviour, Case, Harness, Stack, attach, running, until};
use crate::error::ErrorKind;
use crate::swarm::spec::{ConfigReference, FileTarget, Mount, SecretReference, VolumeOptions};
use crate::swarm::{Filter, NewNetwork, NewStackFile, Removal, SwarmState, Volume, VolumeCopy};

/// The cases of this file.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "an_engine_says_what_it_is",
        run: |harness, stack| Box::pin(an_engine_says_what_it_is(harness, stack)),
    },
    Case {
        name: "a_swarm_that_is_there_is_not_made_again",
        run: |harness, stack| Box::pin(a_swarm_that_is_there_is_not_made_again(harness, stack)),
    },
    Case {
        name: "a_network_is_made_once_and_removed",
        run: |harness, stack| Box::pin(a_network_is_made_once_and_removed(harness, stack)),
    },
    Case {
        name: "a_network_that_a_service_names_is_in_use",
        run: |harness, stack| Box::pin(a_network_that_a_service_names_is_in_use(harness, stack)),
    },
    Case {
        name: "a_subnet_that_makes_no_sense_is_refused",
        run: |harness, stack| Box::pin(a_subnet_that_makes_no_sense_is_refused(harness, stack)),
    },
    Case {
        name: "secrets_and_configs_are_made_once_and_removed",
        run: |harness, stack| Box::pin(secrets_and_configs_are_made_once_and_removed(harness, stack)),
    },
    Case {
        name: "names_are_compared_from_their_beginning",
        run: |harness, stack| Box::pin(names_are_compared_from_their_beginning(harness, stack)),
    },
    Case {
        name: "a_secret_that_a_service_names_is_in_use",
        run: |harness, stack| Box::pin(a_secret_that_a_service_names_is_in_use(harness, stack)),
    },
    Case {
        name: "a_volume_is_made_by_its_mount_and_in_use_until_its_container_is_gone",
        run: |harness, stack| {
            Box::pin(a_volume_is_made_by_its_mount_and_in_use_until_its_container_is_gone(harness, stack))
        },
    },
    Case {
        name: "a_volume_is_copied_with_its_labels_and_never_over_one_that_is_used",
        run: |harness, stack| {
            Box::pin(a_volume_is_copied_with_its_labels_and_never_over_one_that_is_used(harness, stack))
        },
    },
    Case {
        name: "making_a_volume_again_changes_nothing",
        run: |harness, stack| Box::pin(making_a_volume_again_changes_nothing(harness, stack)),
    },
    Case {
        name: "removing_what_is_not_there_is_fine",
        run: |harness, stack| Box::pin(removing_what_is_not_there_is_fine(harness, stack)),
    },
];

async fn an_engine_says_what_it_is(harness: &dyn Harness, _: Stack) {
    let info = harness.engine().info().await.expect("it answers");
    assert_eq!(info.swarm, SwarmState::Manager, "{info:?}");
    let texts = [&info.engine_version, &info.api_version, &info.hostname, &info.data_root, &info.node_id];
    assert!(texts.iter().all(|text| !text.is_empty()), "{info:?}");
    assert_eq!(info.swarm_error, "");
    assert!(info.memory_bytes > 0 && info.processors > 0, "{info:?}");
}

async fn a_swarm_that_is_there_is_not_made_again(harness: &dyn Harness, _: Stack) {
    let engine = harness.engine();
    let before = engine.nodes().await.expect("nodes can be listed");
    engine.init_swarm(None).await.expect("there is one");
    assert_eq!(engine.nodes().await.expect("nodes can be listed"), before);
    let [node] = &before[..] else { unreachable!("one node: {before:?}") };
    assert_eq!((node.state.as_str(), node.availability.as_str(), node.is_manager), ("ready", "active", true));
    assert_eq!(node.id, engine.info().await.expect("it answers").node_id);
}

async fn a_network_is_made_once_and_removed(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let subnets = vec!["10.77.1.0/24".to_owned(), "10.77.2.0/24".to_owned()];
    let (name, labels) = (stack.part("net"), stack.labels());
    let new = NewNetwork { name, labels, subnets, attachable: true, ..NewNetwork::default() };
    let id = engine.create_network(&new).await.expect("it is made");
    let listed = engine.networks(&stack.filter()).await.expect("networks can be listed");
    let [network] = &listed[..] else { unreachable!("one network: {listed:?}") };
    assert_eq!((&network.id, &network.name, network.attachable), (&id, &new.name, true));
    assert_eq!((network.driver.as_str(), network.scope.as_str()), ("overlay", "swarm"));
    // The manager gives it its addresses a moment later.
    until("it has its subnet", async || {
        let listed = engine.networks(&stack.filter()).await.expect("networks can be listed");
        (listed[0].subnets == ["10.77.1.0/24", "10.77.2.0/24"]).then_some(())
    })
    .await;
    let error = engine.create_network(&new).await.expect_err("the name is taken");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "AlreadyExists"), "{error}");
    assert_eq!(engine.remove_network(&id).await.expect("it is removed"), Removal::Gone);
    until("the network is not listed any more", async || {
        engine.networks(&stack.filter()).await.expect("networks can be listed").is_empty().then_some(())
    })
    .await;
    assert_eq!(engine.remove_network(&id).await.expect("it is gone"), Removal::Gone);
}

async fn a_network_that_a_service_names_is_in_use(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let new = NewNetwork { name: stack.part("net"), labels: stack.labels(), ..NewNetwork::default() };
    let id = engine.create_network(&new).await.expect("it is made");
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    attach(&mut spec, &new.name);
    engine.create_service(&spec, None).await.expect("it is made");
    let removal = engine.remove_network(&id).await.expect("the engine answers");
    assert!(matches!(&removal, Removal::InUse(why) if !why.is_empty()), "{removal:?}");
    running(engine, &stack).await;
}

async fn a_subnet_that_makes_no_sense_is_refused(harness: &dyn Harness, stack: Stack) {
    let subnets = vec!["10.77.0.0/99".to_owned()];
    let new = NewNetwork { name: stack.part("net"), subnets, ..NewNetwork::default() };
    let error = harness.engine().create_network(&new).await.expect_err("there is no such subnet");
    assert_eq!(error.kind, ErrorKind::Terminal, "{error}");
}

async fn secrets_and_configs_are_made_once_and_removed(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let (name, labels) = (stack.part("file_v1"), stack.labels());
    let new = NewStackFile { name, labels, data: b"s3cret\n".to_vec(), is_template: true };
    let secret = engine.create_secret(&new).await.expect("it is made");
    let config = engine.create_config(&new).await.expect("it is made");
    for error in [engine.create_secret(&new).await, engine.create_config(&new).await] {
        let error = error.expect_err("the name is taken");
        assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "AlreadyExists"), "{error}");
    }
    let secrets = engine.secrets(&stack.filter()).await.expect("secrets can be listed");
    let configs = engine.configs(&stack.filter()).await.expect("configs can be listed");
    let ([listed_secret], [listed_config]) = (&secrets[..], &configs[..]) else {
        unreachable!("{secrets:?} {configs:?}")
    };
    assert_eq!((&listed_secret.id, &listed_secret.data, listed_secret.is_template), (&secret, &None, true));
    assert_eq!((&listed_config.id, &listed_config.data, listed_config.is_template), (&config, &Some(new.data), true));
    assert_eq!(listed_secret.labels, stack.labels());
    assert_eq!(engine.remove_secret(&secret).await.expect("it is removed"), Removal::Gone);
    assert_eq!(engine.remove_config(&new.name).await.expect("a name does as well"), Removal::Gone);
    assert!(engine.secrets(&stack.filter()).await.expect("secrets can be listed").is_empty());
    assert!(engine.configs(&stack.filter()).await.expect("configs can be listed").is_empty());
}

async fn names_are_compared_from_their_beginning(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    for name in [stack.part("b"), stack.part("a"), format!("x-{}", stack.part("c"))] {
        let labels = [("of".to_owned(), stack.name.clone())].into();
        let new = NewStackFile { name, labels, data: b"x".to_vec(), is_template: false };
        engine.create_config(&new).await.expect("it is made");
    }
    let found = engine.configs(&Filter::name_prefix(&stack.part(""))).await.expect("configs can be listed");
    let names: Vec<_> = found.iter().map(|config| config.name.clone()).collect();
    assert_eq!(names, [stack.part("a"), stack.part("b")]);
    let labelled = Filter { has_labels: vec!["of".to_owned()], ..Filter::name_prefix(&format!("x-{}", stack.name)) };
    let found = engine.configs(&labelled).await.expect("configs can be listed");
    let [config] = &found[..] else { unreachable!("one config: {found:?}") };
    assert_eq!(engine.remove_config(&config.id).await.expect("it is removed"), Removal::Gone);
    // Also of what nothing on this node uses yet.
    let new = NewNetwork { name: stack.part("net"), labels: stack.labels(), ..NewNetwork::default() };
    engine.create_network(&new).await.expect("it is made");
    let found = engine.networks(&Filter::name_prefix(&stack.part(""))).await.expect("networks can be listed");
    assert_eq!(found.iter().map(|network| network.name.clone()).collect::<Vec<_>>(), [new.name]);
}

async fn a_secret_that_a_service_names_is_in_use(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let new = NewStackFile { name: stack.part("key"), labels: stack.labels(), data: b"x".to_vec(), is_template: false };
    engine.create_config(&new).await.expect("it is made");
    let secret = engine.create_secret(&new).await.expect("it is made");
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    let file = FileTarget { name: "key".to_owned(), ..FileTarget::default() };
    let container = &mut spec.task_template.container_spec;
    // The id is nonsense on purpose: names decide.
    let (id, name) = ("old".to_owned(), new.name.clone());
    container.secrets.push(SecretReference { id: id.clone(), name: name.clone(), file: file.clone() });
    container.configs.push(ConfigReference { id, name, file });
    engine.create_service(&spec, None).await.expect("it is made");
    let listed = super::service(engine, &spec.name).await;
    assert_eq!(listed.spec.task_template.container_spec.secrets[0].id, secret);
    for removal in [engine.remove_secret(&secret).await, engine.remove_config(&new.name).await] {
        let removal = removal.expect("the engine answers");
        assert!(matches!(&removal, Removal::InUse(why) if !why.is_empty()), "{removal:?}");
    }
    running(engine, &stack).await;
}

async fn a_volume_is_made_by_its_mount_and_in_use_until_its_container_is_gone(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut spec = stack.service("app", harness.container(Behaviour::Runs));
    let volume = |source: String, target: &str| Mount {
        type_: "volume".to_owned(),
        source,
        target: target.to_owned(),
        volume_options: Some(VolumeOptions { labels: stack.labels(), ..VolumeOptions::default() }),
        ..Mount::default()
    };
    let mounts = vec![volume(stack.part("data"), "/data"), volume(String::new(), "/scratch")];
    spec.task_template.container_spec.mounts = mounts;
    let service = engine.create_service(&spec, None).await.expect("it is made");
    let task = running(engine, &stack).await;
    let name = stack.part("data");
    let volumes = engine.volumes(&Filter::name_prefix(&name)).await.expect("volumes can be listed");
    let [listed] = &volumes[..] else { unreachable!("one volume: {volumes:?}") };
    assert_eq!((&listed.name, &listed.labels), (&name, &stack.labels()));
    let containers = engine.containers(&stack.filter()).await.expect("containers can be listed");
    let container = containers.iter().find(|container| container.id == task.container_id).expect("the task's own");
    assert_eq!(container.volumes.len(), 2, "{container:?}");
    assert!(container.volumes.contains(&name), "{container:?}");
    let anonymous = container.volumes.iter().find(|volume| **volume != name).expect("the other one").clone();
    let removal = engine.remove_volume(&name).await.expect("the engine answers");
    assert!(matches!(&removal, Removal::InUse(why) if !why.is_empty()), "{removal:?}");
    engine.remove_service(&service).await.expect("it is removed");
    until("the volume can be removed", async || {
        (engine.remove_volume(&name).await.expect("the engine answers") == Removal::Gone).then_some(())
    })
    .await;
    let left = engine.volumes(&Filter::name_prefix(&anonymous)).await.expect("volumes can be listed");
    assert!(left.is_empty(), "an anonymous volume goes with its container: {left:?}");
}

async fn a_volume_is_copied_with_its_labels_and_never_over_one_that_is_used(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let volume = |name: &str, note: &str| Volume {
        name: stack.part(name),
        driver: "local".to_owned(),
        labels: stack.labels().into_iter().chain([("note".to_owned(), note.to_owned())]).collect(),
        ..Volume::default()
    };
    let (from, to) = (volume("data", "first"), volume("copy", "copy"));
    engine.create_volume(&from).await.expect("it is made");
    let copy = VolumeCopy { from: from.name.clone(), to: to.clone(), labels: stack.labels() };
    engine.copy_volume(&copy).await.expect("it is copied");
    // A copy takes the place of one that was made before.
    let again = volume("copy", "again");
    let copy = VolumeCopy { to: again.clone(), ..copy };
    engine.copy_volume(&copy).await.expect("it is copied again");
    let mut volumes = engine.volumes(&stack.filter()).await.expect("volumes can be listed");
    volumes.sort_by(|one, other| other.name.cmp(&one.name));
    assert_eq!(volumes, [from.clone(), again]);
    let containers = engine.containers(&stack.filter()).await.expect("containers can be listed");
    assert!(containers.is_empty(), "nothing is left of copying: {containers:?}");
    // What is used is not written over.
    let mut container = harness.container(Behaviour::Runs);
    container.mounts = vec![Mount {
        type_: "volume".to_owned(),
        source: copy.to.name.clone(),
        target: "/data".to_owned(),
        ..Mount::default()
    }];
    let spec = stack.service("user", container);
    engine.create_service(&spec, None).await.expect("it is made");
    running(engine, &stack).await;
    let error = engine.copy_volume(&copy).await.expect_err("somebody uses it");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "VolumeInUse"), "{error:?}");
    let sizes = engine.volume_bytes().await.expect("sizes can be told");
    assert!(sizes.contains_key(&from.name) && sizes.contains_key(&copy.to.name), "{sizes:?}");
}

async fn making_a_volume_again_changes_nothing(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let volume =
        Volume { name: stack.part("vol"), driver: "local".to_owned(), labels: stack.labels(), ..Volume::default() };
    for _ in 0..2 {
        engine.create_volume(&volume).await.expect("it is made");
    }
    assert_eq!(engine.volumes(&stack.filter()).await.expect("volumes can be listed"), [volume]);
}

async fn removing_what_is_not_there_is_fine(harness: &dyn Harness, _: Stack) {
    let engine = harness.engine();
    let none = "there-is-none";
    let removals = [
        engine.remove_service(none).await,
        engine.remove_secret(none).await,
        engine.remove_config(none).await,
        engine.remove_network(none).await,
        engine.remove_volume(none).await,
        engine.remove_container(none).await,
        engine.remove_image(none).await,
    ];
    for removal in removals {
        assert_eq!(removal.expect("the engine answers"), Removal::Gone);
    }
    assert_eq!(engine.container(none).await.expect("the engine answers"), None);
}
