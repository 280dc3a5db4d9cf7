//! The administrator's token and kubeconfig: made at the first start, renewed before they end.

use jiff::{SignedDuration, Timestamp};

use super::{DataDirError, DataPaths, kubeconfig};
use crate::authentication::MASTERS;
use crate::authentication::token_file::{self, NewToken, TokenError};
use crate::authentication::tokens::TokenTable;

/// How long an administrator's token lives; the kubeconfig gets a new one in time.
const LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// What is left of it when it is replaced. The old one works on, so copies elsewhere have this long to follow.
const RENEW: SignedDuration = SignedDuration::from_hours(60 * 24);
/// The user that the token stands for.
pub const ADMINISTRATOR: &str = "admin";

/// Why the kubeconfig could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AdministratorError {
    /// The token could not be made.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The kubeconfig could not be written.
    #[error(transparent)]
    File(#[from] DataDirError),
}

/// Writes the kubeconfig for this machine: `server`, its authorities, and a token that will last.
///
/// # Errors
/// When token or file cannot be written.
pub fn keep_kubeconfig(
    paths: &DataPaths,
    server: &str,
    authorities_pem: &str,
    now: Timestamp,
) -> Result<(), AdministratorError> {
    let path = paths.kubeconfig();
    let tokens = TokenTable::open(paths.tokens());
    let stored = kubeconfig::stored_token(&path).filter(|token| tokens.find(token, now + RENEW).is_some());
    let token = match stored {
        Some(token) => token,
        None => new_token(paths, now)?,
    };
    let entry = kubeconfig::Entry { server, authorities_pem, token: &token };
    kubeconfig::write(&path, &entry).map_err(|source| DataDirError::File {
        action: "write",
        path: path.clone(),
        source,
    })?;
    Ok(())
}

fn new_token(paths: &DataPaths, now: Timestamp) -> Result<String, TokenError> {
    let name = format!("admin-{}", now.strftime("%Y%m%d-%H%M%S"));
    let expires = Some(now + LIFE);
    let groups = vec![MASTERS.to_owned()];
    let mut new = NewToken { name: name.clone(), user: ADMINISTRATOR.to_owned(), groups, expires };
    for number in 2.. {
        match token_file::create(&paths.tokens(), &new, now) {
            // Two starts within a second: the name is only a label.
            Err(TokenError::Exists(_)) => new.name = format!("{name}-{number}"),
            other => return other,
        }
    }
    unreachable!("the loop has no end")
}
