//! What is decided about a host.

use std::net::Ipv4Addr;

use api_types::condition::{Condition, ConditionStatus, ConditionType, READY};
use api_types::kind::Object;
use api_types::kinds::host::{
    DiskState, Host, HostNetwork, HostStatus, ImageState, MemoryState, NetworkDriver, SwarmRole,
};
use api_types::reason;
use jiff::{SignedDuration, Timestamp};
use ports::swarm::{EngineInfo, Network, NewNetwork, SwarmState};

use super::Action;
use super::observe::{Observed, Trouble};
use super::prune::used_percent;
use crate::runtime::reconciler::{Decision, Next};

/// How often a host is looked at when nothing happens there.
pub const POLL: std::time::Duration = std::time::Duration::from_mins(1);
/// How often while runs are deployed or something is wrong: figures change quickly then.
pub const POLL_BUSY: std::time::Duration = std::time::Duration::from_secs(15);
/// Pause between two rounds of removing images.
const PRUNE_PAUSE: SignedDuration = SignedDuration::from_mins(1);
/// How much further than to the mark images are removed, in percent of the disk.
const PRUNE_SLACK: u8 = 5;
/// Most images of one round: each takes the engine a moment.
const PRUNE_IMAGES_MAX: usize = 20;
/// How old `observedAt` gets while nothing else changes.
const OBSERVED_AT_AGE: SignedDuration = SignedDuration::from_mins(10);
/// The network whose subnet is ours to choose: every app's front joins it, and the engine's own choice of 254 addresses is
/// used up too soon.
const PROXY: &str = "proxy";
/// Second octets of the subnets that it may get: `10.<octet>.0.0/16`.
const PROXY_OCTETS: std::ops::Range<u8> = 200..232;
/// A network with a longer prefix is too small to be shared by all apps.
const PREFIX_MAX: u8 = 22;

/// Decides. Pure.
#[must_use]
pub fn decide(host: &Object<Host>, observed: &Observed, now: Timestamp) -> Decision<HostStatus, Action> {
    let mut status = figures(host, observed);
    let mut action = None;
    let engine = engine_condition(host, observed);
    let (swarm, make_swarm) = swarm_condition(host, observed);
    let (networks, make_network) = networks_condition(host, observed);
    let pruning = prune(host, observed, now);
    let disk = disk_condition(host, observed, pruning.is_some());
    let floors = [disk, inodes_condition(host, observed), memory_condition(host, observed)];
    if make_swarm {
        action = Some(Action::InitSwarm);
    } else if let Some(network) = make_network {
        action = Some(Action::CreateNetwork(network));
    } else if let Some(pruning) = pruning {
        action = Some(pruning);
    }
    status.conditions = [engine, swarm, networks].into_iter().chain(floors).collect();
    let ready = summary(host, &status.conditions);
    let is_well = ready.status == ConditionStatus::True;
    status.conditions.push(ready);
    status.observed_at = observed_at(&host.status, &status, now);
    match action {
        Some(action) => Decision::act(status, action),
        None => {
            let poll = if is_well && status.running == 0 { POLL } else { POLL_BUSY };
            Decision::wait(status, Next::After(poll))
        }
    }
}

fn condition(type_: ConditionType, status: ConditionStatus, reason: &str, message: impl Into<String>) -> Condition {
    Condition::new(type_.word(), status, reason, message)
}

