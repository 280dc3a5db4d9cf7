//! Authorities over the network: the crate `instant-acme` over our own HTTP client.

mod exchange;
mod problem;
mod register;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::BodyExt as _;
use instant_acme::{
    AuthorizationStatus, BodyWrapper, BytesResponse, CertificateIdentifier, ChallengeStatus, ChallengeType, Identifier,
    NewOrder, OrderStatus,
};
use jiff::Timestamp;
use reqwest::Client;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::{
    AUTHORITY_UNREACHABLE, Account, AccountKey, Acme, Authority, Binding, Challenge, ChallengeKind, Name, Order,
    OrderState, Proof, Window,
};
use crate::error::Error;

use exchange::Exchange;
use problem::{Heard, told, words};

/// How often renewal information is asked for when the authority does not say.
const ASK_AGAIN: Duration = Duration::from_hours(6);

/// How long the parts of a request may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcmeTimes {
    /// To connect.
    pub connect: Duration,
    /// For everything, the body included.
    pub whole: Duration,
}

impl Default for AcmeTimes {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), whole: Duration::from_secs(30) }
    }
}

/// Makes a client that believes these authorities in PEM as well.
type MakeClient = Arc<dyn Fn(Option<&str>) -> Result<Client, Error> + Send + Sync>;

/// Makes the client for authorities that the machine trusts.
type MakeUsual = Box<dyn FnOnce() -> Result<Client, String> + Send>;

/// Authorities over the network.
pub struct NetworkAcme {
    make: MakeClient,
    /// For authorities that the machine trusts; made at the first request, because reading what it trusts takes a while.
    usual: Arc<LazyLock<Result<Client, String>, MakeUsual>>,
}

impl NetworkAcme {
    /// Returns authorities whose own certificates hold if the machine, one of `ca_files`, or their `ca_bundle` vouches for
    /// them.
    ///
    /// # Errors
    /// A file cannot be read or holds no certificate.
    pub fn open(ca_files: &[PathBuf], times: AcmeTimes) -> Result<Self, Error> {
        let mut trusted = Vec::new();
        for file in ca_files {
            let unreadable =
                |error: String| Error::terminal("TlsError", format!("{} cannot be used: {error}", file.display()));
            let pem = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
            trusted.extend(reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(error.to_string()))?);
        }
        let make: MakeClient = Arc::new(move |bundle| client(&trusted, bundle, times));
        let first = make.clone();
        let usual: MakeUsual = Box::new(move || first(None).map_err(|error| error.message));
        Ok(Self { make, usual: Arc::new(LazyLock::new(usual)) })
    }

    /// Returns what carries requests to an authority.
    async fn exchange(&self, authority: &Authority) -> Result<Exchange, Error> {
        check_directory(&authority.directory)?;
        let (make, usual, bundle) = (self.make.clone(), self.usual.clone(), authority.ca_bundle.clone());
        // Reads the machine's authorities, which are some hundred files.
        let made = tokio::task::spawn_blocking(move || match bundle {
            Some(bundle) => make(Some(&bundle)),
            None => LazyLock::force(&usual).clone().map_err(|message| Error::terminal("TlsError", message)),
        });
        let client = made.await.map_err(|error| Error::bug("InternalError", format!("no client: {error}")))??;
        Ok(Exchange::new(client, &authority.directory))
    }

    async fn account(&self, authority: &Authority, account: &Account) -> Result<(instant_acme::Account, Heard), Error> {
        let exchange = self.exchange(authority).await?;
        let heard = exchange.heard();
        let key = PrivatePkcs8KeyDer::from(account.key.pkcs8().to_vec());
        let opened = instant_acme::Account::builder_with_http(Box::new(exchange))
            .from_parts(account.url.clone(), key, authority.directory.clone())
            .await;
        Ok((opened.map_err(|error| told(error, &heard, "read the authority's directory"))?, heard))
    }

    async fn opened(&self, authority: &Authority, account: &Account, order: &str) -> Result<Opened, Error> {
        let (account, heard) = self.account(authority, account).await?;
        let order = account.order(order.to_owned()).await.map_err(|error| problem::of_order(error, &heard))?;
        Ok(Opened { order, heard, thumbprint: account.key_thumbprint().to_owned() })
    }
}

