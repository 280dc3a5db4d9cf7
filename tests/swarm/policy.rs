//! What a stranger's pull request may not ask of the machine, through a whole ccd on a real engine: each row is refused
//! with file and line before anything exists, and permitted by what the Recipe says of it, or never.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, ZONE};
use tests::recipes::RecipeRepository;

use crate::small::{self, API};

const PULL_REQUEST: u32 = 7;
const WITHIN: Duration = Duration::from_mins(8);
/// Nobody has it: a stack that is permitted ends here, with nothing made either.
const NOWHERE: &str = "127.0.0.1:5000/nowhere:1";

/// Something that a stack may not do.
struct Row {
    /// A name for it.
    name: &'static str,
    /// Lines of the service, the first of which is the fifth of the file.
    service: &'static str,
    /// Lines behind the services.
    rest: &'static str,
    /// Where the refusal points.
    place: &'static str,
    /// What permits it, as `spec.trust.allow`; `None` when nothing does.
    allow: Option<fn() -> Value>,
}

const fn row(
    name: &'static str,
    service: &'static str,
    rest: &'static str,
    place: &'static str,
    allow: Option<fn() -> Value>,
) -> Row {
    Row { name, service, rest, place, allow }
}

/// The table of refusals, in the order of its sources: the host, other apps, the kernel, the swarm, the proxy.
const ROWS: [Row; 30] = [
    row(
        "root",
        "volumes: [\"/:/host\"]",
        "",
        "compose.yml:5 services.app.volumes[0]",
        Some(|| json!({"hostBinds": ["/"]})),
    ),
    row(
        "socket",
        "volumes: [\"/var/run/docker.sock:/var/run/docker.sock:ro\"]",
        "",
        "compose.yml:5 services.app.volumes[0]",
        Some(|| json!({"hostBinds": ["/var/run/docker.sock:ro"]})),
    ),
    row(
        "disguise",
        "volumes: [\"etc:/x\"]",
        "volumes:\n  etc:\n    driver: local\n    driver_opts: {type: none, o: bind, device: /etc}\n",
        "compose.yml:9 volumes.etc.driver_opts",
        Some(|| json!({"volumeDrivers": ["local"]})),
    ),
    row(
        "driver",
        "volumes: [\"far:/x\"]",
        "volumes:\n  far: {driver: rclone}\n",
        "compose.yml:7 volumes.far.driver",
        Some(|| json!({"volumeDrivers": ["rclone"]})),
    ),
    row(
        "hostnet",
        "networks: [h]",
        "networks:\n  h: {external: true, name: host}\n",
        "compose.yml:7 networks.h",
        Some(|| json!({"networks": ["host"]})),
    ),
    row(
        "subnet",
        "networks: [m]",
        "networks:\n  m: {ipam: {config: [{subnet: 10.99.0.0/24}]}}\n",
        "compose.yml:7 networks.m",
        Some(|| json!({"options": ["NetworkOptions"]})),
    ),
    row(
        "alias",
        "networks:\n  proxy:\n    aliases: [other_app]",
        "networks:\n  proxy: {external: true}\n",
        "compose.yml:7 services.app.networks.proxy.aliases",
        Some(|| json!({"options": ["Aliases"]})),
    ),
    row(
        "secret",
        "secrets: [k]",
        "secrets:\n  k: {external: true, name: other_ssl_key_v1}\n",
        "compose.yml:7 secrets.k.name",
        Some(|| json!({"names": ["other_ssl_key_v1"]})),
    ),
    row(
        "volume",
        "volumes: [\"v:/v\"]",
        "volumes:\n  v: {name: other_data}\n",
        "compose.yml:7 volumes.v.name",
        Some(|| json!({"names": ["other_data"]})),
    ),
    row(
        "extvol",
        "volumes: [\"v:/v\"]",
        "volumes:\n  v: {external: true, name: other_data}\n",
        "compose.yml:7 volumes.v.name",
        Some(|| json!({"names": ["other_data"]})),
    ),
    row(
        "hijack",
        "configs: [c]",
        "configs:\n  c: {file: ./conf.tmpl, name: other_conf_v1}\n",
        "compose.yml:7 configs.c.name",
        Some(|| json!({"names": ["other_conf_v1"]})),
    ),
    row("shadow", "configs: [c]", "configs:\n  c: {file: /etc/shadow}\n", "compose.yml:7 configs.c.file", None),
    row("updir", "secrets: [c]", "secrets:\n  c: {file: ../../a}\n", "compose.yml:7 secrets.c.file", None),
    row("envfile", "env_file: /proc/self/environ", "", "compose.yml:5 services.app.env_file", None),
    row(
        "caps",
        "cap_add: [NET_ADMIN]",
        "",
        "compose.yml:5 services.app.cap_add",
        Some(|| json!({"capabilities": ["NET_ADMIN"]})),
    ),
    row(
        "sysctl",
        "sysctls: {net.ipv4.ip_forward: 1}",
        "",
        "compose.yml:5 services.app.sysctls.net.ipv4.ip_forward",
        Some(|| json!({"sysctls": ["net.ipv4.ip_forward"]})),
    ),
    row(
        "ulimit",
        "ulimits: {nproc: -1}",
        "",
        "compose.yml:5 services.app.ulimits.nproc",
        Some(|| json!({"options": ["Ulimits"]})),
    ),
    row("port", "ports: [\"26190:80\"]", "", "compose.yml:5 services.app.ports[0]", Some(|| json!({"ports": [26190]}))),
    row(
        "global",
        "deploy:\n  mode: global",
        "",
        "compose.yml:6 services.app.deploy.mode",
        Some(|| json!({"options": ["GlobalMode"]})),
    ),
    row(
        "manager",
        "deploy:\n  placement: {constraints: [node.role==manager]}",
        "",
        "compose.yml:6 services.app.deploy.placement",
        Some(|| json!({"options": ["Placement"]})),
    ),
    row(
        "crowd",
        "deploy:\n  replicas: 100",
        "",
        "compose.yml:6 services.app.deploy.replicas",
        Some(|| json!({"options": ["ManyReplicas"]})),
    ),
    row(
        "grace",
        "stop_grace_period: 24h",
        "",
        "compose.yml:5 services.app.stop_grace_period",
        Some(|| json!({"options": ["AnyTimes"]})),
    ),
    row(
        "monitor",
        "deploy:\n  update_config:\n    monitor: 24h",
        "",
        "compose.yml:7 services.app.deploy.update_config.monitor",
        Some(|| json!({"options": ["AnyTimes"]})),
    ),
    row(
        "flood",
        "healthcheck:\n  test: \"true\"\n  interval: 1ms",
        "",
        "compose.yml:7 services.app.healthcheck.interval",
        Some(|| json!({"options": ["AnyTimes"]})),
    ),
    row(
        "bank",
        "deploy:\n  labels:\n    - \"traefik.http.routers.${STACK_NAME}.rule=Host(`bank.example`)\"",
        "",
        "compose.yml:7 services.app.deploy.labels[0]",
        Some(|| json!({"hosts": ["bank.example"]})),
    ),
    row(
        "router",
        "deploy:\n  labels:\n    traefik.http.routers.bank.rule: \"Host(`${DOMAIN}`)\"",
        "",
        "compose.yml:7 services.app.deploy.labels.traefik.http.routers.bank.rule",
        Some(|| json!({"options": ["Routers"]})),
    ),
    row(
        "tcp",
        "deploy:\n  labels:\n    - \"traefik.tcp.routers.${STACK_NAME}.rule=HostSNI(`*`)\"",
        "",
        "compose.yml:7 services.app.deploy.labels[0]",
        Some(|| json!({"options": ["Routers"]})),
    ),
    row(
        "forged",
        "deploy:\n  labels:\n    ci.coopcloud.tech/uid: \"1\"",
        "",
        "compose.yml:7 services.app.deploy.labels.ci.coopcloud.tech/uid",
        None,
    ),
    row("windows", "isolation: hyperv", "", "compose.yml:5 services.app.isolation", None),
    row("gmsa", "credential_spec: {file: c.json}", "", "compose.yml:5 services.app.credential_spec", None),
];

