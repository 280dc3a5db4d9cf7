//! The order of recipe versions: `<recipe version>+<upstream version>`, of which the first part decides. Pure.

use std::cmp::Ordering;

/// Compares two versions; `None` when one of them is no version.
#[must_use]
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    Some(numbers(left)?.cmp(&numbers(right)?))
}

fn numbers(version: &str) -> Option<[u64; 3]> {
    let own = version.split_once('+').map_or(version, |(own, _)| own);
    let mut parts = own.split('.').map(|part| part.parse::<u64>().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}
