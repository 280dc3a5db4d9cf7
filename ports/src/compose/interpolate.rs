//! Variables in values: `$NAME`, `${NAME:-default}` and the like, by Docker's grammar.
//!
//! It is not a shell's: a default ends at the first `}`, so `${A:-${B}}` is `${B` and a brace; `$NAME-rest` without
//! braces is a default as well; names may be of either case. Keys are left alone.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::stack::{Finding, LoadError, Severity};
use super::tree::{Node, Value};

/// What may follow a dollar sign, in the order in which it is tried.
static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[_a-z][_a-z0-9]*(?::?[-?][^}]*)?";
    let pattern = format!(r"\$(?i:(?P<escaped>\$)|(?P<named>{name})|\{{(?P<braced>{name})\}}|(?P<invalid>))");
    Regex::new(&pattern).expect("the pattern is constant")
});

/// Why a text cannot be interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A dollar sign that is followed by nothing that is known.
    Invalid,
    /// A variable that must be set is not.
    Required {
        /// Its name.
        name: String,
        /// What the file says about it.
        message: String,
    },
}

/// A text after interpolation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Substituted {
    /// The text.
    pub text: String,
    /// A failure that Docker forgets, because something that succeeds follows it in the same text.
    pub forgotten: Option<Failure>,
}

/// Replaces the variables of a text.
///
/// # Errors
///
/// See [`Failure`].
pub fn substitute(template: &str, env: &BTreeMap<String, String>) -> Result<Substituted, Failure> {
    let mut failure: Option<Failure> = None;
    let mut forgotten = None;
    let text = PATTERN.replace_all(template, |captures: &Captures<'_>| {
        if captures.name("escaped").is_some() {
            return "$".to_owned();
        }
        let Some(expression) = captures.name("named").or_else(|| captures.name("braced")) else {
            failure = Some(Failure::Invalid);
            return String::new();
        };
        // Docker keeps one error for the whole text, and overwrites it with the outcome of each variable.
        match expand(expression.as_str(), env) {
            Ok(value) => {
                forgotten = failure.take().or(forgotten.take());
                value
            }
            Err(error) => {
                failure = Some(error);
                String::new()
            }
        }
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(Substituted { text: text.into_owned(), forgotten }),
    }
}

/// Expands what stands between the braces. The order of the four forms matters: `${A:?no-value}` has a `-`, and so
/// is a default.
fn expand(expression: &str, env: &BTreeMap<String, String>) -> Result<String, Failure> {
    if let Some((name, default)) = expression.split_once(":-") {
        return Ok(env.get(name).filter(|value| !value.is_empty()).map_or(default, String::as_str).to_owned());
    }
    if let Some((name, default)) = expression.split_once('-') {
        return Ok(env.get(name).map_or(default, String::as_str).to_owned());
    }
    let required = |name: &str, message: &str, value: Option<&String>| {
        value.cloned().ok_or_else(|| Failure::Required { name: name.to_owned(), message: message.to_owned() })
    };
    if let Some((name, message)) = expression.split_once(":?") {
        return required(name, message, env.get(name).filter(|value| !value.is_empty()));
    }
    if let Some((name, message)) = expression.split_once('?') {
        return required(name, message, env.get(name));
    }
    Ok(env.get(expression).cloned().unwrap_or_default())
}

/// Returns the names of the variables that a text asks for.
pub fn variables(template: &str) -> impl Iterator<Item = &str> {
    PATTERN.captures_iter(template).filter_map(|captures| {
        let expression = captures.name("named").or_else(|| captures.name("braced"))?.as_str();
        Some(expression.split([':', '-', '?']).next().unwrap_or(expression))
    })
}

