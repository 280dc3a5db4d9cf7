//! Answers: pages and their like, with the headers that keep them harmless.

use std::io::Write as _;

use axum::body::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

/// An answer on its way.
pub(crate) type Answer = Response<Body>;

/// Nothing but our own style, script and pictures; no frame around us; forms go to us alone.
pub(crate) const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Smaller answers are not worth compressing.
const GZIP_BYTES_MIN: usize = 1024;

/// Returns an answer with a whole page.
pub(crate) fn page(code: u16, html: String, headers: &HeaderMap) -> Answer {
    compressed(code, "text/html; charset=utf-8", html.into(), headers)
}

/// Returns an answer with these bytes, compressed when the client can read that.
pub(crate) fn compressed(code: u16, content_type: &'static str, bytes: Bytes, headers: &HeaderMap) -> Answer {
    let accepts = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_welcome = accepts.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        words.next() == Some("gzip") && !words.any(|word| word == "q=0")
    });
    let mut answer = if is_welcome && bytes.len() >= GZIP_BYTES_MIN {
        let mut answer = raw(code, content_type, Body::from(gzip(&bytes)));
        answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        answer
    } else {
        raw(code, content_type, Body::from(bytes))
    };
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding, Cookie"));
    answer
}

/// Returns an answer with this body as it is.
pub(crate) fn raw(code: u16, content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Returns an answer that sends the browser elsewhere with a GET. `to` is a path of ours, or an administrator's address.
pub(crate) fn redirect(to: &str) -> Answer {
    let mut answer = raw(303, "text/plain; charset=utf-8", Body::from("See other.\n"));
    answer.headers_mut().insert(LOCATION, HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/")));
    answer
}

/// Adds a `Set-Cookie` header.
pub(crate) fn add_cookie(answer: &mut Answer, cookie: &str) {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        answer.headers_mut().append(SET_COOKIE, value);
    }
}

/// Adds the headers that every answer carries.
pub(crate) fn finish(answer: &mut Answer, audit_id: &str) {
    let headers = answer.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(CONTENT_SECURITY_POLICY, POLICY);
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(X_FRAME_OPTIONS, "DENY");
    default(REFERRER_POLICY, "same-origin");
    default(CACHE_CONTROL, "no-store, private");
    default(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    if let Ok(id) = HeaderValue::from_str(audit_id) {
        headers.insert(HeaderName::from_static("audit-id"), id);
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}
