//! Every trap of a swarm as data: what is seen, look by look, and what it means.

mod history;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use ports::swarm::spec::{Healthcheck, Placement, RestartPolicy, ServiceMode, ServiceSpec, UpdateConfig};
use ports::swarm::{Node, Service, Task, TaskState, UpdateState, UpdateStatus};

use super::*;
use TaskState::{Assigned, Complete, Failed, New, Pending, Preparing, Rejected, Running, Shutdown, Starting};
use Verdict::{Converged, Progressing};

const SECOND: i64 = 1_000_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn spec(hash: &str) -> ServiceSpec {
    let mut spec = ServiceSpec { name: "x_web".to_owned(), ..ServiceSpec::default() };
    spec.labels.insert(SPEC_LABEL.to_owned(), hash.to_owned());
    spec.task_template.container_spec.image = "127.0.0.1:5000/web:2".to_owned();
    spec
}

fn replicas(count: u64) -> ServiceMode {
    ServiceMode::Replicated { replicas: Some(count) }
}

/// One case: what was asked for, and what is seen at which second after the deploy.
struct Case {
    goal: Goal,
    previous: Option<ServiceSpec>,
    update: Option<UpdateStatus>,
    live: Option<ServiceSpec>,
    nodes: Vec<Node>,
    out_of_memory: BTreeSet<String>,
    differences: Vec<String>,
    clocks: Clocks,
    last: Option<Judgement>,
}

fn case(change: impl FnOnce(&mut ServiceSpec)) -> Case {
    let mut spec = spec("new");
    change(&mut spec);
    let pull = Duration::from_secs(300);
    let goal = Goal {
        service: "web".to_owned(),
        mark: Mark::Label("new".to_owned()),
        budget: Budget::of(&spec, pull, None),
        spec: spec.clone(),
        applied_at: at(0),
        is_pulled: false,
        had_converged: false,
    };
    Case {
        goal,
        previous: None,
        update: None,
        live: Some(spec),
        nodes: vec![node("n1", "ready")],
        out_of_memory: BTreeSet::new(),
        differences: Vec::new(),
        clocks: Clocks::default(),
        last: None,
    }
}

fn plain() -> Case {
    case(|spec| spec.mode = replicas(1))
}

impl Case {
    fn look(&mut self, second: i64, tasks: &[Task]) -> (Verdict, Reason) {
        let service = self.live.clone().map(|spec| Service {
            id: "s".to_owned(),
            spec,
            previous: self.previous.clone(),
            update: self.update.clone(),
            ..Service::default()
        });
        let seen = Seen {
            service,
            tasks: tasks.to_vec(),
            nodes: self.nodes.clone(),
            differences: self.differences.clone(),
            out_of_memory: self.out_of_memory.clone(),
        };
        let (judgement, clocks) = judge(&self.goal, &seen, &self.clocks, at(second));
        self.clocks = clocks;
        let answer = (judgement.verdict, judgement.reason);
        self.last = Some(judgement);
        answer
    }

    fn expect(&mut self, second: i64, tasks: &[Task], expected: (Verdict, Reason)) -> &mut Self {
        let answer = self.look(second, tasks);
        let message = self.last.as_ref().map(|last| last.message.clone());
        assert_eq!(answer, expected, "at second {second}: {message:?}");
        self
    }

    fn message(&self) -> &str {
        &self.last.as_ref().unwrap().message
    }

    fn update(&mut self, state: UpdateState, started: i64, message: &str) -> &mut Self {
        self.update = Some(UpdateStatus {
            state,
            started_at: Some(at(started)),
            completed_at: None,
            message: message.to_owned(),
        });
        self
    }
}

fn node(id: &str, state: &str) -> Node {
    Node {
        id: id.to_owned(),
        hostname: id.to_owned(),
        state: state.to_owned(),
        availability: "active".to_owned(),
        is_manager: true,
    }
}

/// A task of the present spec in slot 1 on node n1.
fn task(id: &str, state: TaskState) -> Task {
    Task {
        id: id.to_owned(),
        slot: 1,
        node_id: "n1".to_owned(),
        created_at: Some(at(1)),
        changed_at: Some(at(1)),
        state,
        desired: if state.is_terminal() { Shutdown } else { Running },
        container_id: format!("c-{id}"),
        is_up_to_date: true,
        ..Task::default()
    }
}

