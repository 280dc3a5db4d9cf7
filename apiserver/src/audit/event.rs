//! How one audit event looks, and what never gets into it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::BODY_BYTES_MAX;
use crate::authentication::User;
use crate::authentication::review::user_info;
use crate::config::AuditLevel;
use crate::request::RequestInfo;

/// Query parameters whose values are somebody's credential.
const SECRET_PARAMETERS: [&str; 7] = ["access_token", "token", "secret", "password", "key", "code", "signature"];

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub(super) verb: String,
    pub(super) user: Option<User>,
    pub(super) source: String,
    pub(super) user_agent: String,
    pub(super) request: RequestInfo,
    pub(super) received: Timestamp,
    pub(super) annotations: Map<String, Value>,
    pub(super) request_object: Option<Value>,
    /// Name, uid and resource version.
    pub(super) object: Option<[String; 3]>,
    pub(super) started: bool,
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

    /// Returns the body if it may be logged: JSON, not too large, nothing secret in it.
    pub(super) fn acceptable_body(&mut self, body: &[u8]) -> Option<Value> {
        if self.is_secret() {
            return None;
        }
        if body.len() > BODY_BYTES_MAX {
            self.annotations.insert("audit.k8s.io/truncated".to_owned(), json!("true"));
            return None;
        }
        let mut value: Value = serde_json::from_slice(body).ok()?;
        if holds_secret(&value) {
            return None;
        }
        drop_managed_fields(&mut value);
        Some(value)
    }

    /// Returns the event of a stage.
    pub(super) fn event(
        &self,
        stage: Stage,
        status: Option<&Value>,
        response: Option<&Value>,
        now: Timestamp,
    ) -> Value {
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.level,
            "auditID": self.audit_id,
            "stage": match stage {
                Stage::ResponseStarted => "ResponseStarted",
                Stage::ResponseComplete => "ResponseComplete",
                Stage::Panic => "Panic",
            },
            "requestURI": self.uri,
            "verb": self.verb,
            "user": {},
            "sourceIPs": [self.source],
            "requestReceivedTimestamp": microseconds(self.received),
            "stageTimestamp": microseconds(now),
        });
        if let Some(user) = &self.user {
            let sender = user.impersonator.as_deref().unwrap_or(user);
            event["user"] = user_info(sender);
            if user.impersonator.is_some() {
                event["impersonatedUser"] = user_info(user);
            }
        }
        if !self.user_agent.is_empty() {
            event["userAgent"] = json!(self.user_agent);
        }
        if self.request.is_resource {
            event["objectRef"] = self.object_ref();
        }
        let optional =
            [("responseStatus", status), ("requestObject", self.request_object.as_ref()), ("responseObject", response)];
        for (field, value) in optional {
            if let Some(value) = value {
                event[field] = value.clone();
            }
        }
        if !self.annotations.is_empty() {
            event["annotations"] = Value::Object(self.annotations.clone());
        }
        event
    }

    fn object_ref(&self) -> Value {
        let empty = [String::new(), String::new(), String::new()];
        let [name, uid, resource_version] = self.object.as_ref().unwrap_or(&empty);
        let name = if name.is_empty() { &self.request.name } else { name };
        let parts = [
            ("resource", &self.request.resource),
            ("namespace", &self.request.namespace),
            ("name", name),
            ("uid", uid),
            ("apiGroup", &self.request.group),
            ("apiVersion", &self.request.version),
            ("resourceVersion", resource_version),
            ("subresource", &self.request.subresource),
        ];
        let filled = parts.into_iter().filter(|(_, value)| !value.is_empty());
        filled.map(|(field, value)| (field.to_owned(), json!(value))).collect::<Map<_, _>>().into()
    }
}

/// Returns path and query with the values of secret parameters blanked.
pub(super) fn redacted_uri(path: &str, query: Option<&str>) -> String {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return path.to_owned() };
    let pairs: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if is_secret_parameter(name) => format!("{name}=REDACTED"),
            _ => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

fn is_secret_parameter(name: &str) -> bool {
    let name = crate::request::percent_decode(name).to_ascii_lowercase();
    SECRET_PARAMETERS.iter().any(|secret| name == *secret || name.ends_with(&format!("_{secret}")))
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

/// Kubernetes' `MicroTime`: always six digits.
fn microseconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}
