//! Apps: what should run, what runs, and how well.

use api_types::condition::{Condition, ConditionStatus, find};
use api_types::kind::Object as Typed;
use api_types::kinds::app::{App, AppSecretSource, RotationResult, ServiceState};
use api_types::kinds::app_upgrade::UpgradePhase;
use maud::{Markup, html};

use super::{ROWS_MAX, page_number};
use crate::index::{APPS, short};
use crate::view::parts::{ago, choice, empty, filters, live_page, namespace_choice, object_link, pager, pill};
use crate::view::words::{self, Tone};
use crate::view::{Page, Section};
use crate::visit::Visit;

/// Returns the page.
pub(crate) fn page(visit: &Visit) -> Page {
    let mut page = live_page("Apps", Section::Apps, &[APPS]);
    let shows = [("", "all"), ("drifted", "drifted"), ("broken", "not ready")];
    page.head = html! {
        h1 { "Apps" }
        (filters(visit, &html! {
            label { span { "Name or domain" } input type="search" name="q" value=(visit.parameter("q")); }
            (choice(visit, "show", "Show", &shows))
            (namespace_choice(visit))
        }))
    };
    let sight = visit.sight(APPS);
    let (wanted, namespace, show) = (visit.parameter("q"), visit.parameter("namespace"), visit.parameter("show"));
    let found = visit.index.apps.values().map(|app| &**app).filter(|app| {
        sight.sees(&app.metadata.namespace)
            && (namespace.is_empty() || app.metadata.namespace == namespace)
            && (app.metadata.name.contains(wanted) || app.spec.domain.contains(wanted))
            && match show {
                "drifted" => is(app, "Drifted", ConditionStatus::True),
                "broken" => !is(app, "Ready", ConditionStatus::True),
                _ => true,
            }
    });
    let at = page_number(visit);
    let found: Vec<&Typed<App>> = found.skip(at * ROWS_MAX).take(ROWS_MAX + 1).collect();
    page.part(
        "apps",
        html! {
            @if found.is_empty() {
                (empty("No apps here", "An App says what should run; `kubectl explain app.spec` tells how."))
            } @else {
                (table(&found[..found.len().min(ROWS_MAX)]))
                (pager(visit, at, found.len() > ROWS_MAX))
            }
        },
    );
    page.commands = vec!["ccctl get apps -A".to_owned(), "ccctl diff app/NAME".to_owned()];
    page
}

fn is(app: &Typed<App>, type_: &str, status: ConditionStatus) -> bool {
    find(&app.status.conditions, type_).is_some_and(|condition| condition.status == status)
}

fn table(apps: &[&Typed<App>]) -> Markup {
    html! {
        div.table-frame tabindex="0" role="group" aria-label="Apps" {
            table {
                thead { tr {
                    th scope="col" { "App" } th scope="col" { "Domain" } th scope="col" { "Desired" }
                    th scope="col" { "Live" } th scope="col" { "Health" } th scope="col" { "Drift" } th scope="col" { "Services" }
                } }
                tbody {
                    @for app in apps {
                        tr {
                            th scope="row" { (object_link(APPS, &app.metadata.namespace, &app.metadata.name)) }
                            td { bdi.mono { (app.spec.domain) } }
                            td { (identity(app.status.desired.as_ref())) }
                            td {
                                (identity(app.status.observed.as_ref()))
                                @if let Some(held) = &app.status.held {
                                    " " span title=(held.message) { (pill(Tone::Quiet, &format!("{} waits", held.version))) }
                                }
                            }
                            td { (ready(&app.status.conditions, app.is_being_deleted(), app.spec.suspend)) }
                            td { (drift(&app.status.conditions)) }
                            td { (tasks(app)) }
                        }
                    }
                }
            }
        }
    }
}

fn identity(identity: Option<&api_types::kinds::identity::Identity>) -> Markup {
    html! {
        @match identity {
            Some(identity) => {
                bdi.mono { (identity.version.as_deref().unwrap_or("–")) }
                @if let Some(commit) = &identity.commit { " " code title=(commit) { (short(commit)) } }
            },
            None => span.muted { "–" },
        }
    }
}

/// Returns the summary of an object in one pill, its message as the title.
pub(crate) fn ready(conditions: &[Condition], is_going: bool, is_suspended: bool) -> Markup {
    let found = find(conditions, "Ready");
    let message = found.map_or("", |condition| condition.message.as_str());
    html! {
        span title=(message) {
            @if is_going { (pill(Tone::Quiet, "Going")) }
            @else if is_suspended { (pill(Tone::Quiet, "Suspended")) }
            @else { @match found.map(|condition| condition.status) {
                Some(ConditionStatus::True) => (pill(Tone::Good, "Ready")),
                Some(ConditionStatus::False) => (pill(Tone::Bad, found.map_or("Not ready", |found| found.reason.as_str()))),
                _ => (pill(Tone::Busy, "In progress")),
            } }
        }
    }
}

