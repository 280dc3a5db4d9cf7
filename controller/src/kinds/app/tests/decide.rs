//! One look, one decision: from nothing to Ready, every way to fail, and the way out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::Object;
use api_types::kinds::app::{App, AppRecipe, AppSpec, Deployer, DriftPolicy};
use api_types::kinds::check::Health;
use api_types::kinds::identity::Identity;
use api_types::reason;
use jiff::Timestamp;
use ports::compose::stack::Stack;
use ports::swarm::spec::ServiceSpec;

use crate::kinds::app::act::Action;
use crate::kinds::app::converge::{Judgement, Reason, Verdict};
use crate::kinds::app::decide::decide;
use crate::kinds::app::dependencies::Dependencies;
use crate::kinds::app::deployer::{Effect, Refusal, Wanted};
use crate::kinds::app::generated::Kept;
use crate::kinds::app::health::{Answer, Checks, Probes, Round};
use crate::kinds::app::images;
use crate::kinds::app::inventory::{Inventory, Item};
use crate::kinds::app::labels::Owner;
use crate::kinds::app::observe::{Claim, Images, Leaving, Observed, Present, Source, Swarm};
use crate::kinds::app::prepare::Prepared;
use crate::kinds::app::pull_secrets::PullSecrets;
use crate::kinds::app::teardown::{Progress, Scope, Step};
use crate::kinds::app::upgrade::after::Seen;
use crate::runtime::outcome::{Failure, TIMED_OUT};
use crate::runtime::reconciler::{Decision, Next};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn app() -> Object<App> {
    let spec = AppSpec {
        recipe: AppRecipe { url: Some("https://git.example/x.git".to_owned()), recipe_ref: None },
        domain: "x.example".to_owned(),
        ..AppSpec::default()
    };
    let mut app = Object::<App>::new("default", "x", spec);
    app.metadata.uid = "u".to_owned();
    app.metadata.generation = 1;
    app.status.observed_generation = 1;
    app
}

fn prepared(hash: &str) -> Prepared {
    let owner = Owner {
        app: "default/x".to_owned(),
        uid: "u".to_owned(),
        stack: "x_example".to_owned(),
        installation: "i".to_owned(),
        run: None,
    };
    Prepared {
        hash: hash.to_owned(),
        identity: Identity { version: Some("1.0.0".to_owned()), ..Identity::default() },
        summary: "Version 1.0.0 should run.".to_owned(),
        version: Some("1.0.0".to_owned()),
        is_gated: true,
        takes_snapshot: true,
        available_version: None,
        held: None,
        is_named_held: false,
        wanted: Wanted {
            owner,
            stack: Stack::default(),
            secrets: BTreeMap::new(),
            given: BTreeSet::new(),
            retired: Vec::new(),
            goes_with_app: false,
            pull_secrets: PullSecrets::default(),
            images: BTreeMap::new(),
        },
        order: Err("nobody asks for abra here".to_owned()),
        secret_rules: BTreeMap::new(),
        secrets: Vec::new(),
        checks: Checks { reach: Some(Health::default()), probes: Vec::new() },
        pull_timeout: Duration::from_mins(1),
        converge_timeout: None,
        http_timeout: Duration::from_mins(1),
        last_pull_error: Arc::default(),
    }
}

fn judgement(verdict: Verdict, reason: Reason) -> Judgement {
    Judgement {
        service: "web".to_owned(),
        verdict,
        reason,
        message: format!("{reason:?}."),
        is_final: true,
        evidence: None,
        desired: 1,
        running: u32::from(verdict == Verdict::Converged),
        state: "running".to_owned(),
        tasks: Vec::new(),
    }
}

fn swarm(judgements: Vec<Judgement>) -> Swarm {
    Swarm {
        claim: Claim::Ours,
        missing: Ok(Vec::new()),
        held_for: None,
        settles_for: None,
        rests_for: None,
        secrets_to_make: Vec::new(),
        secrets_lost: Vec::new(),
        judgements,
        still: Duration::ZERO,
        surplus: Vec::new(),
        identity: None,
    }
}

fn present(swarm: Swarm) -> Present {
    Present {
        stack: "x_example".to_owned(),
        host: "here".to_owned(),
        deployer: Deployer::Swarm,
        source: Source::Ready(Arc::new(prepared("h1"))),
        images: Images::Settled,
        swarm: Ok(swarm),
        probes: Probes::default(),
        application: crate::kinds::app::application::care::Seen::default(),
        dependencies: Dependencies::None,
        kept: Kept::default(),
        upgrade: Seen::default(),
        refresh_due: false,
    }
}

