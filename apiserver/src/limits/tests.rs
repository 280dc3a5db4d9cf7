//! Shares, rates and bodies.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http::Method;
use http_body::Frame;
use http_body_util::{Full, StreamBody};

use super::{Class, Limits, retry_after_seconds};
use crate::authentication::{Credential, User};
use crate::config::LimitsConfig;
use crate::request::RequestInfo;

fn config() -> LimitsConfig {
    LimitsConfig {
        answer_bytes_total: 1000,
        body_bytes_max: 1000,
        body_bytes_total: 2048,
        mutating_per_user: 2,
        mutating_total: 3,
        reading_per_user: 4,
        reading_total: 6,
        streams_per_user: 2,
        rate_per_second: 10,
        rate_burst: 5,
        anonymous_rate_per_second: 3,
        ..LimitsConfig::default()
    }
}

fn user(name: &str) -> User {
    User::named(name, &[], Credential::None)
}

fn root() -> User {
    User::named("root", &["system:masters"], Credential::None)
}

fn request(method: &Method, target: &str) -> RequestInfo {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    RequestInfo::parse(method, path, query)
}

#[test]
fn requests_fall_into_classes() {
    let cases = [
        (Method::GET, "/api/v1/namespaces/n/secrets", Class::Reading),
        (Method::GET, "/readyz", Class::Reading),
        (Method::GET, "/api/v1/secrets?watch=1", Class::Stream),
        (Method::GET, "/api/v1/namespaces/n/pods/p/log", Class::Stream),
        (Method::POST, "/api/v1/namespaces/n/secrets", Class::Mutating),
        (Method::DELETE, "/api/v1/namespaces/n/secrets", Class::Mutating),
        (Method::POST, "/login", Class::Mutating),
    ];
    for (method, target, expected) in cases {
        assert_eq!(Class::of(&request(&method, target)), expected, "{method} {target}");
    }
}

#[test]
fn one_user_cannot_take_the_last_place() {
    let limits = Limits::new(config());
    let now = Instant::now();
    let write = request(&Method::POST, "/api/v1/namespaces/n/secrets");
    let greedy: Vec<_> = (0..2).map(|_| limits.admit(&root(), &write, now).unwrap()).collect();
    let refused = limits.admit(&root(), &write, now).err().unwrap();
    assert_eq!(refused.code, 429);
    assert_eq!(retry_after_seconds(&refused), Some(1));
    assert!(refused.message.contains("the client has too many"), "{refused}");
    let modest = limits.admit(&user("modest"), &write, now).unwrap();
    let third = limits.admit(&user("third"), &write, now).err().unwrap();
    assert!(third.message.contains("the server has too many"), "{third}");
    // Reading is another class: a storm of writes does not blind those who look.
    let reading = limits.admit(&root(), &request(&Method::GET, "/api/v1/secrets"), now).unwrap();
    drop((greedy, modest, reading));
    assert_eq!([Class::Mutating, Class::Reading].map(|class| limits.in_flight(class)), [0, 0]);
    assert!(limits.admit(&user("third"), &write, now).is_ok());
}

#[test]
fn answers_that_are_not_read_take_bounded_memory() {
    let limits = Limits::new(LimitsConfig { rate_per_second: 0, reading_total: 100, ..config() });
    let now = Instant::now();
    let read = request(&Method::GET, "/api/v1/namespaces/n/secrets/s");
    let write = request(&Method::PUT, "/api/v1/namespaces/n/secrets/s");
    let hold = |name: &str, request: &RequestInfo, bytes| {
        let mut permit = limits.admit(&user(name), request, now).unwrap();
        permit.hold_answer(bytes).map(|()| permit)
    };
    let first = hold("slow", &read, 400).unwrap();
    let refused = hold("slow", &read, 101).err().unwrap();
    assert_eq!((refused.code, retry_after_seconds(&refused)), (429, Some(1)));
    assert!(refused.message.contains("the client does not read its answers"), "{refused}");
    let second = hold("slow", &read, 100).unwrap();
    // What is larger than a share is answered, to one who holds nothing else.
    let whole = hold("other", &read, 1_000_000).unwrap();
    let refused = hold("third", &read, 1).err().unwrap();
    assert!(refused.message.contains("answers that are not read yet take all memory"), "{refused}");
    // What has been written is said, however much is held.
    let written = hold("slow", &write, 300).unwrap();
    drop((first, second, whole));
    let rest: Vec<_> = (0..2).map(|_| hold("third", &read, 250).unwrap()).collect();
    assert!(hold("slow", &read, 201).is_err(), "the write's answer still counts");
    drop((written, rest));
    assert!(hold("slow", &read, 500).is_ok());
}

