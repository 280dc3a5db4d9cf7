//! A program that plays abra and the fake keep the contract; what abra writes is understood.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::conformance::{Harness, check};
use super::fake::FakeAbra;
use super::parse::{fatal, lint_rules, made_secrets, meaning, snapshot};
use super::process::ProcessAbra;
use super::{Abra, AbraApp, Change, Target};
use crate::error::ErrorKind;
use crate::redact::Redactor;

const ENV: &str =
    "TYPE=demo\nDOMAIN=demo.ci.test\nSECRET_DB_PASSWORD_VERSION=v1\nSECRET_TOKEN_VERSION=v1 # length=20\n";

/// Plays abra without an engine: what is deployed and which secrets there are is kept in `ABRA_DIR/state`.
const PLAYER: &str = r#"#!/bin/sh
case "$*" in
  --version) echo "abra version 0.13.0-beta-06a57de"; exit 0;;
  *--help)
    echo "  -n, --no-input   -o, --offline   -C, --chaos  -f, --force  -D, --no-domain-checks"
    echo "  -c, --no-converge-checks  -m, --machine  -a, --all  --file, -f  use a file  -s, --snapshot"; exit 0;;
esac
die() { printf '\033[31mFATA\033[0m %s\n' "$1"; exit 1; }
printf '%s\n' "$*" >> "$ABRA_DIR/calls"
env > "$ABRA_DIR/env"
state="$ABRA_DIR/state"; mkdir -p "$state"
command=""; while [ "$1" != "--" ]; do command="$command $1"; shift; done; shift
case "$command" in
  " recipe lint"*)
    test -t 1 || die "inappropriate ioctl for device"
    printf '┏━━━━━━┓\n┃ REF ┃ RULE ┃ SEVERITY ┃ SATISFIED ┃ SKIPPED ┃ RESOLVE ┃\n'
    printf '│ R009 │ one service is named "app" │ error │ ✅ │ - │ name one "app" │\n'
    printf '│ R014 │ only annotated tags │ error │ ❌ │ - │ retag │\n'; exit 0;;
