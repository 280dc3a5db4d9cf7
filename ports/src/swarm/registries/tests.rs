//! Which credentials an image gets.

use serde_json::json;

use super::*;

fn auth(user: &str) -> serde_json::Value {
    json!({"auth": STANDARD.encode(format!("{user}:s3cret:{user}"))})
}

#[test]
fn an_image_gets_the_credentials_of_its_registry_and_of_no_other() {
    let config = json!({"auths": {
        "https://index.docker.io/v1/": auth("hub"),
        "ghcr.io": {"username": "git", "password": "s3cret:git", "email": "x@example.org"},
        "Registry.example.org:5000": auth("whole"),
        "registry.example.org:5000/team": auth("team"),
        "http://10.0.0.1:80/v2/": auth("plain"),
    }, "credsStore": "ignored"});
    let registries = Registries::from_config(config.to_string().as_bytes()).unwrap();
    let cases = [
        ("redis", Some("hub")),
        ("redis:7", Some("hub")),
        ("library/redis@sha256:00", Some("hub")),
        ("docker.io/library/redis", Some("hub")),
        ("ghcr.io/x/y:1", Some("git")),
        ("ghcr.io.example.org/x/y:1", None),
        ("quay.io/x/y", None),
        ("registry.example.org:5000/other/app:2", Some("whole")),
        ("registry.example.org:5000/team/app:2@sha256:00", Some("team")),
        ("registry.example.org:5000/team:2", Some("team")),
        ("registry.example.org:5000/teamwork/app", Some("whole")),
        ("registry.example.org:5001/team/app", None),
        ("registry.example.org/team/app", None),
        ("10.0.0.1:80/app", Some("plain")),
        ("localhost/app", None),
    ];
    for (image, user) in cases {
        let found = registries.of_image(image);
        assert_eq!(found.map(|found| found.username.as_str()), user, "{image}");
        assert!(found.is_none_or(|found| found.password == format!("s3cret:{}", found.username)), "{image}");
    }
    assert!(!format!("{registries:?}").contains("s3cret"), "{registries:?}");
    assert_eq!(registries.passwords().count(), 5);
}

#[test]
fn what_cannot_be_used_is_named_and_not_shown() {
    let cases = [
        ("s3cret", "it is no JSON of the shape"),
        (r#"{"auth": "s3cret"}"#, "it is no JSON of the shape"),
        (r#"{"auths": {"a.example": {"auth": "s3cret!"}}}"#, "it has no user and password for a.example"),
        (r#"{"auths": {"a.example": {"username": "s3cret"}}}"#, "it has no user and password for a.example"),
        (r#"{"auths": {"a.example": {"auth": "czNjcmV0"}}}"#, "it has no user and password for a.example"),
    ];
    for (json, message) in cases {
        let error = Registries::from_config(json.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(message) && !error.contains("s3cret"), "{json}: {error}");
    }
    let legacy = json!({"a.example": auth("old")}).to_string();
    let mut registries = Registries::from_legacy(legacy.as_bytes()).unwrap();
    assert_eq!(registries.of_image("a.example/x").unwrap().username, "old");
    assert!(Registries::from_config(br#"{"auths": {}}"#).unwrap().is_empty());

    let newer = json!({"auths": {"a.example": auth("new"), "b.example": auth("new")}}).to_string();
    registries.extend(Registries::from_config(newer.as_bytes()).unwrap());
    assert_eq!(registries.of_image("a.example/x").unwrap().username, "old", "the first that is named wins");
    assert_eq!(registries.of_image("b.example/x").unwrap().username, "new");
}
