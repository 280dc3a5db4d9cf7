//! `ccctl why` along the Apps that an App needs.

use serde_json::{Value, json};

use crate::program::Home;
use crate::server::Server;

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": "2026-01-02T03:05:05Z"})
}

/// Puts an App that needs others, with these conditions.
fn app(server: &Server, name: &str, needs: &[&str], conditions: &[Value]) {
    let needs: Vec<Value> = needs.iter().map(|name| json!({"name": name})).collect();
    server.put(
        "apps",
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "App", "metadata": {"name": name},
            "spec": {"domain": format!("{name}.example.coop"), "dependsOn": needs}, "status": {"conditions": conditions}}),
    );
}

fn why(home: &Home, name: &str) -> String {
    home.transcript(&[&["why", &format!("app/{name}")]])
}

#[test]
fn it_goes_from_app_to_app_until_one_says_itself_what_is_wrong() {
    let server = Server::start();
    let waits = |for_: &str| {
        let text = format!("It waits for the App {for_}, which is not ready");
        vec![
            condition("DependenciesReady", "False", "DependencyNotReady", &text),
            condition("Ready", "Unknown", "DependencyNotReady", &text),
        ]
    };
    let ready = condition("Ready", "True", "Succeeded", "");
    let held = condition("UpToDate", "False", "MajorHeld", "Version 9 waits for a person.");
    app(&server, "portal", &["keycloak", "proxy"], &waits("proxy"));
    app(&server, "keycloak", &[], &[ready.clone(), held]);
    app(&server, "proxy", &["dns"], &waits("dns"));
    let broken = [
        condition("Converged", "False", "CrashLoop", "The service app ends with code 1."),
        condition("Ready", "False", "CrashLoop", "The service app ends with code 1."),
    ];
    app(&server, "dns", &[], &broken);
    app(&server, "alone", &["nobody"], &waits("nobody"));
    app(&server, "runs", &["dns"], &[condition("Reachable", "False", "Http", "It answers 502."), ready]);
    let home = Home::new(&server);
    let told = why(&home, "portal");
    let places = ["App/portal in default", "waits for App/proxy", "waits for App/dns", "Converged is False", "code 1"]
        .map(|text| told.find(text).unwrap_or_else(|| panic!("{text} in {told}")));
    assert!(places.is_sorted(), "{told}");
    assert!(!told.contains("keycloak"), "it is ready, whatever newer version it has: {told}");
    assert!(told.contains("next: ccctl describe app/dns"), "{told}");
    let told = why(&home, "alone");
    assert!(told.contains("waits for App/nobody does not exist (spec.dependsOn[0] names it)"), "{told}");
    let told = why(&home, "runs");
    assert!(!told.contains("dns"), "it does not say that it waits: {told}");
}
