//! What converging an app would do, asked without anything being done: `POST BASE/apps/NAME/plan`.
//!
//! The body is an `AppPlan` whose `spec.objects` are objects as they would be applied, the App among them or in the store;
//! the answer has what follows in `status`. How that is found out is the daemon's business: it plugs in a [`Planner`].

use api_types::meta::{GROUP, VERSION};
use api_types::plan::AppPlanStatus;
use api_types::status::{Reason, Status};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::answer::document;
use crate::api::Call;
use crate::body::{decode_object, off_the_runtime};
use crate::negotiation::BodyType;
use crate::query::OptionsKind;
use crate::served::Served;
use crate::verbs::VerbResult;

/// The subresource.
pub(crate) const SUBRESOURCE: &str = "plan";
/// The kind of question and answer.
pub(crate) const KIND: &str = "AppPlan";
/// Most objects of a question.
const OBJECTS_MAX: usize = 1000;

/// Which App is asked about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanRequest {
    /// Namespace of the App.
    pub namespace: String,
    /// Name of the App; it need not be there yet.
    pub name: String,
    /// Objects as they would be applied.
    pub objects: Vec<Value>,
}

/// Says what converging an App would do.
pub trait Planner: Send + Sync {
    /// Returns what would be done. Changes nothing.
    ///
    /// # Errors
    /// `NotFound` when neither the objects nor the store have the App, `BadRequest` for objects that cannot be read,
    /// `Timeout` when a repository or an engine takes too long.
    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<AppPlanStatus, Status>>;
}

/// A planner of a server that runs no apps.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPlans;

impl Planner for NoPlans {
    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<AppPlanStatus, Status>> {
        let message = format!("app {:?} has no plan: this server runs no apps", request.name);
        Box::pin(async { Err(Status::failure(Reason::NotFound, message)) })
    }
}

/// Answers what converging an App would do.
pub(crate) async fn answer(call: &Call, served: &Served) -> VerbResult {
    call.query.write_options(OptionsKind::Create, "")?;
    let body_type = BodyType::of(call.headers())?;
    let body = off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, KIND)).await?;
    let target = call.target(served);
    let objects = objects(body.value)?;
    let request = PlanRequest { namespace: target.namespace.clone(), name: target.name.clone(), objects };
    let status = call.api.planner.plan(request).await?;
    let answer = json!({
        "kind": KIND,
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "metadata": {"name": target.name, "namespace": target.namespace},
        "status": status,
    });
    Ok(document(201, answer.to_string().into(), &call.negotiated))
}

fn objects(mut body: Value) -> Result<Vec<Value>, Status> {
    let bad = |message: &str| Status::failure(Reason::BadRequest, format!("{KIND}: {message}"));
    if body["kind"].as_str().is_some_and(|kind| kind != KIND) {
        return Err(bad("the body is of another kind"));
    }
    let objects = match body["spec"]["objects"].take() {
        Value::Null => Vec::new(),
        Value::Array(objects) => objects,
        _ => return Err(bad("spec.objects must be a list of objects")),
    };
    if objects.len() > OBJECTS_MAX {
        return Err(bad(&format!("spec.objects may have at most {OBJECTS_MAX} objects")));
    }
    if objects.iter().any(|object| !object.is_object()) {
        return Err(bad("spec.objects must be a list of objects"));
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_question_is_refused() {
        let many = vec![json!({}); OBJECTS_MAX + 1];
        let cases = [
            ("no spec", json!({}), Ok(0)),
            ("no objects", json!({"kind": KIND, "spec": {}}), Ok(0)),
            ("one", json!({"spec": {"objects": [{"kind": "App"}]}}), Ok(1)),
            ("another kind", json!({"kind": "App"}), Err("another kind")),
            ("no list", json!({"spec": {"objects": {}}}), Err("a list")),
            ("no objects in it", json!({"spec": {"objects": [1]}}), Err("a list")),
            ("too many", json!({"spec": {"objects": many}}), Err("at most")),
        ];
        for (name, body, expected) in cases {
            match (objects(body), expected) {
                (Ok(found), Ok(count)) => assert_eq!(found.len(), count, "{name}"),
                (Err(status), Err(words)) => assert!(status.message.contains(words), "{name}: {}", status.message),
                (found, _) => panic!("{name}: {found:?}"),
            }
        }
    }
}
