//! Keeps the cache current for one resource: list, watch, and list again when the history of the watch is gone.

use std::sync::Arc;
use std::time::Duration;

use api_types::status::{Reason, Status};

use super::cache::{Cache, Difference};
use super::guards::{Guard, Guards};
use super::objects::Objects;

/// The pause after a list or a watch that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A list that takes longer is given up and begun again.
const LIST_TIME_MAX: Duration = Duration::from_secs(30);

/// Told of every difference, in order.
pub type Sink = Arc<dyn Fn(&Difference) + Send + Sync>;

/// Feeds the cache of one resource.
pub struct Informer {
    /// The resource.
    pub resource: Arc<str>,
    /// Where objects come from.
    pub objects: Arc<dyn Objects>,
    /// Where they go.
    pub cache: Arc<Cache>,
    /// Who is told.
    pub sink: Sink,
    /// Which guards are up.
    pub guards: Guards,
}

impl Informer {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut relist = true;
        let mut revision = 0;
        loop {
            if relist {
                match self.list().await {
                    Ok(listed) => revision = listed,
                    Err(status) => {
                        tracing::warn!(resource = &*self.resource, error = %status, "cannot list, trying again");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
            let status = self.watch(&mut revision).await;
            relist = status.reason != Some(Reason::ServiceUnavailable);
            if status.reason == Some(Reason::Expired) {
                tracing::info!(resource = &*self.resource, revision, "the watch fell behind, listing again");
                if !self.guards.has(Guard::RelistOnGone)
                    && let Ok(listing) = self.objects.list(&self.resource, None).await
                {
                    relist = false;
                    revision = listing.revision;
                }
            } else {
                tracing::warn!(resource = &*self.resource, error = %status, "the watch ended, watching again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn list(&self) -> Result<u64, Status> {
        let listing = tokio::time::timeout(LIST_TIME_MAX, self.objects.list(&self.resource, None))
            .await
            .map_err(|_| Status::failure(Reason::Timeout, "the list took too long"))??;
        for difference in self.cache.replace(&self.resource, &listing) {
            (self.sink)(&difference);
        }
        Ok(listing.revision)
    }

    /// Follows the watch until it ends and returns why.
    async fn watch(&self, revision: &mut u64) -> Status {
        let mut watch = match self.objects.watch(&self.resource, *revision).await {
            Ok(watch) => watch,
            Err(status) => return status,
        };
        loop {
            match watch.next().await {
                Ok(changes) => {
                    for change in &changes {
                        *revision = (*revision).max(change.object().revision);
                        if let Some(difference) = self.cache.apply(change) {
                            (self.sink)(&difference);
                        }
                    }
                }
                Err(status) => return status,
            }
        }
    }
}
