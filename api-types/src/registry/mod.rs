//! The one list of kinds that are served from the start, as data.
//!
//! Ours are registered as `CustomResourceDefinition` objects, through the same door as a user's; Kubernetes' own are
//! built in. API, OpenAPI, command line, web pages and documentation derive from this list.

use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::definition::{
    Conversion, DefinitionNames, DefinitionSpec, DefinitionVersion, PrinterColumn, Scope, SelectableField,
    StatusSubresource, Subresources, VersionSchema,
};
use crate::kind::Kind;
use crate::kinds::app::App;
use crate::kinds::approval::Approval;
use crate::kinds::built_in::custom_resource_definition::CustomResourceDefinition;
use crate::kinds::built_in::namespace::Namespace;
use crate::kinds::built_in::{access_control, config_map, event, lease, secret, service_account};
use crate::kinds::certificate::Certificate;
use crate::kinds::forge::Forge;
use crate::kinds::host::Host;
use crate::kinds::recipe::Recipe;
use crate::kinds::repository::Repository;
use crate::kinds::test_run::TestRun;
use crate::schema::{Schema, SchemaType};
use crate::structural::structural;

#[cfg(test)]
mod tests;

/// One kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Names, versions, schemas, columns.
    pub spec: DefinitionSpec,
    /// Whether it is Kubernetes' own: always there, not shown as a `CustomResourceDefinition`.
    pub built_in: bool,
}

/// A kind that shows the objects of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The kind.
    pub definition: Definition,
    /// `plural.group` of the resource whose objects it shows; the plural alone for the core group.
    pub stored_as: &'static str,
}

/// What a kind of Kubernetes' own is called, for [`built_in`].
#[derive(Clone, Debug, Default)]
pub(crate) struct BuiltIn {
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) short_names: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) scope: Scope,
    pub(crate) description: &'static str,
    pub(crate) columns: Vec<PrinterColumn>,
    pub(crate) selectable_fields: &'static [&'static str],
    pub(crate) has_status: bool,
}

impl Definition {
    /// Returns the definition of a kind that is a Rust type with spec and status.
    ///
    /// # Panics
    /// When the types have no structural schema; a test makes every definition.
    #[must_use]
    pub fn of<K: Kind>() -> Self
    where
        K::Spec: JsonSchema,
        K::Status: JsonSchema,
    {
        let part = |schema: Result<Schema, _>, description: &str| Schema {
            description: description.to_owned(),
            ..schema.expect("a test makes the schema of every kind")
        };
        let mut root = Schema { type_: Some(SchemaType::Object), ..Schema::default() };
        root.properties.insert("spec".to_owned(), Box::new(part(structural::<K::Spec>(), "What is wanted.")));
        root.properties.insert(
            "status".to_owned(),
            Box::new(part(structural::<K::Status>(), "What was seen; only the daemon writes it.")),
        );
        let is_built_in = K::GROUP != crate::meta::GROUP;
        if !is_built_in {
            root.required.push("spec".to_owned());
        }
        define(
            &BuiltIn {
                group: K::GROUP,
                version: K::VERSION,
                kind: K::KIND,
                plural: K::PLURAL,
                short_names: K::SHORT_NAMES,
                categories: K::CATEGORIES,
                scope: K::SCOPE,
                description: K::DESCRIPTION,
                columns: K::columns(),
                selectable_fields: K::SELECTABLE_FIELDS,
                has_status: true,
            },
            root,
            is_built_in,
        )
    }

    /// Returns `plural.group`, or the plural alone for the core group.
    #[must_use]
    pub fn resource(&self) -> String {
        let plural = &self.spec.names.plural;
        if self.spec.group.is_empty() { plural.clone() } else { format!("{plural}.{}", self.spec.group) }
    }

    /// Returns the version that objects are stored with.
    ///
    /// # Panics
    /// Never: every definition of this module has one.
    #[must_use]
    pub fn storage_version(&self) -> &DefinitionVersion {
        self.spec.versions.iter().find(|version| version.storage).expect("every definition has a storage version")
    }

