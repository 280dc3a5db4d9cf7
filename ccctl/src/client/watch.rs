//! Watches that survive: they reconnect and resume from the last resourceVersion, and list again after 410.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use serde_json::Value;

use super::request::ApiRequest;
use super::{Client, status_of_value};
use crate::error::{CommandError, ErrorKind, Result};

/// Longest wait between two tries to reconnect.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Shortest wait before a watch that ended is opened again.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
/// Longest line that is a watch event: the server's object limit with room for the envelope.
const LINE_BYTES_MAX: usize = 8 << 20;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It came, or began to match.
    Added,
    /// It changed.
    Modified,
    /// It went, or ceased to match.
    Deleted,
}

impl Change {
    /// Returns the word of the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One event: the object, or a table with its row when tables were asked for.
#[derive(Clone, Debug)]
pub struct WatchEvent {
    /// What happened.
    pub change: Change,
    /// The object or table.
    pub object: Value,
}

/// A watch on one collection.
pub struct Watcher<'client> {
    client: &'client Client,
    request: ApiRequest,
    resource_version: String,
    lines: Option<Lines>,
    pending: VecDeque<WatchEvent>,
    seen: HashMap<String, (String, Value)>,
    wait: Duration,
    warned: bool,
}

struct Lines {
    response: reqwest::Response,
    buffer: Vec<u8>,
    /// Where the search for the next line end goes on.
    searched: usize,
}

enum Received {
    Event(WatchEvent),
    Bookmark,
    Expired,
    Ended,
}

impl<'client> Watcher<'client> {
    /// Starts a watch from the state that `listed` (a list, a table or one object) shows. `request` is the request
    /// that listed it.
    #[must_use]
    pub fn new(client: &'client Client, request: ApiRequest, listed: &Value) -> Self {
        let mut watcher = Self {
            client,
            request,
            resource_version: resource_version(listed).to_owned(),
            lines: None,
            pending: VecDeque::new(),
            seen: HashMap::new(),
            wait: SHORTEST_WAIT,
            warned: false,
        };
        watcher.request.query.retain(|(name, _)| !["limit", "continue", "resourceVersion"].contains(&name.as_str()));
        for object in parts(listed) {
            watcher.remember(&object);
        }
        watcher
    }

