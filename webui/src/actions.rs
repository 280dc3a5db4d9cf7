//! What people do: each deed is one or two requests to the API, sent as whoever pressed the button.
//!
//! The API authenticates, authorises, admits and records them like any other request, so that nothing can be done here
//! that could not be done there.

mod perform;

use serde_json::{Value, json};
use store::registry::Resource;

use crate::index::{APPROVALS, RECIPES, RUNS};
use crate::route::Place;
use crate::visit::Visit;

pub(crate) use perform::perform;

/// What can be done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Test,
    Rerun,
    Cancel,
    Hold,
    Approve,
    Deny,
    Suspend,
    Resume,
    Delete,
}

const DEEDS: [(Deed, &str); 9] = [
    (Deed::Test, "test"),
    (Deed::Rerun, "rerun"),
    (Deed::Cancel, "cancel"),
    (Deed::Hold, "hold"),
    (Deed::Approve, "approve"),
    (Deed::Deny, "deny"),
    (Deed::Suspend, "suspend"),
    (Deed::Resume, "resume"),
    (Deed::Delete, "delete"),
];

impl Deed {
    /// Reads the word in an address.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        DEEDS.iter().find(|(_, known)| *known == word).map(|(deed, _)| *deed)
    }

    /// Returns the word in an address.
    pub(crate) fn word(self) -> &'static str {
        DEEDS.iter().find(|(deed, _)| *deed == self).map_or("", |(_, word)| word)
    }

    /// Returns what stands on the button.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Test => "Test now",
            Self::Rerun => "Run again",
            Self::Cancel => "Cancel",
            Self::Hold => "Hold on failure",
            Self::Approve => "Approve",
            Self::Deny => "Deny",
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::Delete => "Delete",
        }
    }

    /// Returns what will happen.
    pub(crate) fn explained(self) -> &'static str {
        match self {
            Self::Test => "A new run is queued: deployed on the swarm, taken through every rung, and torn down.",
            Self::Rerun => "A new run is queued that tests the same commit in the same way.",
            Self::Cancel => "What the run deployed is torn down, and the run ends as Cancelled. This cannot be undone.",
            Self::Hold => "If the run fails, its app stays up for a while so that you can look at it.",
            Self::Approve => {
                "The commit is trusted enough to be deployed on this swarm. A later push needs a new approval."
            }
            Self::Deny => "An approval of this commit is taken back, and the run is cancelled.",
            Self::Suspend => "Nothing is started or changed for this object until it is resumed.",
            Self::Resume => "Work on this object goes on.",
            Self::Delete => "The object is deleted, with everything that it owns. This cannot be undone.",
        }
    }

    /// Returns what has happened.
    pub(crate) fn done(self) -> &'static str {
        match self {
            Self::Test | Self::Rerun => "The run is queued.",
            Self::Cancel => "The run is being cancelled.",
            Self::Hold => "Noted.",
            Self::Approve => "Approved. The run goes on by itself.",
            Self::Deny => "Denied. The run is being cancelled.",
            Self::Suspend => "Suspended.",
            Self::Resume => "Resumed.",
            Self::Delete => "It is being deleted.",
        }
    }

    /// Returns whether it cannot be undone.
    pub(crate) fn is_grave(self) -> bool {
        matches!(self, Self::Cancel | Self::Delete | Self::Deny)
    }

    /// Returns whether it can be done with objects of a kind.
    pub(crate) fn fits(self, key: &str) -> bool {
        match self {
            Self::Test => key == RECIPES,
            Self::Rerun | Self::Cancel | Self::Hold | Self::Approve | Self::Deny => key == RUNS,
            Self::Suspend | Self::Resume => key.ends_with(&format!(".{}", api_types::meta::GROUP)),
            Self::Delete => true,
        }
    }

    /// Returns whether the reader's role allows it.
    pub(crate) fn is_allowed(self, visit: &Visit, key: &str, namespace: &str, name: &str) -> bool {
        match self {
            Self::Test | Self::Rerun => visit.may("create", RUNS, namespace, ""),
            Self::Cancel | Self::Hold => visit.may("patch", RUNS, namespace, name),
            Self::Approve => visit.may("create", APPROVALS, namespace, ""),
            Self::Deny => visit.may("delete", APPROVALS, namespace, "") && visit.may("patch", RUNS, namespace, name),
            Self::Suspend | Self::Resume => visit.may("patch", key, namespace, name),
            Self::Delete => visit.may("delete", key, namespace, name),
        }
    }

    /// Returns the same on the command line.
    pub(crate) fn command(self, resource: &Resource, place: &Place) -> String {
        let within = if place.namespace.is_empty() { String::new() } else { format!(" -n {}", place.namespace) };
        let word = match self {
            Self::Test => format!("run {}", place.name),
            Self::Hold => {
                let patch = json!({"spec": {"holdOnFailure": "30m"}});
                format!("patch testrun/{} --type=merge -p '{patch}'", place.name)
            }
            Self::Rerun | Self::Cancel | Self::Approve | Self::Deny => format!("{} {}", self.word(), place.name),
            Self::Suspend | Self::Resume | Self::Delete => {
                format!("{} {}/{}", self.word(), resource.singular, place.name)
            }
        };
        format!("ccctl {word}{within}")
    }
}

/// Returns a merge patch of the spec.
fn spec_patch(field: &str, value: Value) -> Value {
    json!({"spec": {field: value}})
}
