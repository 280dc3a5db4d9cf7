//! The order in which a stack goes, from wherever it is, and that nothing is called gone too early.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ports::swarm::spec::{Labels, ServiceSpec};
use ports::swarm::{Container, Service, Task, TaskState};

use super::*;
use crate::kinds::app::labels::{DELETE, VOLUMES_LABEL};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn service(grace_seconds: Option<i64>) -> Service {
    let mut spec = ServiceSpec { name: "x_web".to_owned(), ..ServiceSpec::default() };
    spec.task_template.container_spec.stop_grace_period = grace_seconds.map(|seconds| seconds * 1_000_000_000);
    Service { id: "s".to_owned(), spec, ..Service::default() }
}

fn task(state: TaskState) -> Task {
    Task { id: "t".to_owned(), node_id: "n1".to_owned(), state, ..Task::default() }
}

fn container(state: &str) -> Container {
    Container { id: "c".to_owned(), name: "x_web.1.t".to_owned(), state: state.to_owned(), ..Container::default() }
}

fn item(name: &str) -> Item {
    Item { id: format!("id-{name}"), name: name.to_owned(), labels: Labels::new() }
}

fn whole() -> Inventory {
    Inventory {
        services: vec![service(None)],
        tasks: vec![task(TaskState::Running)],
        containers: vec![container("running")],
        networks: vec![item("x_default")],
        configs: vec![item("x_conf")],
        secrets: vec![item("x_pass")],
        volumes: vec![item("x_data"), item(&"a".repeat(64))],
        has_files: true,
        nodes_down: BTreeSet::new(),
    }
}

fn step(inventory: &Inventory, scope: Scope, progress: &mut Progress, second: i64) -> Step {
    *progress = progress.after(inventory, scope, at(second));
    next(inventory, scope, progress, at(second))
}

