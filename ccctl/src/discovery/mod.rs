//! What the server serves: resource types with their names, read from aggregated discovery and kept on disk.

mod cache;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::client::Client;
use crate::client::request::{Accept, ApiRequest, segment};
use crate::error::{CommandError, Result};

/// For this long a cached answer is used without asking whether it is still right.
const TRUSTED_SECONDS: i64 = 600;
/// The two documents of discovery.
const PATHS: [&str; 2] = ["/api", "/apis"];

/// One resource type in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceType {
    /// API group; empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural, as in paths.
    pub plural: String,
    /// Singular, for people.
    pub singular: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs that the server takes.
    pub verbs: Vec<String>,
    /// Abbreviations.
    pub short_names: Vec<String>,
    /// Names for several resource types at once, such as `all`.
    pub categories: Vec<String>,
    /// Subresources with their verbs.
    pub subresources: Vec<String>,
    /// Whether this is the version that the server prefers.
    pub preferred: bool,
}

impl ResourceType {
    /// Returns `group/version`, or the version alone for the core group.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Returns `plural.group`, or the plural alone for the core group.
    #[must_use]
    pub fn qualified_plural(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// Returns `kind.group` in lower case, as kubectl names objects; the kind alone for the core group.
    #[must_use]
    pub fn qualified_kind(&self) -> String {
        qualified(&self.kind.to_lowercase(), &self.group)
    }

    /// Returns the path of all objects, or of those of one namespace. Cluster-scoped types ignore the namespace.
    #[must_use]
    pub fn collection_path(&self, namespace: Option<&str>) -> String {
        let base = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{base}/namespaces/{}/{}", segment(namespace), self.plural),
            None => format!("{base}/{}", self.plural),
        }
    }

    /// Returns the path of one object.
    #[must_use]
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection_path(namespace), segment(name))
    }

    /// Says whether the server takes a verb.
    #[must_use]
    pub fn supports(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Says whether the type has a subresource.
    #[must_use]
    pub fn has_subresource(&self, name: &str) -> bool {
        self.subresources.iter().any(|known| known == name)
    }

    fn answers_to(&self, name: &str) -> bool {
        self.plural == name
            || self.singular == name
            || self.kind.to_lowercase() == name
            || self.short_names.iter().any(|short| short == name)
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}

/// Every resource type of a server.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Core group first, then as the server lists them.
    pub types: Vec<ResourceType>,
    folder: Option<PathBuf>,
    fresh: bool,
}

impl Discovery {
    /// Reads discovery from the cache below `folder` if it is young, else asks the server whether it is still right.
    ///
    /// # Errors
    /// The server cannot be reached, refuses, or does not serve aggregated discovery.
    pub async fn load(client: &Client, folder: Option<&Path>, now: Timestamp) -> Result<Self> {
        let folder =
            folder.map(|folder| folder.join("discovery").join(cache::folder_name(&client.connection().server)));
        let mut documents = Vec::new();
        let mut fresh = true;
        for path in PATHS {
            let cached = folder.as_deref().and_then(|folder| cache::read(folder, path));
            let trusted = cached
                .as_ref()
                .is_some_and(|cached| (0..TRUSTED_SECONDS).contains(&(now.as_second() - cached.checked_at)));
            fresh &= !trusted;
            documents.push(match cached {
                Some(cached) if trusted => cached.document,
                cached => fetch(client, path, cached, folder.as_deref(), now).await?,
            });
        }
        Ok(Self { types: types_of(&documents), folder, fresh })
    }

    /// Asks the server again, unless it was asked in this run.
    ///
    /// # Errors
    /// As [`Discovery::load`].
    pub async fn refreshed(&self, client: &Client, now: Timestamp) -> Result<Option<Self>> {
        if self.fresh {
            return Ok(None);
        }
        let mut documents = Vec::new();
        for path in PATHS {
            let cached = self.folder.as_deref().and_then(|folder| cache::read(folder, path));
            documents.push(fetch(client, path, cached, self.folder.as_deref(), now).await?);
        }
        Ok(Some(Self { types: types_of(&documents), folder: self.folder.clone(), fresh: true }))
    }

    /// Removes what is kept on disk, so that the next start asks the server.
    pub fn forget(&self) {
        if let Some(folder) = &self.folder {
            // What cannot be removed is asked about again when it is old enough.
            let _ = std::fs::remove_dir_all(folder);
        }
    }

