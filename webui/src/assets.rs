//! Style, script and icon: three files within the program.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue};

use crate::answer::{Answer, compressed, raw};

pub(crate) const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/script.js");
const ICON: &str = include_str!("../assets/icon.svg");
/// Browsers ask again with every release: the pages name it in the address.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Answers with one of the files.
pub(crate) fn answer(name: &str, headers: &HeaderMap) -> Option<Answer> {
    let (content_type, text) = match name {
        "style.css" => ("text/css; charset=utf-8", STYLE),
        "script.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return None,
    };
    let tag = format!("\"{}\"", crate::view::hash(text));
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut answer = if known == Some(tag.as_str()) {
        raw(304, content_type, axum::body::Body::empty())
    } else {
        compressed(200, content_type, Bytes::from_static(text.as_bytes()), headers)
    };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, value);
    }
    // An hour, then it asks whether the file is still the same.
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600, must-revalidate"));
    Some(answer)
}
