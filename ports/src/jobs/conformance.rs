//! What every implementation of [`Jobs`] must do: the same suite for the fake and for real processes.
//!
//! Public because the real adapter's test needs a second program and therefore lives outside the library.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{EndCause, Exit, JobId, JobSpec, JobState, Jobs, Limits};
use crate::error::ErrorKind;

/// Longest that any step may take in real time.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a job of the suite does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Ends at once with this code.
    Exit(i32),
    /// Writes `hello` and a line feed, then ends with 0.
    SayHello,
    /// Does nothing until it is ended.
    Sleep,
    /// Does nothing and ignores SIGTERM.
    Stubborn,
    /// Writes this many bytes.
    Flood(u64),
    /// Is a program that is not there.
    Missing,
}

/// Says how an implementation is told to behave.
pub trait Harness {
    /// The implementation.
    fn jobs(&self) -> &dyn Jobs;
    /// The argv for a behaviour.
    fn argv(&self, behaviour: Behaviour) -> Vec<String>;
}

/// Runs the whole suite.
pub async fn check(harness: &impl Harness) {
    a_job_that_was_never_started_is_absent(harness).await;
    a_job_ends_with_its_own_exit_code(harness).await;
    starting_twice_starts_once(harness).await;
    the_log_holds_what_the_job_wrote(harness).await;
    a_cancelled_job_ends_by_a_signal(harness).await;
    a_job_that_ignores_sigterm_is_killed_after_its_grace(harness).await;
    a_job_whose_time_is_over_is_ended(harness).await;
    output_beyond_the_limit_is_dropped(harness).await;
    a_program_that_is_not_there_is_a_matter_for_a_person(harness).await;
    a_running_job_cannot_be_removed_and_an_ended_one_can(harness).await;
}

/// Returns a specification with limits that suit a test.
#[must_use]
pub fn spec(id: &str, argv: Vec<String>) -> JobSpec {
    JobSpec {
        id: JobId::new(id).expect("the suite's ids are valid"),
        owner: format!("owner of {id}"),
        argv,
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cwd: "/".into(),
        limits: Limits { grace: Duration::from_millis(300), ..Limits::default() },
    }
}

