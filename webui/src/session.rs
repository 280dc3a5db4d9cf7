//! Who a browser is: a cookie that only this server can make or read, and tokens against forged forms.
//!
//! The cookie holds the bearer token with which somebody signed in, or who they are on a forge, sealed with AES-256-GCM
//! under a key in the data directory. Nothing is kept on the server: a restart signs nobody out, and revoking the token
//! ends its sessions. What a forge said of somebody is believed for an hour; then the forge is asked again. A form
//! carries a token that is bound to the cookie, so that no other site can send it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use apiserver::authentication::{Credential, User};
use apiserver::data_dir::write_private_file;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::COOKIE;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Name of the session's cookie.
pub const COOKIE_NAME: &str = "ccd_session";
/// Name of the cookie that binds the sign-in form to the browser that asked for it.
pub const SIGN_IN_COOKIE_NAME: &str = "ccd_sign_in";
/// Name of the cookie that a browser keeps while its owner is at a forge.
pub const JOURNEY_COOKIE_NAME: &str = "ccd_journey";
/// How long a session lasts that began with a token.
pub const SESSION_HOURS: i64 = 7 * 24;
/// How long a session lasts that began at a forge: whoever leaves an organisation there is noticed by then.
pub const FORGE_SESSION_MINUTES: i64 = 60;
const KEY_BYTES: usize = 32;
/// Longer cookies are not ours.
const COOKIE_BYTES_MAX: usize = 4096;
/// What is sealed, so that a text sealed for one purpose is none for another.
const PURPOSE: &[u8] = b"ccd web session 2";
const JOURNEY_PURPOSE: &[u8] = b"ccd web journey 1";

/// The key under which sessions are sealed.
pub struct SessionKey {
    seal: RandomizedNonceKey,
    sign: hmac::Key,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Session {
    /// What somebody signed in with.
    pub proof: Proof,
    /// When it ends.
    pub expires: Timestamp,
    /// Sets it apart from every other session.
    pub id: String,
}

/// What somebody signed in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// A bearer token.
    Token(String),
    /// An account of a forge.
    Forge(ForgeAccount),
}

/// Who somebody is on a forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForgeAccount {
    /// Name of the Forge.
    pub forge: String,
    /// Which Forge of that name.
    pub forge_uid: String,
    /// Number of the account.
    pub id: i64,
    /// Name of the account, in small letters.
    pub login: String,
    /// Groups that the account's organisations and teams are here.
    pub groups: Vec<String>,
}

impl ForgeAccount {
    /// Returns the name that bindings and the audit log know.
    #[must_use]
    pub fn user_name(&self) -> String {
        format!("forge:{}:{}", self.forge, self.login)
    }

    /// Returns the user that the account is until `expires`.
    #[must_use]
    pub fn user(&self, expires: Timestamp) -> Arc<User> {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let user = User::named(&self.user_name(), &groups, Credential::Session { expires });
        Arc::new(User { uid: format!("forge:{}:{}", self.forge_uid, self.id), ..user })
    }
}

/// What is remembered of a browser whose owner is at a forge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Journey {
    /// Name of the Forge.
    pub forge: String,
    /// Which Forge of that name.
    pub forge_uid: String,
    /// What the browser must bring back.
    pub state: String,
    /// What the forge must be told.
    pub verifier: String,
    /// Where the browser was going.
    pub next: String,
    /// When it must be back.
    pub expires: Timestamp,
}

impl Session {
    /// Returns a session that begins now.
    #[must_use]
    pub fn begin(token: &str, now: Timestamp) -> Self {
        let expires = now.saturating_add(SignedDuration::from_hours(SESSION_HOURS)).unwrap_or(now);
        Self { proof: Proof::Token(token.to_owned()), expires, id: uuid::Uuid::new_v4().to_string() }
    }

    /// Returns a session of a forge's account that begins now.
    #[must_use]
    pub fn of_forge(account: ForgeAccount, now: Timestamp) -> Self {
        let expires = now.saturating_add(SignedDuration::from_mins(FORGE_SESSION_MINUTES)).unwrap_or(now);
        Self { proof: Proof::Forge(account), expires, id: uuid::Uuid::new_v4().to_string() }
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
        self.sealed(PURPOSE, session)
    }

    /// Returns the value of the cookie that a browser takes along to a forge.
    #[must_use]
    pub fn seal_journey(&self, journey: &Journey) -> String {
        self.sealed(JOURNEY_PURPOSE, journey)
    }

    /// Returns what [`seal_journey`](Self::seal_journey) sealed.
    #[must_use]
    pub fn open_journey(&self, value: &str) -> Option<Journey> {
        self.opened(JOURNEY_PURPOSE, value)
    }

    fn sealed<T: Serialize>(&self, purpose: &[u8], value: &T) -> String {
        let mut text = serde_json::to_vec(value).expect("text and times always serialise");
        let nonce = self
            .seal
            .seal_in_place_append_tag(Aad::from(purpose), &mut text)
            .expect("the operating system always has randomness once it has started");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.extend(text);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Returns the session that a request's cookie holds, when this server made it and it has not ended.
    #[must_use]
    pub fn read(&self, headers: &HeaderMap, now: Timestamp) -> Option<Session> {
        self.remembered(headers).filter(|session| session.expires > now)
    }

    /// Returns the session that a request's cookie holds, also one that has ended.
    #[must_use]
    pub fn remembered(&self, headers: &HeaderMap) -> Option<Session> {
        self.opened(PURPOSE, cookie(headers, COOKIE_NAME)?)
    }

    fn opened<T: DeserializeOwned>(&self, purpose: &[u8], value: &str) -> Option<T> {
        if value.len() > COOKIE_BYTES_MAX {
            return None;
        }
        let mut sealed = URL_SAFE_NO_PAD.decode(value).ok()?;
        let mut text = sealed.split_off(sealed.len().min(NONCE_LEN));
        let nonce = Nonce::try_assume_unique_for_key(&sealed).ok()?;
        let opened = self.seal.open_in_place(nonce, Aad::from(purpose), &mut text).ok()?;
        serde_json::from_slice(opened).ok()
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

/// Returns 256 random bits as text; `None` when the operating system has none.
pub(crate) fn random_text() -> Option<String> {
    random().ok().map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
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
    fn what_is_sealed_for_one_purpose_is_none_for_another() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let sealed = key().seal(&Session::begin("ccd_0_secret", now));
        assert_eq!(key().open_journey(&sealed), None);
        let text = || "x".repeat(43);
        let journey = Journey {
            forge: "home".to_owned(),
            forge_uid: "u".to_owned(),
            state: text(),
            verifier: text(),
            next: "/".to_owned(),
            expires: now,
        };
        let sealed = key().seal_journey(&journey);
        assert_eq!(key().remembered(&headers(&sealed)), None);
        assert_eq!(key().open_journey(&sealed), Some(journey));
    }

    #[test]
    fn the_session_of_an_account_in_many_groups_fits_into_a_cookie() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let groups = (0..32).map(|at| format!("forge:home:an-organisation-{at:02}/its-maintainers")).collect();
        let account = ForgeAccount {
            forge: "home".to_owned(),
            forge_uid: uuid::Uuid::nil().to_string(),
            id: 7,
            login: "ada".to_owned(),
            groups,
        };
        let session = Session::of_forge(account, now);
        let sealed = key().seal(&session);
        assert!(sealed.len() < 3900, "{}", sealed.len());
        assert_eq!(key().read(&headers(&sealed), now), Some(session.clone()));
        assert_eq!(key().read(&headers(&sealed), session.expires), None);
        assert_eq!(key().remembered(&headers(&sealed)), Some(session));
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
