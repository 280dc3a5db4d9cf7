//! PUT: replace an object, or one part of it.

use store::request::Part;

use super::create::read_object;
use super::{VerbResult, check_include, object_answer, write_options};
use crate::api::Call;
use crate::query::OptionsKind;
use crate::served::Served;

/// Replaces the object with the one in the body and answers with it.
pub(crate) async fn update(call: &mut Call, served: &Served, part: Part) -> VerbResult {
    check_include(call)?;
    let options = write_options(call, OptionsKind::Update)?;
    let body = read_object(call, served).await?;
    let written = call.api.store.update(&call.target(served), part, body, &options).await?;
    object_answer(call, served, 200, &written.object, &written.warnings)
}
