//! What the commands print and do, on temporary data directories.

use std::path::Path;

use apiserver::authentication::certificate::ClientCertificate;
use apiserver::authentication::tokens::TokenTable;
use apiserver::clock::Clock;
use apiserver::data_dir::kubeconfig::{self, Entry};
use apiserver::data_dir::{DataDir, DataPaths};
use apiserver::tls::{Identity, Pki};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

use super::token::{self, Action, Lifetime};
use super::{DataDirArgument, certificate, check, table};
use crate::commands::Outcome;
use crate::environment::Environment;

fn now() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

/// A machine without programs, engine and systemd.
fn bare() -> Environment {
    Environment {
        clock: Clock::fixed(now()),
        path: Vec::new(),
        program: None,
        notify_socket: None,
        chromium: None,
        credentials: None,
        docker_host: Some("unix:///nonexistent/docker.sock".to_owned()),
        temporary: Path::new("/nonexistent").to_owned(),
        hostname: None,
        is_root: false,
    }
}

fn run_token(directory: &Path, action: impl FnOnce(DataDirArgument) -> Action) -> anyhow::Result<String> {
    let mut output = Vec::new();
    let arguments = token::Arguments { action: action(DataDirArgument::of(directory)) };
    token::run(&arguments, &bare(), &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

fn create(directory: &Path, name: &str, groups: &[&str], expires: &str) -> anyhow::Result<String> {
    run_token(directory, |data_dir| Action::Create {
        name: name.to_owned(),
        user: None,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        expires: expires.parse().unwrap(),
        data_dir,
    })
}

#[test]
fn a_token_is_printed_once_listed_and_revoked() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let printed = create(&root, "ci-bot", &["devs", "ops"], "90d").unwrap();
    create(&root, "eternal", &[], "never").unwrap();
    let token = printed.strip_suffix('\n').unwrap();
    let found = TokenTable::open(DataPaths::new(&root).tokens()).find(token, now()).unwrap();
    assert_eq!(found.name, "ci-bot");
    let list = |json| run_token(&root, |data_dir| Action::List { json, data_dir }).unwrap();
    insta::assert_snapshot!(list(false), @r"
    NAME      USER      GROUPS     CREATED            EXPIRES
    ci-bot    ci-bot    devs,ops   2026-11-21 08:00   2027-02-19 08:00
    eternal   eternal              2026-11-21 08:00   never
    ");
    assert!(!list(true).contains(token) && !list(true).contains("sha256"));
    let revoke = || run_token(&root, |data_dir| Action::Revoke { name: "ci-bot".to_owned(), data_dir });
    revoke().unwrap();
    assert!(TokenTable::open(DataPaths::new(&root).tokens()).find(token, now()).is_none());
    let error = revoke().unwrap_err().to_string();
    assert!(error.contains("`ccd token list`"), "{error}");
    let error = create(&root, "eternal", &[], "1h").unwrap_err().to_string();
    assert!(error.contains("`ccd token revoke"), "{error}");
}

fn create_certificate(root: &Path, user: &str, group: Option<&str>, expires: &str) -> anyhow::Result<String> {
    let action = certificate::Action::Create {
        user: user.to_owned(),
        group: group.map(str::to_owned),
        expires: expires.parse().unwrap(),
        data_dir: DataDirArgument::of(root),
    };
    let mut output = Vec::new();
    certificate::run(&certificate::Arguments { action }, &bare(), &mut output)?;
    Ok(String::from_utf8(output).unwrap())
}

#[test]
fn a_certificate_is_printed_as_a_kubeconfig_for_the_same_server() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let error = create_certificate(&root, "jane", None, "720h").unwrap_err().to_string();
    assert!(error.contains("there is no certificate authority yet; start `ccd serve`"), "{error}");
    let held = DataDir::open(&root).unwrap();
    let pki = Pki::open(&held.paths().pki(), &["ci.example.org".to_owned()], true, Clock::fixed(now())).unwrap();
    let files =
        || ["ca.pem", "ca.crt", "serving.pem"].map(|name| std::fs::read(held.paths().pki().join(name)).unwrap());
    let before = files();
    let error = create_certificate(&root, "jane", None, "720h").unwrap_err().to_string();
    assert!(error.contains("it names no server yet; start `ccd serve`"), "{error}");
    let entry = Entry { server: "https://here:1", authorities_pem: &pki.authorities_pem(), token: "kept-token" };
    kubeconfig::write(&held.paths().kubeconfig(), &entry).unwrap();

    let text = create_certificate(&root, "jane", Some("ops"), "720h").unwrap();
    assert_eq!(files(), before, "the daemon's own certificates stay as they are");
    assert!(!text.contains("kept-token"), "the administrator's token stays where it is");
    let config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(config["clusters"][0]["cluster"]["server"], "https://here:1");
    let user = &config["users"][0]["user"];
    let pem = |field: &str| String::from_utf8(STANDARD.decode(user[field].as_str().unwrap()).unwrap()).unwrap();
    let whole = format!("{}{}", pem("client-certificate-data"), pem("client-key-data"));
    let identity = Identity::parse(&whole).unwrap();
    let read = ClientCertificate::from_der(&identity.certificate).unwrap();
    let groups = ["ops".to_owned(), "system:authenticated".to_owned()];
    assert_eq!((read.user.name.as_str(), read.user.groups.as_slice()), ("jane", groups.as_slice()));
    assert_eq!(read.expires, now() + SignedDuration::from_hours(720));

    let error = create_certificate(&root, "jane", None, "never").unwrap_err().to_string();
    assert!(error.contains("must end; write --expires 720h"), "{error}");
}

#[test]
fn lifetimes() {
    let hours = |hours| Ok(Lifetime(Some(SignedDuration::from_hours(hours))));
    let cases = [("12h", hours(12)), ("90d", hours(90 * 24)), ("2w", hours(14 * 24)), ("never", Ok(Lifetime(None)))];
    for (text, expected) in cases {
        assert_eq!(text.parse::<Lifetime>(), expected, "{text}");
    }
    for text in ["", "0d", "90", "d", "-1d", "1.5d", "9999999w", "99999999999999999999d", "1m", "1 d"] {
        assert!(text.parse::<Lifetime>().is_err(), "{text}");
    }
}

fn run_check(root: &Path, environment: &Environment) -> (Outcome, String) {
    let config = root.parent().unwrap().join("ccd.toml");
    std::fs::write(&config, "[server]\nhttp = \"127.0.0.1:0\"\nhttps = \"\"\n").unwrap();
    let arguments =
        check::Arguments { config: Some(config), json: false, store: false, data_dir: DataDirArgument::of(root) };
    let mut output = Vec::new();
    let outcome = check::run(&arguments, environment, &mut output).unwrap();
    (outcome, String::from_utf8(output).unwrap())
}

/// Returns `RESULT FIX…` of one line.
fn line<'a>(text: &'a str, check: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(check)).unwrap_or_else(|| panic!("no {check}: {text}"));
    line[check.len()..].trim_start()
}

