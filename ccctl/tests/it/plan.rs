//! `ccctl plan`: what would change in objects, and what would be done in the swarm.

use crate::program::Home;
use crate::server::{Fault, Server};

fn app(name: &str) -> String {
    format!(
        "apiVersion: ci.coopcloud.tech/v1alpha1\nkind: App\nmetadata: {{name: {name}}}\nspec: {{domain: {name}.example.coop}}\n"
    )
}

#[test]
fn a_plan_shows_objects_calls_and_what_would_go_and_changes_nothing() {
    let server = Server::start();
    let home = Home::new(&server);
    home.write(
        "infra/a-secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: admin}\ndata: {password: c2VjcmV0}\n",
    );
    home.write("infra/cloud.yaml", &app("cloud"));
    home.write("infra/idle.yaml", &app("idle"));
    home.write("infra/old.yaml", &app("old"));
    home.run(&["apply", "-f", "infra", "--prune"]);
    std::fs::remove_file(home.path("infra/old.yaml")).unwrap();
    home.write(
        "infra/a-secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: admin}\ndata: {password: b3RoZXI=}\n",
    );
    home.write("infra/stuck.yaml", &app("stuck"));
    home.write("idle.yaml", &app("idle"));
    let before = server.requests().len();
    insta::assert_snapshot!(
        "plan",
        home.transcript(&[
            &["plan"],
            &["plan", "-f", "infra", "--prune"],
            &["plan", "-f", "idle.yaml", "--field-manager=other"],
        ])
    );
    let requests = server.requests().split_off(before);
    let is_harmless =
        |request: &&String| request.starts_with("GET ") || request.contains("dryRun=All") || request.contains("/plan");
    let harmful: Vec<&String> = requests.iter().filter(|request| !is_harmless(request)).collect();
    assert!(harmful.is_empty(), "{harmful:#?}");
}

#[test]
fn what_the_server_refuses_is_said_and_the_rest_is_planned() {
    let server = Server::start();
    let home = Home::new(&server);
    home.write("infra/a.yaml", &app("a"));
    home.write("infra/b.yaml", &app("b"));
    home.write("infra/ns.yaml", "apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n");
    home.write("infra/c.yaml", &app("c").replace("name: c}", "name: c, namespace: team}"));
    let refusal = |what| Fault::Answer(422, what);
    server.fail("apps/a?", refusal(r#"{"kind":"Status","reason":"Invalid","code":422,"message":"bad domain"}"#));
    server.fail(
        "apps/b/plan",
        Fault::Answer(504, r#"{"kind":"Status","reason":"Timeout","code":504,"message":"too slow"}"#),
    );
    server.fail(
        "team/apps/c?",
        Fault::Answer(404, r#"{"kind":"Status","reason":"NotFound","code":404,"message":"namespaces \"team\" not found","details":{"kind":"namespaces","name":"team"}}"#),
    );
    insta::assert_snapshot!("plan_refused", home.run(&["plan", "-f", "infra"]));
}
