//! [`RunLogs`]: what runs leave, as the API serves it: logs as they come, and artifacts.

use std::io;

use api_types::status::{Reason, Status};
use apiserver::pods::{AppLogRequest, ArtifactFile, ArtifactRequest, LogRequest, LogSource, LogStream};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt as _, stream};
use ports::error::{Error, ErrorKind};
use ports::files::run_logs::{LogFilter, LogLine, LogReader};
use ports::files::{FileName, RunFiles, RunKey};

use self::apps::AppLogs;

pub mod apps;
#[cfg(test)]
mod tests;

/// Bytes of a log that are read at once.
const PIECE_BYTES: usize = 64 << 10;

/// Serves what runs leave.
#[derive(Clone)]
pub struct RunLogs {
    files: RunFiles,
    apps: Option<AppLogs>,
}

impl RunLogs {
    /// Returns a source of what is in `files`.
    #[must_use]
    pub fn new(files: RunFiles) -> Self {
        Self { files, apps: None }
    }

    /// Returns the same source that has what apps write as well.
    #[must_use]
    pub fn with_apps(self, apps: AppLogs) -> Self {
        Self { apps: Some(apps), ..self }
    }

    async fn open_log(&self, request: LogRequest) -> Result<LogStream, Status> {
        let key = key(&request.namespace, &request.name, &request.uid)?;
        let stage = request.stage.as_deref().map(FileName::new).transpose().map_err(|error| bad(&error))?;
        let filter = LogFilter { stage, since: request.since, tail: request.tail_lines };
        let files = self.files.clone();
        let reader = blocking(move || files.read_log(&key, filter)).await?;
        let left = request.limit_bytes;
        let state = Following { reader, request, left };
        // One stream a client: dropping it drops the reader.
        Ok(stream::try_unfold(state, Following::next).boxed())
    }

    async fn open_artifact(&self, request: ArtifactRequest) -> Result<ArtifactFile, Status> {
        let key = key(&request.namespace, &request.name, &request.uid)?;
        let file = FileName::new(&request.file).map_err(|error| bad(&error))?;
        let files = self.files.clone();
        let found = blocking(move || files.artifact(&key, &file)).await?;
        let (info, content) = found.ok_or_else(|| {
            let message = format!("run {:?} has no artifact {:?} (any more)", request.name, request.file);
            Status::failure(Reason::NotFound, message)
        })?;
        Ok(ArtifactFile { media_type: info.media_type.to_owned(), sha256: info.sha256, content: content.into() })
    }
}

impl LogSource for RunLogs {
    fn open(&self, request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        Box::pin(self.open_log(request))
    }

    fn open_app(&self, request: AppLogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        Box::pin(async move {
            match &self.apps {
                Some(apps) => apps.open(request).await,
                None => {
                    let message = format!("app {:?} has no log: this server runs no apps", request.name);
                    Err(Status::failure(Reason::NotFound, message))
                }
            }
        })
    }

    fn artifact(&self, request: ArtifactRequest) -> BoxFuture<'_, Result<ArtifactFile, Status>> {
        Box::pin(self.open_artifact(request))
    }
}

/// A log on its way to a client.
struct Following {
    reader: LogReader,
    request: LogRequest,
    /// Bytes that may still be sent.
    left: Option<u64>,
}

impl Following {
    /// Returns the next piece; `None` at the end.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let mut reader = self.reader;
            let read = move || {
                // Asked before reading, so that nothing which came between the two is missed.
                let is_complete = reader.is_complete()?;
                let lines = reader.read(PIECE_BYTES)?;
                Ok((reader, lines, is_complete))
            };
            let (reader, lines, is_complete) =
                blocking(read).await.map_err(|status| io::Error::other(status.message))?;
            self.reader = reader;
            if !lines.is_empty() {
                let piece = self.render(&lines);
                return Ok(Some((piece, self)));
            }
            if is_complete || !self.request.follow {
                return Ok(None);
            }
            self.reader.changed().await;
        }
    }

    fn render(&mut self, lines: &[LogLine]) -> Bytes {
        let mut text = String::new();
        for line in lines {
            if self.request.timestamps {
                text.push_str(&format!("{:.6} ", line.at));
            }
            if self.request.stage.is_none() {
                text.push_str(&format!("[{}] ", line.stage));
            }
            text.push_str(&line.text);
            text.push('\n');
        }
        let mut bytes = Bytes::from(text);
        if let Some(left) = &mut self.left {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
        }
        bytes
    }
}

fn key(namespace: &str, name: &str, uid: &str) -> Result<RunKey, Status> {
    RunKey::new(namespace, name, uid).map_err(|error| bad(&error))
}

fn bad(error: &Error) -> Status {
    Status::failure(Reason::BadRequest, error.message.clone())
}

async fn blocking<Output: Send + 'static>(
    work: impl FnOnce() -> Result<Output, Error> + Send + 'static,
) -> Result<Output, Status> {
    let failed = |error: &Error| {
        let reason = if error.kind == ErrorKind::Terminal { Reason::NotFound } else { Reason::InternalError };
        Status::failure(reason, format!("failed to read what the run left: {error}"))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| failed(&error)),
        Err(error) => Err(Status::failure(Reason::InternalError, format!("reading what a run left panicked: {error}"))),
    }
}
