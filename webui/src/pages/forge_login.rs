//! Signing in with an account of a forge: away to it, and back.
//!
//! The browser takes a state and a challenge along. What it needs to be believed when it comes back (state, verifier,
//! forge, where it was going) stays in a sealed cookie of its own, so that nobody can finish in one browser what was
//! begun in another. What it brings is a code, which the forge is asked about; nothing else it says counts.

use std::sync::Arc;

use api_types::status::{Reason, Status};
use apiserver::request::{RequestInfo, query_values};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;

use super::login::{form_to, local};
use crate::answer::{Answer, add_cookie, redirect};
use crate::forges::{Departure, Door, ForgeProblem, GROUPS_MAX, Return, account, door, without_role};
use crate::router::{Asked, failed, not_found};
use crate::session::{
    COOKIE_NAME, ForgeAccount, JOURNEY_COOKIE_NAME, Journey, SESSION_HOURS, Session, cookie, random_text,
};

/// How long somebody may take at the forge, in seconds.
const JOURNEY_SECONDS: i64 = 600;
/// Answer to a browser that comes back from where it was not sent.
const NOT_BEGUN_HERE: u16 = 400;
/// Longer codes are no codes.
const CODE_BYTES_MAX: usize = 512;

/// Sends a browser to the forge.
pub(crate) fn depart(asked: &Asked, forge: &str) -> Answer {
    let info = info(forge, "");
    let permit = match asked.web.api.access.limits.admit(
        &apiserver::authentication::User::anonymous(),
        &info,
        std::time::Instant::now(),
    ) {
        Ok(permit) => permit,
        Err(status) => return failed(asked, &status),
    };
    drop(permit);
    let state = asked.web.api.store.state();
    let Some(door) = door(&state, forge) else { return failed(asked, &not_found()) };
    let next = query_values(asked.parts.uri.query().unwrap_or_default()).find(|(key, _)| key == "next");
    let next = local(&next.map(|(_, next)| next).unwrap_or_default()).to_owned();
    let (Some(accounts), Some(redirect_uri)) = (&asked.web.accounts, redirect_uri(asked, forge)) else {
        let message = "nobody can sign in here with a forge until `[server] public_url` in the configuration says where \
                       browsers come back to";
        return failed(asked, &Status::failure(Reason::ServiceUnavailable, message));
    };
    let (Some(journey_state), Some(verifier)) = (random_text(), random_text()) else {
        return failed(asked, &Status::failure(Reason::InternalError, "the operating system has no randomness"));
    };
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let departure = Departure { forge, redirect_uri: &redirect_uri, state: &journey_state, challenge: &challenge };
    let to = match accounts.departure(&departure) {
        Ok(to) => to,
        Err(problem) => return told(asked, &problem, &next),
    };
    let now = asked.web.api.clock.now();
    let expires = now.saturating_add(SignedDuration::from_secs(JOURNEY_SECONDS)).unwrap_or(now);
    let journey =
        Journey { forge: forge.to_owned(), forge_uid: door.uid, state: journey_state, verifier, next, expires };
    let mut answer = redirect(&to);
    add_cookie(
        &mut answer,
        &asked.set_cookie(JOURNEY_COOKIE_NAME, &asked.web.key.seal_journey(&journey), JOURNEY_SECONDS),
    );
    answer
}

/// Takes a browser that comes back from the forge.
pub(crate) async fn come_back(asked: &Asked, forge: &str) -> Answer {
    let api = &asked.web.api;
    let info = Arc::new(info(forge, "/callback"));
    let stranger = apiserver::authentication::User::anonymous();
    let permit = match api.access.limits.admit(&stranger, &info, std::time::Instant::now()) {
        Ok(permit) => permit,
        Err(status) => return failed(asked, &status),
    };
    // The query holds the code: it is no part of the record.
    let record = api.access.audit.begin(&asked.audit_id, &info, None, None, &asked.peer, &asked.parts.headers);
    let outcome = arrive(asked, forge).await;
    drop(permit);
    let mut answer = match outcome {
        Ok((session, next)) => {
            record.finish(303, None);
            let mut answer = redirect(local(&next));
            // The cookie outlives the session, so that whoever comes later is led to the same forge again.
            let sealed = asked.web.key.seal(&session);
            add_cookie(&mut answer, &asked.set_cookie(COOKIE_NAME, &sealed, SESSION_HOURS * 3600));
            answer
        }
        Err(Refusal { code, words, next }) => {
            record.fail(&apiserver::authentication::unauthorized());
            let mut answer = form_to(asked, code, &words, &next);
            // Whoever is let in no more is not led back and forth. A way back that was not begun here may be a link that
            // somebody else laid: it ends nobody's session.
            if code != NOT_BEGUN_HERE {
                add_cookie(&mut answer, &asked.set_cookie(COOKIE_NAME, "", 0));
            }
            answer
        }
    };
    add_cookie(&mut answer, &asked.set_cookie(JOURNEY_COOKIE_NAME, "", 0));
    answer
}

