//! Randomness that can be replayed: a seed from the environment or from the clock, and a small generator.

use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the seed in the environment variable `name`, or a new one. Print it: it replays the test.
///
/// # Panics
/// When the variable is not a number.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a new seed is what the clock is for here")]
pub fn from_environment(name: &str) -> u64 {
    match number_from_environment(name) {
        Some(seed) => seed,
        None => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
            u64::try_from(now.as_nanos() % 1_000_000_007).expect("below a thousand million")
        }
    }
}

/// Returns the number in the environment variable `name`, such as how long a test shall take.
///
/// # Panics
/// When the variable is not a number.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "tests read their settings here and nowhere else")]
pub fn number_from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("the variable is a number"))
}

/// SplitMix64: good enough to choose moments, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Returns a generator that starts at `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_number() % bound
    }
}
