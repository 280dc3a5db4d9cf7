//! The calls, one after the other.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::super::wire::{
    WireApplication, WireBranch, WireCombined, WireComment, WirePermission, WirePullRequest, WireRepository,
    WireStatus, WireTag, WireTeams, WireUser, WireVersion,
};
use super::super::{
    Account, Comment, CommentList, CommitStatus, DESCRIPTION_CHARACTERS_MAX, Forge, ForgeTag, ForgeToken, Membership,
    OAuthApplication, Permission, PullRequest, RepositoryFacts, RepositoryName, SCOPES_NEEDED, Scopes, Server, TagList,
    WantedOAuthApplication,
};
use super::{Answer, Ask, HttpForge};
use crate::error::Error;

/// Items that a page is asked for; forges give fewer if they are told to.
const PAGE_ITEMS: usize = 50;
/// Most pages of one list.
const PAGES_MAX: usize = 40;
/// Longest that a list is read before what is there of it is returned: of a slow forge a part is better than nothing, and
/// whoever asks has not for ever.
const LIST_TIME_MAX: Duration = Duration::from_secs(25);
/// How often a list is begun again because items went while it was read.
const LIST_TRIES: usize = 3;
/// Where OAuth2 applications are.
const APPLICATIONS: [&str; 3] = ["user", "applications", "oauth2"];
/// A repository that no forge can have: the name is reserved.
const NO_REPOSITORY: &str = "-";

/// A list, page by page.
pub(super) struct Pages<T> {
    pub(super) items: Vec<T>,
    is_complete: bool,
    server_time: Option<Timestamp>,
}

impl HttpForge {
    /// Reads a list page by page. The pages are counted by us: addresses that an answer names are not asked.
    pub(super) async fn pages<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: Option<(&'static str, &str)>,
        what: &str,
    ) -> Result<Pages<T>, Error> {
        let (mut tries, began) = (0, Instant::now());
        'again: loop {
            tries += 1;
            let mut pages = Pages { items: Vec::new(), is_complete: false, server_time: None };
            let mut total_before = None;
            for page in 1..=PAGES_MAX {
                if page > 1 && began.elapsed() >= LIST_TIME_MAX {
                    return Ok(pages);
                }
                let mut ask = Ask::get(path).query("page", page).query("limit", PAGE_ITEMS);
                ask.query.extend(query.map(|(name, value)| (name, value.to_owned())));
                let answer = self.ask(ask).await?;
                if !answer.status.is_success() {
                    return Err(self.problem(&answer, what));
                }
                let items: Vec<T> = answer.json()?;
                pages.server_time = pages.server_time.or(answer.server_time());
                let total = answer.total();
                // What went while it was read moved others to a page that was read already.
                if total_before > total && tries < LIST_TRIES && began.elapsed() < LIST_TIME_MAX {
                    continue 'again;
                }
                let shrank = total_before > total;
                total_before = total.or(total_before);
                let was_empty = items.is_empty();
                pages.items.extend(items);
                if was_empty || total.is_some_and(|total| pages.items.len() >= total) {
                    pages.is_complete = !shrank;
                    return Ok(pages);
                }
            }
            return Ok(pages);
        }
    }

    /// Returns whether a request is let through to where it finds nothing.
    async fn has_scope(&self, ask: Ask<'_>) -> Result<bool, Error> {
        let answer = self.ask(ask).await?;
        match answer.status.as_u16() {
            401 => Err(self.problem(&answer, "use it")),
            403 => Ok(!answer.words(&self.token).contains("required scope")),
            500..=599 => Err(self.problem(&answer, "find out what the token may do")),
            _ => Ok(true),
        }
    }

    async fn is_public_member(&self, organization: &str, login: &str) -> Result<Membership, Error> {
        let answer = self.ask(Ask::get(&["orgs", organization, "public_members", login])).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Membership::Member),
            StatusCode::NOT_FOUND => Ok(Membership::Hidden),
            _ => Err(self.problem(&answer, "see who belongs to the organisation")),
        }
    }

    /// Returns whether the token's owner is told who belongs to an organisation: only its members are.
    async fn sees_members(&self, organization: &str) -> Result<bool, Error> {
        let own = self.account().await?;
        let answer = self.ask(Ask::get(&["orgs", organization, "members", &own.login])).await?;
        Ok(answer.status == StatusCode::NO_CONTENT)
    }

    async fn commit_is_there(&self, repository: &RepositoryName, sha: &str) -> Result<bool, Error> {
        let path = ["repos", &repository.owner, &repository.name, "git", "commits", sha];
        let answer = self.ask(Ask::get(&path).query("stat", false).query("files", false)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(true),
            404 | 422 => Ok(false),
            _ => Err(self.problem(&answer, "read the commit")),
        }
    }

    async fn changed(&self, answer: Answer, what: &str) -> Result<Option<Comment>, Error> {
        match answer.status {
            StatusCode::NOT_FOUND | StatusCode::NO_CONTENT => Ok(None),
            status if status.is_success() => Ok(Some(answer.json::<WireComment>()?.into())),
            _ => Err(self.problem(&answer, what)),
        }
    }
}

