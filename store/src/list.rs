//! Lists: all of one resource at one revision, whole or page by page.
//!
//! Pages after the first show the state at the first page's revision. It is not kept: it is the present state with the
//! changes since then undone, as far back as the history reaches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::object::Object;
use crate::registry::Resource;
use crate::selector::Selector;
use crate::state::State;
use crate::store::Store;

/// What to list.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The resource.
    pub resource: Arc<Resource>,
    /// Only this namespace; `None` for all.
    pub namespace: Option<String>,
    /// Only what matches.
    pub selector: Selector,
    /// Most objects in the answer; 0 for all.
    pub limit: usize,
    /// Which state to show.
    pub at: ListAt,
}

/// Which state a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListAt {
    /// The present one.
    Latest,
    /// The one at exactly this revision.
    Exact(u64),
    /// The page that this token of an earlier answer stands for.
    Continue(String),
}

/// A list, or one page of it.
#[derive(Clone, Debug)]
pub struct List {
    /// The revision that the list shows.
    pub revision: u64,
    /// The objects, in the order of `namespace/name`.
    pub objects: Vec<Arc<Object>>,
    /// Token of the next page, if there is one.
    pub continue_token: Option<String>,
    /// How many objects the further pages hold; unknown with a selector.
    pub remaining: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    /// -1 goes on at the present revision instead of the first page's.
    rv: i64,
    start: String,
    /// How many objects follow, so that no page counts them again; a page at the present revision does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remaining: Option<usize>,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Store {
    /// Returns the objects that match.
    ///
    /// # Errors
    /// `Expired` when the revision asked for is older than the history, with a token that goes on at the present
    /// revision; `BadRequest` for a token that is not one of ours.
    pub fn list(&self, request: &ListRequest) -> Result<List, Status> {
        list(&self.state(), request)
    }
}

/// Lists from one state.
pub(crate) fn list(state: &State, request: &ListRequest) -> Result<List, Status> {
    let prefix = request.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let (revision, start, announced) = match &request.at {
        ListAt::Latest => (state.revision, Bound::Included(prefix.clone()), None),
        ListAt::Exact(revision) => (*revision, Bound::Included(prefix.clone()), None),
        ListAt::Continue(token) => {
            let token = decode(token)?;
            let last = token.start.trim_end_matches('\0').trim_start_matches('/').to_owned();
            match u64::try_from(token.rv) {
                Ok(revision) => (revision, Bound::Excluded(last), token.remaining),
                Err(_) => (state.revision, Bound::Excluded(last), None),
            }
        }
    };
    if revision > state.revision {
        return Err(Status::failure(Reason::BadRequest, format!("revision {revision} has not happened yet")));
    }
    let is_present = state.resource_revision(&request.resource.key) <= revision;
    let differences = if is_present {
        BTreeMap::new()
    } else {
        state.differences_at(&request.resource.key, revision).ok_or_else(|| expired(request, &start))?
    };
    let mut found = Merged::new(state, &request.resource.key, &prefix, &start, differences)
        .filter(|object| request.selector.matches(object));
    let limit = if request.limit == 0 { usize::MAX } else { request.limit };
    let objects: Vec<Arc<Object>> = found.by_ref().take(limit).collect();
    let more = found.next();
    let remaining = match (&more, announced) {
        (Some(_), _) if !request.selector.is_everything() => None,
        // The state is the first page's, so what followed that one follows this one, without what this one holds.
        (Some(_), Some(announced)) => Some(announced.saturating_sub(objects.len())),
        (Some(next), None) => Some(count_from(state, request, &prefix, next, revision)),
        (None, _) => None,
    };
    let continue_token = more.is_some().then(|| {
        let last = objects.last().map_or("", |object| object.key());
        encode(i64::try_from(revision).unwrap_or(-1), last, remaining)
    });
    Ok(List { revision, objects, continue_token, remaining })
}