/// Waits until a job no longer runs and returns how it ended.
pub async fn end_of(jobs: &dyn Jobs, id: &JobId) -> JobState {
    let ended = async {
        loop {
            match jobs.state(id).await.expect("the state can be read") {
                JobState::Running => tokio::time::sleep(Duration::from_millis(10)).await,
                other => return other,
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the job ends within the suite's patience")
}

async fn a_job_that_was_never_started_is_absent(harness: &impl Harness) {
    let id = JobId::new("never").expect("valid");
    assert_eq!(harness.jobs().state(&id).await.expect("readable"), JobState::Absent);
    harness.jobs().cancel(&id).await.expect("cancelling nothing is fine");
    harness.jobs().remove(&id).await.expect("removing nothing is fine");
    let error = harness.jobs().log(&id, 0, 10).await.expect_err("there is no log");
    assert_eq!(error.kind, ErrorKind::Terminal);
}

async fn a_job_ends_with_its_own_exit_code(harness: &impl Harness) {
    for code in [0, 3] {
        let spec = spec(&format!("exit-{code}"), harness.argv(Behaviour::Exit(code)));
        let mut endings = harness.jobs().endings();
        harness.jobs().start(&spec).await.expect("starts");
        let exit = Exit { code: Some(code), signal: None, cause: EndCause::Finished };
        assert_eq!(end_of(harness.jobs(), &spec.id).await, JobState::Exited(exit));
        let ending = tokio::time::timeout(PATIENCE, endings.recv()).await.expect("in time").expect("announced");
        assert_eq!((ending.id, ending.owner), (spec.id, spec.owner));
    }
}

async fn starting_twice_starts_once(harness: &impl Harness) {
    let first = spec("twice", harness.argv(Behaviour::Exit(4)));
    harness.jobs().start(&first).await.expect("starts");
    let ended = end_of(harness.jobs(), &first.id).await;
    let second = JobSpec { argv: harness.argv(Behaviour::Exit(5)), ..first.clone() };
    harness.jobs().start(&second).await.expect("starting what has ended changes nothing");
    assert_eq!(end_of(harness.jobs(), &first.id).await, ended);
}

async fn the_log_holds_what_the_job_wrote(harness: &impl Harness) {
    let spec = spec("says-hello", harness.argv(Behaviour::SayHello));
    harness.jobs().start(&spec).await.expect("starts");
    end_of(harness.jobs(), &spec.id).await;
    let whole = harness.jobs().log(&spec.id, 0, 100).await.expect("readable");
    assert_eq!((&*whole.bytes, whole.next_offset), (&b"hello\n"[..], 6));
    let part = harness.jobs().log(&spec.id, 1, 3).await.expect("readable");
    assert_eq!((&*part.bytes, part.next_offset), (&b"ell"[..], 4));
    let rest = harness.jobs().log(&spec.id, 6, 3).await.expect("readable");
    assert_eq!((rest.bytes.len(), rest.next_offset), (0, 6));
}

async fn a_cancelled_job_ends_by_a_signal(harness: &impl Harness) {
    let spec = spec("cancelled", harness.argv(Behaviour::Sleep));
    harness.jobs().start(&spec).await.expect("starts");
    assert_eq!(harness.jobs().state(&spec.id).await.expect("readable"), JobState::Running);
    harness.jobs().cancel(&spec.id).await.expect("reaches it");
    harness.jobs().cancel(&spec.id).await.expect("twice is fine");
    let exit = Exit { code: None, signal: Some(15), cause: EndCause::Cancelled };
    assert_eq!(end_of(harness.jobs(), &spec.id).await, JobState::Exited(exit));
}

async fn a_job_that_ignores_sigterm_is_killed_after_its_grace(harness: &impl Harness) {
    let spec = spec("stubborn", harness.argv(Behaviour::Stubborn));
    harness.jobs().start(&spec).await.expect("starts");
    harness.jobs().cancel(&spec.id).await.expect("reaches it");
    let JobState::Exited(exit) = end_of(harness.jobs(), &spec.id).await else { unreachable!("it was cancelled") };
    assert_eq!(exit.cause, EndCause::Cancelled);
    assert!(exit.code.is_none(), "a signal ended it: {exit:?}");
}

async fn a_job_whose_time_is_over_is_ended(harness: &impl Harness) {
    let mut spec = spec("too-long", harness.argv(Behaviour::Sleep));
    spec.limits.wall_time = Duration::from_millis(200);
    harness.jobs().start(&spec).await.expect("starts");
    let exit = Exit { code: None, signal: Some(15), cause: EndCause::TimedOut };
    assert_eq!(end_of(harness.jobs(), &spec.id).await, JobState::Exited(exit));
}

async fn output_beyond_the_limit_is_dropped(harness: &impl Harness) {
    let mut spec = spec("flood", harness.argv(Behaviour::Flood(200_000)));
    spec.limits.output_bytes = 1000;
    harness.jobs().start(&spec).await.expect("starts");
    let ended = end_of(harness.jobs(), &spec.id).await;
    assert!(matches!(&ended, JobState::Exited(exit) if exit.is_success()), "{ended:?}");
    let log = harness.jobs().log(&spec.id, 0, 1 << 20).await.expect("readable");
    assert!((1000..1200).contains(&log.bytes.len()), "{} bytes were kept", log.bytes.len());
}

async fn a_program_that_is_not_there_is_a_matter_for_a_person(harness: &impl Harness) {
    let spec = spec("missing", harness.argv(Behaviour::Missing));
    let error = harness.jobs().start(&spec).await.expect_err("it cannot start");
    assert_eq!(error.kind, ErrorKind::Terminal, "{error}");
    assert_eq!(harness.jobs().state(&spec.id).await.expect("readable"), JobState::Absent);
}

async fn a_running_job_cannot_be_removed_and_an_ended_one_can(harness: &impl Harness) {
    let spec = spec("removed", harness.argv(Behaviour::Sleep));
    harness.jobs().start(&spec).await.expect("starts");
    let error = harness.jobs().remove(&spec.id).await.expect_err("it runs");
    assert_eq!(error.kind, ErrorKind::Blocked);
    harness.jobs().cancel(&spec.id).await.expect("reaches it");
    end_of(harness.jobs(), &spec.id).await;
    assert!(harness.jobs().list().await.expect("readable").contains(&spec.id));
    assert_eq!(harness.jobs().owner(&spec.id).await.expect("readable"), Some(spec.owner.clone()));
    harness.jobs().remove(&spec.id).await.expect("it has ended");
    assert_eq!(harness.jobs().owner(&spec.id).await.expect("readable"), None);
    assert_eq!(harness.jobs().state(&spec.id).await.expect("readable"), JobState::Absent);
    assert!(!harness.jobs().list().await.expect("readable").contains(&spec.id));
}
