//! The played forge as one that people sign in with: what Gitea's `routers/web/auth/oauth2_provider.go` answers, in the
//! same order of checks.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::routes::{FakeReply, FakeRequest};
use super::world::World;

/// What is known of applications and of who sits before the browser.
#[derive(Clone, Debug, Default)]
pub(super) struct Applications {
    known: BTreeMap<String, Application>,
    /// Who has signed in at the forge with the browser that asks.
    browser: Option<String>,
    /// Who has granted what: application, login.
    grants: BTreeSet<(String, String)>,
    /// Challenges of browsers that look at the page that asks for a grant, by state.
    asking: BTreeMap<String, (String, String)>,
    codes: BTreeMap<String, Code>,
}

#[derive(Clone, Debug)]
struct Application {
    secret: String,
    redirect_uris: Vec<String>,
    is_confidential: bool,
}

#[derive(Clone, Debug)]
struct Code {
    application: String,
    login: String,
    redirect_uri: String,
    challenge: String,
    method: String,
    scope: String,
}

impl World {
    /// Registers a confidential application.
    pub fn application(&mut self, client_id: &str, secret: &str, redirect_uri: &str) -> &mut Self {
        let redirect_uris = vec![redirect_uri.to_owned()];
        let application = Application { secret: secret.to_owned(), redirect_uris, is_confidential: true };
        self.oauth.known.insert(client_id.to_owned(), application);
        self
    }

    /// Knows an application by what it proves itself with.
    pub(super) fn know_application(&mut self, client_id: &str, secret: &str, uris: &[String], is_confidential: bool) {
        let application = Application { secret: secret.to_owned(), redirect_uris: uris.to_vec(), is_confidential };
        self.oauth.known.insert(client_id.to_owned(), application);
    }

    /// Knows an application no longer.
    pub(super) fn forget_application(&mut self, client_id: &str) {
        self.oauth.known.remove(client_id);
    }

    /// Returns whether an application proves itself with a secret.
    #[must_use]
    pub fn takes_secret(&self, client_id: &str, secret: &str) -> bool {
        self.oauth.known.get(client_id).is_some_and(|known| known.secret == secret)
    }

    /// Says who sits before the browser; `None` for somebody whom the forge does not know.
    pub fn browser_of(&mut self, login: Option<&str>) -> &mut Self {
        if let Some(login) = login {
            self.user(login);
        }
        self.oauth.browser = login.map(str::to_owned);
        self
    }

    /// Lets somebody have granted an application what it asks for, earlier.
    pub fn grant(&mut self, client_id: &str, login: &str) -> &mut Self {
        self.oauth.grants.insert((client_id.to_owned(), login.to_owned()));
        self
    }

    /// Returns the code that whoever sits before the browser is given without PKCE.
    ///
    /// # Panics
    /// The application is not known, or not granted.
    #[must_use]
    pub fn code(&mut self, client_id: &str, redirect_uri: &str) -> String {
        let pairs = [("client_id", client_id), ("redirect_uri", redirect_uri), ("response_type", "code")];
        let query = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let reply = self.authorize(&FakeRequest { query: query.into(), ..FakeRequest::default() });
        let (_, to) = reply.headers.iter().find(|(name, _)| name == "location").expect("it leads back");
        let to = reqwest::Url::parse(to).expect("an address");
        to.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned()
    }

    pub(super) fn oauth_route(&mut self, request: &FakeRequest, path: &[&str]) -> FakeReply {
        match (request.method.as_str(), path) {
            ("GET", ["authorize"]) => self.authorize(request),
            ("POST", ["grant"]) => self.granted(request),
            ("POST", ["access_token"]) => self.access_token(request),
            _ => page(404, "<title>Page Not Found</title>"),
        }
    }

