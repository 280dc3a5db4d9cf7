//! `ccctl explain`: fields and what they mean, from the server's OpenAPI documents.

use clap::Args;
use serde_json::{Map, Value};

use crate::client::request::ApiRequest;
use crate::discovery::ResourceType;
use crate::error::{CommandError, Outcome, Result};
use crate::fields;
use crate::output::text::{Colour, coloured};
use crate::session::Session;

/// Width of descriptions when nobody looks at a terminal.
const WIDTH: usize = 80;
/// Deepest nesting that --recursive prints.
const DEPTH_MAX: usize = 20;

/// Describe the fields of a resource type
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  ccctl explain recipe\n  ccctl explain recipe.spec.tests\n  ccctl explain testrun --recursive"
)]
pub struct ExplainArguments {
    /// TYPE or TYPE.FIELD.FIELD…
    #[arg(value_name = "TYPE.FIELD")]
    pub path: String,
    /// Print all fields below, without descriptions
    #[arg(long)]
    pub recursive: bool,
    /// Version to describe, as group/version
    #[arg(long, value_name = "VERSION")]
    pub api_version: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// There is no such type or field; the server has no OpenAPI document for it.
pub async fn run(session: &Session, arguments: ExplainArguments) -> Result<Outcome> {
    let (resource, path) = resource_and_path(session, &arguments).await?;
    let schemas = Schemas(document(session, &resource).await?);
    let root = schemas
        .root(&resource)
        .ok_or_else(|| CommandError::server(format!("the server does not describe {}", resource.qualified_plural())))?;
    let mut node = root;
    let mut walked = resource.singular.clone();
    let mut field = None;
    for name in &path {
        let children = schemas.children(&node);
        let Some(child) = children.get(name) else {
            let known: Vec<&str> = children.keys().map(String::as_str).collect();
            let error = CommandError::user(format!("field \"{name}\" does not exist in {walked}")).exit_with(1);
            return Err(if known.is_empty() {
                error.hint(format!("{walked} has no fields"))
            } else {
                error.hint(format!("its fields are: {}", known.join(", ")))
            });
        };
        field = Some((name.clone(), schemas.type_text(child)));
        node = schemas.resolved(child);
        walked = format!("{walked}.{name}");
    }
    let page = Page { session, schemas: &schemas };
    session.print(&page.text(&resource, field, &node, arguments.recursive))?;
    Ok(Outcome::Success)
}

/// Splits `TYPE.FIELD.FIELD`; the type itself may contain dots (`recipes.ci.coopcloud.tech.spec`).
async fn resource_and_path(session: &Session, arguments: &ExplainArguments) -> Result<(ResourceType, Vec<String>)> {
    let words: Vec<&str> = arguments.path.trim_end_matches('.').split('.').collect();
    let discovery = session.discovery().await?;
    let qualified = (2..=words.len()).rev().find_map(|count| {
        let name = words[..count].join(".");
        let found = discovery.find(&name)?;
        let suffix = name.split_once('.').map_or("", |(_, suffix)| suffix);
        // `recipe.ci` could be a field; only a whole group counts as part of the type.
        (suffix == found.group || suffix == format!("{}.{}", found.version, found.group))
            .then(|| (found.clone(), count))
    });
    let (mut resource, used) = match qualified {
        Some(found) => found,
        None => (session.resource_type(words.first().copied().unwrap_or_default()).await?, 1),
    };
    if let Some(version) = &arguments.api_version {
        resource = session.resource_type_of(version, &resource.kind).await?.ok_or_else(|| {
            CommandError::user(format!("the server has no {} in version {version}", resource.kind))
                .exit_with(1)
                .hint("see the versions there are with `ccctl api-versions`")
        })?;
    }
    let path = words[used..].iter().map(|word| (*word).to_owned()).collect();
    Ok((resource, path))
}

async fn document(session: &Session, resource: &ResourceType) -> Result<Value> {
    let client = session.client()?;
    let index = client.json(ApiRequest::get("/openapi/v3")).await?;
    let key = if resource.group.is_empty() {
        format!("api/{}", resource.version)
    } else {
        format!("apis/{}", resource.api_version())
    };
    let Some(url) = index["paths"][key.as_str()]["serverRelativeURL"].as_str() else {
        return Err(CommandError::server(format!("the server has no OpenAPI document for {}", resource.api_version())));
    };
    client.json(ApiRequest::get(url)).await
}

struct Schemas(Value);

impl Schemas {
    fn root(&self, resource: &ResourceType) -> Option<Value> {
        let marked = |schema: &&Value| {
            schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten().any(|marker| {
                fields::text(marker, "group") == resource.group
                    && fields::text(marker, "version") == resource.version
                    && fields::text(marker, "kind") == resource.kind
            })
        };
        self.0["components"]["schemas"].as_object()?.values().find(marked).cloned()
    }

    /// Follows `$ref` and a lone `allOf`; the description beside them wins.
    fn resolved(&self, schema: &Value) -> Value {
        let mut current = schema.clone();
        for _ in 0..DEPTH_MAX {
            let outer = current["description"].clone();
            let target = match (current["$ref"].as_str(), current["allOf"].as_array().map(Vec::as_slice)) {
                (Some(reference), _) => {
                    let name = reference.rsplit('/').next().unwrap_or_default();
                    self.0["components"]["schemas"][name].clone()
                }
                (None, Some([one])) => one.clone(),
                _ => return current,
            };
            current = target;
            if outer.is_string() {
                current["description"] = outer;
            }
        }
        current
    }