fn drift(conditions: &[Condition]) -> Markup {
    html! {
        @match find(conditions, "Drifted") {
            Some(condition) if condition.status == ConditionStatus::True => span title=(condition.message) { (pill(Tone::Warning, "Drifted")) },
            Some(condition) if condition.status == ConditionStatus::False => span.muted { "none" },
            _ => span.muted { "not known" },
        }
    }
}

fn tasks(app: &Typed<App>) -> Markup {
    let (running, desired) = app
        .status
        .services
        .iter()
        .fold((0, 0), |(running, desired), service| (running + service.running, desired + service.desired));
    html! { (running) " of " (desired) " tasks" }
}

/// Returns what newer version waits and for what, with its release notes, and what became of the last upgrade; nothing when
/// there is neither.
pub(crate) fn updates(app: &Typed<App>) -> Option<Markup> {
    let (held, upgrade) = (app.status.held.as_ref(), app.status.upgrade.as_ref());
    if held.is_none() && upgrade.is_none() {
        return None;
    }
    Some(html! {
        @if let Some(held) = held {
            p { (pill(Tone::Waiting, &held.reason)) " " bdi.prose { (held.message) } }
            @for notes in &held.notes {
                h3 { "Release notes of " bdi.mono { (notes.version) } }
                pre tabindex="0" { (notes.text) }
            }
        }
        @if let Some(upgrade) = upgrade {
            p {
                (pill(tone(upgrade.phase), word(upgrade.phase))) " from " bdi.mono { (upgrade.from) } " to " bdi.mono { (upgrade.to) }
                @if let Some(at) = upgrade.finished_at.as_ref().or(upgrade.started_at.as_ref()) { ", " time datetime=(at) { (at) } }
            }
            @if let Some(message) = &upgrade.message { p { bdi.prose { (message) } } }
            @if let Some(snapshot) = &upgrade.snapshot {
                p.muted {
                    "What the volumes held before is kept for a day: "
                    @for volume in &snapshot.volumes { code { (volume) ".snapshot" } " " }
                }
            }
        }
    })
}

fn tone(phase: UpgradePhase) -> Tone {
    match phase {
        UpgradePhase::Saving | UpgradePhase::Deploying => Tone::Busy,
        UpgradePhase::GoingBack => Tone::Warning,
        UpgradePhase::Succeeded => Tone::Good,
        UpgradePhase::Failed => Tone::Bad,
    }
}

fn word(phase: UpgradePhase) -> &'static str {
    match phase {
        UpgradePhase::Saving => "Volumes are being copied",
        UpgradePhase::Deploying => "Being deployed",
        UpgradePhase::GoingBack => "Going back",
        UpgradePhase::Succeeded => "Upgraded",
        UpgradePhase::Failed => "Gone back",
    }
}

/// Returns the Apps that one needs and those that need it, with how they are; nothing when there are neither.
pub(crate) fn neighbours(visit: &Visit, app: &Typed<App>) -> Option<Markup> {
    let namespace = &app.metadata.namespace;
    let needs = |other: &Typed<App>| {
        other.metadata.namespace == *namespace
            && other.spec.depends_on.iter().any(|needed| needed.name == app.metadata.name)
    };
    let needed_by: Vec<&Typed<App>> =
        visit.index.apps.values().map(|other| &**other).filter(|other| needs(other)).collect();
    if !visit.sees(APPS, namespace) || app.spec.depends_on.is_empty() && needed_by.is_empty() {
        return None;
    }
    let waits =
        find(&app.status.conditions, "DependenciesReady").filter(|found| found.status == ConditionStatus::False);
    Some(html! {
        @if let Some(waits) = waits { p { (pill(Tone::Waiting, &waits.reason)) " " bdi.prose { (waits.message) } } }
        @if !app.spec.depends_on.is_empty() {
            h3 { "It needs" }
            ul {
                @for needed in &app.spec.depends_on {
                    li {
                        @match visit.index.apps.get(format!("{namespace}/{}", needed.name).as_str()) {
                            Some(other) => (neighbour(other)),
                            None => { bdi { (needed.name) } " " (pill(Tone::Bad, "Does not exist")) },
                        }
                    }
                }
            }
        }
        @if !needed_by.is_empty() {
            h3 { "It is needed by" }
            ul {
                @for other in needed_by.iter().take(ROWS_MAX) { li { (neighbour(other)) } }
                @if needed_by.len() > ROWS_MAX { li { "and " (needed_by.len() - ROWS_MAX) " more" } }
            }
        }
    })
}