fn old(id: &str, state: TaskState) -> Task {
    Task { is_up_to_date: false, created_at: Some(at(-100)), ..task(id, state) }
}

fn failed(id: &str, exit_code: i64, error: &str) -> Task {
    Task { exit_code: Some(exit_code), error: error.to_owned(), ..task(id, Failed) }
}

fn refused(id: &str, error: &str) -> Task {
    Task { error: error.to_owned(), ..task(id, Rejected) }
}

#[test]
fn a_first_deploy_converges_once_its_task_has_run_for_the_monitor() {
    let mut case = plain();
    case.expect(0, &[], (Progressing, Reason::NotObserved))
        .expect(1, &[task("a", New)], (Progressing, Reason::Starting))
        .expect(2, &[task("a", Assigned)], (Progressing, Reason::Starting))
        .expect(4, &[task("a", Starting)], (Progressing, Reason::Starting))
        .expect(9, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(13, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(14, &[task("a", Running)], (Converged, Reason::Converged));
}

#[test]
fn the_old_tasks_that_run_right_after_an_update_are_not_taken_for_new_ones() {
    let mut case = case(|spec| spec.mode = replicas(2));
    let running = [old("a", Running), Task { slot: 2, ..old("b", Running) }];
    case.expect(0, &running, (Progressing, Reason::NotObserved)).expect(
        60,
        &running,
        (Progressing, Reason::NotObserved),
    );
}

#[test]
fn four_of_two_during_an_overlap_are_not_enough() {
    let mut case = case(|spec| spec.mode = replicas(2));
    case.update(UpdateState::Updating, 0, "update in progress");
    let second = |task: Task| Task { slot: 2, ..task };
    let tasks = [old("a", Running), second(old("b", Running)), task("c", Running), second(task("d", Running))];
    case.expect(1, &tasks, (Progressing, Reason::Updating)).expect(20, &tasks, (Progressing, Reason::Updating));
    case.update(UpdateState::Completed, 0, "update completed");
    case.expect(21, &tasks, (Progressing, Reason::Stopping));
    let tasks = [old("a", Shutdown), second(old("b", Shutdown)), task("c", Running), second(task("d", Running))];
    case.expect(22, &tasks, (Progressing, Reason::Stabilising)).expect(27, &tasks, (Converged, Reason::Converged));
}

#[test]
fn an_update_that_changes_nothing_never_gets_a_status_and_converges() {
    let mut case = plain();
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
}

#[test]
fn a_rollback_is_a_failure_although_the_old_version_answers() {
    let mut case = case(|spec| {
        spec.update_config = Some(UpdateConfig { order: "start-first".to_owned(), ..UpdateConfig::default() });
    });
    case.update(UpdateState::Updating, 0, "update in progress");
    case.expect(1, &[old("a", Running), task("b", Starting)], (Progressing, Reason::Starting));
    // The engine has put the old spec back, and the task of the new one is of the present spec no more.
    case.live = Some(spec("old"));
    case.update(UpdateState::RollbackStarted, 6, "update rolled back due to failure or early termination of task b");
    let bad =
        Task { is_up_to_date: false, ..failed("b", 1, "task: non-zero exit (1): dockerexec: unhealthy container") };
    let tasks = [task("a", Running), bad];
    case.expect(6, &tasks, (Verdict::Failed, Reason::RolledBack));
    assert!(!case.last.as_ref().unwrap().is_final, "it still goes on");
    case.update(UpdateState::RollbackCompleted, 6, "rollback completed");
    case.expect(12, &tasks, (Verdict::Failed, Reason::RolledBack)).expect(
        600,
        &tasks,
        (Verdict::Failed, Reason::RolledBack),
    );
    assert!(case.last.as_ref().unwrap().is_final);
    assert_eq!(
        case.message(),
        "The swarm went back to what web ran before, so that the old state answers and not the new one. It says: rollback \
         completed. The task that failed says: task: non-zero exit (1): dockerexec: unhealthy container."
    );
    assert_eq!(case.last.unwrap().evidence.unwrap().exit_code, Some(1));
}

#[test]
fn a_rollback_from_before_this_deploy_is_history() {
    let mut case = plain();
    case.update(UpdateState::RollbackCompleted, -50, "rollback completed");
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
}

#[test]
fn a_rollback_by_hand_keeps_our_spec_as_the_previous_one() {
    let mut case = plain();
    case.live = Some(spec("old"));
    case.previous = Some(spec("new"));
    case.expect(1, &[task("a", Running)], (Verdict::Failed, Reason::RolledBack));
}

#[test]
fn somebody_elses_deploy_supersedes_ours() {
    let mut case = plain();
    case.live = Some(spec("theirs"));
    case.previous = Some(spec("new"));
    case.update(UpdateState::Updating, 3, "update in progress");
    case.expect(4, &[task("a", Running)], (Verdict::Failed, Reason::Superseded));
    case.previous = None;
    case.update = None;
    case.expect(5, &[task("a", Running)], (Verdict::Failed, Reason::Superseded));
}

#[test]
fn a_change_by_hand_that_keeps_our_label_is_seen() {
    let mut case = plain();
    case.differences = vec!["image is web:3 and not web:2".to_owned()];
    case.expect(1, &[task("a", Running)], (Verdict::Failed, Reason::Superseded));
    assert_eq!(case.message(), "Somebody changed the service web in the swarm: image is web:3 and not web:2.");
}

#[test]
fn without_a_label_the_task_template_tells_whose_spec_it_is() {
    let mut case = plain();
    case.goal.mark = Mark::Template(Box::new(spec("").task_template));
    case.live = Some(spec("whatever"));
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising));
    let mut other = spec("whatever");
    other.task_template.container_spec.image = "other".to_owned();
    case.live = Some(other);
    case.expect(1, &[task("a", Running)], (Verdict::Failed, Reason::Superseded));
}

