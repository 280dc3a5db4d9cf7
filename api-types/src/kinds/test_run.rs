//! TestRun: one test of one commit.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, SUCCEEDED};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::identity::Identity;
use crate::kinds::is_false;
use crate::meta::{GROUP, VERSION};
use crate::units::DurationText;

/// The word in `spec.baseVersion` for every published version that is older than the head.
pub const ALL_VERSIONS: &str = "all";

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun;

impl Kind for TestRun {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "TestRun";
    const PLURAL: &'static str = "testruns";
    const DESCRIPTION: &'static str =
        "TestRun is one test of one commit of a recipe: deployed on a real swarm, taken through every rung, torn down.";
    const SHORT_NAMES: &'static [&'static str] = &["tr"];
    const SELECTABLE_FIELDS: &'static [&'static str] =
        &[".spec.recipeRef", ".spec.lane", ".spec.source.commit", ".status.phase"];
    const SUMMARY: &'static str = SUCCEEDED;
    type Spec = TestRunSpec;
    type Status = TestRunStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Recipe", "string", ".spec.recipeRef", "Name of the Recipe."),
            PrinterColumn::new("PR", "integer", ".spec.source.pullRequest.number", "Number of the pull request."),
            PrinterColumn::new("Phase", "string", ".status.phase", "How far the run is."),
            PrinterColumn::new("Level", "integer", ".status.level", "Level reached, 0 to 5."),
            PrinterColumn::condition(SUCCEEDED),
            PrinterColumn::reason(SUCCEEDED),
            PrinterColumn::new("Base", "string", ".status.base.version", "What was upgraded from.").wide(),
            PrinterColumn::new("Commit", "string", ".status.head.commit", "What is tested.").wide(),
            PrinterColumn::new("Domain", "string", ".status.domain", "Where the app answers.").wide(),
            PrinterColumn::message(SUCCEEDED),
            PrinterColumn::age(),
        ]
    }
}

/// What is tested. Only `cancel`, `holdOnFailure`, `ttlAfterFinished` and `suspend` can be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["recipeRef", "source"],
    "x-kubernetes-validations" = [
        {"rule": "self.recipeRef == oldSelf.recipeRef", "message": "recipeRef cannot be changed: create another TestRun", "fieldPath": ".recipeRef"},
        {"rule": "self.source == oldSelf.source", "message": "source cannot be changed: create another TestRun", "fieldPath": ".source"},
        {"rule": "self.lane == oldSelf.lane", "message": "lane cannot be changed: create another TestRun", "fieldPath": ".lane"},
        {"rule": "has(self.stages) == has(oldSelf.stages) && (!has(self.stages) || self.stages == oldSelf.stages)", "message": "stages cannot be changed: create another TestRun", "fieldPath": ".stages"},
        {"rule": "has(self.baseVersion) == has(oldSelf.baseVersion) && (!has(self.baseVersion) || self.baseVersion == oldSelf.baseVersion)", "message": "baseVersion cannot be changed: create another TestRun", "fieldPath": ".baseVersion"},
        {"rule": "!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)", "message": "a cancelled run stays cancelled: create another TestRun", "fieldPath": ".cancel"},
    ]
))]
pub struct TestRunSpec {
    /// Name of the Recipe.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub recipe_ref: String,
    /// What of the recipe is tested.
    pub source: TestSource,
    /// `Cold` is the only authority; `Quick` is a hint.
    pub lane: Lane,
    /// Rungs that are run; all when absent. What is left out is Unverified, and blocks the level.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5), extend("x-kubernetes-list-type" = "set"))]
    pub stages: Vec<RungName>,
    /// Version to upgrade from, or `all` for every published version that is older than the head. Absent: the last green
    /// one, else the newest that is older than the head.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::version")]
    pub base_version: Option<String>,
    /// How long a failed app is kept for a look before it is torn down. Absent: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "hold")]
    pub hold_on_failure: Option<DurationText>,
    /// Ends the run: what is deployed is torn down, and the outcome is Cancelled.
    #[serde(skip_serializing_if = "is_false")]
    pub cancel: bool,
    /// How long the finished run is kept. Absent: as the recipe's `keep` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_after_finished: Option<DurationText>,
    /// Starts nothing new while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// What of a recipe is tested.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "[has(self.commit), has(self.ref), has(self.version)].filter(given, given).size() == 1",
        "message": "source has exactly one of commit, ref and version",
    },
    {
        "rule": "!has(self.pullRequest) || (has(self.commit) && self.commit == self.pullRequest.headSHA)",
        "message": "a run for a pull request names its head commit: set commit to pullRequest.headSHA",
    },
]))]
pub struct TestSource {
    /// Whole commit hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::commit")]
    pub commit: Option<String>,
    /// Branch or tag; what it points to when the run begins is tested.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::git_reference")]
    pub reference: Option<String>,
    /// Published version.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::version")]
    pub version: Option<String>,
    /// The pull request for which it is tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<PullRequest>,
}

/// A pull request at one head commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["number", "headSHA"]))]
pub struct PullRequest {
    /// Its number.
    #[schemars(range(min = 1))]
    pub number: i64,
    /// Its head commit.
    #[serde(rename = "headSHA")]
    #[schemars(schema_with = "crate::grammar::commit")]
    pub head_sha: String,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub author: Option<String>,
    /// Whether it comes from a fork.
    #[serde(skip_serializing_if = "is_false")]
    pub fork: bool,
}

/// How thoroughly a run goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Lane {
    /// From nothing, through every rung.
    #[default]
    Cold,
    /// From kept data of the last green version: upgrade and functional tests alone. Never counts as green.
    Quick,
}

