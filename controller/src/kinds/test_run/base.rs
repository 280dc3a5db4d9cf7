//! Which version a run upgrades from, and why. Pure.
//!
//! 1. What the run names (`spec.baseVersion`); with `all`, every published version that is older than the head, one after
//!    the other. If there is none, the next rules apply.
//! 2. The last green version, if it is older than the head.
//! 3. Else the newest published version that is older than the head: an upgrade from a version to itself proves
//!    nothing.
//! 4. Without published versions: the tip of the recipe's branch, if the head is another commit and no version.
//! 5. Else there is nothing to upgrade from, and the rung is skipped.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use api_types::kinds::recipe::RecipeVersion;
use api_types::kinds::test_run::ALL_VERSIONS;
use api_types::reason;

/// Most versions that one run upgrades from.
pub const VERSIONS_MAX: usize = 24;

/// What the choice depends on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// `spec.baseVersion`.
    pub named: Option<&'a str>,
    /// `status.lastGreen` of the Recipe.
    pub last_green: Option<&'a RecipeVersion>,
    /// Published versions, in any order.
    pub published: &'a [RecipeVersion],
    /// Version that the head says it is, if it does.
    pub head_version: Option<&'a str>,
    /// The head's commit.
    pub head_commit: &'a str,
    /// Whether the head itself is a published version.
    pub head_is_published: bool,
    /// Tip of the recipe's branch.
    pub branch_tip: Option<&'a str>,
    /// Compares two versions; `None` when one is no version.
    pub compare: fn(&str, &str) -> Option<Ordering>,
}

/// What the run upgrades from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This state of the recipe.
    Base {
        /// Its version; `None` for the tip of a branch.
        version: Option<String>,
        /// Its commit.
        commit: String,
        /// Why this one, for people.
        why: String,
    },
    /// All of these, oldest first.
    All {
        /// The versions.
        versions: Vec<RecipeVersion>,
        /// Why these, for people.
        why: String,
    },
    /// There is none, and nobody is to blame.
    Nothing {
        /// `NoOlderVersion`.
        reason: &'static str,
        /// Why, for people.
        message: String,
    },
    /// The run names one that cannot be upgraded from.
    Refused {
        /// `BaseNotFound`, `NothingUpgraded`.
        reason: &'static str,
        /// Why, and what to do.
        message: String,
    },
}

/// Chooses the base.
#[must_use]
pub fn choose(facts: &Facts<'_>) -> Choice {
    match facts.named {
        Some(ALL_VERSIONS) => {
            if let Some(all) = every_older(facts) {
                return all;
            }
        }
        Some(named) => return chosen_by_name(facts, named),
        None => {}
    }
    let green = facts.last_green.filter(|green| !green.commit.is_empty());
    let mut passed_over = String::new();
    if let Some(green) = green {
        match why_not(facts, green) {
            None => {
                return base(green, format!("It is the last green version ({}).", green.version));
            }
            Some(why) => passed_over = format!(" The last green version {} {why}.", green.version),
        }
    }
    if let Some(newest) = newest_older(facts) {
        let why = format!("It is the newest published version that is older than the head.{passed_over}");
        return base(newest, why);
    }
    let tip = facts.branch_tip.filter(|tip| *tip != facts.head_commit && !facts.head_is_published);
    match tip {
        Some(tip) if facts.published.is_empty() => Choice::Base {
            version: None,
            commit: tip.to_owned(),
            why: format!("It is the tip of the recipe's branch, because no version has been published.{passed_over}"),
        },
        _ => Choice::Nothing {
            reason: reason::NO_OLDER_VERSION,
            message: format!(
                "No version older than the head has been published: nothing can be upgraded.{passed_over}"
            ),
        },
    }
}

fn chosen_by_name(facts: &Facts<'_>, named: &str) -> Choice {
    let Some(found) = facts.published.iter().find(|published| published.version == named) else {
        let mut known: Vec<&str> = facts.published.iter().map(|published| &*published.version).take(5).collect();
        if known.is_empty() {
            known.push("none");
        }
        let message = format!(
            "The run names {named} to upgrade from (spec.baseVersion), which has not been published with an annotated \
             tag. Published are: {}.",
            known.join(", ")
        );
        return Choice::Refused { reason: reason::BASE_NOT_FOUND, message };
    };
    if found.commit == facts.head_commit || facts.head_version == Some(named) {
        let message = format!(
            "The run names {named} to upgrade from (spec.baseVersion), which is the head itself: an upgrade from a \
             version to itself proves nothing. Name an older version, or leave baseVersion out."
        );
        return Choice::Refused { reason: reason::NOTHING_UPGRADED, message };
    }
    base(found, "The run names it (spec.baseVersion).".to_owned())
}

/// Returns why the last green version cannot be the base; `None` if it can.
fn why_not(facts: &Facts<'_>, green: &RecipeVersion) -> Option<String> {
    if green.commit == facts.head_commit {
        return Some("is the head itself".to_owned());
    }
    let head = facts.head_version?;
    match (facts.compare)(&green.version, head) {
        Some(Ordering::Less) | None => None,
        Some(Ordering::Equal) => Some("has the head's version".to_owned()),
        Some(Ordering::Greater) => Some(format!("is newer than the head ({head})")),
    }
}

/// Returns every version that can be upgraded from; `None` when there is none.
fn every_older(facts: &Facts<'_>) -> Option<Choice> {
    let mut versions: Vec<RecipeVersion> = older(facts).cloned().collect();
    versions.sort_by(|left, right| {
        (facts.compare)(&left.version, &right.version).unwrap_or_else(|| left.version.cmp(&right.version))
    });
    let left_out = versions.len().saturating_sub(VERSIONS_MAX);
    versions.drain(..left_out);
    let (first, last) = (versions.first()?, versions.last()?);
    let why = match versions.len() {
        1 => format!("Of all published versions {} alone is older than the head.", first.version),
        count => format!(
            "The head is upgraded to from each of the {count} published versions from {} to {}, which are older than it.",
            first.version, last.version
        ),
    };
    let bound = format!(" {left_out} older ones are left out: a run upgrades from at most {VERSIONS_MAX}.");
    let why = if left_out == 0 { why } else { why + &bound };
    Some(Choice::All { versions, why })
}

fn newest_older<'a>(facts: &Facts<'a>) -> Option<&'a RecipeVersion> {
    older(facts).max_by(|left, right| (facts.compare)(&left.version, &right.version).unwrap_or(Ordering::Equal))
}

/// Returns the published versions that are older than the head.
fn older<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a RecipeVersion> {
    facts.published.iter().filter(move |published| {
        let is_older = match facts.head_version {
            Some(head) => (facts.compare)(&published.version, head) == Some(Ordering::Less),
            // A head without a version is newer than everything that has one.
            None => true,
        };
        is_older && published.commit != facts.head_commit
    })
}

fn base(version: &RecipeVersion, why: String) -> Choice {
    Choice::Base { version: Some(version.version.clone()), commit: version.commit.clone(), why }
}
