//! Doing it: the form is checked, the requests are sent, the browser is led on.

use api_types::kind::Object as Typed;
use api_types::kinds::test_run::TestRun;
use api_types::status::{Reason, Status};
use apiserver::authentication::Recognised;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};
use store::registry::Resource;

use super::{Deed, spec_patch};
use crate::answer::{Answer, page as page_answer, redirect};
use crate::index::{APPROVALS, RUNS};
use crate::pages::login::{field, forged, read_form};
use crate::pages::{sure_page, typed};
use crate::route::{Place, Route, object_path};
use crate::router::{Asked, failed, not_found};
use crate::view;
use crate::visit::{Visit, Visitor};

/// Who writes, in `managedFields`.
const MANAGER: &str = "ccd-web";
/// Names the run that a run repeats.
const RERUN_OF: &str = "ci.coopcloud.tech/rerun-of";
/// Annotations that say where a run came from, and on which forge it is told.
const ORIGIN: [&str; 2] = ["ci.coopcloud.tech/repository", "ci.coopcloud.tech/triggered-by"];
/// Answers of the API are objects.
const ANSWER_BYTES_MAX: usize = 8 << 20;
const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// One request to the API.
struct Order {
    method: Method,
    path: String,
    content_type: &'static str,
    body: Value,
    /// That there is nothing (any more) is as good as success.
    may_be_missing: bool,
}

/// Does what a form asks for.
pub(crate) async fn perform(asked: Asked, body: Body) -> Answer {
    let Route::Do(deed, key, place) = asked.route.clone() else { return failed(&asked, &not_found()) };
    let fields = match read_form(body).await {
        Ok(fields) => fields,
        Err(status) => return failed(&asked, &status),
    };
    // A browser never adds this header by itself: whoever does is a program with a token of its own.
    let is_program = asked.session.is_none() && asked.parts.headers.contains_key(AUTHORIZATION);
    if !is_program && !asked.web.key.is_form_token(&asked.browser(), field(&fields, "token")) {
        return failed(&asked, &forged());
    }
    let user = match asked.web.api.access.authenticator.authenticate(&asked.parts, &asked.peer) {
        Ok(user) => user,
        Err(status) => return failed(&asked, &status),
    };
    let (state, index) = asked.web.look();
    let form_token = asked.web.key.form_token(&asked.browser());
    let visitor = Visitor { user, session: asked.session.clone(), form_token };
    let visit = Visit::new(&asked.web.api, state, index, visitor, asked.parts.uri.path(), "");
    let result = match orders(&visit, deed, &key, &place, &fields) {
        Ok(orders) => send_all(&asked, orders).await,
        Err(status) => Err(status),
    };
    match result {
        Ok(object) => redirect(&next(deed, &key, &place, &object)),
        Err(status) => refused(&asked, &visit, deed, &key, &place, &status),
    }
}

fn refused(asked: &Asked, visit: &Visit, deed: Deed, key: &str, place: &Place, status: &Status) -> Answer {
    // Who may not even look learns no more than that.
    let may_look = visit.may("get", key, &place.namespace, &place.name);
    match sure_page(visit, deed, key, place, Some(status)) {
        Ok(page) if may_look => page_answer(status.code, view::whole(visit, &page), &asked.parts.headers),
        _ => failed(asked, status),
    }
}

/// Returns where to go afterwards.
fn next(deed: Deed, key: &str, place: &Place, object: &Value) -> String {
    let to = match deed {
        Deed::Test | Deed::Rerun => {
            object_path(RUNS, &place.namespace, object["metadata"]["name"].as_str().unwrap_or_default())
        }
        Deed::Delete => format!("/kinds/{key}"),
        _ => object_path(key, &place.namespace, &place.name),
    };
    format!("{to}?done={}", deed.word())
}

/// Sends the requests one after the other and returns the last answer.
async fn send_all(asked: &Asked, orders: Vec<Order>) -> Result<Value, Status> {
    let mut last = Value::Null;
    for order in orders {
        let may_be_missing = order.may_be_missing;
        last = match send(asked, order).await {
            Ok(object) => object,
            Err(status) if may_be_missing && status.reason == Some(Reason::NotFound) => Value::Null,
            Err(status) => return Err(status),
        };
    }
    Ok(last)
}

