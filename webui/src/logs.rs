//! Logs and files of runs: excerpts, the page of a log, its text, and its lines as they come.
//!
//! A line's number is its place in the whole log of the run, counted from 1: logs only grow, so that a link to a line
//! stays true. Numbers come from reading from the beginning; an excerpt at the end has none.

mod log_page;
mod stream;

use api_types::kind::Object as Typed;
use api_types::kinds::test_run::TestRun;
use api_types::status::Status;
use apiserver::pods::{ArtifactRequest, LogRequest};
use axum::body::Body;
use futures::StreamExt as _;
use http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use maud::{Markup, html};

use crate::answer::{Answer, raw};
use crate::index::RUNS;
use crate::route::Place;
use crate::router::not_found;
use crate::visit::Visit;
use crate::{ansi, view};

pub(crate) use log_page::page;
pub(crate) use stream::stream;

/// What a browser may show; everything else is saved.
const SHOWN: [&str; 4] = ["text/plain", "application/json", "image/png", "image/jpeg"];
/// Longest line that is kept while a line's end is looked for.
const LINE_BYTES_MAX: usize = 64 << 10;

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1; 0 when it is not known.
    pub number: u64,
    pub stage: String,
    pub at: String,
    pub text: String,
}

/// Some lines of a log, or why there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excerpt {
    pub lines: Vec<Line>,
    pub problem: Option<String>,
    /// Where its continuation comes from, while the run goes on.
    pub follow: Option<String>,
}

/// Returns the last lines of a run's log, or of one of its stages.
pub(crate) async fn excerpt(visit: &Visit, run: &Typed<TestRun>, stage: Option<&str>, lines: u64) -> Excerpt {
    let (namespace, name) = (&run.metadata.namespace, &run.metadata.name);
    let is_public = crate::visit::is_public(&visit.state, RUNS, namespace, "log");
    let Some(resource) = visit.state.registry.get(RUNS) else { return Excerpt::default() };
    let info = crate::visit::ask("get", resource, namespace, name, "log");
    if !is_public && !visit.access.authorizer.authorize(&visit.user, &info).allowed {
        return Excerpt {
            problem: Some("Your role does not allow you to read logs.".to_owned()),
            ..Excerpt::default()
        };
    }
    let request = LogRequest {
        namespace: namespace.clone(),
        name: name.clone(),
        uid: run.metadata.uid.clone(),
        stage: stage.map(str::to_owned),
        tail_lines: Some(lines),
        timestamps: true,
        ..LogRequest::default()
    };
    let is_finished = run.status.phase.unwrap_or_default().is_finished();
    let follow = (!is_finished && stage.is_none()).then(|| format!("/runs/{namespace}/{name}/log/stream?tail={lines}"));
    match read(visit, request).await {
        Ok(lines) => Excerpt { lines, problem: None, follow },
        Err(status) => Excerpt { lines: Vec::new(), problem: Some(status.message), follow: None },
    }
}

/// Reads a log that is not followed. With a stage, its lines carry its name.
///
/// # Errors
/// What the log's source says.
pub(crate) async fn read(visit: &Visit, request: LogRequest) -> Result<Vec<Line>, Status> {
    let stage = request.stage.clone();
    let is_whole = request.tail_lines.is_none();
    let mut pieces = visit.api.logs.open(request).await?;
    let mut splitter = Splitter::new(stage);
    let mut lines = Vec::new();
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => lines.extend(splitter.push(&piece)),
            Err(error) => {
                tracing::warn!("failed to read a log to its end: {error}");
                break;
            }
        }
    }
    lines.extend(splitter.end());
    if is_whole {
        for (number, line) in (1..).zip(&mut lines) {
            line.number = number;
        }
    }
    Ok(lines)
}

/// Cuts pieces of a log into lines.
pub(crate) struct Splitter {
    stage: Option<String>,
    partial: Vec<u8>,
}

impl Splitter {
    /// Returns a splitter for the log of one stage, or of all.
    pub(crate) fn new(stage: Option<String>) -> Self {
        Self { stage, partial: Vec::new() }
    }

    /// Returns the lines that a piece completes.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") || self.partial.len() > LINE_BYTES_MAX {
                lines.extend(self.end());
            }
        }
        lines
    }

    /// Returns what is left at the end.
    pub(crate) fn end(&mut self) -> Option<Line> {
        if self.partial.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.partial);
        let text = String::from_utf8_lossy(&bytes);
        Some(line(text.strip_suffix('\n').unwrap_or(&text), self.stage.as_deref()))
    }
}

