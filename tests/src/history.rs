//! A history of writes that anybody can check: what a widget holds follows from its name and its step.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How large widgets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sizes {
    /// One row each.
    Small,
    /// Mostly one row, some a few, few of them many.
    Mixed,
    /// A few rows, one in ten many.
    Large,
}

/// What a writer does in one step of one widget's life: 0 creates, then it updates, and each tenth step deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Creates the widget.
    Create,
    /// Changes it.
    Update,
    /// Deletes it.
    Delete,
}

/// Steps from a creation to the deletion that ends the life, inclusive.
const LIFE_STEPS: u64 = 10;

/// Returns what is done in `step`, counted from 0 over all lives of the widget.
#[must_use]
pub fn operation(step: u64) -> Operation {
    match step % LIFE_STEPS {
        0 => Operation::Create,
        last if last == LIFE_STEPS - 1 => Operation::Delete,
        _ => Operation::Update,
    }
}

/// Returns the spec that the widget `name` has after `step`, never the same twice.
#[must_use]
pub fn spec(name: &str, step: u64, sizes: Sizes) -> Value {
    let seed = name.bytes().fold(step.wrapping_mul(0x9E37_79B9_7F4A_7C15), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
    });
    let length = match (sizes, seed % 100) {
        (Sizes::Mixed, 0) | (Sizes::Large, 0..10) => 200_000,
        (Sizes::Mixed, 1..10) | (Sizes::Large, _) => 9_000,
        (Sizes::Small, one_of) => 100 + 30 * usize::try_from(one_of).expect("below a hundred"),
        (Sizes::Mixed, _) => 300,
    };
    let mut text = String::with_capacity(length + 16);
    let mut state = seed;
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Writing to a String cannot fail.
        let _ = write!(text, "{state:016x}");
    }
    json!({"step": step, "text": text})
}
