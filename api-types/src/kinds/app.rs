//! App: one deployed app, as infrastructure or as the child of a TestRun.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::app_upgrade::{AppUpgrade, HeldVersion};
use crate::kinds::check::{Health, Probe};
use crate::kinds::identity::Identity;
use crate::kinds::is_false;
use crate::kinds::overlay::Overlay;
use crate::kinds::reference::{SecretKeyReference, SecretReference};
use crate::meta::{GROUP, VERSION};

/// What an annotation of an App begins with that asks for another value of a generated secret; the secret's name in the
/// compose file follows, and every word that differs from the last one asks once.
pub const ROTATE_ANNOTATION_PREFIX: &str = "rotate.ci.coopcloud.tech/";

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct App;

impl Kind for App {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "App";
    const PLURAL: &'static str = "apps";
    const DESCRIPTION: &'static str =
        "App is one recipe deployed under one domain. What runs is kept as the spec says.";
    const SHORT_NAMES: &'static [&'static str] = &["capp"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".spec.domain"];
    type Spec = AppSpec;
    type Status = AppStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Domain", "string", ".spec.domain", "Where the app answers."),
            PrinterColumn::new("Version", "string", ".status.observed.version", "Version that runs."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::condition("Drifted"),
            PrinterColumn::new("Stack", "string", ".status.stack", "Name of the stack.").wide(),
            PrinterColumn::new("Commit", "string", ".status.observed.commit", "Commit that runs.").wide(),
            PrinterColumn::new("Available", "string", ".status.availableVersion", "Newer version, not taken.").wide(),
            PrinterColumn::new("Held", "string", ".status.held.reason", "What it waits for.").wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What should run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["recipe", "domain"],
    "x-kubernetes-validations" = [
        {
            "rule": "!has(self.oauthApplication) || !has(self.secrets) || !self.secrets.exists(secret, secret.name == self.oauthApplication.clientSecret)",
            "message": "the secret that the OAuth application gives is not listed in secrets as well",
        },
        {
            "rule": "!has(self.oauthApplication) || !has(self.env) || !(self.oauthApplication.clientIDEnv in self.env)",
            "message": "the variable that the OAuth application sets is not set in env as well",
        },
        {
            "rule": "[has(self.version), has(self.commit), has(self.ref)].filter(given, given).size() <= 1",
            "message": "an app has at most one of version, commit and ref; without any it is the latest version",
        },
        {
            "rule": "self.domain == oldSelf.domain",
            "message": "domain cannot be changed, because volumes and secrets are named after it: create another App and move the data",
            "fieldPath": ".domain",
        },
        {
            "rule": "!has(self.updatePolicy) || self.updatePolicy.auto == 'None' || (!has(self.commit) && !has(self.ref))",
            "message": "updates by themselves need a version: remove commit and ref, or set updatePolicy.auto to None",
        },
    ]
))]
pub struct AppSpec {
    /// Which recipe.
    pub recipe: AppRecipe,
    /// Published version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::version")]
    pub version: Option<String>,
    /// Whole commit hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::commit")]
    pub commit: Option<String>,
    /// Branch or tag; whatever it points to.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::git_reference")]
    pub reference: Option<String>,
    /// Where the app answers. The stack is named after it: dots become underscores.
    #[schemars(schema_with = "crate::grammar::domain")]
    pub domain: String,
    /// With what it is deployed.
    pub deployer: Deployer,
    /// Environment besides `.env.sample`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub env: BTreeMap<String, String>,
    /// Compose files of the recipe, in their order. Absent: what `COMPOSE_FILE` says, else `compose.yml`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "compose_files")]
    pub compose_files: Vec<String>,
    /// The recipe's secrets. What is not listed is generated as the recipe says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<AppSecret>,
    /// An OAuth2 application at a forge, with which people sign in to the app. It is made when there is none; client ID and
    /// secret are kept in the Secret `NAME-oauth`, and go into the environment and a secret of the recipe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_application: Option<OAuthApplicationSpec>,
    /// Secrets of type `kubernetes.io/dockerconfigjson` with the credentials for private registries, besides those that
    /// its Recipe names; of two for one registry the first counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<SecretReference>,
    /// Changes to the compose file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overlays: Vec<Overlay>,
    /// Apps of the same namespace that have to be ready before this one is deployed, or deployed anew. What runs goes on
    /// when they fail later; of Apps that are deleted together, those that need others go first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub depends_on: Vec<AppReference>,
    /// How the app shows that it serves. Absent: as its Recipe says, else an accepted status under `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// Further signs that it serves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
    /// Which newer versions are taken by themselves. One whose release notes ask somebody to do something is held back in
    /// any case. Whoever chose a version, the volumes are copied before it is deployed, and what does not serve goes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_policy: Option<UpdatePolicy>,
    /// What becomes of what somebody changes in the swarm by hand.
    pub drift_policy: DriftPolicy,
    /// Whether services are removed that the compose file no longer names.
    pub prune_dropped: bool,
    /// What becomes of the volumes when the App is deleted.
    pub volumes: VolumePolicy,
    /// Leaves the app alone, as it is, while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

impl Default for AppSpec {
    fn default() -> Self {
        Self {
            recipe: AppRecipe::default(),
            version: None,
            commit: None,
            reference: None,
            domain: String::new(),
            deployer: Deployer::default(),
            env: BTreeMap::new(),
            compose_files: Vec::new(),
            secrets: Vec::new(),
            oauth_application: None,
            image_pull_secrets: Vec::new(),
            overlays: Vec::new(),
            depends_on: Vec::new(),
            health: None,
            probes: Vec::new(),
            update_policy: None,
            drift_policy: DriftPolicy::default(),
            prune_dropped: true,
            volumes: VolumePolicy::default(),
            suspend: false,
        }
    }
}

/// Which recipe an app is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.url) != has(self.recipeRef)",
    "message": "recipe has exactly one of url and recipeRef",
}]))]
pub struct AppRecipe {
    /// URL that git fetches.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::git_url")]
    pub url: Option<String>,
    /// Name of a Recipe in the same namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub recipe_ref: Option<String>,
}