async fn send(asked: &Asked, order: Order) -> Result<Value, Status> {
    let separator = if order.path.contains('?') { '&' } else { '?' };
    let uri = format!("{}{separator}fieldManager={MANAGER}&fieldValidation=Strict", order.path);
    let mut request = Request::builder().method(order.method).uri(uri).header(CONTENT_TYPE, order.content_type);
    for name in [AUTHORIZATION, USER_AGENT] {
        if let Some(value) = asked.parts.headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let broken = |error: &dyn std::fmt::Display| {
        Status::failure(Reason::InternalError, format!("the request to the API cannot be made: {error}"))
    };
    let mut request = request.body(Body::from(order.body.to_string())).map_err(|error| broken(&error))?;
    request.extensions_mut().insert(asked.peer.clone());
    if let Some(recognised) = asked.parts.extensions.get::<Recognised>() {
        request.extensions_mut().insert(recognised.clone());
    }
    let answer = apiserver::router::serve(asked.web.api.clone(), request).await;
    let is_good = answer.status().is_success();
    let bytes =
        Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|error| broken(&error))?.to_bytes();
    if is_good {
        return serde_json::from_slice(&bytes).map_err(|error| broken(&error));
    }
    Err(serde_json::from_slice(&bytes).map_err(|error| broken(&error))?)
}

/// Returns the requests that do it.
fn orders(
    visit: &Visit,
    deed: Deed,
    key: &str,
    place: &Place,
    fields: &[(String, String)],
) -> Result<Vec<Order>, Status> {
    let resource = visit.state.registry.get(key).ok_or_else(not_found)?;
    if !deed.fits(key) {
        return Err(not_found());
    }
    let patch = |body: Value| Order {
        method: Method::PATCH,
        path: item_path(resource, &place.namespace, &place.name),
        content_type: MERGE_PATCH,
        body,
        may_be_missing: false,
    };
    let orders = match deed {
        Deed::Test => vec![test(visit, place, fields)?],
        Deed::Rerun => vec![rerun(visit, place)?],
        Deed::Cancel => vec![patch(spec_patch("cancel", json!(true)))],
        Deed::Hold => {
            let time = field(fields, "hold");
            vec![patch(spec_patch("holdOnFailure", if time.is_empty() { Value::Null } else { json!(time) }))]
        }
        Deed::Approve => vec![approve(visit, place, fields)?],
        Deed::Deny => vec![withdraw(visit, place)?, patch(spec_patch("cancel", json!(true)))],
        Deed::Suspend => vec![patch(spec_patch("suspend", json!(true)))],
        Deed::Resume => vec![patch(spec_patch("suspend", json!(false)))],
        Deed::Delete => {
            // What was looked at, not another object that has its name by now.
            let uid = field(fields, "uid");
            let preconditions = if uid.is_empty() { json!({}) } else { json!({"uid": uid}) };
            vec![Order {
                method: Method::DELETE,
                path: item_path(resource, &place.namespace, &place.name),
                content_type: JSON,
                body: json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions}),
                may_be_missing: false,
            }]
        }
    };
    Ok(orders)
}

fn test(visit: &Visit, place: &Place, fields: &[(String, String)]) -> Result<Order, Status> {
    let asked = field(fields, "ref").trim();
    let source = match asked {
        "" => {
            let recipe = typed::<api_types::kinds::recipe::Recipe>(visit, place)?;
            json!({"ref": recipe.spec.source.branch})
        }
        commit if commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            json!({"commit": commit})
        }
        version if version.contains('+') => json!({"version": version}),
        reference => json!({"ref": reference}),
    };
    let mut spec = json!({"recipeRef": place.name, "source": source});
    for (name, word) in [("lane", "lane"), ("hold", "holdOnFailure")] {
        let value = field(fields, name);
        if !value.is_empty() {
            spec[word] = json!(value);
        }
    }
    create(visit, RUNS, &place.namespace, json!({"generateName": format!("{}-", place.name)}), &spec)
}

fn rerun(visit: &Visit, place: &Place) -> Result<Order, Status> {
    readable(visit, place)?;
    let run = visit.state.get(RUNS, &place.key()).ok_or_else(not_found)?.value();
    let mut spec = run["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("cancel");
    }
    let stem = without_suffix(&place.name);
    let mut metadata = json!({"generateName": format!("{stem}-"), "annotations": {RERUN_OF: place.name}});
    for name in ORIGIN {
        if let Some(value) = run["metadata"]["annotations"][name].as_str() {
            metadata["annotations"][name] = Value::from(value);
        }
    }
    if run["metadata"]["labels"].is_object() {
        metadata["labels"] = run["metadata"]["labels"].clone();
    }
    create(visit, RUNS, &place.namespace, metadata, &spec)
}