#[test]
fn a_rate_is_a_burst_and_then_an_average() {
    let limits = Limits::new(config());
    let read = request(&Method::GET, "/api/v1/secrets");
    let start = Instant::now();
    let count = |user: &User, at| (0..100).filter(|_| limits.admit(user, &read, at).is_ok()).count();
    assert_eq!(count(&user("bob"), start), 5);
    assert_eq!(count(&user("bob"), start + Duration::from_millis(200)), 2);
    assert_eq!(count(&user("bob"), start + Duration::from_secs(100)), 5);
    assert_eq!(count(&user("eve"), start), 5, "another user has a bucket of their own");
    assert_eq!(count(&User::anonymous(), start), 3);
    assert_eq!(count(&root(), start), 100, "administrators are exempt");
}

#[test]
fn impersonation_spends_the_real_users_share() {
    let limits = Limits::new(config());
    let read = request(&Method::GET, "/api/v1/secrets");
    let now = Instant::now();
    let real = Arc::new(user("real"));
    let allowed = (0..100)
        .filter(|number| {
            let mut fake = user(&format!("fake{number}"));
            fake.impersonator = Some(Arc::clone(&real));
            limits.admit(&fake, &read, now).is_ok()
        })
        .count();
    assert_eq!(allowed, 5);
}

#[test]
fn users_who_rest_are_forgotten() {
    let limits = Limits::new(config());
    let read = request(&Method::GET, "/api/v1/secrets");
    let now = Instant::now();
    for number in 0..3000 {
        drop(limits.admit(&user(&format!("u{number}")), &read, now));
    }
    let later = now + Duration::from_secs(60);
    drop(limits.admit(&user("last"), &read, later));
    assert!(limits.shared.lock().users.len() < 10);
}

#[test]
fn counts_are_right_under_concurrency() {
    let limits = Limits::new(LimitsConfig { reading_per_user: 8, reading_total: 16, ..config() });
    let read = request(&Method::GET, "/api/v1/secrets");
    let now = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (limits, read) = (&limits, &read);
            scope.spawn(move || {
                let user = User::named(&format!("u{}", thread % 3), &["system:masters"], Credential::None);
                for _ in 0..2000 {
                    if let Ok(permit) = limits.admit(&user, read, now) {
                        assert!(limits.in_flight(Class::Reading) <= 16);
                        drop(permit);
                    }
                }
            });
        }
    });
    assert_eq!(limits.in_flight(Class::Reading), 0);
}

fn chunks(chunks: Vec<&'static str>) -> impl http_body::Body<Data = Bytes, Error = Infallible> {
    StreamBody::new(stream::iter(chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from(chunk))))))
}

#[tokio::test]
async fn bodies_are_read_whole_or_refused() {
    let limits = Limits::new(config());
    assert_eq!(limits.read_body(Full::new(Bytes::new())).await.unwrap().bytes, "");
    assert_eq!(limits.read_body(Full::new(Bytes::from("abc"))).await.unwrap().bytes, "abc");
    assert_eq!(limits.read_body(chunks(vec!["a", "", "bc", "d"])).await.unwrap().bytes, "abcd");
    let exact = limits.read_body(Full::new(Bytes::from(vec![b'x'; 1000]))).await.unwrap();
    assert_eq!(exact.bytes.len(), 1000);
    drop(exact);
    for status in [
        limits.read_body(Full::new(Bytes::from(vec![b'x'; 1001]))).await.unwrap_err(),
        limits.read_body(chunks(vec!["0123456789"; 101])).await.unwrap_err(),
    ] {
        assert_eq!((status.code, status.message.as_str()), (413, "Request entity too large: limit is 1000"));
        assert_eq!(status.details, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_given_up() {
    let limits = Limits::new(config());
    let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>());
    let status = limits.read_body(never).await.unwrap_err();
    assert_eq!(status.code, 408);
    assert_eq!(limits.shared.bodies.available_permits(), 2, "its memory is free again");
}

#[tokio::test(start_paused = true)]
async fn bodies_share_one_budget_of_memory() {
    let limits = Limits::new(config());
    let body = || Full::new(Bytes::from(vec![b'x'; 1000]));
    let first = limits.read_body(body()).await.unwrap();
    let second = limits.read_body(body()).await.unwrap();
    let status = limits.read_body(body()).await.unwrap_err();
    assert_eq!(status.code, 429);
    drop(first);
    let third = limits.read_body(body()).await.unwrap();
    drop((second, third));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_bad_request() {
    let limits = Limits::new(config());
    let frames: Vec<Result<Frame<Bytes>, &str>> = vec![Ok(Frame::data(Bytes::from("{"))), Err("reset")];
    let status = limits.read_body(StreamBody::new(stream::iter(frames))).await.unwrap_err();
    assert_eq!((status.code, status.message.as_str()), (400, "the request's body broke off: reset"));
}
