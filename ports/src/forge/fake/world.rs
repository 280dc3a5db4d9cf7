//! [`World`]: what is in a fake forge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::super::Permission;
use super::applications::StoredApplication;
use super::oauth::Applications;
use crate::clock::Clock;

#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) login: String,
    pub(super) is_admin: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) login: String,
    /// `None` for a token that may do everything.
    pub(super) scopes: Option<BTreeSet<String>>,
}

#[derive(Clone, Debug)]
pub(super) struct Team {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) members: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Organization {
    /// By login: whether it is public.
    pub(super) members: BTreeMap<String, bool>,
    pub(super) teams: Vec<Team>,
}

#[derive(Clone, Debug)]
pub(super) struct Pull {
    pub(super) number: i64,
    pub(super) author: String,
    pub(super) head_sha: String,
    /// Number of the repository that the head lies in; `None` when that is gone.
    pub(super) head_repository: Option<i64>,
    pub(super) is_open: bool,
    pub(super) is_merged: bool,
    pub(super) created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Status {
    pub(super) id: i64,
    pub(super) sha: String,
    pub(super) context: String,
    pub(super) state: String,
    pub(super) description: String,
    pub(super) target_url: String,
    pub(super) creator: String,
    pub(super) created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct Repository {
    pub(super) id: i64,
    pub(super) owner: String,
    pub(super) name: String,
    pub(super) is_private: bool,
    pub(super) is_archived: bool,
    pub(super) clone_url: String,
    pub(super) collaborators: BTreeMap<String, Permission>,
    pub(super) pulls: BTreeMap<i64, Pull>,
    pub(super) issues: BTreeSet<i64>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) commits: BTreeSet<String>,
    pub(super) statuses: Vec<Status>,
    pub(super) hook: Option<(String, String)>,
}

#[derive(Clone, Debug)]
pub(super) struct StoredComment {
    pub(super) id: i64,
    pub(super) repository: i64,
    pub(super) number: i64,
    pub(super) author: String,
    pub(super) body: String,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) reactions: BTreeSet<(String, String)>,
}