/// The whole of it each time: what is left out becomes false.
fn application_body(wanted: &WantedOAuthApplication) -> serde_json::Value {
    json!({"name": wanted.name, "redirect_uris": wanted.redirect_uris, "confidential_client": true})
}

fn with_secret(wire: WireApplication) -> Result<(OAuthApplication, ForgeToken), Error> {
    let secret = wire.secret();
    if secret.reveal().is_empty() {
        return Err(Error::retryable("BadAnswer", "the forge did not tell the secret of the OAuth2 application"));
    }
    Ok((wire.into(), secret))
}

#[async_trait]
impl Forge for HttpForge {
    async fn server(&self) -> Result<Server, Error> {
        let version: WireVersion = self.must(Ask::get(&["version"]), "tell its version").await?;
        let version: String = version.version.chars().filter(|letter| !letter.is_control()).take(128).collect();
        Ok(Server::of_version(&version))
    }

    async fn account(&self) -> Result<Account, Error> {
        let user: WireUser = self.must(Ask::get(&["user"]), "see whose token it is").await?;
        Ok(user.into())
    }

    async fn scopes(&self) -> Result<Scopes, Error> {
        let comment = ["repos", NO_REPOSITORY, NO_REPOSITORY, "issues", "comments", "0"];
        let status = ["repos", NO_REPOSITORY, NO_REPOSITORY, "statuses", "0000000000000000000000000000000000000000"];
        // The order is that of SCOPES_NEEDED. The two that could write name a repository that cannot be.
        let asks = [
            Ask::get(&["user"]),
            Ask::get(&["orgs"]).query("limit", 1),
            Ask::new(Method::PATCH, &comment).body(json!({"body": "-"})),
            Ask::new(Method::POST, &status).body(json!({"state": "pending", "context": "-"})),
        ];
        let mut scopes = Scopes::default();
        for (scope, ask) in SCOPES_NEEDED.into_iter().zip(asks) {
            let list = if self.has_scope(ask).await? { &mut scopes.found } else { &mut scopes.missing };
            list.push(scope.to_owned());
        }
        Ok(scopes)
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryFacts>, Error> {
        let ask = Ask::get(&["repos", &repository.owner, &repository.name]);
        let found: Option<WireRepository> = self.may(ask, "read the repository").await?;
        Ok(found.map(RepositoryFacts::from))
    }

    async fn comments_since(&self, repository: &RepositoryName, since: Timestamp) -> Result<CommentList, Error> {
        let since = since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", "comments"];
        let pages: Pages<WireComment> = self.pages(&path, Some(("since", &since)), "read the comments").await?;
        let mut comments: Vec<Comment> = pages.items.into_iter().map(Comment::from).collect();
        comments.sort_by_key(|comment| comment.id);
        comments.dedup_by_key(|comment| comment.id);
        Ok(CommentList { comments, is_complete: pages.is_complete, server_time: pages.server_time })
    }

    async fn comments_of(&self, repository: &RepositoryName, number: i64) -> Result<Vec<Comment>, Error> {
        // This list has no pages: it comes whole.
        let number = number.to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", &number, "comments"];
        let comments: Vec<WireComment> = self.must(Ask::get(&path), "read the comments").await?;
        Ok(comments.into_iter().map(Comment::from).collect())
    }

    async fn comment(&self, repository: &RepositoryName, id: i64) -> Result<Option<Comment>, Error> {
        let id = id.to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", "comments", &id];
        let comment: Option<WireComment> = self.may(Ask::get(&path), "read the comment").await?;
        Ok(comment.map(Comment::from))
    }

    async fn create_comment(&self, repository: &RepositoryName, number: i64, body: &str) -> Result<Comment, Error> {
        let number = number.to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", &number, "comments"];
        let ask = Ask::new(Method::POST, &path).body(json!({"body": body}));
        let comment: WireComment = self.must(ask, "write a comment").await?;
        Ok(comment.into())
    }

    async fn edit_comment(&self, repository: &RepositoryName, id: i64, body: &str) -> Result<Option<Comment>, Error> {
        let id = id.to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", "comments", &id];
        let answer = self.ask(Ask::new(Method::PATCH, &path).body(json!({"body": body}))).await?;
        self.changed(answer, "edit the comment").await
    }

    async fn react(&self, repository: &RepositoryName, id: i64, reaction: &str) -> Result<(), Error> {
        let id = id.to_string();
        let path = ["repos", &repository.owner, &repository.name, "issues", "comments", &id, "reactions"];
        let answer = self.ask(Ask::new(Method::POST, &path).body(json!({"content": reaction}))).await?;
        if answer.status.is_success() { Ok(()) } else { Err(self.problem(&answer, "react to the comment")) }
    }

    async fn pull_request(&self, repository: &RepositoryName, number: i64) -> Result<Option<PullRequest>, Error> {
        let number = number.to_string();
        let path = ["repos", &repository.owner, &repository.name, "pulls", &number];
        let found: Option<WirePullRequest> = self.may(Ask::get(&path), "read the pull request").await?;
        Ok(found.map(PullRequest::from))
    }

    async fn member_of(&self, organization: &str, login: &str) -> Result<Membership, Error> {
        let answer = self.ask(Ask::get(&["orgs", organization, "members", login])).await?;
        match answer.status.as_u16() {
            204 => Ok(Membership::Member),
            // Whoever does not belong to it is sent to the public list.
            300..=399 => self.is_public_member(organization, login).await,
            // Strangers are told the same about everybody.
            404 if self.sees_members(organization).await? => Ok(Membership::Stranger),
            404 => self.is_public_member(organization, login).await,
            _ => Err(self.problem(&answer, "see who belongs to the organisation")),
        }
    }

    async fn team_member(&self, organization: &str, team: &str, login: &str) -> Result<Membership, Error> {
        let ask = Ask::get(&["orgs", organization, "teams", "search"]).query("q", team).query("limit", PAGE_ITEMS);
        let answer = self.ask(ask).await?;
        let teams: WireTeams = match answer.status.as_u16() {
            200..=299 => answer.json()?,
            403 if !answer.words(&self.token).contains("required scope") => return Ok(Membership::Hidden),
            404 => return Ok(Membership::Hidden),
            _ => return Err(self.problem(&answer, "find the team")),
        };
        // The search finds parts of names.
        let Some(found) = teams.data.iter().find(|found| found.name.eq_ignore_ascii_case(team)) else {
            return Ok(Membership::Hidden);
        };
        let id = found.id.to_string();
        let answer = self.ask(Ask::get(&["teams", &id, "members", login])).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(Membership::Member),
            404 => Ok(Membership::Stranger),
            403 if !answer.words(&self.token).contains("required scope") => Ok(Membership::Hidden),
            _ => Err(self.problem(&answer, "see who belongs to the team")),
        }
    }

