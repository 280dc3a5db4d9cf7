//! Signing in with an account of a forge: OAuth 2, authorisation code with PKCE.
//!
//! Gitea and Forgejo speak it alike: `/login/oauth/authorize` for the browser, `/login/oauth/access_token` for us. The
//! token that comes back is used for three questions (who, which organisations, which teams) and then forgotten.

use std::fmt;

use reqwest::Url;

use super::Account;
use super::http::base_url;
use crate::error::Error;

/// What the token may be used for. Servers before Gitea 1.23 do not look at it and give everything.
pub const SCOPES: &str = "read:user read:organization";

/// An OAuth application as the forge knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    /// The forge's base URL, without `/login`.
    pub url: String,
    /// The application's public name.
    pub client_id: String,
    /// What proves that it is we who ask.
    pub client_secret: String,
}

impl fmt::Debug for Application {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Application").field("url", &self.url).field("client_id", &self.client_id).finish()
    }
}

/// What a browser came back with, and what only the server that sent it away knows.
#[derive(Clone)]
pub struct Proof {
    /// The code that the forge gave the browser; good once.
    pub code: String,
    /// The text whose SHA-256 the browser took along.
    pub verifier: String,
    /// Where the browser was to come back to; the forge compares.
    pub redirect_uri: String,
}

/// Somebody, as the forge says it of its own accord.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who it is.
    pub account: Account,
    /// Organisations that they belong to.
    pub organizations: Vec<String>,
    /// Teams that they belong to: organisation, team.
    pub teams: Vec<(String, String)>,
}

/// Returns where a browser is sent for somebody to sign in. `challenge` is the SHA-256 of the verifier, in URL-safe
/// base64.
///
/// # Errors
/// The URL is none that a browser could be sent to.
pub fn authorize_url(
    url: &str,
    client_id: &str,
    redirect_uri: &str,
    state: &str,
    challenge: &str,
) -> Result<String, Error> {
    let mut to = oauth_url(url, "authorize")?;
    to.query_pairs_mut()
        .append_pair("client_id", client_id)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("response_type", "code")
        .append_pair("scope", SCOPES)
        .append_pair("state", state)
        .append_pair("code_challenge", challenge)
        .append_pair("code_challenge_method", "S256");
    Ok(to.into())
}

pub(super) fn oauth_url(url: &str, end: &str) -> Result<Url, Error> {
    base_url(url)?
        .join(&format!("login/oauth/{end}"))
        .map_err(|error| Error::bug("InternalError", "the URL cannot be made").because(error))
}