/// Returns the figures of the status; those that could not be seen stay.
fn figures(host: &Object<Host>, observed: &Observed) -> HostStatus {
    let old = &host.status;
    let mut status = HostStatus { running: observed.running, conditions: Vec::new(), ..old.clone() };
    if let Ok(info) = &observed.engine {
        status.engine_version = Some(info.engine_version.clone());
        status.api_version = Some(info.api_version.clone());
        status.swarm_role = Some(match info.swarm {
            SwarmState::Manager | SwarmState::Error => SwarmRole::Manager,
            SwarmState::Worker | SwarmState::Locked | SwarmState::Pending => SwarmRole::Worker,
            SwarmState::Inactive => SwarmRole::Inactive,
        });
        status.nodes = observed.swarm.as_ref().and_then(|swarm| swarm.as_ref().ok()).map(|swarm| swarm.ready);
    }
    let signed = |figure: u64| i64::try_from(figure).unwrap_or(i64::MAX);
    if let Some(Ok((path, disk))) = &observed.disk {
        let old = old.disk.clone().unwrap_or_default();
        status.disk = Some(DiskState {
            path: path.display().to_string(),
            total_bytes: signed(disk.total_bytes),
            free_bytes: steady(old.free_bytes, signed(disk.free_bytes), signed(disk.total_bytes)),
            total_inodes: signed(disk.total_inodes),
            free_inodes: steady(old.free_inodes, signed(disk.free_inodes), signed(disk.total_inodes)),
        });
    }
    if let Some(Ok(memory)) = &observed.memory {
        let (available, total) = (signed(memory.available_bytes), signed(memory.total_bytes));
        let old = old.memory.clone().unwrap_or_default();
        let available_bytes = steady(old.available_bytes, available, total);
        status.memory = Some(MemoryState { total_bytes: total, available_bytes });
    }
    if let Some(images) = &observed.images {
        let pruned = observed.last_pruned.map(seconds);
        status.images = Some(ImageState {
            count: u32::try_from(images.len()).unwrap_or(u32::MAX),
            bytes: signed(images.iter().map(|image| image.bytes).sum()),
            last_pruned: pruned.or_else(|| old.images.as_ref().and_then(|images| images.last_pruned.clone())),
        });
    }
    status
}

/// Returns the old figure as long as the new one differs by less than a hundredth of the whole: a status that changes
/// each time would wake everybody who looks at it.
fn steady(old: i64, new: i64, total: i64) -> i64 {
    if old > 0 && (old - new).abs() < total / 100 { old } else { new }
}

fn seconds(moment: Timestamp) -> String {
    crate::runtime::events::seconds(moment)
}

fn observed_at(old: &HostStatus, new: &HostStatus, now: Timestamp) -> Option<String> {
    let told = |status: &HostStatus| {
        let conditions: Vec<_> = status
            .conditions
            .iter()
            .filter(|condition| ConditionType::Reconciling.word() != condition.type_)
            .map(|condition| (condition.type_.clone(), condition.status, condition.message.clone()))
            .collect();
        (conditions, status.disk.clone(), status.memory.clone(), status.images.clone(), status.running)
    };
    let age = old
        .observed_at
        .as_ref()
        .and_then(|moment| moment.parse::<Timestamp>().ok())
        .map(|moment| now.duration_since(moment));
    let is_recent = age.is_some_and(|age| age < OBSERVED_AT_AGE);
    if is_recent && told(old) == told(new) { old.observed_at.clone() } else { Some(seconds(now)) }
}

fn engine_condition(host: &Object<Host>, observed: &Observed) -> Condition {
    let (type_, address) = (ConditionType::EngineReachable, &host.spec.engine);
    match &observed.engine {
        Ok(info) => {
            let version = &info.engine_version;
            condition(
                type_,
                ConditionStatus::True,
                reason::ENGINE_REACHABLE,
                format!("Docker {version} answers at {address}."),
            )
        }
        Err(trouble) => condition(type_, ConditionStatus::False, trouble.reason, trouble.message.clone()),
    }
}

/// The engine does not answer, so nothing is known of what only it can tell.
fn unseen(type_: ConditionType) -> Condition {
    let message = "Nobody could tell, because the engine does not answer.";
    condition(type_, ConditionStatus::Unknown, "EngineUnreachable", message)
}

/// Returns the condition, and whether a swarm has to be made.
fn swarm_condition(host: &Object<Host>, observed: &Observed) -> (Condition, bool) {
    let type_ = ConditionType::SwarmActive;
    let Ok(info) = &observed.engine else { return (unseen(type_), false) };
    let is_false = |reason: &str, message: &str| (condition(type_, ConditionStatus::False, reason, message), false);
    match info.swarm {
        SwarmState::Manager => (manager_condition(observed), false),
        SwarmState::Inactive if host.spec.swarm.init => {
            let message = "The engine is in no swarm yet; one is being made.";
            (condition(type_, ConditionStatus::False, reason::PROGRESSING, message), true)
        }
        SwarmState::Inactive => is_false(
            reason::SWARM_INACTIVE,
            "The engine is in no swarm: set spec.swarm.init to true, or type `docker swarm init` on that machine.",
        ),
        SwarmState::Worker => is_false(
            reason::NOT_A_MANAGER,
            "The engine is a worker: name the engine of a manager in spec.engine, or type `docker node promote` on one.",
        ),
        SwarmState::Pending => {
            let message = "The engine is joining a swarm.";
            (condition(type_, ConditionStatus::Unknown, reason::PROGRESSING, message), false)
        }
        SwarmState::Locked => {
            is_false("SwarmLocked", "The swarm is locked: type `docker swarm unlock` on that machine.")
        }
        SwarmState::Error => {
            let said = info.swarm_error.trim().trim_end_matches('.');
            is_false("NoLeader", &format!("The swarm cannot decide: {said}. Bring enough of its managers back."))
        }
    }
}

