//! What happens when the server, the connection or the reader misbehaves.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::json;

use crate::program::Home;
use crate::server::{Fault, Server};

fn recipe(name: &str, phase: &str) -> serde_json::Value {
    json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "metadata": {"name": name}, "status": {"phase": phase}})
}

#[test]
fn refusals_have_kubectls_words_a_hint_and_an_exit_code() {
    let forbidden = r#"{"kind":"Status","status":"Failure","message":"recipes.ci.coopcloud.tech is forbidden: User \"bob\" cannot list resource \"recipes\"","reason":"Forbidden","code":403}"#;
    let unauthorized =
        r#"{"kind":"Status","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#;
    let unheard = r#"{"kind":"Status","status":"Failure","message":"brewing","reason":"Teapot","code":418}"#;
    let cases = [
        ("forbidden", Fault::Answer(403, forbidden)),
        ("unauthorized", Fault::Answer(401, unauthorized)),
        ("a_reason_that_nobody_knows", Fault::Answer(418, unheard)),
        ("plain_text_from_a_proxy", Fault::Answer(502, "<html>Bad Gateway</html>")),
        ("no_body", Fault::Answer(500, "")),
        ("not_json", Fault::Answer(200, "hello")),
        (
            "busy",
            Fault::Answer(
                429,
                r#"{"kind":"Status","message":"too many requests","reason":"TooManyRequests","details":{"retryAfterSeconds":7},"code":429}"#,
            ),
        ),
    ];
    for (name, fault) in cases {
        let server = Server::start();
        server.fail("/recipes", fault);
        insta::assert_snapshot!(name, Home::new(&server).run(&["get", "recipes"]));
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Port 1 is never listened on.
    insta::assert_snapshot!(Home::with_address("127.0.0.1:1").run(&["get", "recipes"]), @r"
    [stderr] error: The connection to the server ADDRESS was refused - did you specify the right host or port?
    [stderr] hint: is ccd running? start it with `ccd serve`
    [stderr] hint: look at every step of the way with `ccctl doctor`
    [exit 3]
    ");
}

#[test]
fn an_answer_that_never_comes_ends_after_the_time_limit() {
    let server = Server::start();
    server.fail("/recipes", Fault::Silence);
    insta::assert_snapshot!(Home::new(&server).run(&["get", "recipes", "--request-timeout=1s"]), @r"
    [stderr] error: the server http://ADDRESS did not answer within 1 s
    [stderr] hint: wait longer with --request-timeout=5m, or see what is wrong with `ccctl doctor`
    [exit 4]
    ");
}

#[test]
fn a_watch_resumes_where_it_was_cut_off_and_shows_nothing_twice() {
    let server = Server::start();
    server.put("recipes", recipe("a", "One"));
    let cut = json!({"type": "MODIFIED", "object": {"kind": "Table", "rows": [{"cells": ["a", "Two", null, "5m"], "object": {"metadata": {"name": "a", "namespace": "default", "uid": "00000000-0000-4000-8000-000000000002", "resourceVersion": "2"}}}]}});
    // Version 2 again: a repetition that must not be shown; then half an event and the end.
    server.fail("watch=true", Fault::Lines(vec![cut.to_string(), r#"{"type":"MODIFIED","obj"#.to_owned()]));
    let home = Home::new(&server);
    let mut child = home.start(&["get", "recipes", "-w"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert_eq!(lines.next().unwrap(), "NAME   PHASE   AGE");
    assert_eq!(lines.next().unwrap(), "a      One     5m");
    server.put("recipes", recipe("b", "Three"));
    assert_eq!(lines.next().unwrap(), "b      Three   5m");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_watch_that_is_too_old_lists_again_and_shows_the_difference() {
    let server = Server::start();
    server.put("recipes", recipe("a", "One"));
    server.put("recipes", recipe("gone", "One"));
    server.fail("watch=true", Fault::Lines(vec![
        json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}}).to_string(),
        String::new(),
    ]));
    let home = Home::new(&server);
    let mut child = home.start(&["get", "recipes", "-w", "-o", "json", "--output-watch-events"]);
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"name\": \"gone\"") {
        output.read_line(&mut text).unwrap();
    }
    server.put("recipes", recipe("late", "Two"));
    while !text.contains("\"name\": \"late\"") {
        output.read_line(&mut text).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(text.matches("\"name\": \"a\"").count(), 1, "shown twice: {text}");
    assert!(
        server.requests().iter().filter(|request| request.contains("/recipes?") && !request.contains("watch")).count()
            >= 1
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let server = Server::start();
    for index in 0..2000 {
        server.put("recipes", recipe(&format!("recipe-with-a-long-name-{index:04}"), "One"));
    }
    let home = Home::new(&server);
    let mut child = home.start(&["get", "recipes", "-o", "yaml"]);
    // Closes the pipe before anything was read.
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(141), ""));
}

#[test]
fn interrupting_a_watch_is_quiet() {
    let server = Server::start();
    server.put("recipes", recipe("a", "One"));
    let home = Home::new(&server);
    let mut child = home.start(&["get", "recipes", "-w"]);
    server.wait_for_request("watch=true");
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(130), ""));
}

#[test]
fn discovery_is_asked_once_and_then_only_when_something_is_unknown() {
    let server = Server::start();
    let home = Home::new(&server);
    home.run(&["get", "recipes"]);
    let discoveries =
        || server.requests().iter().filter(|request| ["GET /api", "GET /apis"].contains(&request.as_str())).count();
    assert_eq!(discoveries(), 2);
    home.run(&["get", "apps"]);
    assert_eq!(discoveries(), 2, "the cache was not used");
    home.run(&["get", "zorks"]);
    assert_eq!(discoveries(), 4, "an unknown type must ask again");
    for arguments in [&["version", "--client"][..], &["completion", "bash"], &["--help"], &["config", "get-contexts"]] {
        home.run(arguments);
    }
    assert_eq!(discoveries(), 4, "commands without a server asked it");
}

#[test]
fn a_broken_cache_is_made_anew() {
    let server = Server::start();
    let home = Home::new(&server);
    let before = home.run(&["get", "recipes"]);
    let folder = std::fs::read_dir(home.path(".cache/ccctl/discovery")).unwrap().next().unwrap().unwrap().path();
    for file in std::fs::read_dir(folder).unwrap() {
        std::fs::write(file.unwrap().path(), "{ half").unwrap();
    }
    assert_eq!(home.run(&["get", "recipes"]), before);
}

#[test]
fn stdin_is_read_to_its_end() {
    let server = Server::start();
    let home = Home::new(&server);
    insta::assert_snapshot!(home.run_with_input(&["apply", "-f", "-"], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n"), @r"
    configmap/a serverside-applied
    configmap/b serverside-applied
    [exit 0]
    ");
    let mut child = home.command(&["apply", "-f", "-"]).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(2), "error: no objects found in -\n"));
}
