//! The labels by which we know our own in a swarm, and what belongs to which stack.

use std::collections::BTreeSet;

use ports::swarm::STACK_LABEL;
use ports::swarm::spec::Labels;

pub use super::converge::SPEC_LABEL;

/// The App that an object belongs to, as `namespace/name`.
pub const APP_LABEL: &str = "ci.coopcloud.tech/app";
/// The App's uid.
pub const UID_LABEL: &str = "ci.coopcloud.tech/uid";
/// The ccd that an object belongs to: several may share an engine, and none touches what is another's.
pub const INSTALLATION_LABEL: &str = "ci.coopcloud.tech/installation";
/// The run that an App was deployed for, as `namespace/name`; what people deploy has none.
pub const RUN_LABEL: &str = "ci.coopcloud.tech/testrun";
/// The stack, on secrets: they do not carry the stack's own label, because they outlive it.
pub const OWN_STACK_LABEL: &str = "ci.coopcloud.tech/stack";
/// On volumes and secrets that go with their App: [`DELETE`]. Without it they stay.
pub const VOLUMES_LABEL: &str = "ci.coopcloud.tech/volumes";
/// The value of [`VOLUMES_LABEL`].
pub const DELETE: &str = "Delete";
/// On secrets whose value a Secret or a Certificate gives, under a name that changes with it: `"true"`. They go once nothing
/// uses them any more.
pub const GIVEN_LABEL: &str = "ci.coopcloud.tech/given";
/// On services whose image is pulled with credentials: which state of the Secrets they are of. Another state is another label,
/// and so an update, with which the credentials reach the nodes; neither of them restarts a task.
pub const PULL_SECRETS_LABEL: &str = "ci.coopcloud.tech/pull-secrets";
/// What all labels of ours begin with.
pub const OWN_PREFIX: &str = "ci.coopcloud.tech/";

/// Who an object in the swarm belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The App, as `namespace/name`.
    pub app: String,
    /// Its uid.
    pub uid: String,
    /// The stack.
    pub stack: String,
    /// The ccd: the uid of its namespace `default`.
    pub installation: String,
    /// The run that the App is a child of, as `namespace/name`.
    pub run: Option<String>,
}

impl Owner {
    /// Adds our labels.
    pub fn put_on(&self, labels: &mut Labels) {
        labels.insert(APP_LABEL.to_owned(), self.app.clone());
        labels.insert(UID_LABEL.to_owned(), self.uid.clone());
        labels.insert(INSTALLATION_LABEL.to_owned(), self.installation.clone());
        labels.extend(self.run.clone().map(|run| (RUN_LABEL.to_owned(), run)));
    }
}

/// Returns labels without those of ours.
#[must_use]
pub fn without_own(labels: &Labels) -> Labels {
    labels
        .iter()
        .filter(|(name, _)| !name.starts_with(OWN_PREFIX))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns whether an object belongs to a stack.
///
/// The stack's label decides where there is one. Without it (secrets that abra made, volumes from before) the name
/// does: it begins with the stack's and `_`, and with that of no other stack that is longer. `example_com` must never
/// take what is `example_com_au`'s.
#[must_use]
pub fn belongs(stack: &str, stacks: &BTreeSet<String>, name: &str, labels: &Labels) -> bool {
    if let Some(label) = labels.get(STACK_LABEL) {
        return label == stack;
    }
    has_prefix(name, stack) && !stacks.iter().any(|other| other.len() > stack.len() && has_prefix(name, other))
}

/// Returns whether a name is that of something in a stack.
#[must_use]
pub fn has_prefix(name: &str, stack: &str) -> bool {
    !stack.is_empty() && name.strip_prefix(stack).is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
}

/// Returns whether the engine gave the name, because nobody else did: 64 hexadecimal digits.
#[must_use]
pub fn is_anonymous(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}
