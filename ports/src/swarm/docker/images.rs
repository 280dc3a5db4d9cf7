//! Images and registries.

use std::sync::Arc;

use futures::TryStreamExt as _;
use serde_json::json;

use super::client::{Client, Request};
use super::refusal::{CallError, Refusal, removal};
use super::streams::{Pieces, documents};
use super::wire::{RawContainer, RawDistribution, RawImage, RawProgress};
use crate::error::Error;
use crate::swarm::{RegistryAuth, Removal};

/// Returns an image; `None` when the node does not have it.
pub(super) async fn inspect(client: &Client, reference: &str) -> Result<Option<RawImage>, Error> {
    match client.json::<RawImage>(&Request::get(&format!("/images/{reference}/json"))).await {
        Ok(image) => Ok(Some(image)),
        Err(CallError::Refused(refusal)) if refusal.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Splits a reference into the repository and its tag or digest. (Without one the engine would pull every tag.)
pub(super) fn split(reference: &str) -> (&str, &str) {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let after_slash = name.rfind('/').map_or(0, |at| at + 1);
    let (repository, tag) = match name[after_slash..].rfind(':') {
        Some(at) => (&name[..after_slash + at], &name[after_slash + at + 1..]),
        None => (name, "latest"),
    };
    (repository, digest.unwrap_or(tag))
}

/// Pulls an image.
pub(super) async fn pull(client: &Arc<Client>, reference: &str, auth: Option<&RegistryAuth>) -> Result<(), Error> {
    let (repository, tag) = split(reference);
    let request = Request::post("/images/create").query("fromImage", repository).query("tag", tag).auth(auth);
    let response = match client.open(&request).await {
        Ok(response) => response,
        Err(CallError::Refused(refusal)) => return Err(pull_failed(reference, &refusal)),
        Err(error) => return Err(error.into()),
    };
    let pieces = Pieces::new(response.into_body(), client.clone());
    let progress = documents::<RawProgress>(pieces);
    // The status was sent before the work began: what fails later stands in the messages.
    let failed = progress.try_fold(None, async |failed, message| Ok(message.error.or(failed))).await?;
    match failed {
        None => Ok(()),
        Some(message) => Err(pull_failed(reference, &Refusal { status: 500, message })),
    }
}

/// Returns what it means that an image could not be pulled.
pub(super) fn pull_failed(reference: &str, refusal: &Refusal) -> Error {
    let message = format!("{reference} cannot be pulled: {}", refusal.message);
    let is_limited = ["toomanyrequests", "too many requests", "rate limit"];
    if refusal.status == 429 || is_limited.iter().any(|words| refusal.says(words)) {
        return Error::retryable("RateLimited", message);
    }
    let is_unreachable =
        ["no such host", "connection refused", "timeout", "unreachable", "EOF", "reset by peer", "deadline", "x509"];
    if is_unreachable.iter().any(|words| refusal.says(words)) {
        return Error::retryable("RegistryUnreachable", message);
    }
    let is_missing =
        ["not found", "manifest unknown", "denied", "unauthorized", "no basic auth", "authentication required"];
    if refusal.status == 404 || is_missing.iter().any(|words| refusal.says(words)) {
        return Error::terminal("ImageNotFound", format!("{message} (it is missing, or nobody may read it)"));
    }
    match refusal.status {
        400..=499 => Error::terminal("ImageNotFound", message),
        _ => Error::retryable("RegistryUnreachable", message),
    }
}

/// Returns the digest that a registry has for a reference.
pub(super) async fn resolve_digest(
    client: &Client,
    reference: &str,
    auth: Option<&RegistryAuth>,
) -> Result<Option<String>, Error> {
    let request = Request::get(&format!("/distribution/{reference}/json")).auth(auth);
    match client.json::<RawDistribution>(&request).await {
        Ok(answer) => Ok(Some(answer.descriptor.digest).filter(|digest| !digest.is_empty())),
        Err(CallError::Refused(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Removes an image with all its names, unless a container uses it.
pub(super) async fn remove(client: &Client, id: &str) -> Result<Removal, Error> {
    let request = Request::get("/containers/json").query("all", "1");
    let users: Vec<RawContainer> =
        client.json(&request.query("filters", &json!({"ancestor": [id]}).to_string())).await?;
    if !users.is_empty() {
        return Ok(Removal::InUse(format!("{} containers use the image", users.len())));
    }
    let Some(image) = inspect(client, id).await? else { return Ok(Removal::Gone) };
    // The engine does not remove an image by its id while it has several names.
    let names: Vec<String> = image.repo_tags.into_iter().chain(image.repo_digests).collect();
    for name in names.iter().filter(|name| !name.starts_with("<none>")) {
        if let Removal::InUse(why) = removal(client.call(&Request::delete(&format!("/images/{name}"))).await)? {
            return Ok(Removal::InUse(why));
        }
    }
    match client.call(&Request::delete(&format!("/images/{id}"))).await {
        // Another image was made of it.
        Err(CallError::Refused(refusal)) if refusal.status == 409 => Ok(Removal::InUse(refusal.message)),
        result => removal(result),
    }
}
