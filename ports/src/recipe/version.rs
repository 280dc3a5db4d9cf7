//! Versions of recipes: `<recipe's own>+<upstream's>`, such as `2.0.1+1.0.6-social-amd64`.

use std::cmp::Ordering;
use std::fmt;

/// A version of a recipe.
///
/// The part before the `+` is the maintainer's and has three numbers; the part after it is whatever upstream calls
/// its release. Versions are ordered by the first part, then by the second, in which runs of digits count as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecipeVersion {
    /// Major, minor and patch number of the recipe.
    pub recipe: (u64, u64, u64),
    /// Upstream's version; empty when the tag has none.
    pub upstream: String,
}

/// How large the step from one version to another is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// None: they are the same.
    Same,
    /// Backwards.
    Down,
    /// Upstream's version alone.
    Upstream,
    /// From 1.2.3 to 1.2.4.
    Patch,
    /// From 1.2.3 to 1.3.0.
    Minor,
    /// From 1.2.3 to 2.0.0.
    Major,
}

impl RecipeVersion {
    /// Reads a version; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (recipe, upstream) = text.split_once('+').unwrap_or((text, ""));
        let is_upstream =
            upstream.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+~".contains(&byte)) && text.len() <= 128;
        if (text.contains('+') && upstream.is_empty()) || !is_upstream {
            return None;
        }
        let mut numbers = recipe.split('.').map(number);
        let recipe = (numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then(|| Self { recipe, upstream: upstream.to_owned() })
    }

    /// Returns how large the step to another version is.
    #[must_use]
    pub fn step_to(&self, other: &Self) -> Step {
        match self.cmp(other) {
            Ordering::Equal => Step::Same,
            Ordering::Greater => Step::Down,
            Ordering::Less if self.recipe.0 != other.recipe.0 => Step::Major,
            Ordering::Less if self.recipe.1 != other.recipe.1 => Step::Minor,
            Ordering::Less if self.recipe.2 != other.recipe.2 => Step::Patch,
            Ordering::Less => Step::Upstream,
        }
    }
}

/// A number without leading zeros.
fn number(text: &str) -> Option<u64> {
    let fits = text == "0" || (!text.is_empty() && !text.starts_with('0'));
    (fits && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

impl fmt::Display for RecipeVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.recipe;
        write!(formatter, "{major}.{minor}.{patch}")?;
        if self.upstream.is_empty() { Ok(()) } else { write!(formatter, "+{}", self.upstream) }
    }
}

impl Ord for RecipeVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.recipe
            .cmp(&other.recipe)
            .then_with(|| natural(&self.upstream, &other.upstream))
            .then_with(|| self.upstream.cmp(&other.upstream))
    }
}

impl PartialOrd for RecipeVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares texts in which runs of digits count as numbers: `1.9` comes before `1.10`, `v2` after `v1.5`.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (first, rest) = chunk(one);
        let (second, others_rest) = chunk(other);
        let order = match (first.is_empty(), second.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => compare(first, second),
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, others_rest);
    }
}

fn compare(first: &str, second: &str) -> Ordering {
    let is_number = |text: &str| text.as_bytes()[0].is_ascii_digit();
    if is_number(first) && is_number(second) {
        let (first, second) = (first.trim_start_matches('0'), second.trim_start_matches('0'));
        first.len().cmp(&second.len()).then_with(|| first.cmp(second))
    } else {
        first.cmp(second)
    }
}

/// Splits off the first run of digits, or of anything else.
fn chunk(text: &str) -> (&str, &str) {
    let Some(first) = text.as_bytes().first() else { return ("", "") };
    let is_digit = first.is_ascii_digit();
    let end = text.bytes().position(|byte| byte.is_ascii_digit() != is_digit).unwrap_or(text.len());
    text.split_at(end)
}
