//! What is decided about a host, and that a played engine becomes ready, stays it, and costs little meanwhile.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::app::App;
use api_types::kinds::host::{Host, HostNetwork, HostSpec, ImagePrune, SwarmSpec};
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::clock::PausedClock;
use ports::host::fake::FakeHost;
use ports::host::{DiskFigures, MemoryFigures};
use ports::swarm::fake::{FakeEngine, FakeEngines};
use ports::swarm::{Engine as _, EngineInfo, Filter, Image, Network, NewNetwork, SwarmState};
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::decide::{POLL, POLL_BUSY, decide};
use super::observe::{Observed, Swarm, Trouble};
use super::prune::{Unused, Uses, used_percent};
use super::{Action, Hosts, ears};
use crate::runtime::guards::Guards;
use crate::runtime::manager::Manager;
use crate::runtime::objects::memory::{MemoryObjects, SharedMemory};
use crate::runtime::objects::{ObjectKey, Objects, ServedResource};
use crate::runtime::reconciler::Next;

const GIB: u64 = 1 << 30;

fn now() -> Timestamp {
    "2026-01-02T00:00:00Z".parse().unwrap()
}

fn host() -> Object<Host> {
    let proxy = HostNetwork { name: "proxy".to_owned(), ..HostNetwork::default() };
    Object::new("", "local", HostSpec { networks: vec![proxy], ..HostSpec::default() })
}

fn network(name: &str, subnet: &str) -> Network {
    Network {
        id: name.to_owned(),
        name: name.to_owned(),
        driver: "overlay".to_owned(),
        scope: "swarm".to_owned(),
        attachable: true,
        subnets: vec![subnet.to_owned()],
        ..Network::default()
    }
}

/// A host that is all well.
fn well() -> Observed {
    let (engine_version, swarm) = ("20.10.24".to_owned(), SwarmState::Manager);
    let disk = DiskFigures { total_bytes: 100 * GIB, free_bytes: 50 * GIB, total_inodes: 1000, free_inodes: 500 };
    Observed {
        engine: Ok(EngineInfo { engine_version, swarm, ..EngineInfo::default() }),
        swarm: Some(Ok(Swarm { ready: 1, missing: Vec::new() })),
        networks: Some(Ok(vec![network("ingress", "10.0.0.0/24"), network("proxy", "10.200.0.0/16")])),
        images: Some(Vec::new()),
        disk: Some(Ok((PathBuf::from("/var/lib/docker"), disk))),
        memory: Some(Ok(MemoryFigures { total_bytes: 8 * GIB, available_bytes: 4 * GIB })),
        running: 0,
        unused: Vec::new(),
        last_pruned: None,
    }
}

fn in_swarm(state: SwarmState) -> Observed {
    let mut observed = well();
    observed.engine = observed.engine.map(|info| EngineInfo { swarm: state, ..info });
    if state != SwarmState::Manager {
        observed.swarm = None;
    }
    observed
}

fn with_disk(free_bytes: u64, free_inodes: u64) -> Observed {
    let disk = DiskFigures { total_bytes: 100 * GIB, free_bytes, total_inodes: 1000, free_inodes };
    Observed { disk: Some(Ok((PathBuf::from("/var/lib/docker"), disk))), ..well() }
}

