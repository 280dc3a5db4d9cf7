//! What follows from what is known of an order. Pure.

use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::acme::{
    Acme, AcmeAccount, AcmeChallenge, AcmeFailure, AcmeIssued, AcmeOrder, AcmeRenewalInfo, AcmeStatus,
};
use api_types::kinds::certificate::Certificate;
use api_types::reason;
use jiff::Timestamp;
use ports::acme::solve::Answers;
use ports::acme::{
    ACCOUNT_GONE, AUTHORITY_UNREACHABLE, BAD_NONCE, ChallengeKind, ORDER_GONE, Order, OrderState, Proof, RATE_LIMITED,
    Window,
};
use ports::certificate::{Origin, Pair};

use super::super::act::Action;
use super::super::decide::renewal_time;
use super::words::{self, bounded, invalid};
use super::{
    ALL_ORDERS_MAX, Before, CLEANUP_FAILED, COUNTED, Errand, Errands, Key, ORDERS_MAX, Renews, Seen, Told, lately,
    left_until, state_of, wanted,
};
use crate::runtime::events::seconds;

/// How long an order may take before it is given up.
const ORDER_TIME_MAX: Duration = Duration::from_hours(2);
/// The longest that anything is put off.
const PUT_OFF_MAX: Duration = Duration::from_hours(25);
/// The shortest pause after the authority said that it was asked for too much.
const LIMITED_PAUSE_MIN: Duration = Duration::from_mins(1);
/// After so many failures to take records back, a person is told to do it.
const CLEANUP_ATTEMPTS: i64 = 5;
/// After failures that time heals.
const SOON: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
];
/// After failures that a person heals. Let's Encrypt lets a name fail five times an hour.
const LATER: [Duration; 5] = [
    Duration::from_mins(1),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(6),
    Duration::from_hours(24),
];
/// How long it is waited before an order is looked at again.
const LOOKS: [Duration; 4] =
    [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];
/// The longest that an authority may put off a look.
const LOOK_WAIT_MAX: Duration = Duration::from_mins(5);
/// How often renewal information is asked for, whatever the authority says.
const ASK_RENEWAL: (Duration, Duration) = (Duration::from_hours(1), Duration::from_hours(24));

/// How often an errand is looked at whose end rings: for a bell that is not heard.
const BELL_PERIOD: Duration = Duration::from_mins(1);

/// What comes next.
#[derive(Debug)]
pub(in super::super) struct Step {
    /// The one thing to do.
    pub(in super::super) action: Option<Action>,
    /// When to look again.
    pub(in super::super) again: Option<Duration>,
    /// How it goes.
    pub(in super::super) course: Course,
}

/// How it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Course {
    /// The pair in use is what the spec asks for, and it is not time yet.
    Settled,
    /// It goes on: what is being done.
    Under(String),
    /// It waits after a failure, for so long.
    Failed(Option<Duration>),
    /// It cannot begin: reason and text.
    Refused(&'static str, String),
}

impl Step {
    fn act(action: Action, doing: &str) -> Self {
        Self { action: Some(action), again: Some(Duration::ZERO), course: Course::Under(doing.to_owned()) }
    }

    fn wait(again: Option<Duration>, course: Course) -> Self {
        Self { action: None, again, course }
    }
}

/// Starts an errand under the number of a new step.
fn start(state: &mut AcmeStatus, errand: Errand, doing: &str) -> Step {
    state.step += 1;
    Step {
        action: Some(Action::Errand(state.step, errand)),
        again: Some(BELL_PERIOD),
        course: Course::Under(doing.to_owned()),
    }
}

