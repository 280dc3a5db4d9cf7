//! Answers on their way to a client that reads slowly, or has stopped reading.
//!
//! The HTTP library asks for more of an answer when the client has room for more, and keeps what it was given until then.
//! So a large answer is handed over part by part, and keeps its place among the requests in work until its end. One of which
//! nothing moves for too long is given up: what it holds is let go at once, and whoever goes on reading sees it broken off.
//! Nothing else on the connection is touched, because behind it there may be a proxy with other clients.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::limits::Permit;
use crate::metrics::Metrics;

/// Most that is handed over at once, in bytes: an HTTP/2 frame holds no more unless the client asks (RFC 9113, section
/// 4.2).
const PART_BYTES_MAX: usize = 16 * 1024;
/// An answer of at most so many bytes is done with when it has been handed over.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// How answers are delivered; shared by all connections.
#[derive(Clone)]
pub(super) struct Delivering {
    /// How long nothing of an answer may move.
    pub patience: Duration,
    /// Where those that are given up are counted.
    pub metrics: Metrics,
}

/// What an answer holds until its end: the word that its connection is busy, and its place among the requests in work,
/// which streams hold by themselves.
type Holding = (Option<Arc<()>>, Option<Arc<Permit>>);

/// An answer that is still being made, or that a client may need long to read.
struct Delivery {
    parcel: Arc<Mutex<Parcel>>,
    clerk: Option<AbortHandle>,
}

enum Parcel {
    Open { body: Body, rest: Bytes, moved: Instant, _holding: Holding },
    GivenUp,
}

/// Returns whether an answer needs no place from when it has been handed over on.
pub(crate) fn is_small(answer: &Response<Body>) -> bool {
    answer.body().size_hint().upper().is_some_and(|length| length <= SMALL_BYTES_MAX)
}

impl Delivering {
    /// Delivers an answer; it holds `present`, and a place that it has as its `Arc<Permit>` extension, until its end. Only
    /// an answer with such a place is given up.
    pub(super) fn deliver(&self, mut answer: Response<Body>, present: Option<Arc<()>>) -> Response<Body> {
        if is_small(&answer) {
            return answer;
        }
        let place = answer.extensions_mut().remove::<Arc<Permit>>();
        let is_bounded = place.is_some();
        answer.map(|body| {
            let open = Parcel::Open { body, rest: Bytes::new(), moved: Instant::now(), _holding: (present, place) };
            let parcel = Arc::new(Mutex::new(open));
            let clerk = is_bounded.then(|| tokio::spawn(self.clone().watch(Arc::downgrade(&parcel))).abort_handle());
            Body::new(Delivery { parcel, clerk })
        })
    }

    /// Gives the answer up when nothing has moved for too long.
    async fn watch(self, parcel: Weak<Mutex<Parcel>>) {
        while let Some(parcel) = parcel.upgrade() {
            let (at_rest, given_up) = look(&parcel, self.patience);
            if given_up.is_some() {
                self.metrics.answer_given_up();
                return tracing::debug!("gave up an answer of which the client took nothing for {at_rest:?}");
            }
            drop(parcel);
            sleep(self.patience - at_rest).await;
        }
    }
}

/// Returns how long nothing of an answer has moved, and what it held, when that is too long.
fn look(parcel: &Mutex<Parcel>, patience: Duration) -> (Duration, Option<Parcel>) {
    let mut parcel = lock(parcel);
    let at_rest = match &*parcel {
        Parcel::Open { moved, .. } => moved.elapsed(),
        Parcel::GivenUp => patience,
    };
    (at_rest, (at_rest >= patience).then(|| std::mem::replace(&mut *parcel, Parcel::GivenUp)))
}

/// Held for moments only, by the connection's task and the one that watches.
fn lock(parcel: &Mutex<Parcel>) -> MutexGuard<'_, Parcel> {
    parcel.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(clerk) = &self.clerk {
            clerk.abort();
        }
    }
}

impl http_body::Body for Delivery {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut parcel = lock(&self.parcel);
        let Parcel::Open { body, rest, moved, .. } = &mut *parcel else {
            let error = io::Error::new(io::ErrorKind::TimedOut, "nothing of the answer was read for too long");
            return Poll::Ready(Some(Err(axum::Error::new(error))));
        };
        *moved = Instant::now();
        if rest.is_empty() {
            match ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => *rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let part = rest.split_to(rest.len().min(PART_BYTES_MAX));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.parcel) {
            Parcel::Open { body, rest, .. } => rest.is_empty() && body.is_end_stream(),
            Parcel::GivenUp => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.parcel) {
            Parcel::Open { body, rest, .. } => {
                let (hint, here) = (body.size_hint(), rest.len() as u64);
                let mut whole = SizeHint::new();
                if let Some(upper) = hint.upper() {
                    whole.set_upper(upper + here);
                }
                whole.set_lower(hint.lower() + here);
                whole
            }
            Parcel::GivenUp => SizeHint::default(),
        }
    }
}
