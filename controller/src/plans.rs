//! [`Plans`]: what converging an App would do, for the API, over a copy of what reconcilers know in which what would be
//! applied has been applied already.

use std::sync::Arc;
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::certificate::Certificate;
use api_types::kinds::recipe::Recipe;
use api_types::plan::AppPlanStatus;
use api_types::status::{Reason, Status};
use apiserver::plans::{PlanRequest, Planner};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ports::error::ErrorKind;
use ports::redact::Redactor;
use serde::Deserialize as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::kinds::app::Apps;
use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::controller::Shared;
use crate::runtime::objects::{ObjectKey, StoredObject};
use crate::runtime::outcome::{Failure, sentence};

/// Plans that are made at the same time.
const AT_ONCE_MAX: usize = 2;
/// How long one may take, waiting for others included: it may have to fetch a repository.
const TIME_MAX: Duration = Duration::from_secs(45);
/// The uid of an object that is not there yet.
const TO_COME: &str = "to-come";

/// Makes plans.
pub struct Plans {
    shared: Shared,
    outside: Outside,
    places: Semaphore,
}

impl Plans {
    /// Returns what makes plans out of what the controllers know.
    #[must_use]
    pub fn new(shared: &Shared, outside: Outside) -> Self {
        Self { shared: shared.clone(), outside, places: Semaphore::new(AT_ONCE_MAX) }
    }

    async fn make(&self, request: PlanRequest) -> Result<AppPlanStatus, Status> {
        // Before the copy: those who wait cost nothing.
        let _place = self.places.acquire().await.expect("the places are never closed");
        let now = crate::runtime::events::seconds(self.outside.clock.now());
        let (cache, app) = overlaid(&self.shared.cache, &request, &now)?;
        let objects = self.shared.objects.clone();
        let apps = Apps::over(objects, Arc::new(cache), self.shared.recorder.clone(), self.outside.clone());
        let plan = match apps.plan(&app).await {
            Ok(plan) => plan,
            Err(failure) if failure.kind == ErrorKind::Bug => {
                return Err(Status::failure(Reason::InternalError, failure.message));
            }
            Err(failure) => untold(&app, &failure),
        };
        Ok(without_secrets(plan, &self.outside.redactor))
    }
}

/// Takes secrets out of what comes from recipes, engines and objects. The words are our own, and stay even where somebody
/// has one of them as a password.
fn without_secrets(mut plan: AppPlanStatus, redactor: &Redactor) -> AppPlanStatus {
    let AppPlanStatus { stack, host, deployer: _, version, commit, available_version, calls, reason: _, message } =
        &mut plan;
    let in_calls = calls.iter_mut().flat_map(|call| std::iter::once(&mut call.name).chain(&mut call.changes));
    let maybe = [version, commit, available_version].into_iter().flatten();
    for text in [stack, host, message].into_iter().chain(maybe).chain(in_calls) {
        *text = redactor.text(text);
    }
    plan
}

/// Says why nothing can be told.
fn untold(app: &Object<App>, failure: &Failure) -> AppPlanStatus {
    AppPlanStatus {
        stack: crate::kinds::app::stack_name(&app.spec.domain),
        reason: failure.reason.clone(),
        message: sentence(&failure.message),
        ..AppPlanStatus::default()
    }
}

impl Planner for Plans {
    fn plan(&self, request: PlanRequest) -> BoxFuture<'_, Result<AppPlanStatus, Status>> {
        async move {
            match tokio::time::timeout(TIME_MAX, self.make(request)).await {
                Ok(result) => result,
                Err(_) => {
                    let text = format!("the plan was not ready within {} seconds", TIME_MAX.as_secs());
                    Err(Status::failure(Reason::Timeout, text))
                }
            }
        }
        .boxed()
    }
}

/// Returns what would be known if the objects of a request were applied, and the App that is asked about.
///
/// What a request may bring is what lies in the App's namespace and says what should run: no Hosts, whose engines would be
/// asked, and nothing that says who is trusted.
fn overlaid(cache: &Cache, request: &PlanRequest, now: &str) -> Result<(Cache, Object<App>), Status> {
    let taken = [
        (App::KIND, App::resource()),
        (Recipe::KIND, Recipe::resource()),
        (Certificate::KIND, Certificate::resource()),
        ("Secret", "secrets".to_owned()),
    ];
    let mut objects = Vec::new();
    for object in &request.objects {
        let resource = taken.iter().find(|(kind, _)| object["kind"] == *kind).map(|(_, resource)| resource);
        let Some(resource) = resource else { continue };
        if object["metadata"]["namespace"].as_str().is_some_and(|namespace| namespace != request.namespace) {
            continue;
        }
        objects.push(planned(cache, resource, object, &request.namespace, now)?);
    }
    let cache = cache.with(objects);
    let key = ObjectKey::new(&App::resource(), &request.namespace, &request.name);
    let stored = cache.get(&key).ok_or_else(|| {
        let text = format!("there is no app {:?}, neither in the request nor in the store", request.name);
        Status::failure(Reason::NotFound, text)
    })?;
    let app = Object::<App>::deserialize(&stored.value)
        .map_err(|error| Status::failure(Reason::BadRequest, format!("app {:?}: {error}", request.name)))?;
    Ok((cache, app))
}

