//! The golden replay: 346 requests that were answered by a real kube-apiserver, asked of ours, in the same order.
//!
//! `fixtures/golden/battery.py` made the recording. What differs on purpose stands in `differences.toml`, with the
//! reason; an entry that no longer differs fails the test, too.

mod compare;
mod recording;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::time::Duration;

use compare::{Mismatch, Pairs};
use recording::{CUT_AT, Step, as_far, whole_items};
use serde_json::{Value, json};
use store::state::HistoryLimits;
use tests::server::{ServerOptions, TestServer};

const RECIPES: &str = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/wire/recipes";
/// Small enough that revision 1 is forgotten when the watches come, large enough that it is not when the lists come.
const HISTORY_EVENTS: usize = 60;
/// How long a body may take; the longest watch lasts three seconds.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Headers that both servers must agree on.
const HEADERS: [&str; 7] =
    ["content-type", "warning", "retry-after", "x-content-type-options", "cache-control", "content-encoding", "vary"];

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_of_a_real_server_is_answered_alike() {
    let options = ServerOptions {
        history: HistoryLimits { events_max: HISTORY_EVENTS, ..HistoryLimits::default() },
        definitions: vec![recording::definition()],
        ..ServerOptions::default()
    };
    let server = TestServer::start(options).await.unwrap();
    let mut replay =
        Replay { http: reqwest::Client::builder().no_proxy().build().unwrap(), server, pairs: Pairs::new() };
    let known = recording::read_differences();
    let mut used = vec![false; known.len()];
    let mut report = String::new();
    let mut unexplained = 0;
    for step in recording::read_steps() {
        let (code, found) = replay.step(&step).await;
        for difference in known.iter().filter(|difference| difference.step == step.step) {
            let is_status = difference.paths.iter().any(|path| path == "status");
            assert!(is_status == difference.status.is_some(), "{}: a status that differs has a value", step.step);
            assert!(difference.status.is_none_or(|meant| meant == code), "{} is answered with {code}", step.step);
        }
        let (meant, other): (Vec<Mismatch>, Vec<Mismatch>) = found.into_iter().partition(|mismatch| {
            known.iter().enumerate().any(|(index, difference)| {
                let is_meant = difference.step == step.step
                    && difference.paths.iter().any(|path| mismatch.path.starts_with(path.as_str()));
                used[index] |= is_meant;
                is_meant
            })
        });
        drop(meant);
        if !other.is_empty() {
            unexplained += 1;
            report.push_str(&format!("\n{} ({} {})\n", step.step, step.req.method, step.req.path));
            for mismatch in other {
                report.push_str(&format!(
                    "  {}\n    real {}\n    ours {}\n",
                    mismatch.path, mismatch.real, mismatch.ours
                ));
            }
        }
    }
    let stale: Vec<&str> =
        known.iter().zip(&used).filter(|(_, used)| !**used).map(|(difference, _)| difference.step.as_str()).collect();
    assert!(known.iter().all(|difference| !difference.reason.is_empty()), "every difference needs a reason");
    assert!(unexplained == 0, "{unexplained} steps differ without a reason:\n{report}");
    assert!(stale.is_empty(), "these differences are no more, remove them from differences.toml: {stale:?}");
}

struct Replay {
    http: reqwest::Client,
    server: TestServer,
    pairs: Pairs,
}

