//! `ccd check`: everything that the daemon needs, one line each, with what to do about it.

mod authorities;
mod forges;
mod probes;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;

use super::{DataDirArgument, table};
use crate::commands::Outcome;
use crate::environment::Environment;

/// Arguments of `ccd check`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Configuration file [default: DIR/config.toml when it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Read the whole store, too, and compare every checksum; ccd must not run meanwhile
    #[arg(long)]
    pub(crate) store: bool,
    #[command(flatten)]
    pub(crate) data_dir: DataDirArgument,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Verdict {
    /// Nothing to do.
    Ok,
    /// The daemon runs, but something will not work or will not last.
    Warn,
    /// The daemon does not run like this.
    Fail,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Finding {
    pub(crate) check: &'static str,
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) detail: String,
    /// What to do; empty when nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into(), fix: String::new() }
    }

    pub(crate) fn warn(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warn, detail: detail.into(), fix: fix.into() }
    }

    pub(crate) fn fail(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Fail, detail: detail.into(), fix: fix.into() }
    }
}

pub(crate) fn run(arguments: &Arguments, environment: &Environment, output: &mut dyn Write) -> anyhow::Result<Outcome> {
    let findings = probes::all(arguments, environment);
    if arguments.json {
        writeln!(output, "{}", serde_json::to_string_pretty(&findings)?)?;
    } else {
        let rows: Vec<Vec<String>> = findings
            .iter()
            .map(|finding| {
                let verdict = format!("{:?}", finding.verdict).to_uppercase();
                // Messages of libraries may be several lines; a table has one.
                let detail = finding.detail.split_whitespace().collect::<Vec<_>>().join(" ");
                vec![finding.check.to_owned(), verdict, detail, finding.fix.clone()]
            })
            .collect();
        table::write(output, &["CHECK", "RESULT", "FOUND", "FIX"], &rows)?;
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Outcome::Trouble } else { Outcome::Well })
}
