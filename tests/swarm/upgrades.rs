//! An upgrade that turns out badly goes back by itself, with what its volumes held; one that is held says why.

use std::time::Duration;

use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, reason_of, status_of};

use crate::small;

/// Longest that an upgrade may take, in either direction.
const WITHIN: Duration = Duration::from_mins(2);
const STACK: &str = "guests_ci_test";

/// A service that finds its data where it left it, with an owner, a mode and a link of their own.
const COMPOSE: &str = r#"
version: "3.8"
services:
  app:
    image: IMAGE
    command: ["sh", "-c", "COMMAND"]
    init: true
    volumes: ["data:/data"]
    networks: [inner]
    deploy:
      endpoint_mode: dnsrr
      restart_policy: {condition: any, delay: 100ms}
volumes:
  data:
networks:
  inner:
"#;
const GOOD: &str = "test -e /data/guests || { echo Ada > /data/guests; chown 1234:99 /data/guests; chmod 640 /data/guests; \
                    ln -s guests /data/link; }; exec sleep 86400";
/// It changes the data as no version before understands them, and does not run.
const BAD: &str = "rm -f /data/link; echo ruined > /data/guests; echo more > /data/more; exit 3";

fn compose(command: &str) -> String {
    COMPOSE.trim_start().replace("COMMAND", command)
}

fn phase(app: &Value) -> &str {
    app["status"]["upgrade"]["phase"].as_str().unwrap_or_default()
}

/// Returns what the running container has in its volume, with owner and mode.
fn data() -> String {
    let id = engine::docker(&["ps", "--quiet", "--filter", &format!("name={STACK}_app")]);
    let show = "cd /data && stat -c '%n %u:%g %a' guests && cat link && ls";
    engine::docker(&["exec", id.trim(), "sh", "-c", show])
}

#[test]
fn an_upgrade_that_does_not_serve_goes_back_with_its_data_and_a_major_says_what_it_waits_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let with_notes = |tree: &mut tests::recipes::Tree, file: &str, text: &str| {
        tree.insert(file.to_owned(), text.to_owned());
    };
    let mut major = small::recipe(&compose(GOOD));
    with_notes(&mut major, "release/2.0.0+2.0.0", "Guests have rooms now.\n");
    let versions = [
        ("1.0.0+1.0.0", small::recipe(&compose(GOOD))),
        ("1.1.0+1.1.0", small::recipe(&compose(BAD))),
        ("1.1.1+1.1.1", small::recipe(&compose(GOOD))),
        ("2.0.0+2.0.0", major),
    ];
    let url = small::publish(&folder.path().join("small"), &versions).url();
    let app = |version: &str| small::app("guests", &url, "guests.ci.test", &json!({"version": version}));
    installation.apply(&[app("1.0.0+1.0.0")]).expect("it is taken");
    let found = installation.wait_for("apps", "guests", "Ready").expect("it runs");
    assert_eq!(reason_of(&found, "UpToDate"), "MajorHeld", "{found:#}");
    let held = &found["status"]["held"];
    assert_eq!(held["notes"], json!([{"version": "2.0.0+2.0.0", "text": "Guests have rooms now."}]));
    assert!(held["message"].as_str().unwrap_or_default().contains("ccctl patch app/guests"), "{held:#}");
    let before = data();
    assert!(before.contains("guests 1234:99 640\nAda\n"), "{before}");

    installation.apply(&[app("1.1.0+1.1.0")]).expect("it is taken");
    let found = installation.wait("apps", "guests", WITHIN, |app| phase(app) == "Failed").expect("it goes back");
    assert_eq!(found["status"]["observed"]["version"], "1.0.0+1.0.0", "{found:#}");
    assert_eq!((status_of(&found, "Converged"), status_of(&found, "Ready")), ("True", "False"), "{found:#}");
    assert_eq!(reason_of(&found, "Ready"), "UpgradeFailed");
    assert_eq!(found["status"]["upgrade"]["reason"], "CrashLoop", "{found:#}");
    assert_eq!(data(), before);

    installation.apply(&[app("1.1.1+1.1.1")]).expect("it is taken");
    let found = installation.wait("apps", "guests", WITHIN, |app| phase(app) == "Succeeded").expect("it is upgraded");
    assert_eq!(status_of(&found, "Ready"), "True", "{found:#}");
    assert_eq!((found["status"]["observed"]["version"].as_str(), data()), (Some("1.1.1+1.1.1"), before));
    let copies = engine::docker(&["volume", "ls", "--quiet", "--filter", &format!("name={STACK}")]);
    assert_eq!(copies.split_whitespace().collect::<Vec<_>>(), ["guests_ci_test_data", "guests_ci_test_data.snapshot"]);

    installation.kubectl(&["delete", "apps", "guests", "--wait=false"]).expect("it is deleted");
    installation.remove().expect("everything goes");
    let left = engine::inventory_of(&[STACK]);
    assert!(left.is_empty(), "{left:?}");
}