    /// Returns the fields of a schema, of a list's items or of a map's values.
    fn children(&self, schema: &Value) -> Map<String, Value> {
        let schema = self.resolved(schema);
        if let Some(properties) = schema["properties"].as_object() {
            return properties.clone();
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                return self.children(&schema[inner]);
            }
        }
        Map::new()
    }

    fn type_text(&self, schema: &Value) -> String {
        let resolved = self.resolved(schema);
        if resolved["x-kubernetes-int-or-string"] == true {
            return "IntOrString".to_owned();
        }
        match resolved["type"].as_str() {
            Some("array") => format!("[]{}", self.type_text(&resolved["items"])),
            Some("object") | None if resolved["additionalProperties"].is_object() => {
                format!("map[string]{}", self.type_text(&resolved["additionalProperties"]))
            }
            Some("object") | None => named(schema).unwrap_or_else(|| "Object".to_owned()),
            Some(other) => other.to_owned(),
        }
    }
}

/// Returns the last part of a referenced schema's name, such as `ObjectMeta`.
fn named(schema: &Value) -> Option<String> {
    let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str())?;
    reference.rsplit('.').next().map(str::to_owned)
}

fn choices(schema: &Value) -> Option<String> {
    let choices: Vec<String> = schema["enum"].as_array()?.iter().map(api_types::jsonpath::plain_text).collect();
    Some(choices.join(", "))
}

struct Page<'run> {
    session: &'run Session,
    schemas: &'run Schemas,
}

impl Page<'_> {
    fn text(&self, resource: &ResourceType, field: Option<(String, String)>, node: &Value, recursive: bool) -> String {
        let mut text = String::new();
        if !resource.group.is_empty() {
            text += &format!("GROUP:      {}\n", resource.group);
        }
        text += &format!("KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version);
        if let Some((name, type_)) = field {
            text += &format!("FIELD: {name} <{type_}>\n{}\n", self.constraints(node, "    "));
        }
        let description = fields::text(node, "description");
        text += "DESCRIPTION:\n";
        text += &self.wrapped(if description.is_empty() { "<empty>" } else { description }, "    ");
        let children = self.schemas.children(node);
        if !children.is_empty() {
            text += "\nFIELDS:\n";
            let required = self.required(node);
            text += &if recursive { self.tree(&children, &required, 1) } else { self.list(&children, &required) };
        }
        text
    }

    fn required(&self, node: &Value) -> Vec<String> {
        let node = self.schemas.resolved(node);
        if let Some(names) = node["required"].as_array() {
            return names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        }
        if node["items"].is_object() { self.required(&node["items"]) } else { Vec::new() }
    }

    fn heading(&self, name: &str, schema: &Value, required: &[String]) -> String {
        let mark = if required.iter().any(|known| known == name) { " -required-" } else { "" };
        let name = coloured(name, Colour::Bold, self.session.stdout_colours());
        format!("{name}\t<{}>{mark}\n", self.schemas.type_text(schema))
    }

    fn list(&self, children: &Map<String, Value>, required: &[String]) -> String {
        let mut text = String::new();
        for (name, schema) in children {
            let resolved = self.schemas.resolved(schema);
            text += &format!("  {}", self.heading(name, schema, required));
            text += &self.constraints(&resolved, "    ");
            let description = fields::text(&resolved, "description");
            text += &self.wrapped(if description.is_empty() { "<no description>" } else { description }, "    ");
            text += "\n";
        }
        text
    }

    fn tree(&self, children: &Map<String, Value>, required: &[String], depth: usize) -> String {
        let mut text = String::new();
        for (name, schema) in children {
            text += &format!("{}{}", "  ".repeat(depth), self.heading(name, schema, required));
            if let Some(choices) = choices(&self.schemas.resolved(schema)) {
                text += &format!("{}enum: {choices}\n", "  ".repeat(depth + 1));
            }
            if depth < DEPTH_MAX {
                text += &self.tree(&self.schemas.children(schema), &self.required(schema), depth + 1);
            }
        }
        text
    }

    /// Returns what a value must look like: choices, default, limits.
    fn constraints(&self, schema: &Value, indent: &str) -> String {
        let mut text = String::new();
        if let Some(choices) = choices(schema) {
            text += &format!("{indent}enum: {choices}\n");
        }
        if !schema["default"].is_null() && schema["default"] != serde_json::json!({}) {
            text += &format!("{indent}default: {}\n", schema["default"]);
        }
        for (key, word) in [
            ("pattern", "pattern"),
            ("format", "format"),
            ("minimum", "minimum"),
            ("maximum", "maximum"),
            ("maxLength", "longest"),
        ] {
            if !schema[key].is_null() {
                text += &format!("{indent}{word}: {}\n", api_types::jsonpath::plain_text(&schema[key]));
            }
        }
        text
    }

    fn wrapped(&self, description: &str, indent: &str) -> String {
        let width = self.session.environment.stdout_width.unwrap_or(WIDTH).clamp(40, 120) - indent.len();
        let mut text = String::new();
        for paragraph in description.lines() {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                    text += &format!("{indent}{line}\n");
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            text += format!("{indent}{line}").trim_end();
            text += "\n";
        }
        text
    }
}
