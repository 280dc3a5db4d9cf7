//! `labelSelector` and `fieldSelector` of lists, watches and deletions.

use api_types::status::Status;
use store::selector::Selector;

use crate::events;
use crate::query::Query;
use crate::served::{Served, View};

/// Reads both selectors.
///
/// # Errors
/// `BadRequest` for text that is no selector, and for a field that the kind does not offer.
pub(crate) fn selector(query: &Query, served: &Served) -> Result<Selector, Status> {
    let (labels, fields) = (query.text("labelSelector"), query.text("fieldSelector"));
    if labels.is_empty() && fields.is_empty() {
        return Ok(Selector::default());
    }
    let renamed = match served.view {
        View::NewEvent => events::selector_to_core(fields),
        View::Stored | View::OtherVersion | View::Pod => fields.to_owned(),
    };
    Selector::parse(&served.resource, served.version(), labels, &renamed)
}
