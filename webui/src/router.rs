//! The door: which requests are for pages, and the chain that each of them passes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use api_types::status::{Reason, Status};
use apiserver::access::Admitted;
use apiserver::api::Api;
use apiserver::authentication::{Peer, Recognised, User};
use apiserver::authorization::Decision;
use apiserver::request::RequestInfo;
use apiserver::serve::Answers;
use axum::body::Body;
use axum::extract::Request;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION};
use http::request::Parts;
use http::{HeaderValue, Method};
use store::state::State;

use crate::answer::{Answer, add_cookie, page as page_answer, raw, redirect};
use crate::forges::{self, ForgeAccounts};
use crate::index::{Index, SharedIndex};
use crate::live::Renderings;
use crate::pages::{self, forge_login, login};
use crate::pictures::{self, Gallery, Painter};
use crate::review::Reviews;
use crate::route::{Place, Route, wants_html};
use crate::session::{COOKIE_NAME, Proof, Session, SessionKey, cookie, set_cookie};
use crate::visit::{Sight, Visit, Visitor, ask, decide, sight};
use crate::{actions, answer, assets, badge, live, logs, view};

#[cfg(test)]
mod tests;

/// Sets browsers apart that have no session.
const NOBODY: &str = "nobody";
/// People who come back from forges at the same time: each costs a forge four requests.
const ARRIVALS_MAX: usize = 8;

/// What the pages are told of the world, beside the store.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Where people reach the pages.
    pub public_url: Option<String>,
    /// Asks forges who somebody is; `None`: nobody signs in with a forge.
    pub accounts: Option<Arc<dyn ForgeAccounts>>,
    /// Looks at commits that wait for trust.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// Draws pictures.
    pub painter: Option<Arc<dyn Painter>>,
}

/// The web pages of a server.
pub struct Web {
    pub(crate) api: Arc<Api>,
    pub(crate) key: SessionKey,
    pub(crate) renderings: Renderings,
    pub(crate) accounts: Option<Arc<dyn ForgeAccounts>>,
    reviews: Option<Arc<dyn Reviews>>,
    gallery: Option<Gallery>,
    /// Places for those who come back from forges.
    pub(crate) arrivals: tokio::sync::Semaphore,
    /// Where people reach the pages, without a slash at the end.
    pub(crate) public_url: Option<String>,
    index: SharedIndex,
    /// Whether people reach the pages over TLS wherever it ends.
    is_public_encrypted: bool,
}

impl Web {
    /// Returns the pages over `api`, with sessions under `key`.
    #[must_use]
    pub fn new(api: Arc<Api>, key: SessionKey, surroundings: Surroundings) -> Arc<Self> {
        let public_url = surroundings.public_url.map(|url| url.trim_end_matches('/').to_owned());
        Arc::new(Self {
            api,
            key,
            renderings: Renderings::default(),
            index: SharedIndex::default(),
            accounts: surroundings.accounts,
            reviews: surroundings.reviews,
            gallery: surroundings.painter.map(Gallery::new),
            arrivals: tokio::sync::Semaphore::new(ARRIVALS_MAX),
            is_public_encrypted: public_url.as_ref().is_some_and(|url| url.starts_with("https:")),
            public_url,
        })
    }

    /// Reads everything that the store holds, so that the first visitor need not wait for it. Blocks.
    pub fn warm(&self) {
        drop(self.look());
    }

    /// Returns whether a session is still good for what it began with: people sign in with the very same Forge. That a
    /// token still holds is asked with each request.
    fn still_leads_in(&self, session: &Session) -> bool {
        match &session.proof {
            Proof::Token(_) => true,
            Proof::Forge(account) => {
                forges::door(&self.api.store.state(), &account.forge).is_some_and(|door| door.uid == account.forge_uid)
            }
        }
    }

    pub(crate) fn look(&self) -> (Arc<State>, Index) {
        let state = self.api.store.state();
        let index = self.index.at(&state);
        (state, index)
    }
}

/// Returns what answers every request of a whole server: pages where browsers ask for them, the API everywhere else.
pub fn answers(web: Arc<Web>) -> impl Answers {
    tower::service_fn(move |request: Request| {
        let answer: BoxFuture<'static, _> = Box::pin(serve(web.clone(), request).map(Ok));
        answer
    })
}

async fn serve(web: Arc<Web>, request: Request) -> Answer {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match Route::parse(request.uri().path()) {
        // What is not for the API lies elsewhere in memory, so that what is for it is small to move.
        Some(route) if route != Route::Home || (reads && wants_html(accept)) => {
            Box::pin(own(web, route, request)).await
        }
        _ => apiserver::router::serve(web.api.clone(), request).await,
    }
}