#[test]
fn a_stack_goes_in_this_order() {
    let mut progress = Progress::default();
    let mut inventory = whole();
    let mut steps = Vec::new();
    let mut go = |inventory: &Inventory, second: i64| {
        steps.push(format!("{:?}", step(inventory, Scope::Everything, &mut progress, second)));
    };
    go(&inventory, 0);
    inventory.services.clear();
    go(&inventory, 1);
    inventory.tasks = vec![task(TaskState::Shutdown)];
    go(&inventory, 2);
    inventory.containers = vec![container("exited")];
    go(&inventory, 3);
    inventory.containers.clear();
    go(&inventory, 4);
    inventory.networks.clear();
    go(&inventory, 5);
    inventory.configs.clear();
    go(&inventory, 6);
    inventory.secrets.clear();
    go(&inventory, 7);
    inventory.volumes.clear();
    go(&inventory, 8);
    inventory.has_files = false;
    go(&inventory, 9);
    go(&inventory, 10);
    insta::assert_snapshot!(steps.join("\n"), @r#"
    RemoveServices(["s"])
    WaitForTasks
    WaitForTasks
    RemoveContainers(["c"])
    RemoveNetworks(["id-x_default"])
    RemoveConfigs(["id-x_conf"])
    RemoveSecrets(["id-x_pass"])
    RemoveVolumes(["x_data", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"])
    RemoveFiles
    AuditAgain(2027-01-15T08:00:10Z)
    Done
    "#);
}

#[test]
fn data_stays_when_the_policy_says_so_but_what_nobody_finds_again_goes() {
    let mut progress = Progress::default();
    let mut inventory = Inventory { services: vec![], tasks: vec![], containers: vec![], ..whole() };
    inventory.networks.clear();
    inventory.configs.clear();
    assert_eq!(step(&inventory, Scope::KeepData, &mut progress, 0), Step::RemoveVolumes(vec!["a".repeat(64)]));
    inventory.volumes.pop();
    assert_eq!(step(&inventory, Scope::KeepData, &mut progress, 1), Step::AuditAgain(at(5)));
    assert_eq!(
        step(&inventory, Scope::KeepData, &mut progress, 4),
        Step::AuditAgain(at(5)),
        "a container may be under way"
    );
    assert_eq!(step(&inventory, Scope::KeepData, &mut progress, 5), Step::Done);
    let goes = Item { labels: Labels::from([(VOLUMES_LABEL.to_owned(), DELETE.to_owned())]), ..item("x_run") };
    inventory.volumes.push(goes);
    assert_eq!(step(&inventory, Scope::AsLabelled, &mut progress, 7), Step::RemoveVolumes(vec!["x_run".to_owned()]));
}

#[test]
fn what_does_not_end_in_its_grace_period_is_ended_by_us() {
    let mut progress = Progress::default();
    let mut inventory = Inventory { services: vec![service(Some(30))], ..whole() };
    assert!(matches!(step(&inventory, Scope::Everything, &mut progress, 0), Step::RemoveServices(_)));
    inventory.services.clear();
    inventory.tasks.clear();
    assert_eq!(step(&inventory, Scope::Everything, &mut progress, 1), Step::WaitForTasks);
    assert_eq!(step(&inventory, Scope::Everything, &mut progress, 40), Step::WaitForTasks);
    assert_eq!(step(&inventory, Scope::Everything, &mut progress, 41), Step::RemoveContainers(vec!["c".to_owned()]));
}

#[test]
fn containers_of_jobs_stay_for_ever_unless_we_remove_them() {
    let mut progress = Progress::default();
    let inventory = Inventory {
        services: vec![],
        tasks: vec![task(TaskState::Complete)],
        containers: vec![container("exited")],
        ..whole()
    };
    assert_eq!(step(&inventory, Scope::Everything, &mut progress, 0), Step::RemoveContainers(vec!["c".to_owned()]));
}

#[test]
fn a_container_is_not_taken_from_a_task_that_still_runs() {
    let mut progress = Progress::default();
    let inventory = Inventory { services: vec![], containers: vec![container("exited")], ..whole() };
    assert_eq!(step(&inventory, Scope::Everything, &mut progress, 0), Step::WaitForTasks);
}

#[test]
fn what_comes_late_begins_the_proof_anew() {
    let mut progress = Progress::default();
    let nothing = Inventory::default();
    assert_eq!(step(&nothing, Scope::Everything, &mut progress, 0), Step::AuditAgain(at(5)));
    // A create that was under way when the App was deleted.
    let late = Inventory { services: vec![service(None)], ..Inventory::default() };
    assert!(matches!(step(&late, Scope::Everything, &mut progress, 5), Step::RemoveServices(_)));
    assert_eq!(step(&nothing, Scope::Everything, &mut progress, 6), Step::AuditAgain(at(11)));
    assert_eq!(step(&nothing, Scope::Everything, &mut progress, 11), Step::Done);
}

#[test]
fn one_step_does_not_take_too_much_upon_itself() {
    let volumes = (0..100).map(|number| item(&format!("x_{number}"))).collect();
    let inventory = Inventory { volumes, ..Inventory::default() };
    let Step::RemoveVolumes(names) = step(&inventory, Scope::Everything, &mut Progress::default(), 0) else {
        panic!("volumes are next")
    };
    assert_eq!(names.len(), REMOVALS_MAX);
}

#[test]
fn a_task_on_a_node_that_is_down_is_named_with_its_node() {
    let inventory = Inventory {
        tasks: vec![task(TaskState::Running)],
        nodes_down: BTreeSet::from(["n1".to_owned()]),
        ..Inventory::default()
    };
    let names = remaining(&inventory, Scope::Everything);
    assert_eq!(names, ["task/t (on node n1, which is down)"]);
    assert_eq!(recorded_volumes(&["volume/a".to_owned(), "task/t".to_owned()]).collect::<Vec<_>>(), ["a"]);
}
