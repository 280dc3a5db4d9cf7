//! `ccctl secret scan`: finds what looks like a secret in files and in objects, and never prints one. `ccctl secret rotate`
//! asks for another value.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use clap::{Args, Subcommand, ValueEnum};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::table::Table;
use crate::session::Session;

use self::baseline::Baseline;
use self::known::Known;
use self::rules::Match;
use self::walk::Files;

mod baseline;
mod known;
mod rotate;
mod rules;
#[cfg(test)]
mod tests;
mod walk;

/// Zeros near the beginning of a file make it one that is not text, in bytes.
const TEXT_BYTES: usize = 8 << 10;
/// Digits of a fingerprint: enough to tell values apart, too few to prove a guess.
const FINGERPRINT_DIGITS: usize = 8;
/// Resource types that are not looked into: Secrets hold secrets, and Events and Leases say again what others say.
const EXCEPT: [&str; 3] = ["secrets", "events", "leases"];

/// Find secrets where they do not belong, and replace those of apps
#[derive(Clone, Debug, Args)]
pub struct SecretArguments {
    /// What to do
    #[command(subcommand)]
    pub action: SecretAction,
}

/// What can be done about secrets.
#[derive(Clone, Debug, Subcommand)]
pub enum SecretAction {
    /// Find what looks like a secret in files or objects
    ///
    /// Finds private keys, age identities, tokens of forges, registries and caches, passwords in addresses, and random
    /// values next to names such as "password". In a git work tree it looks at what is tracked or would be added; anywhere
    /// else at every file. Values are never printed. Exits with 1 when something was found.
    ///
    /// What is meant to be there: write `ccctl:allow-secret` and a reason into the line or the line above, or keep a
    /// baseline. Files that sops encrypted are fine as they are.
    #[command(
        after_help = "Examples:\n  ccctl secret scan\n  ccctl secret scan deploy/ .env\n  ccctl secret scan --baseline .secrets-baseline          in CI: only what is new\n  ccctl secret scan --write-baseline .secrets-baseline\n  ccctl secret scan --known -A                            values of Secrets of the server, copied into files\n  ccctl secret scan --objects -A                          secrets in objects that are no Secrets"
    )]
    Scan(ScanArguments),
    /// Give an app other values for secrets that were generated
    ///
    /// A new value is made under the next version, and the services that use it are updated. The old one goes once the app
    /// is ready; when it does not get ready, it keeps the old one. What the app wrote with the old value (a password in a
    /// database, say) is not changed by this: see the recipe.
    #[command(
        after_help = "Examples:\n  ccctl secret rotate app/drone rpc_secret\n  ccctl secret rotate drone --all --dry-run=server"
    )]
    Rotate(rotate::RotateArguments),
}

/// What to look at.
#[derive(Clone, Debug, Default, Args)]
pub struct ScanArguments {
    /// Files and folders [default: this folder]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Look into the server's objects instead of files
    #[arg(long, conflicts_with = "paths")]
    pub objects: bool,
    /// Look for the values of the Secrets that you may read as well, also encoded
    #[arg(long)]
    pub known: bool,
    /// In every namespace; with --objects or --known
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// File with findings that are meant to be there
    #[arg(long, value_name = "FILE", conflicts_with = "write_baseline")]
    pub baseline: Option<PathBuf>,
    /// Write everything that is found to a file for --baseline
    #[arg(long, value_name = "FILE")]
    pub write_baseline: Option<PathBuf>,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value_t = ScanOutput::Table)]
    pub output: ScanOutput,
}

/// How findings are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScanOutput {
    /// A table
    #[default]
    Table,
    /// A JSON list
    Json,
    /// Only where they are
    Name,
}

/// Something that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// File, or object and field.
    place: String,
    /// Line and column from 1; none in objects and in files that are not text.
    at: Option<(usize, usize)>,
    rule: &'static str,
    what: String,
    /// Follows from the value, and tells next to nothing about it.
    fingerprint: String,
}

impl Finding {
    fn location(&self) -> String {
        match self.at {
            Some((line, column)) => format!("{}:{line}:{column}", self.place),
            None => self.place.clone(),
        }
    }
}

