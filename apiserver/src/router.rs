//! Every route on one page, and the chain around all of them: who, how much, may they, the verb, the record of it.
//!
//! ```text
//! /healthz /livez /readyz[/CHECK] /version /metrics                 open to everybody
//! /                       every path there is
//! /api /apis /apis/GROUP /api/v1 /apis/GROUP/VERSION                discovery
//! /admin/backup                                                     everything there is, for administrators
//! /hooks/NS/REPOSITORY                                              POST: whoever signs, rings; see `hooks`
//! /openapi/v2 /openapi/v3[/api/v1 | /apis/GROUP/VERSION]            schemas
//! BASE/PLURAL                                  GET list, watch · POST create · DELETE deletecollection
//! BASE/PLURAL/NAME                             GET · PUT · PATCH · DELETE · POST (create)
//! BASE/PLURAL/NAME/status|scale                GET · PUT · PATCH
//! BASE/namespaces/NAME/finalize                PUT
//! BASE/pods|testruns|apps/NAME/log             GET
//! BASE/apps/NAME/plan                          POST
//! BASE/serviceaccounts/NAME/token              POST
//! BASE/tokens[/NAME]                           GET · POST · DELETE, of our own group
//! BASE/testruns/NAME/artifacts/FILE            GET
//! BASE/…reviews                                POST
//!     where BASE is /api/v1 or /apis/GROUP/VERSION, with /watch for the old spelling of ?watch=true,
//!     and with /namespaces/NS for one namespace
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use api_types::status::{Reason, Status};
use axum::body::Body;
use axum::extract::Request;
use futures::FutureExt as _;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Method};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use store::registry::NAMESPACES;
use store::request::Part;

use crate::access::Admitted;
use crate::answer::{self, Answer};
use crate::api::{Api, Call, method_not_allowed};
use crate::audit::AuditRecord;
use crate::authentication::{Peer, SERVICE_ACCOUNTS};
use crate::body::off_the_runtime;
use crate::negotiation::{BodyType, Negotiated};
use crate::query::Query;
use crate::request::RequestInfo;
use crate::reviews::{self, Review};
use crate::serve::is_small;
use crate::served::{Served, View};
use crate::verbs::{VerbResult, artifact, create, delete, delete_collection, get, list, log, patch, update, watch};
use crate::{documents, hooks, plans, pods, scale, tokens};

#[cfg(test)]
mod tests;

/// What a path leads to.
enum Route {
    Document,
    Review(&'static Review),
    Tokens(Shape),
    Resource(Box<Served>, Shape),
    Nothing,
}

/// How much of a resource a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Collection,
    Item,
    Subresource,
}

/// Passes one request through the chain. Every path has an answer.
pub async fn serve(api: Arc<Api>, request: Request) -> Answer {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let audit_id = uuid::Uuid::new_v4().to_string();
    let info = Arc::new(RequestInfo::parse(&parts.method, parts.uri.path(), parts.uri.query()));
    let query = Query::parse(parts.uri.query());
    let present = api.access.metrics.request_begun(&info);
    let is_head = parts.method == Method::HEAD;
    let fallback = Negotiated::fallback(&parts.headers, &query);
    let metrics = api.access.metrics.clone();
    let hook =
        hooks::target(&parts.method, parts.uri.path()).map(|(namespace, name)| (namespace.to_owned(), name.to_owned()));
    let admitted = match &hook {
        Some(_) => None,
        None => Some(admit(&api, &parts, &info, &audit_id)),
    };
    let (mut answer, user) = match admitted {
        None => {
            let (namespace, name) = hook.unwrap_or_default();
            // What is rare lies elsewhere in memory, so that what is frequent is small to move.
            let answer = Box::pin(hooks::answer(&api, &parts, body, &info, &audit_id, (&namespace, &name)));
            (answer.await, String::new())
        }
        Some(Err(status)) => (answer::refusal(&status, &fallback), String::new()),
        Some(Ok(admitted)) => {
            let user = admitted.user.name.clone();
            let answer = admitted_answer(api, parts, body, info.clone(), query, admitted).await;
            (answer, user)
        }
    };
    answer::finish(&mut answer, &audit_id);
    if is_head {
        answer = without_body(answer);
    }
    metrics.request_finished(&info, answer.status().as_u16(), begun.elapsed(), &audit_id, &user);
    drop(present);
    answer
}