    /// Finds the type that a person means: plural, singular, short name or kind, optionally followed by
    /// `.group` or `.version.group`; upper and lower case are the same.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ResourceType> {
        let name = name.to_lowercase();
        let (first, rest) = name.split_once('.').map_or((name.as_str(), None), |(first, rest)| (first, Some(rest)));
        let matches = |candidate: &&ResourceType| {
            candidate.answers_to(first)
                && rest.is_none_or(|rest| {
                    let with_version = format!("{}.{}", candidate.version, candidate.group);
                    // `recipes.ci` is enough when only one group begins so.
                    rest == candidate.group
                        || rest == with_version
                        || rest == with_version.trim_end_matches('.')
                        || (!candidate.group.is_empty() && candidate.group.starts_with(&format!("{rest}.")))
                })
        };
        let exact = |candidate: &&ResourceType| candidate.plural == first || candidate.singular == first;
        let found: Vec<&ResourceType> = self.types.iter().filter(matches).collect();
        found
            .iter()
            .find(|candidate| exact(candidate) && candidate.preferred)
            .or_else(|| found.iter().find(|candidate| candidate.preferred))
            .or_else(|| found.first())
            .copied()
    }

    /// Returns each type once: in the version that the server prefers, or the first that has it.
    pub fn each_once(&self) -> impl Iterator<Item = &ResourceType> {
        let same = |one: &ResourceType, other: &ResourceType| one.plural == other.plural && one.group == other.group;
        self.types.iter().enumerate().filter_map(move |(index, candidate)| {
            // Of a group the preferred version comes first.
            (!self.types[..index].iter().any(|before| same(before, candidate))).then_some(candidate)
        })
    }

    /// Finds the type of an object by its `apiVersion` and `kind`.
    #[must_use]
    pub fn find_kind(&self, api_version: &str, kind: &str) -> Option<&ResourceType> {
        self.types.iter().find(|candidate| candidate.kind == kind && candidate.api_version() == api_version)
    }

    /// Returns the types of a category that can be listed.
    #[must_use]
    pub fn category(&self, name: &str) -> Vec<&ResourceType> {
        let belongs = |candidate: &&ResourceType| {
            candidate.preferred
                && candidate.supports("list")
                && candidate.categories.iter().any(|category| category == name)
        };
        self.types.iter().filter(belongs).collect()
    }

    /// Returns the error for a name that no type answers to, with the nearest names as hint.
    #[must_use]
    pub fn unknown(&self, name: &str) -> CommandError {
        let error = CommandError::user(format!("the server doesn't have a resource type \"{name}\"")).exit_with(1);
        let lower = name.to_lowercase();
        let nearest = self
            .types
            .iter()
            .flat_map(|candidate| [&candidate.plural, &candidate.singular].into_iter().chain(&candidate.short_names))
            .map(|known| (similar::TextDiff::from_chars(lower.as_str(), known.as_str()).ratio(), known))
            .max_by(|left, right| left.0.total_cmp(&right.0));
        match nearest {
            Some((ratio, known)) if ratio > 0.6 => error.hint(format!("did you mean `{known}`?")),
            _ => error.hint("see the types there are with `ccctl api-resources`"),
        }
    }
}

async fn fetch(
    client: &Client,
    path: &str,
    cached: Option<cache::Cached>,
    folder: Option<&Path>,
    now: Timestamp,
) -> Result<Value> {
    let mut request = ApiRequest::get(path).accept(Accept::Discovery).hidden();
    request.known_etag = cached.as_ref().and_then(|cached| cached.etag.clone());
    let answer = client.answer(request).await?;
    let (etag, document) = match cached {
        Some(cached) if answer.code == 304 => (cached.etag, cached.document),
        _ => {
            let document: Value = serde_json::from_slice(&answer.body).map_err(|_| not_discovery(client))?;
            if document["kind"] != "APIGroupDiscoveryList" {
                return Err(not_discovery(client));
            }
            (answer.etag, document)
        }
    };
    let cached = cache::Cached { checked_at: now.as_second(), etag, document };
    if let Some(folder) = folder {
        // A cache that cannot be written makes the next start slower, nothing else.
        let _ = cache::write(folder, path, &cached);
    }
    Ok(cached.document)
}

fn not_discovery(client: &Client) -> CommandError {
    CommandError::server(format!("{} does not serve aggregated discovery: it is not ccd", client.connection().server))
        .hint("`ccctl config view` shows the address, `ccctl config get-contexts` the others there are")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireType {
    resource: String,
    #[serde(default)]
    response_kind: WireKind,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
    #[serde(default)]
    subresources: Vec<WireSubresource>,
}

#[derive(Default, Deserialize)]
struct WireKind {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
struct WireSubresource {
    subresource: String,
}

/// Turns discovery documents into types. What does not have the expected shape is left out.
fn types_of(documents: &[Value]) -> Vec<ResourceType> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut types = Vec::new();
    for group in documents.iter().flat_map(|document| list(&document["items"])) {
        let group_name = group["metadata"]["name"].as_str().unwrap_or_default();
        for (index, version) in list(&group["versions"]).into_iter().enumerate() {
            let version_name = version["version"].as_str().unwrap_or_default();
            let resources = list(&version["resources"]);
            let known = resources.into_iter().filter_map(|resource| serde_json::from_value::<WireType>(resource).ok());
            types.extend(known.map(|resource| resource_type(resource, group_name, version_name, index == 0)));
        }
    }
    types
}

fn resource_type(resource: WireType, group: &str, version: &str, preferred: bool) -> ResourceType {
    let kind = resource.response_kind.kind;
    let singular = if resource.singular_resource.is_empty() { kind.to_lowercase() } else { resource.singular_resource };
    ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
        plural: resource.resource,
        singular,
        namespaced: resource.scope == "Namespaced",
        verbs: resource.verbs,
        short_names: resource.short_names,
        categories: resource.categories,
        subresources: resource.subresources.into_iter().map(|sub| sub.subresource).collect(),
        preferred,
    }
}