/// Returns how many objects there are from `next` on.
fn count_from(state: &State, request: &ListRequest, prefix: &str, next: &Object, revision: u64) -> usize {
    let Some(resource) = state.resources.get(&request.resource.key) else { return 0 };
    let live = if prefix.is_empty() {
        // The number of all is known, and a first page, which is the one that counts, has few before `next`.
        let before = resource.objects.range::<_, str>((Bound::Unbounded, Bound::Excluded(next.key())));
        resource.objects.len() - before.count()
    } else {
        let from = resource.objects.range::<_, str>((Bound::Included(next.key()), Bound::Unbounded));
        from.take_while(|(key, _)| key.starts_with(prefix)).count()
    };
    if resource.revision <= revision {
        return live;
    }
    // The history was long enough for the page itself a moment ago.
    let differences = state.differences_at(&request.resource.key, revision).unwrap_or_default();
    let is_behind = |key: &str| key.starts_with(prefix) && key >= next.key();
    let (mut came_since, mut went_since) = (0, 0);
    for (key, older) in differences.iter().filter(|(key, _)| is_behind(key)) {
        match (older.is_some(), resource.objects.contains_key(&**key)) {
            (false, true) => came_since += 1,
            (true, false) => went_since += 1,
            _ => {}
        }
    }
    live + went_since - came_since
}

/// The objects of one resource at an older revision: the present ones, with what differs put in its place.
struct Merged<'a> {
    live: Box<dyn Iterator<Item = &'a Arc<Object>> + 'a>,
    next_live: Option<&'a Arc<Object>>,
    older: std::iter::Peekable<std::collections::btree_map::IntoIter<Arc<str>, Option<Arc<Object>>>>,
}

impl<'a> Merged<'a> {
    fn new(
        state: &'a State,
        resource: &str,
        prefix: &str,
        start: &Bound<String>,
        mut differences: BTreeMap<Arc<str>, Option<Arc<Object>>>,
    ) -> Self {
        let bound = start.as_ref().map(String::as_str);
        let is_in = |key: &str| {
            key.starts_with(prefix)
                && match bound {
                    Bound::Excluded(last) => key > last,
                    Bound::Included(first) => key >= first,
                    Bound::Unbounded => true,
                }
        };
        differences.retain(|key, _| is_in(key));
        let prefix = prefix.to_owned();
        let objects = state.resources.get(resource).into_iter();
        let range = (bound.map(ToOwned::to_owned), Bound::Unbounded);
        let mut live: Box<dyn Iterator<Item = &'a Arc<Object>> + 'a> = Box::new(
            objects
                .flat_map(move |resource| {
                    let range = (range.0.as_ref().map(String::as_str), range.1.as_ref().map(String::as_str));
                    resource.objects.range::<_, str>(range).map(|(_, object)| object)
                })
                .take_while(move |object| object.key().starts_with(&prefix)),
        );
        let next_live = live.next();
        Self { live, next_live, older: differences.into_iter().peekable() }
    }
}

impl Iterator for Merged<'_> {
    type Item = Arc<Object>;

    fn next(&mut self) -> Option<Arc<Object>> {
        loop {
            let older_is_first = match (self.older.peek(), self.next_live) {
                (Some((key, _)), Some(live)) => &**key <= live.key(),
                (Some(_), None) => true,
                (None, _) => false,
            };
            if !older_is_first {
                let live = self.next_live?.clone();
                self.next_live = self.live.next();
                return Some(live);
            }
            let (key, older) = self.older.next()?;
            if self.next_live.is_some_and(|live| live.key() == &*key) {
                self.next_live = self.live.next();
            }
            if older.is_some() {
                return older;
            }
        }
    }
}

fn expired(request: &ListRequest, start: &Bound<String>) -> Status {
    match (&request.at, start) {
        (ListAt::Continue(_), Bound::Excluded(last)) => {
            let mut status = Status::failure(
                Reason::Expired,
                "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            );
            status.metadata.continue_ = encode(-1, last, None);
            status
        }
        _ => Status::failure(Reason::Expired, "The resourceVersion for the provided list is too old."),
    }
}

fn encode(revision: i64, last: &str, remaining: Option<usize>) -> String {
    let token = Token { v: TOKEN_VERSION.to_owned(), rv: revision, start: format!("/{last}\0"), remaining };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).expect("a token always serialises"))
}

fn decode(token: &str) -> Result<Token, Status> {
    let wrong = |why: String| Status::failure(Reason::BadRequest, format!("invalid continue token: {why}"));
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| wrong(error.to_string()))?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if token.v != TOKEN_VERSION || token.rv < -1 || !token.start.starts_with('/') {
        return Err(wrong("it was not made by this server".to_owned()));
    }
    Ok(token)
}
