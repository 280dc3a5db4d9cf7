//! What the HTTP library refuses by itself, in our words.
//!
//! A request that is no HTTP, or whose head is too large, never becomes a request: the library answers it with a bare
//! status line and closes. Those answers are recognised on their way out, byte for byte, and written with the body
//! that every other refusal has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use api_types::status::{Reason, Status};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::gathering::poll_write_all;

/// Longest head of the library's own refusals, in bytes; ours are longer.
const HEAD_BYTES_MAX: usize = 192;

/// A stream on which the library's own refusals get a body.
pub(super) struct WithBodies<S> {
    stream: S,
    /// A refusal that has been taken over and not been written yet.
    pending: Bytes,
}

impl<S> WithBodies<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, pending: Bytes::new() }
    }
}

impl<S: AsyncWrite + Unpin> WithBodies<S> {
    fn write_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        poll_write_all(&mut self.stream, context, &mut self.pending)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithBodies<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithBodies<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_pending(context))?;
        match replacement(bytes) {
            Some(refusal) => {
                self.pending = refusal;
                // It is ours from here on: whether it could be written at once is the next call's business.
                let _ = self.write_pending(context)?;
                Poll::Ready(Ok(bytes.len()))
            }
            None => Pin::new(&mut self.stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        ready!(self.write_pending(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_pending(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns the answer to a request whose head is larger than `limit` bytes.
pub(super) fn head_too_large() -> Status {
    Status { code: 431, ..Status::failure(Reason::BadRequest, "the request's head is too large") }
}

/// Returns what is written instead of a refusal of the library; nothing for anything else.
fn replacement(bytes: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(HEAD_BYTES_MAX))?).ok()?;
    let is_whole = text.len() == bytes.len() && text.ends_with("\r\n\r\n") && text.contains("content-length: 0\r\n");
    if !is_whole {
        return None;
    }
    let (phrase, status) = match text.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => ("Bad Request", Status::failure(Reason::BadRequest, "the request is no HTTP/1.1 request")),
        "414" => {
            let status = Status::failure(Reason::BadRequest, "the request's path is too long");
            ("URI Too Long", Status { code: 414, ..status })
        }
        "431" => ("Request Header Fields Too Large", head_too_large()),
        _ => return None,
    };
    let body = serde_json::to_string(&status).expect("a status always serialises");
    let head = format!(
        "HTTP/1.1 {} {phrase}\r\ncontent-type: application/json\r\ncache-control: no-cache, private\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        status.code,
        body.len()
    );
    Some(Bytes::from(head + &body))
}

#[cfg(test)]
mod tests {
    use super::replacement;

    #[test]
    fn only_the_librarys_own_refusals_are_replaced() {
        let own = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Fri, 01 May 2026 00:00:00 GMT\r\n\r\n";
        let replaced = replacement(own.as_bytes()).unwrap();
        let text = std::str::from_utf8(&replaced).unwrap();
        assert!(text.starts_with("HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"), "{text}");
        assert!(text.ends_with('}') && text.contains("\"code\":400"), "{text}");
        let others = [
            own.replace("400 Bad", "200 Fine"),
            own.replace("content-length: 0", "content-length: 9"),
            format!("{own}body"),
            own[..own.len() - 2].to_owned(),
            format!("{{\"log\":\"{own}\"}}"),
            own.replace("date", &"x".repeat(200)),
            String::new(),
        ];
        for other in others {
            assert_eq!(replacement(other.as_bytes()), None, "{other}");
        }
        assert_eq!(replacement(b"HTTP/1.1 400 \xff\r\n\r\n"), None);
    }
}
