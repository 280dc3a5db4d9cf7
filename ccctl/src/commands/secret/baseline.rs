//! What was found before and is meant to be there: a text file, one finding a line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Finding;
use crate::error::{CommandError, Result};

/// First lines of the file.
const HEAD: &str = "# What `ccctl secret scan` found here and what is meant to be here: fingerprint, rule, place.\n\
                    # A line is good for one value in one place; whatever else turns up is found.\n";

/// Findings that are no news.
#[derive(Debug, Default)]
pub(super) struct Baseline {
    known: BTreeSet<[String; 3]>,
}

impl Baseline {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or a line is none of ours.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            CommandError::user(format!("cannot read the baseline {shown}: {error}"))
                .hint(format!("make it with `ccctl secret scan --write-baseline {shown}`"))
        })?;
        let mut known = BTreeSet::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut parts = line.splitn(3, ' ').map(str::to_owned);
            let (Some(fingerprint), Some(rule), Some(place)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(CommandError::user(format!(
                    "the baseline {shown}, line {}: expected a fingerprint, a rule and a place",
                    number + 1
                )));
            };
            known.insert([fingerprint, rule, place]);
        }
        Ok(Self { known })
    }

    /// Whether a finding is no news.
    pub(super) fn knows(&self, finding: &Finding) -> bool {
        self.known.contains(&line_of(finding))
    }

    /// Writes findings as a file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write(path: &Path, findings: &[Finding]) -> Result<()> {
        let lines: BTreeSet<[String; 3]> = findings.iter().map(line_of).collect();
        let mut lines: Vec<[String; 3]> = lines.into_iter().collect();
        lines.sort_by(|one, other| (&one[2], &one[1]).cmp(&(&other[2], &other[1])));
        let text = lines.iter().fold(HEAD.to_owned(), |text, line| text + &line.join(" ") + "\n");
        fs::write(path, text)
            .map_err(|error| CommandError::user(format!("cannot write the baseline {}: {error}", path.display())))
    }
}

fn line_of(finding: &Finding) -> [String; 3] {
    // A name with a line break cannot make two lines of one.
    let place = finding.place.replace(['\n', '\r'], "\u{fffd}");
    [finding.fingerprint.clone(), finding.rule.to_owned(), place]
}
