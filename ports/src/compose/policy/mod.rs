//! Policy: what a stack may ask of the machine, judged before anything of it exists.
//!
//! What is judged is the [`Stack`] that is deployed, not its files: what is written in an odd way is judged by what
//! it means. [`judge`] refuses, [`harden()`] takes in; both are pure. [`RULES`] is the whole list, and the table in
//! `docs/recipes.md` is made of it.

mod checks;
mod harden;
mod labels;
mod route;

pub use harden::{Limits, harden};

use super::stack::{Finding, Place, Severity, Stack};

/// How far the author of a stack is trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tier {
    /// Anybody: everything that is not harmless is refused unless it is permitted.
    #[default]
    Untrusted,
    /// A maintainer: what is dangerous is said, and nothing is refused.
    Trusted,
}

/// What a stack may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// How far its author is trusted.
    pub tier: Tier,
    /// The domains that its routers may answer for.
    pub domains: Vec<String>,
    /// The network of the reverse proxy, the only external one that everybody may join.
    pub proxy_network: String,
    /// What is permitted besides.
    pub allowed: Allowed,
}

/// What the owner of a recipe permits an untrusted author besides what everybody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Paths of the host that may be mounted, each with everything below it. A path with `:ro` may be mounted for
    /// reading only.
    pub host_binds: Vec<String>,
    /// Drivers that volumes may have, with any options; `local` permits options of the local driver.
    pub volume_drivers: Vec<String>,
    /// External networks that may be joined.
    pub networks: Vec<String>,
    /// Names of secrets, configs and volumes that do not begin with the stack's.
    pub names: Vec<String>,
    /// Capabilities that may be added, such as `CAP_NET_ADMIN`.
    pub capabilities: Vec<String>,
    /// Kernel parameters that may be set.
    pub sysctls: Vec<String>,
    /// Ports that may be published.
    pub ports: Vec<u16>,
    /// Further domains that routers may answer for.
    pub hosts: Vec<String>,
    /// What is permitted as a whole.
    pub options: Vec<AllowedOption>,
}

/// Something that is permitted as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowedOption {
    /// Tasks on every node.
    GlobalMode,
    /// Placement on nodes of its choice.
    Placement,
    /// More tasks than [`REPLICAS_MAX`], and more services than [`SERVICES_MAX`].
    ManyReplicas,
    /// Times beyond [`TIME_MAX`], and health checks more often than once a second.
    AnyTimes,
    /// Limits of processes beyond the usual.
    Ulimits,
    /// Drivers, options and subnets of networks.
    NetworkOptions,
    /// Further names on networks that it shares with others.
    Aliases,
    /// Routers of any kind, name and host.
    Routers,
}

impl AllowedOption {
    /// Returns the word that a Recipe says it with.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::GlobalMode => "GlobalMode",
            Self::Placement => "Placement",
            Self::ManyReplicas => "ManyReplicas",
            Self::AnyTimes => "AnyTimes",
            Self::Ulimits => "Ulimits",
            Self::NetworkOptions => "NetworkOptions",
            Self::Aliases => "Aliases",
            Self::Routers => "Routers",
        }
    }
}

/// Most tasks of one service.
pub const REPLICAS_MAX: u64 = 3;
/// Most services of a stack.
pub const SERVICES_MAX: usize = 24;
/// Longest time, in nanoseconds, between a stop signal and the kill, and that an update may watch or wait. What is
/// longer than [`TIME_CAP`] is cut to it; what is longer than this is refused.
pub const TIME_MAX: i64 = 600 * super::durations::SECOND;
/// To what times are cut, in nanoseconds.
pub const TIME_CAP: i64 = 60 * super::durations::SECOND;
/// Shortest time between two health checks, in nanoseconds.
pub const HEALTH_INTERVAL_MIN: i64 = super::durations::SECOND;
/// Most open files of a process.
pub const OPEN_FILES_MAX: i64 = 1 << 20;
/// Most processes and other things that a limit counts.
pub const ULIMIT_MAX: i64 = 1 << 16;

/// What becomes of something in a stack of an untrusted author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The stack is refused.
    Refused,
    /// It is said, and nothing else happens: a swarm does not heed it.
    Flagged,
    /// It is cut down.
    Capped,
    /// It is added or replaced.
    Injected,
}