#[test]
fn a_pause_ends_it_at_once_and_names_the_missing_image() {
    let mut case = plain();
    case.update(UpdateState::Paused, 0, "update paused due to failure or early termination of task b");
    case.expect(1, &[old("a", Shutdown), refused("b", "No such image: web:2")], (Verdict::Failed, Reason::Paused));
    assert!(case.message().contains("No such image: web:2"), "{}", case.message());
}

#[test]
fn a_pause_that_stayed_written_after_one_flicker_long_ago_blocks_nothing() {
    let mut case = plain();
    case.update(UpdateState::Paused, -100, "update paused");
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
}

#[test]
fn an_update_of_another_that_still_goes_on_is_waited_for() {
    let mut case = plain();
    for state in [UpdateState::Updating, UpdateState::RollbackStarted] {
        case.update(state, -5, "");
        case.expect(1, &[task("a", Running)], (Progressing, Reason::Updating));
    }
}

#[test]
fn a_word_of_a_newer_engine_is_waited_for_and_not_taken_for_done() {
    let mut case = plain();
    case.update(UpdateState::Other("verifying".to_owned()), 0, "");
    case.expect(1, &[task("a", Running)], (Progressing, Reason::Updating)).expect(
        60,
        &[task("a", Running)],
        (Progressing, Reason::Updating),
    );
}

#[test]
fn no_replicas_are_converged_once_the_old_ones_have_ended() {
    let mut case = case(|spec| spec.mode = replicas(0));
    case.expect(0, &[old("a", Running)], (Progressing, Reason::Stopping))
        .expect(2, &[old("a", Shutdown)], (Converged, Reason::Converged))
        .expect(2, &[], (Converged, Reason::Converged));
}

#[test]
fn a_missing_image_ends_a_first_deploy_at_the_second_refusal() {
    let mut case = plain();
    let error = "No such image: 127.0.0.1:5000/web:2";
    case.expect(1, &[refused("a", error), task("b", Assigned)], (Progressing, Reason::Starting)).expect(
        6,
        &[refused("a", error), refused("b", error)],
        (Verdict::Failed, Reason::ImageNotFound),
    );
    assert!(case.message().contains("missing credentials"), "{}", case.message());
}

#[test]
fn refusals_are_told_apart_by_the_engines_words() {
    let cases = [
        ("invalid mount config for type \"bind\": bind source path does not exist: /etc/gone", Reason::MountFailed),
        ("pull access denied for web, repository does not exist", Reason::ImageNotFound),
        ("error setting rlimit type 7", Reason::Rejected),
    ];
    for (error, reason) in cases {
        let mut case = plain();
        case.expect(1, &[refused("a", error), refused("b", error)], (Verdict::Failed, reason));
    }
}