fn create() -> Effect {
    Effect::CreateService(Box::new(ServiceSpec { name: "x_example_web".to_owned(), ..ServiceSpec::default() }))
}

type Decided = Decision<api_types::kinds::app::AppStatus, Action>;

fn look(app: &Object<App>, present: Present, second: i64) -> Decided {
    decide(app, &Observed::Present(Box::new(present)), at(second))
}

fn condition(decided: &Decided, type_: &str) -> (ConditionStatus, String) {
    let found = find(&decided.status.conditions, type_).unwrap_or_else(|| panic!("{type_} is not there"));
    (found.status, found.reason.clone())
}

/// Puts what was decided into the object, as the loop does.
fn keep(app: &mut Object<App>, decided: &Decided, second: i64) {
    let before = app.status.conditions.clone();
    app.status = decided.status.clone();
    app.status.observed_generation = app.metadata.generation;
    for condition in &mut app.status.conditions {
        let old = find(&before, &condition.type_).filter(|old| old.status == condition.status);
        condition.last_transition_time =
            old.map_or_else(|| crate::runtime::events::seconds(at(second)), |old| old.last_transition_time.clone());
    }
}

fn good_round(second: i64) -> Probes {
    let mut probes = Probes::default();
    let answer = Answer { is_good: true, reason: reason::REACHABLE.to_owned(), message: "It answers.".to_owned() };
    probes.take_in(Round { at: at(second), reach: Some(answer), probes: Vec::new() });
    probes
}

/// Brings an App to Ready.
fn ready() -> Object<App> {
    let mut app = app();
    let mut deploying = present(swarm(Vec::new()));
    deploying.swarm.as_mut().unwrap().missing = Ok(vec![create()]);
    let decided = look(&app, deploying, 0);
    keep(&mut app, &decided, 0);
    let decided = look(&app, present(swarm(Vec::new())), 1);
    keep(&mut app, &decided, 1);
    let mut running = present(swarm(vec![judgement(Verdict::Converged, Reason::Converged)]));
    running.probes = good_round(6);
    let decided = look(&app, running, 6);
    assert_eq!(condition(&decided, "Ready"), (ConditionStatus::True, reason::SUCCEEDED.to_owned()));
    keep(&mut app, &decided, 6);
    app
}

#[test]
fn an_app_gets_ready_step_by_step() {
    use ConditionStatus::{True, Unknown};
    let mut app = app();
    let absent = Present { source: Source::Absent, ..present(swarm(Vec::new())) };
    assert_eq!(look(&app, absent, 0).action, Some(Action::Prepare));
    let busy = Present { source: Source::Busy, ..present(swarm(Vec::new())) };
    assert_eq!(look(&app, busy, 0).action, None);

    let missing = Present { images: Images::Missing, ..present(swarm(Vec::new())) };
    let decided = look(&app, missing, 0);
    assert_eq!(decided.action, Some(Action::Pull));
    assert_eq!(condition(&decided, "Configured"), (True, reason::CONFIGURED.to_owned()));
    assert_eq!(condition(&decided, "Deployed"), (Unknown, reason::PULLING.to_owned()));

    let mut secrets = swarm(Vec::new());
    secrets.secrets_to_make = vec!["x_example_pass_v1".to_owned()];
    let decided = look(&app, present(secrets), 0);
    assert_eq!(decided.action, Some(Action::MakeSecrets(vec!["x_example_pass_v1".to_owned()])));

    let mut deploying = swarm(Vec::new());
    deploying.missing = Ok(vec![create(), create()]);
    let decided = look(&app, present(deploying.clone()), 10);
    assert!(matches!(&decided.action, Some(Action::Deploy(effects)) if effects.len() == 2));
    assert_eq!(decided.status.deployed_hash.as_deref(), Some("h1"));
    let began = decided.status.deployed_at.clone();
    keep(&mut app, &decided, 10);
    // It was cut off, and goes on: it is the same deploy.
    deploying.missing = Ok(vec![create()]);
    let decided = look(&app, present(deploying), 12);
    assert!(matches!(&decided.action, Some(Action::Deploy(_))));
    assert_eq!(decided.status.deployed_at, began);
    keep(&mut app, &decided, 12);

    let decided = look(&app, present(swarm(Vec::new())), 13);
    assert_eq!(condition(&decided, "Deployed"), (True, reason::DEPLOYED.to_owned()));
    assert_eq!((decided.next, decided.status.deployed_at.clone()), (Next::Now, began));
    keep(&mut app, &decided, 13);

    let starting = swarm(vec![judgement(Verdict::Progressing, Reason::Starting)]);
    let decided = look(&app, present(starting), 14);
    assert_eq!(condition(&decided, "Converged"), (Unknown, reason::CONVERGING.to_owned()));
    assert_eq!(condition(&decided, "Ready"), (Unknown, reason::CONVERGING.to_owned()));
    keep(&mut app, &decided, 14);

    let converged = || swarm(vec![judgement(Verdict::Converged, Reason::Converged)]);
    let mut sweeping = converged();
    sweeping.surplus = vec![Effect::RemoveConfig("c".to_owned(), "x_example_old".to_owned())];
    assert!(matches!(look(&app, present(sweeping), 20).action, Some(Action::Prune(_))));
    let decided = look(&app, present(converged()), 20);
    assert_eq!(decided.action, Some(Action::Probe));
    assert_eq!(condition(&decided, "Reachable"), (Unknown, reason::PROBING.to_owned()));
    keep(&mut app, &decided, 20);

    let decided = look(&app, Present { probes: good_round(21), ..present(converged()) }, 21);
    assert_eq!(condition(&decided, "Ready"), (True, reason::SUCCEEDED.to_owned()));
    assert_eq!(decided.action, None);
    assert_eq!(decided.status.services[0].running, 1);
}

