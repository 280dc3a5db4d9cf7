//! Commands, files, logs, images and events.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;

use super::{Behaviour, Case, Harness, PATIENCE, Stack, panic_with, running, until};
use crate::error::ErrorKind;
use crate::swarm::{ExecSpec, LogOptions, Removal};

/// The cases of this file.
pub(super) const CASES: &[Case] = &[
    Case {
        name: "a_command_runs_in_a_container",
        run: |harness, stack| Box::pin(a_command_runs_in_a_container(harness, stack)),
    },
    Case {
        name: "a_command_that_takes_too_long_is_given_up",
        run: |harness, stack| Box::pin(a_command_that_takes_too_long_is_given_up(harness, stack)),
    },
    Case {
        name: "a_command_in_a_container_that_is_gone_says_so",
        run: |harness, stack| Box::pin(a_command_in_a_container_that_is_gone_says_so(harness, stack)),
    },
    Case {
        name: "files_go_into_a_container_and_come_out_of_it",
        run: |harness, stack| Box::pin(files_go_into_a_container_and_come_out_of_it(harness, stack)),
    },
    Case { name: "a_log_has_whole_lines", run: |harness, stack| Box::pin(a_log_has_whole_lines(harness, stack)) },
    Case { name: "a_followed_log_goes_on", run: |harness, stack| Box::pin(a_followed_log_goes_on(harness, stack)) },
    Case {
        name: "an_image_is_known_by_its_name_and_digest",
        run: |harness, stack| Box::pin(an_image_is_known_by_its_name_and_digest(harness, stack)),
    },
    Case {
        name: "an_image_that_is_nowhere_is_not_found",
        run: |harness, stack| Box::pin(an_image_that_is_nowhere_is_not_found(harness, stack)),
    },
    Case { name: "an_image_in_use_is_kept", run: |harness, stack| Box::pin(an_image_in_use_is_kept(harness, stack)) },
    Case {
        name: "what_happens_is_announced",
        run: |harness, stack| Box::pin(what_happens_is_announced(harness, stack)),
    },
];

fn command(words: &[&str]) -> ExecSpec {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    ExecSpec { command, time_max: PATIENCE, ..ExecSpec::default() }
}

async fn given(harness: &dyn Harness, stack: &Stack, behaviour: Behaviour) -> (String, String) {
    let spec = stack.service("app", harness.container(behaviour));
    let service = harness.engine().create_service(&spec, None).await.expect("it is made");
    (service, running(harness.engine(), stack).await.container_id)
}

async fn a_command_runs_in_a_container(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let (_, container) = given(harness, &stack, Behaviour::Runs).await;
    let result = engine.exec(&container, &command(&["sh", "-c", "echo out; exit 3"])).await.expect("it runs");
    assert_eq!((result.exit_code, &*result.output, result.is_truncated), (3, &b"out\n"[..], false));
    let input = b"through and through\n".to_vec();
    let result = engine.exec(&container, &ExecSpec { input: input.clone(), ..command(&["cat"]) }).await;
    let result = result.expect("it runs");
    assert_eq!((result.exit_code, result.output), (0, input));
    let error = engine.exec(&container, &command(&["/no/such/program"])).await.expect_err("it is not there");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "CommandNotFound"), "{error}");
}

async fn a_command_that_takes_too_long_is_given_up(harness: &dyn Harness, stack: Stack) {
    let (_, container) = given(harness, &stack, Behaviour::Runs).await;
    let exec = ExecSpec { time_max: Duration::from_millis(300), ..command(&["sleep", "600"]) };
    let error = harness.engine().exec(&container, &exec).await.expect_err("it does not end");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "ExecTimeout"), "{error}");
}

async fn a_command_in_a_container_that_is_gone_says_so(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let (service, container) = given(harness, &stack, Behaviour::Runs).await;
    engine.remove_service(&service).await.expect("it is removed");
    until("the container is gone", async || {
        engine.container(&container).await.expect("it answers").is_none().then_some(())
    })
    .await;
    let error = engine.exec(&container, &command(&["true"])).await.expect_err("it is gone");
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "ContainerNotRunning"), "{error}");
}

/// Returns a tar archive with one file.
fn archive(name: &str, content: &[u8]) -> Bytes {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", content.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive.into()
}

async fn files_go_into_a_container_and_come_out_of_it(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let (_, container) = given(harness, &stack, Behaviour::Runs).await;
    engine.write_archive(&container, "/tmp", archive("note.txt", b"a few words\n")).await.expect("it is unpacked");
    let read = engine.read_archive(&container, "/tmp/note.txt", 1 << 20).await.expect("it is packed");
    assert!(read.windows(12).any(|window| window == b"a few words\n"), "{} bytes", read.len());
    let error = engine.read_archive(&container, "/tmp/note.txt", 100).await.expect_err("it is larger");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "ArchiveTooLarge"), "{error}");
    let error = engine.read_archive(&container, "/tmp/none", 1 << 20).await.expect_err("it is not there");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "PathNotFound"), "{error}");
    let error = engine.write_archive(&container, "/none", archive("x", b"x")).await.expect_err("it is not there");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "PathNotFound"), "{error}");
}

