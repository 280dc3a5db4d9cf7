//! `TokenReview` and `SelfSubjectReview`: telling others, or oneself, who somebody is.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Authenticator, User};

/// The one audience of all our tokens: the name that Kubernetes' clients take for "the API server".
const AUDIENCE: &str = "https://kubernetes.default.svc";

/// Returns the `status` of a `TokenReview` with this `spec`.
#[must_use]
pub fn token_review_status(authenticator: &Authenticator, spec: &Value) -> Value {
    let token = spec["token"].as_str().unwrap_or_default();
    match authenticator.review(token) {
        Some(user) => json!({"authenticated": true, "user": UserInfo::of(&user), "audiences": [AUDIENCE]}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}

/// Returns the `status` of a `SelfSubjectReview`.
#[must_use]
pub fn self_subject_review_status(user: &User) -> Value {
    json!({"userInfo": UserInfo::of(user)})
}

/// `authentication.k8s.io/v1` `UserInfo`; empty parts are left out.
#[derive(Default, Serialize)]
pub struct UserInfo<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    username: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    uid: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    groups: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a BTreeMap<String, Vec<String>>>,
}

impl<'a> UserInfo<'a> {
    /// Tells who `user` is.
    #[must_use]
    pub fn of(user: &'a User) -> Self {
        let extra = Some(&user.extra).filter(|extra| !extra.is_empty());
        Self { username: &user.name, uid: &user.uid, groups: &user.groups, extra }
    }
}
