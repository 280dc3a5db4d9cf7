//! How a forge writes what it keeps.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::world::{Pull, Repository, Status, StoredComment, Team, User, World};

fn moment(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn organization_json(name: &str) -> Value {
    json!({
        "id": 1, "name": name, "username": name, "full_name": "", "email": "", "avatar_url": "", "description": "",
        "website": "", "location": "", "visibility": "public", "repo_admin_change_team_access": false,
    })
}

pub(super) fn team_json(team: &Team, organization: Value) -> Value {
    json!({
        "id": team.id, "name": team.name, "description": "", "organization": organization,
        "includes_all_repositories": true, "permission": "write", "units": [], "units_map": {},
        "can_create_org_repo": false,
    })
}

impl World {
    fn user_json(&self, login: &str) -> Value {
        let nobody = User { id: -1, login: "Ghost".to_owned(), is_admin: false };
        let user = self.users.iter().find(|user| user.login == login).unwrap_or(&nobody);
        json!({
            "id": user.id, "login": user.login, "login_name": "", "source_id": 0, "full_name": "",
            "email": format!("{login}@noreply.forge.test"), "avatar_url": format!("{}/avatars/{}", self.url, user.id),
            "html_url": format!("{}/{login}", self.url), "language": "", "is_admin": user.is_admin,
            "last_login": "0001-01-01T00:00:00Z", "created": "2026-01-01T00:00:00Z", "restricted": false,
            "active": true, "prohibit_login": false, "location": "", "website": "", "description": "",
            "visibility": "public", "followers_count": 0, "following_count": 0, "starred_repos_count": 0,
            "username": user.login,
        })
    }

    pub(super) fn account_json(&self, login: &str) -> Value {
        self.user_json(login)
    }

    pub(super) fn repository_json(&self, repository: &Repository, reader: &str) -> Value {
        let full_name = format!("{}/{}", repository.owner, repository.name);
        let permission = self.permission_of(repository, reader);
        let clone_url = if repository.clone_url.is_empty() {
            format!("{}/{full_name}.git", self.url)
        } else {
            repository.clone_url.clone()
        };
        json!({
            "id": repository.id, "owner": self.user_json(&repository.owner), "name": repository.name,
            "full_name": full_name, "description": "", "empty": false, "private": repository.is_private,
            "fork": false, "template": false, "parent": null, "mirror": false, "size": 24, "language": "",
            "html_url": format!("{}/{full_name}", self.url), "url": format!("{}/api/v1/repos/{full_name}", self.url),
            "ssh_url": "", "clone_url": clone_url, "original_url": "", "website": "", "stars_count": 0,
            "forks_count": 0, "watchers_count": 1, "open_issues_count": 0, "open_pr_counter": 0, "release_counter": 0,
            "default_branch": "main", "archived": repository.is_archived, "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "permissions": {
                "admin": permission == super::super::Permission::Admin,
                "push": permission >= super::super::Permission::Write,
                "pull": permission >= super::super::Permission::Read,
            },
            "has_issues": true, "has_pull_requests": true, "object_format_name": "sha1",
        })
    }

    pub(super) fn comment_json(&self, comment: &StoredComment) -> Value {
        let repository = self.repositories.iter().find(|found| found.id == comment.repository);
        let full_name = repository.map_or_else(String::new, |found| format!("{}/{}", found.owner, found.name));
        let is_pull = repository.is_some_and(|found| found.pulls.contains_key(&comment.number));
        let of = |kind: &str| format!("{}/{full_name}/{kind}/{}", self.url, comment.number);
        let (pull, issue) = if is_pull { (of("pulls"), String::new()) } else { (String::new(), of("issues")) };
        let page = if is_pull { &pull } else { &issue };
        json!({
            "id": comment.id, "html_url": format!("{page}#issuecomment-{}", comment.id), "pull_request_url": pull,
            "issue_url": issue, "user": self.user_json(&comment.author), "original_author": "",
            "original_author_id": 0, "body": comment.body, "assets": [], "created_at": moment(comment.created_at),
            "updated_at": moment(comment.updated_at),
        })
    }

    pub(super) fn pull_json(&self, repository: &Repository, pull: &Pull, reader: &str) -> Value {
        let full_name = format!("{}/{}", repository.owner, repository.name);
        let page = format!("{}/{full_name}/pulls/{}", self.url, pull.number);
        let head = pull.head_repository.and_then(|id| self.repositories.iter().find(|found| found.id == id));
        let (reference, label) = match head {
            Some(_) => ("change".to_owned(), "change".to_owned()),
            None => (format!("refs/pull/{}/head", pull.number), String::new()),
        };
        json!({
            "id": repository.id * 1000 + pull.number, "url": page, "number": pull.number,
            "user": self.user_json(&pull.author), "title": "a change", "body": "", "labels": [], "milestone": null,
            "assignee": null, "assignees": null, "requested_reviewers": [], "requested_reviewers_teams": [],
            "state": if pull.is_open { "open" } else { "closed" }, "draft": false, "is_locked": false, "comments": 0,
            "html_url": page, "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
            "mergeable": true, "merged": pull.is_merged, "merged_at": null, "merge_commit_sha": null,
            "merged_by": null, "allow_maintainer_edit": false,
            "base": {
                "label": "main", "ref": "main", "sha": "0000000000000000000000000000000000000001",
                "repo_id": repository.id, "repo": self.repository_json(repository, reader),
            },
            "head": {
                "label": label, "ref": reference, "sha": pull.head_sha,
                "repo_id": head.map_or(-1, |found| found.id),
                "repo": head.map(|found| self.repository_json(found, reader)),
            },
            "merge_base": "0000000000000000000000000000000000000001", "due_date": null,
            "created_at": moment(pull.created_at), "updated_at": moment(pull.created_at), "closed_at": null,
            "pin_order": 0,
        })
    }

    pub(super) fn status_json(&self, status: &Status) -> Value {
        json!({
            "id": status.id, "status": status.state, "target_url": status.target_url,
            "description": status.description, "url": format!("{}/api/v1/statuses/{}", self.url, status.sha),
            "context": status.context, "creator": self.user_json(&status.creator),
            "created_at": moment(status.created_at), "updated_at": moment(status.created_at),
        })
    }
}
