//! Update, patch and server-side apply.

use std::sync::Arc;

use api_types::status::{Reason, ResourceNames, Status, StatusCause};
use serde_json::Value;

use super::admit::{self, Admission, Admitted, Source, Tracking};
use super::{Attempt, MODIFIED, RETRIES_MAX, identity};
use crate::commit::{Expected, RegistryChange, Write};
use crate::fields;
use crate::object::Object;
use crate::patch;
use crate::registry::{Definition, Origin};
use crate::request::{Body, DryRun, Outcome, Part, Patch, Target, WriteOptions, Written};
use crate::state::LeftOut;
use crate::store::Store;
use crate::strategy;

/// Computes the next version of an object from the present one.
type Compute<'a> = dyn Fn(&Object, &Value) -> Result<(Admitted, Insists), Status> + Send + Sync + 'a;

/// Whether a write is about one version of the object and must not be tried again on a newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Insists {
    OnVersion,
    OnNothing,
}

impl Store {
    /// Replaces an object, or one part of it.
    ///
    /// # Errors
    /// `Conflict` when the body carries another `resourceVersion` than the object, `NotFound`, `Invalid`, `BadRequest`.
    pub async fn update(
        &self,
        target: &Target,
        part: Part,
        body: Body,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let version = target.resource_version()?;
        let now = self.now_text();
        let registry = || self.registry();
        let admission = Admission { target, version, options, part, now: &now, registry: &registry };
        let (mut value, warnings) = admission.decode(body, Source::Body)?;
        identity::check_name(target, &mut value)?;
        let given = value["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let must_give = target.resource.origin == Origin::Definition && part != Part::Scale;
        let compute = |object: &Object, old: &Value| {
            if given.is_empty() && must_give {
                return Err(version_required(target));
            }
            let insists = check_version(target, object, &given)?;
            check_uid(target, object, &value)?;
            Ok((admission.update(old, value.clone(), Tracking::Compare)?, insists))
        };
        self.change(target, options.dry_run, warnings, &compute).await
    }

    /// Changes an object, or one part of it, relative to what it is. Without a `resourceVersion` in the patch it is
    /// tried again when somebody else was faster.
    ///
    /// # Errors
    /// As [`Store::update`], and those of the patch itself.
    pub async fn patch(
        &self,
        target: &Target,
        part: Part,
        patch: &Patch,
        options: &WriteOptions,
    ) -> Result<Written, Status> {
        let version = target.resource_version()?;
        let now = self.now_text();
        let registry = || self.registry();
        let admission = Admission { target, version, options, part, now: &now, registry: &registry };
        let compute = |object: &Object, old: &Value| {
            let patched = patched(&admission, patch, old)?;
            let given = match patched["metadata"]["resourceVersion"].as_str() {
                Some(given) if given != object.revision.to_string() => given.to_owned(),
                _ => String::new(),
            };
            let insists = check_version(target, object, &given)?;
            let (mut value, mut warnings) = admission.decode(Body::from(patched), Source::Patch)?;
            identity::check_name(target, &mut value)?;
            check_uid_unchanged(target, object, &value)?;
            let mut admitted = admission.update(old, value, Tracking::Compare)?;
            warnings.append(&mut admitted.warnings);
            Ok((Admitted { warnings, ..admitted }, insists))
        };
        self.change(target, options.dry_run, Vec::new(), &compute).await
    }

    /// Server-side apply: creates the object, or merges the fields that the body names and takes ownership of them.
    ///
    /// # Errors
    /// `Conflict` with one cause for each field that another manager owns, unless `force`; otherwise as
    /// [`Store::create`] and [`Store::update`].
    pub async fn apply(
        &self,
        target: &Target,
        part: Part,
        body: Body,
        options: &WriteOptions,
        force: Force,
    ) -> Result<Written, Status> {
        let version = target.resource_version()?;
        let now = self.now_text();
        let registry = || self.registry();
        let admission = Admission { target, version, options, part, now: &now, registry: &registry };
        let applied = body.value.clone();
        let given = applied["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let compute = |object: &Object, old: &Value| {
            let insists = check_version(target, object, &given)?;
            check_uid(target, object, &applied)?;
            let merged = fields::apply(&admission.writer(), Some(old), &applied, force == Force::Yes)?;
            Ok((admission.update(old, merged, Tracking::Applied)?, insists))
        };
        for _ in 0..RETRIES_MAX {
            if self.get(&target.resource, &target.key()).is_some() || part != Part::Whole {
                return self.change(target, options.dry_run, Vec::new(), &compute).await;
            }
            self.check_place(target, &target.name)?;
            let merged = fields::apply(&admission.writer(), None, &applied, force == Force::Yes)?;
            let (mut value, _) = admission.decode(Body::from(merged), Source::Body)?;
            identity::check_name(target, &mut value)?;
            if !given.is_empty() || applied["metadata"]["uid"].is_string() {
                return Err(not_there_to_match(target, applied["metadata"]["uid"].as_str()));
            }
            let admitted = admission.create(value, (self.inner.sources.uid)(), Tracking::Applied)?;
            match self.insert(target, admitted, options.dry_run).await {
                Err(status) if status.reason == Some(Reason::AlreadyExists) => {}
                other => return other,
            }
        }
        Err(Status::conflict(&target.resource.names, &target.name, MODIFIED))
    }

    /// Reads, computes, writes; again when somebody else was faster and the caller did not insist on a version.
    async fn change(
        &self,
        target: &Target,
        dry_run: DryRun,
        warnings: Vec<String>,
        compute: &Compute<'_>,
    ) -> Result<Written, Status> {
        let key = target.key();
        let names = &target.resource.names;
        let mut turn = None;
        for _ in 0..RETRIES_MAX {
            let object = self.get(&target.resource, &key).ok_or_else(|| Status::not_found(names, &target.name))?;
            let mut old = object.value();
            old["apiVersion"] = Value::String(target.resource_version()?.api_version.clone());
            let (admitted, insists) = compute(&object, &old)?;
            match self.store_next(target, &object, &old, admitted, dry_run).await? {
                Some(written) => return Ok(written.after(warnings)),
                None if insists == Insists::OnVersion => break,
                None => {}
            }
            if turn.is_none() {
                turn = Some(self.retry_turn(&target.resource, &key).await);
            }
        }
        Err(Status::conflict(names, &target.name, MODIFIED))
    }

    /// Writes the next version of `object`; `None` means that somebody else was faster.
    async fn store_next(
        &self,
        target: &Target,
        object: &Arc<Object>,
        old: &Value,
        admitted: Admitted,
        dry_run: DryRun,
    ) -> Result<Option<Written>, Status> {
        let Admitted { value, warnings, registry } = admitted;
        if fields::same_but_for_times(old, &value) && !moves(target, object, &value) {
            return Ok(Some(Written { object: object.clone(), outcome: Outcome::Unchanged, warnings }));
        }
        if let Some(RegistryChange::Define(definition)) = &registry {
            self.check_left_out_versions(target, definition)?;
        }
        let deletes = strategy::may_go(&target.resource, &value);
        let registry = if deletes { strategy::registry_removal(&target.resource, &value) } else { registry };
        let draft = self.draft(&target.resource, object.key(), &value)?;
        draft.check_size(admit::OBJECT_BYTES_MAX)?;
        let outcome = if deletes { Outcome::Deleted } else { Outcome::Updated };
        if dry_run == DryRun::All {
            let object = Arc::new(draft.finish(object.revision));
            return Ok(Some(Written { object, outcome, warnings }));
        }
        let write = Write {
            resource: target.resource.clone(),
            key: Arc::from(object.key()),
            expected: Expected::Revision(object.revision),
            draft,
            deletes,
            namespace: None,
            registry,
        };
        match self.attempt(write).await? {
            Attempt::Done(object) => Ok(Some(Written { object, outcome, warnings })),
            Attempt::LostRace | Attempt::NamesTaken => Ok(None),
        }
    }

    /// Refuses a definition whose status no longer names a version that objects are still stored with; the committer looks
    /// again.
    fn check_left_out_versions(&self, target: &Target, definition: &Definition) -> Result<(), Status> {
        let cause = |left_out: LeftOut<'_>| StatusCause {
            reason: "FieldValueForbidden".to_owned(),
            message: format!(
                "Forbidden: {} objects are still stored as {}, the first is {}; write them all again first: kubectl get {} \
                 --all-namespaces --output json | kubectl replace --filename -",
                left_out.objects,
                left_out.version,
                left_out.first.key(),
                definition.key,
            ),
            field: "status.storedVersions".to_owned(),
        };
        let causes: Vec<StatusCause> = self.state().left_out_versions(definition).map(cause).collect();
        if causes.is_empty() { Ok(()) } else { Err(Status::invalid(&target.resource.names, &target.name, causes)) }
    }
}

