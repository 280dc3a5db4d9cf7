//! What people type to say which objects they mean: `TYPE`, `TYPE NAME…`, `TYPE/NAME…`, `-l`, `--all`, `-f`.

use serde_json::Value;

use crate::client::request::{Accept, ApiRequest};
use crate::discovery::ResourceType;
use crate::error::{CommandError, Result};
use crate::manifests::FileArguments;
use crate::objects;
use crate::session::Session;

/// A type, and the names that were given with it.
#[derive(Clone, Debug)]
pub struct Target {
    /// The type.
    pub resource: ResourceType,
    /// Names; empty means every object.
    pub names: Vec<String>,
}

/// One object of the server.
#[derive(Clone, Debug)]
pub struct ObjectReference {
    /// Its type.
    pub resource: ResourceType,
    /// Its namespace; `None` for cluster-scoped types.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectReference {
    /// Returns the object's path.
    #[must_use]
    pub fn path(&self) -> String {
        self.resource.object_path(self.namespace.as_deref(), &self.name)
    }

    /// Returns `kind.group/name`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}/{}", self.resource.qualified_kind(), self.name)
    }

    /// Returns ` -n NAMESPACE` for use in hints, nothing for cluster-scoped types.
    #[must_use]
    pub fn namespace_option(&self) -> String {
        self.namespace.as_ref().map(|namespace| format!(" -n {namespace}")).unwrap_or_default()
    }
}

/// Options that select objects.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SelectionArguments {
    /// TYPE NAME…, TYPE/NAME…, or TYPE with --all or -l
    #[arg(value_name = "TYPE/NAME")]
    pub words: Vec<String>,
    /// Files that name the objects
    #[command(flatten)]
    pub files: FileArguments,
    /// Objects whose labels match, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Objects whose fields match, such as metadata.name=a
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// Every object of the type
    #[arg(long)]
    pub all: bool,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

impl SelectionArguments {
    /// Finds the objects that are meant.
    ///
    /// # Errors
    /// Nothing was named, or it cannot be found out what was meant.
    pub async fn resolve(&self, session: &Session) -> Result<Vec<ObjectReference>> {
        if self.files.is_given() {
            return self.named_in_files(session).await;
        }
        let mut found = Vec::new();
        for target in targets(session, &self.words).await? {
            if !target.names.is_empty() {
                self.refuse_selectors_with_names()?;
                let namespace = if target.resource.namespaced { Some(session.namespace()?) } else { None };
                found.extend(target.names.into_iter().map(|name| ObjectReference {
                    resource: target.resource.clone(),
                    namespace: namespace.clone(),
                    name,
                }));
            } else if self.all || self.selector.is_some() || self.field_selector.is_some() {
                found.extend(self.listed(session, &target.resource).await?);
            } else {
                return Err(CommandError::user("resource(s) were provided, but no name was specified").hint(format!(
                    "name one: {0}/NAME, or take every one with --all; `ccctl get {0}` shows them",
                    target.resource.plural
                )));
            }
        }
        Ok(found)
    }

    fn refuse_selectors_with_names(&self) -> Result<()> {
        if self.all || self.selector.is_some() || self.field_selector.is_some() {
            return Err(CommandError::user("names and selectors (-l, --field-selector, --all) exclude each other"));
        }
        if self.all_namespaces {
            return Err(CommandError::user("a resource cannot be retrieved by name across all namespaces")
                .hint("name the namespace with -n"));
        }
        Ok(())
    }

    async fn named_in_files(&self, session: &Session) -> Result<Vec<ObjectReference>> {
        if !self.words.is_empty() {
            return Err(CommandError::user("names and -f exclude each other"));
        }
        let mut found = Vec::new();
        for manifest in self.files.read()? {
            let in_file = |error: CommandError| error.while_doing(&format!("error in \"{}\"", manifest.source));
            let resource = manifest.resource_type(session).await.map_err(in_file)?;
            let namespace = manifest.namespace(session, &resource).map_err(in_file)?;
            if manifest.name().is_empty() {
                return Err(in_file(CommandError::user("metadata.name is missing")));
            }
            found.push(ObjectReference { resource, namespace, name: manifest.name().to_owned() });
        }
        Ok(found)
    }

