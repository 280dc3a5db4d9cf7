//! GET of `/log`: the text of a run or an app as it comes, for `kubectl logs`, `…/testruns/NAME/log` and
//! `…/apps/NAME/log`.

use api_types::status::{Reason, Status};
use axum::body::Body;
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use store::request::Target;

use super::VerbResult;
use crate::access::STREAM_RECHECK;
use crate::answer::{Answer, raw};
use crate::api::Call;
use crate::log_stream::while_allowed;
use crate::pods::{APPS, AppLogRequest, LogRequest, LogStream, WHOLE_RUN, check_container};
use crate::query::Query;
use crate::served::Served;

/// Answers with the log of a run, or of one of its stages.
pub(crate) async fn log(call: &mut Call, served: &Served) -> VerbResult {
    let target = call.target(served);
    let run = call
        .api
        .store
        .get(&served.resource, &target.key())
        .ok_or_else(|| Status::not_found(served.names(), &target.name))?;
    if &*served.resource.key == APPS {
        let request = app_request(call, &target, run.value())?;
        let stream = call.api.logs.open_app(request).await?;
        return Ok(answer(call, stream));
    }
    // `stage` is our own word for it.
    let container = match call.query.text("container") {
        "" => call.query.text("stage"),
        container => container,
    };
    if !container.is_empty() {
        check_container(&run.value(), served.names(), container)?;
    }
    if call.query.flag("previous") {
        let message = format!("previous terminated container in {} not found: runs are never restarted", target.name);
        return Err(Status::failure(Reason::BadRequest, message));
    }
    let request = LogRequest {
        namespace: target.namespace,
        name: target.name,
        uid: run.value()["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        stage: (!container.is_empty() && container != WHOLE_RUN).then(|| container.to_owned()),
        follow: call.query.flag("follow"),
        tail_lines: count(&call.query, "tailLines")?,
        since: since(&call.query, call.api.clock.now())?,
        timestamps: call.query.flag("timestamps"),
        limit_bytes: count(&call.query, "limitBytes")?,
    };
    let stream = call.api.logs.open(request).await?;
    Ok(answer(call, stream))
}

fn app_request(call: &Call, target: &Target, app: Value) -> Result<AppLogRequest, Status> {
    // `service` is our own word for it.
    let service = match call.query.text("container") {
        "" => call.query.text("service"),
        container => container,
    };
    Ok(AppLogRequest {
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        app,
        service: (!service.is_empty()).then(|| service.to_owned()),
        follow: call.query.flag("follow"),
        tail_lines: count(&call.query, "tailLines")?,
        since: since(&call.query, call.api.clock.now())?,
        timestamps: call.query.flag("timestamps"),
    })
}

fn answer(call: &mut Call, stream: LogStream) -> Answer {
    let mut record = call.record.take();
    if let Some(record) = &mut record {
        record.started(200);
    }
    let held = (call.permit.take(), record);
    let end = call.api.lifecycle.streams_end.clone();
    let (access, user, info) = (call.api.access.clone(), call.user.clone(), call.info.clone());
    let stream = while_allowed(stream, STREAM_RECHECK, move || access.may_continue(&user, &info));
    let stream = stream.take_until(end.cancelled_owned()).inspect(move |_| {
        // The place among the streams, and the record, are given back with the last piece.
        let _ = &held;
    });
    raw(200, "text/plain", Body::from_stream(stream))
}

/// Reads a number of lines or bytes.
pub(crate) fn count(query: &Query, name: &str) -> Result<Option<u64>, Status> {
    let Some(number) = query.integer(name)? else { return Ok(None) };
    u64::try_from(number).map(Some).map_err(|_| {
        Status::failure(Reason::BadRequest, format!("{name} must be greater than or equal to 0, not {number}"))
    })
}

/// Reads from when on lines are wanted.
pub(crate) fn since(query: &Query, now: Timestamp) -> Result<Option<Timestamp>, Status> {
    let bad = |why: String| Status::failure(Reason::BadRequest, why);
    let text = query.text("sinceTime");
    if !text.is_empty() {
        return text.parse().map(Some).map_err(|error| bad(format!("sinceTime is no RFC 3339 time: {error}")));
    }
    let Some(seconds) = query.integer("sinceSeconds")? else { return Ok(None) };
    if seconds < 1 {
        return Err(bad(format!("sinceSeconds must be greater than 0, not {seconds}")));
    }
    let since = now.checked_sub(SignedDuration::from_secs(seconds));
    since.map(Some).map_err(|error| bad(format!("sinceSeconds is too far in the past: {error}")))
}
