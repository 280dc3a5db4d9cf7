//! Repository: where events come from.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::is_false;
use crate::kinds::reference::SecretKeyReference;
use crate::meta::{GROUP, VERSION};
use crate::units::DurationText;

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repository;

impl Kind for Repository {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Repository";
    const PLURAL: &'static str = "repositories";
    const DESCRIPTION: &'static str =
        "Repository is a repository on a forge that is watched for comments, tags, pushes and times.";
    const SHORT_NAMES: &'static [&'static str] = &["repo"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".spec.forgeRef", ".spec.owner", ".spec.name"];
    type Spec = RepositorySpec;
    type Status = RepositoryStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Forge", "string", ".spec.forgeRef", "Name of the Forge."),
            PrinterColumn::new("Owner", "string", ".spec.owner", "Owner on the forge."),
            PrinterColumn::new("Repository", "string", ".spec.name", "Name on the forge."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Polled", "date", ".status.lastPolled", "How long ago the forge was asked."),
            PrinterColumn::new("Accepted", "integer", ".status.counts.accepted", "Events that started something.")
                .wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["forgeRef", "owner", "name"]))]
pub struct RepositorySpec {
    /// Name of the Forge.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub forge_ref: String,
    /// Owner on the forge: an organisation or a person.
    #[schemars(schema_with = "crate::grammar::forge_name")]
    pub owner: String,
    /// Name on the forge.
    #[schemars(schema_with = "crate::grammar::forge_name")]
    pub name: String,
    /// How often the forge is asked for news; polling alone is enough.
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('5s') && duration(self) <= duration('24h')",
        "message": "pollInterval must be between 5s and 24h",
    }]))]
    pub poll_interval: DurationText,
    /// A doorbell that makes the next poll happen at once. Absent: there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// What starts what.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "atomic"))]
    pub triggers: Vec<Trigger>,
    /// Leaves the object alone while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

impl Default for RepositorySpec {
    fn default() -> Self {
        Self {
            forge_ref: String::new(),
            owner: String::new(),
            name: String::new(),
            poll_interval: DurationText::seconds(30),
            webhook: None,
            triggers: Vec::new(),
            suspend: false,
        }
    }
}

/// The doorbell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.mode == 'Disabled' || has(self.secretRef)",
    "message": "a webhook needs secretRef, the Secret with which the forge signs; without one set mode to Disabled",
}]))]
pub struct Webhook {
    /// The Secret with which the forge signs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyReference>,
    /// Whether the endpoint answers.
    pub mode: WebhookMode,
}

/// Whether a webhook's endpoint answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WebhookMode {
    /// It answers signed deliveries; polling goes on.
    #[default]
    Optional,
    /// It does not answer.
    Disabled,
}

/// One rule: what starts what. In YAML 1.1 `on` alone means true, so write `"on"` in quotes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["on", "run"],
    "x-kubernetes-validations" = [
        {"rule": "self.on == 'Comment' ? has(self.phrase) : !has(self.phrase)", "message": "phrase belongs to triggers on Comment, and they need it"},
        {"rule": "self.on == 'Tag' ? has(self.pattern) : !has(self.pattern)", "message": "pattern belongs to triggers on Tag, and they need it"},
        {"rule": "self.on == 'Push' ? has(self.branch) : !has(self.branch)", "message": "branch belongs to triggers on Push, and they need it"},
        {"rule": "self.on == 'Schedule' ? has(self.cron) : !has(self.cron)", "message": "cron belongs to triggers on Schedule, and they need it"},
        {"rule": "self.on == 'Comment' || !has(self.authorize)", "message": "authorize belongs to triggers on Comment"},
        {"rule": "self.on != 'Comment' || has(self.authorize)", "message": "a trigger on Comment needs authorize: say whose comments count"},
        {"rule": "self.on == 'Schedule' || !has(self.timeZone)", "message": "timeZone belongs to triggers on Schedule"},
        {"rule": "self.on == 'Comment' || !has(self.cancelSuperseded)", "message": "cancelSuperseded belongs to triggers on Comment"},
    ]
))]
pub struct Trigger {
    /// What kind of event it is.
    pub on: TriggerEvent,
    /// The comment's first word, trimmed; options may follow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 64), regex(pattern = r"^[!/][A-Za-z0-9][A-Za-z0-9_-]*$"))]
    pub phrase: Option<String>,
    /// Whose comments count; nobody else's do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorize: Option<Authorize>,
    /// Pattern of tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::reference_pattern")]
    pub pattern: Option<String>,
    /// Branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::git_reference")]
    pub branch: Option<String>,
    /// When: five fields (minute hour day month weekday), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::cron")]
    pub cron: Option<String>,
    /// Time zone of `cron`, such as `Europe/Berlin`; UTC when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*)*$"))]
    pub time_zone: Option<String>,
    /// What is started.
    pub run: TriggerRun,
    /// Ends unfinished runs of older heads of the pull request when a comment starts a run of a newer one.
    #[serde(skip_serializing_if = "is_false")]
    pub cancel_superseded: bool,
}

