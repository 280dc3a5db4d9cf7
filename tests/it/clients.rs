//! Clients that others wrote, unmodified: Python's kubernetes and kopf, JavaScript's client-node, Rust's kube.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::finalizer::{Event as FinalizerEvent, finalizer};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use serde_json::{Value, json};
use tests::daemon::{Daemon, wait_a_moment};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let status = Command::new(root().join("tests/clients/setup")).status().unwrap();
        assert!(status.success(), "tests/clients/setup fails");
    });
}

fn daemon() -> (tempfile::TempDir, Daemon) {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(&dir.path().join("data")).unwrap();
    (dir, daemon)
}

fn succeed(command: &mut Command, daemon: &Daemon) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?} fails:\n{text}\n{}\nccd said:\n{}",
        String::from_utf8_lossy(&output.stderr),
        daemon.log()
    );
    text
}

#[test]
fn clients_python_kubernetes() {
    install();
    let (_dir, daemon) = daemon();
    let text = succeed(
        Command::new(root().join("target/clients/python/bin/python"))
            .arg(root().join("tests/clients/python/conversation.py"))
            .arg(daemon.kubeconfig()),
        &daemon,
    );
    assert_eq!(text, "the conversation went well\n");
}

#[test]
fn clients_javascript_client_node() {
    install();
    let (_dir, daemon) = daemon();
    // The library's typed models lose `default` in schemas, so kubectl defines the kind.
    let definition = root().join("tests/clients/definition.json");
    let output = daemon.kubectl(&["apply", "-f", definition.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = succeed(
        Command::new("node")
            .env("CLIENT_MODULES", root().join("target/clients/javascript"))
            .arg(root().join("tests/clients/javascript/conversation.mjs"))
            .arg(daemon.kubeconfig()),
        &daemon,
    );
    assert_eq!(text, "the conversation went well\n");
}

#[test]
fn clients_kopf_operator() {
    install();
    let (dir, daemon) = daemon();
    let apply = |manifest: &Value| {
        let path = dir.path().join("manifest.json");
        std::fs::write(&path, manifest.to_string()).unwrap();
        let output = daemon.kubectl(&["apply", "-f", path.to_str().unwrap()]).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    apply(&definition());
    let mut operator = Command::new(root().join("target/clients/python/bin/kopf"))
        .args(["run", "--namespace", "default", "--standalone"])
        .arg(root().join("tests/clients/python/paint_operator.py"))
        .env("KUBECONFIG", daemon.kubeconfig())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(dir.path().join("kopf.out")).unwrap())
        .stderr(std::fs::File::create(dir.path().join("kopf.err")).unwrap())
        .spawn()
        .unwrap();
    let painted = |colour: &str| {
        let path = "jsonpath={.status.painted}";
        let output = daemon.kubectl(&["get", "gadget", "one", "-o", path]).unwrap();
        String::from_utf8_lossy(&output.stdout) == colour
    };
    let log = || std::fs::read_to_string(dir.path().join("kopf.err")).unwrap_or_default();
    apply(&gadget("one", "red"));
    wait_until("kopf sees the gadget", || painted("red"), &log);
    apply(&gadget("one", "blue"));
    wait_until("kopf sees the change", || painted("blue"), &log);
    let output = daemon.kubectl(&["delete", "gadget", "one", "--timeout=30s"]).unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stderr), log());
    let cleaned = || std::fs::read_to_string(dir.path().join("kopf.out")).unwrap_or_default().contains("cleaned one");
    wait_until("kopf cleans up", cleaned, &log);
    operator.kill().unwrap();
    operator.wait().unwrap();
}

fn wait_until(what: &str, is_true: impl Fn() -> bool, log: &dyn Fn() -> String) {
    let started = Instant::now();
    while !is_true() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not within a minute\n{}", log());
        wait_a_moment();
    }
}

fn definition() -> Value {
    let path = root().join("tests/clients/definition.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn gadget(name: &str, colour: &str) -> Value {
    json!({"apiVersion": "clients.example.com/v1", "kind": "Gadget", "metadata": {"name": name},
        "spec": {"colour": colour}})
}

fn gadgets() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("clients.example.com", "v1", "Gadget"), "gadgets")
}

async fn kube_client(daemon: &Daemon) -> kube::Client {
    let kubeconfig = kube::config::Kubeconfig::read_from(daemon.kubeconfig()).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

/// Makes the definition and returns the API of its objects in `default`.
async fn defined(client: &kube::Client) -> Api<DynamicObject> {
    let definitions = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        "customresourcedefinitions",
    );
    let definitions: Api<DynamicObject> = Api::all_with(client.clone(), &definitions);
    let parameters = PatchParams::apply("kube-rs").force();
    let applied = definitions.patch("gadgets.clients.example.com", &parameters, &Patch::Apply(definition())).await;
    let conditions = &applied.unwrap().data["status"]["conditions"];
    assert!(conditions.as_array().unwrap().iter().any(|condition| condition["type"] == "Established"));
    Api::namespaced_with(client.clone(), "default", &gadgets())
}

