//! Forge: a Gitea or Forgejo server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::{PrinterColumn, Scope};
use crate::kind::Kind;
use crate::kinds::is_false;
use crate::kinds::reference::ClusterSecretKeyReference;
use crate::meta::{GROUP, VERSION};

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forge;

impl Kind for Forge {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Forge";
    const PLURAL: &'static str = "forges";
    const DESCRIPTION: &'static str =
        "Forge is a Gitea or Forgejo server: where repositories live and results are told.";
    const SHORT_NAMES: &'static [&'static str] = &["fg"];
    const SCOPE: Scope = Scope::Cluster;
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".spec.role"];
    type Spec = ForgeSpec;
    type Status = ForgeStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("URL", "string", ".spec.url", "Where the server answers."),
            PrinterColumn::new("Role", "string", ".spec.role", "Primary or mirror."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Version", "string", ".status.version", "Version of the server.").wide(),
            PrinterColumn::new("Login", "string", ".status.login", "Whose token it is.").wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["url", "tokenSecretRef"]))]
pub struct ForgeSpec {
    /// Where the server answers, without user and password.
    #[schemars(schema_with = "crate::grammar::web_url")]
    pub url: String,
    /// Which server it is; `Auto` asks it.
    pub flavor: ForgeFlavor,
    /// The access token. It is only ever sent to the host of `url`.
    pub token_secret_ref: ClusterSecretKeyReference,
    /// Whether releases are published here.
    pub role: ForgeRole,
    /// Lets people sign in to the web pages with their account on this forge. Absent: they cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<ForgeSignIn>,
    /// Leaves the object alone while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// The OAuth2 application with which people sign in. Whoever signs in is the user `forge:FORGE:LOGIN` and in the groups
/// `forge:FORGE:ORGANISATION` and `forge:FORGE:ORGANISATION/TEAM`, all in small letters; bindings give these groups
/// roles, and nobody without a role gets in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["clientID", "clientSecretRef"]))]
pub struct ForgeSignIn {
    /// The application's client ID, as the forge shows it.
    #[serde(rename = "clientID")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9._-]+$"))]
    pub client_id: String,
    /// The application's client secret. It is only ever sent to the host of `url`.
    pub client_secret_ref: ClusterSecretKeyReference,
}

/// Which server a forge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForgeFlavor {
    /// Whatever the server says it is.
    #[default]
    Auto,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
}

/// What a forge is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForgeRole {
    /// Releases are published here, and here only.
    #[default]
    Primary,
    /// A copy: read, never released to.
    Mirror,
}

/// What was seen of a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ForgeStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Which server it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flavor: Option<ForgeFlavor>,
    /// Version of the server as it says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub version: Option<String>,
    /// Whose token it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub login: Option<String>,
    /// Scopes that the token has, as far as they can be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub scopes: Vec<String>,
    /// Scopes that are needed and missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub missing_scopes: Vec<String>,
    /// When the server was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_checked: Option<String>,
    /// `Reachable`, `Authenticated`, `ScopesSufficient`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
