//! Typed changes to services, made on the merged tree: what an overlay says is judged and deployed like the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::durations;
use super::stack::{Finding, LoadError, Place, ServiceChange, Severity};
use super::tree::{Map, Node, Spot, Value};

/// Applies changes to the services that they name.
///
/// # Errors
///
/// A service that no file knows.
pub(super) fn apply(root: &mut Node, changes: &BTreeMap<String, ServiceChange>) -> Result<(), LoadError> {
    let mut findings = Vec::new();
    let mut none = Map::new();
    let services = match &mut root.value {
        Value::Map(map) => map.get_mut("services").and_then(|services| match &mut services.value {
            Value::Map(services) => Some(services),
            _ => None,
        }),
        _ => None,
    };
    let services = services.unwrap_or(&mut none);
    let known = services.keys().cloned().collect::<Vec<_>>().join(", ");
    for (name, change) in changes {
        match services.get_mut(name).map(|service| &mut service.value) {
            Some(Value::Map(service)) => change_service(service, change, &spot(name)),
            _ => findings.push(Finding {
                severity: Severity::Error,
                rule: "UnknownService".to_owned(),
                place: Place { path: format!("services.{name}"), ..Place::default() },
                message: format!("a change is wanted of the service {name:?}, but the recipe has only {known}"),
            }),
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(LoadError { findings }) }
}

/// What an overlay says is written in no file.
fn spot(service: &str) -> Arc<Spot> {
    Arc::new(Spot { path: format!("services.{service} (overlay)"), ..Spot::default() })
}

fn change_service(service: &mut Map, change: &ServiceChange, spot: &Arc<Spot>) {
    if let Some(image) = &change.image {
        service.insert("image".to_owned(), Node::text(image, spot));
    }
    if !change.env.is_empty() {
        let env = inner(service, "environment", spot);
        env.extend(change.env.iter().map(|(key, value)| (key.clone(), Node::text(value, spot))));
    }
    let times = [
        ("start_period", change.health_start_period),
        ("interval", change.health_interval),
        ("timeout", change.health_timeout),
    ];
    let has_health = change.health_retries.is_some() || times.iter().any(|(_, time)| time.is_some());
    // A service without a health check of its own may have its image's: times alone change that one's.
    if has_health {
        let health = inner(service, "healthcheck", spot);
        for (key, time) in times {
            if let Some(time) = time {
                health.insert(key.to_owned(), Node::text(durations::print(time), spot));
            }
        }
        if let Some(retries) = change.health_retries {
            health.insert("retries".to_owned(), Node::new(Value::Int(i64::from(retries)), spot));
        }
    }
    if let Some(order) = change.update_order {
        let update = inner(inner(service, "deploy", spot), "update_config", spot);
        update.insert("order".to_owned(), Node::text(order.word(), spot));
    }
    if let Some(grace) = change.stop_grace_period {
        service.insert("stop_grace_period".to_owned(), Node::text(durations::print(grace), spot));
    }
}

/// Returns the mapping below a key, which is made when it is not there.
fn inner<'map>(map: &'map mut Map, key: &str, spot: &Arc<Spot>) -> &'map mut Map {
    let node = map.entry(key.to_owned()).or_insert_with(|| Node::new(Value::Map(Map::new()), spot));
    if !matches!(node.value, Value::Map(_)) {
        node.value = Value::Map(Map::new());
    }
    match &mut node.value {
        Value::Map(map) => map,
        _ => unreachable!("it was made a mapping just now"),
    }
}