#[test]
fn a_fresh_machine_has_warnings_and_no_failure() {
    let parent = tempfile::tempdir().unwrap();
    let (outcome, text) = run_check(&parent.path().join("data"), &bare());
    assert_eq!(outcome, Outcome::Well, "{text}");
    assert!(text.starts_with("CHECK"), "{text}");
    for (check, result) in [
        ("configuration", "OK"),
        ("data directory", "OK"),
        ("permissions", "OK"),
        ("clock", "OK"),
        ("port http ", "OK"),
        ("port https", "OK"),
        ("certificates", "OK"),
        ("dns records", "OK"),
        ("tokens", "OK"),
        ("docker engine", "WARN"),
        ("forge", "OK"),
        ("git", "WARN"),
        ("abra", "WARN"),
        ("nix", "WARN"),
    ] {
        assert!(line(&text, check).starts_with(result), "{check}: {text}");
    }
    assert!(!parent.path().join("data").exists(), "looking changes nothing");
}

#[test]
fn every_failure_is_named_with_its_fix() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let held = DataDir::open(&root).unwrap();
    let paths = held.paths().clone();
    std::fs::write(paths.tokens(), "damaged").unwrap();
    std::fs::write(paths.pki().join("ca.pem"), "damaged").unwrap();
    std::fs::set_permissions(paths.tokens(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let early = Environment { clock: Clock::fixed("2020-01-01T00:00:00Z".parse().unwrap()), ..bare() };
    let (outcome, text) = run_check(&root, &early);
    assert_eq!(outcome, Outcome::Trouble);
    for (check, fix) in [
        ("permissions", "chmod go= "),
        ("clock", "timedatectl"),
        ("certificates", "restore it"),
        ("tokens", "ccd token create"),
    ] {
        let line = line(&text, check);
        assert!(line.starts_with("FAIL") && line.contains(fix), "{check}: {text}");
    }
    assert!(line(&text, "data directory").contains(&format!("used by pid {}", std::process::id())), "{text}");
    let arguments = check::Arguments {
        config: Some(parent.path().join("none.toml")),
        json: true,
        store: false,
        data_dir: DataDirArgument::of(&root),
    };
    let mut output = Vec::new();
    assert_eq!(check::run(&arguments, &bare(), &mut output).unwrap(), Outcome::Trouble);
    let findings: serde_json::Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(findings[0]["check"], "configuration");
    assert_eq!(findings[0]["verdict"], "FAIL");
}

#[test]
fn programs_are_found_on_the_path() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let (git, abra) = (parent.path().join("git"), parent.path().join("abra"));
    std::fs::write(&git, "").unwrap();
    std::fs::write(&abra, "").unwrap();
    std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
    let environment = Environment { path: vec![parent.path().to_owned()], ..bare() };
    assert_eq!(environment.find_program("git"), Some(git));
    assert_eq!(environment.find_program("abra"), None, "a file that cannot be run is no program");
}

#[test]
fn tables_are_as_wide_as_their_cells() {
    let mut output = Vec::new();
    let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["ünï".to_owned(), String::new()]];
    table::write(&mut output, &["X", "Y"], &rows).unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), "X     Y\na     long cell\nünï\n");
}
