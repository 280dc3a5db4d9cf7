//! Forges: Gitea and Forgejo, asked for exactly what is needed.
//!
//! Every call is one question or one effect; none retries by itself. What comes back is the forge's own view, read anew:
//! nothing that a webhook says is ever taken for a fact. How answers become errors stands in [`http`].
//!
//! | call | needs of the token |
//! |---|---|
//! | [`server`](Forge::server) | nothing |
//! | [`account`](Forge::account) | `read:user` |
//! | comments, reactions | `write:issue` |
//! | pull requests, statuses, tags, branches, permissions | `write:repository` |
//! | members, teams | `read:organization` |
//! | OAuth2 applications | `write:user` |

pub mod conformance;
pub mod fake;
pub mod http;
pub mod sign_in;
mod wire;

#[cfg(test)]
mod contract;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::error::Error;
use sign_in::{Application, Person, Proof};

/// Scopes that a token must have for everything that is done with it.
pub const SCOPES_NEEDED: [&str; 4] = ["read:user", "read:organization", "write:issue", "write:repository"];

/// Most characters of a commit status's description that every forge takes.
pub const DESCRIPTION_CHARACTERS_MAX: usize = 255;
/// Most bytes of a comment that are sent.
pub const COMMENT_BYTES_MAX: usize = 60_000;

/// An access token. It is shown nowhere.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ForgeToken(String);

impl ForgeToken {
    /// Takes a token as it is, without the line break that editors put behind it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// Returns the token itself: for the header, and for the redactor.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ForgeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ForgeToken(…)")
    }
}

/// Where a forge answers, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ForgeAddress {
    /// The base URL, without `/api/v1`.
    pub url: String,
    /// The token; it is only ever sent to the host of `url`.
    pub token: ForgeToken,
}

/// A repository on a forge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName {
    /// Its owner: an organisation or a person.
    pub owner: String,
    /// Its name.
    pub name: String,
}

impl RepositoryName {
    /// Returns the name of a repository.
    #[must_use]
    pub fn new(owner: &str, name: &str) -> Self {
        Self { owner: owner.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.owner, self.name)
    }
}

/// Which program a forge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavor {
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
}

/// What a forge says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Which program it is.
    pub flavor: Flavor,
    /// Its version, as it says it: `1.24.2`, `15.0.0+gitea-1.22.0`.
    pub version: String,
}

impl Server {
    /// Returns the program and version that a version text tells. Forgejo names the Gitea whose API it speaks behind a
    /// plus.
    #[must_use]
    pub fn of_version(version: &str) -> Self {
        let flavor = if version.contains("+gitea-") { Flavor::Forgejo } else { Flavor::Gitea };
        Self { flavor, version: version.to_owned() }
    }

    /// Returns the leading two numbers of the version; `None` when it does not begin with any.
    #[must_use]
    pub fn numbers(&self) -> Option<(u32, u32)> {
        let mut parts = self.version.trim_start_matches('v').split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
    }

    /// Returns whether everything that is needed is known to work with this version: Gitea 1.21, Forgejo 8, and later.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        let Some(numbers) = self.numbers() else { return false };
        match self.flavor {
            Flavor::Gitea => numbers >= (1, 21),
            Flavor::Forgejo => numbers >= (8, 0),
        }
    }
}

/// Somebody on a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The number, which outlives a change of the name. Not above zero for accounts that nobody logs in to.
    pub id: i64,
    /// The name.
    pub login: String,
}

/// Which scopes a token has, as far as they could be told without changing anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// Of [`SCOPES_NEEDED`], those that it has.
    pub found: Vec<String>,
    /// Of [`SCOPES_NEEDED`], those that it has not.
    pub missing: Vec<String>,
}

/// What a forge says of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryFacts {
    /// Its present name; another one than was asked for after it was renamed.
    pub full_name: String,
    /// Whether it takes no changes any more.
    pub is_archived: bool,
    /// Whether it is a copy of another one.
    pub is_mirror: bool,
    /// URL that git fetches.
    pub clone_url: String,
    /// Its main branch.
    pub default_branch: String,
    /// Whether the token's owner may write to it.
    pub may_push: bool,
}

/// One comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its number, which grows with every comment of the forge.
    pub id: i64,
    /// Who wrote it.
    pub author: Account,
    /// What it says now.
    pub body: String,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// The pull request that it stands under; `None` for issues.
    pub pull_request: Option<i64>,
}

/// Comments that were changed since a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentList {
    /// The comments, oldest first.
    pub comments: Vec<Comment>,
    /// Whether these are all; if not, ask again from the last one on.
    pub is_complete: bool,
    /// The forge's own clock when it answered, if it said so.
    pub server_time: Option<Timestamp>,
}

/// A pull request as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: i64,
    /// Whether it is neither closed nor merged.
    pub is_open: bool,
    /// Who wrote it.
    pub author: Account,
    /// Its head commit.
    pub head_sha: String,
    /// Whether its head lies, or lay, in another repository than its base. A head that is gone counts as a fork.
    pub is_fork: bool,
    /// The branch that it is for.
    pub base_branch: String,
}

/// Whether somebody belongs to an organisation or team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Membership {
    /// Yes.
    Member,
    /// No, and the forge would say so if they did.
    Stranger,
    /// The token's owner is not shown who belongs to it.
    Hidden,
}

/// What somebody may do with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Write.
    Write,
    /// Everything.
    Admin,
}

/// The state of a commit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusState {
    /// It is not known yet.
    Pending,
    /// Good.
    Success,
    /// Bad.
    Failure,
    /// Nobody can say.
    Error,
}

