//! `ccctl watch`: the changes of objects, one line each; `get --watch` under a name of its own.

use clap::Args;

use super::get::{self, GetArguments};
use crate::error::{Outcome, Result};
use crate::session::Session;

/// Print changes as they happen
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl watch testruns -A\n  ccctl watch testrun/nextcloud-pr12-3fa21c9-991 -o jsonpath='{.status.phase}{\"\\n\"}'"
)]
pub struct WatchArguments {
    /// TYPE, TYPE NAME or TYPE/NAME
    #[arg(value_name = "TYPE/NAME", required = true)]
    pub words: Vec<String>,
    /// table, wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=SPEC
    #[arg(short, long, default_value = "", hide_default_value = true, value_name = "FORMAT")]
    pub output: String,
    /// Objects whose labels match
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Objects whose fields match
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Print changes only, not what is there now
    #[arg(long)]
    pub only: bool,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// What the server refuses, and what cannot be understood.
pub async fn run(session: &Session, arguments: WatchArguments) -> Result<Outcome> {
    let get = GetArguments {
        words: arguments.words,
        output: arguments.output,
        selector: arguments.selector,
        field_selector: arguments.field_selector,
        all_namespaces: arguments.all_namespaces,
        watch: true,
        watch_only: arguments.only,
        chunk_size: crate::objects::PAGE,
        ..GetArguments::default()
    };
    get::run(session, get).await
}
