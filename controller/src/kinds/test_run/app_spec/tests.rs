//! What the Apps of a run are.

use serde_json::json;

use super::*;

fn run() -> Object<TestRun> {
    let spec = json!({"recipeRef": "wordpress", "source": {"commit": "c".repeat(40)}});
    let mut run = Object::<TestRun>::new("default", "run", serde_json::from_value(spec).unwrap());
    run.metadata.uid = "uid".to_owned();
    run.status.domain = Some("word-000000.ci.example".to_owned());
    let identity = |version: Option<&str>, commit: &str| {
        Some(Identity { version: version.map(str::to_owned), commit: Some(commit.to_owned()), images: Vec::new() })
    };
    run.status.base = identity(Some("1.0.0+1"), "b");
    run.status.head = identity(Some("1.1.0+1"), "c");
    run
}

fn recipe() -> RecipeSpec {
    serde_json::from_value(json!({
        "source": {"url": "https://example.com/r.git"},
        "env": {"A": "both", "B": "both"},
        "upgradeEnv": {"B": "head"},
        "overlays": [
            {"name": "slow", "type": "Environment", "services": {"app": {"healthRetries": 9}}},
            {"name": "repair", "type": "BaseRepair", "baseVersions": ["1.0.0+1"], "services": {"app": {"image": "x:1"}}},
            {"name": "other", "type": "BaseRepair", "baseVersions": ["0.9.0+1"], "services": {"app": {"image": "x:0"}}},
        ],
        "dependencies": [{"name": "sso", "recipeRef": "keycloak", "env": {"OIDC": "${url}/x", "HOST": "${domain}"}}],
    }))
    .unwrap()
}

#[test]
fn base_and_head_differ_only_where_they_may() {
    let (base, head) = (under_test(&run(), &recipe(), Side::Base), under_test(&run(), &recipe(), Side::Head));
    assert_eq!((base.version.as_deref(), base.commit.as_deref()), (Some("1.0.0+1"), None), "published, so by version");
    assert_eq!(
        (head.version.as_deref(), head.commit.as_deref()),
        (None, Some("c")),
        "a commit, whatever it says it is"
    );
    assert_eq!((base.env["B"].as_str(), head.env["B"].as_str()), ("both", "head"));
    let names = |spec: &AppSpec| spec.overlays.iter().map(|overlay| overlay.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&base), names(&head)), (vec!["slow".to_owned(), "repair".to_owned()], vec!["slow".to_owned()]));
    for spec in [&base, &head] {
        assert_eq!(
            (spec.volumes, spec.prune_dropped, &*spec.domain),
            (VolumePolicy::Delete, true, "word-000000.ci.example")
        );
    }
}

#[test]
fn dependencies_are_named_in_the_environment() {
    let env = environment(&recipe(), Side::Base, "word-000000.ci.example");
    let at = domain::dependency_domain("word-000000.ci.example", "sso");
    assert_eq!((env["OIDC"].as_str(), env["HOST"].as_str()), (&*format!("https://{at}/x"), &*at));
}

#[test]
fn a_dependency_is_its_last_green_version_else_its_latest() {
    let mut keycloak = Object::<Recipe>::new("default", "keycloak", RecipeSpec::default());
    let spec = recipe();
    let version = |keycloak: &Object<Recipe>| dependency(&run(), &spec.dependencies[0], Some(keycloak)).version;
    assert_eq!(version(&keycloak), None);
    keycloak.status.latest_version = Some("2.0.0+1".to_owned());
    assert_eq!(version(&keycloak).as_deref(), Some("2.0.0+1"));
    keycloak.status.last_green = Some(Default::default());
    keycloak.status.last_green.as_mut().unwrap().version = "1.9.0+1".to_owned();
    assert_eq!(version(&keycloak).as_deref(), Some("1.9.0+1"));
}

#[test]
fn a_child_belongs_to_its_run() {
    let app = child(&run(), "run", AppSpec::default());
    let owner = &app.metadata.owner_references[0];
    assert_eq!((&*owner.kind, &*owner.uid, owner.controller), ("TestRun", "uid", Some(true)));
}
