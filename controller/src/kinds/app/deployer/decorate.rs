//! What a stack gets besides what its files say: our labels, and on each service the hash of what it should be.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use ports::compose::stack::Stack;
use ports::swarm::spec::{ServiceSpec, VolumeOptions};

use crate::kinds::app::labels::{DELETE, Owner, SPEC_LABEL, VOLUMES_LABEL};

/// The commit that a service was deployed from, on services.
pub const COMMIT_LABEL: &str = "ci.coopcloud.tech/commit";
/// The version that a service was deployed as, on services.
pub const VERSION_LABEL: &str = "ci.coopcloud.tech/version";
/// The hash of what a config or a secret from a file holds.
pub const CONTENT_LABEL: &str = "ci.coopcloud.tech/content";

/// From what a stack was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The version; empty when there is none.
    pub version: String,
    /// The commit.
    pub commit: String,
    /// Whether volumes and secrets go with the App.
    pub goes_with_app: bool,
}

/// Puts our labels on everything of a stack.
pub fn decorate(stack: &mut Stack, owner: &Owner, origin: &Origin) {
    for service in &mut stack.services {
        let spec = &mut service.spec;
        owner.put_on(&mut spec.labels);
        spec.labels.insert(COMMIT_LABEL.to_owned(), origin.commit.clone());
        if !origin.version.is_empty() {
            spec.labels.insert(VERSION_LABEL.to_owned(), origin.version.clone());
        }
        let container = &mut spec.task_template.container_spec;
        owner.put_on(&mut container.labels);
        // Tasks make the volumes, with these labels.
        for mount in container.mounts.iter_mut().filter(|mount| mount.type_ == "volume" && !mount.source.is_empty()) {
            let options = mount.volume_options.get_or_insert_with(VolumeOptions::default);
            owner.put_on(&mut options.labels);
            if origin.goes_with_app {
                options.labels.insert(VOLUMES_LABEL.to_owned(), DELETE.to_owned());
            }
        }
    }
    for network in stack.networks.iter_mut().filter(|network| !network.external) {
        owner.put_on(&mut network.new.labels);
    }
    let objects = stack.secrets.iter_mut().chain(&mut stack.configs).filter(|object| !object.external);
    for object in objects {
        owner.put_on(&mut object.labels);
        if let Some(data) = &object.data {
            object.labels.insert(CONTENT_LABEL.to_owned(), hash(data));
        }
    }
}

/// Returns the hash of a spec without its own hash.
#[must_use]
pub fn spec_hash(spec: &ServiceSpec) -> String {
    let mut spec = spec.clone();
    spec.labels.remove(SPEC_LABEL);
    // A restart that somebody asked for makes it no other spec.
    spec.task_template.force_update = 0;
    hash(&serde_json::to_vec(&spec).unwrap_or_default())
}

/// Returns the hash of a whole stack: of what its files say and what it gets, before anything is looked up.
#[must_use]
pub fn stack_hash(stack: &Stack, extra: &BTreeMap<String, String>) -> String {
    let mut bytes = Vec::new();
    for service in &stack.services {
        bytes.extend(serde_json::to_vec(&service.spec).unwrap_or_default());
        bytes.push(0);
    }
    for network in &stack.networks {
        bytes.extend(serde_json::to_vec(&network.new).unwrap_or_default());
        bytes.extend([network.name.as_bytes(), &[u8::from(network.external)]].concat());
    }
    for object in stack.secrets.iter().chain(&stack.configs) {
        bytes.extend([object.name.as_bytes(), &[0]].concat());
        bytes.extend(hash(object.data.as_deref().unwrap_or_default()).into_bytes());
    }
    for (key, value) in extra {
        bytes.extend([key.as_bytes(), &[0], value.as_bytes(), &[0]].concat());
    }
    hash(&bytes)
}

/// Returns the first 16 bytes of a SHA-256, in hexadecimal digits.
#[must_use]
pub fn hash(data: &[u8]) -> String {
    digest(&SHA256, data).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
