//! `ccd version`

use std::io::Write;

use crate::commands::Outcome;

/// Arguments of `ccd version`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    let version = env!("CARGO_PKG_VERSION");
    if arguments.json {
        writeln!(output, "{}", serde_json::json!({"program": "ccd", "version": version}))?;
    } else {
        writeln!(output, "ccd {version}")?;
    }
    Ok(Outcome::Well)
}
