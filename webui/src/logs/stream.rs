//! A log as it comes: as plain text, or as server-sent events whose ids are line numbers, so that a browser that was
//! cut off goes on behind the last line it has.

use std::time::Duration;

use api_types::status::Status;
use apiserver::audit::AuditRecord;
use apiserver::limits::Permit;
use apiserver::log_stream::while_allowed;
use apiserver::pods::{LogRequest, LogStream};
use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::json;

use super::{Line, Splitter, rows_text};
use crate::answer::{Answer, raw};
use crate::index::RUNS;
use crate::route::{Place, Route};
use crate::router::{Asked, failed, may_see, not_found};
use crate::visit::Visit;

/// How often a silent stream says that it is there, and any is asked whether it may go on.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Lines of one event.
const LINES_MAX: usize = 500;

/// Answers with a log as it comes.
pub(crate) async fn stream(asked: &Asked, visit: &Visit, mut record: AuditRecord, permit: Permit) -> Answer {
    let result = open(asked, visit).await;
    match result {
        Ok((place, source, events)) => {
            record.started(200);
            let end = asked.web.api.lifecycle.streams_end.clone();
            let held = (permit, record);
            let pieces = if events { follow(visit, place, source, last_line(asked)) } else { source };
            let (web, user, route) = (asked.web.clone(), visit.user.clone(), asked.route.clone());
            let path = asked.parts.uri.path().to_owned();
            let may_continue = move || may_see(&web.api, &user, &web.api.store.state(), &route, &path);
            let pieces = while_allowed(pieces, HEARTBEAT, may_continue);
            let pieces = pieces.take_until(end.cancelled_owned()).inspect(move |_| {
                // The place among the streams, and the record, are given back with the last piece.
                let _ = &held;
            });
            let content_type = if events { "text/event-stream" } else { "text/plain; charset=utf-8" };
            let mut answer = raw(200, content_type, Body::from_stream(pieces));
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        }
        Err(status) => {
            record.fail(&status);
            failed(asked, &status)
        }
    }
}

async fn open(asked: &Asked, visit: &Visit) -> Result<(Place, LogStream, bool), Status> {
    let (place, events) = match &asked.route {
        Route::LogRaw(place) => (place, false),
        Route::LogStream(place) => (place, true),
        _ => return Err(not_found()),
    };
    let run = visit.state.get(RUNS, &place.key()).ok_or_else(not_found)?;
    let stage = visit.parameter("stage");
    let request = LogRequest {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        uid: run.uid().to_owned(),
        stage: (!stage.is_empty()).then(|| stage.to_owned()),
        follow: events,
        timestamps: events,
        tail_lines: visit.parameter("tail").parse().ok(),
        ..LogRequest::default()
    };
    Ok((place.clone(), visit.api.logs.open(request).await?, events))
}

/// A browser that follows a log.
struct Following {
    place: Place,
    source: LogStream,
    splitter: Splitter,
    /// Whether lines are counted: not when they begin somewhere in the middle.
    counts: bool,
    count: u64,
    after: u64,
    waiting: Vec<Line>,
    has_ended: bool,
}

/// Returns the number of the last line that a browser which was cut off has.
fn last_line(asked: &Asked) -> Option<u64> {
    asked.parts.headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok())
}

fn follow(visit: &Visit, place: Place, source: LogStream, last: Option<u64>) -> LogStream {
    let stage = visit.parameter("stage");
    let following = Following {
        place,
        source,
        splitter: Splitter::new((!stage.is_empty()).then(|| stage.to_owned())),
        counts: visit.parameter("tail").is_empty(),
        count: 0,
        after: last.or_else(|| visit.parameter("after").parse().ok()).unwrap_or(0),
        waiting: Vec::new(),
        has_ended: false,
    };
    futures::stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((Ok(Bytes::from(event)), following))
    })
    .boxed()
}

impl Following {
    /// Returns the next event; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            if !self.waiting.is_empty() {
                return Some(self.event());
            }
            if self.has_ended {
                return None;
            }
            match tokio::time::timeout(HEARTBEAT, self.source.next()).await {
                Err(_) => return Some(": still here\n\n".to_owned()),
                Ok(Some(Ok(piece))) => {
                    let lines = self.splitter.push(&piece);
                    self.take(lines);
                }
                Ok(Some(Err(error))) => {
                    tracing::debug!("a followed log broke off: {error}");
                    return None;
                }
                Ok(None) => {
                    let last = self.splitter.end();
                    self.take(last);
                    self.has_ended = true;
                    if self.waiting.is_empty() {
                        return Some("event: end\ndata: {}\n\n".to_owned());
                    }
                }
            }
        }
    }

    fn take(&mut self, lines: impl IntoIterator<Item = Line>) {
        for mut line in lines {
            self.count += 1;
            if self.counts {
                line.number = self.count;
            }
            if !self.counts || self.count > self.after {
                self.waiting.push(line);
            }
        }
    }

    fn event(&mut self) -> String {
        let rest = self.waiting.split_off(self.waiting.len().min(LINES_MAX));
        let lines = std::mem::replace(&mut self.waiting, rest);
        let html = rows_text(&lines, &self.place.namespace, &self.place.name);
        let data = json!({"html": html, "reset": !self.counts && self.count == lines.len() as u64});
        let id = lines.last().filter(|line| line.number > 0).map(|line| format!("id: {}\n", line.number));
        let end = if self.has_ended && self.waiting.is_empty() { "event: end\ndata: {}\n\n" } else { "" };
        format!("{}event: lines\ndata: {data}\n\n{end}", id.unwrap_or_default())
    }
}
