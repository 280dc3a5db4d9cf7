//! Every rule of the policy: refused for the untrusted with file and line, and permitted by what it names.

use crate::compose::policy::{Allowed, AllowedOption, Limits, Permissions, RULES, Tier, Verdict, harden, judge};
use crate::compose::{Finding, InMemoryFiles, LoadInput, Severity, Stack, load};
use crate::swarm::spec::ServiceSpec;

/// A compose file whose service has these lines, with these lines after it.
fn compose(service: &str, rest: &str) -> String {
    let indented: String = service.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: \"3.13\"\nservices:\n  app:\n    image: nginx\n{indented}{rest}")
}

fn stack(text: &str) -> Stack {
    let files = InMemoryFiles::default().with("compose.yml", text).with("a.txt", "a");
    let input = LoadInput {
        stack: "demo".to_owned(),
        files: vec!["compose.yml".to_owned()],
        directory: "/recipe".to_owned(),
        ..LoadInput::default()
    };
    load(&input, &files).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn permissions(tier: Tier, allowed: Allowed) -> Permissions {
    Permissions { tier, domains: vec!["demo.ci.test".to_owned()], proxy_network: "proxy".to_owned(), allowed }
}

fn errors(text: &str, allowed: Allowed) -> Vec<Finding> {
    let findings = judge(&stack(text), &permissions(Tier::Untrusted, allowed));
    findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}

struct Case {
    says: &'static str,
    service: &'static str,
    rest: &'static str,
    rule: &'static str,
    /// Where the finding points.
    place: &'static str,
    /// What permits it; `None` when nothing does.
    allowed: Option<fn() -> Allowed>,
}

fn option(option: AllowedOption) -> Allowed {
    Allowed { options: vec![option], ..Allowed::default() }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    vec![
        Case {
            says: "the host's root",
            service: "volumes: [\"/:/host\"]",
            rest: "",
            rule: "HostBind",
            place: "compose.yml:5 services.app.volumes[0]",
            allowed: Some(|| Allowed { host_binds: words(&["/"]), ..Allowed::default() }),
        },
        Case {
            says: "the docker socket, in the long form",
            service: "volumes:\n  - type: bind\n    source: /var/run/docker.sock\n    target: /s\n    read_only: true",
            rest: "",
            rule: "HostBind",
            place: "compose.yml:6 services.app.volumes[0]",
            allowed: Some(|| Allowed { host_binds: words(&["/var/run/docker.sock:ro"]), ..Allowed::default() }),
        },
        Case {
            says: "a folder of the checkout",
            service: "volumes: [\"./data:/data\"]",
            rest: "",
            rule: "HostBind",
            place: "compose.yml:5 services.app.volumes[0]",
            allowed: Some(|| Allowed { host_binds: words(&["/recipe"]), ..Allowed::default() }),
        },
        Case {
            says: "a bind in disguise",
            service: "volumes: [\"etc:/x\"]",
            rest: "volumes:\n  etc:\n    driver: local\n    driver_opts: {type: none, o: bind, device: /etc}\n",
            rule: "VolumeDriver",
            place: "compose.yml:9 volumes.etc.driver_opts",
            allowed: Some(|| Allowed { volume_drivers: words(&["local"]), ..Allowed::default() }),
        },
        Case {
            says: "another volume driver",
            service: "volumes: [\"nfs:/x\"]",
            rest: "volumes:\n  nfs: {driver: rclone}\n",
            rule: "VolumeDriver",
            place: "compose.yml:7 volumes.nfs.driver",
            allowed: Some(|| Allowed { volume_drivers: words(&["rclone"]), ..Allowed::default() }),
        },
        Case {
            says: "the host's network",
            service: "networks: [h]",
            rest: "networks:\n  h: {external: true, name: host}\n",
            rule: "ExternalNetwork",
            place: "compose.yml:7 networks.h",
            allowed: Some(|| Allowed { networks: words(&["host"]), ..Allowed::default() }),
        },
        Case {
            says: "a network of another name that is not external",
            service: "networks: [h]",
            rest: "networks:\n  h: {name: other_internal}\n",
            rule: "ForeignName",
            place: "compose.yml:7 networks.h.name",
            allowed: Some(|| Allowed { networks: words(&["other_internal"]), ..Allowed::default() }),
        },
        Case {
            says: "a network with a driver of the host",
            service: "networks: [m]",
            rest: "networks:\n  m: {driver: macvlan, driver_opts: {parent: eth0}}\n",
            rule: "NetworkOptions",
            place: "compose.yml:7 networks.m",
            allowed: Some(|| option(AllowedOption::NetworkOptions)),
        },
        Case {
            says: "a network that takes a subnet",
            service: "networks: [m]",
            rest: "networks:\n  m: {ipam: {config: [{subnet: 10.0.0.0/8}]}}\n",
            rule: "NetworkOptions",
            place: "compose.yml:7 networks.m",
            allowed: Some(|| option(AllowedOption::NetworkOptions)),
        },
        Case {
            says: "another app's name on the proxy network",
            service: "networks:\n  proxy:\n    aliases: [other_app]",
            rest: "networks:\n  proxy: {external: true}\n",
            rule: "NetworkAlias",
            place: "compose.yml:7 services.app.networks.proxy.aliases",
            allowed: Some(|| option(AllowedOption::Aliases)),
        },
        Case {
            says: "another stack's secret",
            service: "secrets: [k]",
            rest: "secrets:\n  k: {external: true, name: other_ssl_key_v1}\n",
            rule: "ForeignName",
            place: "compose.yml:7 secrets.k.name",
            allowed: Some(|| Allowed { names: words(&["other_ssl_key_v1"]), ..Allowed::default() }),
        },
        Case {
            says: "a secret whose name only begins like the stack",
            service: "secrets: [k]",
            rest: "secrets:\n  k: {external: true, name: demolition_key_v1}\n",
            rule: "ForeignName",
            place: "compose.yml:7 secrets.k.name",
            allowed: Some(|| Allowed { names: words(&["demolition_key_v1"]), ..Allowed::default() }),
        },
        Case {
            says: "an external secret without a name",
            service: "secrets: [k]",
            rest: "secrets:\n  k: {external: true}\n",
            rule: "ForeignName",
            place: "compose.yml:7 secrets.k.external",
            allowed: Some(|| Allowed { names: words(&["k"]), ..Allowed::default() }),
        },
        Case {
            says: "another stack's volume",
            service: "volumes: [\"v:/v\"]",
            rest: "volumes:\n  v: {name: other_data}\n",
            rule: "ForeignName",
            place: "compose.yml:7 volumes.v.name",
            allowed: Some(|| Allowed { names: words(&["other_data"]), ..Allowed::default() }),
        },
        Case {
            says: "a config that hijacks another stack's",
            service: "configs: [c]",
            rest: "configs:\n  c: {file: ./a.txt, name: other_conf_v1}\n",
            rule: "ForeignName",
            place: "compose.yml:7 configs.c.name",
            allowed: Some(|| Allowed { names: words(&["other_conf_v1"]), ..Allowed::default() }),
        },
        Case {
            says: "a capability",
            service: "cap_add: [net_admin]",
            rest: "",
            rule: "Capability",
            place: "compose.yml:5 services.app.cap_add",
            allowed: Some(|| Allowed { capabilities: words(&["NET_ADMIN"]), ..Allowed::default() }),
        },
        Case {
            says: "a kernel parameter",
            service: "sysctls: {net.ipv4.ip_forward: 1}",
            rest: "",
            rule: "Sysctl",
            place: "compose.yml:5 services.app.sysctls.net.ipv4.ip_forward",
            allowed: Some(|| Allowed { sysctls: words(&["net.ipv4.ip_forward"]), ..Allowed::default() }),
        },
        Case {
            says: "unlimited processes",
            service: "ulimits: {nproc: -1}",
            rest: "",
            rule: "Ulimit",
            place: "compose.yml:5 services.app.ulimits.nproc",
            allowed: Some(|| option(AllowedOption::Ulimits)),
        },
        Case {
            says: "a published port",
            service: "ports: [\"8080:80\"]",
            rest: "",
            rule: "PublishedPort",
            place: "compose.yml:5 services.app.ports[0]",
            allowed: Some(|| Allowed { ports: vec![8080], ..Allowed::default() }),
        },
        Case {
            says: "a port that the engine chooses",
            service: "ports:\n  - target: 80\n    mode: host",
            rest: "",
            rule: "PublishedPort",
            place: "compose.yml:6 services.app.ports[0]",
            allowed: Some(|| Allowed { ports: vec![0], ..Allowed::default() }),
        },
        Case {
            says: "a task on every node",
            service: "deploy:\n  mode: global",
            rest: "",
            rule: "GlobalMode",
            place: "compose.yml:6 services.app.deploy.mode",
            allowed: Some(|| option(AllowedOption::GlobalMode)),
        },
        Case {
            says: "the manager",
            service: "deploy:\n  placement:\n    constraints: [node.role==manager]",
            rest: "",
            rule: "Placement",
            place: "compose.yml:6 services.app.deploy.placement",
            allowed: Some(|| option(AllowedOption::Placement)),
        },
        Case {
            says: "many tasks",
            service: "deploy:\n  replicas: 100",
            rest: "",
            rule: "Replicas",
            place: "compose.yml:6 services.app.deploy.replicas",
            allowed: Some(|| option(AllowedOption::ManyReplicas)),
        },
        Case {
            says: "a crowd of services",
            service: "user: root",
            rest: "  b: &b {image: nginx}
  s1: *b
  s2: *b
  s3: *b
  s4: *b
  s5: *b
  s6: *b
  s7: *b
  s8: *b
  s9: *b
  t0: *b
  t1: *b
  t2: *b
  t3: *b
  t4: *b
  t5: *b
  t6: *b
  t7: *b
  t8: *b
  t9: *b
  u0: *b
  u1: *b
  u2: *b
  u3: *b
",
            rule: "TooMany",
            place: "compose.yml:2 services",
            allowed: Some(|| option(AllowedOption::ManyReplicas)),
        },
        Case {
            says: "a stop that takes a day",
            service: "stop_grace_period: 24h",
            rest: "",
            rule: "LongTime",
            place: "compose.yml:5 services.app.stop_grace_period",
            allowed: Some(|| option(AllowedOption::AnyTimes)),
        },
        Case {
            says: "an update that watches for a day",
            service: "deploy:\n  update_config:\n    monitor: 24h",
            rest: "",
            rule: "LongTime",
            place: "compose.yml:7 services.app.deploy.update_config.monitor",
            allowed: Some(|| option(AllowedOption::AnyTimes)),
        },
        Case {
            says: "a flood of health checks",
            service: "healthcheck:\n  test: \"true\"\n  interval: 1ms",
            rest: "",
            rule: "HealthInterval",
            place: "compose.yml:7 services.app.healthcheck.interval",
            allowed: Some(|| option(AllowedOption::AnyTimes)),
        },
        Case {
            says: "a router for another host",
            service: "deploy:\n  labels:\n    traefik.http.routers.demo.rule: \"Host(`bank.example`)\"",
            rest: "",
            rule: "RouterHost",
            place: "compose.yml:7 services.app.deploy.labels.traefik.http.routers.demo.rule",
            allowed: Some(|| Allowed { hosts: words(&["bank.example"]), ..Allowed::default() }),
        },
        Case {
            says: "a router for every host, in capitals",
            service: "deploy:\n  labels:\n    - TRAEFIK.HTTP.Routers.demo.Rule=PathPrefix(`/`)",
            rest: "",
            rule: "RouterHost",
            place: "compose.yml:7 services.app.deploy.labels[0]",
            allowed: Some(|| option(AllowedOption::Routers)),
        },
        Case {
            says: "a certificate for another host",
            service: "deploy:\n  labels:\n    traefik.http.routers.demo.tls.domains[0].main: bank.example",
            rest: "",
            rule: "RouterHost",
            place: "compose.yml:7 services.app.deploy.labels.traefik.http.routers.demo.tls.domains[0].main",
            allowed: Some(|| Allowed { hosts: words(&["bank.example"]), ..Allowed::default() }),
        },
        Case {
            says: "another app's router",
            service: "deploy:\n  labels:\n    traefik.http.routers.bank.rule: \"Host(`demo.ci.test`)\"",
            rest: "",
            rule: "RouterName",
            place: "compose.yml:7 services.app.deploy.labels.traefik.http.routers.bank.rule",
            allowed: Some(|| option(AllowedOption::Routers)),
        },
        Case {
            says: "a TCP catch-all",
            service: "labels:\n  traefik.tcp.routers.demo.rule: \"HostSNI(`*`)\"",
            rest: "",
            rule: "TcpRouter",
            place: "compose.yml:6 services.app.labels.traefik.tcp.routers.demo.rule",
            allowed: Some(|| option(AllowedOption::Routers)),
        },
        Case {
            says: "another provider's middleware",
            service: "deploy:\n  labels:\n    traefik.http.routers.demo.middlewares: demo-redirect,auth@file",
            rest: "",
            rule: "TraefikOption",
            place: "compose.yml:7 services.app.deploy.labels.traefik.http.routers.demo.middlewares",
            allowed: Some(|| option(AllowedOption::Routers)),
        },
        Case {
            says: "a forward address",
            service: "deploy:\n  labels:\n    traefik.http.middlewares.demo-x.forwardauth.address: http://10.0.0.1",
            rest: "",
            rule: "TraefikOption",
            place: "compose.yml:7 services.app.deploy.labels.traefik.http.middlewares.demo-x.forwardauth.address",
            allowed: Some(|| option(AllowedOption::Routers)),
        },
        Case {
            says: "a label of ours",
            service: "deploy:\n  labels:\n    ci.coopcloud.tech/uid: \"1\"",
            rest: "",
            rule: "ForgedLabel",
            place: "compose.yml:7 services.app.deploy.labels.ci.coopcloud.tech/uid",
            allowed: None,
        },
        Case {
            says: "Windows' isolation",
            service: "isolation: hyperv",
            rest: "",
            rule: "Isolation",
            place: "compose.yml:5 services.app.isolation",
            allowed: None,
        },
    ]
}

#[test]
fn every_breach_is_refused_with_its_place_and_permitted_by_name() {
    for case in cases() {
        let text = compose(case.service, case.rest);
        let found = errors(&text, Allowed::default());
        let rules: Vec<&str> = found.iter().map(|finding| finding.rule.as_str()).collect();
        assert_eq!(rules, [case.rule], "{}: {found:#?}", case.says);
        assert_eq!(found[0].place.to_string(), case.place, "{}", case.says);
        let Some(allowed) = case.allowed else { continue };
        let rest = errors(&text, allowed());
        assert!(rest.is_empty(), "{} is permitted, and yet: {rest:#?}", case.says);
        assert!(found[0].message.contains("spec.trust.allow"), "{}: {}", case.says, found[0].message);
    }
}

#[test]
fn every_rule_that_refuses_has_a_case() {
    let cases = cases();
    for rule in RULES.iter().filter(|rule| rule.verdict == Verdict::Refused && rule.id != "OutsideRecipe") {
        assert!(cases.iter().any(|case| case.rule == rule.id), "no case for {}", rule.id);
    }
}

#[test]
fn files_outside_the_recipe_are_never_read() {
    for file in ["/etc/shadow", "../../etc/shadow"] {
        let text = compose("configs: [c]", &format!("configs:\n  c: {{file: {file}}}\n"));
        let files = InMemoryFiles::default().with("compose.yml", text);
        let input = LoadInput {
            stack: "demo".to_owned(),
            files: vec!["compose.yml".to_owned()],
            directory: "/recipe".to_owned(),
            ..LoadInput::default()
        };
        let error = load(&input, &files).expect_err("it is refused");
        assert_eq!(error.findings[0].rule, "OutsideRecipe");
        assert_eq!(error.findings[0].place.to_string(), "compose.yml:7 configs.c.file");
    }
    let text = compose("env_file: /proc/self/environ", "");
    let files = InMemoryFiles::default().with("compose.yml", text);
    let input = LoadInput { files: vec!["compose.yml".to_owned()], ..LoadInput::default() };
    let error = load(&input, &files).expect_err("it is refused");
    assert!(error.to_string().contains("lies outside the recipe"), "{error}");
}

#[test]
fn an_ordinary_recipe_passes() {
    let text = compose(
        "networks: [proxy, internal]
volumes: [\"data:/data\", \"/tmp/cache\"]
secrets: [key]
configs: [conf]
stop_grace_period: 2m
deploy:
  update_config: {failure_action: rollback, order: start-first}
  labels:
    - traefik.enable=true
    - traefik.docker.network=proxy
    - traefik.http.services.demo.loadbalancer.server.port=80
    - traefik.http.routers.demo.rule=Host(`demo.ci.test`)
    - traefik.http.routers.demo.entrypoints=web-secure
    - traefik.http.routers.demo.tls.certresolver=
    - traefik.http.routers.demo.middlewares=demo-redirect
    - traefik.http.middlewares.demo-redirect.headers.SSLForceHost=true
    - backupbot.backup=true",
        "networks: {proxy: {external: true}, internal: }
volumes: {data: }
secrets: {key: {external: true, name: demo_key_v1}}
configs: {conf: {file: a.txt, name: demo_conf_v1, template_driver: golang}}
",
    );
    let findings = judge(&stack(&text), &permissions(Tier::Untrusted, Allowed::default()));
    assert!(findings.is_empty(), "{findings:#?}");
}

#[test]
fn rules_of_routers_are_read_not_guessed() {
    let fine = [
        "Host(`demo.ci.test`)",
        "Host(`DEMO.ci.test`, `demo.ci.test`)",
        "Host(`demo.ci.test`) && PathPrefix(`/api`)",
        "(Host(`demo.ci.test`) || Host(\"demo.ci.test\")) && !Path(`/x`)",
    ];
    let refused = [
        "",
        "Host(`demo.ci.test`) || PathPrefix(`/`)",
        "!Host(`demo.ci.test`)",
        "Host(`demo.ci.test`, `bank.example`)",
        "HostRegexp(`.*`)",
        "Host(`demo.ci.test`)) || Host(`bank.example`",
        "Host(`demo.ci.test`) Host(`bank.example`)",
        "Host()",
        "Host(`demo.ci.test",
        "((((((((((((((((((((((((((((((((((Host(`demo.ci.test`)))))))))))))))))))))))))))))))))))",
    ];
    for (rules, is_fine) in [(fine.as_slice(), true), (&refused, false)] {
        for rule in rules {
            let label = format!("deploy:\n  labels:\n    traefik.http.routers.demo.rule: '{rule}'");
            assert_eq!(errors(&compose(&label, ""), Allowed::default()).is_empty(), is_fine, "{rule}");
        }
    }
}

#[test]
fn what_a_swarm_does_not_heed_is_flagged() {
    let text = compose("privileged: true\ndevices: [/dev/kvm]\nnetwork_mode: host", "");
    let findings = judge(&stack(&text), &permissions(Tier::Untrusted, Allowed::default()));
    let rules: Vec<(Severity, &str)> =
        findings.iter().map(|finding| (finding.severity, finding.rule.as_str())).collect();
    assert_eq!(rules, [(Severity::Warning, "IgnoredButDangerous"); 3]);
}

#[test]
fn maintainers_are_warned_of_what_is_dangerous_and_refused_nothing() {
    let text = compose(
        "volumes: [\"/var/run/docker.sock:/s\", \"/srv/data:/d\"]\ncap_add: [SYS_ADMIN, CHOWN]\nports: [\"80:80\"]\ndeploy: {mode: global}",
        "",
    );
    let findings = judge(&stack(&text), &permissions(Tier::Trusted, Allowed::default()));
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "compose.yml:5 services.app.volumes[0]: the service app mounts \"/var/run/docker.sock\" of the host for writing",
            "compose.yml:6 services.app.cap_add: the service app takes the capability CAP_SYS_ADMIN",
        ]
    );
    assert!(findings.iter().all(|finding| finding.severity == Severity::Warning));
}

