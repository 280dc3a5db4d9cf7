//! The body of a watch: lines as changes come, bookmarks, and a clean end.
//!
//! Changes that are there together are sent together; a single one is handed over without a copy. A slow client costs
//! only itself: the next changes are taken from the store when the last ones have been written.

use std::sync::Arc;
use std::time::Duration;

use api_types::status::{Reason, Status};
use bytes::Bytes;
use futures::Stream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use store::watch::{Watch, WatchItem};

use crate::access::STREAM_RECHECK;
use crate::api::{Api, Call};
use crate::audit::AuditRecord;
use crate::authentication::User;
use crate::limits::Permit;
use crate::metrics::Present;
use crate::render::Rendering;
use crate::request::RequestInfo;

/// How often a quiet watch tells how far it has come.
const TICK: Duration = STREAM_RECHECK;
/// The last bookmark comes so long before the end, so that a client resumes from near it.
const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// A running watch and everything that it holds until its end.
pub(crate) struct WatchStream {
    api: Arc<Api>,
    user: Arc<User>,
    info: Arc<RequestInfo>,
    watch: Watch,
    rendering: Rendering,
    bookmarks: bool,
    /// Whether nothing has been sent yet: the first event of a table tells the columns.
    is_first: bool,
    last_bookmark: Option<u64>,
    deadline: Instant,
    next_tick: Instant,
    next_check: Instant,
    end: CancellationToken,
    finished: bool,
    _permit: Option<Permit>,
    _record: Option<AuditRecord>,
    _present: Present,
}

/// What a wait ended with.
enum Waited {
    Items(Result<Vec<WatchItem>, Box<Status>>),
    Tick,
    End,
}

impl WatchStream {
    /// Takes over what the call holds; it is given back when the stream is dropped.
    pub(crate) fn new(call: &mut Call, watch: Watch, rendering: Rendering, duration: Duration) -> Self {
        let begun = Instant::now();
        let bookmarks = call.query.flag("allowWatchBookmarks");
        let mut record = call.record.take();
        if let Some(record) = &mut record {
            record.started(200);
        }
        let last_bookmark_in = duration.checked_sub(LAST_BOOKMARK_BEFORE_END).unwrap_or(duration);
        Self {
            api: call.api.clone(),
            user: call.user.clone(),
            info: call.info.clone(),
            watch,
            rendering,
            bookmarks,
            is_first: true,
            last_bookmark: None,
            deadline: begun + duration,
            next_tick: begun + last_bookmark_in.min(TICK),
            next_check: begun + STREAM_RECHECK,
            end: call.api.lifecycle.streams_end.clone(),
            finished: false,
            _permit: call.permit.take(),
            _record: record,
            _present: call.api.access.metrics.watch_opened(&call.info),
        }
    }

    /// Returns the lines.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send {
        futures::stream::unfold(self, |mut stream| async move {
            let bytes = stream.next_bytes().await?;
            Some((Ok(bytes), stream))
        })
    }

    /// Waits for something to send; `None` is the end.
    async fn next_bytes(&mut self) -> Option<Bytes> {
        while !self.finished {
            let waited = tokio::select! {
                biased;
                () = self.end.cancelled() => Waited::End,
                () = tokio::time::sleep_until(self.deadline) => Waited::End,
                // Before the tick: a bookmark must not overtake the objects that were there at the start.
                items = self.watch.next() => Waited::Items(items.map_err(Box::new)),
                () = tokio::time::sleep_until(self.next_tick) => Waited::Tick,
            };
            let bytes = match waited {
                Waited::End => return None,
                // A watch that always has something to send never gets as far as the tick.
                Waited::Items(Ok(_)) if Instant::now() >= self.next_check && !self.may_continue() => return None,
                Waited::Items(Ok(items)) => self.lines(&items),
                // The kind is gone: the stream ends, and whoever asks again is told so.
                Waited::Items(Err(status)) if status.reason == Some(Reason::NotFound) => return None,
                Waited::Items(Err(status)) => {
                    self.finished = true;
                    Some(error_line(&status))
                }
                Waited::Tick => self.tick(),
            };
            if bytes.is_some() {
                return bytes;
            }
        }
        None
    }

    fn lines(&mut self, items: &[WatchItem]) -> Option<Bytes> {
        self.rendering.set_now(self.api.clock.now());
        if let [item] = items {
            return self.line(item);
        }
        let lines: Vec<Bytes> = items.iter().filter_map(|item| self.line(item)).collect();
        (!lines.is_empty()).then(|| lines.concat().into())
    }

    fn line(&mut self, item: &WatchItem) -> Option<Bytes> {
        match item {
            WatchItem::Change(change) => {
                let with_columns = std::mem::take(&mut self.is_first);
                Some(self.rendering.change(change, with_columns))
            }
            WatchItem::Synced(revision) => self.bookmarks.then(|| self.bookmark(*revision, true)),
        }
    }

    fn bookmark(&mut self, revision: u64, ends_initial_events: bool) -> Bytes {
        self.last_bookmark = Some(revision);
        let with_columns = std::mem::take(&mut self.is_first);
        self.rendering.bookmark(revision, ends_initial_events, with_columns)
    }

    fn may_continue(&mut self) -> bool {
        self.next_check = Instant::now() + STREAM_RECHECK;
        self.api.access.may_continue(&self.user, &self.info)
    }

    /// Once in a while: is the client still allowed to watch, and how far has it come.
    fn tick(&mut self) -> Option<Bytes> {
        let last = self.deadline.checked_sub(LAST_BOOKMARK_BEFORE_END).unwrap_or(self.deadline);
        let now = Instant::now();
        self.next_tick = if now < last { last.min(now + TICK) } else { self.deadline };
        if !self.may_continue() {
            self.finished = true;
            return None;
        }
        let revision = self.watch.revision();
        (self.bookmarks && self.last_bookmark != Some(revision)).then(|| self.bookmark(revision, false))
    }
}

/// Returns the line that ends a watch that cannot go on.
pub(crate) fn error_line(status: &Status) -> Bytes {
    let json = serde_json::to_string(status).expect("a status always serialises");
    format!("{{\"type\":\"ERROR\",\"object\":{json}}}\n").into()
}
