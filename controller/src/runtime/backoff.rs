//! How long to wait after a failure: doubling, capped, with jitter that is computed and not drawn.
//!
//! The jitter comes from a hash over key and attempt: a thousand objects that fail together do not come back together,
//! and a test or a replayed simulation sees the same delays again.

use std::time::Duration;

/// The limits of a backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after the first failure, before jitter.
    pub first: Duration,
    /// No delay is longer than this.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_mins(5) }
    }
}

impl Backoff {
    /// Returns the delay after `failures` failures in a row (at least 1) of `key`: between three and five quarters of
    /// `first` times 2 to the power of `failures - 1`, never above `longest`.
    #[must_use]
    pub fn delay(&self, key: &str, failures: u32) -> Duration {
        // 2^20 seconds are longer than any cap; more would overflow.
        let doublings = failures.saturating_sub(1).min(20);
        let plain = self.first.saturating_mul(1 << doublings).min(self.longest);
        spread(plain, key, u64::from(failures)).min(self.longest)
    }
}

/// Returns a duration between three and five quarters of `plain`, the same for the same `key` and `round`.
#[must_use]
pub fn spread(plain: Duration, key: &str, round: u64) -> Duration {
    let thousandths = 750 + hash(key, round) % 501;
    plain.mul_f64(thousandths as f64 / 1000.0)
}

/// Returns a well-mixed hash that is the same in every process and every release (FNV-1a with a finishing mix).
#[must_use]
pub fn hash(text: &str, round: u64) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in text.bytes().chain(round.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
