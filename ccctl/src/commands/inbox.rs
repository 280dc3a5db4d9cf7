//! `ccctl inbox`: every event that was seen on forges, and what was decided about it.

use clap::Args;
use serde_json::{Value, json};

use crate::error::{Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::table::Table;
use crate::output::{self, Format, text};
use crate::session::Session;

/// Print what was seen on forges and what was decided about it, oldest first
///
/// Each repository remembers its last twenty events on which something was done, and as many on which nothing was.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl inbox\n  ccctl inbox wordpress\n  ccctl inbox -A -o json")]
pub struct InboxArguments {
    /// Only those of these repositories
    #[arg(value_name = "REPOSITORY")]
    pub repositories: Vec<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Leave the headings out
    #[arg(long)]
    pub no_headers: bool,
    /// table, yaml, json or jsonpath=…
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "FORMAT")]
    pub output: String,
}

/// Runs the command.
///
/// # Errors
/// What the server refuses, and what cannot be understood.
pub async fn run(session: &Session, arguments: InboxArguments) -> Result<Outcome> {
    let format = Format::parse(&arguments.output)?;
    let resource = session.resource_type("repositories").await?;
    let namespace = if arguments.all_namespaces { None } else { Some(session.namespace()?) };
    let repositories = objects::list(session, &resource, namespace.as_deref()).await?;
    let wanted = |repository: &&Value| {
        arguments.repositories.is_empty() || arguments.repositories.iter().any(|name| name == fields::name(repository))
    };
    let mut events: Vec<Value> = repositories.iter().filter(wanted).flat_map(events).collect();
    events.sort_by_key(|event| (fields::text(event, "at").to_owned(), event["commentId"].as_i64().unwrap_or_default()));
    if events.is_empty() && format.is_table() {
        let place = namespace.map(|namespace| format!(" in {namespace} namespace")).unwrap_or_default();
        session.note(&format!("Nothing was seen{place}."));
        return Ok(Outcome::Success);
    }
    if !format.is_table() {
        let name = |event: &Value| match event["commentId"].as_i64() {
            Some(comment) => format!("event/{comment}"),
            None => format!("event/{} {}", fields::text(event, "on"), fields::text(event, "subject")),
        };
        session.print(&output::render(&format, &output::list_of(events), &name))?;
        return Ok(Outcome::Success);
    }
    let style = session.table_style(arguments.no_headers);
    let mut headings = Vec::new();
    if arguments.all_namespaces {
        headings.push("NAMESPACE");
    }
    headings.extend(["SEEN", "REPOSITORY", "EVENT", "PR", "AUTHOR", "DECISION", "REASON", "MESSAGE"]);
    let mut table = Table::new(headings.into_iter().map(str::to_owned).collect(), style);
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let mut row = Vec::new();
            if arguments.all_namespaces {
                row.push(fields::text(event, "namespace").to_owned());
            }
            row.extend([
                text::age(event["at"].as_str(), session.now()),
                fields::text(event, "repository").to_owned(),
                format!("{} {}", fields::text(event, "on"), fields::text(event, "subject")).trim_end().to_owned(),
                event["pullRequest"].as_i64().map_or_else(|| "-".to_owned(), |number| number.to_string()),
                event["author"].as_str().unwrap_or("-").to_owned(),
                fields::text(event, "decision").to_owned(),
                fields::text(event, "reason").to_owned(),
                fields::text(event, "message").to_owned(),
            ]);
            row
        })
        .collect();
    session.print_table(&mut table, &rows)?;
    Ok(Outcome::Success)
}

/// Returns the events that a Repository remembers, each with where it was and what was decided.
fn events(repository: &Value) -> Vec<Value> {
    let lists = [("handled", "done"), ("ignored", "ignored")];
    let of = |(member, decision): (&str, &str)| {
        let listed = repository["status"][member].as_array().cloned().unwrap_or_default();
        let decision = decision.to_owned();
        listed.into_iter().map(move |event| (event, decision.clone()))
    };
    let listed = lists.into_iter().flat_map(of);
    listed
        .map(|(mut event, decision)| {
            event["repository"] = json!(fields::name(repository));
            event["namespace"] = json!(fields::namespace(repository).unwrap_or_default());
            let rejected = event["reason"] == "NotAuthorized";
            event["decision"] = json!(if rejected { "refused" } else { decision.as_str() });
            event
        })
        .collect()
}
