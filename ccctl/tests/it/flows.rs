//! Whole outputs of commands that work, on a small world that is the same every time.

use serde_json::{Value, json};

use crate::program::Home;
use crate::server::Server;

fn object(kind: &str, name: &str, spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"team": "a"}},
        "spec": spec,
        "status": status,
    })
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-02T03:05:05Z"})
}

/// A recipe that a run fails for, an app that waits for a missing secret, and their surroundings.
fn world() -> (Server, Home) {
    let server = Server::start();
    server.put(
        "recipes",
        object(
            "Recipe",
            "nextcloud",
            json!({"repositoryRef": "recipes", "schedule": "0 3 * * *"}),
            json!({"phase": "Ready", "level": 3}),
        ),
    );
    server.put(
        "recipes",
        object("Recipe", "keycloak", json!({"suspend": true}), json!({"phase": "Ready", "message": "nothing to do"})),
    );
    server.put("testruns", object("TestRun", "nextcloud-pr12", json!({
        "recipeRef": "nextcloud",
        "source": {"pullRequest": {"number": 12, "headSHA": "3fa21c93fa21c93fa21c93fa21c93fa21c93fa21"}},
    }), json!({
        "phase": "Failed",
        "rungs": [
            {"name": "install", "status": "Pass"},
            {"name": "upgrade", "status": "Fail", "reason": "PortNotStable", "message": "port 64738 is not stable"},
        ],
        "conditions": [
            condition("Accepted", "True", "Accepted", ""),
            condition("Tested", "False", "ChecksFailed", "upgrade failed"),
            condition("Succeeded", "False", "ChecksFailed", "1 of 2 rungs passed"),
        ],
    })));
    server.put(
        "apps",
        object(
            "App",
            "cloud",
            json!({"domain": "cloud.example.coop", "env": {"secretRef": "smtp"}}),
            json!({
                "conditions": [condition("Ready", "Unknown", "DependencyNotReady", "waits for secret smtp")],
            }),
        ),
    );
    server.put("hosts", object("Host", "one", json!({}), json!({
        "phase": "Ready", "memory": {"usedBytes": 3_221_225_472_u64, "percent": 37}, "images": 41, "nodes": ["a", "b"],
    })));
    server.put("events", json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e1"}, "type": "Warning", "reason": "UpgradeFailed",
        "message": "service app restarted 3 times", "count": 3, "firstTimestamp": "2026-01-02T03:00:00Z", "lastTimestamp": "2026-01-02T03:04:00Z",
        "involvedObject": {"kind": "TestRun", "name": "nextcloud-pr12", "namespace": "default"}, "source": {"component": "ccd"},
    }));
    server.put("secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge"}, "type": "Opaque", "data": {"token": "c2VjcmV0LXZhbHVl"}}));
    let home = Home::new(&server);
    (server, home)
}

#[test]
fn reading_prints_what_is_there() {
    let (_server, home) = world();
    let cases: &[&[&str]] = &[
        &["get", "recipes"],
        &["get", "recipes", "-o", "wide"],
        &["get", "recipe/nextcloud"],
        &["get", "rcp", "nextcloud", "zork"],
        &["get", "recipe", "zork", "--ignore-not-found"],
        &["get", "recipe", "zork"],
        &["get", "recipes", "-A"],
        &["get", "recipes", "--show-labels", "-L", "team"],
        &["get", "recipes", "--no-headers"],
        &["get", "recipes", "--show-kind"],
        &["get", "recipes", "-l", "team=b"],
        &["get", "approvals", "-A"],
        &["get", "recipes,apps"],
        &["get", "ci"],
        &["get", "TestRun.ci.coopcloud.tech"],
        &["get", "recipes,hosts", "-o", "name"],
        &["get", "recipe/nextcloud", "-o", "json"],
        &["get", "recipe/nextcloud", "-o", "yaml"],
        &["get", "recipes", "-o", "yaml"],
        &["get", "recipes", "-o", "jsonpath={range .items[*]}{.metadata.name}{\"\\t\"}{.status.phase}{\"\\n\"}{end}"],
        &["get", "recipes", "-o", "custom-columns=NAME:.metadata.name,LEVEL:.status.level"],
        &["get", "recipes", "--sort-by=.metadata.resourceVersion"],
        &["get", "recipes", "--sort-by=.spec.zork"],
        &["describe", "testrun/nextcloud-pr12"],
        &["describe", "secret", "forge"],
        &["why", "testrun/nextcloud-pr12"],
        &["why", "app", "cloud"],
        &["why", "recipe/keycloak"],
        &["why", "recipe/nextcloud"],
        &["top"],
        &["events"],
        &["events", "--for", "testrun/nextcloud-pr12"],
        &["events", "--for", "recipe/nextcloud"],
        &["logs", "nextcloud-pr12"],
        &["logs", "-f", "nextcloud-pr12", "--tail=5", "--curl"],
        &["api-resources", "-o", "wide"],
        &["api-versions"],
        &["auth", "whoami"],
        &["auth", "can-i", "get", "recipes"],
        &["auth", "can-i", "delete", "recipe/nextcloud"],
        &["version", "-o", "yaml"],
        &["config", "get-contexts"],
        &["config", "view"],
        &["get", "recipe/nextcloud", "-o", "yaml", "--curl"],
        &["get", "--raw", "/version"],
    ];
    insta::assert_snapshot!("reading", home.transcript(cases));
}

