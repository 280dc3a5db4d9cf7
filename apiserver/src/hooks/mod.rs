//! `POST /hooks/NAMESPACE/REPOSITORY`: the doorbell that forges ring.
//!
//! Whoever rings shows that they know the Repository's webhook secret: an HMAC-SHA256 over the very bytes of the body, as
//! Gitea and Forgejo send it. The body is not even parsed: a ring makes the Repository ask its forge at once, and
//! nothing else. Without a secret there is no doorbell: the answer is the one of a path that leads nowhere.
//!
//! A delivery that was seen before (the same id, or the same signature whatever its id) does not ring again within a day,
//! restarts or not.

mod seen;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::repository::{Repository, WebhookMode};
use api_types::status::{Reason, Status};
use aws_lc_rs::hmac;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use http_body_util::Limited;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::answer::{self, Answer};
use crate::api::Api;
use crate::authentication::{Peer, User};
use crate::negotiation::Negotiated;
use crate::query::Query;
use crate::request::RequestInfo;
use seen::Seen;

/// The shape of a doorbell's path.
pub const SHAPE: &str = "/hooks/NAMESPACE/NAME";
/// Most bytes of a delivery.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a delivery is known.
const REPLAY_WINDOW: SignedDuration = SignedDuration::from_hours(24);
/// Most deliveries that are known at once.
const SEEN_MAX: usize = 8192;
/// Most bytes of a delivery's id.
const ID_BYTES_MAX: usize = 128;
/// Headers with a signature, in the order in which they are looked at, and what stands before it.
const SIGNATURES: [(&str, &str); 3] =
    [("x-forgejo-signature", ""), ("x-gitea-signature", ""), ("x-hub-signature-256", "sha256=")];
/// Headers with the id of a delivery.
const IDS: [&str; 3] = ["x-forgejo-delivery", "x-gitea-delivery", "x-github-delivery"];
/// What is behind the name of the key with the secret that was valid before, while it is being replaced.
const PREVIOUS: &str = "-previous";

/// Somebody who is told that the bell of a Repository rang.
pub trait Doorbell: Send + Sync {
    /// Rings for a Repository. Returns at once.
    fn ring(&self, namespace: &str, repository: &str);
}

/// The doorbells of all Repositories.
pub(crate) struct Hooks {
    bell: Option<Arc<dyn Doorbell>>,
    seen: Seen,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { bell: None, seen: Seen::new(SEEN_MAX, REPLAY_WINDOW) }
    }
}

impl Hooks {
    /// Returns doorbells that ring `bell`, and keep in `file` which deliveries they have seen.
    pub(crate) fn with_bell(bell: Arc<dyn Doorbell>, file: &Path, now: Timestamp) -> Self {
        Self { bell: Some(bell), seen: Seen::kept_in(file, SEEN_MAX, REPLAY_WINDOW, now) }
    }
}

/// Returns namespace and name if a request is for a doorbell.
pub(crate) fn target<'a>(method: &Method, path: &'a str) -> Option<(&'a str, &'a str)> {
    if method != Method::POST {
        return None;
    }
    let (namespace, name) = path.strip_prefix("/hooks/")?.split_once('/')?;
    let is_plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 253
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
    };
    (is_plain(namespace) && is_plain(name)).then_some((namespace, name))
}

/// Answers a delivery. What it is allowed to is shown by its signature, and by nothing else.
pub(crate) async fn answer(
    api: &Api,
    parts: &http::request::Parts,
    body: Body,
    info: &Arc<RequestInfo>,
    audit_id: &str,
    target: (&str, &str),
) -> Answer {
    let stranger = Arc::new(User::anonymous());
    let record = parts
        .extensions
        .get::<Arc<Peer>>()
        .map(|peer| api.access.audit.begin(audit_id, info, parts.uri.query(), Some(&stranger), peer, &parts.headers));
    let result = match api.access.limits.admit(&stranger, info, Instant::now()) {
        Ok(_permit) => deliver(api, &parts.headers, body, target).await,
        Err(status) => Err(status),
    };
    match result {
        Ok(status) => {
            if let Some(record) = record {
                record.finish(status.as_u16(), None);
            }
            let mut answer = Answer::new(Body::empty());
            *answer.status_mut() = status;
            answer
        }
        Err(status) => {
            if let Some(record) = record {
                record.fail(&status);
            }
            answer::refusal(&status, &Negotiated::fallback(&parts.headers, &Query::parse(parts.uri.query())))
        }
    }
}

