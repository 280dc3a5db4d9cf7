//! Who is asking: client certificate, then whoever this process has recognised, then bearer token, then nobody in
//! particular.
//!
//! A credential that is present and wrong is refused; it never falls back to the next one or to anonymous.

pub mod certificate;
pub mod impersonation;
pub mod review;
pub mod token_file;
pub mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
use store::store::Store;

use crate::clock::Clock;
use certificate::ClientCertificate;
use tokens::TokenTable;

/// The user of requests without a credential.
pub const ANONYMOUS: &str = "system:anonymous";
/// The group of requests without a credential.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group that everybody with a valid credential is in.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group that no authorisation rule can stop.
pub const MASTERS: &str = "system:masters";

/// What the store calls service accounts.
pub(crate) const SERVICE_ACCOUNTS: &str = "serviceaccounts";

/// Where a request came from: what the connection knows about its other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Address of the other end of the connection. Headers such as `X-Forwarded-For` are never believed.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub encrypted: bool,
    /// The client's certificate, already verified against our authority by the handshake.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// Who makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name that bindings refer to.
    pub name: String,
    /// Identity that outlives a rename; may be empty.
    pub uid: String,
    /// Groups that bindings refer to.
    pub groups: Vec<String>,
    /// What else the credential says.
    pub extra: BTreeMap<String, Vec<String>>,
    /// What proved it.
    pub credential: Credential,
    /// The real sender, when the request acts as somebody else.
    pub impersonator: Option<Arc<Self>>,
}

/// What proved who somebody is. Streams that stay open ask [`Authenticator::still_valid`] now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// No credential was sent.
    None,
    /// A bearer token, by its public id.
    Token {
        /// Public part of the token.
        id: String,
        /// When it ends; `None` is never.
        expires: Option<Timestamp>,
    },
    /// A client certificate.
    Certificate {
        /// When it ends.
        expires: Timestamp,
    },
    /// A session of the web pages that began with an account of a forge.
    Session {
        /// When it ends.
        expires: Timestamp,
    },
    /// The process itself.
    Internal,
}

/// Somebody whom a part of this process has recognised already, such as the web pages by their cookie. It travels in the
/// extensions of a request, where nothing that comes over a network can put it.
#[derive(Clone, Debug)]
pub struct Recognised(pub Arc<User>);

impl User {
    /// Returns the user of requests without a credential.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            uid: String::new(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            extra: BTreeMap::new(),
            credential: Credential::None,
            impersonator: None,
        }
    }

    /// Returns the user as which a part of this process acts.
    #[must_use]
    pub fn internal(component: &str) -> Self {
        Self {
            name: format!("system:ccd:{component}"),
            groups: vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()],
            credential: Credential::Internal,
            ..Self::anonymous()
        }
    }

    /// Returns a user with a name and groups and the group of all who are known.
    #[must_use]
    pub fn named(name: &str, groups: &[&str], credential: Credential) -> Self {
        let mut groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
        groups.push(AUTHENTICATED.to_owned());
        Self { name: name.to_owned(), groups, credential, ..Self::anonymous() }
    }

    /// Returns whether the user is in `group`.
    #[must_use]
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// Turns requests into users.
pub struct Authenticator {
    tokens: TokenTable,
    accounts: Option<AccountTokens>,
    anonymous: Arc<User>,
    clock: Clock,
}

impl Authenticator {
    /// Returns an authenticator that knows the tokens of `tokens`.
    #[must_use]
    pub fn new(tokens: TokenTable, clock: Clock) -> Self {
        Self { tokens, accounts: None, anonymous: Arc::new(User::anonymous()), clock }
    }

    /// Returns the same, which also knows the tokens of service accounts that are in `store`.
    #[must_use]
    pub fn with_service_accounts(self, tokens: TokenTable, store: Store) -> Self {
        Self { accounts: Some(AccountTokens { tokens, store }), ..self }
    }

    /// Returns the named tokens.
    #[must_use]
    pub fn named_tokens(&self) -> &TokenTable {
        &self.tokens
    }

