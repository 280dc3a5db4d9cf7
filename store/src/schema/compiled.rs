//! [`CompiledSchema`]: the one thing that the write path asks about what an object may look like.

use api_types::schema::{AdditionalProperties, ListType, Schema, ValidationRule};
use api_types::status::StatusCause;
use serde_json::Value;

use super::cel::{self, Rule};
use super::formats::Format;
use super::node::{Additional, CountRules, Logic, Node, NumberRules, StringRules};
use super::path::Path;
use super::regex::Pattern;
use super::text::{INVALID, NOT_SUPPORTED, REQUIRED, TOO_LONG, TOO_MANY, TYPE_INVALID, cause, invalid};
use super::validate::Walk;
use super::{default, lists, prune, structural};

/// Where paths into a definition start.
const ROOT: &str = "openAPIV3Schema";
/// What the last cause says when rules were left out because of the others.
const RULES_NOT_CHECKED: &str = "Invalid value: null: some validation rules were not checked because the object was \
                                 invalid; correct the existing errors to complete validation";

/// A structural schema, checked and prepared. `Send + Sync`; share it in an `Arc`.
#[derive(Debug)]
pub struct CompiledSchema {
    schema: Schema,
    root: Node,
}

impl CompiledSchema {
    /// Checks that `schema` is structural and compiles its expressions and rules.
    ///
    /// # Errors
    /// Every violation of the rules of `apiextensions.k8s.io/v1`; fields start with `openAPIV3Schema`.
    pub fn compile(schema: Schema) -> Result<Self, Vec<StatusCause>> {
        let mut causes = structural::check(&schema);
        if !causes.is_empty() {
            // Compiling would walk what was just found to be malformed.
            return Err(causes);
        }
        let (root, mut found) = compile_root(&schema);
        causes.append(&mut found);
        if causes.is_empty() {
            check_defaults(&schema, &root, ROOT, &mut causes);
        }
        if causes.is_empty() { Ok(Self { schema, root }) } else { Err(causes) }
    }

    /// Returns the schema that was compiled.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Drops members that the schema does not name; returns their paths, sorted, as `spec.ports[0].x`.
    ///
    /// `metadata` of the object and of embedded objects keeps the members of `ObjectMeta`.
    pub fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.root, object)
    }

    /// Fills defaults, and replaces or drops nulls of members that are not nullable.
    pub fn default(&self, object: &mut Value) {
        default::default(&self.root, object);
    }

    /// Returns every violation, sorted as Kubernetes sorts them: schema, lists, then CEL.
    ///
    /// With `old`, transition rules run, and parts that are the same as in `old` are forgiven: an object that
    /// became invalid through a newer schema can still be changed elsewhere.
    #[must_use]
    pub fn validate(&self, object: &Value, old: Option<&Value>) -> Vec<StatusCause> {
        let mut causes = self.validate_structure(object, old);
        let mut rules = self.validate_rules(object, old, &causes);
        causes.append(&mut rules);
        causes
    }

    /// The first half of [`validate`](Self::validate): all but CEL.
    #[must_use]
    pub fn validate_structure(&self, object: &Value, old: Option<&Value>) -> Vec<StatusCause> {
        let mut walk = Walk::default();
        walk.node(&self.root, object, None, Path::Root);
        if !walk.causes.is_empty() && old.is_some() {
            // Comparing with the old object costs time, so it is only done for objects that are wrong.
            walk = Walk::ratcheting();
            walk.node(&self.root, object, old, Path::Root);
        }
        let mut causes = walk.causes;
        causes.sort_by(|left, right| compare_fields(&left.field, &right.field));
        lists::check(&self.root, object, old, old.is_some(), Path::Root, &mut causes);
        causes
    }

    /// The second half of [`validate`](Self::validate): CEL.
    ///
    /// `earlier` are the causes found so far, also those of metadata: after some of them rules would see values of
    /// types that they do not expect, so that one cause says that the rules were not checked.
    #[must_use]
    pub fn validate_rules(&self, object: &Value, old: Option<&Value>, earlier: &[StatusCause]) -> Vec<StatusCause> {
        if !self.root.rules_below {
            return Vec::new();
        }
        let blocks = |cause: &StatusCause| {
            matches!(cause.reason.as_str(), NOT_SUPPORTED | REQUIRED | TOO_LONG | TOO_MANY | TYPE_INVALID)
        };
        if earlier.iter().any(blocks) {
            return vec![cause(INVALID, "<nil>", RULES_NOT_CHECKED.to_owned())];
        }
        cel::validate(&self.root, object, old)
    }
}

/// Stack for parsing rules. The parser recurses as deep as a hostile rule nests, before anybody can count; only what
/// is used of it takes memory.
const PARSER_STACK_BYTES: usize = 256 << 20;

