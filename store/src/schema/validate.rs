//! Types, formats, enums, bounds, patterns, required members and logic; everything but CEL.

use std::mem::discriminant;

use api_types::schema::SchemaType;
use api_types::status::StatusCause;
use serde_json::{Map, Number, Value};

use super::node::{Additional, CountRules, Logic, Node, NumberRules, StringRules, correlated_item};
use super::path::Path;
use super::text::{
    INVALID, TYPE_INVALID, bad_value, cause, go_float, invalid, not_supported, required, too_long, too_many,
};

/// So many violations are named; an answer with one for each item of a hostile list would be larger than the list.
pub(super) const CAUSES_MAX: usize = 256;

/// One walk along an object: what was found, and how much of it anybody wants to know.
#[derive(Default)]
pub(super) struct Walk {
    /// The violations, in the order of the walk.
    pub(super) causes: Vec<StatusCause>,
    /// Inside `anyOf`, `oneOf` and `not` it only matters whether something fails: nothing is written down.
    quiet: bool,
    failed: bool,
    /// Parts that are equal in the old object are not looked at again (*ratcheting*).
    ratchet: bool,
    /// How many nodes were looked at; chooses the branch that came closest, as Kubernetes does.
    visited: usize,
}

impl Walk {
    /// A walk that forgives what was there before.
    pub(super) fn ratcheting() -> Self {
        Self { ratchet: true, ..Self::default() }
    }

    fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    fn fail(&mut self, describe: impl FnOnce() -> StatusCause) {
        self.failed = true;
        if !self.quiet && self.causes.len() < CAUSES_MAX {
            self.causes.push(describe());
        }
    }

    /// Checks `value` against `node`.
    pub(super) fn node(&mut self, node: &Node, value: &Value, old: Option<&Value>, path: Path<'_>) {
        if (self.ratchet && old == Some(value)) || (self.quiet && self.failed) {
            return;
        }
        self.visited += 1;
        if !self.kind(node, value, path) {
            return;
        }
        if let Some(logic) = &node.logic {
            self.logic(logic, value, path);
        }
        match value {
            Value::String(text) => {
                if let Some(rules) = &node.strings {
                    self.string(rules, text, value, path);
                }
            }
            Value::Number(number) => {
                if let Some(rules) = &node.numbers {
                    self.number(rules, number, value, path);
                }
            }
            Value::Array(items) => self.list(node, items, old, path),
            Value::Object(_) | Value::Null | Value::Bool(_) => {}
        }
        if !node.allowed.is_empty() && !node.allowed.iter().any(|allowed| same_value(allowed, value)) {
            self.fail(|| not_supported(path, value, &node.allowed));
        }
        if let Value::Object(members) = value {
            self.object(node, members, old, path);
        }
    }

    /// Checks the type; returns whether going on makes sense.
    fn kind(&mut self, node: &Node, value: &Value, path: Path<'_>) -> bool {
        if value.is_null() {
            if !node.nullable && (node.kind.is_some() || node.int_or_string) {
                self.fail(|| wrong_type(path, value, type_of(node)));
            }
            return false;
        }
        let fits = match node.kind {
            _ if node.int_or_string => is_integer(value) || value.is_string(),
            None => true,
            Some(SchemaType::Object) => value.is_object(),
            Some(SchemaType::Array) => value.is_array(),
            Some(SchemaType::String) => value.is_string(),
            Some(SchemaType::Integer) => is_integer(value),
            Some(SchemaType::Number) => value.is_number(),
            Some(SchemaType::Boolean) => value.is_boolean(),
        };
        if !fits {
            self.fail(|| wrong_type(path, value, type_of(node)));
        }
        // Like Kubernetes, go on after a wrong type: the enum of a value is checked whatever its type is.
        true
    }

    fn string(&mut self, rules: &StringRules, text: &str, value: &Value, path: Path<'_>) {
        if rules.min_length.is_some() || rules.max_length.is_some() {
            let length = text.chars().count() as u64;
            if let Some(limit) = rules.max_length.filter(|limit| length > *limit) {
                self.fail(|| too_long(path, limit));
            }
            if let Some(limit) = rules.min_length.filter(|limit| length < *limit) {
                self.fail(|| invalid(path, value, &format!("{path} in body should be at least {limit} chars long")));
            }
        }
        if let Some(pattern) = &rules.pattern
            && !pattern.is_match(text)
        {
            self.fail(|| invalid(path, value, &format!("{path} in body should match '{}'", pattern.source())));
        }
        if let Some(format) = rules.format
            && !format.accepts(text)
        {
            self.fail(|| {
                let shown = bad_value(value);
                let detail = format!("{path} in body must be of type {}: {shown}", format.name());
                cause(TYPE_INVALID, path, format!("Invalid value: {shown}: {detail}"))
            });
        }
    }

