//! When certificates are replaced. Pure: takes the time, touches nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::Identity;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long an authority lives.
pub const AUTHORITY_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// How long a serving certificate lives.
pub const SERVING_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const SERVING_RENEW_DAYS: u32 = 30;
const ANNOUNCE_DAYS: u32 = 365;
/// How long clients have to fetch the successor before it signs.
const OVERLAP_DAYS: u32 = 180;
/// An authority must outlive the serving certificates it signs.
const PROMOTE_DAYS: u32 = 120;

/// What to do about the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorityStep {
    /// Nothing is due.
    Keep,
    /// Make a successor that is trusted and signs nothing yet.
    Announce,
    /// Let the successor sign.
    Promote,
}

/// Returns what to do about the authority at `now`.
#[must_use]
pub fn plan_authority(now: Timestamp, current: &Identity, next: Option<&Identity>) -> AuthorityStep {
    match next {
        // Off for too long: no overlap is left, a new authority must sign today.
        None if ends_within(now, current, PROMOTE_DAYS) => AuthorityStep::Promote,
        None if ends_within(now, current, ANNOUNCE_DAYS) => AuthorityStep::Announce,
        None => AuthorityStep::Keep,
        Some(next) if next.begins + DAY * OVERLAP_DAYS <= now => AuthorityStep::Promote,
        Some(_) if ends_within(now, current, PROMOTE_DAYS) => AuthorityStep::Promote,
        Some(_) => AuthorityStep::Keep,
    }
}

/// Returns whether the serving certificate must be made again: near its end, other names, or another authority.
#[must_use]
pub fn serving_is_due(now: Timestamp, serving: &Identity, authority: &Identity, names: &[String]) -> bool {
    ends_within(now, serving, SERVING_RENEW_DAYS)
        || serving.begins > now
        || serving.names != names
        || serving.issuer != authority.subject
}

fn ends_within(now: Timestamp, identity: &Identity, days: u32) -> bool {
    identity.expires <= now + DAY * days
}
