//! `resourceVersion` and `resourceVersionMatch`: which state a read must show, and waiting for one that is to come.

use std::time::Duration;

use api_types::status::{Reason, Status, StatusCause, StatusDetails};
use store::store::Store;

use crate::query::{OptionsKind, Query, cause, refuse};

/// How long a read waits for a revision that has not happened yet.
const FUTURE_WAIT: Duration = Duration::from_secs(3);

/// Which state a read must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VersionMatch {
    /// The newest there is.
    Latest,
    /// Any.
    Any,
    /// This one or a newer one.
    NotOlderThan(u64),
    /// This one.
    Exact(u64),
}

/// Reads a `resourceVersion`; `None` when it is empty.
///
/// # Errors
/// `BadRequest` in Go's words.
pub(crate) fn parse_version(text: &str) -> Result<Option<u64>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Status::failure(
            Reason::BadRequest,
            format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"),
        )
    })
}

/// Reads what a list asks for.
///
/// # Errors
/// `Invalid` for combinations that make no sense, `BadRequest` for a version that is no number.
pub(crate) fn list_match(query: &Query) -> Result<VersionMatch, Status> {
    let (version, how) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
    let mut causes = Vec::new();
    if query.has("sendInitialEvents") {
        let message = "Forbidden: sendInitialEvents is forbidden for list";
        causes.push(cause("FieldValueForbidden", "sendInitialEvents", message));
    }
    causes.extend(match_causes(version, how));
    refuse(OptionsKind::List, causes)?;
    let parsed = parse_version(version).map_err(|status| {
        Status::failure(Reason::BadRequest, format!("invalid resource version: {}", status.message))
    })?;
    let continues = !query.text("continue").is_empty();
    Ok(match (parsed, how) {
        (None, _) => VersionMatch::Latest,
        (Some(0), _) if !continues => VersionMatch::Any,
        (Some(_), _) if continues => {
            let message = "specifying resource version is not allowed when using continue";
            return Err(Status::failure(Reason::BadRequest, message));
        }
        (Some(revision), "Exact") => VersionMatch::Exact(revision),
        (Some(revision), _) => VersionMatch::NotOlderThan(revision),
    })
}

fn match_causes(version: &str, how: &str) -> Option<StatusCause> {
    const FIELD: &str = "resourceVersionMatch";
    match (version, how) {
        (_, "") => None,
        ("", _) => {
            let message = "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided";
            Some(cause("FieldValueForbidden", FIELD, message))
        }
        ("0", "Exact") => {
            let message = "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            Some(cause("FieldValueForbidden", FIELD, message))
        }
        (_, "Exact" | "NotOlderThan") => None,
        (_, other) => {
            let message = format!("Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
            Some(cause("FieldValueNotSupported", FIELD, message))
        }
    }
}

/// Waits until the store has reached `revision`.
///
/// # Errors
/// `Timeout` with `ResourceVersionTooLarge` when it does not within three seconds.
pub(crate) async fn wait_for(store: &Store, revision: u64) -> Result<(), Status> {
    if store.state().revision >= revision {
        return Ok(());
    }
    let mut changes = store.changes();
    let reached = tokio::time::timeout(FUTURE_WAIT, changes.wait_for(|newest| *newest >= revision)).await;
    match reached {
        Ok(Ok(_)) => Ok(()),
        _ => Err(too_large(revision, store.state().revision)),
    }
}

fn too_large(revision: u64, current: u64) -> Status {
    let message = format!("Timeout: Too large resource version: {revision}, current: {current}");
    let mut status = Status::failure(Reason::Timeout, message);
    status.details = Some(StatusDetails {
        causes: vec![StatusCause {
            reason: "ResourceVersionTooLarge".to_owned(),
            message: "Too large resource version".to_owned(),
            field: String::new(),
        }],
        retry_after_seconds: 1,
        ..StatusDetails::default()
    });
    status
}
