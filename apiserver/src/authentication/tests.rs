//! Credentials: right, wrong, old, doubled; and acting as somebody else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::certificate::ClientCertificate;
use super::impersonation::impersonate;
use super::token_file::{self, NewToken, TokenError};
use super::tokens::TokenTable;
use super::{Authenticator, Credential, Peer, User, review};
use crate::authorization::Authorizer;
use crate::authorization::defaults::default_objects;
use crate::authorization::objects::RoleObjects;
use crate::clock::Clock;
use crate::request::RequestInfo;

fn start() -> Timestamp {
    "2026-11-21T08:00:00Z".parse().unwrap()
}

/// A clock that the test moves.
fn moving_clock() -> (Clock, Arc<AtomicI64>) {
    let offset = Arc::new(AtomicI64::new(0));
    let shared = Arc::clone(&offset);
    (Clock::new(move || start() + SignedDuration::from_secs(shared.load(Ordering::SeqCst))), offset)
}

fn new_token(name: &str) -> NewToken {
    NewToken { name: name.to_owned(), user: "bob".to_owned(), groups: vec!["devs".to_owned()], expires: None }
}

fn request(headers: &[(&'static str, &str)]) -> Parts {
    let mut builder = Request::builder();
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn peer() -> Peer {
    Peer { address: "127.0.0.1:1".parse().unwrap(), encrypted: false, certificate: None }
}

fn authenticator(path: &Path, clock: Clock) -> Authenticator {
    Authenticator::new(TokenTable::open(path.join("tokens.json")), clock)
}

fn flip_last(token: &str) -> String {
    let (rest, last) = token.split_at(token.len() - 1);
    format!("{rest}{}", if last == "A" { "B" } else { "A" })
}

#[test]
fn only_the_exact_token_is_let_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let token = token_file::create(&file, &new_token("one"), start()).unwrap();
    let other = token_file::create(&file, &new_token("two"), start()).unwrap();
    let authenticator = authenticator(directory.path(), Clock::fixed(start()));
    let id = token.split('_').nth(1).unwrap();
    let swapped = format!("ccd_{id}_{}", other.splitn(3, '_').nth(2).unwrap());
    let stored_hash = token_file::read(&file).unwrap()[0].sha256.clone();
    let cases = [
        (Some(format!("Bearer {token}")), Some("bob"), "as it was printed"),
        (Some(format!("bearer   {token} ")), Some("bob"), "scheme in lower case, more blanks"),
        (None, Some("system:anonymous"), "nothing"),
        (Some(format!("Bearer {}", flip_last(&token))), None, "last character changed"),
        (Some(format!("Bearer {token}A")), None, "one character more"),
        (Some(format!("Bearer {}", &token[..token.len() - 1])), None, "one character less"),
        (Some(format!("Bearer {}", token.to_uppercase())), None, "upper case"),
        (Some(format!("Bearer {swapped}")), None, "another token's secret"),
        (Some(format!("Bearer ccd_{id}_{stored_hash}")), None, "the stored hash"),
        (Some(format!("Bearer ccd_{id}_")), None, "no secret"),
        (Some("Bearer ".to_owned()), None, "no token"),
        (Some("Bearer x".to_owned()), None, "no token of ours"),
        (Some(format!("Bearer {}", "a".repeat(60_000))), None, "very long"),
        (Some(format!("Basic {token}")), None, "another scheme"),
        (Some(token.clone()), None, "no scheme"),
    ];
    for (header, expected, what) in cases {
        let headers: Vec<(&str, &str)> = header.iter().map(|value| ("authorization", value.as_str())).collect();
        let result = authenticator.authenticate(&request(&headers), &peer());
        match expected {
            Some(name) => assert_eq!(result.unwrap().name, name, "{what}"),
            None => {
                let status = result.unwrap_err();
                assert_eq!((status.code, status.message.as_str()), (401, "Unauthorized"), "{what}");
                assert_eq!(status.details, None, "{what}");
            }
        }
    }
    let value = format!("Bearer {token}");
    let twice = request(&[("authorization", &value), ("authorization", &value)]);
    assert_eq!(authenticator.authenticate(&twice, &peer()).unwrap_err().code, 401, "two headers");
}

#[test]
fn a_token_lives_from_create_to_revoke_beside_a_running_daemon() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let authenticator = authenticator(directory.path(), Clock::fixed(start()));
    for round in 0..20 {
        let token = token_file::create(&file, &new_token("x"), start()).unwrap();
        let user = authenticator.review(&token).unwrap_or_else(|| panic!("round {round}: works at once"));
        assert_eq!(user.groups, ["devs", "system:authenticated"]);
        assert!(authenticator.still_valid(&user));
        token_file::revoke(&file, "x").unwrap();
        assert!(authenticator.review(&token).is_none(), "round {round}: stops at once");
        assert!(!authenticator.still_valid(&user), "round {round}: streams end too");
    }
}

#[test]
fn a_token_ends_when_it_expires() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let expires = Some(start() + SignedDuration::from_secs(60));
    let token = token_file::create(&file, &NewToken { expires, ..new_token("x") }, start()).unwrap();
    let (clock, offset) = moving_clock();
    let authenticator = authenticator(directory.path(), clock);
    offset.store(59, Ordering::SeqCst);
    let user = authenticator.review(&token).unwrap();
    offset.store(60, Ordering::SeqCst);
    assert!(authenticator.review(&token).is_none());
    assert!(!authenticator.still_valid(&user));
    // The name is free again, and the old record is swept.
    token_file::create(&file, &new_token("x"), start() + SignedDuration::from_secs(61)).unwrap();
    assert_eq!(token_file::read(&file).unwrap().len(), 1);
}

