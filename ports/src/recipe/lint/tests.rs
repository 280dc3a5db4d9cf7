//! Every rule of lint is broken once, and a good recipe breaks none.

use super::{LintInput, RULES, Report, Tag, lint};
use crate::compose::{InMemoryFiles, LoadInput, load};

const README: &str = "# demo\n<!-- metadata -->\n* **Category**: Apps\n* **Status**: 1\n* **Image**: nginx\n* **Healthcheck**: Yes\n* **Backups**: Yes\n* **Email**: No\n* **Tests**: No\n* **SSO**: No\n<!-- endmetadata -->\n";
const SAMPLE: &str =
    "TYPE=demo\nDOMAIN=demo.example.com\nCOMPOSE_FILE=\"compose.yml\"\nSECRET_KEY_VERSION=v1 # length=32\n";
const GOOD: &str = "version: \"3.8\"
services:
  app:
    image: nginx:1.27
    networks: [proxy, internal]
    volumes: [\"data:/data\"]
    secrets: [key]
    configs: [conf]
    healthcheck: {test: [CMD, \"true\"], interval: 10s, retries: 3, start_period: 5s}
    deploy:
      update_config: {failure_action: rollback, order: start-first, monitor: 40s}
      labels:
        - traefik.enable=true
        - traefik.http.services.${STACK_NAME}.loadbalancer.server.port=80
        - coop-cloud.${STACK_NAME}.version=1.0.0+1.27
        - backupbot.backup=true
networks: {proxy: {external: true}, internal: }
volumes: {data: }
secrets: {key: {external: true, name: \"${STACK_NAME}_key_${SECRET_KEY_VERSION}\"}}
configs: {conf: {file: a.conf, name: \"${STACK_NAME}_conf_${CONF_VERSION}\"}}
";

fn good() -> InMemoryFiles {
    InMemoryFiles::default()
        .with("compose.yml", GOOD)
        .with("a.conf", "x")
        .with(".env.sample", SAMPLE)
        .with("README.md", README)
        .with("abra.sh", "export CONF_VERSION=v1\n")
}

fn look(files: &InMemoryFiles, tags: &[Tag]) -> Report {
    let pairs = [("STACK_NAME", "demo"), ("CONF_VERSION", "v1"), ("SECRET_KEY_VERSION", "v1")];
    let input = LoadInput {
        stack: "demo".to_owned(),
        files: vec!["compose.yml".to_owned()],
        env: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        directory: "/recipe".to_owned(),
        ..LoadInput::default()
    };
    let stack = load(&input, files);
    lint(&LintInput { files, stack: stack.as_ref(), compose_files: &input.files, tags: Some(tags) })
}

#[test]
fn a_good_recipe_is_clean() {
    let tags = [Tag { name: "1.0.0+1.27".to_owned(), is_annotated: true }];
    let report = look(&good(), &tags);
    assert_eq!(report, Report::default());
    assert!(report.is_clean());
}

/// Each rule, what is replaced in the good recipe's compose file, and by what.
const BREACHES: [(&str, &str, &str); 22] = [
    ("R001", "version: \"3.8\"", "version: \"3.7\""),
    ("R002", "    healthcheck: {test: [CMD, \"true\"], interval: 10s, retries: 3, start_period: 5s}\n", ""),
    ("R003", "nginx:1.27\n", "nginx\n"),
    ("R004", "nginx:1.27\n", "nginx:latest\n"),
    ("R005", "nginx:1.27\n", "nginx:alpine\n"),
    ("R009", "  app:\n", "  web:\n"),
    ("R010", "traefik.enable=true", "traefik.enable=false"),
    ("R011", "    image: nginx:1.27\n", ""),
    ("R012", "_${CONF_VERSION}", ""),
    ("R012", "_${CONF_VERSION}", "_${OTHER_VERSION}"),
    ("R015", "secrets: {key:", "secrets: {key_with_a_long_name: {external: true, name: demo_k}, key:"),
    (
        "C001",
        "secrets: {key: {external: true, name: \"${STACK_NAME}_",
        "secrets: {key: {external: true, name: \"${STACK_NAME}_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ),
    ("C002", "    secrets: [key]\n", "    secrets: [key]\n    ports: [{target: 80, published: 80, mode: host}]\n"),
    (
        "C003",
        "networks: {proxy:",
        "  db:\n    image: nginx:1.27\n    networks: [proxy]\n    healthcheck: {test: a}\nnetworks: {proxy:",
    ),
    ("C004", "loadbalancer.server.port", "loadbalancer.server.scheme"),
    ("C005", ", monitor: 40s", ""),
    ("C006", "    secrets: [key]\n", "    secrets: [key]\n    depends_on: [gone]\n"),
    ("C008", "data:/data\"", "data:/data\", \"/etc/timezone:/etc/timezone:ro\""),
    ("C009", "data:/data\"", "data:/data\", \"d:/d\""),
    ("C011", "backupbot.backup=true", "backupbot.backup.pre-hook=x"),
    ("C012", "version=1.0.0+1.27", "version=one"),
    ("C013", "    secrets: [key]\n", "    secrets: [key]\n    privileged: true\n"),
];

#[test]
fn every_breach_of_the_compose_file_is_found() {
    for (id, from, to) in BREACHES {
        assert!(GOOD.contains(from), "{id}: {from}");
        let report = look(&good().with("compose.yml", GOOD.replacen(from, to, 1)), &[]);
        let found = report.findings.iter().find(|finding| finding.rule == id);
        let found = found.unwrap_or_else(|| panic!("{id} is not found among {:#?}", report.findings));
        assert!(!found.place.file.is_empty() || id == "C009", "{id}: {found:?}");
    }
}

#[test]
fn every_breach_of_another_file_is_found() {
    let check = |id: &str, files: &InMemoryFiles| {
        let report = look(files, &[]);
        assert!(report.findings.iter().any(|finding| finding.rule == id), "{id}: {:#?}", report.findings);
    };
    check("R007", &good().with("README.md", "# demo\n"));
    check("R008", &good().with(".env.sample", "nonsense\n"));
    let mut without = good();
    without.files.remove(".env.sample");
    check("R008", &without);
    check("R012", &good().with("abra.sh", ""));
    check("C007", &good().with(".env.sample", format!("{SAMPLE}COMPOSE_FILE=\"$COMPOSE_FILE:compose.gone.yml\"\n")));
    check("C007", &good().with(".env.sample", "COMPOSE_FILE=../compose.yml\n"));
    check("C010", &good().with("compose.yml", "version: \"3.8\"\nservices:\n  app: 5\n"));
    check("C014", &good().with("compose.yml", GOOD.replace("interval: 10s", "interval: \"${I:-10s}\"")));
    check("C015", &good().with(".env.sample", SAMPLE.replace("SECRET_KEY", "#SECRET_KEY")));
    let report = look(&good(), &[Tag { name: "1.0.0+1".to_owned(), is_annotated: false }]);
    assert_eq!(report.findings[0].rule, "R014");
    assert!(look(&good(), &[Tag { name: "some-tag".to_owned(), is_annotated: false }]).is_clean());
}

#[test]
fn the_version_of_a_secret_is_looked_for_under_the_name_that_the_compose_file_gives_it() {
    let cases = [
        ("the name by convention", "${SECRET_KEY_VERSION}", SAMPLE.to_owned(), None),
        ("a name of the recipe's own", "${TOKEN_VERSION}", SAMPLE.to_owned(), Some("TOKEN_VERSION")),
        ("which is there", "${TOKEN_VERSION}", SAMPLE.replace("SECRET_KEY_", "TOKEN_"), None),
        ("two of them", "${TOKEN_VERSION}_${SECRET_KEY_VERSION}", SAMPLE.to_owned(), Some("TOKEN_VERSION")),
        ("with a default", "${TOKEN_VERSION:-v1}", SAMPLE.to_owned(), Some("TOKEN_VERSION")),
        ("none at all", "v1", SAMPLE.replace("SECRET_KEY_VERSION=v1 # length=32\n", ""), None),
    ];
    for (name, version, sample, missing) in cases {
        let compose = GOOD.replace("${SECRET_KEY_VERSION}", version);
        let report = look(&good().with("compose.yml", compose).with(".env.sample", sample), &[]);
        let found: Vec<&str> = report
            .findings
            .iter()
            .filter(|finding| finding.rule == "C015")
            .map(|finding| finding.message.as_str())
            .collect();
        match missing {
            None => assert!(found.is_empty(), "{name}: {found:?}"),
            Some(variable) => {
                assert_eq!(found.len(), 1, "{name}: {found:?}");
                assert!(found[0].starts_with(&format!("`.env.sample` has no {variable}:")), "{name}: {found:?}");
            }
        }
    }
}

#[test]
fn every_rule_has_a_breach() {
    let others = ["R007", "R008", "R014", "C007", "C010", "C014", "C015"];
    for rule in RULES {
        let has = BREACHES.iter().any(|(id, _, _)| *id == rule.id) || others.contains(&rule.id);
        assert!(has, "no breach of {}", rule.id);
    }
}

#[test]
fn what_was_not_looked_at_did_not_pass() {
    let files = good().with("compose.yml", "version: \"3.8\"\nservices:\n  app: 5\n");
    let report = look(&files, &[]);
    assert!(!report.is_clean());
    assert!(report.unverified.iter().any(|(id, _)| *id == "R009"));
    let stack = crate::compose::Stack::default();
    let input = LintInput { files: &good(), stack: Ok(&stack), compose_files: &[], tags: None };
    assert!(!lint(&input).is_clean(), "tags that are not known are not good tags");
}