fn only(stack: &Stack) -> &ServiceSpec {
    &stack.services[0].spec
}

#[test]
fn an_untrusted_stack_is_taken_in() {
    let text = compose(
        "stop_grace_period: 2m
networks: [proxy, internal]
logging: {driver: gelf, options: {gelf-address: \"udp://1.2.3.4:5\"}}
deploy:
  resources: {limits: {memory: 64g}, reservations: {memory: 32g}}
  update_config: {monitor: 5m, delay: 10s}",
        "networks: {proxy: {external: true}, internal: }\n",
    );
    let mut stack = stack(&text);
    let permissions = permissions(Tier::Untrusted, Allowed::default());
    let limits = Limits { constraints: vec!["node.labels.trust==untrusted".to_owned()], ..Limits::default() };
    let notes = harden(&mut stack, &permissions, &limits);
    let task = &only(&stack).task_template;
    let resources = task.resources.clone().expect("resources");
    let (limit, reserved) = (resources.limits.expect("limits"), resources.reservations.expect("reservations"));
    assert_eq!((limit.nano_cpus, limit.memory_bytes, limit.pids), (2_000_000_000, 2 << 30, 2048));
    assert_eq!(reserved.memory_bytes, 2 << 30);
    assert_eq!(task.log_driver.as_ref().expect("a driver").name, "json-file");
    assert_eq!(task.container_spec.stop_grace_period, Some(60_000_000_000));
    assert_eq!(only(&stack).update_config.as_ref().expect("an update").monitor, 60_000_000_000);
    assert_eq!(task.placement.as_ref().expect("placement").constraints, ["node.labels.trust==untrusted"]);
    let aliases: Vec<(&str, usize)> =
        task.networks.iter().map(|network| (network.target.as_str(), network.aliases.len())).collect();
    assert_eq!(aliases, [("demo_internal", 1), ("proxy", 0)], "nobody's `app` on a shared network");
    let places: Vec<String> = notes.iter().map(|note| format!("{}: {}", note.rule, note.place)).collect();
    assert_eq!(
        places,
        [
            "ResourceLimits: compose.yml:9 services.app.deploy.resources.limits.memory",
            "LogDriver: compose.yml:7 services.app.logging",
            "Times: compose.yml:5 services.app.stop_grace_period",
            "Times: compose.yml:10 services.app.deploy.update_config.monitor",
        ]
    );
    let once = stack.clone();
    assert!(harden(&mut stack, &permissions, &limits).is_empty(), "the second time changes nothing");
    assert_eq!(stack, once);
}
