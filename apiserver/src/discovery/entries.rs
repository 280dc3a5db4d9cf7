//! What discovery says about each resource and its subresources.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use store::registry::{NAMESPACES, Origin, Registry, Resource, ResourceVersion};

use crate::authentication::SERVICE_ACCOUNTS;
use crate::events::NEW_GROUP;
use crate::plans;
use crate::pods;
use crate::reviews::REVIEWS;
use crate::tokens;

/// Verbs of resources that can be read and written; a kind is only usable by all clients when it has every one.
const ALL_VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const READ_VERBS: [&str; 3] = ["get", "list", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];

/// One resource in one version.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub group: String,
    pub version: String,
    pub plural: String,
    pub kind: String,
    pub namespaced: bool,
    singular: String,
    pub verbs: Vec<&'static str>,
    short_names: Vec<String>,
    categories: Vec<String>,
    is_stored: bool,
    pub subresources: Vec<Subresource>,
}

/// One subresource; group, version and kind are those of what it shows.
#[derive(Clone, Debug)]
pub(crate) struct Subresource {
    pub name: &'static str,
    pub group: String,
    pub version: String,
    pub kind: String,
    pub verbs: Vec<&'static str>,
}

/// Returns what is served, in no particular order.
pub(crate) fn entries(registry: &Registry) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for resource in registry.iter() {
        let served = resource.versions.iter().filter(|version| version.served);
        entries.extend(served.map(|version| entry(resource, version)));
    }
    if let Some(events) = entries.iter().find(|entry| entry.group.is_empty() && entry.plural == "events").cloned() {
        entries.push(Entry { group: NEW_GROUP.to_owned(), version: "v1".to_owned(), ..events });
    }
    if registry.get(pods::RUNS).is_some() {
        entries.push(pod_entry());
    }
    entries.push(token_entry());
    entries.extend(REVIEWS.iter().map(|review| Entry {
        group: review.group.to_owned(),
        version: review.version.to_owned(),
        plural: review.plural.to_owned(),
        kind: review.kind.to_owned(),
        namespaced: review.namespaced,
        singular: review.kind.to_lowercase(),
        verbs: vec!["create"],
        short_names: Vec::new(),
        categories: Vec::new(),
        is_stored: false,
        subresources: Vec::new(),
    }));
    entries
}

fn entry(resource: &Resource, version: &ResourceVersion) -> Entry {
    let names = &resource.names;
    let verbs: Vec<&'static str> = match &*resource.key {
        // A list of namespaces is not deleted at once.
        NAMESPACES => ALL_VERBS.into_iter().filter(|verb| *verb != "deletecollection").collect(),
        "services" => READ_VERBS.to_vec(),
        _ => ALL_VERBS.to_vec(),
    };
    let own = |name: &'static str, verbs: &[&'static str]| Subresource {
        name,
        group: names.group.clone(),
        version: version.name.clone(),
        kind: names.kind.clone(),
        verbs: verbs.to_vec(),
    };
    let mut subresources = Vec::new();
    if &*resource.key == NAMESPACES {
        subresources.push(own("finalize", &["update"]));
    }
    if version.subresources.status.is_some() {
        subresources.push(own("status", &SUBRESOURCE_VERBS));
    }
    if version.subresources.scale.is_some() {
        subresources.push(Subresource {
            group: "autoscaling".to_owned(),
            version: "v1".to_owned(),
            kind: "Scale".to_owned(),
            ..own("scale", &SUBRESOURCE_VERBS)
        });
    }
    if &*resource.key == SERVICE_ACCOUNTS {
        subresources.push(Subresource {
            group: "authentication.k8s.io".to_owned(),
            version: "v1".to_owned(),
            kind: "TokenRequest".to_owned(),
            ..own("token", &["create"])
        });
    }
    if [pods::RUNS, pods::APPS].contains(&&*resource.key) {
        subresources.push(own("log", &["get"]));
    }
    if &*resource.key == pods::APPS {
        let question = own(plans::SUBRESOURCE, &["create"]);
        subresources.push(Subresource { kind: plans::KIND.to_owned(), ..question });
    }
    Entry {
        group: names.group.clone(),
        version: version.name.clone(),
        plural: names.plural.clone(),
        kind: names.kind.clone(),
        namespaced: resource.is_namespaced(),
        singular: resource.singular.clone(),
        verbs,
        short_names: resource.short_names.clone(),
        categories: resource.categories.clone(),
        is_stored: resource.origin == Origin::Definition || &*resource.key != "services",
        subresources,
    }
}

