//! Churn, kill -9 and restarts, while 32 clients watch: what each of them has put together from its events is, in the
//! end, what a list shows.
//!
//! `make test` plays this for a short while, `make soak` for ten minutes (`CC_SOAK_SECONDS`). `CC_SEED` repeats what
//! the writers do; when the daemon dies is decided by the clock.

mod watcher;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::daemon::Daemon;
use tests::seed::Random;
use tokio_util::sync::CancellationToken;
use watcher::{Seen, Watcher};

const WATCHERS: usize = 32;
const WRITERS: u64 = 4;
/// Few enough names that objects are changed and deleted all the time.
const NAMES: u64 = 120;
/// How long the daemon lives, in milliseconds.
const LIFE_MIN: u64 = 2_000;
const LIFE_SPREAD: u64 = 6_000;
/// How long everybody may take to see the last change on a busy machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
const GADGETS: &str = "/apis/soak.example.com/v1";
/// The object that is made last; it matches every selector.
const LAST: &str = "zz-last";

/// Where the daemon is at this moment; it moves with every restart.
#[derive(Clone)]
struct Place {
    address: Arc<Mutex<String>>,
    token: String,
    client: reqwest::Client,
}

impl Place {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address.lock().unwrap())
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, self.url(path)).bearer_auth(&self.token)
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.request(reqwest::Method::GET, path).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }
}

#[test]
fn soak_every_watcher_ends_with_what_a_list_shows() {
    let seconds = tests::seed::number_from_environment("CC_SOAK_SECONDS").unwrap_or(40);
    let seed = tests::seed::from_environment("CC_SEED");
    println!("replay with CC_SEED={seed} CC_SOAK_SECONDS={seconds}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(Box::pin(soak(seed, Duration::from_secs(seconds))));
}

async fn soak(seed: u64, duration: Duration) {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(&data).unwrap();
    let kubeconfig = std::fs::read_to_string(daemon.kubeconfig()).unwrap();
    let kubeconfig: Value = serde_saphyr::from_str(&kubeconfig).unwrap();
    let place = Place {
        address: Arc::new(Mutex::new(daemon.http().to_owned())),
        token: kubeconfig["users"][0]["user"]["token"].as_str().unwrap().to_owned(),
        client: reqwest::Client::new(),
    };
    prepare(&place).await;
    let stop = CancellationToken::new();
    let watchers: Vec<_> =
        (0..WATCHERS).map(|number| tokio::spawn(Watcher::new(place.clone(), number).run())).collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| tokio::spawn(write(place.clone(), Random::new(seed ^ number), stop.clone())))
        .collect();
    let (daemon, restarts) = kill_and_restart(daemon, &data, &place, Random::new(!seed), duration).await;
    stop.cancel();
    let mut writes = 0;
    for writer in writers {
        writes += writer.await.unwrap();
    }
    create(&place, "default", LAST, json!({"text": "last"}), "red").await;
    let mut seen: Vec<Seen> = Vec::new();
    for watcher in watchers {
        seen.push(
            tokio::time::timeout(SETTLED_WITHIN, watcher).await.expect("every watcher sees the last object").unwrap(),
        );
    }
    let list = place.json(&format!("{GADGETS}/gadgets")).await;
    let (mut events, mut resumes, mut relists) = (0, 0, 0);
    for seen in &seen {
        seen.compare(&list);
        (events, resumes, relists) = (events + seen.events, resumes + seen.resumes, relists + seen.relists);
    }
    let objects = list["items"].as_array().unwrap().len();
    println!(
        "{writes} writes, {restarts} kills, {objects} objects; {events} events, {resumes} resumes, {relists} lists"
    );
    assert!(restarts > 0 && writes > 100, "{restarts} kills and {writes} writes prove little");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

async fn prepare(place: &Place) {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.soak.example.com"},
        "spec": {
            "group": "soak.example.com", "scope": "Namespaced", "names": {"kind": "Gadget", "plural": "gadgets"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}],
        },
    });
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}});
    for (path, body) in
        [("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition), ("/api/v1/namespaces", namespace)]
    {
        let answer = place.request(reqwest::Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
    }
}

/// Kills the daemon at any moment and starts it again, for `duration`; returns the last one and how many died.
async fn kill_and_restart(
    mut daemon: Daemon,
    data: &std::path::Path,
    place: &Place,
    mut random: Random,
    duration: Duration,
) -> (Daemon, usize) {
    let end = Instant::now() + duration;
    let mut restarts = 0;
    loop {
        let life = Duration::from_millis(LIFE_MIN + random.below(LIFE_SPREAD));
        let left = end.saturating_duration_since(Instant::now());
        // A moment that nothing announces is the point: the kill must come at any instant.
        tokio::time::sleep(life.min(left)).await;
        if Instant::now() >= end {
            return (daemon, restarts);
        }
        let data = data.to_owned();
        daemon = tokio::task::spawn_blocking(move || {
            daemon.kill().unwrap();
            drop(daemon);
            Daemon::start(&data).unwrap()
        })
        .await
        .unwrap();
        daemon.http().clone_into(&mut place.address.lock().unwrap());
        restarts += 1;
    }
}

/// Creates, changes and deletes until it is stopped; returns how many writes were acknowledged.
async fn write(place: Place, mut random: Random, stop: CancellationToken) -> usize {
    let mut acknowledged = 0;
    let mut step = 0_u64;
    while !stop.is_cancelled() {
        step += 1;
        let namespace = if random.below(3) == 0 { "other" } else { "default" };
        let path = format!("{GADGETS}/namespaces/{namespace}/gadgets");
        let name = format!("g{:03}", random.below(NAMES));
        let colour = if random.below(2) == 0 { "red" } else { "blue" };
        let item = format!("{path}/{name}");
        let merge = |path: String, body: Value| {
            let body = body.to_string();
            place
                .request(reqwest::Method::PATCH, &path)
                .header("content-type", "application/merge-patch+json")
                .body(body)
        };
        let request = match random.below(8) {
            0 | 1 => place.request(reqwest::Method::POST, &path).json(&gadget(&name, json!({"step": step}), colour)),
            2 => place.request(reqwest::Method::DELETE, &item),
            3 => merge(item, json!({"metadata": {"labels": {"colour": colour}}})),
            4 | 5 => merge(item, json!({"spec": {"step": step, "text": "x".repeat(random.below(2000) as usize)}})),
            _ => merge(format!("{item}/status"), json!({"status": {"step": step}})),
        };
        match request.send().await {
            Ok(answer) if answer.status().is_success() => acknowledged += 1,
            Ok(answer) => {
                let expected = [StatusCode::NOT_FOUND, StatusCode::CONFLICT, StatusCode::SERVICE_UNAVAILABLE];
                assert!(expected.contains(&answer.status()), "{}: {}", answer.status(), answer.text().await.unwrap());
            }
            // It has just been killed.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    acknowledged
}

async fn create(place: &Place, namespace: &str, name: &str, spec: Value, colour: &str) {
    let path = format!("{GADGETS}/namespaces/{namespace}/gadgets");
    let body = gadget(name, spec, colour);
    let answer = place.request(reqwest::Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
}

fn gadget(name: &str, spec: Value, colour: &str) -> Value {
    json!({"apiVersion": "soak.example.com/v1", "kind": "Gadget", "spec": spec,
        "metadata": {"name": name, "labels": {"colour": colour}}})
}
