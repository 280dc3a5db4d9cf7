//! GET of `/artifacts/FILE`: a file that a run left.
//!
//! What a recipe's tests left is not trusted: a browser is told to believe the media type, to run nothing, and to save
//! what it could otherwise run.

use api_types::status::{Reason, Status};
use axum::body::Body;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue};

use super::VerbResult;
use crate::answer::raw;
use crate::api::Call;
use crate::pods::{ArtifactFile, ArtifactRequest};
use crate::served::Served;

/// The subresource beneath which artifacts are.
pub(crate) const SUBRESOURCE: &str = "artifacts";
/// Longest name of a file.
const NAME_BYTES_MAX: usize = 255;
/// What a browser may show; everything else is saved.
const SHOWN: [&str; 4] = ["text/plain", "application/json", "image/png", "image/jpeg"];

/// Answers with a file of a run.
pub(crate) async fn artifact(call: &mut Call, served: &Served) -> VerbResult {
    let target = call.target(served);
    let run = call
        .api
        .store
        .get(&served.resource, &target.key())
        .ok_or_else(|| Status::not_found(served.names(), &target.name))?;
    let after = call.info.path.split('/').filter(|segment| !segment.is_empty()).skip_while(|part| *part != SUBRESOURCE);
    let file = after.last().filter(|last| *last != SUBRESOURCE && is_name(last)).ok_or_else(|| {
        let message = "name an artifact, as the run's status.artifacts lists them: …/artifacts/FILE";
        Status::failure(Reason::BadRequest, message)
    })?;
    let request = ArtifactRequest {
        namespace: target.namespace,
        name: target.name,
        uid: run.value()["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        file: file.to_owned(),
    };
    let found = call.api.logs.artifact(request).await?;
    Ok(answer(file, found))
}

/// Whether a file may be called so.
pub(crate) fn is_name(file: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@=-".contains(&byte);
    file.len() <= NAME_BYTES_MAX
        && file.starts_with(|first: char| first.is_ascii_alphanumeric())
        && file.bytes().all(fits)
}

fn answer(file: &str, found: ArtifactFile) -> crate::answer::Answer {
    let is_shown = SHOWN.iter().any(|shown| found.media_type.split(';').next() == Some(*shown));
    let disposition = if is_shown { "inline" } else { "attachment" };
    let length = found.content.len();
    let mut answer = raw(200, "application/octet-stream", Body::from(found.content));
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            answer.headers_mut().insert(name, value);
        }
    };
    set(CONTENT_TYPE, found.media_type);
    set(CONTENT_LENGTH, length.to_string());
    set(ETAG, format!("\"{}\"", found.sha256));
    set(CONTENT_DISPOSITION, format!("{disposition}; filename=\"{file}\""));
    set(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned());
    set(X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned());
    answer
}