/// Reads `MOMENT [STAGE] TEXT`, or `MOMENT TEXT` of a known stage.
fn line(text: &str, stage: Option<&str>) -> Line {
    let (at, rest) = match text.split_once(' ') {
        Some((first, rest)) if first.len() >= 20 && first.ends_with('Z') && first.contains('T') => (first, rest),
        _ => ("", text),
    };
    let known = stage.map(|stage| (stage, rest));
    let named = || rest.strip_prefix('[')?.split_once("] ").or_else(|| rest.strip_prefix('[')?.split_once(']'));
    let (stage, text) = known.or_else(named).unwrap_or(("", rest));
    Line { number: 0, stage: stage.to_owned(), at: at.to_owned(), text: text.to_owned() }
}

/// Returns lines as HTML, with links to their place in the whole log when their numbers are known.
pub(crate) fn lines(excerpt: &Excerpt, namespace: &str, name: &str, id: &str) -> Markup {
    html! {
        div.log tabindex="0" role="group" aria-label="Lines of the log" id=(format!("{id}-log")) {
            ol data-follow=[excerpt.follow.as_deref()] {
                @for line in &excerpt.lines { (row(line, namespace, name)) }
            }
        }
    }
}

/// Returns one line as HTML.
pub(crate) fn row(line: &Line, namespace: &str, name: &str) -> Markup {
    html! {
        @if line.number > 0 {
            li id=(format!("L{}", line.number)) {
                a.ln href=(format!("/runs/{namespace}/{name}/log?line={}#L{}", line.number, line.number))
                    title=(line.at) { (line.number) }
                span.tx { (ansi::render(&line.text)) }
            }
        } @else {
            li { span.st title=(line.at) { (line.stage) } span.tx { (ansi::render(&line.text)) } }
        }
    }
}

/// Answers with a file that a run left. What tests left is not trusted: a browser shows little and runs nothing.
///
/// # Errors
/// `NotFound` when there is no such run or file.
pub(crate) async fn artifact(visit: &Visit, place: &Place, file: &str) -> Result<Answer, Status> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._+@=-".contains(&byte);
    if file.len() > 255 || !file.starts_with(|first: char| first.is_ascii_alphanumeric()) || !file.bytes().all(fits) {
        return Err(not_found());
    }
    let run = visit.state.get(RUNS, &place.key()).ok_or_else(not_found)?;
    let request = ArtifactRequest {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        uid: run.uid().to_owned(),
        file: file.to_owned(),
    };
    let found = visit.api.logs.artifact(request).await?;
    let is_shown = SHOWN.iter().any(|shown| found.media_type.split(';').next() == Some(*shown));
    let disposition = if is_shown { "inline" } else { "attachment" };
    let mut answer = raw(200, "application/octet-stream", Body::from(found.content));
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    };
    set(CONTENT_TYPE, &found.media_type);
    set(CONTENT_DISPOSITION, &format!("{disposition}; filename=\"{file}\""));
    set(CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    Ok(answer)
}

/// Returns the rows of lines as they are sent to a page, harmless.
pub(crate) fn rows_text(lines: &[Line], namespace: &str, name: &str) -> String {
    let rows: String = lines.iter().map(|line| row(line, namespace, name).into_string()).collect();
    view::safe::safe(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_moment_and_stage() {
        let mut splitter = Splitter::new(None);
        let mut lines =
            splitter.push(b"2026-11-26T00:00:01.000001Z [install] one [x] y\n2026-11-26T00:00:02.000000Z [lint]");
        lines.extend(splitter.push(b" two\nno moment\n"));
        let found: Vec<(&str, &str)> = lines.iter().map(|line| (line.stage.as_str(), line.text.as_str())).collect();
        assert_eq!(found, [("install", "one [x] y"), ("lint", "two"), ("", "no moment")]);
        assert_eq!(lines[0].at, "2026-11-26T00:00:01.000001Z");
        assert_eq!(splitter.end(), None);
    }

    #[test]
    fn a_stage_that_is_known_is_not_looked_for() {
        let found = Splitter::new(Some("lint".to_owned())).push(b"2026-11-26T00:00:01.000001Z [warning] careful\n");
        assert_eq!((found[0].stage.as_str(), found[0].text.as_str()), ("lint", "[warning] careful"));
    }
}
