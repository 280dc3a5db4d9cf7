//! Hosts: engines, swarms, and how much room there is.

use api_types::kind::Object as Typed;
use api_types::kinds::host::Host;
use api_types::units::Quantity;
use maud::{Markup, html};

use super::apps::ready;
use crate::index::{HOSTS, RUNS};
use crate::view::parts::{ago, conditions, empty, live_page, object_link, pairs};
use crate::view::words::bytes;
use crate::view::{Page, Section, picture};
use crate::visit::Visit;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Hosts", Section::Hosts, &[HOSTS, RUNS]);
    let seen = visit.sees(HOSTS, "");
    let hosts: Vec<_> = visit.index.hosts.values().filter(|_| seen).collect();
    page.part(
        "hosts",
        html! {
            @if hosts.is_empty() { (empty("No hosts", "A Host names an engine: `kubectl apply -f host.yaml`.")) }
            @for host in hosts { (one(visit, host)) }
        },
    );
    page.commands = vec!["ccctl get hosts".to_owned(), "ccctl top".to_owned()];
    page
}

fn one(visit: &Visit, host: &Typed<Host>) -> Markup {
    let status = &host.status;
    html! {
        article.card {
            h2 { (object_link(HOSTS, "", &host.metadata.name)) " " (state(host)) }
            (gauges(host))
            (pairs(vec![
                ("Engine", html! { bdi.mono { (host.spec.engine) } " " (status.engine_version.as_deref().unwrap_or("")) }),
                ("Swarm", html! { (status.swarm_role.map_or("not known".to_owned(), |role| format!("{role:?}")))
                    @if let Some(nodes) = status.nodes { ", " (nodes) " nodes" } }),
                ("Runs", html! { (status.running) " of " (host.spec.capacity.runs) }),
                ("Images", html! { @if let Some(images) = &status.images { (images.count) ", " (bytes(images.bytes)) } @else { "–" } }),
                ("Looked at", html! { (ago(status.observed_at.as_deref().unwrap_or_default(), visit.now)) }),
            ]))
            details { summary { "Conditions" } (conditions(&status.conditions, visit.now)) }
        }
    }
}

/// Returns a host's summary.
pub(crate) fn state(host: &Typed<Host>) -> Markup {
    ready(&host.status.conditions, host.is_being_deleted(), host.spec.suspend)
}

/// Returns how full a host is: bytes, inodes, memory.
pub(crate) fn gauges(host: &Typed<Host>) -> Markup {
    let floors = &host.spec.floors;
    html! {
        div.gauges {
            @if let Some(disk) = &host.status.disk {
                @let floor = whole(&floors.disk_bytes).max(disk.total_bytes / 100 * i64::from(floors.disk_percent));
                (gauge("Disk", disk.total_bytes, disk.free_bytes, floor, &bytes(disk.free_bytes)))
                @if disk.total_inodes > 0 {
                    @let floor = disk.total_inodes / 100 * i64::from(floors.inodes_percent);
                    (gauge("Inodes", disk.total_inodes, disk.free_inodes, floor, &disk.free_inodes.to_string()))
                }
            }
            @if let Some(memory) = &host.status.memory {
                (gauge("Memory", memory.total_bytes, memory.available_bytes, whole(&floors.memory), &bytes(memory.available_bytes)))
            }
        }
    }
}

fn gauge(name: &str, total: i64, free: i64, floor: i64, free_text: &str) -> Markup {
    let used =
        if total > 0 { i64::try_from(i128::from(total - free) * 1000 / i128::from(total)).unwrap_or(0) } else { 0 };
    let is_tight = free < floor;
    let label = format!("{name}: {}% used, {free_text} free", used / 10);
    html! {
        div.measure {
            p { span { (name) } span.muted { (free_text) " free" @if is_tight { ", below the floor" } } }
            (picture::gauge(used, is_tight, &label))
        }
    }
}

fn whole(quantity: &Quantity) -> i64 {
    i64::try_from(quantity.round_up()).unwrap_or(i64::MAX)
}
