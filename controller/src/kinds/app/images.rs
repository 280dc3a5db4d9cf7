//! Images: which digest a tag is pinned to, and that the node has it before any task needs it.
//!
//! Pulling has a budget of its own, so that a slow registry is not taken for a slow app. What a registry does not know
//! and the node has (images that were built or imported here) is deployed as it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_types::kind::Object;
use api_types::kinds::app::App;
use api_types::reason;
use ports::error::{Error, ErrorKind};
use ports::swarm::registries::Registries;
use ports::swarm::{Engine, RegistryAuth, Service};

use super::deployer::Refusal;
use super::deployer::compare::pinned;
use super::deployer::decorate::hash;
use super::prepare::Prepared;
use crate::runtime::outcome::{Failure, TIMED_OUT, sentence};

/// The pause before a registry that had no time is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Returns the id of the operation that settles the images of a stack.
pub(super) fn operation_id(app: &Object<App>, prepared: &Prepared) -> String {
    // Other credentials are another try.
    let secrets = hash(prepared.wanted.pull_secrets.revision.as_bytes());
    format!("app/{}/pull/{}/{secrets}", app.metadata.uid, prepared.hash)
}

/// Returns the images that have to be settled before a deploy: those that do not run yet as the compose file says.
pub(super) fn to_settle<'a>(prepared: &'a Prepared, services: &[Service]) -> Vec<&'a str> {
    let mut images = Vec::new();
    for service in &prepared.wanted.stack.services {
        let live = services.iter().find(|live| live.spec.name == service.spec.name);
        let image = service.spec.task_template.container_spec.image.as_str();
        let runs = live.is_some_and(|live| {
            pinned(&service.spec, &live.spec).is_some() || live.spec.task_template.container_spec.image == image
        });
        if !runs && !images.contains(&image) {
            images.push(image);
        }
    }
    images
}

/// Finds the digests of images and pulls those that the node does not have. What could be settled is in `settled` even if
/// another could not.
///
/// # Errors
/// `Terminal` with `ImageNotFound`. Whatever may pass is tried again until the caller's time is over; `last` says what it
/// was.
pub(super) async fn settle(
    engine: &dyn Engine,
    images: &[String],
    registries: &Registries,
    settled: &Mutex<BTreeMap<String, String>>,
    last: &Mutex<String>,
) -> Result<(), Failure> {
    for image in images {
        loop {
            match settle_one(engine, image, registries.of_image(image)).await {
                Ok(found) => {
                    settled.lock().unwrap_or_else(PoisonError::into_inner).insert(image.clone(), found);
                    break;
                }
                Err(error) if error.kind == ErrorKind::Retryable => {
                    *last.lock().unwrap_or_else(PoisonError::into_inner) =
                        format!("{image}: {}", ports::error::chain(&error));
                    tokio::time::sleep(error.retry_after.unwrap_or(RETRY_PAUSE)).await;
                }
                Err(error) => {
                    let message = format!("the image {image} cannot be pulled: {}", ports::error::chain(&error));
                    return Err(Failure::new(error.kind, error.reason, message));
                }
            }
        }
    }
    Ok(())
}

/// Returns as what an image is deployed.
async fn settle_one(engine: &dyn Engine, image: &str, auth: Option<&RegistryAuth>) -> Result<String, Error> {
    if image.contains('@') {
        if !engine.has_image(image).await? {
            engine.pull_image(image, auth).await?;
        }
        return Ok(image.to_owned());
    }
    let digest = match engine.resolve_digest(image, auth).await {
        Ok(digest) => digest,
        // A registry that is away does not keep us from what is here.
        Err(error) => {
            if engine.has_image(image).await? {
                return Ok(image.to_owned());
            }
            return Err(error);
        }
    };
    let Some(digest) = digest else {
        if !engine.has_image(image).await? {
            engine.pull_image(image, auth).await?;
        }
        return Ok(image.to_owned());
    };
    let pinned = format!("{image}@{digest}");
    if !engine.has_image(&pinned).await? {
        engine.pull_image(&pinned, auth).await?;
    }
    Ok(pinned)
}

/// Returns what a person is told when images cannot be had. An engine that was away for a moment says nothing about
/// them: `None`, and they are asked for again.
pub(super) fn refusal(failure: &Failure, prepared: &Prepared) -> Option<Refusal> {
    if failure.kind == ErrorKind::Retryable && failure.reason != TIMED_OUT {
        return None;
    }
    let reason = match failure.reason.as_str() {
        "ImageNotFound" => reason::IMAGE_NOT_FOUND,
        TIMED_OUT => reason::PULL_TIMEOUT,
        _ => reason::DEPLOY_FAILED,
    };
    let message = if reason == reason::PULL_TIMEOUT {
        let last = prepared.last_pull_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let last = if last.is_empty() { String::new() } else { format!(" Last: {}", sentence(&last)) };
        format!(
            "The images could not be pulled within {} s: raise `timeouts.pull` of the Recipe, or see whether the registry \
             is slow.{last}",
            prepared.pull_timeout.as_secs()
        )
    } else {
        sentence(&failure.message)
    };
    Some(Refusal { reason, message })
}

/// What is shared between an operation and those who look at it.
pub(super) type LastError = Arc<Mutex<String>>;
