//! Which version an upgrade starts from.

use super::version::RecipeVersion;

/// A published version: a tag of the recipe's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The version.
    pub version: RecipeVersion,
    /// The commit that the tag points at.
    pub commit: String,
    /// Whether the tag is annotated. A deploy with abra refuses any other.
    pub is_annotated: bool,
}

/// What is known when a base is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates<'a> {
    /// The version that the run asks for by name.
    pub wanted: Option<&'a str>,
    /// The version that the head says it is; `None` when it says none.
    pub head_version: Option<RecipeVersion>,
    /// The head's commit.
    pub head_commit: &'a str,
    /// All published versions, in any order.
    pub published: &'a [Published],
    /// The newest version that passed, with its commit.
    pub last_green: Option<(&'a str, &'a str)>,
    /// The tip of the branch that a pull request goes to; `None` outside a pull request.
    pub target_tip: Option<&'a str>,
}

/// The base of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// A version.
    Version {
        /// The version.
        version: String,
        /// Its commit.
        commit: String,
        /// Why it is this one: a sentence.
        reason: String,
    },
    /// A commit without a version.
    Commit {
        /// The commit.
        commit: String,
        /// Why it is this one: a sentence.
        reason: String,
    },
    /// None: there is nothing to upgrade from.
    None {
        /// Why: a sentence.
        reason: String,
    },
}

/// Chooses the base of an upgrade to the head.
///
/// What the run asks for comes first. Else it is the last version that passed; when that is not older than the head,
/// the newest published version that is, because an upgrade from a version to itself proves nothing; without a
/// version that ever passed, the tip of the target branch; and when all that is missing, the newest published
/// version that is older than the head.
#[must_use]
pub fn choose(candidates: &Candidates<'_>) -> Base {
    if let Some(wanted) = candidates.wanted {
        return wanted_base(candidates, wanted);
    }
    let older = newest_older(candidates);
    if let Some((version, commit)) = candidates.last_green {
        let parsed = RecipeVersion::parse(version);
        let is_older = match (&candidates.head_version, &parsed) {
            (Some(head), Some(green)) => green < head,
            _ => commit != candidates.head_commit,
        };
        if is_older {
            let reason = format!("{version} is the newest version that passed.");
            return Base::Version { version: version.to_owned(), commit: commit.to_owned(), reason };
        }
        return older_base(older, &format!("The newest version that passed, {version}, is not older than the head"));
    }
    if let Some(tip) = candidates.target_tip.filter(|tip| *tip != candidates.head_commit) {
        let reason = "No version passed yet, so the upgrade starts from the tip of the target branch.".to_owned();
        return Base::Commit { commit: tip.to_owned(), reason };
    }
    older_base(older, "No version passed yet")
}

fn wanted_base(candidates: &Candidates<'_>, wanted: &str) -> Base {
    match candidates.published.iter().find(|published| published.version.to_string() == wanted) {
        Some(published) if published.commit == candidates.head_commit => Base::None {
            reason: format!("The version {wanted} that was asked for is the head itself: ask for an older one."),
        },
        Some(published) => Base::Version {
            version: wanted.to_owned(),
            commit: published.commit.clone(),
            reason: format!("{wanted} was asked for."),
        },
        None => Base::None { reason: format!("The version {wanted} that was asked for is not published.") },
    }
}

/// Returns the newest published version that is older than the head, or simply the newest when the head has no
/// version.
fn newest_older<'a>(candidates: &Candidates<'a>) -> Option<&'a Published> {
    candidates
        .published
        .iter()
        .filter(|published| published.commit != candidates.head_commit)
        .filter(|published| candidates.head_version.as_ref().is_none_or(|head| published.version < *head))
        .max_by(|one, other| one.version.cmp(&other.version))
}

fn older_base(older: Option<&Published>, because: &str) -> Base {
    match older {
        Some(published) => Base::Version {
            version: published.version.to_string(),
            commit: published.commit.clone(),
            reason: format!("{because}, so it is the newest published version before it: {}.", published.version),
        },
        None => Base::None {
            reason: format!("{because}, and no older version is published: there is nothing to upgrade from."),
        },
    }
}