    /// Returns the next event; waits for it as long as it takes.
    ///
    /// # Errors
    /// The server refuses the watch. A lost connection is not an error: it is opened again.
    pub async fn next(&mut self) -> Result<WatchEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Ok(event);
            }
            match self.receive().await {
                Ok(Received::Event(event)) => {
                    self.recovered();
                    if let Some(event) = self.accept(event) {
                        return Ok(event);
                    }
                }
                Ok(Received::Bookmark) => self.recovered(),
                Ok(Received::Expired) => self.relist().await?,
                Ok(Received::Ended) => self.pause().await,
                Err(error) if error.kind == ErrorKind::Network || error.has_code(503) || error.has_code(429) => {
                    self.lines = None;
                    if !self.warned {
                        eprintln!("note: lost the connection ({}); trying again", error.message);
                        self.warned = true;
                    }
                    self.pause().await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn recovered(&mut self) {
        if self.warned {
            eprintln!("note: connected again");
        }
        self.warned = false;
        self.wait = SHORTEST_WAIT;
    }

    async fn pause(&mut self) {
        self.lines = None;
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }

    async fn receive(&mut self) -> Result<Received> {
        if self.lines.is_none() {
            let request = self
                .request
                .clone()
                .query("watch", "true")
                .query("allowWatchBookmarks", "true")
                .query("resourceVersion", self.resource_version.clone())
                .unbounded();
            match self.client.stream(&request).await {
                Ok(response) => self.lines = Some(Lines { response, buffer: Vec::new(), searched: 0 }),
                Err(error) if error.has_code(410) => return Ok(Received::Expired),
                Err(error) => return Err(error),
            }
        }
        let lines = self.lines.as_mut().expect("the stream was just opened");
        let line = match lines.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(Received::Ended),
            Err(LineError::Transport(error)) => return Err(self.client.unreachable(&error)),
            Err(LineError::TooLong) => {
                return Err(CommandError::server("the server sent a watch event that is too large to be one"));
            }
        };
        self.read_event(&line)
    }

    fn read_event(&mut self, line: &[u8]) -> Result<Received> {
        let mut event: Value = serde_json::from_slice(line).map_err(|error| {
            CommandError::server(format!("the server sent a watch event that is not JSON: {error}"))
        })?;
        let object = event["object"].take();
        let change = match event["type"].as_str().unwrap_or_default() {
            "ADDED" => Change::Added,
            "MODIFIED" => Change::Modified,
            "DELETED" => Change::Deleted,
            "BOOKMARK" => {
                self.advance(&object);
                return Ok(Received::Bookmark);
            }
            "ERROR" => {
                let status = status_of_value(object, 500);
                if status.code == 410 {
                    self.lines = None;
                    return Ok(Received::Expired);
                }
                return Err(CommandError::from_status(status, &self.request.path));
            }
            other => return Err(CommandError::server(format!("the server sent a watch event of type \"{other}\""))),
        };
        self.advance(&object);
        Ok(Received::Event(WatchEvent { change, object }))
    }

    /// Follows the stream's resourceVersion, from the object or from a table's row.
    fn advance(&mut self, object: &Value) {
        let own = resource_version(object);
        let version = if own.is_empty() {
            object["rows"][0]["object"]["metadata"]["resourceVersion"].as_str()
        } else {
            Some(own)
        };
        if let Some(version) = version.filter(|version| !version.is_empty()) {
            self.resource_version = version.to_owned();
        }
    }

    /// Drops what was shown already: the server repeats everything when it is asked from version 0.
    fn accept(&mut self, event: WatchEvent) -> Option<WatchEvent> {
        let metadata = metadata(&event.object);
        let key = key(metadata);
        if event.change == Change::Deleted {
            self.seen.remove(&key);
            return Some(event);
        }
        let version = metadata["resourceVersion"].as_str().unwrap_or_default();
        if self.seen.get(&key).is_some_and(|(seen, _)| seen == version && !version.is_empty()) {
            return None;
        }
        self.remember(&event.object);
        Some(event)
    }

    fn remember(&mut self, object: &Value) {
        let metadata = metadata(object);
        let version = metadata["resourceVersion"].as_str().unwrap_or_default().to_owned();
        self.seen.insert(key(metadata), (version, object.clone()));
    }

    /// Lists again after 410 and turns the difference into events.
    async fn relist(&mut self) -> Result<()> {
        let listed = match self.client.json(self.request.clone().hidden()).await {
            Ok(listed) => listed,
            // The next round tries again, with its pause.
            Err(error) if error.kind == ErrorKind::Network => {
                self.pause().await;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        resource_version(&listed).clone_into(&mut self.resource_version);
        let mut present = HashSet::new();
        for object in parts(&listed) {
            let known = key(metadata(&object));
            let change = if self.seen.contains_key(&known) { Change::Modified } else { Change::Added };
            present.insert(known);
            if let Some(event) = self.accept(WatchEvent { change, object }) {
                self.pending.push_back(event);
            }
        }
        let gone: Vec<String> = self.seen.keys().filter(|key| !present.contains(*key)).cloned().collect();
        for key in gone {
            if let Some((_, object)) = self.seen.remove(&key) {
                self.pending.push_back(WatchEvent { change: Change::Deleted, object });
            }
        }
        Ok(())
    }
}

enum LineError {
    Transport(reqwest::Error),
    TooLong,
}

impl Lines {
    /// Returns the next line without its end; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        loop {
            if let Some(offset) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.searched + offset + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.searched = 0;
                line.pop();
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(LineError::TooLong);
            }
            match self.response.chunk().await.map_err(LineError::Transport)? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                // Half a line is an event that was cut off; resuming brings it again.
                None => return Ok(None),
            }
        }
    }
}

/// Returns the metadata of an object, or of a table's only row.
#[must_use]
pub fn metadata(object: &Value) -> &Value {
    if object["kind"] == "Table" { &object["rows"][0]["object"]["metadata"] } else { &object["metadata"] }
}

fn resource_version(value: &Value) -> &str {
    value["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

fn key(metadata: &Value) -> String {
    let part = |name: &str| metadata[name].as_str().unwrap_or_default();
    format!("{}/{}/{}", part("namespace"), part("name"), part("uid"))
}

/// Returns what a list, a table or an object consists of: objects, or tables of one row each.
fn parts(listed: &Value) -> Vec<Value> {
    if listed["kind"] == "Table" {
        let rows = listed["rows"].as_array().map_or(&[][..], Vec::as_slice);
        return rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "kind": "Table",
                    "apiVersion": listed["apiVersion"],
                    "metadata": {"resourceVersion": row["object"]["metadata"]["resourceVersion"]},
                    "columnDefinitions": listed["columnDefinitions"],
                    "rows": [row],
                })
            })
            .collect();
    }
    match listed["items"].as_array() {
        Some(items) => items.clone(),
        None if listed["metadata"]["name"].is_string() => vec![listed.clone()],
        None => Vec::new(),
    }
}
