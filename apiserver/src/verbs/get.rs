//! GET of one object.

use api_types::status::Status;

use super::versions::{parse_version, wait_for};
use super::{VerbResult, check_include, object_answer};
use crate::api::Call;
use crate::served::Served;

/// Answers with the object as it is now, which is at least as new as any version the client has seen.
pub(crate) async fn get(call: &mut Call, served: &Served) -> VerbResult {
    check_include(call)?;
    if let Some(revision) = parse_version(call.query.text("resourceVersion"))? {
        wait_for(&call.api.store, revision).await?;
    }
    let target = call.target(served);
    let object = call
        .api
        .store
        .get(&served.resource, &target.key())
        .ok_or_else(|| Status::not_found(served.names(), &target.name))?;
    object_answer(call, served, 200, &object, &[])
}
