//! What a judgement says, to a person who knows neither swarm nor this program.

use std::time::Duration;

use ports::swarm::{Task, TaskState, UpdateStatus};

use super::{Evidence, Goal, Judgement, Look, Reason, Slot, Verdict};

/// Most characters of the engine's own words in a message.
const ERROR_CHARACTERS_MAX: usize = 400;

pub(super) fn vanished(goal: &Goal) -> Judgement {
    Judgement {
        service: goal.service.clone(),
        verdict: Verdict::Failed,
        reason: Reason::Vanished,
        message: format!("The service {} was deployed and is gone: somebody removed it from the swarm.", goal.service),
        is_final: true,
        evidence: None,
        desired: 0,
        running: 0,
        state: String::new(),
        tasks: Vec::new(),
    }
}

pub(super) fn rolled_back(look: &Look<'_>, update: Option<&UpdateStatus>) -> Judgement {
    let task = failed_task(look);
    let is_final = update.is_none_or(|update| update.state.word() != "rollback_started");
    let verb = if is_final { "went" } else { "is going" };
    let mut message = format!(
        "The swarm {verb} back to what {} ran before, so that the old state answers and not the new one.",
        look.goal.service
    );
    push_words(&mut message, "It says", update.map_or("", |update| update.message.as_str()));
    push_words(&mut message, "The task that failed says", &task.map(words).unwrap_or_default());
    let failed = make(look, Verdict::Failed, Reason::RolledBack, message, task);
    Judgement { is_final, ..failed }
}

pub(super) fn superseded(look: &Look<'_>) -> Judgement {
    let message = format!(
        "The service {} has a spec that was not deployed from here: somebody else deployed or updated it.",
        look.goal.service
    );
    make(look, Verdict::Failed, Reason::Superseded, message, None)
}

pub(super) fn changed_by_hand(look: &Look<'_>) -> Judgement {
    let message = format!(
        "Somebody changed the service {} in the swarm: {}.",
        look.goal.service,
        shorten(&look.seen.differences.join(", "))
    );
    make(look, Verdict::Failed, Reason::Superseded, message, None)
}

pub(super) fn paused(look: &Look<'_>, update: &UpdateStatus) -> Judgement {
    let task = failed_task(look);
    let mut message = format!(
        "The swarm stopped the update of {} half-way, because a task failed, and does nothing more by itself.",
        look.goal.service
    );
    push_words(&mut message, "It says", &update.message);
    push_words(&mut message, "The task that failed says", &task.map(words).unwrap_or_default());
    make(look, Verdict::Failed, Reason::Paused, message, task)
}

/// Turns a failed update into one that says nothing about what was updated.
pub(super) fn engine_was_away(failed: Judgement) -> Judgement {
    let message = format!(
        "The engine was away while {} was being updated, which ended its tasks; nothing is known about the new state. {}",
        failed.service, failed.message
    );
    Judgement { reason: Reason::EngineWasAway, message, ..failed }
}

pub(super) fn nothing_wanted(look: &Look<'_>) -> Judgement {
    let message = format!("{} is meant to have no tasks, and has none.", look.goal.service);
    make(look, Verdict::Converged, Reason::Converged, message, None)
}

pub(super) fn not_observed(look: &Look<'_>) -> Judgement {
    let message = format!("The swarm has not made tasks of the new spec of {} yet.", look.goal.service);
    make(look, Verdict::Progressing, Reason::NotObserved, message, None)
}

pub(super) fn no_node(look: &Look<'_>) -> Judgement {
    let placement = look.goal.spec.task_template.placement.clone().unwrap_or_default();
    let message = format!(
        "No node may run {}, which should run on each node that meets: {}. Change the constraints, or label a node.",
        look.goal.service,
        placement.constraints.join(", ")
    );
    make(look, Verdict::Failed, Reason::Unschedulable, message, None)
}

pub(super) fn rejected(look: &Look<'_>, task: &Task) -> Judgement {
    let service = &look.goal.service;
    let image = image(task, look);
    let error = task.error.to_lowercase();
    let (reason, message) = if is_image_error(&error) {
        let message = format!(
            "No node can get the image {image} of {service}: it does not exist, or the registry does not give it to us \
             (wrong or missing credentials, or a rate limit, read the same)."
        );
        (Reason::ImageNotFound, message)
    } else if is_mount_error(&error) {
        let message = format!(
            "A node refuses {service} because of a mount: the path must exist on the node before the service starts."
        );
        (Reason::MountFailed, message)
    } else {
        (Reason::Rejected, format!("A node refuses to run {service}."))
    };
    let mut message = message;
    push_words(&mut message, "It says", &task.error);
    make(look, Verdict::Failed, reason, message, Some(task))
}

