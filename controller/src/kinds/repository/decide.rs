//! From what a poll found to the status. Pure.

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::repository::{Cursor, InboxEvent, Repository, RepositoryStatus, TriggerEvent};
use api_types::reason;
use jiff::Timestamp;

use super::happenings::{Happening, Marks};
use super::work::Work;
use crate::runtime::events::seconds;
use crate::runtime::outcome::{Failure, sentence};
use crate::runtime::reconciler::{Decision, Next};

/// Events of each kind that are listed.
const EVENTS_MAX: usize = 20;
/// Characters of a message that are kept.
const MESSAGE_CHARACTERS_MAX: usize = 1024;
/// Numbers of comments that are kept.
const RECENT_MAX: usize = 4000;

/// What a poll, and the dealing with what it found, came to.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What was decided about comments, oldest first.
    pub dealt: Vec<Dealt>,
    /// What became of tags, pushes and times; given once, together with the round that brought them.
    pub happened: Vec<(Happening, Fate)>,
    /// The next thing to do.
    pub work: Option<Action>,
    /// Where the next poll begins, once everything is dealt with.
    pub round: Option<Round>,
    /// Why it does not go on now, and for how long.
    pub failure: Option<(Failure, Duration)>,
    /// When somebody rang.
    pub rung_at: Option<Timestamp>,
    /// What is wrong with the doorbell.
    pub doorbell_problem: Option<String>,
    /// What is wrong with triggers.
    pub trigger_problems: Vec<String>,
    /// How long until the next poll.
    pub next: Duration,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Carry a command out.
    Carry(Box<Work>),
    /// Start the run of a tag, a push or a time.
    Begin(Happening),
}

/// Where a poll ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// When, by the forge's clock, it began to be complete.
    pub since: Timestamp,
    /// When, by ours, it was made.
    pub polled_at: Timestamp,
    /// The comments that it found.
    pub listed: Vec<i64>,
    /// What it saw of tags, branches and times.
    pub marks: Marks,
    /// Whether the repository was seen for the first time.
    pub is_first: bool,
}