/// Returns whether writing `value` changes the version that the object is stored with, which is a change although
/// nobody sees it: it is how objects leave a version that is to go.
fn moves(target: &Target, object: &Object, value: &Value) -> bool {
    let resource = &target.resource;
    !resource.stores_only(resource.storage_version()) && value["apiVersion"].as_str() != Some(&*object.api_version())
}

/// Whether server-side apply takes fields from other managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    /// Conflicts are reported.
    No,
    /// Conflicts are won.
    Yes,
}

fn patched(admission: &Admission<'_>, patch: &Patch, old: &Value) -> Result<Value, Status> {
    match patch {
        Patch::Merge(document) => Ok(patch::merge_patch(old, document)),
        Patch::Json(document) => patch::json_patch(old, document),
        Patch::Strategic(document) => patch::strategic_merge_patch(old, document, admission.version.schema.schema()),
        Patch::Function(function) => function(old),
    }
}

fn check_version(target: &Target, object: &Object, given: &str) -> Result<Insists, Status> {
    if given.is_empty() || given == "0" {
        return Ok(Insists::OnNothing);
    }
    if given == object.revision.to_string() {
        return Ok(Insists::OnVersion);
    }
    Err(Status::conflict(&target.resource.names, &target.name, MODIFIED))
}

fn check_uid(target: &Target, object: &Object, value: &Value) -> Result<(), Status> {
    match value["metadata"]["uid"].as_str() {
        Some(uid) if !uid.is_empty() && uid != object.uid() => {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object.uid());
            Err(Status::conflict(&target.resource.names, &target.name, &why))
        }
        _ => Ok(()),
    }
}