/// Returns what comes next for a Certificate that is to be ordered.
pub(in super::super) fn next(
    certificate: &Object<Certificate>,
    spec: &Acme,
    state: &mut AcmeStatus,
    seen: &Seen,
    kept: Option<&Pair>,
    now: Timestamp,
) -> Step {
    heed_spec(certificate, spec, state);
    // What was begun for another spec is not heard any more.
    let is_current = state.step == state_of(certificate).step;
    if is_current && seen.errand == Errands::Running {
        let is_settled = asks_renewal(state) && need(certificate, spec, state, kept, now) == Need::Nothing;
        let course = if is_settled { Course::Settled } else { Course::Under(doing(state).to_owned()) };
        return Step::wait(Some(BELL_PERIOD), course);
    }
    if is_current && let Some(step) = take_up(certificate, spec, state, seen, kept, now) {
        return step;
    }
    if let Some(step) = give_up_old_order(state, now) {
        return step;
    }
    if state.order.is_none()
        && let Some(step) = clean_up(state, seen, now)
    {
        return step;
    }
    let need = need(certificate, spec, state, kept, now);
    if need == Need::Nothing {
        return settled(state, seen, kept, now);
    }
    if let Some((reason, message)) = &seen.refusal {
        return Step::wait(None, Course::Refused(reason, message.clone()));
    }
    for key in [&seen.account_key, &seen.next_key] {
        if let Key::Refused(reason, message) = key {
            return Step::wait(None, Course::Refused(reason, message.clone()));
        }
    }
    if let Some(wait) = left_until(state.not_before.as_deref(), now, PUT_OFF_MAX) {
        return Step::wait(Some(wait), Course::Failed(Some(wait)));
    }
    state.not_before = None;
    prepare(certificate, spec, state, seen, need, now).unwrap_or_else(|| go_on(spec, state, seen, now))
}

/// Takes what was published back, for a Certificate that orders no more; nothing when all is clean.
pub(in super::super) fn release(
    certificate: &Object<Certificate>,
    state: &mut AcmeStatus,
    seen: &Seen,
    now: Timestamp,
) -> Option<Step> {
    let spec = certificate.spec.source.acme.clone().unwrap_or_default();
    if !state.challenges.is_empty() {
        // What is being written is not cut off: it would stay there.
        match &seen.errand {
            Errands::Running => {
                return Some(Step::wait(Some(BELL_PERIOD), Course::Under(doing(state).to_owned())));
            }
            Errands::Absent => {}
            _ => {
                if let Some(step) =
                    take_up(certificate, &spec, state, seen, None, now).filter(|step| step.action.is_some())
                    && !matches!(step.action, Some(Action::Keep(_)))
                {
                    return Some(step);
                }
            }
        }
    }
    state.order = None;
    clean_up(state, seen, now)
}

/// What is done, in words.
fn doing(state: &AcmeStatus) -> &'static str {
    match &state.order {
        None if state.challenges.is_empty() => "the order is being made",
        None => "what was published is being taken back",
        Some(order) => match &*order.state {
            "Pending" => "the names are being proved",
            "Ready" => "the signing request is being handed in",
            "Processing" => "the authority is issuing",
            "Valid" => "the certificate is being fetched",
            _ => "the order is being looked at",
        },
    }
}

/// A new spec is tried at once, and what was begun for another one is given up.
fn heed_spec(certificate: &Object<Certificate>, spec: &Acme, state: &mut AcmeStatus) {
    if state.generation == certificate.metadata.generation {
        return;
    }
    state.generation = certificate.metadata.generation;
    (state.not_before, state.failures, state.failure) = (None, 0, None);
    let names = wanted(certificate);
    let is_for_other = state.order.as_ref().is_some_and(|order| order.names != names)
        || state.account.as_ref().is_some_and(|account| account.directory != spec.directory)
        || state.challenges.iter().any(|one| one.dns01 != spec.dns01);
    if is_for_other {
        state.order = None;
    }
    if state.order.is_none() {
        // An order that is just being made may be for other names.
        state.step += 1;
    }
}

/// Forgets an order; what its errand tells is not heard any more.
fn drop_order(state: &mut AcmeStatus) {
    if state.order.take().is_some() {
        state.step += 1;
    }
}

