//! `ccctl why`: one chain of causes from an object down to what a person can act on, and the command to act with.
//!
//! Nothing here knows a kind. The chain follows what every object has: deletion, `spec.suspend`, conditions, failed
//! parts in its status, objects that its spec names (`…Ref`), objects that it owns, and its owners.

mod findings;
mod related;

use std::collections::HashSet;

use clap::Args;
use serde_json::Value;

use self::findings::Finding;
use crate::commands::events::last_seen;
use crate::error::{Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::text::{Colour, coloured, harmless};
use crate::reference::{self, ObjectReference};
use crate::session::Session;

/// Longest chain that is followed.
const DEPTH_MAX: usize = 6;
/// Warnings shown for the end of the chain.
const WARNINGS_MAX: usize = 3;

/// Say why an object is as it is
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl why testrun/nextcloud-pr12-3fa21c9-991\n  ccctl why app cloud")]
pub struct WhyArguments {
    /// TYPE/NAME or TYPE NAME
    #[arg(value_name = "TYPE/NAME", required = true)]
    pub words: Vec<String>,
}

/// One object of the chain.
#[derive(Clone, Debug)]
struct Link {
    reference: ObjectReference,
    /// How the chain came here: `because`, `its owner`, …
    relation: String,
    /// `None` when the object does not exist.
    object: Option<Value>,
    finding: Finding,
}

/// Runs the command.
///
/// # Errors
/// The object does not exist; the server refuses.
pub async fn run(session: &Session, arguments: WhyArguments) -> Result<Outcome> {
    let start = reference::single(session, &arguments.words, None).await?;
    let object = objects::fetch(session, &start).await?;
    let chain = follow(session, start, object).await?;
    let mut text = String::new();
    for (depth, link) in chain.iter().enumerate() {
        text += &link_text(session, link, depth);
    }
    let end = chain.last().expect("the chain begins with the object that was asked about");
    text += &warnings(session, end).await?;
    text += &format!("next: {}\n", coloured(&findings::next_command(end), Colour::Bold, session.stdout_colours()));
    session.print(&text)?;
    Ok(Outcome::Success)
}

/// Goes from object to object until nothing further down explains it.
async fn follow(session: &Session, start: ObjectReference, object: Value) -> Result<Vec<Link>> {
    let mut visited = HashSet::new();
    let finding = Finding::of(&object, session.now());
    let mut chain = vec![Link { reference: start, relation: String::new(), object: Some(object), finding }];
    while chain.len() < DEPTH_MAX {
        let link = chain.last().expect("the chain is never empty");
        let Some(object) = &link.object else { break };
        visited.insert(link.reference.path());
        if !link.finding.wants_explanation() {
            break;
        }
        match related::next(session, &link.reference, object, &visited).await? {
            Some(next) => chain.push(next),
            None => break,
        }
    }
    Ok(chain)
}

fn link_text(session: &Session, link: &Link, depth: usize) -> String {
    let colours = session.stdout_colours();
    let name = format!("{}/{}", link.reference.resource.kind, link.reference.name);
    let place = match (&link.reference.namespace, depth) {
        (Some(namespace), 0) => format!(" in {namespace}"),
        _ => String::new(),
    };
    let relation = if link.relation.is_empty() { String::new() } else { format!("{} ", link.relation) };
    let colour = link.finding.colour();
    let mut text =
        format!("{relation}{name}{place} {}\n", coloured(&harmless(&link.finding.headline), colour, colours));
    for detail in &link.finding.details {
        text += &format!("  {}\n", harmless(&detail.replace('\n', " ")));
    }
    text
}

/// Returns the latest warnings about the end of the chain.
async fn warnings(session: &Session, end: &Link) -> Result<String> {
    let Some(object) = &end.object else { return Ok(String::new()) };
    let events = objects::events_about(session, &end.reference, object).await?;
    let warnings = events.iter().filter(|event| fields::text(event, "type") == "Warning");
    let mut lines: Vec<String> = warnings
        .map(|event| {
            let message = harmless(&fields::text(event, "message").replace('\n', " "));
            format!("warning {}: {}: {message}\n", last_seen(event, session.now()), fields::text(event, "reason"))
        })
        .collect();
    // The message of the condition and that of its event are often one and the same.
    lines.retain(|line| end.finding.details.iter().all(|detail| detail.is_empty() || !line.contains(detail.as_str())));
    let skipped = lines.len().saturating_sub(WARNINGS_MAX);
    Ok(lines.split_off(skipped).concat())
}