/// Runs the command; exits with 1 when something was found.
///
/// # Errors
/// A path, the baseline or an object cannot be read: nobody is told that there are no secrets where nobody looked.
pub async fn run(session: &Session, arguments: SecretArguments) -> Result<Outcome> {
    let arguments = match arguments.action {
        SecretAction::Scan(arguments) => arguments,
        SecretAction::Rotate(arguments) => return rotate::run(session, arguments).await,
    };
    let baseline = arguments.baseline.as_deref().map(Baseline::read).transpose()?.unwrap_or_default();
    let known = if arguments.known { known_values(session, arguments.all_namespaces).await? } else { Known::default() };
    let mut findings = if arguments.objects {
        scan_objects(session, arguments.all_namespaces, &known).await?
    } else {
        scan_files(session, &arguments, &known)?
    };
    if session.shows_requests() {
        return Ok(Outcome::Success);
    }
    if let Some(path) = &arguments.write_baseline {
        Baseline::write(path, &findings)?;
        session.note(&format!(
            "{} written to {}: read through them, and use --baseline from now on",
            counted(findings.len(), "finding"),
            path.display()
        ));
        return Ok(Outcome::Success);
    }
    let before = findings.len();
    findings.retain(|finding| !baseline.knows(finding));
    print(session, arguments.output, &findings)?;
    if before > findings.len() {
        session.note(&format!("not shown: {} of the baseline", counted(before - findings.len(), "finding")));
    }
    if !findings.is_empty() {
        session.note(
            "whoever has seen one of these can use it: take it out and replace it where it is valid. Those that are meant to \
             be there: write `ccctl:allow-secret` and why into the line, or keep a baseline with --write-baseline",
        );
    }
    Ok(Outcome::from_yes(findings.is_empty()))
}

async fn known_values(session: &Session, everywhere: bool) -> Result<Known> {
    let resource = session.resource_type("secrets").await?;
    let namespace = if everywhere { None } else { Some(session.namespace()?) };
    let secrets = objects::list(session, &resource, namespace.as_deref()).await?;
    let known = Known::of(&secrets)?;
    session.note(&format!("looking for {} of Secrets", counted(known.count, "value")));
    Ok(known)
}

fn scan_files(session: &Session, arguments: &ScanArguments, known: &Known) -> Result<Vec<Finding>> {
    let mut files = Files::default();
    if arguments.paths.is_empty() {
        files.add(Path::new("."));
    }
    for path in &arguments.paths {
        files.add(path);
    }
    let mut findings = Vec::new();
    for path in &files.paths {
        let place = path.display().to_string();
        match walk::read(path) {
            Ok((bytes, is_whole)) => {
                findings.extend(scan_bytes(&place, &bytes, known));
                if !is_whole {
                    session.note(&format!("{place}: only its first {} MiB were looked at", walk::FILE_BYTES_MAX >> 20));
                }
            }
            Err(error) => files.unread.push(format!("{place}: {error}")),
        }
    }
    if files.is_cut {
        files.unread.push(format!("there are more than {} files: name fewer folders", walk::FILES_MAX));
    }
    match files.unread.as_slice() {
        [] => Ok(findings),
        [first, ..] => {
            // What was found is worth knowing even so.
            print(session, arguments.output, &findings)?;
            let more = files.unread.len() - 1;
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            Err(CommandError::user(format!("cannot look at everything: {first}{more}")))
        }
    }
}

fn scan_bytes(place: &str, bytes: &[u8], known: &Known) -> Vec<Finding> {
    let is_text = !bytes[..bytes.len().min(TEXT_BYTES)].contains(&0);
    if !is_text {
        let finding = |found: Match| Finding {
            place: place.to_owned(),
            at: None,
            rule: found.rule,
            what: found.what,
            fingerprint: fingerprint(found.rule, &bytes[found.range]),
        };
        return known.matches(bytes).into_iter().map(finding).collect();
    }
    // Places stay what they are: what is not UTF-8 becomes as many characters, and only they could be counted wrongly.
    let text = String::from_utf8_lossy(bytes);
    let finding = |found: Match| Finding {
        place: place.to_owned(),
        at: Some(position(&text, found.range.start)),
        rule: found.rule,
        what: found.what,
        fingerprint: fingerprint(found.rule, &text.as_bytes()[found.range]),
    };
    matches(&text, known).into_iter().map(finding).collect()
}