fn give_up_old_order(state: &mut AcmeStatus, now: Timestamp) -> Option<Step> {
    let order = state.order.as_ref()?;
    let age = order.began_at.parse::<Timestamp>().map(|began| now.duration_since(began));
    // One from the future was made while the clock stood wrong.
    if age.is_ok_and(|age| age.unsigned_abs() < ORDER_TIME_MAX) {
        return None;
    }
    let hours = ORDER_TIME_MAX.as_secs() / 3600;
    let last = if order.state.is_empty() { "unknown" } else { &order.state };
    let message = format!("the order was not done after {hours} hours, and is given up (its last state: {last})");
    state.order = None;
    Some(fail(state, reason::ORDER_FAILED, &message, None, now))
}

/// Notes a failure, and puts the next try off.
fn fail(state: &mut AcmeStatus, reason: &str, message: &str, retry_after: Option<Duration>, now: Timestamp) -> Step {
    let at = usize::try_from(state.failures).unwrap_or_default().min(SOON.len() - 1);
    state.failures += 1;
    state.step += 1;
    let pause = match reason {
        RATE_LIMITED => LIMITED_PAUSE_MIN,
        AUTHORITY_UNREACHABLE | reason::HOOK_FAILED | reason::PORT_IN_USE | CLEANUP_FAILED | ACCOUNT_GONE => SOON[at],
        // Also that of a time-out.
        crate::runtime::outcome::TIMED_OUT => SOON[at],
        _ => LATER[at],
    };
    let pause = pause.max(retry_after.unwrap_or_default()).min(PUT_OFF_MAX);
    // Moments of a status are whole seconds: rather a little later.
    let until = now.checked_add(pause + Duration::from_secs(1)).unwrap_or(now);
    state.not_before = Some(seconds(until));
    state.failure = Some(AcmeFailure { reason: reason.to_owned(), message: bounded(message), at: seconds(now) });
    if let Some(order) = &mut state.order {
        // Whatever was known of it may be wrong.
        order.state = String::new();
    }
    let told = reason_word(reason);
    Step {
        action: Some(Action::Tell(told, crate::runtime::outcome::sentence(message))),
        again: Some(pause),
        course: Course::Failed(Some(pause)),
    }
}

/// Returns the word for conditions and events.
pub(in super::super) fn reason_word(reason: &str) -> &'static str {
    match reason {
        RATE_LIMITED => reason::RATE_LIMITED,
        AUTHORITY_UNREACHABLE | crate::runtime::outcome::TIMED_OUT => reason::AUTHORITY_UNREACHABLE,
        ports::acme::AUTHORITY_REFUSES => reason::AUTHORITY_REFUSES,
        reason::CHALLENGE_FAILED => reason::CHALLENGE_FAILED,
        reason::HOOK_FAILED | CLEANUP_FAILED => reason::HOOK_FAILED,
        reason::PORT_IN_USE => reason::PORT_IN_USE,
        reason::INVALID_SPEC => reason::INVALID_SPEC,
        _ => reason::ORDER_FAILED,
    }
}

/// Takes up what an errand told. Returns what follows at once, if that is more than to go on.
fn take_up(
    certificate: &Object<Certificate>,
    spec: &Acme,
    state: &mut AcmeStatus,
    seen: &Seen,
    kept: Option<&Pair>,
    now: Timestamp,
) -> Option<Step> {
    let told = match &seen.errand {
        Errands::Absent | Errands::Running => return None,
        Errands::Failed(reason, message, retry_after) => {
            return take_up_failure(state, reason, message, *retry_after, now);
        }
        Errands::Told(told) => &**told,
    };
    match told {
        Told::Account(url, key) => {
            let account = AcmeAccount { url: url.clone(), directory: spec.directory.clone(), key: key.clone() };
            state.account = Some(account);
        }
        Told::Order(url) => {
            let order = AcmeOrder {
                url: url.clone(),
                names: wanted(certificate),
                began_at: seconds(now),
                ..AcmeOrder::default()
            };
            state.order = Some(order);
            state.recent_orders = lately(&state.recent_orders, now);
            state.recent_orders.push(seconds(now));
        }
        Told::Seen(order) => return take_up_order(spec, state, order, now),
        Told::Published => state.challenges.iter_mut().for_each(|one| one.published = true),
        Told::Answered | Told::Finalized => {
            if let Some(order) = &mut state.order {
                (order.state, order.looks) = (String::new(), 0);
            }
        }
        Told::Chain(_) => return take_up_pair(certificate, spec, state, seen, kept, now),
        Told::CleanedUp => {
            state.challenges.retain(|one| one.dns01.is_none());
            if state.failure.as_ref().is_some_and(|failure| failure.reason == CLEANUP_FAILED) {
                (state.failure, state.failures, state.not_before) = (None, 0, None);
            }
        }
        Told::Renewal(window) => state.renewal_info = kept.map(|pair| renewal_info(pair, window.as_ref(), now)),
    }
    state.step += 1;
    None
}

