//! The kubeconfig file format, as far as ccctl uses it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::data_or_file;
use crate::arguments::GlobalArguments;
use crate::error::{CommandError, Result};

/// One file. Unknown fields are kept out of sight: kubeconfigs carry those of many tools.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct File {
    pub(super) current_context: String,
    #[serde(deserialize_with = "list_or_null")]
    pub(super) clusters: Vec<NamedCluster>,
    #[serde(deserialize_with = "list_or_null")]
    pub(super) users: Vec<NamedUser>,
    #[serde(deserialize_with = "list_or_null")]
    pub(super) contexts: Vec<NamedContext>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedCluster {
    pub(super) name: String,
    #[serde(default)]
    pub(super) cluster: Cluster,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedUser {
    pub(super) name: String,
    #[serde(default)]
    pub(super) user: User,
}

#[derive(Debug, Deserialize)]
pub(super) struct NamedContext {
    pub(super) name: String,
    #[serde(default)]
    pub(super) context: Context,
}

/// A server and how to trust it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Cluster {
    /// Base address.
    pub server: String,
    /// File with certificates to trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<PathBuf>,
    /// Certificates to trust, base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_data: Option<String>,
    /// Whether to trust anybody.
    #[serde(skip_serializing_if = "is_false")]
    pub insecure_skip_tls_verify: bool,
    /// Name to expect in the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// Proxy to go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_url: Option<String>,
    /// Folder of the file, to which relative paths are relative.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// Credentials.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct User {
    /// Bearer token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// File with the bearer token; read at every start, as it may be renewed.
    #[serde(rename = "tokenFile", skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// File with the client certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<PathBuf>,
    /// Client certificate, base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_certificate_data: Option<String>,
    /// File with the client key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<PathBuf>,
    /// Client key, base64 of PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key_data: Option<String>,
    /// User name for basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password for basic authentication.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Credential plugin; not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<Value>,
    /// Old credential plugin; not supported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_provider: Option<Value>,
    /// Folder of the file, to which relative paths are relative.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// A server, a user and a namespace under one name.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// Name of the cluster entry.
    pub cluster: String,
    /// Name of the user entry.
    pub user: String,
    /// Namespace; empty means `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// Token, user name with password, and certificate with key.
pub(super) type Credentials = (Option<String>, Option<(String, String)>, Option<(Vec<u8>, Vec<u8>)>);

/// Parses a file; an empty one is an empty kubeconfig.
pub(super) fn parse(text: &str) -> Result<File, String> {
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    let value: Value = crate::manifests::value(text)?;
    if let Some(kind) = value.get("kind").and_then(Value::as_str).filter(|kind| *kind != "Config") {
        return Err(format!("its kind is {kind}, not Config"));
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Returns an entry as JSON.
pub(super) fn to_value<T: Serialize>(entry: &T) -> Value {
    serde_json::to_value(entry).expect("kubeconfig entries are plain data")
}

/// Replaces what nobody should read over a shoulder.
pub(super) fn hide_secrets(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    for (name, field) in fields.iter_mut() {
        match name.as_str() {
            "token" | "password" => *field = Value::from("REDACTED"),
            "client-certificate-data" | "client-key-data" | "certificate-authority-data" => {
                *field = Value::from("DATA+OMITTED");
            }
            _ => {}
        }
    }
}

impl Cluster {
    /// Returns the certificates to trust; the command line's win.
    pub(super) fn authorities(&self, global: &GlobalArguments) -> Result<Option<Vec<u8>>> {
        if let Some(file) = &global.certificate_authority {
            return data_or_file(None, Some(file), Path::new(""), "certificate-authority");
        }
        data_or_file(
            self.certificate_authority_data.as_deref(),
            self.certificate_authority.as_deref(),
            &self.folder,
            "certificate-authority",
        )
    }
}

impl User {
    /// Returns the credentials; the command line's win.
    pub(super) fn credentials(&self, global: &GlobalArguments, name: &str) -> Result<Credentials> {
        if let Some(token) = &global.token {
            return Ok((Some(token.clone()), None, None));
        }
        if self.exec.is_some() || self.auth_provider.is_some() {
            return Err(CommandError::config(format!(
                "user \"{name}\" gets its credentials from a plugin, which ccctl does not run"
            ))
            .hint("give a token: `ccctl --token \"$(your-plugin)\" …`, or set `token` or `tokenFile` of the user"));
        }
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) if !token.is_empty() => Some(token.trim().to_owned()),
            (_, Some(file)) => {
                let bytes = data_or_file(None, Some(file), &self.folder, "tokenFile")?.unwrap_or_default();
                Some(String::from_utf8_lossy(&bytes).trim().to_owned())
            }
            _ => None,
        };
        let basic = match (&self.username, &self.password) {
            (Some(username), Some(password)) => Some((username.clone(), password.clone())),
            _ => None,
        };
        Ok((token, basic, self.identity(global)?))
    }

    fn identity(&self, global: &GlobalArguments) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let current = Path::new("");
        let certificate = match &global.client_certificate {
            Some(file) => data_or_file(None, Some(file), current, "client-certificate")?,
            None => data_or_file(
                self.client_certificate_data.as_deref(),
                self.client_certificate.as_deref(),
                &self.folder,
                "client-certificate",
            )?,
        };
        let key = match &global.client_key {
            Some(file) => data_or_file(None, Some(file), current, "client-key")?,
            None => {
                data_or_file(self.client_key_data.as_deref(), self.client_key.as_deref(), &self.folder, "client-key")?
            }
        };
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(CommandError::config("a client certificate needs a key: client-key is missing")),
            (None, Some(_)) => {
                Err(CommandError::config("a client key needs a certificate: client-certificate is missing"))
            }
        }
    }
}

/// kubectl writes `clusters: null` for an empty list.
fn list_or_null<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}