impl StatusState {
    /// Returns the word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// A commit status that is to be set, or was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// Its name; the newest of each name counts.
    pub context: String,
    /// Its state, as the word on the wire: forges know more than we set.
    pub state: String,
    /// Why, for people.
    pub description: String,
    /// Where there is more to read; empty for nowhere.
    pub target_url: String,
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeTag {
    /// Its name.
    pub name: String,
    /// The commit that it leads to.
    pub commit: String,
}

/// Tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagList {
    /// The tags, newest first.
    pub tags: Vec<ForgeTag>,
    /// Whether these are all; if not, older ones are left out.
    pub is_complete: bool,
}

/// An OAuth2 application that belongs to the token's owner. Its secret is told only when it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OAuthApplication {
    /// Its number.
    pub id: i64,
    /// Its name; several may have the same.
    pub name: String,
    /// Its client ID.
    pub client_id: String,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// An OAuth2 application as it should be: one that keeps its secret to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedOAuthApplication {
    /// Its name.
    pub name: String,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<String>,
}

/// Connects to forges. Connecting asks nothing over the network.
#[async_trait]
pub trait Forges: Send + Sync {
    /// Returns a forge; two calls with one address share its pace.
    ///
    /// # Errors
    /// The URL is none that could be asked.
    fn connect(&self, address: &ForgeAddress) -> Result<Arc<dyn Forge>, Error>;

    /// Turns what a browser came back with into who its owner is on the forge. What is asked for this has a pace of its
    /// own: strangers cannot slow down anything else. The forge's token is forgotten with the answer.
    ///
    /// # Errors
    /// `Rejected` when the forge takes the code, the verifier or the application for wrong; those of [`http`]'s table.
    async fn sign_in(&self, application: &Application, proof: &Proof) -> Result<Person, Error>;

    /// Returns how many requests were made so far, to all forges.
    fn calls(&self) -> u64;
}

/// A forge. The errors of every call are those of [`http`]'s table; `None` says that it is not there.
#[async_trait]
pub trait Forge: Send + Sync {
    /// Asks which program it is.
    async fn server(&self) -> Result<Server, Error>;

    /// Asks whose token it is.
    async fn account(&self) -> Result<Account, Error>;

    /// Finds out which scopes the token has, with requests that cannot change anything.
    async fn scopes(&self) -> Result<Scopes, Error>;

    /// Reads a repository.
    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryFacts>, Error>;

    /// Reads comments under issues and pull requests that were changed at or after a moment, oldest first, at most a
    /// few thousand at once.
    async fn comments_since(&self, repository: &RepositoryName, since: Timestamp) -> Result<CommentList, Error>;

    /// Reads the comments under one issue or pull request, oldest first.
    async fn comments_of(&self, repository: &RepositoryName, number: i64) -> Result<Vec<Comment>, Error>;

    /// Reads one comment.
    async fn comment(&self, repository: &RepositoryName, id: i64) -> Result<Option<Comment>, Error>;

    /// Writes a comment under an issue or pull request.
    async fn create_comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Result<Comment, Error>;

    /// Replaces what a comment says; `None` when it is gone.
    async fn edit_comment(&self, repository: &RepositoryName, id: i64, body: &str) -> Result<Option<Comment>, Error>;

    /// Puts a reaction, such as `eyes`, under a comment; a second time changes nothing.
    async fn react(&self, repository: &RepositoryName, id: i64, reaction: &str) -> Result<(), Error>;

    /// Reads a pull request.
    async fn pull_request(&self, repository: &RepositoryName, number: i64) -> Result<Option<PullRequest>, Error>;

    /// Asks whether somebody belongs to an organisation.
    async fn member_of(&self, organization: &str, login: &str) -> Result<Membership, Error>;

    /// Asks whether somebody belongs to a team of an organisation.
    async fn team_member(&self, organization: &str, team: &str, login: &str) -> Result<Membership, Error>;

    /// Asks what somebody may do with a repository; `None` when the token's owner is not told.
    async fn permission(&self, repository: &RepositoryName, login: &str) -> Result<Option<Permission>, Error>;

    /// Reads the newest status of each name at a commit.
    async fn statuses(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<CommitStatus>, Error>;

    /// Sets a commit status. A commit that the forge does not know is `CommitNotFound`, although forges answer 500.
    async fn set_status(&self, repository: &RepositoryName, sha: &str, status: &CommitStatus) -> Result<(), Error>;

    /// Reads the tags, newest first, at most two thousand.
    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, Error>;

    /// Lists the OAuth2 applications of the token's owner.
    async fn oauth_applications(&self) -> Result<Vec<OAuthApplication>, Error>;

    /// Makes an OAuth2 application, and returns it with its secret. Another one of the same name does not keep it from that.
    async fn create_oauth_application(
        &self,
        wanted: &WantedOAuthApplication,
    ) -> Result<(OAuthApplication, ForgeToken), Error>;

    /// Changes an OAuth2 application, and returns it with a secret that takes the place of the one before, whatever was
    /// changed; `None` when it is gone.
    async fn replace_oauth_application(
        &self,
        id: i64,
        wanted: &WantedOAuthApplication,
    ) -> Result<Option<(OAuthApplication, ForgeToken)>, Error>;

    /// Removes an OAuth2 application; one that is gone is fine.
    async fn remove_oauth_application(&self, id: i64) -> Result<(), Error>;

    /// Reads the tip of a branch.
    async fn branch(&self, repository: &RepositoryName, branch: &str) -> Result<Option<String>, Error>;
}