fn take_up_failure(
    state: &mut AcmeStatus,
    reason: &str,
    message: &str,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Option<Step> {
    match reason {
        BAD_NONCE => {
            state.step += 1;
            None
        }
        // It has lived its life, or the authority has forgotten all: a new one is counted, and so bounded.
        ORDER_GONE => {
            drop_order(state);
            None
        }
        ACCOUNT_GONE => {
            state.account = None;
            state.order = None;
            Some(fail(state, reason, message, None, now))
        }
        CLEANUP_FAILED => {
            let step = fail(state, reason, message, None, now);
            if state.failures < CLEANUP_ATTEMPTS {
                return Some(step);
            }
            let records: Vec<String> =
                state.challenges.iter().map(|one| format!("{} {:?}", one.asked, one.answer)).collect();
            state.challenges.clear();
            (state.failures, state.failure, state.not_before) = (0, None, None);
            let message =
                format!("{message}; it is given up: remove these TXT records by hand: {}", records.join(", "));
            Some(Step {
                action: Some(Action::Tell(reason::HOOK_FAILED, crate::runtime::outcome::sentence(&message))),
                ..step
            })
        }
        // Renewal information is a hint: whatever keeps it from being asked for fails nothing.
        _ if asks_renewal(state) => {
            state.step += 1;
            let next_check = seconds(now.checked_add(ASK_RENEWAL.1).unwrap_or(now));
            let fingerprint = state.issued.as_ref().map(|issued| issued.fingerprint.clone()).unwrap_or_default();
            let before = state.renewal_info.take().unwrap_or_default();
            state.renewal_info = Some(AcmeRenewalInfo { fingerprint, next_check, ..before });
            None
        }
        _ => Some(fail(state, reason, message, retry_after, now)),
    }
}

/// Returns whether the errand of the present step asks when to renew.
fn asks_renewal(state: &AcmeStatus) -> bool {
    state.order.is_none() && state.renewal_info.as_ref().is_some_and(|info| info.next_check == ASKING)
}

/// Stands in `nextCheck` while it is asked.
const ASKING: &str = "1970-01-01T00:00:00Z";

/// Takes up how far an order is.
fn take_up_order(spec: &Acme, state: &mut AcmeStatus, order: &Order, now: Timestamp) -> Option<Step> {
    if order.state == OrderState::Invalid {
        let (reason, message) = invalid(order, spec);
        state.order = None;
        return Some(fail(state, reason, &message, None, now));
    }
    let kind = if spec.http01.is_some() { ChallengeKind::Http01 } else { ChallengeKind::Dns01 };
    if order.state == OrderState::Pending {
        for name in order.names.iter().filter(|name| name.proof == Proof::Pending) {
            let Some(challenge) = name.challenges.iter().find(|one| one.kind == kind) else {
                let message =
                    format!("{} offers no such challenge for {}", words::authority(&spec.directory), name.name);
                state.order = None;
                return Some(fail(state, reason::ORDER_FAILED, &message, None, now));
            };
            let answered = challenge.proof != Proof::Pending;
            if let Some(known) = state.challenges.iter_mut().find(|one| one.url == challenge.url) {
                known.answered = answered;
                continue;
            }
            state.challenges.push(AcmeChallenge {
                dns_name: name.name.clone(),
                url: challenge.url.clone(),
                asked: challenge.asked.clone(),
                answer: challenge.answer.clone(),
                published: false,
                answered,
                dns01: spec.dns01.clone(),
            });
        }
        // What the authority believes already needs no answer.
        let is_open = |url: &str| {
            let mut all =
                order.names.iter().filter(|name| name.proof == Proof::Pending).flat_map(|name| &name.challenges);
            all.any(|one| one.url == url)
        };
        for one in &mut state.challenges {
            one.answered |= !is_open(&one.url);
        }
    }
    if let Some(known) = &mut state.order {
        let word = order.state.word();
        known.looks = if known.state == word || known.state.is_empty() { known.looks + 1 } else { 0 };
        known.state = word.to_owned();
        known.wait_seconds =
            order.retry_after_seconds.and_then(|wait| i64::try_from(wait).ok()).filter(|wait| *wait > 0);
    }
    state.step += 1;
    None
}

fn take_up_pair(
    certificate: &Object<Certificate>,
    spec: &Acme,
    state: &mut AcmeStatus,
    seen: &Seen,
    kept: Option<&Pair>,
    now: Timestamp,
) -> Option<Step> {
    let origin = Origin { certificate: "what the authority issued".to_owned(), key: "its key".to_owned() };
    let judged =
        seen.fetched.clone()?.and_then(|pair| pair.judge(&certificate.spec.dns_names, now, &origin).map(|()| pair));
    let pair = match judged {
        Ok(pair) => pair,
        Err(flaw) => {
            state.order = None;
            let message = format!(
                "{} issued what cannot be used: {}; does this machine's clock stand right",
                words::authority(&spec.directory),
                flaw.message
            );
            return Some(fail(state, reason::ORDER_FAILED, &message, None, now));
        }
    };
    if kept != Some(&pair) {
        // The order stays until the pair is really in use: after a kill it is fetched again.
        return Some(Step::act(Action::Keep(pair), "the certificate is being put in use"));
    }
    let fingerprint = pair.leaf().fingerprint.clone();
    state.issued = Some(AcmeIssued { fingerprint, directory: spec.directory.clone() });
    (state.order, state.failures, state.failure, state.not_before, state.renewal_info) = (None, 0, None, None, None);
    state.step += 1;
    None
}

/// Takes back what was published; nothing when there is nothing, or when it is not time yet.
fn clean_up(state: &mut AcmeStatus, seen: &Seen, now: Timestamp) -> Option<Step> {
    if !seen.answering.is_empty() {
        return Some(Step::act(Action::Answer(0, Answers::new()), "what was answered is being taken back"));
    }
    // Those over HTTP are gone with the answers, and those of the DNS that were never written with their name.
    state.challenges.retain(|one| one.dns01.is_some());
    if state.challenges.is_empty() {
        return None;
    }
    let has_failed = state.failure.as_ref().is_some_and(|failure| failure.reason == CLEANUP_FAILED);
    if has_failed && let Some(wait) = left_until(state.not_before.as_deref(), now, PUT_OFF_MAX) {
        return Some(Step::wait(Some(wait), Course::Failed(Some(wait))));
    }
    let errand = Errand::CleanUp(state.challenges.clone());
    Some(start(state, errand, "what was published is being taken back"))
}

/// Why a certificate is ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Nothing,
    /// There is none, or it is another one's.
    New,
    /// It is time.
    Renewal,
}

