//! Logs and files of runs, kept in memory: what the daemon's own source does, without a disk.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::status::{Reason, Status};
use apiserver::pods::{ArtifactFile, ArtifactRequest, LogRequest, LogSource, LogStream};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// What runs left, by their names.
#[derive(Clone)]
pub(crate) struct MemoryLogs {
    runs: Arc<Mutex<HashMap<String, Run>>>,
    bell: watch::Sender<u64>,
}

#[derive(Default)]
struct Run {
    /// Stage and text.
    lines: Vec<(String, String)>,
    is_complete: bool,
    files: HashMap<String, (String, Bytes)>,
}

impl Default for MemoryLogs {
    fn default() -> Self {
        Self { runs: Arc::default(), bell: watch::Sender::new(0) }
    }
}

impl MemoryLogs {
    fn change(&self, run: &str, change: impl FnOnce(&mut Run)) {
        change(self.runs.lock().unwrap_or_else(PoisonError::into_inner).entry(run.to_owned()).or_default());
        self.bell.send_modify(|count| *count += 1);
    }

    /// Writes lines of a stage.
    pub(crate) fn write(&self, run: &str, stage: &str, lines: impl IntoIterator<Item = impl Into<String>>) {
        let lines: Vec<(String, String)> = lines.into_iter().map(|line| (stage.to_owned(), line.into())).collect();
        self.change(run, |run| run.lines.extend(lines));
    }

    /// Says that nothing will come any more.
    pub(crate) fn complete(&self, run: &str) {
        self.change(run, |run| run.is_complete = true);
    }

    /// Leaves a file.
    pub(crate) fn file(&self, run: &str, name: &str, media_type: &str, content: &[u8]) {
        let content = (media_type.to_owned(), Bytes::copy_from_slice(content));
        self.change(run, |run| drop(run.files.insert(name.to_owned(), content)));
    }

    /// Returns the lines from the place `from` on, as they are served, the next place, and whether more may come.
    fn read(&self, request: &LogRequest, from: usize) -> (String, usize, bool) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = runs.get(&request.name) else { return (String::new(), from, false) };
        let mut text = String::new();
        for (stage, line) in &run.lines[from.min(run.lines.len())..] {
            if request.stage.as_ref().is_some_and(|wanted| wanted != stage) {
                continue;
            }
            if request.timestamps {
                text.push_str("2026-11-26T00:00:00.000001Z ");
            }
            if request.stage.is_none() {
                text.push_str(&format!("[{stage}] "));
            }
            text.push_str(line);
            text.push('\n');
        }
        (text, run.lines.len(), !run.is_complete)
    }

    fn count(&self, name: &str) -> usize {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(name).map_or(0, |run| run.lines.len())
    }
}

impl LogSource for MemoryLogs {
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        // Before the first look: what is written in between rings.
        let (bell, runs) = (self.bell.subscribe(), self.clone());
        let all = self.count(&request.name);
        let tail = request.tail_lines.and_then(|lines| usize::try_from(lines).ok());
        let mut from = tail.map_or(0, |lines| all.saturating_sub(lines));
        if request.stage.is_some() {
            // Of one stage the end is looked for among its own lines only.
            from = 0;
        }
        let first = self.read(&request, from);
        let state = (Some(first), bell, runs, request);
        let stream = futures::stream::unfold(state, |(first, mut bell, runs, request)| async move {
            let (text, mut at, mut more) = first?;
            let mut text = text;
            while text.is_empty() && more && request.follow {
                bell.changed().await.ok()?;
                (text, at, more) = runs.read(&request, at);
            }
            if text.is_empty() {
                return None;
            }
            let next = if request.follow { Some(runs.read(&request, at)) } else { None };
            Some((Ok(Bytes::from(text)), (next, bell, runs, request)))
        });
        Box::pin(async move { Ok(stream.boxed()) })
    }

    fn artifact(&self, request: ArtifactRequest) -> BoxFuture<'_, Result<ArtifactFile, Status>> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let found = runs.get(&request.name).and_then(|run| run.files.get(&request.file)).cloned();
        Box::pin(async move {
            let (media_type, content) = found.ok_or_else(|| Status::failure(Reason::NotFound, "no such file"))?;
            Ok(ArtifactFile { media_type, sha256: "00".repeat(32), content })
        })
    }
}