/// What our server said.
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Replay {
    /// Returns our status and what differs.
    async fn step(&mut self, step: &Step) -> (u16, Vec<Mismatch>) {
        self.before(&step.step).await;
        let churn = matches!(
            step.step.as_str(),
            "watch from rv" | "watch selector transitions" | "watch field selector" | "watch table" | "watch pom"
        );
        let (method, path, body) = (step.req.method.clone(), self.path(step), self.body(step));
        let mut request = self.http.request(method.parse().unwrap(), self.server.url(&path));
        request = request.header("user-agent", "battery/1.0");
        if !step.req.anon {
            let token = match (step.req.who.as_deref(), step.step.as_str()) {
                (_, "auth bad token") => "zork",
                (Some("bob"), _) => &self.server.bob,
                _ => &self.server.admin,
            };
            request = request.bearer_auth(token);
        }
        for (name, value) in step.req.hdr.iter().flatten() {
            request = request.header(name, value);
        }
        for (name, value) in [("content-type", &step.req.ct), ("accept", &step.req.accept)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(body.unwrap_or_default()).send();
        let answer = if churn {
            let (answer, ()) = tokio::join!(async { read(request.await.unwrap()).await }, self.churn());
            answer
        } else {
            read(request.await.unwrap()).await
        };
        (answer.status, self.compare(step, &answer))
    }

    /// What the battery did without recording it.
    async fn before(&self, step: &str) {
        match step {
            "list" => {
                for index in 0..6 {
                    let (version, parity) = if index % 2 == 1 { ("2", "odd") } else { ("1", "even") };
                    let labels = json!({"n": index.to_string(), "par": parity});
                    self.create(recipe(&format!("l{index}"), json!({"version": version}), labels)).await;
                }
            }
            "gzip list" => {
                for index in 0..120 {
                    let text = format!("{}{index}", "y".repeat(1000));
                    let spec = json!({"version": "1", "any": {"x": text}});
                    self.create(recipe(&format!("big{index:03}"), spec, Value::Null)).await;
                }
            }
            "auth bob list after" => self.until_bob_may_list().await,
            "crd gone" => {
                self.until(|store| store.registry().get("foos.x.io").is_none()).await;
            }
            _ => {}
        }
    }

    async fn until(&self, done: impl Fn(&store::store::Store) -> bool) {
        let mut changes = self.server.store.changes();
        tokio::time::timeout(tests::server::SOON, async {
            while !done(&self.server.store) {
                changes.changed().await.unwrap();
            }
        })
        .await
        .expect("what the step waits for happens soon");
    }

    /// A new role counts as soon as the authoriser has read it, a moment after the write.
    async fn until_bob_may_list(&self) {
        for _ in 0..1000 {
            let request = self.http.get(self.server.url(&format!("{RECIPES}?limit=1"))).bearer_auth(&self.server.bob);
            if request.send().await.unwrap().status() == 200 {
                return;
            }
        }
        panic!("bob may not list though a role says so");
    }

    async fn create(&self, body: Value) {
        self.quiet("POST", RECIPES, "application/json", body).await;
    }

    async fn quiet(&self, method: &str, path: &str, content_type: &str, body: Value) {
        let request = self
            .http
            .request(method.parse().unwrap(), self.server.url(path))
            .bearer_auth(&self.server.admin)
            .header("user-agent", "battery/1.0")
            .header("content-type", content_type)
            .body(if body.is_null() { String::new() } else { body.to_string() });
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
    }

    /// What happens during a watch.
    async fn churn(&self) {
        // The watch begins at a known version: nothing is lost when this starts before it.
        let (item, merge) = (format!("{RECIPES}/w1"), "application/merge-patch+json");
        self.create(recipe("w1", json!({"version": "1"}), json!({"w": "yes"}))).await;
        self.quiet("PATCH", &item, merge, json!({"spec": {"replicas": 2}})).await;
        self.quiet("PATCH", &item, merge, json!({"metadata": {"labels": {"w": "no"}}})).await;
        self.quiet("PATCH", &item, merge, json!({"metadata": {"labels": {"w": "yes"}}})).await;
        self.quiet("DELETE", &item, "application/json", Value::Null).await;
    }

    /// The recorded path with our versions and tokens in it.
    fn path(&self, step: &Step) -> String {
        let Some((path, query)) = step.req.path.split_once('?') else { return self.pairs.ours(&step.req.path) };
        let shorter = step.step != "watch initial events false";
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some(("resourceVersion", version)) => format!("resourceVersion={}", self.version(version)),
            Some(("continue", token)) => {
                format!("continue={}", self.pairs.tokens.get(token).map_or(token, String::as_str))
            }
            Some(("timeoutSeconds", "3")) if shorter => "timeoutSeconds=1".to_owned(),
            _ => pair.to_owned(),
        });
        format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
    }

    fn version(&self, recorded: &str) -> String {
        match recorded.parse::<u64>() {
            Ok(number @ 2300..=10_000) => {
                let newest = || self.server.store.state().revision;
                self.pairs.version(number).unwrap_or_else(newest).to_string()
            }
            _ => recorded.to_owned(),
        }
    }

    /// The recorded body with our identities and versions in it; long ones were cut and are made again.
    fn body(&self, step: &Step) -> Option<Vec<u8>> {
        let made = match step.step.as_str() {
            "create big annotations" => {
                let mut body = recipe("q", json!({"version": "1"}), Value::Null);
                body["metadata"]["annotations"] = json!({"a": "x".repeat(262_200)});
                Some(body)
            }
            "cm too big" => Some(json!({"metadata": {"name": "c3"}, "data": {"a": "x".repeat(1_100_000)}})),
            "body too big" => {
                Some(recipe("big", json!({"version": "1", "any": {"x": "y".repeat(3_300_000)}}), Value::Null))
            }
            "cr over etcd limit" => {
                Some(recipe("big", json!({"version": "1", "any": {"x": "y".repeat(1_700_000)}}), Value::Null))
            }
            "gzip request" => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
                encoder.write_all(recipe("gz", json!({"version": "1"}), Value::Null).to_string().as_bytes()).unwrap();
                return Some(encoder.finish().unwrap());
            }
            _ => None,
        };
        if let Some(made) = made {
            return Some(made.to_string().into_bytes());
        }
        let text = self.pairs.ours(step.req.body.as_ref()?).replace("\"bobtok\"", &format!("{:?}", self.server.bob));
        let Ok(mut value) = serde_json::from_str::<Value>(&text) else { return Some(text.into_bytes()) };
        let Some(version) = value["metadata"]["resourceVersion"].as_str() else { return Some(text.into_bytes()) };
        value["metadata"]["resourceVersion"] = json!(self.version(version));
        Some(value.to_string().into_bytes())
    }

    fn compare(&mut self, step: &Step, answer: &Answer) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let real = &step.resp;
        self.pairs.compare("status", &json!(real.status), &json!(answer.status), &mut found);
        for name in HEADERS {
            let (real, ours) = (real.headers.get(name), answer.headers.get(name));
            self.pairs.compare(&format!("header {name}"), &json!(real), &json!(ours), &mut found);
        }
        let has_tag = |headers: &BTreeMap<String, String>| headers.contains_key("etag");
        self.pairs.compare("header etag", &json!(has_tag(&real.headers)), &json!(has_tag(&answer.headers)), &mut found);
        if real.body.chars().count() < CUT_AT {
            self.pairs.compare("body", &document(&real.body), &document(&answer.body), &mut found);
        } else if let Some(cut) = whole_items(&real.body).filter(|cut| cut["items"].is_array()) {
            self.pairs.compare("body", &cut, &as_far(&document(&answer.body), &cut), &mut found);
        }
        found
    }
}

