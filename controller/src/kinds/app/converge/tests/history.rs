//! Failures that are over, and those that go on: what the engine keeps of both looks the same.

use super::*;

/// What the history holds of a slot before its newest task.
fn histories() -> Vec<(&'static str, Vec<Task>, Reason)> {
    let crashes = ["a", "b", "c"].map(|id| failed(id, 1, "task: non-zero exit (1)"));
    let refusals = ["a", "b"].map(|id| refused(id, "network sandbox join failed: subnet sandbox join failed"));
    let missing = ["a", "b"].map(|id| refused(id, "No such image: 127.0.0.1:5000/web:2"));
    let unhealthy = ["a", "b", "c"].map(|id| failed(id, 143, "task: non-zero exit (143): unhealthy container"));
    let mixed = [failed("a", 1, ""), refused("b", "oops"), failed("c", 1, ""), refused("d", "oops")];
    vec![
        ("crashes", crashes.to_vec(), Reason::CrashLoop),
        ("refusals while the engine started", refusals.to_vec(), Reason::Rejected),
        ("an image that came later", missing.to_vec(), Reason::ImageNotFound),
        ("a dependency that came later", unhealthy.to_vec(), Reason::Unhealthy),
        ("a bit of everything", mixed.to_vec(), Reason::Rejected),
    ]
}

#[test]
fn failures_are_history_once_the_task_after_them_has_run_for_the_monitor() {
    for (name, history, reason) in histories() {
        let with = |state: TaskState| [history.clone(), vec![task("good", state)]].concat();
        let mut case = plain();
        case.expect(1, &with(Starting), (Verdict::Failed, reason))
            .expect(3, &with(Running), (Verdict::Failed, reason))
            .expect(7, &with(Running), (Verdict::Failed, reason))
            .expect(8, &with(Running), (Converged, Reason::Converged))
            .expect(8_000, &with(Running), (Converged, Reason::Converged));
        // A ccd that knows nothing but the engine's history comes to the same.
        let mut restarted = plain();
        let first = restarted.look(8_000, &with(Running));
        assert_eq!(first, (Verdict::Failed, reason), "{name}");
        restarted.expect(8_005, &with(Running), (Converged, Reason::Converged));
    }
}

#[test]
fn a_task_that_waits_or_ends_in_the_meantime_makes_no_failure_history() {
    for (name, history, reason) in histories() {
        for state in [New, Pending, Preparing, Starting] {
            let tasks = [history.clone(), vec![task("late", state)]].concat();
            let mut case = plain();
            for second in [1, 10, 19] {
                assert_eq!(case.look(second, &tasks), (Verdict::Failed, reason), "{name}, then {state:?}");
            }
        }
    }
}

#[test]
fn a_loop_of_tasks_that_live_for_a_while_stays_a_crash_loop() {
    let mut case = plain();
    let mut tasks: Vec<Task> = Vec::new();
    for round in 0..20 {
        let (begin, id) = (round * 10, format!("t{round}"));
        tasks.push(task(&id, Running));
        let lives = [case.look(begin, &tasks), case.look(begin + 4, &tasks)];
        *tasks.last_mut().unwrap() = failed(&id, 1, "task: non-zero exit (1)");
        let ends = [case.look(begin + 5, &tasks), case.look(begin + 9, &tasks)];
        if round > 2 {
            assert_eq!(lives, [(Verdict::Failed, Reason::CrashLoop); 2], "in round {round}");
        }
        if round > 1 {
            assert_eq!(ends, [(Verdict::Failed, Reason::CrashLoop); 2], "in round {round}");
        }
    }
}

#[test]
fn a_loop_that_begins_anew_is_counted_anew() {
    let mut case = plain();
    let mut tasks: Vec<Task> = ["a", "b", "c"].map(|id| failed(id, 1, "")).to_vec();
    tasks.push(task("d", Running));
    case.expect(0, &tasks, (Verdict::Failed, Reason::CrashLoop)).expect(5, &tasks, (Converged, Reason::Converged));
    for (second, id, expected) in [
        (10, "d", (Progressing, Reason::Starting)),
        (12, "e", (Progressing, Reason::Starting)),
        (14, "f", (Verdict::Failed, Reason::CrashLoop)),
    ] {
        tasks.retain(|task| task.id != id);
        tasks.push(failed(id, 1, ""));
        case.expect(second, &tasks, expected);
    }
}

