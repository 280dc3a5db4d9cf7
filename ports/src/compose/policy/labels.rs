//! Rules about labels: what Traefik is told, and who a stack says it is.

use super::{AllowedOption, Danger, Judge, route};
use crate::compose::stack::StackService;
use crate::swarm::{IMAGE_LABEL, STACK_LABEL};

/// Labels that only this program and Docker write.
const OUR_PREFIXES: [&str; 3] = ["ci.coopcloud.tech/", "com.docker.", "io.docker."];

/// Kinds of middlewares that change nothing but the app's own requests.
const MIDDLEWARES: [&str; 22] = [
    "addprefix",
    "basicauth",
    "buffering",
    "chain",
    "compress",
    "contenttype",
    "digestauth",
    "errors",
    "headers",
    "inflightreq",
    "ipallowlist",
    "ipwhitelist",
    "ratelimit",
    "redirectregex",
    "redirectscheme",
    "replacepath",
    "replacepathregex",
    "retry",
    "stripprefix",
    "stripprefixregex",
    "grpcweb",
    "circuitbreaker",
];

impl Judge<'_> {
    pub(super) fn labels(&mut self, service: &StackService) {
        let container = &service.spec.task_template.container_spec;
        for (path, labels) in
            [(["deploy", "labels"].as_slice(), &service.spec.labels), (&["labels"], &container.labels)]
        {
            for (label, value) in labels {
                if label == STACK_LABEL || label == IMAGE_LABEL {
                    continue;
                }
                self.label(service, path, label, value);
            }
        }
    }

    fn label(&mut self, service: &StackService, path: &[&str], label: &str, value: &str) {
        // Traefik does not tell capitals from small letters.
        let lower = label.to_lowercase();
        let place = self.place(&[&["services", &service.short_name], path, &[label]].concat());
        if OUR_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
            let message = format!("the label {label:?} is not for recipes: remove it");
            return self.breach("ForgedLabel", Danger::Great, place, message);
        }
        if self.permits(AllowedOption::Routers) {
            return;
        }
        let Some(setting) = lower.strip_prefix("traefik.") else { return };
        let parts: Vec<&str> = setting.split('.').collect();
        let breach = match parts.as_slice() {
            ["enable"] => None,
            ["docker" | "swarm", "network"] => (value != self.permissions.proxy_network)
                .then(|| ("TraefikOption", format!("Traefik is sent to the network {value:?}"))),
            ["docker" | "swarm", "lbswarm"] => None,
            ["tcp" | "udp", ..] => Some(("TcpRouter", format!("{label:?} sets up a router below HTTP"))),
            ["http", "routers", name, rest @ ..] => self.named(name).or_else(|| self.router(rest, label, value)),
            ["http", "services", name, rest @ ..] => self.named(name).or_else(|| service_setting(rest, label)),
            ["http", "middlewares", name, rest @ ..] => {
                self.named(name).or_else(|| self.middleware(rest, label, value))
            }
            _ => Some(("TraefikOption", format!("{label:?} is a setting that a recipe may not make"))),
        };
        if let Some((rule, message)) = breach {
            self.breach(rule, Danger::Usual, place, message);
        }
    }

    /// Says so when a name is not the stack's own.
    fn named(&self, name: &str) -> Option<(&'static str, String)> {
        let stack = self.stack.name.to_lowercase();
        let is_own = name.strip_prefix(&stack).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']));
        (!is_own).then(|| ("RouterName", format!("the name {name:?} does not begin with that of the stack, {stack:?}")))
    }

    fn router(&self, rest: &[&str], label: &str, value: &str) -> Option<(&'static str, String)> {
        match rest {
            ["rule"] => {
                let is_ours = |host: &str| self.is_our_host(host);
                (!route::is_for(value, &is_ours)).then(|| {
                    (
                        "RouterHost",
                        format!("the rule {value:?} is not only for {}", self.permissions.domains.join(", ")),
                    )
                })
            }
            ["entrypoints" | "priority" | "tls" | "rulesyntax"] | ["tls", "certresolver" | "options"] => None,
            ["tls", _, "main" | "sans"] => {
                let foreign = value.split(',').map(str::trim).find(|host| !self.is_our_host(host))?;
                Some(("RouterHost", format!("a certificate is asked for {foreign:?}")))
            }
            ["service"] => self.reference(value),
            ["middlewares"] => value.split(',').find_map(|name| self.reference(name)),
            _ => Some(("TraefikOption", format!("{label:?} is a setting that a recipe may not make"))),
        }
    }

    fn middleware(&self, rest: &[&str], label: &str, value: &str) -> Option<(&'static str, String)> {
        match rest {
            ["chain", "middlewares"] => value.split(',').find_map(|name| self.reference(name)),
            ["errors", "service"] => self.reference(value),
            ["basicauth" | "digestauth", "usersfile"] => {
                Some(("TraefikOption", format!("{label:?} reads a file of Traefik's")))
            }
            [kind, ..] if MIDDLEWARES.contains(kind) => None,
            _ => Some(("TraefikOption", format!("{label:?} is a middleware that a recipe may not have"))),
        }
    }

    /// Says so when a name refers to something that is not the stack's own.
    fn reference(&self, name: &str) -> Option<(&'static str, String)> {
        let lower = name.trim().to_lowercase();
        match lower.split_once('@') {
            None => self.named(&lower),
            Some((name, "docker" | "swarm")) => self.named(name),
            Some(_) => Some(("TraefikOption", format!("{name:?} is something of another provider"))),
        }
    }

    fn is_our_host(&self, host: &str) -> bool {
        let host = host.trim().trim_end_matches('.').to_lowercase();
        let mut ours = self.permissions.domains.iter().chain(&self.permissions.allowed.hosts);
        ours.any(|domain| domain.to_lowercase() == host)
    }
}

fn service_setting(rest: &[&str], label: &str) -> Option<(&'static str, String)> {
    match rest {
        ["loadbalancer", "server", "port" | "scheme"]
        | ["loadbalancer", "passhostheader"]
        | ["loadbalancer", "sticky" | "responseforwarding", ..] => None,
        // A health check may name a host and a port, but goes to the app's own tasks.
        ["loadbalancer", "healthcheck", ..] => None,
        _ => Some(("TraefikOption", format!("{label:?} is a setting that a recipe may not make"))),
    }
}
