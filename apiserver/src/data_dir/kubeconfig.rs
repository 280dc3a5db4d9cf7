//! The kubeconfig of the administrator on this machine, kept true over restarts.
//!
//! Only the entries named `cc-ci` are ours; what people add with `kubectl config` stays.

use std::fs;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::write_private_file;

/// Name of our cluster, user and context.
pub const ENTRY: &str = "cc-ci";

/// What our entries shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// `https://HOST:PORT`.
    pub server: &'a str,
    /// Every authority that may have signed the server's certificate, PEM.
    pub authorities_pem: &'a str,
    /// Bearer token.
    pub token: &'a str,
}

/// Returns the token that our entry in the file holds; `None` when there is no such file or entry.
#[must_use]
pub fn stored_token(path: &Path) -> Option<String> {
    let config = read(path)?;
    let users = config["users"].as_array()?;
    let user = users.iter().find(|user| user["name"] == ENTRY)?;
    user["user"]["token"].as_str().map(str::to_owned)
}

/// Writes the file when our entries do not say `entry` yet. A file that is not YAML is replaced.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, entry: &Entry<'_>) -> io::Result<()> {
    let before = read(path);
    let mut config = before
        .clone()
        .unwrap_or_else(|| json!({"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": ENTRY}));
    let authorities = STANDARD.encode(entry.authorities_pem);
    upsert(
        &mut config,
        "clusters",
        "cluster",
        json!({"certificate-authority-data": authorities, "server": entry.server}),
    );
    upsert(&mut config, "users", "user", json!({"token": entry.token}));
    let context = own_entry(&config, "contexts").map_or_else(
        || json!({"cluster": ENTRY, "namespace": "default", "user": ENTRY}),
        |context| context["context"].clone(),
    );
    upsert(&mut config, "contexts", "context", context);
    if config["current-context"].as_str().unwrap_or_default().is_empty() {
        config["current-context"] = json!(ENTRY);
    }
    if before.as_ref() == Some(&config) {
        return Ok(());
    }
    let text = serde_saphyr::to_string(&config).map_err(io::Error::other)?;
    write_private_file(path, text.as_bytes())
}

/// Returns the text of a kubeconfig for somebody with a client certificate: its server is that of the file at `path`.
/// `None` when that file does not name one yet.
///
/// # Errors
/// When the text cannot be made.
pub fn with_certificate(path: &Path, user: &str, certificate_pem: &str, key_pem: &str) -> io::Result<Option<String>> {
    let Some(cluster) = read(path).and_then(|config| own_entry(&config, "clusters").cloned()) else { return Ok(None) };
    let credential = json!({
        "client-certificate-data": STANDARD.encode(certificate_pem), "client-key-data": STANDARD.encode(key_pem),
    });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "clusters": [cluster],
        "users": [{"name": user, "user": credential}],
        "contexts": [{"name": ENTRY, "context": {"cluster": ENTRY, "namespace": "default", "user": user}}],
        "current-context": ENTRY,
    });
    serde_saphyr::to_string(&config).map(Some).map_err(io::Error::other)
}

fn read(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path).ok()?;
    let config: Value = serde_saphyr::from_str(&text).ok()?;
    config.is_object().then_some(config)
}

fn own_entry<'a>(config: &'a Value, list: &str) -> Option<&'a Value> {
    config[list].as_array()?.iter().find(|item| item["name"] == ENTRY)
}

fn upsert(config: &mut Value, list: &str, field: &str, content: Value) {
    let mut item = json!({"name": ENTRY});
    item[field] = content;
    if !config[list].is_array() {
        config[list] = json!([]);
    }
    let Some(items) = config[list].as_array_mut() else { return };
    match items.iter_mut().find(|item| item["name"] == ENTRY) {
        Some(slot) => *slot = item,
        None => items.push(item),
    }
}
