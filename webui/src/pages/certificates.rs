//! Certificates: how long each still lasts, and whether what is served is what is stored.

use api_types::kind::Object as Typed;
use api_types::kinds::certificate::Certificate;
use jiff::Timestamp;
use maud::{Markup, html};

use super::apps::ready;
use crate::index::{CERTIFICATES, moment};
use crate::view::parts::{ago, empty, live_page, object_link, pill};
use crate::view::words::Tone;
use crate::view::{Page, Section, picture};
use crate::visit::Visit;

const SECONDS_PER_DAY: i64 = 86_400;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Certificates", Section::Certificates, &[CERTIFICATES]);
    let sight = visit.sight(CERTIFICATES);
    let mut found: Vec<&Typed<Certificate>> = visit
        .index
        .certificates
        .values()
        .filter(|certificate| sight.sees(&certificate.metadata.namespace))
        .map(|certificate| &**certificate)
        .collect();
    found.sort_by(|left, right| left.status.not_after.cmp(&right.status.not_after));
    page.part(
        "certificates",
        html! {
            @if found.is_empty() {
                (empty("No certificates", "A Certificate is read, made or ordered, checked, distributed, and probed where it is served."))
            } @else { (table(visit, &found)) }
        },
    );
    page.commands = vec!["ccctl get certificates -A".to_owned()];
    page
}

fn table(visit: &Visit, found: &[&Typed<Certificate>]) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Certificates" {
            table {
                thead { tr {
                    th scope="col" { "Certificate" } th scope="col" { "Names" } th scope="col" { "State" }
                    th scope="col" { "Life" } th scope="col" { "Served" } th.number scope="col" { "Ends" }
                } }
                tbody {
                    @for certificate in found {
                        @let status = &certificate.status;
                        tr {
                            th scope="row" { (object_link(CERTIFICATES, &certificate.metadata.namespace, &certificate.metadata.name)) }
                            td.prose { @for (at, name) in status.dns_names.iter().take(4).enumerate() {
                                @if at > 0 { ", " } bdi.mono { (name) } }
                                @if status.dns_names.len() > 4 { " and " (status.dns_names.len() - 4) " more" } }
                            td { (ready(&status.conditions, certificate.is_being_deleted(), certificate.spec.suspend))
                                (ordering(certificate)) }
                            td { (life(certificate, visit.now)) }
                            td { (served(certificate)) }
                            td.number { (ago(status.not_after.as_deref().unwrap_or_default(), visit.now)) }
                        }
                    }
                }
            }
        }
    }
}

/// How far ordering is, where something is to be said about it.
fn ordering(certificate: &Typed<Certificate>) -> Markup {
    let Some(acme) = &certificate.status.acme else { return html! {} };
    html! {
        @if let Some(failure) = &acme.failure {
            div.line title=(failure.message) { (pill(Tone::Warning, "Not renewed")) " " span.mono { (failure.reason) } }
        } @else if let Some(order) = &acme.order {
            div.line { span.muted { "being ordered: " (order.state) } }
        }
    }
}

fn life(certificate: &Typed<Certificate>, now: Timestamp) -> Markup {
    let status = &certificate.status;
    let (Some(from), Some(to)) = (moment(status.not_before.as_deref()), moment(status.not_after.as_deref())) else {
        return html! { span.muted { "–" } };
    };
    let whole = to.duration_since(from).as_secs().max(1);
    let left = to.duration_since(now).as_secs().max(0);
    let is_short = api_types::condition::is_true(&status.conditions, "Expiring") || left == 0;
    let words = format!("{} of {} days left", left / SECONDS_PER_DAY, whole / SECONDS_PER_DAY);
    html! { (picture::gauge((whole - left) * 1000 / whole, is_short, &words)) span.muted { (words) } }
}

fn served(certificate: &Typed<Certificate>) -> Markup {
    let stored = certificate.status.fingerprint.as_deref();
    html! {
        @if certificate.status.served.is_empty() { span.muted { "not probed" } }
        @for probe in &certificate.status.served {
            div.line {
                @match (&probe.error, probe.fingerprint.as_deref()) {
                    (Some(error), _) => span title=(error) { (pill(Tone::Bad, "Not reached")) },
                    (None, found) if found.is_some() && found == stored => (pill(Tone::Good, "Served")),
                    _ => (pill(Tone::Warning, "Another one")),
                }
                " " bdi.mono { (probe.server_name) }
            }
        }
    }
}
