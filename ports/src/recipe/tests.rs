//! Tests of the conventions.

use std::collections::BTreeMap;

use super::base::{Base, Candidates, Published, choose};
use super::env::{EnvFile, quote};
use super::secret::{Charset, Rule, VersionVariables, generate};
use super::version::{RecipeVersion, Step};
use super::{abra_sh, app, backup, labels, names, release, secret};
use crate::compose::{InMemoryFiles, LoadInput, Stack, load};

fn version(text: &str) -> RecipeVersion {
    RecipeVersion::parse(text).unwrap_or_else(|| panic!("{text} is a version"))
}

/// Bytes that look random and are the same each time.
fn counting() -> impl FnMut(&mut [u8]) {
    let mut state = 1u64;
    move |bytes: &mut [u8]| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 56) as u8;
        }
    }
}

fn stack(compose: &str, env: &[(&str, &str)]) -> Stack {
    let files = InMemoryFiles::default().with("compose.yml", compose);
    let input = LoadInput {
        stack: "demo_ci_example".to_owned(),
        files: vec!["compose.yml".to_owned()],
        env: env.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        directory: "/recipe".to_owned(),
        ..LoadInput::default()
    };
    load(&input, &files).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_stack_is_named_after_its_domain() {
    assert_eq!(names::stack_name("cust-e084bd.ci.example.org"), "cust-e084bd_ci_example_org");
    assert_eq!(names::stack_name(&format!("{}.example.org", "a".repeat(50))).len(), names::STACK_CHARACTERS_MAX);
}

#[test]
fn names_that_a_swarm_would_refuse_are_found_first() {
    let long = "a".repeat(50);
    let compose = format!(
        "version: \"3.8\"\nservices:\n  app:\n    image: nginx\nsecrets:\n  {long}:\n    external: true\n    name: ${{STACK_NAME}}_{long}_v1\n"
    );
    let findings = names::check_lengths(&stack(&compose, &[("STACK_NAME", "demo_ci_example")]));
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].place.to_string(), format!("compose.yml:8 secrets.{long}.name"));
    assert!(findings[0].message.contains("69 characters"), "{}", findings[0].message);
}

#[test]
fn an_env_file_is_read_as_abra_reads_it() {
    let text = "\
# a comment
TYPE=gitea
export DOMAIN=gitea.example.com
PLAIN=a b  # comment
SINGLE='$DOMAIN \"x\"'
DOUBLE=\"a\\nb $DOMAIN \\$PLAIN\"
EMPTY=
HASH=a#b
MULTI='one
two'
COMPOSE_FILE=\"compose.yml\"
COMPOSE_FILE=\"$COMPOSE_FILE:compose.${PLAIN}.yml\"
lower=$lower
UNKNOWN=${NOPE}x
SECRET_JWT_VERSION=v1 # length=43 charset=default,special
#SECRET_OFF_VERSION=v1 # length=43
CRON='*/5 * * * *'
EXTRA_DOMAINS=', `www.example.com`'
LAST=\"it's\" # generate=false
";
    let file = EnvFile::parse(".env", text).expect("it is an env file");
    let wanted = [
        ("TYPE", "gitea"),
        ("DOMAIN", "gitea.example.com"),
        ("PLAIN", "a b"),
        ("SINGLE", "$DOMAIN \"x\""),
        ("DOUBLE", "a\nb gitea.example.com $PLAIN"),
        ("EMPTY", ""),
        ("HASH", "a#b"),
        ("MULTI", "one\ntwo"),
        ("COMPOSE_FILE", "compose.yml:compose.a b.yml"),
        ("lower", "$lower"),
        ("UNKNOWN", "x"),
        ("CRON", "*/5 * * * *"),
        ("EXTRA_DOMAINS", ", `www.example.com`"),
        ("LAST", "it's"),
    ];
    for (key, value) in wanted {
        assert_eq!(file.get(key), Some(value), "{key}");
    }
    assert_eq!(file.get("SECRET_OFF_VERSION"), None, "a commented line drops its modifiers");
    let jwt = file.entry("SECRET_JWT_VERSION").expect("it is there");
    assert_eq!(jwt.modifiers["length"], "43");
    assert_eq!(jwt.modifiers["charset"], "default,special");
    assert_eq!(jwt.line, 15, "a value of two lines counts as two");
    assert_eq!(file.entry("LAST").expect("it is there").modifiers["generate"], "false");
}