fn check_uid_unchanged(target: &Target, object: &Object, value: &Value) -> Result<(), Status> {
    match value["metadata"]["uid"].as_str() {
        Some(uid) if uid != object.uid() => {
            let cause = StatusCause {
                reason: "FieldValueInvalid".to_owned(),
                message: format!("Invalid value: \"{uid}\": field is immutable"),
                field: "metadata.uid".to_owned(),
            };
            Err(Status::invalid(&target.resource.names, &target.name, vec![cause]))
        }
        _ => Ok(()),
    }
}

fn version_required(target: &Target) -> Status {
    let cause = StatusCause {
        reason: "FieldValueInvalid".to_owned(),
        message: "Invalid value: 0: must be specified for an update".to_owned(),
        field: "metadata.resourceVersion".to_owned(),
    };
    // Kubernetes names the plural here, unlike in every other refusal of a value.
    let names = &target.resource.names;
    let plural = ResourceNames { kind: names.plural.clone(), ..names.clone() };
    Status::invalid(&plural, &target.name, vec![cause])
}

fn not_there_to_match(target: &Target, uid: Option<&str>) -> Status {
    let given = uid.map_or_else(|| "a resourceVersion".to_owned(), |uid| format!("uid {uid}"));
    let why = format!("uid mismatch: the provided object specified {given}, and no existing object was found");
    Status::conflict(&target.resource.names, &target.name, &why)
}
