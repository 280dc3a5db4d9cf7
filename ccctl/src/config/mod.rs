//! Kubeconfig: which server, trusted how, as whom, in which namespace. Several files merge as kubectl merges them:
//! the first file that names a cluster, a user or a context wins.

pub mod edit;
mod model;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::Value;

pub use self::model::{Cluster, Context, User};
use crate::arguments::GlobalArguments;
use crate::environment::Environment;
use crate::error::{CommandError, Result};

/// The merged content of every kubeconfig file.
#[derive(Clone, Debug, Default)]
pub struct KubeConfig {
    /// Files in order of precedence; only those that exist.
    pub files: Vec<PathBuf>,
    /// Where a new entry is written when no file has it yet.
    pub default_file: Option<PathBuf>,
    /// Name of the current context; empty when there is none.
    pub current_context: String,
    /// Clusters by name.
    pub clusters: Vec<(String, Cluster)>,
    /// Users by name.
    pub users: Vec<(String, User)>,
    /// Contexts by name.
    pub contexts: Vec<(String, Context)>,
}

/// Everything that a client needs to know.
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// Name of the context; empty when everything came from the command line.
    pub context: String,
    /// Name of the cluster entry.
    pub cluster: String,
    /// Name of the user entry.
    pub user: String,
    /// Base address without a trailing slash.
    pub server: String,
    /// Namespace of the context, `default` when it names none.
    pub namespace: String,
    /// Certificates to trust, PEM; `None` means the system's.
    pub authorities: Option<Vec<u8>>,
    /// Whether to trust anybody.
    pub insecure: bool,
    /// Name to expect in the server's certificate, when it is not the address' host.
    pub server_name: Option<String>,
    /// Proxy to go through.
    pub proxy: Option<String>,
    /// Bearer token.
    pub token: Option<String>,
    /// User name and password.
    pub basic: Option<(String, String)>,
    /// Client certificate chain and key, PEM.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl KubeConfig {
    /// Reads the files: `--kubeconfig`, else every file of `$KUBECONFIG`, else `~/.config/ccctl/config` and
    /// `~/.kube/config`.
    ///
    /// # Errors
    /// The file of `--kubeconfig` is missing; any file is unreadable or not a kubeconfig.
    pub fn load(explicit: Option<&Path>, environment: &Environment) -> Result<Self> {
        if let Some(path) = explicit {
            if !path.exists() {
                return Err(CommandError::config(format!("the kubeconfig {} does not exist", path.display()))
                    .hint("ccd writes one to its data folder: DATA-DIR/kubeconfig"));
            }
            return Self::merge(vec![path.to_owned()]);
        }
        if let Some(list) = environment.variable("KUBECONFIG") {
            let files = list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
            return Self::merge(files);
        }
        let own = environment.config_folder().map(|folder| folder.join("config"));
        let kube = environment.home().map(|home| home.join(".kube/config"));
        Self::merge(own.into_iter().chain(kube).collect())
    }

    fn merge(candidates: Vec<PathBuf>) -> Result<Self> {
        let mut merged = Self { default_file: candidates.first().cloned(), ..Self::default() };
        for path in candidates {
            let Some(text) = read_if_there(&path)? else { continue };
            let file = model::parse(&text)
                .map_err(|error| CommandError::config(format!("{} is not a kubeconfig: {error}", path.display())))?;
            let folder = path.parent().map(Path::to_owned).unwrap_or_default();
            if merged.current_context.is_empty() {
                merged.current_context = file.current_context;
            }
            for mut entry in file.clusters {
                entry.cluster.folder.clone_from(&folder);
                insert(&mut merged.clusters, entry.name, entry.cluster);
            }
            for mut entry in file.users {
                entry.user.folder.clone_from(&folder);
                insert(&mut merged.users, entry.name, entry.user);
            }
            for entry in file.contexts {
                insert(&mut merged.contexts, entry.name, entry.context);
            }
            merged.files.push(path);
        }
        Ok(merged)
    }

    /// Returns where to connect to: the context that the arguments or the file name, with what the arguments replace.
    ///
    /// # Errors
    /// No server is known; a name leads nowhere; the user needs something that ccctl does not do.
    pub fn connection(&self, global: &GlobalArguments) -> Result<Connection> {
        let (name, context) = self.context(global)?;
        let cluster_name = global.cluster.clone().unwrap_or_else(|| context.cluster.clone());
        let user_name = global.user.clone().unwrap_or_else(|| context.user.clone());
        let cluster = find(&self.clusters, &cluster_name, "cluster", &name)?.cloned().unwrap_or_default();
        let user = find(&self.users, &user_name, "user", &name)?.cloned().unwrap_or_default();
        let server = global.server.clone().unwrap_or(cluster.server.clone());
        if server.is_empty() {
            return Err(self.no_server());
        }
        let (token, basic, identity) = user.credentials(global, &user_name)?;
        Ok(Connection {
            context: name,
            cluster: cluster_name,
            user: user_name,
            server: normalised_server(&server)?,
            namespace: if context.namespace.is_empty() { "default".to_owned() } else { context.namespace },
            authorities: cluster.authorities(global)?,
            insecure: global.insecure_skip_tls_verify || cluster.insecure_skip_tls_verify,
            server_name: cluster.tls_server_name,
            proxy: cluster.proxy_url,
            token,
            basic,
            identity,
        })
    }

    fn context(&self, global: &GlobalArguments) -> Result<(String, Context)> {
        let name = global.context.clone().unwrap_or_else(|| self.current_context.clone());
        if name.is_empty() {
            return Ok((name, Context::default()));
        }
        match self.contexts.iter().find(|(candidate, _)| *candidate == name) {
            Some((_, context)) => Ok((name, context.clone())),
            None => Err(CommandError::config(format!("context \"{name}\" does not exist"))
                .hint("see the contexts there are with `ccctl config get-contexts`")),
        }
    }

    fn no_server(&self) -> CommandError {
        if self.files.is_empty() {
            let looked = match &self.default_file {
                Some(file) => format!("no kubeconfig found (looked for {})", file.display()),
                None => "no kubeconfig found".to_owned(),
            };
            return CommandError::config(looked)
                .hint("ccd writes one on its first start: `ccctl --kubeconfig DATA-DIR/kubeconfig get recipes`")
                .hint(
                    "keep it for good with `mkdir -p ~/.config/ccctl && cp DATA-DIR/kubeconfig ~/.config/ccctl/config`",
                );
        }
        CommandError::config("the kubeconfig names no server: no context is current")
            .hint("choose one with `ccctl config use-context NAME`; `ccctl config get-contexts` lists them")
    }
}

