//! `Status` of `meta/v1`: the one error body of the API, shared by the store, the server and the command line.

use serde::{Deserialize, Serialize};

/// The body of every answer that is not an object; of every error above all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status {
    /// Always `Status`.
    pub kind: String,
    /// Always `v1`.
    pub api_version: String,
    /// `ListMeta`; carries `continue` in an `Expired` answer.
    pub metadata: StatusListMeta,
    /// `Success` or `Failure`.
    pub status: String,
    /// A sentence for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// A word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What the answer is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    /// The HTTP status code.
    pub code: u16,
}

/// `ListMeta` as far as a `Status` carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusListMeta {
    /// Token to go on with after an expired one.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_: String,
}

/// What a [`Status`] is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// API group; absent for the core group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural resource; for `Invalid` the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Unique id of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Every single thing that is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// When to try again.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

/// One thing that is wrong, with the field to blame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusCause {
    /// A word for programs: `FieldValueInvalid`, `FieldValueRequired`, `FieldManagerConflict`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// A sentence for people; does not repeat the field.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Path such as `spec.triggers[0].phrase`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// Why a request failed, for programs (`metav1.StatusReason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words are Kubernetes' own and say what they mean")]
pub enum Reason {
    AlreadyExists,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    InternalError,
    Invalid,
    MethodNotAllowed,
    NotAcceptable,
    NotFound,
    RequestEntityTooLarge,
    ServiceUnavailable,
    StorageReadOnly,
    Timeout,
    TooManyRequests,
    Unauthorized,
    UnsupportedMediaType,
}

impl Reason {
    /// Returns the HTTP status code that goes with the reason.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::AlreadyExists | Self::Conflict => 409,
            Self::Expired => 410,
            Self::RequestEntityTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid => 422,
            Self::TooManyRequests => 429,
            Self::InternalError => 500,
            Self::ServiceUnavailable => 503,
            Self::Timeout => 504,
            Self::StorageReadOnly => 507,
        }
    }
}

/// The names that messages about a resource need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceNames {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural resource name.
    pub plural: String,
    /// Kind.
    pub kind: String,
}

impl ResourceNames {
    /// Returns `plural.group`, or the plural alone for the core group.
    #[must_use]
    pub fn qualified_plural(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Returns `Kind.group`, or the kind alone for the core group.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        qualified(&self.kind, &self.group)
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

impl Status {
    /// Returns a failure with a message and nothing else.
    #[must_use]
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind: "Status".to_owned(),
            api_version: "v1".to_owned(),
            status: "Failure".to_owned(),
            message: message.into(),
            reason: Some(reason),
            code: reason.code(),
            ..Self::default()
        }
    }

    /// Returns the same answer with details that name an object of `resource`.
    #[must_use]
    pub fn about(mut self, resource: &ResourceNames, name: &str) -> Self {
        self.details = Some(StatusDetails {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.plural.clone(),
            ..self.details.unwrap_or_default()
        });
        self
    }

    /// Returns 404 for an object that is not there.
    #[must_use]
    pub fn not_found(resource: &ResourceNames, name: &str) -> Self {
        Self::failure(Reason::NotFound, format!("{} \"{name}\" not found", resource.qualified_plural()))
            .about(resource, name)
    }

    /// Returns 409 for a create over an existing object.
    #[must_use]
    pub fn already_exists(resource: &ResourceNames, name: &str) -> Self {
        Self::failure(Reason::AlreadyExists, format!("{} \"{name}\" already exists", resource.qualified_plural()))
            .about(resource, name)
    }

    /// Returns 409 for a lost race; `why` is a whole clause.
    #[must_use]
    pub fn conflict(resource: &ResourceNames, name: &str, why: &str) -> Self {
        Self::failure(
            Reason::Conflict,
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified_plural()),
        )
        .about(resource, name)
    }

    /// Returns 403 with Kubernetes' wording; `why` is a whole clause.
    #[must_use]
    pub fn forbidden(resource: &ResourceNames, name: &str, why: &str) -> Self {
        Self::failure(Reason::Forbidden, format!("{} \"{name}\" is forbidden: {why}", resource.qualified_plural()))
            .about(resource, name)
    }

    /// Returns 422 with every cause; the message repeats them as Kubernetes does.
    #[must_use]
    pub fn invalid(resource: &ResourceNames, name: &str, causes: Vec<StatusCause>) -> Self {
        let lines: Vec<String> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let text = match lines.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let mut status =
            Self::failure(Reason::Invalid, format!("{} \"{name}\" is invalid: {text}", resource.qualified_kind()));
        status.details = Some(StatusDetails {
            name: name.to_owned(),
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            causes,
            ..StatusDetails::default()
        });
        status
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Status {}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