fn object(name: &str, colour: &str) -> DynamicObject {
    serde_json::from_value(gadget(name, colour)).unwrap()
}

#[tokio::test]
async fn clients_kube_rs_verbs() {
    let (_dir, daemon) = daemon();
    let client = kube_client(&daemon).await;
    let api = defined(&client).await;
    let created = api.create(&PostParams::default(), &object("one", "red")).await.unwrap();
    assert_eq!(created.data["spec"]["replicas"], 1);
    let error = api.create(&PostParams::default(), &object("one", "red")).await.unwrap_err();
    assert!(matches!(&error, kube::Error::Api(status) if status.code == 409), "{error}");

    let apply = |manager: &str, spec: Value, force: bool| {
        let parameters = PatchParams { force, ..PatchParams::apply(manager) };
        let mut body = gadget("one", "red");
        body["spec"] = spec;
        let api = api.clone();
        async move { api.patch("one", &parameters, &Patch::Apply(body)).await }
    };
    apply("first", json!({"colour": "green"}), true).await.unwrap();
    let conflict = apply("second", json!({"colour": "blue"}), false).await.unwrap_err();
    assert!(matches!(&conflict, kube::Error::Api(status) if status.code == 409), "{conflict}");
    let forced = apply("second", json!({"colour": "blue"}), true).await.unwrap();
    assert_eq!(forced.data["spec"]["colour"], "blue");

    let status = json!({"status": {"replicas": 1}});
    api.patch_status("one", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    let scale = Patch::Merge(json!({"spec": {"replicas": 4}}));
    let scaled = api.patch_scale("one", &PatchParams::default(), &scale).await.unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(4));
    assert_eq!(api.get_metadata("one").await.unwrap().metadata.generation, Some(4));
    api.delete("one", &DeleteParams::default()).await.unwrap();
    assert!(api.get_opt("one").await.unwrap().is_none());
}

#[tokio::test]
async fn clients_kube_rs_reflector_with_a_streaming_list() {
    let (_dir, daemon) = daemon();
    let client = kube_client(&daemon).await;
    let api = defined(&client).await;
    for index in 0..30 {
        api.create(&PostParams::default(), &object(&format!("g{index:02}"), "red")).await.unwrap();
    }
    for config in [watcher::Config::default().streaming_lists(), watcher::Config::default().page_size(7)] {
        let writer = reflector::store::Writer::<DynamicObject>::new(gadgets());
        let reader = writer.as_reader();
        let stream = watcher(api.clone(), config).default_backoff().reflect(writer).touched_objects();
        let following = stream.try_for_each(|_| async { Ok(()) });
        let ready = tokio::time::timeout(Duration::from_secs(20), reader.wait_until_ready());
        tokio::select! {
            ended = following => panic!("the watch ended: {ended:?}"),
            ready = ready => ready.unwrap().unwrap(),
        }
        assert_eq!(reader.state().len(), 30);
    }
}

#[tokio::test]
async fn clients_kube_rs_finalizer() {
    let (_dir, daemon) = daemon();
    let client = kube_client(&daemon).await;
    let api = defined(&client).await;
    api.create(&PostParams::default(), &object("one", "red")).await.unwrap();
    let name = "clients.example.com/clean";
    let step = |expect_cleanup: bool| {
        let api = api.clone();
        async move {
            let object = std::sync::Arc::new(api.get("one").await.unwrap());
            finalizer(&api, name, object, |event| async move {
                assert_eq!(matches!(event, FinalizerEvent::Cleanup(_)), expect_cleanup);
                Ok::<_, std::io::Error>(kube::runtime::controller::Action::await_change())
            })
            .await
            .unwrap();
        }
    };
    step(false).await;
    assert_eq!(api.get("one").await.unwrap().metadata.finalizers.unwrap(), [name]);
    api.delete("one", &DeleteParams::default()).await.unwrap();
    assert!(api.get("one").await.unwrap().metadata.deletion_timestamp.is_some());
    step(true).await;
    assert!(api.get_opt("one").await.unwrap().is_none());
}

#[tokio::test]
async fn clients_kube_rs_watch_resumes() {
    let (_dir, daemon) = daemon();
    let client = kube_client(&daemon).await;
    let api = defined(&client).await;
    let first = api.create(&PostParams::default(), &object("one", "red")).await.unwrap();
    api.create(&PostParams::default(), &object("two", "red")).await.unwrap();
    let parameters = kube::api::WatchParams::default().timeout(5);
    let stream = api.watch(&parameters, &first.metadata.resource_version.unwrap()).await.unwrap();
    let events: Vec<_> = std::pin::pin!(stream).take(1).try_collect().await.unwrap();
    assert!(
        matches!(&events[0], kube::api::WatchEvent::Added(object) if object.metadata.name.as_deref() == Some("two"))
    );
}