/// Compiles a whole schema, on a thread of its own if it has rules to parse.
fn compile_root(schema: &Schema) -> (Node, Vec<StatusCause>) {
    let compile = || {
        let mut compiler = Compiler { causes: Vec::new(), rules: 0, rule_bytes: 0 };
        let root = compiler.node(schema, ROOT, true);
        (root, compiler.causes)
    };
    if !has_rules(schema) {
        return compile();
    }
    let failed = |why: String| {
        let text = format!("Internal error: the rules could not be compiled: {why}");
        (Node::default(), vec![cause("InternalError", ROOT, text)])
    };
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("compile-rules".to_owned()).stack_size(PARSER_STACK_BYTES);
        match builder.spawn_scoped(scope, compile) {
            Ok(thread) => thread.join().unwrap_or_else(|_| failed("the compiler panicked".to_owned())),
            Err(error) => failed(error.to_string()),
        }
    })
}

fn has_rules(schema: &Schema) -> bool {
    let free = match schema.additional_properties.as_deref() {
        Some(AdditionalProperties::Schema(member)) => Some(member),
        Some(AdditionalProperties::Allowed(_)) | None => None,
    };
    !schema.validations.is_empty()
        || schema.properties.values().map(Box::as_ref).chain(free).chain(schema.items.as_deref()).any(has_rules)
}

/// Orders causes by field, numbers inside by value; causes without a field of their own come last.
fn compare_fields(left: &str, right: &str) -> std::cmp::Ordering {
    let is_nil = |field: &str| field == "<nil>";
    is_nil(left).cmp(&is_nil(right)).then_with(|| {
        let split = |field: &str| -> Vec<(String, u64)> {
            field
                .split('[')
                .map(|part| match part.split_once(']') {
                    Some((index, rest)) => (rest.to_owned(), index.parse().unwrap_or(u64::MAX)),
                    None => (part.to_owned(), 0),
                })
                .collect()
        };
        let (left, right) = (split(left), split(right));
        left.iter().map(|(text, index)| (index, text)).cmp(right.iter().map(|(text, index)| (index, text)))
    })
}

/// Builds nodes and collects what does not compile.
struct Compiler {
    causes: Vec<StatusCause>,
    rules: usize,
    rule_bytes: usize,
}

impl Compiler {
    /// Compiles one node. `correlatable`: whether items of the old object can be found again here.
    fn node(&mut self, schema: &Schema, path: &str, correlatable: bool) -> Node {
        let mut properties: Vec<(String, Node)> = Vec::with_capacity(schema.properties.len());
        for (name, member) in &schema.properties {
            let node = self.node(member, &format!("{path}.properties[{name}]"), correlatable);
            properties.push((name.clone(), node));
        }
        let additional = match schema.additional_properties.as_deref() {
            None | Some(AdditionalProperties::Allowed(false)) => Additional::Unspecified,
            Some(AdditionalProperties::Allowed(true)) => Additional::Any,
            Some(AdditionalProperties::Schema(member)) => {
                let node = self.node(member, &format!("{path}.additionalProperties"), correlatable);
                Additional::Schema(Box::new(node))
            }
        };
        let items_correlate = correlatable && schema.list_type == Some(ListType::Map);
        let items =
            schema.items.as_deref().map(|items| Box::new(self.node(items, &format!("{path}.items"), items_correlate)));
        let mut node = Node {
            kind: schema.type_,
            int_or_string: schema.int_or_string,
            nullable: schema.nullable,
            preserve_unknown: schema.preserve_unknown_fields == Some(true),
            embedded: schema.embedded_resource,
            properties,
            additional,
            items,
            required: schema.required.clone(),
            default: schema.default.clone(),
            allowed: schema.enum_.clone(),
            numbers: number_rules(schema),
            strings: self.string_rules(schema, path),
            counts: count_rules(schema),
            list_type: schema.list_type,
            list_keys: schema.list_map_keys.clone(),
            logic: self.logic(schema, path),
            rules: self.rules(schema, path, correlatable),
            ..Node::default()
        };
        summarise(&mut node);
        node
    }

