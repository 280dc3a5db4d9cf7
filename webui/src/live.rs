//! What changes on a page while somebody looks: server-sent events with the parts that are not as they were.
//!
//! A page that connects is told the fingerprints of its parts and fetches itself again when they are not those it has;
//! so a page that was cut off for an hour is right again after one request. Pages that many look at are rendered once
//! for each revision and reader.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use apiserver::audit::AuditRecord;
use apiserver::authentication::User;
use apiserver::limits::Permit;
use apiserver::request::{RequestInfo, query_values};
use axum::body::Body;
use bytes::Bytes;
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde_json::{Map, Value, json};
use store::state::State;
use tokio::time::Instant;

use crate::answer::{Answer, raw};
use crate::pages;
use crate::route::Route;
use crate::router::{Asked, Web, may_see};
use crate::view::{self, safe::safe};
use crate::visit::{Visit, Visitor};

/// How long changes are gathered before a page is rendered again.
const GATHER: Duration = Duration::from_millis(150);
/// How often a silent stream says that it is there, and any is asked whether it may go on.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Renderings that are kept.
const RENDERINGS_MAX: usize = 256;

/// A page's parts as they are sent.
struct Rendering {
    /// Newest change of what the page is made of.
    watched: u64,
    /// Id, fingerprint, HTML.
    parts: Vec<(String, String, String)>,
}

/// What was rendered last, by reader and page.
#[derive(Default)]
pub(crate) struct Renderings(Mutex<HashMap<String, Arc<Rendering>>>);

/// Which page a stream is about.
pub(crate) struct LivePage {
    pub route: Route,
    pub path: String,
    pub query: String,
}

/// Returns which page a stream is about.
pub(crate) fn page_of(query: &str) -> Option<LivePage> {
    let (_, page) = query_values(query).find(|(key, _)| key == "page")?;
    let (path, query) = page.split_once('?').unwrap_or((&page, ""));
    let route = Route::parse(path)?;
    let is_page = !matches!(
        route,
        Route::Live
            | Route::CardPicture(_)
            | Route::LogStream(_)
            | Route::LogRaw(_)
            | Route::Artifact(..)
            | Route::Badge(..)
            | Route::Do(..)
    );
    is_page.then(|| LivePage { route, path: path.to_owned(), query: query.to_owned() })
}

/// One page that somebody looks at.
struct Looking {
    web: Arc<Web>,
    user: Arc<User>,
    page: LivePage,
    bell: tokio::sync::watch::Receiver<u64>,
    sent: HashMap<String, String>,
    watched: Option<u64>,
    watches: Vec<String>,
    _held: (Permit, AuditRecord, apiserver::metrics::Present),
}

/// Answers with the stream of a page's changes.
pub(crate) fn answer(
    asked: &Asked,
    visit: Visit,
    info: Arc<RequestInfo>,
    mut record: AuditRecord,
    permit: Permit,
) -> Answer {
    let Some(page) = page_of(asked.parts.uri.query().unwrap_or_default()) else {
        return raw(404, "text/plain; charset=utf-8", Body::from("no such page\n"));
    };
    record.started(200);
    let looking = Looking {
        web: asked.web.clone(),
        user: visit.user.clone(),
        page,
        bell: asked.web.api.store.changes(),
        sent: HashMap::new(),
        watched: None,
        watches: Vec::new(),
        _held: (permit, record, asked.web.api.access.metrics.watch_opened(&info)),
    };
    let end = asked.web.api.lifecycle.streams_end.clone();
    let events = futures::stream::unfold(looking, |mut looking| async move {
        let event = looking.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(event)), looking))
    });
    let events = futures::StreamExt::take_until(events, end.cancelled_owned());
    let mut answer = raw(200, "text/event-stream", Body::from_stream(events));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

impl Looking {
    async fn next(&mut self) -> Option<String> {
        if self.watched.is_none() {
            let rendering = self.render().await?;
            return Some(self.greeting(&rendering));
        }
        // Set before the loop: changes of what the page does not show must not put it off.
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(heartbeat) => {
                    return self.may_go_on().then(|| ": still here\n\n".to_owned());
                }
                rung = self.bell.changed() => rung.ok()?,
            }
            let state = self.web.api.store.state();
            if self.watched == Some(newest(&state, &self.watches)) {
                continue;
            }
            tokio::time::sleep(GATHER).await;
            self.bell.mark_unchanged();
            if !self.may_go_on() {
                return None;
            }
            let rendering = self.render().await?;
            if let Some(event) = self.difference(&rendering) {
                return Some(event);
            }
        }
    }

    fn may_go_on(&self) -> bool {
        may_see(&self.web.api, &self.user, &self.web.api.store.state(), &self.page.route, &self.page.path)
    }

    /// Renders the page, or takes what was rendered for another look of the same reader. `None` when the page is gone.
    async fn render(&mut self) -> Option<Arc<Rendering>> {
        let (state, index) = self.web.look();
        let key =
            format!("{}\n{}\n{}?{}", self.user.name, self.user.groups.join("\n"), self.page.path, self.page.query);
        if let Some(known) = self.web.renderings.get(&key)
            && !self.watches.is_empty()
            && known.watched == newest(&state, &self.watches)
        {
            self.watched = Some(known.watched);
            return Some(known);
        }
        let visitor = Visitor { user: self.user.clone(), session: None, form_token: String::new() };
        let visit = Visit::new(&self.web.api, state.clone(), index, visitor, &self.page.path, &self.page.query);
        let page = pages::render(&visit, &self.page.route).await.ok()?;
        self.watches.clone_from(&page.watches);
        let parts = page.parts.into_iter().map(|part| {
            let html = part.html.into_string();
            (part.id, view::hash(&html), safe(html))
        });
        let rendering = Arc::new(Rendering { watched: newest(&state, &self.watches), parts: parts.collect() });
        self.watched = Some(rendering.watched);
        self.web.renderings.put(key, rendering.clone());
        Some(rendering)
    }

    fn greeting(&mut self, rendering: &Rendering) -> String {
        let mut hashes = Map::new();
        for (id, hash, _) in &rendering.parts {
            hashes.insert(id.clone(), Value::from(hash.clone()));
            self.sent.insert(id.clone(), hash.clone());
        }
        format!("retry: 1000\nevent: hello\ndata: {}\n\n", Value::from(hashes))
    }

    fn difference(&mut self, rendering: &Rendering) -> Option<String> {
        let mut event = String::new();
        for (id, hash, html) in &rendering.parts {
            if self.sent.get(id) != Some(hash) {
                let data = json!({"id": id, "hash": hash, "html": html});
                event.push_str(&format!("event: part\ndata: {data}\n\n"));
                self.sent.insert(id.clone(), hash.clone());
            }
        }
        (!event.is_empty()).then_some(event)
    }
}

impl Renderings {
    fn get(&self, key: &str) -> Option<Arc<Rendering>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, rendering: Arc<Rendering>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= RENDERINGS_MAX && !kept.contains_key(&key) {
            // They are made again in a moment for whoever still looks.
            kept.clear();
        }
        kept.insert(key, rendering);
    }
}

fn newest(state: &State, keys: &[String]) -> u64 {
    keys.iter().map(|key| state.resource_revision(key)).max().unwrap_or(0)
}
