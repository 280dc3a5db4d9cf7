//! The canonical form of a service.

use std::sync::Arc;

use super::super::source::{TEXT_BYTES_MAX, clean};
use super::super::stack::Severity;
use super::super::tree::{Map, Node, Spot, Value};
use super::super::{mounts, ports, quantities, scalar};
use super::{Reader, join, own_keys};

/// Largest number of tasks, attempts and the like that is passed on.
const COUNT_MAX: u64 = u64::MAX >> 1;

const TEXTS: [&str; 17] = [
    "cgroup_parent",
    "cgroupns_mode",
    "container_name",
    "domainname",
    "hostname",
    "image",
    "ipc",
    "isolation",
    "mac_address",
    "network_mode",
    "pid",
    "restart",
    "shm_size",
    "stop_signal",
    "user",
    "userns_mode",
    "working_dir",
];

const LISTS: [&str; 11] = [
    "cap_add",
    "cap_drop",
    "depends_on",
    "devices",
    "dns",
    "dns_search",
    "env_file",
    "external_links",
    "links",
    "security_opt",
    "tmpfs",
];

impl Reader<'_> {
    pub(super) fn service(&mut self, _key: &str, node: &Node) -> Map {
        let mut out = Map::new();
        self.texts(node, &TEXTS, &mut out);
        for key in LISTS {
            self.list(node, key, &mut out);
        }
        self.switches(node, &["privileged", "read_only", "stdin_open", "tty"], &mut out);
        if let Some(init) = node.get("init") {
            out.insert("init".to_owned(), init.clone());
        }
        self.durations(node, &["stop_grace_period"], &mut out);
        self.pairs(node, "labels", &mut out);
        self.pairs(node, "sysctls", &mut out);
        for key in ["command", "entrypoint"] {
            self.command(node, key, &mut out);
        }
        self.build(node, &mut out);
        self.expose(node, &mut out);
        self.extra_hosts(node, &mut out);
        self.environment(node, &mut out);
        self.healthcheck(node, &mut out);
        self.logging(node, &mut out);
        self.networks(node, &mut out);
        self.ports(node, &mut out);
        self.mounts(node, &mut out);
        self.ulimits(node, &mut out);
        for key in ["secrets", "configs"] {
            self.references(node, key, &mut out);
        }
        self.deploy(node, &mut out);
        if let Some(spec) = node.get("credential_spec") {
            self.inner(spec, "credential_spec", &mut out, |reader, spec, inner| {
                reader.texts(spec, &["config", "file", "registry"], inner);
            });
        }
        own_keys(node, &mut out);
        out
    }

    /// Adds a mapping that is left out when it is empty.
    fn inner(&mut self, node: &Node, key: &str, out: &mut Map, fill: impl FnOnce(&mut Self, &Node, &mut Map)) {
        let mut inner = Map::new();
        fill(self, node, &mut inner);
        if !inner.is_empty() {
            out.insert(key.to_owned(), Node::new(Value::Map(inner), &node.spot));
        }
    }

    /// Adds a mapping that says something even when it is empty.
    fn kept(&mut self, node: &Node, key: &str, out: &mut Map, fill: impl FnOnce(&mut Self, &Node, &mut Map)) {
        let mut inner = Map::new();
        fill(self, node, &mut inner);
        out.insert(key.to_owned(), Node::new(Value::Map(inner), &node.spot));
    }

    fn command(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(below) = node.get(key) else { return };
        if below.as_text().is_none() {
            return self.list(node, key, out);
        }
        let Some(text) = self.text(below) else { return };
        match quantities::words(&text) {
            Ok(words) if words.is_empty() => {}
            Ok(words) => {
                let words = words.into_iter().map(|word| Node::text(word, &below.spot)).collect();
                out.insert(key.to_owned(), Node::new(Value::List(words), &below.spot));
            }
            Err(message) => self.error(below, message),
        }
    }

    fn build(&mut self, node: &Node, out: &mut Map) {
        let Some(build) = node.get("build") else { return };
        self.inner(build, "build", out, |reader, build, inner| {
            if build.as_text().is_some_and(|text| !text.is_empty()) {
                inner.insert("context".to_owned(), build.clone());
            }
            reader.texts(build, &["context", "dockerfile", "network", "target"], inner);
            reader.list(build, "cache_from", inner);
            reader.pairs(build, "labels", inner);
            reader.extra_hosts(build, inner);
            if let Some(args) = build.get("args") {
                let args_map = reader.nullable_pairs(args);
                if !args_map.is_empty() {
                    inner.insert("args".to_owned(), Node::new(Value::Map(args_map), &args.spot));
                }
            }
        });
    }

    fn expose(&mut self, node: &Node, out: &mut Map) {
        let Some(expose) = node.get("expose").filter(|expose| !expose.items().is_empty()) else { return };
        let items = expose
            .items()
            .iter()
            .map(|item| Node::text(scalar::print(&item.value).unwrap_or_default(), &item.spot))
            .collect();
        out.insert("expose".to_owned(), Node::new(Value::List(items), &expose.spot));
    }

    /// Reads `host: address` pairs, with `=` or `:` between them in the list form, into `host:address`.
    fn extra_hosts(&mut self, node: &Node, out: &mut Map) {
        let Some(hosts) = node.get("extra_hosts") else { return };
        let mut lines: Vec<Node> = Vec::new();
        let mut add = |host: &str, address: &str, spot: &Arc<Spot>| {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address = bare.filter(|bare| !bare.is_empty()).unwrap_or(address);
            lines.push(Node::text(format!("{host}:{address}"), spot));
        };
        for (host, address) in hosts.entries() {
            if let Some(address_text) = scalar::print(&address.value) {
                // The first colon decides, also when it is the host's.
                let whole = format!("{host}:{address_text}");
                let (host, address_text) = whole.split_once(':').unwrap_or((&whole, ""));
                add(host, address_text, &address.spot);
            }
        }
        for item in hosts.items() {
            let Some(text) = self.text(item) else { continue };
            if let Some((host, address)) = text.split_once('=').or_else(|| text.split_once(':')) {
                let whole = format!("{host}:{address}");
                let (host, address) = whole.split_once(':').unwrap_or((&whole, ""));
                add(host, address, &item.spot);
            }
        }
        if !lines.is_empty() {
            out.insert("extra_hosts".to_owned(), Node::new(Value::List(lines), &hosts.spot));
        }
    }

    /// Reads `env_file` and `environment`; a variable without a value takes the one it has in the surroundings.
    fn environment(&mut self, node: &Node, out: &mut Map) {
        let mut variables = Map::new();
        let files: Vec<Node> = out.get("env_file").map(|files| files.items().to_vec()).unwrap_or_default();
        for file in &files {
            self.env_file(file, &mut variables);
        }
        if let Some(environment) = node.get("environment") {
            variables.extend(self.nullable_pairs(environment));
        }
        let env = self.surroundings.env;
        for (key, value) in &mut variables {
            let is_open = value.value == Value::Null || value.as_text() == Some("");
            if let Some(known) = env.get(key).filter(|_| is_open) {
                *value = Node::text(known.clone(), &value.spot);
            }
        }
        if !variables.is_empty() {
            let spot = node.get("environment").map_or(&node.spot, |environment| &environment.spot);
            out.insert("environment".to_owned(), Node::new(Value::Map(variables), spot));
        }
    }

    fn env_file(&mut self, file: &Node, variables: &mut Map) {
        let path = file.as_text().unwrap_or_default();
        let folder = self.surroundings.folder;
        let whole =
            if path.starts_with('/') || folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        let bytes = match clean(&whole).and_then(|path| self.surroundings.files.read(&path, TEXT_BYTES_MAX)) {
            Ok(bytes) => bytes,
            Err(error) => {
                let message = format!("the file {path:?} cannot be read: {error}");
                return self.finding(Severity::Error, "UnreadableFile", file, message);
            }
        };
        let Ok(text) = String::from_utf8(bytes) else {
            return self.finding(Severity::Error, "UnreadableFile", file, format!("the file {path:?} is not UTF-8"));
        };
        for line in text.strip_prefix('\u{feff}').unwrap_or(&text).lines() {
            let line = line.trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = line.split_once('=').map_or((line, None), |(key, value)| (key, Some(value)));
            if key.is_empty() || key.contains([' ', '\t']) {
                self.error(file, format!("the file {path:?} has a line that is no `KEY=value`: {line:?}"));
                continue;
            }
            let value = value.map(str::to_owned).or_else(|| self.surroundings.env.get(key).cloned());
            if let Some(value) = value {
                variables.insert(key.to_owned(), Node::text(value, &file.spot));
            }
        }
    }

    fn healthcheck(&mut self, node: &Node, out: &mut Map) {
        let Some(check) = node.get("healthcheck") else { return };
        self.kept(check, "healthcheck", out, |reader, check, inner| {
            if let Some(test) = check.get("test") {
                match test.as_text() {
                    Some(text) => {
                        let words = vec![Node::text("CMD-SHELL", &test.spot), Node::text(text, &test.spot)];
                        inner.insert("test".to_owned(), Node::new(Value::List(words), &test.spot));
                    }
                    None => reader.list(check, "test", inner),
                }
            }
            reader.durations(check, &["timeout", "interval", "start_period", "start_interval"], inner);
            reader.counts(check, &["retries"], COUNT_MAX, true, inner);
            reader.switches(check, &["disable"], inner);
        });
    }

    fn logging(&mut self, node: &Node, out: &mut Map) {
        let Some(logging) = node.get("logging") else { return };
        self.kept(logging, "logging", out, |reader, logging, inner| {
            reader.texts(logging, &["driver"], inner);
            reader.options(logging, "options", inner);
        });
    }

    fn networks(&mut self, node: &Node, out: &mut Map) {
        let Some(networks) = node.get("networks") else { return };
        let mut map = Map::new();
        for item in networks.items() {
            if let Some(name) = self.text(item) {
                map.insert(name, Node::new(Value::Null, &item.spot));
            }
        }
        for (name, network) in networks.entries() {
            if network.value == Value::Null {
                map.insert(name.to_owned(), network.clone());
                continue;
            }
            self.kept(network, name, &mut map, |reader, network, inner| {
                reader.list(network, "aliases", inner);
                reader.options(network, "driver_opts", inner);
                reader.texts(network, &["ipv4_address", "ipv6_address"], inner);
            });
        }
        if !map.is_empty() {
            out.insert("networks".to_owned(), Node::new(Value::Map(map), &networks.spot));
        }
    }

    fn ports(&mut self, node: &Node, out: &mut Map) {
        let Some(written) = node.get("ports") else { return };
        let mut list = Vec::new();
        for item in written.items() {
            match &item.value {
                Value::Map(_) => {
                    let mut fields = Map::new();
                    self.texts(item, &["mode", "protocol"], &mut fields);
                    self.counts(item, &["target", "published"], u64::from(u32::MAX), false, &mut fields);
                    list.push(Node::new(Value::Map(fields), &item.spot));
                }
                Value::Int(_) | Value::Text(_) => {
                    let text = scalar::print(&item.value).unwrap_or_default();
                    match ports::parse(&text) {
                        Ok(parsed) => self.short_ports(item, parsed, &mut list),
                        Err(message) => self.error(item, message),
                    }
                }
                other => {
                    let message = format!("a port cannot be {}: put it in quotes", other.kind());
                    self.error(item, message);
                }
            }
        }
        if !list.is_empty() {
            out.insert("ports".to_owned(), Node::new(Value::List(list), &written.spot));
        }
    }

    fn short_ports(&mut self, item: &Node, parsed: ports::Ports, list: &mut Vec<Node>) {
        if let Some(address) = parsed.ignored_address {
            let message = format!("the address {address} is not heeded: the port is open on every address");
            self.finding(Severity::Warning, "AddressIgnored", item, message);
        }
        for port in parsed.ports {
            let number = |number: u32| Node::new(Value::Int(i64::from(number)), &item.spot);
            let mut fields = Map::new();
            fields.insert("mode".to_owned(), Node::text("ingress", &item.spot));
            fields.insert("protocol".to_owned(), Node::text(port.protocol, &item.spot));
            for (key, value) in [("target", port.target), ("published", port.published)] {
                if value != 0 {
                    fields.insert(key.to_owned(), number(value));
                }
            }
            list.push(Node::new(Value::Map(fields), &item.spot));
        }
    }

    fn mounts(&mut self, node: &Node, out: &mut Map) {
        let Some(written) = node.get("volumes") else { return };
        let mut list = Vec::new();
        for item in written.items() {
            let mut fields = match item.as_text() {
                Some(text) => match mounts::parse(text, &item.spot) {
                    Ok(fields) => fields,
                    Err(message) => {
                        self.error(item, message);
                        continue;
                    }
                },
                None if matches!(item.value, Value::Map(_)) => self.long_mount(item),
                None => {
                    self.error(item, "must be text or a mapping");
                    continue;
                }
            };
            if fields.get("type").and_then(Node::as_text) == Some("bind") {
                match fields.get("source").and_then(Node::as_text) {
                    None => self.error(item, "a bind mount needs a `source`"),
                    Some(source) => {
                        let source = self.bind_source(source);
                        fields.insert("source".to_owned(), Node::text(source, &item.spot));
                    }
                }
            }
            list.push(Node::new(Value::Map(fields), &item.spot));
        }
        if !list.is_empty() {
            out.insert("volumes".to_owned(), Node::new(Value::List(list), &written.spot));
        }
    }

    fn long_mount(&mut self, item: &Node) -> Map {
        let mut fields = Map::new();
        self.texts(item, &["type", "source", "target", "consistency"], &mut fields);
        self.switches(item, &["read_only"], &mut fields);
        if let Some(bind) = item.get("bind") {
            self.kept(bind, "bind", &mut fields, |reader, bind, inner| reader.texts(bind, &["propagation"], inner));
        }
        if let Some(volume) = item.get("volume") {
            self.kept(volume, "volume", &mut fields, |reader, volume, inner| {
                reader.switches(volume, &["nocopy"], inner);
                reader.texts(volume, &["subpath"], inner);
            });
        }
        if let Some(tmpfs) = item.get("tmpfs") {
            self.kept(tmpfs, "tmpfs", &mut fields, |reader, tmpfs, inner| {
                reader.counts(tmpfs, &["size"], COUNT_MAX, false, inner);
            });
        }
        fields
    }

    fn bind_source(&self, source: &str) -> String {
        let home = self.surroundings.env.get("HOME");
        let expanded = match (source.strip_prefix('~'), home) {
            (Some(rest), Some(home)) => format!("{home}{rest}"),
            _ => source.to_owned(),
        };
        let is_windows = matches!(expanded.as_bytes(), [drive, b':', b'/' | b'\\', ..] if drive.is_ascii_alphabetic());
        if expanded.starts_with('/') || expanded.starts_with(r"\\") || is_windows {
            expanded
        } else {
            join(self.surroundings.directory, &expanded)
        }
    }

    fn ulimits(&mut self, node: &Node, out: &mut Map) {
        let Some(ulimits) = node.get("ulimits") else { return };
        let mut map = Map::new();
        for (name, limit) in ulimits.entries() {
            match (limit.as_int(), &limit.value) {
                (Some(0), _) => {
                    map.insert(name.to_owned(), Node::new(Value::Map(Map::new()), &limit.spot));
                }
                (Some(number), Value::Int(_)) => {
                    map.insert(name.to_owned(), Node::new(Value::Int(number), &limit.spot));
                }
                (_, Value::Map(_)) if has_whole_numbers(limit) => {
                    self.kept(limit, name, &mut map, |reader, limit, inner| {
                        reader.number(limit, "soft", inner);
                        reader.number(limit, "hard", inner);
                    });
                }
                _ => self.error(limit, "must be a whole number, or a mapping of `soft` and `hard`"),
            }
        }
        if !map.is_empty() {
            out.insert("ulimits".to_owned(), Node::new(Value::Map(map), &ulimits.spot));
        }
    }

    fn references(&mut self, node: &Node, key: &str, out: &mut Map) {
        let Some(written) = node.get(key) else { return };
        let mut list = Vec::new();
        for item in written.items() {
            let mut fields = Map::new();
            if item.as_text().is_some() {
                fields.insert("source".to_owned(), item.clone());
            } else if matches!(item.value, Value::Map(_)) {
                self.texts(item, &["source", "target", "uid", "gid"], &mut fields);
                self.counts(item, &["mode"], u64::from(u32::MAX), true, &mut fields);
            } else {
                self.error(item, "must be text or a mapping");
            }
            list.push(Node::new(Value::Map(fields), &item.spot));
        }
        if !list.is_empty() {
            out.insert(key.to_owned(), Node::new(Value::List(list), &written.spot));
        }
    }

    fn deploy(&mut self, node: &Node, out: &mut Map) {
        let Some(deploy) = node.get("deploy") else { return };
        self.inner(deploy, "deploy", out, |reader, deploy, inner| {
            reader.texts(deploy, &["mode", "endpoint_mode"], inner);
            reader.counts(deploy, &["replicas"], COUNT_MAX, true, inner);
            reader.pairs(deploy, "labels", inner);
            for key in ["update_config", "rollback_config"] {
                if let Some(update) = deploy.get(key) {
                    reader.kept(update, key, inner, Self::update_config);
                }
            }
            if let Some(resources) = deploy.get("resources") {
                reader.inner(resources, "resources", inner, Self::resources);
            }
            if let Some(policy) = deploy.get("restart_policy") {
                reader.kept(policy, "restart_policy", inner, |reader, policy, fields| {
                    reader.texts(policy, &["condition"], fields);
                    reader.durations(policy, &["delay", "window"], fields);
                    reader.counts(policy, &["max_attempts"], COUNT_MAX, true, fields);
                });
            }
            if let Some(placement) = deploy.get("placement") {
                reader.inner(placement, "placement", inner, Self::placement);
            }
        });
    }

    fn update_config(&mut self, update: &Node, fields: &mut Map) {
        self.counts(update, &["parallelism"], COUNT_MAX, true, fields);
        self.durations(update, &["delay", "monitor"], fields);
        fields.retain(|_, field| field.as_text() != Some("0s"));
        self.texts(update, &["failure_action", "order"], fields);
        let Some(ratio) = update.get("max_failure_ratio") else { return };
        let number = scalar::print(&ratio.value).and_then(|text| text.parse::<f32>().ok()).unwrap_or_default();
        if number != 0.0 {
            // The engine keeps the ratio with few digits; what it prints is what is compared later.
            let number = number.to_string().parse().unwrap_or_default();
            fields.insert("max_failure_ratio".to_owned(), Node::new(Value::Float(number), &ratio.spot));
        }
    }

    fn resources(&mut self, resources: &Node, fields: &mut Map) {
        for key in ["limits", "reservations"] {
            let Some(amounts) = resources.get(key) else { continue };
            self.kept(amounts, key, fields, |reader, amounts, inner| {
                reader.texts(amounts, &["cpus"], inner);
                if let Some(memory) = amounts.get("memory")
                    && let Some(text) = reader.text(memory)
                {
                    match quantities::bytes(&text) {
                        Ok(0) => {}
                        Ok(bytes) => {
                            inner.insert("memory".to_owned(), Node::text(bytes.to_string(), &memory.spot));
                        }
                        Err(message) => reader.error(memory, message),
                    }
                }
                reader.number(amounts, "pids", inner);
                reader.generic_resources(amounts, inner);
            });
        }
    }

    fn generic_resources(&mut self, amounts: &Node, inner: &mut Map) {
        let Some(generic) = amounts.get("generic_resources").filter(|list| !list.items().is_empty()) else { return };
        let mut list = Vec::new();
        for item in generic.items() {
            let mut fields = Map::new();
            if let Some(spec) = item.get("discrete_resource_spec") {
                self.kept(spec, "discrete_resource_spec", &mut fields, |reader, spec, inner| {
                    reader.texts(spec, &["kind"], inner);
                    reader.counts(spec, &["value"], COUNT_MAX, true, inner);
                });
            }
            list.push(Node::new(Value::Map(fields), &item.spot));
        }
        inner.insert("generic_resources".to_owned(), Node::new(Value::List(list), &generic.spot));
    }

    fn placement(&mut self, placement: &Node, fields: &mut Map) {
        self.list(placement, "constraints", fields);
        self.counts(placement, &["max_replicas_per_node"], COUNT_MAX, false, fields);
        let Some(written) = placement.get("preferences").filter(|list| !list.items().is_empty()) else { return };
        let mut preferences = Vec::new();
        for item in written.items() {
            let mut inner = Map::new();
            self.texts(item, &["spread"], &mut inner);
            preferences.push(Node::new(Value::Map(inner), &item.spot));
        }
        fields.insert("preferences".to_owned(), Node::new(Value::List(preferences), &written.spot));
    }
}

fn has_whole_numbers(limit: &Node) -> bool {
    ["soft", "hard"].iter().all(|key| matches!(limit.get(key).map(|node| &node.value), Some(Value::Int(_))))
}