#[test]
fn the_file_is_private_and_holds_no_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let token = token_file::create(&file, &new_token("x"), start()).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains(token.splitn(3, '_').nth(2).unwrap()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_root_makes_belongs_to_whom_the_directory_belongs() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let directory = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().is_root() {
        chown(directory.path(), Some(65_534), Some(65_534)).unwrap();
    }
    let owner = std::fs::metadata(directory.path()).unwrap().uid();
    let file = directory.path().join("tokens.json");
    for name in ["x", "y"] {
        token_file::create(&file, &new_token(name), start()).unwrap();
        for entry in std::fs::read_dir(directory.path()).unwrap().map(Result::unwrap) {
            assert_eq!(entry.metadata().unwrap().uid(), owner, "{:?}", entry.path());
        }
    }
    // A link that the owner laid leads root nowhere.
    let lock = directory.path().join("tokens.json.lock");
    std::fs::remove_file(&lock).unwrap();
    let aim = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(aim.path(), &lock).unwrap();
    let error = token_file::create(&file, &new_token("z"), start()).unwrap_err();
    assert!(error.to_string().contains("tokens.json.lock"), "{error}");
}

#[test]
fn a_damaged_file_lets_nobody_in_and_is_not_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let token = token_file::create(&file, &new_token("x"), start()).unwrap();
    let authenticator = authenticator(directory.path(), Clock::fixed(start()));
    let good = std::fs::read(&file).unwrap();
    for damage in ["", "{", "[]", r#"{"format":2,"tokens":[]}"#, r#"{"format":1,"tokens":[],"more":1}"#] {
        std::fs::write(&file, damage).unwrap();
        assert!(authenticator.review(&token).is_none(), "{damage:?}");
        let error = token_file::create(&file, &new_token("y"), start()).unwrap_err();
        assert!(matches!(error, TokenError::Malformed { .. }), "{damage:?}: {error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), damage);
    }
    std::fs::write(&file, good).unwrap();
    assert!(authenticator.review(&token).is_some());
}

#[test]
fn writers_in_parallel_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    std::thread::scope(|scope| {
        for number in 0..16 {
            let file = &file;
            scope.spawn(move || token_file::create(file, &new_token(&format!("t{number}")), start()).unwrap());
        }
    });
    assert_eq!(token_file::read(&file).unwrap().len(), 16);
}

#[test]
fn impossible_tokens_are_refused_with_the_reason() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    token_file::create(&file, &new_token("taken"), start()).unwrap();
    let long = "a".repeat(64);
    let with = |name: &str, user: &str, group: &str| NewToken {
        name: name.to_owned(),
        user: user.to_owned(),
        groups: vec![group.to_owned()],
        expires: None,
    };
    let cases = [
        (with("taken", "u", "g"), "create token \"taken\": a token of this name exists"),
        (with("", "u", "g"), "create token: name \"\" must be"),
        (with(&long, "u", "g"), "create token: name \"aaaa"),
        (with("-x", "u", "g"), "create token: name \"-x\" must be"),
        (with("../x", "u", "g"), "create token: name \"../x\" must be"),
        (with("x", "", "g"), "create token: user \"\" must be"),
        (with("x", "a\nb", "g"), "create token: user \"a\\nb\" must be"),
        (with("x", "u", "system:unauthenticated"), "create token: group \"system:unauthenticated\" stands for"),
    ];
    for (new, expected) in cases {
        let text = token_file::create(&file, &new, start()).unwrap_err().to_string();
        assert!(text.starts_with(expected), "{text}");
    }
    assert!(token_file::revoke(&file, "none").unwrap_err().to_string().contains("`ccd token list`"));
}

#[test]
fn a_certificate_comes_before_a_token_and_ends_in_mid_connection() {
    let directory = tempfile::tempdir().unwrap();
    let (clock, offset) = moving_clock();
    let authenticator = authenticator(directory.path(), clock);
    let expires = start() + SignedDuration::from_secs(10);
    let user = Arc::new(User::named("cert", &["ops"], Credential::Certificate { expires }));
    let peer = Peer { certificate: Some(Arc::new(ClientCertificate { user, expires })), ..peer() };
    let with_wrong_token = request(&[("authorization", "Bearer x")]);
    let user = authenticator.authenticate(&with_wrong_token, &peer).unwrap();
    assert_eq!(user.name, "cert");
    assert!(authenticator.still_valid(&user));
    offset.store(10, Ordering::SeqCst);
    assert_eq!(authenticator.authenticate(&with_wrong_token, &peer).unwrap_err().code, 401);
    assert!(!authenticator.still_valid(&user));
}

