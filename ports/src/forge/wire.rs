//! What forges send, as far as it is read: tolerant of members that come, go, or are null.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{
    Account, Comment, CommitStatus, ForgeTag, ForgeToken, OAuthApplication, Permission, PullRequest, RepositoryFacts,
};

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Problem {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireVersion {
    pub(super) version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct WireApplication {
    id: i64,
    #[serde(deserialize_with = "null_is_default")]
    name: String,
    #[serde(deserialize_with = "null_is_default")]
    client_id: String,
    #[serde(deserialize_with = "null_is_default")]
    client_secret: String,
    #[serde(deserialize_with = "null_is_default")]
    redirect_uris: Vec<String>,
}

impl WireApplication {
    /// Returns the secret; empty unless it was made just now.
    pub(super) fn secret(&self) -> ForgeToken {
        ForgeToken::new(&self.client_secret)
    }
}

impl From<WireApplication> for OAuthApplication {
    fn from(wire: WireApplication) -> Self {
        Self { id: wire.id, name: wire.name, client_id: wire.client_id, redirect_uris: wire.redirect_uris }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireUser {
    id: i64,
    #[serde(deserialize_with = "null_is_default")]
    login: String,
}

impl From<WireUser> for Account {
    fn from(user: WireUser) -> Self {
        Self { id: user.id, login: user.login }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WirePermissions {
    push: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireRepository {
    id: i64,
    #[serde(deserialize_with = "null_is_default")]
    full_name: String,
    #[serde(deserialize_with = "null_is_default")]
    clone_url: String,
    #[serde(deserialize_with = "null_is_default")]
    default_branch: String,
    archived: bool,
    mirror: bool,
    #[serde(deserialize_with = "null_is_default")]
    permissions: WirePermissions,
}

impl From<WireRepository> for RepositoryFacts {
    fn from(repository: WireRepository) -> Self {
        Self {
            full_name: repository.full_name,
            is_archived: repository.archived,
            is_mirror: repository.mirror,
            clone_url: repository.clone_url,
            default_branch: repository.default_branch,
            may_push: repository.permissions.push,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireComment {
    id: i64,
    #[serde(default, deserialize_with = "null_is_default")]
    user: WireUser,
    #[serde(default, deserialize_with = "null_is_default")]
    body: String,
    created_at: Timestamp,
    updated_at: Timestamp,
    #[serde(default, deserialize_with = "null_is_default")]
    pull_request_url: String,
}

impl From<WireComment> for Comment {
    fn from(comment: WireComment) -> Self {
        let number = comment.pull_request_url.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        Self {
            id: comment.id,
            author: comment.user.into(),
            body: comment.body,
            created_at: comment.created_at,
            updated_at: comment.updated_at,
            pull_request: number.parse().ok().filter(|number| *number > 0),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireBranchEnd {
    #[serde(rename = "ref", deserialize_with = "null_is_default")]
    reference: String,
    #[serde(deserialize_with = "null_is_default")]
    sha: String,
    repo_id: i64,
    repo: Option<WireRepository>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePullRequest {
    number: i64,
    #[serde(default, deserialize_with = "null_is_default")]
    state: String,
    #[serde(default)]
    merged: bool,
    #[serde(default, deserialize_with = "null_is_default")]
    user: WireUser,
    head: WireBranchEnd,
    base: WireBranchEnd,
}

impl From<WirePullRequest> for PullRequest {
    fn from(pull_request: WirePullRequest) -> Self {
        let (head, base) = (pull_request.head, pull_request.base);
        // Both ways of saying it must agree: whatever is odd is a fork, which is trusted less.
        let same_number = head.repo_id > 0 && head.repo_id == base.repo_id;
        let same_repository =
            head.repo.as_ref().zip(base.repo.as_ref()).is_some_and(|(head, base)| head.id > 0 && head.id == base.id);
        Self {
            number: pull_request.number,
            is_open: pull_request.state == "open" && !pull_request.merged,
            author: pull_request.user.into(),
            head_sha: head.sha,
            is_fork: !(same_number && same_repository),
            base_branch: base.reference,
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePermission {
    permission: String,
}

impl From<WirePermission> for Permission {
    fn from(permission: WirePermission) -> Self {
        match permission.permission.as_str() {
            "owner" | "admin" => Self::Admin,
            "write" => Self::Write,
            "read" => Self::Read,
            _ => Self::None,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireTeam {
    pub(super) id: i64,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
    /// Whose team it is; only told where teams of several are listed.
    #[serde(deserialize_with = "null_is_default")]
    pub(super) organization: WireOrganization,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireOrganization {
    #[serde(deserialize_with = "null_is_default")]
    name: String,
    /// What Gitea before 1.19 called the name.
    #[serde(deserialize_with = "null_is_default")]
    username: String,
}

impl WireOrganization {
    pub(super) fn name(self) -> String {
        if self.name.is_empty() { self.username } else { self.name }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireAccessToken {
    pub(super) access_token: String,
}

/// Why an application does not get a token, as RFC 6749 says it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireRefusal {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) error: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) error_description: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireTeams {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) data: Vec<WireTeam>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireStatus {
    #[serde(deserialize_with = "null_is_default")]
    context: String,
    #[serde(deserialize_with = "null_is_default")]
    status: String,
    #[serde(deserialize_with = "null_is_default")]
    description: String,
    #[serde(deserialize_with = "null_is_default")]
    target_url: String,
}

impl From<WireStatus> for CommitStatus {
    fn from(status: WireStatus) -> Self {
        Self {
            context: status.context,
            state: status.status,
            description: status.description,
            target_url: status.target_url,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WireCombined {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) statuses: Vec<WireStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WireCommit {
    #[serde(deserialize_with = "null_is_default")]
    sha: String,
    #[serde(deserialize_with = "null_is_default")]
    id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireTag {
    name: String,
    #[serde(default, deserialize_with = "null_is_default")]
    commit: WireCommit,
}

impl From<WireTag> for ForgeTag {
    fn from(tag: WireTag) -> Self {
        Self { name: tag.name, commit: tag.commit.sha }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WireBranch {
    #[serde(default, deserialize_with = "null_is_default")]
    commit: WireCommit,
}

impl WireBranch {
    pub(super) fn tip(self) -> String {
        self.commit.id
    }
}
