//! The real `ccd` as a service: what it tells systemd, how it logs, and how its end looks from outside.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::life::{Daemon, PATIENCE};

const RUNS: &str = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns";
/// A run that nobody works on: its log has no end.
const RUN: &str = r#"{"apiVersion":"ci.coopcloud.tech/v1alpha1","kind":"TestRun","metadata":{"name":"held"},"spec":{"suspend":true,"recipeRef":"none","source":{"ref":"main"}}}"#;

#[test]
fn systemd_hears_of_the_beginning_and_of_the_end() {
    let parent = tempfile::tempdir().unwrap();
    let socket = parent.path().join("notify");
    let systemd = UnixDatagram::bind(&socket).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut buffer = [0; 256];
        let count = systemd.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    let daemon = Daemon::start_as(&parent.path().join("data"), |command| command.env("NOTIFY_SOCKET", &socket));
    assert_eq!(hear(), "READY=1\nSTATUS=serving\n");
    systemd.set_nonblocking(true).unwrap();
    assert!(systemd.recv(&mut [0; 256]).is_err(), "nothing else is said while it runs");
    systemd.set_nonblocking(false).unwrap();
    assert!(daemon.stop().0);
    assert_eq!(hear(), "STOPPING=1\nSTATUS=finishing requests\n");
}

#[test]
fn every_line_of_the_log_is_json_when_that_is_asked_for() {
    let parent = tempfile::tempdir().unwrap();
    let (data, log) = (parent.path().join("data"), parent.path().join("log"));
    let config = parent.path().join("config.toml");
    std::fs::write(&config, "[log]\nformat = \"json\"\nlevel = \"debug\"\n").unwrap();
    let daemon =
        Daemon::start_as(&data, |command| command.arg("--config").arg(&config).stderr(File::create(&log).unwrap()));
    assert!(daemon.ask("POST", RUNS, Some(&daemon.token()), RUN).starts_with("HTTP/1.1 201 "));
    assert!(daemon.get("/no\"where\\", None).starts_with("HTTP/1.1 "));
    assert!(daemon.stop().0);
    let text = std::fs::read_to_string(&log).unwrap();
    let mut requests = 0;
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        for field in ["timestamp", "level", "target", "message"] {
            assert!(entry[field].is_string(), "no {field}: {line}");
        }
        let timestamp: Result<jiff::Timestamp, _> = entry["timestamp"].as_str().unwrap().parse();
        assert!(timestamp.is_ok(), "{line}");
        requests += usize::from(entry["message"] == "request" && entry["path"] == RUNS && entry["code"] == 201);
    }
    assert_eq!(requests, 1, "the request is logged with its parts:\n{text}");
}

/// Reads the head of an answer.
fn head(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    text
}

/// Reads what has come and returns whether more may come.
fn is_open(stream: &mut TcpStream, text: &mut String) -> bool {
    stream.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    let error = loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => text.push_str(&String::from_utf8_lossy(&buffer[..count])),
            Err(error) => break error,
        }
    };
    stream.set_nonblocking(false).unwrap();
    error.kind() == ErrorKind::WouldBlock && !text.ends_with("\r\n0\r\n\r\n")
}

#[test]
fn streams_end_cleanly_when_it_is_told_to_stop() {
    let parent = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_as(&parent.path().join("data"), |command| command);
    let token = daemon.token();
    assert!(daemon.ask("POST", RUNS, Some(&token), RUN).starts_with("HTTP/1.1 201 "));
    let streams: Vec<(&str, TcpStream)> = [
        ("a watch", "/api/v1/namespaces?watch=1&allowWatchBookmarks=true".to_owned()),
        ("a followed log", format!("{RUNS}/held/log?follow=true")),
        ("a followed log of a pod", "/api/v1/namespaces/default/pods/held/log?follow=true".to_owned()),
    ]
    .into_iter()
    .map(|(name, path)| {
        let mut stream = TcpStream::connect(&daemon.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n").unwrap();
        (name, stream)
    })
    .collect();
    let mut streams: Vec<(&str, TcpStream, String)> =
        streams.into_iter().map(|(name, mut stream)| (name, stream.try_clone().unwrap(), head(&mut stream))).collect();
    for (name, stream, text) in &mut streams {
        assert!(text.starts_with("HTTP/1.1 200 "), "{name}: {text}");
        assert!(!text.contains("content-length"), "{name} has an end: {text}");
        assert!(is_open(stream, text), "{name} has ended by itself: {text}");
    }
    let (well, took) = daemon.stop();
    assert!(well && took < Duration::from_secs(10), "{well} {took:?}");
    for (name, mut stream, mut text) in streams {
        stream.read_to_string(&mut text).unwrap_or_else(|error| panic!("{name} is cut off: {error}"));
        assert!(text.ends_with("0\r\n\r\n"), "{name} ends in the middle: {text}");
    }
}

#[test]
fn the_version_is_told() {
    let version = env!("CARGO_PKG_VERSION");
    for (arguments, expected) in [
        (vec!["version"], format!("ccd {version}\n")),
        (vec!["--version"], format!("ccd {version}\n")),
        (vec!["version", "--json"], format!("{{\"program\":\"ccd\",\"version\":\"{version}\"}}\n")),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_ccd")).args(&arguments).output().unwrap();
        let said = (output.status.code(), String::from_utf8(output.stdout).unwrap(), output.stderr);
        assert_eq!(said, (Some(0), expected, Vec::new()), "{arguments:?}");
    }
}
