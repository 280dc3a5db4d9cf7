//! Who a browser is: a cookie that only this server can make or read, and tokens against forged forms.
//!
//! The cookie holds the bearer token with which somebody signed in, sealed with AES-256-GCM under a key in the data
//! directory. Nothing is kept on the server: a restart signs nobody out, and revoking the token ends its sessions. A
//! form carries a token that is bound to the cookie, so that no other site can send it.

use std::io;
use std::path::Path;

use apiserver::data_dir::write_private_file;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::COOKIE;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Name of the session's cookie.
pub const COOKIE_NAME: &str = "ccd_session";
/// Name of the cookie that binds the sign-in form to the browser that asked for it.
pub const SIGN_IN_COOKIE_NAME: &str = "ccd_sign_in";
/// How long a session lasts.
pub const SESSION_HOURS: i64 = 7 * 24;
const KEY_BYTES: usize = 32;
/// Longer cookies are not ours.
const COOKIE_BYTES_MAX: usize = 4096;
/// What is sealed, so that a text sealed for one purpose is none for another.
const PURPOSE: &[u8] = b"ccd web session 1";

/// The key under which sessions are sealed.
pub struct SessionKey {
    seal: RandomizedNonceKey,
    sign: hmac::Key,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// The bearer token of whoever signed in.
    pub token: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Sets it apart from every other session.
    pub id: String,
}

impl Session {
    /// Returns a session that begins now.
    #[must_use]
    pub fn begin(token: &str, now: Timestamp) -> Self {
        let expires = now.saturating_add(SignedDuration::from_hours(SESSION_HOURS)).unwrap_or(now);
        Self { token: token.to_owned(), expires, id: uuid::Uuid::new_v4().to_string() }
    }
}

impl SessionKey {
    /// Reads the key at `path`, or makes it: a file that only its owner may read.
    ///
    /// # Errors
    /// What the system says; a file of another length is `InvalidData`.
    pub fn open(path: &Path) -> io::Result<Self> {
        match std::fs::read(path) {
            Ok(bytes) => Self::of(&bytes)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the file holds no key; delete it")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bytes = random()?;
                write_private_file(path, &bytes)?;
                Self::of(&bytes).ok_or_else(|| io::Error::other("the key was not taken"))
            }
            Err(error) => Err(error),
        }
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let seal = hmac::sign(&master, b"seal");
        let sign = hmac::sign(&master, b"sign");
        (bytes.len() == KEY_BYTES).then_some(())?;
        Some(Self {
            seal: RandomizedNonceKey::new(&AES_256_GCM, seal.as_ref()).ok()?,
            sign: hmac::Key::new(hmac::HMAC_SHA256, sign.as_ref()),
        })
    }

    /// Returns the cookie's value.
    #[must_use]
    pub fn seal(&self, session: &Session) -> String {
        let mut text = serde_json::to_vec(session).expect("a session always serialises");
        let nonce = self
            .seal
            .seal_in_place_append_tag(Aad::from(PURPOSE), &mut text)
            .expect("the operating system always has randomness once it has started");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend(text);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Returns the session that a request's cookie holds, when this server made it and it has not ended.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        let value = cookie(headers, COOKIE_NAME)?;
        if value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let mut text = sealed.split_off(sealed.len().min(NONCE_LEN));
        let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
        let opened = self.seal.open_in_place(nonce, Aad::from(PURPOSE), &mut text).ok()?;
        let session: Session = serde_json::from_slice(opened).ok()?;
        (session.expires > now).then_some(session)
    }

    /// Returns the token that forms carry: it is bound to what sets the browser apart.
    #[must_use]
    pub fn form_token(&self, browser: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.sign, browser.as_bytes()))
    }

    /// Returns whether a form carries the token that this browser was given.
    #[must_use]
    pub fn is_form_token(&self, browser: &str, token: &str) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        hmac::verify(&self.sign, browser.as_bytes(), &bytes).is_ok()
    }
}

/// Returns the value of a cookie.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';')).find_map(
        |pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        },
    )
}

/// Returns a `Set-Cookie` header's value; an empty `value` takes the cookie away.
#[must_use]
pub fn set_cookie(name: &str, value: &str, is_encrypted: bool, seconds: i64) -> String {
    let secure = if is_encrypted { "; Secure" } else { "" };
    let age = if value.is_empty() { 0 } else { seconds };
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={age}{secure}")
}

fn random() -> io::Result<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("the operating system has no randomness"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SessionKey {
        SessionKey::of(&[7; KEY_BYTES]).unwrap()
    }

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("other=1; {COOKIE_NAME}={value}; last=2").parse().unwrap());
        headers
    }

    #[test]
    fn a_session_comes_back_until_it_ends() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let session = Session::begin("ccd_0_secret", now);
        let sealed = key().seal(&session);
        assert!(!sealed.contains("secret"));
        assert_eq!(key().read(&headers(&sealed), now), Some(session.clone()));
        assert_eq!(key().read(&headers(&sealed), session.expires), None);
    }

    #[test]
    fn a_cookie_that_somebody_else_made_is_none() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let sealed = key().seal(&Session::begin("ccd_0_secret", now));
        let other = SessionKey::of(&[8; KEY_BYTES]).unwrap();
        assert_eq!(other.read(&headers(&sealed), now), None);
        let mut bent = sealed.clone();
        let other_letter = if &bent[20..21] == "A" { "B" } else { "A" };
        bent.replace_range(20..21, other_letter);
        for value in [bent.as_str(), "", "AAAA", "%%%"] {
            assert_eq!(key().read(&headers(value), now), None, "{value}");
        }
    }

    #[test]
    fn a_form_token_is_good_for_its_own_browser_alone() {
        let key = key();
        let token = key.form_token("one");
        assert!(key.is_form_token("one", &token));
        assert!(!key.is_form_token("two", &token));
        assert!(!key.is_form_token("one", "AAAA"));
    }

    #[test]
    fn the_key_is_made_once_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.key");
        let token = SessionKey::open(&path).unwrap().form_token("one");
        assert_eq!(SessionKey::open(&path).unwrap().form_token("one"), token);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        assert!(SessionKey::open(&path).is_err());
    }
}
