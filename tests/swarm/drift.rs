//! What somebody changes in the swarm by hand is put right within ten seconds, or reported and left alone, as the App says.

use std::process::Command;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::{Value, json};
use tests::daemon::{Daemon, program, wait_a_moment};
use tests::engine;
use tests::installation::{Installation, reason_of, status_of};

use crate::small;

const STACK: &str = "drift_ci_test";
const SERVICE: &str = "drift_ci_test_app";
const SECRET: &str = "drift_ci_test_token_v1";
const NETWORK: &str = "drift_ci_test_inner";
/// Another name of the same image.
const OTHER_IMAGE: &str = "127.0.0.1:5000/busybox:drift";
/// Longest from what somebody did until ccd puts it right, by ccd's own account.
const HEALED_WITHIN_SECONDS: i64 = 10;
/// Longest that anything is waited for: how fast it was is told by what ccd wrote down.
const WITHIN: Duration = Duration::from_mins(1);

const COMPOSE: &str = "\
version: \"3.8\"
services:
  app:
    image: IMAGE
    command: [\"sleep\", \"86400\"]
    init: true
    stop_grace_period: 1s
    secrets: [token]
    networks: [inner]
    deploy: {endpoint_mode: dnsrr, labels: [\"tier=one\"]}
networks:
  inner:
secrets:
  token: {external: true, name: \"${STACK_NAME}_token_${SECRET_TOKEN_VERSION}\"}
";

/// Something that somebody does with `docker`.
struct Accident {
    name: &'static str,
    /// The commands. What takes more than one of them is done while ccd stands still: it would put the first right before
    /// the second is done, and an engine keeps what a service uses.
    deeds: &'static [Deed],
    /// What the event says.
    event: &'static str,
    /// What `ccctl diff` says where it is left alone.
    words: &'static [&'static str],
}

enum Deed {
    Update(&'static [&'static str]),
    Remove(&'static str, &'static str),
}

const ACCIDENTS: [Accident; 6] = [
    Accident {
        name: "a label is edited",
        deeds: &[Deed::Update(&["--label-add", "tier=two"])],
        event: "Labels.tier differs",
        words: &["Labels.tier differs", "update service drift_ci_test_app"],
    },
    Accident {
        name: "the service is scaled",
        deeds: &[Deed::Update(&["--replicas", "3"])],
        event: "Replicas is 3 instead of 1",
        words: &["Replicas is 3 instead of 1", "update service drift_ci_test_app"],
    },
    Accident {
        name: "its image is another",
        deeds: &[Deed::Update(&["--image", OTHER_IMAGE])],
        event: "Image is 127.0.0.1:5000/busybox:drift instead",
        words: &["Image is 127.0.0.1:5000/busybox:drift instead of 127.0.0.1:5000/busybox:1"],
    },
    Accident {
        name: "the secret is deleted",
        deeds: &[Deed::Update(&["--secret-rm", SECRET]), Deed::Remove("secret", SECRET)],
        event: "create secret drift_ci_test_token_v1",
        words: &["ContainerSpec.Secrets differs", "create secret drift_ci_test_token_v1"],
    },
    Accident {
        name: "the service is removed",
        deeds: &[Deed::Remove("service", SERVICE)],
        event: "create service drift_ci_test_app",
        words: &["create service drift_ci_test_app"],
    },
    Accident {
        name: "the network is removed",
        deeds: &[Deed::Remove("service", SERVICE), Deed::Remove("network", NETWORK)],
        event: "The service app was deployed and is gone",
        words: &["create network drift_ci_test_inner", "create service drift_ci_test_app"],
    },
];

impl Deed {
    fn carry_out(&self) {
        match self {
            Self::Update(options) => {
                let fixed = ["service", "update", "--detach", "--quiet", "--no-resolve-image"];
                let _ = engine::docker(&[&fixed[..], options, &[SERVICE]].concat());
            }
            Self::Remove(kind, name) => {
                let started = Instant::now();
                loop {
                    let output = Command::new("docker").args(["--host", &engine::address(), kind, "rm", name]).output();
                    let output = output.expect("docker runs");
                    let words = String::from_utf8_lossy(&output.stderr).to_lowercase();
                    if output.status.success() || words.contains("not found") || words.contains("no such") {
                        return;
                    }
                    // Tasks of a service that is gone have the network for a moment more.
                    assert!(started.elapsed() < WITHIN, "{kind} {name}: {words}");
                    wait_a_moment();
                }
            }
        }
    }
}

impl Accident {
    fn happen(&self, ccd: &Daemon) {
        let signal = |name: &str| {
            let status = Command::new("kill").args([name, &ccd.id().to_string()]).status().expect("kill runs");
            assert!(status.success());
        };
        let stands_still = self.deeds.len() > 1;
        if stands_still {
            signal("-STOP");
        }
        self.deeds.iter().for_each(Deed::carry_out);
        if stands_still {
            signal("-CONT");
        }
    }

    fn is_told_by(&self, text: &str) -> bool {
        self.words.iter().all(|word| text.contains(word))
    }
}

/// Returns what the engine has of the stack, as far as hands change it.
fn state() -> String {
    let mut found = engine::inventory_of(&[STACK]);
    // Tasks come and go while all is well.
    found.retain(|item| !item.starts_with("container/"));
    let mut lines: Vec<String> = found.into_iter().collect();
    if lines.iter().any(|line| *line == format!("service/{SERVICE}")) {
        let format = "{{.Spec.Mode.Replicated.Replicas}} {{.Spec.Labels.tier}} {{.Spec.TaskTemplate.ContainerSpec.Image}} \
                      {{len .Spec.TaskTemplate.ContainerSpec.Secrets}} {{len .Spec.TaskTemplate.Networks}}";
        lines.extend(inspect(format));
    }
    lines.join("\n")
}

/// Returns what the service is, unless it goes meanwhile.
fn inspect(format: &str) -> Option<String> {
    let arguments = ["--host", &engine::address(), "service", "inspect", SERVICE, "--format", format];
    let output = Command::new("docker").args(arguments).output().expect("docker runs");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Returns whether `ccctl diff` finds nothing, and what it prints.
fn diff(installation: &Installation) -> (bool, String) {
    let mut command = Command::new(program("ccctl"));
    command.arg("--kubeconfig").arg(installation.daemon.kubeconfig()).args(["diff", "app/drift"]);
    let output = command.output().expect("ccctl runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn wait_until(what: &str, seen: impl Fn() -> String, is_so: impl Fn(&str) -> bool) {
    let started = Instant::now();
    loop {
        let found = seen();
        if is_so(&found) {
            return;
        }
        assert!(started.elapsed() < WITHIN, "{what}: {found}");
        wait_a_moment();
    }
}

#[expect(clippy::disallowed_methods, reason = "compared with what ccd writes down")]
fn now() -> Timestamp {
    Timestamp::now()
}

/// Checks how long after a moment things were put right: as the engine wrote down of a service that was made since, else as
/// ccd wrote down itself.
fn check_speed(app: &Value, since: Timestamp, what: &str) {
    let made = inspect("{{json .CreatedAt}}").expect("it is there");
    let made: Timestamp = made.trim_matches('"').parse().expect("a moment");
    let told: Timestamp = app["status"]["deployedAt"].as_str().expect("it was deployed").parse().expect("a moment");
    let at = if made > since { made } else { told };
    let took = at.as_second() - since.as_second();
    assert!((0..=HEALED_WITHIN_SECONDS).contains(&took), "{what}: after {took} s: {app:#}");
}

#[test]
fn what_somebody_changes_by_hand_is_put_right_within_ten_seconds_or_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::plain(folder.path(), 1, "").expect("the installation starts");
    let url = small::publish(&folder.path().join("small"), &[("1.0.0+1.0.0", small::recipe(COMPOSE))]).url();
    let app = small::app("drift", &url, "drift.ci.test", &json!({"version": "1.0.0+1.0.0"}));
    let _ = engine::docker(&["tag", &engine::image(), OTHER_IMAGE]);
    installation.apply(&[app]).expect("it is taken");
    installation.wait_for("apps", "drift", "Ready").expect("it runs");
    let before = state();
    heals(&installation, &before);
    reports(&installation, &before);
    installation.remove().expect("everything goes");
    let _ = engine::docker(&["rmi", OTHER_IMAGE]);
    let left = engine::inventory_of(&[STACK]);
    assert!(left.is_empty(), "{left:?}");
}

/// One accident after the other, each put right before the next.
fn heals(installation: &Installation, before: &str) {
    let messages =
        || installation.kubectl(&["get", "events", "-o", "jsonpath={.items[*].message}"]).expect("ccd answers");
    for accident in &ACCIDENTS {
        let since = now();
        accident.happen(&installation.daemon);
        wait_until(accident.name, messages, |events| events.contains(accident.event));
        wait_until(accident.name, state, |found| found == before);
        let is_over = |app: &Value| {
            let reason = reason_of(app, "Converged");
            !reason.is_empty() && !["Superseded", "Vanished"].contains(&reason)
        };
        let app = installation.wait("apps", "drift", WITHIN, is_over).expect("nothing differs any more");
        check_speed(&app, since, accident.name);
    }
    installation.wait_for("apps", "drift", "Ready").expect("it runs as before");
}

/// All of them on top of each other, and nothing is touched until that is asked for.
fn reports(installation: &Installation, before: &str) {
    let policy = |word: &str| {
        installation.change("apps", "drift", &json!({"spec": {"driftPolicy": word}})).expect("it is taken");
    };
    let in_sync = |app: &Value| {
        let is_current = app["status"]["observedGeneration"] == app["metadata"]["generation"];
        is_current && status_of(app, "Ready") == "True" && status_of(app, "Drifted") == "False"
    };
    policy("Report");
    installation.wait("apps", "drift", WITHIN, in_sync).expect("it is as it should be");
    assert!(diff(installation).0, "{}", diff(installation).1);
    for accident in &ACCIDENTS {
        accident.happen(&installation.daemon);
        let seen = || diff(installation).1;
        wait_until(accident.name, seen, |text| accident.is_told_by(text) && text.contains("left as it is"));
        assert!(!diff(installation).0, "{}", accident.name);
    }
    assert_eq!(state(), "", "it was put right, or something else went");
    let app = installation.get("apps", "drift").expect("ccd answers").expect("it is there");
    assert_eq!((status_of(&app, "Drifted"), status_of(&app, "Ready")), ("True", "False"), "{app:#}");
    let since = now();
    policy("Heal");
    wait_until("the policy is another", state, |found| found == before);
    let app = installation.wait("apps", "drift", WITHIN, in_sync).expect("it is as it should be");
    check_speed(&app, since, "the policy is another");
    assert!(diff(installation).0, "{}", diff(installation).1);
}
