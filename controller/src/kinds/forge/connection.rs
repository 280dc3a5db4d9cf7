//! From the name of a Forge to a forge that can be asked.

use std::sync::Arc;

use api_types::kind::{Kind as _, Object};
use api_types::kinds::forge::Forge;
use api_types::kinds::reference::ClusterSecretKeyReference;
use api_types::kinds::repository::Repository;
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::forge::{Account, ForgeAddress, ForgeToken, RepositoryName};
use serde_json::Value;

use crate::outside::Outside;
use crate::runtime::cache::Cache;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;

/// The resource of Secrets.
pub const SECRETS: &str = "secrets";

/// A forge that can be asked, and whose token it is asked with.
#[derive(Clone)]
pub struct Connection {
    /// The forge.
    pub forge: Arc<dyn ports::forge::Forge>,
    /// Whose token it is: what this account writes is our own.
    pub own_login: String,
}

/// A connection, and the repository that is meant.
#[derive(Clone)]
pub struct RepositoryConnection {
    /// The forge.
    pub connection: Connection,
    /// The repository's name there.
    pub repository: RepositoryName,
}

/// Returns the key of a Forge.
#[must_use]
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(&Forge::resource(), "", name)
}

fn secret_key(reference: &ClusterSecretKeyReference) -> ObjectKey {
    ObjectKey::new(SECRETS, &reference.namespace, &reference.name)
}

/// Returns where a Forge answers and with which token. The redactor knows the token from here on.
///
/// # Errors
/// `Blocked` on the Secret.
pub fn address(cache: &Cache, outside: &Outside, forge: &Object<Forge>) -> Result<ForgeAddress, Failure> {
    let reference = &forge.spec.token_secret_ref;
    let secret = secret_key(reference);
    let stored = cache.get(&secret);
    let token = match token(reference, stored.as_ref().map(|stored| &stored.value)) {
        Ok(token) => token,
        Err(message) => return Err(Failure::blocked(reason::SECRET_MISSING, message, vec![secret])),
    };
    outside.redactor.insert(&format!("forge/{}", forge.metadata.name), token.reveal().as_bytes());
    Ok(ForgeAddress { url: forge.spec.url.clone(), token })
}

/// Takes a token out of a Secret.
///
/// # Errors
/// It is not there; says what is to be created.
pub fn token(reference: &ClusterSecretKeyReference, secret: Option<&Value>) -> Result<ForgeToken, String> {
    let data = secret.and_then(|secret| secret["data"].as_object());
    let value = data.and_then(|data| match &reference.key {
        Some(key) => data.get(key),
        None if data.len() == 1 => data.values().next(),
        None => None,
    });
    let token =
        value.and_then(|value| STANDARD.decode(value.as_str()?).ok()).and_then(|bytes| String::from_utf8(bytes).ok());
    token.map(|token| ForgeToken::new(&token)).filter(|token| !token.reveal().is_empty()).ok_or_else(|| {
        let wanted = match &reference.key {
            Some(key) => format!("the key {key} of the Secret {}/{}", reference.namespace, reference.name),
            None => format!("the Secret {}/{} with a single key", reference.namespace, reference.name),
        };
        format!("the token is taken from {wanted}, which is not there or is empty: create it")
    })
}

/// Connects to the Forge of this name.
///
/// # Errors
/// `Blocked` on the Forge while it does not exist, is suspended, or has never told whose token it is.
pub fn connect(cache: &Cache, outside: &Outside, name: &str) -> Result<Connection, Failure> {
    let blocked = |message: String| Failure::blocked(reason::DEPENDENCY_NOT_READY, message, vec![key(name)]);
    let stored = cache.get(&key(name)).ok_or_else(|| blocked(format!("the Forge {name} does not exist: apply it")))?;
    let forge = Object::<Forge>::from_value(&stored.value).map_err(|error| Failure::bug(error.to_string()))?;
    if forge.spec.suspend {
        return Err(blocked(format!("the Forge {name} is suspended: set its spec.suspend to false")));
    }
    let own_login = forge.status.login.clone().ok_or_else(|| {
        blocked(format!("the Forge {name} has not said yet whose token it is: ccctl describe forge {name}"))
    })?;
    let address = address(cache, outside, &forge)?;
    Ok(Connection { forge: outside.forges.connect(&address)?, own_login })
}

/// Connects to the forge of a Repository.
///
/// # Errors
/// As [`connect`].
pub fn connect_repository(
    cache: &Cache,
    outside: &Outside,
    repository: &Object<Repository>,
) -> Result<RepositoryConnection, Failure> {
    let connection = connect(cache, outside, &repository.spec.forge_ref)?;
    let repository = RepositoryName::new(&repository.spec.owner, &repository.spec.name);
    Ok(RepositoryConnection { connection, repository })
}

/// Returns whether an account is our own.
#[must_use]
pub fn is_own(connection: &Connection, account: &Account) -> bool {
    account.login.eq_ignore_ascii_case(&connection.own_login)
}