#[test]
fn three_failures_in_one_slot_are_a_crash_loop() {
    let mut case = plain();
    let error = "task: non-zero exit (3)";
    case.expect(1, &[failed("a", 3, error), task("b", Running)], (Progressing, Reason::Stabilising))
        .expect(3, &[failed("a", 3, error), failed("b", 3, error)], (Progressing, Reason::Starting))
        .expect(
            5,
            &[failed("a", 3, error), failed("b", 3, error), failed("c", 3, error)],
            (Verdict::Failed, Reason::CrashLoop),
        );
    assert_eq!(
        case.message(),
        "web starts and ends again (3 times, last with exit code 3): its log says why. The swarm says: task: non-zero exit \
         (3)."
    );
}

#[test]
fn failures_are_counted_although_the_engine_keeps_only_the_last() {
    let mut case = plain();
    case.expect(1, &[failed("a", 1, "")], (Progressing, Reason::Starting))
        .expect(3, &[failed("b", 1, "")], (Progressing, Reason::Starting))
        .expect(5, &[failed("c", 1, "")], (Verdict::Failed, Reason::CrashLoop));
}

#[test]
fn failures_of_the_old_spec_in_the_history_do_not_count() {
    let mut case = plain();
    let history: Vec<Task> = ["a", "b", "c", "d"].map(|id| Task { is_up_to_date: false, ..failed(id, 1, "") }).to_vec();
    let tasks = [history, vec![task("e", Running)]].concat();
    case.expect(0, &tasks, (Progressing, Reason::Stabilising)).expect(5, &tasks, (Converged, Reason::Converged));
}

#[test]
fn failures_in_different_slots_are_no_loop() {
    let mut case = case(|spec| spec.mode = replicas(3));
    let tasks: Vec<Task> = (1..=3)
        .flat_map(|slot| {
            let bad = Task { slot, ..failed(&format!("bad{slot}"), 1, "") };
            [bad, Task { slot, ..task(&format!("good{slot}"), Running) }]
        })
        .collect();
    case.expect(0, &tasks, (Progressing, Reason::Stabilising)).expect(5, &tasks, (Converged, Reason::Converged));
}

#[test]
fn an_unhealthy_container_and_one_out_of_memory_have_reasons_of_their_own() {
    let mut unhealthy = plain();
    let error = "task: non-zero exit (143): dockerexec: unhealthy container";
    let tasks: Vec<Task> = ["a", "b", "c"].map(|id| failed(id, 143, error)).to_vec();
    unhealthy.expect(1, &tasks, (Verdict::Failed, Reason::Unhealthy));
    let mut memory = plain();
    let tasks: Vec<Task> = ["a", "b", "c"].map(|id| failed(id, 137, "task: non-zero exit (137)")).to_vec();
    memory.out_of_memory.insert("c".to_owned());
    memory.expect(1, &tasks, (Verdict::Failed, Reason::OutOfMemory));
}

#[test]
fn a_service_that_ends_well_but_is_meant_to_stay_is_a_loop_too() {
    let mut case = plain();
    let tasks: Vec<Task> = ["a", "b", "c"].map(|id| Task { exit_code: Some(0), ..task(id, Complete) }).to_vec();
    case.expect(1, &tasks, (Verdict::Failed, Reason::CrashLoop));
}

#[test]
fn a_one_shot_may_fail_as_often_as_its_policy_says() {
    let policy = |condition: &str, attempts: Option<u64>| {
        let (condition, max_attempts) = (condition.to_owned(), attempts);
        case(|spec| {
            spec.task_template.restart_policy =
                Some(RestartPolicy { condition, max_attempts, ..RestartPolicy::default() });
        })
    };
    policy("none", None).expect(1, &[failed("a", 1, "")], (Verdict::Failed, Reason::CrashLoop));
    let mut once_more = policy("on-failure", Some(1));
    once_more.expect(1, &[failed("a", 1, "")], (Progressing, Reason::Starting)).expect(
        2,
        &[failed("a", 1, ""), failed("b", 1, "")],
        (Verdict::Failed, Reason::CrashLoop),
    );
}

