//! `ccctl token`: tokens through the API where the server makes them there, else the command for the server's machine.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::client::request::ApiRequest;
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::session::Session;

/// Make, list and revoke tokens
///
/// Tokens of service accounts are made through the API when the server offers that. All others are made on the
/// server's machine with `ccd token`.
#[derive(Clone, Debug, Args)]
pub struct TokenArguments {
    /// What to do
    #[command(subcommand)]
    pub action: TokenAction,
}

/// What can be done with tokens.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenAction {
    /// Make a token and print it, once
    Create {
        /// Service account that the token stands for
        name: String,
        /// How long the token lasts, such as 24h
        #[arg(long, value_name = "DURATION", value_parser = crate::arguments::parse_duration)]
        duration: Option<Duration>,
    },
    /// List tokens
    List,
    /// Revoke a token
    Revoke {
        /// Name of the token
        name: String,
    },
}

/// Runs the command.
///
/// # Errors
/// The server does not make tokens through its API; it refuses.
pub async fn run(session: &Session, arguments: TokenArguments) -> Result<Outcome> {
    match arguments.action {
        TokenAction::Create { name, duration } => create(session, &name, duration).await,
        TokenAction::List => Err(elsewhere("list tokens", "ccd token list")),
        TokenAction::Revoke { name } => Err(elsewhere("revoke tokens", &format!("ccd token revoke {name}"))),
    }
}

async fn create(session: &Session, name: &str, duration: Option<Duration>) -> Result<Outcome> {
    let discovery = session.discovery().await?;
    let Some(accounts) = discovery.find("serviceaccounts").filter(|accounts| accounts.has_subresource("token")) else {
        return Err(elsewhere("make tokens", &format!("ccd token create {name}")));
    };
    let mut body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    if let Some(duration) = duration {
        body["spec"]["expirationSeconds"] = json!(duration.as_secs());
    }
    let path = format!("{}/token", accounts.object_path(Some(&session.namespace()?), name));
    let answer = session.client()?.json(ApiRequest::post(path, &body)).await?;
    let token = fields::text(&answer["status"], "token");
    if token.is_empty() && !session.shows_requests() {
        return Err(CommandError::server("the server answered without a token"));
    }
    session.print(&format!("{token}\n"))?;
    Ok(Outcome::Success)
}

fn elsewhere(what: &str, command: &str) -> CommandError {
    CommandError::user(format!("this server does not {what} through its API"))
        .exit_with(1)
        .hint(format!("on the server's machine, as its user: `{command}`"))
}