/// One request for one of our addresses.
pub(crate) struct Asked {
    pub web: Arc<Web>,
    pub route: Route,
    pub parts: Parts,
    pub peer: Arc<Peer>,
    pub session: Option<Session>,
    pub audit_id: String,
}

impl Asked {
    /// Returns what sets this browser apart: its session, or whom its certificate is of, so that the tokens of one
    /// reader's forms are of no use to another.
    pub(crate) fn browser(&self) -> String {
        match (&self.session, &self.peer.certificate) {
            (Some(session), _) => format!("session {}", session.id),
            (None, Some(certificate)) => format!("certificate {}", certificate.user.name),
            (None, None) => NOBODY.to_owned(),
        }
    }

    /// Returns a `Set-Cookie` header's value. A proxy that ends TLS in front of us passes requests on without it: its
    /// browsers must keep the cookie to TLS all the same.
    pub(crate) fn set_cookie(&self, name: &str, value: &str, seconds: i64) -> String {
        set_cookie(name, value, self.peer.encrypted || self.web.is_public_encrypted, seconds)
    }

    /// Returns the Forge with which whoever asks had signed in, when that session has ended and another can begin.
    fn forge_of_ended_session(&self) -> Option<String> {
        let session = self.web.key.remembered(&self.parts.headers).filter(|_| self.session.is_none())?;
        let Proof::Forge(account) = session.proof else { return None };
        let is_open = self.web.accounts.is_some() && self.web.public_url.is_some();
        let door = forges::door(&self.web.api.store.state(), &account.forge)?;
        (is_open && door.uid == account.forge_uid).then_some(account.forge)
    }

    fn has_stale_cookie(&self) -> bool {
        cookie(&self.parts.headers, COOKIE_NAME).is_some()
    }
}

async fn own(web: Arc<Web>, route: Route, request: Request) -> Answer {
    let (mut parts, body) = request.into_parts();
    let audit_id = uuid::Uuid::new_v4().to_string();
    let is_head = parts.method == Method::HEAD;
    let Some(peer) = parts.extensions.get::<Arc<Peer>>().cloned() else {
        return raw(500, "text/plain; charset=utf-8", Body::from("the connection does not say who its other end is\n"));
    };
    let session = if parts.headers.contains_key(AUTHORIZATION) {
        None
    } else {
        web.key.read(&parts.headers, web.api.clock.now()).filter(|session| web.still_leads_in(session))
    };
    match session.as_ref().map(|session| (&session.proof, session.expires)) {
        Some((Proof::Token(token), _)) => {
            if let Ok(value) = HeaderValue::from_str(&format!("Bearer {token}")) {
                parts.headers.insert(AUTHORIZATION, value);
            }
        }
        Some((Proof::Forge(account), expires)) => {
            parts.extensions.insert(Recognised(account.user(expires)));
        }
        None => {}
    }
    let asked = Asked { web, route, parts, peer, session, audit_id: audit_id.clone() };
    let mut answer = match AssertUnwindSafe(dispatch(asked, body)).catch_unwind().await {
        Ok(answer) => answer,
        Err(_) => raw(
            500,
            "text/plain; charset=utf-8",
            Body::from("this page hit a bug in the server; its log tells more, please report it\n"),
        ),
    };
    answer::finish(&mut answer, &audit_id);
    if is_head {
        *answer.body_mut() = Body::empty();
    }
    answer
}

async fn dispatch(asked: Asked, body: Body) -> Answer {
    let reads = matches!(asked.parts.method, Method::GET | Method::HEAD);
    match (&asked.route, reads) {
        (Route::Asset(name), true) => {
            assets::answer(name, &asked.parts.headers).unwrap_or_else(|| failed(&asked, &not_found()))
        }
        (Route::Login, true) => login::form(&asked, ""),
        (Route::Login, false) if asked.parts.method == Method::POST => login::sign_in(&asked, body).await,
        (Route::ForgeLogin(forge), true) => forge_login::depart(&asked, forge),
        (Route::ForgeReturn(forge), true) => forge_login::come_back(&asked, forge).await,
        (Route::Logout, false) if asked.parts.method == Method::POST => login::sign_out(&asked, body).await,
        (Route::Logout, true) => redirect("/login"),
        (Route::Do(..), false) if asked.parts.method == Method::POST => actions::perform(asked, body).await,
        (Route::Nothing, true) => failed(&asked, &not_found()),
        (_, true) => judged(asked).await,
        (_, false) => failed(
            &asked,
            &Status::failure(Reason::MethodNotAllowed, "this address can only be read; use the buttons of its page"),
        ),
    }
}

pub(crate) fn not_found() -> Status {
    Status::failure(Reason::NotFound, "there is nothing at this address: it may have been deleted, or mistyped")
}