    async fn permission(&self, repository: &RepositoryName, login: &str) -> Result<Option<Permission>, Error> {
        let path = ["repos", &repository.owner, &repository.name, "collaborators", login, "permission"];
        let answer = self.ask(Ask::get(&path)).await?;
        match answer.status.as_u16() {
            200..=299 => Ok(Some(answer.json::<WirePermission>()?.into())),
            404 => Ok(Some(Permission::None)),
            403 if !answer.words(&self.token).contains("required scope") => Ok(None),
            _ => Err(self.problem(&answer, "see what somebody may do with the repository")),
        }
    }

    async fn statuses(&self, repository: &RepositoryName, sha: &str) -> Result<Vec<CommitStatus>, Error> {
        let path = ["repos", &repository.owner, &repository.name, "commits", sha, "status"];
        let combined: Option<WireCombined> = self.may(Ask::get(&path), "read the commit statuses").await?;
        Ok(combined.unwrap_or_default().statuses.into_iter().map(CommitStatus::from).collect())
    }

    async fn set_status(&self, repository: &RepositoryName, sha: &str, status: &CommitStatus) -> Result<(), Error> {
        let is_whole = matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_whole {
            // Forges take beginnings of hashes, and put the status nobody knows where.
            return Err(Error::bug("InternalError", format!("{sha:?} is no whole commit hash")));
        }
        let description: String = status.description.chars().take(DESCRIPTION_CHARACTERS_MAX).collect();
        let path = ["repos", &repository.owner, &repository.name, "statuses", sha];
        let ask = Ask::new(Method::POST, &path).body(json!({
            "state": status.state, "context": status.context, "description": description,
            "target_url": status.target_url,
        }));
        let answer = self.ask(ask).await?;
        match answer.status.as_u16() {
            // A page of a proxy is no status that was set.
            200..=299 => answer.json::<WireStatus>().map(|_| ()),
            // An unknown commit is answered with 500, as a bug of the forge is: the commit tells which it was.
            404 | 500 if !self.commit_is_there(repository, sha).await? => {
                let message = format!("{repository} has no commit {sha}: it was overwritten or never pushed");
                Err(Error::terminal("CommitNotFound", message))
            }
            _ => Err(self.problem(&answer, "set a commit status")),
        }
    }

