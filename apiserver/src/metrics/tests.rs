//! The text of `/metrics`.

use std::time::Duration;

use http::Method;

use super::{Metrics, TextForm};
use crate::request::RequestInfo;

fn line<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.lines().find(|line| line.starts_with(start))
}

#[test]
fn requests_are_counted_by_verb_resource_and_code() {
    let metrics = Metrics::new();
    let list = RequestInfo::parse(&Method::GET, "/apis/ci.coopcloud.tech/v1alpha1/testruns", None);
    metrics.request_finished(&list, 200, Duration::from_millis(3), "id", "bob");
    metrics.request_finished(&list, 200, Duration::from_micros(70), "id", "bob");
    let watch = RequestInfo::parse(&Method::GET, "/api/v1/events", Some("watch=1"));
    let open = (metrics.request_begun(&watch), metrics.watch_opened(&watch));
    let text = metrics.render(TextForm::OpenMetrics);
    let labels = "{verb=\"list\",resource=\"testruns.ci.coopcloud.tech\",code=\"200\"";
    assert_eq!(line(&text, &format!("cc_api_request_seconds_count{labels}")).unwrap().rsplit(' ').next(), Some("2"));
    let fast = format!("cc_api_request_seconds_bucket{{le=\"0.0001\",{}", &labels[1..]);
    assert_eq!(line(&text, &fast).unwrap().rsplit(' ').next(), Some("1"));
    assert_eq!(line(&text, "cc_api_requests_in_flight{class=\"stream\"}").unwrap().rsplit(' ').next(), Some("1"));
    assert_eq!(line(&text, "cc_api_watches{resource=\"events\"}").unwrap().rsplit(' ').next(), Some("1"));
    drop(open);
    assert_eq!(
        line(&metrics.render(TextForm::OpenMetrics), "cc_api_watches{resource=\"events\"}").unwrap().rsplit(' ').next(),
        Some("0")
    );
}

#[test]
fn clients_cannot_make_up_labels() {
    let metrics = Metrics::new();
    for number in 0..5000 {
        let made_up = RequestInfo::parse(&Method::GET, &format!("/apis/g{number}/v1/things"), None);
        metrics.request_finished(&made_up, 403, Duration::ZERO, "id", "eve");
        let verb = Method::from_bytes(format!("VERB{number}").as_bytes()).unwrap();
        metrics.request_finished(&RequestInfo::parse(&verb, "/x", None), 403, Duration::ZERO, "id", "eve");
    }
    let text = metrics.render(TextForm::OpenMetrics);
    assert!(text.len() < 10_000, "{}", text.len());
    assert!(text.contains("resource=\"other\"") && text.contains("verb=\"other\""));
}

#[test]
fn other_parts_add_their_figures() {
    let metrics = Metrics::new();
    metrics.add_figure("cc_store_objects", "Live objects", || 7.0);
    let text = metrics.render(TextForm::OpenMetrics);
    assert!(line(&text, "cc_store_objects 7").is_some(), "{text}");
    let resident = line(&text, "process_resident_memory_bytes ").unwrap();
    assert!(resident.rsplit(' ').next().unwrap().parse::<f64>().unwrap() > 1e6, "{resident}");
    assert!(line(&text, "process_open_fds ").is_some());
    assert_eq!(text.matches("# EOF").count(), 1);
}

#[test]
fn both_text_forms_have_the_same_samples() {
    let metrics = Metrics::new();
    metrics.connection_refused();
    let get = RequestInfo::parse(&Method::GET, "/version", None);
    metrics.request_finished(&get, 200, Duration::ZERO, "id", "bob");
    let samples =
        |text: &str| text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>();
    let (open, classic) = (metrics.render(TextForm::OpenMetrics), metrics.render(TextForm::Prometheus));
    // What the process uses may differ between the two; its names do not.
    let names =
        |text: &str| samples(text).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&open), names(&classic));
    assert!(line(&open, "# TYPE cc_api_connections_refused counter").is_some(), "{open}");
    assert!(line(&classic, "# TYPE cc_api_connections_refused_total counter").is_some(), "{classic}");
    assert!(line(&classic, "# HELP cc_api_connections_refused_total Connections closed").is_some(), "{classic}");
    assert_eq!(line(&classic, "cc_api_connections_refused_total"), Some("cc_api_connections_refused_total 1"));
    assert!(line(&classic, "# TYPE cc_api_request_seconds histogram").is_some(), "{classic}");
    assert!(!classic.contains("# EOF") && !classic.contains("# UNIT"), "{classic}");
}
