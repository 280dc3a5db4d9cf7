//! A service → its spec.

use std::collections::BTreeSet;

use super::super::quantities;
use super::super::stack::StackService;
use super::super::tree::{Node, Value};
use super::fields::{count, duration, list, number, pairs, switch, text, text_or_empty};
use super::{Converter, is_map, stack_service};
use crate::swarm::IMAGE_LABEL;
use crate::swarm::spec::{
    BindOptions, ConfigReference, ContainerSpec, DnsConfig, Driver, EndpointSpec, FileTarget, Healthcheck, Mount,
    NetworkAttachment, Placement, PortConfig, ResourceAmounts, Resources, RestartPolicy, SecretReference, ServiceMode,
    ServiceSpec, TaskSpec, TmpfsOptions, Ulimit, UpdateConfig, VolumeOptions,
};

impl Converter<'_> {
    pub(super) fn service(&mut self, name: &str, node: &Node) -> StackService {
        let deploy = node.get("deploy");
        let mut labels = self.labels(deploy.and_then(|deploy| deploy.get("labels")));
        labels.insert(IMAGE_LABEL.to_owned(), text_or_empty(node, "image"));
        let spec = ServiceSpec {
            name: self.scoped(name),
            labels,
            task_template: TaskSpec {
                container_spec: self.container(node),
                resources: Some(self.resources(deploy.and_then(|deploy| deploy.get("resources")))),
                restart_policy: self.restart_policy(node),
                placement: Some(placement(deploy.and_then(|deploy| deploy.get("placement")))),
                force_update: 0,
                networks: self.attachments(name, node),
                log_driver: node.get("logging").map(|logging| Driver {
                    name: text_or_empty(logging, "driver"),
                    options: logging.get("options").map(pairs).unwrap_or_default(),
                }),
            },
            mode: self.mode(node),
            update_config: deploy.and_then(|deploy| deploy.get("update_config")).map(update_config),
            rollback_config: deploy.and_then(|deploy| deploy.get("rollback_config")).map(update_config),
            endpoint_spec: Some(endpoint(node)),
        };
        if !is_image(&spec.task_template.container_spec.image) {
            let place = node.get("image").unwrap_or(node);
            let message = match text(node, "image") {
                None => "the service has no image: a swarm does not build any".to_owned(),
                Some(image) => format!("{image:?} is not an image such as nginx:1.27 or registry.example/app:1.0"),
            };
            self.error("InvalidImage", place, message);
        }
        let mut service = stack_service(name, node, spec);
        service.ignored = self.ignored(node);
        service
    }

    fn container(&mut self, node: &Node) -> ContainerSpec {
        let (capability_add, capability_drop) = capabilities(&list(node, "cap_add"), &list(node, "cap_drop"));
        let (nameservers, search) = (list(node, "dns"), list(node, "dns_search"));
        ContainerSpec {
            image: text_or_empty(node, "image"),
            labels: self.labels(node.get("labels")),
            command: list(node, "entrypoint"),
            args: list(node, "command"),
            hostname: text_or_empty(node, "hostname"),
            env: environment(node),
            dir: text_or_empty(node, "working_dir"),
            user: text_or_empty(node, "user"),
            groups: Vec::new(),
            privileges: self.privileges(node),
            stop_signal: text_or_empty(node, "stop_signal"),
            tty: switch(node, "tty"),
            open_stdin: switch(node, "stdin_open"),
            read_only: switch(node, "read_only"),
            mounts: self.mounts(node),
            stop_grace_period: duration(node, "stop_grace_period"),
            healthcheck: self.healthcheck(node),
            hosts: list(node, "extra_hosts")
                .iter()
                .filter_map(|line| line.split_once(':'))
                .map(|(host, address)| format!("{address} {host}"))
                .collect(),
            dns_config: (!nameservers.is_empty() || !search.is_empty()).then(|| DnsConfig {
                nameservers,
                search,
                options: Vec::new(),
            }),
            secrets: self.secrets(node),
            configs: self.configs(node),
            isolation: text_or_empty(node, "isolation"),
            init: node.get("init").map(Node::is_true),
            sysctls: node.get("sysctls").map(pairs).unwrap_or_default(),
            capability_add,
            capability_drop,
            ulimits: ulimits(node),
        }
    }

    /// Windows' credentials; the engine is told that there are none, as Docker tells it.
    fn privileges(&mut self, node: &Node) -> Option<serde_json::Value> {
        if let Some(spec) = node.get("credential_spec") {
            self.error("Unsupported", spec, "`credential_spec` is for Windows, which is not supported: remove it");
        }
        Some(serde_json::json!({"CredentialSpec": null, "SELinuxContext": null}))
    }

    fn healthcheck(&mut self, node: &Node) -> Option<Healthcheck> {
        let check = node.get("healthcheck")?;
        let test = list(check, "test");
        if switch(check, "disable") {
            if !test.is_empty() {
                self.error("InvalidValue", check, "`test` and `disable` cannot be given both");
            }
            return Some(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() });
        }
        Some(Healthcheck {
            test,
            interval: duration(check, "interval").unwrap_or_default(),
            timeout: duration(check, "timeout").unwrap_or_default(),
            start_period: duration(check, "start_period").unwrap_or_default(),
            start_interval: duration(check, "start_interval").unwrap_or_default(),
            retries: number(check, "retries"),
        })
    }

    fn restart_policy(&mut self, node: &Node) -> Option<RestartPolicy> {
        if let Some(policy) = node.at(&["deploy", "restart_policy"]) {
            return Some(RestartPolicy {
                condition: text_or_empty(policy, "condition"),
                delay: duration(policy, "delay"),
                max_attempts: count(policy, "max_attempts"),
                window: duration(policy, "window"),
            });
        }
        let legacy = text(node, "restart")?;
        let (name, attempts) = legacy.split_once(':').map_or((legacy, None), |(name, count)| (name, Some(count)));
        let max_attempts = match attempts.filter(|attempts| !attempts.is_empty()).map(str::parse::<u64>) {
            None => None,
            Some(Ok(attempts)) => Some(attempts).filter(|attempts| *attempts != 0),
            Some(Err(_)) => {
                let message = format!("{legacy:?} has no number of attempts after its colon");
                self.error("InvalidValue", node.get("restart")?, message);
                None
            }
        };
        let condition = match name {
            "no" => return None,
            "always" | "unless-stopped" => "any",
            "on-failure" => "on-failure",
            other => {
                let message = format!("{other:?} is none of no, always, on-failure and unless-stopped");
                self.error("InvalidValue", node.get("restart")?, message);
                return None;
            }
        };
        Some(RestartPolicy { condition: condition.to_owned(), max_attempts, ..RestartPolicy::default() })
    }

    fn resources(&mut self, resources: Option<&Node>) -> Resources {
        let mut read = |key: &str| {
            let amounts = resources?.get(key)?;
            let nano_cpus = match text(amounts, "cpus").map(quantities::nano_cpus) {
                None => 0,
                Some(Ok(nano_cpus)) => nano_cpus,
                Some(Err(message)) => {
                    self.error("InvalidValue", amounts.get("cpus")?, message);
                    0
                }
            };
            let generic = amounts.get("generic_resources").map(Node::items).unwrap_or_default();
            Some(ResourceAmounts {
                nano_cpus,
                memory_bytes: text(amounts, "memory").and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
                pids: number(amounts, "pids"),
                generic: generic.iter().map(generic_resource).collect(),
            })
        };
        Resources { limits: read("limits"), reservations: read("reservations") }
    }

    fn mode(&mut self, node: &Node) -> ServiceMode {
        let deploy = node.get("deploy");
        let replicas = deploy.and_then(|deploy| count(deploy, "replicas"));
        let mode = deploy.and_then(|deploy| text(deploy, "mode")).unwrap_or("replicated");
        let place = node.at(&["deploy", "mode"]).unwrap_or(node);
        if matches!(mode, "global" | "global-job") && replicas.is_some() {
            self.error("InvalidValue", place, "`replicas` goes with the modes replicated and replicated-job only");
        }
        match mode {
            "replicated" => ServiceMode::Replicated { replicas },
            "global" => ServiceMode::Global {},
            "replicated-job" => ServiceMode::ReplicatedJob { max_concurrent: replicas, total_completions: replicas },
            "global-job" => ServiceMode::GlobalJob {},
            other => {
                let message = format!("{other:?} is none of replicated, global, replicated-job and global-job");
                self.error("InvalidValue", place, message);
                ServiceMode::default()
            }
        }
    }

    fn attachments(&mut self, name: &str, node: &Node) -> Vec<NetworkAttachment> {
        let mut attachments = Vec::new();
        let mut add = |converter: &mut Self, key: &str, network: Option<&Node>| {
            let declared = converter.declared("networks", key);
            if declared.is_none() && key != "default" {
                let message = format!("the network {key:?} is not declared under `networks`");
                converter.error("UndefinedNetwork", network.unwrap_or(node), message);
            }
            let target = converter.name_of(key, converter.declared("networks", key));
            let mut aliases = network.map(|network| list(network, "aliases")).unwrap_or_default();
            // The engine's own networks know no aliases.
            if !matches!(target.as_str(), "default" | "bridge" | "host" | "none") && !target.starts_with("container:") {
                aliases.push(name.to_owned());
            }
            let driver_opts = network.and_then(|network| network.get("driver_opts")).map(pairs).unwrap_or_default();
            attachments.push(NetworkAttachment { target, aliases, driver_opts });
        };
        match node.get("networks").filter(|networks| is_map(Some(networks))) {
            Some(networks) => {
                for (key, network) in networks.entries() {
                    add(self, key, Some(network));
                }
            }
            None => add(self, "default", None),
        }
        attachments.sort_by(|one, other| one.target.cmp(&other.target));
        attachments
    }

    fn mounts(&mut self, node: &Node) -> Vec<Mount> {
        let items = node.get("volumes").map(Node::items).unwrap_or_default();
        items.iter().map(|item| self.mount(item)).collect()
    }

    fn mount(&mut self, item: &Node) -> Mount {
        let kind = text(item, "type").unwrap_or("volume");
        let mut mount = Mount {
            type_: kind.to_owned(),
            source: text_or_empty(item, "source"),
            target: text_or_empty(item, "target"),
            read_only: switch(item, "read_only"),
            consistency: text_or_empty(item, "consistency"),
            ..Mount::default()
        };
        for (options, fits) in
            [("bind", matches!(kind, "bind" | "npipe")), ("volume", kind == "volume"), ("tmpfs", kind == "tmpfs")]
        {
            if let Some(node) = item.get(options).filter(|_| !fits) {
                self.error("InvalidMount", node, format!("a mount of the type {kind} has no `{options}` options"));
            }
        }
        let source_fits = match kind {
            "tmpfs" => mount.source.is_empty(),
            "bind" | "npipe" | "cluster" | "image" => !mount.source.is_empty(),
            _ => true,
        };
        if !source_fits {
            let message =
                format!("a mount of the type {kind} {} a `source`", if kind == "tmpfs" { "has not" } else { "needs" });
            self.error("InvalidMount", item, message);
        }
        match kind {
            "volume" => self.volume_mount(item, &mut mount),
            "bind" | "npipe" => {
                mount.bind_options =
                    item.get("bind").map(|bind| BindOptions { propagation: text_or_empty(bind, "propagation") });
            }
            "tmpfs" => {
                mount.tmpfs_options =
                    item.get("tmpfs").map(|tmpfs| TmpfsOptions { size_bytes: number(tmpfs, "size"), mode: None });
            }
            "cluster" | "image" => {
                self.error("Unsupported", item, format!("mounts of the type {kind} are not supported: use a volume"));
            }
            other => {
                let message = format!("{other:?} is none of volume, bind and tmpfs");
                self.error("InvalidMount", item, message);
            }
        }
        mount
    }

    fn volume_mount(&mut self, item: &Node, mount: &mut Mount) {
        if mount.source.is_empty() {
            return;
        }
        let key = mount.source.clone();
        let Some(declared) = self.declared("volumes", &key) else {
            let message = format!("the volume {key:?} is not declared under `volumes`");
            return self.error("UndefinedVolume", item, message);
        };
        mount.source = self.name_of(&key, Some(declared));
        let mut options = VolumeOptions::default();
        if let Some(volume) = item.get("volume") {
            options.no_copy = switch(volume, "nocopy");
            options.subpath = text_or_empty(volume, "subpath");
        }
        if !switch(declared, "external") {
            options.labels = self.labels(declared.get("labels"));
            let driver_opts = declared.get("driver_opts").map(pairs);
            if text(declared, "driver").is_some() || driver_opts.is_some() {
                options.driver_config =
                    Some(Driver { name: text_or_empty(declared, "driver"), options: driver_opts.unwrap_or_default() });
            }
        }
        mount.volume_options = Some(options);
    }

    fn secrets(&mut self, node: &Node) -> Vec<SecretReference> {
        let mut references: Vec<SecretReference> = self
            .references(node, "secrets")
            .into_iter()
            .map(|(name, file)| SecretReference { id: String::new(), name, file })
            .collect();
        references.sort_by(|one, other| one.name.cmp(&other.name));
        references
    }

    fn configs(&mut self, node: &Node) -> Vec<ConfigReference> {
        let mut references: Vec<ConfigReference> = self
            .references(node, "configs")
            .into_iter()
            .map(|(name, file)| ConfigReference { id: String::new(), name, file })
            .collect();
        references.sort_by(|one, other| one.name.cmp(&other.name));
        references
    }

    fn references(&mut self, node: &Node, section: &str) -> Vec<(String, FileTarget)> {
        let mut references = Vec::new();
        for item in node.get(section).map(Node::items).unwrap_or_default() {
            let source = text_or_empty(item, "source");
            let Some(declared) = self.declared(section, &source) else {
                let what = section.trim_end_matches('s');
                let message = format!("the {what} {source:?} is not declared under `{section}`");
                self.error("UndefinedReference", item, message);
                continue;
            };
            let name = self.name_of(&source, Some(declared));
            let default = FileTarget::default();
            let file = FileTarget {
                name: text(item, "target").map_or(source, str::to_owned),
                uid: text(item, "uid").map_or(default.uid, str::to_owned),
                gid: text(item, "gid").map_or(default.gid, str::to_owned),
                mode: count(item, "mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(default.mode),
            };
            references.push((name, file));
        }
        references
    }
}

