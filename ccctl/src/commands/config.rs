//! `ccctl config`: the kubeconfig. Asks no server.

use clap::{Args, Subcommand};

use crate::config;
use crate::error::{CommandError, Outcome, Result};
use crate::output::table::Table;
use crate::output::{json, yaml};
use crate::session::Session;

/// Look at and change the kubeconfig
#[derive(Clone, Debug, Args)]
pub struct ConfigArguments {
    /// What to do
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What can be done with the kubeconfig.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// List contexts
    GetContexts {
        /// Only this one
        name: Option<String>,
        /// Leave the headings out
        #[arg(long)]
        no_headers: bool,
        /// name prints names only
        #[arg(short, long, value_name = "FORMAT", value_parser = ["name"])]
        output: Option<String>,
    },
    /// Print the current context
    CurrentContext,
    /// Make a context the current one
    #[command(visible_alias = "use")]
    UseContext {
        /// Its name
        name: String,
    },
    /// Set fields of a context; makes it when it is not there
    SetContext {
        /// Its name
        #[arg(required_unless_present = "current")]
        name: Option<String>,
        /// Change the current context
        #[arg(long, conflicts_with = "name")]
        current: bool,
    },
    /// Print the merged kubeconfig, without secrets
    View {
        /// Print secrets too
        #[arg(long)]
        raw: bool,
        /// json or yaml
        #[arg(short, long, value_name = "FORMAT", value_parser = ["json", "yaml"])]
        output: Option<String>,
    },
}

/// Runs the command.
///
/// # Errors
/// A file cannot be read or written; there is no such context.
pub fn run(session: &Session, arguments: ConfigArguments) -> Result<Outcome> {
    match arguments.action {
        ConfigAction::GetContexts { name, no_headers, output } => {
            contexts(session, name.as_deref(), no_headers, output.is_some())
        }
        ConfigAction::CurrentContext => current(session).and_then(|name| {
            session.print(&format!("{name}\n"))?;
            Ok(Outcome::Success)
        }),
        ConfigAction::UseContext { name } => {
            session.kubeconfig()?.use_context(&name)?;
            session.print(&format!("Switched to context \"{name}\".\n"))?;
            Ok(Outcome::Success)
        }
        ConfigAction::SetContext { name, current: of_current } => {
            let name = if of_current { current(session)? } else { name.unwrap_or_default() };
            set_context(session, &name)
        }
        ConfigAction::View { raw, output } => {
            let view = config::view(session.kubeconfig()?, raw);
            let text = if output.as_deref() == Some("json") { json::to_string(&view) } else { yaml::to_string(&view) };
            session.print(&text)?;
            Ok(Outcome::Success)
        }
    }
}

fn current(session: &Session) -> Result<String> {
    let config = session.kubeconfig()?;
    match session.global.context.as_ref().unwrap_or(&config.current_context) {
        name if name.is_empty() => {
            Err(CommandError::config("current-context is not set")
                .hint("choose one with `ccctl config use-context NAME`"))
        }
        name => Ok(name.clone()),
    }
}

fn set_context(session: &Session, name: &str) -> Result<Outcome> {
    let global = &session.global;
    let fields = [
        ("cluster", global.cluster.as_deref()),
        ("user", global.user.as_deref()),
        ("namespace", global.namespace.as_deref()),
    ];
    if fields.iter().all(|(_, value)| value.is_none()) {
        return Err(CommandError::user("nothing to set").hint("give at least one of --namespace, --cluster and --user"));
    }
    let existed = session.kubeconfig()?.set_context(name, &fields)?;
    session.print(&format!("Context \"{name}\" {}.\n", if existed { "modified" } else { "created" }))?;
    Ok(Outcome::Success)
}

fn contexts(session: &Session, only: Option<&str>, without_headings: bool, names_only: bool) -> Result<Outcome> {
    let config = session.kubeconfig()?;
    let chosen: Vec<_> = config.contexts.iter().filter(|(name, _)| only.is_none_or(|only| only == name)).collect();
    if let (Some(only), true) = (only, chosen.is_empty()) {
        return Err(CommandError::user(format!("context {only} not found"))
            .hint("see the contexts there are with `ccctl config get-contexts`"));
    }
    if chosen.is_empty() {
        session.note("No contexts found");
        return Ok(Outcome::Success);
    }
    if names_only {
        session.print(&chosen.iter().map(|(name, _)| format!("{name}\n")).collect::<String>())?;
        return Ok(Outcome::Success);
    }
    let rows: Vec<Vec<String>> = chosen
        .into_iter()
        .map(|(name, context)| {
            let mark = if *name == config.current_context { "*" } else { "" };
            vec![
                mark.to_owned(),
                name.clone(),
                context.cluster.clone(),
                context.user.clone(),
                context.namespace.clone(),
            ]
        })
        .collect();
    let headings = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec();
    let style = session.table_style(without_headings);
    session.print(&Table::new(headings, style).render(&rows))?;
    Ok(Outcome::Success)
}
