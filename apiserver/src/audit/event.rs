//! How one audit event looks, and what never gets into it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::BODY_BYTES_MAX;
use crate::authentication::User;
use crate::authentication::review::UserInfo;
use crate::config::AuditLevel;
use crate::negotiation::BodyType;
use crate::request::RequestInfo;

/// Query parameters whose values are somebody's credential.
const SECRET_PARAMETERS: [&str; 7] = ["access_token", "token", "secret", "password", "key", "code", "signature"];

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Stage {
    ResponseStarted,
    ResponseComplete,
    Panic,
}

/// All that is known of a request.
pub(super) struct Draft {
    pub(super) level: AuditLevel,
    pub(super) audit_id: String,
    pub(super) uri: String,
    pub(super) user: Option<Arc<User>>,
    pub(super) source: IpAddr,
    pub(super) user_agent: String,
    pub(super) request: Arc<RequestInfo>,
    pub(super) received: Timestamp,
    pub(super) annotations: BTreeMap<&'static str, String>,
    pub(super) request_object: Option<Value>,
    /// Name, uid and resource version.
    pub(super) object: Option<[String; 3]>,
    /// Code of the answer, once a stream has begun.
    pub(super) started: Option<u16>,
}

impl Draft {
    /// Returns whether bodies and messages of this request may hold secret values.
    pub(super) fn is_secret(&self) -> bool {
        matches!(
            (self.request.group.as_str(), self.request.resource.as_str(), self.request.subresource.as_str()),
            ("", "secrets", _)
                | ("authentication.k8s.io", "tokenreviews", _)
                | ("", "serviceaccounts", "token")
                | (crate::tokens::GROUP, crate::tokens::PLURAL, _)
        )
    }

    /// Returns the body if it may be logged: it can be read, is not too large, and nothing secret is in it.
    pub(super) fn acceptable_body(&mut self, body: &[u8], body_type: BodyType) -> Option<Value> {
        if self.is_secret() {
            return None;
        }
        if body.len() > BODY_BYTES_MAX {
            self.annotations.insert("audit.k8s.io/truncated", "true".to_owned());
            return None;
        }
        let mut value = crate::body::look(body, body_type)?;
        if holds_secret(&value) {
            return None;
        }
        drop_managed_fields(&mut value);
        Some(value)
    }

    /// Returns the event of a stage.
    pub(super) fn event<'a>(
        &'a self,
        stage: Stage,
        response_status: Option<Outcome<'a>>,
        response_object: Option<&'a Value>,
        now: Timestamp,
    ) -> Event<'a> {
        let user = self.user.as_deref();
        let sender = user.map(|user| user.impersonator.as_deref().unwrap_or(user));
        Event {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level: self.level,
            audit_id: &self.audit_id,
            stage,
            request_uri: &self.uri,
            verb: &self.request.verb,
            user: sender.map(UserInfo::of).unwrap_or_default(),
            impersonated_user: user.filter(|user| user.impersonator.is_some()).map(UserInfo::of),
            source_ips: [self.source],
            user_agent: &self.user_agent,
            object_ref: self.request.is_resource.then(|| self.object_ref()),
            response_status,
            request_object: self.request_object.as_ref(),
            response_object,
            request_received_timestamp: MicroTime(self.received),
            stage_timestamp: MicroTime(now),
            annotations: &self.annotations,
        }
    }

    fn object_ref(&self) -> ObjectReference<'_> {
        let (name, uid, resource_version) = match &self.object {
            Some([name, uid, resource_version]) => (name.as_str(), uid.as_str(), resource_version.as_str()),
            None => ("", "", ""),
        };
        ObjectReference {
            resource: &self.request.resource,
            namespace: &self.request.namespace,
            name: if name.is_empty() { &self.request.name } else { name },
            uid,
            api_group: &self.request.group,
            api_version: &self.request.version,
            resource_version,
            subresource: &self.request.subresource,
        }
    }
}

/// One line, with the fields and in the order of `audit.k8s.io/v1` `Event`; it is only ever written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event<'a> {
    kind: &'static str,
    api_version: &'static str,
    level: AuditLevel,
    #[serde(rename = "auditID")]
    audit_id: &'a str,
    stage: Stage,
    #[serde(rename = "requestURI")]
    request_uri: &'a str,
    verb: &'a str,
    user: UserInfo<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    impersonated_user: Option<UserInfo<'a>>,
    #[serde(rename = "sourceIPs")]
    source_ips: [IpAddr; 1],
    #[serde(skip_serializing_if = "str::is_empty")]
    user_agent: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_ref: Option<ObjectReference<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status: Option<Outcome<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_object: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_object: Option<&'a Value>,
    request_received_timestamp: MicroTime,
    stage_timestamp: MicroTime,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectReference<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    resource: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_version: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subresource: &'a str,
}

/// The `responseStatus` of an event: as much of a `Status` as the log keeps.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    metadata: Metadata,
    #[serde(skip_serializing_if = "str::is_empty")]
    status: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    code: u16,
}

/// The metadata of a `Status`, which is always empty.
#[derive(Serialize)]
struct Metadata {}

impl<'a> Outcome<'a> {
    /// An answer that is no error.
    pub(super) fn success(code: u16) -> Self {
        Self { metadata: Metadata {}, status: "", message: "", reason: None, code }
    }

    /// An error; its message stays out of the log when it may repeat values that are secret.
    pub(super) fn failure(status: &'a Status, is_secret: bool) -> Self {
        let message = if is_secret { "" } else { &status.message };
        Self { metadata: Metadata {}, status: &status.status, message, reason: status.reason, code: status.code }
    }
}

/// Kubernetes' `MicroTime`: always six digits.
struct MicroTime(Timestamp);

impl Serialize for MicroTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:.6}", self.0))
    }
}

/// Returns path and query with the values of secret parameters blanked.
pub(super) fn redacted_uri(path: &str, query: Option<&str>) -> String {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return path.to_owned() };
    let mut uri = String::with_capacity(path.len() + 1 + query.len());
    uri.push_str(path);
    for (index, pair) in query.split('&').enumerate() {
        uri.push(if index == 0 { '?' } else { '&' });
        match pair.split_once('=') {
            Some((name, _)) if is_secret_parameter(name) => {
                uri.push_str(name);
                uri.push_str("=REDACTED");
            }
            _ => uri.push_str(pair),
        }
    }
    uri
}

fn is_secret_parameter(name: &str) -> bool {
    let name = crate::request::percent_decode(name).to_ascii_lowercase();
    let last = name.rsplit('_').next().unwrap_or_default();
    SECRET_PARAMETERS.iter().any(|secret| name == *secret || last == *secret)
}

/// Returns whether a Secret or a token hides in the value: as itself, in a list, or in a table.
fn holds_secret(value: &Value) -> bool {
    let kind = value["kind"].as_str().unwrap_or_default();
    if matches!(kind, "Secret" | "SecretList" | "TokenReview" | "TokenRequest") {
        return true;
    }
    let inner = |list: &str| value[list].as_array().is_some_and(|items| items.iter().any(holds_secret));
    inner("items") || value["rows"].as_array().is_some_and(|rows| rows.iter().any(|row| holds_secret(&row["object"])))
}

fn drop_managed_fields(value: &mut Value) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(items) = value.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(drop_managed_fields);
    }
}
