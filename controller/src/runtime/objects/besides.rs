//! Objects that a reconciler writes besides its own kind, such as Secrets and runs: put there, and taken away. Whoever was
//! faster is seen by the next pass.

use api_types::status::{Reason, Status};
use serde_json::Value;

use super::{ObjectKey, Objects, StoredObject};
use crate::runtime::cache::Cache;
use crate::runtime::outcome::Failure;

/// Puts an object in the place of `before`, or makes it where nothing is. The cache has it at once.
///
/// # Errors
/// `Outdated` when somebody was faster; `what` is what they changed, as in "the Secret of the pair". Otherwise what the
/// store says.
pub async fn put(
    objects: &dyn Objects,
    cache: &Cache,
    key: &ObjectKey,
    before: Option<&StoredObject>,
    value: Value,
    what: &str,
) -> Result<(), Failure> {
    let written = match before {
        Some(_) => objects.update(key, value).await,
        None => objects.create(&key.resource, value).await,
    };
    match written {
        Ok(written) => {
            cache.put_own_write(&written);
            Ok(())
        }
        Err(status) if matches!(status.reason, Some(Reason::Conflict | Reason::NotFound | Reason::AlreadyExists)) => {
            Err(Failure::outdated(format!("{what} was changed during the pass")))
        }
        Err(status) => Err(status.into()),
    }
}

/// Takes one very object away; that it is gone, or that another has its name, is as good.
///
/// # Errors
/// What the store says besides.
pub async fn remove(objects: &dyn Objects, key: &ObjectKey, uid: &str) -> Result<(), Status> {
    match objects.delete(key, Some(uid)).await {
        Err(status) if matches!(status.reason, Some(Reason::NotFound | Reason::Conflict)) => Ok(()),
        other => other,
    }
}
