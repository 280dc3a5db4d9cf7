//! What the loader does beside what Docker prints: places, files, changes, specs, bounds.

use std::collections::BTreeMap;

use crate::compose::interpolate::{Failure, substitute};
use crate::compose::source::{CheckoutFiles, clean};
use crate::compose::stack::UpdateOrder;
use crate::compose::{
    InMemoryFiles, LoadError, LoadInput, ReadError, RecipeFiles as _, ServiceChange, Stack, durations, load,
    merge_files,
};
use crate::swarm::spec::{FileTarget, ServiceMode};

fn input(files: &[&str]) -> LoadInput {
    LoadInput {
        stack: "demo".to_owned(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        directory: "/recipe".to_owned(),
        ..LoadInput::default()
    }
}

fn load_one(text: &str) -> Result<Stack, LoadError> {
    load(&input(&["compose.yml"]), &InMemoryFiles::default().with("compose.yml", text).with("a.txt", "hello"))
}

fn first(error: &LoadError) -> String {
    let finding = &error.findings[0];
    format!("{} {}", finding.rule, finding)
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let head = "version: \"3.8\"\nservices:\n  app:\n    image: nginx\n";
    let cases = [
        (
            "    nonsense: 1\n",
            "UnknownKey compose.yml:5 services.app.nonsense: the key `nonsense` is not known here: remove it",
        ),
        (
            "    oom_score_adj: 1\n",
            "UnknownKey compose.yml:5 services.app.oom_score_adj: the key `oom_score_adj` needs `version: \"3.13\"` or newer",
        ),
        (
            "    deploy:\n      replicas: many\n",
            "WrongType compose.yml:6 services.app.deploy.replicas: must be a whole number, not text",
        ),
        (
            "    cap_add:\n      - A\n      - [B]\n",
            "WrongType compose.yml:7 services.app.cap_add[1]: must be text, not a list",
        ),
        (
            "    networks: [gone]\n",
            "UndefinedNetwork compose.yml:5 services.app.networks[0]: the network \"gone\" is not declared under `networks`",
        ),
        (
            "    volumes: [\"gone:/x\"]\n",
            "UndefinedVolume compose.yml:5 services.app.volumes[0]: the volume \"gone\" is not declared under `volumes`",
        ),
        (
            "    secrets:\n      - gone\n",
            "UndefinedReference compose.yml:6 services.app.secrets[0]: the secret \"gone\" is not declared under `secrets`",
        ),
        (
            "    restart: sometimes\n",
            "InvalidValue compose.yml:5 services.app.restart: \"sometimes\" is none of no, always, on-failure and unless-stopped",
        ),
        (
            "    mem_limit: 5m\n",
            "ForbiddenKey compose.yml:5 services.app.mem_limit: the key `mem_limit` is not for swarms: use `deploy.resources`",
        ),
        (
            "    labels:\n      a: \"${X:?tell me}\"\n",
            "InvalidVariable compose.yml:6 services.app.labels.a: the variable X is required (tell me): set it in the app's environment",
        ),
        (
            "  two:\n    hostname: x\n",
            "InvalidImage compose.yml:5 services.two: the service has no image: a swarm does not build any",
        ),
        (
            "configs:\n  c:\n    file: ./none.txt\n",
            "UnreadableFile compose.yml:7 configs.c.file: the file \"none.txt\" cannot be read: there is no such file in the recipe",
        ),
        ("configs:\n  c: {}\n", "MissingKey compose.yml:6 configs.c: it needs a `file`, or `external: true`"),
        ("    image: twice\n", "DuplicateKey compose.yml:5: the key \"image\" stands twice: the first is in line 4"),
    ];
    for (rest, wanted) in cases {
        let error = load_one(&format!("{head}{rest}")).expect_err(rest);
        assert_eq!(first(&error), wanted);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let error = load_one("version: \"3.8\"\nservices:\n  app:\n    image: 5\n    tty: maybe\n    user: 1\n")
        .expect_err("three");
    assert_eq!(error.findings.len(), 3);
    assert!(error.to_string().ends_with("(and 2 more)"), "{error}");
}

#[test]
fn images_are_told_from_what_is_none() {
    for (image, fits) in [
        ("nginx", true),
        ("nginx:1.27", true),
        ("127.0.0.1:5000/a/b:1", true),
        ("ghcr.io/a_b/c--d:V1_x.y", true),
        ("a@sha256:0123456789012345678901234567890123456789012345678901234567890123", true),
        ("Nginx", false),
        ("nginx:", false),
        ("a b", false),
        ("a//b", false),
        ("-a", false),
        ("a:b:c", false),
        ("a@sha256:12", false),
    ] {
        let outcome = load_one(&format!("version: \"3.8\"\nservices:\n  app:\n    image: \"{image}\"\n"));
        assert_eq!(outcome.is_ok(), fits, "{image}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one stack, looked at from all sides")]
fn a_stack_has_docker_s_names_labels_and_defaults() {
    let text = "
version: \"3.8\"
services:
  app:
    image: nginx:1
    environment: {B: 2, A: 1, C: }
    networks: [internal, proxy]
    volumes: [\"data:/data\", \"/anonymous\"]
    secrets: [{source: key, target: other, mode: 0440}]
    configs: [conf]
    ports: [\"443:443\", \"80:80\"]
    stop_grace_period: 1m
    cap_add: [net_admin, SYS_TIME]
    cap_drop: [ALL]
    labels: {com.docker.stack.namespace: forged}
    extra_hosts: [\"a:1.2.3.4\"]
    depends_on: [db]
    privileged: true
    deploy:
      replicas: 2
      labels: [x=y]
      resources: {limits: {cpus: \"0.5\", memory: 50M}}
  db:
    image: postgres
    restart: on-failure:3
networks:
  proxy: {external: true}
  internal: {internal: true}
  unused: {}
volumes: {data: {labels: {l: v}}}
secrets: {key: {external: true, name: demo_key_v1}}
configs: {conf: {file: ./a.txt, name: demo_conf_v1, template_driver: golang}}
";
    let stack = load_one(text).unwrap_or_else(|error| panic!("{error}"));
    let app = stack.service("app").expect("app");
    let (spec, container) = (&app.spec, &app.spec.task_template.container_spec);
    assert_eq!(spec.name, "demo_app");
    assert_eq!(spec.labels["com.docker.stack.image"], "nginx:1");
    assert_eq!(container.labels["com.docker.stack.namespace"], "demo", "a file cannot say whose it is");
    assert_eq!(container.env, ["A=1", "B=2", "C"]);
    assert_eq!(container.stop_grace_period, Some(60 * durations::SECOND));
    assert_eq!(container.capability_add, ["CAP_NET_ADMIN", "CAP_SYS_TIME"]);
    assert_eq!(container.capability_drop, ["ALL"]);
    assert_eq!(container.hosts, ["1.2.3.4 a"]);
    assert_eq!(container.secrets[0].name, "demo_key_v1");
    let file = FileTarget { name: "other".to_owned(), mode: 0o440, ..FileTarget::default() };
    assert_eq!(container.secrets[0].file, file);
    assert_eq!(container.configs[0].file, FileTarget { name: "conf".to_owned(), ..FileTarget::default() });
    let mounts: Vec<(&str, &str)> =
        container.mounts.iter().map(|mount| (mount.source.as_str(), mount.target.as_str())).collect();
    assert_eq!(mounts, [("demo_data", "/data"), ("", "/anonymous")]);
    let labels = &container.mounts[0].volume_options.as_ref().expect("options").labels;
    assert_eq!(labels["com.docker.stack.namespace"], "demo");
    let networks: Vec<(&str, &str)> = spec
        .task_template
        .networks
        .iter()
        .map(|network| (network.target.as_str(), network.aliases[0].as_str()))
        .collect();
    assert_eq!(networks, [("demo_internal", "app"), ("proxy", "app")]);
    let ports: Vec<u32> =
        spec.endpoint_spec.as_ref().expect("an endpoint").ports.iter().map(|port| port.published_port).collect();
    assert_eq!(ports, [80, 443]);
    assert_eq!(spec.mode, ServiceMode::Replicated { replicas: Some(2) });
    let limits = spec.task_template.resources.clone().and_then(|resources| resources.limits).expect("limits");
    assert_eq!((limits.nano_cpus, limits.memory_bytes), (500_000_000, 50 << 20));
    let policy = stack.service("db").expect("db").spec.task_template.restart_policy.clone().expect("a policy");
    assert_eq!((policy.condition.as_str(), policy.max_attempts), ("on-failure", Some(3)));
    assert_eq!(app.depends_on, ["db"]);
    assert_eq!(app.ignored["privileged"], true);
    let networks: Vec<(&str, bool)> =
        stack.networks.iter().map(|network| (network.name.as_str(), network.external)).collect();
    assert_eq!(networks, [("demo_default", false), ("demo_internal", false), ("proxy", true)]);
    assert_eq!(stack.configs[0].data.as_deref(), Some(b"hello".as_slice()));
    assert!(stack.configs[0].is_template);
    assert_eq!(stack.secrets[0].used_by, ["app"]);
    assert_eq!(stack.images(), ["nginx:1", "postgres"]);
    let warnings: Vec<String> = stack.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["compose.yml:18 services.app.privileged: a swarm does not heed `privileged`: remove it"]);
}

#[test]
fn changes_are_made_on_the_merged_tree() {
    let mut input = input(&["compose.yml"]);
    let change = ServiceChange {
        image: Some("nginx:2".to_owned()),
        env: BTreeMap::from([("B".to_owned(), "x".to_owned())]),
        health_start_period: Some(90 * durations::SECOND),
        health_retries: Some(9),
        update_order: Some(UpdateOrder::StopFirst),
        stop_grace_period: Some(durations::SECOND),
        ..ServiceChange::default()
    };
    input.changes.insert("app".to_owned(), change);
    let files = InMemoryFiles::default().with(
        "compose.yml",
        "version: \"3.8\"\nservices:\n  app:\n    image: nginx:1\n    environment: [A=1, B=2]\n    healthcheck: {test: a, interval: 5s}\n    deploy: {update_config: {order: start-first, parallelism: 3}}\n",
    );
    let stack = load(&input, &files).unwrap_or_else(|error| panic!("{error}"));
    let spec = &stack.service("app").expect("app").spec;
    let container = &spec.task_template.container_spec;
    assert_eq!(container.image, "nginx:2");
    assert_eq!(container.env, ["A=1", "B=x"]);
    let check = container.healthcheck.as_ref().expect("a check");
    assert_eq!((check.interval, check.start_period, check.retries), (5 * durations::SECOND, 90 * durations::SECOND, 9));
    let update = spec.update_config.as_ref().expect("an update");
    assert_eq!((update.order.as_str(), update.parallelism), ("stop-first", 3));
    input.changes.insert("gone".to_owned(), ServiceChange::default());
    let error = load(&input, &files).expect_err("there is no such service");
    assert!(error.to_string().contains("\"gone\", but the recipe has only app"), "{error}");
}

#[test]
fn a_merged_file_means_the_same_without_its_environment() {
    let mut first = input(&["compose.yml"]);
    first.env.insert("A".to_owned(), "$x".to_owned());
    let text = "version: \"3.8\"\nservices:\n  app:\n    image: nginx\n    labels: {a: \"$A $$B\"}\n    healthcheck: {test: [CMD, \"true\"], interval: 90s}\n";
    let files = InMemoryFiles::default().with("compose.yml", text);
    let merged = merge_files(&first, &files).unwrap_or_else(|error| panic!("{error}"));
    let again = InMemoryFiles::default().with("compose.yml", merged.to_compose_file());
    let stack = load(&first, &files).unwrap_or_else(|error| panic!("{error}"));
    let same = load(&input(&["compose.yml"]), &again).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stack.services, same.services);
}

#[test]
fn bombs_are_refused() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (name, before) in ["b", "c", "d", "e", "f", "g", "h"].iter().zip(["a", "b", "c", "d", "e", "f", "g"]) {
        text.push_str(&format!("{name}: &{name} [{}]\n", vec![format!("*{before}"); 10].join(", ")));
    }
    assert!(load_one(&text).expect_err("a bomb").findings[0].rule == "TooLarge");
    let deep = "[".repeat(5000);
    assert!(load_one(&deep).is_err());
    let deep: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(load_one(&deep).is_err());
    assert!(load_one("a: &a [*a]\n").is_err(), "an anchor that contains itself");
    assert!(load_one(&"x".repeat(2 << 20)).is_err(), "too large");
}

#[test]
fn quoted_merge_keys_are_keys() {
    let stack = load_one("version: \"3.8\"\nservices:\n  app:\n    image: nginx\n    labels:\n      \"<<\": a\n");
    let stack = stack.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(stack.services[0].spec.task_template.container_spec.labels["<<"], "a");
}

#[test]
fn paths_stay_inside() {
    assert_eq!(clean("./a//b/../c"), Ok("a/c".to_owned()));
    assert_eq!(clean("a/../../b"), Err(ReadError::Outside));
    assert_eq!(clean("/etc/shadow"), Err(ReadError::Outside));
}

#[test]
fn a_checkout_on_disk_does_not_let_links_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("recipe");
    std::fs::create_dir_all(root.join("inner")).expect("a folder");
    std::fs::write(folder.path().join("outside"), "secret").expect("a file");
    std::fs::write(root.join("inner/file"), "inside").expect("a file");
    std::os::unix::fs::symlink("../outside", root.join("relative")).expect("a link");
    std::os::unix::fs::symlink("/etc/passwd", root.join("absolute")).expect("a link");
    std::os::unix::fs::symlink("inner", root.join("fine")).expect("a link");
    std::os::unix::fs::symlink("/proc/self/root/etc/passwd", root.join("magic")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    let files = CheckoutFiles::open(&root).expect("it opens");
    assert_eq!(files.read("fine/file", 10), Ok(b"inside".to_vec()));
    assert_eq!(files.read("inner/file", 5), Err(ReadError::TooLarge { bytes_max: 5 }));
    for name in ["relative", "absolute", "magic"] {
        assert_eq!(files.read(name, 100), Err(ReadError::Outside), "{name}");
    }
    assert_eq!(files.read("inner", 100), Err(ReadError::NotAFile));
    assert_eq!(files.read("pipe", 100), Err(ReadError::NotAFile));
    assert_eq!(files.read("none", 100), Err(ReadError::Missing));
    assert_eq!(files.list("inner"), Ok(vec!["file".to_owned()]));
    assert_eq!(files.list("none"), Ok(Vec::new()));
    assert!(CheckoutFiles::open(&root.join("none")).is_err());
}

#[test]
fn durations_are_read_and_printed_as_go_does() {
    for (text, nanoseconds, printed) in [
        ("1m30s", 90 * durations::SECOND, "1m30s"),
        ("1.5h", 5400 * durations::SECOND, "1h30m0s"),
        ("100ms", 100_000_000, "100ms"),
        ("0", 0, "0s"),
        ("-2s", -2 * durations::SECOND, "-2s"),
        ("1us", 1_000, "1\u{b5}s"),
        (".5s", 500_000_000, "500ms"),
        ("1h0.001s", 3600 * durations::SECOND + 1_000_000, "1h0m0.001s"),
    ] {
        assert_eq!(durations::parse(text), Some(nanoseconds), "{text}");
        assert_eq!(durations::print(nanoseconds), printed);
    }
    for text in ["", "5", "s", "1 s", "1x", ".s", "1.2.3s", "9999999h", "+"] {
        assert_eq!(durations::parse(text), None, "{text}");
    }
}

/// Variables replaced by the letter of the grammar, written another way than the real one.
fn model(template: &str, env: &BTreeMap<String, String>) -> Result<String, Failure> {
    let letters: Vec<char> = template.chars().collect();
    let (mut out, mut at, mut failure) = (String::new(), 0, None);
    while at < letters.len() {
        if letters[at] != '$' {
            out.push(letters[at]);
            at += 1;
            continue;
        }
        at += 1;
        if letters.get(at) == Some(&'$') {
            out.push('$');
            at += 1;
            continue;
        }
        let is_braced = letters.get(at) == Some(&'{');
        let start = at + usize::from(is_braced);
        let name_end = start
            + letters[start.min(letters.len())..]
                .iter()
                .take_while(|letter| letter.is_ascii_alphanumeric() || **letter == '_')
                .count();
        let has_name = name_end > start && !letters[start].is_ascii_digit();
        let mut end = name_end;
        let after: String = letters[name_end.min(letters.len())..].iter().take(2).collect();
        if after.starts_with(['-', '?']) || after == ":-" || after == ":?" {
            end = name_end + letters[name_end..].iter().take_while(|letter| **letter != '}').count();
        }
        let is_closed = !is_braced || letters.get(end) == Some(&'}');
        if !has_name || !is_closed {
            failure = Some(Failure::Invalid);
            continue;
        }
        let expression: String = letters[start..end].iter().collect();
        at = end + usize::from(is_braced);
        let split = [":-", "-", ":?", "?"].iter().find_map(|sign| Some((*sign, expression.split_once(sign)?)));
        failure = None;
        match split {
            None => out.push_str(env.get(&expression).map_or("", String::as_str)),
            Some((sign, (name, rest))) => {
                let value = env.get(name).filter(|value| !sign.starts_with(':') || !value.is_empty());
                match (value, sign.ends_with('-')) {
                    (Some(value), _) => out.push_str(value),
                    (None, true) => out.push_str(rest),
                    (None, false) => {
                        failure = Some(Failure::Required { name: name.to_owned(), message: rest.to_owned() });
                    }
                }
            }
        }
    }
    failure.map_or(Ok(out), Err)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn variables_are_replaced_as_the_model_does(template in "[$AB{}:?\\-x1 ]{0,24}") {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), String::new())]);
        let ours = substitute(&template, &env).map(|done| done.text);
        proptest::prop_assert_eq!(ours, model(&template, &env), "{}", template);
    }

    #[test]
    fn any_text_is_loaded_or_refused(text in "[ -~\\n]{0,300}") {
        let _ = load_one(&text);
    }

    #[test]
    fn any_lines_below_a_service_are_loaded_or_refused(lines in proptest::collection::vec(service_line(), 0..8)) {
        let text = format!("version: \"3.8\"\nservices:\n  app:\n    image: nginx\n{}", lines.concat());
        let _ = load_one(&text);
    }

    #[test]
    fn merging_a_file_into_itself_changes_no_scalar(lines in proptest::collection::vec(scalar_line(), 0..6)) {
        let mut lines = lines;
        lines.sort();
        lines.dedup_by(|one, other| one.split(':').next() == other.split(':').next());
        let text = format!("version: \"3.8\"\nservices:\n  app:\n    image: nginx\n{}", lines.concat());
        let files = InMemoryFiles::default().with("compose.yml", text.clone()).with("compose.two.yml", text);
        let once = merge_files(&input(&["compose.yml"]), &files).expect("it loads");
        let twice = merge_files(&input(&["compose.yml", "compose.two.yml"]), &files).expect("it loads");
        proptest::prop_assert_eq!(once.to_json(), twice.to_json());
    }
}

fn service_line() -> impl proptest::strategy::Strategy<Value = String> {
    let key = "(ports|volumes|networks|deploy|environment|labels|healthcheck|command|secrets|ulimits|extra_hosts|<<)";
    let value =
        "(\\[[a-z0-9:/, \"]{0,20}\\]|\\{[a-z]{1,6}: [a-z0-9:/\"$]{0,12}\\}|[ -~]{0,20}|\\*a|&a [a-z0-9.:/]{1,9})";
    proptest::strategy::Strategy::prop_map((key, value), |(key, value)| format!("    {key}: {value}\n"))
}

fn scalar_line() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::strategy::Union::new([
        "    hostname: [a-z]{1,8}\n",
        "    user: \"[0-9]{1,4}\"\n",
        "    command: \\[[a-z]{1,4}, [a-z]{1,4}\\]\n",
        "    environment: \\{A: [a-z0-9]{0,4}, B: \"[ -!#%-\\[\\]-~]{0,6}\"\\}\n",
        "    labels: \\{a: [a-z0-9]{0,4}, b: [0-9]{1,4}\\}\n",
        "    stop_grace_period: [0-9]{1,3}(s|m)\n",
        "    tty: (true|false)\n",
        "    ulimits: \\{nproc: [1-9][0-9]{0,4}\\}\n",
    ])
}