    /// Returns the `CustomResourceDefinition` object that a client would create.
    ///
    /// # Panics
    /// Never: definitions are plain data.
    #[must_use]
    pub fn to_object(&self) -> Value {
        json!({
            "apiVersion": CustomResourceDefinition::api_version(),
            "kind": CustomResourceDefinition::KIND,
            "metadata": {"name": self.resource()},
            "spec": serde_json::to_value(&self.spec).expect("definitions are plain data"),
        })
    }
}

/// Returns every kind that is served from the start: Kubernetes' own, then ours.
#[must_use]
pub fn definitions() -> Vec<Definition> {
    let mut definitions = vec![
        Definition::of::<Namespace>(),
        secret::definition(),
        config_map::definition(),
        service_account::definition(),
        event::definition(),
        lease::definition(),
        Definition::of::<CustomResourceDefinition>(),
    ];
    definitions.extend(access_control::definitions());
    definitions.extend([
        Definition::of::<Forge>(),
        Definition::of::<Repository>(),
        Definition::of::<Recipe>(),
        Definition::of::<TestRun>(),
        Definition::of::<App>(),
        Definition::of::<Certificate>(),
        Definition::of::<Host>(),
        Definition::of::<Approval>(),
    ]);
    definitions
}

/// Returns the kinds that show the objects of another.
#[must_use]
pub fn aliases() -> Vec<Alias> {
    vec![Alias { definition: event::other_face(), stored_as: "events" }]
}

/// Returns the definition of a kind of Kubernetes' own whose fields are those of `T`.
pub(crate) fn built_in<T: JsonSchema>(names: &BuiltIn) -> Definition {
    let root = structural::<T>().expect("a test makes the schema of every kind");
    define(names, root, true)
}

fn define(names: &BuiltIn, root: Schema, built_in: bool) -> Definition {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let version = DefinitionVersion {
        name: names.version.to_owned(),
        served: true,
        storage: true,
        schema: Some(VersionSchema { open_api_v3_schema: whole_object(root, names.description) }),
        subresources: names
            .has_status
            .then(|| Subresources { status: Some(StatusSubresource {}), ..Subresources::default() }),
        additional_printer_columns: names.columns.clone(),
        selectable_fields: names
            .selectable_fields
            .iter()
            .map(|path| SelectableField { json_path: (*path).to_owned() })
            .collect(),
        ..DefinitionVersion::default()
    };
    Definition {
        spec: DefinitionSpec {
            group: names.group.to_owned(),
            names: DefinitionNames {
                plural: names.plural.to_owned(),
                singular: Some(names.kind.to_lowercase()),
                kind: names.kind.to_owned(),
                list_kind: Some(format!("{}List", names.kind)),
                short_names: texts(names.short_names),
                categories: texts(names.categories),
            },
            scope: names.scope,
            versions: vec![version],
            conversion: Some(Conversion { strategy: "None".to_owned() }),
            preserve_unknown_fields: None,
        },
        built_in,
    }
}

/// Adds what every object has.
fn whole_object(root: Schema, description: &str) -> Schema {
    let text = |description: &str| Schema {
        type_: Some(SchemaType::String),
        description: description.to_owned(),
        ..Schema::default()
    };
    let mut root = Schema { type_: Some(SchemaType::Object), description: description.to_owned(), ..root };
    let metadata = Schema {
        type_: Some(SchemaType::Object),
        description: "Name, namespace, labels, annotations, owners and finalizers.".to_owned(),
        ..Schema::default()
    };
    root.properties.insert("apiVersion".to_owned(), Box::new(text("Group and version of the object's kind.")));
    root.properties.insert("kind".to_owned(), Box::new(text("Kind of the object.")));
    root.properties.insert("metadata".to_owned(), Box::new(metadata));
    root
}
