//! What git's complaints mean.

use std::io;

use crate::error::Error;
use crate::git::{CommitId, Fetch, RemoteUrl};
use crate::program::Finished;

/// Bytes of git's own words in a message.
const WORDS_BYTES_MAX: usize = 400;

/// What is found in standard error, in the order in which it is looked for.
const MEANINGS: &[(Meaning, &[&str])] = &[
    (Meaning::DiskFull, &["No space left on device", "Disk quota exceeded"]),
    (Meaning::TooLarge, &["File too large", "file size limit", "SIGXFSZ", "signal 25"]),
    (Meaning::Redirected, &["unable to update url base from redirection", "returned error: 30"]),
    (
        Meaning::Authentication,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "terminal prompts disabled",
            "returned error: 401",
            "returned error: 403",
            "Permission denied (",
            "Host key verification failed",
        ],
    ),
    (
        Meaning::ReferenceNotFound,
        &["couldn't find remote ref", "not our ref", "unadvertised object", "no such remote ref"],
    ),
    (
        Meaning::NotFound,
        &[
            "' not found",
            "does not appear to be a git repository",
            "does not exist",
            "returned error: 404",
            "returned error: 410",
        ],
    ),
    (Meaning::NotAllowed, &["not allowed"]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    DiskFull,
    TooLarge,
    Redirected,
    Authentication,
    ReferenceNotFound,
    NotFound,
    NotAllowed,
}

/// Returns what a fetch that failed means.
pub(in crate::git) fn classify(fetch: &Fetch, finished: &Finished) -> Error {
    let text = String::from_utf8_lossy(&finished.stderr);
    let url = &fetch.url;
    let meaning = MEANINGS.iter().find(|(_, signs)| signs.iter().any(|sign| text.contains(sign)));
    let words = words(&text);
    match meaning.map(|(meaning, _)| *meaning) {
        Some(Meaning::DiskFull) => disk_full("git ran out of disk space"),
        Some(Meaning::TooLarge) => {
            Error::terminal("RepositoryTooLarge", format!("{url} is larger than the configuration allows"))
        }
        Some(Meaning::Redirected) => {
            let message = format!(
                "the server redirects {url} elsewhere, which is not followed: write the URL to which it redirects"
            );
            Error::terminal("GitRedirected", message)
        }
        Some(Meaning::Authentication) => {
            let message =
                format!("{url} wants a credential, or refuses the one it got: check that it may be read ({words})");
            Error::terminal("GitAuthentication", message)
        }
        Some(Meaning::ReferenceNotFound) if !fetch.pull_requests.is_empty() => {
            let numbers: Vec<String> = fetch.pull_requests.iter().map(|number| format!("#{number}")).collect();
            let message = format!("{url} has no head of pull request {} ({words})", numbers.join(", "));
            Error::terminal("PullRequestNotFound", message)
        }
        Some(Meaning::ReferenceNotFound) => {
            let ids: Vec<&str> = fetch.commits.iter().map(CommitId::short).collect();
            Error::terminal("CommitNotFound", format!("{url} does not give commit {} ({words})", ids.join(", ")))
        }
        Some(Meaning::NotFound) => {
            let message = format!("there is no repository at {url}: check the URL, and that it may be read ({words})");
            Error::terminal("RepositoryNotFound", message)
        }
        Some(Meaning::NotAllowed) => Error::terminal("UrlNotAllowed", format!("git refuses {url} ({words})")),
        None if finished.signal == Some(rustix::process::Signal::XFSZ.as_raw()) => {
            Error::terminal("RepositoryTooLarge", format!("{url} is larger than the configuration allows"))
        }
        None => Error::retryable("GitUnreachable", format!("{url} cannot be fetched: {words}")),
    }
}

/// Returns what the failure of a command without network means.
pub(super) fn local(command: &str, finished: &Finished) -> Error {
    let text = String::from_utf8_lossy(&finished.stderr);
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return disk_full("git ran out of disk space");
    }
    let end = finished.code.map_or_else(|| format!("signal {:?}", finished.signal), |code| format!("code {code}"));
    Error::retryable("GitFailed", format!("git {command} ended with {end}: {}", words(&text)))
}

/// Returns what a failure of the file system means.
pub(super) fn disk(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => disk_full(what).because(error),
        _ => Error::retryable("GitFolder", what).because(error),
    }
}

pub(super) fn commit_not_found(url: &RemoteUrl, commit: &CommitId) -> Error {
    Error::terminal("CommitNotFound", format!("{url} has no commit {commit}"))
}

pub(super) fn too_large(url: &RemoteUrl, bytes_max: u64) -> Error {
    let message = format!("{url} is larger than {} MiB, the most that the configuration allows", bytes_max >> 20);
    Error::terminal("RepositoryTooLarge", message)
}

fn disk_full(what: &str) -> Error {
    Error::retryable("DiskFull", format!("{what}: the disk is full; free some space"))
}

/// Returns git's own last words on one line, without its prefixes.
fn words(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start_matches("fatal: ").trim_start_matches("error: ").trim());
    let mut all = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    if all.is_empty() {
        "git says nothing".clone_into(&mut all);
    }
    let mut end = all.len().min(WORDS_BYTES_MAX);
    while !all.is_char_boundary(end) {
        end -= 1;
    }
    all.truncate(end);
    all
}
