//! One process, private files, whole files, kubeconfigs that keep what people wrote.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::kubeconfig::{self, Entry};
use super::{Addresses, DataDir, DataDirError, write_private_file};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_second_opener_is_told_who_holds_it() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("a/b");
    let held = DataDir::open(&root).unwrap();
    let error = DataDir::open(&root).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("it is used by pid {};", std::process::id())), "{text}");
    assert!(matches!(error, DataDirError::InUse { .. }));
    assert_eq!(held.paths().holder(), Some(std::process::id().to_string()));
    let paths = held.paths().clone();
    drop(held);
    assert_eq!(paths.holder(), None);
    DataDir::open(&root).unwrap();
}

#[test]
fn everything_is_private() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("data");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
    let directory = DataDir::open(&root).unwrap();
    directory.write_addresses(Some("127.0.0.1:80".parse().unwrap()), Some("[::1]:443".parse().unwrap())).unwrap();
    let paths = directory.paths();
    for (path, expected) in [
        (root.clone(), 0o700),
        (paths.pki(), 0o700),
        (paths.audit(), 0o700),
        (paths.lock(), 0o600),
        (paths.addresses(), 0o600),
    ] {
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
    let addresses = paths.read_addresses().unwrap().unwrap();
    let (http, https) = (Some("127.0.0.1:80".parse().unwrap()), Some("[::1]:443".parse().unwrap()));
    assert_eq!(addresses, Addresses { pid: std::process::id(), http, https });
    directory.remove_addresses();
    assert_eq!(paths.read_addresses().unwrap(), None);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_no_litter() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("file");
    write_private_file(&path, b"one").unwrap();
    write_private_file(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(mode(&path), 0o600);
    let blocked = parent.path().join("directory");
    fs::create_dir(&blocked).unwrap();
    fs::write(blocked.join("inside"), "x").unwrap();
    assert!(write_private_file(&blocked, b"three").is_err());
    let mut names: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["directory", "file"]);
}

#[test]
fn the_kubeconfig_keeps_what_people_added() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("kubeconfig");
    assert_eq!(kubeconfig::stored_token(&path), None);
    let first = Entry { server: "https://127.0.0.1:8443", authorities_pem: "PEM", token: "t1" };
    kubeconfig::write(&path, &first).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(kubeconfig::stored_token(&path).as_deref(), Some("t1"));
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap(), @r"
    apiVersion: v1
    clusters:
    - cluster:
        certificate-authority-data: UEVN
        server: https://127.0.0.1:8443
      name: cc-ci
    contexts:
    - context:
        cluster: cc-ci
        namespace: default
        user: cc-ci
      name: cc-ci
    current-context: cc-ci
    kind: Config
    preferences: {}
    users:
    - name: cc-ci
      user:
        token: t1
    ");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    kubeconfig::write(&path, &first).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before, "nothing changed, nothing written");
    let edited = fs::read_to_string(&path).unwrap().replace("namespace: default", "namespace: mine")
        + "extensions:\n- name: more\n  extension: {a: b}\n";
    fs::write(&path, edited).unwrap();
    kubeconfig::write(&path, &Entry { server: "https://127.0.0.1:9", ..first }).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    for kept in ["namespace: mine", "name: more", "https://127.0.0.1:9", "t1"] {
        assert!(text.contains(kept), "{kept}: {text}");
    }
    fs::write(&path, "\0 no yaml {{{").unwrap();
    kubeconfig::write(&path, &first).unwrap();
    assert_eq!(kubeconfig::stored_token(&path).as_deref(), Some("t1"));
}

#[test]
fn every_address_is_reached_at_loopback() {
    for (bound, expected) in [
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:1", "[::1]:1"),
        ("192.0.2.1:1", "192.0.2.1:1"),
        ("127.0.0.1:1", "127.0.0.1:1"),
    ] {
        assert_eq!(super::reachable(bound.parse().unwrap()).to_string(), expected);
    }
}

#[test]
fn the_administrators_token_is_kept_until_it_is_nearly_over() {
    use super::administrator::keep_kubeconfig;
    use crate::authentication::tokens::TokenTable;
    let parent = tempfile::tempdir().unwrap();
    let directory = DataDir::open(&parent.path().join("data")).unwrap();
    let paths = directory.paths();
    let start: jiff::Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    let day = |number: i64| start + jiff::SignedDuration::from_hours(24 * number);
    let keep = |now| {
        keep_kubeconfig(paths, "https://127.0.0.1:8443", "PEM", now).unwrap();
        kubeconfig::stored_token(&paths.kubeconfig()).unwrap()
    };
    let first = keep(start);
    let user = TokenTable::open(paths.tokens()).find(&first, start).unwrap();
    assert_eq!((user.name.as_str(), user.groups[0].as_str()), ("admin", "system:masters"));
    assert_eq!(keep(day(300)), first);
    let second = keep(day(306));
    assert_ne!(second, first);
    assert!(TokenTable::open(paths.tokens()).find(&first, day(306)).is_some(), "copies elsewhere go on for a while");
    fs::remove_file(paths.kubeconfig()).unwrap();
    assert_ne!(keep(day(306)), second, "a token that nobody has is made anew, twice in one second too");
}