/// One comment that was dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dealt {
    /// When it was written.
    pub at: Timestamp,
    /// Its number.
    pub comment: i64,
    /// The pull request.
    pub pull_request: Option<i64>,
    /// Who wrote it.
    pub author: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is our own, or otherwise not worth a word.
    Silent,
    /// It was no command that could be carried out.
    Ignored(&'static str, String),
    /// Whoever gave the command may not.
    Rejected(String),
    /// It was carried out.
    Handled(&'static str, String),
}

/// Decides.
#[must_use]
pub fn decide(object: &Object<Repository>, seen: &Observed, _now: Timestamp) -> Decision<RepositoryStatus, Action> {
    let mut status = object.status.clone();
    if object.is_being_deleted() {
        return Decision::wait(status, Next::Finalized);
    }
    if let Some(rung_at) = seen.rung_at {
        status.last_delivery = Some(seconds(rung_at));
    }
    for dealt in &seen.dealt {
        note(&mut status, dealt);
    }
    for (happening, fate) in &seen.happened {
        note_happening(&mut status, happening, fate);
    }
    condition::set(&mut status.conditions, triggers_active(seen));
    if let Some((failure, wait)) = &seen.failure {
        status.counts.failed_polls += 1;
        let message = sentence(&failure.message);
        for type_ in [ConditionType::Polled.word(), READY] {
            let condition = Condition::new(type_, ConditionStatus::False, &failure.reason, message.clone());
            condition::set(&mut status.conditions, condition);
        }
        return Decision::wait(status, Next::After(*wait));
    }
    if let Some(work) = &seen.work {
        return Decision::act(status, work.clone());
    }
    if let Some(round) = &seen.round {
        move_cursor(&mut status, round);
        polled(object, &mut status, seen, round.is_first);
    }
    Decision::wait(status, Next::After(seen.next))
}

/// Notes what became of a comment; a second time it changes nothing.
fn note(status: &mut RepositoryStatus, dealt: &Dealt) {
    let cursor = status.cursor.get_or_insert_default();
    if cursor.recent.contains(&dealt.comment) {
        return;
    }
    cursor.recent.push(dealt.comment);
    cursor.comment_id = cursor.comment_id.max(dealt.comment);
    let event = InboxEvent {
        at: seconds(dealt.at),
        on: TriggerEvent::Comment,
        comment_id: Some(dealt.comment),
        pull_request: dealt.pull_request,
        author: Some(dealt.author.clone()),
        ..InboxEvent::default()
    };
    file(status, event, &dealt.fate);
}

/// Notes what became of a tag, a push or a time.
fn note_happening(status: &mut RepositoryStatus, happening: &Happening, fate: &Fate) {
    let event = InboxEvent {
        at: seconds(happening.at),
        on: happening.on,
        subject: Some(happening.subject.clone()),
        commit: happening.commit.clone(),
        ..InboxEvent::default()
    };
    file(status, event, fate);
}

/// Counts an event and puts it into the inbox.
fn file(status: &mut RepositoryStatus, event: InboxEvent, fate: &Fate) {
    let counts = &mut status.counts;
    counts.seen += 1;
    let event = |reason: &str, message: &str| InboxEvent {
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect(),
        ..event
    };
    match fate {
        Fate::Silent => counts.ignored += 1,
        Fate::Handled(reason, message) => {
            counts.accepted += 1;
            status.handled.insert(0, event(reason, message));
            status.handled.truncate(EVENTS_MAX);
        }
        Fate::Ignored(reason, message) => {
            counts.ignored += 1;
            ignore(&mut status.ignored, event(reason, message));
        }
        Fate::Rejected(message) => {
            counts.rejected += 1;
            ignore(&mut status.ignored, event(reason::NOT_AUTHORIZED, message));
        }
    }
}

/// Lists an event on which nothing was done. Talk makes room before commands that were refused do.
fn ignore(ignored: &mut Vec<InboxEvent>, event: InboxEvent) {
    ignored.insert(0, event);
    while ignored.len() > EVENTS_MAX {
        let talk = ignored.iter().rposition(|event| event.reason == reason::NOT_A_COMMAND);
        ignored.remove(talk.unwrap_or(EVENTS_MAX));
    }
}

fn move_cursor(status: &mut RepositoryStatus, round: &Round) {
    let cursor: &mut Cursor = status.cursor.get_or_insert_default();
    cursor.since = Some(seconds(round.since));
    cursor.recent.clone_from(&round.listed);
    cursor.recent.sort_unstable();
    cursor.recent.dedup();
    let extra = cursor.recent.len().saturating_sub(RECENT_MAX);
    cursor.recent.drain(..extra);
    cursor.comment_id = cursor.comment_id.max(cursor.recent.last().copied().unwrap_or_default());
    round.marks.put(cursor);
    status.last_polled = Some(seconds(round.polled_at));
}

fn polled(object: &Object<Repository>, status: &mut RepositoryStatus, seen: &Observed, is_first: bool) {
    let name = format!("{}/{}", object.spec.owner, object.spec.name);
    let (reason, message) = if is_first {
        (reason::FIRST_SEEN, format!("{name} is watched from now on; what was written before does not count."))
    } else {
        (reason::POLLED, format!("Everything that was written in {name} has been dealt with."))
    };
    let polled = Condition::new(ConditionType::Polled.word(), ConditionStatus::True, reason, message);
    condition::set(&mut status.conditions, polled);
    let mut message = format!("{name} is watched.");
    if let Some(problem) = &seen.doorbell_problem {
        message.push_str(&format!(" Its webhook is off: {problem}"));
    }
    if let Some(problem) = seen.trigger_problems.first() {
        message.push(' ');
        message.push_str(&sentence(problem));
    }
    condition::set(&mut status.conditions, Condition::new(READY, ConditionStatus::True, reason::SUCCEEDED, message));
}

/// Says whether every trigger can start what it names.
fn triggers_active(seen: &Observed) -> Condition {
    let type_ = ConditionType::TriggersActive.word();
    if seen.trigger_problems.is_empty() {
        return Condition::new(type_, ConditionStatus::True, reason::SUCCEEDED, "All triggers start what they name.");
    }
    let message: String = seen.trigger_problems.iter().map(|problem| sentence(problem)).collect::<Vec<_>>().join(" ");
    let message: String = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
    Condition::new(type_, ConditionStatus::False, reason::INVALID_SPEC, message)
}
