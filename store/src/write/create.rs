//! Create, and apply of an object that is not there yet.

use std::sync::Arc;

use api_types::status::{Reason, Status, StatusCause};
use serde_json::Value;

use super::Attempt;
use super::admit::{self, Admission, Admitted, Source, Tracking};
use crate::commit::{Expected, Write};
use crate::error::ResourceChange;
use crate::object::object_key;
use crate::registry::{DEFINITIONS, NAMESPACES};
use crate::request::{Body, DryRun, Outcome, Part, Target, WriteOptions, Written};
use crate::store::Store;

/// What a generated suffix is made of: no vowels, so that it spells nothing; no 0, 1, 3, so that it reads well.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_CHARACTERS: usize = 5;
/// A prefix is cut so that prefix and suffix fit into a label.
const GENERATE_NAME_BYTES_MAX: usize = 63 - SUFFIX_CHARACTERS;
/// Attempts with another suffix before a collision is reported.
const GENERATED_NAMES_MAX: usize = 8;

impl Store {
    /// Creates an object; its name may come from the body, or from `metadata.generateName`.
    ///
    /// # Errors
    /// The answers of a Kubernetes server: `AlreadyExists`, `Invalid` with every cause, `NotFound` for a missing
    /// namespace, `Forbidden` for one that is going, `BadRequest` for a body that is about something else.
    pub async fn create(&self, target: &Target, body: Body, options: &WriteOptions) -> Result<Written, Status> {
        let version = target.resource_version()?;
        let now = self.now_text();
        let registry = || self.registry();
        let admission = Admission { target, version, options, part: Part::Whole, now: &now, registry: &registry };
        let (value, warnings) = admission.decode(body, Source::Body)?;
        self.check_place(target, value["metadata"]["name"].as_str().unwrap_or_default())?;
        if value["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
            return Err(Status::failure(
                Reason::BadRequest,
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let Some(prefix) = generate_prefix(&admission, &value)? else {
            let admitted = admission.create(value, (self.inner.sources.uid)(), Tracking::Compare)?;
            return self.insert(target, admitted, options.dry_run).await.map(|written| written.after(warnings));
        };
        for _ in 1..GENERATED_NAMES_MAX {
            match self.create_generated(&admission, &prefix, value.clone()).await {
                Err(status) if status.reason == Some(Reason::AlreadyExists) => {}
                other => return other.map(|written| written.after(warnings)),
            }
        }
        self.create_generated(&admission, &prefix, value).await.map(|written| written.after(warnings))
    }

    async fn create_generated(
        &self,
        admission: &Admission<'_>,
        prefix: &str,
        mut value: Value,
    ) -> Result<Written, Status> {
        value["metadata"]["name"] = Value::String(format!("{prefix}{}", self.suffix()));
        let admitted = admission.create(value, (self.inner.sources.uid)(), Tracking::Compare)?;
        self.insert(admission.target, admitted, admission.options.dry_run).await
    }

    /// Writes an admitted object that must not be there yet.
    pub(super) async fn insert(&self, target: &Target, admitted: Admitted, dry_run: DryRun) -> Result<Written, Status> {
        let resource = &target.resource;
        let Admitted { value, warnings, registry } = admitted;
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        let key = object_key(&target.namespace, name);
        let draft = self.draft(resource, &key, &value)?;
        draft.check_size(admit::OBJECT_BYTES_MAX)?;
        if dry_run == DryRun::All {
            if self.get(resource, &key).is_some() {
                return Err(Status::already_exists(&resource.names, name));
            }
            let object = Arc::new(draft.finish(0));
            return Ok(Written { object, outcome: Outcome::Created, warnings });
        }
        let write = Write {
            resource: resource.clone(),
            key,
            expected: Expected::Absent,
            draft,
            deletes: false,
            namespace: (!target.namespace.is_empty()).then(|| Arc::from(target.namespace.as_str())),
            registry,
        };
        match self.attempt(write).await? {
            Attempt::Done(object) => Ok(Written { object, outcome: Outcome::Created, warnings }),
            Attempt::LostRace => Err(Status::already_exists(&resource.names, name)),
            Attempt::NamesTaken => {
                let why = "another definition was given one of its names at this moment, please try again";
                Err(Status::conflict(&resource.names, name, why))
            }
        }
    }

    /// Checks early that definition and namespace take new objects; the committer checks again.
    pub(super) fn check_place(&self, target: &Target, name: &str) -> Result<(), Status> {
        let state = self.state();
        if state.get(DEFINITIONS, &target.resource.key).is_some_and(|definition| definition.is_deleting()) {
            return Err(ResourceChange::Terminating.into_status(&target.resource, name));
        }
        if target.namespace.is_empty() {
            return Ok(());
        }
        match state.get(NAMESPACES, &target.namespace) {
            Some(namespace) if !namespace.is_deleting() => Ok(()),
            _ => Err(admit::namespace_gone(&state, &target.resource, &target.namespace, name)),
        }
    }

    fn suffix(&self) -> String {
        let mut random = (self.inner.sources.uid)().as_u128();
        let base = SUFFIX_ALPHABET.len() as u128;
        (0..SUFFIX_CHARACTERS)
            .map(|_| {
                let index = usize::try_from(random % base).expect("smaller than the alphabet");
                random /= base;
                char::from(SUFFIX_ALPHABET[index])
            })
            .collect()
    }
}

/// Returns the prefix for a generated name, or nothing when the object has a name.
fn generate_prefix(admission: &Admission<'_>, value: &Value) -> Result<Option<String>, Status> {
    let metadata = &value["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    match (text("name"), text("generateName")) {
        ("", "") => {
            let cause = StatusCause {
                reason: "FieldValueRequired".to_owned(),
                message: "Required value: name or generateName is required".to_owned(),
                field: "metadata.name".to_owned(),
            };
            Err(Status::invalid(&admission.target.resource.names, "", vec![cause]))
        }
        ("", prefix) => {
            let end = prefix.floor_char_boundary(GENERATE_NAME_BYTES_MAX);
            Ok(Some(prefix[..end].to_owned()))
        }
        _ => Ok(None),
    }
}
