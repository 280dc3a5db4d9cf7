//! What belongs to a stack, and above all what does not.

use std::collections::BTreeSet;

use ports::swarm::spec::{Labels, ServiceSpec};
use ports::swarm::{Container, STACK_LABEL, Service, Task};

use super::*;
use crate::kinds::app::labels::{APP_LABEL, has_prefix};
use crate::kinds::app::teardown::{Scope, remaining};

fn labels(stack: &str) -> Labels {
    if stack.is_empty() { Labels::new() } else { Labels::from([(STACK_LABEL.to_owned(), stack.to_owned())]) }
}

fn named(name: &str, stack: &str) -> Item {
    Item { id: format!("id-{name}"), name: name.to_owned(), labels: labels(stack) }
}

fn anonymous(digit: char) -> Item {
    named(&digit.to_string().repeat(64), "")
}

fn service(name: &str, stack: &str) -> Service {
    let spec = ServiceSpec { name: name.to_owned(), labels: labels(stack), ..ServiceSpec::default() };
    Service { id: format!("id-{name}"), spec, ..Service::default() }
}

fn container(name: &str, stack: &str, volumes: &[&Item]) -> Container {
    Container {
        id: format!("id-{name}"),
        name: name.to_owned(),
        labels: labels(stack),
        state: "running".to_owned(),
        volumes: volumes.iter().map(|volume| volume.name.clone()).collect(),
        ..Container::default()
    }
}

/// Two stacks whose names begin alike, and things that somebody made by hand.
fn world() -> World {
    World {
        services: vec![service("a_app", "a"), service("a_b_app", "a_b"), service("other", "")],
        tasks: vec![
            Task { id: "t1".to_owned(), stack: "a".to_owned(), ..Task::default() },
            Task { id: "t2".to_owned(), stack: "a_b".to_owned(), ..Task::default() },
            // Its service is gone, and the list has it under the id alone.
            Task { id: "t3".to_owned(), service_id: "gone".to_owned(), stack: "a".to_owned(), ..Task::default() },
        ],
        containers: vec![
            container("a_app.1.x", "a", &[&anonymous('1')]),
            container("a_b_app.1.y", "a_b", &[&anonymous('2')]),
            container("a_tool", "", &[&anonymous('3')]),
        ],
        networks: vec![named("a_default", "a"), named("a_b_default", "a_b"), named("proxy", "")],
        configs: vec![named("a_conf_v1", "a"), named("a_old_v1", ""), named("a_b_conf_v1", "a_b")],
        // What abra makes has no label.
        secrets: vec![named("a_pass_v1", ""), named("a_b_pass_v1", ""), named("ab_pass", ""), named("a_", "")],
        volumes: vec![
            named("a_data", "a"),
            named("a_b_data", "a_b"),
            anonymous('1'),
            anonymous('2'),
            anonymous('3'),
            anonymous('4'),
        ],
        nodes_down: BTreeSet::new(),
    }
}

#[test]
fn a_stack_is_found_by_label_and_by_name_and_takes_nothing_of_another() {
    let found = world().of_stack("a", &BTreeSet::new(), &BTreeSet::new());
    let one = "1".repeat(64);
    insta::assert_yaml_snapshot!(remaining(&found, Scope::Everything), @r"
    - service/a_app
    - task/t1
    - task/t3
    - container/a_app.1.x
    - network/a_default
    - config/a_conf_v1
    - config/a_old_v1
    - secret/a_pass_v1
    - volume/a_data
    - volume/1111111111111111111111111111111111111111111111111111111111111111
    ");
    assert_eq!(found.anonymous_volumes().collect::<Vec<_>>(), [one.as_str()]);
    let found = world().of_stack("a_b", &BTreeSet::new(), &BTreeSet::new());
    assert_eq!(found.secrets.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["a_b_pass_v1"]);
}

#[test]
fn a_longer_name_is_known_from_the_store_when_the_swarm_has_nothing_of_it() {
    let mut world = world();
    world.services.retain(|service| service.spec.name != "a_b_app");
    world.networks.retain(|network| network.name != "a_b_default");
    world.containers.retain(|container| container.name != "a_b_app.1.y");
    world.configs.retain(|config| config.name != "a_b_conf_v1");
    world.volumes.retain(|volume| volume.name != "a_b_data");
    let names = |known: &[&str]| -> Vec<String> {
        let known = known.iter().map(|stack| (*stack).to_owned()).collect();
        let found = world.of_stack("a", &known, &BTreeSet::new());
        found.secrets.into_iter().map(|secret| secret.name).collect()
    };
    assert_eq!(names(&["a_b"]), ["a_pass_v1"]);
    assert_eq!(names(&[]), ["a_pass_v1", "a_b_pass_v1"]);
}

#[test]
fn volumes_without_a_name_are_found_by_who_used_them() {
    let four = "4".repeat(64);
    let two = "2".repeat(64);
    let recorded = BTreeSet::from([four.clone(), two]);
    let found = world().of_stack("a", &BTreeSet::new(), &recorded);
    let names: Vec<&str> = found.volumes.iter().map(|volume| volume.name.as_str()).collect();
    // The second is recorded, but in use by another stack.
    assert_eq!(names, ["a_data", &"1".repeat(64), &four]);
}

#[test]
fn a_name_is_that_of_a_stack_only_at_the_boundary() {
    let cases = [
        ("a_b", "a", true),
        ("ab", "a", false),
        ("a_", "a", false),
        ("a", "a", false),
        ("_b", "", false),
        ("x-y_example_com_db", "x-y_example_com", true),
    ];
    for (name, stack, expected) in cases {
        assert_eq!(has_prefix(name, stack), expected, "{name} of {stack}");
    }
}

#[test]
fn what_is_labelled_as_ours_is_found_but_for_data_that_stays() {
    let mut world = World::default();
    let labelled = |goes: bool| {
        let mut labels = labels("a");
        labels.insert(APP_LABEL.to_owned(), "default/a".to_owned());
        if goes {
            labels.insert(VOLUMES_LABEL.to_owned(), DELETE.to_owned());
        }
        labels
    };
    world.volumes = vec![
        Item { labels: labelled(false), ..named("a_kept", "") },
        Item { labels: labelled(true), ..named("a_gone", "") },
    ];
    world.networks = vec![named("a_default", "a")];
    let found: Vec<&str> = world.labelled(APP_LABEL).map(|(app, _)| app).collect();
    assert_eq!(found, ["default/a"]);
}
