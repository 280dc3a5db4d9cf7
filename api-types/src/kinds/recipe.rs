//! Recipe: what is under test.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::condition::{Condition, READY};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::allow::Allow;
use crate::kinds::app::Deployer;
use crate::kinds::check::{Action, ContainerAction, ExecAction, Expectation, Health, HttpCheck, Probe, TcpCheck};
use crate::kinds::is_false;
use crate::kinds::overlay::Overlay;
use crate::kinds::reference::SecretReference;
use crate::kinds::test_run::{Phase, RungName};
use crate::meta::{GROUP, VERSION};
use crate::units::{DurationText, Quantity};

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe;

impl Kind for Recipe {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Recipe";
    const PLURAL: &'static str = "recipes";
    const DESCRIPTION: &'static str =
        "Recipe is a Co-op Cloud recipe that is enrolled for tests: where it is, and how one knows that it works.";
    const SHORT_NAMES: &'static [&'static str] = &["rcp"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".spec.repositoryRef"];
    type Spec = RecipeSpec;
    type Status = RecipeStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Level", "integer", ".status.level", "Level of the last complete run, 0 to 5."),
            PrinterColumn::new("Latest", "string", ".status.latestVersion", "Newest published version."),
            PrinterColumn::new("Green", "string", ".status.lastGreen.version", "Newest version that passed."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Last Run", "string", ".status.lastRun.name", "The last run."),
            PrinterColumn::new("Source", "string", ".spec.source.url", "Where the recipe is fetched from.").wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["source"]))]
pub struct RecipeSpec {
    /// Where the recipe is fetched from.
    pub source: RecipeSource,
    /// Name of the Repository whose pull requests are tested. Absent: runs are started by hand or by `schedule`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub repository_ref: Option<String>,
    /// With what the recipe is deployed.
    pub deployer: Deployer,
    /// DNS zone of run domains: `<first 4 letters>-<6 hex>.<zone>`. Absent: the daemon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::domain")]
    pub zone: Option<String>,
    /// Environment that every version gets besides `.env.sample`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub env: BTreeMap<String, String>,
    /// Environment that only the head gets, because the base does not know it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub upgrade_env: BTreeMap<String, String>,
    /// Secrets of type `kubernetes.io/dockerconfigjson` with the credentials for private registries; of two for one
    /// registry the first counts. Stacks of untrusted authors get them with `trust.allow.options: [PullSecrets]` only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub image_pull_secrets: Vec<SecretReference>,
    /// Changes to the compose file that the test machine, or an old base, needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub overlays: Vec<Overlay>,
    /// How the app shows that it serves.
    pub health: Health,
    /// Further signs that it serves, after install and after upgrade.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub probes: Vec<Probe>,
    /// How long each part of a run may take.
    pub timeouts: Timeouts,
    /// What is known about backups.
    pub backup: Backup,
    /// The recipe's own tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub tests: Vec<RecipeTest>,
    /// Other recipes that are deployed beside this one for its tests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub dependencies: Vec<Dependency>,
    /// Rungs that do not apply, each with the reason. They can be climbed past; a rung that is skipped without
    /// being declared here blocks the level.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "expected_skips")]
    pub expected_skips: BTreeMap<RungName, String>,
    /// Whose work is run.
    pub trust: Trust,
    /// What a run needs of the host.
    pub requires: Requirements,
    /// When the newest version is tested by itself. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// How many finished runs are kept, and how long.
    pub keep: Keep,
    /// Leaves the object alone, and starts no runs, while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// Where a recipe is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["url"]))]
pub struct RecipeSource {
    /// URL that git fetches; its tags are the versions.
    #[schemars(schema_with = "crate::grammar::git_url")]
    pub url: String,
    /// Branch whose tip is the newest state.
    #[schemars(schema_with = "crate::grammar::git_reference")]
    pub branch: String,
}

impl Default for RecipeSource {
    fn default() -> Self {
        Self { url: String::new(), branch: "main".to_owned() }
    }
}

/// How long each part of a run may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "duration(self.run) <= duration('24h') && duration(self.run) >= duration(self.converge) && duration(self.run) >= duration(self.pull) && duration(self.run) >= duration(self.http)",
    "message": "timeouts.run is the whole run: it must be at least as long as pull, converge and http, and at most 24h",
}]))]
pub struct Timeouts {
    /// To pull the images.
    pub pull: DurationText,
    /// To converge after a deploy.
    pub converge: DurationText,
    /// To answer over HTTP after that.
    pub http: DurationText,
    /// For the whole run, but for its clean-up.
    pub run: DurationText,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            pull: DurationText::minutes(15),
            converge: DurationText::minutes(10),
            http: DurationText::minutes(5),
            run: DurationText::minutes(60),
        }
    }
}