/// Not refused, because a swarm heeds none of it; but said, because another deployer would.
const FLAGGED: [&str; 5] = ["privileged: true", "devices: [/dev/kvm]", "network_mode: host", "pid: host", "ipc: host"];

fn compose(image: &str, service: &str, rest: &str) -> String {
    let lines: String = service.lines().map(|line| format!("    {line}\n")).collect();
    format!("version: \"3.8\"\nservices:\n  app:\n    image: {image}\n{lines}{rest}")
}

/// What a maintainer has approved, and a stranger wrote.
struct Proposal {
    url: String,
    commit: String,
}

impl Proposal {
    fn new(folder: &Path, name: &str, compose: &str) -> Self {
        let mut repository = RecipeRepository::new(&folder.join(name)).expect("git works");
        let commit = repository.commit(&small::recipe(compose), "feat: a proposal").expect("git works");
        repository.propose(PULL_REQUEST, &commit).expect("git works");
        Self { url: repository.url(), commit }
    }

    /// Returns Recipe, Approval and TestRun; `more` is laid over the Recipe's spec.
    fn objects(&self, name: &str, allow: Option<&Value>, more: &Value) -> [Value; 3] {
        let mut recipe = json!({
            "apiVersion": API, "kind": "Recipe", "metadata": {"name": name},
            "spec": {
                "source": {"url": self.url}, "zone": ZONE, "deployer": "Swarm", "repositoryRef": name,
                "trust": {"forks": "Approve"}, "timeouts": {"pull": "1m", "converge": "2m", "http": "1m", "run": "5m"},
            },
        });
        if let Some(allow) = allow {
            recipe["spec"]["trust"]["allow"] = allow.clone();
        }
        for (key, value) in more.as_object().expect("an object") {
            recipe["spec"][key] = value.clone();
        }
        let approval = json!({
            "apiVersion": API, "kind": "Approval", "metadata": {"name": name},
            "spec": {
                "repositoryRef": name, "pullRequest": PULL_REQUEST, "headSHA": self.commit, "approvedBy": "a-maintainer",
                "scope": "Once",
            },
        });
        let pull_request =
            json!({"number": PULL_REQUEST, "headSHA": self.commit, "author": "a-stranger", "fork": true});
        let run = json!({
            "apiVersion": API, "kind": "TestRun", "metadata": {"name": name},
            "spec": {"recipeRef": name, "source": {"commit": self.commit, "pullRequest": pull_request}},
        });
        [recipe, approval, run]
    }
}

