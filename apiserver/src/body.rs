//! Request bodies: JSON, YAML and protobuf become one decoded document, with its double members remembered.

use api_types::status::{Reason, Status};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde_json::Value;
use store::request::Body;
use store::schema::{DecodeError, is_too_large};

use crate::negotiation::BodyType;
use crate::protobuf;

/// Of a body that cannot be read, so much is repeated in the answer.
const SHOWN_BYTES: usize = 30;

/// Bodies above this size are read beside the threads that serve, in bytes: those answer others meanwhile.
const INLINE_BYTES_MAX: usize = 64 * 1024;
/// Most values in a YAML body: ten times as slow to read as JSON, and nobody writes so many by hand.
const YAML_NODES_MAX: usize = 250_000;

/// Runs `read` over the bytes of a body; large ones elsewhere, so that nobody waits behind them.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    bytes: Bytes,
    read: impl FnOnce(&[u8]) -> T + Send + 'static,
) -> T {
    if bytes.len() <= INLINE_BYTES_MAX {
        return read(&bytes);
    }
    match tokio::task::spawn_blocking(move || read(&bytes)).await {
        Ok(value) => value,
        // A panic goes on in the request that caused it, which the router turns into its answer.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Reads the body of a create or update; `kind` is what is expected, for the message.
///
/// # Errors
/// `BadRequest` that says what is wrong with the bytes, `RequestEntityTooLarge` when there are too many values in them.
pub(crate) fn decode_object(bytes: &[u8], body_type: BodyType, kind: &str) -> Result<Body, Status> {
    match body_type {
        BodyType::Json => decode_json(bytes).map_err(|error| {
            refusal(error, |why| {
                format!(
                    "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({})",
                    shown(bytes)
                )
            })
        }),
        BodyType::Yaml => decode_yaml(bytes).map_err(|error| {
            refusal(error, |why| {
                format!("the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; yaml parse error: {why}")
            })
        }),
        BodyType::Protobuf => protobuf::decode(bytes)
            .map(Body::from)
            .map_err(|why| Status::failure(Reason::BadRequest, format!("the protobuf body cannot be read: {why}"))),
    }
}

/// Reads a body for whoever only wants to look at it; `None` for one that cannot be read.
pub(crate) fn look(bytes: &[u8], body_type: BodyType) -> Option<Value> {
    match body_type {
        BodyType::Json => serde_json::from_slice(bytes).ok(),
        BodyType::Yaml => decode_yaml(bytes).ok().map(|body| body.value),
        BodyType::Protobuf => protobuf::decode(bytes).ok(),
    }
}

/// Returns the answer to a body that was not read; `describe` puts what is wrong with it into a sentence.
pub(crate) fn refusal(error: DecodeError, describe: impl FnOnce(&str) -> String) -> Status {
    match error {
        DecodeError::Malformed(why) => Status::failure(Reason::BadRequest, describe(&why)),
        DecodeError::TooLarge => Status::failure(
            Reason::RequestEntityTooLarge,
            format!("Request entity too large: the body is refused: {error}"),
        ),
    }
}

/// Reads JSON strictly.
///
/// # Errors
/// What is wrong, in Go's words.
pub(crate) fn decode_json(bytes: &[u8]) -> Result<Body, DecodeError> {
    let decoded = store::schema::decode::decode_json(bytes)?;
    Ok(Body { value: decoded.value, duplicates: decoded.duplicates })
}

/// Reads one YAML document; JSON is YAML too.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn decode_yaml(bytes: &[u8]) -> Result<Body, DecodeError> {
    let malformed = |why: String| DecodeError::Malformed(why);
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let text = first_document(text.strip_prefix('\u{feff}').unwrap_or(text));
    if text.trim_start().starts_with(['{', '[']) {
        match decode_json(text.as_bytes()) {
            // YAML's flow style begins in the same way.
            Err(DecodeError::Malformed(_)) => {}
            read => return read,
        }
    }
    let documents =
        api_types::manifest::documents_within(text, YAML_NODES_MAX).map_err(|error| malformed(error.to_string()))?;
    let value = documents.into_iter().next().map(|document| document.object).unwrap_or_default();
    if is_too_large(&value) { Err(DecodeError::TooLarge) } else { Ok(Body::from(value)) }
}

/// Reads a patch document.
///
/// # Errors
/// `BadRequest`, `RequestEntityTooLarge`.
pub(crate) fn decode_patch(bytes: &[u8]) -> Result<Value, Status> {
    decode_json(bytes)
        .map(|body| body.value)
        .map_err(|error| refusal(error, |why| format!("error decoding patch: {why}")))
}

/// Only the first document of a YAML stream counts, as in Kubernetes.
fn first_document(text: &str) -> &str {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    text.find("\n---\n").map_or(text, |end| &text[..=end])
}

/// The beginning of a body, for people: text as it is, anything else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "<empty>".to_owned();
    }
    let cut = bytes.len() > SHOWN_BYTES;
    let part = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let is_text = part.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
    let text = if is_text { String::from_utf8_lossy(part).into_owned() } else { HEXLOWER.encode(part) };
    if cut { format!("{text} ...") } else { text }
}