#[test]
fn a_slot_that_came_round_says_nothing_about_one_that_did_not() {
    let second = |task: Task| Task { slot: 2, ..task };
    let bad = |slot: u64| ["a", "b", "c"].map(|id| Task { slot, ..failed(&format!("{id}{slot}"), 1, "") });
    let mut case = case(|spec| spec.mode = replicas(2));
    let tasks = [&bad(1)[..], &[task("good", Running)], &bad(2)[..], &[second(task("late", Starting))]].concat();
    case.expect(0, &tasks, (Verdict::Failed, Reason::CrashLoop)).expect(
        9,
        &tasks,
        (Verdict::Failed, Reason::CrashLoop),
    );
    let tasks = [&bad(1)[..], &[task("good", Running)], &bad(2)[..], &[second(task("late", Running))]].concat();
    case.expect(10, &tasks, (Verdict::Failed, Reason::CrashLoop)).expect(15, &tasks, (Converged, Reason::Converged));
    // And one that came round is not held against a service of which another is on its way.
    let mut case = self::case(|spec| spec.mode = replicas(2));
    let tasks = [&bad(1)[..], &[task("good", Running), second(task("late", Starting))]].concat();
    case.expect(0, &tasks, (Verdict::Failed, Reason::CrashLoop)).expect(5, &tasks, (Progressing, Reason::Starting));
}

#[test]
fn what_ended_while_nobody_could_look_ended_with_the_engine() {
    let mut case = plain();
    case.expect(0, &[task("a", Running)], (Progressing, Reason::Stabilising));
    case.clocks.stop();
    let lost = [failed("a", 137, "task: non-zero exit (137)"), refused("b", "oops"), refused("c", "oops")];
    let tasks = [&lost[..], &[task("d", Starting)]].concat();
    case.expect(30, &tasks, (Progressing, Reason::Starting));
    // What fails from then on counts.
    let tasks = [&lost[..], &[refused("d", "oops"), refused("e", "oops")]].concat();
    case.expect(35, &tasks, (Verdict::Failed, Reason::Rejected));
    // And so does what had been counted before.
    let mut known = plain();
    let tasks = ["a", "b", "c"].map(|id| failed(id, 1, ""));
    known.expect(0, &tasks, (Verdict::Failed, Reason::CrashLoop));
    known.clocks.stop();
    known.expect(30, &tasks, (Verdict::Failed, Reason::CrashLoop));
}

#[test]
fn an_update_that_the_swarm_gave_up_while_the_engine_was_away_is_nobodys_failure() {
    for (state, live, reason) in [
        (UpdateState::RollbackCompleted, "old", Reason::RolledBack),
        (UpdateState::RollbackStarted, "old", Reason::RolledBack),
        (UpdateState::Paused, "new", Reason::Paused),
    ] {
        let tasks = [old("a", Running), failed("b", 137, "task: non-zero exit (137)")];
        let mut case = plain();
        case.update(UpdateState::Updating, 1, "update in progress");
        case.expect(2, &[old("a", Running), task("b", Starting)], (Progressing, Reason::Starting));
        let mut seen = plain();
        (seen.update, seen.clocks) = (case.update.clone(), case.clocks.clone());
        for case in [&mut case, &mut seen] {
            case.live = Some(spec(live));
            case.update(state.clone(), 3, "it ended");
        }
        seen.expect(20, &tasks, (Verdict::Failed, reason));
        case.clocks.stop();
        case.expect(20, &tasks, (Verdict::Failed, Reason::EngineWasAway));
        assert!(case.message().starts_with("The engine was away while web was being updated"), "{}", case.message());
        // What is handed over next is judged for itself.
        case.goal.applied_at = at(30);
        case.update(state.clone(), 31, "it ended again");
        case.expect(40, &tasks, (Verdict::Failed, reason));
    }
}

#[test]
fn what_a_restarting_engine_says_of_its_tasks_is_not_held_against_them() {
    let tasks = [
        failed("a", 0, "No such container: x_web.1.uhrxk6flkulvlnwm2cek1rvmk"),
        refused("b", "cannot create a swarm scoped network when swarm is not active"),
        refused("c", "cannot create a swarm scoped network when swarm is not active"),
        refused("d", "context canceled"),
        task("e", Starting),
    ];
    let mut case = plain();
    case.expect(0, &tasks, (Progressing, Reason::Starting));
}