#[test]
fn what_cannot_be_deployed_says_so_on_the_condition_that_it_concerns() {
    let refusal = |reason: &'static str| Refusal { reason, message: "It cannot be.".to_owned() };
    let mut missing = swarm(Vec::new());
    missing.missing = Err(refusal(reason::SECRET_MISSING));
    let mut foreign = swarm(Vec::new());
    foreign.claim = Claim::Foreign(refusal(reason::STACK_NOT_OURS));
    let refused = Present { source: Source::Refused(refusal(reason::COMPOSE_INVALID)), ..present(swarm(Vec::new())) };
    let no_image = Present { images: Images::Failed(refusal(reason::IMAGE_NOT_FOUND)), ..present(swarm(Vec::new())) };
    let cases = [
        ("Configured", reason::COMPOSE_INVALID, refused),
        ("Deployed", reason::IMAGE_NOT_FOUND, no_image),
        ("Deployed", reason::SECRET_MISSING, present(missing)),
        ("Deployed", reason::STACK_NOT_OURS, present(foreign)),
    ];
    for (type_, reason, present) in cases {
        let decided = look(&app(), present, 0);
        let expected = (ConditionStatus::False, reason.to_owned());
        assert_eq!(
            (condition(&decided, type_), condition(&decided, "Ready")),
            (expected.clone(), expected),
            "{reason}"
        );
        assert_eq!(decided.action, None, "{reason}");
        assert!(matches!(decided.next, Next::After(_)), "{reason}");
    }
}

#[test]
fn a_failure_of_the_recipe_is_shown_and_not_deployed_again() {
    for reason in [Reason::RolledBack, Reason::CrashLoop, Reason::Paused, Reason::ImageNotFound] {
        let app = ready();
        let mut failed = swarm(vec![judgement(Verdict::Failed, reason)]);
        // After a rollback the live spec differs from what should be.
        failed.missing = Ok(vec![create()]);
        let decided = look(&app, present(failed), 60);
        assert_eq!(condition(&decided, "Converged"), (ConditionStatus::False, reason.word().to_owned()));
        assert_eq!(condition(&decided, "Drifted").0, ConditionStatus::False);
        assert_eq!(decided.action, None, "{reason:?}");
        let message = &find(&decided.status.conditions, "Ready").unwrap().message;
        assert!(message.ends_with("See: ccctl logs app/x/web"), "{message}");
    }
}