#[test]
fn writing_prints_what_became_of_each_object() {
    let (server, home) = world();
    home.write("a.yaml", "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: Recipe\nmetadata: {name: mumble}\nspec: {zone: ci.example.coop}\n");
    home.write("token", "abc");
    let cases: &[&[&str]] = &[
        &["diff", "-f", "a.yaml"],
        &["apply", "-f", "a.yaml", "--dry-run=client", "-o", "yaml"],
        &["apply", "-f", "a.yaml", "--dry-run=server"],
        &["apply", "-f", "a.yaml", "--curl"],
        &["apply", "-f", "a.yaml"],
        &["diff", "-f", "a.yaml"],
        &["create", "-f", "a.yaml"],
        &["create", "namespace", "b"],
        &["create", "secret", "generic", "s", "--from-file=token=token", "--from-literal=user=bob"],
        &["create", "secret", "generic", "s", "--from-literal=a=1", "--from-literal=a=2"],
        &["create", "cm", "c", "--from-literal=a=line one", "--dry-run=client", "-o", "yaml"],
        &["label", "recipe", "mumble", "tier=one"],
        &["label", "recipe", "mumble", "tier=two"],
        &["label", "recipe", "mumble", "tier=two", "--overwrite"],
        &["label", "recipe/mumble", "--list"],
        &["label", "recipe/mumble", "tier-"],
        &["annotate", "recipe/mumble", "contact=alice"],
        &["patch", "recipe/mumble", "-p", "{spec: {zone: b.example.coop}}"],
        &["diff", "-f", "a.yaml"],
        &["suspend", "recipe/mumble"],
        &["suspend", "recipe/mumble"],
        &["resume", "recipe/mumble"],
        &["run", "nextcloud", "--ref=main", "--lane=quick"],
        &["run", "zork"],
        &["rerun", "nextcloud-pr12"],
        &["cancel", "nextcloud-pr12"],
        &["cancel", "nextcloud-bcdfg"],
        &["approve", "nextcloud-pr12"],
        &["deny", "nextcloud-pr12"],
        &["wait", "testrun/nextcloud-pr12", "--for=condition=Accepted"],
        &["wait", "recipe/nextcloud", "--for=jsonpath={.status.phase}=Ready", "-q"],
        &["wait", "testrun/nextcloud-pr12", "--for=condition=Succeeded", "--timeout=0"],
        &["wait", "recipe/zork", "--for=condition=Ready"],
        &["delete", "recipe/mumble", "--dry-run=server"],
        &["delete", "recipe/mumble", "--curl"],
        &["delete", "recipe/mumble"],
        &["delete", "recipe/mumble"],
        &["delete", "apps", "--all"],
        &["delete", "apps", "--all"],
        &["backup", "file"],
        &["token", "create", "ci"],
    ];
    insta::assert_snapshot!("writing", home.transcript(cases));
    assert!(server.requests().iter().all(|request| !request.contains("abc")), "a secret went into an address");
}

