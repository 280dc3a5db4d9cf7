//! From what was asked to what is stored: pure, so that every rule can be read and tested without a store.
//!
//! The order is Kubernetes': strict decoding, system metadata, what the kind's strategy does, defaults, validation,
//! field bookkeeping, generation.

use std::sync::Arc;

use api_types::definition::Subresources;
use api_types::status::{Reason, ResourceNames, Status, StatusCause};
use serde_json::{Map, Value};

use super::identity;
use crate::commit::RegistryChange;
use crate::fields::{self, Writer};
use crate::registry::{DEFINITIONS, NAMESPACES, Origin, Registry, Resource, ResourceVersion};
use crate::request::{Body, FieldValidation, Part, Target, WriteOptions};
use crate::schema::metadata::{self, MetadataRules, NameGrammar};
use crate::schema::{self};
use crate::state::State;
use crate::strategy;

/// Largest object stored, in bytes of JSON.
pub(super) const OBJECT_BYTES_MAX: usize = 3 << 19;
/// Longest field manager, in bytes.
const FIELD_MANAGER_BYTES_MAX: usize = 128;

/// Everything that admission needs to know about a request, beside the objects.
pub(super) struct Admission<'a> {
    pub target: &'a Target,
    pub version: &'a ResourceVersion,
    pub options: &'a WriteOptions,
    pub part: Part,
    pub now: &'a str,
    /// Looks at the newest registry, for what depends on other definitions.
    pub registry: &'a (dyn Fn() -> Arc<Registry> + Send + Sync),
}

/// Who keeps `managedFields` for a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tracking {
    /// Compare old and new: the writer owns what it changed.
    Compare,
    /// Server-side apply has already done it.
    Applied,
}

/// How a body reached us, for the answer to unknown members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Body,
    Patch,
}

/// What may be stored.
pub(super) struct Admitted {
    pub value: Value,
    pub warnings: Vec<String>,
    pub registry: Option<RegistryChange>,
}