/// An App in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AppReference {
    /// Name of the App.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub name: String,
}

/// With what a recipe is deployed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Deployer {
    /// `abra` when it is on the PATH, else the engine's API.
    #[default]
    Auto,
    /// The `abra` program.
    Abra,
    /// The Docker Engine API.
    Swarm,
}

/// One secret of a recipe: `SECRET_<NAME>_VERSION` in its `.env.sample`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name"],
    "x-kubernetes-validations" = [{
        "rule": "has(self.valueFrom) != has(self.generate)",
        "message": "a secret has exactly one of valueFrom and generate",
    }]
))]
pub struct AppSecret {
    /// Its name in the compose file.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub name: String,
    /// Takes the value from a Secret; a new value becomes a new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<SecretKeyReference>,
    /// Makes a value once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateSecret>,
}

/// An OAuth2 application at a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["forgeRef", "redirectPaths", "clientIDEnv", "clientSecret"]))]
pub struct OAuthApplicationSpec {
    /// Name of the Forge; its token needs the scope `write:user`, and its owner owns the application.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub forge_ref: String,
    /// Name of the application. Absent: the domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9 ._-]*[A-Za-z0-9])?$"))]
    pub name: Option<String>,
    /// Paths of the app, such as `/login`, to which browsers are sent back. A change of them, or of the name, gives the
    /// application another secret.
    #[schemars(
        length(min = 1, max = 8),
        inner(length(min = 1, max = 255), regex(pattern = r"^/[A-Za-z0-9/._~%-]*$")),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub redirect_paths: Vec<String>,
    /// Variable of the environment that becomes the client ID.
    #[serde(rename = "clientIDEnv")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*$"))]
    pub client_id_env: String,
    /// The recipe's secret, by its name in the compose file, that becomes the client secret.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub client_secret: String,
}

/// What is known of an OAuth2 application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuthApplicationState {
    /// Its name at the forge.
    #[schemars(length(max = 255))]
    pub name: String,
    /// Its client ID.
    #[serde(rename = "clientID")]
    #[schemars(length(max = 255))]
    pub client_id: String,
}

/// How a secret is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct GenerateSecret {
    /// How many characters.
    #[schemars(range(min = 8, max = 1024))]
    pub length: u32,
    /// Of which characters.
    pub charset: SecretCharset,
}

impl Default for GenerateSecret {
    fn default() -> Self {
        Self { length: 32, charset: SecretCharset::default() }
    }
}

/// The characters of a generated secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretCharset {
    /// Letters and digits.
    #[default]
    Default,
    /// Letters, digits and signs that need no escape in shells and URLs.
    SafeSpecial,
    /// Letters, digits and signs.
    Special,
    /// Lower-case hexadecimal digits.
    Hex,
}

/// Which newer versions are taken by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpdatePolicy {
    /// How large the step may be.
    pub auto: AutoUpdate,
    /// When it may happen. Absent: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<UpdateWindow>,
}

/// How large a step to a newer version may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutoUpdate {
    /// No step at all.
    #[default]
    None,
    /// From 1.2.3 to 1.2.4.
    Patch,
    /// From 1.2.3 to 1.3.0.
    Minor,
}

