//! What is said about certificates.

use std::time::Duration;

use api_types::kinds::certificate::CertificateSource;
use api_types::reason;
use jiff::Timestamp;
use ports::certificate::FlawKind;
use ports::probe::CertificateFacts;

const SECONDS_PER_DAY: i64 = 86_400;

/// Returns the word for what is wrong with a pair.
pub(super) fn reason_of(kind: FlawKind) -> &'static str {
    match kind {
        FlawKind::Unreadable => reason::UNREADABLE,
        FlawKind::KeyMismatch => reason::KEY_MISMATCH,
        FlawKind::ChainBroken => reason::CHAIN_BROKEN,
        FlawKind::NamesNotCovered => reason::NAMES_NOT_COVERED,
        FlawKind::Expired => reason::EXPIRED,
        FlawKind::NotYetValid => reason::NOT_YET_VALID,
    }
}

/// Returns a moment for people.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Returns which certificate it is: "serial 1a2b, which ends at …".
pub(super) fn which(leaf: &CertificateFacts) -> String {
    match leaf.not_after {
        Some(ends) => format!("serial {}, which ends at {}", leaf.serial, moment(ends)),
        None => format!("serial {}", leaf.serial),
    }
}

/// Returns how long it is until a moment, in whole days: what is said changes once a day.
pub(super) fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now).as_secs();
    match left / SECONDS_PER_DAY {
        _ if left < 0 => "it has ended".to_owned(),
        0 => "less than a day is left".to_owned(),
        1 => "a day is left".to_owned(),
        days => format!("{days} days are left"),
    }
}

/// Returns what a person does when the certificate of a source ends soon.
pub(super) fn renew(source: &CertificateSource) -> String {
    if let Some(files) = &source.files {
        return format!("Renew it and write the new pair to {} and {}; it is taken by itself.", files.cert, files.key);
    }
    if let Some(reference) = &source.secret_ref {
        return format!("Renew it and put the new pair into the Secret {}; it is taken by itself.", reference.name);
    }
    "It is renewed by itself.".to_owned()
}

/// Returns the shorter of two waits.
pub(super) fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
