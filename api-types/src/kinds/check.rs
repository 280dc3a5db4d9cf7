//! Checks and actions: what a test, a probe or a health check does, and what it expects.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::units::DurationText;

/// How an app shows that it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Health {
    /// Path that is asked for under the app's domain.
    #[schemars(schema_with = "crate::grammar::url_path")]
    pub path: String,
    /// Statuses that mean the app serves.
    #[schemars(schema_with = "statuses")]
    pub statuses: Vec<u16>,
    /// What the served certificate must be.
    pub tls: TlsCheck,
}

impl Default for Health {
    fn default() -> Self {
        Self { path: "/".to_owned(), statuses: vec![200, 302], tls: TlsCheck::Verify }
    }
}

/// What a served certificate must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsCheck {
    /// Signed by an authority that the machine trusts, for the domain, and not the proxy's own.
    #[default]
    Verify,
    /// Anything: the certificate is not looked at.
    Insecure,
    /// There is none: plain HTTP is asked.
    Disabled,
}

/// A further sign that an app serves, besides its health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name"],
    "x-kubernetes-validations" = [{
        "rule": "has(self.http) != has(self.tcp)",
        "message": "a probe has exactly one of http and tcp",
    }]
))]
pub struct Probe {
    /// Short name, for messages.
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub name: String,
    /// Asks over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// How many times in a row it must be good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub stable: Option<u32>,
}

/// A request over HTTP and what its answer must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["path"],
    "x-kubernetes-validations" = [{
        "rule": "!has(self.port) || has(self.service)",
        "message": "port belongs to service: name the service, or remove port to ask the app's domain",
    }]
))]
pub struct HttpCheck {
    /// Method; `GET` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<HttpMethod>,
    /// Path, with query if need be.
    #[schemars(schema_with = "crate::grammar::url_path")]
    pub path: String,
    /// Asks this service of the stack directly instead of the app's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub service: Option<String>,
    /// Port of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// Request headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "headers")]
    pub headers: BTreeMap<String, String>,
    /// Request body.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub body: Option<String>,
}

/// Methods of HTTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words are HTTP's own")]
pub enum HttpMethod {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

/// A connection that must come about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["port"]))]
pub struct TcpCheck {
    /// Host; a service of the stack or an address. Absent: the app's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::host")]
    pub host: Option<String>,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

/// A command in a running container of the app, without a shell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["service", "command"]))]
pub struct ExecAction {
    /// The service in whose container it runs.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub service: String,
    /// Program and arguments.
    #[schemars(schema_with = "command")]
    pub command: Vec<String>,
    /// User in the container; the image's own when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$"))]
    pub user: Option<String>,
}

/// A container of its own in the app's network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["image"]))]
pub struct ContainerAction {
    /// Image that runs the test.
    #[schemars(schema_with = "crate::grammar::image")]
    pub image: String,
    /// Program and arguments; the image's own when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "command")]
    pub command: Vec<String>,
    /// Environment variables besides `APP_DOMAIN`, `APP_URL`, `RUN_ID`, `RUN_STAGE` and `ARTIFACTS_DIR`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub env: BTreeMap<String, String>,
    /// Folder of the recipe that is mounted read-only at `/work`; nothing is mounted when absent. What a fork wrote is
    /// only mounted if `trust.repoTests` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 255),
        regex(
            pattern = r"^[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*)*$"
        )
    )]
    pub mount: Option<String>,
}

/// Something that is done once before a check: seeds data, or destroys it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.http), has(self.exec), has(self.container)].filter(given, given).size() == 1",
    "message": "an action has exactly one of http, exec and container",
}]))]
pub struct Action {
    /// Sends a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Runs a command in a container of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Runs a container of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerAction>,
}

/// What an answer or an exit must be. What is absent is not looked at, but for the status (below 400) and the exit
/// code (0).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Expectation {
    /// Statuses of HTTP that are good.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "statuses")]
    pub statuses: Vec<u16>,
    /// Exit code that is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 255))]
    pub exit_code: Option<u8>,
    /// Texts that body or output must contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "set"))]
    pub contains: Vec<String>,
    /// Texts that body or output must not contain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 1024)), extend("x-kubernetes-list-type" = "set"))]
    pub lacks: Vec<String>,
    /// Regular expression that body or output must match somewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub matches: Option<String>,
    /// How long it may take to become so; it is tried until then. Absent: one try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<DurationText>,
}

fn statuses(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {"type": "integer", "format": "int32", "minimum": 100, "maximum": 599},
    })
}

fn headers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 4096, "pattern": r"^[^\r\n]*$"},
        "x-kubernetes-validations": [{
            "rule": "self.all(name, name.matches('^[A-Za-z0-9-]{1,64}$'))",
            "message": "names of headers have letters, digits and '-'",
        }],
    })
}

fn command(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "items": {"type": "string", "maxLength": 4096},
        "x-kubernetes-list-type": "atomic",
    })
}