/// Interpolates every text below a node, and casts those that changed where a number or boolean is expected.
///
/// # Errors
///
/// All texts that cannot be interpolated or cast, each with its place.
pub fn interpolate(
    node: &mut Node,
    env: &BTreeMap<String, String>,
    warnings: &mut Vec<Finding>,
) -> Result<(), LoadError> {
    let mut findings = Vec::new();
    walk(node, &mut Vec::new(), env, &mut findings);
    let (errors, others): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity == Severity::Error);
    warnings.extend(others);
    if errors.is_empty() { Ok(()) } else { Err(LoadError { findings: errors }) }
}

fn walk(node: &mut Node, path: &mut Vec<String>, env: &BTreeMap<String, String>, findings: &mut Vec<Finding>) {
    match &mut node.value {
        Value::Text(text) => match substitute(text, env) {
            Err(failure) => findings.push(failed(node, Severity::Error, &failure)),
            Ok(done) => {
                if let Some(failure) = &done.forgotten {
                    findings.push(failed(node, Severity::Warning, failure));
                }
                if let Value::Text(text) = &node.value
                    && done.text != *text
                {
                    set(node, path, done.text, findings);
                }
            }
        },
        Value::List(items) => {
            path.push("[]".to_owned());
            for item in items {
                walk(item, path, env, findings);
            }
            path.pop();
        }
        Value::Map(map) => {
            for (key, below) in map {
                path.push(key.clone());
                walk(below, path, env, findings);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Replaces a text by its interpolated form.
fn set(node: &mut Node, path: &[String], text: String, findings: &mut Vec<Finding>) {
    match cast(path, &text) {
        Ok(value) => node.value = value.unwrap_or(Value::Text(text)),
        Err(wanted) => findings.push(Finding {
            severity: Severity::Error,
            rule: "InvalidValue".to_owned(),
            place: node.place(),
            message: format!("the value is {text:?} once its variables are replaced, but must be {wanted}"),
        }),
    }
}

fn failed(node: &Node, severity: Severity, failure: &Failure) -> Finding {
    let message = match failure {
        Failure::Invalid => format!(
            "a dollar sign in {:?} is not followed by a variable: write `$$` for a plain dollar sign",
            node.as_text().unwrap_or_default()
        ),
        Failure::Required { name, message } if message.is_empty() => {
            format!("the variable {name} is required: set it in the app's environment")
        }
        Failure::Required { name, message } => {
            format!("the variable {name} is required ({message}): set it in the app's environment")
        }
    };
    Finding { severity, rule: "InvalidVariable".to_owned(), place: node.place(), message }
}

/// What a place expects that is not text.
#[derive(Clone, Copy)]
enum Cast {
    Int,
    Float,
    Bool,
}

/// Where texts are cast after interpolation; `*` is any one key. A key with a dot in it never matches, as in Docker.
const CASTS: [(&str, Cast); 29] = [
    ("services.*.configs.[].mode", Cast::Int),
    ("services.*.secrets.[].mode", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Int),
    ("services.*.ports.[].target", Cast::Int),
    ("services.*.ports.[].published", Cast::Int),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Int),
    ("services.*.read_only", Cast::Bool),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];

/// Returns the value that a place expects; `None` where it expects text.
fn cast(path: &[String], text: &str) -> Result<Option<Value>, &'static str> {
    let joined = path.join(".");
    let parts: Vec<&str> = joined.split('.').collect();
    let matches = |pattern: &str| {
        let pattern: Vec<&str> = pattern.split('.').collect();
        pattern.len() == parts.len() && pattern.iter().zip(&parts).all(|(want, have)| *want == "*" || want == have)
    };
    let Some((_, cast)) = CASTS.iter().find(|(pattern, _)| matches(pattern)) else { return Ok(None) };
    let value = match cast {
        Cast::Int => text.parse().map(Value::Int).map_err(|_| "a whole number")?,
        Cast::Float => text.parse().map(Value::Float).map_err(|_| "a number")?,
        Cast::Bool => match text.to_lowercase().as_str() {
            "y" | "yes" | "true" | "on" => Value::Bool(true),
            "n" | "no" | "false" | "off" => Value::Bool(false),
            _ => return Err("yes or no"),
        },
    };
    Ok(Some(value))
}