/// Passes a request that reads through the chain and answers it.
async fn judged(asked: Asked) -> Answer {
    let begun = Instant::now();
    let (state, index) = asked.web.look();
    let Some(question) = Question::of(&asked, &state) else { return failed(&asked, &not_found()) };
    let info = Arc::new(question.info.clone());
    let access = asked.web.api.access.clone();
    let metrics = access.metrics.clone();
    let present = metrics.request_begun(&info);
    let audit_id = asked.audit_id.clone();
    let admitted = access
        .admit_with(&asked.parts, &asked.peer, &info, &audit_id, |user| question.decide(&asked.web.api, user, &state));
    let (answer, user) = match admitted {
        Err(status) => (refused(&asked, &status), String::new()),
        Ok(admitted) => {
            let user = admitted.user.name.clone();
            (admitted_answer(asked, state, index, info.clone(), admitted).await, user)
        }
    };
    metrics.request_finished(&info, answer.status().as_u16(), begun.elapsed(), &audit_id, &user);
    drop(present);
    answer
}

async fn admitted_answer(
    asked: Asked,
    state: Arc<State>,
    index: Index,
    info: Arc<RequestInfo>,
    admitted: Admitted,
) -> Answer {
    let form_token = asked.web.key.form_token(&asked.browser());
    let visitor = Visitor { user: admitted.user.clone(), session: asked.session.clone(), form_token };
    let query = asked.parts.uri.query().unwrap_or_default().to_owned();
    let mut visit = Visit::new(&asked.web.api, state, index, visitor, asked.parts.uri.path(), &query);
    visit.reviews.clone_from(&asked.web.reviews);
    visit.gallery.clone_from(&asked.web.gallery);
    let (record, permit) = (admitted.record, admitted.permit);
    match &asked.route {
        // They write their own record when they end.
        Route::LogRaw(_) | Route::LogStream(_) => return logs::stream(&asked, &visit, record, permit).await,
        Route::Live => return live::answer(&asked, visit, info, record, permit),
        _ => {}
    }
    let result = match &asked.route {
        Route::Badge(place, form) => Ok(badge::answer(&visit, place, *form)),
        Route::Artifact(place, file) => logs::artifact(&visit, place, file).await,
        Route::CardPicture(place) => pictures::answer(&visit, place).await,
        route => {
            let page = pages::render(&visit, route).await;
            page.map(|page| page_answer(200, view::whole(&visit, &page), &asked.parts.headers))
        }
    };
    drop(permit);
    match result {
        Ok(answer) => {
            record.finish(answer.status().as_u16(), None);
            answer
        }
        Err(status) => {
            record.fail(&status);
            let page = pages::error::page(&status);
            page_answer(status.code, view::whole(&visit, &page), &asked.parts.headers)
        }
    }
}

/// Returns the answer to somebody who may not: strangers are asked to sign in, others are told.
fn refused(asked: &Asked, status: &Status) -> Answer {
    if let Route::Badge(place, form) = &asked.route {
        return badge::unknown(place, *form);
    }
    let has_credential =
        asked.parts.headers.contains_key(AUTHORIZATION) || asked.session.is_some() || asked.peer.certificate.is_some();
    let is_stranger = match status.reason {
        // The token of the session was revoked, or has ended.
        Some(Reason::Unauthorized) => asked.session.is_some(),
        Some(Reason::Forbidden) => !has_credential,
        _ => false,
    };
    let is_page = !matches!(asked.route, Route::Live | Route::LogStream(_) | Route::LogRaw(_) | Route::Artifact(..));
    if is_stranger && is_page {
        let next = asked.parts.uri.path_and_query().map_or("/", |path| path.as_str());
        if let Some(forge) = asked.forge_of_ended_session() {
            return redirect(&forge_login::path_of(&forge, next));
        }
        let mut answer = redirect(&format!("/login?next={}", view::encode(next)));
        if asked.has_stale_cookie() {
            add_cookie(&mut answer, &asked.set_cookie(COOKIE_NAME, "", 0));
        }
        return answer;
    }
    failed(asked, status)
}

/// Returns a page that says what went wrong, for requests that got no further than the door.
pub(crate) fn failed(asked: &Asked, status: &Status) -> Answer {
    let page = pages::error::page(status);
    page_answer(status.code, view::bare(&page), &asked.parts.headers)
}

/// What a request asks, in the words of authorisation.
struct Question {
    info: RequestInfo,
    /// The page that is shown: the configuration may open it to everybody.
    page: String,
    /// Pages over all namespaces show what their reader may see of these kinds.
    gathers: Vec<&'static str>,
    /// Whoever has signed in may ask, and sees what they may see.
    is_for_members: bool,
    /// Roles alone decide: that a namespace is public opens nothing.
    is_closed: bool,
}