    /// Returns the tokens of service accounts, when this server makes such.
    #[must_use]
    pub fn account_tokens(&self) -> Option<&TokenTable> {
        self.accounts.as_ref().map(|accounts| &accounts.tokens)
    }

    fn find(&self, token: &str, now: Timestamp) -> Option<Arc<User>> {
        self.tokens.find(token, now).or_else(|| {
            let accounts = self.accounts.as_ref()?;
            accounts.tokens.find(token, now).filter(|user| accounts.lives(user))
        })
    }

    fn find_by_id(&self, id: &str, now: Timestamp) -> Option<Arc<User>> {
        self.tokens.by_id(id, now).or_else(|| {
            let accounts = self.accounts.as_ref()?;
            accounts.tokens.by_id(id, now).filter(|user| accounts.lives(user))
        })
    }

    /// Returns who sent the request, not considering impersonation.
    ///
    /// # Errors
    /// 401 when a credential is present and not valid.
    pub fn authenticate(&self, parts: &Parts, peer: &Peer) -> Result<Arc<User>, Status> {
        let now = self.clock.now();
        if let Some(certificate) = &peer.certificate {
            return if certificate.expires > now { Ok(Arc::clone(&certificate.user)) } else { Err(unauthorized()) };
        }
        if let Some(Recognised(user)) = parts.extensions.get::<Recognised>() {
            return if holds(&user.credential, now) { Ok(Arc::clone(user)) } else { Err(unauthorized()) };
        }
        match bearer_token(parts)? {
            Some(token) => self.find(token, now).ok_or_else(unauthorized),
            None => Ok(Arc::clone(&self.anonymous)),
        }
    }

    /// Returns whether the credential of `user` still holds: not expired, not revoked, same user and groups.
    #[must_use]
    pub fn still_valid(&self, user: &User) -> bool {
        let now = self.clock.now();
        let real = user.impersonator.as_deref().unwrap_or(user);
        match &real.credential {
            credential @ (Credential::None
            | Credential::Internal
            | Credential::Certificate { .. }
            | Credential::Session { .. }) => holds(credential, now),
            Credential::Token { id, .. } => self
                .find_by_id(id, now)
                .is_some_and(|current| current.name == real.name && current.groups == real.groups),
        }
    }

    /// Returns whose token this is, for `TokenReview`.
    #[must_use]
    pub fn review(&self, token: &str) -> Option<Arc<User>> {
        self.find(token, self.clock.now())
    }
}

/// Returns whether a credential that nobody can revoke has not ended.
fn holds(credential: &Credential, now: Timestamp) -> bool {
    match credential {
        Credential::None | Credential::Internal => true,
        Credential::Certificate { expires } | Credential::Session { expires } => *expires > now,
        Credential::Token { .. } => false,
    }
}

/// The tokens of service accounts, and where those accounts are.
struct AccountTokens {
    tokens: TokenTable,
    store: Store,
}

impl AccountTokens {
    /// Returns whether the account is still there, and still the same one.
    fn lives(&self, user: &User) -> bool {
        let name = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let Some((namespace, name)) = name else { return false };
        let key = store::object::object_key(namespace, name);
        let state = self.store.state();
        state.get(SERVICE_ACCOUNTS, &key).is_some_and(|account| account.uid() == user.uid && !account.is_deleting())
    }
}

/// Returns the answer to a wrong credential; it does not say what was wrong with it.
#[must_use]
pub fn unauthorized() -> Status {
    Status::failure(Reason::Unauthorized, "Unauthorized")
}

/// Returns the token of the `Authorization` header; another scheme or two headers are a wrong credential.
fn bearer_token(parts: &Parts) -> Result<Option<&str>, Status> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(unauthorized());
    }
    let text = value.to_str().map_err(|_| unauthorized())?;
    let (scheme, token) = text.trim().split_once(' ').ok_or_else(unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(unauthorized());
    }
    Ok(Some(token.trim()))
}