#[test]
fn one_shots_and_jobs_are_good_when_they_have_completed() {
    let done = Task { exit_code: Some(0), ..task("a", Complete) };
    let mut one_shot = case(|spec| {
        spec.task_template.restart_policy =
            Some(RestartPolicy { condition: "on-failure".to_owned(), ..RestartPolicy::default() });
    });
    one_shot.expect(1, std::slice::from_ref(&done), (Progressing, Reason::Stabilising)).expect(
        6,
        std::slice::from_ref(&done),
        (Converged, Reason::Converged),
    );
    let mut job = case(|spec| {
        spec.mode = ServiceMode::ReplicatedJob { max_concurrent: Some(1), total_completions: Some(2) };
    });
    job.expect(1, &[done.clone(), Task { slot: 2, ..task("b", Running) }], (Progressing, Reason::Starting));
    let both = [done, Task { slot: 2, ..task("b", Complete) }];
    job.expect(3, &both, (Progressing, Reason::Stabilising)).expect(8, &both, (Converged, Reason::Converged));
}

#[test]
fn what_no_node_takes_for_twenty_seconds_is_unschedulable_and_the_message_says_what_to_do() {
    let cases = [
        (
            "no suitable node (host-mode port already in use on 1 node)",
            "start-first",
            "No node can take task 1 of web: the service publishes a port on the host and updates with `order: \
             start-first`, so that the new task waits for a port that the old one holds; use `order: stop-first`. The \
             swarm says: no suitable node (host-mode port already in use on 1 node).",
        ),
        (
            "no suitable node (host-mode port already in use on 1 node)",
            "",
            "No node can take task 1 of web: a port that it publishes on the host is taken there. The swarm says: no \
             suitable node (host-mode port already in use on 1 node).",
        ),
        (
            "no suitable node (insufficient resources on 1 node)",
            "",
            "No node has what task 1 of web reserves: lower `resources.reservations`, or give the machine more. The swarm \
             says: no suitable node (insufficient resources on 1 node).",
        ),
        (
            "no suitable node (scheduling constraints not satisfied on 1 node)",
            "",
            "No node meets the placement constraints of web: change them, or label a node. The swarm says: no suitable \
             node (scheduling constraints not satisfied on 1 node).",
        ),
    ];
    for (error, order, message) in cases {
        let mut case = case(|spec| {
            spec.update_config = Some(UpdateConfig { order: order.to_owned(), ..UpdateConfig::default() });
        });
        case.update(UpdateState::Updating, 0, "update in progress");
        let tasks = [old("a", Running), Task { error: error.to_owned(), ..task("b", Pending) }];
        case.expect(1, &tasks, (Progressing, Reason::Starting))
            .expect(21, &tasks, (Progressing, Reason::Starting))
            .expect(22, &tasks, (Verdict::Failed, Reason::Unschedulable));
        assert_eq!(case.message(), message);
    }
}

#[test]
fn what_the_swarm_does_not_allocate_is_our_trouble() {
    let mut new = plain();
    new.expect(0, &[task("a", New)], (Progressing, Reason::Starting))
        .expect(30, &[task("a", New)], (Progressing, Reason::Starting))
        .expect(31, &[task("a", New)], (Verdict::Failed, Reason::AllocatorStuck));
    assert!(Reason::AllocatorStuck.is_ours());
    let mut no_address = plain();
    let error = "could not find an available IP while allocating VIP";
    let waiting = Task { error: error.to_owned(), ..task("a", Pending) };
    no_address.expect(0, std::slice::from_ref(&waiting), (Progressing, Reason::Starting)).expect(
        21,
        std::slice::from_ref(&waiting),
        (Verdict::Failed, Reason::AllocatorStuck),
    );
    let mut pulled = plain();
    pulled.goal.is_pulled = true;
    pulled.expect(0, &[task("a", Preparing)], (Progressing, Reason::Starting)).expect(
        31,
        &[task("a", Preparing)],
        (Verdict::Failed, Reason::AllocatorStuck),
    );
}

#[test]
fn a_pull_has_its_own_budget() {
    let mut case = plain();
    case.expect(0, &[task("a", Preparing)], (Progressing, Reason::Starting))
        .expect(300, &[task("a", Preparing)], (Progressing, Reason::Starting))
        .expect(301, &[task("a", Preparing)], (Verdict::Failed, Reason::PullTimeout));
}