#[test]
fn waiting_tells_of_every_transition() {
    let (server, home) = world();
    let child = home.start(&["wait", "app/cloud", "--for=condition=Ready", "--timeout=60s"]);
    server.wait_for_request("watch=true");
    let app = |status: &str, message: &str| {
        let mut app =
            object("App", "cloud", json!({}), json!({"conditions": [condition("Ready", status, "Checked", message)]}));
        app["metadata"]["uid"] = json!("00000000-0000-4000-8000-000000000005");
        app
    };
    server.put("apps", app("False", "probe answers 502"));
    server.put("apps", app("True", "probe answers 200"));
    insta::assert_snapshot!(home.shown(&child.wait_with_output().unwrap()), @r"
    app.ci.coopcloud.tech/cloud condition met
    [stderr] app.ci.coopcloud.tech/cloud Ready=Unknown (DependencyNotReady: waits for secret smtp)
    [stderr] app.ci.coopcloud.tech/cloud Ready=False (Checked: probe answers 502)
    [stderr] app.ci.coopcloud.tech/cloud Ready=True (Checked: probe answers 200)
    [exit 0]
    ");
}

#[test]
fn editing_opens_again_what_the_server_refuses() {
    let (server, home) = world();
    // The editor changes a field; the second time it looks at what stands on top of the text.
    let editor = home.write("editor", "#!/bin/sh\ncp \"$1\" \"$HOME/seen\"\nsed -i 's/schedule: .*/schedule: 0 4 * * */' \"$1\"\ncase $(cat \"$HOME/seen\") in *midnight*) sed -i 's/0 4/0 5/' \"$1\";; esac\n");
    std::process::Command::new("chmod").args(["+x".as_ref(), editor.as_os_str()]).status().unwrap();
    server.fail("recipes/nextcloud?fieldManager", crate::server::Fault::Answer(422, r#"{"kind":"Status","reason":"Invalid","code":422,"message":"bad","details":{"kind":"Recipe","name":"nextcloud","causes":[{"field":"spec.schedule","message":"not at midnight"}]}}"#));
    let output = home.command(&["edit", "recipe/nextcloud"]).env("EDITOR", &editor).output().unwrap();
    insta::assert_snapshot!(home.shown(&output), @r"
    recipe.ci.coopcloud.tech/nextcloud edited
    [exit 0]
    ");
    let seen = std::fs::read_to_string(home.path("seen")).unwrap();
    insta::assert_snapshot!("edit_second_time", seen);
    insta::assert_snapshot!(home.run(&["get", "recipe/nextcloud", "-o", "jsonpath={.spec.schedule}"]), @r"
    0 5 * * *[exit 0]
    ");
}

#[test]
fn an_editor_that_changes_nothing_or_fails_changes_nothing() {
    let (_server, home) = world();
    let run =
        |editor: &str| home.shown(&home.command(&["edit", "recipe/nextcloud"]).env("EDITOR", editor).output().unwrap());
    insta::assert_snapshot!(run("true"), @r"
    [stderr] Edit cancelled, no changes made.
    [exit 0]
    ");
    insta::assert_snapshot!(run("truncate -s 0"), @r"
    [stderr] error: Edit cancelled, the file is empty.
    [exit 1]
    ");
    insta::assert_snapshot!(run("false"), @r#"
    [stderr] error: the editor "false" failed: exit status: 1; nothing was changed
    [exit 2]
    "#);
    insta::assert_snapshot!(run("no-such-editor"), @r#"
    [stderr] error: cannot start the editor "no-such-editor": No such file or directory (os error 2)
    [stderr] hint: name another one: EDITOR=nano ccctl edit …
    [exit 2]
    "#);
}

#[test]
fn contexts_are_changed_in_the_file_and_everything_else_in_it_stays() {
    let (_server, home) = world();
    home.write(".kube/config", "apiVersion: v1\nkind: Config\ncurrent-context: a\nextensions: [{name: kept}]\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\n- name: b\n  context: {cluster: c, user: u}\n");
    let steps: &[&[&str]] = &[
        &["config", "use-context", "b"],
        &["config", "current-context"],
        &["config", "use-context", "zork"],
        &["config", "set-context", "--current", "-n", "team"],
        &["config", "set-context", "new", "--cluster=c", "--user=u"],
        &["config", "set-context", "new"],
        &["config", "get-contexts"],
    ];
    let mut text = home.transcript(steps);
    text += &std::fs::read_to_string(home.path(".kube/config")).unwrap();
    insta::assert_snapshot!("config_changes", text);
}

#[test]
fn doctor_names_what_is_wrong_and_how_to_repair_it() {
    let (server, home) = world();
    std::process::Command::new("chmod").args(["600".as_ref(), home.path(".kube/config").as_os_str()]).status().unwrap();
    insta::assert_snapshot!("doctor", home.run(&["doctor"]));
    server.fail(
        "selfsubjectreviews",
        crate::server::Fault::Answer(
            401,
            r#"{"kind":"Status","message":"Unauthorized","reason":"Unauthorized","code":401}"#,
        ),
    );
    std::process::Command::new("chmod").args(["644".as_ref(), home.path(".kube/config").as_os_str()]).status().unwrap();
    insta::assert_snapshot!("doctor_unauthorized", home.run(&["doctor"]));
    insta::assert_snapshot!("doctor_nobody_there", Home::with_address("127.0.0.1:1").run(&["doctor"]));
    insta::assert_snapshot!("doctor_no_config", Home::empty().run(&["doctor"]));
}

#[test]
fn completion_and_manual_pages_exist_for_every_command() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completion", shell]);
        assert!(script.contains("api-resources") && script.ends_with("[exit 0]\n"), "{shell}: {script}");
    }
    assert!(home.run(&["man"]).starts_with(".ie"));
    home.run(&["man", "--folder", "man"]);
    assert!(home.path("man/ccctl-config-use-context.1").exists());
}