fn recipe(name: &str, spec: Value, labels: Value) -> Value {
    let mut metadata = json!({"name": name});
    if labels.is_object() {
        metadata["labels"] = labels;
    }
    json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "metadata": metadata, "spec": spec})
}

async fn read(response: reqwest::Response) -> Answer {
    let status = response.status().as_u16();
    let headers: BTreeMap<String, String> = response
        .headers()
        .keys()
        .map(|name| {
            let values: Vec<&str> =
                response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            // The recording kept the last of several headers of one name.
            (name.as_str().to_owned(), values.last().copied().unwrap_or_default().to_owned())
        })
        .collect();
    let waited = tokio::time::timeout(BODY_WITHIN, response.bytes()).await;
    let bytes = waited.map_or_else(|_| "the body does not end".into(), |read| read.unwrap());
    let mut body = String::new();
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut body).unwrap();
    } else {
        body = String::from_utf8_lossy(&bytes).into_owned();
    }
    Answer { status, headers, body }
}

/// A body as a value: a document, the lines of a watch, YAML, or plain text.
fn document(body: &str) -> Value {
    if let Ok(value) = serde_json::from_str(body) {
        return value;
    }
    let lines: Result<Vec<Value>, _> = body.lines().map(serde_json::from_str).collect();
    if let Ok(lines) = lines {
        return Value::Array(lines);
    }
    match serde_saphyr::from_str::<Value>(body) {
        Ok(value) if body.starts_with("apiVersion:") => value,
        _ => Value::from(body),
    }
}