    fn string_rules(&mut self, schema: &Schema, path: &str) -> Option<Box<StringRules>> {
        let pattern = schema.pattern.as_ref().and_then(|source| match Pattern::new(source) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let detail = format!("must be a valid regular expression, but isn't: {error}");
                let shown = Value::String(source.clone());
                self.causes.push(invalid(format!("{path}.pattern"), &shown, &detail));
                None
            }
        });
        let format = schema.format.as_deref().and_then(Format::named);
        let says_something =
            pattern.is_some() || format.is_some() || schema.min_length.is_some() || schema.max_length.is_some();
        says_something.then(|| {
            Box::new(StringRules { min_length: schema.min_length, max_length: schema.max_length, pattern, format })
        })
    }

    fn logic(&mut self, schema: &Schema, path: &str) -> Option<Box<Logic>> {
        let mut branches = |list: &[Schema], word: &str| -> Vec<Node> {
            list.iter()
                .enumerate()
                .map(|(index, branch)| self.node(branch, &format!("{path}.{word}[{index}]"), false))
                .collect()
        };
        let logic = Logic {
            all_of: branches(&schema.all_of, "allOf"),
            any_of: branches(&schema.any_of, "anyOf"),
            one_of: branches(&schema.one_of, "oneOf"),
            not: schema.not.as_deref().map(|not| self.node(not, &format!("{path}.not"), false)),
        };
        let is_empty =
            logic.all_of.is_empty() && logic.any_of.is_empty() && logic.one_of.is_empty() && logic.not.is_none();
        (!is_empty).then(|| Box::new(logic))
    }

    /// Counts a rule; whether it is still within what one schema may have.
    fn has_room_for(&mut self, rule: &ValidationRule, path: &str) -> bool {
        let had_room = self.rules <= cel::MOST_RULES && self.rule_bytes <= cel::MOST_RULE_BYTES;
        self.rules += 1;
        self.rule_bytes += rule.rule.len() + rule.message_expression.as_ref().map_or(0, String::len);
        if self.rules > cel::MOST_RULES || self.rule_bytes > cel::MOST_RULE_BYTES {
            if had_room {
                let (rules, bytes) = (cel::MOST_RULES, cel::MOST_RULE_BYTES);
                let message = format!("Too many: a schema may have at most {rules} rules of {bytes} bytes together");
                self.causes.push(cause(TOO_MANY, path, message));
            }
            return false;
        }
        true
    }

    fn rules(&mut self, schema: &Schema, path: &str, correlatable: bool) -> Vec<Rule> {
        let mut rules = Vec::with_capacity(schema.validations.len());
        for (index, rule) in schema.validations.iter().enumerate() {
            let rule_path = format!("{path}.x-kubernetes-validations[{index}]");
            if !self.has_room_for(rule, &rule_path) {
                return rules;
            }
            match Rule::compile(rule, schema, &rule_path, correlatable) {
                Ok(rule) => rules.push(rule),
                Err(causes) => self.causes.extend(causes),
            }
        }
        rules
    }
}

fn number_rules(schema: &Schema) -> Option<Box<NumberRules>> {
    let rules = NumberRules {
        minimum: schema.minimum.clone().map(|minimum| (minimum, schema.exclusive_minimum)),
        maximum: schema.maximum.clone().map(|maximum| (maximum, schema.exclusive_maximum)),
        multiple_of: schema.multiple_of.clone(),
        int32: schema.format.as_deref() == Some("int32"),
    };
    let says_something =
        rules.minimum.is_some() || rules.maximum.is_some() || rules.multiple_of.is_some() || rules.int32;
    says_something.then(|| Box::new(rules))
}

fn count_rules(schema: &Schema) -> Option<Box<CountRules>> {
    let rules = CountRules {
        min_items: schema.min_items,
        max_items: schema.max_items,
        min_properties: schema.min_properties,
        max_properties: schema.max_properties,
    };
    let says_something = rules.min_items.is_some()
        || rules.max_items.is_some()
        || rules.min_properties.is_some()
        || rules.max_properties.is_some();
    says_something.then(|| Box::new(rules))
}

/// Writes down what stands at or below a node, so that walks can leave out whole subtrees.
fn summarise(node: &mut Node) {
    let free = match &node.additional {
        Additional::Schema(schema) => Some(schema.as_ref()),
        Additional::Unspecified | Additional::Any => None,
    };
    let below = || node.properties.iter().map(|(_, member)| member).chain(free).chain(node.items.as_deref());
    let defaults = below().any(|child| child.defaults_below || child.default.is_some());
    let rules = !node.rules.is_empty() || below().any(|child| child.rules_below);
    let is_unique = matches!(node.list_type, Some(ListType::Set | ListType::Map));
    let lists = is_unique || node.embedded || below().any(|child| child.lists_below);
    (node.defaults_below, node.rules_below, node.lists_below) = (defaults, rules, lists);
}

/// A default must itself be valid, or every object that relies on it would be refused.
fn check_defaults(schema: &Schema, node: &Node, path: &str, causes: &mut Vec<StatusCause>) {
    if let Some(default) = &node.default {
        let mut walk = Walk::default();
        let mut filled = default.clone();
        default::default_below(node, &mut filled);
        walk.node(node, &filled, None, Path::Root);
        for found in walk.causes {
            let message = found.message.replace(" in body ", " ").replace(":  ", ": ");
            let field = if found.field.is_empty() {
                format!("{path}.default")
            } else {
                format!("{path}.default.{}", found.field)
            };
            causes.push(StatusCause { field, message, ..found });
        }
    }
    for ((name, member), (_, node)) in schema.properties.iter().zip(&node.properties) {
        check_defaults(member, node, &format!("{path}.properties[{name}]"), causes);
    }
    if let (Some(items), Some(node)) = (&schema.items, &node.items) {
        check_defaults(items, node, &format!("{path}.items"), causes);
    }
    if let (Some(AdditionalProperties::Schema(member)), Additional::Schema(node)) =
        (schema.additional_properties.as_deref(), &node.additional)
    {
        check_defaults(member, node, &format!("{path}.additionalProperties"), causes);
    }
}