#[test]
fn what_somebody_changed_is_put_right_but_not_in_a_storm() {
    for reason in [Reason::Superseded, Reason::Vanished] {
        let mut app = ready();
        let mut drifted = swarm(vec![judgement(Verdict::Failed, reason)]);
        drifted.missing = Ok(vec![create()]);
        let decided = look(&app, present(drifted.clone()), 600);
        assert_eq!(condition(&decided, "Drifted"), (ConditionStatus::True, reason::DRIFTED.to_owned()));
        assert!(matches!(&decided.action, Some(Action::Repair(..))), "{:?}", decided.action);
        keep(&mut app, &decided, 600);
        assert_eq!(condition(&decided, "Ready").0, ConditionStatus::Unknown);
        let decided = look(&app, present(swarm(Vec::new())), 601);
        keep(&mut app, &decided, 601);
        // And again, a few times in a row.
        drifted.rests_for = Some(Duration::from_secs(10));
        let decided = look(&app, present(drifted), 605);
        assert_eq!((decided.action, decided.next), (None, Next::After(Duration::from_secs(10))));
        let converged = swarm(vec![judgement(Verdict::Converged, Reason::Converged)]);
        let decided = look(&app, present(converged), 620);
        assert_eq!(condition(&decided, "Drifted"), (ConditionStatus::False, reason::IN_SYNC.to_owned()));
    }
}

#[test]
fn what_somebody_changed_is_reported_once_and_left_alone_where_the_app_says_so() {
    for reason in [Reason::Superseded, Reason::Vanished] {
        let mut app = ready();
        app.spec.drift_policy = DriftPolicy::Report;
        let mut drifted = swarm(vec![judgement(Verdict::Failed, reason)]);
        drifted.missing = Ok(vec![create()]);
        let decided = look(&app, present(drifted.clone()), 600);
        for (type_, word) in [("Drifted", ConditionStatus::True), ("Converged", ConditionStatus::False)] {
            assert_eq!(condition(&decided, type_).0, word, "{type_}");
            let message = &find(&decided.status.conditions, type_).unwrap().message;
            assert!(message.contains("It would take: create service x_example_web."), "{message}");
        }
        assert!(matches!(&decided.action, Some(Action::Tell(told)) if told.is_warning), "{:?}", decided.action);
        keep(&mut app, &decided, 600);
        let again = look(&app, present(drifted.clone()), 601);
        assert_eq!((again.action, condition(&decided, "Ready").0), (None, ConditionStatus::False));
        // More of it is told again.
        drifted.missing = Ok(vec![create(), create()]);
        let more = look(&app, present(drifted.clone()), 602);
        assert!(matches!(&more.action, Some(Action::Tell(_))), "{:?}", more.action);
        // That the engine was away is nobody's wish, and neither is what is half-way to another version.
        let away = Swarm { judgements: vec![judgement(Verdict::Failed, Reason::EngineWasAway)], ..drifted.clone() };
        let decided = look(&app, present(away), 603);
        assert!(matches!(&decided.action, Some(Action::Repair(..))), "{:?}", decided.action);
    }
}

#[test]
fn an_engine_that_is_away_gives_no_verdict() {
    let app = ready();
    let away = Present {
        swarm: Err(Failure::retryable("EngineUnreachable", "the engine does not answer")),
        ..present(swarm(Vec::new()))
    };
    let decided = look(&app, away, 60);
    for type_ in ["Converged", "Reachable", "Ready"] {
        assert_eq!(condition(&decided, type_), (ConditionStatus::Unknown, "EngineUnreachable".to_owned()));
    }
    assert_eq!(condition(&decided, "Deployed").0, ConditionStatus::True);
    assert_eq!(decided.action, None);
}

#[test]
fn a_change_of_the_spec_makes_what_was_known_unknown() {
    let mut app = ready();
    app.metadata.generation = 2;
    let decided = look(&app, Present { source: Source::Absent, ..present(swarm(Vec::new())) }, 60);
    for type_ in ["Configured", "Deployed", "Converged", "Reachable", "Healthy", "Ready"] {
        assert_eq!(condition(&decided, type_).0, ConditionStatus::Unknown, "{type_}");
    }
    // ccd was started again, and nothing changed: what is known stays.
    let decided = look(&ready(), Present { source: Source::Absent, ..present(swarm(Vec::new())) }, 60);
    assert_eq!(condition(&decided, "Ready").0, ConditionStatus::True);
}

#[test]
fn another_stack_is_a_deploy_of_its_own() {
    let app = ready();
    let mut next = present(swarm(Vec::new()));
    next.source = Source::Ready(Arc::new(prepared("h2")));
    next.swarm.as_mut().unwrap().missing = Ok(vec![create()]);
    let decided = look(&app, next, 100);
    assert!(matches!(&decided.action, Some(Action::Deploy(_))));
    assert_eq!(decided.status.deployed_hash.as_deref(), Some("h2"));
    assert_ne!(decided.status.deployed_at, app.status.deployed_at);
    assert_eq!(condition(&decided, "Reachable").0, ConditionStatus::Unknown);
}