async fn deliver(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    (namespace, name): (&str, &str),
) -> Result<StatusCode, Status> {
    let too_large = || {
        let message = format!("a delivery has at most {BODY_BYTES_MAX} bytes");
        Status::failure(Reason::RequestEntityTooLarge, message)
    };
    let secrets = secrets(api, namespace, name);
    let Some(bell) = api.hooks.bell.as_ref().filter(|_| !secrets.is_empty()) else {
        return Err(Status::failure(Reason::NotFound, "there is no webhook here"));
    };
    let signature = signature(headers).ok_or_else(|| refused("the delivery is not signed"))?;
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let body = api.access.limits.read_body(Limited::new(body, BODY_BYTES_MAX)).await?;
    // Every secret is tried, so that the time tells nothing about which one it was.
    let holds = secrets.iter().fold(false, |holds, secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::verify(&key, &body.bytes, &signature).is_ok() | holds
    });
    if !holds {
        return Err(refused("the signature does not hold: the secret here is another one than the forge's"));
    }
    let place = format!("{namespace}/{name}");
    let id = IDS.iter().find_map(|header| headers.get(*header)?.to_str().ok()).filter(|id| id.len() <= ID_BYTES_MAX);
    let mut marks = vec![format!("{place}\n{}", HEXLOWER.encode(&signature))];
    marks.extend(id.map(|id| format!("{place}\nid {id}")));
    if api.hooks.seen.is_known(&marks, api.clock.now()) {
        return Ok(StatusCode::OK);
    }
    bell.ring(namespace, name);
    Ok(StatusCode::ACCEPTED)
}

fn refused(message: &str) -> Status {
    Status::failure(Reason::Forbidden, message)
}

/// Returns the secrets with which a Repository's deliveries may be signed; none when its doorbell is off.
fn secrets(api: &Api, namespace: &str, name: &str) -> Vec<Vec<u8>> {
    let registry = api.store.registry();
    let key = format!("{namespace}/{name}");
    let found = registry.get(&Repository::resource()).and_then(|resource| api.store.get(resource, &key));
    let Some(object) = found.and_then(|found| Object::<Repository>::from_value(&found.value()).ok()) else {
        return Vec::new();
    };
    if object.spec.suspend || object.is_being_deleted() {
        return Vec::new();
    }
    let webhook = object.spec.webhook.filter(|webhook| webhook.mode == WebhookMode::Optional);
    let Some(reference) = webhook.and_then(|webhook| webhook.secret_ref) else { return Vec::new() };
    let key = format!("{namespace}/{}", reference.name);
    let secret = registry.get("secrets").and_then(|resource| api.store.get(resource, &key));
    let Some(data) = secret.and_then(|secret| secret.value()["data"].as_object().cloned()) else { return Vec::new() };
    let of = |value: Option<&Value>| value.and_then(|value| STANDARD.decode(value.as_str()?).ok());
    let values = match &reference.key {
        Some(key) => vec![of(data.get(key)), of(data.get(&format!("{key}{PREVIOUS}")))],
        None if data.len() == 1 => vec![of(data.values().next())],
        None => Vec::new(),
    };
    values.into_iter().flatten().map(|value| value.trim_ascii().to_vec()).filter(|value| !value.is_empty()).collect()
}

/// Returns the signature that a delivery carries, if it is a whole one.
pub(crate) fn signature(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (value, before) =
        SIGNATURES.iter().find_map(|(name, before)| Some((headers.get(*name)?.to_str().ok()?, before)))?;
    let digits = value.trim().strip_prefix(before)?.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    HEXLOWER_PERMISSIVE.decode(digits).ok()
}
