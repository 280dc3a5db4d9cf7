//! What happened: one JSON line per request in the shape of `audit.k8s.io/v1` `Event`.
//!
//! A request's [`AuditRecord`] is begun when it arrives and finished when its answer is known; one that is dropped
//! before that (the client went away, the verb panicked) writes its line all the same. Lines go to one writer thread
//! through a bounded queue: a request never waits for the disk. When the queue is full the line is lost, counted, and
//! the log says how many were lost.

mod event;
pub mod policy;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::status::Status;
use http::HeaderMap;
use http::header::USER_AGENT;
use serde_json::Value;

use crate::authentication::{Credential, Peer, User};
use crate::authorization::Decision;
use crate::clock::Clock;
use crate::config::AuditLevel;
use crate::negotiation::BodyType;
use crate::request::RequestInfo;
use event::{Draft, Outcome, Stage};
use policy::Policy;
pub use writer::{AuditError, AuditWriter, WriterSettings};

/// Bodies above this size are left out of the log, and the event says so.
const BODY_BYTES_MAX: usize = 256 * 1024;
const USER_AGENT_CHARACTERS_MAX: usize = 256;

/// Replaces secret values in a finished line; must keep it valid JSON.
pub type Redactor = Arc<dyn Fn(String) -> String + Send + Sync>;

/// The audit log of a server.
#[derive(Clone)]
pub struct Audit {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    policy: Policy,
    writer: AuditWriter,
    clock: Clock,
    redactor: Option<Redactor>,
}

/// One request on its way.
pub struct AuditRecord {
    open: Option<Box<Open>>,
}

struct Open {
    shared: Arc<Shared>,
    draft: Draft,
}

impl Audit {
    /// Returns a log that writes what `policy` says to `writer`.
    #[must_use]
    pub fn new(policy: Policy, writer: AuditWriter, clock: Clock, redactor: Option<Redactor>) -> Self {
        Self { shared: Some(Arc::new(Shared { policy, writer, clock, redactor })) }
    }

    /// Returns a log that writes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self { shared: None }
    }

    /// Begins the record of a request. `user` is `None` when the credential was wrong; `audit_id` is also sent to the
    /// client as `Audit-Id`.
    #[must_use]
    pub fn begin(
        &self,
        audit_id: &str,
        request: &Arc<RequestInfo>,
        query: Option<&str>,
        user: Option<&Arc<User>>,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> AuditRecord {
        let Some(shared) = &self.shared else { return AuditRecord { open: None } };
        let level = shared.policy.level(user.map(Arc::as_ref), request);
        if level == AuditLevel::None {
            return AuditRecord { open: None };
        }
        let agent = headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
        let draft = Draft {
            level,
            audit_id: audit_id.to_owned(),
            uri: event::redacted_uri(&request.path, query),
            user: user.cloned(),
            source: peer.address.ip(),
            user_agent: agent.map(|agent| agent.chars().take(USER_AGENT_CHARACTERS_MAX).collect()).unwrap_or_default(),
            request: Arc::clone(request),
            received: shared.clock.now(),
            annotations: BTreeMap::new(),
            request_object: None,
            object: None,
            started: None,
        };
        let mut record = AuditRecord { open: Some(Box::new(Open { shared: Arc::clone(shared), draft })) };
        if let Some(User { credential: Credential::Token { id, .. }, .. }) =
            user.map(|user| user.impersonator.as_deref().unwrap_or(user.as_ref()))
        {
            record.annotate("ci.coopcloud.tech/token-id", id);
        }
        record
    }

    /// Returns how many events were lost because the queue was full or the disk refused.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.writer.lost())
    }

    /// Waits until all that was queued is in the file. Blocks; call it once, at the end.
    pub fn close(&self) {
        if let Some(shared) = &self.shared {
            shared.writer.close();
        }
    }
}

