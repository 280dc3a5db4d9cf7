//! Harm below the API: heads, lengths, silence, and thousands of connections; and definitions that are expensive.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::daemon::wait_a_moment;

use super::{ANSWER_WITHIN, JSON, MAPS, Victim, WATCH_MEMORY_MAX, WATCHES, exchange, map};

/// Limits small enough to be reached in a test.
const IMPATIENT: &str = "[limits]\nheader_seconds = 1\nbody_seconds = 1\n";

#[test]
fn hostile_heads_and_lengths_are_refused() {
    let victim = Victim::start("");
    let get = |more: &str| victim.head("GET", MAPS, more).into_bytes();
    let post = |more: &str, body: &str| [victim.head("POST", MAPS, more).as_bytes(), body.as_bytes()].concat();
    let flood: String = (0..5000).map(|index| format!("x-{index}: y\r\n")).collect();
    let cases = [
        ("5 000 headers", get(&flood)),
        ("a header of 1 MiB", get(&format!("x: {}\r\n", "y".repeat(1 << 20)))),
        ("a path of 1 MiB", victim.head("GET", &format!("/{}", "a".repeat(1 << 20)), "").into_bytes()),
        ("a header with NUL", get("x: a\0b\r\n")),
        ("a space before the colon", get("x : y\r\n")),
        ("no name", get(": y\r\n")),
        ("a length that is no number", post("Content-Length: abc\r\n", "{}")),
        ("a negative length", post("Content-Length: -1\r\n", "{}")),
        ("a length with a sign", post("Content-Length: +2\r\n", "{}")),
        ("two lengths", post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}x")),
        ("a list of lengths", post("Content-Length: 2, 3\r\n", "{}x")),
        ("a length beyond all numbers", post("Content-Length: 99999999999999999999999\r\n", "{}")),
        ("a length beyond all memory", post("Content-Length: 18446744073709551614\r\n", "{}")),
        ("a coding that is not the last", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")),
        ("a coding that nobody knows", post("Transfer-Encoding: evil\r\n", "{}")),
        ("a chunk beyond all numbers", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}")),
        ("a chunk that is no number", post("Transfer-Encoding: chunked\r\n", "evil\r\n{}")),
        ("no protocol", b"GET /\r\n\r\n".to_vec()),
        ("another protocol", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("HTTP/2 without TLS", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
    ];
    for (name, request) in cases {
        let answer = exchange(victim.daemon.http(), &request);
        let shown: String = answer.text.chars().take(300).collect();
        match name {
            "5 000 headers" | "a header of 1 MiB" => assert_eq!(answer.code(), 431, "{name}: {shown}"),
            "a path of 1 MiB" => assert!(matches!(answer.code(), 414 | 431), "{name}: {shown}"),
            _ => assert!(matches!(answer.code(), 0 | 400..=499), "{name}: {shown}"),
        }
        if answer.code() != 0 {
            let status = answer.document();
            assert_eq!(status["kind"], "Status", "{name} is answered without a Status: {shown}");
            assert_eq!(status["code"], answer.code(), "{name}: {shown}");
        }
        assert!(answer.took < ANSWER_WITHIN, "{name} took {:?}", answer.took);
        victim.assert_well(name);
    }
}

#[test]
fn hostile_lengths_do_not_hide_a_second_request() {
    let victim = Victim::start("");
    let hidden = victim.head("DELETE", &format!("{MAPS}/kube-root-ca.crt"), "");
    let length = hidden.len() + 5;
    let chunked = "Transfer-Encoding: chunked\r\n";
    for head in [format!("Content-Length: {length}\r\n{chunked}"), format!("{chunked}Content-Length: {length}\r\n")] {
        let request = format!("{}0\r\n\r\n{hidden}", victim.head("POST", MAPS, &head));
        let answer = exchange(victim.daemon.http(), request.as_bytes());
        assert_eq!(answer.text.matches("HTTP/1.1 ").count(), 1, "a hidden request was answered: {}", answer.text);
        assert_eq!(answer.code(), 400, "an empty body is refused: {}", answer.text);
    }
    victim.assert_well("hidden requests");
}

#[test]
fn hostile_slowness_is_cut_off() {
    let victim = Victim::start(IMPATIENT);
    let whole = "GET /version HTTP/1.1\r\n".to_owned() + &"x: y\r\n".repeat(1000);
    for (name, address) in [("a dribbled head", victim.daemon.http()), ("a dribbled handshake", victim.daemon.https())]
    {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let begun = Instant::now();
        let mut bytes = whole.bytes();
        loop {
            let sent = stream.write_all(&[bytes.next().unwrap()]);
            match stream.read(&mut [0; 1024]) {
                Ok(0) => break,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                _ if sent.is_err() => break,
                _ => assert!(begun.elapsed() < Duration::from_secs(8), "{name} is not cut off"),
            }
        }
        victim.assert_well(name);
    }
    let request = victim.head("POST", MAPS, "Content-Length: 100\r\nConnection: close\r\n") + "{";
    exchange(victim.daemon.http(), request.as_bytes()).assert_refused("a body that never comes", 408);
    victim.assert_well("a slow body");
}

#[test]
fn hostile_readers_who_take_nothing_are_cut_off() {
    const READERS: usize = 8;
    let config = "[limits]\nanswer_seconds = 2\nanswer_bytes_total = 16777216\nreading_per_user = 8\n";
    let victim = Victim::start(config);
    let text = "y".repeat(250_000);
    for number in 0..48 {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("m{number}")}, "data": {"text": text},
        });
        let answer = victim.send("POST", MAPS, JSON, &serde_json::to_vec(&map).unwrap());
        assert_eq!(answer.code(), 201, "{}", answer.text);
    }
    let ask = |more: &str| {
        let mut stream = TcpStream::connect(victim.daemon.http()).unwrap();
        stream.write_all(victim.head("GET", MAPS, more).as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        stream.read_exact(&mut answer).unwrap();
        (String::from_utf8_lossy(&answer[9..]).into_owned(), stream)
    };
    let yaml = "Accept: application/yaml\r\n";
    for (name, more, readers, why) in [
        ("lists", "", READERS, "the client has too many requests in work"),
        ("lists as YAML, which are made whole", yaml, 1, "the client does not read its answers"),
    ] {
        let unread: Vec<_> = (0..readers).map(|_| ask(more)).collect();
        assert!(unread.iter().all(|(code, _)| code == "200"), "{name}: {unread:?}");
        let refused = exchange(
            victim.daemon.http(),
            victim.head("GET", MAPS, &format!("{more}Connection: close\r\n")).as_bytes(),
        );
        assert_eq!(refused.code(), 429, "{name}");
        assert!(refused.text.contains(why), "{name}: {}", refused.text);
        victim.assert_well(name);
        let begun = Instant::now();
        while ask(more).0 != "200" {
            assert!(begun.elapsed() < ANSWER_WITHIN, "{name} keep their places");
            wait_a_moment();
        }
        drop(unread);
    }
    victim.assert_well("answers that nobody reads");
}

#[test]
fn hostile_crowds_of_idle_watches_stay_cheap() {
    // This process and the daemon need a descriptor for each.
    let pid = std::process::id().to_string();
    let raised = std::process::Command::new("prlimit").args(["--pid", &pid, "--nofile=20000:"]).status();
    assert!(raised.is_ok_and(|status| status.success()), "prlimit (util-linux) cannot raise the limit of open files");
    let victim = Victim::start("");
    victim.assert_well("nothing");
    let before = victim.memory_bytes();
    let request = victim.head("GET", &format!("{MAPS}?watch=1"), "");
    let mut watches: Vec<TcpStream> = (0..WATCHES)
        .map(|_| {
            let mut stream = TcpStream::connect(victim.daemon.http()).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    for stream in &mut watches {
        let mut answer = [0; 12];
        stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    let grown = victim.memory_bytes().saturating_sub(before);
    println!("{WATCHES} idle watches: {} MiB", grown >> 20);
    assert!(grown < WATCHES as u64 * WATCH_MEMORY_MAX, "{WATCHES} idle watches take {} MiB", grown >> 20);
    let answer = victim.send("POST", MAPS, JSON, &map(&json!({"name": "a"})));
    assert_eq!(answer.code(), 201, "{}", answer.text);
    assert!(answer.took < Duration::from_secs(5), "a create among {WATCHES} watches takes {:?}", answer.took);
    victim.assert_well("idle watches");
    assert_eq!(watches_counted(&victim), Some(WATCHES), "every watch is counted");
    drop(watches);
    let begun = Instant::now();
    while watches_counted(&victim) != Some(0) {
        let left = watches_counted(&victim);
        assert!(begun.elapsed() < ANSWER_WITHIN, "watches outlive their clients: {left:?} are left");
        wait_a_moment();
    }
    victim.assert_well("the end of the watches");
}

/// Returns how many watches of ConfigMaps the daemon's own figures count; nothing when there is no such figure.
fn watches_counted(victim: &Victim) -> Option<usize> {
    let answer = victim.send("GET", "/metrics", JSON, b"");
    let line = answer.text.lines().find_map(|line| line.strip_prefix("cc_api_watches{resource=\"configmaps\"} "))?;
    line.trim().parse().ok()
}

/// Each attack defines a kind of its own: one that was deleted goes some time later.
fn definition(plural: &str, spec: &Value) -> Vec<u8> {
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.test.example.com")},
        "spec": {"group": "test.example.com", "scope": "Cluster", "names": {"kind": format!("Kind{plural}"), "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": spec}}}}]},
    });
    serde_json::to_vec(&definition).unwrap()
}

