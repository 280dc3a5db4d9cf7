//! `x-kubernetes-validations`: rules compiled once, run over the parts of an object that they stand at.

mod convert;
mod meter;
mod program;

use std::collections::BTreeSet;

use api_types::schema::{Schema, ValidationRule};
use api_types::status::StatusCause;
use kube_cel::cel::Value as CelValue;
use kube_cel::cel::objects::OptionalValue;
use serde_json::Value;

use self::convert::Reads;
use self::meter::{Bindings, Failure};
use self::program::Metered;
use super::node::{Additional, Node, correlated_item};
use super::path::Path;
use super::text::{DUPLICATE, FORBIDDEN, INVALID, REQUIRED, cause, invalid, not_supported, required, too_long};

/// Most rules in one schema; each is run for every matching part of every object.
pub(super) const MOST_RULES: usize = 1_000;
/// Most bytes of expressions in one schema; parsing takes up to ten microseconds for each.
pub(super) const MOST_RULE_BYTES: usize = 256 * 1024;

/// A rule, ready to run.
#[derive(Debug)]
pub(super) struct Rule {
    source: String,
    condition: Metered,
    message: Option<String>,
    message_expression: Option<Metered>,
    reason: &'static str,
    /// The field to blame, as it is appended to the path: `.name`.
    field: String,
    optional_old: bool,
}

impl Rule {
    /// Compiles a rule that stands at `schema`; `path` is its own path in the definition.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn compile(
        rule: &ValidationRule,
        schema: &Schema,
        path: &str,
        correlatable: bool,
    ) -> Result<Self, Vec<StatusCause>> {
        let mut causes = check_texts(rule, path);
        if rule.rule.trim().is_empty() {
            return Err(causes);
        }
        let (reason, field) = match (reason(rule, path), field(rule, schema, path)) {
            (Ok(reason), Ok(field)) => (reason, field),
            (reason, field) => {
                causes.extend(reason.err());
                causes.extend(field.err());
                return Err(causes);
            }
        };
        let optional_old = rule.optional_old_self == Some(true);
        let is_root = path.starts_with("openAPIV3Schema.x-kubernetes-validations");
        let mut compile = |name: &str, source: &str| {
            let field = format!("{path}.{name}");
            if source.len() > program::LONGEST {
                causes.push(too_long(field, program::LONGEST as u64));
                return None;
            }
            match program::compile(source, schema, is_root, optional_old) {
                Ok(metered) => Some(metered),
                Err(error) => {
                    let shown = Value::String(source.to_owned());
                    causes.push(invalid(field, &shown, &format!("compilation failed: {error}")));
                    None
                }
            }
        };
        let condition = compile("rule", &rule.rule);
        let message_expression = rule.message_expression.as_deref().map(|source| compile("messageExpression", source));
        let Some(condition) = condition else { return Err(causes) };
        causes.extend(check_old(rule, &condition, path, correlatable));
        if !causes.is_empty() {
            return Err(causes);
        }
        Ok(Self {
            source: rule.rule.trim().to_owned(),
            condition,
            message: rule.message.as_deref().map(str::trim).map(str::to_owned),
            message_expression: message_expression.flatten(),
            reason,
            field,
            optional_old,
        })
    }

    /// Returns the violation, if there is one.
    fn check(&self, path: Path<'_>, bindings: &Bindings) -> Result<Option<StatusCause>, Failure> {
        let blame = |text: String| cause(self.reason, format!("{path}{}", self.field), self.worded(&text));
        match self.run(&self.condition, bindings) {
            Ok(CelValue::Bool(true)) => Ok(None),
            Ok(CelValue::Bool(false)) => Ok(Some(blame(self.text(bindings)?))),
            Ok(_) => {
                let text = format!("Invalid value: rule must evaluate to a bool: rule: {}", self.source);
                Ok(Some(cause(INVALID, path, text)))
            }
            Err(Failure::Error(error)) => {
                let text = format!("Invalid value: {error} evaluating rule: {}", self.described());
                Ok(Some(cause(INVALID, path, text)))
            }
            Err(Failure::OutOfBudget) => Err(Failure::OutOfBudget),
        }
    }

    fn run(&self, metered: &Metered, bindings: &Bindings) -> Result<CelValue, Failure> {
        let old = match (&bindings.old, self.optional_old) {
            _ if !metered.uses_old => None,
            (Some(old), false) => Some(old.clone()),
            (Some(old), true) => Some(CelValue::Opaque(std::sync::Arc::new(OptionalValue::of(old.clone())))),
            (None, true) => Some(CelValue::Opaque(std::sync::Arc::new(OptionalValue::none()))),
            (None, false) => None,
        };
        meter::evaluate(&metered.expression, metered.uses_self, old)
    }

    /// What the person reads: the computed message, the fixed one, or the rule itself.
    fn text(&self, bindings: &Bindings) -> Result<String, Failure> {
        if let Some(expression) = &self.message_expression {
            match self.run(expression, bindings) {
                Ok(CelValue::String(text)) if !text.trim().is_empty() && !text.contains('\n') => {
                    return Ok(text.trim().to_owned());
                }
                // A message that cannot be computed must not hide the violation.
                Ok(_) | Err(Failure::Error(_)) => {}
                Err(Failure::OutOfBudget) => return Err(Failure::OutOfBudget),
            }
        }
        Ok(self.described())
    }

    fn described(&self) -> String {
        self.message.clone().unwrap_or_else(|| format!("failed rule: {}", self.source))
    }

    fn worded(&self, text: &str) -> String {
        let kind = match self.reason {
            FORBIDDEN => "Forbidden",
            REQUIRED => "Required value",
            DUPLICATE => "Duplicate value",
            _ => "Invalid value",
        };
        format!("{kind}: {text}")
    }

    fn programs(&self) -> impl Iterator<Item = &Metered> {
        std::iter::once(&self.condition).chain(&self.message_expression)
    }

    fn members(&self) -> impl Iterator<Item = &String> {
        self.programs().flat_map(|program| &program.members)
    }

    fn reads_all(&self) -> bool {
        self.programs().any(|program| program.uses_self || program.uses_old)
    }

    fn is_transition(&self) -> bool {
        self.condition.mentions_old
    }
}

