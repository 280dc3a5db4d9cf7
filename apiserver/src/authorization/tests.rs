//! Decisions, texts, escalation and reviews, as tables.

use serde_json::{Value, json};

use super::access_review::ReviewKind;
use super::defaults::{default_objects, updated_default};
use super::objects::RoleObjects;
use super::{Authorizer, forbidden};
use crate::authentication::{Credential, User};
use crate::request::RequestInfo;

const G: &str = "ci.coopcloud.tech";

fn user(name: &str, groups: &[&str]) -> User {
    User::named(name, groups, Credential::None)
}

fn role(namespace: &str, name: &str, rules: &Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRole" } else { "Role" };
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace}, "rules": rules})
}

fn binding(namespace: &str, name: &str, role: (&str, &str), subjects: &Value) -> Value {
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role.0, "name": role.1}, "subjects": subjects})
}

fn authorizer(objects: &[Value]) -> Authorizer {
    let defaults = default_objects();
    let (objects, problems) = RoleObjects::read(defaults.iter().chain(objects));
    assert_eq!(problems, Vec::<String>::new());
    let authorizer = Authorizer::new(&["/badge/*".to_owned()]);
    authorizer.replace(&objects);
    authorizer
}

/// `verb group/resource[/sub] [namespace] [name]`, or `verb /path`; `-` is empty.
fn request(line: &str) -> RequestInfo {
    let mut words = line.split(' ').map(|word| if word == "-" { "" } else { word });
    let mut next = || words.next().unwrap_or_default().to_owned();
    let (verb, target) = (next(), next());
    if target.starts_with('/') {
        return RequestInfo { verb, path: target, ..RequestInfo::default() };
    }
    let mut parts = target.splitn(3, '/').map(str::to_owned);
    let (group, resource) = (parts.next().unwrap(), parts.next().unwrap());
    RequestInfo {
        verb,
        group: if group == "core" { String::new() } else { group },
        resource,
        subresource: parts.next().unwrap_or_default(),
        namespace: next(),
        name: next(),
        is_resource: true,
        ..RequestInfo::default()
    }
}

