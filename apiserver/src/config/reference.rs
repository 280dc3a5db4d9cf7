//! The configuration's reference page, made from its own types.

use std::fmt::Write as _;

use schemars::schema_for;
use serde_json::Value;

use super::{AuditRule, Config};

const HEAD: &str = "# Configuration\n\n\
`ccd serve --config FILE`, or `DIR/config.toml` when that exists. TOML. Every field may be left out; a field that does\n\
not exist is an error that names its line. Changes need a restart; tokens, roles and certificates do not.\n\n\
Generated from the program; do not edit.\n";

/// Returns `docs/config.md`.
#[must_use]
pub fn markdown() -> String {
    let schema = schema_for!(Config).to_value();
    let defaults = serde_json::to_value(Config::default()).expect("a configuration always serialises");
    let mut page = HEAD.to_owned();
    for (section, reference) in schema["properties"].as_object().into_iter().flatten() {
        let definition = resolve(&schema, reference);
        let about = reference["description"].as_str().unwrap_or_default();
        write!(page, "\n## `[{section}]`\n\n{about}\n\n").expect(NEVER);
        table(&mut page, definition, &defaults[section]);
    }
    let rule = schema_for!(AuditRule).to_value();
    let rule_defaults = serde_json::to_value(AuditRule::default()).expect("a rule always serialises");
    page.push_str("\n## `[[audit.rules]]`\n\nRules are tried in order.\n\n");
    table(&mut page, &rule, &rule_defaults);
    page
}

const NEVER: &str = "writing to a String cannot fail";

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/"));
    reference.map_or(schema, |path| path.split('/').fold(root, |value, step| &value[step]))
}

fn table(page: &mut String, definition: &Value, defaults: &Value) {
    page.push_str("| field | default | meaning |\n|---|---|---|\n");
    for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
        let meaning = schema["description"].as_str().unwrap_or_default().replace('\n', " ");
        let default = match &defaults[field] {
            Value::Null => String::new(),
            Value::Array(items) if !items.is_empty() => "see below".to_owned(),
            value => format!("`{value}`"),
        };
        writeln!(page, "| `{field}` | {default} | {meaning} |").expect(NEVER);
    }
}