#[test]
fn a_line_that_is_no_assignment_is_named() {
    let findings = EnvFile::parse(".env", "A=1\nnonsense\nB='open\n").expect_err("two lines are wrong");
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(texts, [".env:2: the line is neither `KEY=value` nor a comment", ".env:3: a quote is not closed"]);
}

#[test]
fn setting_a_variable_leaves_the_rest_as_it_was() {
    let mut file = EnvFile::parse(".env", "# top\nTYPE=gitea\nSECRET_A_VERSION=v1 # length=5\nX=1").expect("fine");
    file.set("TYPE", "gitea:1.2.0+1.0");
    file.set("SECRET_A_VERSION", "v2");
    file.set("NEW", "it's $5 \"new\"\n");
    assert_eq!(
        file.text(),
        "# top\nTYPE=gitea:1.2.0+1.0\nSECRET_A_VERSION=v2 # length=5\nX=1\nNEW=\"it's \\$5 \\\"new\\\"\\n\"\n"
    );
    assert_eq!(file.get("NEW"), Some("it's $5 \"new\"\n"));
}

proptest::proptest! {
    #[test]
    fn what_is_quoted_is_read_back(value in "[ -~\\n\u{e9}]{0,40}") {
        let text = format!("A={}\n", quote(&value));
        let file = EnvFile::parse(".env", &text).expect("it is well formed");
        proptest::prop_assert_eq!(file.get("A"), Some(value.as_str()), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[ -~\\n\\t'\"\\\\$={}#\u{e9}]{0,200}") {
        let _ = EnvFile::parse(".env", &text);
    }

    #[test]
    fn versions_have_one_order(one in version_text(), two in version_text(), three in version_text()) {
        let (one, two, three) = (version(&one), version(&two), version(&three));
        proptest::prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
        proptest::prop_assert_eq!(one == two, one.cmp(&two).is_eq());
        if one <= two && two <= three {
            proptest::prop_assert!(one <= three);
        }
    }
}

fn version_text() -> impl proptest::strategy::Strategy<Value = String> {
    "[0-2]\\.[0-2]\\.[0-2]\\+[0-9a.-]{1,5}"
}

#[test]
fn versions_are_ordered_by_both_parts() {
    let mut versions =
        ["2.0.0+1.0", "1.10.0+1.0", "1.9.0+v1.10.0", "1.9.0+v1.9.1", "1.9.0+1.0-b", "0.1.0"].map(version);
    versions.sort();
    let texts: Vec<String> = versions.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["0.1.0", "1.9.0+1.0-b", "1.9.0+v1.9.1", "1.9.0+v1.10.0", "1.10.0+1.0", "2.0.0+1.0"]);
}

#[test]
fn what_is_no_version_is_none() {
    for text in ["", "1.0", "1.0.0.0", "v1.0.0+1", "1.0.0+", "01.0.0+1", "1.0.0+a b", "1.a.0+1", "1.0.0-rc1+1", "main"]
    {
        assert_eq!(RecipeVersion::parse(text), None, "{text}");
    }
}

#[test]
fn steps_are_told_apart() {
    let steps = [
        ("1.2.3+1", "1.2.3+1", Step::Same),
        ("1.2.3+1", "1.2.3+2", Step::Upstream),
        ("1.2.3+1", "1.2.4+1", Step::Patch),
        ("1.2.3+1", "1.3.0+1", Step::Minor),
        ("1.2.3+1", "2.0.0+1", Step::Major),
        ("1.2.3+1", "1.2.2+9", Step::Down),
    ];
    for (from, to, step) in steps {
        assert_eq!(version(from).step_to(&version(to)), step, "{from} to {to}");
    }
}

fn published(text: &str) -> Published {
    Published { version: version(text), commit: format!("commit of {text}"), is_annotated: true }
}

#[test]
fn the_base_of_an_upgrade_is_chosen_with_a_reason() {
    let all = ["1.0.0+1", "1.1.0+1", "1.2.0+1"].map(published);
    let head = |text: &str| Candidates {
        head_version: Some(version(text)),
        head_commit: "head",
        published: &all,
        ..Candidates::default()
    };
    let text = |base: Base| match base {
        Base::Version { version, reason, .. } => format!("{version}: {reason}"),
        Base::Commit { commit, reason } => format!("{commit}: {reason}"),
        Base::None { reason } => reason,
    };
    let cases = [
        (
            Candidates { last_green: Some(("1.1.0+1", "c")), ..head("1.2.0+1") },
            "1.1.0+1: 1.1.0+1 is the newest version that passed.",
        ),
        (
            Candidates { last_green: Some(("1.2.0+1", "c")), ..head("1.2.0+1") },
            "1.1.0+1: The newest version that passed, 1.2.0+1, is not older than the head, so it is the newest published version before it: 1.1.0+1.",
        ),
        (
            Candidates { target_tip: Some("tip"), ..head("1.2.0+1") },
            "tip: No version passed yet, so the upgrade starts from the tip of the target branch.",
        ),
        (head("1.2.0+1"), "1.1.0+1: No version passed yet, so it is the newest published version before it: 1.1.0+1."),
        (
            head("1.0.0+1"),
            "No version passed yet, and no older version is published: there is nothing to upgrade from.",
        ),
        (
            Candidates { target_tip: Some("head"), published: &[], ..head("1.0.0+1") },
            "No version passed yet, and no older version is published: there is nothing to upgrade from.",
        ),
        (Candidates { wanted: Some("1.0.0+1"), ..head("1.2.0+1") }, "1.0.0+1: 1.0.0+1 was asked for."),
        (
            Candidates { wanted: Some("9.0.0+1"), ..head("1.2.0+1") },
            "The version 9.0.0+1 that was asked for is not published.",
        ),
        (
            Candidates { wanted: Some("1.2.0+1"), head_commit: "commit of 1.2.0+1", ..head("1.2.0+1") },
            "The version 1.2.0+1 that was asked for is the head itself: ask for an older one.",
        ),
        (
            Candidates { head_version: None, last_green: Some(("1.2.0+1", "head")), ..head("1.2.0+1") },
            "1.2.0+1: The newest version that passed, 1.2.0+1, is not older than the head, so it is the newest published version before it: 1.2.0+1.",
        ),
    ];
    for (candidates, wanted) in cases {
        assert_eq!(text(choose(&candidates)), wanted);
    }
}

#[test]
fn secrets_are_made_by_the_modifiers_of_the_apps_own_file() {
    let compose = "\
version: \"3.8\"
services:
  app:
    image: nginx
    secrets: [plain, long, hex, hand, wrong]
secrets:
  plain: {external: true, name: demo_ci_example_plain_v1}
  long: {external: true, name: demo_ci_example_long_v2}
  hex: {external: true, name: demo_ci_example_hex_v1}
  hand: {external: true, name: demo_ci_example_hand_v1}
  wrong: {external: true, name: demo_ci_example_wrong_v1}
  unused: {external: true, name: demo_ci_example_unused_v1}
";
    let env = "SECRET_LONG_VERSION=v2 # length=128\nSECRET_HEX_VERSION=v1 # length=5 charset=hex\nSECRET_HAND_VERSION=v1 # generate=false\nSECRET_WRONG_VERSION=v1 # length=5 charset=klingon\n";
    let env = EnvFile::parse(".env", env).expect("fine");
    let (secrets, findings) = secret::wanted(&stack(compose, &[]), &env, &VersionVariables::default());
    let rules: Vec<(&str, &str, Rule)> =
        secrets.iter().map(|secret| (secret.key.as_str(), secret.version.as_str(), secret.rule)).collect();
    assert_eq!(
        rules,
        [
            ("hand", "v1", Rule::ByHand),
            ("hex", "v1", Rule::Password { length: 5, charset: Charset::Hex }),
            ("long", "v2", Rule::Password { length: 128, charset: Charset::Plain }),
            ("plain", "v1", Rule::Passphrase),
            ("wrong", "v1", Rule::ByHand),
        ]
    );
    assert_eq!(findings.len(), 1);
    assert!(findings[0].message.contains("charset=klingon"), "{}", findings[0].message);
}

#[test]
fn the_version_of_a_secret_is_in_the_variable_that_its_name_is_made_of() {
    let mut variables = VersionVariables::default();
    let text = "\
secrets:
  ssl_cert: {external: true, name: \"${STACK_NAME}_ssl_cert_${SECRET_WILDCARD_CERT_VERSION}\"}
  plain: {external: true, name: \"${STACK_NAME}_plain_${SECRET_PLAIN_VERSION:-v1}\"}
  fixed: {external: true, name: \"${STACK_NAME}_fixed_v1\"}
";
    variables.read("compose.wildcard.yml", text);
    variables.read("compose.broken.yml", "secrets: [");
    for (key, expected) in [
        ("ssl_cert", "SECRET_WILDCARD_CERT_VERSION"),
        ("plain", "SECRET_PLAIN_VERSION"),
        ("fixed", "SECRET_FIXED_VERSION"),
        ("other-one", "SECRET_OTHER_ONE_VERSION"),
    ] {
        assert_eq!(variables.of(key), expected, "{key}");
    }
}

#[test]
fn values_are_made_of_the_characters_asked_for() {
    let mut random = counting();
    for charset in [Charset::Plain, Charset::Special, Charset::SafeSpecial, Charset::PlainAndSpecial, Charset::Hex] {
        let value = generate(Rule::Password { length: 500, charset }, &mut random).expect("a value");
        assert_eq!(value.chars().count(), 500);
        let allowed = charset.characters();
        assert!(value.chars().all(|letter| allowed.contains(letter)), "{charset:?}: {value}");
        let missing: Vec<char> = allowed.chars().filter(|letter| !value.contains(*letter)).collect();
        assert!(missing.len() < 3, "{charset:?} hardly ever draws {missing:?}");
    }
    let phrase = generate(Rule::Passphrase, &mut random).expect("a value");
    assert_eq!(phrase.split(' ').count(), 6, "{phrase}");
    assert_eq!(generate(Rule::ByHand, &mut random), None);
    assert_eq!(Charset::Plain.characters().len(), 57, "no l, I, O, 0 and 1");
}

#[test]
fn abra_sh_is_not_run() {
    let text = "export A_VERSION=v1\n  export INDENTED=v2\nexport B=\"v 3\"\nexport C=$(date)\nD=v4\nexport 1X=y\n\nfunction one () {\n}\ntwo() {\n";
    let exports = abra_sh::exports(text);
    let wanted = [("A_VERSION", "v1"), ("B", "v 3"), ("C", "$(date)")];
    assert_eq!(exports, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    assert_eq!(abra_sh::functions(text), ["one", "two"]);
}

#[test]
fn an_apps_environment_has_its_layers_in_order() {
    let pairs = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let environment = app::AppEnvironment {
        recipe: "gitea",
        version: "1.0.0+1",
        domain: "git.example.org",
        sample: pairs(&[("A", "sample"), ("B", "sample"), ("STACK_NAME", "other"), ("DOMAIN", "gitea.example.com")]),
        env: pairs(&[("B", "own"), ("CONF_VERSION", "v0")]),
        abra_sh: "export CONF_VERSION=v3\n",
    };
    let wanted = pairs(&[
        ("A", "sample"),
        ("B", "own"),
        ("CONF_VERSION", "v3"),
        ("DOMAIN", "git.example.org"),
        ("STACK_NAME", "git_example_org"),
        ("TYPE", "gitea:1.0.0+1"),
    ]);
    assert_eq!(environment.variables(), wanted);
    assert_eq!(app::fill_sample("DOMAIN=gitea.example.com", "gitea", "git.example.org"), "DOMAIN=git.example.org");
}

#[test]
fn compose_files_stay_inside() {
    let files = |text: &str| app::compose_files(&BTreeMap::from([("COMPOSE_FILE".to_owned(), text.to_owned())]));
    assert_eq!(
        files("compose.yml:./tune/compose.x.yml:compose.yml").expect("fine"),
        ["compose.yml", "tune/compose.x.yml"]
    );
    assert_eq!(files("").expect("fine"), ["compose.yml"]);
    assert_eq!(files("../compose.yml").expect_err("outside"), "../compose.yml");
    assert_eq!(files("/etc/passwd").expect_err("outside"), "/etc/passwd");
}

#[test]
fn labels_say_what_is_deployed() {
    let compose = "\
version: \"3.8\"
services:
  app:
    image: nginx
    environment: [OWN=1]
    deploy:
      labels:
        - \"coop-cloud.${STACK_NAME}.version=1.0.0+1\"
        - \"coop-cloud.${STACK_NAME}.timeout=${TIMEOUT:-300}\"
";
    let mut stack = stack(compose, &[("STACK_NAME", "demo_ci_example")]);
    let written = labels::of_stack(&stack);
    assert_eq!(written.version.as_deref(), Some("1.0.0+1"));
    assert_eq!(written.timeout, Some(std::time::Duration::from_secs(300)));
    let identity = labels::Identity {
        recipe: "demo".to_owned(),
        version: None,
        chaos_commit: Some("7ae7b0f7aaaaaaaa".to_owned()),
    };
    labels::write(&mut stack, &identity);
    let labels = &stack.service("app").expect("app").spec.labels;
    let written = labels::read(labels, "demo_ci_example");
    assert_eq!(written.chaos_commit.as_deref(), Some("7ae7b0f7"));
    assert!(written.is_chaos);
    assert_eq!(written.version.as_deref(), Some("1.0.0+1"), "a chaos deploy keeps what the file says");
    app::expose(&mut stack, &BTreeMap::from([("OWN".to_owned(), "2".to_owned()), ("A".to_owned(), "x".to_owned())]));
    let env = &stack.service("app").expect("app").spec.task_template.container_spec.env;
    assert_eq!(env, &["A=x", "OWN=1"]);
}

#[test]
fn backup_labels_of_both_forms_are_understood() {
    let compose = "\
version: \"3.8\"
services:
  app:
    image: nginx
    volumes: [\"data:/data\", \"cache:/cache\", \"/anonymous\"]
    deploy:
      labels:
        backupbot.backup: \"${ENABLE_BACKUPS:-true}\"
        backupbot.backup.volumes.cache: \"false\"
        backupbot.backup.volumes.data.path: \"a.sql,dumps\"
        backupbot.backup.volumes.gone: \"false\"
        backupbot.backup.pre-hook: \"/backup.sh backup\"
        backupbot.restore.post-hook: \"/backup.sh restore\"
  db:
    image: nginx
    deploy:
      labels: [backupbot.backup.path=/var/lib]
volumes: {data: , cache: }
";
    let plan = backup::plan(&stack(compose, &[]));
    assert!(plan.is_capable());
    assert_eq!(plan.services.len(), 1);
    assert_eq!(plan.services[0].backup_before.as_deref(), Some("/backup.sh backup"));
    assert_eq!(plan.services[0].restore_after.as_deref(), Some("/backup.sh restore"));
    let volumes: Vec<(&str, &[String])> =
        plan.volumes.iter().map(|volume| (volume.name.as_str(), volume.paths.as_slice())).collect();
    assert_eq!(volumes, [("demo_ci_example_data", ["a.sql".to_owned(), "dumps".to_owned()].as_slice())]);
    let texts: Vec<String> = plan.findings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "compose.yml:11 services.app.deploy.labels.backupbot.backup.volumes.gone: the service app mounts no volume \"gone\": its backup label does nothing",
            "compose.yml:17 services.db.deploy.labels[0]: the label `backupbot.backup.path` does nothing without `backupbot.backup=true` on the same service db",
        ]
    );
    assert!(!backup::plan(&stack(compose, &[("ENABLE_BACKUPS", "false")])).is_capable());
}

#[test]
fn release_notes_between_two_versions_are_found_in_order() {
    let files = InMemoryFiles::default()
        .with("release/1.10.0+1", "ten")
        .with("release/1.9.0+1", "nine\n")
        .with("release/1.8.0+1", "eight")
        .with("release/next", "later")
        .with("release/2.0.0+1", "two");
    let notes = release::between(&files, &version("1.8.0+1"), &version("1.10.0+1"));
    let texts: Vec<&str> = notes.iter().map(|notes| notes.text.as_str()).collect();
    assert_eq!(texts, ["nine", "ten"]);
}

#[test]
fn notes_that_nobody_renamed_are_those_of_the_newest_version() {
    let (old, new) = (version("1.0.0+1"), version("1.2.0+1"));
    let next = |more: &[(&'static str, &'static str)]| {
        let files = InMemoryFiles::default().with("release/next", " You must migrate.\n");
        more.iter().fold(files, |files, (path, text)| files.with(path, *text))
    };
    let told = |files: &InMemoryFiles, from, to| -> Vec<(String, String)> {
        release::between(files, from, to).into_iter().map(|notes| (notes.version.to_string(), notes.text)).collect()
    };
    let of = |version: &str, text: &str| (version.to_owned(), text.to_owned());
    assert_eq!(told(&next(&[]), &old, &new), [of("1.2.0+1", "You must migrate.")]);
    let between = next(&[("release/1.1.0+1", "one")]);
    assert_eq!(told(&between, &old, &new), [of("1.1.0+1", "one"), of("1.2.0+1", "You must migrate.")]);
    let renamed = next(&[("release/1.2.0+1", "two")]);
    assert_eq!(told(&renamed, &old, &new), [of("1.2.0+1", "two")], "what is collected by now is the next one's");
    assert_eq!(told(&next(&[]), &new, &old), [], "a way back has no notes");
    assert_eq!(told(&next(&[]), &new, &new), []);
    assert_eq!(told(&InMemoryFiles::default().with("release/next", " \n"), &old, &new), []);
    assert_eq!(release::asks_for_hands("Prettier.\n You must migrate. \n"), Some("You must migrate."));
}