#[test]
fn a_slow_first_start_is_waited_for_as_long_as_its_health_check_allows() {
    let mut case = case(|spec| {
        spec.task_template.container_spec.healthcheck = Some(Healthcheck {
            start_period: 600 * SECOND,
            interval: 10 * SECOND,
            retries: 3,
            ..Healthcheck::default()
        });
    });
    case.expect(0, &[task("a", Starting)], (Progressing, Reason::Starting))
        .expect(700, &[task("a", Starting)], (Progressing, Reason::Starting))
        // 300 s to pull, 600 s to start, six checks, and a minute.
        .expect(1019, &[task("a", Starting)], (Progressing, Reason::Starting))
        .expect(1020, &[task("a", Starting)], (Verdict::Failed, Reason::ProgressDeadlineExceeded));
    assert!(case.message().contains("its health check has not passed yet"), "{}", case.message());
}

#[test]
fn tasks_that_get_further_put_the_deadline_off_but_not_beyond_the_whole_time() {
    let mut case = case(|spec| spec.mode = replicas(3));
    case.goal.budget =
        Budget { pull: Duration::ZERO, progress: Duration::from_secs(50), whole: Duration::from_secs(120) };
    let slot = |slot: u64, state: TaskState| Task { slot, ..task(&format!("t{slot}"), state) };
    case.expect(0, &[slot(1, Starting)], (Progressing, Reason::Starting))
        .expect(45, &[slot(1, Running), slot(2, Starting)], (Progressing, Reason::Starting))
        .expect(90, &[slot(1, Running), slot(2, Running), slot(3, Starting)], (Progressing, Reason::Starting))
        .expect(
            121,
            &[slot(1, Running), slot(2, Running), slot(3, Starting)],
            (Verdict::Failed, Reason::ProgressDeadlineExceeded),
        );
}

#[test]
fn what_a_person_grants_counts_and_not_what_is_reckoned() {
    let spec = spec("new");
    let granted = Budget::of(&spec, Duration::from_secs(1), Some(Duration::from_secs(77)));
    assert_eq!((granted.progress, granted.whole), (Duration::from_secs(77), Duration::from_secs(77)));
    let mut slow = spec;
    slow.mode = replicas(4);
    let reckoned = Budget::of(&slow, Duration::from_secs(60), None);
    assert_eq!((reckoned.progress, reckoned.whole), (Duration::from_secs(300), Duration::from_secs(1200)));
}

#[test]
fn the_stability_clock_begins_anew_when_any_task_is_another() {
    let mut case = case(|spec| spec.mode = replicas(2));
    let second = Task { slot: 2, ..task("b", Running) };
    case.expect(0, &[task("a", Running), second.clone()], (Progressing, Reason::Stabilising));
    let gone = Task { slot: 2, ..failed("b", 1, "") };
    let next = Task { slot: 2, ..task("c", Running) };
    case.expect(4, &[task("a", Running), gone.clone(), next.clone()], (Progressing, Reason::Stabilising))
        .expect(8, &[task("a", Running), gone.clone(), next.clone()], (Progressing, Reason::Stabilising))
        .expect(9, &[task("a", Running), gone, next], (Converged, Reason::Converged));
}

#[test]
fn a_longer_monitor_of_the_recipe_is_kept() {
    let mut case = case(|spec| {
        spec.update_config = Some(UpdateConfig { monitor: 30 * SECOND, ..UpdateConfig::default() });
    });
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(29, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(30, &[task("a", Running)], (Converged, Reason::Converged));
}

#[test]
fn looks_that_fail_stop_every_clock_and_change_no_verdict() {
    let mut case = plain();
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising));
    case.clocks.stop();
    case.expect(100, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        105,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
    let mut pending = plain();
    let waiting = Task { error: "no suitable node".to_owned(), ..task("a", Pending) };
    pending.expect(0, std::slice::from_ref(&waiting), (Progressing, Reason::Starting));
    pending.clocks.stop();
    pending.expect(3600, std::slice::from_ref(&waiting), (Progressing, Reason::Starting)).expect(
        3621,
        std::slice::from_ref(&waiting),
        (Verdict::Failed, Reason::Unschedulable),
    );
}

