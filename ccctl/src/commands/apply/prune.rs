//! `ccctl apply --prune`: members of a set that the files no longer name are deleted.
//!
//! ```text
//!   look: who is a member and no longer named? ─► refuse if too many ─► apply all, labelled ─► delete those ─► record
//! ```
//!
//! Everything is looked at before anything is changed. The record names kinds and namespaces before their first member is
//! made, so that an apply that was cut off leaves none that would not be found.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::set::{ApplySet, Fate, PART_OF, Scope, default_name, fate, group_kind, is_name};
use super::{ApplyArguments, reference_of};
use crate::client::request::{ApiRequest, PatchType};
use crate::commands::DryRun;
use crate::discovery::ResourceType;
use crate::error::{CommandError, Result};
use crate::manifests::FileArguments;
use crate::manifests::Manifest;
use crate::objects::{self, PAGE, list_pages};
use crate::reference::ObjectReference;
use crate::session::Session;

/// Names that a refusal lists; the rest is counted.
const NAMES_SHOWN: usize = 10;

/// Most objects that are pruned at once unless told otherwise.
const PRUNE_MAX: usize = 5;

/// Options that say what becomes of what the files no longer name.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PruneArguments {
    /// Delete what was applied with --prune before and is no longer in the files
    #[arg(long)]
    pub prune: bool,
    /// Name of the set that the files make up; the folder's name when only one folder is applied
    #[arg(long, value_name = "NAME", requires = "prune")]
    pub applyset: Option<String>,
    /// Most objects that may be pruned at once; when there are more, nothing is changed
    #[arg(long, value_name = "COUNT", default_value_t = PRUNE_MAX, requires = "prune")]
    pub prune_max: usize,
}

/// A prune that was looked into and may go on.
pub struct Pruning {
    set: ApplySet,
    /// What the files alone need.
    scope: Scope,
    /// What members were found in as well.
    scope_before: Scope,
    going: Vec<Member>,
}

struct Member {
    reference: ObjectReference,
    uid: String,
}

impl Pruning {
    /// Looks at what would go when that was asked for, and refuses what must not.
    ///
    /// # Errors
    /// The set has no name or is somebody else's; more would go than may; an object belongs to another set.
    pub async fn asked_for(
        session: &Session,
        arguments: &PruneArguments,
        files: &FileArguments,
        field_manager: &str,
        manifests: &[Manifest],
    ) -> Result<Option<Self>> {
        if !arguments.prune {
            return Ok(None);
        }
        Self::look(session, arguments, files, field_manager, manifests).await.map(Some)
    }

