//! One client: lists or streams the beginning, follows, resumes where it was when the daemon dies, and keeps books.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};

use super::{GADGETS, LAST, Place};

/// What one watcher looks at, and how.
#[derive(Clone, Copy, Debug)]
struct View {
    namespace: Option<&'static str>,
    colour: Option<&'static str>,
    /// Whether the objects at the beginning come as events instead of a list.
    streams_beginning: bool,
    bookmarks: bool,
    metadata_only: bool,
}

/// A watcher at work.
pub(super) struct Watcher {
    place: Place,
    number: usize,
    view: View,
    seen: Seen,
}

/// What a watcher has put together.
pub(super) struct Seen {
    number: usize,
    view: View,
    objects: BTreeMap<String, Value>,
    /// The newest revision that it knows of; `None` when it must begin anew.
    revision: Option<u64>,
    pub(super) events: usize,
    pub(super) resumes: usize,
    pub(super) relists: usize,
}

/// What a line of a watch came to.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Fine,
    TheLast,
    Expired,
}

impl Watcher {
    /// Returns the watcher of this number; each looks in its own way.
    pub(super) fn new(place: Place, number: usize) -> Self {
        let view = View {
            namespace: (number % 3 == 1).then_some("default"),
            colour: (number % 4 >= 2).then_some("red"),
            streams_beginning: number % 5 < 2,
            bookmarks: number % 5 < 2 || number % 2 == 1,
            metadata_only: number % 7 == 6,
        };
        let seen = Seen { number, view, objects: BTreeMap::new(), revision: None, events: 0, resumes: 0, relists: 0 };
        Self { place, number, view, seen }
    }

    /// Watches until it has seen the last object.
    pub(super) async fn run(mut self) -> Seen {
        loop {
            if self.seen.revision.is_none() && !self.view.streams_beginning && !self.list().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            if self.seen.objects.contains_key(&format!("default/{LAST}")) || self.watch().await {
                return self.seen;
            }
            self.seen.resumes += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn path(&self, query: &str) -> String {
        let scope = self.view.namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        let selector = self.view.colour.map(|colour| format!("labelSelector=colour%3D{colour}&")).unwrap_or_default();
        format!("{GADGETS}{scope}/gadgets?{selector}{query}")
    }

    fn request(&self, query: &str, kind: &str) -> reqwest::RequestBuilder {
        let request = self.place.request(reqwest::Method::GET, &self.path(query));
        if self.view.metadata_only {
            request.header("accept", format!("application/json;as={kind};g=meta.k8s.io;v=v1"))
        } else {
            request
        }
    }

    /// Lists, page by page for some; returns whether it came to an end.
    async fn list(&mut self) -> bool {
        let (mut objects, mut token, mut revision) = (BTreeMap::new(), String::new(), String::new());
        loop {
            let limit = if self.number.is_multiple_of(2) { "limit=17" } else { "" };
            let query = format!("{limit}&continue={token}");
            let Ok(answer) = self.request(&query, "PartialObjectMetadataList").send().await else { return false };
            let gone = answer.status() == reqwest::StatusCode::GONE;
            assert!(answer.status().is_success() || gone || answer.status().as_u16() == 503, "{}", answer.status());
            let Ok(page) = answer.json::<Value>().await else { return false };
            if !page["items"].is_array() {
                return false;
            }
            for object in page["items"].as_array().unwrap() {
                objects.insert(key(object), comparable(object, self.view));
            }
            page["metadata"]["resourceVersion"].as_str().unwrap().clone_into(&mut revision);
            page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut token);
            if token.is_empty() {
                break;
            }
        }
        self.seen.objects = objects;
        self.seen.revision = revision.parse().ok();
        self.seen.relists += 1;
        true
    }

    /// Watches until the connection ends; returns whether the last object was seen.
    async fn watch(&mut self) -> bool {
        let mut query = "watch=true".to_owned();
        match self.seen.revision {
            Some(revision) => query.push_str(&format!("&resourceVersion={revision}")),
            None => query.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        }
        let begins = self.seen.revision.is_none();
        if self.view.bookmarks || begins {
            query.push_str("&allowWatchBookmarks=true");
        }
        let Ok(answer) = self.request(&query, "PartialObjectMetadata").send().await else { return false };
        if !answer.status().is_success() {
            assert_eq!(answer.status().as_u16(), 503, "watcher {}", self.number);
            return false;
        }
        if begins {
            self.seen.objects.clear();
            self.seen.relists += 1;
        }
        let (mut stream, mut rest) = (answer.bytes_stream(), Vec::new());
        let mut is_synced = !begins;
        while let Some(Ok(chunk)) = stream.next().await {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                match self.seen.line(&serde_json::from_slice(&line).unwrap(), &mut is_synced) {
                    Line::Fine => {}
                    Line::TheLast => return true,
                    Line::Expired => {
                        self.seen.revision = None;
                        return false;
                    }
                }
            }
        }
        if !is_synced {
            // The beginning was cut off: there is nothing to resume from.
            self.seen.revision = None;
        }
        false
    }
}