/// The rungs of the ladder, in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RungName {
    /// Level 1: deployed and healthy.
    #[default]
    Install,
    /// Level 2: upgraded from the base to the head, data intact.
    Upgrade,
    /// Level 3: seeded data survives backup, destruction and restore.
    BackupRestore,
    /// Level 4: the recipe's own tests pass.
    Functional,
    /// Level 5: the linter finds no errors.
    Lint,
}

/// What was seen of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TestRunStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// How far the run is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// When the run began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub started_at: Option<String>,
    /// When the run ended, clean-up included.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
    /// Why the run has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePlace>,
    /// The rungs, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rungs: Vec<Rung>,
    /// What the run did so far and does now, in the order in which it began: after a restart it goes on from here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub steps: Vec<Step>,
    /// Every check and test, in the order they ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["stage", "name"]))]
    pub tests: Vec<TestResult>,
    /// Highest rung that passed below which there is only Pass or declared Skip; 0 when install did not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub level: Option<u8>,
    /// Why the level is not higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub level_cap: Option<String>,
    /// What was upgraded from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Identity>,
    /// What is tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Identity>,
    /// Why the base is what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub base_reason: Option<String>,
    /// With `baseVersion: all`: each version that is upgraded from, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub upgrades: Vec<UpgradeFrom>,
    /// Name of the App.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub app_ref: Option<String>,
    /// Where the app answers while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub domain: Option<String>,
    /// Until when a failed app is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub held_until: Option<String>,
    /// The logs, each of which can be read under `/log`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub logs: Vec<RunLog>,
    /// Files that the run left for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub artifacts: Vec<Artifact>,
    /// What was removed, and what is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<Cleanup>,
    /// What was told to the forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// `Accepted`, `Approved`, `Scheduled`, `Fetched`, `Deployed`, `Tested`, `CleanedUp`, `Reported`, `Succeeded`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It is being looked at: accepted, approved.
    #[default]
    Pending,
    /// It waits for room.
    Queued,
    /// It runs, or is being torn down.
    Running,
    /// It ended, and every rung that was wanted passed.
    Succeeded,
    /// It ended, and a rung failed.
    Failed,
    /// It ended because of something that is not the recipe's fault.
    Error,
    /// Somebody ended it.
    Cancelled,
}

impl Phase {
    /// Returns whether nothing will happen any more.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Error | Self::Cancelled)
    }
}

/// A place in the queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueuePlace {
    /// Counted from 1.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub position: u32,
    /// What it waits for, for people.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// The result of one rung.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name", "status"]))]
pub struct Rung {
    /// Which rung.
    pub name: RungName,
    /// Its result.
    pub status: RungStatus,
    /// Why, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
}

/// The upgrade from one version to the head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["version", "commit", "status"]))]
pub struct UpgradeFrom {
    /// The version.
    #[schemars(schema_with = "crate::grammar::version")]
    pub version: String,
    /// Its commit.
    #[schemars(schema_with = "crate::grammar::commit")]
    pub commit: String,
    /// The result; Unverified without a reason means that its turn has not come.
    pub status: RungStatus,
    /// Why, for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
}

/// The result of a rung or test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RungStatus {
    /// It was checked and is good.
    Pass,
    /// It was checked and is not good.
    Fail,
    /// It does not apply, as declared.
    Skip,
    /// It was not checked, for whatever reason. Blocks the level.
    #[default]
    Unverified,
}

/// One step of a run: a rung takes several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Step {
    /// What is done, such as `install-deploy`.
    #[schemars(length(max = 64))]
    pub name: String,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub started_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
    /// How often it was begun; more than once after a hiccup of something outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub attempts: Option<u32>,
    /// What it came to, for programs; `Done` when it did what it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub outcome: Option<String>,
    /// What it came to, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub message: Option<String>,
}

/// The result of one check or test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["stage", "name", "status"]))]
pub struct TestResult {
    /// To which rung it counts.
    pub stage: RungName,
    /// Its name.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Its result.
    pub status: RungStatus,
    /// What happened, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// How long it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_milliseconds: Option<i64>,
    /// How often it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub attempts: Option<u32>,
}

/// One log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct RunLog {
    /// Its name: the `container` of `kubectl logs`.
    #[schemars(length(max = 128))]
    pub name: String,
    /// How long it is.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// Whether the middle was left out because it was too long.
    #[serde(skip_serializing_if = "is_false")]
    pub truncated: bool,
    /// Whether nothing will be added any more.
    #[serde(skip_serializing_if = "is_false")]
    pub complete: bool,
}

/// One file that a run left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct Artifact {
    /// Its name.
    #[schemars(length(max = 255))]
    pub name: String,
    /// Its media type.
    #[schemars(length(max = 128))]
    pub media_type: String,
    /// How long it is.
    #[schemars(range(min = 0))]
    pub bytes: i64,
    /// SHA-256 of its content, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub sha256: Option<String>,
}

/// What was removed, and what is still there, as `kind/name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cleanup {
    /// What was removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 320)), extend("x-kubernetes-list-type" = "atomic"))]
    pub removed: Vec<String>,
    /// What is still there; the run is clean only when this is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 320)), extend("x-kubernetes-list-type" = "atomic"))]
    pub remaining: Vec<String>,
}

/// What was told to the forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Report {
    /// The one comment that is edited in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub comment_id: Option<i64>,
    /// Name of the commit status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub status_context: Option<String>,
    /// Hash of what was told; when it differs from what should be told, it is told again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub hash: Option<String>,
}

fn hold(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = DurationText::json_schema(generator);
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        serde_json::json!([{
            "rule": "duration(self) <= duration('24h')",
            "message": "holdOnFailure may be at most 24h: a held app uses capacity",
        }]),
    );
    schema
}