impl Verdict {
    /// Returns the word for tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Flagged => "flagged",
            Self::Capped => "cut down",
            Self::Injected => "put in",
        }
    }
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as findings have it.
    pub id: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What becomes of it.
    pub verdict: Verdict,
    /// What permits it, below `spec.trust.allow` of the Recipe; empty when nothing does.
    pub permission: &'static str,
    /// Whether a maintainer is warned of it as well, at least of its worst kinds.
    pub warns_trusted: bool,
}

const fn rule(
    id: &'static str,
    about: &'static str,
    why: &'static str,
    verdict: Verdict,
    permission: &'static str,
    warns_trusted: bool,
) -> Rule {
    Rule { id, about, why, verdict, permission, warns_trusted }
}

/// All rules.
pub const RULES: [Rule; 28] = [
    rule(
        "HostBind",
        "mounts of host paths, `docker.sock` among them",
        "they read and write the host",
        Verdict::Refused,
        "hostBinds",
        true,
    ),
    rule(
        "VolumeDriver",
        "volume drivers and their options",
        "`o: bind` is a host mount in disguise, others mount from the host's network",
        Verdict::Refused,
        "volumeDrivers",
        true,
    ),
    rule(
        "ExternalNetwork",
        "external networks other than the proxy's",
        "`host` is the host's network, others belong to other apps",
        Verdict::Refused,
        "networks",
        true,
    ),
    rule(
        "NetworkOptions",
        "network drivers, options and subnets",
        "they reach the host's network or take addresses away from others",
        Verdict::Refused,
        "options: [NetworkOptions]",
        false,
    ),
    rule(
        "NetworkAlias",
        "further names on a shared network",
        "another app's requests would go to this one",
        Verdict::Refused,
        "options: [Aliases]",
        false,
    ),
    rule(
        "ForeignName",
        "names of secrets, configs, volumes and networks that do not begin with the stack's",
        "they read, or take over, what is another app's",
        Verdict::Refused,
        "names",
        true,
    ),
    rule(
        "OutsideRecipe",
        "files outside the recipe in `file` and `env_file`",
        "they would be read on the controller's machine",
        Verdict::Refused,
        "",
        false,
    ),
    rule("Capability", "`cap_add`", "capabilities reach the kernel", Verdict::Refused, "capabilities", true),
    rule(
        "Sysctl",
        "kernel parameters other than a few of `net.*`",
        "some reach the host",
        Verdict::Refused,
        "sysctls",
        false,
    ),
    rule(
        "Ulimit",
        "limits of processes beyond the usual",
        "the host's tables are shared",
        Verdict::Refused,
        "options: [Ulimits]",
        false,
    ),
    rule(
        "PublishedPort",
        "published ports",
        "they are open on every address of the host",
        Verdict::Refused,
        "ports",
        false,
    ),
    rule(
        "GlobalMode",
        "`deploy.mode: global`",
        "a task on every node",
        Verdict::Refused,
        "options: [GlobalMode]",
        false,
    ),
    rule(
        "Placement",
        "placement constraints and preferences",
        "they choose the manager, or somebody else's node",
        Verdict::Refused,
        "options: [Placement]",
        false,
    ),
    rule(
        "Replicas",
        "more than 3 tasks of a service",
        "they take the host's room",
        Verdict::Refused,
        "options: [ManyReplicas]",
        false,
    ),
    rule(
        "TooMany",
        "more than 24 services",
        "they take the host's room",
        Verdict::Refused,
        "options: [ManyReplicas]",
        false,
    ),
    rule(
        "LongTime",
        "a stop or an update that takes longer than 10 minutes",
        "the clean-up waits for it",
        Verdict::Refused,
        "options: [AnyTimes]",
        false,
    ),
    rule(
        "HealthInterval",
        "health checks more often than once a second",
        "each is a process and three events",
        Verdict::Refused,
        "options: [AnyTimes]",
        false,
    ),
    rule(
        "RouterHost",
        "routers for other hosts than the run's",
        "they take other apps' requests",
        Verdict::Refused,
        "hosts",
        false,
    ),
    rule(
        "RouterName",
        "routers, services and middlewares of Traefik that are not named after the stack",
        "they replace another app's",
        Verdict::Refused,
        "options: [Routers]",
        false,
    ),
    rule(
        "TcpRouter",
        "TCP and UDP routers",
        "a catch-all takes every connection",
        Verdict::Refused,
        "options: [Routers]",
        false,
    ),
    rule(
        "TraefikOption",
        "settings of Traefik that reach beyond the app",
        "a forward address or another provider's middleware is not the app's own",
        Verdict::Refused,
        "options: [Routers]",
        false,
    ),
    rule(
        "ForgedLabel",
        "labels by which this program and Docker know their own",
        "a stack could pose as another one",
        Verdict::Refused,
        "",
        true,
    ),
    rule(
        "Isolation",
        "`isolation`, `credential_spec`, and mounts of Windows",
        "they are for Windows",
        Verdict::Refused,
        "",
        false,
    ),
    rule(
        "IgnoredButDangerous",
        "`privileged`, `devices`, `security_opt`, `network_mode`, `pid`, `ipc` and the like",
        "a swarm does not heed them, another deployer would",
        Verdict::Flagged,
        "",
        false,
    ),
    rule(
        "LogDriver",
        "`logging`",
        "other drivers make the engine send traffic, and nobody could read the log: it becomes json-file with a size limit",
        Verdict::Injected,
        "",
        false,
    ),
    rule(
        "ResourceLimits",
        "limits of processors, memory and processes",
        "without them a service takes all there is",
        Verdict::Injected,
        "",
        false,
    ),
    rule(
        "Times",
        "stop and update times beyond 60 seconds",
        "the clean-up waits for them",
        Verdict::Capped,
        "options: [AnyTimes]",
        false,
    ),
    rule(
        "SharedNames",
        "the service's own short name on networks that it shares",
        "`app` and `db` are the names of others as well",
        Verdict::Capped,
        "options: [Aliases]",
        false,
    ),
];