/// Drops the five characters that the server adds to generated names, so that names do not grow with every rerun.
fn without_suffix(name: &str) -> &str {
    let is_generated =
        |suffix: &str| suffix.len() == 5 && suffix.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte));
    match name.rsplit_once('-') {
        Some((stem, suffix)) if is_generated(suffix) => stem,
        _ => name,
    }
}

/// What a run's commit is trusted under.
struct Head {
    repository: String,
    pull_request: i64,
    sha: String,
}

impl Head {
    fn of(visit: &Visit, place: &Place) -> Result<Self, Status> {
        readable(visit, place)?;
        let bad = |why: &str| Status::failure(Reason::BadRequest, why);
        let run: Typed<TestRun> = typed::<TestRun>(visit, place)?;
        let pull = run
            .spec
            .source
            .pull_request
            .ok_or_else(|| bad("the run is about no pull request: it needs no approval"))?;
        let recipe = Place { namespace: place.namespace.clone(), name: run.spec.recipe_ref };
        let recipe = typed::<api_types::kinds::recipe::Recipe>(visit, &recipe)?;
        let repository = recipe
            .spec
            .repository_ref
            .ok_or_else(|| bad("the recipe names no repository (spec.repositoryRef): name it, then approve"))?;
        Ok(Self { repository, pull_request: pull.number, sha: pull.head_sha })
    }

    /// Returns the computed name of its approval, so that approving twice is approving once.
    fn approval(&self) -> String {
        let short: String = self.sha.to_lowercase().chars().take(12).collect();
        format!("{}-pr{}-{short}", self.repository, self.pull_request)
    }
}

fn approve(visit: &Visit, place: &Place, fields: &[(String, String)]) -> Result<Order, Status> {
    let head = Head::of(visit, place)?;
    let scope = if field(fields, "scope") == "Author" { "Author" } else { "Once" };
    let spec = json!({
        "repositoryRef": head.repository, "pullRequest": head.pull_request, "headSHA": head.sha,
        "approvedBy": visit.user.name, "scope": scope,
    });
    create(visit, APPROVALS, &place.namespace, json!({"name": head.approval()}), &spec)
}

fn withdraw(visit: &Visit, place: &Place) -> Result<Order, Status> {
    let head = Head::of(visit, place)?;
    let resource = visit.state.registry.get(APPROVALS).ok_or_else(not_found)?;
    Ok(Order {
        method: Method::DELETE,
        path: item_path(resource, &place.namespace, &head.approval()),
        content_type: JSON,
        body: json!({"kind": "DeleteOptions", "apiVersion": "v1"}),
        may_be_missing: true,
    })
}

/// Refuses whoever may not read the run that a request would be made from.
fn readable(visit: &Visit, place: &Place) -> Result<(), Status> {
    let resource = visit.state.registry.get(RUNS).ok_or_else(not_found)?;
    let info = crate::visit::ask("get", resource, &place.namespace, &place.name, "");
    let decision = crate::visit::decide(&visit.access, &visit.user, &visit.state, &info);
    if decision.allowed { Ok(()) } else { Err(apiserver::authorization::forbidden(&visit.user, &info, "")) }
}

fn create(visit: &Visit, key: &str, namespace: &str, mut metadata: Value, spec: &Value) -> Result<Order, Status> {
    let resource = visit.state.registry.get(key).ok_or_else(not_found)?;
    metadata["namespace"] = json!(namespace);
    Ok(Order {
        method: Method::POST,
        path: collection_path(resource, namespace),
        content_type: JSON,
        body: json!({
            "apiVersion": resource.storage_version().api_version, "kind": resource.names.kind,
            "metadata": metadata, "spec": spec,
        }),
        may_be_missing: false,
    })
}

fn collection_path(resource: &Resource, namespace: &str) -> String {
    let version = &resource.storage_version().api_version;
    let base = if resource.names.group.is_empty() { "/api" } else { "/apis" };
    let within = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
    format!("{base}/{version}{within}/{}", resource.names.plural)
}

fn item_path(resource: &Resource, namespace: &str, name: &str) -> String {
    format!("{}/{name}", collection_path(resource, namespace))
}