async fn log(harness: &dyn Harness, service: &str, options: &LogOptions) -> Vec<u8> {
    let mut stream = harness.engine().service_log(service, options).await.expect("it can be read");
    let mut whole = Vec::new();
    while let Some(lines) = stream.next().await {
        whole.extend_from_slice(&lines.expect("it goes on"));
    }
    whole
}

async fn a_log_has_whole_lines(harness: &dyn Harness, stack: Stack) {
    let (service, _) = given(harness, &stack, Behaviour::SaysHello).await;
    let whole = until("the line is there", async || {
        harness.settle().await;
        let whole = log(harness, &service, &LogOptions::default()).await;
        (!whole.is_empty()).then_some(whole)
    })
    .await;
    assert_eq!(String::from_utf8_lossy(&whole), "hello\n");
    let stamped = LogOptions { timestamps: true, tail: Some(1), ..LogOptions::default() };
    let whole = String::from_utf8(log(harness, &service, &stamped).await).expect("it is text");
    let (stamp, text) = whole.split_once(' ').expect("a moment stands before the line");
    assert!(stamp.parse::<jiff::Timestamp>().is_ok(), "{whole}");
    assert_eq!(text, "hello\n");
    assert_eq!(log(harness, &service, &LogOptions { tail: Some(0), ..LogOptions::default() }).await, b"");
    let error = harness.engine().service_log("there-is-none", &LogOptions::default()).await;
    let Err(error) = error else { panic_with("there is no such service") };
    assert_eq!((error.kind, error.reason), (ErrorKind::Retryable, "ServiceNotFound"), "{error}");
}

async fn a_followed_log_goes_on(harness: &dyn Harness, stack: Stack) {
    let (service, _) = given(harness, &stack, Behaviour::SaysHello).await;
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut stream = harness.engine().service_log(&service, &options).await.expect("it can be read");
    let first = tokio::time::timeout(PATIENCE, stream.next()).await.expect("in time").expect("a line");
    assert_eq!(&*first.expect("it goes on"), b"hello\n");
    let more = tokio::time::timeout(Duration::from_millis(500), stream.next()).await;
    assert!(more.is_err(), "it waits for more: {more:?}");
}

async fn an_image_is_known_by_its_name_and_digest(harness: &dyn Harness, _: Stack) {
    let (engine, reference) = (harness.engine(), harness.image());
    engine.pull_image(&reference, None).await.expect("a registry has it");
    let digest = engine.resolve_digest(&reference, None).await.expect("it answers").expect("a registry has it");
    assert!(digest.starts_with("sha256:"), "{digest}");
    assert!(engine.has_image(&reference).await.expect("it answers"));
    assert!(engine.has_image(&format!("{reference}@{digest}")).await.expect("it answers"));
    let images = engine.images().await.expect("images can be listed");
    let image = images.iter().find(|image| image.tags.contains(&reference)).expect("it is listed");
    assert!(image.bytes > 0 && !image.id.is_empty(), "{image:?}");
    assert!(image.digests.iter().any(|name| name.ends_with(&digest)), "{image:?}");
}

async fn an_image_that_is_nowhere_is_not_found(harness: &dyn Harness, _: Stack) {
    let engine = harness.engine();
    let reference = harness.container(Behaviour::MissingImage).image;
    assert!(!engine.has_image(&reference).await.expect("it answers"));
    assert_eq!(engine.resolve_digest(&reference, None).await.expect("it answers"), None);
    let error = engine.pull_image(&reference, None).await.expect_err("it is nowhere");
    assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "ImageNotFound"), "{error}");
}

async fn an_image_in_use_is_kept(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    given(harness, &stack, Behaviour::Runs).await;
    let reference = harness.image();
    let images = engine.images().await.expect("images can be listed");
    let image = images.iter().find(|image| image.tags.contains(&reference)).expect("it is listed");
    let removal = engine.remove_image(&image.id).await.expect("the engine answers");
    assert!(matches!(removal, Removal::InUse(_)), "{removal:?}");
    assert!(engine.has_image(&reference).await.expect("it answers"));
}

async fn what_happens_is_announced(harness: &dyn Harness, stack: Stack) {
    let engine = harness.engine();
    let mut events = engine.events().await.expect("they can be listened to");
    let (service, container) = given(harness, &stack, Behaviour::Runs).await;
    let seen = tokio::time::timeout(PATIENCE, async {
        let (mut is_service_seen, mut is_container_seen) = (false, false);
        while !(is_service_seen && is_container_seen) {
            let event = events.next().await.expect("it goes on").expect("it goes on");
            is_service_seen |= event.kind == "service" && event.action == "create" && event.id == service;
            let is_ours = event.kind == "container" && event.action == "start" && event.id == container;
            assert!(!is_ours || event.stack() == Some(&*stack.name), "{event:?}");
            is_container_seen |= is_ours;
        }
    });
    seen.await.expect("both are announced in time");
}
