//! [`Reconciler`]: the three functions that a kind brings.
//!
//! - `observe` reads the world and changes nothing.
//! - `decide` thinks. It is synchronous, has no `self` and is told the time, so there is nothing to mock: a test is a
//!   table of cases. It returns the whole status, at most one action, and when to look again.
//! - `act` has one effect. It may be cut off at any await, run twice, and run on an object that has changed meanwhile:
//!   names and job ids of what it makes are computed, not drawn.
//!
//! The loop calls them in this order, level-triggered: nobody is told what changed. A pass has a time limit; what takes
//! longer than a few seconds is started as a job under a computed id and looked at again.

use std::future::Future;
use std::time::Duration;

use api_types::kind::{Kind, Object};
use jiff::Timestamp;

use super::objects::{ObjectKey, StoredObject};
use super::outcome::Failure;

/// When the loop looks at the object again although nothing changed. (When something changes, it always does.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// As soon as it is its turn: there is more to do.
    Now,
    /// After this time.
    After(Duration),
    /// Only when something changes, and at the periodic resync.
    OnChange,
    /// Never: the object is being deleted and everything outside is cleaned up. The loop takes the finalizer off.
    Finalized,
}

/// What `decide` came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<Status, Action> {
    /// The whole observed state. The loop adds times of transitions, `observedGeneration`, `Reconciling` and `Stalled`.
    pub status: Status,
    /// The one thing to do now.
    pub action: Option<Action>,
    /// When to look again.
    pub next: Next,
}

impl<Status, Action> Decision<Status, Action> {
    /// Returns the decision to do something and look again at once.
    #[must_use]
    pub fn act(status: Status, action: Action) -> Self {
        Self { status, action: Some(action), next: Next::Now }
    }

    /// Returns the decision to do nothing and look again later.
    #[must_use]
    pub fn wait(status: Status, next: Next) -> Self {
        Self { status, action: None, next }
    }
}

/// A part of a kind's status: members, and types of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusPart {
    /// Members of the status besides its conditions.
    pub members: &'static [&'static str],
    /// Types of conditions; the first one says how the reconciler fares that writes the part.
    pub conditions: &'static [&'static str],
}

impl StatusPart {
    /// Nothing.
    pub const NOTHING: Self = Self { members: &[], conditions: &[] };
}

/// How much of the status a reconciler writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// All of it, but for a part that another reconciler of the kind writes.
    AllBut(StatusPart),
    /// This part alone. Whatever goes wrong is said in its first condition, and nowhere else.
    Only(StatusPart),
}

/// Drives objects of one kind towards their spec.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Kind: Kind;
    /// What `observe` learns.
    type Observed: Send + Sync;
    /// What can be done; one variant, one effect.
    type Action: std::fmt::Debug + Send;

    /// The finalizer to put on an object before the first action; `None` for kinds without effects that outlive them.
    const FINALIZER: Option<&'static str> = None;

    /// How much of the status it writes.
    const WRITES: Writes = Writes::AllBut(StatusPart::NOTHING);

    /// Its name in logs and metrics; `None` for the kind's.
    const NAME: Option<&'static str> = None;

    /// Reads what has to be known; changes nothing.
    ///
    /// # Errors
    /// The loop acts on the failure's kind; see [`super::outcome`].
    fn observe(&self, object: &Object<Self::Kind>) -> impl Future<Output = Result<Self::Observed, Failure>> + Send;

    /// Decides. Pure: the same arguments, the same decision.
    fn decide(
        object: &Object<Self::Kind>,
        observed: &Self::Observed,
        now: Timestamp,
    ) -> Decision<<Self::Kind as Kind>::Status, Self::Action>;

    /// Does one thing, idempotently.
    ///
    /// # Errors
    /// As [`observe`](Self::observe).
    fn act(
        &self,
        object: &Object<Self::Kind>,
        action: Self::Action,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Lets go of what is kept in memory for an object that is gone, however it went.
    fn gone(&self, key: &ObjectKey) {
        let _ = key;
    }

    /// Returns the objects that this one names and whose change concerns it. Their resources must be among
    /// [`ControllerOptions::watches`](super::controller::ControllerOptions::watches). Pure.
    #[must_use]
    fn references(object: &Object<Self::Kind>) -> Vec<ObjectKey> {
        let _ = object;
        Vec::new()
    }

    /// Returns the objects of this kind that an object of a watched resource names, so that its change concerns them: the
    /// other way round than [`references`](Self::references). Pure.
    #[must_use]
    fn named_by(other: &StoredObject) -> Vec<ObjectKey> {
        let _ = other;
        Vec::new()
    }
}