/// An order, as the authority showed it.
struct Opened {
    order: instant_acme::Order,
    heard: Heard,
    /// Of the account's key: a part of all answers.
    thumbprint: String,
}

fn client(trusted: &[reqwest::Certificate], bundle: Option<&str>, times: AcmeTimes) -> Result<Client, Error> {
    let mut more = trusted.to_vec();
    if let Some(bundle) = bundle {
        let found = reqwest::Certificate::from_pem_bundle(bundle.as_bytes()).unwrap_or_default();
        if found.is_empty() {
            let message = "spec.source.acme.caBundle holds no certificate in PEM: put the authority's own root there";
            return Err(Error::terminal("InvalidSpec", message));
        }
        more.extend(found);
    }
    Client::builder()
        .connect_timeout(times.connect)
        .timeout(times.whole)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_merge(more)
        .build()
        .map_err(|error| Error::terminal("TlsError", "no client for authorities can be made").because(error))
}

/// ACME is spoken over TLS; without it only to this machine itself.
fn check_directory(directory: &str) -> Result<(), Error> {
    let wrong =
        |why: &str| Error::terminal("InvalidSpec", format!("{directory} is no directory of an authority: {why}"));
    let url = reqwest::Url::parse(directory).map_err(|error| wrong(&error.to_string()))?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return Err(wrong("it must begin with https://"));
    }
    Ok(())
}

#[async_trait]
impl Acme for NetworkAcme {
    async fn register(
        &self,
        authority: &Authority,
        key: &AccountKey,
        email: Option<&str>,
        binding: Option<&Binding>,
    ) -> Result<String, Error> {
        register::register(&self.exchange(authority).await?, &authority.directory, key, email, binding).await
    }

    async fn order(
        &self,
        authority: &Authority,
        account: &Account,
        names: &[String],
        replaces: Option<&[u8]>,
    ) -> Result<String, Error> {
        let (account, heard) = self.account(authority, account).await?;
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let der = replaces.map(CertificateDer::from);
        let id = der.as_ref().and_then(|der| CertificateIdentifier::try_from(der).ok());
        if let Some(id) = id {
            // A hint only: authorities that know nothing of it, or not this certificate, get the order without it.
            match account.new_order(&NewOrder::new(&identifiers).replaces(id)).await {
                Ok(order) => return Ok(order.url().to_owned()),
                Err(error) if problem::is_about_replacing(&error) => {}
                Err(error) => return Err(told(error, &heard, "order a certificate")),
            }
        }
        let order = account.new_order(&NewOrder::new(&identifiers)).await;
        Ok(order.map_err(|error| told(error, &heard, "order a certificate"))?.url().to_owned())
    }

    async fn look(&self, authority: &Authority, account: &Account, order: &str) -> Result<Order, Error> {
        let Opened { mut order, heard, thumbprint } = self.opened(authority, account, order).await?;
        let retry_after_seconds = heard.retry_after().map(|wait| wait.as_secs());
        let mut names = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(found) = authorizations.next().await {
            let found = found.map_err(|error| problem::of_order(error, &heard))?;
            names.push(name(&found, &thumbprint));
        }
        let state = order.state();
        Ok(Order {
            state: match state.status {
                OrderStatus::Pending => OrderState::Pending,
                OrderStatus::Ready => OrderState::Ready,
                OrderStatus::Processing => OrderState::Processing,
                OrderStatus::Valid => OrderState::Valid,
                OrderStatus::Invalid => OrderState::Invalid,
            },
            problem: state.error.as_ref().map(words),
            names,
            retry_after_seconds,
        })
    }

