//! Every page in a real Chromium: light and dark, phone and desktop, with JavaScript and without, and by axe.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::showcase::{Scene, Showcase};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Installs what drives the browser.
pub(crate) fn set_up() {
    let setup = Command::new(root().join("tests/web/setup")).status().unwrap();
    assert!(setup.success(), "tests/web/setup fails");
}

/// Runs `tests/web/look.mjs` on a scene; pictures of what it saw are left in `target/web/pictures/SCENE`.
async fn look(scene: Scene, name: &str) {
    look_at(&Showcase::open(scene).await.unwrap(), name).await;
}

/// Looks at a server that is filled already; `name` decides at which pages.
pub(crate) async fn look_at(showcase: &Showcase, name: &str) {
    set_up();
    let (url, token) = (showcase.server.url(""), showcase.server.admin.clone());
    let pictures = root().join("target/web/pictures").join(name);
    let scene = name.to_owned();
    let program = move || {
        Command::new("node")
            .arg(root().join("target/web/look.mjs"))
            .args([&url, &scene])
            .arg(&pictures)
            .env("CCD_TOKEN", &token)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(program).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}:\n{text}");
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_store_in_chromium() {
    look(Scene::Empty, "empty").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_store_in_chromium() {
    look(Scene::Busy, "busy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_store_in_chromium() {
    look(Scene::Failing, "failing").await;
}
