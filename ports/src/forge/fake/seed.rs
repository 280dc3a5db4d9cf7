//! What a fake forge holds when it starts as a program, as one writes it into a file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::Permission;
use super::world::World;

/// What is in a forge. Whoever is named comes into being.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Seed {
    /// By token: whose it is. It may do everything that they may.
    pub tokens: BTreeMap<String, String>,
    /// By organisation: the logins of its members.
    pub organizations: BTreeMap<String, Vec<String>>,
    /// By `OWNER/NAME`.
    pub repositories: BTreeMap<String, RepositorySeed>,
}

/// One repository.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RepositorySeed {
    /// Where git fetches it from: the forge itself keeps no commits.
    pub clone_url: String,
    /// By login: `none`, `read`, `write` or `admin`.
    pub collaborators: BTreeMap<String, PermissionWord>,
    /// By branch: the commit at its tip.
    pub branches: BTreeMap<String, String>,
    /// By tag: its commit.
    pub tags: BTreeMap<String, String>,
    /// The open pull requests.
    pub pull_requests: Vec<PullRequestSeed>,
}

/// One open pull request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullRequestSeed {
    /// Its number.
    pub number: i64,
    /// Login of its author.
    pub author: String,
    /// Its head commit.
    pub head: String,
    /// Whether the head lies in a fork of the author's.
    #[serde(default)]
    pub fork: bool,
}

/// What somebody may do, as forges write it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PermissionWord {
    /// Nothing.
    None,
    /// Read.
    Read,
    /// Write, and set statuses.
    Write,
    /// Everything.
    Admin,
}

impl World {
    /// Adds what a seed says.
    ///
    /// # Errors
    /// A sentence for people: the name of a repository is none.
    pub fn plant(&mut self, seed: &Seed) -> Result<(), String> {
        if let Some(name) = seed.repositories.keys().find(|name| !is_full_name(name)) {
            return Err(format!("{name:?} is no repository: write OWNER/NAME"));
        }
        for (token, login) in &seed.tokens {
            self.token(login, token, None);
        }
        for (organization, members) in &seed.organizations {
            for login in members {
                self.member(organization, login, false);
            }
        }
        for (name, repository) in &seed.repositories {
            self.repository(name).clone_url(name, &repository.clone_url);
            for (login, word) in &repository.collaborators {
                self.collaborator(name, login, word.permission());
            }
            for (branch, commit) in &repository.branches {
                self.branch(name, branch, commit);
            }
            for (tag, commit) in &repository.tags {
                self.tag(name, tag, commit);
            }
            for pull in &repository.pull_requests {
                self.pull_request(name, pull.number, &pull.author, &pull.head, pull.fork);
            }
        }
        Ok(())
    }
}

fn is_full_name(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    matches!(parts[..], [owner, name] if !owner.is_empty() && !name.is_empty())
}

impl PermissionWord {
    fn permission(self) -> Permission {
        match self {
            Self::None => Permission::None,
            Self::Read => Permission::Read,
            Self::Write => Permission::Write,
            Self::Admin => Permission::Admin,
        }
    }
}