pub(super) fn failing(look: &Look<'_>, task: &Task, count: usize) -> Judgement {
    let service = &look.goal.service;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let error = task.error.to_lowercase();
    let (reason, mut message) = if look.seen.out_of_memory.contains(&task.id) {
        let message = format!(
            "The kernel killed {service} for want of memory ({times}): raise its limit, or give the machine more memory."
        );
        (Reason::OutOfMemory, message)
    } else if error.contains("unhealthy") {
        let message = format!(
            "The health check of {service} fails, and the swarm ends its tasks for it ({times}): look at the check, or \
             give a slow first start a longer start_period."
        );
        (Reason::Unhealthy, message)
    } else {
        let exit = task.exit_code.map(|code| format!(", last with exit code {code}")).unwrap_or_default();
        (Reason::CrashLoop, format!("{service} starts and ends again ({times}{exit}): its log says why."))
    };
    push_words(&mut message, "The swarm says", &task.error);
    make(look, Verdict::Failed, reason, message, Some(task))
}

pub(super) fn unschedulable(look: &Look<'_>, slot: &Slot, task: &Task) -> Judgement {
    let service = &look.goal.service;
    let error = task.error.to_lowercase();
    let message = if error.contains("host-mode port") {
        let starts_first = look.goal.spec.update_config.as_ref().is_some_and(|update| update.order == "start-first");
        let cause = if starts_first {
            "the service publishes a port on the host and updates with `order: start-first`, so that the new task waits \
             for a port that the old one holds; use `order: stop-first`"
        } else {
            "a port that it publishes on the host is taken there"
        };
        format!("No node can take {slot} of {service}: {cause}.")
    } else if error.contains("insufficient resources") {
        format!(
            "No node has what {slot} of {service} reserves: lower `resources.reservations`, or give the machine more."
        )
    } else if error.contains("constraint") {
        format!("No node meets the placement constraints of {service}: change them, or label a node.")
    } else {
        format!("No node takes {slot} of {service}.")
    };
    let mut message = message;
    push_words(&mut message, "The swarm says", &task.error);
    make(look, Verdict::Failed, Reason::Unschedulable, message, Some(task))
}

pub(super) fn allocator(look: &Look<'_>, slot: &Slot, task: &Task, waited: Duration) -> Judgement {
    let mut message = format!(
        "The swarm has kept {slot} of {} in the state `{}` for {} s: it does not hand out what the task needs, most often \
         an address of a network that is used up. This says nothing about the recipe: make the network larger, or \
         restart the engine that leads the swarm.",
        look.goal.service,
        task.state.word(),
        waited.as_secs()
    );
    push_words(&mut message, "The swarm says", &task.error);
    make(look, Verdict::Failed, Reason::AllocatorStuck, message, Some(task))
}

pub(super) fn pull_takes_too_long(look: &Look<'_>, slot: &Slot, task: &Task, waited: Duration) -> Judgement {
    let message = format!(
        "The image {} of {} is being pulled for {slot} since {} s, longer than it is given: raise the time for pulls, or \
         see whether the registry is slow.",
        image(task, look),
        look.goal.service,
        waited.as_secs()
    );
    make(look, Verdict::Failed, Reason::PullTimeout, message, Some(task))
}

pub(super) fn starting(look: &Look<'_>, wanted: usize) -> Judgement {
    let service = &look.goal.service;
    let task = look.newest.values().find(|task| !look.is_good(task)).copied();
    let mut message = format!("{} of {wanted} tasks of {service} are up.", running(look));
    if let Some(task) = task {
        message.push_str(match task.state {
            TaskState::Preparing => " The image is being pulled, or the container made.",
            TaskState::Starting => " The container runs, and its health check has not passed yet.",
            TaskState::Pending => " A task waits for a node.",
            TaskState::Failed | TaskState::Complete | TaskState::Rejected => " A task ended and is started again.",
            _ => " The swarm is starting a task.",
        });
        push_words(&mut message, "The swarm says", &task.error);
    }
    make(look, Verdict::Progressing, Reason::Starting, message, task)
}

pub(super) fn updating(look: &Look<'_>, update: &UpdateStatus) -> Judgement {
    let mut message = format!(
        "All tasks of {} run the new spec; the swarm still watches the update ({}).",
        look.goal.service,
        update.state.word()
    );
    push_words(&mut message, "It says", &update.message);
    make(look, Verdict::Progressing, Reason::Updating, message, None)
}

