//! DELETE of one object.

use api_types::status::{Reason, Status};
use serde::Deserialize;
use serde_json::{Value, json};
use store::request::{DeleteOptions, DryRun, Outcome, Propagation};

use super::{VerbResult, object_answer};
use crate::answer::{document, warn};
use crate::api::Call;
use crate::body::{decode_json, decode_yaml, off_the_runtime, refusal};
use crate::negotiation::BodyType;
use crate::protobuf;
use crate::query::{OptionsKind, cause, dry_run, refuse};
use crate::served::Served;
use store::registry::NAMESPACES;

/// Deletes the object, or marks it for those who must clean up first.
pub(crate) async fn delete(call: &mut Call, served: &Served) -> VerbResult {
    let options = read_options(call).await?;
    let target = call.target(served);
    let written = call.api.store.delete(&target, &options).await?;
    let shows_object = written.outcome != Outcome::Deleted || &*served.resource.key == NAMESPACES;
    if shows_object {
        return object_answer(call, served, 200, &written.object, &written.warnings);
    }
    call.note_object(&written.object);
    let names = served.names();
    let mut details = json!({"name": target.name, "kind": names.plural, "uid": written.object.uid()});
    if !names.group.is_empty() {
        details["group"] = json!(names.group);
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    let mut answer = document(200, status.to_string().into(), &call.negotiated);
    warn(&mut answer, &written.warnings);
    Ok(answer)
}

/// The options as a client writes them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Document {
    kind: String,
    propagation_policy: Option<String>,
    orphan_dependents: Option<bool>,
    dry_run: Vec<String>,
    preconditions: Preconditions,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Preconditions {
    uid: Option<String>,
    resource_version: Option<String>,
}

/// Reads the options of a deletion, from the body or, without one, from the query.
///
/// # Errors
/// `Invalid` with every cause, `BadRequest`, `UnsupportedMediaType`.
pub(crate) async fn read_options(call: &Call) -> Result<DeleteOptions, Status> {
    let bytes = call.body_bytes();
    let document = if bytes.is_empty() {
        from_query(call)
    } else {
        let body_type = BodyType::of(call.headers())?;
        off_the_runtime(bytes, move |bytes| from_body(body_type, bytes)).await?
    };
    let mut causes = Vec::new();
    if let Some(policy) = &document.propagation_policy {
        if document.orphan_dependents.is_some() {
            let message =
                format!("Invalid value: {policy:?}: orphanDependents and deletionPropagation cannot be both set");
            causes.push(cause("FieldValueInvalid", "propagationPolicy", message));
        } else if propagation(policy).is_none() {
            let message = format!(
                "Unsupported value: {policy:?}: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\""
            );
            causes.push(cause("FieldValueNotSupported", "propagationPolicy", message));
        }
    }
    let query_dry_run = call.query.all("dryRun").filter(|value| !value.is_empty());
    let dry_run = match dry_run(document.dry_run.iter().map(String::as_str).chain(query_dry_run)) {
        Ok(dry_run) => dry_run,
        Err(cause) => {
            causes.push(cause);
            DryRun::No
        }
    };
    refuse(OptionsKind::Delete, causes)?;
    let by_flag =
        document.orphan_dependents.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background });
    Ok(DeleteOptions {
        propagation: document.propagation_policy.as_deref().and_then(propagation).or(by_flag),
        uid: document.preconditions.uid,
        resource_version: document.preconditions.resource_version,
        dry_run,
    })
}

fn propagation(policy: &str) -> Option<Propagation> {
    match policy {
        "Background" => Some(Propagation::Background),
        "Foreground" => Some(Propagation::Foreground),
        "Orphan" => Some(Propagation::Orphan),
        _ => None,
    }
}

fn from_query(call: &Call) -> Document {
    let policy = call.query.text("propagationPolicy");
    Document {
        propagation_policy: (!policy.is_empty()).then(|| policy.to_owned()),
        orphan_dependents: call.query.has("orphanDependents").then(|| call.query.flag("orphanDependents")),
        ..Document::default()
    }
}

/// Reads the options out of a body.
pub(crate) fn from_body(body_type: BodyType, bytes: &[u8]) -> Result<Document, Status> {
    let bad = |why: String| Status::failure(Reason::BadRequest, why);
    let value: Value = match body_type {
        BodyType::Json => {
            let decoded = decode_json(bytes)
                .map_err(|error| refusal(error, |why| format!("couldn't get version/kind; json parse error: {why}")))?;
            decoded.value
        }
        BodyType::Yaml => {
            decode_yaml(bytes).map_err(|error| refusal(error, |why| format!("yaml parse error: {why}")))?.value
        }
        BodyType::Protobuf => protobuf::decode(bytes).map_err(bad)?,
    };
    let document = Document::deserialize(&value).map_err(|error| bad(format!("DeleteOptions: {error}")))?;
    if !matches!(document.kind.as_str(), "" | "DeleteOptions") {
        return Err(bad(format!("the body must be of kind DeleteOptions, not {:?}", document.kind)));
    }
    Ok(document)
}
