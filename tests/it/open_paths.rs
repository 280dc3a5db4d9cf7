//! What `[anonymous] open_paths` opens, and what it never does, in a real `ccd`.

use std::path::Path;
use std::process::Command;

use tests::daemon::{Daemon, get, program};

const RECIPE: &str = "\
apiVersion: ci.coopcloud.tech/v1alpha1
kind: Recipe
metadata:
  name: shop
spec:
  source:
    url: https://git.example.org/shop.git
";

/// Starts a daemon with these open paths and a recipe in a namespace that is not public.
fn start(folder: &Path, open_paths: &str) -> Daemon {
    let (config, recipe) = (folder.join("config.toml"), folder.join("recipe.yaml"));
    std::fs::write(&config, format!("[anonymous]\nopen_paths = {open_paths}\n")).unwrap();
    std::fs::write(&recipe, RECIPE).unwrap();
    let daemon = Daemon::start_with(&folder.join("data"), &["--config", config.to_str().unwrap()]).unwrap();
    let applied = daemon.kubectl(&["create", "-f", recipe.to_str().unwrap()]).unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    daemon
}

/// Returns the code of the answer that a stranger with a program gets.
fn code(daemon: &Daemon, path: &str) -> String {
    let answer = get(daemon.http(), path).unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn a_path_that_was_opened_answers_strangers_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path(), r#"["/badge/*", "/recipes/default/shop"]"#);
    let cases = [
        ("/badge/default/shop.svg", "200"),
        ("/badge/default/shop.json", "200"),
        ("/badge/default/none.svg", "404"),
        ("/recipes/default/shop", "200"),
        ("/live?page=/recipes/default/other", "403"),
        ("/recipes/default/other", "303"),
        ("/recipes", "303"),
        ("/kinds/recipes.ci.coopcloud.tech/default/shop", "303"),
        ("/badge/../admin/backup", "404"),
        ("/admin/backup", "403"),
        ("/debug/state", "403"),
        ("/openapi/v3", "403"),
        ("/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/recipes/shop", "403"),
    ];
    for (path, expected) in cases {
        assert_eq!(code(&daemon, path), expected, "{path}");
    }
}

#[test]
fn nothing_is_open_that_nobody_opened() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path(), "[]");
    for (path, expected) in [("/badge/default/shop.svg", "404"), ("/recipes/default/shop", "303")] {
        assert_eq!(code(&daemon, path), expected, "{path}");
    }
}

#[test]
fn what_must_stay_closed_cannot_be_opened() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.toml");
    for path in ["/admin/*", "/debug/state", "/api/*", "/*"] {
        std::fs::write(&config, format!("[anonymous]\nopen_paths = [\"{path}\"]\n")).unwrap();
        let output = Command::new(program("ccd"))
            .args(["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--data-dir"])
            .args([folder.path().join("data"), "--config".into(), config.clone()])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{path} was opened");
        assert!(said.contains("anonymous.open_paths") && said.contains("\"/badge/*\""), "{said}");
    }
}