impl Question {
    fn of(asked: &Asked, state: &State) -> Option<Self> {
        let (path, query) = (asked.parts.uri.path(), asked.parts.uri.query().unwrap_or_default());
        let mut question = Self::of_route(&asked.route, path, query, state)?;
        asked.parts.uri.path().clone_into(&mut question.info.path);
        Some(question)
    }

    fn of_route(route: &Route, path: &str, query: &str, state: &State) -> Option<Self> {
        use crate::index::{APPROVALS, APPS, CERTIFICATES, EVENTS, HOSTS, RECIPES, REPOSITORIES, RUNS};
        let gather = |keys: &[&'static str], is_for_members| {
            let info = ask("list", state.registry.get(keys[0])?, "", "", "");
            Some(Self { info, page: path.to_owned(), gathers: keys.to_vec(), is_for_members, is_closed: false })
        };
        let one = |key: &str, place: &Place, subresource: &str| {
            let info = ask("get", state.registry.get(key)?, &place.namespace, &place.name, subresource);
            Some(Self { info, page: path.to_owned(), gathers: Vec::new(), is_for_members: false, is_closed: false })
        };
        match route {
            Route::Home => gather(&[RUNS, RECIPES], true),
            Route::Recipes => gather(&[RECIPES], true),
            Route::Runs | Route::Queue => gather(&[RUNS], true),
            Route::Approvals => gather(&[APPROVALS], true),
            Route::Apps => gather(&[APPS], true),
            Route::Certificates => gather(&[CERTIFICATES], true),
            Route::Hosts => gather(&[HOSTS], true),
            Route::Repositories => gather(&[REPOSITORIES], true),
            Route::Events => gather(&[EVENTS], true),
            // It names kinds, not objects.
            Route::Kinds => gather(&[RUNS], true).map(|question| Self { gathers: Vec::new(), ..question }),
            Route::Kind(key) => {
                let info = ask("list", state.registry.get(key)?, "", "", "");
                Some(Self { info, page: path.to_owned(), gathers: Vec::new(), is_for_members: true, is_closed: true })
            }
            Route::Recipe(place) | Route::Badge(place, _) => one(RECIPES, place, ""),
            Route::Run(place) | Route::Card(place) | Route::CardPicture(place) => one(RUNS, place, ""),
            // What somebody wrote whom nobody trusts yet is not for strangers, wherever the run is shown.
            Route::Review(place) => one(RUNS, place, "").map(|question| Self { is_closed: true, ..question }),
            Route::Log(place) | Route::LogRaw(place) | Route::LogStream(place) => one(RUNS, place, "log"),
            Route::Artifact(place, _) => one(RUNS, place, "artifacts"),
            Route::Object(key, place) | Route::Do(_, key, place) => {
                let is_right = state.registry.get(key)?.is_namespaced() != place.namespace.is_empty();
                // Everything that an object says, and what can be done with it, is not for strangers.
                one(key, place, "").filter(|_| is_right).map(|question| Self { is_closed: true, ..question })
            }
            Route::Live => {
                let page = live::page_of(query)?;
                let mut question = Self::of_route(&page.route, &page.path, &page.query, state)?;
                "watch".clone_into(&mut question.info.verb);
                Some(question)
            }
            Route::Login
            | Route::Logout
            | Route::ForgeLogin(_)
            | Route::ForgeReturn(_)
            | Route::Asset(_)
            | Route::Nothing => None,
        }
    }

    fn decide(&self, api: &Api, user: &User, state: &State) -> Decision {
        // Watching a page is reading it again and again.
        let verb = if self.info.name.is_empty() { "list" } else { "get" };
        let info = RequestInfo { verb: verb.to_owned(), ..self.info.clone() };
        let decision = if self.is_closed {
            api.access.authorizer.authorize(user, &info)
        } else {
            decide(&api.access, user, state, &info)
        };
        if decision.allowed {
            return decision;
        }
        // Of what is not for strangers nothing can be opened.
        if let Some(open) = api.access.authorizer.open(&self.page).filter(|_| !self.is_closed) {
            return open;
        }
        let is_member = self.is_for_members && user.name != apiserver::authentication::ANONYMOUS;
        let sees = |key: &&str| !matches!(sight(&api.access, user, state, key), Sight::In(found) if found.is_empty());
        if is_member || self.gathers.iter().any(sees) {
            return Decision { allowed: true, reason: Arc::from("the page shows what its reader may see") };
        }
        decision
    }
}

/// Returns whether a user may (still) see the page at `path`, which is `route`.
pub(crate) fn may_see(api: &Api, user: &User, state: &State, route: &Route, path: &str) -> bool {
    api.access.authenticator.still_valid(user)
        && Question::of_route(route, path, "", state).is_some_and(|question| question.decide(api, user, state).allowed)
}