impl AuditRecord {
    /// Returns whether the request's body would be kept; false spares the parsing.
    #[must_use]
    pub fn wants_request(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.draft.level >= AuditLevel::Request)
    }

    /// Returns whether [`AuditRecord::finish`] would keep the answer's body.
    #[must_use]
    pub fn wants_response(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.draft.level >= AuditLevel::RequestResponse)
    }

    /// Notes what the authorizer said.
    pub fn decision(&mut self, decision: &Decision) {
        self.annotate("authorization.k8s.io/decision", if decision.allowed { "allow" } else { "forbid" });
        self.annotate("authorization.k8s.io/reason", &decision.reason);
    }

    /// Adds an annotation; the value must not be secret.
    pub fn annotate(&mut self, key: &'static str, value: &str) {
        if let Some(open) = &mut self.open {
            open.draft.annotations.insert(key, value.to_owned());
        }
    }

    /// Gives the object's name, uid and resource version once they are known (a create draws its name late).
    pub fn object(&mut self, name: &str, uid: &str, resource_version: &str) {
        if let Some(open) = &mut self.open {
            open.draft.object = Some([name.to_owned(), uid.to_owned(), resource_version.to_owned()]);
        }
    }

    /// Gives the request's body, as sent, and how it is written down. Kept when the policy wants it and it holds no
    /// secret.
    pub(crate) fn request_object(&mut self, body: &[u8], body_type: BodyType) {
        if self.wants_request()
            && let Some(open) = &mut self.open
        {
            open.draft.request_object = open.draft.acceptable_body(body, body_type);
        }
    }

    /// Writes `ResponseStarted`: for streams, whose end may be hours away.
    pub fn started(&mut self, code: u16) {
        if let Some(open) = &mut self.open {
            open.draft.started = Some(code);
            open.write(Stage::ResponseStarted, Some(Outcome::success(code)), None);
        }
    }

    /// Writes `ResponseComplete` for an answer that is no error; its body, in JSON, may be given when the policy wants it.
    pub fn finish(self, code: u16, body: Option<&[u8]>) {
        self.complete(code, body.map(|body| (body, BodyType::Json)));
    }

    /// Writes `ResponseComplete` for an answer that is no error, with its body as it is written down.
    pub(crate) fn finish_with(self, code: u16, body: &[u8], body_type: BodyType) {
        self.complete(code, Some((body, body_type)));
    }

    fn complete(mut self, code: u16, body: Option<(&[u8], BodyType)>) {
        if let Some(mut open) = self.open.take() {
            let object = if open.draft.level >= AuditLevel::RequestResponse {
                body.and_then(|(body, body_type)| open.draft.acceptable_body(body, body_type))
            } else {
                None
            };
            open.write(Stage::ResponseComplete, Some(Outcome::success(code)), object.as_ref());
        }
    }

    /// Writes `ResponseComplete` for an error.
    pub fn fail(mut self, status: &Status) {
        if let Some(open) = self.open.take() {
            // The message can repeat rejected values; those of a Secret must not reach the log.
            open.write(Stage::ResponseComplete, Some(Outcome::failure(status, open.draft.is_secret())), None);
        }
    }
}

impl Drop for AuditRecord {
    fn drop(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if std::thread::panicking() {
            open.write(Stage::Panic, None, None);
            return;
        }
        let note = match open.draft.started {
            Some(_) => "the stream ended",
            None => "the client went away before the answer",
        };
        open.draft.annotations.insert("ci.coopcloud.tech/end", note.to_owned());
        open.write(Stage::ResponseComplete, open.draft.started.map(Outcome::success), None);
    }
}

impl Open {
    fn write(&self, stage: Stage, outcome: Option<Outcome<'_>>, response: Option<&Value>) {
        let event = self.draft.event(stage, outcome, response, self.shared.clock.now());
        let line = serde_json::to_string(&event).expect("an event always serialises");
        self.shared.writer.send(match &self.shared.redactor {
            Some(redactor) => redactor(line),
            None => line,
        });
    }
}