fn manager_condition(observed: &Observed) -> Condition {
    let type_ = ConditionType::SwarmActive;
    match &observed.swarm {
        Some(Ok(swarm)) => {
            let nodes = if swarm.ready == 1 { "1 node is".to_owned() } else { format!("{} nodes are", swarm.ready) };
            let mut message = format!("The engine manages a swarm; {nodes} ready.");
            if !swarm.missing.is_empty() {
                message.push_str(&format!(" Not ready: {}.", swarm.missing.join(", ")));
            }
            condition(type_, ConditionStatus::True, reason::SWARM_ACTIVE, message)
        }
        Some(Err(trouble)) => condition(type_, ConditionStatus::False, trouble.reason, trouble.message.clone()),
        None => unseen(type_),
    }
}

/// Returns the condition, and the network that has to be made next.
fn networks_condition(host: &Object<Host>, observed: &Observed) -> (Condition, Option<NewNetwork>) {
    let type_ = ConditionType::NetworksReady;
    let networks = match &observed.networks {
        None => return (unseen(type_), None),
        Some(Err(trouble)) => {
            return (condition(type_, ConditionStatus::False, trouble.reason, trouble.message.clone()), None);
        }
        Some(Ok(networks)) => networks,
    };
    let is_manager = observed.engine.as_ref().is_ok_and(|info: &EngineInfo| info.swarm == SwarmState::Manager);
    let mut notes = Vec::new();
    for wanted in &host.spec.networks {
        let found = networks.iter().find(|network| network.name == wanted.name);
        let Some(found) = found else {
            if wanted.driver == NetworkDriver::Overlay && !is_manager {
                let message = format!("The network {} needs a swarm; see SwarmActive.", wanted.name);
                return (condition(type_, ConditionStatus::False, reason::SWARM_INACTIVE, message), None);
            }
            let message = format!("The network {} is being made.", wanted.name);
            let new = new_network(wanted, networks);
            return (condition(type_, ConditionStatus::False, reason::PROGRESSING, message), Some(new));
        };
        if let Some(difference) = difference(wanted, found) {
            let message = format!(
                "The network {} {difference}. It is not changed, because apps may be using it: change spec.networks, or \
                 remove it with `docker network rm {}` while nothing runs.",
                wanted.name, wanted.name
            );
            return (condition(type_, ConditionStatus::False, reason::NETWORK_DIFFERS, message), None);
        }
        notes.extend(smallness(found));
    }
    let mut message = match &host.spec.networks[..] {
        [] => "No networks are asked for.".to_owned(),
        [one] => format!("The network {} is there.", one.name),
        many => format!("All {} networks are there.", many.len()),
    };
    for note in notes {
        message.push(' ');
        message.push_str(&note);
    }
    (condition(type_, ConditionStatus::True, reason::NETWORKS_READY, message), None)
}

fn driver(driver: NetworkDriver) -> &'static str {
    match driver {
        NetworkDriver::Overlay => "overlay",
        NetworkDriver::Bridge => "bridge",
    }
}

/// Returns how a network is not as it should be.
fn difference(wanted: &HostNetwork, found: &Network) -> Option<String> {
    if found.driver != driver(wanted.driver) {
        return Some(format!("has the driver {} and should have {}", found.driver, driver(wanted.driver)));
    }
    if wanted.driver == NetworkDriver::Overlay && wanted.attachable && !found.attachable {
        return Some("cannot be joined by containers (attachable) and should be".to_owned());
    }
    let subnet = wanted.subnet.as_ref().filter(|subnet| !found.subnets.is_empty() && !found.subnets.contains(subnet));
    subnet.map(|subnet| format!("has the subnet {} and should have {subnet}", found.subnets.join(", ")))
}

