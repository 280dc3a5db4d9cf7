//! [`Repairs`]: how soon what somebody changed may be put right again.
//!
//! A change by hand is put right at once, also right after a deploy. Whoever deploys against us again and again gets no
//! storm of restarts: a few repairs in a row, and then a pause. (An engine that has just come back is another matter: it is
//! told nothing at all for a while, see [`settles_for`](super::observe::Swarm::settles_for).)

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

/// How many repairs may be made within [`SPAN`].
const REPAIRS_MAX: usize = 8;
/// See [`REPAIRS_MAX`].
const SPAN: Duration = Duration::from_mins(2);

/// When an App was put right last. Lost when ccd is started again: then a few more are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repairs(VecDeque<Timestamp>);

impl Repairs {
    /// Notes that a repair was made.
    pub(super) fn note(&mut self, now: Timestamp) {
        if self.0.len() == REPAIRS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    /// Returns after which time another may be made; `None` when that is now.
    pub(super) fn held_for(&self, now: Timestamp) -> Option<Duration> {
        let first = self.0.front().filter(|_| self.0.len() == REPAIRS_MAX)?;
        let age = Duration::try_from(now.duration_since(*first)).unwrap_or_default();
        SPAN.checked_sub(age).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_repairs_are_made_at_once_and_then_there_is_a_pause() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let mut repairs = Repairs::default();
        for second in 0..8 {
            assert_eq!(repairs.held_for(at(second)), None);
            repairs.note(at(second));
        }
        assert_eq!(repairs.held_for(at(8)), Some(Duration::from_secs(112)));
        assert_eq!(repairs.held_for(at(120)), None);
        repairs.note(at(120));
        assert_eq!(repairs.held_for(at(120)), Some(Duration::from_secs(1)), "the one after the first counts now");
    }
}
