//! From a code to a person.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;

use super::super::sign_in::{Application, Person, Proof, oauth_url};
use super::super::wire::{WireAccessToken, WireOrganization, WireRefusal, WireTeam};
use super::super::{Account, Forge as _};
use super::{Answer, HttpForges, OutgoingBody, WORDS_CHARACTERS_MAX, base_url};
use crate::error::Error;

/// Longer tokens are no tokens.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

impl HttpForges {
    /// Asks for the token, and with it who its owner is.
    pub(super) async fn who(&self, application: &Application, proof: &Proof) -> Result<Person, Error> {
        let base = base_url(&application.url)?;
        let pace = format!("{} for signing in", base.origin().ascii_serialization());
        let pair = format!("{}:{}", application.client_id, application.client_secret);
        let own = self.forge(base.clone(), &format!("Basic {}", STANDARD.encode(pair)), pace.clone())?;
        let fields = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", proof.code.clone()),
            ("redirect_uri", proof.redirect_uri.clone()),
            ("code_verifier", proof.verifier.clone()),
        ];
        let url = oauth_url(&application.url, "access_token")?;
        let answer = own.send(Method::POST, url, Some(OutgoingBody::Form(fields))).await?;
        if matches!(answer.status.as_u16(), 400 | 401) {
            return Err(refusal(&answer));
        }
        if !answer.status.is_success() {
            return Err(own.problem(&answer, "let somebody sign in"));
        }
        let token: WireAccessToken = answer.json()?;
        if token.access_token.is_empty() || token.access_token.len() > TOKEN_BYTES_MAX {
            return Err(Error::retryable("BadAnswer", "the forge gave no token for the code"));
        }
        let theirs = self.forge(base, &format!("Bearer {}", token.access_token), pace)?;
        let account: Account = theirs.account().await?;
        if account.id <= 0 || account.login.is_empty() {
            return Err(Error::retryable("BadAnswer", "the forge does not say whose token it gave"));
        }
        let organizations = theirs.pages(&["user", "orgs"], None, "see the organisations of whoever signs in").await?;
        let teams = theirs.pages(&["user", "teams"], None, "see the teams of whoever signs in").await?;
        Ok(Person {
            account,
            organizations: organizations.items.into_iter().map(WireOrganization::name).collect(),
            teams: teams.items.into_iter().map(|team: WireTeam| (team.organization.name(), team.name)).collect(),
        })
    }
}

/// The forge's own words for why it gives no token.
fn refusal(answer: &Answer) -> Error {
    let said: WireRefusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    let words = format!("{}: {}", said.error, said.error_description);
    let words: String = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().take(WORDS_CHARACTERS_MAX).collect();
    Error::terminal("Rejected", format!("the forge does not let this sign-in through ({words})"))
}