esac
app="$1"; env="$ABRA_DIR/servers/default/$app.env"
test -f "$env" || die "unable to find $app"
wanted="db_password_v1 token_v1"
case "$command" in
  " app deploy"*)
    for secret in $wanted; do test -f "$state/$secret" || die "secret not generated: $secret"; done
    touch "$state/deployed"; echo "INFO $(cat "$state/db_password_v1")";;
  " app undeploy"*) test -f "$state/deployed" || die "$app is not deployed"; rm "$state/deployed"; touch "$state/volume";;
  " app secret generate"*)
    rows=""
    for secret in $wanted; do
      if ! test -f "$state/$secret"; then echo made > "$state/$secret"; rows="{\"name\":\"${secret%_v1}\",\"value\":\"made-value\"}"; fi
    done
    test -n "$rows" || { echo "WARN db_password already exists"; die "all secrets already exist"; }
    echo "INFO making"; echo "[$rows]";;
  " app secret insert"*)
    test -f "$state/$2_$3" && die "rpc error: code = AlreadyExists desc = secret $2 already exists"
    stat -c %a "$4" > "$ABRA_DIR/mode"; cp "$4" "$state/$2_$3";;
  " app secret remove"*) ls "$state" | grep -q _v1 || die "no secrets to remove?"; rm "$state"/*_v1;;
  " app volume remove"*) test -f "$state/volume" || die "no volumes to remove?"; rm "$state/volume";;
  " app backup create"*)
    test -t 1 || die "the input device is not a TTY"
    test -f "$state/deployed" || die "$app is not deployed"
    id=$(printf '%08x' $((0xb00000 + $(ls "$state" | grep -c snapshot))))
    touch "$state/snapshot-$id"; printf 'INFO hooks\n{"message_type": "summary", "snapshot_id": "%s"}\n' "$id";;
  " app restore"*)
    test -t 1 || die "the input device is not a TTY"
    test -f "$state/snapshot-${command##*--snapshot=}" || die "there is no such snapshot";;
  *) die "unknown command $command";;
esac
"#;

struct Player {
    abra: ProcessAbra,
    app: AbraApp,
    folder: tempfile::TempDir,
}

impl Player {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("abra");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let app = AbraApp::new(folder.path().join("app"), "demo.ci.test", "demo", "unix:///run/test.sock").unwrap();
        let redactor = Redactor::default();
        redactor.insert("test", b"correct-horse");
        Self { abra: ProcessAbra::new(program, "/usr/bin:/bin", redactor), app, folder }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join("app").join(name)).unwrap()
    }
}

impl Harness for Player {
    fn abra(&self) -> &dyn Abra {
        &self.abra
    }

    fn app(&self) -> AbraApp {
        self.app.clone()
    }

    fn env(&self) -> String {
        ENV.to_owned()
    }

    fn has_backup_bot(&self) -> bool {
        true
    }
}

struct Fake(FakeAbra, tempfile::TempDir);

impl Harness for Fake {
    fn abra(&self) -> &dyn Abra {
        &self.0
    }

    fn app(&self) -> AbraApp {
        AbraApp::new(self.1.path().join("app"), "demo.ci.test", "demo", "unix:///run/test.sock").unwrap()
    }

    fn env(&self) -> String {
        ENV.to_owned()
    }

    fn has_backup_bot(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn a_program_that_plays_abra_conforms() {
    check(&Player::new(PLAYER)).await;
}

#[tokio::test]
async fn the_fake_conforms() {
    check(&Fake(FakeAbra::default(), tempfile::tempdir().unwrap())).await;
}

#[tokio::test]
async fn secrets_are_in_no_argument_environment_or_word_and_in_no_file_for_long() {
    let player = Player::new(PLAYER);
    player.abra.prepare(&player.app, ENV).await.unwrap();
    player.abra.insert_secret(&player.app, "db_password", "v1", b"correct-horse").await.unwrap();
    player.abra.generate_secrets(&player.app).await.unwrap();
    let words = player.abra.deploy(&player.app, &Target::WorkTree).await.unwrap();
    assert!(words.contains("INFO [redacted]"), "{words}");
    for seen in [player.read("calls"), player.read("env")] {
        assert!(!seen.contains("correct-horse"), "{seen}");
    }
    assert_eq!(player.read("mode").trim(), "600");
    assert!(!player.folder.path().join("app/home/.secret").exists());
    let mode = fs::metadata(player.app.env_file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[tokio::test]
async fn commands_get_the_options_that_they_have() {
    let player = Player::new(PLAYER);
    player.abra.prepare(&player.app, ENV).await.unwrap();
    assert_eq!(player.abra.undeploy(&player.app).await.unwrap(), Change::Was);
    let _ = player.abra.deploy(&player.app, &Target::Version("1.0.0+1".to_owned())).await;
    let _ = player.abra.deploy(&player.app, &Target::WorkTree).await;
    let expected = "\
app undeploy -n -o -- demo.ci.test
app deploy -n -o -D -c -f -- demo.ci.test 1.0.0+1
app deploy -n -o -D -c -f -C -- demo.ci.test
";
    assert_eq!(player.read("calls"), expected);
    let env = player.read("env");
    for line in ["ABRA_CI=1", "LC_ALL=C", "DOCKER_HOST=unix:///run/test.sock"] {
        assert!(env.lines().any(|one| one == line), "{line} is not in {env}");
    }
}

#[tokio::test]
async fn the_linter_gets_a_terminal_and_its_table_is_read() {
    let player = Player::new(PLAYER);
    player.abra.prepare(&player.app, ENV).await.unwrap();
    let rules = player.abra.lint(&player.app).await.unwrap();
    let seen: Vec<_> =
        rules.iter().map(|rule| (rule.reference.as_str(), rule.severity.as_str(), rule.is_satisfied)).collect();
    assert_eq!(seen, [("R009", "error", true), ("R014", "error", false)]);
}

#[tokio::test]
async fn an_abra_that_is_not_there_or_too_old_is_named() {
    let none = ProcessAbra::new(PathBuf::from("/nowhere/abra"), "/usr/bin", Redactor::default());
    assert_eq!(none.version().await.unwrap_err().reason, "AbraNotFound");
    let old = Player::new("#!/bin/sh\necho '  -n, --no-input'\n");
    old.abra.prepare(&old.app, ENV).await.unwrap();
    let error = old.abra.deploy(&old.app, &Target::WorkTree).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "AbraTooOld"));
    assert!(error.message.contains("--no-converge-checks"), "{error}");
}

#[tokio::test]
async fn a_network_that_abra_leaves_is_no_failure_of_undeploy() {
    let says = "die \"Failed to remove network 1: rpc error: desc = network 1 is in use by task 2\";;";
    let player = Player::new(&PLAYER.replace(r#"rm "$state/deployed"; touch "$state/volume";;"#, says));
    player.abra.prepare(&player.app, ENV).await.unwrap();
    fs::create_dir_all(player.folder.path().join("app/state")).unwrap();
    fs::write(player.folder.path().join("app/state/deployed"), "").unwrap();
    assert_eq!(player.abra.undeploy(&player.app).await.unwrap(), Change::Made);
}

#[test]
fn names_are_neither_options_nor_paths() {
    for bad in ["-x", "../a", "a/b", ""] {
        assert!(AbraApp::new(PathBuf::from("/x"), bad, "demo", "unix:///x").is_err(), "{bad}");
        assert!(AbraApp::new(PathBuf::from("/x"), "demo.ci.test", bad, "unix:///x").is_err(), "{bad}");
    }
}

#[test]
fn what_abra_gives_up_with_is_understood() {
    let cases = [
        ("INFO x\nFATA secret not generated: demo_token_v1\n", ErrorKind::Terminal, "SecretMissing"),
        ("FATA <deploy.go:123> demo has locally unstaged changes\n", ErrorKind::Terminal, "WorkTreeDirty"),
        ("FATA unable to validate recipe: .env.sample is missing", ErrorKind::Terminal, "RecipeInvalid"),
        (
            "FATA Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
            ErrorKind::Retryable,
            "EngineUnreachable",
        ),
        (
            "FATA rpc error: code = InvalidArgument desc = only updates to Labels are allowed",
            ErrorKind::Terminal,
            "ConfigChangedWithoutVersion",
        ),
        (
            "FATA Failed to remove network 1: rpc error: code = FailedPrecondition desc = network 1 is in use by task 2",
            ErrorKind::Retryable,
            "NetworkInUse",
        ),
        ("FATA no backupbot discovered, is it deployed?", ErrorKind::Terminal, "NoBackupBot"),
        ("FATA something else\n  on two lines\nINFO bye", ErrorKind::Terminal, "AbraFailed"),
    ];
    for (text, kind, reason) in cases {
        let error = meaning(&fatal(text).unwrap());
        assert_eq!((error.kind, error.reason), (kind, reason), "{text}");
    }
    assert_eq!(fatal("FATA something else\n  on two lines\nINFO bye").unwrap(), "something else on two lines");
    assert_eq!(fatal("INFO fine\nnot FATA"), None);
}

#[test]
fn the_id_of_a_snapshot_is_found_between_other_words() {
    let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
    let json = format!("{{\"message_type\":\"summary\",\"snapshot_id\":\"{id}\",\"files_new\":3}}");
    let cases = [
        (json.as_str(), Some(id)),
        ("using parent snapshot 11111111\nprocessed 3 files\nsnapshot 0a1b2c3d saved\r\n", Some("0a1b2c3d")),
        ("{'snapshot_id': '0a1b2c3d'}", Some("0a1b2c3d")),
        ("no snapshot was made", None),
        ("snapshot deadbee", None),
        ("", None),
    ];
    for (text, expected) in cases {
        assert_eq!(snapshot(text).as_deref(), expected, "{text}");
    }
}

#[tokio::test]
async fn a_restore_names_its_snapshot_where_abra_can() {
    let player = Player::new(PLAYER);
    player.abra.prepare(&player.app, ENV).await.unwrap();
    let _ = player.abra.restore(&player.app, "0a1b2c3d").await;
    assert_eq!(player.read("calls"), "app restore -n -o -C --snapshot=0a1b2c3d -- demo.ci.test\n");
    let older = Player::new(&PLAYER.replace("  -s, --snapshot", ""));
    older.abra.prepare(&older.app, ENV).await.unwrap();
    let _ = older.abra.restore(&older.app, "0a1b2c3d").await;
    assert_eq!(older.read("calls"), "app restore -n -o -C -- demo.ci.test\n");
}

#[test]
fn made_secrets_are_found_between_other_words() {
    for text in ["INFO [x] making\n[{\"Name\":\"token\",\"VALUE\":\"abc\"}]\nINFO done", "{\"token\":\"abc\"}"] {
        let made = made_secrets(text);
        assert_eq!((made.len(), made[0].name.as_str(), made[0].value.as_str()), (1, "token", "abc"), "{text}");
    }
    assert_eq!(made_secrets("nothing"), []);
    assert_eq!(lint_rules("nothing | to | see"), []);
}