fn need(
    certificate: &Object<Certificate>,
    spec: &Acme,
    state: &AcmeStatus,
    kept: Option<&Pair>,
    now: Timestamp,
) -> Need {
    let Some(pair) = kept else { return Need::New };
    let leaf = pair.leaf();
    let is_from_here = state
        .issued
        .as_ref()
        .is_some_and(|issued| issued.fingerprint == leaf.fingerprint && issued.directory == spec.directory);
    let mut covered = leaf.dns_names.clone();
    covered.sort_unstable();
    if !is_from_here || covered != wanted(certificate) {
        return Need::New;
    }
    match renewal_time(&certificate.spec, leaf, state.renewal_info.as_ref()) {
        Some(at) if now < at => Need::Nothing,
        _ => Need::Renewal,
    }
}

/// All is as it should be: what is left of the order goes, and now and then the authority is asked when to renew.
fn settled(state: &mut AcmeStatus, seen: &Seen, kept: Option<&Pair>, now: Timestamp) -> Step {
    if state.order.is_some() {
        drop_order(state);
        return Step { action: None, again: Some(Duration::ZERO), course: Course::Settled };
    }
    if matches!(seen.next_key, Key::Found(_)) {
        // Its end wakes.
        return Step { action: Some(Action::DropNextKey), again: Some(BELL_PERIOD), course: Course::Settled };
    }
    (state.failure, state.failures, state.not_before) = (None, 0, None);
    let Some(pair) = kept else { return Step::wait(None, Course::Settled) };
    let fingerprint = &pair.leaf().fingerprint;
    let known = state.renewal_info.as_ref().filter(|info| info.fingerprint == *fingerprint);
    let wait = known.and_then(|info| left_until(Some(&info.next_check), now, PUT_OFF_MAX));
    if let Some(wait) = wait {
        return Step::wait(Some(wait), Course::Settled);
    }
    if !matches!(seen.account_key, Key::Found(_)) || state.account.is_none() {
        return Step::wait(None, Course::Settled);
    }
    let before = known.cloned().unwrap_or_default();
    state.renewal_info =
        Some(AcmeRenewalInfo { fingerprint: fingerprint.clone(), next_check: ASKING.to_owned(), ..before });
    Step { course: Course::Settled, ..start(state, Errand::AskRenewal, "") }
}

