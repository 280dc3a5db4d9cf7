//! Delete: at once when nobody must clean up, otherwise marked and left to the finalizers.

use std::sync::Arc;

use api_types::status::Status;
use serde_json::Value;

use super::admit::{has_generation, metadata_of};
use super::{Attempt, RETRIES_MAX};
use crate::commit::{Expected, Write};
use crate::object::Object;
use crate::request::{DeleteOptions, DryRun, Outcome, Propagation, Target, Written};
use crate::store::Store;
use crate::strategy;

/// Finalizer that keeps an owner until the dependents that block it are gone.
pub(crate) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// Finalizer that keeps an owner until its dependents have forgotten it.
pub(crate) const ORPHAN_FINALIZER: &str = "orphan";

impl Store {
    /// Deletes an object, or marks it for deletion when finalizers must run first.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when a precondition does not hold; `Forbidden` for what may not be deleted.
    pub async fn delete(&self, target: &Target, options: &DeleteOptions) -> Result<Written, Status> {
        let key = target.key();
        let names = &target.resource.names;
        let mut turn = None;
        for _ in 0..RETRIES_MAX {
            let object = self.get(&target.resource, &key).ok_or_else(|| Status::not_found(names, &target.name))?;
            check_preconditions(target, &object, options)?;
            strategy::check_delete(&target.resource, &target.name)?;
            if object.is_deleting() {
                return Ok(Written { object, outcome: Outcome::Deleting, warnings: Vec::new() });
            }
            if let Some(written) = self.delete_version(target, &object, options).await? {
                return Ok(written);
            }
            if turn.is_none() {
                turn = Some(self.retry_turn(&target.resource, &key).await);
            }
        }
        Err(Status::conflict(names, &target.name, "the object is being changed too quickly, please try again"))
    }

    async fn delete_version(
        &self,
        target: &Target,
        object: &Arc<Object>,
        options: &DeleteOptions,
    ) -> Result<Option<Written>, Status> {
        let mut value = object.value();
        add_finalizers(&mut value, options.propagation);
        strategy::prepare_delete(&target.resource, &mut value);
        let goes_now = strategy::has_no_finalizers(&target.resource, &value);
        if !goes_now {
            mark(target, &mut value, &self.now_text());
        }
        let registry = goes_now.then(|| strategy::registry_removal(&target.resource, &value)).flatten();
        let draft = self.draft(&target.resource, object.key(), &value)?;
        let outcome = if goes_now { Outcome::Deleted } else { Outcome::Deleting };
        if options.dry_run == DryRun::All {
            let object = Arc::new(draft.finish(object.revision));
            return Ok(Some(Written { object, outcome, warnings: Vec::new() }));
        }
        let write = Write {
            resource: target.resource.clone(),
            key: target.key(),
            expected: Expected::Revision(object.revision),
            draft,
            deletes: goes_now,
            namespace: None,
            registry,
        };
        match self.attempt(write).await? {
            Attempt::Done(object) => Ok(Some(Written { object, outcome, warnings: Vec::new() })),
            Attempt::LostRace | Attempt::NamesTaken => Ok(None),
        }
    }
}

fn check_preconditions(target: &Target, object: &Object, options: &DeleteOptions) -> Result<(), Status> {
    let fail = |why: String| {
        let mut status = Status::conflict(&target.resource.names, &target.name, &format!("Precondition failed: {why}"));
        status.message = why_message(target, &why);
        if let Some(details) = &mut status.details {
            details.kind.clone_from(&target.resource.names.kind);
        }
        Err(status)
    };
    if let Some(uid) = &options.uid
        && uid != object.uid()
    {
        return fail(format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
            object.uid()
        ));
    }
    if let Some(version) = &options.resource_version
        && *version != object.revision.to_string()
    {
        return fail(format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). The object might have been modified",
            object.revision
        ));
    }
    Ok(())
}

fn why_message(target: &Target, why: &str) -> String {
    format!("Operation cannot be fulfilled on {} \"{}\": {why}", target.resource.names.qualified_kind(), target.name)
}

fn add_finalizers(value: &mut Value, propagation: Option<Propagation>) {
    let finalizer = match propagation {
        None | Some(Propagation::Background) => return,
        Some(Propagation::Foreground) => FOREGROUND_FINALIZER,
        Some(Propagation::Orphan) => ORPHAN_FINALIZER,
    };
    let finalizers = metadata_of(value).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if let Some(finalizers) = finalizers.as_array_mut()
        && !finalizers.iter().any(|found| found == finalizer)
    {
        finalizers.push(Value::from(finalizer));
    }
}

fn mark(target: &Target, value: &mut Value, now: &str) {
    let counts = has_generation(&target.resource);
    let metadata = metadata_of(value);
    metadata.insert("deletionTimestamp".to_owned(), Value::from(now));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(0));
    if counts {
        let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or_default() + 1;
        metadata.insert("generation".to_owned(), Value::from(generation));
    }
}
