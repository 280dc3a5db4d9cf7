//! What a forge answers to which request.

use std::collections::BTreeMap;

use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::super::Permission;
use super::super::http::{OutgoingBody, TransportRequest};
use super::json::{organization_json, team_json};
use super::world::{Repository, Status, StoredComment, World};

/// A request.
#[derive(Clone, Debug, Default)]
pub struct FakeRequest {
    /// Its method.
    pub method: String,
    /// Its path, as it is on the wire.
    pub path: String,
    /// Its query.
    pub query: BTreeMap<String, String>,
    /// The header `Authorization`.
    pub authorization: String,
    /// Its body.
    pub body: Value,
}

impl FakeRequest {
    pub(super) fn of(request: &TransportRequest) -> Self {
        Self {
            method: request.method.to_string(),
            path: request.url.path().to_owned(),
            query: request.url.query_pairs().into_owned().collect(),
            authorization: request.token.to_str().unwrap_or_default().to_owned(),
            body: match &request.body {
                Some(OutgoingBody::Json(body)) => body.clone(),
                Some(OutgoingBody::Form(fields)) => {
                    fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect()
                }
                None => Value::Null,
            },
        }
    }

    /// Returns method and path with query.
    #[must_use]
    pub fn what(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{}", self.method, self.path, query.join("&"))
    }