    fn authorize(&mut self, request: &FakeRequest) -> FakeReply {
        let query = |name: &str| request.query.get(name).cloned().unwrap_or_default();
        let Some(login) = self.oauth.browser.clone() else {
            return FakeReply::empty(303).with("location", format!("{}/user/login", self.url));
        };
        let (client_id, redirect_uri, state) = (query("client_id"), query("redirect_uri"), query("state"));
        let Some(application) = self.oauth.known.get(&client_id).cloned() else {
            return page(400, "unauthorized_client: Client ID not registered");
        };
        if !application.redirect_uris.contains(&redirect_uri) {
            return page(400, "invalid_request: Unregistered Redirect URI");
        }
        if query("response_type") != "code" {
            return back(&redirect_uri, &state, "unsupported_response_type", "Only code response type is supported.");
        }
        let method = query("code_challenge_method");
        match method.as_str() {
            "S256" | "plain" => {}
            "" if application.is_confidential => {}
            "" => return back(&redirect_uri, &state, "invalid_request", "PKCE is required for public clients"),
            _ => return back(&redirect_uri, &state, "invalid_request", "unsupported code challenge method"),
        }
        let challenge = (query("code_challenge"), method);
        if application.is_confidential && self.oauth.grants.contains(&(client_id.clone(), login.clone())) {
            return self.with_code(&client_id, &login, &redirect_uri, &state, challenge, query("scope"));
        }
        self.oauth.asking.insert(state.clone(), challenge);
        let hidden =
            [("client_id", client_id), ("redirect_uri", redirect_uri), ("state", state), ("scope", query("scope"))];
        let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let fields: String = hidden
            .iter()
            .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">", escape(value)))
            .collect();
        page(
            200,
            &format!(
                "<!DOCTYPE html><html lang=\"en\"><title>Authorize</title><link rel=\"icon\" href=\"data:,\"><form method=\"post\" action=\"/login/oauth/grant\">{fields}<button id=\"authorize-app\" name=\"granted\" value=\"true\">Authorize Application</button><button id=\"deny-app\" name=\"granted\" value=\"false\">Cancel</button></form></html>"
            ),
        )
    }

    fn granted(&mut self, request: &FakeRequest) -> FakeReply {
        let (client_id, redirect_uri, state) =
            (request.text("client_id"), request.text("redirect_uri"), request.text("state"));
        let (Some(login), Some(challenge)) = (self.oauth.browser.clone(), self.oauth.asking.remove(&state)) else {
            return page(400, "Bad Request");
        };
        if request.text("granted") != "true" {
            return back(&redirect_uri, &state, "access_denied", "the request is denied");
        }
        self.grant(&client_id, &login);
        self.with_code(&client_id, &login, &redirect_uri, &state, challenge, request.text("scope"))
    }

    fn with_code(
        &mut self,
        client_id: &str,
        login: &str,
        redirect_uri: &str,
        state: &str,
        (challenge, method): (String, String),
        scope: String,
    ) -> FakeReply {
        let code = format!("gta_{:026}", self.number());
        let kept = Code {
            application: client_id.to_owned(),
            login: login.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            challenge,
            method,
            scope,
        };
        self.oauth.codes.insert(code.clone(), kept);
        to(redirect_uri, &[("state", state), ("code", &code)])
    }

    fn access_token(&mut self, request: &FakeRequest) -> FakeReply {
        let basic = request.authorization.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok());
        let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        let (mut client_id, mut secret) = (request.text("client_id"), request.text("client_secret"));
        if client_id.is_empty() || secret.is_empty() {
            let (own_id, own_secret) = basic.split_once(':').unwrap_or_default();
            (client_id, secret) = (own_id.to_owned(), own_secret.to_owned());
        }
        if request.text("grant_type") != "authorization_code" {
            return refused(
                "unsupported_grant_type",
                "Only refresh_token or authorization_code grant type is supported",
            );
        }
        let Some(application) = self.oauth.known.get(&client_id) else {
            return refused("invalid_client", &format!("cannot load client with client id: '{client_id}'"));
        };
        if application.is_confidential && application.secret != secret {
            let why = if secret.is_empty() { "invalid empty client secret" } else { "invalid client secret" };
            return refused("unauthorized_client", why);
        }
        let redirect_uri = request.text("redirect_uri");
        if !redirect_uri.is_empty() && !application.redirect_uris.contains(&redirect_uri) {
            return refused("unauthorized_client", "unexpected redirect URI");
        }
        let Some(code) = self.oauth.codes.get(&request.text("code")).cloned() else {
            return refused("unauthorized_client", "client is not authorized");
        };
        if !code.is_met_by(&request.text("code_verifier")) {
            return refused("unauthorized_client", "failed PKCE code challenge");
        }
        if redirect_uri != code.redirect_uri {
            return refused("invalid_grant", "redirect_uri differs from the original authorization request");
        }
        if code.application != client_id {
            return refused("invalid_grant", "invalid grant");
        }
        self.oauth.codes.remove(&request.text("code"));
        let token = format!("access-token-of-{}-{}", code.login, self.number());
        let scopes: Vec<&str> = code.scope.split(' ').filter(|scope| scope.contains(':')).collect();
        self.token(&code.login, &token, (!scopes.is_empty()).then_some(scopes.as_slice()));
        let answer = json!({"access_token": token, "token_type": "bearer", "expires_in": 3600,
            "refresh_token": format!("refresh-{token}")});
        FakeReply::json(200, &answer)
    }
}

impl Code {
    fn is_met_by(&self, verifier: &str) -> bool {
        match self.method.as_str() {
            "S256" => URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes())) == self.challenge,
            "plain" => verifier == self.challenge,
            method => method.is_empty(),
        }
    }
}

fn refused(error: &str, description: &str) -> FakeReply {
    FakeReply::json(400, &json!({"error": error, "error_description": description}))
}

fn back(redirect_uri: &str, state: &str, error: &str, description: &str) -> FakeReply {
    to(redirect_uri, &[("error", error), ("error_description", description), ("state", state)])
}

fn to(redirect_uri: &str, pairs: &[(&str, &str)]) -> FakeReply {
    match reqwest::Url::parse_with_params(redirect_uri, pairs) {
        Ok(url) => FakeReply::empty(303).with("location", url),
        Err(_) => page(500, "url.Parse"),
    }
}

fn page(status: u16, html: &str) -> FakeReply {
    let headers = vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())];
    FakeReply { status, headers, body: html.as_bytes().to_vec() }
}