fn unreachable() -> Observed {
    let trouble = Trouble { reason: "EngineUnreachable", message: "The engine does not answer.".to_owned() };
    Observed { engine: Err(trouble), swarm: None, networks: None, images: None, ..well() }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn what_is_said_of_a_host() {
    let without_proxy = Observed { networks: Some(Ok(vec![])), ..in_swarm(SwarmState::Inactive) };
    let local = Network { driver: "bridge".to_owned(), ..network("proxy", "10.200.0.0/16") };
    let low_memory = MemoryFigures { total_bytes: 8 * GIB, available_bytes: 100 << 20 };
    let no_inodes = DiskFigures { total_bytes: 100 * GIB, free_bytes: 50 * GIB, total_inodes: 0, free_inodes: 0 };
    let no_leader = Trouble { reason: "NoLeader", message: "The swarm has no leader.".to_owned() };
    let cases = [
        ("all is well", well(), "Ready", ConditionStatus::True, "Succeeded"),
        ("nobody answers", unreachable(), "EngineReachable", ConditionStatus::False, "EngineUnreachable"),
        ("so nothing else is known", unreachable(), "SwarmActive", ConditionStatus::Unknown, "EngineUnreachable"),
        ("but the disk is", unreachable(), "DiskOk", ConditionStatus::True, "AboveFloor"),
        ("no swarm", in_swarm(SwarmState::Inactive), "SwarmActive", ConditionStatus::False, "SwarmInactive"),
        ("no swarm, no overlay", without_proxy, "NetworksReady", ConditionStatus::False, "SwarmInactive"),
        ("a worker", in_swarm(SwarmState::Worker), "SwarmActive", ConditionStatus::False, "NotAManager"),
        ("a locked swarm", in_swarm(SwarmState::Locked), "SwarmActive", ConditionStatus::False, "SwarmLocked"),
        ("a swarm without leader", in_swarm(SwarmState::Error), "SwarmActive", ConditionStatus::False, "NoLeader"),
        (
            "a leader that goes meanwhile",
            Observed { swarm: Some(Err(no_leader)), ..well() },
            "SwarmActive",
            ConditionStatus::False,
            "NoLeader",
        ),
        (
            "another driver",
            Observed { networks: Some(Ok(vec![local])), ..well() },
            "NetworksReady",
            ConditionStatus::False,
            "NetworkDiffers",
        ),
        ("little disk", with_disk(GIB, 500), "DiskOk", ConditionStatus::False, "BelowFloor"),
        ("a small share of it", with_disk(4 * GIB, 500), "DiskOk", ConditionStatus::False, "BelowFloor"),
        ("few inodes", with_disk(50 * GIB, 49), "InodesOk", ConditionStatus::False, "BelowFloor"),
        (
            "inodes that are not counted",
            Observed { disk: Some(Ok((PathBuf::from("/"), no_inodes))), ..well() },
            "InodesOk",
            ConditionStatus::True,
            "AboveFloor",
        ),
        (
            "little memory",
            Observed { memory: Some(Ok(low_memory)), ..well() },
            "MemoryOk",
            ConditionStatus::False,
            "BelowFloor",
        ),
        (
            "another machine",
            Observed { disk: None, memory: None, ..well() },
            "DiskOk",
            ConditionStatus::Unknown,
            "NotMeasured",
        ),
        (
            "which holds nothing back",
            Observed { disk: None, memory: None, ..well() },
            "Ready",
            ConditionStatus::True,
            "Succeeded",
        ),
    ];
    for (name, observed, type_, status, reason) in cases {
        let decision = decide(&host(), &observed, now());
        let found = find(&decision.status.conditions, type_).unwrap_or_else(|| panic!("{name}: no {type_}"));
        assert_eq!((found.status, &*found.reason), (status, reason), "{name}: {}", found.message);
        assert!(found.message.ends_with('.'), "{name}: {}", found.message);
        let ready = find(&decision.status.conditions, "Ready").unwrap();
        if status == ConditionStatus::False {
            assert_ne!(ready.status, ConditionStatus::True, "{name}");
        }
        let next = if ready.status == ConditionStatus::True { POLL } else { POLL_BUSY };
        assert_eq!((decision.action, decision.next), (None, Next::After(next)), "{name}");
    }
}

#[test]
fn a_swarm_is_made_only_when_asked_for_and_networks_after_it() {
    let mut host = host();
    let mut observed = Observed { networks: Some(Ok(vec![])), ..in_swarm(SwarmState::Inactive) };
    assert_eq!(decide(&host, &observed, now()).action, None);
    host.spec.swarm = SwarmSpec { init: true, advertise_addr: None };
    assert_eq!(decide(&host, &observed, now()).action, Some(Action::InitSwarm));
    observed = Observed { networks: Some(Ok(vec![network("ingress", "10.200.0.0/24")])), ..well() };
    let new = NewNetwork {
        name: "proxy".to_owned(),
        driver: "overlay".to_owned(),
        attachable: true,
        // The first one overlaps with what is there.
        subnets: vec!["10.201.0.0/16".to_owned()],
        ..NewNetwork::default()
    };
    assert_eq!(decide(&host, &observed, now()).action, Some(Action::CreateNetwork(new.clone())));
    "other".clone_into(&mut host.spec.networks[0].name);
    let new = NewNetwork { name: "other".to_owned(), subnets: Vec::new(), ..new };
    assert_eq!(decide(&host, &observed, now()).action, Some(Action::CreateNetwork(new)), "the engine chooses");
}

#[test]
fn a_small_proxy_network_is_warned_of() {
    let observed = Observed { networks: Some(Ok(vec![network("proxy", "10.0.1.0/24")])), ..well() };
    let status = decide(&host(), &observed, now()).status;
    let found = find(&status.conditions, "NetworksReady").unwrap();
    assert_eq!(found.status, ConditionStatus::True);
    assert!(found.message.contains("/24") && found.message.contains("/16"), "{}", found.message);
}

fn unused(id: &str, hours_ago: i64) -> Unused {
    let used_at = now().checked_sub(jiff::SignedDuration::from_hours(hours_ago)).unwrap();
    Unused { id: id.to_owned(), used_at, bytes: 1 }
}

#[test]
fn images_go_when_the_disk_is_full_and_they_are_old() {
    let mut host = host();
    let full = |unused: &[Unused]| Observed { unused: unused.to_vec(), ..with_disk(19 * GIB, 500) };
    let images = [unused("oldest", 48), unused("old", 24), unused("new", 1)];
    assert_eq!(decide(&host, &full(&images), now()).action, None, "pruning is off");
    host.spec.image_prune = Some(ImagePrune::default());
    let images_due = vec!["oldest".to_owned(), "old".to_owned()];
    let due = Action::PruneImages { images: images_due, until_percent: 75 };
    assert_eq!(decide(&host, &full(&images), now()).action, Some(due));
    assert_eq!(decide(&host, &full(&images[2..]), now()).action, None, "all are new");
    let roomy = Observed { unused: images.to_vec(), ..with_disk(20 * GIB, 500) };
    assert_eq!(decide(&host, &roomy, now()).action, None, "there is room");
    let just_now = Observed { last_pruned: Some(now()), ..full(&images) };
    assert_eq!(decide(&host, &just_now, now()).action, None, "not again and again");
}

#[test]
fn what_is_used_is_kept_and_remembered() {
    let image = |id: &str, tag: &str, digest: &str, bytes: u64| Image {
        id: format!("sha256:{id}00000000000"),
        tags: vec![tag.to_owned()],
        digests: vec![format!("r/x@sha256:{digest}")],
        bytes,
        created_seconds: 0,
    };
    let images = [image("a", "r/a:1", "aa", 1), image("b", "r/b:1", "bb", 2), image("c", "r/c:latest", "cc", 3)];
    let later = |hours: i64| now().checked_add(jiff::SignedDuration::from_hours(hours)).unwrap();
    let wanted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let mut uses = Uses::default();
    uses.note(&images, &wanted(&[]), now());
    for name in ["r/b:1", "anything@sha256:bb", "r/b:9@sha256:bb", "sha256:b00000000000", "b00000000000"] {
        uses.note(&images, &wanted(&[name]), later(1));
        let unused: Vec<_> = uses.unused(&images, &wanted(&[name])).into_iter().map(|image| image.bytes).collect();
        assert_eq!(unused, [3, 1], "{name}: the largest first, when all are equally old");
    }
    assert_eq!(uses.unused(&images, &wanted(&["r/c"])).len(), 2, "no tag means latest");
    let order: Vec<_> = uses.unused(&images, &wanted(&[])).into_iter().map(|image| image.bytes).collect();
    assert_eq!(order, [3, 1, 2], "b was used last");
    uses.note(&images[..1], &wanted(&[]), later(2));
    uses.note(&images, &wanted(&[]), later(3));
    assert_eq!(uses.unused(&images, &wanted(&[]))[2].used_at, later(3), "what was gone is new again");
}

#[test]
fn shares_are_rounded_to_the_safe_side() {
    let disk = |total_bytes, free_bytes| DiskFigures { total_bytes, free_bytes, ..DiskFigures::default() };
    let cases =
        [(disk(0, 0), 0), (disk(1000, 1000), 0), (disk(1000, 0), 100), (disk(1000, 199), 81), (disk(10, 99), 0)];
    for (disk, percent) in cases {
        assert_eq!(used_percent(&disk), percent, "{disk:?}");
    }
}

#[test]
fn a_status_that_says_the_same_stays_the_same() {
    let mut host = host();
    host.status = decide(&host, &well(), now()).status;
    let later = now().checked_add(jiff::SignedDuration::from_mins(5)).unwrap();
    let mut observed = with_disk(50 * GIB + GIB / 2, 501);
    observed.memory = Some(Ok(MemoryFigures { total_bytes: 8 * GIB, available_bytes: 4 * GIB + (40 << 20) }));
    let status = decide(&host, &observed, later).status;
    assert_eq!(status.disk, host.status.disk, "half a percent is nothing new");
    let much_later = now().checked_add(jiff::SignedDuration::from_mins(11)).unwrap();
    assert_eq!(decide(&host, &well(), later).status, host.status);
    assert_ne!(decide(&host, &well(), much_later).status.observed_at, host.status.observed_at);
}

/// A daemon with one played engine and Hosts alone.
struct Daemon {
    objects: Arc<dyn Objects>,
    engine: FakeEngine,
    machine: Arc<FakeHost>,
    stop: CancellationToken,
}

impl Daemon {
    fn start() -> Self {
        let resources =
            [(Host::resource(), "Host", false), (App::resource(), "App", true), (TestRun::resource(), "TestRun", true)];
        let served = resources.map(|(resource, kind, namespaced)| ServedResource {
            resource: resource.into(),
            api_version: Host::api_version(),
            kind: kind.to_owned(),
            namespaced,
        });
        let clock = Arc::new(PausedClock::starting_at(now()));
        let memory = Arc::new(MemoryObjects::new(served.to_vec(), clock.clone(), 10_000));
        let objects: Arc<dyn Objects> = Arc::new(SharedMemory(memory));
        let (engines, engine) = (Arc::new(FakeEngines::default()), FakeEngine::starting_at(now()));
        engine.set_swarm(SwarmState::Inactive);
        engines.add("unix:///var/run/docker.sock", engine.clone());
        let machine = Arc::new(FakeHost::default());
        machine.set_disk(
            "/".as_ref(),
            DiskFigures { total_bytes: 100 * GIB, free_bytes: 50 * GIB, ..DiskFigures::default() },
        );
        machine.set_memory(MemoryFigures { total_bytes: 8 * GIB, available_bytes: 4 * GIB });
        let mut manager = Manager::new(objects.clone(), clock, &mut Registry::default(), None, Guards::all());
        manager.register(Hosts::new(&manager, engines.clone(), machine.clone()), Hosts::options());
        let stop = CancellationToken::new();
        tokio::spawn(ears::listen(engines, manager.shared().cache.clone(), manager.bell(), stop.clone()));
        let running = stop.clone();
        tokio::spawn(async move { manager.run(running).await });
        Self { objects, engine, machine, stop }
    }

    async fn apply(&self, spec: serde_json::Value) {
        let host =
            json!({"apiVersion": Host::api_version(), "kind": "Host", "metadata": {"name": "local"}, "spec": spec});
        self.objects.create(&Host::resource(), host).await.unwrap();
    }

    /// Waits until a condition has a status and returns its message.
    async fn until(&self, type_: &str, status: ConditionStatus) -> String {
        let key = ObjectKey::new(&Host::resource(), "", "local");
        let seen = async {
            loop {
                let stored = self.objects.get(&key).await.unwrap();
                let host: Object<Host> = serde_json::from_value(stored.value.clone()).unwrap();
                if let Some(found) = find(&host.status.conditions, type_).filter(|found| found.status == status) {
                    return found.message.clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(5), seen)
            .await
            .unwrap_or_else(|_| panic!("{type_} is never {status:?}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(start_paused = true)]
async fn a_bare_engine_becomes_ready() {
    let daemon = Daemon::start();
    daemon.apply(json!({"swarm": {"init": true}, "networks": [{"name": "proxy"}]})).await;
    daemon.until("Ready", ConditionStatus::True).await;
    let networks = daemon.engine.networks(&Filter::name_prefix("proxy")).await.unwrap();
    assert_eq!(networks[0].subnets, ["10.200.0.0/16"]);
    assert_eq!(daemon.engine.calls().iter().filter(|call| **call == "init_swarm").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_happens_is_heard_of_and_idleness_is_cheap() {
    let daemon = Daemon::start();
    daemon.engine.set_swarm(SwarmState::Manager);
    daemon.apply(json!({"networks": [{"name": "proxy"}]})).await;
    daemon.until("Ready", ConditionStatus::True).await;
    // The first look of the ear may still be on its way.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = daemon.engine.calls().len();
    tokio::time::sleep(Duration::from_mins(10)).await;
    let calls = daemon.engine.calls().len() - before;
    assert!(calls <= 60, "{calls} calls in ten quiet minutes");
    let network = daemon.engine.networks(&Filter::name_prefix("proxy")).await.unwrap().remove(0);
    let began = tokio::time::Instant::now();
    daemon.engine.remove_network(&network.id).await.unwrap();
    while daemon.engine.networks(&Filter::name_prefix("proxy")).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?} to notice", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_goes_is_noticed_and_one_that_comes_back_too() {
    let daemon = Daemon::start();
    daemon.engine.set_swarm(SwarmState::Manager);
    daemon.apply(json!({"networks": [{"name": "proxy"}]})).await;
    daemon.until("Ready", ConditionStatus::True).await;
    let began = tokio::time::Instant::now();
    daemon.engine.set_reachable(false);
    daemon.until("EngineReachable", ConditionStatus::False).await;
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?} to notice", began.elapsed());
    daemon.engine.set_reachable(true);
    daemon.until("Ready", ConditionStatus::True).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_pruned_and_what_runs_stays() {
    let daemon = Daemon::start();
    daemon.engine.set_swarm(SwarmState::Manager);
    for image in ["r/old:1", "r/app:1", "r/older:1"] {
        daemon.engine.add_image(image);
    }
    let mut spec = ports::swarm::spec::ServiceSpec { name: "a_app".to_owned(), ..Default::default() };
    "r/app:1".clone_into(&mut spec.task_template.container_spec.image);
    daemon.engine.create_service(&spec, None).await.unwrap();
    daemon.apply(json!({"imagePrune": {"above": 80, "keep": "1h"}})).await;
    daemon.until("Ready", ConditionStatus::True).await;
    let disk = DiskFigures { total_bytes: 100 * GIB, free_bytes: GIB, ..DiskFigures::default() };
    daemon.machine.set_disk("/".as_ref(), disk);
    let message = daemon.until("DiskOk", ConditionStatus::False).await;
    assert!(message.contains("No image is left"), "nothing is old enough yet: {message}");
    assert_eq!(daemon.engine.images().await.unwrap().len(), 3);
    tokio::time::sleep(Duration::from_mins(70)).await;
    let left = daemon.engine.images().await.unwrap();
    assert_eq!(left.iter().map(|image| &*image.tags[0]).collect::<Vec<_>>(), ["r/app:1"]);
    daemon.machine.set_disk("/".as_ref(), DiskFigures { free_bytes: 50 * GIB, ..disk });
    daemon.until("Ready", ConditionStatus::True).await;
}