    fn number(&mut self, rules: &NumberRules, number: &Number, value: &Value, path: Path<'_>) {
        if rules.int32 && number.as_i64().is_some_and(|integer| i32::try_from(integer).is_err()) {
            self.fail(|| {
                let message = format!("Invalid value: {number}: {path} in body must be of type int32: \"{number}\"");
                cause(TYPE_INVALID, path, message)
            });
        }
        if let Some((minimum, exclusive)) = &rules.minimum
            && !within(number, minimum, *exclusive, std::cmp::Ordering::Less)
        {
            let words = if *exclusive { "greater than" } else { "greater than or equal to" };
            let bound = bound_text(number, minimum);
            self.fail(|| invalid(path, value, &format!("{path} in body should be {words} {bound}")));
        }
        if let Some((maximum, exclusive)) = &rules.maximum
            && !within(number, maximum, *exclusive, std::cmp::Ordering::Greater)
        {
            let words = if *exclusive { "less than" } else { "less than or equal to" };
            let bound = bound_text(number, maximum);
            self.fail(|| invalid(path, value, &format!("{path} in body should be {words} {bound}")));
        }
        if let Some(factor) = &rules.multiple_of
            && !is_multiple(number, factor)
        {
            let bound = bound_text(number, factor);
            self.fail(|| invalid(path, value, &format!("{path} in body should be a multiple of {bound}")));
        }
    }

    fn list(&mut self, node: &Node, items: &[Value], old: Option<&Value>, path: Path<'_>) {
        if let Some(counts) = &node.counts {
            if let Some(limit) = counts.min_items.filter(|limit| (items.len() as u64) < *limit) {
                let detail = format!("{path} in body should have at least {limit} items");
                self.fail(|| cause(INVALID, path, format!("Invalid value: {}: {detail}", items.len())));
            }
            if let Some(limit) = counts.max_items.filter(|limit| items.len() as u64 > *limit) {
                self.fail(|| too_many(path, items.len(), limit));
            }
        }
        if let Some(schema) = &node.items {
            for (index, item) in items.iter().enumerate() {
                let old_item = if self.ratchet { correlated_item(node, old, item) } else { None };
                self.node(schema, item, old_item, Path::Index(&path, index));
            }
        }
    }

    fn object(&mut self, node: &Node, members: &Map<String, Value>, old: Option<&Value>, path: Path<'_>) {
        if let Some(counts) = &node.counts
            && !self.member_count(counts, members.len(), path)
        {
            return;
        }
        for (name, member) in members {
            let schema = match node.property(name) {
                Some(schema) => schema,
                None => match &node.additional {
                    Additional::Schema(schema) => schema,
                    Additional::Unspecified | Additional::Any => continue,
                },
            };
            let old_member = if self.ratchet { old.and_then(|old| old.get(name)) } else { None };
            self.node(schema, member, old_member, Path::Member(&path, name));
        }
        for name in &node.required {
            if !members.contains_key(name) {
                self.fail(|| required(Path::Member(&path, name), ""));
            }
        }
    }

    fn member_count(&mut self, counts: &CountRules, count: usize, path: Path<'_>) -> bool {
        if let Some(limit) = counts.min_properties.filter(|limit| (count as u64) < *limit) {
            let detail = format!("{path} in body should have at least {limit} properties");
            self.fail(|| cause(INVALID, path, format!("Invalid value: {count}: {detail}")));
            return false;
        }
        if let Some(limit) = counts.max_properties.filter(|limit| count as u64 > *limit) {
            self.fail(|| too_many(path, count, limit));
            return false;
        }
        true
    }