/// When an update may happen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["start", "end"]))]
pub struct UpdateWindow {
    /// First moment, such as `02:00`.
    #[schemars(length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// Last moment, such as `05:30`; before `start` it is one of the next day.
    #[schemars(length(max = 5), regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub end: String,
    /// Days on which the window begins; every day when absent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<Weekday>,
    /// Time zone such as `Europe/Berlin`; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$"))]
    pub time_zone: Option<String>,
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the words say what they mean")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// What becomes of what somebody changes in the swarm by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is put right.
    #[default]
    Heal,
    /// It is reported and stays, until the spec of the App changes or another version is deployed.
    Report,
}

/// What becomes of the volumes when an App is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumePolicy {
    /// They stay, and another App of the same domain finds them.
    #[default]
    Retain,
    /// They are deleted.
    Delete,
}

/// What was seen of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AppStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Name of the stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub stack: Option<String>,
    /// Name of the Host that it runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub host: Option<String>,
    /// The deployer that `Auto` chose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployer: Option<Deployer>,
    /// What should run, resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Identity>,
    /// What runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<Identity>,
    /// Hash of what was deployed last; when it differs from what should be, it is deployed again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub deployed_hash: Option<String>,
    /// When it was deployed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub deployed_at: Option<String>,
    /// A newer version that is not taken yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub available_version: Option<String>,
    /// The published version that was handed over last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub deployed_version: Option<String>,
    /// What the newer version waits for, and its release notes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldVersion>,
    /// The last step from one version to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<AppUpgrade>,
    /// The services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub services: Vec<ServiceState>,
    /// Swarm secrets that what runs uses, since it has converged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub secret_names: Vec<String>,
    /// The secrets of the recipe, without what they hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub secrets: Vec<AppSecretState>,
    /// The OAuth2 application that it has at a forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_application: Option<OAuthApplicationState>,
    /// While the App is being deleted: what is still there, as `kind/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 320)), extend("x-kubernetes-list-type" = "atomic"))]
    pub remaining: Vec<String>,
    /// `Configured`, `Deployed`, `Converged`, `Healthy`, `Reachable`, `Drifted`, `UpToDate`, `DependenciesReady`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What is known of one secret of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct AppSecretState {
    /// Its name in the compose file.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Where its value comes from.
    pub source: AppSecretSource,
    /// Its version: the last part of its name in the swarm.
    #[schemars(length(max = 64))]
    pub version: String,
    /// Since when it has this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub since: Option<String>,
    /// The last rotation that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<SecretRotation>,
}

/// Where the value of a secret comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AppSecretSource {
    /// It was generated here, and is kept in the Secret `NAME-generated`.
    #[default]
    Generated,
    /// A Secret or a Certificate gives it.
    Given,
    /// The forge made it for the OAuth2 application of `spec.oauthApplication`; it is kept in the Secret `NAME-oauth`.
    Application,
    /// It was in the swarm already, or has to be put there: its value is not known here.
    Found,
}

/// What became of asking for another value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["result", "at"]))]
pub struct SecretRotation {
    /// In a word.
    pub result: RotationResult,
    /// When it began, or ended.
    #[schemars(schema_with = "crate::grammar::moment")]
    pub at: String,
    /// Why.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// What became of a rotation, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationResult {
    /// The new value is in use, and the app is not ready yet.
    #[default]
    Trying,
    /// The app is ready with the new value, and the old one is gone.
    Succeeded,
    /// The app did not get well with the new value, and has the old one again.
    TurnedBack,
    /// It cannot be rotated.
    Refused,
}

/// What was seen of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ServiceState {
    /// Its name in the compose file.
    #[schemars(length(max = 128))]
    pub name: String,
    /// How many tasks should run.
    #[schemars(range(min = 0, max = 100_000))]
    pub desired: u32,
    /// How many tasks run the requested spec.
    #[schemars(range(min = 0, max = 100_000))]
    pub running: u32,
    /// State of the newest task, or of the update, in the engine's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub state: Option<String>,
    /// The last error of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub last_error: Option<String>,
    /// Its newest tasks, the newest first; older ones are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub tasks: Vec<ServiceTask>,
}

/// What was seen of one task of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["id"]))]
pub struct ServiceTask {
    /// Its id, as `docker inspect` takes it.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Which of the service's tasks it is, counted from 1; none for services that run one on each node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub slot: Option<u32>,
    /// Id of the node that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub node: Option<String>,
    /// How far it is, in the engine's word.
    #[schemars(length(max = 32))]
    pub state: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub since: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub error: Option<String>,
}

fn compose_files(_: &mut SchemaGenerator) -> Schema {
    let mut schema = crate::grammar::set_of(&crate::grammar::COMPOSE_FILE, 16);
    // Later files win over earlier ones, so that the order counts.
    schema.insert("x-kubernetes-list-type".to_owned(), "atomic".into());
    schema
}