    async fn tags(&self, repository: &RepositoryName) -> Result<TagList, Error> {
        let path = ["repos", &repository.owner, &repository.name, "tags"];
        let pages: Pages<WireTag> = self.pages(&path, None, "read the tags").await?;
        let tags = pages.items.into_iter().map(ForgeTag::from).collect();
        Ok(TagList { tags, is_complete: pages.is_complete })
    }

    async fn oauth_applications(&self) -> Result<Vec<OAuthApplication>, Error> {
        let pages: Pages<WireApplication> = self.pages(&APPLICATIONS, None, "list OAuth2 applications").await?;
        if !pages.is_complete {
            // Whoever asks whether there is one must not be told that there is none.
            return Err(Error::retryable("BadAnswer", "the list of OAuth2 applications did not come whole"));
        }
        Ok(pages.items.into_iter().map(OAuthApplication::from).collect())
    }

    async fn create_oauth_application(
        &self,
        wanted: &WantedOAuthApplication,
    ) -> Result<(OAuthApplication, ForgeToken), Error> {
        let ask = Ask::new(Method::POST, &APPLICATIONS).body(application_body(wanted));
        with_secret(self.must(ask, "make an OAuth2 application").await?)
    }

    async fn replace_oauth_application(
        &self,
        id: i64,
        wanted: &WantedOAuthApplication,
    ) -> Result<Option<(OAuthApplication, ForgeToken)>, Error> {
        let id = id.to_string();
        let [user, applications, oauth2] = APPLICATIONS;
        let ask = Ask::new(Method::PATCH, &[user, applications, oauth2, &id]).body(application_body(wanted));
        let found: Option<WireApplication> = self.may(ask, "change an OAuth2 application").await?;
        found.map(with_secret).transpose()
    }

    async fn remove_oauth_application(&self, id: i64) -> Result<(), Error> {
        let id = id.to_string();
        let [user, applications, oauth2] = APPLICATIONS;
        let answer = self.ask(Ask::new(Method::DELETE, &[user, applications, oauth2, &id])).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(self.problem(&answer, "remove an OAuth2 application")),
        }
    }

    async fn branch(&self, repository: &RepositoryName, branch: &str) -> Result<Option<String>, Error> {
        let path = ["repos", &repository.owner, &repository.name, "branches", branch];
        let found: Option<WireBranch> = self.may(Ask::get(&path), "read the branch").await?;
        Ok(found.map(WireBranch::tip).filter(|tip| !tip.is_empty()))
    }
}
