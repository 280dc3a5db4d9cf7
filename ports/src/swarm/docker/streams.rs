//! Answers that go on: logs, events, progress of pulls. And the frames that the engine puts around output.
//!
//! The engine frames what a program without a terminal writes: one byte for the stream (1 output, 2 errors, 3 the
//! engine's own complaint), three zeros, four bytes of length, then the bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::Stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::client::{Client, Request};
use crate::error::Error;

/// After this much silence the engine is asked whether it is still there. A connection through `ssh`, or to a machine
/// that lost its power, does not end by itself.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// Most bytes of a line that are kept together; a longer one is cut.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most bytes of one frame: more than any engine sends.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A body that is read piece by piece and does not hang for ever.
pub(super) struct Pieces {
    body: Incoming,
    client: Arc<Client>,
}

impl Pieces {
    pub(super) fn new(body: Incoming, client: Arc<Client>) -> Self {
        Self { body, client }
    }

    /// Returns the next piece; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let Ok(frame) = tokio::time::timeout(IDLE_MAX, self.body.frame()).await else {
                self.client.call(&Request::get("/_ping")).await?;
                continue;
            };
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
                Some(Err(error)) => return Err(self.client.broken("its answer breaks off").because(error)),
            }
        }
    }
}

/// Cuts what comes into JSON documents that stand one after the other.
#[derive(Default)]
pub(super) struct Documents {
    buffer: BytesMut,
}

impl Documents {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole document; `None` until more comes.
    pub(super) fn next<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>, serde_json::Error> {
        let mut stream = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<T>();
        let result = match stream.next() {
            None => return Ok(None),
            Some(Err(error)) if error.is_eof() => return Ok(None),
            Some(result) => result?,
        };
        let read = stream.byte_offset();
        self.buffer.advance(read);
        Ok(Some(result))
    }
}

/// What a frame holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// What the program wrote.
    Output(Bytes),
    /// What the engine says about the stream.
    Complaint(String),
}

/// Takes the frames off what comes.
pub(super) struct Frames {
    buffer: BytesMut,
    is_framed: bool,
}

impl Frames {
    /// `has_terminal` says that the program has one: its output is not framed.
    pub(super) fn new(has_terminal: bool) -> Self {
        Self { buffer: BytesMut::new(), is_framed: !has_terminal }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next whole frame; `None` until more comes.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Error> {
        if !self.is_framed {
            let all = self.buffer.split().freeze();
            return Ok((!all.is_empty()).then_some(Frame::Output(all)));
        }
        let Some([stream, _, _, _, length @ ..]) = self.buffer.first_chunk::<8>() else { return Ok(None) };
        let (stream, length) = (*stream, u32::from_be_bytes(*length) as usize);
        if stream > 3 || length > FRAME_BYTES_MAX {
            return Err(Error::bug("EngineAnswerUnknown", "the output that the engine sends is not framed as known"));
        }
        if self.buffer.len() < 8 + length {
            return Ok(None);
        }
        self.buffer.advance(8);
        let bytes = self.buffer.split_to(length).freeze();
        let complaint = || String::from_utf8_lossy(&bytes).trim().to_owned();
        Ok(Some(if stream == 3 { Frame::Complaint(complaint()) } else { Frame::Output(bytes) }))
    }
}

/// Puts output together into whole lines, each with its line feed.
#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
}

impl Lines {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns all whole lines that are there; `None` until more comes.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let end = match self.buffer.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => at + 1,
            None if self.buffer.len() >= LINE_BYTES_MAX => self.buffer.len(),
            None => return None,
        };
        Some(self.buffer.split_to(end).freeze())
    }

    /// Returns what never got its line feed.
    pub(super) fn rest(&mut self) -> Option<Bytes> {
        (!self.buffer.is_empty()).then(|| self.buffer.split().freeze())
    }
}

/// Returns the lines of a log.
pub(super) fn lines(pieces: Pieces, has_terminal: bool) -> impl Stream<Item = Result<Bytes, Error>> {
    struct State {
        pieces: Pieces,
        frames: Frames,
        lines: Lines,
        has_ended: bool,
    }
    let state = State { pieces, frames: Frames::new(has_terminal), lines: Lines::default(), has_ended: false };
    futures::stream::try_unfold(state, async |mut state| {
        loop {
            while let Some(frame) = state.frames.next()? {
                match frame {
                    Frame::Output(bytes) => state.lines.push(&bytes),
                    Frame::Complaint(text) => {
                        return Err(Error::retryable("LogIncomplete", format!("the engine says of the log: {text}")));
                    }
                }
            }
            if let Some(lines) = state.lines.next() {
                return Ok(Some((lines, state)));
            }
            if state.has_ended {
                return Ok(state.lines.rest().map(|rest| (rest, state)));
            }
            match state.pieces.next().await? {
                Some(bytes) => state.frames.push(&bytes),
                None => state.has_ended = true,
            }
        }
    })
}

/// Returns JSON documents as they come.
pub(super) fn documents<T: serde::de::DeserializeOwned>(pieces: Pieces) -> impl Stream<Item = Result<T, Error>> {
    futures::stream::try_unfold((pieces, Documents::default()), async |(mut pieces, mut documents)| {
        loop {
            let document = documents.next::<T>().map_err(|error| {
                Error::bug("EngineAnswerUnknown", "what the engine sends is not understood").because(error)
            })?;
            if let Some(document) = document {
                return Ok(Some((document, (pieces, documents))));
            }
            match pieces.next().await? {
                Some(bytes) => documents.push(&bytes),
                None => return Ok(None),
            }
        }
    })
}