/// Returns what is found in a text; a known value is told as that, whatever else it looks like.
fn matches(text: &str, known: &Known) -> Vec<Match> {
    let mut all = known.matches(text.as_bytes());
    all.retain(|one| !rules::is_allowed(text, floor(text, one.range.start)));
    let overlaps = |one: &Match, other: &Match| one.range.start < other.range.end && other.range.start < one.range.end;
    let others = rules::matches(text).into_iter().filter(|found| !all.iter().any(|one| overlaps(one, found)));
    let others: Vec<Match> = others.collect();
    all.extend(others);
    all.sort_by_key(|one| one.range.start);
    all
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..floor(text, at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

async fn scan_objects(session: &Session, everywhere: bool, known: &Known) -> Result<Vec<Finding>> {
    let discovery = session.fresh_discovery().await?;
    let namespace = if everywhere { None } else { Some(session.namespace()?) };
    let (mut findings, mut closed) = (Vec::new(), Vec::new());
    let wanted = discovery.types.iter().filter(|resource| {
        resource.supports("list")
            && resource.preferred
            && (resource.namespaced || everywhere)
            && !EXCEPT.contains(&resource.plural.as_str())
    });
    for resource in wanted {
        let objects = match objects::list(session, resource, namespace.as_deref()).await {
            Ok(objects) => objects,
            Err(error) if error.has_code(403) => {
                closed.push(resource.qualified_plural());
                continue;
            }
            Err(error) => return Err(error),
        };
        for object in &objects {
            let within = fields::namespace(object).map(|namespace| format!("{namespace}/")).unwrap_or_default();
            let place = format!("{within}{}/{}", resource.singular, fields::name(object));
            scan_value(&place, "", object, known, &mut findings);
        }
    }
    if !closed.is_empty() {
        session.note(&format!("not looked at, because you may not list them: {}", closed.join(", ")));
    }
    Ok(findings)
}

/// Looks at every text of an object, and at it together with its name: `DB_PASSWORD: …` is telling, the value alone is not.
fn scan_value(place: &str, path: &str, value: &Value, known: &Known, findings: &mut Vec<Finding>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(key, _)| *key != "managedFields") {
                scan_value(place, &format!("{path}.{key}"), value, known, findings);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                scan_value(place, &format!("{path}[{index}]"), value, known, findings);
            }
        }
        Value::String(text) => {
            let name = path.rsplit('.').next().unwrap_or_default();
            let whole = format!("{name}: {text}");
            for found in matches(&whole, known) {
                findings.push(Finding {
                    place: format!("{place} {path}"),
                    at: None,
                    rule: found.rule,
                    what: found.what,
                    fingerprint: fingerprint(found.rule, &whole.as_bytes()[found.range]),
                });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn fingerprint(rule: &str, value: &[u8]) -> String {
    let hash = digest(&SHA256, &[b"ccctl secret scan 1\0", rule.as_bytes(), b"\0", value].concat());
    HEXLOWER.encode(&hash.as_ref()[..FINGERPRINT_DIGITS / 2])
}

fn print(session: &Session, output: ScanOutput, findings: &[Finding]) -> Result<()> {
    match output {
        ScanOutput::Json => {
            let list: Vec<Value> = findings.iter().map(in_json).collect();
            let text = serde_json::to_string_pretty(&list).unwrap_or_default();
            session.print(&format!("{text}\n"))
        }
        _ if findings.is_empty() => {
            session.note("nothing that looks like a secret was found");
            Ok(())
        }
        ScanOutput::Name => {
            session.print(&findings.iter().fold(String::new(), |text, finding| text + &finding.location() + "\n"))
        }
        ScanOutput::Table => {
            let headings = ["LOCATION", "RULE", "WHAT", "FINGERPRINT"].map(str::to_owned).to_vec();
            let row =
                |one: &Finding| vec![one.location(), one.rule.to_owned(), one.what.clone(), one.fingerprint.clone()];
            let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
            session.print_table(&mut Table::new(headings, session.table_style(false)), &rows)
        }
    }
}

fn in_json(finding: &Finding) -> Value {
    json!({
        "place": finding.place,
        "line": finding.at.map(|(line, _)| line),
        "column": finding.at.map(|(_, column)| column),
        "rule": finding.rule,
        "what": finding.what,
        "fingerprint": finding.fingerprint,
    })
}

fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}
