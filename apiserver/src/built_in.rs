//! Kubernetes' own kinds, compiled for the store: always served, never shown as definitions.

use serde_json::json;
use store::registry::{Origin, Registry, Resource};

/// Returns every built-in kind.
///
/// # Panics
/// Never: a test compiles them all.
#[must_use]
pub fn registry() -> Registry {
    let kinds: [(&str, &str, &str, &str, &[&str]); 13] = [
        ("", "Namespace", "namespaces", "Cluster", &["ns"]),
        ("", "Secret", "secrets", "Namespaced", &[]),
        ("", "ConfigMap", "configmaps", "Namespaced", &["cm"]),
        ("", "ServiceAccount", "serviceaccounts", "Namespaced", &["sa"]),
        ("", "Event", "events", "Namespaced", &["ev"]),
        ("", "Service", "services", "Namespaced", &["svc"]),
        ("coordination.k8s.io", "Lease", "leases", "Namespaced", &[]),
        ("rbac.authorization.k8s.io", "Role", "roles", "Namespaced", &[]),
        ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", "Namespaced", &[]),
        ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", "Cluster", &[]),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", "Cluster", &[]),
        ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", "Cluster", &["crd", "crds"]),
        ("", "Pod", "pods", "Namespaced", &["po"]),
    ];
    Registry::new(kinds.into_iter().filter(|kind| kind.1 != "Pod").map(|(group, kind, plural, scope, short)| {
        let has_status = matches!(kind, "Namespace" | "CustomResourceDefinition");
        let subresources = if has_status { json!({"status": {}}) } else { json!({}) };
        let spec = json!({
            "group": group, "scope": scope, "names": {"kind": kind, "plural": plural, "shortNames": short},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": subresources,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        });
        let spec = serde_json::from_value(spec).expect("the definition above is well-formed");
        Resource::compile(&spec, Origin::BuiltIn).expect("the definition above can be served")
    }))
}
