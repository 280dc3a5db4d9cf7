//! Signing in by token, the doors of forges, and out.

use std::sync::Arc;

use api_types::status::{Reason, Status};
use apiserver::request::query_values;
use axum::body::Body;
use http_body_util::{BodyExt as _, Limited};
use maud::html;

use crate::answer::{Answer, add_cookie, page as page_answer, redirect};
use crate::forges::doors;
use crate::pages::forge_login;
use crate::router::{Asked, failed};
use crate::session::{COOKIE_NAME, SESSION_HOURS, SIGN_IN_COOKIE_NAME, Session, cookie};
use crate::view::{self, Page, Section};

/// Forms are short.
pub(crate) const FORM_BYTES_MAX: usize = 64 * 1024;
/// How long a sign-in form may lie open.
const SIGN_IN_SECONDS: i64 = 3600;

/// Answers with the form.
pub(crate) fn form(asked: &Asked, problem: &str) -> Answer {
    let next = query_values(asked.parts.uri.query().unwrap_or_default()).find(|(key, _)| key == "next");
    let code = if problem.is_empty() { 200 } else { 401 };
    form_to(asked, code, problem, &next.map(|(_, next)| next).unwrap_or_default())
}

/// As [`form`], for somebody who was going to `next`.
pub(crate) fn form_to(asked: &Asked, code: u16, problem: &str, next: &str) -> Answer {
    let doors = if asked.web.accounts.is_some() { doors(&asked.web.api.store.state()) } else { Vec::new() };
    let browser = uuid::Uuid::new_v4().to_string();
    let mut page = Page::new("Sign in", Section::None);
    page.part(
        "form",
        html! {
            @if !problem.is_empty() { p.note.bad role="alert" { (problem) } }
            @if !doors.is_empty() {
                section.card.stack aria-label="With the account of a forge" {
                    @for door in &doors {
                        @if asked.web.public_url.is_some() {
                            a.button.primary href=(forge_login::path(door, next)) { "Sign in with " (door.host) }
                        } @else {
                            p.muted { "Signing in with " (door.host) " needs " code { "[server] public_url" } " in the configuration." }
                        }
                    }
                }
            }
            form.card.stack method="post" action="/login" {
                input type="hidden" name="token" value=(asked.web.key.form_token(&browser));
                input type="hidden" name="next" value=(local(next));
                // Programs that keep passwords want to know whose it is.
                input type="text" name="username" autocomplete="username" value="token" hidden;
                label { span { "Token" }
                    input type="password" name="credential" required autocomplete="current-password"
                        aria-describedby="token-help" spellcheck="false";
                }
                p.muted #token-help {
                    "The one in your kubeconfig. An administrator makes more with "
                    code { "ccd token create NAME --user USER" } "."
                }
                button.primary type="submit" { "Sign in" }
            }
        },
    );
    let mut answer = page_answer(code, view::bare(&page), &asked.parts.headers);
    add_cookie(&mut answer, &asked.set_cookie(SIGN_IN_COOKIE_NAME, &browser, SIGN_IN_SECONDS));
    answer
}

/// Signs somebody in who sends a good token.
pub(crate) async fn sign_in(asked: &Asked, body: Body) -> Answer {
    let fields = match read_form(body).await {
        Ok(fields) => fields,
        Err(status) => return failed(asked, &status),
    };
    let browser = cookie(&asked.parts.headers, SIGN_IN_COOKIE_NAME).unwrap_or_default();
    let next = field(&fields, "next");
    if browser.is_empty() || !asked.web.key.is_form_token(browser, field(&fields, "token")) {
        return form_to(asked, 401, "The form was too old. Please try again; cookies must be allowed.", next);
    }
    let credential = field(&fields, "credential").trim();
    let api = &asked.web.api;
    // Guessing is as limited as any request of a stranger.
    let stranger = apiserver::authentication::User::anonymous();
    let info = Arc::new(apiserver::request::RequestInfo {
        verb: "post".to_owned(),
        path: "/login".to_owned(),
        ..apiserver::request::RequestInfo::default()
    });
    let permit = match api.access.limits.admit(&stranger, &info, std::time::Instant::now()) {
        Ok(permit) => permit,
        Err(status) => return failed(asked, &status),
    };
    let user = api.access.authenticator.review(credential);
    let record = api.access.audit.begin(&asked.audit_id, &info, None, user.as_ref(), &asked.peer, &asked.parts.headers);
    drop(permit);
    if user.is_none() {
        record.fail(&apiserver::authentication::unauthorized());
        return form_to(asked, 401, "This is no valid token: mistyped, expired or revoked.", next);
    }
    record.finish(303, None);
    let session = Session::begin(credential, api.clock.now());
    let mut answer = redirect(local(next));
    let sealed = asked.web.key.seal(&session);
    add_cookie(&mut answer, &asked.set_cookie(COOKIE_NAME, &sealed, SESSION_HOURS * 3600));
    add_cookie(&mut answer, &asked.set_cookie(SIGN_IN_COOKIE_NAME, "", 0));
    answer
}

/// Ends the session.
pub(crate) async fn sign_out(asked: &Asked, body: Body) -> Answer {
    let fields = match read_form(body).await {
        Ok(fields) => fields,
        Err(status) => return failed(asked, &status),
    };
    if !asked.web.key.is_form_token(&asked.browser(), field(&fields, "token")) {
        return failed(asked, &forged());
    }
    let mut answer = redirect("/login");
    add_cookie(&mut answer, &asked.set_cookie(COOKIE_NAME, "", 0));
    answer
}

/// Returns the refusal of a form that another site may have made.
pub(crate) fn forged() -> Status {
    let message = "the form does not belong to this session: open the page again and press the button there";
    Status::failure(Reason::Forbidden, message)
}

/// Reads a form.
///
/// # Errors
/// `RequestEntityTooLarge`, or `BadRequest` when it is no text.
pub(crate) async fn read_form(body: Body) -> Result<Vec<(String, String)>, Status> {
    let too_large = |_| Status::failure(Reason::RequestEntityTooLarge, "the form is too large");
    let bytes = Limited::new(body, FORM_BYTES_MAX).collect().await.map_err(too_large)?.to_bytes();
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Status::failure(Reason::BadRequest, "the form is not made of UTF-8 text"))?;
    Ok(query_values(text).collect())
}

/// Returns a field of a form; empty when it is not there.
pub(crate) fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

/// Returns where to go after signing in: one of our own pages, never another site.
pub(crate) fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/\\");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain && !next.starts_with("/login") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        for (next, to) in [
            ("/runs/default/x?q=a", "/runs/default/x?q=a"),
            ("", "/"),
            ("https://evil.example", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("/\t/evil.example", "/"),
            ("/login?next=/login", "/"),
        ] {
            assert_eq!(local(next), to, "{next}");
        }
    }
}
