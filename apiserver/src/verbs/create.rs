//! POST: create an object.

use api_types::status::Status;
use store::request::{Body, Target};

use super::{VerbResult, check_include, object_answer, write_options};
use crate::api::Call;
use crate::body::{decode_object, off_the_runtime};
use crate::events;
use crate::negotiation::BodyType;
use crate::query::OptionsKind;
use crate::served::{Served, View};

/// Creates the object in the body and answers with it.
pub(crate) async fn create(call: &mut Call, served: &Served) -> VerbResult {
    check_include(call)?;
    let options = write_options(call, OptionsKind::Create)?;
    let body = read_object(call, served).await?;
    let target = Target { name: String::new(), ..call.target(served) };
    let written = call.api.store.create(&target, body, &options).await?;
    object_answer(call, served, 201, &written.object, &written.warnings)
}

/// Reads the body of a create or update as it is stored.
///
/// # Errors
/// `UnsupportedMediaType`, `BadRequest`, `RequestEntityTooLarge`.
pub(crate) async fn read_object(call: &Call, served: &Served) -> Result<Body, Status> {
    let body_type = BodyType::of(call.headers())?;
    let kind = served.names().kind.clone();
    let mut body = off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, &kind)).await?;
    if served.view == View::NewEvent {
        body.value = events::to_core(std::mem::take(&mut body.value));
    }
    Ok(body)
}