fn environment(node: &Node) -> Vec<String> {
    let mut lines: Vec<String> = node
        .get("environment")
        .into_iter()
        .flat_map(|environment| environment.entries())
        .map(|(key, value)| match value.as_text() {
            Some(text) => format!("{key}={text}"),
            None => key.to_owned(),
        })
        .collect();
    lines.sort();
    lines
}

/// Returns capabilities in the engine's spelling, sorted, each once. What is added is not dropped, and `ALL` stands
/// for every other one.
fn capabilities(add: &[String], drop: &[String]) -> (Vec<String>, Vec<String>) {
    let normal = |names: &[String]| -> BTreeSet<String> {
        let names: BTreeSet<String> = names
            .iter()
            .map(|name| name.trim().to_uppercase())
            .map(|name| match name.as_str() {
                "ALL" | "RESET" => name,
                _ if name.starts_with("CAP_") => name,
                _ => format!("CAP_{name}"),
            })
            .collect();
        if names.contains("ALL") { BTreeSet::from(["ALL".to_owned()]) } else { names }
    };
    let (add, drop) = (normal(add), normal(drop));
    let drop = drop.into_iter().filter(|name| !add.contains(name) && name != "RESET").collect();
    (add.into_iter().filter(|name| name != "RESET").collect(), drop)
}

