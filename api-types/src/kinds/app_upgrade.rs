//! Upgrades of an App: the version that is held back, and what becomes of the one that is taken.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most versions of whose notes are shown.
pub const NOTES_MAX: usize = 16;
/// Most characters of the notes of one version.
pub const NOTES_CHARACTERS_MAX: usize = 4000;
/// Most volumes of one App that are copied before an upgrade.
pub const VOLUMES_MAX: usize = 64;
/// Most volumes of a stack that are told from those that an upgrade makes; where there are more, all stay.
pub const VOLUMES_BEFORE_MAX: usize = 128;

/// A newer version that is not taken by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["version", "reason"]))]
pub struct HeldVersion {
    /// The version.
    #[schemars(length(max = 128))]
    pub version: String,
    /// The version from which it is a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub from: Option<String>,
    /// How large the step is: `Major`, `Minor`, `Patch` or `Upstream`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<VersionStep>,
    /// What it waits for, in one word, as in the condition `UpToDate`.
    #[schemars(length(max = 128))]
    pub reason: String,
    /// The same in a sentence, with what to type to let it through.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// What the recipe's release notes say of the versions on the way, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["version"]))]
    pub notes: Vec<ReleaseNotes>,
}

/// How large a step from one version to a newer one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VersionStep {
    /// From 1.2.3 to 2.0.0.
    Major,
    /// From 1.2.3 to 1.3.0.
    Minor,
    /// From 1.2.3 to 1.2.4.
    Patch,
    /// Another version of what the recipe packs, nothing else.
    Upstream,
}

/// The release notes of one version: the file `release/<version>` of the recipe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["version"]))]
pub struct ReleaseNotes {
    /// The version.
    #[schemars(length(max = 128))]
    pub version: String,
    /// What they say; cut off with `…` when it is too long.
    #[schemars(length(max = 4096))]
    pub text: String,
}

/// The last step from one version to another, and what became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["from", "to", "phase"]))]
pub struct AppUpgrade {
    /// The version before.
    #[schemars(length(max = 128))]
    pub from: String,
    /// The version after.
    #[schemars(length(max = 128))]
    pub to: String,
    /// How far it is.
    pub phase: UpgradePhase,
    /// Generation of the spec that it was made for; a failed version is tried again under another.
    #[schemars(range(min = 0))]
    pub generation: i64,
    /// Value of the annotation `ci.coopcloud.tech/retry-upgrade` at that time; a failed version is tried again under another.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub retry: Option<String>,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub started_at: Option<String>,
    /// When the new version was handed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub deployed_at: Option<String>,
    /// When it ended, either way.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub finished_at: Option<String>,
    /// Why it was gone back, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// What the volumes held before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<VolumeSnapshot>,
    /// Volumes that the stack had when it began, until it is tidied up: what else there is after going back was made by the
    /// version that failed, and is removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), inner(length(max = 255)), extend("x-kubernetes-list-type" = "atomic"))]
    pub volumes_before: Option<Vec<String>>,
}

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpgradePhase {
    /// What uses the volumes is stopped, and the volumes are copied.
    #[default]
    Saving,
    /// The new version is handed over and has to show that it serves.
    Deploying,
    /// It does not serve: the version before comes back, with what the volumes held.
    GoingBack,
    /// The new version serves.
    Succeeded,
    /// The version before serves again.
    Failed,
}

/// Copies of an App's volumes, on the same engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct VolumeSnapshot {
    /// Names of the volumes; the copy of `x` is the volume `x.snapshot`.
    #[schemars(length(max = 64), inner(length(max = 255)), extend("x-kubernetes-list-type" = "set"))]
    pub volumes: Vec<String>,
    /// When all were copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub taken_at: Option<String>,
    /// How many bytes they hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub bytes: Option<i64>,
    /// When they were put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub restored_at: Option<String>,
}

impl AppUpgrade {
    /// Returns whether it goes on, in either direction.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self.phase, UpgradePhase::Saving | UpgradePhase::Deploying | UpgradePhase::GoingBack)
    }
}
