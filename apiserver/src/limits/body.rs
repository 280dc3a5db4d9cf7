//! Reading request bodies: how large, how slow, and how much of them in memory at once.

use std::time::Duration;

use api_types::status::{Reason, Status};
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use store::schema::decode::estimated_value_bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::{BODY_GRAIN_BYTES, Limits, too_many};

/// How long a body waits for memory before it is refused.
const MEMORY_WAIT: Duration = Duration::from_secs(2);

/// The values of a body up to this size are not counted, in bytes.
const UNCOUNTED_BYTES_MAX: usize = 16 * 1024;

/// Of a body that is too large, so much is read and thrown away, and no longer than this.
const DISCARD_BYTES_MAX: usize = 16 * 1024 * 1024;
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// A request's body and the memory it holds.
#[derive(Debug)]
pub struct LimitedBody {
    /// The bytes.
    pub bytes: Bytes,
    _memory: Vec<OwnedSemaphorePermit>,
}

impl Limits {
    /// Reads a whole body.
    ///
    /// # Errors
    /// 413 above the configured size (nothing is kept when the length is announced), 408 when it comes too slowly, 429 when
    /// bodies of other requests hold all memory, 400 when the connection breaks.
    pub async fn read_body<B>(&self, body: B) -> Result<LimitedBody, Status>
    where
        B: Body<Data = Bytes>,
        B::Error: std::fmt::Display,
    {
        let limit = self.config().body_bytes_max;
        let hint = body.size_hint();
        if hint.lower() > limit as u64 {
            discard(std::pin::pin!(body)).await;
            return Err(too_large(limit));
        }
        if hint.exact() == Some(0) {
            return Ok(LimitedBody { bytes: Bytes::new(), _memory: Vec::new() });
        }
        let expected = hint.exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(limit);
        let memory = self.reserve(expected).await?;
        let allowed = Duration::from_secs(self.config().body_seconds);
        match timeout(allowed, collect(body, limit, hint.exact().map_or(0, |_| expected))).await {
            Ok(bytes) => self.with_values(bytes?, memory).await,
            Err(_) => Err(too_slow(allowed)),
        }
    }

    /// Takes memory also for what will be made of the bytes. One body may take a quarter of all memory at most, so that
    /// several can always go on; what small bodies become is too little to be counted.
    async fn with_values(&self, bytes: Bytes, memory: OwnedSemaphorePermit) -> Result<LimitedBody, Status> {
        let mut memory = vec![memory];
        if bytes.len() > UNCOUNTED_BYTES_MAX {
            let values = estimated_value_bytes(&bytes).min(self.config().body_bytes_total / 4);
            memory.push(self.reserve(values).await?);
        }
        Ok(LimitedBody { bytes, _memory: memory })
    }

    async fn reserve(&self, length: usize) -> Result<OwnedSemaphorePermit, Status> {
        let grains = u32::try_from(length.div_ceil(BODY_GRAIN_BYTES)).unwrap_or(u32::MAX);
        let bodies = std::sync::Arc::clone(&self.shared.bodies);
        match timeout(MEMORY_WAIT, bodies.acquire_many_owned(grains)).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(too_many("bodies of other requests hold all memory for bodies")),
        }
    }
}

async fn collect<B>(body: B, limit: usize, expected: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let mut first: Option<Bytes> = None;
    let mut rest: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(&error))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = rest.as_ref().map_or_else(|| first.as_ref().map_or(0, Bytes::len), BytesMut::len);
        if so_far + data.len() > limit {
            drop((data, first, rest));
            discard(body).await;
            return Err(too_large(limit));
        }
        // Most bodies are one frame: those are not copied.
        match (&mut rest, first.take()) {
            (Some(rest), _) => rest.extend_from_slice(&data),
            (None, None) => first = Some(data),
            (None, Some(before)) => {
                let mut joined = BytesMut::with_capacity(expected.max(before.len() + data.len()));
                joined.extend_from_slice(&before);
                joined.extend_from_slice(&data);
                rest = Some(joined);
            }
        }
    }
    Ok(rest.map_or_else(|| first.unwrap_or_default(), BytesMut::freeze))
}

/// Reads on for a moment and keeps nothing: a client that is cut off while it writes never sees why.
async fn discard<B>(mut body: std::pin::Pin<&mut B>)
where
    B: Body<Data = Bytes>,
{
    let rest = async {
        let mut left = DISCARD_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                return;
            }
        }
    };
    // Whoever is slower, or has more, is cut off.
    let _ = timeout(DISCARD_WITHIN, rest).await;
}

/// Returns 413 in Kubernetes' words.
#[must_use]
pub fn too_large(limit: usize) -> Status {
    Status::failure(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {limit}"))
}

fn too_slow(allowed: Duration) -> Status {
    let message = format!("the request's body did not arrive within {} s", allowed.as_secs());
    Status { code: 408, ..Status::failure(Reason::Timeout, message) }
}

fn broken(error: &impl std::fmt::Display) -> Status {
    Status::failure(Reason::BadRequest, format!("the request's body broke off: {error}"))
}