fn ulimits(node: &Node) -> Vec<Ulimit> {
    node.get("ulimits")
        .into_iter()
        .flat_map(|ulimits| ulimits.entries())
        .map(|(name, limit)| {
            let (soft, hard) = match limit.value {
                Value::Int(both) => (both, both),
                _ => (number(limit, "soft"), number(limit, "hard")),
            };
            Ulimit { name: name.to_owned(), soft, hard }
        })
        .collect()
}

fn generic_resource(item: &Node) -> serde_json::Value {
    match item.get("discrete_resource_spec") {
        Some(spec) => serde_json::json!({
            "DiscreteResourceSpec": {"Kind": text_or_empty(spec, "kind"), "Value": number(spec, "value")},
        }),
        None => serde_json::json!({}),
    }
}

fn placement(placement: Option<&Node>) -> Placement {
    let Some(placement) = placement else { return Placement::default() };
    Placement {
        constraints: list(placement, "constraints"),
        preferences: placement
            .get("preferences")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|item| serde_json::json!({"Spread": {"SpreadDescriptor": text_or_empty(item, "spread")}}))
            .collect(),
        max_replicas: count(placement, "max_replicas_per_node").unwrap_or_default(),
        platforms: Vec::new(),
    }
}

fn update_config(update: &Node) -> UpdateConfig {
    let ratio = match update.get("max_failure_ratio").map(|node| &node.value) {
        Some(Value::Float(ratio)) => *ratio,
        _ => 0.0,
    };
    UpdateConfig {
        parallelism: count(update, "parallelism").unwrap_or(1),
        delay: duration(update, "delay").unwrap_or_default(),
        failure_action: text_or_empty(update, "failure_action"),
        monitor: duration(update, "monitor").unwrap_or_default(),
        max_failure_ratio: ratio,
        order: text_or_empty(update, "order"),
    }
}