    async fn answer(
        &self,
        authority: &Authority,
        account: &Account,
        order: &str,
        challenges: &[String],
    ) -> Result<(), Error> {
        let Opened { mut order, heard, .. } = self.opened(authority, account, order).await?;
        let mut authorizations = order.authorizations();
        while let Some(found) = authorizations.next().await {
            let mut found = found.map_err(|error| problem::of_order(error, &heard))?;
            let wanted = found
                .challenges
                .iter()
                .find(|one| one.status == ChallengeStatus::Pending && challenges.contains(&one.url))
                .map(|one| one.r#type.clone());
            if let Some(mut challenge) = wanted.and_then(|kind| found.challenge(kind)) {
                // What is wrong with it stands in the order as well, and is told by whoever looks there.
                let answered = challenge.set_ready().await;
                answered.or_else(|error| match problem::of_order(error, &heard) {
                    error if error.reason == super::AUTHORITY_REFUSES => Ok(()),
                    error => Err(error),
                })?;
            }
        }
        Ok(())
    }

    async fn finalize(
        &self,
        authority: &Authority,
        account: &Account,
        order: &str,
        request: &[u8],
    ) -> Result<(), Error> {
        let Opened { mut order, heard, .. } = self.opened(authority, account, order).await?;
        order.finalize_csr(request).await.map_err(|error| told(error, &heard, "hand in the signing request"))
    }

    async fn fetch(&self, authority: &Authority, account: &Account, order: &str) -> Result<String, Error> {
        let Opened { mut order, heard, .. } = self.opened(authority, account, order).await?;
        let fetched = order.certificate().await.map_err(|error| told(error, &heard, "fetch the certificate"))?;
        fetched.ok_or_else(|| Error::retryable(AUTHORITY_UNREACHABLE, "the certificate is not there yet"))
    }

    async fn renewal(
        &self,
        authority: &Authority,
        account: &Account,
        certificate: &[u8],
    ) -> Result<Option<Window>, Error> {
        let der = CertificateDer::from(certificate);
        // Without the id of its issuer's key nobody can ask for it.
        let Ok(id) = CertificateIdentifier::try_from(&der) else { return Ok(None) };
        let (account, heard) = self.account(authority, account).await?;
        let (found, again) = match account.renewal_info(&id).await {
            Ok(found) => found,
            Err(instant_acme::Error::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(told(error, &heard, "ask when to renew the certificate")),
        };
        let at = |moment: i128| {
            Timestamp::from_nanosecond(moment)
                .map_err(|_| Error::retryable(AUTHORITY_UNREACHABLE, "the window for renewal is no time"))
        };
        let start = at(found.suggested_window.start.unix_timestamp_nanos())?;
        let end = at(found.suggested_window.end.unix_timestamp_nanos())?;
        let again = if again.is_zero() { ASK_AGAIN } else { again };
        Ok(Some(Window { start, end, explanation_url: found.explanation_url, ask_again_seconds: again.as_secs() }))
    }
}

/// Reads one name of an order.
fn name(found: &instant_acme::AuthorizationState, thumbprint: &str) -> Name {
    let name = found.identifier().to_string();
    let proof = match found.status {
        AuthorizationStatus::Pending => Proof::Pending,
        AuthorizationStatus::Valid => Proof::Valid,
        _ => Proof::Invalid,
    };
    let base = name.trim_start_matches("*.").to_owned();
    let mut challenges = Vec::new();
    for (kind, type_) in [(ChallengeKind::Http01, ChallengeType::Http01), (ChallengeKind::Dns01, ChallengeType::Dns01)]
    {
        let Some(challenge) = found.challenges.iter().find(|one| one.r#type == type_) else { continue };
        let authorization = format!("{}.{thumbprint}", challenge.token);
        let (asked, answer) = match kind {
            ChallengeKind::Http01 => (challenge.token.clone(), authorization),
            ChallengeKind::Dns01 => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, authorization.as_bytes());
                (format!("_acme-challenge.{base}"), URL_SAFE_NO_PAD.encode(digest))
            }
        };
        challenges.push(Challenge {
            kind,
            url: challenge.url.clone(),
            proof: match challenge.status {
                ChallengeStatus::Pending => Proof::Pending,
                ChallengeStatus::Processing => Proof::Processing,
                ChallengeStatus::Valid => Proof::Valid,
                ChallengeStatus::Invalid => Proof::Invalid,
            },
            asked,
            answer,
            problem: challenge.error.as_ref().map(words),
        });
    }
    Name { name, proof, challenges }
}

impl instant_acme::HttpClient for Exchange {
    fn request(
        &self,
        request: http::Request<BodyWrapper<bytes::Bytes>>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let exchange = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = body.collect().await;
            let body = body.to_bytes();
            let answer = exchange.carry(parts.method, &parts.uri.to_string(), parts.headers, body).await;
            let (parts, body) = answer.map_err(|error| instant_acme::Error::Other(Box::new(error)))?;
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