/// What is known about backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Backup {
    /// Whether the recipe can be backed up; `Auto` looks for backup labels.
    pub capable: BackupCapable,
    /// Looks into the running app after a backup; if it says no, the backup is taken again, up to three times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<ExecAction>,
}

/// Whether a recipe can be backed up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackupCapable {
    /// If a service has a backup label.
    #[default]
    Auto,
    /// Yes, whatever the labels say.
    Yes,
    /// No, whatever the labels say.
    No,
}

impl Serialize for BackupCapable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("Auto"),
            Self::Yes => serializer.serialize_bool(true),
            Self::No => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for BackupCapable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(true) => Ok(Self::Yes),
            serde_json::Value::Bool(false) => Ok(Self::No),
            serde_json::Value::String(word) if word == "Auto" => Ok(Self::Auto),
            other => Err(D::Error::custom(format!("{other} is none of Auto, true and false"))),
        }
    }
}

impl JsonSchema for BackupCapable {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BackupCapable".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// Structural schemas have no type for "a word or a boolean": the values are listed instead.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"x-kubernetes-preserve-unknown-fields": true, "enum": ["Auto", true, false]})
    }
}

/// One test of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name", "stage"],
    "x-kubernetes-validations" = [
        {
            "rule": "[has(self.http), has(self.tcp), has(self.exec), has(self.container)].filter(given, given).size() == 1",
            "message": "a test has exactly one of http, tcp, exec and container",
        },
        {
            "rule": "self.stage in ['upgrade', 'backup-restore'] || (!has(self.seed) && !has(self.destroy))",
            "message": "seed and destroy belong to the stages upgrade and backup-restore: only there something happens between seeding and checking",
        },
        {
            "rule": "!has(self.destroy) || (self.stage == 'backup-restore' && has(self.seed))",
            "message": "destroy belongs to the stage backup-restore, together with seed",
        },
        {
            "rule": "self.stage != 'lint'",
            "message": "the lint rung has no tests of its own: choose install, upgrade, backup-restore or functional",
        },
        {
            "rule": "!has(self.expect) || has(self.http) || !has(self.expect.statuses)",
            "message": "expect.statuses belongs to http tests",
        },
        {
            "rule": "!has(self.expect) || has(self.exec) || has(self.container) || !has(self.expect.exitCode)",
            "message": "expect.exitCode belongs to exec and container tests",
        },
    ]
))]
pub struct RecipeTest {
    /// Short name.
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub name: String,
    /// After which operation it runs, and to which rung it counts.
    pub stage: RungName,
    /// Puts data in before the operation; the test looks whether it is still there afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<Action>,
    /// Destroys the seeded data between backup and restore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destroy: Option<Action>,
    /// Asks over HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpCheck>,
    /// Connects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpCheck>,
    /// Runs a command in a container of the app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<ExecAction>,
    /// Runs a container of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerAction>,
    /// What the outcome must be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// How long the test may take; five minutes when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<DurationText>,
    /// Names of dependencies without which the test cannot run; it is Unverified then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "part_names")]
    pub requires: Vec<String>,
}

