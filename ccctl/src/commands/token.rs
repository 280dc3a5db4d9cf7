//! `ccctl token`: make, list and revoke tokens over the API.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::request::ApiRequest;
use crate::discovery::ResourceType;
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::output::table::Table;
use crate::output::text::age;
use crate::session::Session;

/// Make, list and revoke tokens
///
/// A token is printed once and nowhere kept. Tokens without an end are made on the server's machine, with `ccd token`.
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
        /// Name to know it by, or the service account that it stands for
        name: String,
        /// User that it stands for [default: the token's name]
        #[arg(long = "for", value_name = "USER", conflicts_with = "service_account")]
        stands_for: Option<String>,
        /// Group that the user is in; may be given several times
        #[arg(long = "group", value_name = "GROUP", conflicts_with = "service_account")]
        groups: Vec<String>,
        /// Make a token of the service account NAME of this namespace
        #[arg(long)]
        service_account: bool,
        /// How long the token works, such as 24h [default: 90 days; of a service account one hour]
        #[arg(long, value_name = "DURATION", value_parser = crate::arguments::parse_duration)]
        duration: Option<Duration>,
    },
    /// List tokens; their secrets are not kept and cannot be shown
    List,
    /// Revoke a token; it stops working at once
    Revoke {
        /// Name of the token
        name: String,
    },
}

/// Where named tokens are; other groups may have tokens of another sort.
const TOKENS: &str = "tokens.authentication.ci.coopcloud.tech";

/// Runs the command.
///
/// # Errors
/// The server does not make tokens through its API; it refuses.
pub async fn run(session: &Session, arguments: TokenArguments) -> Result<Outcome> {
    match arguments.action {
        TokenAction::Create { name, service_account: true, duration, .. } => {
            create_for_account(session, &name, duration).await
        }
        TokenAction::Create { name, stands_for, groups, duration, .. } => {
            create(session, &name, stands_for.as_deref(), &groups, duration).await
        }
        TokenAction::List => list(session).await,
        TokenAction::Revoke { name } => revoke(session, &name).await,
    }
}

async fn create(
    session: &Session,
    name: &str,
    user: Option<&str>,
    groups: &[String],
    duration: Option<Duration>,
) -> Result<Outcome> {
    let tokens = tokens(session, "make tokens", &format!("ccd token create {name}")).await?;
    let mut body = json!({
        "apiVersion": tokens.api_version(), "kind": tokens.kind, "metadata": {"name": name}, "spec": {"groups": groups},
    });
    if let Some(user) = user {
        body["spec"]["user"] = json!(user);
    }
    if let Some(duration) = duration {
        let end = jiff::SignedDuration::try_from(duration).ok().and_then(|life| session.now().checked_add(life).ok());
        let end = end.ok_or_else(|| CommandError::user("--duration: the token would end after the year 9999"))?;
        body["spec"]["expiresAt"] = json!(end.to_string());
    }
    let answer = session.client()?.json(ApiRequest::post(tokens.collection_path(None), &body)).await?;
    if let Some(end) = answer["spec"]["expiresAt"].as_str() {
        session.note(&format!("token {name} works until {end}; it is shown only now:"));
    }
    print_token(session, &answer)
}

async fn create_for_account(session: &Session, name: &str, duration: Option<Duration>) -> Result<Outcome> {
    let discovery = session.discovery().await?;
    let Some(accounts) = discovery.find("serviceaccounts").filter(|accounts| accounts.has_subresource("token")) else {
        return Err(elsewhere("make tokens of service accounts", &format!("ccd token create {name}")));
    };
    let mut body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    if let Some(duration) = duration {
        body["spec"]["expirationSeconds"] = json!(duration.as_secs());
    }
    let path = format!("{}/token", accounts.object_path(Some(&session.namespace()?), name));
    let answer = session.client()?.json(ApiRequest::post(path, &body)).await?;
    print_token(session, &answer)
}

fn print_token(session: &Session, answer: &Value) -> Result<Outcome> {
    let token = fields::text(&answer["status"], "token");
    if token.is_empty() && !session.shows_requests() {
        return Err(CommandError::server("the server answered without a token"));
    }
    session.print(&format!("{token}\n"))?;
    Ok(Outcome::Success)
}

async fn list(session: &Session) -> Result<Outcome> {
    let tokens = tokens(session, "list tokens", "ccd token list").await?;
    let answer = session.client()?.json(ApiRequest::get(tokens.collection_path(None))).await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows: Vec<Vec<String>> = crate::output::items(&answer)
        .iter()
        .map(|token| {
            let spec = &token["spec"];
            let groups: Vec<String> = spec["groups"].as_array().into_iter().flatten().map(text).collect();
            let expires = spec["expiresAt"].as_str().map_or("never".to_owned(), str::to_owned);
            let made = age(token["metadata"]["creationTimestamp"].as_str(), session.now());
            vec![text(&token["metadata"]["name"]), text(&spec["user"]), groups.join(","), expires, made]
        })
        .collect();
    if rows.is_empty() {
        session.note("there are no tokens; `ccctl token create NAME` makes one");
        return Ok(Outcome::Success);
    }
    let headings = ["NAME", "USER", "GROUPS", "EXPIRES", "AGE"].map(str::to_owned).to_vec();
    let style = session.table_style(false);
    session.print(&Table::new(headings, style).render(&rows))?;
    Ok(Outcome::Success)
}

async fn revoke(session: &Session, name: &str) -> Result<Outcome> {
    let tokens = tokens(session, "revoke tokens", &format!("ccd token revoke {name}")).await?;
    session.client()?.json(ApiRequest::delete(tokens.object_path(None, name), &json!({}))).await?;
    session.print(&format!("token {name} is revoked\n"))?;
    Ok(Outcome::Success)
}

async fn tokens(session: &Session, what: &str, command: &str) -> Result<ResourceType> {
    let discovery = session.discovery().await?;
    discovery.find(TOKENS).cloned().ok_or_else(|| elsewhere(what, command))
}

fn elsewhere(what: &str, command: &str) -> CommandError {
    CommandError::user(format!("this server does not {what} through its API"))
        .exit_with(1)
        .hint(format!("on the server's machine, as its user: `{command}`"))
}
