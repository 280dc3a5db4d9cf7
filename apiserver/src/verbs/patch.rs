//! PATCH: four ways to say what changes.

use api_types::status::{Reason, Status};
use serde_json::Value;
use store::request::{Outcome, Part, Patch, Veto, WriteOptions};
use store::write::Force;

use super::{VerbResult, check_include, object_answer, write_options};
use crate::api::Call;
use crate::body::{decode_patch, decode_yaml, off_the_runtime, refusal};
use crate::events;
use crate::negotiation::PatchType;
use crate::query::{OptionsKind, cause, refuse};
use crate::request::RequestInfo;
use crate::served::{Served, View};

/// Changes the object as the body says and answers with it.
pub(crate) async fn patch(call: &mut Call, served: &Served, part: Part) -> VerbResult {
    check_include(call)?;
    let patch_type = PatchType::of(call.headers(), served.is_built_in())?;
    check_patch_options(call, patch_type)?;
    let options = write_options(call, OptionsKind::Patch)?;
    if patch_type == PatchType::Apply {
        return apply(call, served, part).await;
    }
    let patch = read_patch(call, served, patch_type).await?;
    let written = call.api.store.patch(&call.target(served), part, &patch, &options).await?;
    object_answer(call, served, 200, &written.object, &written.warnings)
}

async fn apply(call: &mut Call, served: &Served, part: Part) -> VerbResult {
    let options = creating_needs_its_right(call, write_options(call, OptionsKind::Patch)?);
    let mut body = read_apply(call).await?;
    if served.view == View::NewEvent {
        body.value = events::to_core(std::mem::take(&mut body.value));
    }
    let target = call.target(served);
    let force = if call.query.flag("force") { Force::Yes } else { Force::No };
    let written = call.api.store.apply(&target, part, body, &options, force).await?;
    let code = if written.outcome == Outcome::Created { 201 } else { 200 };
    object_answer(call, served, code, &written.object, &written.warnings)
}

/// An apply that creates needs both rights. That is asked inside the write, where it is known whether it creates: the
/// object may go after anybody who looked before.
fn creating_needs_its_right(call: &Call, options: WriteOptions) -> WriteOptions {
    let (access, user) = (call.api.access.clone(), call.user.clone());
    let creates = RequestInfo { verb: "create".to_owned(), ..RequestInfo::clone(&call.info) };
    let before = options.veto.clone();
    let veto = Veto::new(move |next, present| {
        if present.is_none() {
            access.authorizer.require(&user, &creates)?;
        }
        before.as_ref().map_or(Ok(()), |before| before.check(next, present))
    });
    WriteOptions { veto: Some(veto), ..options }
}

/// Reads the body of a server-side apply, which is YAML and therefore also JSON.
pub(crate) async fn read_apply(call: &Call) -> Result<store::request::Body, Status> {
    let body = off_the_runtime(call.body_bytes(), decode_yaml)
        .await
        .map_err(|error| refusal(error, |why| format!("error decoding YAML: {why}")))?;
    // Without a kind there is nothing to look for a name in: the store says what is wrong then.
    if body.value["kind"].is_string() && body.value["metadata"]["name"].as_str().is_none_or(str::is_empty) {
        let name = &call.info.name;
        let message = format!("the name of the object ({name} based on URL) was undeterminable: name must be provided");
        return Err(Status::failure(Reason::BadRequest, message));
    }
    Ok(body)
}

/// Checks what only patches have.
pub(crate) fn check_patch_options(call: &Call, patch_type: PatchType) -> Result<(), Status> {
    let mut causes = Vec::new();
    if patch_type == PatchType::Apply {
        if call.query.text("fieldManager").is_empty() {
            causes.push(cause("FieldValueRequired", "fieldManager", "Required value: is required for apply patch"));
        }
    } else if call.query.has("force") {
        causes.push(cause("FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch"));
    }
    refuse(OptionsKind::Patch, causes)
}

/// Reads a patch that is no apply.
async fn read_patch(call: &Call, served: &Served, patch_type: PatchType) -> Result<Patch, Status> {
    let document = off_the_runtime(call.body_bytes(), decode_patch).await?;
    check_shape(&document, patch_type)?;
    if served.view == View::NewEvent {
        return Ok(new_event_patch(document, patch_type));
    }
    Ok(match patch_type {
        PatchType::Json => Patch::Json(document),
        PatchType::Strategic => Patch::Strategic(document),
        PatchType::Merge | PatchType::Apply => Patch::Merge(document),
    })
}

/// A JSON patch is a list, the others are maps.
pub(crate) fn check_shape(document: &Value, patch_type: PatchType) -> Result<(), Status> {
    let is_json_patch = patch_type == PatchType::Json;
    if (is_json_patch && document.is_array()) || (!is_json_patch && document.is_object()) {
        return Ok(());
    }
    let found = match document {
        Value::Null => return Ok(()),
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::String(_) => "string",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
    };
    let wanted = if is_json_patch { "[]handlers.jsonPatchOp" } else { "map[string]interface {}" };
    Err(Status::failure(
        Reason::BadRequest,
        format!("error decoding patch: json: cannot unmarshal {found} into Go value of type {wanted}"),
    ))
}

/// A patch that speaks of an Event in the names of `events.k8s.io`.
fn new_event_patch(document: Value, patch_type: PatchType) -> Patch {
    Patch::Function(Box::new(move |core| {
        let new = events::to_new(core.clone());
        let patched = match patch_type {
            PatchType::Json => store::patch::json_patch(&new, &document)?,
            // Events have no lists with merge keys: both merges are the same.
            PatchType::Merge | PatchType::Strategic | PatchType::Apply => store::patch::merge_patch(&new, &document),
        };
        Ok(events::to_core(patched))
    }))
}