fn endpoint(node: &Node) -> EndpointSpec {
    let port = |item: &Node, key: &str| count(item, key).and_then(|port| u32::try_from(port).ok()).unwrap_or_default();
    let mut ports: Vec<PortConfig> = node
        .get("ports")
        .map(Node::items)
        .unwrap_or_default()
        .iter()
        .map(|item| PortConfig {
            protocol: text_or_empty(item, "protocol"),
            target_port: port(item, "target"),
            published_port: port(item, "published"),
            publish_mode: text_or_empty(item, "mode"),
        })
        .collect();
    ports.sort_by_key(|port| port.published_port);
    let mode = node.at(&["deploy", "endpoint_mode"]).and_then(Node::as_text).unwrap_or_default().to_lowercase();
    EndpointSpec { mode, ports }
}

/// Returns whether a text is an image reference: `[registry/]name[:tag][@digest]`.
fn is_image(image: &str) -> bool {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let last_part = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match name[last_part..].rfind(':') {
        Some(colon) => (&name[..last_part + colon], Some(&name[last_part + colon + 1..])),
        None => (name, None),
    };
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let tag_fits = tag.is_none_or(|tag| {
        (1..=128).contains(&tag.len())
            && is_word(tag.as_bytes()[0])
            && tag.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
    });
    let digest_fits = digest.is_none_or(|digest| {
        digest.split_once(':').is_some_and(|(algorithm, hex)| {
            !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    });
    let (host, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase) =>
        {
            (Some(first), rest)
        }
        _ => (None, name),
    };
    let host_fits = host.is_none_or(|host| {
        host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
            && host.rsplit_once(':').is_none_or(|(_, port)| port.ends_with(']') || port.parse::<u32>().is_ok())
    });
    tag_fits && digest_fits && host_fits && name.len() <= 255 && path.split('/').all(is_path_part)
}

/// Lower-case letters and digits, with single separators between them.
fn is_path_part(part: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    !bytes.is_empty()
        && is_inner(bytes[0])
        && is_inner(bytes[bytes.len() - 1])
        && bytes.iter().all(|byte| is_inner(*byte) || b"._-".contains(byte))
        && !part.contains("..")
        && !part.contains("___")
        && !part.contains("._")
        && !part.contains("_.")
        && !part.contains(".-")
        && !part.contains("-.")
}