/// Returns a warning about a network that will run out of addresses.
fn smallness(network: &Network) -> Option<String> {
    if network.name != PROXY {
        return None;
    }
    let (_, prefix) = range(network.subnets.first()?)?;
    let is_small = prefix > PREFIX_MAX;
    is_small.then(|| {
        format!(
            "It is small (/{prefix}): every service keeps an address, and some are lost when others remove stacks; make it \
             anew as a /16 when nothing runs."
        )
    })
}

fn new_network(wanted: &HostNetwork, networks: &[Network]) -> NewNetwork {
    let subnet = wanted.subnet.clone().or_else(|| {
        let is_shared = wanted.name == PROXY && wanted.driver == NetworkDriver::Overlay;
        is_shared.then(|| free_subnet(networks)).flatten()
    });
    NewNetwork {
        name: wanted.name.clone(),
        driver: driver(wanted.driver).to_owned(),
        attachable: wanted.attachable,
        subnets: subnet.into_iter().collect(),
        ..NewNetwork::default()
    }
}

/// Returns the first large subnet that no network of the engine overlaps; `None` leaves the choice to the engine.
fn free_subnet(networks: &[Network]) -> Option<String> {
    let taken: Vec<_> =
        networks.iter().flat_map(|network| &network.subnets).filter_map(|subnet| range(subnet)).collect();
    let is_free = |first: u32| {
        taken.iter().all(|(other, prefix)| {
            let mask = u32::MAX.checked_shl(32 - u32::from((*prefix).min(16))).unwrap_or(0);
            first & mask != other & mask
        })
    };
    let mut candidates = PROXY_OCTETS.map(|octet| Ipv4Addr::new(10, octet, 0, 0));
    candidates.find(|address| is_free(address.to_bits())).map(|address| format!("{address}/16"))
}