/// Returns an object as it would be stored: who it is and what was seen of it stay as they are.
fn planned(
    cache: &Cache,
    resource: &str,
    object: &Value,
    namespace: &str,
    now: &str,
) -> Result<Arc<StoredObject>, Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let before = cache.get(&ObjectKey::new(resource, namespace, name));
    let mut value = object.clone();
    let metadata = &object["metadata"];
    let or_empty = |value: &Value| if value.is_object() { value.clone() } else { json!({}) };
    value["metadata"] = json!({
        "name": name, "namespace": namespace, "uid": TO_COME, "creationTimestamp": now, "generation": 1,
        "labels": or_empty(&metadata["labels"]), "annotations": or_empty(&metadata["annotations"]),
    });
    value["status"] = json!({});
    if let Some(before) = &before {
        for field in ["uid", "creationTimestamp", "generation", "resourceVersion", "ownerReferences", "finalizers"] {
            let known = &before.value["metadata"][field];
            if !known.is_null() {
                value["metadata"][field] = known.clone();
            }
        }
        value["status"] = or_empty(&before.value["status"]);
        keep_values(&mut value, &before.value);
    }
    let read = StoredObject::new(resource, value);
    read.map(Arc::new).map_err(|error| Status::failure(Reason::BadRequest, format!("{resource} {name:?}: {error}")))
}

/// A Secret is planned with its keys: a value that is left out is the one that is there.
fn keep_values(value: &mut Value, before: &Value) {
    let Some(data) = value["data"].as_object_mut() else { return };
    for (key, value) in data {
        if value.is_null() {
            *value = before["data"][key.as_str()].clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use api_types::plan::{PlannedCall, PlannedVerb};
    use ports::redact::MASK;

    use super::*;
    use crate::runtime::objects::Change;

    fn app(name: &str, domain: &str) -> Value {
        json!({
            "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App",
            "metadata": {"name": name, "namespace": "default", "uid": "forged"},
            "spec": {"recipe": {"recipeRef": "x"}, "domain": domain}, "status": {"deployedHash": "forged"},
        })
    }

    fn cache() -> Cache {
        let cache = Cache::default();
        let mut stored = app("cloud", "a.example");
        stored["metadata"]["uid"] = json!("u1");
        stored["metadata"]["resourceVersion"] = json!("5");
        stored["status"] = json!({"deployedHash": "real"});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {"a": "MQ==", "b": "Mg=="}});
        for (resource, value) in [(App::resource(), stored), ("secrets".to_owned(), secret)] {
            let object = Arc::new(StoredObject::new(&resource, value).unwrap());
            cache.apply(&Change::Is(object)).unwrap();
        }
        cache
    }

    fn request(objects: Vec<Value>) -> PlanRequest {
        PlanRequest { namespace: "default".to_owned(), name: "cloud".to_owned(), objects }
    }

    #[test]
    fn a_request_says_what_should_run_and_not_what_was_seen() {
        let (_, found) = overlaid(&cache(), &request(vec![app("cloud", "b.example")]), "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(found.spec.domain, "b.example");
        assert_eq!(found.metadata.uid, "u1");
        assert_eq!(found.status.deployed_hash.as_deref(), Some("real"));
        let (_, stored) = overlaid(&cache(), &request(Vec::new()), "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(stored.spec.domain, "a.example");
    }

    #[test]
    fn an_app_that_is_nowhere_is_not_found_and_one_of_another_namespace_is_none() {
        let mut elsewhere = app("new", "c.example");
        elsewhere["metadata"]["namespace"] = json!("team");
        let asked = PlanRequest { name: "new".to_owned(), ..request(vec![elsewhere]) };
        assert_eq!(overlaid(&cache(), &asked, "").unwrap_err().reason, Some(Reason::NotFound));
        let asked = PlanRequest { name: "new".to_owned(), ..request(vec![app("new", "c.example")]) };
        let (_, found) = overlaid(&cache(), &asked, "2026-01-02T03:04:05Z").unwrap();
        assert_eq!(found.metadata.uid, TO_COME);
        assert_eq!(found.status.deployed_hash, None, "nobody says what was deployed but the reconciler");
    }

    #[test]
    fn values_that_are_left_out_are_those_that_are_there() {
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"a": null, "b": "Mw=="}});
        let (cache, _) = overlaid(&cache(), &request(vec![secret]), "").unwrap();
        let found = cache.get(&ObjectKey::new("secrets", "default", "s")).unwrap();
        assert_eq!(found.value["data"], json!({"a": "MQ==", "b": "Mw=="}));
    }

    #[test]
    fn secrets_go_from_the_texts_of_a_plan_and_its_words_stay() {
        let redactor = Redactor::default();
        for word in ["create", "service", "changes", "hunter22", "cloud_example"] {
            redactor.insert(word, word.as_bytes());
        }
        let call = |name: &str, change: &str| PlannedCall {
            verb: PlannedVerb::Create,
            kind: "service".to_owned(),
            name: name.to_owned(),
            changes: vec![change.to_owned()],
        };
        let plan = AppPlanStatus {
            stack: "cloud_example".to_owned(),
            version: Some("1.0.0+hunter22".to_owned()),
            calls: vec![call("hunter22_app", "env TOKEN=hunter22")],
            reason: "Suspended".to_owned(),
            message: "It waits for hunter22.".to_owned(),
            ..AppPlanStatus::default()
        };
        let clean = AppPlanStatus {
            stack: MASK.to_owned(),
            version: Some(format!("1.0.0+{MASK}")),
            calls: vec![call(&format!("{MASK}_app"), &format!("env TOKEN={MASK}"))],
            message: format!("It waits for {MASK}."),
            ..plan.clone()
        };
        assert_eq!(without_secrets(plan, &redactor), clean);
    }

    #[test]
    fn no_host_is_taken_from_a_request() {
        let host = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Host", "metadata": {"name": "evil"}, "spec": {"engine": "tcp://10.0.0.1:2375"}});
        let (cache, _) = overlaid(&cache(), &request(vec![host]), "").unwrap();
        assert!(cache.list("hosts.ci.coopcloud.tech").is_empty());
    }
}
