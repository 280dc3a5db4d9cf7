//! `ccctl version`: of this program and of the server.

use clap::Args;
use serde_json::json;

use crate::client::request::ApiRequest;
use crate::error::{CommandError, Outcome, Result};
use crate::output::{json as json_output, yaml};
use crate::session::Session;

/// Print the version of ccctl and of the server
#[derive(Clone, Debug, Args)]
pub struct VersionArguments {
    /// Do not ask the server
    #[arg(long)]
    pub client: bool,
    /// json or yaml
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// The server does not answer; its version is not printed then, ccctl's is.
pub async fn run(session: &Session, arguments: VersionArguments) -> Result<Outcome> {
    let own = env!("CARGO_PKG_VERSION");
    let server = if arguments.client {
        Ok(None)
    } else {
        match session.client() {
            Ok(client) => client.json(ApiRequest::get("/version")).await.map(Some),
            Err(error) => Err(error),
        }
    };
    let shown = server.as_ref().ok().cloned().flatten();
    let all = match &shown {
        Some(server) => json!({"clientVersion": {"version": own}, "serverVersion": server}),
        None => json!({"clientVersion": {"version": own}}),
    };
    match arguments.output.as_deref() {
        Some("json") => session.print(&json_output::to_string(&all))?,
        Some("yaml") => session.print(&yaml::to_string(&all))?,
        Some(other) => {
            return Err(CommandError::user(format!("--output {other} is not available"))
                .hint("allowed formats are: json, yaml"));
        }
        None => {
            session.print(&format!("Client Version: {own}\n"))?;
            if let Some(server) = &shown {
                session.print(&format!("Server Version: {}\n", server["gitVersion"].as_str().unwrap_or("unknown")))?;
            }
        }
    }
    server.map(|_| Outcome::Success)
}
