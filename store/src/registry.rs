//! Which kinds exist: every resource that is served, with its compiled schema.
//!
//! A resource comes from a definition. Kubernetes' own kinds are built in; ours and users' come from
//! `CustomResourceDefinition` objects, through the same [`Resource::compile`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api_types::definition::{
    DefinitionNames, DefinitionSpec, DefinitionVersion, PrinterColumn, Scope, SelectableField, Subresources,
};
use api_types::status::{ResourceNames, StatusCause};

use crate::schema::compiled::CompiledSchema;

/// The key of the resource that holds definitions.
pub const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";
/// The key of the resource that holds namespaces.
pub const NAMESPACES: &str = "namespaces";
/// The key of the resource that holds events.
pub const EVENTS: &str = "events";

/// Where a resource's definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Kubernetes' own kinds: always there, not shown as a definition.
    BuiltIn,
    /// A `CustomResourceDefinition` object in the store.
    Definition,
}

/// One resource: a kind, its names, its versions.
#[derive(Debug)]
pub struct Resource {
    /// `plural.group`, or the plural alone for the core group.
    pub key: Arc<str>,
    /// The names that messages need.
    pub names: ResourceNames,
    /// Lower-case singular.
    pub singular: String,
    /// Kind of the list.
    pub list_kind: String,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Groups that `kubectl get CATEGORY` expands.
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub scope: Scope,
    /// Every version, in the order of the definition.
    pub versions: Vec<ResourceVersion>,
    /// Where the definition comes from.
    pub origin: Origin,
    /// Names of the versions that objects may still be stored with: the present storage version, and those that were it
    /// before until the definition's `status.storedVersions` no longer names them.
    pub stored_versions: Vec<String>,
}

/// One version of a resource.
#[derive(Debug)]
pub struct ResourceVersion {
    /// `v1alpha1`.
    pub name: String,
    /// `group/version`, or the version alone for the core group.
    pub api_version: String,
    /// Whether requests for it are answered.
    pub served: bool,
    /// Whether objects are stored with it.
    pub storage: bool,
    /// Text of the `Warning` header when the version is deprecated.
    pub deprecation_warning: Option<String>,
    /// Pruning, defaulting, validation.
    pub schema: Arc<CompiledSchema>,
    /// Which subresources exist.
    pub subresources: Subresources,
    /// Columns of the printed table.
    pub columns: Vec<PrinterColumn>,
    /// Fields that field selectors may name.
    pub selectable_fields: Vec<SelectableField>,
}

impl Resource {
    /// Compiles a definition.
    ///
    /// # Errors
    /// Every cause why the definition cannot be served, with field paths that start at `spec`.
    pub fn compile(spec: &DefinitionSpec, origin: Origin) -> Result<Self, Vec<StatusCause>> {
        let mut versions = Vec::with_capacity(spec.versions.len());
        let mut causes = Vec::new();
        for (index, version) in spec.versions.iter().enumerate() {
            match compile_version(&spec.group, version) {
                Ok(version) => versions.push(version),
                Err(found) => causes.extend(found.into_iter().map(|cause| StatusCause {
                    field: format!("spec.versions[{index}].schema.{}", cause.field),
                    ..cause
                })),
            }
        }
        if !causes.is_empty() {
            return Err(causes);
        }
        let names = &spec.names;
        let storage = spec.versions.iter().filter(|version| version.storage);
        Ok(Self {
            key: resource_key(&spec.group, &names.plural),
            names: ResourceNames { group: spec.group.clone(), plural: names.plural.clone(), kind: names.kind.clone() },
            singular: names.singular.clone().unwrap_or_else(|| names.kind.to_lowercase()),
            list_kind: names.list_kind.clone().unwrap_or_else(|| format!("{}List", names.kind)),
            short_names: names.short_names.clone(),
            categories: names.categories.clone(),
            scope: spec.scope,
            stored_versions: storage.map(|version| version.name.clone()).collect(),
            versions,
            origin,
        })
    }

    /// Returns whether objects live in namespaces.
    #[must_use]
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Returns a version that is served.
    #[must_use]
    pub fn served_version(&self, name: &str) -> Option<&ResourceVersion> {
        self.versions.iter().find(|version| version.served && version.name == name)
    }

    /// Returns the version that objects are stored with.
    ///
    /// # Panics
    /// Never: admission refuses a definition without exactly one storage version.
    #[must_use]
    pub fn storage_version(&self) -> &ResourceVersion {
        self.versions
            .iter()
            .find(|version| version.storage)
            .expect("admission refuses definitions without a storage version")
    }

    /// Returns whether every object is stored with `version`, so that its stored bytes show it.
    #[must_use]
    pub fn stores_only(&self, version: &ResourceVersion) -> bool {
        version.storage && self.stored_versions == [version.name.as_str()]
    }
}

fn compile_version(group: &str, version: &DefinitionVersion) -> Result<ResourceVersion, Vec<StatusCause>> {
    let schema = version.schema.clone().unwrap_or_default().open_api_v3_schema;
    let deprecated = version.deprecated.unwrap_or_default();
    let api_version = api_version(group, &version.name);
    Ok(ResourceVersion {
        name: version.name.clone(),
        served: version.served,
        storage: version.storage,
        deprecation_warning: deprecated
            .then(|| version.deprecation_warning.clone().unwrap_or_else(|| format!("{api_version} is deprecated"))),
        schema: Arc::new(CompiledSchema::compile(schema)?),
        subresources: version.subresources.clone().unwrap_or_default(),
        columns: version.additional_printer_columns.clone(),
        selectable_fields: version.selectable_fields.clone(),
        api_version,
    })
}

