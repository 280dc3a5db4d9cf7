//! Request bodies: JSON, YAML and protobuf become one decoded document, with its double members remembered.

use api_types::status::{Reason, Status};
use serde_json::Value;
use store::request::Body;

use crate::negotiation::BodyType;
use crate::protobuf;

/// Of a body that cannot be read, so much is repeated in the answer.
const SHOWN_BYTES: usize = 30;

/// Reads the body of a create or update; `kind` is what is expected, for the message.
///
/// # Errors
/// `BadRequest` that says what is wrong with the bytes.
pub(crate) fn decode_object(bytes: &[u8], body_type: BodyType, kind: &str) -> Result<Body, Status> {
    match body_type {
        BodyType::Json => decode_json(bytes).map_err(|why| {
            let message = format!(
                "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({})",
                shown(bytes)
            );
            Status::failure(Reason::BadRequest, message)
        }),
        BodyType::Yaml => decode_yaml(bytes).map_err(|why| {
            let message = format!("the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; yaml parse error: {why}");
            Status::failure(Reason::BadRequest, message)
        }),
        BodyType::Protobuf => protobuf::decode(bytes)
            .map(Body::from)
            .map_err(|why| Status::failure(Reason::BadRequest, format!("the protobuf body cannot be read: {why}"))),
    }
}

/// Reads JSON strictly.
///
/// # Errors
/// What is wrong, in Go's words.
pub(crate) fn decode_json(bytes: &[u8]) -> Result<Body, String> {
    let decoded = store::schema::decode::decode_json(bytes)?;
    Ok(Body { value: decoded.value, duplicates: decoded.duplicates })
}

/// Reads one YAML document; JSON is YAML too.
///
/// # Errors
/// What is wrong, with line and column.
pub(crate) fn decode_yaml(bytes: &[u8]) -> Result<Body, String> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
        && let Ok(body) = decode_json(bytes)
    {
        return Ok(body);
    }
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let documents = api_types::manifest::documents(first_document(text)).map_err(|error| error.to_string())?;
    Ok(Body::from(documents.into_iter().next().map(|document| document.object).unwrap_or_default()))
}

/// Reads a patch document.
///
/// # Errors
/// `BadRequest`.
pub(crate) fn decode_patch(bytes: &[u8]) -> Result<Value, Status> {
    decode_json(bytes)
        .map(|body| body.value)
        .map_err(|why| Status::failure(Reason::BadRequest, format!("error decoding patch: {why}")))
}

/// Only the first document of a YAML stream counts, as in Kubernetes.
fn first_document(text: &str) -> &str {
    let text = text.strip_prefix("---\n").unwrap_or(text);
    text.find("\n---\n").map_or(text, |end| &text[..=end])
}

/// The beginning of a body, for people: text as it is, anything else in hexadecimal.
fn shown(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    if bytes.is_empty() {
        return "<empty>".to_owned();
    }
    let cut = bytes.len() > SHOWN_BYTES;
    let part = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let is_text = part.iter().all(|byte| byte.is_ascii() && !byte.is_ascii_control());
    let text = if is_text {
        String::from_utf8_lossy(part).into_owned()
    } else {
        part.iter().fold(String::new(), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    if cut { format!("{text} ...") } else { text }
}
