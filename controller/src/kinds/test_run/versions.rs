//! The order of recipe versions, as texts. Pure.

use std::cmp::Ordering;

use ports::recipe::version::RecipeVersion;

/// Compares two versions; `None` when one of them is no version.
#[must_use]
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(RecipeVersion::parse(left)?.cmp(&RecipeVersion::parse(right)?))
}
