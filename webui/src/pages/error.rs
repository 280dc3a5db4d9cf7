//! What went wrong, in the words of the API's own status.

use api_types::status::{Reason, Status};
use maud::html;

use crate::view::{Page, Section};

/// Returns a page about a refusal or failure.
pub(crate) fn page(status: &Status) -> Page {
    let (title, next) = match status.reason {
        Some(Reason::NotFound) => ("Not found", "Look in the lists above, or go back."),
        Some(Reason::Forbidden) => {
            ("You may not see this", "Ask an administrator for a role that may, or sign in as somebody else.")
        }
        Some(Reason::Unauthorized) => ("You are not signed in", "Your session or token has ended: sign in again."),
        Some(Reason::TooManyRequests) => ("Too many requests", "Wait a moment, then try again."),
        Some(Reason::Conflict | Reason::AlreadyExists) => {
            ("Somebody was quicker", "Go back, look at what is there now, and try again.")
        }
        Some(Reason::Invalid | Reason::BadRequest) => ("That was refused", "Go back, change it as the text says."),
        _ => ("That did not work", "If it stays like this, the server's log tells more."),
    };
    let mut page = Page::new(title, Section::None);
    page.part(
        "what",
        html! {
            p.note.bad role="alert" { bdi { (status.message) } }
            @if let Some(details) = &status.details {
                @if !details.causes.is_empty() {
                    ul { @for cause in &details.causes { li { code { (cause.field) } " " bdi { (cause.message) } } } }
                }
            }
            p { (next) }
            p { a.button href="/" { "Home" } " " a.button href="/login" { "Sign in" } }
        },
    );
    page
}