/// Judges a stack. An error refuses it; a warning does not.
///
/// It is judged as its files say it: before [`harden()`], and before labels of this program are put on it.
#[must_use]
pub fn judge(stack: &Stack, permissions: &Permissions) -> Vec<Finding> {
    let mut judge = Judge { stack, permissions, findings: Vec::new() };
    judge.size();
    judge.volumes();
    judge.networks();
    judge.objects();
    for service in &stack.services {
        judge.service(service);
        judge.labels(service);
    }
    judge.findings.sort_by(|one, other| {
        (std::cmp::Reverse(one.severity), &one.place).cmp(&(std::cmp::Reverse(other.severity), &other.place))
    });
    judge.findings.dedup();
    judge.findings
}

/// How bad a breach is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Danger {
    /// An untrusted author may not do it.
    Usual,
    /// Nobody should do it without knowing what it means.
    Great,
}

struct Judge<'a> {
    stack: &'a Stack,
    permissions: &'a Permissions,
    findings: Vec<Finding>,
}

impl Judge<'_> {
    fn permits(&self, option: AllowedOption) -> bool {
        self.permissions.allowed.options.contains(&option)
    }

    fn place(&self, parts: &[&str]) -> Place {
        self.stack.places.find(parts)
    }

    /// Notes a breach: an error for the untrusted; a warning for the trusted, if it is of great danger.
    fn breach(&mut self, id: &str, danger: Danger, place: Place, message: String) {
        let severity = match (self.permissions.tier, danger) {
            (Tier::Untrusted, _) => Severity::Error,
            (Tier::Trusted, Danger::Great) => Severity::Warning,
            (Tier::Trusted, Danger::Usual) => return,
        };
        let permission = RULES.iter().find(|rule| rule.id == id).map_or("", |rule| rule.permission);
        let message = match (severity, permission) {
            (Severity::Error, permission) if !permission.is_empty() => {
                format!("{message}; the Recipe can permit it in spec.trust.allow, under {permission}")
            }
            _ => message,
        };
        self.findings.push(Finding { severity, rule: id.to_owned(), place, message });
    }

    fn flag(&mut self, id: &str, place: Place, message: String) {
        if self.permissions.tier == Tier::Untrusted {
            self.findings.push(Finding { severity: Severity::Warning, rule: id.to_owned(), place, message });
        }
    }
}
