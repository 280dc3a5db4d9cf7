//! One event stream per engine, turned into rings: so that nobody has to ask all the time.
//!
//! ```text
//!  engine ──events──► ear ──which App, which Host?──► bell ──► queue ──► pass
//!            │ connected (again): everybody on that engine, because something may have been missed
//!            └ broken off: its Hosts, which will see that it does not answer; then again after 1 s … 30 s
//! ```
//!
//! Events are lost and repeat, so an event says nothing but "look": whoever is rung reads the state. Passes that find
//! nothing to do cost a few requests; a stack that changes rings often, the queue makes one pass of many rings.
//!
//! Tasks have no events. What becomes of their containers has, but a moment before the swarm knows of it: an App is
//! therefore rung again shortly after the last event about it (an echo).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::Host;
use futures::StreamExt as _;
use ports::swarm::{EngineEvent, Engines};
use serde::Deserialize as _;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::kinds::app::labels::{APP_LABEL, has_prefix};
use crate::runtime::cache::Cache;
use crate::runtime::manager::Bell;
use crate::runtime::objects::ObjectKey;

/// How often the Hosts are looked at for engines that nobody listens to yet. It costs no request.
const LOOK: Duration = Duration::from_secs(1);
/// Pauses before an engine that broke off is listened to again.
const PAUSES: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// How long after the last event about an App it is rung again: a node tells the swarm of its tasks within a fraction of a
/// second, a busy one takes longer.
const ECHOES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];
/// On containers: the name of their service.
const SERVICE_NAME_LABEL: &str = "com.docker.swarm.service.name";

/// Listens to the engines of all Hosts until `stop` fires.
pub async fn listen(engines: Arc<dyn Engines>, cache: Arc<Cache>, bell: Bell, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut ears: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        let addresses: BTreeSet<String> = hosts(&cache).into_iter().map(|host| host.address).collect();
        ears.retain(|address, ear| {
            let stays = addresses.contains(address) && !ear.is_finished();
            if !stays {
                ear.abort();
            }
            stays
        });
        for address in addresses {
            if !ears.contains_key(&address) {
                let ear = Ear { engines: engines.clone(), cache: cache.clone(), bell: bell.clone(), address };
                ears.insert(ear.address.clone(), tasks.spawn(ear.listen()));
            }
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        // Ended ones are started again above.
        while tasks.try_join_next().is_some() {}
    }
}

/// A Host, as far as events concern it.
#[derive(Clone, Debug)]
struct Listening {
    key: ObjectKey,
    address: String,
    /// Names of the networks that it looks after.
    networks: Vec<String>,
}

/// Returns the Hosts that are listened for.
fn hosts(cache: &Cache) -> Vec<Listening> {
    let read = |stored: &Arc<crate::runtime::objects::StoredObject>| {
        let host = Object::<Host>::deserialize(&stored.value).ok()?;
        (!host.is_being_deleted() && !host.spec.suspend).then(|| Listening {
            key: stored.key.clone(),
            address: host.spec.engine,
            networks: host.spec.networks.into_iter().map(|network| network.name).collect(),
        })
    };
    cache.list(&Host::resource()).iter().filter_map(read).collect()
}

/// Who is to be rung again, and when.
#[derive(Debug, Default)]
struct Echoes {
    /// When the last event about it came, and how many echoes it has had.
    heard: BTreeMap<ObjectKey, (Instant, usize)>,
}

impl Echoes {
    fn note(&mut self, key: &ObjectKey, now: Instant) {
        self.heard.insert(key.clone(), (now, 0));
    }

    /// Returns when the next one is due.
    fn next(&self) -> Option<Instant> {
        self.heard.values().map(|(heard, echo)| *heard + ECHOES[*echo]).min()
    }

    /// Takes those that are due.
    fn take(&mut self, now: Instant) -> Vec<ObjectKey> {
        let mut due = Vec::new();
        self.heard.retain(|key, (heard, echo)| {
            if *heard + ECHOES[*echo] <= now {
                due.push(key.clone());
                *echo += 1;
            }
            *echo < ECHOES.len()
        });
        due
    }
}

/// Ends at a moment; never without one.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

struct Ear {
    engines: Arc<dyn Engines>,
    cache: Arc<Cache>,
    bell: Bell,
    address: String,
}

impl Ear {
    async fn listen(self) {
        let mut failures = 0;
        loop {
            match self.hear().await {
                Ok(()) => failures = 0,
                Err(error) => tracing::debug!(engine = self.address, %error, "cannot listen to the engine"),
            }
            self.hosts().iter().for_each(|host| self.bell.ring(&host.key));
            tokio::time::sleep(PAUSES[failures.min(PAUSES.len() - 1)]).await;
            failures += 1;
        }
    }