    fn logic(&mut self, logic: &Logic, value: &Value, path: Path<'_>) {
        if !logic.any_of.is_empty() && count_valid(&logic.any_of, value, path) == 0 {
            self.composite(path, "must validate at least one schema (anyOf)");
            self.closest(&logic.any_of, value, path);
        }
        if !logic.one_of.is_empty() {
            match count_valid(&logic.one_of, value, path) {
                1 => {}
                0 => {
                    self.composite(path, "must validate one and only one schema (oneOf). Found none valid");
                    self.closest(&logic.one_of, value, path);
                }
                many => {
                    let words =
                        format!("must validate one and only one schema (oneOf). Found {many} valid alternatives");
                    self.composite(path, &words);
                }
            }
        }
        if !logic.all_of.is_empty() {
            let valid = count_valid(&logic.all_of, value, path);
            if valid < logic.all_of.len() {
                for branch in &logic.all_of {
                    self.node(branch, value, None, path);
                }
                let rest = if valid == 0 { ". None validated" } else { "" };
                self.composite(path, &format!("must validate all the schemas (allOf){rest}"));
            }
        }
        if let Some(not) = &logic.not
            && count_valid(std::slice::from_ref(not), value, path) == 1
        {
            self.composite(path, "must not validate the schema (not)");
        }
    }

    /// A failed combination has no field of its own in Kubernetes; the path stands in the message.
    fn composite(&mut self, path: Path<'_>, words: &str) {
        self.fail(|| cause(INVALID, "<nil>", format!("Invalid value: \"\": \"{path}\" {words}")));
    }

    /// Adds the violations of the branch that came closest.
    fn closest(&mut self, branches: &[Node], value: &Value, path: Path<'_>) {
        if self.quiet {
            return;
        }
        let mut best: Option<Self> = None;
        for branch in branches {
            let mut attempt = Self::default();
            attempt.node(branch, value, None, path);
            if best.as_ref().is_none_or(|best| attempt.visited > best.visited) {
                best = Some(attempt);
            }
        }
        self.causes.extend(best.into_iter().flat_map(|walk| walk.causes));
    }
}

fn count_valid(branches: &[Node], value: &Value, path: Path<'_>) -> usize {
    branches
        .iter()
        .filter(|branch| {
            let mut walk = Walk::quiet();
            walk.node(branch, value, None, path);
            !walk.failed
        })
        .count()
}

/// Whether a JSON number is an integer; `1.0` is, as in Kubernetes.
pub(super) fn is_integer(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.as_f64().is_some_and(is_whole),
        _ => false,
    }
}

fn is_whole(number: f64) -> bool {
    // Beyond 2^53 a JSON number with a fraction or an exponent is no exact integer any more.
    number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0
}

fn type_of(node: &Node) -> &'static str {
    match node.kind {
        _ if node.int_or_string => "integer,string",
        Some(SchemaType::Object) => "object",
        Some(SchemaType::Array) => "array",
        Some(SchemaType::String) => "string",
        Some(SchemaType::Integer) => "integer",
        Some(SchemaType::Number) => "number",
        Some(SchemaType::Boolean) => "boolean",
        None => "",
    }
}

/// Returns that a value should be of another type, as the schema's own words call it.
pub(super) fn wrong_type(path: Path<'_>, value: &Value, want: &str) -> StatusCause {
    let got = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let message = format!("Invalid value: \"{got}\": {path} in body must be of type {want}: \"{got}\"");
    cause(TYPE_INVALID, path, message)
}

/// JSON equality where `1` and `1.0` are the same number.
fn same_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Some(std::cmp::Ordering::Equal),
        _ => discriminant(left) == discriminant(right) && left == right,
    }
}

fn compare(left: &Number, right: &Number) -> Option<std::cmp::Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

/// Whether `number` is on the right side of `bound`; `wrong` is the wrong side.
fn within(number: &Number, bound: &Number, exclusive: bool, wrong: std::cmp::Ordering) -> bool {
    match compare(number, bound) {
        None => false,
        Some(std::cmp::Ordering::Equal) => !exclusive,
        Some(side) => side != wrong,
    }
}

fn is_multiple(number: &Number, factor: &Number) -> bool {
    match (number.as_i64(), factor.as_i64()) {
        (_, Some(0)) => true,
        (Some(number), Some(factor)) => number.checked_rem(factor).is_none_or(|rest| rest == 0),
        _ => {
            let quotient = number.as_f64().unwrap_or_default() / factor.as_f64().unwrap_or(1.0);
            (quotient - quotient.round()).abs() < 1e-9
        }
    }
}

/// Writes a bound as Kubernetes does: as an integer beside an integer, else as a float.
fn bound_text(number: &Number, bound: &Number) -> String {
    match (number.is_i64(), bound.as_i64(), bound.as_f64()) {
        (true, Some(integer), _) => integer.to_string(),
        (_, _, Some(float)) => go_float(float),
        _ => bound.to_string(),
    }
}