    async fn look(
        session: &Session,
        arguments: &PruneArguments,
        files: &FileArguments,
        field_manager: &str,
        manifests: &[Manifest],
    ) -> Result<Self> {
        let set = set_of(session, arguments, files)?;
        let mut scope = Scope::default();
        scope.namespaces.insert(set.namespace.clone());
        let mut named = BTreeSet::new();
        for manifest in manifests {
            let text = |field: &str| manifest.object[field].as_str().unwrap_or_default();
            scope.group_kinds.insert(group_kind(text("apiVersion"), text("kind")));
            // A kind that the files themselves define is not there yet, and has no objects.
            let Some(resource) = session.resource_type_of(text("apiVersion"), text("kind")).await? else {
                let namespace = manifest.object["metadata"]["namespace"].as_str().map(str::to_owned);
                scope.namespaces.extend(namespace);
                continue;
            };
            let reference = ObjectReference { resource, ..reference_of(session, manifest).await? };
            scope.namespaces.extend(reference.namespace.clone());
            refuse_another_set(session, &set, &reference).await?;
            named.insert(identity(&reference));
        }
        let record = match session.client()?.json(ApiRequest::get(record_path(session, &set).await?)).await {
            Ok(record) => Some(record),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        let scope_before = record.as_ref().map(|record| set.read(record)).transpose()?.unwrap_or_default();
        let mut pruning = Self { scope_before, going: Vec::new(), scope, set };
        pruning.find_members(session, field_manager, &named).await?;
        pruning.refuse_too_many(arguments)?;
        Ok(pruning)
    }

    async fn find_members(
        &mut self,
        session: &Session,
        field_manager: &str,
        named: &BTreeSet<(String, Option<String>, String)>,
    ) -> Result<()> {
        let everything = self.scope.clone().with(&self.scope_before);
        for resource in types(session, &everything).await? {
            let namespaces: Vec<Option<&str>> = match resource.namespaced {
                true => everything.namespaces.iter().map(|namespace| Some(namespace.as_str())).collect(),
                false => vec![None],
            };
            for namespace in namespaces {
                for object in members(session, &resource, namespace, &self.set).await? {
                    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                    let reference = ObjectReference {
                        resource: resource.clone(),
                        namespace: namespace.map(str::to_owned),
                        name: text("name"),
                    };
                    if named.contains(&identity(&reference)) {
                        continue;
                    }
                    match fate(&object, field_manager) {
                        Fate::Prune => self.going.push(Member { reference, uid: text("uid") }),
                        Fate::Going => {}
                        Fate::NotOurs => session.note(&format!(
                            "{} stays: it carries the label of the set {}, but was not applied as {}",
                            reference.text(),
                            self.set.name,
                            field_manager
                        )),
                        Fate::TooMuchGoesWithIt => {
                            self.keep_in_scope(&reference);
                            session.note(&format!(
                                "{} stays, because everything in it would go with it: delete it by hand",
                                reference.text()
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn keep_in_scope(&mut self, reference: &ObjectReference) {
        self.scope.group_kinds.insert(group_kind(&reference.resource.api_version(), &reference.resource.kind));
    }

    fn refuse_too_many(&self, arguments: &PruneArguments) -> Result<()> {
        let count = self.going.len();
        if count <= arguments.prune_max {
            return Ok(());
        }
        let mut names: Vec<String> =
            self.going.iter().take(NAMES_SHOWN).map(|member| member.reference.text()).collect();
        if count > NAMES_SHOWN {
            names.push(format!("and {} more", count - NAMES_SHOWN));
        }
        let text = format!(
            "{count} objects of the set {} are no longer in the files, more than the {} that may be pruned at once: {}. \
             Nothing was changed",
            self.set.name,
            arguments.prune_max,
            names.join(", ")
        );
        Err(CommandError::user(text)
            .hint(format!("look first at all of them: `ccctl plan --prune --prune-max={count} -f …`"))
            .hint(format!("if they should go: `--prune-max={count}`")))
    }

    /// Puts the set's label on an object that is about to be applied.
    pub fn label(&self, body: &mut Value) {
        if !body["metadata"]["labels"].is_object() {
            body["metadata"]["labels"] = json!({});
        }
        body["metadata"]["labels"][PART_OF] = self.set.id().into();
    }

    /// Returns what goes.
    pub fn going(&self) -> impl Iterator<Item = &ObjectReference> {
        self.going.iter().map(|member| &member.reference)
    }

    /// Notes where members are and may be from now on.
    ///
    /// # Errors
    /// The server refuses.
    pub(super) async fn begin(&self, session: &Session, arguments: &ApplyArguments) -> Result<()> {
        self.write(session, arguments, &self.scope.clone().with(&self.scope_before)).await
    }

    /// Deletes what the files no longer name. What was made anew under the same name meanwhile stays.
    ///
    /// # Errors
    /// The server refuses.
    pub(super) async fn finish(&self, session: &Session, arguments: &ApplyArguments) -> Result<()> {
        for Member { reference, uid } in &self.going {
            let mut options = json!({"propagationPolicy": "Background", "preconditions": {"uid": uid}});
            if arguments.dry_run == DryRun::Server {
                options["dryRun"] = json!(["All"]);
            }
            if arguments.dry_run != DryRun::Client {
                match session.client()?.json(ApiRequest::delete(reference.path(), &options)).await {
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => continue,
                    Err(error) => {
                        return Err(error.while_doing(&format!("error when pruning {}", reference.text())));
                    }
                }
            }
            if arguments.prints_lines() {
                session.print(&format!("{} pruned{}\n", reference.text(), arguments.dry_run.suffix()))?;
            }
        }
        self.write(session, arguments, &self.scope).await
    }

    async fn write(&self, session: &Session, arguments: &ApplyArguments, scope: &Scope) -> Result<()> {
        if arguments.dry_run != DryRun::None {
            return Ok(());
        }
        let body = self.set.record(scope);
        let request = ApiRequest::patch(record_path(session, &self.set).await?, PatchType::Apply, &body)
            .query("fieldManager", arguments.field_manager.clone())
            .query("force", "true");
        session.client()?.json(request).await.map(|_| ())
    }
}

fn set_of(session: &Session, arguments: &PruneArguments, files: &FileArguments) -> Result<ApplySet> {
    let name = match &arguments.applyset {
        Some(name) if is_name(name) => name.clone(),
        Some(name) => {
            let text = format!("{name:?} is no name for a set: small letters, digits and hyphens, at most 63");
            return Err(CommandError::user(text));
        }
        None => default_name(&files.filename)?,
    };
    Ok(ApplySet { name, namespace: session.namespace()? })
}

fn identity(reference: &ObjectReference) -> (String, Option<String>, String) {
    (reference.resource.qualified_plural(), reference.namespace.clone(), reference.name.clone())
}

async fn record_path(session: &Session, set: &ApplySet) -> Result<String> {
    Ok(session.resource_type("configmaps").await?.object_path(Some(&set.namespace), &set.name))
}

/// Returns the types that can be listed among kinds. One that is no longer served has no objects either.
async fn types(session: &Session, scope: &Scope) -> Result<Vec<ResourceType>> {
    let discovery = session.fresh_discovery().await?;
    let of_scope = |candidate: &&ResourceType| {
        candidate.preferred
            && candidate.supports("list")
            && scope.group_kinds.contains(&group_kind(&candidate.api_version(), &candidate.kind))
    };
    Ok(discovery.types.iter().filter(of_scope).cloned().collect())
}

async fn members(
    session: &Session,
    resource: &ResourceType,
    namespace: Option<&str>,
    set: &ApplySet,
) -> Result<Vec<Value>> {
    let selector = format!("{PART_OF}={}", set.id());
    let request = ApiRequest::get(resource.collection_path(namespace)).query("labelSelector", selector);
    let mut list = list_pages(session, request, PAGE).await?;
    let mut items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    for item in &mut items {
        objects::complete(item, resource);
    }
    Ok(items)
}

async fn refuse_another_set(session: &Session, set: &ApplySet, reference: &ObjectReference) -> Result<()> {
    let live = match objects::fetch(session, reference).await {
        Ok(live) => live,
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) => return Err(error),
    };
    match live["metadata"]["labels"][PART_OF].as_str() {
        Some(id) if id != set.id() => {
            let text = format!(
                "{} belongs to another set than {} ({id}): one object cannot belong to two",
                reference.text(),
                set.name
            );
            let name = format!("{}/{}{}", reference.resource.singular, reference.name, reference.namespace_option());
            Err(CommandError::user(text).hint(format!("take it out of the other set: `ccctl label {name} {PART_OF}-`")))
        }
        _ => Ok(()),
    }
}