fn admit(api: &Api, parts: &http::request::Parts, info: &Arc<RequestInfo>, audit_id: &str) -> Result<Admitted, Status> {
    let peer = parts
        .extensions
        .get::<Arc<Peer>>()
        .ok_or_else(|| Status::failure(Reason::InternalError, "the connection does not say who its other end is"))?;
    api.access.admit(parts, peer, info, audit_id)
}

/// Runs the verb of a request that may go on, under its time limit; a verb that panics fails alone.
async fn admitted_answer(
    api: Arc<Api>,
    mut parts: http::request::Parts,
    body: Body,
    info: Arc<RequestInfo>,
    query: Query,
    admitted: Admitted,
) -> Answer {
    if admitted.record.wants_response() {
        // What is written down has to be read first.
        parts.headers.remove(ACCEPT_ENCODING);
    }
    let fallback = Negotiated::fallback(&parts.headers, &query);
    let limit = api.access.limits.request_timeout(&info);
    let registry = api.store.registry();
    let mut call = Call {
        api,
        parts,
        info,
        query,
        negotiated: fallback,
        user: admitted.user,
        record: Some(admitted.record),
        permit: Some(admitted.permit),
        body: None,
        registry,
    };
    let work = Box::pin(AssertUnwindSafe(dispatch(&mut call, body)).catch_unwind());
    let result = match limit {
        Some(limit) => tokio::time::timeout(limit, work).await,
        None => Ok(work.await),
    };
    let result = match result {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(Status::failure(
            Reason::InternalError,
            "this request hit a bug in the server; its log tells more, please report it",
        )),
        Err(_) => Err(Status::failure(Reason::Timeout, "the request did not finish within its time limit")),
    };
    match result.and_then(|answer| placed(&mut call, answer)) {
        Ok(answer) => match call.record.take() {
            Some(record) if record.wants_response() => Box::pin(recorded(answer, record)).await,
            Some(record) => {
                record.finish(answer.status().as_u16(), None);
                answer
            }
            None => answer,
        },
        Err(status) => {
            let answer = answer::failure(&status, &fallback);
            if let Some(record) = call.record.take() {
                record.fail(&status);
            }
            answer
        }
    }
}

