//! Authorities that issue certificates over ACME (RFC 8555, RFC 9773), and how they see that names are ours.
//!
//! [`Acme`] asks an authority: one method, one thing that it is told or asked, each of which may be done again. Nothing is
//! kept between calls: accounts and orders are what the caller says. [`solve::Solver`] publishes what an authority wants to
//! see, over HTTP or in the DNS.
//!
//! | reason of an error | what it means |
//! |---|---|
//! | `AuthorityUnreachable` | no answer, a server's error, or nonsense: later |
//! | `RateLimited` | too much was asked for: not before `retry_after` |
//! | `BadNonce` | the authority forgot its nonce several times in a row: at once |
//! | `OrderGone`, `AccountGone` | the authority does not know it any more: make a new one |
//! | `AuthorityRefuses` | it does not issue for these names, or not to this account: a person must act |

pub mod conformance;
pub mod fake;
pub mod key;
pub mod network;
pub mod pebble;
pub mod solve;

#[cfg(test)]
mod tests;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Error;

pub use key::{AccountKey, signing_request};

/// No answer, a server's error, or nonsense.
pub const AUTHORITY_UNREACHABLE: &str = "AuthorityUnreachable";
/// Too much was asked for.
pub const RATE_LIMITED: &str = "RateLimited";
/// The authority forgot its nonce several times in a row.
pub const BAD_NONCE: &str = "BadNonce";
/// The authority does not know the order any more.
pub const ORDER_GONE: &str = "OrderGone";
/// The authority does not know the account any more.
pub const ACCOUNT_GONE: &str = "AccountGone";
/// The authority does not issue for these names, or not to this account.
pub const AUTHORITY_REFUSES: &str = "AuthorityRefuses";

/// Let's Encrypt, whose certificates are trusted.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Let's Encrypt for trying things out: wide limits, and certificates that nobody trusts.
pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// Which authority is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// URL of its directory.
    pub directory: String,
    /// Authorities in PEM that vouch for its own certificate besides those that are trusted anyway.
    pub ca_bundle: Option<String>,
}

/// An account that is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its key.
    pub key: AccountKey,
    /// Its URL at the authority.
    pub url: String,
}

/// What an account is bound to (external account binding).
#[derive(Clone, PartialEq, Eq)]
pub struct Binding {
    /// The key's id.
    pub key_id: String,
    /// The key (HMAC with SHA-256).
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Binding {
    /// Leaves the key out.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Binding").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderState {
    /// The authority does not believe yet that all names are ours.
    Pending,
    /// It believes, and waits for the signing request.
    Ready,
    /// It is issuing.
    Processing,
    /// The certificate can be fetched.
    Valid,
    /// It has failed.
    Invalid,
}

impl OrderState {
    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Processing => "Processing",
            Self::Valid => "Valid",
            Self::Invalid => "Invalid",
        }
    }
}

/// Over which protocol a name is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// A file on port 80.
    Http01,
    /// A TXT record.
    Dns01,
}

/// What became of a name, or of a challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// The authority waits to be told that it may look.
    Pending,
    /// It is looking.
    Processing,
    /// It has seen it.
    Valid,
    /// It has not.
    Invalid,
}

/// One name of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name; begins with `*.` for a wildcard.
    pub name: String,
    /// What became of it.
    pub proof: Proof,
    /// The ways in which it may be proved, as far as they are known here.
    pub challenges: Vec<Challenge>,
}

/// One way in which a name may be proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// Over which protocol.
    pub kind: ChallengeKind,
    /// Its URL at the authority.
    pub url: String,
    /// What becomes of it.
    pub proof: Proof,
    /// What is asked for: the last part of the path, or the name of the TXT record.
    pub asked: String,
    /// What is answered: the file's content, or the record's.
    pub answer: String,
    /// What the authority says is wrong.
    pub problem: Option<String>,
}

/// An order as the authority sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How far it is.
    pub state: OrderState,
    /// Its names.
    pub names: Vec<Name>,
    /// What the authority says is wrong with it.
    pub problem: Option<String>,
    /// Not before so many seconds does it want to be asked again.
    pub retry_after_seconds: Option<u64>,
}

/// When an authority wants a certificate to be renewed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its beginning.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Where the authority says why.
    pub explanation_url: Option<String>,
    /// After so many seconds it may be asked for again.
    pub ask_again_seconds: u64,
}

/// Asks authorities.
#[async_trait]
pub trait Acme: Send + Sync {
    /// Makes the account of a key, or finds the one that it has, and returns its URL.
    ///
    /// # Errors
    /// See the module.
    async fn register(
        &self,
        authority: &Authority,
        key: &AccountKey,
        email: Option<&str>,
        binding: Option<&Binding>,
    ) -> Result<String, Error>;

    /// Makes an order for names and returns its URL. `replaces` is the certificate in DER that it renews, for authorities
    /// that want to know.
    ///
    /// # Errors
    /// See the module.
    async fn order(
        &self,
        authority: &Authority,
        account: &Account,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<String, Error>;

    /// Looks at an order and all its names.
    ///
    /// # Errors
    /// See the module.
    async fn look(&self, authority: &Authority, account: &Account, order: &str) -> Result<Order, Error>;

    /// Tells the authority that it may look at these challenges of an order; those that it has looked at already are left out.
    ///
    /// # Errors
    /// See the module.
    async fn answer(
        &self,
        authority: &Authority,
        account: &Account,
        order: &str,
        challenges: &[String],
    ) -> Result<(), Error>;

    /// Hands in the signing request (PKCS#10 in DER) of an order that is ready.
    ///
    /// # Errors
    /// See the module.
    async fn finalize(
        &self,
        authority: &Authority,
        account: &Account,
        order: &str,
        request: &[u8],
    ) -> Result<(), Error>;

    /// Fetches the certificate of an order that is valid, in PEM, followed by its chain.
    ///
    /// # Errors
    /// See the module.
    async fn fetch(&self, authority: &Authority, account: &Account, order: &str) -> Result<String, Error>;

    /// Asks when a certificate (in DER) should be renewed; `None` when the authority does not say such things.
    ///
    /// # Errors
    /// See the module.
    async fn renewal(
        &self,
        authority: &Authority,
        account: &Account,
        certificate: &[u8],
    ) -> Result<Option<Window>, Error>;
}