/// Tokens are not kept in the store: they work also when it is restored or empty, and never leave with a backup.
fn token_entry() -> Entry {
    Entry {
        group: tokens::GROUP.to_owned(),
        version: tokens::VERSION.to_owned(),
        plural: tokens::PLURAL.to_owned(),
        kind: tokens::KIND.to_owned(),
        namespaced: false,
        singular: "token".to_owned(),
        verbs: vec!["create", "delete", "get", "list"],
        short_names: Vec::new(),
        categories: Vec::new(),
        is_stored: false,
        subresources: Vec::new(),
    }
}

fn pod_entry() -> Entry {
    Entry {
        group: String::new(),
        version: "v1".to_owned(),
        plural: "pods".to_owned(),
        kind: "Pod".to_owned(),
        namespaced: true,
        singular: "pod".to_owned(),
        verbs: READ_VERBS.to_vec(),
        short_names: vec!["po".to_owned()],
        // `kubectl get all` shows the runs themselves.
        categories: Vec::new(),
        is_stored: false,
        subresources: vec![Subresource {
            name: "log",
            group: String::new(),
            version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            verbs: vec!["get"],
        }],
    }
}

impl Entry {
    /// Returns the entry and its subresources as the legacy list shows them.
    pub(super) fn legacy(&self) -> Vec<Value> {
        let mut own = json!({
            "name": self.plural, "singularName": self.singular, "namespaced": self.namespaced, "kind": self.kind,
            "verbs": self.verbs,
        });
        self.add_names(&mut own);
        if self.is_stored {
            own["storageVersionHash"] = json!(self.storage_hash());
        }
        let mut list = vec![own];
        for subresource in &self.subresources {
            let mut entry = json!({
                "name": format!("{}/{}", self.plural, subresource.name), "singularName": "",
                "namespaced": self.namespaced, "kind": subresource.kind, "verbs": subresource.verbs,
            });
            if subresource.kind != self.kind {
                entry["group"] = json!(subresource.group);
                entry["version"] = json!(subresource.version);
            }
            list.push(entry);
        }
        list
    }

    /// Returns the entry as the aggregated list shows it.
    pub(super) fn aggregated(&self) -> Value {
        let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
        let mut own = json!({
            "resource": self.plural, "responseKind": kind(&self.group, &self.version, &self.kind),
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": self.singular, "verbs": self.verbs,
        });
        self.add_names(&mut own);
        let subresources: Vec<Value> = self
            .subresources
            .iter()
            .map(|subresource| {
                json!({
                    "subresource": subresource.name,
                    "responseKind": kind(&subresource.group, &subresource.version, &subresource.kind),
                    "verbs": subresource.verbs,
                })
            })
            .collect();
        if !subresources.is_empty() {
            own["subresources"] = json!(subresources);
        }
        own
    }

    fn add_names(&self, value: &mut Value) {
        if !self.short_names.is_empty() {
            value["shortNames"] = json!(self.short_names);
        }
        if !self.categories.is_empty() {
            value["categories"] = json!(self.categories);
        }
    }

    fn storage_hash(&self) -> String {
        let identity = format!("{}/{}/{}", self.group, self.version, self.kind);
        STANDARD.encode(&digest(&SHA256, identity.as_bytes()).as_ref()[..8])
    }
}
