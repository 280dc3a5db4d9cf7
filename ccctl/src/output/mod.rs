//! What goes to stdout: tables, YAML, JSON, names and single fields.

pub mod columns;
pub mod json;
pub mod jsonpath;
pub mod table;
pub mod text;
pub mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

use api_types::jsonpath::{JsonPath, Template};
use serde_json::{Value, json};

use self::columns::CustomColumns;
use crate::error::{CommandError, Result};

/// A format as `-o` names it.
#[derive(Clone, Debug)]
pub enum Format {
    /// The server's columns.
    Table,
    /// The server's columns, also the less important ones.
    Wide,
    /// YAML documents.
    Yaml,
    /// JSON, indented as kubectl does.
    Json,
    /// `kind.group/name` per line.
    Name,
    /// A JSONPath template.
    JsonPath(Template),
    /// A JSONPath whose matches are printed as a JSON list.
    JsonPathAsJson(JsonPath),
    /// Columns that the person chose.
    CustomColumns(CustomColumns),
}

/// Lists the formats for errors and help.
pub const FORMATS: &str = "table, wide, yaml, json, name, jsonpath=TEMPLATE, jsonpath-file=FILE, custom-columns=SPEC, custom-columns-file=FILE";

impl Format {
    /// Reads the value of `-o`.
    ///
    /// # Errors
    /// Unknown format, or a template that cannot be understood.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        match (name, argument) {
            ("" | "table", None) => Ok(Self::Table),
            ("wide", None) => Ok(Self::Wide),
            ("yaml", None) => Ok(Self::Yaml),
            ("json", None) => Ok(Self::Json),
            ("name", None) => Ok(Self::Name),
            ("jsonpath", Some(template)) => Ok(Self::JsonPath(jsonpath::template(template)?)),
            ("jsonpath-as-json", Some(path)) => Ok(Self::JsonPathAsJson(jsonpath::path(path)?)),
            ("jsonpath-file", Some(file)) => {
                Ok(Self::JsonPath(jsonpath::template(read(file)?.trim_end_matches('\n'))?))
            }
            ("custom-columns", Some(spec)) => Ok(Self::CustomColumns(CustomColumns::parse(spec)?)),
            ("custom-columns-file", Some(file)) => Ok(Self::CustomColumns(CustomColumns::parse_file(&read(file)?)?)),
            ("jsonpath" | "jsonpath-as-json" | "jsonpath-file" | "custom-columns" | "custom-columns-file", None) => {
                Err(CommandError::user(format!("-o {name} needs an argument: -o {name}=…"))
                    .hint("for example -o jsonpath='{.metadata.name}' or -o custom-columns=NAME:.metadata.name"))
            }
            ("go-template" | "go-template-file" | "template" | "templatefile", _) => {
                Err(CommandError::user(format!("ccctl has no Go templates: -o {name} is not supported"))
                    .hint("-o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}' does the same work"))
            }
            _ => {
                Err(CommandError::user(format!("unable to match a printer suitable for the output format \"{text}\""))
                    .hint(format!("allowed formats are: {FORMATS}")))
            }
        }
    }

    /// Says whether the server's tables are needed.
    #[must_use]
    pub fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

fn read(file: &str) -> Result<String> {
    std::fs::read_to_string(Path::new(file)).map_err(|error| CommandError::user(format!("cannot read {file}: {error}")))
}

/// Returns one object, or the list of several, in a format that is no table.
#[must_use]
pub fn render(format: &Format, object: &Value, name: &dyn Fn(&Value) -> String) -> String {
    match format {
        Format::Json => json::to_string(object),
        Format::Yaml => yaml::to_string(object),
        Format::Name => items(object).iter().map(|item| format!("{}\n", name(item))).collect(),
        Format::JsonPath(template) => template.render(object),
        Format::JsonPathAsJson(path) => json::to_string(&path.find(object).into_iter().cloned().collect()),
        Format::CustomColumns(columns) => columns.render(&items(object), columns::Headers::Shown),
        Format::Table | Format::Wide => String::new(),
    }
}

/// Returns a list's items, or the object itself.
#[must_use]
pub fn items(object: &Value) -> Vec<Value> {
    match object["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![object.clone()],
    }
}

/// Returns several objects as kubectl prints them: as a `List`.
#[must_use]
pub fn list_of(objects: Vec<Value>) -> Value {
    json!({"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}})
}

/// Removes `managedFields`, which nobody wants to read unless they ask for it.
pub fn hide_managed_fields(object: &mut Value) {
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(hide_managed_fields);
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
}