#[test]
fn an_app_that_is_deleted_goes_when_nothing_is_left() {
    let mut app = ready();
    app.metadata.deletion_timestamp = Some("2027-01-15T08:10:00Z".to_owned());
    let leaving = |inventory: Inventory, progress: Progress| {
        Observed::Leaving(Box::new(Leaving { inventory, scope: Scope::Everything, progress, going_first: Vec::new() }))
    };
    let network = Item { id: "n".to_owned(), name: "x_example_default".to_owned(), ..Item::default() };
    let inventory = Inventory { networks: vec![network], ..Inventory::default() };
    let decided = decide(&app, &leaving(inventory, Progress::default()), at(600));
    assert_eq!(decided.action, Some(Action::TearDown(Step::RemoveNetworks(vec!["n".to_owned()]))));
    assert_eq!(decided.status.remaining, ["network/x_example_default"]);
    assert_eq!(condition(&decided, "Ready"), (ConditionStatus::False, reason::UNDEPLOYING.to_owned()));
    let clean =
        |since: i64| Progress { ended_since: Some(at(since)), clean_since: Some(at(since)), ..Progress::default() };
    let decided = decide(&app, &leaving(Inventory::default(), clean(601)), at(602));
    assert_eq!((decided.action, decided.next), (None, Next::After(Duration::from_secs(4))));
    let decided = decide(&app, &leaving(Inventory::default(), clean(601)), at(606));
    assert_eq!((decided.action, decided.next), (None, Next::Finalized));
    assert_eq!(decided.status.remaining, [""; 0]);
}

#[test]
fn what_moves_is_looked_at_soon_and_what_stands_still_seldom() {
    let wait = |reason: Reason, verdict: Verdict, still: Duration| {
        let swarm = Swarm { still, ..swarm(vec![judgement(verdict, reason)]) };
        match look(&ready(), present(swarm), 600).next {
            Next::After(wait) => wait,
            other => panic!("{other:?}"),
        }
    };
    let seconds = Duration::from_secs;
    let starting = |still| wait(Reason::Starting, Verdict::Progressing, still);
    assert_eq!(starting(Duration::ZERO), Duration::from_millis(200));
    assert_eq!(starting(seconds(2)), seconds(2));
    assert_eq!(starting(seconds(100)), seconds(5));
    // Nothing but time is missing: the next look is the one that can see that all is well.
    let slack = Duration::from_millis(10);
    assert_eq!(wait(Reason::Stabilising, Verdict::Progressing, seconds(0)), seconds(5) + slack);
    assert_eq!(wait(Reason::Stabilising, Verdict::Progressing, seconds(4)), seconds(1) + slack);
    assert_eq!(wait(Reason::CrashLoop, Verdict::Failed, seconds(2)), seconds(2));
    assert_eq!(wait(Reason::CrashLoop, Verdict::Failed, seconds(3600)), seconds(60));
}

#[test]
fn only_what_is_wrong_with_images_is_held_against_them() {
    let cases = [
        // An engine that restarts while images are looked for: a run would have blamed its recipe.
        (Failure::retryable("EngineUnreachable", "nobody answers"), None),
        (Failure::retryable(TIMED_OUT, "too late"), Some(reason::PULL_TIMEOUT)),
        (Failure::terminal("ImageNotFound", "no such image"), Some(reason::IMAGE_NOT_FOUND)),
        (Failure::terminal("InvalidReference", "what is that"), Some(reason::DEPLOY_FAILED)),
    ];
    for (failure, expected) in cases {
        let refusal = images::refusal(&failure, &prepared("a"));
        assert_eq!(refusal.map(|refusal| refusal.reason), expected, "{}", failure.reason);
    }
}

#[test]
fn an_engine_that_was_away_is_told_nothing_before_it_has_settled() {
    let wait = Duration::from_secs(7);
    let mut settles = swarm(Vec::new());
    settles.settles_for = Some(wait);
    settles.missing = Ok(vec![create()]);
    let mut drifted = swarm(vec![judgement(Verdict::Progressing, Reason::Vanished)]);
    drifted.settles_for = Some(wait);
    drifted.missing = Ok(vec![create()]);
    for (name, app, swarm) in [("a deploy", app(), settles), ("a repair", ready(), drifted)] {
        let decided = look(&app, present(swarm), 3600);
        assert_eq!((&decided.action, decided.next), (&None, Next::After(wait)), "{name}");
    }
}
