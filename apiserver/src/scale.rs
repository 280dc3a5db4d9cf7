//! `/scale`: two numbers and a selector of any kind that declares where they stand, as `autoscaling/v1` `Scale`.

use api_types::definition::ScaleSubresource;
use api_types::jsonpath::JsonPath;
use api_types::status::{Reason, Status, StatusCause};
use serde_json::{Map, Value, json};
use store::object::Object;
use store::request::{Body, Part, Patch};
use store::write::Force;

use crate::answer::document;
use crate::api::Call;
use crate::body::{decode_object, decode_patch, off_the_runtime};
use crate::negotiation::{BodyType, PatchType};
use crate::query::OptionsKind;
use crate::served::Served;
use crate::verbs::patch::{check_patch_options, check_shape, read_apply};
use crate::verbs::{VerbResult, write_options};

/// Where the numbers stand, ready to be used.
#[derive(Clone)]
struct Paths {
    spec: Vec<String>,
    status: Option<JsonPath>,
    selector: Option<JsonPath>,
}

impl Paths {
    fn of(served: &Served) -> Result<Self, Status> {
        let declared = served.version().subresources.scale.clone().unwrap_or_default();
        let ScaleSubresource { spec_replicas_path, status_replicas_path, label_selector_path } = declared;
        let spec = JsonPath::parse(&spec_replicas_path).ok();
        let members = spec.as_ref().and_then(JsonPath::members).filter(|members| !members.is_empty());
        let spec = members.map(|members| members.into_iter().map(str::to_owned).collect()).ok_or_else(|| {
            let message = format!("scale of {} has no usable specReplicasPath", served.resource.key);
            Status::failure(Reason::InternalError, message)
        })?;
        let parse = |path: &str| JsonPath::parse(path).ok();
        Ok(Self {
            spec,
            status: parse(&status_replicas_path),
            selector: label_selector_path.as_deref().and_then(parse),
        })
    }

    /// Returns the Scale of an object.
    fn scale_of(&self, object: &Value) -> Value {
        let metadata = &object["metadata"];
        let mut kept = Map::new();
        for name in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = metadata.get(name) {
                kept.insert(name.to_owned(), value.clone());
            }
        }
        let spec = self.spec.iter().try_fold(object, |value, name| value.get(name)).cloned().unwrap_or(json!(0));
        let at = |path: &Option<JsonPath>| path.as_ref().and_then(|path| path.first(object)).cloned();
        let mut status = json!({"replicas": at(&self.status).unwrap_or(json!(0))});
        if let Some(selector) = at(&self.selector) {
            status["selector"] = selector;
        }
        json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": kept,
            "spec": {"replicas": spec}, "status": status,
        })
    }

    /// Writes the wanted number into an object.
    fn set(&self, object: &mut Value, replicas: Value) {
        let mut place = object;
        for name in &self.spec {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[name.as_str()];
        }
        *place = replicas;
    }
}

/// Answers with the Scale of an object.
pub(crate) fn get(call: &mut Call, served: &Served) -> VerbResult {
    let paths = Paths::of(served)?;
    let target = call.target(served);
    let object = call
        .api
        .store
        .get(&served.resource, &target.key())
        .ok_or_else(|| Status::not_found(served.names(), &target.name))?;
    answer(call, &paths, 200, &object, &[])
}

/// Replaces the Scale.
pub(crate) async fn update(call: &mut Call, served: &Served) -> VerbResult {
    let paths = Paths::of(served)?;
    let options = write_options(call, OptionsKind::Update)?;
    let Body { value, .. } = {
        let body_type = BodyType::of(call.headers())?;
        off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, "Scale")).await?
    };
    let replicas = wanted(served, &value)?;
    let version = value["metadata"]["resourceVersion"].clone();
    let patch = Patch::Function(Box::new({
        let paths = paths.clone();
        move |object: &Value| {
            let mut next = object.clone();
            paths.set(&mut next, replicas.clone());
            if version.is_string() {
                next["metadata"]["resourceVersion"] = version.clone();
            }
            Ok(next)
        }
    }));
    let written = call.api.store.patch(&call.target(served), Part::Scale, &patch, &options).await?;
    answer(call, &paths, 200, &written.object, &written.warnings)
}

/// Changes the Scale.
pub(crate) async fn patch(call: &mut Call, served: &Served) -> VerbResult {
    let patch_type = PatchType::of(call.headers(), served.is_built_in())?;
    check_patch_options(call, patch_type)?;
    let paths = Paths::of(served)?;
    let options = write_options(call, OptionsKind::Patch)?;
    let target = call.target(served);
    if patch_type == PatchType::Apply {
        let body = read_apply(call).await?;
        let force = if call.query.flag("force") { Force::Yes } else { Force::No };
        let mut object = json!({
            "apiVersion": served.api_version(), "kind": served.names().kind, "metadata": body.value["metadata"],
        });
        paths.set(&mut object, wanted(served, &body.value)?);
        let written = call.api.store.apply(&target, Part::Scale, object.into(), &options, force).await?;
        return answer(call, &paths, 200, &written.object, &written.warnings);
    }
    let document = off_the_runtime(call.body_bytes(), decode_patch).await?;
    check_shape(&document, patch_type)?;
    let names = served.clone();
    let function = {
        let paths = paths.clone();
        move |object: &Value| {
            let scale = paths.scale_of(object);
            let patched = match patch_type {
                PatchType::Json => store::patch::json_patch(&scale, &document)?,
                _ => store::patch::merge_patch(&scale, &document),
            };
            let mut next = object.clone();
            paths.set(&mut next, wanted(&names, &patched)?);
            next["metadata"]["resourceVersion"] = patched["metadata"]["resourceVersion"].clone();
            Ok(next)
        }
    };
    let written = call.api.store.patch(&target, Part::Scale, &Patch::Function(Box::new(function)), &options).await?;
    answer(call, &paths, 200, &written.object, &written.warnings)
}

fn answer(call: &mut Call, paths: &Paths, code: u16, object: &Object, warnings: &[String]) -> VerbResult {
    call.note_object(object);
    let json = paths.scale_of(&object.value()).to_string();
    let mut answer = document(code, json.into(), &call.negotiated);
    crate::answer::warn(&mut answer, warnings);
    Ok(answer)
}

/// Returns the number that a Scale asks for.
fn wanted(served: &Served, scale: &Value) -> Result<Value, Status> {
    match &scale["spec"]["replicas"] {
        Value::Null => Ok(json!(0)),
        number if number.is_i64() => Ok(number.clone()),
        other => {
            let cause = StatusCause {
                reason: "FieldValueInvalid".to_owned(),
                message: format!("Invalid value: {other}: should be an integer"),
                field: "spec.replicas".to_owned(),
            };
            let name = scale["metadata"]["name"].as_str().unwrap_or_default();
            Err(Status::invalid(served.names(), name, vec![cause]))
        }
    }
}