/// What kind of event starts something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TriggerEvent {
    /// A comment on an open pull request.
    #[default]
    Comment,
    /// A new tag.
    Tag,
    /// A push to a branch.
    Push,
    /// A time.
    Schedule,
}

/// Whose comments count: whoever meets one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.organization) || has(self.users)", "message": "say whose comments count: organization, organization and team, or users"},
    {"rule": "!has(self.team) || has(self.organization)", "message": "team is a team of organization: name the organization too"},
]))]
pub struct Authorize {
    /// Members of this organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::forge_name")]
    pub organization: Option<String>,
    /// Narrows the members down to those of this team.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::forge_name")]
    pub team: Option<String>,
    /// These people, besides the members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "logins")]
    pub users: Vec<String>,
}

/// What a trigger starts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.recipeRef), has(self.releaseRef), has(self.flakeBuildRef)].filter(given, given).size() == 1",
    "message": "run names exactly one of recipeRef, releaseRef and flakeBuildRef",
}]))]
pub struct TriggerRun {
    /// Name of the Recipe that is tested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub recipe_ref: Option<String>,
    /// Name of the Release that is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub release_ref: Option<String>,
    /// Name of the FlakeBuild that is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub flake_build_ref: Option<String>,
}

/// What was seen of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoryStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Up to where events have been dealt with. Absent: the repository has never been seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// When the forge answered last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_polled: Option<String>,
    /// When the doorbell rang last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_delivery: Option<String>,
    /// What became of the events since the first sight.
    pub counts: EventCounts,
    /// The last events on which nothing was done, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub ignored: Vec<InboxEvent>,
    /// The last events on which something was done, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), extend("x-kubernetes-list-type" = "atomic"))]
    pub handled: Vec<InboxEvent>,
    /// `Polled`, `TriggersActive`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Up to where events have been dealt with: the persisted high-water mark.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Cursor {
    /// Comments changed before this moment have been dealt with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub since: Option<String>,
    /// Highest comment that has been dealt with.
    pub comment_id: i64,
    /// Comments that have been dealt with and may still be listed again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4000), extend("x-kubernetes-list-type" = "atomic"))]
    pub recent: Vec<i64>,
    /// The repository that tags, branches and schedules are about: forge, owner and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub repository: Option<String>,
    /// Last commit seen of each watched branch; empty for a branch that was not there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 64}))]
    pub branches: BTreeMap<String, String>,
    /// Commit of each tag that has been seen and matches a trigger.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 2000, "additionalProperties" = {"type": "string", "maxLength": 64}))]
    pub tags: BTreeMap<String, String>,
    /// Patterns whose tags have been seen. A tag that was there before its pattern starts nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 255)), extend("x-kubernetes-list-type" = "set"))]
    pub tag_patterns: Vec<String>,
    /// Up to when each schedule has been dealt with, by its `cron` and `timeZone`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 64}))]
    pub schedules: BTreeMap<String, String>,
}

/// What became of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventCounts {
    /// Events that were read.
    pub seen: i64,
    /// Events that started something.
    pub accepted: i64,
    /// Commands by somebody who may not give them.
    pub rejected: i64,
    /// Events that were no commands.
    pub ignored: i64,
    /// Polls that got no answer.
    pub failed_polls: i64,
}

/// An event that was seen, and what was decided about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InboxEvent {
    /// When it happened.
    #[schemars(schema_with = "crate::grammar::moment")]
    pub at: String,
    /// What kind of event it is.
    pub on: TriggerEvent,
    /// The tag, the branch or the schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub subject: Option<String>,
    /// The commit of the tag or push.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub commit: Option<String>,
    /// Number of the comment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment_id: Option<i64>,
    /// Number of the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<i64>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub author: Option<String>,
    /// What was done, or why nothing was, for programs.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// What was done, or why nothing was, for people.
    #[schemars(length(max = 1024))]
    pub message: String,
}

fn logins(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    crate::grammar::set_of(&crate::grammar::FORGE_NAME, 128)
}