#[test]
fn a_clock_that_is_set_back_counts_nothing_twice() {
    let mut case = plain();
    case.expect(10, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(5, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(9, &[task("a", Running)], (Progressing, Reason::Stabilising))
        .expect(10, &[task("a", Running)], (Converged, Reason::Converged));
}

#[test]
fn what_had_converged_before_ccd_was_started_again_still_has() {
    let mut case = plain();
    case.goal.had_converged = true;
    let tasks = [failed("x", 1, ""), failed("y", 1, ""), failed("z", 1, ""), task("a", Running)];
    case.expect(100, &tasks, (Converged, Reason::Converged));
    let mut restarted = plain();
    restarted.goal.had_converged = true;
    let young = Task { changed_at: Some(at(98)), ..task("a", Running) };
    restarted.expect(100, &[young], (Progressing, Reason::Stabilising));
}

#[test]
fn a_restart_long_after_it_converged_has_all_its_time_again() {
    let mut case = plain();
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
    let after = [failed("a", 1, ""), task("b", Starting)];
    case.expect(100_000, &after, (Progressing, Reason::Starting)).expect(
        100_010,
        &after,
        (Progressing, Reason::Starting),
    );
}

#[test]
fn a_global_service_needs_every_node_that_may_run_it() {
    let on =
        |node: &str, state: TaskState| Task { slot: 0, node_id: node.to_owned(), ..task(&format!("t-{node}"), state) };
    let mut case = case(|spec| spec.mode = ServiceMode::Global {});
    case.nodes = vec![node("n1", "ready"), node("n2", "ready"), node("n3", "down")];
    case.expect(0, &[on("n1", Running)], (Progressing, Reason::Starting))
        .expect(1, &[on("n1", Running), on("n2", Running)], (Progressing, Reason::Stabilising))
        .expect(6, &[on("n1", Running), on("n2", Running), on("n3", Running)], (Converged, Reason::Converged));
}

#[test]
fn a_global_service_that_no_node_may_run_says_so() {
    let mut case = case(|spec| {
        spec.mode = ServiceMode::Global {};
        spec.task_template.placement =
            Some(Placement { constraints: vec!["node.labels.gpu==true".to_owned()], ..Placement::default() });
    });
    case.expect(0, &[], (Progressing, Reason::NotObserved)).expect(20, &[], (Verdict::Failed, Reason::Unschedulable));
    assert!(case.message().contains("node.labels.gpu==true"), "{}", case.message());
}

#[test]
fn old_tasks_on_a_node_that_is_down_are_not_waited_for() {
    let mut case = plain();
    case.nodes.push(node("n2", "down"));
    let lost = Task { node_id: "n2".to_owned(), ..old("a", Running) };
    case.expect(0, &[lost.clone(), task("b", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[lost, task("b", Running)],
        (Converged, Reason::Converged),
    );
}

#[test]
fn nodes_that_nobody_knows_after_an_election_are_no_failure() {
    let mut case = plain();
    case.nodes = vec![node("n1", "unknown")];
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
}

#[test]
fn a_service_that_is_gone_has_vanished() {
    let mut case = plain();
    case.live = None;
    case.expect(1, &[], (Verdict::Failed, Reason::Vanished));
}

#[test]
fn a_new_deploy_begins_with_new_clocks() {
    let mut case = plain();
    let tasks: Vec<Task> = ["a", "b", "c"].map(|id| failed(id, 1, "")).to_vec();
    case.expect(1, &tasks, (Verdict::Failed, Reason::CrashLoop));
    case.goal.applied_at = at(100);
    let history: Vec<Task> = tasks.into_iter().map(|task| Task { is_up_to_date: false, ..task }).collect();
    case.expect(101, &history, (Progressing, Reason::NotObserved));
}

#[test]
fn a_stack_is_as_good_as_its_worst_service() {
    let mut good = plain();
    good.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising)).expect(
        5,
        &[task("a", Running)],
        (Converged, Reason::Converged),
    );
    let mut bad = plain();
    bad.live = None;
    bad.expect(1, &[], (Verdict::Failed, Reason::Vanished));
    let judgements = [good.last.unwrap(), bad.last.unwrap()];
    assert_eq!(worst(&judgements).map(|judgement| judgement.reason), Some(Reason::Vanished));
    assert_eq!(worst(&judgements[..1]).map(|judgement| judgement.verdict), Some(Converged));
    assert_eq!(worst(&[]), None);
}

#[test]
fn the_newest_ten_tasks_are_shown_the_newest_first() {
    let mut case = plain();
    let tasks: Vec<Task> = (0..12).map(|number| task(&format!("t{number}"), Running)).collect();
    case.look(1, &tasks);
    let shown: Vec<String> = case.last.unwrap().tasks.into_iter().map(|task| task.id).collect();
    assert_eq!(shown, ["t11", "t10", "t9", "t8", "t7", "t6", "t5", "t4", "t3", "t2"]);
}