/// Runs all rules of a schema over an object.
pub(super) fn validate(root: &Node, object: &Value, old: Option<&Value>) -> Vec<StatusCause> {
    meter::refill();
    let mut causes = Vec::new();
    if visit(root, object, old, Path::Root, true, &mut causes).is_err() {
        let text = "Invalid value: validation failed due to running out of cost budget, no further validation rules \
                    will be run";
        causes.push(cause(INVALID, "<nil>", text.to_owned()));
    }
    causes
}

fn visit(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: Path<'_>,
    is_root: bool,
    causes: &mut Vec<StatusCause>,
) -> Result<(), Failure> {
    if !node.rules_below || value.is_null() {
        return Ok(());
    }
    if !node.rules.is_empty() {
        run_rules(node, value, old, path, is_root, causes)?;
    }
    match value {
        Value::Array(items) => {
            let Some(schema) = &node.items else { return Ok(()) };
            for (index, item) in items.iter().enumerate() {
                visit(schema, item, correlated_item(node, old, item), Path::Index(&path, index), false, causes)?;
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let (schema, member_path) = match (node.property(name), &node.additional) {
                    (Some(schema), _) => (schema, Path::Member(&path, name)),
                    (None, Additional::Schema(schema)) => (schema.as_ref(), Path::Key(&path, name)),
                    (None, Additional::Unspecified | Additional::Any) => continue,
                };
                visit(schema, member, old.and_then(|old| old.get(name)), member_path, false, causes)?;
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    Ok(())
}

fn run_rules(
    node: &Node,
    value: &Value,
    old: Option<&Value>,
    path: Path<'_>,
    is_root: bool,
    causes: &mut Vec<StatusCause>,
) -> Result<(), Failure> {
    // What did not change is forgiven, so rules that look at nothing else need not run: a status update asks no
    // rule of the spec.
    let unchanged = old == Some(value);
    let applies = |rule: &&Rule| match (rule.is_transition(), old) {
        (false, _) => !unchanged,
        (true, Some(_)) => true,
        (true, None) => rule.optional_old,
    };
    let mut rules = node.rules.iter().filter(applies).peekable();
    if rules.peek().is_none() {
        return Ok(());
    }
    let wants_old = node.rules.iter().any(Rule::is_transition);
    // Converting costs more than most rules do, so only what some rule reads is converted.
    let members: BTreeSet<String> = node.rules.iter().flat_map(Rule::members).cloned().collect();
    let reads = if node.rules.iter().any(Rule::reads_all) { Reads::All } else { Reads::Members(&members) };
    let bindings = Bindings {
        this: convert::to_cel_partly(node, value, is_root, reads),
        old: old.filter(|_| wants_old).map(|old| convert::to_cel_partly(node, old, is_root, reads)),
    };
    meter::bind(bindings.clone())?;
    for rule in rules {
        causes.extend(rule.check(path, &bindings)?);
    }
    Ok(())
}

fn check_texts(rule: &ValidationRule, path: &str) -> Vec<StatusCause> {
    let mut causes = Vec::new();
    if rule.rule.trim().is_empty() {
        causes.push(required(format!("{path}.rule"), "rule is not specified"));
    }
    let field = format!("{path}.message");
    match &rule.message {
        Some(message) if message.trim().is_empty() => {
            causes.push(invalid(field, &Value::String(message.clone()), "message must be non-empty if specified"));
        }
        Some(message) if message.trim().contains('\n') => {
            causes.push(invalid(field, &Value::String(message.clone()), "message must not contain line breaks"));
        }
        None if rule.rule.trim().contains('\n') => {
            causes.push(required(field, "message must be specified if rule contains line breaks"));
        }
        _ => {}
    }
    causes
}

fn check_old(rule: &ValidationRule, condition: &Metered, path: &str, correlatable: bool) -> Option<StatusCause> {
    if condition.mentions_old && !correlatable {
        let within = path.rsplit_once(".x-kubernetes-validations").map_or(path, |(schema, _)| schema);
        let why = format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
        return Some(invalid(format!("{path}.rule"), &Value::String(rule.rule.clone()), &why));
    }
    if rule.optional_old_self.is_some() && !condition.mentions_old {
        let why = "may not be set if oldSelf is not used in rule";
        return Some(invalid(
            format!("{path}.optionalOldSelf"),
            &Value::Bool(rule.optional_old_self == Some(true)),
            why,
        ));
    }
    None
}

fn reason(rule: &ValidationRule, path: &str) -> Result<&'static str, StatusCause> {
    const REASONS: [&str; 4] = [DUPLICATE, FORBIDDEN, INVALID, REQUIRED];
    let Some(wanted) = &rule.reason else { return Ok(INVALID) };
    REASONS.into_iter().find(|known| known == wanted).ok_or_else(|| {
        let supported: Vec<Value> = REASONS.iter().map(|&known| Value::String(known.to_owned())).collect();
        not_supported(format!("{path}.reason"), &Value::String(wanted.clone()), &supported)
    })
}

/// Checks a `fieldPath` such as `.spec.name` or `.data['a.b']`; returns what is appended to the path.
fn field(rule: &ValidationRule, schema: &Schema, path: &str) -> Result<String, StatusCause> {
    let Some(wanted) = &rule.field_path else { return Ok(String::new()) };
    let refuse = |why: &str| {
        let shown = Value::String(wanted.clone());
        Err(invalid(format!("{path}.fieldPath"), &shown, &format!("fieldPath must be a valid path: {why}")))
    };
    let mut at = Some(schema);
    let mut appended = String::new();
    let mut rest = wanted.trim();
    if rest.is_empty() {
        return refuse("it is empty");
    }
    while !rest.is_empty() {
        let name = if let Some(after) = rest.strip_prefix("['") {
            let Some((name, after)) = after.split_once("']") else { return refuse("a bracket is not closed") };
            rest = after;
            name
        } else if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            rest = &after[end..];
            &after[..end]
        } else {
            return refuse("a part must start with a dot or a bracket");
        };
        let Some(here) = at else { return refuse(&format!("nothing is known below \"{name}\"")) };
        at = match (here.properties.get(name), here.additional_properties.as_deref()) {
            (Some(member), _) => {
                appended.push('.');
                appended.push_str(name);
                Some(member)
            }
            (None, Some(additional)) => {
                appended.push_str(&format!("[{name}]"));
                match additional {
                    api_types::schema::AdditionalProperties::Schema(member) => Some(member),
                    api_types::schema::AdditionalProperties::Allowed(_) => None,
                }
            }
            (None, None) => return refuse(&format!("does not refer to a valid field: \"{name}\"")),
        };
    }
    Ok(appended)
}
