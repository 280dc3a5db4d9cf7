//! What follows from what was seen of a Certificate. Pure.
//!
//! ```text
//!   Valid (what the source holds) ─► Distributed ─► Served        Ready sums them up; Expiring stands beside them
//! ```

use std::time::Duration;

use api_types::condition::{self, Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::acme::{Acme, AcmeRenewalInfo};
use api_types::kinds::certificate::{Certificate, CertificateSpec, CertificateStatus, SelfSigned, ServedCertificate};
use api_types::reason;
use jiff::{SignedDuration, Timestamp};
use ports::certificate::{Pair, covers};
use ports::probe::CertificateFacts;

use super::acme;
use super::acme::decide::{Course, Step};
use super::act::{Action, LIFE};
use super::kept::Kept;
use super::observe::{Observed, Offered, SETTLE, Target};
use super::words::{moment, reason_of, renew, sooner, until, which};
use crate::runtime::events::seconds;
use crate::runtime::outcome::sentence;
use crate::runtime::reconciler::{Decision, Next};

/// How often files are read.
const FILES_POLL: Duration = Duration::from_secs(2);
/// How often what is presented is looked at when all is well.
const SERVED_PERIOD: Duration = Duration::from_mins(5);
/// How often while a new pair is on its way.
const ROTATING_PERIOD: Duration = Duration::from_secs(1);
/// How often when an address presents something else for long.
const WRONG_PERIOD: Duration = Duration::from_secs(15);
/// How long after the Apps have it an address may still present the old one: proxies look at their files now and then.
const SERVED_GRACE: Duration = Duration::from_secs(45);
/// How often the time that is left is looked at.
const CLOCK_PERIOD: Duration = Duration::from_hours(1);
/// Most names and secrets in a status, as the schema has it.
const NAMES_MAX: usize = 100;
const SECRETS_MAX: usize = 64;
/// Longest text of the issuer in the status, in characters.
const ISSUER_MAX: usize = 1024;

type Decided = Decision<CertificateStatus, Action>;

pub(super) fn decide(certificate: &Object<Certificate>, seen: &Observed, now: Timestamp) -> Decided {
    let mut status = certificate.status.clone();
    if certificate.is_being_deleted() || certificate.spec.source.acme.is_none() {
        let released = release(certificate, &mut status, seen, now);
        if let Some(step) = released.filter(|step| certificate.is_being_deleted() || step.action.is_some()) {
            return Decision { status, action: step.action, next: next_after(step.again) };
        }
    }
    if certificate.is_being_deleted() {
        return Decision::wait(status, Next::Finalized);
    }
    let pair = seen.kept.pair();
    let source = judge_source(certificate, &mut status, seen, now);
    describe(&mut status, certificate, pair);
    if let Some(valid) = source.valid {
        condition::set(&mut status.conditions, valid);
    }
    if let Some(change) = source.change {
        return Decision {
            status: finish(certificate, status),
            action: Some(change),
            next: source.look_again.map_or(Next::After(ROTATING_PERIOD), |wait| next_after(Some(wait))),
        };
    }
    let Some(pair) = pair else {
        without_pair(certificate, &mut status);
        return Decision::wait(finish(certificate, status), next_after(source.look_again));
    };
    let (expiring, mut clock) = expiring(certificate, &status, pair.leaf(), now);
    let is_news = expiring.status == ConditionStatus::True
        && condition::find(&certificate.status.conditions, &expiring.type_).map(|found| &found.message)
            != Some(&expiring.message);
    let told = is_news.then(|| Action::Tell(reason::EXPIRES_SOON, expiring.message.clone()));
    condition::set(&mut status.conditions, expiring);
    condition::set(&mut status.conditions, distributed(certificate, seen));
    status.secret_names = secret_names(seen);
    clock = sooner(clock, source.look_again);
    let probe = served(certificate, &mut status, seen, pair.leaf(), now);
    let status = finish(certificate, status);
    if let Some(told) = told {
        return Decision { status, action: Some(told), next: Next::Now };
    }
    match probe {
        Some(Duration::ZERO) => {
            Decision { status, action: Some(Action::Probe), next: Next::After(clock.unwrap_or(CLOCK_PERIOD)) }
        }
        wait => Decision::wait(status, Next::After(sooner(clock, wait).unwrap_or(CLOCK_PERIOD))),
    }
}

/// Returns when to look again.
fn next_after(wait: Option<Duration>) -> Next {
    match wait {
        None => Next::OnChange,
        Some(Duration::ZERO) => Next::Now,
        Some(wait) => Next::After(wait),
    }
}

/// Takes back what was published for an order that nobody wants any more.
fn release(
    certificate: &Object<Certificate>,
    status: &mut CertificateStatus,
    seen: &Observed,
    now: Timestamp,
) -> Option<Step> {
    let (found, mut state) = (seen.order.as_ref()?, status.acme.clone()?);
    let step = acme::decide::release(certificate, &mut state, found, now);
    status.acme = step.is_some().then_some(state);
    if step.is_none() && !certificate.is_being_deleted() && matches!(found.next_key, acme::Key::Found(_)) {
        status.acme.clone_from(&certificate.status.acme);
        let course = Course::Settled;
        return Some(Step { action: Some(Action::DropNextKey), again: Some(ROTATING_PERIOD), course });
    }
    step
}

/// What follows from the source.
struct Source {
    /// What is said of it; `None` leaves what was said before.
    valid: Option<Condition>,
    /// What changes the pair in use.
    change: Option<Action>,
    /// When it must be looked at again.
    look_again: Option<Duration>,
}

impl Source {
    fn says(status: ConditionStatus, reason: &str, message: &str) -> Self {
        let valid = Condition::new(ConditionType::Valid.word(), status, reason, sentence(message));
        Self { valid: Some(valid), change: None, look_again: None }
    }
}

fn judge_source(
    certificate: &Object<Certificate>,
    status: &mut CertificateStatus,
    seen: &Observed,
    now: Timestamp,
) -> Source {
    let poll = certificate.spec.source.files.is_some().then_some(FILES_POLL);
    if let Kept::Foreign(name) = &seen.kept {
        let message = format!(
            "the pair is kept in the Secret {name}, and there is one of that name that is somebody else's: delete it, or \
             give this Certificate another name"
        );
        return Source { look_again: poll, ..Source::says(ConditionStatus::False, reason::SECRET_NOT_OURS, &message) };
    }
    let mut source = match &seen.offered {
        Offered::Made => match (&certificate.spec.source.acme, &seen.order) {
            (Some(spec), Some(order)) => ordered(certificate, spec, order, status, seen, now),
            _ => made(certificate, seen.kept.pair(), now),
        },
        Offered::Unsettled => Source { valid: None, change: None, look_again: Some(SETTLE) },
        Offered::Refused { reason, message } => refused(seen, reason, message),
        Offered::Pair(pair) => match pair.judge(&certificate.spec.dns_names, now, &seen.origin) {
            Err(flaw) => refused(seen, reason_of(flaw.kind), &flaw.message),
            Ok(()) => {
                let is_new = seen.kept.pair() != Some(pair);
                Source { change: is_new.then(|| Action::Keep(pair.clone())), ..good(pair, &seen.origin.certificate) }
            }
        },
    };
    source.look_again = sooner(source.look_again, poll);
    source
}

fn good(pair: &Pair, place: &str) -> Source {
    let leaf = pair.leaf();
    let alone = match pair.is_alone() {
        true => format!(
            " It comes without the certificate of {}, which signed it: clients that do not know that one refuse it.",
            leaf.issuer
        ),
        false => String::new(),
    };
    Source::says(ConditionStatus::True, reason::VALID, &format!("{place} is good: {}.{alone}", which(leaf)))
}

/// What the source holds is not used; what is in use stays.
fn refused(seen: &Observed, reason: &str, message: &str) -> Source {
    let stays = match seen.kept.pair() {
        // It is the very pair that is in use, which went bad by itself.
        Some(kept) if matches!(&seen.offered, Offered::Pair(offered) if offered == kept) => {
            " Until then it stays in use.".to_owned()
        }
        Some(kept) => format!(" The pair of {}, stays in use.", which(kept.leaf())),
        None => String::new(),
    };
    Source::says(ConditionStatus::False, reason, &format!("{}{stays}", sentence(message)))
}

/// A pair that is made here: is it time to make one?
fn made(certificate: &Object<Certificate>, kept: Option<&Pair>, now: Timestamp) -> Source {
    let Some(SelfSigned { dns_names, duration }) = &certificate.spec.source.self_signed else {
        let message = "spec.source has none of files, secretRef, selfSigned and acme: set one";
        return Source::says(ConditionStatus::False, reason::INVALID_SPEC, message);
    };
    let missing: Vec<&str> =
        certificate.spec.dns_names.iter().map(String::as_str).filter(|name| !covers(dns_names, name)).collect();
    if !missing.is_empty() {
        let message = format!(
            "spec.source.selfSigned.dnsNames does not cover {}, which spec.dnsNames asks for: add it there (a wildcard \
             covers one label)",
            missing.join(", ")
        );
        return Source::says(ConditionStatus::False, reason::NAMES_NOT_COVERED, &message);
    }
    let life = duration.as_ref().map_or(LIFE, |duration| duration.span());
    let make = Some(Action::Make(dns_names.clone(), life));
    let Some(kept) = kept else {
        let message = "a pair is being made";
        return Source { change: make, ..Source::says(ConditionStatus::Unknown, reason::PROGRESSING, message) };
    };
    let leaf = kept.leaf();
    let has_names =
        dns_names.iter().all(|name| leaf.dns_names.contains(name)) && leaf.dns_names.len() == dns_names.len();
    let is_due = renewal_time(&certificate.spec, leaf, None).is_none_or(|at| at <= now);
    let change = make.filter(|_| !has_names || is_due);
    Source { change, ..good(kept, "the pair that was made here") }
}

/// A pair that is ordered from an authority: what comes next, and what is said of it.
fn ordered(
    certificate: &Object<Certificate>,
    spec: &Acme,
    order: &acme::Seen,
    status: &mut CertificateStatus,
    seen: &Observed,
    now: Timestamp,
) -> Source {
    let kept = seen.kept.pair();
    let mut state = acme::state_of(certificate);
    let Step { action, again, course } = acme::decide::next(certificate, spec, &mut state, order, kept, now);
    let is_good = |pair: &&Pair| pair.judge(&certificate.spec.dns_names, now, &seen.origin).is_ok();
    let told = acme::words::Told::new(certificate, spec, &state, now);
    let source = match (kept.filter(is_good), course) {
        (Some(pair), Course::Settled) => good(pair, &told.origin()),
        (Some(pair), Course::Under(doing)) => with_more(good(pair, &told.origin()), &told.renewing(&doing)),
        (Some(pair), Course::Failed(wait)) => with_more(good(pair, &told.origin()), &told.renewing_failed(wait)),
        (_, Course::Refused(reason, message)) => refused(seen, reason, &message),
        (None, course) => {
            let (word, reason, message) = told.without_pair(&course);
            let stays = kept.map(|pair| format!(" The pair of {}, stays in use.", which(pair.leaf())));
            Source::says(word, reason, &format!("{}{}", sentence(&message), stays.unwrap_or_default()))
        }
    };
    status.acme = Some(state);
    Source { change: action, look_again: again, ..source }
}

fn with_more(mut source: Source, more: &str) -> Source {
    if let Some(valid) = &mut source.valid {
        valid.message.push(' ');
        valid.message.push_str(more);
    }
    source
}

/// Says which pair is in use.
fn describe(status: &mut CertificateStatus, certificate: &Object<Certificate>, pair: Option<&Pair>) {
    let leaf = pair.map(Pair::leaf);
    let text = |at: Option<Timestamp>| at.map(seconds);
    status.serial = leaf.map(|leaf| leaf.serial.clone());
    status.fingerprint = leaf.map(|leaf| leaf.fingerprint.clone());
    status.issuer = leaf.map(|leaf| leaf.issuer.chars().take(ISSUER_MAX).collect());
    status.not_before = text(leaf.and_then(|leaf| leaf.not_before));
    status.not_after = text(leaf.and_then(|leaf| leaf.not_after));
    let info = status.acme.as_ref().and_then(|state| state.renewal_info.as_ref());
    status.renewal_time = text(leaf.and_then(|leaf| renewal_time(&certificate.spec, leaf, info)));
    status.dns_names = leaf.map(|leaf| leaf.dns_names.iter().take(NAMES_MAX).cloned().collect()).unwrap_or_default();
}

fn without_pair(certificate: &Object<Certificate>, status: &mut CertificateStatus) {
    condition::remove(&mut status.conditions, ConditionType::Expiring.word());
    status.secret_names.clear();
    status.served.clear();
    let text = "There is no good pair yet.";
    set(status, ConditionType::Distributed, ConditionStatus::Unknown, reason::PROGRESSING, text);
    if certificate.spec.probes.is_empty() {
        condition::remove(&mut status.conditions, ConditionType::Served.word());
    } else {
        set(status, ConditionType::Served, ConditionStatus::Unknown, reason::PROGRESSING, text);
    }
}

/// Returns from when on a certificate counts as expiring: when its authority says so, or `renewBefore` its end, or both,
/// whichever is sooner; else after two thirds of its lifetime. One that we can renew is never made anew before that,
/// whatever `renewBefore` says.
pub(super) fn renewal_time(
    spec: &CertificateSpec,
    leaf: &CertificateFacts,
    info: Option<&AcmeRenewalInfo>,
) -> Option<Timestamp> {
    let (begins, ends) = (leaf.not_before?, leaf.not_after?);
    let lifetime = ends.duration_since(begins);
    let third = lifetime / 3;
    let asked = spec.renew_before.as_ref().and_then(|text| SignedDuration::try_from(text.span()).ok());
    let is_ours = spec.source.self_signed.is_some() || spec.source.acme.is_some();
    let asked = asked.filter(|asked| !is_ours || *asked < lifetime);
    let by_us = ends.checked_sub(asked.unwrap_or(third)).ok();
    let by_authority =
        info.filter(|info| info.fingerprint == leaf.fingerprint).and_then(moment_of).filter(|at| *at < ends);
    match (by_authority, asked) {
        (Some(at), None) => Some(at),
        (Some(at), Some(_)) => by_us.map(|by_us| by_us.min(at)),
        (None, _) => by_us,
    }
}

/// Returns one moment of the window in which an authority wants a certificate to be renewed: always the same for the same
/// certificate, and spread over the window for many.
fn moment_of(info: &AcmeRenewalInfo) -> Option<Timestamp> {
    let start: Timestamp = info.start.as_deref()?.parse().ok()?;
    let end: Timestamp = info.end.as_deref()?.parse().ok()?;
    let width = end.duration_since(start).as_secs().max(0);
    let draw = i64::from(u32::from_str_radix(info.fingerprint.get(..8)?, 16).ok()?);
    // Below 2^32 times a few days: far from overflowing for every window that makes sense.
    let offset = width.checked_mul(draw)? / (i64::from(u32::MAX) + 1);
    start.checked_add(SignedDuration::from_secs(offset)).ok()
}

fn expiring(
    certificate: &Object<Certificate>,
    status: &CertificateStatus,
    leaf: &CertificateFacts,
    now: Timestamp,
) -> (Condition, Option<Duration>) {
    let type_ = ConditionType::Expiring.word();
    let info = status.acme.as_ref().and_then(|state| state.renewal_info.as_ref());
    let (Some(from), Some(ends)) = (renewal_time(&certificate.spec, leaf, info), leaf.not_after) else {
        let message = "It does not say when it ends.";
        return (Condition::new(type_, ConditionStatus::Unknown, reason::UNREADABLE, message), None);
    };
    let wait = |at: Timestamp| Duration::try_from(at.duration_since(now)).ok().map(|wait| wait.min(CLOCK_PERIOD));
    if now < from {
        let message = format!("It ends at {}, and counts as expiring from {} on.", moment(ends), moment(from));
        return (Condition::new(type_, ConditionStatus::False, reason::NOT_DUE, message), wait(from));
    }
    let failure = status.acme.as_ref().and_then(|state| state.failure.as_ref());
    let renewed = match failure {
        Some(failure) => format!("Renewing it fails. {}", sentence(&failure.message)),
        None => renew(&certificate.spec.source),
    };
    let message = format!("It ends at {}: {}. {renewed}", moment(ends), until(ends, now));
    // A moment after its end it is another thing.
    let at_end = wait(ends).map(|wait| wait + Duration::from_secs(1));
    (Condition::new(type_, ConditionStatus::True, reason::EXPIRES_SOON, message), at_end.or(Some(CLOCK_PERIOD)))
}

fn distributed(certificate: &Object<Certificate>, seen: &Observed) -> Condition {
    let type_ = ConditionType::Distributed.word();
    let shares = certificate.spec.distribute.iter().zip(&seen.targets);
    let mut moving = None;
    for (share, target) in shares {
        let app = &share.app_ref;
        let (reason, message) = match target {
            Target::Has(_) => continue,
            Target::Moving(says) => {
                moving.get_or_insert_with(|| format!("The App {app} is being moved to the pair in use. {says}"));
                continue;
            }
            Target::Missing => (
                reason::NOT_FOUND,
                format!("There is no App {app} in this namespace: apply it, or correct spec.distribute."),
            ),
            Target::Taken(other) => (
                reason::SUPERSEDED,
                format!("The Certificate {other}, which came first, gives the App {app} the same secrets: remove one."),
            ),
            Target::NoSuchSecret(secret) => (
                reason::SECRET_MISSING,
                format!(
                    "The recipe of the App {app} has no secret {secret}: correct spec.distribute, or the App's composeFiles \
                     or COMPOSE_FILE."
                ),
            ),
            Target::Failing(says) => {
                (reason::DEPENDENCY_NOT_READY, format!("The App {app} does not get to the pair in use. {says}"))
            }
        };
        return Condition::new(type_, ConditionStatus::False, reason, message);
    }
    if let Some(message) = moving {
        return Condition::new(type_, ConditionStatus::Unknown, reason::ROTATING, message);
    }
    let message = match seen.targets.len() {
        0 => "No App is to get it.".to_owned(),
        1 => "The App runs with the pair in use.".to_owned(),
        count => format!("All {count} Apps run with the pair in use."),
    };
    Condition::new(type_, ConditionStatus::True, reason::DISTRIBUTED, message)
}

fn secret_names(seen: &Observed) -> Vec<String> {
    let mut names: Vec<String> = seen
        .targets
        .iter()
        .flat_map(|target| match target {
            Target::Has(names) => names.clone(),
            _ => Vec::new(),
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(SECRETS_MAX);
    names
}

/// Says who presents it, and returns when to ask again: at once, later, or not before something happens.
fn served(
    certificate: &Object<Certificate>,
    status: &mut CertificateStatus,
    seen: &Observed,
    leaf: &CertificateFacts,
    now: Timestamp,
) -> Option<Duration> {
    let wanted = &certificate.spec.probes;
    if wanted.is_empty() {
        status.served.clear();
        condition::remove(&mut status.conditions, ConditionType::Served.word());
        return None;
    }
    let probed = seen.probed.as_ref();
    let fits = |served: &[ServedCertificate]| {
        let of = |found: &ServedCertificate| (found.address.clone(), found.server_name.clone());
        served.iter().map(of).eq(wanted.iter().map(|probe| (probe.address.clone(), probe.server_name.clone())))
    };
    let Some(probed) = probed.filter(|probed| fits(&probed.served)) else {
        if condition::find(&status.conditions, ConditionType::Served.word()).is_none() || !fits(&status.served) {
            let text = "It has not been asked yet.";
            set(status, ConditionType::Served, ConditionStatus::Unknown, reason::PROGRESSING, text);
        }
        return (!seen.is_probing).then_some(Duration::ZERO);
    };
    status.served.clone_from(&probed.served);
    let is_right = |found: &&ServedCertificate| found.fingerprint.as_deref() == Some(&leaf.fingerprint);
    let wrong = probed.served.iter().find(|found| !is_right(found));
    let is_rotating = is_rotating(certificate, status, now);
    let period = match wrong {
        None => {
            let text = match wanted.len() {
                1 => "The address presents it.".to_owned(),
                count => format!("All {count} addresses present it."),
            };
            set(status, ConditionType::Served, ConditionStatus::True, reason::SERVED, &text);
            SERVED_PERIOD
        }
        Some(found) => {
            let text = what_is_wrong(found, leaf);
            let (word, reason) = match (is_rotating, &found.error) {
                (true, _) => (ConditionStatus::Unknown, reason::ROTATING),
                (false, Some(_)) => (ConditionStatus::False, reason::UNREACHABLE),
                (false, None) => (ConditionStatus::False, reason::OTHER_CERTIFICATE_SERVED),
            };
            set(status, ConditionType::Served, word, reason, &text);
            if is_rotating { ROTATING_PERIOD } else { WRONG_PERIOD }
        }
    };
    if seen.is_probing {
        return None;
    }
    if probed.fingerprint != leaf.fingerprint {
        return Some(Duration::ZERO);
    }
    let age = now.duration_since(probed.at).unsigned_abs();
    Some(period.saturating_sub(age))
}

/// Returns whether a new pair is on its way to the Apps, or has only just arrived there.
fn is_rotating(certificate: &Object<Certificate>, status: &CertificateStatus, now: Timestamp) -> bool {
    let of = |conditions: &[Condition]| condition::find(conditions, ConditionType::Distributed.word()).cloned();
    match of(&status.conditions).unwrap_or_default().status {
        ConditionStatus::False => false,
        ConditionStatus::Unknown => true,
        // The loop fills the time in when it writes the status: what was not so before has just become so.
        ConditionStatus::True => of(&certificate.status.conditions)
            .filter(|before| before.status == ConditionStatus::True)
            .and_then(|before| before.last_transition_time.parse::<Timestamp>().ok())
            .is_none_or(|since| now.duration_since(since).unsigned_abs() < SERVED_GRACE),
    }
}

fn what_is_wrong(found: &ServedCertificate, leaf: &CertificateFacts) -> String {
    let ServedCertificate { address, server_name, .. } = found;
    match (&found.error, &found.serial) {
        (Some(error), _) => format!("{address} presents nothing for {server_name}. {}", sentence(error)),
        (None, serial) => format!(
            "{address} presents serial {} for {server_name}, and not serial {}: it may not have read the new one, or \
             another proxy answers there.",
            serial.as_deref().unwrap_or("unknown"),
            leaf.serial
        ),
    }
}

fn set(status: &mut CertificateStatus, type_: ConditionType, word: ConditionStatus, reason: &str, message: &str) {
    condition::set(&mut status.conditions, Condition::new(type_.word(), word, reason, message));
}

/// Sums the conditions up.
fn finish(certificate: &Object<Certificate>, mut status: CertificateStatus) -> CertificateStatus {
    let order = [ConditionType::Valid, ConditionType::Distributed, ConditionType::Served];
    let count = if certificate.spec.probes.is_empty() { 2 } else { 3 };
    let text = "It is good, where it should be, and presented as far as that is looked at.";
    let summary = condition::summarise(&status.conditions, READY, &order[..count], reason::SUCCEEDED, text);
    condition::set(&mut status.conditions, summary);
    status
}