    pub(super) fn text(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_default().to_owned()
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FakeReply {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl FakeReply {
    pub(super) fn json(status: u16, value: &Value) -> Self {
        let headers = vec![("content-type".to_owned(), "application/json;charset=utf-8".to_owned())];
        Self { status, headers, body: value.to_string().into_bytes() }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What a handler says: an answer, or a refusal with its words.
pub(super) type Handled = Result<FakeReply, (u16, String)>;

pub(super) fn refuse<T>(status: u16, words: &str) -> Result<T, (u16, String)> {
    Err((status, words.to_owned()))
}

const NOT_FOUND: &str = "The target couldn't be found.";

impl World {
    /// Answers a request.
    pub fn handle(&mut self, request: &FakeRequest) -> FakeReply {
        let segments: Vec<String> = request
            .path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let date = self.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let reply = match segments.as_slice() {
            ["api", "v1", rest @ ..] => self.route(request, rest),
            ["login", "oauth", rest @ ..] => Ok(self.oauth_route(request, rest)),
            _ => refuse(404, "Not Found"),
        };
        let reply = reply.unwrap_or_else(|(status, words)| {
            let swagger = format!("{}/api/swagger", self.url);
            FakeReply::json(status, &json!({"message": words, "url": swagger}))
        });
        reply.with("date", date)
    }

    fn route(&mut self, request: &FakeRequest, path: &[&str]) -> Handled {
        if let ["version"] = path {
            return Ok(FakeReply::json(200, &json!({"version": self.version})));
        }
        let login = self.reader(request, path)?;
        match path {
            ["user"] => Ok(FakeReply::json(200, &self.account_json(&login))),
            ["user", "orgs"] => {
                let own = self.organizations.iter().filter(|(_, found)| found.members.contains_key(&login));
                Ok(self.page(request, own.map(|(name, _)| organization_json(name)).collect()))
            }
            ["user", "teams"] => {
                let teams =
                    self.organizations.iter().flat_map(|(of, found)| found.teams.iter().map(move |team| (of, team)));
                let own = teams.filter(|(_, team)| team.members.contains(&login));
                Ok(self.page(request, own.map(|(of, team)| team_json(team, organization_json(of))).collect()))
            }
            ["user", "applications", "oauth2", rest @ ..] => self.applications_route(request, &login, rest),
            ["orgs"] => Ok(FakeReply::json(200, &json!([]))),
            ["orgs", organization, rest @ ..] => self.organization_route(request, &login, organization, rest),
            ["teams", id, "members", member] => {
                let id: i64 = id.parse().unwrap_or_default();
                let mut teams = self.organizations.values().flat_map(|found| &found.teams);
                match teams.find(|team| team.id == id) {
                    Some(team) if team.members.contains(*member) => {
                        Ok(FakeReply::json(200, &self.account_json(member)))
                    }
                    _ => refuse(404, NOT_FOUND),
                }
            }
            ["repos", owner, name, rest @ ..] => {
                let Some(repository) = self.find(&format!("{owner}/{name}")).cloned() else {
                    return refuse(404, NOT_FOUND);
                };
                if self.permission_of(&repository, &login) == Permission::None {
                    return refuse(404, NOT_FOUND);
                }
                self.repository_route(request, &login, &repository, rest)
            }
            _ => refuse(404, "Not Found"),
        }
    }

    /// Returns who asks, if their token is known and has the scope.
    fn reader(&self, request: &FakeRequest, path: &[&str]) -> Result<String, (u16, String)> {
        let token = request.authorization.strip_prefix("token ").or(request.authorization.strip_prefix("Bearer "));
        let Some(token) = token.and_then(|token| self.tokens.get(token)) else {
            return refuse(401, "user does not exist [uid: 0, name: ]");
        };
        let category = match path {
            // These alone of a person's own things need both scopes, on some servers; this is the stricter of them.
            ["user", "orgs" | "teams"] => "organization",
            ["user", ..] => "user",
            ["orgs" | "teams", ..] => "organization",
            ["repos", _, _, "issues", ..] => "issue",
            _ => "repository",
        };
        let level = if request.method == "GET" { "read" } else { "write" };
        let scope = format!("{level}:{category}");
        let has = token.scopes.as_ref().is_none_or(|scopes| {
            scopes.contains("all") || scopes.contains(&scope) || scopes.contains(&format!("write:{category}"))
        });
        if !has {
            return refuse(403, &format!("token does not have at least one of required scope(s): [{scope}]"));
        }
        Ok(token.login.clone())
    }

    /// Returns what somebody may do with a repository.
    pub(super) fn permission_of(&self, repository: &Repository, login: &str) -> Permission {
        let is_member =
            self.organizations.get(&repository.owner).is_some_and(|found| found.members.contains_key(login));
        let lowest = if repository.is_private { Permission::None } else { Permission::Read };
        let given = repository.collaborators.get(login).copied().unwrap_or(lowest);
        let own = if repository.owner == login { Permission::Admin } else { lowest };
        let member = if is_member { lowest.max(Permission::Read) } else { lowest };
        given.max(own).max(member)
    }

    fn organization_route(&self, request: &FakeRequest, login: &str, name: &str, path: &[&str]) -> Handled {
        let Some(organization) = self.organizations.get(name) else { return refuse(404, NOT_FOUND) };
        let is_member = organization.members.contains_key(login);
        let yes_or_no = |yes: bool| if yes { Ok(FakeReply::empty(204)) } else { refuse(404, NOT_FOUND) };
        match path {
            ["members", member] if is_member => yes_or_no(organization.members.contains_key(*member)),
            ["members", member] if *member == login => yes_or_no(false),
            ["members", member] => {
                let to = format!("{}/api/v1/orgs/{name}/public_members/{member}", self.url);
                Ok(FakeReply::empty(303).with("location", to))
            }
            ["public_members", member] => yes_or_no(organization.members.get(*member) == Some(&true)),
            ["teams", "search"] if is_member => {
                let wanted = request.query.get("q").map(|text| text.to_lowercase()).unwrap_or_default();
                let found = organization.teams.iter().filter(|team| team.name.to_lowercase().contains(&wanted));
                let teams: Vec<Value> = found.map(|team| team_json(team, Value::Null)).collect();
                Ok(FakeReply::json(200, &json!({"ok": true, "data": teams})))
            }
            ["teams", "search"] => refuse(403, "Must be an organization member"),
            _ => refuse(404, NOT_FOUND),
        }
    }

    fn repository_route(
        &mut self,
        request: &FakeRequest,
        login: &str,
        repository: &Repository,
        path: &[&str],
    ) -> Handled {
        let full_name = format!("{}/{}", repository.owner, repository.name);
        if request.method != "GET" && repository.is_archived {
            return refuse(423, &format!("{full_name} is archived."));
        }
        match (request.method.as_str(), path) {
            ("GET", []) => Ok(FakeReply::json(200, &self.repository_json(repository, login))),
            (_, ["issues", rest @ ..]) => self.issue_route(request, login, repository, rest),
            ("GET", ["pulls", number]) => {
                match number.parse().ok().and_then(|number: i64| repository.pulls.get(&number)) {
                    Some(pull) => Ok(FakeReply::json(200, &self.pull_json(repository, pull, login))),
                    None => refuse(404, NOT_FOUND),
                }
            }
            ("GET", ["collaborators", other, "permission"]) => self.permission_route(login, repository, other),
            ("GET", ["commits", sha, "status"]) => Ok(self.combined(repository, sha)),
            ("POST", ["statuses", sha]) => self.new_status(request, login, repository, sha),
            ("GET", ["git", "commits", sha]) if repository.commits.contains(*sha) => Ok(FakeReply::json(
                200,
                &json!({"sha": sha, "url": "", "html_url": "", "commit": null,
                    "author": null, "committer": null, "parents": [], "files": null, "stats": null, "created": "2026-01-01T00:00:00Z"}),
            )),
            ("GET", ["tags"]) => {
                let tags = repository.tags.iter().map(|(name, sha)| {
                    json!({
                        "name": name, "message": "", "id": sha, "zipball_url": "", "tarball_url": "",
                        "commit": {"sha": sha, "url": "", "created": "2026-01-01T00:00:00Z"},
                    })
                });
                Ok(self.page(request, tags.collect()))
            }
            ("GET", ["branches", branch]) => match repository.branches.get(*branch) {
                Some(sha) => Ok(FakeReply::json(
                    200,
                    &json!({
                        "name": branch, "protected": false, "required_approvals": 0, "enable_status_check": false,
                        "status_check_contexts": [], "user_can_push": false, "user_can_merge": false,
                        "effective_branch_protection_name": "",
                        "commit": {"id": sha, "message": "", "url": "", "author": null, "committer": null,
                            "verification": null, "timestamp": "2026-01-01T00:00:00Z", "added": null, "removed": null,
                            "modified": null},
                    }),
                )),
                None => refuse(404, NOT_FOUND),
            },
            _ => refuse(404, "Not Found"),
        }
    }

    fn permission_route(&self, login: &str, repository: &Repository, other: &str) -> Handled {
        if other != login && self.permission_of(repository, login) < Permission::Admin {
            return refuse(
                403,
                "Only admins can query all permissions, repo admins can query all repo permissions, collaborators can query only their own",
            );
        }
        if !self.users.iter().any(|user| user.login == other) {
            return refuse(404, NOT_FOUND);
        }
        let word = match self.permission_of(repository, other) {
            Permission::None => "none",
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Admin => "admin",
        };
        let user = self.account_json(other);
        Ok(FakeReply::json(200, &json!({"permission": word, "role_name": word, "user": user})))
    }

    fn issue_route(&mut self, request: &FakeRequest, login: &str, repository: &Repository, path: &[&str]) -> Handled {
        let own = |comment: &&StoredComment| comment.repository == repository.id;
        match (request.method.as_str(), path) {
            ("GET", ["comments"]) => {
                let since = request.query.get("since").and_then(|text| text.parse::<Timestamp>().ok());
                let mut found: Vec<&StoredComment> = self.comments.iter().filter(own).collect();
                found.retain(|comment| since.is_none_or(|since| comment.updated_at >= since));
                found.sort_by_key(|comment| (comment.created_at, comment.id));
                let found = found.into_iter().map(|comment| self.comment_json(comment)).collect();
                Ok(self.page(request, found))
            }
            ("GET" | "PATCH", ["comments", id]) => self.comment_route(request, login, repository, id),
            ("POST", ["comments", id, "reactions"]) => {
                let id: i64 = id.parse().unwrap_or_default();
                let reaction = (login.to_owned(), request.text("content"));
                let user = self.account_json(login);
                let mut stored = self.comments.iter_mut().filter(|comment| comment.repository == repository.id);
                let Some(comment) = stored.find(|comment| comment.id == id) else {
                    return refuse(404, NOT_FOUND);
                };
                let status = if comment.reactions.insert(reaction.clone()) { 201 } else { 200 };
                let answer = json!({"user": user, "content": reaction.1, "created_at": "2026-01-01T00:00:00Z"});
                Ok(FakeReply::json(status, &answer))
            }
            (method, [number, "comments"]) => {
                let number: i64 = number.parse().unwrap_or_default();
                if !repository.pulls.contains_key(&number) && !repository.issues.contains(&number) {
                    return refuse(404, NOT_FOUND);
                }
                if method == "POST" {
                    if request.text("body").is_empty() {
                        return refuse(422, "[Body]: Required");
                    }
                    let full_name = format!("{}/{}", repository.owner, repository.name);
                    let id = self.comment(&full_name, number, login, &request.text("body"));
                    let comment = self.comments.iter().find(|comment| comment.id == id).expect("written just above");
                    return Ok(FakeReply::json(201, &self.comment_json(comment)));
                }
                let found = self.comments.iter().filter(own).filter(|comment| comment.number == number);
                let found: Vec<Value> = found.map(|comment| self.comment_json(comment)).collect();
                let total = found.len();
                Ok(FakeReply::json(200, &Value::Array(found)).with("x-total-count", total))
            }
            _ => refuse(404, "Not Found"),
        }
    }

    fn comment_route(&mut self, request: &FakeRequest, login: &str, repository: &Repository, id: &str) -> Handled {
        let id: i64 = id.parse().unwrap_or_default();
        let is_admin = self.permission_of(repository, login) == Permission::Admin;
        let now = self.now();
        let mut stored = self.comments.iter_mut().filter(|comment| comment.repository == repository.id);
        let Some(comment) = stored.find(|comment| comment.id == id) else { return refuse(404, NOT_FOUND) };
        if request.method == "PATCH" {
            if comment.author != login && !is_admin {
                return refuse(403, "user should have permission to edit the comment");
            }
            comment.body = request.text("body");
            comment.updated_at = now;
        }
        let comment = comment.clone();
        Ok(FakeReply::json(200, &self.comment_json(&comment)))
    }

    fn new_status(&mut self, request: &FakeRequest, login: &str, repository: &Repository, sha: &str) -> Handled {
        if self.permission_of(repository, login) < Permission::Write {
            return refuse(403, "user should have a permission to write to a repo");
        }
        if !repository.commits.contains(sha) {
            // As the real one does.
            return refuse(500, "");
        }
        let status = Status {
            id: self.number(),
            sha: sha.to_owned(),
            context: request.text("context"),
            state: request.text("state"),
            description: request.text("description"),
            target_url: request.text("target_url"),
            creator: login.to_owned(),
            created_at: self.now(),
        };
        let answer = self.status_json(&status);
        self.must(&format!("{}/{}", repository.owner, repository.name)).statuses.push(status);
        Ok(FakeReply::json(201, &answer))
    }

    /// The newest status of each name.
    fn combined(&self, repository: &Repository, sha: &str) -> FakeReply {
        let mut newest: BTreeMap<&str, &Status> = BTreeMap::new();
        for status in repository.statuses.iter().filter(|status| status.sha == sha) {
            newest.insert(&status.context, status);
        }
        let statuses: Vec<Value> = newest.values().map(|status| self.status_json(status)).collect();
        FakeReply::json(
            200,
            &json!({
                "state": "pending", "sha": sha, "total_count": statuses.len(), "statuses": statuses,
                "repository": null, "commit_url": "", "url": "",
            }),
        )
    }

    pub(super) fn page(&self, request: &FakeRequest, items: Vec<Value>) -> FakeReply {
        let number = |name: &str, default: usize| {
            request.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default).max(1)
        };
        let limit = number("limit", 30).min(self.page_items_max);
        let total = items.len();
        let page: Vec<Value> = items.into_iter().skip((number("page", 1) - 1) * limit).take(limit).collect();
        FakeReply::json(200, &Value::Array(page)).with("x-total-count", total)
    }
}
