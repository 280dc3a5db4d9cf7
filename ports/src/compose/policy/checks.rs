//! Rules about everything but labels.

use super::{
    AllowedOption, Danger, HEALTH_INTERVAL_MIN, Judge, OPEN_FILES_MAX, REPLICAS_MAX, SERVICES_MAX, TIME_MAX, ULIMIT_MAX,
};
use crate::compose::durations;
use crate::compose::stack::{StackObject, StackService};
use crate::swarm::spec::{Mount, ServiceMode};

/// Kernel parameters that stay in the container's own network.
const SYSCTLS: [&str; 8] = [
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
    "net.ipv6.conf.all.disable_ipv6",
];

/// Host paths whose mount gives the host away.
const GREAT_PATHS: [&str; 10] =
    ["/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/var/lib/docker", "/var/run", "/lib/modules"];

/// Capabilities that give the host away.
const GREAT_CAPABILITIES: [&str; 9] = [
    "ALL",
    "CAP_BPF",
    "CAP_DAC_READ_SEARCH",
    "CAP_NET_ADMIN",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
];

/// Keys that a swarm does not heed and that would give the host away if it did.
const DANGEROUS_KEYS: [&str; 12] = [
    "build",
    "cgroup_parent",
    "cgroupns_mode",
    "devices",
    "ipc",
    "links",
    "network_mode",
    "oom_score_adj",
    "pid",
    "privileged",
    "security_opt",
    "userns_mode",
];

