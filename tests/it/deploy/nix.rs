//! The flake and the NixOS module, evaluated without a network: `tests/fixtures/nix` stands in for nixpkgs.

use std::process::Command;

use serde_json::{Value, json};

use super::unit::Settings;
use super::{root, run, text, unit, version};

fn nix(arguments: &[&str]) -> Command {
    let mut command = Command::new("nix-instantiate");
    // No store is needed to think, and no user to build.
    command.args(["--store", "dummy://"]).args(arguments).env("NIX_CONFIG", "build-users-group =").current_dir(root());
    command
}

fn evaluated() -> Value {
    let repository = root();
    let arguments = ["--eval", "--strict", "--json", "--argstr", "repository", repository.to_str().unwrap()];
    let output = run(nix(&arguments).arg("tests/fixtures/nix/evaluate.nix"));
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the settings of a unit as NixOS writes them.
fn settings(service: &Value) -> Settings {
    let mut found = Settings::new();
    let mut put = |section: &str, key: &str, value: &Value| {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let values = match value {
            Value::Array(items) => items.iter().flat_map(|item| words(item.as_str().unwrap())).collect(),
            Value::String(text) => words(text),
            other => vec![other.to_string()],
        };
        found.insert((section.to_owned(), key.to_owned()), values);
    };
    for (key, value) in service.as_object().unwrap() {
        match key.as_str() {
            "description" => put("Unit", "Description", value),
            "documentation" => put("Unit", "Documentation", value),
            "after" => put("Unit", "After", value),
            "wants" => put("Unit", "Wants", value),
            "startLimitIntervalSec" => put("Unit", "StartLimitIntervalSec", value),
            "wantedBy" => put("Install", "WantedBy", value),
            "path" => {}
            "serviceConfig" => {
                for (key, value) in value.as_object().unwrap() {
                    put("Service", key, value);
                }
            }
            other => panic!("the test does not know what {other} becomes"),
        }
    }
    found
}

#[test]
fn every_nix_file_parses() {
    let listed = run(Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.nix"])
        .current_dir(root()));
    let files = String::from_utf8(listed.stdout).unwrap();
    assert!(files.contains("flake.nix"), "{files}");
    for file in files.lines() {
        let output = run(&mut nix(&["--parse", file]));
        assert!(output.status.success(), "{file}: {}", text(&output));
    }
}

#[test]
fn the_module_makes_the_unit_of_every_other_machine() {
    let made = settings(&evaluated()["plain"]["ccd"]);
    let mut wanted = unit::settings();
    let program = wanted.get_mut(&("Service".to_owned(), "ExecStart".to_owned())).unwrap();
    assert_eq!(program[0], "/usr/local/bin/ccd");
    "/nix/store/cc-ci/bin/ccd".clone_into(&mut program[0]);
    let differs: Vec<_> = wanted
        .keys()
        .chain(made.keys())
        .filter(|key| made.get(*key) != wanted.get(*key))
        .map(|key| format!("{key:?}: the module {:?}, ccd.service {:?}", made.get(key), wanted.get(key)))
        .collect();
    assert!(differs.is_empty(), "{differs:#?}");
}

#[test]
fn the_module_does_what_it_is_asked_for_and_nothing_when_it_is_off() {
    let evaluated = evaluated();
    assert_eq!(evaluated["off"], json!({}));
    let full = &evaluated["full"];
    assert_eq!(full["networking"]["firewall"]["allowedTCPPorts"], json!([9443]));
    assert_eq!(full["virtualisation"]["docker"], json!({}), "the engine is elsewhere");
    let ccd = &full["systemd"]["services"]["ccd"];
    assert_eq!(ccd["path"], json!(["git", "openssh", "abra"]));
    let start = ccd["serviceConfig"]["ExecStart"].as_str().unwrap();
    assert!(start.ends_with("serve --data-dir /var/lib/ccd --config /nix/store/ccd.toml"), "{start}");
    assert_eq!(ccd["serviceConfig"]["SupplementaryGroups"], json!([]));
    let manifests = &full["systemd"]["services"]["ccd-manifests"]["serviceConfig"];
    assert_eq!(
        manifests["ExecStart"],
        "/nix/store/cc-ci/bin/ccctl --kubeconfig /var/lib/ccd/kubeconfig apply --recursive --filename /manifests"
    );
    assert_eq!(manifests["User"], "ccd", "the kubeconfig is readable for this user only");
}

#[test]
fn the_flake_has_what_its_readers_expect() {
    let evaluated = evaluated();
    let flake = &evaluated["flake"];
    let outputs = ["checks", "devShells", "formatter", "nixosModules", "overlays", "packages"];
    assert_eq!(flake["outputs"], json!(outputs));
    for system in ["x86_64-linux", "aarch64-linux"] {
        assert_eq!(flake["packages"][system], json!(["cc-ci", "default", "image"]), "{system}");
    }
    assert_eq!(flake["checks"], json!(["machine", "package"]));
    assert_eq!(evaluated["package"]["version"], version());
    assert_eq!(evaluated["package"]["license"], env!("CARGO_PKG_LICENSE"));
    assert_eq!(evaluated["package"]["sourceHasLock"], true);
    assert_eq!(evaluated["image"], json!({"tag": version(), "entrypoint": ["/bin/ccd"]}));
}

#[test]
fn the_test_of_the_virtual_machine_is_sound_as_far_as_it_can_be_seen_without_one() {
    let test = &evaluated()["test"];
    let manifests = test["manifests"].as_array().unwrap();
    assert!(!manifests.is_empty() && manifests.iter().all(|exists| *exists == true), "{manifests:?}");
    let settings = toml::to_string(&test["settings"]).unwrap();
    toml::from_str::<apiserver::config::Config>(&settings).unwrap();
    let script = test["testScript"].as_str().unwrap();
    let compile = "import sys; compile(sys.stdin.read(), 'testScript', 'exec')";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("script"), script).unwrap();
    let input = std::fs::File::open(folder.path().join("script")).unwrap();
    let output = run(Command::new("python3").args(["-c", compile]).stdin(input));
    assert!(output.status.success(), "{}", text(&output));
}
