//! DELETE of a collection: everything that matches, many at a time.

use api_types::status::{Reason, Status};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use store::request::{DeleteOptions, Target};
use store::store::Store;

use super::delete::read_options;
use super::list::list_request;
use super::versions::list_match;
use super::{VerbResult, check_include, rendering};
use crate::answer::document;
use crate::api::Call;
use crate::served::Served;

/// Deletions that wait for the disk together: they share one sync.
const AT_ONCE: usize = 256;

/// Deletes every object that matches and answers with the list of them as they were.
pub(crate) async fn delete_collection(call: &mut Call, served: &Served) -> VerbResult {
    check_include(call)?;
    let options = read_options(call).await?;
    let request = list_request(call, served, list_match(&call.query)?)?;
    let list = call.api.store.list(&request)?;
    // Owned futures: the compiler cannot prove a borrowing stream to be movable between threads.
    let deletions: Vec<_> = list
        .objects
        .iter()
        .map(|object| {
            let target = Target {
                namespace: object.namespace().to_owned(),
                name: object.name().to_owned(),
                ..call.target(served)
            };
            delete_one(call.api.store.clone(), target, options.clone())
        })
        .collect();
    stream::iter(deletions).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    let whole: Vec<u8> = rendering(call, served)?.list(list).flatten().collect();
    Ok(document(200, whole.into(), &call.negotiated))
}

/// Deletes one of the objects; that somebody else was faster is no error.
async fn delete_one(store: Store, target: Target, options: DeleteOptions) -> Result<(), Status> {
    match store.delete(&target, &options).await {
        Ok(_) => Ok(()),
        Err(status) if status.reason == Some(Reason::NotFound) => Ok(()),
        Err(status) => Err(status),
    }
}
