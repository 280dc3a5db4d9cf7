//! The roles and bindings that exist from the first start on.

use serde_json::{Value, json};

use super::objects::RBAC_GROUP;
use super::rules::Rule;
use crate::authentication::{AUTHENTICATED, MASTERS, UNAUTHENTICATED};

const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const OWN: &str = api_types::meta::GROUP;
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// Returns every default object, ready to be created.
#[must_use]
pub fn default_objects() -> Vec<Value> {
    let mut objects = vec![
        role("cluster-admin", &cluster_admin(), None),
        role("admin", &admin(), Some("admin")),
        role("edit", &edit(), Some("edit")),
        role("view", &view(), Some("view")),
        role("system:basic-user", &basic_user(), None),
        role("system:discovery", &discovery(), None),
        role("system:public-info-viewer", &public_info(), None),
    ];
    objects.extend([
        binding("cluster-admin", &[MASTERS]),
        binding("system:basic-user", &[AUTHENTICATED]),
        binding("system:discovery", &[AUTHENTICATED]),
        binding("system:public-info-viewer", &[AUTHENTICATED, UNAUTHENTICATED]),
    ]);
    objects
}

/// Returns what a default object that exists must become, or `None` when it may stay as it is.
///
/// Rules and subjects that a newer program has are added, what people added stays. The annotation
/// `rbac.authorization.kubernetes.io/autoupdate: "false"` keeps an object out of this.
#[must_use]
pub fn updated_default(existing: &Value, wanted: &Value) -> Option<Value> {
    if existing["metadata"]["annotations"][AUTOUPDATE].as_str() == Some("false") {
        return None;
    }
    let mut updated = existing.clone();
    for list in ["rules", "subjects"] {
        let Some(items) = wanted[list].as_array() else { continue };
        let mut own = existing[list].as_array().cloned().unwrap_or_default();
        own.extend(
            items.iter().filter(|item| !existing[list].as_array().is_some_and(|own| own.contains(item))).cloned(),
        );
        updated[list] = Value::Array(own);
    }
    (updated != *existing).then_some(updated)
}

fn cluster_admin() -> Vec<Rule> {
    vec![Rule::resources(&["*"], &["*"], &["*"]), Rule::paths(&["*"], &["*"])]
}

/// Everything in a namespace but its existence, with the right to hand on what one has.
fn admin() -> Vec<Rule> {
    let mut rules = edit();
    rules.extend([
        Rule::resources(&READ, &[RBAC_GROUP], &["roles", "rolebindings"]),
        Rule::resources(&WRITE, &[RBAC_GROUP], &["roles", "rolebindings"]),
        Rule::resources(&["create"], &["authorization.k8s.io"], &["localsubjectaccessreviews"]),
        // Approving foreign code is a maintainer's decision: it is not part of `edit`.
        Rule::resources(&WRITE, &[OWN], &["approvals"]),
    ]);
    rules
}

/// Everything that people work with in a namespace, secrets included, but no rights.
fn edit() -> Vec<Rule> {
    let mut rules = view();
    rules.extend([
        Rule::resources(&READ, &[""], &["secrets"]),
        Rule::resources(&WRITE, &[""], &["configmaps", "secrets", "serviceaccounts"]),
        Rule::resources(&["create"], &[""], &["serviceaccounts/token"]),
        Rule::resources(&WRITE, &["coordination.k8s.io"], &["leases"]),
        Rule::resources(&WRITE, &[OWN], &edited_kinds()),
        Rule::resources(&["patch", "update"], &[OWN], &edited_scales()),
        Rule::resources(&["create"], &[OWN], &["apps/plan"]),
    ]);
    rules
}

/// Reading in a namespace; no secrets: who reads secrets can act as whoever they belong to.
fn view() -> Vec<Rule> {
    let core = [
        "configmaps",
        "events",
        "namespaces",
        "namespaces/status",
        "pods",
        "pods/log",
        "pods/status",
        "serviceaccounts",
    ];
    let mut own: Vec<&str> = edited_kinds();
    own.push("approvals");
    let mut with_status: Vec<String> = own.iter().map(|kind| format!("{kind}/status")).collect();
    with_status.extend(own.iter().map(|kind| (*kind).to_owned()));
    with_status.extend(["apps/log", "testruns/log", "testruns/artifacts"].map(str::to_owned));
    with_status.sort();
    let own: Vec<&str> = with_status.iter().map(String::as_str).collect();
    vec![
        Rule::resources(&READ, &[""], &core),
        Rule::resources(&READ, &["events.k8s.io"], &["events"]),
        Rule::resources(&READ, &["coordination.k8s.io"], &["leases"]),
        Rule::resources(&READ, &[OWN], &own),
    ]
}

/// Our kinds that live in namespaces and may be edited by those who work there; `Forge` and `Host` are cluster-scoped
/// and stay with cluster-admin.
fn edited_kinds() -> Vec<&'static str> {
    vec![
        "apps",
        "binarycaches",
        "certificates",
        "flakebuilds",
        "jobimages",
        "recipes",
        "releases",
        "repositories",
        "runners",
        "snapshots",
        "sweeps",
        "testruns",
    ]
}

fn edited_scales() -> Vec<&'static str> {
    vec!["apps/scale", "runners/scale"]
}

fn basic_user() -> Vec<Rule> {
    let reviews = ["selfsubjectaccessreviews", "selfsubjectrulesreviews"];
    vec![
        Rule::resources(&["create"], &["authorization.k8s.io"], &reviews),
        Rule::resources(&["create"], &["authentication.k8s.io"], &["selfsubjectreviews"]),
    ]
}

fn discovery() -> Vec<Rule> {
    let paths = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    vec![Rule::paths(&["get"], &paths)]
}

fn public_info() -> Vec<Rule> {
    vec![Rule::paths(&["get"], &["/healthz", "/livez", "/readyz", "/version", "/version/"])]
}

fn role(name: &str, rules: &[Rule], aggregate: Option<&str>) -> Value {
    let mut role = object("ClusterRole", name);
    role["rules"] = json!(rules);
    if let Some(aggregate) = aggregate {
        let label = format!("rbac.authorization.k8s.io/aggregate-to-{aggregate}");
        role["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]});
    }
    role
}

fn binding(name: &str, groups: &[&str]) -> Value {
    let mut binding = object("ClusterRoleBinding", name);
    let subject = |group: &&str| json!({"kind": "Group", "apiGroup": RBAC_GROUP, "name": group});
    binding["subjects"] = groups.iter().map(subject).collect();
    binding["roleRef"] = json!({"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name});
    binding
}

fn object(kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": format!("{RBAC_GROUP}/v1"),
        "kind": kind,
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {AUTOUPDATE: "true"},
        },
    })
}