/// Writes down whatever the engine reports.
struct Events {
    child: Child,
    file: std::path::PathBuf,
}

impl Events {
    fn listen(file: &Path) -> Self {
        let output = std::fs::File::create(file).expect("a file");
        let child = Command::new("docker")
            .args(["--host", &engine::address(), "events", "--format", "{{json .}}"])
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()
            .expect("docker runs");
        Self { child, file: file.to_owned() }
    }

    fn about(&self, stack: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).expect("it is there");
        text.lines().filter(|line| line.contains(stack)).map(str::to_owned).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_finished(run: &Value) -> bool {
    matches!(run["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Error" | "Cancelled"))
}

fn step<'a>(run: &'a Value, name: &str) -> &'a Value {
    static NONE: Value = Value::Null;
    let steps = run["status"]["steps"].as_array();
    steps.into_iter().flatten().find(|step| step["name"] == name).unwrap_or(&NONE)
}

/// Everything that a run says anywhere of why it ended.
fn words(run: &Value) -> String {
    run["status"].to_string().replace("\\\"", "\"")
}

#[test]
fn what_a_stranger_may_not_do_is_refused_with_its_place_and_permitted_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 12, "").expect("the installation starts");
    let events = Events::listen(&folder.path().join("events"));
    let mut objects = Vec::new();
    for row in &ROWS {
        let proposal = Proposal::new(folder.path(), row.name, &compose(NOWHERE, row.service, row.rest));
        objects.extend(proposal.objects(&format!("no-{}", row.name), None, &json!({})));
        if let Some(allow) = row.allow {
            objects.extend(proposal.objects(&format!("yes-{}", row.name), Some(&allow()), &json!({})));
        }
    }
    let flagged = Proposal::new(folder.path(), "flagged", &compose(NOWHERE, &FLAGGED.join("\n"), ""));
    objects.extend(flagged.objects("flagged", None, &json!({})));
    installation.apply(&objects).expect("they are accepted");

    let finished = |name: &str| installation.wait("testruns", name, WITHIN, is_finished).expect("it ends");
    let mut wrong = Vec::new();
    let mut expect = |is_so: bool, what: &str, run: &Value| {
        if !is_so {
            wrong.push(format!("{}: {what}: {:#}", run["metadata"]["name"], run["status"]));
        }
    };
    for row in &ROWS {
        let run = finished(&format!("no-{}", row.name));
        let reason = if row.allow.is_some() || row.name == "forged" { "PolicyRefused" } else { "" };
        let outcome = step(&run, "head-render")["outcome"].as_str().unwrap_or_default().to_owned();
        expect(outcome != "Done" && outcome.contains(reason), "it is refused", &run);
        expect(words(&run).contains(row.place), row.place, &run);
        expect(step(&run, "head-pull").is_null() && step(&run, "head-deploy").is_null(), "nothing follows", &run);
        expect(run["status"]["phase"] != "Succeeded" && run["status"]["level"] == 0, "it is not green", &run);
        if row.allow.is_some() {
            expect(words(&run).contains("spec.trust.allow"), "it says what permits it", &run);
            // The same, permitted: it passes, and ends at the image that nobody has.
            let run = finished(&format!("yes-{}", row.name));
            expect(step(&run, "head-render")["outcome"] == "Done", "it is permitted", &run);
            expect(step(&run, "head-pull")["outcome"] == "ImageNotFound", "it goes on to the images", &run);
        }
    }
    let run = finished("flagged");
    expect(step(&run, "head-render")["outcome"] == "Done", "it is not refused", &run);
    for run in installation.list("testruns").expect("ccd answers") {
        let stack = run["status"]["domain"].as_str().unwrap_or_default().replace('.', "_");
        let made = events.about(&stack);
        expect(!stack.is_empty() && made.is_empty(), &format!("nothing was made: {made:?}"), &run);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let log = installation.kubectl(&["logs", "pod/flagged", "--all-containers"]).expect("it has a log");
    for (number, line) in FLAGGED.iter().enumerate() {
        let key = line.split(':').next().expect("a key");
        let place = format!("compose.yml:{} services.app.{key}: a swarm does not heed", number + 5);
        assert!(log.contains(&place), "{place}\n{log}");
    }
    installation.remove().expect("they go");
}

