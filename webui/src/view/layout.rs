//! The frame around every page: navigation, who one is, the same on the command line.

use std::sync::LazyLock;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::safe::safe;
use super::{Page, Section, encode, hash, with_parameter};
use crate::actions::Deed;
use crate::assets::VERSION;
use crate::visit::Visit;

/// Seconds after which a page without JavaScript is read again.
const REFRESH_SECONDS: u32 = 30;

const NAVIGATION: [(Section, &str, &str); 11] = [
    (Section::Home, "/", "Home"),
    (Section::Recipes, "/recipes", "Recipes"),
    (Section::Runs, "/runs", "Runs"),
    (Section::Queue, "/queue", "Queue"),
    (Section::Approvals, "/approvals", "Approvals"),
    (Section::Apps, "/apps", "Apps"),
    (Section::Certificates, "/certificates", "Certificates"),
    (Section::Hosts, "/hosts", "Hosts"),
    (Section::Repositories, "/repositories", "Repositories"),
    (Section::Events, "/events", "Events"),
    (Section::Kinds, "/kinds", "All kinds"),
];

/// Returns a page in its frame.
pub(crate) fn whole(visit: &Visit, page: &Page) -> String {
    let is_live = !page.watches.is_empty();
    let here = with_parameter(visit, "", "");
    let live = is_live.then(|| format!("/live?page={}", encode(&here)));
    let parts: Vec<(&str, String)> =
        page.parts.iter().map(|part| (part.id.as_str(), part.html.clone().into_string())).collect();
    let body = html! {
        (masthead(visit, page.section))
        main #main tabindex="-1" data-live=[live] {
            (done(visit))
            (page.head)
            @for (id, inner) in &parts {
                div.part id=(id) data-hash=(hash(inner)) { (PreEscaped(inner)) }
            }
        }
        (footer(&page.commands))
    };
    document(page, is_live, &body)
}

/// Returns a page for somebody of whom nothing is known: no navigation.
pub(crate) fn bare(page: &Page) -> String {
    let body = html! {
        header.masthead { (brand()) }
        main.narrow #main tabindex="-1" {
            (page.head)
            @for part in &page.parts { div.part id=(part.id) { (part.html) } }
        }
    };
    document(page, false, &body)
}

fn document(page: &Page, is_live: bool, body: &Markup) -> String {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            (head(&page.title, is_live))
            body data-page=(page.kind) {
                a.skip href="#main" { "Skip to the content" }
                (body)
            }
        }
    };
    safe(document.into_string())
}

fn head(title: &str, is_live: bool) -> Markup {
    // Browsers keep the files for an hour: another release has other addresses.
    static FILES: LazyLock<(String, String)> =
        LazyLock::new(|| (format!("/assets/style.css?{VERSION}"), format!("/assets/script.js?{VERSION}")));
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " · cc-ci" }
            link rel="icon" href="/assets/icon.svg" type="image/svg+xml";
            link rel="stylesheet" href=(FILES.0);
            script src=(FILES.1) defer {}
            @if is_live {
                noscript { meta http-equiv="refresh" content=(REFRESH_SECONDS); }
            }
        }
    }
}

fn brand() -> Markup {
    html! {
        a.brand href="/" {
            svg width="22" height="22" viewBox="0 0 24 24" aria-hidden="true" {
                circle.brand-ring cx="12" cy="12" r="9.5" {}
                path.brand-tick d="M7.5 12.5l3 3 6-7" {}
            }
            "cc-ci"
        }
    }
}

fn masthead(visit: &Visit, section: Section) -> Markup {
    html! {
        header.masthead {
            (brand())
            nav aria-label="Pages" {
                ul {
                    @for (of, path, word) in NAVIGATION {
                        li { a href=(path) aria-current=[(of == section).then_some("page")] { (word) } }
                    }
                }
            }
            div.who {
                span.live-state #live-state hidden { "live" }
                @if visit.is_anonymous() {
                    a.button.small href=(format!("/login?next={}", encode(&with_parameter(visit, "", "")))) { "Sign in" }
                } @else {
                    span.user title="Signed in" { (visit.user.name) }
                    @if visit.session.is_some() {
                        form method="post" action="/logout" {
                            input type="hidden" name="token" value=(visit.form_token);
                            button.small type="submit" { "Sign out" }
                        }
                    }
                }
            }
        }
    }
}

/// What has just been done, after a form was sent.
fn done(visit: &Visit) -> Markup {
    let deed = Deed::parse(visit.parameter("done"));
    html! {
        @if let Some(deed) = deed { p.note.good role="status" { (deed.done()) } }
    }
}

fn footer(commands: &[String]) -> Markup {
    html! {
        footer {
            @if !commands.is_empty() {
                section aria-label="The same on the command line" {
                    @for command in commands { (super::parts::command(command)) }
                }
            }
            p.muted { "cc-ci " (VERSION) " · times are UTC" }
        }
    }
}