/// Why somebody is not let in.
struct Refusal {
    code: u16,
    words: String,
    next: String,
}

async fn arrive(asked: &Asked, forge: &str) -> Result<(Session, String), Refusal> {
    let refuse = |code, words: &str, next: &str| Refusal { code, words: words.to_owned(), next: next.to_owned() };
    let now = asked.web.api.clock.now();
    let query: Vec<(String, String)> = query_values(asked.parts.uri.query().unwrap_or_default()).collect();
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let sealed = cookie(&asked.parts.headers, JOURNEY_COOKIE_NAME).unwrap_or_default();
    let elsewhere = "This sign-in was begun in another browser or too long ago. Please begin again; cookies must be \
                     allowed, and the address must be the one that the server is known by.";
    let journey = asked.web.key.open_journey(sealed).filter(|journey| journey.expires > now && journey.forge == forge);
    let Some(journey) = journey else { return Err(refuse(NOT_BEGUN_HERE, elsewhere, "")) };
    if verify_slices_are_equal(journey.state.as_bytes(), value("state").as_bytes()).is_err() {
        return Err(refuse(NOT_BEGUN_HERE, elsewhere, ""));
    }
    let next = journey.next.clone();
    if !value("error").is_empty() {
        // What the forge says in the browser's address may be anybody's words.
        let words = if value("error") == "access_denied" {
            "You did not allow it at the forge. Nothing was changed."
        } else {
            "The forge did not let this sign-in begin: an administrator compares the OAuth application there with the \
             Forge here."
        };
        return Err(refuse(401, words, &next));
    }
    let state = asked.web.api.store.state();
    let door = door(&state, forge).filter(|door| door.uid == journey.forge_uid);
    let (Some(door), Some(accounts), Some(redirect_uri)) = (door, &asked.web.accounts, redirect_uri(asked, forge))
    else {
        return Err(refuse(401, "Nobody signs in with this forge any more.", &next));
    };
    let code = value("code");
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(refuse(502, "The forge sent no code along. Please begin again.", &next));
    }
    let Ok(_place) = asked.web.arrivals.try_acquire() else {
        return Err(refuse(503, "Many people sign in at this moment. Please try again.", &next));
    };
    let back =
        Return { forge: forge.to_owned(), code: code.to_owned(), verifier: journey.verifier.clone(), redirect_uri };
    let person = accounts.person(back).await.map_err(|problem| {
        let (code, words) = problem_words(&problem);
        Refusal { code, words, next: next.clone() }
    })?;
    let Some(account) = account(&door, &person) else {
        return Err(refuse(502, "The forge names an account that cannot be one.", &next));
    };
    let account = with_role(asked, account).map_err(|words| refuse(403, &words, &next))?;
    Ok((Session::of_forge(account, now), next))
}

/// Keeps the groups that have a role; nobody gets in without one.
fn with_role(asked: &Asked, mut account: ForgeAccount) -> Result<ForgeAccount, String> {
    let authorizer = &asked.web.api.access.authorizer;
    let known: Vec<String> = account.groups.iter().filter(|group| authorizer.knows_group(group)).cloned().collect();
    if known.is_empty() && !authorizer.knows_user(&account.user_name()) {
        return Err(without_role(&account));
    }
    account.groups = known;
    account.groups.truncate(GROUPS_MAX);
    Ok(account)
}

/// Returns where browsers come back to, whatever address they were sent away from.
fn redirect_uri(asked: &Asked, forge: &str) -> Option<String> {
    asked.web.public_url.as_ref().map(|url| format!("{url}/login/forge/{forge}/callback"))
}

fn info(forge: &str, end: &str) -> RequestInfo {
    RequestInfo { verb: "get".to_owned(), path: format!("/login/forge/{forge}{end}"), ..RequestInfo::default() }
}

fn problem_words(problem: &ForgeProblem) -> (u16, String) {
    match problem {
        ForgeProblem::Refused(why) => (401, why.clone()),
        ForgeProblem::Away(why) => (502, why.clone()),
    }
}

fn told(asked: &Asked, problem: &ForgeProblem, next: &str) -> Answer {
    let (code, words) = problem_words(problem);
    form_to(asked, code, &words, next)
}

/// Returns the address that signs somebody in with a forge and leads on to `next`.
pub(crate) fn path(door: &Door, next: &str) -> String {
    path_of(&door.name, next)
}

/// As [`path`], by the Forge's name.
pub(crate) fn path_of(forge: &str, next: &str) -> String {
    format!("/login/forge/{forge}?next={}", crate::view::encode(local(next)))
}
