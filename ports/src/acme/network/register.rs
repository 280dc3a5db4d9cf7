//! Registers an account.
//!
//! The one call that is written here: `instant-acme` makes a key of its own when there is a contact or a binding, and a key
//! that is not on disk before the authority hears of it is an account that a kill loses.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method};
use instant_acme::Problem;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{AUTHORITY_UNREACHABLE, AccountKey, BAD_NONCE, Binding};
use super::exchange::Exchange;
use super::problem::of_problem;
use crate::error::Error;

/// How often a nonce that the authority has forgotten is fetched anew.
const ATTEMPTS: u32 = 5;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
}

pub(super) async fn register(
    exchange: &Exchange,
    directory: &str,
    key: &AccountKey,
    email: Option<&str>,
    binding: Option<&Binding>,
) -> Result<String, Error> {
    let (parts, body) = exchange.carry(Method::GET, directory, HeaderMap::new(), Bytes::new()).await?;
    let nonsense = |what: &str| {
        let message = format!("{directory} answers with status {} and {what}", parts.status.as_u16());
        Error::retryable(AUTHORITY_UNREACHABLE, message).not_before(exchange.heard().retry_after())
    };
    let urls: Directory = serde_json::from_slice(&body).map_err(|_| nonsense("no directory of ACME"))?;
    let mut payload = json!({"termsOfServiceAgreed": true});
    if let Some(email) = email {
        payload["contact"] = json!([format!("mailto:{email}")]);
    }
    if let Some(binding) = binding {
        payload["externalAccountBinding"] = bound(key, binding, &urls.new_account)?;
    }
    let mut last = Error::bug("InternalError", "nothing was asked");
    for _ in 0..ATTEMPTS {
        let (parts, _) = exchange.carry(Method::HEAD, &urls.new_nonce, HeaderMap::new(), Bytes::new()).await?;
        let nonce = parts.headers.get("replay-nonce").and_then(|nonce| nonce.to_str().ok());
        let nonce = nonce.ok_or_else(|| nonsense("no nonce"))?;
        let protected = json!({"alg": "ES256", "jwk": key.public()?, "nonce": nonce, "url": urls.new_account});
        let request = signed(&protected, &payload, |text| key.sign(text))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jose+json"));
        let request = Bytes::from(request.to_string());
        let (parts, body) = exchange.carry(Method::POST, &urls.new_account, headers, request).await?;
        if parts.status.is_success() {
            let url = parts.headers.get(LOCATION).and_then(|url| url.to_str().ok());
            return url.map(str::to_owned).ok_or_else(|| nonsense("an account without a URL"));
        }
        let problem: Problem = serde_json::from_slice(&body).map_err(|_| nonsense("what ACME does not say"))?;
        last = of_problem(&problem, &exchange.heard(), "register an account");
        if last.reason != BAD_NONCE {
            break;
        }
    }
    Err(last)
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(
    protected: &Value,
    payload: &Value,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Error>,
) -> Result<Value, Error> {
    let (protected, payload) = (encoded(protected), encoded(payload));
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    Ok(json!({"protected": protected, "payload": payload, "signature": URL_SAFE_NO_PAD.encode(signature)}))
}

fn bound(key: &AccountKey, binding: &Binding, url: &str) -> Result<Value, Error> {
    let protected = json!({"alg": "HS256", "kid": binding.key_id, "url": url});
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &binding.key);
    signed(&protected, &key.public()?, |text| Ok(hmac::sign(&secret, text).as_ref().to_vec()))
}