fn insert<T>(entries: &mut Vec<(String, T)>, name: String, value: T) {
    if entries.iter().all(|(existing, _)| *existing != name) {
        entries.push((name, value));
    }
}

fn find<'a, T>(entries: &'a [(String, T)], name: &str, what: &str, context: &str) -> Result<Option<&'a T>> {
    if name.is_empty() {
        return Ok(None);
    }
    match entries.iter().find(|(candidate, _)| candidate == name) {
        Some((_, value)) => Ok(Some(value)),
        None => Err(CommandError::config(format!("{what} \"{name}\" of context \"{context}\" does not exist"))
            .hint("look at the file with `ccctl config view`")),
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CommandError::config(format!("cannot read {}: {error}", path.display()))),
    }
}

fn normalised_server(server: &str) -> Result<String> {
    let with_scheme = if server.contains("://") { server.to_owned() } else { format!("http://{server}") };
    let parsed = reqwest::Url::parse(&with_scheme)
        .map_err(|error| CommandError::config(format!("the server address \"{server}\" is no URL: {error}")))?;
    if !["http", "https"].contains(&parsed.scheme()) || parsed.host_str().is_none() {
        return Err(CommandError::config(format!(
            "the server address \"{server}\" must start with http:// or https://"
        )));
    }
    Ok(with_scheme.trim_end_matches('/').to_owned())
}

/// Returns the content of a `…-data` field, or of the file that the plain field names.
fn data_or_file(data: Option<&str>, file: Option<&Path>, folder: &Path, field: &str) -> Result<Option<Vec<u8>>> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let compact: String = data.split_whitespace().collect();
        return base64::engine::general_purpose::STANDARD
            .decode(compact)
            .map(Some)
            .map_err(|error| CommandError::config(format!("{field}-data is not base64: {error}")));
    }
    let Some(file) = file.filter(|file| !file.as_os_str().is_empty()) else { return Ok(None) };
    let path = folder.join(file);
    std::fs::read(&path)
        .map(Some)
        .map_err(|error| CommandError::config(format!("cannot read {field} {}: {error}", path.display())))
}

/// Checks that a text is a kubeconfig.
///
/// # Errors
/// What is wrong with it.
pub fn check(text: &str) -> std::result::Result<(), String> {
    model::parse(text).map(|_| ())
}

/// Returns the kubeconfig as kubectl's `config view` shows it, secrets replaced unless `raw`.
#[must_use]
pub fn view(config: &KubeConfig, raw: bool) -> Value {
    let entries = |kind: &str, list: Vec<(String, Value)>| -> Value {
        list.into_iter().map(|(name, value)| serde_json::json!({"name": name, kind: value})).collect()
    };
    let hidden = |mut value: Value| {
        if !raw {
            model::hide_secrets(&mut value);
        }
        value
    };
    let clusters = config.clusters.iter().map(|(name, cluster)| (name.clone(), hidden(model::to_value(cluster))));
    let users = config.users.iter().map(|(name, user)| (name.clone(), hidden(model::to_value(user))));
    let contexts = config.contexts.iter().map(|(name, context)| (name.clone(), model::to_value(context)));
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": entries("cluster", clusters.collect()),
        "contexts": entries("context", contexts.collect()),
        "current-context": config.current_context,
        "preferences": {},
        "users": entries("user", users.collect()),
    })
}
