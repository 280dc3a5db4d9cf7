//! What runs leave, over HTTP: logs by stage and artifacts, for whoever may see them, and harmless for browsers.

use std::process::{Output, Stdio};
use std::sync::Arc;

use controller::logs::RunLogs;
use ports::clock::SystemClock;
use ports::files::runs::RunLimits;
use ports::files::{Faults, FileName, FileRoot, RunFiles, RunKey};
use ports::redact::Redactor;
use reqwest::Response;
use serde_json::{Value, json};
use tests::server::{ServerOptions, TestServer};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const RUNS: &str = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns";

struct World {
    server: TestServer,
    files: RunFiles,
    key: RunKey,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = FileRoot::open(folder.path(), Faults::default()).unwrap();
        let files = RunFiles::new(root, Redactor::default(), Arc::new(SystemClock), RunLimits::default());
        let options = ServerOptions { logs: Arc::new(RunLogs::new(files.clone())), ..ServerOptions::default() };
        let server = TestServer::start(options).await.unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let run = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun",
            "metadata": {"name": "demo-1", "namespace": "default"},
            "spec": {"recipeRef": "demo", "source": {"version": "1.0.0+1"}}});
        let created = http.post(server.url(RUNS)).bearer_auth(&server.admin).json(&run).send().await.unwrap();
        assert_eq!(created.status().as_u16(), 201);
        let run: Value = created.json().await.unwrap();
        let status = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun",
            "metadata": {"name": "demo-1", "namespace": "default"},
            "status": {"phase": "Running", "logs": [{"name": "prepare", "bytes": 1}], "rungs": [{"name": "install", "status": "Unverified"}]}});
        let url = server.url(&format!("{RUNS}/demo-1/status"));
        let patch = http.patch(url).bearer_auth(&server.admin).header("content-type", "application/merge-patch+json");
        let patched = patch.body(status.to_string()).send().await.unwrap();
        assert_eq!(patched.status().as_u16(), 200, "{}", patched.text().await.unwrap());
        let key = RunKey::new("default", "demo-1", run["metadata"]["uid"].as_str().unwrap()).unwrap();
        Self { server, files, key, http, _folder: folder }
    }

    async fn get(&self, path: &str, token: &str) -> Response {
        self.http.get(self.server.url(path)).bearer_auth(token).send().await.unwrap()
    }

    /// Returns a kubectl that talks to the server.
    fn kubectl(&self, line: &str) -> Command {
        let config = self.server.dir.path().join("kubeconfig");
        self.server.write_kubeconfig(&config).unwrap();
        let mut command = Command::new("kubectl");
        command.arg("--kubeconfig").arg(config).arg("--cache-dir").arg(self.server.dir.path().join("cache"));
        command.args(line.split(' ')).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    async fn said(&self, line: &str) -> String {
        let Output { status, stdout, stderr } = self.kubectl(line).output().await.unwrap();
        let errors = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "kubectl {line}: {errors}");
        String::from_utf8(stdout).unwrap()
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let answer = self.get(path, &self.server.admin).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn name(text: &str) -> FileName {
    FileName::new(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_by_stage_as_runs_and_as_pods() {
    let world = World::start().await;
    world.files.log(&world.key, &name("prepare")).unwrap().line("fetched").unwrap();
    world.files.log(&world.key, &name("install")).unwrap().line("deployed").unwrap();
    let whole = (200, "[prepare] fetched\n[install] deployed\n".to_owned());
    assert_eq!(world.text(&format!("{RUNS}/demo-1/log")).await, whole);
    assert_eq!(world.text("/api/v1/namespaces/default/pods/demo-1/log?container=run").await, whole);
    let one = (200, "deployed\n".to_owned());
    assert_eq!(world.text(&format!("{RUNS}/demo-1/log?stage=install")).await, one);
    assert_eq!(world.text("/api/v1/namespaces/default/pods/demo-1/log?container=install").await, one);
    let before = (200, "fetched\n".to_owned());
    assert_eq!(world.text(&format!("{RUNS}/demo-1/log?stage=prepare&tailLines=5")).await, before);
    let (status, words) = world.text(&format!("{RUNS}/demo-1/log?stage=absent")).await;
    assert!(status == 400 && words.contains("choose one of run, install, prepare"), "{status} {words}");
    world.files.complete(&world.key).unwrap();
    assert_eq!(world.text(&format!("{RUNS}/demo-1/log?follow=true&stage=install")).await, one);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_prints_and_follows_the_log_of_a_run() {
    let world = World::start().await;
    let mut prepare = world.files.log(&world.key, &name("prepare")).unwrap();
    prepare.line("fetched").unwrap();
    let mut install = world.files.log(&world.key, &name("install")).unwrap();
    install.line("pulled").unwrap();
    install.line("deployed").unwrap();
    let pod = world.said("get pod demo-1").await;
    assert!(pod.contains("demo-1") && pod.contains("Running"), "{pod}");
    let whole = "[prepare] fetched\n[install] pulled\n[install] deployed\n";
    let cases = [
        ("logs demo-1", whole),
        ("logs pod/demo-1 --since=1h", whole),
        ("logs demo-1 --since-time=2099-01-01T00:00:00Z", ""),
        ("logs demo-1 --tail=1", "[install] deployed\n"),
        ("logs demo-1 --tail=0", ""),
        ("logs demo-1 -c install", "pulled\ndeployed\n"),
        ("logs demo-1 -c install --limit-bytes=4", "pull"),
        ("logs demo-1 --all-containers --prefix --tail=1 --max-log-requests=5", "[pod/demo-1/install] deployed\n"),
    ];
    for (line, wanted) in cases {
        let said = world.said(line).await;
        let is_right = if line.contains("--prefix") { said.contains(wanted) } else { said == wanted };
        assert!(is_right, "kubectl {line} prints {said:?}, not {wanted:?}");
    }
    let stamped = world.said("logs demo-1 -c prepare --timestamps").await;
    let (time, text) = stamped.split_once(' ').unwrap();
    assert!(time.parse::<jiff::Timestamp>().is_ok() && text == "fetched\n", "{stamped}");
    for (line, why) in [
        ("logs demo-1 --previous", "runs are never restarted"),
        ("logs demo-1 -c absent", "container absent is not valid for pod demo-1"),
        ("logs absent", "pods \"absent\" not found"),
        ("--context bob logs demo-1", "Forbidden"),
    ] {
        let output = world.kubectl(line).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(why), "kubectl {line}: {errors}");
    }

    // Followed: each line comes when it is written, and the end of the run is the end of the command.
    let mut following = world.kubectl("logs demo-1 -f --tail=1").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    for (said, next) in [("deployed", "healthy"), ("healthy", "removed"), ("removed", "")] {
        assert_eq!(lines.next_line().await.unwrap().as_deref(), Some(&*format!("[install] {said}")));
        if !next.is_empty() {
            install.line(next).unwrap();
        }
    }
    world.files.complete(&world.key).unwrap();
    assert_eq!(lines.next_line().await.unwrap(), None);
    assert!(following.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn artifacts_are_served_and_no_browser_runs_them() {
    let world = World::start().await;
    for (file, content) in [("results.json", "{}"), ("report.html", "<script>alert(1)</script>"), ("a.svg", "<svg/>")] {
        world.files.put_artifact(&world.key, &name(file), content.as_bytes()).unwrap();
    }
    let path = |file: &str| format!("{RUNS}/demo-1/artifacts/{file}");
    let cases = [
        ("results.json", "application/json", "inline"),
        ("report.html", "text/html; charset=utf-8", "attachment"),
        ("a.svg", "image/svg+xml", "attachment"),
    ];
    for (file, media_type, disposition) in cases {
        let answer = world.get(&path(file), &world.server.admin).await;
        assert_eq!(answer.status().as_u16(), 200, "{file}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), media_type);
        assert!(header("content-disposition").starts_with(disposition), "{file}");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").starts_with("sandbox"));
    }
    for (file, status) in [("absent", 404), ("..%2Fcomplete", 400), (".hidden", 400), ("", 400)] {
        assert_eq!(world.get(&path(file), &world.server.admin).await.status().as_u16(), status, "{file:?}");
    }
    assert_eq!(world.get(&path("results.json"), &world.server.bob).await.status().as_u16(), 403);
    let elsewhere = format!("{RUNS}/absent/artifacts/results.json");
    assert_eq!(world.get(&elsewhere, &world.server.admin).await.status().as_u16(), 404);
}
