//! The texts of the health endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Health, Severity};

#[test]
fn readiness_comes_goes_and_is_explained() {
    let health = Health::default();
    let full = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&full);
    health.add("store", Severity::Live, || Ok(()));
    health.add("disk", Severity::Ready, move || {
        if flag.load(Ordering::SeqCst) { Err("the disk is full".to_owned()) } else { Ok(()) }
    });
    let ask = |path: &str, query: Option<&str>| {
        let answer = health.answer(path, query).unwrap();
        format!("{} {}", answer.code, answer.body)
    };
    let starting = "[+]ping ok\n[-]start failed: the server is starting\n[+]shutdown ok\n[+]store ok\n[+]disk ok\nreadyz check failed\n";
    assert_eq!(ask("/readyz", None), format!("500 {starting}"));
    assert_eq!(ask("/livez", None), "200 ok");
    health.set_started();
    assert_eq!(ask("/readyz", None), "200 ok");
    assert_eq!(ask("/healthz/", None), "200 ok");
    let passed = "[+]ping ok\n[+]start ok\n[+]shutdown ok\n[+]store ok\n[+]disk ok\nreadyz check passed\n";
    assert_eq!(ask("/readyz", Some("verbose")), format!("200 {passed}"));
    full.store(true, Ordering::SeqCst);
    assert!(ask("/readyz", None).contains("[-]disk failed: the disk is full\n"));
    assert_eq!(ask("/livez", Some("verbose=1")), "200 [+]ping ok\n[+]store ok\nlivez check passed\n");
    assert_eq!(ask("/readyz", Some("exclude=disk")), "200 ok");
    assert_eq!(ask("/readyz/store", None), "200 ok");
    assert!(ask("/readyz/disk", None).starts_with("500 "));
    assert_eq!(ask("/readyz/none", None), "404 there is no check \"none\"; /readyz?verbose lists them\n");
    full.store(false, Ordering::SeqCst);
    health.set_draining();
    assert!(ask("/readyz", None).contains("[-]shutdown failed: the server is stopping\n"));
    assert_eq!(ask("/livez", None), "200 ok");
    assert_eq!(health.answer("/metrics", None), None);
}