#[test]
fn what_is_permitted_is_there_and_what_is_not_said_is_taken_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let shared = folder.path().join("shared");
    std::fs::create_dir(&shared).expect("a folder");
    std::fs::write(shared.join("note"), "from the host").expect("a file");
    // The port that is permitted is where it answers: what is asked without TLS is asked at port 80.
    let connect = format!("[probe.connect]\n\"{ZONE}\" = \"127.0.0.1:443\"\n");
    let installation = Installation::plain(folder.path(), 1, &connect).expect("the installation starts");
    let service = format!(
        "command: [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/shared\"]\ninit: true\nvolumes: [\"{}:/shared:ro\"]\ncap_add: [NET_ADMIN]\n\
         ports: [{{target: 80, published: 80, mode: host}}]\n\
         logging: {{driver: gelf}}\n\
         deploy: {{endpoint_mode: dnsrr, placement: {{constraints: [node.role==manager]}}}}",
        shared.display()
    );
    let proposal = Proposal::new(folder.path(), "permitted", &compose("IMAGE", &service, ""));
    let allow = json!({
        "hostBinds": [format!("{}:ro", shared.display())], "capabilities": ["NET_ADMIN"], "ports": [80],
        "options": ["Placement"],
    });
    // Bit 12 of its capabilities is NET_ADMIN.
    let look = "cat /shared/note; test $(( 0x$(sed -n 's/CapEff:\\t//p' /proc/self/status) >> 12 & 1 )) = 1 \
                && echo admin; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true";
    let tests = json!([{
        "name": "is-as-permitted", "stage": "functional",
        "exec": {"service": "app", "command": ["sh", "-c", look]},
        // 2 GiB is what a stack of a stranger gets that asks for nothing.
        "expect": {"contains": ["from the host", "admin", "2147483648"]},
    }]);
    let mut objects = proposal.objects(
        "permitted",
        Some(&allow),
        &json!({"tests": tests, "health": {"path": "/note", "tls": "Disabled"}}),
    );
    objects[2]["spec"]["stages"] = json!(["install", "functional"]);
    installation.apply(&objects).expect("they are accepted");
    let run = installation.wait("testruns", "permitted", WITHIN, is_finished).expect("it ends");
    let rung = |name: &str| {
        let rungs = run["status"]["rungs"].as_array().expect("it has rungs");
        rungs.iter().find(|rung| rung["name"] == name).cloned().expect("every rung is there")
    };
    assert_eq!(rung("install")["status"], "Pass", "{:#}", run["status"]);
    assert_eq!(rung("functional")["status"], "Pass", "{:#}", run["status"]);
    let stack = run["status"]["domain"].as_str().expect("it has a domain").replace('.', "_");
    assert!(engine::inventory_of(&[&stack]).is_empty());
    installation.remove().expect("they go");
}
