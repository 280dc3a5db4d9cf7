//! Approval: trust bound to one head commit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::is_false;
use crate::meta::{GROUP, VERSION};

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval;

impl Kind for Approval {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Approval";
    const PLURAL: &'static str = "approvals";
    const DESCRIPTION: &'static str = "Approval says that a member has looked at one head commit of a pull request and lets it run. A new push voids it.";
    const SHORT_NAMES: &'static [&'static str] = &["appr"];
    const SELECTABLE_FIELDS: &'static [&'static str] = &[".spec.repositoryRef", ".spec.headSHA"];
    type Spec = ApprovalSpec;
    type Status = ApprovalStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Repository", "string", ".spec.repositoryRef", "Name of the Repository."),
            PrinterColumn::new("PR", "integer", ".spec.pullRequest", "Number of the pull request."),
            PrinterColumn::new("Approved By", "string", ".spec.approvedBy", "Who approved it."),
            PrinterColumn::new("Scope", "string", ".spec.scope", "For what it counts."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Head", "string", ".spec.headSHA", "The commit.").wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is approved. It cannot be changed: approve again instead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["repositoryRef", "pullRequest", "headSHA", "approvedBy"],
    "x-kubernetes-validations" = [{
        "rule": "self.repositoryRef == oldSelf.repositoryRef && self.pullRequest == oldSelf.pullRequest && self.headSHA == oldSelf.headSHA && self.approvedBy == oldSelf.approvedBy && self.scope == oldSelf.scope",
        "message": "an approval cannot be changed: delete it and create another",
    }]
))]
pub struct ApprovalSpec {
    /// Name of the Repository.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub repository_ref: String,
    /// Number of the pull request.
    #[schemars(range(min = 1))]
    pub pull_request: i64,
    /// The head commit that was looked at.
    #[serde(rename = "headSHA")]
    #[schemars(schema_with = "crate::grammar::commit")]
    pub head_sha: String,
    /// Who looked at it.
    #[schemars(length(min = 1, max = 255))]
    pub approved_by: String,
    /// For what it counts.
    pub scope: ApprovalScope,
    /// Leaves the object alone, and does not count it, while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// For what an approval counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalScope {
    /// For this head commit.
    #[default]
    Once,
    /// For this head commit, and for later pull requests of the same author in this repository.
    Author,
}

/// What was seen of an approval.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Who wrote the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub author: Option<String>,
    /// The pull request's head commit when it was looked at last.
    #[serde(rename = "observedHeadSHA", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub observed_head_sha: Option<String>,
    /// When the forge answered last: a run that depends on the word of somebody on the forge begins only shortly after.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub last_checked: Option<String>,
    /// TestRuns that were dispatched because of it, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 253)), extend("x-kubernetes-list-type" = "atomic"))]
    pub used_by: Vec<String>,
    /// `Current`, `Authorized`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