pub(super) fn stopping(look: &Look<'_>, old: usize) -> Judgement {
    let tasks = if old == 1 { "an old task".to_owned() } else { format!("{old} old tasks") };
    let message = format!("Waiting for {tasks} of {} to end.", look.goal.service);
    make(look, Verdict::Progressing, Reason::Stopping, message, None)
}

pub(super) fn stabilising(look: &Look<'_>, left: Duration) -> Judgement {
    let message = format!(
        "All tasks of {} are up; they must stay so for another {} s.",
        look.goal.service,
        left.as_secs().max(1)
    );
    make(look, Verdict::Progressing, Reason::Stabilising, message, None)
}

pub(super) fn converged(look: &Look<'_>) -> Judgement {
    let message = format!("{} runs as it was asked for.", look.goal.service);
    make(look, Verdict::Converged, Reason::Converged, message, None)
}

/// Turns what goes on into what took too long.
pub(super) fn too_late(progressing: Judgement, goal: &Goal, spent: Duration) -> Judgement {
    let message = format!(
        "{} is not up after {} s, and nothing gets further: raise the time to converge (`timeouts.converge` of the Recipe, \
         or its label `timeout`) if it needs longer. Last: {}",
        goal.service,
        spent.as_secs(),
        progressing.message
    );
    Judgement {
        verdict: Verdict::Failed,
        reason: Reason::ProgressDeadlineExceeded,
        message,
        is_final: true,
        ..progressing
    }
}

fn make(look: &Look<'_>, verdict: Verdict, reason: Reason, message: String, task: Option<&Task>) -> Judgement {
    let state = match (&look.service.update, look.newest.values().next_back()) {
        (Some(update), _) if update.state.is_rollback() || reason == Reason::Paused || reason == Reason::Updating => {
            update.state.word()
        }
        (_, Some(newest)) => task.unwrap_or(newest).state.word(),
        _ => "",
    };
    let wanted = look.desired.unwrap_or_else(|| u32::try_from(look.newest.len()).unwrap_or(u32::MAX));
    Judgement {
        service: look.goal.service.clone(),
        verdict,
        reason,
        message,
        is_final: verdict == Verdict::Failed,
        evidence: task.map(evidence),
        desired: wanted,
        running: running(look),
        state: state.to_owned(),
        tasks: Vec::new(),
    }
}

fn running(look: &Look<'_>) -> u32 {
    let count = look.newest.values().filter(|task| look.is_good(task)).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn evidence(task: &Task) -> Evidence {
    Evidence {
        task: task.id.clone(),
        container: task.container_id.clone(),
        node: task.node_id.clone(),
        exit_code: task.exit_code,
        error: task.error.clone(),
    }
}

/// Returns the task whose failure an update stumbled over: one of the new spec, as far as the engine still has it. After
/// a rollback no task of it is of the present spec any more.
fn failed_task<'a>(look: &Look<'a>) -> Option<&'a Task> {
    let after = |task: &&&Task| task.created_at.is_none_or(|created| created >= look.goal.applied_at);
    let bad = |task: &&&Task| matches!(task.state, TaskState::Failed | TaskState::Rejected) || !task.error.is_empty();
    let tasks: Vec<&'a Task> = look.seen.tasks.iter().collect();
    tasks.iter().rev().filter(after).find(bad).copied()
}

fn words(task: &Task) -> String {
    match (task.error.is_empty(), task.exit_code) {
        (true, Some(code)) => format!("exit code {code}"),
        _ => task.error.clone(),
    }
}

fn image<'a>(task: &'a Task, look: &'a Look<'_>) -> &'a str {
    if task.image.is_empty() { &look.goal.spec.task_template.container_spec.image } else { &task.image }
}

pub(super) fn is_image_error(error: &str) -> bool {
    ["no such image", "pull access denied", "manifest unknown", "repository does not exist", "manifest for"]
        .iter()
        .any(|words| error.contains(words))
}

fn is_mount_error(error: &str) -> bool {
    ["bind source path", "invalid mount", "mount config", "mounting", "mount target"]
        .iter()
        .any(|words| error.contains(words))
}

/// Appends what somebody else says, if anything, and ends the sentence.
fn push_words(message: &mut String, who: &str, words: &str) {
    let words = words.trim().trim_end_matches('.');
    if !words.is_empty() {
        message.push_str(&format!(" {who}: {}.", shorten(words)));
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= ERROR_CHARACTERS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(ERROR_CHARACTERS_MAX).collect();
    short.push('…');
    short
}
