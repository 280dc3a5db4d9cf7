//! The page of a kind: everything that its definition says, as Markdown for people.

use serde_json::Value;

use crate::definition::Scope;
use crate::registry::Definition;
use crate::schema::{AdditionalProperties, ListType, Schema, SchemaType};

#[cfg(test)]
mod tests;

/// Returns the page of a kind; `example` is the text of its example manifest.
#[must_use]
pub fn page(definition: &Definition, example: &str) -> String {
    let spec = &definition.spec;
    let version = definition.storage_version();
    let root = version.schema.as_ref().map(|schema| &schema.open_api_v3_schema);
    let mut page = format!("# {}\n\n", spec.names.kind);
    if let Some(root) = root {
        push(&mut page, &format!("{}\n\n", root.description));
    }
    let api_version =
        if spec.group.is_empty() { version.name.clone() } else { format!("{}/{}", spec.group, version.name) };
    let short = spec.names.short_names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let scope = match spec.scope {
        Scope::Namespaced => "in a namespace",
        Scope::Cluster => "once for the whole store",
    };
    push(&mut page, "| | |\n|---|---|\n");
    push(&mut page, &format!("| API version | `{api_version}` |\n"));
    push(&mut page, &format!("| resource | `{}` |\n", spec.names.plural));
    if !short.is_empty() {
        push(&mut page, &format!("| short | {short} |\n"));
    }
    push(&mut page, &format!("| lives | {scope} |\n"));
    if !version.selectable_fields.is_empty() {
        let fields: Vec<String> = version
            .selectable_fields
            .iter()
            .map(|field| format!("`{}`", field.json_path.trim_start_matches('.')))
            .collect();
        push(&mut page, &format!("| field selectors | {} |\n", fields.join(", ")));
    }
    push(&mut page, &format!("\n## Example\n\n```yaml\n{}\n```\n", example.trim_end()));
    push(&mut page, "\n## Columns\n\n| column | shows | with |\n|---|---|---|\n");
    for column in &version.additional_printer_columns {
        let with = if column.priority.unwrap_or_default() > 0 { "`-o wide`" } else { "" };
        let text = column.description.as_deref().unwrap_or_default();
        push(&mut page, &format!("| {} | {text} | {with} |\n", column.name));
    }
    push(&mut page, "\n## Fields\n\n");
    for (name, node) in root.into_iter().flat_map(|root| &root.properties) {
        if !["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            let is_required = root.is_some_and(|root| root.required.contains(name));
            fields(&mut page, name, node, is_required, 0);
        }
    }
    page
}

/// Writes one field and everything within, as a list in lists.
fn fields(page: &mut String, name: &str, node: &Schema, is_required: bool, depth: usize) {
    let indent = "  ".repeat(depth);
    let required = if is_required { ", **required**" } else { "" };
    let mut facts = facts(node);
    if !facts.is_empty() {
        facts.insert(0, String::new());
    }
    let text = node.description.replace("\n\n", " ");
    push(page, &format!("{indent}- `{name}` ({}{required}{}) {text}\n", type_name(node), facts.join(", ")));
    rules(page, node, depth + 1);
    let within = inner(node);
    if !std::ptr::eq(within, node) {
        rules(page, within, depth + 1);
    }
    for (name, property) in &within.properties {
        fields(page, name, property, within.required.contains(name), depth + 1);
    }
}

fn rules(page: &mut String, node: &Schema, depth: usize) {
    for rule in &node.validations {
        let text = rule.message.as_deref().unwrap_or(&rule.rule);
        push(page, &format!("{}- *rule:* {text}\n", "  ".repeat(depth)));
    }
}

/// The node whose members a reader wants to see: that of the items of a list, or of the values of a map.
fn inner(node: &Schema) -> &Schema {
    if let Some(items) = &node.items {
        return inner(items);
    }
    match node.additional_properties.as_deref() {
        Some(AdditionalProperties::Schema(members)) => inner(members),
        _ => node,
    }
}

fn type_name(node: &Schema) -> String {
    if let Some(items) = &node.items {
        return format!("list of {}", type_name(items));
    }
    if let Some(AdditionalProperties::Schema(members)) = node.additional_properties.as_deref() {
        return format!("map of {}", type_name(members));
    }
    if node.int_or_string {
        return "quantity".to_owned();
    }
    let name = match node.type_ {
        Some(SchemaType::Object) => "object",
        Some(SchemaType::Array) => "list",
        Some(SchemaType::String) if node.format.as_deref() == Some("date-time") => "time",
        Some(SchemaType::String) => "string",
        Some(SchemaType::Integer) => "integer",
        Some(SchemaType::Number) => "number",
        Some(SchemaType::Boolean) => "boolean",
        None if !node.enum_.is_empty() => "word or boolean",
        None => "anything",
    };
    name.to_owned()
}

fn facts(node: &Schema) -> Vec<String> {
    let mut facts = Vec::new();
    let value = inner(node);
    if !value.enum_.is_empty() {
        facts.push(format!("one of {}", value.enum_.iter().map(code).collect::<Vec<_>>().join(", ")));
    }
    if let Some(default) = node.default.as_ref().filter(|default| !default.is_object()) {
        facts.push(format!("default {}", code(default)));
    }
    match (&value.minimum, &value.maximum) {
        (Some(minimum), Some(maximum)) => facts.push(format!("{minimum} to {maximum}")),
        (Some(minimum), None) if value.type_.is_some() => facts.push(format!("at least {minimum}")),
        (None, Some(maximum)) => facts.push(format!("at most {maximum}")),
        _ => {}
    }
    if let Some(length) = value.max_length.filter(|_| value.enum_.is_empty() && value.format.is_none()) {
        facts.push(format!("at most {length} characters"));
    }
    if let Some(pattern) = &value.pattern {
        facts.push(format!("matches `{pattern}`"));
    }
    if let Some(items) = node.max_items {
        facts.push(format!("at most {items} items"));
    }
    if let Some(members) = node.max_properties {
        facts.push(format!("at most {members} members"));
    }
    match node.list_type {
        Some(ListType::Map) => {
            let keys: Vec<String> = node.list_map_keys.iter().map(|key| format!("`{key}`")).collect();
            facts.push(format!("merged by {}", keys.join(" and ")));
        }
        Some(ListType::Set) => facts.push("each once".to_owned()),
        _ => {}
    }
    facts
}

fn code(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => format!("`{other}`"),
    }
}

fn push(page: &mut String, text: &str) {
    page.push_str(text);
}