impl Seen {
    fn line(&mut self, line: &Value, is_synced: &mut bool) -> Line {
        let object = &line["object"];
        if line["type"] == "ERROR" {
            assert!(matches!(object["code"].as_u64(), Some(410 | 503)), "watcher {}: {line}", self.number);
            return if object["code"] == 410 { Line::Expired } else { Line::Fine };
        }
        let revision: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
        if line["type"] == "BOOKMARK" {
            let ends = object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true";
            *is_synced |= ends;
            assert!(self.revision.is_none_or(|before| before <= revision) || ends, "watcher {}: {line}", self.number);
            self.revision = Some(revision);
            let has_last = self.objects.contains_key(&format!("default/{LAST}"));
            return if *is_synced && has_last { Line::TheLast } else { Line::Fine };
        }
        self.events += 1;
        let (key, value) = (key(object), comparable(object, self.view));
        if *is_synced {
            let in_order = self.revision.is_none_or(|before| before < revision);
            assert!(in_order, "watcher {} saw {revision} after {:?}", self.number, self.revision);
            self.revision = Some(revision);
        }
        match line["type"].as_str().unwrap() {
            // With a selector, what was before is not known after a restart: an object may come, or go, twice.
            "ADDED" => {
                let was = self.objects.insert(key.clone(), value);
                assert!(was.is_none() || self.view.colour.is_some(), "watcher {}: {key} came twice", self.number);
            }
            "MODIFIED" => {
                let was = self.objects.insert(key.clone(), value);
                assert!(was.is_some() || self.view.colour.is_some(), "watcher {}: {key} was unknown", self.number);
            }
            "DELETED" => {
                let was = self.objects.remove(&key);
                assert!(was.is_some() || self.view.colour.is_some(), "watcher {}: {key} went twice", self.number);
            }
            other => panic!("watcher {}: {other}", self.number),
        }
        if *is_synced && key == format!("default/{LAST}") { Line::TheLast } else { Line::Fine }
    }

    /// Compares with a list of everything.
    pub(super) fn compare(&self, list: &Value) {
        let is_seen = |object: &&Value| {
            let metadata = &object["metadata"];
            self.view.namespace.is_none_or(|namespace| metadata["namespace"] == namespace)
                && self.view.colour.is_none_or(|colour| metadata["labels"]["colour"] == colour)
        };
        let wanted: BTreeMap<String, Value> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(is_seen)
            .map(|object| (key(object), comparable(object, self.view)))
            .collect();
        for (key, object) in &wanted {
            assert_eq!(self.objects.get(key), Some(object), "watcher {} ({:?}): {key}", self.number, self.view);
        }
        assert_eq!(
            self.objects.len(),
            wanted.len(),
            "watcher {} ({:?}) has objects that are gone",
            self.number,
            self.view
        );
    }
}

fn key(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

fn comparable(object: &Value, view: View) -> Value {
    if view.metadata_only {
        object["metadata"].clone()
    } else {
        json!({"metadata": object["metadata"], "spec": object["spec"], "status": object["status"]})
    }
}