fn neighbour(app: &Typed<App>) -> Markup {
    html! {
        (object_link(APPS, &app.metadata.namespace, &app.metadata.name)) " "
        (ready(&app.status.conditions, app.is_being_deleted(), app.spec.suspend))
    }
}

/// Returns the secrets of an app: which there are, in which version and from where, and never what they hold; nothing when
/// there are none.
pub(crate) fn secrets(visit: &Visit, app: &Typed<App>) -> Option<Markup> {
    if app.status.secrets.is_empty() {
        return None;
    }
    Some(html! {
        div.table-frame tabindex="0" role="group" aria-label="Secrets" {
            table {
                thead { tr { th scope="col" { "Secret" } th scope="col" { "Version" } th scope="col" { "Value" } th scope="col" { "Since" } th scope="col" { "Rotation" } } }
                tbody {
                    @for secret in &app.status.secrets {
                        tr {
                            th scope="row" { (secret.name) }
                            td { bdi.mono { (secret.version) } }
                            td { (source(secret.source)) }
                            td { @if let Some(since) = &secret.since { (ago(since, visit.now)) } @else { "–" } }
                            td.prose {
                                @if let Some(rotation) = &secret.rotation {
                                    (pill(rotation_tone(rotation.result), rotation_word(rotation.result))) " " (ago(&rotation.at, visit.now))
                                    @if !rotation.message.is_empty() { " – " bdi { (rotation.message) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn source(source: AppSecretSource) -> &'static str {
    match source {
        AppSecretSource::Generated => "generated here",
        AppSecretSource::Given => "given by a Secret or a Certificate",
        AppSecretSource::Application => "made by the forge",
        AppSecretSource::Found => "found in the swarm",
    }
}

fn rotation_tone(result: RotationResult) -> Tone {
    match result {
        RotationResult::Trying => Tone::Busy,
        RotationResult::Succeeded => Tone::Good,
        RotationResult::TurnedBack => Tone::Warning,
        RotationResult::Refused => Tone::Bad,
    }
}

fn rotation_word(result: RotationResult) -> &'static str {
    match result {
        RotationResult::Trying => "Being rotated",
        RotationResult::Succeeded => "Rotated",
        RotationResult::TurnedBack => "Turned back",
        RotationResult::Refused => "Refused",
    }
}

/// Returns the services of an app with their tasks and what went wrong last.
pub(crate) fn services(visit: &Visit, app: &Typed<App>) -> Markup {
    html! {
        @if app.status.services.is_empty() { p.muted { "No services are seen." } } @else {
            div.table-frame tabindex="0" role="group" aria-label="Services" {
                table {
                    thead { tr { th scope="col" { "Service" } th scope="col" { "Tasks" } th scope="col" { "State" } th scope="col" { "Last error" } } }
                    tbody {
                        @for service in &app.status.services {
                            @let is_whole = service.running >= service.desired;
                            tr {
                                th scope="row" { (service.name) }
                                td { (pill(if is_whole { Tone::Good } else { Tone::Busy }, &words_of(service.running, service.desired))) }
                                td { (service.state.as_deref().unwrap_or("–")) }
                                td.prose { @if let Some(error) = &service.last_error { bdi { (error) } } }
                            }
                            @if !service.tasks.is_empty() {
                                tr.tasks { td colspan="4" { (task_list(visit, service)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The newest tasks of a service: which one, how far it is, since when, and why it failed.
fn task_list(visit: &Visit, service: &ServiceState) -> Markup {
    html! {
        ul aria-label=(format!("Tasks of {}", service.name)) {
            @for task in &service.tasks {
                li {
                    @match (task.slot, &task.node) {
                        (Some(slot), _) => code { (service.name) "." (slot) },
                        (None, Some(node)) => code { (service.name) "." (short(node)) },
                        (None, None) => code { (service.name) },
                    }
                    " " (pill(tone_of(&task.state), &task.state))
                    @if let Some(since) = &task.since { " " span.muted { (ago(since, visit.now)) } }
                    @if let Some(error) = &task.error { " – " bdi { (error) } }
                }
            }
        }
    }
}

/// What a task's state is to people: what has been replaced is quiet.
fn tone_of(state: &str) -> Tone {
    match state {
        "running" | "complete" => Tone::Good,
        "failed" | "rejected" | "orphaned" => Tone::Bad,
        "shutdown" | "remove" => Tone::Quiet,
        _ => Tone::Busy,
    }
}

fn words_of(running: u32, desired: u32) -> String {
    format!("{running} of {}", words::count(desired as usize, "task", "tasks"))
}
