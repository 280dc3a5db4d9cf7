//! The chain that every request passes, in one place: who, how much, may they, and the record of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use api_types::status::Status;
use http::request::Parts;

use crate::audit::{Audit, AuditRecord};
use crate::authentication::impersonation::impersonate;
use crate::authentication::{Authenticator, Peer, User};
use crate::authorization::{Authorizer, Decision, forbidden};
use crate::limits::{Limits, Permit};
use crate::metrics::Metrics;
use crate::request::RequestInfo;

/// How often a stream that stays open asks [`Access::may_continue`].
pub const STREAM_RECHECK: Duration = Duration::from_mins(1);

/// What the chain is made of. Clones share everything.
#[derive(Clone)]
pub struct Access {
    /// Who.
    pub authenticator: Arc<Authenticator>,
    /// May they.
    pub authorizer: Arc<Authorizer>,
    /// How much.
    pub limits: Limits,
    /// What happened.
    pub audit: Audit,
    /// How many, how long.
    pub metrics: Metrics,
}

/// A request that may go on.
pub struct Admitted {
    /// As whom it is judged.
    pub user: Arc<User>,
    /// Its place; keep it until the answer's last byte.
    pub permit: Permit,
    /// Its audit record; finish or fail it.
    pub record: AuditRecord,
}

impl Access {
    /// Passes a request through the chain: authenticate, impersonate, limit, authorise. A refusal is recorded here.
    ///
    /// # Errors
    /// 401, 400 (impersonation headers), 429 or 403; the answer is ready to be sent.
    pub fn admit(
        &self,
        parts: &Parts,
        peer: &Peer,
        info: &Arc<RequestInfo>,
        audit_id: &str,
    ) -> Result<Admitted, Status> {
        self.admit_with(parts, peer, info, audit_id, |user| self.authorizer.authorize(user, info))
    }

    /// As [`Access::admit`], for requests that are judged by more than one question to the authorizer: a page that
    /// shows whatever its reader may see, or a namespace that is open to everybody.
    ///
    /// # Errors
    /// As [`Access::admit`].
    pub fn admit_with(
        &self,
        parts: &Parts,
        peer: &Peer,
        info: &Arc<RequestInfo>,
        audit_id: &str,
        decide: impl FnOnce(&User) -> Decision,
    ) -> Result<Admitted, Status> {
        let query = parts.uri.query();
        let begin = |user: Option<&Arc<User>>| self.audit.begin(audit_id, info, query, user, peer, &parts.headers);
        let sender = match self.authenticator.authenticate(parts, peer) {
            Ok(sender) => sender,
            Err(status) => {
                return refuse(begin(None), self.limits.charge_stranger(info, Instant::now()).err().unwrap_or(status));
            }
        };
        // The sender's share is charged before anything else is worked out for them.
        let permit = match self.limits.admit(&sender, info, Instant::now()) {
            Ok(permit) => permit,
            Err(status) => return refuse(begin(Some(&sender)), status),
        };
        let user = match impersonate(&self.authorizer, Arc::clone(&sender), &parts.headers, info) {
            Ok(user) => user,
            Err(status) => return refuse(begin(Some(&sender)), status),
        };
        let mut record = begin(Some(&user));
        let decision = decide(&user);
        record.decision(&decision);
        if !decision.allowed {
            return refuse(record, forbidden(&user, info, &decision.reason));
        }
        Ok(Admitted { user, permit, record })
    }

    /// Returns whether a stream that has been open for a while may go on: the credential holds and the rules still
    /// allow it. Ask each [`STREAM_RECHECK`].
    #[must_use]
    pub fn may_continue(&self, user: &User, info: &RequestInfo) -> bool {
        self.authenticator.still_valid(user) && self.authorizer.authorize(user, info).allowed
    }
}

fn refuse(record: AuditRecord, status: Status) -> Result<Admitted, Status> {
    record.fail(&status);
    Err(status)
}