impl Judge<'_> {
    /// Returns whether a name is the stack's own.
    pub(super) fn is_own(&self, name: &str) -> bool {
        name.strip_prefix(&self.stack.name).is_some_and(|rest| rest.starts_with('_') && rest.len() > 1)
    }

    fn is_permitted_name(&self, name: &str) -> bool {
        self.is_own(name) || self.permissions.allowed.names.iter().any(|allowed| allowed == name)
    }

    pub(super) fn size(&mut self) {
        let count = self.stack.services.len();
        if count > SERVICES_MAX && !self.permits(AllowedOption::ManyReplicas) {
            let message = format!("the stack has {count} services, more than {SERVICES_MAX}");
            self.breach("TooMany", Danger::Usual, self.place(&["services"]), message);
        }
    }

    pub(super) fn volumes(&mut self) {
        for volume in &self.stack.volumes {
            if !self.is_permitted_name(&volume.name) {
                self.foreign("volumes", &volume.key, &volume.name);
            }
            let driver = if volume.driver.is_empty() { "local" } else { &volume.driver };
            let is_plain = driver == "local" && volume.driver_opts.is_empty();
            if !is_plain && !self.permissions.allowed.volume_drivers.iter().any(|allowed| allowed == driver) {
                let key = if volume.driver_opts.is_empty() { "driver" } else { "driver_opts" };
                let place = self.place(&["volumes", &volume.key, key]);
                let message = match volume.driver_opts.get("device") {
                    Some(device) => format!("the volume {} mounts {device:?} of the host", volume.key),
                    None => format!("the volume {} uses the driver {driver} with options of its own", volume.key),
                };
                self.breach("VolumeDriver", Danger::Great, place, message);
            }
        }
    }

    fn foreign(&mut self, section: &str, key: &str, name: &str) {
        let place = self.place(&[section, key, "name"]);
        let message = format!(
            "the name {name:?} does not begin with {:?}: it may be another app's",
            format!("{}_", self.stack.name)
        );
        self.breach("ForeignName", Danger::Great, place, message);
    }

    pub(super) fn networks(&mut self) {
        for network in &self.stack.networks {
            let allowed = &self.permissions.allowed.networks;
            if network.external {
                let is_allowed = network.name == self.permissions.proxy_network || allowed.contains(&network.name);
                if !is_allowed {
                    let great =
                        matches!(network.name.as_str(), "host" | "none" | "bridge" | "ingress" | "docker_gwbridge");
                    let place = self.place(&["networks", &network.key]);
                    let message = format!(
                        "the external network {:?} is not the proxy's network {:?}",
                        network.name, self.permissions.proxy_network
                    );
                    self.breach("ExternalNetwork", if great { Danger::Great } else { Danger::Usual }, place, message);
                }
                continue;
            }
            if !self.is_own(&network.name) && !allowed.contains(&network.name) {
                self.foreign("networks", &network.key, &network.name);
            }
            let new = &network.new;
            let has_options = new.driver_opts.keys().any(|option| option != "encrypted")
                || !matches!(new.driver.as_str(), "" | "overlay")
                || !new.subnets.is_empty();
            if has_options && !self.permits(AllowedOption::NetworkOptions) {
                let place = self.place(&["networks", &network.key]);
                let message = format!("the network {} chooses its driver, options or subnet", network.key);
                self.breach("NetworkOptions", Danger::Usual, place, message);
            }
        }
    }

    pub(super) fn objects(&mut self) {
        let sections: [(&str, &[StackObject]); 2] =
            [("secrets", &self.stack.secrets), ("configs", &self.stack.configs)];
        for (section, objects) in sections {
            for object in objects {
                if !self.is_permitted_name(&object.name) {
                    self.foreign(section, &object.key, &object.name);
                }
            }
        }
    }

    pub(super) fn service(&mut self, service: &StackService) {
        let container = &service.spec.task_template.container_spec;
        for mount in &container.mounts {
            self.mount(service, mount);
        }
        self.kernel(service);
        self.schedule(service);
        self.times(service);
        self.shared_names(service);
        let name = service.short_name.as_str();
        for port in service.spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports) {
            let is_allowed =
                self.permissions.allowed.ports.iter().any(|allowed| u32::from(*allowed) == port.published_port);
            if !is_allowed {
                let published = port.published_port.to_string();
                let target = port.target_port.to_string();
                let key = if port.published_port == 0 { &target } else { &published };
                let place = self.place(&["services", name, "ports", key]);
                let message = format!("the service {name} publishes the port {key}/{}", port.protocol);
                self.breach("PublishedPort", Danger::Usual, place, message);
            }
        }
        if !container.isolation.is_empty() && container.isolation != "default" {
            let place = self.place(&["services", name, "isolation"]);
            self.breach("Isolation", Danger::Usual, place, "`isolation` is for Windows".to_owned());
        }
        for key in DANGEROUS_KEYS.iter().filter(|key| service.ignored.contains_key(**key)) {
            let place = self.place(&["services", name, key]);
            let message = format!("a swarm does not heed `{key}`, but another deployer would: remove it");
            self.flag("IgnoredButDangerous", place, message);
        }
    }

    fn mount(&mut self, service: &StackService, mount: &Mount) {
        let name = service.short_name.as_str();
        let place = self.place(&["services", name, "volumes", &mount.target]);
        match mount.type_.as_str() {
            "tmpfs" => {}
            "volume" => {
                // A declared volume is judged where it is declared; an anonymous one is nobody else's.
                let is_declared = self.stack.volumes.iter().any(|volume| volume.name == mount.source);
                if !mount.source.is_empty() && !is_declared && !self.is_permitted_name(&mount.source) {
                    let message = format!("the volume {:?} may be another app's", mount.source);
                    self.breach("ForeignName", Danger::Great, place, message);
                }
            }
            "bind" => {
                if !self.is_permitted_bind(mount) {
                    let great = mount.source == "/"
                        || mount.source.ends_with(".sock")
                        || GREAT_PATHS.iter().any(|path| is_below(&mount.source, path));
                    let how = if mount.read_only { "for reading" } else { "for writing" };
                    let message = format!("the service {name} mounts {:?} of the host {how}", mount.source);
                    self.breach("HostBind", if great { Danger::Great } else { Danger::Usual }, place, message);
                }
            }
            other => {
                let message = format!("mounts of the type {other} are not for this machine");
                self.breach("Isolation", Danger::Usual, place, message);
            }
        }
    }

    fn is_permitted_bind(&self, mount: &Mount) -> bool {
        let propagates = mount.bind_options.as_ref().is_some_and(|bind| bind.propagation.contains("shared"));
        let is_clean = !mount.source.split('/').any(|part| part == "..");
        is_clean
            && !propagates
            && self.permissions.allowed.host_binds.iter().any(|allowed| match allowed.strip_suffix(":ro") {
                Some(path) => mount.read_only && is_below(&mount.source, path),
                None => is_below(&mount.source, allowed),
            })
    }

    fn kernel(&mut self, service: &StackService) {
        let name = service.short_name.as_str();
        let container = &service.spec.task_template.container_spec;
        for capability in &container.capability_add {
            let allowed = &self.permissions.allowed.capabilities;
            let bare = capability.trim_start_matches("CAP_");
            if allowed.iter().any(|allowed| allowed.to_uppercase().trim_start_matches("CAP_") == bare) {
                continue;
            }
            let great = GREAT_CAPABILITIES.contains(&capability.as_str());
            let place = self.place(&["services", name, "cap_add"]);
            let message = format!("the service {name} takes the capability {capability}");
            self.breach("Capability", if great { Danger::Great } else { Danger::Usual }, place, message);
        }
        for sysctl in container.sysctls.keys() {
            let is_allowed = SYSCTLS.contains(&sysctl.as_str())
                || self.permissions.allowed.sysctls.iter().any(|allowed| allowed == sysctl);
            if !is_allowed {
                let place = self.place(&["services", name, "sysctls", sysctl]);
                let message = format!("the service {name} sets the kernel parameter {sysctl}");
                self.breach("Sysctl", Danger::Usual, place, message);
            }
        }
        if self.permits(AllowedOption::Ulimits) {
            return;
        }
        for limit in &container.ulimits {
            let most = if limit.name == "nofile" { OPEN_FILES_MAX } else { ULIMIT_MAX };
            let is_size = matches!(limit.name.as_str(), "memlock" | "stack" | "core" | "data" | "rss" | "as" | "fsize");
            let fits = |value: i64| (0..=most).contains(&value) || (is_size && (0..=1 << 33).contains(&value));
            if !fits(limit.soft) || !fits(limit.hard) {
                let place = self.place(&["services", name, "ulimits", &limit.name]);
                let message = format!("the service {name} raises the limit {} to {}", limit.name, limit.hard);
                self.breach("Ulimit", Danger::Usual, place, message);
            }
        }
    }

    fn schedule(&mut self, service: &StackService) {
        let name = service.short_name.as_str();
        let replicas = match &service.spec.mode {
            ServiceMode::Replicated { replicas } => replicas.unwrap_or(1),
            ServiceMode::ReplicatedJob { max_concurrent, total_completions } => {
                max_concurrent.unwrap_or(1).max(total_completions.unwrap_or(1))
            }
            ServiceMode::Global {} | ServiceMode::GlobalJob {} => {
                if !self.permits(AllowedOption::GlobalMode) {
                    let place = self.place(&["services", name, "deploy", "mode"]);
                    let message = format!("the service {name} runs a task on every node");
                    self.breach("GlobalMode", Danger::Usual, place, message);
                }
                0
            }
        };
        if replicas > REPLICAS_MAX && !self.permits(AllowedOption::ManyReplicas) {
            let place = self.place(&["services", name, "deploy", "replicas"]);
            let message = format!("the service {name} has {replicas} tasks, more than {REPLICAS_MAX}");
            self.breach("Replicas", Danger::Usual, place, message);
        }
        let placement = service.spec.task_template.placement.as_ref();
        let is_placed =
            placement.is_some_and(|placement| !placement.constraints.is_empty() || !placement.preferences.is_empty());
        if is_placed && !self.permits(AllowedOption::Placement) {
            let place = self.place(&["services", name, "deploy", "placement"]);
            self.breach("Placement", Danger::Usual, place, format!("the service {name} chooses its nodes"));
        }
    }

    fn times(&mut self, service: &StackService) {
        if self.permits(AllowedOption::AnyTimes) {
            return;
        }
        let name = service.short_name.as_str();
        let spec = &service.spec;
        let container = &spec.task_template.container_spec;
        let mut times: Vec<(Vec<&str>, i64)> =
            vec![(vec!["stop_grace_period"], container.stop_grace_period.unwrap_or_default())];
        for (key, config) in [("update_config", &spec.update_config), ("rollback_config", &spec.rollback_config)] {
            if let Some(config) = config {
                times.push((vec!["deploy", key, "monitor"], config.monitor));
                times.push((vec!["deploy", key, "delay"], config.delay));
            }
        }
        for (path, time) in times.into_iter().filter(|(_, time)| *time > TIME_MAX) {
            let place = self.place(&[&["services", name], path.as_slice()].concat());
            let message = format!(
                "{} of the service {name} is {}, longer than {}",
                path.join("."),
                durations::print(time),
                durations::print(TIME_MAX)
            );
            self.breach("LongTime", Danger::Usual, place, message);
        }
        let Some(check) = &container.healthcheck else { return };
        for (key, time) in [("interval", check.interval), ("start_interval", check.start_interval)] {
            if time != 0 && time < HEALTH_INTERVAL_MIN {
                let place = self.place(&["services", name, "healthcheck", key]);
                let message = format!("the health of the service {name} is checked every {}", durations::print(time));
                self.breach("HealthInterval", Danger::Usual, place, message);
            }
        }
    }

    fn shared_names(&mut self, service: &StackService) {
        if self.permits(AllowedOption::Aliases) {
            return;
        }
        let name = service.short_name.as_str();
        for attachment in &service.spec.task_template.networks {
            let shared =
                self.stack.networks.iter().find(|network| network.external && network.name == attachment.target);
            let Some(shared) = shared else { continue };
            // The service's own short name is taken away by `harden()`: it is nobody's wish but the deployer's.
            let is_fine = |alias: &&String| alias.as_str() == name || self.is_own(alias);
            let others: Vec<&String> = attachment.aliases.iter().filter(|alias| !is_fine(alias)).collect();
            for alias in others {
                let place = self.place(&["services", name, "networks", &shared.key, "aliases"]);
                let message = format!("the service {name} calls itself {alias:?} on the network {}", shared.name);
                self.breach("NetworkAlias", Danger::Usual, place, message);
            }
        }
    }
}

/// Returns whether a path is another one or lies below it.
fn is_below(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.trim_end_matches('/').strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