impl Admission<'_> {
    /// Compares a body with its address and treats members that the schema does not name.
    pub(super) fn decode(&self, body: Body, source: Source) -> Result<(Value, Vec<String>), Status> {
        let Body { mut value, duplicates } = body;
        self.check_field_manager()?;
        if schema::is_too_deep(&value) {
            return Err(Status::failure(
                Reason::BadRequest,
                format!("the object nests deeper than {} levels", schema::MAX_DEPTH),
            ));
        }
        if schema::is_too_large(&value) {
            let why = format!("Request entity too large: the object is refused: {}", schema::DecodeError::TooLarge);
            return Err(Status::failure(Reason::RequestEntityTooLarge, why));
        }
        identity::check_body(self.target, self.version, &mut value)?;
        let mut complaints: Vec<String> = duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
        let unknown = self.version.schema.prune(&mut value);
        complaints.extend(unknown.iter().map(|path| format!("unknown field \"{path}\"")));
        match self.options.field_validation {
            FieldValidation::Strict if !complaints.is_empty() => Err(self.strict_error(&complaints, &value, source)),
            FieldValidation::Warn => Ok((value, complaints)),
            FieldValidation::Strict | FieldValidation::Ignore => Ok((value, Vec::new())),
        }
    }

    /// Turns a decoded body into a new object.
    pub(super) fn create(&self, mut value: Value, uid: uuid::Uuid, tracking: Tracking) -> Result<Admitted, Status> {
        if self.has_status() {
            remove(&mut value, "status");
        }
        let metadata = metadata_of(&mut value);
        for name in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
            metadata.remove(name);
        }
        metadata.insert("uid".to_owned(), Value::String(uid.to_string()));
        metadata.insert("creationTimestamp".to_owned(), Value::String(self.now.to_owned()));
        metadata.remove("generation");
        if self.has_generation() {
            metadata.insert("generation".to_owned(), Value::from(1));
        }
        if tracking == Tracking::Compare {
            metadata.remove("managedFields");
        }
        drop_empty_metadata(metadata);
        strategy::prepare_create(&self.target.resource, &mut value, self.now, &(self.registry)());
        self.version.schema.default(&mut value);
        let (causes, warnings) = self.validate(&value, None);
        self.refuse(&value, causes)?;
        if tracking == Tracking::Compare {
            fields::track_update(&self.writer(), None, &mut value);
        }
        self.complete(value, None, warnings)
    }

    /// Turns a decoded body, or the result of a patch, into the next version of `old`.
    pub(super) fn update(&self, old: &Value, mut value: Value, tracking: Tracking) -> Result<Admitted, Status> {
        value = self.isolate(old, value);
        let old_metadata = &old["metadata"];
        let metadata = metadata_of(&mut value);
        for name in
            ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "name"]
        {
            match old_metadata.get(name) {
                Some(kept) => metadata.insert(name.to_owned(), kept.clone()),
                None => metadata.remove(name),
            };
        }
        metadata.remove("selfLink");
        metadata.remove("resourceVersion");
        drop_empty_metadata(metadata);
        let registry = (self.registry)();
        strategy::prepare_update(&self.target.resource, old, &mut value, self.part, self.now, &registry);
        self.version.schema.default(&mut value);
        let (mut causes, warnings) = self.validate(&value, Some(old));
        causes.extend(new_finalizers_while_deleting(old, &value));
        self.refuse(&value, causes)?;
        if self.has_generation() && self.changes_desired_state(old, &value) {
            let generation = old_metadata["generation"].as_i64().unwrap_or_default() + 1;
            value["metadata"]["generation"] = Value::from(generation);
        }
        if tracking == Tracking::Compare {
            fields::track_update(&self.writer(), Some(old), &mut value);
        }
        self.complete(value, Some(old), warnings)
    }

    /// Returns who writes, for the bookkeeping of fields.
    pub(super) fn writer(&self) -> Writer<'_> {
        Writer {
            schema: self.version.schema.schema(),
            api_version: if self.part == Part::Scale { "autoscaling/v1" } else { &self.version.api_version },
            kind: &self.target.resource.names.kind,
            manager: &self.options.field_manager,
            subresource: self.part.subresource(),
            now: self.now,
            has_status_subresource: self.has_status(),
        }
    }

    fn has_status(&self) -> bool {
        has_status(&self.version.subresources)
    }

    fn has_generation(&self) -> bool {
        has_generation(&self.target.resource)
    }

    /// Keeps what the part that is written must not touch.
    fn isolate(&self, old: &Value, mut new: Value) -> Value {
        match self.part {
            Part::Whole | Part::Scale => {
                if self.has_status() {
                    replace(&mut new, "status", old.get("status"));
                }
                new
            }
            Part::Status => {
                let mut kept = old.clone();
                replace(&mut kept, "status", new.get("status"));
                replace(&mut kept["metadata"], "managedFields", new["metadata"].get("managedFields"));
                kept
            }
            Part::Finalize => {
                let mut kept = old.clone();
                replace(&mut kept, "spec", new.get("spec"));
                kept
            }
        }
    }

    fn validate(&self, value: &Value, old: Option<&Value>) -> (Vec<StatusCause>, Vec<String>) {
        let rules = MetadataRules { namespaced: self.target.resource.is_namespaced(), name: self.name_grammar() };
        let (mut causes, warnings) = metadata::validate_metadata(value, old, &rules);
        causes.extend(self.version.schema.validate_structure(value, old));
        causes.extend(strategy::validate(&self.target.resource, value, old));
        // Rules come last: whether they can be run at all depends on every other cause.
        let rules = self.version.schema.validate_rules(value, old, &causes);
        causes.extend(rules);
        (causes, warnings)
    }

    fn name_grammar(&self) -> NameGrammar {
        let names = &self.target.resource.names;
        match (names.group.as_str(), names.plural.as_str()) {
            ("", "namespaces") => NameGrammar::Label,
            ("rbac.authorization.k8s.io", _) => NameGrammar::PathSegment,
            _ => NameGrammar::Subdomain,
        }
    }

    fn refuse(&self, value: &Value, causes: Vec<StatusCause>) -> Result<(), Status> {
        if causes.is_empty() {
            return Ok(());
        }
        let name = value["metadata"]["name"].as_str().unwrap_or_default();
        Err(Status::invalid(&self.target.resource.names, name, causes))
    }

    fn complete(&self, mut value: Value, old: Option<&Value>, warnings: Vec<String>) -> Result<Admitted, Status> {
        if let Some(veto) = &self.options.veto {
            veto.check(&value, old)?;
        }
        value["apiVersion"] = Value::String(self.target.resource.storage_version().api_version.clone());
        strategy::complete(&self.target.resource, &mut value);
        let registry = strategy::registry_change(&self.target.resource, &value)
            .map_err(|causes| self.refuse(&value, causes).expect_err("there is a cause"))?;
        Ok(Admitted { value, warnings, registry })
    }

    /// Returns whether anything but metadata, and the status where it is written apart, differs.
    fn changes_desired_state(&self, old: &Value, new: &Value) -> bool {
        let counts = |name: &str| {
            let is_apart = name == "status" && self.has_status();
            !is_apart && !matches!(name, "metadata" | "apiVersion" | "kind")
        };
        let differs = |from: &Value, to: &Value| {
            from.as_object().into_iter().flatten().any(|(name, member)| counts(name) && to.get(name) != Some(member))
        };
        self.part != Part::Status && (differs(old, new) || differs(new, old))
    }

    fn strict_error(&self, complaints: &[String], value: &Value, source: Source) -> Status {
        let names = &self.target.resource.names;
        let list = complaints.join(", ");
        match source {
            Source::Body => Status::failure(
                Reason::BadRequest,
                format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {list}",
                    kind = names.kind,
                    version = self.version.name
                ),
            ),
            Source::Patch => {
                let cause = StatusCause {
                    reason: "FieldValueInvalid".to_owned(),
                    message: format!("Invalid value: {}: strict decoding error: {list}", patch_shown(value)),
                    field: "patch".to_owned(),
                };
                Status::invalid(names, &self.target.name, vec![cause])
            }
        }
    }

    fn check_field_manager(&self) -> Result<(), Status> {
        let manager = &self.options.field_manager;
        let cause = if manager.len() > FIELD_MANAGER_BYTES_MAX {
            ("FieldValueTooLong", format!("Too long: may not be more than {FIELD_MANAGER_BYTES_MAX} bytes"))
        } else if let Some(control) = manager.chars().find(|character| character.is_control()) {
            (
                "FieldValueInvalid",
                format!("Invalid value: {manager:?}: invalid character {control:?}: must be printable"),
            )
        } else {
            return Ok(());
        };
        let names =
            ResourceNames { group: "meta.k8s.io".to_owned(), plural: String::new(), kind: "CreateOptions".to_owned() };
        let cause = StatusCause { reason: cause.0.to_owned(), message: cause.1, field: "fieldManager".to_owned() };
        Err(Status::invalid(&names, "", vec![cause]))
    }
}

