//! GET of a collection with `watch`: what changes, as it changes.

use std::time::Duration;

use api_types::status::Status;
use axum::body::Body;
use store::watch::{WatchRequest, WatchStart};

use super::list::namespace;
use super::versions::parse_version;
use super::{VerbResult, check_include, rendering};
use crate::answer::{Answer, raw};
use crate::api::Call;
use crate::query::{OptionsKind, Query, cause, refuse};
use crate::selection::selector;
use crate::served::Served;
use crate::watch_stream::{WatchStream, error_line};

/// How long a watch lasts when the client does not say: half an hour to an hour, so that not all end at once.
const DURATION_MIN: Duration = Duration::from_mins(30);
const DURATION_SPREAD_SECONDS: u64 = 1800;

/// Answers with a stream that ends when its time is up, the server stops, or the client falls too far behind.
pub(crate) fn watch(call: &mut Call, served: &Served) -> VerbResult {
    check_include(call)?;
    let start = watch_start(&call.query)?;
    let duration = duration(call)?;
    let request = WatchRequest {
        resource: served.resource.clone(),
        namespace: namespace(call, served),
        selector: selector(&call.query, served)?,
        start,
    };
    let rendering = rendering(call, served)?;
    let watch = match call.api.store.watch(request) {
        Ok(watch) => watch,
        // A watch that cannot begin says so in its stream: that is where clients look.
        Err(status) => return Ok(stream_answer(Body::from(error_line(&status)))),
    };
    let stream = WatchStream::new(call, watch, rendering, duration);
    Ok(stream_answer(Body::from_stream(stream.into_stream())))
}

fn stream_answer(body: Body) -> Answer {
    raw(200, "application/json", body)
}

/// Reads where a watch begins.
///
/// # Errors
/// `Invalid` for combinations that make no sense, `BadRequest` for a version that is no number.
fn watch_start(query: &Query) -> Result<WatchStart, Status> {
    const FIELD: &str = "resourceVersionMatch";
    let how = query.text(FIELD);
    let mut causes = Vec::new();
    if query.has("sendInitialEvents") {
        if how != "NotOlderThan" {
            let message = "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            causes.push(cause("FieldValueForbidden", FIELD, message));
        }
        if !matches!(how, "" | "NotOlderThan") {
            let message = format!("Unsupported value: {how:?}: supported values: \"NotOlderThan\"");
            causes.push(cause("FieldValueNotSupported", FIELD, message));
        }
    } else if !how.is_empty() {
        let message = "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        causes.push(cause("FieldValueForbidden", FIELD, message));
    }
    refuse(OptionsKind::List, causes)?;
    let version = parse_version(query.text("resourceVersion"))?;
    if query.flag("sendInitialEvents") {
        return Ok(WatchStart::NowWithSync);
    }
    Ok(match version {
        None | Some(0) => WatchStart::Now,
        Some(revision) => WatchStart::After(revision),
    })
}

fn duration(call: &Call) -> Result<Duration, Status> {
    let seconds = call.query.integer("timeoutSeconds")?.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(match seconds {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds),
        _ => {
            let random = uuid::Uuid::new_v4().as_u128() % u128::from(DURATION_SPREAD_SECONDS);
            DURATION_MIN + Duration::from_secs(u64::try_from(random).unwrap_or_default())
        }
    })
}