/// Another recipe that is deployed beside this one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "recipeRef"]))]
pub struct Dependency {
    /// Short name.
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub name: String,
    /// Name of its Recipe.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub recipe_ref: String,
    /// Version; the last green one when absent, else the latest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::version")]
    pub version: Option<String>,
    /// Environment that the tested app gets; `${domain}` and `${url}` stand for those of the dependency.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::grammar::environment")]
    pub env: BTreeMap<String, String>,
}

/// Whose work is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Trust {
    /// What happens to pull requests from forks.
    pub forks: ForkTrust,
    /// Whether tests that lie in the recipe's own repository are run, in containers.
    #[serde(skip_serializing_if = "is_false")]
    pub repo_tests: bool,
    /// What stacks of untrusted authors may do besides what everybody may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
}

/// What happens to pull requests from forks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ForkTrust {
    /// They are never run.
    Deny,
    /// Each head commit waits for an Approval.
    #[default]
    Approve,
    /// They are run like any other.
    Allow,
}

/// What a run needs of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Requirements {
    /// Memory of all services together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Quantity>,
    /// Disk for images and volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Quantity>,
}

/// When something happens by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["cron"]))]
pub struct Schedule {
    /// Five fields (minute hour day month weekday), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[schemars(schema_with = "crate::grammar::cron")]
    pub cron: String,
    /// Time zone such as `Europe/Berlin`; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$"))]
    pub time_zone: Option<String>,
}

/// How many finished runs are kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Keep {
    /// Runs that succeeded.
    #[schemars(range(min = 0, max = 1000))]
    pub succeeded: u32,
    /// Runs that did not.
    #[schemars(range(min = 0, max = 1000))]
    pub failed: u32,
    /// Longest time; the last run and the last green one stay whatever their age.
    pub age: DurationText,
}

impl Default for Keep {
    fn default() -> Self {
        Self { succeeded: 10, failed: 20, age: DurationText::hours(30 * 24) }
    }
}

/// What was seen of a recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RecipeStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Published versions, newest first: the annotated tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub versions: Vec<RecipeVersion>,
    /// Tags that are no published versions, each with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ignored_tags: Vec<IgnoredTag>,
    /// Newest published version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub latest_version: Option<String>,
    /// Tip of the branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub head: Option<String>,
    /// Newest state that passed a whole cold run outside a pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_green: Option<RecipeVersion>,
    /// Level of the last complete run, 0 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub level: Option<u8>,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
    /// When the source was fetched last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_fetched: Option<String>,
    /// Text of the annotation `ci.coopcloud.tech/fetch` at the last fetch; another text asks for a fetch now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub fetch_request: Option<String>,
    /// When the schedule fired last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_scheduled: Option<String>,
    /// `Fetched`, `Linted`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// One version and its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["version"]))]
pub struct RecipeVersion {
    /// The tag.
    #[schemars(length(max = 128))]
    pub version: String,
    /// Whole commit hash.
    #[schemars(length(max = 64))]
    pub commit: String,
}

/// A tag that is no published version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct IgnoredTag {
    /// The tag.
    #[schemars(length(max = 255))]
    pub name: String,
    /// Why it is none, for people.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// One run in short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastRun {
    /// Name of the TestRun.
    #[schemars(length(max = 253))]
    pub name: String,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
}

fn expected_skips(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 4,
        "additionalProperties": {"type": "string", "minLength": 1, "maxLength": 512},
        "x-kubernetes-validations": [{
            "rule": "self.all(rung, rung in ['upgrade', 'backup-restore', 'functional', 'lint'])",
            "message": "the rungs that may be skipped are upgrade, backup-restore, functional and lint",
        }],
    })
}

fn part_names(_: &mut SchemaGenerator) -> Schema {
    crate::grammar::set_of(&crate::grammar::PART_NAME, 8)
}