/// Puts the place of a request that is no stream into an answer that takes its time, for `serve` to hold until its end.
fn placed(call: &mut Call, mut answer: Answer) -> VerbResult {
    if is_small(&answer) {
        return Ok(answer);
    }
    if let Some(mut permit) = call.permit.take() {
        if let Some(bytes) = answer.body().size_hint().exact() {
            permit.hold_answer(usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        answer.extensions_mut().insert(Arc::new(permit));
    }
    Ok(answer)
}

/// Finishes the audit record of an answer with its body, which the policy wants. Streams finish their own.
async fn recorded(answer: Answer, record: AuditRecord) -> Answer {
    let code = answer.status().as_u16();
    let content_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body_type = match content_type {
        "application/yaml" => BodyType::Yaml,
        json if json.starts_with("application/json") => BodyType::Json,
        // A backup is no object, and too large to be held.
        _ => {
            record.finish(code, None);
            return answer;
        }
    };
    let (parts, body) = answer.into_parts();
    match body.collect().await {
        Ok(body) => {
            let bytes = body.to_bytes();
            record.finish_with(code, &bytes, body_type);
            Answer::from_parts(parts, Body::from(bytes))
        }
        // Only an answer that is still being made can fail.
        Err(error) => {
            record.finish(code, None);
            tracing::warn!("failed to write an answer: {error}");
            Answer::from_parts(parts, Body::empty())
        }
    }
}

async fn dispatch(call: &mut Call, body: Body) -> VerbResult {
    let route = route(call);
    if matches!(route, Route::Document) {
        return documents::answer(call);
    }
    let reads = matches!(call.parts.method, Method::GET | Method::HEAD);
    if !reads {
        let body = call.api.access.limits.read_body(body).await?;
        if call.record.as_ref().is_some_and(AuditRecord::wants_request) {
            let (mut record, body_type) = (call.record.take(), BodyType::of_any(call.headers()));
            let note = move |bytes: &[u8]| {
                if let Some(record) = &mut record {
                    record.request_object(bytes, body_type);
                }
                record
            };
            call.record = off_the_runtime(body.bytes.clone(), note).await;
        }
        call.body = Some(body);
    }
    match route {
        Route::Resource(served, shape) => {
            call.negotiated = Negotiated::new(call.headers(), &call.query)?;
            resource(call, &served, shape).await
        }
        Route::Review(review) if call.parts.method == Method::POST => {
            call.negotiated = Negotiated::new(call.headers(), &call.query)?;
            reviews::answer(call, review).await
        }
        Route::Review(_) => Err(method_not_allowed()),
        Route::Tokens(shape) => {
            call.negotiated = Negotiated::new(call.headers(), &call.query)?;
            let method = call.parts.method.clone();
            match (shape, &method) {
                (Shape::Collection, _) if reads && call.info.verb == "list" => tokens::list(call).await,
                (Shape::Item, _) if reads => tokens::get(call).await,
                (Shape::Collection, &Method::POST) => tokens::create(call).await,
                (Shape::Item, &Method::DELETE) => tokens::delete(call).await,
                _ => Err(method_not_allowed()),
            }
        }
        Route::Document | Route::Nothing => Ok(answer::page_not_found()),
    }
}

/// Finds what the path leads to.
fn route(call: &Call) -> Route {
    let info = &call.info;
    if !info.is_resource {
        return Route::Document;
    }
    let Some(shape) = shape(info) else { return Route::Nothing };
    if let Some(review) = reviews::find(&info.group, &info.version, &info.resource) {
        let is_right = shape == Shape::Collection && review.namespaced != info.namespace.is_empty();
        return if is_right { Route::Review(review) } else { Route::Nothing };
    }
    if (info.group.as_str(), info.version.as_str(), info.resource.as_str())
        == (tokens::GROUP, tokens::VERSION, tokens::PLURAL)
    {
        let is_right = shape != Shape::Subresource && info.namespace.is_empty();
        return if is_right { Route::Tokens(shape) } else { Route::Nothing };
    }
    let Some(served) = Served::find(&call.registry, &info.group, &info.version, &info.resource) else {
        return Route::Nothing;
    };
    let is_namespaced = served.resource.is_namespaced();
    let has_namespace = !info.namespace.is_empty() && &*served.resource.key != NAMESPACES;
    let is_right = match shape {
        // All namespaces at once can be read and emptied, but nothing can be put there.
        Shape::Collection => is_namespaced == has_namespace || (is_namespaced && call.parts.method != Method::POST),
        Shape::Item | Shape::Subresource => is_namespaced == has_namespace,
    };
    if is_right { Route::Resource(Box::new(served), shape) } else { Route::Nothing }
}

/// Returns how much the path names; `None` when it has more or fewer parts than what was authorised.
fn shape(info: &RequestInfo) -> Option<Shape> {
    let mut segments = info.path.split('/').filter(|segment| !segment.is_empty());
    let base = if segments.next() == Some("apis") { 2 } else { 1 };
    let mut rest = segments.skip(base).peekable();
    if rest.peek() == Some(&"watch") {
        rest.next();
    }
    let is_in_namespace = rest.peek() == Some(&"namespaces") && info.resource != NAMESPACES;
    let count = rest.count() - if is_in_namespace { 2 } else { 0 };
    match (count, info.subresource.is_empty()) {
        (1, true) => Some(Shape::Collection),
        (2, true) => Some(Shape::Item),
        (3, false) => Some(Shape::Subresource),
        (4, false) if info.subresource == artifact::SUBRESOURCE => Some(Shape::Subresource),
        _ => None,
    }
}

async fn resource(call: &mut Call, served: &Served, shape: Shape) -> VerbResult {
    let method = call.parts.method.clone();
    let reads = matches!(method, Method::GET | Method::HEAD);
    if served.is_read_only() && !reads {
        return Err(unsupported(served, &method));
    }
    match (shape, &method) {
        (Shape::Collection, _) if reads && call.info.verb == "watch" && method == Method::GET => {
            watch::watch(call, served)
        }
        (Shape::Collection, _) if reads => list::list(call, served).await,
        (Shape::Collection | Shape::Item, &Method::POST) => create::create(call, served).await,
        (Shape::Collection, &Method::DELETE) if &*served.resource.key == NAMESPACES => Err(method_not_allowed()),
        (Shape::Collection, &Method::DELETE) => delete_collection::delete_collection(call, served).await,
        (Shape::Collection, &Method::PUT | &Method::PATCH) => Err(list::name_required()),
        (Shape::Item, _) if reads => get::get(call, served).await,
        (Shape::Item, &Method::PUT) => update::update(call, served, Part::Whole).await,
        (Shape::Item, &Method::PATCH) => patch::patch(call, served, Part::Whole).await,
        (Shape::Item, &Method::DELETE) => delete::delete(call, served).await,
        (Shape::Subresource, _) => subresource(call, served, reads).await,
        _ => Err(unsupported(served, &method)),
    }
}

/// Every subresource that is answered, on whatever resource; all other names lead nowhere.
pub const SUBRESOURCES: [&str; 7] =
    ["status", "scale", "finalize", "log", plans::SUBRESOURCE, "token", artifact::SUBRESOURCE];

async fn subresource(call: &mut Call, served: &Served, reads: bool) -> VerbResult {
    let declared = &served.version().subresources;
    let has = |name: &str| match name {
        "status" => declared.status.is_some() && served.view != View::Pod,
        "scale" => declared.scale.is_some() && served.view != View::Pod,
        "finalize" => &*served.resource.key == NAMESPACES,
        "log" => [pods::RUNS, pods::APPS].contains(&&*served.resource.key),
        plans::SUBRESOURCE => &*served.resource.key == pods::APPS,
        "token" => &*served.resource.key == SERVICE_ACCOUNTS,
        artifact::SUBRESOURCE => &*served.resource.key == pods::RUNS && served.view != View::Pod,
        _ => false,
    };
    let name = call.info.subresource.clone();
    if !SUBRESOURCES.contains(&name.as_str()) || !has(&name) {
        let is_known = matches!(name.as_str(), "status" | "scale");
        return if is_known {
            Err(Status::not_found(served.names(), &call.info.name))
        } else {
            Ok(answer::page_not_found())
        };
    }
    let method = call.parts.method.clone();
    match (name.as_str(), &method) {
        ("status", _) if reads => get::get(call, served).await,
        ("status", &Method::PUT) => update::update(call, served, Part::Status).await,
        ("status", &Method::PATCH) => patch::patch(call, served, Part::Status).await,
        ("scale", _) if reads => scale::get(call, served),
        ("scale", &Method::PUT) => scale::update(call, served).await,
        ("scale", &Method::PATCH) => scale::patch(call, served).await,
        ("finalize", &Method::PUT) => update::update(call, served, Part::Finalize).await,
        ("log", _) if reads => log::log(call, served).await,
        (plans::SUBRESOURCE, &Method::POST) => plans::answer(call, served).await,
        ("token", &Method::POST) => tokens::request::create(call, served).await,
        (artifact::SUBRESOURCE, _) if reads => artifact::artifact(call, served).await,
        _ => Err(unsupported(served, &method)),
    }
}

/// Returns the answer to a method that a kind does not have. The real server leaves the verb out for a method that it
/// does not know, and says it differently for its own kinds.
fn unsupported(served: &Served, method: &Method) -> Status {
    if served.is_built_in() {
        return method_not_allowed();
    }
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "",
    };
    let names = served.names();
    let message = format!("{verb} is not supported on resources of kind \"{}\"", names.qualified_plural());
    Status::failure(Reason::MethodNotAllowed, message).about(names, "")
}

/// HEAD is GET without the body; its length is still told when it is known.
fn without_body(answer: Answer) -> Answer {
    let length = answer.body().size_hint().exact();
    let (mut parts, _) = answer.into_parts();
    if let Some(length) = length {
        parts.headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    Answer::from_parts(parts, Body::empty())
}
