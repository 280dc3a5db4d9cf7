//! A solver that is played: it keeps what is published, and fails as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{Answers, Change, HOOK_FAILED, PORT_IN_USE, Record, Solver, Writer};
use crate::error::Error;

/// The only hook that it knows.
pub const HOOK: &str = "fake";

/// What is published. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FakeSolver {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    answers: BTreeMap<String, (u16, Answers)>,
    records: BTreeSet<(String, String)>,
    written: Vec<(Change, String)>,
    failing: BTreeSet<Change>,
    ports_in_use: BTreeSet<u16>,
}

impl FakeSolver {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says whether changes of this kind fail from now on.
    pub fn fail(&self, change: Change, fails: Fails) {
        match fails {
            Fails::Yes => self.state().failing.insert(change),
            Fails::No => self.state().failing.remove(&change),
        };
    }

    /// Makes a port one that somebody else listens on.
    pub fn occupy(&self, port: u16) {
        self.state().ports_in_use.insert(port);
    }

    /// Returns what is answered over HTTP for the last part of a path.
    #[must_use]
    pub fn content(&self, asked: &str) -> Option<String> {
        self.state().answers.values().find_map(|(_, answers)| answers.get(asked).cloned())
    }

    /// Returns the values of a TXT record.
    #[must_use]
    pub fn values(&self, name: &str) -> Vec<String> {
        self.state().records.iter().filter(|(of, _)| of == name).map(|(_, value)| value.clone()).collect()
    }

    /// Returns all changes that were asked for, in their order: what, and the record's name.
    #[must_use]
    pub fn written(&self) -> Vec<(Change, String)> {
        self.state().written.clone()
    }

    /// Forgets what is answered over HTTP, as a ccd does that is killed.
    pub fn forget_answers(&self) {
        self.state().answers.clear();
    }
}

/// Whether something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// It does.
    Yes,
    /// It does not.
    No,
}

#[async_trait]
impl Solver for FakeSolver {
    fn answer(&self, owner: &str, port: u16, answers: &Answers) -> Result<(), Error> {
        let mut state = self.state();
        state.answers.remove(owner);
        if state.ports_in_use.contains(&port) && !answers.is_empty() {
            return Err(Error::retryable(PORT_IN_USE, format!("port {port} is in use")));
        }
        if !answers.is_empty() {
            state.answers.insert(owner.to_owned(), (port, answers.clone()));
        }
        Ok(())
    }

    fn answers(&self, owner: &str) -> BTreeSet<String> {
        self.state().answers.get(owner).map(|(_, answers)| answers.keys().cloned().collect()).unwrap_or_default()
    }

    fn check(&self, writer: &Writer) -> Result<(), Error> {
        match writer {
            Writer::Hook(name) if name != HOOK => Err(Error::terminal(HOOK_FAILED, format!("there is no hook {name}"))),
            _ => Ok(()),
        }
    }

    async fn write(&self, writer: &Writer, change: Change, record: &Record) -> Result<(), Error> {
        self.check(writer)?;
        let mut state = self.state();
        state.written.push((change, record.name.clone()));
        if state.failing.contains(&change) {
            return Err(Error::retryable(HOOK_FAILED, format!("the hook was to {}, and ended with 1", change.word())));
        }
        let entry = (record.name.clone(), record.value.clone());
        match change {
            Change::Present => state.records.insert(entry),
            Change::Cleanup => state.records.remove(&entry),
        };
        Ok(())
    }
}
