//! What the HTTP API is made of, and what one call carries through it.

use std::path::Path;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use bytes::Bytes;
use http::HeaderMap;
use http::header::USER_AGENT;
use http::request::Parts;
use store::registry::Registry;
use store::request::Target;
use store::store::Store;

use crate::access::Access;
use crate::audit::AuditRecord;
use crate::authentication::User;
use crate::clock::Clock;
use crate::discovery::documents::DocumentCache;
use crate::hooks::{Doorbell, Hooks};
use crate::limits::Permit;
use crate::limits::body::LimitedBody;
use crate::negotiation::Negotiated;
use crate::plans::{NoPlans, Planner};
use crate::pods::LogSource;
use crate::query::{Query, default_manager};
use crate::request::RequestInfo;
use crate::serve::Lifecycle;
use crate::served::Served;

/// The HTTP API over a store.
pub struct Api {
    /// Where objects live.
    pub store: Store,
    /// Who may do what, how much of it, and the record of it.
    pub access: Access,
    /// Health, and the end of streams.
    pub lifecycle: Lifecycle,
    /// What time it is, for ages in tables.
    pub clock: Clock,
    /// Where logs of runs come from.
    pub logs: Arc<dyn LogSource>,
    pub(crate) planner: Arc<dyn Planner>,
    debug_state: Option<DebugState>,
    pub(crate) hooks: Hooks,
    pub(crate) documents: DocumentCache,
}

/// Returns what the reconcilers are doing at this moment, for `/debug/state`.
pub type DebugState = Arc<dyn Fn() -> serde_json::Value + Send + Sync>;

impl Api {
    /// Returns an API with empty caches.
    #[must_use]
    pub fn new(store: Store, access: Access, lifecycle: Lifecycle, clock: Clock, logs: Arc<dyn LogSource>) -> Self {
        Self {
            store,
            access,
            lifecycle,
            clock,
            logs,
            planner: Arc::new(NoPlans),
            debug_state: None,
            hooks: Hooks::default(),
            documents: DocumentCache::default(),
        }
    }

    /// Returns the same API, with `/debug/state` answering what `state` returns.
    #[must_use]
    pub fn with_debug_state(self, state: DebugState) -> Self {
        Self { debug_state: Some(state), ..self }
    }

    /// Returns the same API that asks `planner` what converging an App would do.
    #[must_use]
    pub fn with_planner(self, planner: Arc<dyn Planner>) -> Self {
        Self { planner, ..self }
    }

    /// Returns the same API, whose webhooks ring this bell; `seen` is the file of the deliveries that have been here.
    #[must_use]
    pub fn with_doorbell(self, bell: Arc<dyn Doorbell>, seen: &Path) -> Self {
        Self { hooks: Hooks::with_bell(bell, seen, self.clock.now()), ..self }
    }

    pub(crate) fn debug_state(&self) -> Option<serde_json::Value> {
        self.debug_state.as_ref().map(|state| state())
    }
}

/// One request on its way through a verb.
pub(crate) struct Call {
    pub api: Arc<Api>,
    pub parts: Parts,
    pub info: Arc<RequestInfo>,
    pub query: Query,
    pub negotiated: Negotiated,
    pub user: Arc<User>,
    /// Taken by streams, which finish it at their end.
    pub record: Option<AuditRecord>,
    /// Taken by streams, which hold it until their end.
    pub permit: Option<Permit>,
    /// The body, for those who read one.
    pub body: Option<LimitedBody>,
    pub registry: Arc<Registry>,
}

impl Call {
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the bytes of the body; empty when there is none.
    pub(crate) fn body_bytes(&self) -> Bytes {
        self.body.as_ref().map(|body| body.bytes.clone()).unwrap_or_default()
    }

    /// Returns what the request is about.
    pub(crate) fn target(&self, served: &Served) -> Target {
        let namespace = if served.resource.is_namespaced() { self.info.namespace.clone() } else { String::new() };
        Target {
            resource: served.resource.clone(),
            version: served.version().name.clone(),
            namespace,
            name: self.info.name.clone(),
        }
    }

    /// Returns the manager that the client is taken to be when it does not say.
    pub(crate) fn default_manager(&self) -> String {
        default_manager(self.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()))
    }

    /// Notes in the audit log which object it was.
    pub(crate) fn note_object(&mut self, object: &store::object::Object) {
        if let Some(record) = &mut self.record {
            record.object(object.name(), object.uid(), &object.revision.to_string());
        }
    }
}

/// Returns the answer to a method that a resource does not have.
pub(crate) fn method_not_allowed() -> Status {
    let mut status =
        Status::failure(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource");
    status.details = Some(api_types::status::StatusDetails::default());
    status
}