fn range(subnet: &str) -> Option<(u32, u8)> {
    let (address, prefix) = subnet.split_once('/')?;
    Some((address.parse::<Ipv4Addr>().ok()?.to_bits(), prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
}

fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = UNITS.into_iter().find(|(factor, _)| bytes >= *factor);
    unit.map_or_else(|| format!("{bytes} bytes"), |(factor, unit)| format!("{} {unit}", bytes / factor))
}

/// Returns the condition of something that cannot be measured, or could not be.
fn unmeasured(type_: ConditionType, trouble: Option<&Trouble>) -> Condition {
    match trouble {
        Some(trouble) => condition(type_, ConditionStatus::Unknown, trouble.reason, trouble.message.clone()),
        None => {
            let message =
                "It is another machine, whose figures cannot be measured from here: nothing is held back for it.";
            condition(type_, ConditionStatus::Unknown, reason::NOT_MEASURED, message)
        }
    }
}

fn share(part: u64, whole: u64) -> u64 {
    if whole == 0 { 100 } else { u64::try_from(u128::from(part) * 100 / u128::from(whole)).unwrap_or(100) }
}

fn disk_condition(host: &Object<Host>, observed: &Observed, is_pruning: bool) -> Condition {
    let type_ = ConditionType::DiskOk;
    let (path, disk) = match &observed.disk {
        Some(Ok(found)) => found,
        Some(Err(trouble)) => return unmeasured(type_, Some(trouble)),
        None => return unmeasured(type_, None),
    };
    let floors = &host.spec.floors;
    let percent = share(disk.free_bytes, disk.total_bytes);
    let is_enough = disk.free_bytes >= floors.disk_bytes.round_up() && percent >= u64::from(floors.disk_percent);
    let (free, place) = (size(disk.free_bytes), path.display());
    if is_enough {
        let message = format!("{free} ({percent} %) are free at {place}.");
        return condition(type_, ConditionStatus::True, reason::ABOVE_FLOOR, message);
    }
    let help = match &host.spec.image_prune {
        _ if is_pruning => "Images that nothing used for a while are being removed.".to_owned(),
        Some(prune) => format!(
            "No image is left that nothing used for {}: delete Apps and volumes that nobody needs (`docker system df -v` \
             shows what is large), or lower the floor.",
            prune.keep.as_str()
        ),
        None => "Set spec.imagePrune, or make room by hand (`docker system df -v` shows what is large).".to_owned(),
    };
    let floor = format!("{} and {} %", floors.disk_bytes.as_str(), floors.disk_percent);
    let message = format!(
        "Only {free} ({percent} %) are free at {place}, and the floor is {floor}: no new runs are started. {help}"
    );
    condition(type_, ConditionStatus::False, reason::BELOW_FLOOR, message)
}

fn inodes_condition(host: &Object<Host>, observed: &Observed) -> Condition {
    let type_ = ConditionType::InodesOk;
    let (path, disk) = match &observed.disk {
        Some(Ok(found)) => found,
        Some(Err(trouble)) => return unmeasured(type_, Some(trouble)),
        None => return unmeasured(type_, None),
    };
    let place = path.display();
    if disk.total_inodes == 0 {
        let message = format!("The file system at {place} has no fixed number of inodes.");
        return condition(type_, ConditionStatus::True, reason::ABOVE_FLOOR, message);
    }
    let (percent, floor) = (share(disk.free_inodes, disk.total_inodes), host.spec.floors.inodes_percent);
    let free = disk.free_inodes;
    if percent >= u64::from(floor) {
        let message = format!("{free} inodes ({percent} %) are free at {place}.");
        return condition(type_, ConditionStatus::True, reason::ABOVE_FLOOR, message);
    }
    let message = format!(
        "Only {free} inodes ({percent} %) are free at {place}, and the floor is {floor} %: no new runs are started. Many \
         small files use them up: `du --inodes -x {place} | sort -n | tail` shows where."
    );
    condition(type_, ConditionStatus::False, reason::BELOW_FLOOR, message)
}

fn memory_condition(host: &Object<Host>, observed: &Observed) -> Condition {
    let type_ = ConditionType::MemoryOk;
    let memory = match &observed.memory {
        Some(Ok(found)) => found,
        Some(Err(trouble)) => return unmeasured(type_, Some(trouble)),
        None => return unmeasured(type_, None),
    };
    let (free, floor) = (size(memory.available_bytes), host.spec.floors.memory.as_str());
    if memory.available_bytes >= host.spec.floors.memory.round_up() {
        let message = format!("{free} of memory are available.");
        return condition(type_, ConditionStatus::True, reason::ABOVE_FLOOR, message);
    }
    let message = format!(
        "Only {free} of memory are available, and the floor is {floor}: no new runs are started. `docker stats` shows what \
         uses it."
    );
    condition(type_, ConditionStatus::False, reason::BELOW_FLOOR, message)
}

/// Returns the removal of images that is due.
fn prune(host: &Object<Host>, observed: &Observed, now: Timestamp) -> Option<Action> {
    let prune = host.spec.image_prune.as_ref()?;
    let Some(Ok((_, disk))) = &observed.disk else { return None };
    if used_percent(disk) <= prune.above {
        return None;
    }
    let paused_until = observed.last_pruned.and_then(|moment| moment.checked_add(PRUNE_PAUSE).ok());
    if paused_until.is_some_and(|until| now < until) {
        return None;
    }
    let keep = SignedDuration::try_from(prune.keep.span()).unwrap_or(SignedDuration::MAX);
    let is_old = |used_at: Timestamp| used_at.checked_add(keep).is_ok_and(|until| until <= now);
    let old = observed.unused.iter().filter(|image| is_old(image.used_at)).take(PRUNE_IMAGES_MAX);
    let images: Vec<String> = old.map(|image| image.id.clone()).collect();
    let until_percent = prune.above.saturating_sub(PRUNE_SLACK);
    (!images.is_empty()).then_some(Action::PruneImages { images, until_percent })
}

/// Returns the summary: what is wrong first, or that all is well. What cannot be measured holds nothing back.
fn summary(host: &Object<Host>, conditions: &[Condition]) -> Condition {
    if let Some(wrong) = conditions.iter().find(|condition| condition.status == ConditionStatus::False) {
        return Condition::new(READY, ConditionStatus::False, &wrong.reason, wrong.message.clone());
    }
    let counts = |condition: &&Condition| condition.reason != reason::NOT_MEASURED;
    let unknown = conditions.iter().filter(counts).find(|condition| condition.status == ConditionStatus::Unknown);
    if let Some(unknown) = unknown {
        return Condition::new(READY, ConditionStatus::Unknown, &unknown.reason, unknown.message.clone());
    }
    let runs = host.spec.capacity.runs;
    let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    let message = format!("The engine takes work, {runs} at a time.");
    Condition::new(READY, ConditionStatus::True, reason::SUCCEEDED, message)
}