fn renewal_info(pair: &Pair, window: Option<&Window>, now: Timestamp) -> AcmeRenewalInfo {
    let wait = window.map_or(ASK_RENEWAL.1, |window| Duration::from_secs(window.ask_again_seconds));
    let wait = wait.clamp(ASK_RENEWAL.0, ASK_RENEWAL.1);
    AcmeRenewalInfo {
        fingerprint: pair.leaf().fingerprint.clone(),
        start: window.map(|window| seconds(window.start)),
        end: window.map(|window| seconds(window.end)),
        explanation_url: window.and_then(|window| window.explanation_url.clone()).filter(|url| url.len() <= 2048),
        next_check: seconds(now.checked_add(wait).unwrap_or(now)),
    }
}

/// Account, key and order, in this order.
fn prepare(
    certificate: &Object<Certificate>,
    spec: &Acme,
    state: &mut AcmeStatus,
    seen: &Seen,
    need: Need,
    now: Timestamp,
) -> Option<Step> {
    let Key::Found(fingerprint) = &seen.account_key else {
        let was = state.account.take();
        state.order = None;
        let before = if was.is_some() { Before::Lost } else { Before::Nothing };
        return Some(Step::act(Action::MakeAccountKey(before), "a key for the account is being made"));
    };
    let is_ours = |account: &AcmeAccount| account.key == *fingerprint && account.directory == spec.directory;
    if !state.account.as_ref().is_some_and(is_ours) {
        // An order belongs to its account.
        (state.account, state.order) = (None, None);
        return Some(start(state, Errand::Register, "the account is being registered"));
    }
    if state.order.is_some() {
        return None;
    }
    if seen.next_key == Key::Absent {
        return Some(Step::act(Action::MakeNextKey, "a key is being made"));
    }
    state.recent_orders = lately(&state.recent_orders, now);
    let is_too_many = state.recent_orders.len() >= ORDERS_MAX || seen.all_orders >= ALL_ORDERS_MAX;
    if is_too_many {
        let first = state.recent_orders.first().and_then(|at| at.parse::<Timestamp>().ok());
        let wait = first.map_or(COUNTED / 6, |at| COUNTED.saturating_sub(now.duration_since(at).unsigned_abs()));
        let message = format!(
            "to spare {}, at most {ORDERS_MAX} orders an hour are made for one Certificate, and {ALL_ORDERS_MAX} for all",
            words::authority(&spec.directory)
        );
        return Some(fail(state, RATE_LIMITED, &message, Some(wait), now));
    }
    let renews = if need == Need::Renewal { Renews::Yes } else { Renews::No };
    Some(start(state, Errand::Order(wanted(certificate), renews), "the order is being made"))
}

