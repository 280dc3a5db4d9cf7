//! A real Gitea or Forgejo for tests, where there is one.
//!
//! `CC_TEST_GITEA` is its URL and `CC_TEST_GITEA_TOKEN` a token of an administrator with every scope: tests make people
//! and organisations of their own, and remove them. It must be reached from here and, for its webhooks, reach this
//! machine (`[webhook] ALLOWED_HOST_LIST`).

use std::time::Duration;

use serde_json::{Value, json};

/// The password of everybody whom tests make.
pub const PASSWORD: &str = "Of-nobody-4-long";

/// How a request says who sends it.
pub enum As<'a> {
    /// By this token.
    Token(&'a str),
    /// By the name of somebody whom [`RealForge::person`] has made.
    Password(&'a str),
}

/// A real server, and what a test has made there, which goes with this.
pub struct RealForge {
    http: reqwest::Client,
    /// Its URL, without a slash at the end.
    pub url: String,
    /// The token of the administrator.
    pub token: String,
    /// Paths to delete at the end, in this order.
    pub made: Vec<String>,
}

impl RealForge {
    /// Returns the server that the environment names, if it does.
    ///
    /// # Panics
    /// When it names a server and no token.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the environment says whether there is a real server")]
    pub fn from_environment() -> Option<Self> {
        let url = std::env::var("CC_TEST_GITEA").ok().filter(|url| !url.is_empty())?;
        let token = std::env::var("CC_TEST_GITEA_TOKEN").expect("CC_TEST_GITEA needs CC_TEST_GITEA_TOKEN");
        Some(Self { http: client(), url: url.trim_end_matches('/').to_owned(), token, made: Vec::new() })
    }

    /// Asks the server, and returns its answer; null when that is none.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn ask(&self, who: As<'_>, method: &str, path: &str, body: &Value) -> Value {
        ask(&self.http, &self.url, who, method, path, body).await
    }

    /// Waits until the server knows a branch: it takes note of what was pushed afterwards.
    ///
    /// # Panics
    /// When it does not within 20 seconds.
    pub async fn has_branch(&self, repository: &str, branch: &str) {
        let url = format!("{}/api/v1/repos/{repository}/branches/{branch}", self.url);
        let started = std::time::Instant::now();
        loop {
            let request = self.http.get(&url).header("authorization", format!("token {}", self.token));
            if request.send().await.expect("the server answers").status().is_success() {
                return;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "{repository} has no {branch}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Makes something as the administrator, which is removed in the end by deleting `undo`.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn make(&mut self, path: &str, body: Value, undo: String) -> Value {
        let made = self.ask(As::Token(&self.token), "POST", path, &body).await;
        self.made.insert(0, undo);
        made
    }

    /// Makes somebody with the password [`PASSWORD`], and returns a token of theirs.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn person(&mut self, name: &str, scopes: &[&str]) -> String {
        let body = json!({
            "username": name, "email": format!("{name}@example.org"), "password": PASSWORD, "must_change_password": false,
        });
        self.make("/admin/users", body, format!("/admin/users/{name}?purge=true")).await;
        let body = json!({"name": "cc-ci-test", "scopes": scopes});
        let token = self.ask(As::Password(name), "POST", &format!("/users/{name}/tokens"), &body).await;
        token["sha1"].as_str().expect("a token").to_owned()
    }

    /// Makes an organisation with the team `keepers` of these people, who write to all of its repositories.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn organization(&mut self, name: &str, keepers: &[&str]) {
        self.make("/orgs", json!({"username": name}), format!("/orgs/{name}")).await;
        let team = json!({
            "name": "keepers", "permission": "write", "includes_all_repositories": true,
            "units": ["repo.code", "repo.issues", "repo.pulls"],
        });
        let team = self.ask(As::Token(&self.token), "POST", &format!("/orgs/{name}/teams"), &team).await;
        for member in keepers {
            let path = format!("/teams/{}/members/{member}", team["id"]);
            self.ask(As::Token(&self.token), "PUT", &path, &json!({})).await;
        }
    }
}

/// However a test ends, the server has what it had.
impl Drop for RealForge {
    fn drop(&mut self) {
        // In a thread and with connections of its own: a runtime of the test's, which has those of `http`, stands still.
        let (made, url, token) = (std::mem::take(&mut self.made), self.url.clone(), self.token.clone());
        let remove = async move {
            let http = client();
            for path in &made {
                ask(&http, &url, As::Token(&token), "DELETE", path, &json!({})).await;
            }
        };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let removed = std::thread::spawn(move || runtime().block_on(remove)).join();
        assert!(removed.is_ok() || std::thread::panicking(), "what was made on {} could not be removed", self.url);
    }
}

/// How often something is read from a server that says that it cannot now, as one on SQLite does while it writes.
const READS_MAX: u32 = 20;

async fn ask(http: &reqwest::Client, url: &str, who: As<'_>, method: &str, path: &str, body: &Value) -> Value {
    for attempt in 1.. {
        let request = http.request(method.parse().expect("a method"), format!("{url}/api/v1{path}")).json(body);
        let request = match who {
            As::Token(token) => request.header("authorization", format!("token {token}")),
            As::Password(user) => request.basic_auth(user, Some(PASSWORD)),
        };
        let answer = request.send().await.expect("the server answers");
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        if method == "GET" && status.is_server_error() && attempt < READS_MAX {
            tokio::time::sleep(Duration::from_millis(250)).await;
            continue;
        }
        assert!(status.is_success(), "{path} with {body}: {status} {text} (the token must be an administrator's)");
        return serde_json::from_str(&text).unwrap_or_default();
    }
    unreachable!("the last attempt returns or panics")
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}