/// Returns the answer for a new object whose namespace is missing or going.
pub(super) fn namespace_gone(state: &State, resource: &Resource, namespace: &str, name: &str) -> Status {
    let namespaces =
        ResourceNames { group: String::new(), plural: NAMESPACES.to_owned(), kind: "Namespace".to_owned() };
    if state.get(NAMESPACES, namespace).is_none() {
        return Status::not_found(&namespaces, namespace);
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = Status::forbidden(&resource.names, name, &why);
    if let Some(details) = &mut status.details {
        details.causes = vec![StatusCause {
            reason: "NamespaceTerminating".to_owned(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".to_owned(),
        }];
    }
    status
}

/// Returns whether the status is written apart from the rest.
pub(super) fn has_status(subresources: &Subresources) -> bool {
    subresources.status.is_some()
}

/// Kubernetes' own kinds carry no generation here, but definitions do.
pub(super) fn has_generation(resource: &Resource) -> bool {
    resource.origin == Origin::Definition || &*resource.key == DEFINITIONS
}

/// Returns `value["metadata"]` as a map, making it one when it is not.
pub(super) fn metadata_of(value: &mut Value) -> &mut Map<String, Value> {
    let metadata = &mut value["metadata"];
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made an object above")
}

fn new_finalizers_while_deleting(old: &Value, new: &Value) -> Option<StatusCause> {
    if !old["metadata"]["deletionTimestamp"].is_string() {
        return None;
    }
    let before = old["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let after = new["metadata"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let added: Vec<String> = after.iter().filter(|name| !before.contains(name)).map(ToString::to_string).collect();
    (!added.is_empty()).then(|| StatusCause {
        reason: "FieldValueForbidden".to_owned(),
        message: format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        ),
        field: "metadata.finalizers".to_owned(),
    })
}

/// Empty maps and lists in metadata say nothing; Kubernetes does not store them.
fn drop_empty_metadata(metadata: &mut Map<String, Value>) {
    for name in ["labels", "annotations", "finalizers", "ownerReferences"] {
        let is_empty = match metadata.get(name) {
            Some(Value::Object(members)) => members.is_empty(),
            Some(Value::Array(items)) => items.is_empty(),
            Some(Value::Null) => true,
            _ => false,
        };
        if is_empty {
            metadata.remove(name);
        }
    }
}

fn remove(value: &mut Value, name: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(name);
    }
}

fn replace(value: &mut Value, name: &str, with: Option<&Value>) {
    match with {
        Some(kept) => value[name] = kept.clone(),
        None => remove(value, name),
    }
}

fn patch_shown(value: &Value) -> String {
    serde_json::to_string(value).expect("a JSON value always serialises")
}
