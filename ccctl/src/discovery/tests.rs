//! Tests of discovery: which type a name means.

use super::{Discovery, ResourceType};

fn resource(group: &str, version: &str, kind: &str, plural: &str, short: &[&str], preferred: bool) -> ResourceType {
    ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        namespaced: true,
        verbs: vec!["list".to_owned()],
        short_names: short.iter().map(|name| (*name).to_owned()).collect(),
        categories: vec!["all".to_owned()],
        preferred,
        ..ResourceType::default()
    }
}

fn discovery() -> Discovery {
    let types = vec![
        resource("", "v1", "Event", "events", &["ev"], true),
        resource("ci.coopcloud.tech", "v1alpha1", "TestRun", "testruns", &["tr"], true),
        resource("ci.coopcloud.tech", "v1", "TestRun", "testruns", &["tr"], false),
        resource("events.k8s.io", "v1", "Event", "events", &["ev"], true),
        resource("a.example.org", "v1", "Tr", "trs", &[], true),
    ];
    Discovery { types, ..Discovery::default() }
}

#[test]
fn a_name_means_the_type_that_people_expect() {
    let cases = [
        ("testruns", Some("ci.coopcloud.tech/v1alpha1 TestRun")),
        ("testrun", Some("ci.coopcloud.tech/v1alpha1 TestRun")),
        ("TestRun", Some("ci.coopcloud.tech/v1alpha1 TestRun")),
        ("testruns.ci.coopcloud.tech", Some("ci.coopcloud.tech/v1alpha1 TestRun")),
        ("testruns.v1.ci.coopcloud.tech", Some("ci.coopcloud.tech/v1 TestRun")),
        ("testruns.ci", Some("ci.coopcloud.tech/v1alpha1 TestRun")),
        ("testruns.v2.ci.coopcloud.tech", None),
        ("events", Some("v1 Event")),
        ("ev", Some("v1 Event")),
        ("events.events.k8s.io", Some("events.k8s.io/v1 Event")),
        // A type's own name goes before another's abbreviation.
        ("tr", Some("a.example.org/v1 Tr")),
        ("zorks", None),
        ("", None),
    ];
    let discovery = discovery();
    for (name, meant) in cases {
        let found = discovery.find(name).map(|found| format!("{} {}", found.api_version(), found.kind));
        assert_eq!(found.as_deref(), meant, "{name:?}");
    }
}

#[test]
fn each_type_is_shown_once_in_its_preferred_version() {
    let discovery = discovery();
    let shown: Vec<String> =
        discovery.each_once().map(|shown| format!("{} {}", shown.api_version(), shown.kind)).collect();
    let expected = ["v1 Event", "ci.coopcloud.tech/v1alpha1 TestRun", "events.k8s.io/v1 Event", "a.example.org/v1 Tr"];
    assert_eq!(shown, expected);
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let hint = |name: &str| discovery().unknown(name).hints.join(" ");
    assert_eq!(hint("testrns"), "did you mean `testruns`?");
    assert_eq!(hint("zzz"), "see the types there are with `ccctl api-resources`");
}

#[test]
fn paths_follow_scope_and_group() {
    let discovery = discovery();
    let path = |name: &str, namespace| discovery.find(name).unwrap().object_path(namespace, "a/b");
    assert_eq!(path("events", Some("n")), "/api/v1/namespaces/n/events/a%2Fb");
    assert_eq!(path("testruns", None), "/apis/ci.coopcloud.tech/v1alpha1/testruns/a%2Fb");
}