/// The order is there: what it needs next.
fn go_on(spec: &Acme, state: &mut AcmeStatus, seen: &Seen, now: Timestamp) -> Step {
    let Some(order) = state.order.clone() else {
        return Step::wait(Some(Duration::ZERO), Course::Under("the order is being made".to_owned()));
    };
    let url = order.url.clone();
    let words = doing(state);
    if let Some(answer) = answer_again(spec, state, seen, &order, words) {
        return answer;
    }
    match &*order.state {
        "Ready" if seen.next_key == Key::Absent => Step::act(Action::MakeNextKey, "a key is being made"),
        "Ready" => start(state, Errand::Finalize(url, order.names.clone()), words),
        "Valid" if seen.next_key == Key::Absent => {
            state.order = None;
            fail(
                state,
                reason::ORDER_FAILED,
                "the key of the new certificate is gone: somebody deleted its Secret",
                None,
                now,
            )
        }
        "Valid" => start(state, Errand::Fetch(url), words),
        "Pending" if state.challenges.iter().any(|one| !one.answered) => prove(state, &url, words),
        _ => look(state, &order, seen, now, words),
    }
}

/// Answers over HTTP, also after a kill while the authority is still looking.
fn answer_again(spec: &Acme, state: &mut AcmeStatus, seen: &Seen, order: &AcmeOrder, words: &str) -> Option<Step> {
    let http = spec.http01.as_ref()?;
    if !matches!(&*order.state, "" | "Pending") {
        return None;
    }
    let answers: Answers = state.challenges.iter().map(|one| (one.asked.clone(), one.answer.clone())).collect();
    if !answers.keys().all(|asked| seen.answering.contains(asked)) {
        return Some(Step::act(Action::Answer(http.port, answers), words));
    }
    state.challenges.iter_mut().for_each(|one| one.published = true);
    None
}

/// Publishes what is asked for, and says so.
fn prove(state: &mut AcmeStatus, url: &str, words: &str) -> Step {
    let unpublished: Vec<AcmeChallenge> = state.challenges.iter().filter(|one| !one.published).cloned().collect();
    if !unpublished.is_empty() {
        return start(state, Errand::Publish(unpublished), "the records are being written");
    }
    let open = state.challenges.iter().filter(|one| !one.answered).map(|one| one.url.clone()).collect();
    start(state, Errand::Answer(url.to_owned(), open), words)
}

fn look(state: &mut AcmeStatus, order: &AcmeOrder, seen: &Seen, now: Timestamp, words: &str) -> Step {
    let at = usize::try_from(order.looks).unwrap_or_default().min(LOOKS.len() - 1);
    let asked = order.wait_seconds.and_then(|wait| u64::try_from(wait).ok()).map(Duration::from_secs);
    let pause = asked.unwrap_or(LOOKS[at]).min(LOOK_WAIT_MAX);
    let since = seen.looked_at.map(|at| now.duration_since(at)).filter(|since| !since.is_negative());
    let wait = since.map_or(Duration::ZERO, |since| pause.saturating_sub(since.unsigned_abs()));
    if !wait.is_zero() {
        return Step::wait(Some(wait), Course::Under(words.to_owned()));
    }
    start(state, Errand::Look(order.url.clone()), words)
}
