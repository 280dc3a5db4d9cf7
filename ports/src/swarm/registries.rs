//! Credentials for registries, as Docker's own `config.json` holds them: which belong to which image. Pure.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::RegistryAuth;

/// The registry of images that name none.
const DOCKER_HUB: &str = "docker.io";
/// What Docker's own tools call it as well.
const DOCKER_HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Credentials for registries. What is shown of it names the registries only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registries {
    /// By `HOST[:PORT]`, or `HOST[:PORT]/PATH` for what lies below a path only.
    auths: BTreeMap<String, RegistryAuth>,
}

/// Why a file of credentials cannot be used. Its text never shows what the file holds, but for names of registries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is no JSON of that shape; the word is the name of the shape.
    Shape(&'static str),
    /// A registry has neither user and password nor `auth`.
    NoPassword(String),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape(shape) => write!(formatter, "it is no JSON of the shape {shape}"),
            Self::NoPassword(registry) => write!(formatter, "it has no user and password for {registry}"),
        }
    }
}

#[derive(Deserialize)]
struct DockerConfig {
    auths: BTreeMap<String, Entry>,
}

/// One registry's; what else `docker login` writes beside it does not matter.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    username: String,
    password: String,
    auth: String,
}

impl Registries {
    /// Reads the content of a `config.json`: `{"auths": {"REGISTRY": {"username", "password"}}}` or
    /// `{"auths": {"REGISTRY": {"auth"}}}`, with `auth` = base64 of `user:password`.
    ///
    /// # Errors
    /// When it has another shape, or a registry without credentials.
    pub fn from_config(json: &[u8]) -> Result<Self, Unreadable> {
        let config: DockerConfig =
            serde_json::from_slice(json).map_err(|_| Unreadable::Shape(r#"{"auths": {"REGISTRY": {…}}}"#))?;
        Self::new(config.auths)
    }

    /// Reads the content of an older `.dockercfg`: what stands under `auths` today.
    ///
    /// # Errors
    /// As [`from_config`](Self::from_config).
    pub fn from_legacy(json: &[u8]) -> Result<Self, Unreadable> {
        let auths = serde_json::from_slice(json).map_err(|_| Unreadable::Shape(r#"{"REGISTRY": {…}}"#))?;
        Self::new(auths)
    }

    fn new(entries: BTreeMap<String, Entry>) -> Result<Self, Unreadable> {
        let mut auths = BTreeMap::new();
        for (written, entry) in entries {
            let key = normal(&written);
            let Some((username, password)) = credentials(entry) else { return Err(Unreadable::NoPassword(key)) };
            auths.insert(key.clone(), RegistryAuth { username, password, registry: key });
        }
        Ok(Self { auths })
    }

    /// Takes in those of somebody else; what is here already stays.
    pub fn extend(&mut self, others: Self) {
        for (key, auth) in others.auths {
            self.auths.entry(key).or_insert(auth);
        }
    }

    /// Returns the credentials for an image: those of its registry, and of several those with the longest path.
    #[must_use]
    pub fn of_image(&self, image: &str) -> Option<&RegistryAuth> {
        let name = full_name(image);
        let is_above =
            |key: &str| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']));
        let matching = self.auths.iter().filter(|(key, _)| is_above(key));
        matching.max_by_key(|(key, _)| key.len()).map(|(_, auth)| auth)
    }

    /// Returns every password, for the redactor.
    pub fn passwords(&self) -> impl Iterator<Item = (&str, &str)> {
        self.auths.iter().map(|(registry, auth)| (registry.as_str(), auth.password.as_str()))
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.auths.is_empty()
    }
}

fn credentials(entry: Entry) -> Option<(String, String)> {
    if !entry.username.is_empty() && !entry.password.is_empty() {
        return Some((entry.username, entry.password));
    }
    let decoded = String::from_utf8(STANDARD.decode(entry.auth.trim()).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    let is_whole = !username.is_empty() && !password.is_empty();
    is_whole.then(|| (username.to_owned(), password.to_owned()))
}

/// Returns a registry's name as it is compared: without scheme and API version, Docker Hub under one name.
fn normal(written: &str) -> String {
    let bare = written.trim().trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = host.to_ascii_lowercase();
    let host = if DOCKER_HUB_NAMES.contains(&host.as_str()) { DOCKER_HUB } else { host.as_str() };
    if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") }
}

/// Returns an image's name with its registry: `REGISTRY/PATH[:TAG][@DIGEST]`.
fn full_name(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let is_registry = first.contains(['.', ':']) || first == "localhost";
    if !is_registry {
        return format!("{DOCKER_HUB}/{image}");
    }
    format!("{}/{rest}", normal(first))
}