/// The names that a definition has for itself in its group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub group: String,
    /// Plural, singular and abbreviations.
    pub resources: BTreeSet<String>,
    /// The kind and the kind of its list.
    pub kinds: BTreeSet<String>,
    /// It asks for names that others have.
    pub waits: bool,
}

/// What one definition stands for: names, and a resource if it has all that it takes to be served.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub key: Arc<str>,
    pub claim: Claim,
    pub resource: Option<Arc<Resource>>,
}

impl Claim {
    /// Returns the claim on `names` in `group`.
    pub(crate) fn new(group: &str, names: &DefinitionNames, waits: bool) -> Self {
        let there = |names: Vec<&String>| names.into_iter().filter(|name| !name.is_empty()).cloned().collect();
        let resources = [&names.plural].into_iter().chain(&names.singular).chain(&names.short_names);
        let kinds = [&names.kind].into_iter().chain(&names.list_kind);
        Self { group: group.to_owned(), resources: there(resources.collect()), kinds: there(kinds.collect()), waits }
    }

    fn of(resource: &Resource) -> Self {
        let names = DefinitionNames {
            plural: resource.names.plural.clone(),
            singular: Some(resource.singular.clone()),
            kind: resource.names.kind.clone(),
            list_kind: Some(resource.list_kind.clone()),
            short_names: resource.short_names.clone(),
            categories: Vec::new(),
        };
        Self::new(&resource.names.group, &names, false)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.group == other.group
            && !(self.resources.is_disjoint(&other.resources) && self.kinds.is_disjoint(&other.kinds))
    }
}

/// Every resource that is served. Immutable: a change makes a new one.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    resources: BTreeMap<Arc<str>, Arc<Resource>>,
    /// The names that are taken, by whom, served or not.
    claims: BTreeMap<Arc<str>, Arc<Claim>>,
}

impl Registry {
    /// Returns a registry of `resources`.
    #[must_use]
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        let resources: BTreeMap<_, _> =
            resources.into_iter().map(|resource| (resource.key.clone(), Arc::new(resource))).collect();
        let claims = resources.iter().map(|(key, resource)| (key.clone(), Arc::new(Claim::of(resource)))).collect();
        Self { resources, claims }
    }

    /// Returns the resource with the key `plural.group`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Resource>> {
        self.resources.get(key)
    }

    /// Returns the resource that serves `plural` in `group` and `version`.
    #[must_use]
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<(&Arc<Resource>, &ResourceVersion)> {
        let resource = self.resources.get(&*resource_key(group, plural))?;
        Some((resource, resource.served_version(version)?))
    }

    /// Returns the resource of a `kind` in `group`, whatever the version.
    #[must_use]
    pub fn find_kind(&self, group: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.resources.values().find(|resource| resource.names.group == group && resource.names.kind == kind)
    }

    /// Iterates over every resource in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Returns a registry with `definition` added or replaced.
    #[must_use]
    pub(crate) fn with(&self, definition: Definition) -> Self {
        let mut registry = self.clone();
        match definition.resource {
            Some(resource) => registry.resources.insert(definition.key.clone(), resource),
            None => registry.resources.remove(&definition.key),
        };
        registry.claims.insert(definition.key, Arc::new(definition.claim));
        registry
    }

    /// Returns a registry without the resource `key`.
    #[must_use]
    pub(crate) fn without(&self, key: &str) -> Self {
        let mut registry = self.clone();
        registry.resources.remove(key);
        registry.claims.remove(key);
        registry
    }

    /// Returns the names in `group` that definitions other than `key` have.
    #[must_use]
    pub(crate) fn taken(&self, group: &str, key: &str) -> Claim {
        let mut taken = Claim { group: group.to_owned(), ..Claim::default() };
        for (_, claim) in self.claims.iter().filter(|(other, claim)| claim.group == group && &***other != key) {
            taken.resources.extend(claim.resources.iter().cloned());
            taken.kinds.extend(claim.kinds.iter().cloned());
        }
        taken
    }

    /// Returns whether `definition` claims a name that another has.
    #[must_use]
    pub(crate) fn conflicts(&self, definition: &Definition) -> bool {
        self.claims.iter().any(|(key, claim)| *key != definition.key && claim.overlaps(&definition.claim))
    }

    /// Returns the definitions of `group` that wait for a name.
    pub(crate) fn waiting<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a Arc<str>> {
        self.claims.iter().filter(move |(_, claim)| claim.waits && claim.group == group).map(|(key, _)| key)
    }

    /// Returns whether the definition `key` waits for a name.
    #[must_use]
    pub(crate) fn is_waiting(&self, key: &str) -> bool {
        self.claims.get(key).is_some_and(|claim| claim.waits)
    }
}

/// Returns `plural.group`, or the plural alone for the core group.
#[must_use]
pub fn resource_key(group: &str, plural: &str) -> Arc<str> {
    if group.is_empty() { Arc::from(plural) } else { Arc::from(format!("{plural}.{group}")) }
}

/// Returns `group/version`, or the version alone for the core group.
#[must_use]
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}