    /// Listens until the stream ends.
    async fn hear(&self) -> Result<(), ports::error::Error> {
        let mut events = self.engines.connect(&self.address)?.events().await?;
        tracing::debug!(engine = self.address, "listening to the engine");
        self.hosts().iter().for_each(|host| self.bell.ring(&host.key));
        self.apps().iter().for_each(|(app, _)| self.bell.ring(app));
        let mut echoes = Echoes::default();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = at(echoes.next()) => {
                    echoes.take(Instant::now()).iter().for_each(|key| self.bell.ring(key));
                    continue;
                }
            };
            let Some(Ok(event)) = event else { return Ok(()) };
            for key in concerned(&event, &self.hosts(), &self.apps()) {
                self.bell.ring(&key);
                if *key.resource == *App::resource() {
                    echoes.note(&key, Instant::now());
                }
            }
        }
    }

    fn hosts(&self) -> Vec<Listening> {
        hosts(&self.cache).into_iter().filter(|host| host.address == self.address).collect()
    }

    /// Returns the Apps that are on this engine, or on none yet, with their stacks.
    fn apps(&self) -> Vec<(ObjectKey, String)> {
        let names: BTreeSet<String> = self.hosts().iter().map(|host| host.key.name().to_owned()).collect();
        let here = |stored: &Arc<crate::runtime::objects::StoredObject>| {
            let status = &stored.value["status"];
            let is_here = status["host"].as_str().is_none_or(|host| names.contains(host));
            is_here.then(|| (stored.key.clone(), status["stack"].as_str().unwrap_or_default().to_owned()))
        };
        self.cache.list(&App::resource()).iter().filter_map(here).collect()
    }
}

/// Returns whom an event concerns. Pure.
fn concerned(event: &EngineEvent, hosts: &[Listening], apps: &[(ObjectKey, String)]) -> Vec<ObjectKey> {
    let mut keys = Vec::new();
    let own_name = event.attributes.get("name");
    let is_theirs = |host: &&Listening| match event.kind.as_str() {
        "node" | "image" | "daemon" => true,
        // Every app makes and removes some of its own.
        "network" => own_name.is_none_or(|name| host.networks.contains(name)),
        _ => false,
    };
    keys.extend(hosts.iter().filter(is_theirs).map(|host| host.key.clone()));
    if let Some((namespace, name)) = event.attributes.get(APP_LABEL).and_then(|app| app.split_once('/')) {
        keys.push(ObjectKey::new(&App::resource(), namespace, name));
        return keys;
    }
    // Services, networks, secrets and configs tell their name alone, and it begins with that of their stack.
    let stack = event.stack();
    let name = event.attributes.get(SERVICE_NAME_LABEL).or(own_name);
    let is_theirs =
        |theirs: &str| stack == Some(theirs) || (stack.is_none() && name.is_some_and(|name| has_prefix(name, theirs)));
    keys.extend(apps.iter().filter(|(_, stack)| !stack.is_empty() && is_theirs(stack)).map(|(key, _)| key.clone()));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, attributes: &[(&str, &str)]) -> EngineEvent {
        let attributes = attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        EngineEvent { kind: kind.to_owned(), action: "update".to_owned(), id: "1".to_owned(), attributes }
    }

    #[test]
    fn an_event_concerns_those_whose_stack_it_is_about() {
        let host = ObjectKey::new(&Host::resource(), "", "local");
        let hosts =
            [Listening { key: host.clone(), address: "unix:///x".to_owned(), networks: vec!["proxy".to_owned()] }];
        let app = |name: &str| ObjectKey::new(&App::resource(), "default", name);
        let apps =
            [(app("a"), "a_example".to_owned()), (app("b"), "a_example_org".to_owned()), (app("c"), String::new())];
        let cases = [
            (event("container", &[(APP_LABEL, "default/c"), ("name", "a_example_app.1.x")]), vec![app("c")]),
            (event("container", &[("com.docker.stack.namespace", "a_example_org")]), vec![app("b")]),
            // Which of the two stacks a bare name belongs to cannot be told: both look.
            (event("service", &[("name", "a_example_org_app")]), vec![app("a"), app("b")]),
            (event("service", &[("name", "a_example_app")]), vec![app("a")]),
            (event("service", &[("name", "elsewhere_app")]), vec![]),
            (event("network", &[("name", "a_example_internal")]), vec![app("a")]),
            (event("network", &[("name", "proxy")]), vec![host.clone()]),
            (event("node", &[("name", "vm")]), vec![host.clone()]),
            (event("image", &[]), vec![host.clone()]),
            (event("secret", &[("name", "a_example_key_v1")]), vec![app("a")]),
        ];
        for (event, wanted) in cases {
            assert_eq!(concerned(&event, &hosts, &apps), wanted, "{event:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_app_is_rung_again_after_the_last_event_about_it() {
        let key = |name: &str| ObjectKey::new(&App::resource(), "default", name);
        let mut echoes = Echoes::default();
        assert_eq!(echoes.next(), None);
        let start = Instant::now();
        echoes.note(&key("a"), start);
        tokio::time::advance(Duration::from_millis(200)).await;
        // A later event puts the echoes off.
        echoes.note(&key("a"), Instant::now());
        echoes.note(&key("b"), Instant::now());
        let mut rung = Vec::new();
        while let Some(moment) = echoes.next() {
            at(Some(moment)).await;
            rung.push((start.elapsed().as_millis(), echoes.take(Instant::now())));
        }
        assert_eq!(rung, [(450, vec![key("a"), key("b")]), (1200, vec![key("a"), key("b")])]);
    }
}
