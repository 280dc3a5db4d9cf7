//! The real `ccd`, from its first start to its end.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than any step takes, also on a machine that is busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `ccd serve`; killed when dropped.
pub(super) struct Daemon {
    child: Child,
    directory: PathBuf,
    pub(super) http: String,
}

pub(super) fn ccd(arguments: &[&str], directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ccd"));
    command.args(arguments).arg("--data-dir").arg(directory).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

impl Daemon {
    fn start(directory: &Path) -> Self {
        Self::start_as(directory, |command| command)
    }

    /// Starts it with what `change` makes different of the command.
    pub(super) fn start_as(directory: &Path, change: impl Fn(&mut Command) -> &mut Command) -> Self {
        let _ = std::fs::remove_file(directory.join("addresses.json"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_ccd"));
        command
            .args(["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--data-dir"])
            .arg(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let child = change(&mut command).spawn().unwrap();
        let mut daemon = Self { child, directory: directory.to_owned(), http: String::new() };
        let begun = Instant::now();
        while !daemon.is_ready() {
            assert_eq!(daemon.child.try_wait().unwrap(), None, "ccd ended");
            assert!(begun.elapsed() < PATIENCE, "ccd is not ready");
            std::thread::yield_now();
        }
        daemon
    }

    fn is_ready(&mut self) -> bool {
        let Ok(addresses) = std::fs::read(self.directory.join("addresses.json")) else { return false };
        let addresses: Value = serde_json::from_slice(&addresses).unwrap();
        addresses["http"].as_str().unwrap().clone_into(&mut self.http);
        self.get("/readyz", None).starts_with("HTTP/1.1 200 ")
    }

    pub(super) fn get(&self, path: &str, token: Option<&str>) -> String {
        self.ask("GET", path, token, "")
    }

    pub(super) fn ask(&self, method: &str, path: &str, token: Option<&str>, body: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(&self.http) else { return String::new() };
        let authorization = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{authorization}content-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(super) fn token(&self) -> String {
        let config = std::fs::read_to_string(self.directory.join("kubeconfig")).unwrap();
        let token = config.lines().find_map(|line| line.trim().strip_prefix("token: ")).unwrap();
        token.trim_matches('"').to_owned()
    }

    /// Sends SIGTERM and returns whether the process ended well, and how long it took.
    pub(super) fn stop(mut self) -> (bool, Duration) {
        let begun = Instant::now();
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        let status = self.child.wait().unwrap();
        (status.success(), begun.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"a":"b"}}}}"#)
}

/// Returns every file below a directory with its content, by its path.
fn tree(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_backup_a_copy_of_the_keys_and_a_new_directory_are_the_same_daemon_again() {
    let parent = tempfile::tempdir().unwrap();
    let (old, new) = (parent.path().join("old"), parent.path().join("new"));
    let daemon = Daemon::start(&old);
    let admin = daemon.token();
    assert!(daemon.ask("POST", CONFIG_MAPS, Some(&admin), &config_map("one")).starts_with("HTTP/1.1 201 "));
    let created = ccd(&["token", "create", "bob", "--group", "system:masters"], &old);
    let bob = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let file = parent.path().join("backup");
    assert!(ccd(&["backup", file.to_str().unwrap()], &old).status.success());
    let before = parent.path().join("before");
    assert!(ccd(&["export", before.to_str().unwrap()], &old).status.success());
    let authority = std::fs::read_to_string(old.join("pki/ca.crt")).unwrap();
    drop(daemon); // kill -9

    let restored = ccd(&["restore", file.to_str().unwrap()], &new);
    assert!(restored.status.success(), "{}", text(&restored));
    let after = parent.path().join("after");
    assert!(ccd(&["export", after.to_str().unwrap()], &new).status.success());
    assert!(tree(&before).contains_key(Path::new("configmaps/default/one.yaml")));
    assert_eq!(tree(&before), tree(&after));

    std::fs::copy(old.join("tokens.json"), new.join("tokens.json")).unwrap();
    for entry in std::fs::read_dir(old.join("pki")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, new.join("pki").join(path.file_name().unwrap())).unwrap();
    }
    let daemon = Daemon::start(&new);
    for token in [&admin, &bob, &daemon.token()] {
        assert!(daemon.get(&format!("{CONFIG_MAPS}/one"), Some(token)).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(std::fs::read_to_string(new.join("pki/ca.crt")).unwrap(), authority, "clients trust it as before");
}

#[test]
fn a_daemon_lives_is_backed_up_dies_and_comes_back() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let daemon = Daemon::start(&root);

    for path in ["/readyz", "/livez", "/healthz", "/metrics", "/version"] {
        assert!(daemon.get(path, None).starts_with("HTTP/1.1 200 "), "{path} without a token");
    }
    for path in ["/", "/api/v1/namespaces", CONFIG_MAPS, "/admin/backup", "/apis", "/none"] {
        assert!(daemon.get(path, None).starts_with("HTTP/1.1 403 "), "{path} without a token");
        assert!(daemon.get(path, Some("ccd_0_0")).starts_with("HTTP/1.1 401 "), "{path} with a wrong token");
    }
    for file in ["kubeconfig", "tokens.json", "addresses.json", "pki/ca.pem", "audit/audit.log"] {
        let mode = std::fs::metadata(root.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let second = ccd(&["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"], &root);
    assert!(!second.status.success());
    assert!(text(&second).contains(&format!("it is used by pid {}", daemon.child.id())), "{}", text(&second));

    let admin = daemon.token();
    assert!(daemon.ask("POST", CONFIG_MAPS, Some(&admin), &config_map("one")).starts_with("HTTP/1.1 201 "));
    let created = ccd(&["token", "create", "bob"], &root);
    let bob = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    assert!(daemon.get(CONFIG_MAPS, Some(&bob)).starts_with("HTTP/1.1 403 "), "known at once, allowed nothing");
    assert!(daemon.get("/admin/backup", Some(&bob)).starts_with("HTTP/1.1 403 "));
    assert!(ccd(&["token", "revoke", "bob"], &root).status.success());
    assert!(daemon.get(CONFIG_MAPS, Some(&bob)).starts_with("HTTP/1.1 401 "), "unknown at once");

    let file = parent.path().join("backup");
    let saved = ccd(&["backup", file.to_str().unwrap()], &root);
    assert!(saved.status.success(), "{}", text(&saved));
    let exported = parent.path().join("exported");
    let export = ccd(&["export", exported.to_str().unwrap()], &root);
    assert!(export.status.success(), "{}", text(&export));
    let yaml = std::fs::read_to_string(exported.join("configmaps/default/one.yaml")).unwrap();
    assert!(yaml.contains("a: b") && !yaml.contains("resourceVersion"), "{yaml}");
    let busy = ccd(&["restore", file.to_str().unwrap()], &root);
    assert!(!busy.status.success() && text(&busy).contains("it is used by pid"), "{}", text(&busy));

    assert!(daemon.ask("POST", CONFIG_MAPS, Some(&admin), &config_map("two")).starts_with("HTTP/1.1 201 "));
    drop(daemon); // kill -9

    let daemon = Daemon::start(&root);
    assert_eq!(daemon.token(), admin, "the kubeconfig stays good over restarts");
    assert!(daemon.get(&format!("{CONFIG_MAPS}/two"), Some(&admin)).starts_with("HTTP/1.1 200 "));
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(10), "{well} {took:?}");
    assert!(!root.join("addresses.json").exists());

    let refused = ccd(&["restore", file.to_str().unwrap()], &root);
    assert!(!refused.status.success() && text(&refused).contains("--replace"), "{}", text(&refused));
    let damaged = parent.path().join("damaged");
    std::fs::write(&damaged, &std::fs::read(&file).unwrap()[..300]).unwrap();
    let broken = ccd(&["restore", "--replace", damaged.to_str().unwrap()], &root);
    assert!(!broken.status.success() && text(&broken).contains("the store is as it was"), "{}", text(&broken));
    let restored = ccd(&["restore", "--replace", file.to_str().unwrap()], &root);
    assert!(restored.status.success(), "{}", text(&restored));
    let daemon = Daemon::start(&root);
    assert!(daemon.get(&format!("{CONFIG_MAPS}/one"), Some(&admin)).starts_with("HTTP/1.1 200 "));
    assert!(daemon.get(&format!("{CONFIG_MAPS}/two"), Some(&admin)).starts_with("HTTP/1.1 404 "));
    assert!(daemon.stop().0);
    let log = std::fs::read_to_string(root.join("audit/audit.log")).unwrap();
    assert!(log.contains(r#""verb":"create""#) && !log.contains(&admin) && !log.contains(&bob));
}

#[test]
fn files_of_a_run_that_the_store_does_not_know_go_soon_after_the_start() {
    let root = tempfile::tempdir().unwrap();
    drop(Daemon::start(root.path()));
    let uid = "0191e0b4-7c6e-7d3c-9d53-0b7f8f3c2a11";
    let left =
        [format!("files/runs/default/gone/{uid}"), format!("files/trees/{uid}"), format!("files/trees/{uid}-backup")];
    let left = left.map(|folder| root.path().join(folder));
    for folder in &left {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("results.json"), "{}").unwrap();
    }
    let _daemon = Daemon::start(root.path());
    let begun = Instant::now();
    while left.iter().any(|folder| folder.exists()) {
        assert!(begun.elapsed() < PATIENCE, "they stay");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

const SECRETS: &str = "/api/v1/namespaces/default/secrets";
/// A value, and the forms in which it could lie somewhere.
const CANARY: &str = "canary-71c2-in-a-cage";
const FORMS: [&str; 3] = ["canary-71c2-in-a-cage", "Y2FuYXJ5LTcxYzItaW4tYS1jYWdl", "63616e6172792d37"];

fn secret(name: &str) -> String {
    format!(
        r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{name}"}},"stringData":{{"short":"{CANARY}"}}}}"#
    )
}

/// Returns the files below a directory in which the value can be read.
fn leaks(root: &Path) -> String {
    let forms = FORMS.iter().flat_map(|form| ["-e", form]);
    let mut grep = Command::new("grep");
    grep.args(["--recursive", "--files-with-matches", "--fixed-strings", "--text"]).args(forms).arg(root);
    String::from_utf8(grep.output().unwrap().stdout).unwrap()
}

#[test]
fn secrets_lie_sealed_in_the_data_directory_and_in_backups_and_leave_in_no_export() {
    let parent = tempfile::tempdir().unwrap();
    let (root, new, key) = (parent.path().join("data"), parent.path().join("new"), parent.path().join("elsewhere"));
    let daemon = Daemon::start(&root);
    let admin = daemon.token();
    assert!(daemon.ask("POST", SECRETS, Some(&admin), &secret("s")).starts_with("HTTP/1.1 201 "));
    let file = parent.path().join("backup");
    assert!(ccd(&["backup", file.to_str().unwrap()], &root).status.success());
    let exported = parent.path().join("exported");
    assert!(ccd(&["export", exported.to_str().unwrap()], &root).status.success());
    let yaml = std::fs::read_to_string(exported.join("secrets/default/s.yaml")).unwrap();
    assert!(yaml.contains("short: \"\"\n"), "{yaml}");
    assert!(daemon.stop().0);
    std::fs::write(parent.path().join("seen"), CANARY).unwrap();
    assert_eq!(leaks(parent.path()).trim_end(), parent.path().join("seen").to_str().unwrap(), "and nowhere else");
    std::fs::remove_file(parent.path().join("seen")).unwrap();
    assert_eq!(leaks(parent.path()), "");
    let checked = text(&ccd(&["check"], &root));
    assert!(checked.contains("lies beside what it protects"), "{checked}");

    // Without the key nothing starts and nothing is restored; with it, wherever it lies, all is there.
    std::fs::rename(root.join("store.key"), &key).unwrap();
    let refused = text(&ccd(&["serve", "--http", "127.0.0.1:0", "--https", ""], &root));
    assert!(refused.contains("put that key back; nothing was changed"), "{refused}");
    let refused = text(&ccd(&["restore", file.to_str().unwrap()], &new));
    assert!(refused.contains("put that key back"), "{refused}");
    for directory in [&root, &new] {
        let _ = std::fs::remove_file(directory.join("store.key"));
        std::os::unix::fs::symlink(&key, directory.join("store.key")).unwrap();
    }
    let restored = ccd(&["restore", file.to_str().unwrap()], &new);
    assert!(restored.status.success(), "{}", text(&restored));
    for directory in [&root, &new] {
        let daemon = Daemon::start(directory);
        let shown = daemon.get(&format!("{SECRETS}/s"), Some(&daemon.token()));
        assert!(shown.contains(FORMS[1]), "{shown}");
        assert!(text(&ccd(&["check"], directory)).contains("store.key -> "));
    }
    assert_eq!(leaks(parent.path()), "");
}

#[test]
fn the_whole_store_is_read_when_it_is_asked_for_and_damage_is_told_with_what_to_do() {
    use std::os::unix::fs::FileExt as _;
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    let found = || {
        let output = ccd(&["check", "--store"], &root);
        let table = String::from_utf8(output.stdout).unwrap();
        let line = table.lines().find(|line| line.starts_with("store  ")).unwrap();
        line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>().join(" | ")
    };
    assert_eq!(found(), format!("store | OK | {}/store will be made at the first start", root.display()));
    assert!(!root.join("store").exists(), "looking makes none");
    let daemon = Daemon::start(&root);
    let admin = daemon.token();
    assert!(daemon.ask("POST", CONFIG_MAPS, Some(&admin), &config_map("a")).starts_with("HTTP/1.1 201 "));
    let used = found();
    assert!(used.starts_with("store | WARN | the data directory is in use: "), "{used}");
    assert!(used.ends_with(" | stop ccd first; while it runs, `ccd backup` reads every object"), "{used}");
    assert!(daemon.stop().0);
    let whole = found();
    assert!(whole.starts_with("store | OK | ") && whole.ends_with(", every checksum is right"), "{whole}");
    let rows = std::fs::File::options().write(true).open(root.join("store/gen-000001/db")).unwrap();
    rows.write_all_at(&[0xff; 4096], 0).unwrap();
    let (damaged, again) = (found(), found());
    assert!(damaged.starts_with("store | FAIL | the store is damaged: "), "{damaged}");
    assert!(damaged.ends_with(" | docs/operate.md says what to do, under Disasters"), "{damaged}");
    assert!(again.starts_with("store | FAIL | the store is damaged: "), "looking mends nothing: {again}");
}

#[test]
fn the_audit_log_holds_bodies_as_configured_but_never_secrets() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    std::fs::create_dir(&root).unwrap();
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(root.join("config.toml"), "[[audit.rules]]\nlevel = \"RequestResponse\"\n").unwrap();
    let daemon = Daemon::start(&root);
    let admin = daemon.token();
    assert!(daemon.ask("POST", CONFIG_MAPS, Some(&admin), &config_map("seen")).starts_with("HTTP/1.1 201 "));
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"canary-71c2"}}"#;
    assert!(daemon.ask("POST", secrets, Some(&admin), secret).starts_with("HTTP/1.1 201 "));
    let wrong = secret.replace("stringData", "data");
    assert!(daemon.ask("PUT", &format!("{secrets}/s"), Some(&admin), &wrong).starts_with("HTTP/1.1 4"));
    assert!(daemon.get(secrets, Some(&admin)).starts_with("HTTP/1.1 200 "));
    let backup = daemon.get("/admin/backup", Some(&admin));
    assert!(backup.contains(r#""backup":"cc-ci""#), "{backup}");
    assert!(daemon.stop().0);
    let log = std::fs::read_to_string(root.join("audit/audit.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let seen = lines.iter().find(|line| line["objectRef"]["resource"] == "configmaps").unwrap();
    assert_eq!(seen["requestObject"]["data"]["a"], "b");
    assert_eq!(seen["responseObject"]["metadata"]["name"], "seen");
    assert!(lines.iter().filter(|line| line["objectRef"]["resource"] == "secrets").count() >= 3);
    for canary in ["canary-71c2", "Y2FuYXJ5LTcxYzI", admin.as_str()] {
        assert!(!log.contains(canary), "{canary}");
    }
}
