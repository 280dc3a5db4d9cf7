//! `TokenReview` and `SelfSubjectReview`: telling others, or oneself, who somebody is.

use serde_json::{Value, json};

use super::{Authenticator, User};

/// The one audience of all our tokens: the name that Kubernetes' clients take for "the API server".
const AUDIENCE: &str = "https://kubernetes.default.svc";

/// Returns the `status` of a `TokenReview` with this `spec`.
#[must_use]
pub fn token_review_status(authenticator: &Authenticator, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    match authenticator.review(token) {
        Some(user) => json!({"authenticated": true, "user": user_info(&user), "audiences": [AUDIENCE]}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

/// Returns the `status` of a `SelfSubjectReview`.
#[must_use]
pub fn self_subject_review_status(user: &User) -> Value {
    json!({"userInfo": user_info(user)})
}

/// Returns `authentication.k8s.io/v1` `UserInfo`; empty parts are left out.
#[must_use]
pub fn user_info(user: &User) -> Value {
    let mut info = serde_json::Map::new();
    info.insert("username".to_owned(), json!(user.name));
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), json!(user.uid));
    }
    if !user.groups.is_empty() {
        info.insert("groups".to_owned(), json!(user.groups));
    }
    if !user.extra.is_empty() {
        info.insert("extra".to_owned(), json!(user.extra));
    }
    Value::Object(info)
}
