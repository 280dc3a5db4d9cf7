//! On which Host an App runs.

use api_types::condition::{ConditionType, is_true};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::Host;
use api_types::reason;
use serde::Deserialize as _;

use crate::runtime::cache::Cache;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;

/// A Host that takes Apps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its name.
    pub name: String,
    /// Where its engine listens.
    pub engine: String,
}

/// Returns the Host of an App: the one that it runs on already, else the first by name whose swarm is active.
///
/// # Errors
/// `Blocked` with `NoHost`.
pub fn choose(cache: &Cache, app: &Object<App>) -> Result<Place, Failure> {
    let hosts: Vec<Object<Host>> =
        cache.list(&Host::resource()).iter().filter_map(|stored| Object::deserialize(&stored.value).ok()).collect();
    pick(&hosts, app.status.host.as_deref().filter(|_| app.status.deployed_hash.is_some()))
}

/// The choice itself, among hosts in the order of their names. Pure.
fn pick(hosts: &[Object<Host>], deployed_on: Option<&str>) -> Result<Place, Failure> {
    let keys = || hosts.iter().map(|host| ObjectKey::new(&Host::resource(), "", &host.metadata.name)).collect();
    if let Some(name) = deployed_on {
        // Wherever its data is: it moves to no other by itself, and its engine is asked even if it did not answer lately.
        return match hosts.iter().find(|host| host.metadata.name == name) {
            Some(host) => Ok(place(host)),
            None => Err(Failure::blocked(
                reason::NO_HOST,
                format!(
                    "the Host {name}, on which this App runs, is gone from the store: apply it again (with the same \
                     engine), or delete the App and create it anew"
                ),
                vec![ObjectKey::new(&Host::resource(), "", name)],
            )),
        };
    }
    let is_active = |host: &&Object<Host>| {
        !host.is_being_deleted()
            && !host.spec.suspend
            && is_true(&host.status.conditions, ConditionType::SwarmActive.word())
    };
    if let Some(host) = hosts.iter().find(is_active) {
        return Ok(place(host));
    }
    let message = if hosts.is_empty() {
        "there is no Host: apply one, such as deploy/examples/kinds/host.yaml, so that there is an engine to deploy on"
            .to_owned()
    } else {
        let names: Vec<&str> = hosts.iter().map(|host| host.metadata.name.as_str()).collect();
        format!(
            "no Host has an active swarm that takes work ({}): see ccctl describe host, and set spec.swarm.init to make \
             one",
            names.join(", ")
        )
    };
    Err(Failure::blocked(reason::NO_HOST, message, keys()))
}

/// Returns how many bytes of the engine's disk are free above the floor; `None` when nobody has measured it.
#[must_use]
pub fn bytes_free(host: &Object<Host>) -> Option<u64> {
    let disk = host.status.disk.as_ref()?;
    let floors = &host.spec.floors;
    let bytes = |count: i64| u64::try_from(count).unwrap_or_default();
    let share = bytes(disk.total_bytes) / 100 * u64::from(floors.disk_percent);
    Some(bytes(disk.free_bytes).saturating_sub(share.max(floors.disk_bytes.round_up())))
}

fn place(host: &Object<Host>) -> Place {
    Place { name: host.metadata.name.clone(), engine: host.spec.engine.clone() }
}

#[cfg(test)]
mod tests {
    use api_types::condition::{Condition, ConditionStatus};
    use api_types::kinds::host::HostSpec;

    use super::*;

    fn host(name: &str, active: ConditionStatus) -> Object<Host> {
        let mut host = Object::<Host>::new("", name, HostSpec::default());
        host.spec.engine = format!("unix:///{name}");
        host.status.conditions.push(Condition::new("SwarmActive", active, "X", "x"));
        host
    }

    #[test]
    fn the_first_host_with_a_swarm_is_taken_and_an_app_stays_where_it_is() {
        let hosts =
            [host("a", ConditionStatus::Unknown), host("b", ConditionStatus::True), host("c", ConditionStatus::True)];
        assert_eq!(pick(&hosts, None).unwrap().name, "b");
        assert_eq!(pick(&hosts, Some("a")).unwrap().engine, "unix:///a", "although it does not answer now");
        for (hosts, deployed_on) in [(&hosts[..1], None), (&[][..], None), (&hosts[..], Some("gone"))] {
            let failure = pick(hosts, deployed_on).unwrap_err();
            assert_eq!(failure.reason, reason::NO_HOST);
            assert!(!failure.message.ends_with('.'), "{}", failure.message);
        }
    }
}