    async fn listed(&self, session: &Session, resource: &ResourceType) -> Result<Vec<ObjectReference>> {
        let namespace = if self.all_namespaces { None } else { Some(session.namespace()?) };
        let request = ApiRequest::get(resource.collection_path(namespace.as_deref()))
            .accept(Accept::Metadata)
            .query_if("labelSelector", self.selector.as_deref())
            .query_if("fieldSelector", self.field_selector.as_deref());
        let list = objects::list_pages(session, request, objects::PAGE).await?;
        let items = list["items"].as_array().map_or(&[][..], Vec::as_slice);
        Ok(items.iter().map(|item| of_object(resource, item)).collect())
    }
}

/// Returns the reference to an object that was read.
#[must_use]
pub fn of_object(resource: &ResourceType, object: &Value) -> ObjectReference {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    ObjectReference {
        resource: resource.clone(),
        namespace: resource.namespaced.then(|| text("namespace")),
        name: text("name"),
    }
}

/// Reads `TYPE[,TYPE]`, `TYPE NAME…` or `TYPE/NAME…`.
///
/// # Errors
/// The words do not fit together, or the server has no such type.
pub async fn targets(session: &Session, words: &[String]) -> Result<Vec<Target>> {
    let Some(first) = words.first() else {
        return Err(CommandError::user("Required resource not specified")
            .hint("name a type, such as `recipes`, or an object, such as `recipe/NAME`; `ccctl api-resources` lists the types"));
    };
    if words.iter().any(|word| word.contains('/')) {
        return named_targets(session, words).await;
    }
    let names = &words[1..];
    let mut targets = Vec::new();
    for word in first.split(',').filter(|word| !word.is_empty()) {
        let members = session.resource_types_of_category(word).await?;
        if members.is_empty() {
            targets.push(Target { resource: session.resource_type(word).await?, names: names.to_vec() });
        } else if !names.is_empty() {
            return Err(CommandError::user(format!("\"{word}\" stands for several types and takes no names")));
        }
        targets.extend(members.into_iter().map(|resource| Target { resource, names: Vec::new() }));
    }
    if targets.is_empty() {
        return Err(CommandError::user(format!("\"{first}\" names no resource type")));
    }
    Ok(targets)
}

async fn named_targets(session: &Session, words: &[String]) -> Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/') else {
            return Err(CommandError::user(format!(
                "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form: \"{word}\" has no slash"
            ))
            .hint("write every object as TYPE/NAME, or one type and then only names"));
        };
        if kind.is_empty() || name.is_empty() || name.contains('/') {
            return Err(CommandError::user(format!(
                "arguments in resource/name form must have a single resource and name: \"{word}\""
            )));
        }
        let resource = session.resource_type(kind).await?;
        match targets.iter_mut().find(|target| target.resource == resource) {
            Some(target) => target.names.push(name.to_owned()),
            None => targets.push(Target { resource, names: vec![name.to_owned()] }),
        }
    }
    Ok(targets)
}

/// Reads words that must name exactly one object; a bare name is of `default_type`.
///
/// # Errors
/// None or several were named.
pub async fn single(session: &Session, words: &[String], default_type: Option<&str>) -> Result<ObjectReference> {
    let one = CommandError::user("name exactly one object").hint("for example TYPE/NAME or TYPE NAME");
    let with_default: Vec<String> = match (words, default_type) {
        ([name], Some(kind)) if !name.contains('/') => vec![format!("{kind}/{name}")],
        _ => words.to_vec(),
    };
    let mut targets = targets(session, &with_default).await?;
    let (Some(target), true) = (targets.pop(), targets.is_empty()) else { return Err(one) };
    let [name] = target.names.as_slice() else { return Err(one) };
    let namespace = if target.resource.namespaced { Some(session.namespace()?) } else { None };
    Ok(ObjectReference { name: name.clone(), namespace, resource: target.resource })
}