#[test]
fn reviews_have_the_shape_of_the_real_server() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens.json");
    let token = token_file::create(&file, &new_token("x"), start()).unwrap();
    let authenticator = authenticator(directory.path(), Clock::fixed(start()));
    let good = review::token_review_status(&authenticator, &json!({"token": token}));
    let user = json!({"username": "bob", "groups": ["devs", "system:authenticated"]});
    assert_eq!(good, json!({"authenticated": true, "user": user, "audiences": ["https://kubernetes.default.svc"]}));
    for spec in [json!({"token": "zork"}), json!({"token": 1}), json!(null)] {
        let bad = review::token_review_status(&authenticator, &spec);
        assert_eq!(bad, json!({"user": {}, "error": "invalid bearer token"}), "{spec}");
    }
    let jane = User { uid: "2".to_owned(), ..User::named("jane", &["g1"], Credential::None) };
    assert_eq!(
        review::self_subject_review_status(&jane),
        json!({"userInfo": {"username": "jane", "uid": "2", "groups": ["g1", "system:authenticated"]}})
    );
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, HeaderValue::from_static(value));
    }
    map
}

fn impersonating_authorizer() -> Authorizer {
    let rule = |verbs: &[&str], group: &str, resources: &[&str], names: &[&str]| json!([{"verbs": verbs, "apiGroups": [group], "resources": resources, "resourceNames": names}]);
    let role = |name: &str, rules| json!({"kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
    let binding = |user: &str, role: &str| {
        json!({"kind": "ClusterRoleBinding", "metadata": {"name": format!("{user}-{role}")},
            "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": user}]})
    };
    let mut objects = default_objects();
    objects.extend([
        role("all", rule(&["impersonate"], "", &["users", "groups", "serviceaccounts"], &[])),
        role("jane", rule(&["impersonate"], "", &["users"], &["jane"])),
        role("info", rule(&["impersonate:user-info"], "authentication.k8s.io", &["users"], &["jane"])),
        role("on", rule(&["impersonate-on:user-info:list"], "ci.coopcloud.tech", &["recipes"], &[])),
        binding("ada", "all"),
        binding("bob", "jane"),
        binding("cleo", "info"),
        binding("cleo", "on"),
    ]);
    let authorizer = Authorizer::new(&[]);
    authorizer.replace(&RoleObjects::read(&objects).0);
    authorizer
}

#[test]
fn acting_as_somebody_else() {
    let authorizer = impersonating_authorizer();
    let info = RequestInfo::parse(&http::Method::GET, "/apis/ci.coopcloud.tech/v1alpha1/namespaces/wire/recipes", None);
    let jane: (&str, &str) = ("impersonate-user", "jane");
    let root = || User::named("root", &["system:masters"], Credential::None);
    let named = |name: &str| User::named(name, &[], Credential::None);
    let cases = [
        (root(), vec![jane], Ok("jane: system:authenticated")),
        (root(), vec![jane, ("impersonate-group", "g1")], Ok("jane: g1 system:authenticated")),
        (root(), vec![("impersonate-user", "system:anonymous")], Ok("system:anonymous: system:unauthenticated")),
        (named("bob"), vec![], Ok("bob: system:authenticated")),
        (named("bob"), vec![jane], Ok("jane: system:authenticated")),
        (named("bob"), vec![("impersonate-user", "joe")], Err(403)),
        (named("bob"), vec![jane, ("impersonate-group", "system:masters")], Err(403)),
        (named("bob"), vec![jane, ("impersonate-uid", "1")], Err(403)),
        (named("bob"), vec![jane, ("impersonate-extra-scopes", "x")], Err(403)),
        (named("bob"), vec![("impersonate-user", "system:serviceaccount:n:jane")], Err(403)),
        (
            named("ada"),
            vec![("impersonate-user", "system:serviceaccount:n:s")],
            Ok("system:serviceaccount:n:s: system:authenticated"),
        ),
        (named("cleo"), vec![jane], Ok("jane: system:authenticated")),
        (named("eve"), vec![jane], Err(403)),
        (User::anonymous(), vec![jane], Err(403)),
        (root(), vec![("impersonate-group", "g")], Err(400)),
        (root(), vec![jane, jane], Err(400)),
        (root(), vec![jane, ("impersonate-grup", "g")], Err(400)),
    ];
    for (sender, pairs, expected) in cases {
        let what = format!("{} {pairs:?}", sender.name);
        let impersonated = impersonate(&authorizer, Arc::new(sender), &headers(&pairs), &info);
        let shown =
            impersonated.map(|user| format!("{}: {}", user.name, user.groups.join(" "))).map_err(|status| status.code);
        assert_eq!(shown, expected.map(str::to_owned), "{what}");
    }
    let status = impersonate(&authorizer, Arc::new(named("eve")), &headers(&[jane]), &info).unwrap_err();
    assert_eq!(
        status.message,
        r#"recipes.ci.coopcloud.tech is forbidden: User "eve" cannot impersonate-on:user-info:list resource "recipes" in API group "ci.coopcloud.tech" in the namespace "wire""#
    );
}
