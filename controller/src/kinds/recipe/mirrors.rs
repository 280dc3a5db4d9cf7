//! [`MirrorKeeper`]: mirrors of repositories that no Recipe and no App names any more go.
//!
//! A mirror that is needed again is only fetched again, so nothing is lost by a mistake; but whoever changes a URL and
//! changes it back should not wait for that. A mirror goes when nobody has named its repository at two looks in a row.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use api_types::kind::Kind as _;
use api_types::kinds::app::App;
use api_types::kinds::recipe::Recipe;
use ports::git::{Git, RemoteUrl};

use crate::runtime::objects::Objects;
use crate::runtime::outcome::Failure;

/// How often mirrors are looked at.
const PERIOD: Duration = Duration::from_mins(30);

/// Lets mirrors go that nobody needs.
pub struct MirrorKeeper {
    objects: Arc<dyn Objects>,
    git: Arc<dyn Git>,
    /// What nobody needed at the last look.
    idle: BTreeSet<String>,
}

impl MirrorKeeper {
    /// Returns a keeper that has looked at nothing yet.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, git: Arc<dyn Git>) -> Self {
        Self { objects, git, idle: BTreeSet::new() }
    }

    /// Looks every half an hour until it is dropped.
    pub async fn run(mut self) {
        loop {
            if let Err(failure) = self.look().await {
                tracing::warn!(error = failure.message, "mirrors that nobody needs stay");
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// When the store or the disk does not answer.
    pub async fn look(&mut self) -> Result<(), Failure> {
        // The store is asked, and not the cache: one that is not filled yet names nothing.
        let mut named = Vec::new();
        for (resource, pointer) in [(Recipe::resource(), "/spec/source/url"), (App::resource(), "/spec/recipe/url")] {
            let objects = self.objects.list(&resource, None).await?.objects;
            let urls = objects.iter().filter_map(|object| object.value.pointer(pointer)?.as_str());
            named.extend(urls.filter_map(|url| RemoteUrl::new(url).ok()));
        }
        let idle: BTreeSet<String> = self.git.other_mirrors(&named).await?.into_iter().collect();
        for name in idle.intersection(&self.idle) {
            tracing::info!(mirror = name, "no Recipe and no App names this repository any more");
            self.git.forget_mirror(name).await?;
        }
        self.idle = idle;
        Ok(())
    }
}