#[test]
fn hostile_definitions_take_bounded_time() {
    let victim = Victim::start("");
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let rule = |rule: &str| json!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [{"rule": rule}]});
    let deep =
        (0..50).fold(json!({"type": "string"}), |below, _| json!({"type": "object", "properties": {"a": below}}));
    let refused = [
        ("a pattern that explodes", text("(a{1000}){1000}")),
        ("a pattern of 10 000 brackets", text(&"(".repeat(10_000))),
        ("a pattern that closes 10 000 brackets", text(&format!("{}{}", "(".repeat(10_000), ")".repeat(10_000)))),
        ("a rule of 10 000 brackets", rule(&format!("{}true{}", "(".repeat(10_000), ")".repeat(10_000)))),
        ("a rule of a MiB", rule(&"true && ".repeat(1 << 17))),
        ("a rule that is none", rule("self.all(")),
        ("a type that nobody knows", json!({"type": "evil"})),
        ("a list without items", json!({"type": "array"})),
    ];
    for (name, spec) in refused {
        let answer = victim.send("POST", definitions, JSON, &definition("evils", &spec));
        println!("{name}: {} in {:?}", answer.code(), answer.took);
        answer.assert_refused(name, 422);
        victim.assert_well(name);
    }
    let every = "self.all(a, self.all(b, self.all(c, self.all(d, a + b + c + d >= 0))))";
    let numbers: Vec<usize> = (0..3000).collect();
    let attacks = [
        ("a quartic rule", rule(every), json!(numbers), 422),
        ("a pattern that backtracks elsewhere", text("^(a+)+$"), json!("a".repeat(500_000) + "b"), 422),
        ("a schema 50 deep", deep, json!("x"), 422),
    ];
    for ((name, spec, value, code), plural) in attacks.into_iter().zip(["as", "bs", "cs"]) {
        let created = victim.send("POST", definitions, JSON, &definition(plural, &spec));
        println!("{name}: defined with {} in {:?}", created.code(), created.took);
        assert!(created.took < ANSWER_WITHIN, "{name} took {:?}", created.took);
        if created.code() == 201 {
            let body = json!({"apiVersion": "test.example.com/v1", "kind": format!("Kind{plural}"), "metadata": {"name": "a"}, "spec": value});
            let body = serde_json::to_vec(&body).unwrap();
            let answer = victim.send("POST", &format!("/apis/test.example.com/v1/{plural}"), JSON, &body);
            println!("{name}: {} in {:?}", answer.code(), answer.took);
            answer.assert_refused(name, code);
        } else {
            created.assert_refused(name, 422);
        }
        victim.assert_well(name);
    }
}