#[test]
fn decisions() {
    let authorizer = authorizer(&[
        role(
            "n",
            "reader",
            &json!([{"apiGroups": [G], "resources": ["recipes", "recipes/status"], "verbs": ["get", "list"]}]),
        ),
        role(
            "n",
            "one",
            &json!([{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}]),
        ),
        role("n", "scales", &json!([{"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]}])),
        role("", "paths", &json!([{"nonResourceURLs": ["/debug/*"], "verbs": ["get"]}])),
        binding(
            "n",
            "b1",
            ("Role", "reader"),
            &json!([{"kind": "User", "name": "bob"}, {"kind": "Group", "name": "devs"}]),
        ),
        binding("n", "b2", ("Role", "one"), &json!([{"kind": "User", "name": "bob"}])),
        binding("n", "b3", ("ClusterRole", "view"), &json!([{"kind": "User", "name": "vera"}])),
        binding("n", "b4", ("ClusterRole", "edit"), &json!([{"kind": "User", "name": "ed"}])),
        binding("n", "b5", ("ClusterRole", "admin"), &json!([{"kind": "User", "name": "ada"}])),
        binding("n", "b6", ("Role", "scales"), &json!([{"kind": "ServiceAccount", "name": "s"}])),
        binding("", "b7", ("ClusterRole", "paths"), &json!([{"kind": "User", "name": "bob"}])),
        binding("", "b8", ("ClusterRole", "view"), &json!([{"kind": "Group", "name": "all-viewers"}])),
        // A cluster role bound in a namespace gives no paths, and a namespace is not its neighbour's.
        binding("n", "b9", ("ClusterRole", "paths"), &json!([{"kind": "User", "name": "vera"}])),
    ]);
    let cases = [
        (user("bob", &[]), "get ci.coopcloud.tech/recipes n a", true),
        (user("bob", &[]), "get ci.coopcloud.tech/recipes/status n a", true),
        (user("bob", &[]), "get ci.coopcloud.tech/recipes/scale n a", false),
        (user("bob", &[]), "get ci.coopcloud.tech/recipes m a", false),
        (user("bob", &[]), "list ci.coopcloud.tech/recipes - -", false),
        (user("bob", &[]), "watch ci.coopcloud.tech/recipes n -", false),
        (user("bob", &[]), "get other.group/recipes n a", false),
        (user("bob", &[]), "get core/configmaps n a", true),
        (user("bob", &[]), "get core/configmaps n b", false),
        (user("bob", &[]), "list core/configmaps n -", false),
        (user("bob", &[]), "get /debug/state", true),
        (user("bob", &[]), "get /debug", false),
        (user("bob", &[]), "post /debug/state", false),
        (user("eve", &["devs"]), "list ci.coopcloud.tech/recipes n -", true),
        (user("eve", &["Devs"]), "list ci.coopcloud.tech/recipes n -", false),
        (user("vera", &[]), "list core/configmaps n -", true),
        (user("vera", &[]), "get core/secrets n s", false),
        (user("vera", &[]), "list core/secrets n -", false),
        (user("vera", &[]), "watch ci.coopcloud.tech/testruns n -", true),
        (user("vera", &[]), "get ci.coopcloud.tech/testruns/log n t", true),
        (user("vera", &[]), "get core/pods/log n t", true),
        (user("vera", &[]), "create ci.coopcloud.tech/testruns n -", false),
        (user("vera", &[]), "get /debug/state", false),
        (user("vera", &[]), "get ci.coopcloud.tech/forges - f", false),
        (user("ed", &[]), "create ci.coopcloud.tech/testruns n -", true),
        (user("ed", &[]), "get core/secrets n s", true),
        (user("ed", &[]), "create ci.coopcloud.tech/approvals n -", false),
        (user("ed", &[]), "update ci.coopcloud.tech/testruns/status n t", false),
        (user("ed", &[]), "create rbac.authorization.k8s.io/rolebindings n -", false),
        (user("ed", &[]), "create core/namespaces - -", false),
        (user("ada", &[]), "create rbac.authorization.k8s.io/rolebindings n -", true),
        (user("ada", &[]), "create ci.coopcloud.tech/approvals n -", true),
        (user("ada", &[]), "create rbac.authorization.k8s.io/clusterroles - -", false),
        (user("ada", &[]), "delete core/namespaces n n", false),
        (user("system:serviceaccount:n:s", &[]), "patch any.group/things/scale n x", true),
        (user("system:serviceaccount:n:s", &[]), "patch any.group/things n x", false),
        (user("x", &["all-viewers"]), "list core/events - -", true),
        (user("x", &["all-viewers"]), "list core/secrets - -", false),
        (user("x", &[]), "create authorization.k8s.io/selfsubjectaccessreviews - -", true),
        (user("x", &[]), "create authorization.k8s.io/subjectaccessreviews - -", false),
        (user("x", &[]), "get /apis/ci.coopcloud.tech", true),
        (user("x", &[]), "get /debug/pprof", false),
        (user("root", &["system:masters"]), "unknown any.group/any - -", true),
        (user("root", &["system:masters"]), "delete /anything", true),
        (User::anonymous(), "get /readyz", true),
        (User::anonymous(), "get /readyz/ping", true),
        (User::anonymous(), "get /metrics", true),
        (User::anonymous(), "get /version", true),
        (User::anonymous(), "get /badge/default/x.svg", true),
        (User::anonymous(), "post /readyz", false),
        (User::anonymous(), "get /readyzz", false),
        (User::anonymous(), "get /apis", false),
        (User::anonymous(), "get /", false),
        (User::anonymous(), "get ci.coopcloud.tech/recipes n a", false),
        (User::anonymous(), "create authorization.k8s.io/selfsubjectaccessreviews - -", false),
    ];
    for (user, line, expected) in cases {
        assert_eq!(authorizer.authorize(&user, &request(line)).allowed, expected, "{} {line}", user.name);
    }
}

#[test]
fn nothing_is_allowed_before_the_roles_are_read() {
    let authorizer = Authorizer::new(&[]);
    assert!(!authorizer.authorize(&user("bob", &[]), &request("get /apis")).allowed);
    assert!(authorizer.authorize(&User::anonymous(), &request("get /livez")).allowed);
}

#[test]
fn refusals_have_the_words_of_the_real_server() {
    let bob = user("bob", &[]);
    let cases = [
        (
            "list ci.coopcloud.tech/recipes wire",
            r#"recipes.ci.coopcloud.tech is forbidden: User "bob" cannot list resource "recipes" in API group "ci.coopcloud.tech" in the namespace "wire""#,
            json!({"group": G, "kind": "recipes"}),
        ),
        (
            "get ci.coopcloud.tech/recipes wire a1",
            r#"recipes.ci.coopcloud.tech "a1" is forbidden: User "bob" cannot get resource "recipes" in API group "ci.coopcloud.tech" in the namespace "wire""#,
            json!({"name": "a1", "group": G, "kind": "recipes"}),
        ),
        (
            "patch ci.coopcloud.tech/recipes/status wire a1",
            r#"recipes.ci.coopcloud.tech "a1" is forbidden: User "bob" cannot patch resource "recipes/status" in API group "ci.coopcloud.tech" in the namespace "wire""#,
            json!({"name": "a1", "group": G, "kind": "recipes"}),
        ),
        (
            "list core/namespaces",
            r#"namespaces is forbidden: User "bob" cannot list resource "namespaces" in API group "" at the cluster scope"#,
            json!({"kind": "namespaces"}),
        ),
        ("get /metrics", r#"forbidden: User "bob" cannot get path "/metrics""#, json!({})),
    ];
    for (line, message, details) in cases {
        let status = serde_json::to_value(forbidden(&bob, &request(line), "")).unwrap();
        let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": "Forbidden", "details": details, "code": 403});
        assert_eq!(status, expected, "{line}");
    }
}

#[test]
fn a_binding_to_a_missing_role_says_so() {
    let authorizer =
        authorizer(&[binding("n", "b", ("ClusterRole", "gone"), &json!([{"kind": "User", "name": "bob"}]))]);
    let status = authorizer.require(&user("bob", &[]), &request("get core/configmaps n a")).unwrap_err();
    assert!(
        status
            .message
            .ends_with(r#"in the namespace "n": RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#),
        "{status}"
    );
}

#[test]
fn aggregated_roles_take_in_what_their_labels_select() {
    let mut extra =
        role("", "things-viewer", &json!([{"apiGroups": ["x.y"], "resources": ["things"], "verbs": ["get"]}]));
    extra["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-view": "true"});
    let authorizer =
        authorizer(&[extra, binding("n", "b", ("ClusterRole", "view"), &json!([{"kind": "User", "name": "vera"}]))]);
    assert!(authorizer.authorize(&user("vera", &[]), &request("get x.y/things n a")).allowed);
    assert!(!authorizer.authorize(&user("vera", &[]), &request("delete x.y/things n a")).allowed);
}

#[test]
fn objects_that_cannot_be_read_grant_nothing_and_are_named() {
    let broken = json!({"kind": "ClusterRole", "metadata": {"name": "broken"}, "rules": "all"});
    let null = json!({"kind": "ClusterRole", "metadata": {"name": "empty"}, "rules": null});
    let (objects, problems) = RoleObjects::read([&broken, &null, &json!({"kind": "Pod"})]);
    assert_eq!(objects.roles.len(), 1);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("ClusterRole \"broken\": "), "{problems:?}");
}

#[test]
fn nobody_gives_away_what_they_do_not_have() {
    let rules = json!([{"apiGroups": [G], "resources": ["recipes"], "verbs": ["get", "list"]}]);
    let authorizer = authorizer(&[
        role("n", "reader", &rules),
        role(
            "",
            "binder",
            &json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["edit"], "verbs": ["bind"]}]),
        ),
        role(
            "",
            "escalator",
            &json!([{"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["escalate"]}]),
        ),
        binding("n", "b1", ("Role", "reader"), &json!([{"kind": "User", "name": "bob"}])),
        binding("n", "b2", ("ClusterRole", "binder"), &json!([{"kind": "User", "name": "bind"}])),
        binding("n", "b3", ("ClusterRole", "escalator"), &json!([{"kind": "User", "name": "esc"}])),
        binding("n", "b4", ("ClusterRole", "admin"), &json!([{"kind": "User", "name": "ada"}])),
    ]);
    let own = role("n", "new", &rules);
    let more = role("n", "new", &json!([{"apiGroups": [G], "resources": ["recipes"], "verbs": ["get", "delete"]}]));
    let everything = role("n", "new", &json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]));
    let elsewhere = role("m", "new", &rules);
    let subject = json!([{"kind": "User", "name": "eve"}]);
    let bind = |role| binding("n", "new", role, &subject);
    let cases = [
        ("bob", own.clone(), true, "a role of one's own rights"),
        ("bob", more.clone(), false, "a role with a verb more"),
        ("bob", everything.clone(), false, "a role of everything"),
        ("bob", elsewhere, false, "a role in another namespace"),
        ("bob", bind(("Role", "reader")), true, "a binding to a role that one has"),
        ("bob", bind(("ClusterRole", "edit")), false, "a binding to more than one has"),
        ("bind", bind(("ClusterRole", "edit")), true, "a binding to a role that one may bind"),
        ("bind", bind(("ClusterRole", "admin")), false, "a binding to a role that one may not bind"),
        ("esc", everything, true, "a role by somebody who may escalate"),
        ("ada", bind(("ClusterRole", "edit")), true, "an admin gives edit"),
        ("ada", bind(("ClusterRole", "cluster-admin")), false, "an admin gives cluster-admin"),
        ("ada", json!({"apiVersion": "v1", "kind": "ConfigMap"}), true, "no role at all"),
    ];
    for (name, object, expected, what) in cases {
        let result = authorizer.check_escalation(&user(name, &[]), &object, None);
        assert_eq!(result.is_ok(), expected, "{name}: {what}: {result:?}");
    }
    let status = authorizer.check_escalation(&user("bob", &["devs"]), &more, None).unwrap_err();
    assert_eq!(
        status.message,
        "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"bob\" (groups=[\"devs\" \"system:authenticated\"]) is \
         attempting to grant RBAC permissions not currently held:\n\
         {APIGroups:[\"ci.coopcloud.tech\"], Resources:[\"recipes\"], Verbs:[\"delete\"]}"
    );
    let mut labelled = more.clone();
    labelled["metadata"]["annotations"] = json!({"a": "b"});
    assert!(authorizer.check_escalation(&user("bob", &[]), &labelled, Some(&more)).is_ok(), "annotating gives nothing");
    labelled["metadata"]["labels"] = json!({"rbac.authorization.k8s.io/aggregate-to-admin": "true"});
    assert!(authorizer.check_escalation(&user("bob", &[]), &labelled, Some(&more)).is_err(), "a label can give");
}

#[test]
fn an_aggregation_rule_is_as_much_as_everything() {
    let authorizer =
        authorizer(&[binding("", "b", ("ClusterRole", "admin"), &json!([{"kind": "User", "name": "ada"}]))]);
    let mut object = role("", "all", &json!([]));
    object["aggregationRule"] = json!({"clusterRoleSelectors": [{}]});
    assert!(authorizer.check_escalation(&user("ada", &[]), &object, None).is_err());
    assert!(authorizer.check_escalation(&user("root", &["system:masters"]), &object, None).is_ok());
}

#[test]
fn access_reviews_answer_as_the_real_server() {
    let authorizer = authorizer(&[]);
    let ask = |kind, spec: Value| authorizer.review_access(&user("bob", &["devs"]), kind, &spec, "wire");
    let attributes = json!({"namespace": "wire", "verb": "get", "group": G, "resource": "recipes"});
    let own = ask(ReviewKind::SelfSubject, json!({"resourceAttributes": attributes}));
    assert_eq!(own, Ok(json!({"allowed": false})));
    let master = ask(ReviewKind::Subject, json!({"groups": ["system:masters"], "resourceAttributes": attributes}));
    assert_eq!(master, Ok(json!({"allowed": true})));
    let path = ask(ReviewKind::SelfSubject, json!({"nonResourceAttributes": {"path": "/apis", "verb": "get"}}));
    assert_eq!(
        path,
        Ok(
            json!({"allowed": true, "reason": "RBAC: allowed by ClusterRoleBinding \"system:discovery\" of ClusterRole \"system:discovery\""})
        )
    );
    let nothing = ask(ReviewKind::Subject, json!({})).unwrap_err();
    assert_eq!(
        nothing.message,
        ".authorization.k8s.io \"\" is invalid: [spec.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec.user: Invalid value: \"\": at least one of user or group must be specified]"
    );
    let other = json!({"user": "x", "resourceAttributes": {"namespace": "m", "verb": "get", "resource": "pods"}});
    let other = ask(ReviewKind::LocalSubject, other).unwrap_err();
    assert_eq!(other.details.unwrap().causes[0].field, "spec.resourceAttributes.namespace");
    let limited = |selector: Value| {
        let attributes = json!({"verb": "list", "resource": "pods", "labelSelector": selector});
        ask(ReviewKind::SelfSubject, json!({"resourceAttributes": attributes}))
    };
    let part = json!({"key": "a", "operator": "In", "values": ["b"]});
    for whole in [json!({"rawSelector": "a in (b)"}), json!({"requirements": [part]})] {
        assert_eq!(limited(whole), Ok(json!({"allowed": false})));
    }
    for (half, field) in [
        (json!({}), "spec.resourceAttributes.labelSelector.requirements"),
        (json!({"rawSelector": "a", "requirements": [part]}), "spec.resourceAttributes.labelSelector.rawSelector"),
    ] {
        assert_eq!(limited(half).unwrap_err().details.unwrap().causes[0].field, field);
    }
    assert_eq!(ask(ReviewKind::SelfSubject, json!({"resourceAttributes": "x"})).unwrap_err().code, 422);
    assert_eq!(ask(ReviewKind::SelfSubject, Value::Null).unwrap_err().code, 422);
}

#[test]
fn rules_reviews_list_what_one_may_do() {
    let authorizer = authorizer(&[
        role("wire", "rd", &json!([{"apiGroups": [G], "resources": ["recipes"], "verbs": ["get", "list", "watch"]}])),
        binding("wire", "rd", ("Role", "rd"), &json!([{"kind": "User", "name": "bob"}])),
    ]);
    let rules = authorizer.review_rules(&user("bob", &[]), "wire");
    assert_eq!(
        rules["resourceRules"][0],
        json!({"verbs": ["get", "list", "watch"], "apiGroups": [G], "resources": ["recipes"]})
    );
    assert_eq!(rules["resourceRules"].as_array().unwrap().len(), 3);
    assert_eq!(rules["nonResourceRules"].as_array().unwrap().len(), 2);
    assert_eq!(rules["incomplete"], json!(false));
    assert_eq!(authorizer.review_rules(&user("bob", &[]), "other")["resourceRules"].as_array().unwrap().len(), 2);
    let root = authorizer.review_rules(&user("root", &["system:masters"]), "wire");
    assert_eq!(root["resourceRules"][0], json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
    assert_eq!(root["nonResourceRules"][0], json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
}

#[test]
fn defaults_are_completed_but_never_cut() {
    let wanted = default_objects().remove(3);
    assert_eq!(updated_default(&wanted, &wanted), None);
    let mut edited = wanted.clone();
    let added = json!({"verbs": ["get"], "apiGroups": ["x.y"], "resources": ["things"]});
    edited["rules"] = json!([added]);
    let updated = updated_default(&edited, &wanted).unwrap();
    assert_eq!(updated["rules"][0], added);
    assert_eq!(updated["rules"].as_array().unwrap().len(), wanted["rules"].as_array().unwrap().len() + 1);
    edited["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = json!("false");
    assert_eq!(updated_default(&edited, &wanted), None);
}
