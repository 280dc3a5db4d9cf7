//! What Certificates that are ordered from an authority (ACME, RFC 8555) have in their spec and status.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::reference::SecretKeyReference;
use crate::meta::is_zero;

/// An order of ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    {
        "rule": "has(self.http01) != has(self.dns01)",
        "message": "acme has exactly one of http01 and dns01: how the authority may see that the names are yours",
    },
]))]
pub struct Acme {
    /// The authority's directory. Let's Encrypt has `https://acme-v02.api.letsencrypt.org/directory`, and for trying things
    /// out, with wide limits and certificates that nobody trusts, `https://acme-staging-v02.api.letsencrypt.org/directory`.
    #[schemars(schema_with = "crate::grammar::web_url")]
    pub directory: String,
    /// Authorities in PEM that vouch for the directory's own certificate, besides those that this machine trusts: for an
    /// authority of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub ca_bundle: Option<String>,
    /// Where the authority writes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 254), regex(pattern = r"^[A-Za-z0-9_][^\s@]*@[A-Za-z0-9][A-Za-z0-9.-]*$"))]
    pub email: Option<String>,
    /// The account's key (ECDSA on P-256, PKCS#8 in PEM); made here when absent, and then kept in a Secret that all
    /// Certificates of the namespace with the same directory, email and external account share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_key_secret_ref: Option<SecretKeyReference>,
    /// An account at the authority's shop that the ACME account is bound to, for authorities that ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_account: Option<ExternalAccount>,
    /// Answers on port 80 of each name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http01: Option<Http01>,
    /// Writes a record into the zone of each name; needed for `*.`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns01: Option<Dns01>,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
            ca_bundle: None,
            email: None,
            account_key_secret_ref: None,
            external_account: None,
            http01: None,
            dns01: None,
        }
    }
}

/// External account binding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["keyID", "keySecretRef"]))]
pub struct ExternalAccount {
    /// The key's id, as the authority says.
    #[serde(rename = "keyID")]
    #[schemars(length(min = 1, max = 256))]
    pub key_id: String,
    /// The key (HMAC), in base64url as authorities hand it out.
    pub key_secret_ref: SecretKeyReference,
}

/// The challenge over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Http01 {
    /// Port of the daemon to which the proxy forwards `/.well-known/acme-challenge/`. It is open while an authority may ask,
    /// and answers nothing but what was asked for.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
}

impl Default for Http01 {
    fn default() -> Self {
        Self { port: 8181 }
    }
}

/// The challenge over DNS: a program that the daemon's configuration names, or dynamic updates (RFC 2136).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.hook) ? !has(self.server) && !has(self.keyName) && !has(self.keySecretRef) : \
             has(self.server) && has(self.keyName) && has(self.keySecretRef)",
    "message": "dns01 has either hook, or all of server, keyName and keySecretRef",
}]))]
pub struct Dns01 {
    /// Name of a program in `certificates.dns_hooks` of the daemon's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub hook: Option<String>,
    /// The name server that takes updates.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::grammar::host_port")]
    pub server: String,
    /// Name of the TSIG key.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "crate::grammar::domain")]
    pub key_name: String,
    /// The TSIG key in base64: `hmac-sha256`, unless another algorithm and a colon stand before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeyReference>,
}

/// How far ordering is. All that a daemon needs to go on which is started again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeStatus {
    /// The account at the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<AcmeAccount>,
    /// The order that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<AcmeOrder>,
    /// What was published for the authority to see, and is taken back when the order has ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200), extend("x-kubernetes-list-type" = "atomic"))]
    pub challenges: Vec<AcmeChallenge>,
    /// Which certificate came from the authority last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued: Option<AcmeIssued>,
    /// When the authority wants it to be renewed (RFC 9773).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_info: Option<AcmeRenewalInfo>,
    /// When orders were made in the last hour, oldest first: there is a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 32)), extend("x-kubernetes-list-type" = "atomic"))]
    pub recent_orders: Vec<String>,
    /// How often in a row it has failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: i64,
    /// What failed last; absent when nothing did since the last success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<AcmeFailure>,
    /// Not before this moment is anything asked of the authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub not_before: Option<String>,
    /// Number of the step that is being taken.
    pub step: i64,
    /// Generation of the spec at the last step; a new one is tried at once.
    pub generation: i64,
}

/// An account at an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeAccount {
    /// Its URL.
    #[schemars(length(max = 2048))]
    pub url: String,
    /// The authority's directory.
    #[schemars(length(max = 2048))]
    pub directory: String,
    /// SHA-256 of its public key, in hexadecimal digits.
    #[schemars(length(max = 64))]
    pub key: String,
}

/// An order at an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeOrder {
    /// Its URL.
    #[schemars(length(max = 2048))]
    pub url: String,
    /// The names that it is for.
    #[schemars(length(max = 100), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub names: Vec<String>,
    /// When it was made.
    #[schemars(schema_with = "crate::grammar::moment")]
    pub began_at: String,
    /// `Pending`, `Ready`, `Processing` or `Valid`, as the authority said last.
    #[schemars(length(max = 16))]
    pub state: String,
    /// How often it was looked at since something changed.
    pub looks: i64,
    /// So many seconds after a look does the authority want to be asked again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<i64>,
}

/// What was published for one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeChallenge {
    /// The name that it proves.
    #[schemars(length(max = 253))]
    pub dns_name: String,
    /// The challenge's URL at the authority.
    #[schemars(length(max = 2048))]
    pub url: String,
    /// What is asked for: the last part of the path, or the name of the TXT record.
    #[schemars(length(max = 512))]
    pub asked: String,
    /// What is answered.
    #[schemars(length(max = 1024))]
    pub answer: String,
    /// Whether it can be seen.
    pub published: bool,
    /// Whether the authority knows that, or needs it no more.
    pub answered: bool,
    /// How a record was written, and is taken back; absent for HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dns01: Option<Dns01>,
}

/// A certificate that came from an authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeIssued {
    /// SHA-256 of the certificate, in hexadecimal digits.
    #[schemars(length(max = 64))]
    pub fingerprint: String,
    /// The directory of the authority that it came from.
    #[schemars(length(max = 2048))]
    pub directory: String,
}

/// When an authority wants a certificate to be renewed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeRenewalInfo {
    /// SHA-256 of the certificate that it is about, in hexadecimal digits.
    #[schemars(length(max = 64))]
    pub fingerprint: String,
    /// When the window begins; absent when the authority says nothing about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub start: Option<String>,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub end: Option<String>,
    /// Where the authority says why.
    #[serde(rename = "explanationURL", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub explanation_url: Option<String>,
    /// When it is asked for again.
    #[schemars(schema_with = "crate::grammar::moment")]
    pub next_check: String,
}

/// What failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AcmeFailure {
    /// One CamelCase word for programs.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What failed and what to do.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// When.
    #[schemars(schema_with = "crate::grammar::moment")]
    pub at: String,
}
