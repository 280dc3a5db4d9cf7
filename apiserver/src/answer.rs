//! Answers: the bytes of one object or document, a status, or plain text, with the headers that belong to them.

use api_types::status::{Reason, Status};
use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, VARY, WARNING};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde_json::Value;
use std::io::Write as _;

use crate::limits::retry_after_seconds;
use crate::negotiation::{Encoding, Negotiated};

/// Answers larger than this are compressed for clients that can read it.
pub(crate) const GZIP_BYTES_MIN: usize = 128 * 1024;
/// All warnings of an answer together; what does not fit is left out.
const WARNING_BYTES_MAX: usize = 4096;
/// The header that ties an answer to its line in the audit log.
pub(crate) const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

/// An answer on its way.
pub(crate) type Answer = Response<Body>;

/// Returns an answer with a JSON document, in the encoding that was agreed.
pub(crate) fn document(code: u16, json: Bytes, negotiated: &Negotiated) -> Answer {
    let bytes = match negotiated.encoding {
        Encoding::Json => json,
        Encoding::PrettyJson => pretty(&json),
        Encoding::Yaml => yaml(&json),
    };
    let content_type = negotiated.encoding.content_type();
    if negotiated.gzip && bytes.len() > GZIP_BYTES_MIN {
        let mut answer = raw(code, content_type, Body::from(gzip(&bytes)));
        mark_compressed(&mut answer);
        return answer;
    }
    raw(code, content_type, Body::from(bytes))
}

/// Returns an answer with a document that is made piece by piece, compressed when that was agreed.
pub(crate) fn pieces(pieces: impl Iterator<Item = Bytes> + Send + 'static, negotiated: &Negotiated) -> Answer {
    let content_type = negotiated.encoding.content_type();
    if !negotiated.gzip {
        let frames = futures::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>));
        return raw(200, content_type, Body::from_stream(frames));
    }
    let compressed = Compressed { pieces, encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())) };
    let frames = futures::stream::iter(compressed.map(Ok::<_, std::convert::Infallible>));
    let mut answer = raw(200, content_type, Body::from_stream(frames));
    mark_compressed(&mut answer);
    answer
}

/// Returns an answer with these bytes as they are.
pub(crate) fn raw(code: u16, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Returns plain text, as health checks and unknown paths answer.
pub(crate) fn text(code: u16, text: impl Into<Bytes>) -> Answer {
    let mut answer = raw(code, "text/plain; charset=utf-8", Body::from(text.into()));
    answer.headers_mut().insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Returns the answer to a path that leads nowhere.
pub(crate) fn page_not_found() -> Answer {
    text(404, "404 page not found\n")
}

/// Returns an error.
pub(crate) fn failure(status: &Status, negotiated: &Negotiated) -> Answer {
    let json = serde_json::to_vec(status).expect("a status always serialises");
    let mut answer = document(status.code, json.into(), negotiated);
    if let Some(seconds) = retry_after_seconds(status) {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Returns the refusal of a request that got no further than the door.
pub(crate) fn refusal(status: &Status, negotiated: &Negotiated) -> Answer {
    let mut answer = failure(status, negotiated);
    if status.reason == Some(Reason::Forbidden) {
        answer.headers_mut().insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    answer
}

/// Adds the headers that every answer carries.
pub(crate) fn finish(answer: &mut Answer, audit_id: &str) {
    let headers = answer.headers_mut();
    if let Ok(id) = HeaderValue::from_str(audit_id) {
        headers.insert(AUDIT_ID, id);
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
}

/// Adds one `Warning` header for each text, escaped so that clients show it.
pub(crate) fn warn(answer: &mut Answer, warnings: &[String]) {
    let mut budget = WARNING_BYTES_MAX;
    for warning in warnings {
        let escaped: String = warning.chars().filter(|character| !character.is_control()).collect();
        let escaped = escaped.replace('\\', "\\\\").replace('"', "\\\"");
        let line = format!("299 - \"{escaped}\"");
        if line.len() > budget {
            return;
        }
        budget -= line.len();
        if let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) {
            answer.headers_mut().append(WARNING, value);
        }
    }
}

/// Returns the document with line breaks and indentation.
fn pretty(json: &[u8]) -> Bytes {
    let value: Value = serde_json::from_slice(json).expect("our own documents are JSON");
    serde_json::to_vec_pretty(&value).expect("a JSON value always serialises").into()
}

fn yaml(json: &[u8]) -> Bytes {
    let value: Value = serde_json::from_slice(json).expect("our own documents are JSON");
    serde_saphyr::to_string(&value).expect("a JSON value is a YAML value").into()
}

/// Returns the bytes compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

/// Says that an answer's body is compressed, and that this depended on what the client reads.
pub(crate) fn mark_compressed(answer: &mut Answer) {
    answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
}

/// Compresses pieces one by one, so that no whole copy of a long list is ever in memory.
struct Compressed<I> {
    pieces: I,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I: Iterator<Item = Bytes>> Iterator for Compressed<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let Some(piece) = self.pieces.next() else {
                let encoder = self.encoder.take()?;
                return Some(encoder.finish().expect("writing to memory cannot fail").into());
            };
            encoder.write_all(&piece).expect("writing to memory cannot fail");
            if encoder.get_ref().len() >= GZIP_BYTES_MIN / 8 {
                return Some(std::mem::take(encoder.get_mut()).into());
            }
        }
    }
}
