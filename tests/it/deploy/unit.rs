//! The systemd unit and the user that it runs as.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use super::{read, root, run, text};

/// Highest exposure that `systemd-analyze security` may find, in tenths: 0 is a locked box, 100 a wide open door.
const EXPOSURE_MAX: &str = "20";

/// The settings of a unit: section and key, and the values of all lines that set it.
pub(super) type Settings = BTreeMap<(String, String), Vec<String>>;

/// Returns the settings of our unit.
pub(super) fn settings() -> Settings {
    let mut found = Settings::new();
    let mut section = String::new();
    for line in read("deploy/systemd/ccd.service").lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            name.trim_end_matches(']').clone_into(&mut section);
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{line:?} sets nothing"));
        let values = value.split_whitespace().map(str::to_owned);
        found.entry((section.clone(), key.to_owned())).or_default().extend(values);
    }
    found
}

fn service(key: &str) -> String {
    settings().get(&("Service".to_owned(), key.to_owned())).map(|values| values.join(" ")).unwrap_or_default()
}

/// Returns the unit in a folder of its own, with a program that is there.
fn copy(change: impl Fn(String) -> String) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("ccd.service");
    let known = read("deploy/systemd/ccd.service").replace("ExecStart=/usr/local/bin/ccd", "ExecStart=/bin/true");
    std::fs::write(&unit, change(known)).unwrap();
    (folder, unit)
}

/// Returns what `systemd-analyze verify` says about the unit.
fn verify(change: impl Fn(String) -> String) -> String {
    let (_folder, unit) = copy(change);
    let said = text(&run(Command::new("systemd-analyze").arg("verify").arg(&unit)));
    // Units of this machine are not ours to judge.
    said.lines().filter(|line| line.contains("ccd.service")).collect::<Vec<_>>().join("\n")
}

/// Returns whether the unit is hardened enough, and what systemd says about it.
fn is_hardened(change: impl Fn(String) -> String) -> (bool, String) {
    let (_folder, unit) = copy(change);
    let threshold = format!("--threshold={EXPOSURE_MAX}");
    let arguments = ["security", "--offline=true", "--no-pager", &threshold];
    let output = run(Command::new("systemd-analyze").args(arguments).arg(&unit));
    (output.status.success(), text(&output))
}

#[test]
fn systemd_understands_the_unit() {
    assert_eq!(verify(|unit| unit), "");
    let misspelt = verify(|unit| unit.replace("KillMode=", "KilMode="));
    assert!(misspelt.contains("KilMode"), "systemd-analyze notices what it does not know: {misspelt:?}");
}

#[test]
fn the_unit_is_hardened() {
    let (hardened, said) = is_hardened(|unit| unit);
    assert!(hardened, "{said}");
    let (hardened, said) = is_hardened(|unit| unit.replace("CapabilityBoundingSet=\n", ""));
    assert!(!hardened, "without a line that matters it is not: {said}");
}

#[test]
fn the_unit_keeps_what_the_program_relies_on() {
    let promises = [
        ("KillMode", "process", "supervisors of jobs outlive a restart"),
        ("OOMPolicy", "continue", "a job that is killed for its memory must not end ccd"),
        ("Type", "notify", "ccd says when it is ready"),
        ("Restart", "always", "it comes back"),
        ("StateDirectory", "ccd", "the data directory is made, and may be written to"),
        ("StateDirectoryMode", "0700", "only ccd reads its data"),
        ("NoNewPrivileges", "true", "nothing that it starts may become more than it"),
    ];
    for (key, value, why) in promises {
        assert_eq!(service(key), value, "{key}: {why}");
    }
    assert_eq!(service("ProcSubset"), "", "memory and boot id are read from /proc");
    assert_eq!(service("PrivateTmp"), "", "its folders would be taken from jobs that outlive a restart");
    assert_eq!(service("RemoveIPC"), "", "so would what they share");
    let seconds: u64 = service("TimeoutStopSec").trim_end_matches('s').parse().unwrap();
    let drain = apiserver::config::ServerConfig::default().drain_seconds;
    assert!(seconds >= drain + 10, "it is not killed while it drains");
}

#[test]
fn the_user_is_made_and_may_use_the_engine() {
    let machine = tempfile::tempdir().unwrap();
    std::fs::create_dir(machine.path().join("etc")).unwrap();
    let users = root().join("deploy/systemd/ccd.sysusers");
    let output = run(Command::new("systemd-sysusers").arg("--root").arg(machine.path()).arg(users));
    assert!(output.status.success(), "{}", text(&output));
    let passwd = std::fs::read_to_string(machine.path().join("etc/passwd")).unwrap();
    let user = passwd.lines().find(|line| line.starts_with("ccd:")).unwrap();
    assert!(user.contains(":/var/lib/ccd:") && user.ends_with("nologin"), "{user}");
    let group = std::fs::read_to_string(machine.path().join("etc/group")).unwrap();
    assert!(group.lines().any(|line| line.starts_with("docker:") && line.ends_with(":ccd")), "{group}");
    assert_eq!(service("User"), "ccd");
}
