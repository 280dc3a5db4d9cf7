//! GET of a collection: whole or page by page, straight from the stored bytes.

use api_types::status::{Reason, Status};
use store::list::{ListAt, ListRequest};

use super::versions::{VersionMatch, list_match, wait_for};
use super::{VerbResult, check_include, rendering};
use crate::answer::{document, pieces, warn};
use crate::api::Call;
use crate::negotiation::{Encoding, Form};
use crate::selection::selector;
use crate::served::Served;

/// A list of which the store expects to make at most this many bytes is compressed or indented in one go.
const SMALL_BYTES: usize = 128 * 1024;
/// Tables are for people. kubectl asks for pages of [`KUBECTL_ROWS`] to spare a database that we do not have, and then
/// lets itself ask only five times a second: ten thousand objects would take it two seconds of waiting. A limit is the
/// client's wish, which the API's conventions let a server set aside.
const TABLE_ROWS: usize = 10_000;
/// What kubectl asks for unless it is told otherwise. Who asks for less means it.
const KUBECTL_ROWS: usize = 500;

/// Answers with the objects that match.
pub(crate) async fn list(call: &mut Call, served: &Served) -> VerbResult {
    check_include(call)?;
    let wanted = list_match(&call.query)?;
    let mut request = list_request(call, served, wanted)?;
    if matches!(call.negotiated.form, Form::Table(_)) && request.limit >= KUBECTL_ROWS {
        request.limit = request.limit.max(TABLE_ROWS);
    }
    if let VersionMatch::NotOlderThan(revision) | VersionMatch::Exact(revision) = wanted {
        wait_for(&call.api.store, revision).await?;
    }
    let list = call.api.store.list(&request)?;
    let rendering = rendering(call, served)?;
    let is_small = list.objects.iter().map(|object| object.size_bytes()).sum::<usize>() < SMALL_BYTES / 4;
    let parts = rendering.list(list);
    let mut answer = if is_small || call.negotiated.encoding != Encoding::Json {
        let whole: Vec<u8> = parts.flatten().collect();
        document(200, whole.into(), &call.negotiated)
    } else {
        pieces(parts, &call.negotiated)
    };
    if let Some(warning) = &served.version().deprecation_warning {
        warn(&mut answer, std::slice::from_ref(warning));
    }
    Ok(answer)
}

/// Reads a list request from the query.
pub(crate) fn list_request(call: &Call, served: &Served, wanted: VersionMatch) -> Result<ListRequest, Status> {
    let query = &call.query;
    let token = query.text("continue");
    let limit = usize::try_from(query.integer("limit")?.unwrap_or_default()).unwrap_or_default();
    // The real server answers `resourceVersion=0` from its cache, which does not cut into pages.
    let limit = if wanted == VersionMatch::Any { 0 } else { limit };
    let at = match wanted {
        VersionMatch::Exact(revision) => ListAt::Exact(revision),
        _ if !token.is_empty() => ListAt::Continue(token.to_owned()),
        _ => ListAt::Latest,
    };
    Ok(ListRequest {
        resource: served.resource.clone(),
        namespace: namespace(call, served),
        selector: selector(query, served)?,
        limit,
        at,
    })
}

/// Returns the namespace that a collection is limited to.
pub(crate) fn namespace(call: &Call, served: &Served) -> Option<String> {
    (served.resource.is_namespaced() && !call.info.namespace.is_empty()).then(|| call.info.namespace.clone())
}

/// Returns the answer for a collection that may only be read as a whole.
pub(crate) fn name_required() -> Status {
    Status::failure(Reason::BadRequest, "name must be provided")
}