/// What is in a fake forge. Repositories are named `OWNER/NAME`; whoever is named comes into being.
pub struct World {
    /// Where it answers.
    pub url: String,
    /// What it says of itself.
    pub version: String,
    /// Most items of a page.
    pub page_items_max: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) users: Vec<User>,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) organizations: BTreeMap<String, Organization>,
    pub(super) repositories: Vec<Repository>,
    pub(super) comments: Vec<StoredComment>,
    pub(super) oauth: Applications,
    pub(super) applications: Vec<StoredApplication>,
    next_id: i64,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            url: "http://forge.test".to_owned(),
            version: "1.24.2".to_owned(),
            page_items_max: 50,
            clock,
            users: Vec::new(),
            tokens: BTreeMap::new(),
            organizations: BTreeMap::new(),
            repositories: Vec::new(),
            comments: Vec::new(),
            oauth: Applications::default(),
            applications: Vec::new(),
            next_id: 1,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        // Forges keep whole seconds.
        Timestamp::from_second(self.clock.now().as_second()).expect("a second of the clock is one")
    }

    pub(super) fn number(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// Adds a person.
    pub fn user(&mut self, login: &str) -> &mut Self {
        if !self.users.iter().any(|user| user.login == login) {
            let id = self.number();
            self.users.push(User { id, login: login.to_owned(), is_admin: false });
        }
        self
    }

    /// Gives somebody a token; without scopes it may do everything.
    pub fn token(&mut self, login: &str, token: &str, scopes: Option<&[&str]>) -> &mut Self {
        self.user(login);
        let scopes = scopes.map(|scopes| scopes.iter().map(|scope| (*scope).to_owned()).collect());
        self.tokens.insert(token.to_owned(), Token { login: login.to_owned(), scopes });
        self
    }

    /// Takes a token away.
    pub fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    /// Adds somebody to an organisation, whose members are shown to its members only unless they are public.
    pub fn member(&mut self, organization: &str, login: &str, is_public: bool) -> &mut Self {
        self.user(login);
        self.organization(organization).members.insert(login.to_owned(), is_public);
        self
    }

    /// Takes somebody out of an organisation.
    pub fn leave(&mut self, organization: &str, login: &str) {
        self.organization(organization).members.remove(login);
    }

    /// Adds somebody to a team of an organisation, and to the organisation.
    pub fn team_member(&mut self, organization: &str, team: &str, login: &str) -> &mut Self {
        self.member(organization, login, false);
        let id = self.number();
        let organization = self.organization(organization);
        if !organization.teams.iter().any(|found| found.name == team) {
            organization.teams.push(Team { id, name: team.to_owned(), members: BTreeSet::new() });
        }
        for found in organization.teams.iter_mut().filter(|found| found.name == team) {
            found.members.insert(login.to_owned());
        }
        self
    }

    /// Takes somebody out of a team.
    pub fn leave_team(&mut self, organization: &str, team: &str, login: &str) {
        for found in self.organization(organization).teams.iter_mut().filter(|found| found.name == team) {
            found.members.remove(login);
        }
    }

    fn organization(&mut self, name: &str) -> &mut Organization {
        self.organizations.entry(name.to_owned()).or_default()
    }

    /// Adds a repository that everybody can read.
    pub fn repository(&mut self, full_name: &str) -> &mut Self {
        if self.find(full_name).is_none() {
            let (owner, name) = full_name.split_once('/').expect("OWNER/NAME");
            let id = self.number();
            self.repositories.push(Repository {
                id,
                owner: owner.to_owned(),
                name: name.to_owned(),
                is_private: false,
                is_archived: false,
                clone_url: String::new(),
                collaborators: BTreeMap::new(),
                pulls: BTreeMap::new(),
                issues: BTreeSet::new(),
                tags: BTreeMap::new(),
                branches: BTreeMap::new(),
                commits: BTreeSet::new(),
                statuses: Vec::new(),
                hook: None,
            });
        }
        self
    }

    /// Says where git fetches a repository from.
    pub fn clone_url(&mut self, full_name: &str, url: &str) -> &mut Self {
        self.must(full_name).clone_url = url.to_owned();
        self
    }

    /// Makes a repository one that only collaborators and the owner's members see.
    pub fn make_private(&mut self, full_name: &str) -> &mut Self {
        self.must(full_name).is_private = true;
        self
    }

    /// Archives a repository.
    pub fn archive(&mut self, full_name: &str) -> &mut Self {
        self.must(full_name).is_archived = true;
        self
    }

    /// Makes somebody a collaborator.
    pub fn collaborator(&mut self, full_name: &str, login: &str, permission: Permission) -> &mut Self {
        self.user(login);
        self.must(full_name).collaborators.insert(login.to_owned(), permission);
        self
    }

    /// Opens a pull request whose head lies in the repository itself, or in a fork of `author`'s.
    pub fn pull_request(&mut self, full_name: &str, number: i64, author: &str, sha: &str, is_fork: bool) -> &mut Self {
        self.user(author);
        let created_at = self.now();
        let head_repository = if is_fork {
            let fork = format!("{author}/{}", full_name.split_once('/').expect("OWNER/NAME").1);
            self.repository(&fork);
            self.must(&fork).id
        } else {
            self.must(full_name).id
        };
        let pull = Pull {
            number,
            author: author.to_owned(),
            head_sha: sha.to_owned(),
            head_repository: Some(head_repository),
            is_open: true,
            is_merged: false,
            created_at,
        };
        let repository = self.must(full_name);
        repository.commits.insert(sha.to_owned());
        repository.pulls.insert(number, pull);
        self
    }

    /// Pushes to the head of a pull request.
    pub fn push(&mut self, full_name: &str, number: i64, sha: &str) {
        let repository = self.must(full_name);
        repository.commits.insert(sha.to_owned());
        repository.pulls.get_mut(&number).expect("a pull request").head_sha = sha.to_owned();
    }

    /// Deletes the repository that the head of a pull request lies in.
    pub fn delete_fork(&mut self, full_name: &str, number: i64) {
        self.must(full_name).pulls.get_mut(&number).expect("a pull request").head_repository = None;
    }

    /// Closes or merges a pull request.
    pub fn close(&mut self, full_name: &str, number: i64, is_merged: bool) {
        let pull = self.must(full_name).pulls.get_mut(&number).expect("a pull request");
        (pull.is_open, pull.is_merged) = (false, is_merged);
    }

    /// Opens an issue.
    pub fn issue(&mut self, full_name: &str, number: i64) -> &mut Self {
        self.must(full_name).issues.insert(number);
        self
    }

    /// Sets a tag.
    pub fn tag(&mut self, full_name: &str, tag: &str, sha: &str) -> &mut Self {
        let repository = self.must(full_name);
        repository.commits.insert(sha.to_owned());
        repository.tags.insert(tag.to_owned(), sha.to_owned());
        self
    }

    /// Sets the tip of a branch.
    pub fn branch(&mut self, full_name: &str, branch: &str, sha: &str) -> &mut Self {
        let repository = self.must(full_name);
        repository.commits.insert(sha.to_owned());
        repository.branches.insert(branch.to_owned(), sha.to_owned());
        self
    }

    /// Lets a repository deliver its events to this URL, signed with this secret.
    pub fn hook(&mut self, full_name: &str, url: &str, secret: &str) -> &mut Self {
        self.must(full_name).hook = Some((url.to_owned(), secret.to_owned()));
        self
    }

    /// Writes a comment and returns its number.
    pub fn comment(&mut self, full_name: &str, number: i64, author: &str, body: &str) -> i64 {
        self.user(author);
        let (id, now, repository) = (self.number(), self.now(), self.must(full_name).id);
        self.comments.push(StoredComment {
            id,
            repository,
            number,
            author: author.to_owned(),
            body: body.to_owned(),
            created_at: now,
            updated_at: now,
            reactions: BTreeSet::new(),
        });
        id
    }

    /// Changes a comment, whoever wrote it.
    pub fn edit(&mut self, id: i64, body: &str) {
        let now = self.now();
        for comment in self.comments.iter_mut().filter(|comment| comment.id == id) {
            body.clone_into(&mut comment.body);
            // An edit is later than the comment, though it may be in the same second.
            comment.updated_at = now.max(comment.created_at + jiff::SignedDuration::from_secs(2));
        }
    }

    /// Deletes a comment.
    pub fn delete_comment(&mut self, id: i64) {
        self.comments.retain(|comment| comment.id != id);
    }

    /// Returns number and text of the comments that somebody wrote under a pull request, oldest first.
    #[must_use]
    pub fn comments_by(&self, full_name: &str, number: i64, login: &str) -> Vec<(i64, String)> {
        let repository = self.find(full_name).map_or(0, |repository| repository.id);
        let found = self
            .comments
            .iter()
            .filter(|comment| comment.repository == repository && comment.number == number && comment.author == login);
        found.map(|comment| (comment.id, comment.body.clone())).collect()
    }

    /// Returns the reactions to a comment: who, and which.
    #[must_use]
    pub fn reactions(&self, id: i64) -> Vec<(String, String)> {
        self.comments.iter().filter(|comment| comment.id == id).flat_map(|comment| comment.reactions.clone()).collect()
    }

    /// Returns every state that a commit status ever had, oldest first: state and description.
    #[must_use]
    pub fn status_history(&self, full_name: &str, sha: &str, context: &str) -> Vec<(String, String)> {
        let statuses = self.find(full_name).into_iter().flat_map(|repository| &repository.statuses);
        statuses
            .filter(|status| status.sha == sha && status.context == context)
            .map(|status| (status.state.clone(), status.description.clone()))
            .collect()
    }

    /// Returns the names of the statuses of a commit.
    #[must_use]
    pub fn status_contexts(&self, full_name: &str, sha: &str) -> BTreeSet<String> {
        let statuses = self.find(full_name).into_iter().flat_map(|repository| &repository.statuses);
        statuses.filter(|status| status.sha == sha).map(|status| status.context.clone()).collect()
    }

    /// Lets somebody else set a commit status.
    pub fn set_status(&mut self, full_name: &str, sha: &str, context: &str, state: &str) {
        let (id, created_at) = (self.number(), self.now());
        let status = Status {
            id,
            sha: sha.to_owned(),
            context: context.to_owned(),
            state: state.to_owned(),
            description: String::new(),
            target_url: String::new(),
            creator: "somebody".to_owned(),
            created_at,
        };
        self.must(full_name).statuses.push(status);
    }

    pub(super) fn find(&self, full_name: &str) -> Option<&Repository> {
        let (owner, name) = full_name.split_once('/')?;
        // Forges do not mind the case of names.
        self.repositories
            .iter()
            .find(|found| found.owner.eq_ignore_ascii_case(owner) && found.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn must(&mut self, full_name: &str) -> &mut Repository {
        let id = self.find(full_name).expect("the repository was added").id;
        self.repositories.iter_mut().find(|found| found.id == id).expect("found just above")
    }
}
