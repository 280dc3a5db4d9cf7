//! `ccctl describe`: everything about objects, for reading: fields, conditions as a table, events.

use clap::Args;
use serde_json::Value;

use super::events;
use crate::error::{Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::table::{Style, Table};
use crate::output::text::{self, harmless};
use crate::reference::{ObjectReference, SelectionArguments};
use crate::session::{Failures, Session};

/// Print everything about objects
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl describe testrun nextcloud-pr12-3fa21c9-991\n  ccctl describe apps")]
pub struct DescribeArguments {
    /// Objects to describe
    #[command(flatten)]
    pub selection: SelectionArguments,
    /// Leave the events out
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub show_events: bool,
}

/// Runs the command.
///
/// # Errors
/// What the server refuses, and what cannot be understood.
pub async fn run(session: &Session, mut arguments: DescribeArguments) -> Result<Outcome> {
    // A type alone means every object, as with kubectl.
    let selection = &mut arguments.selection;
    let bare = selection.words.len() == 1 && !selection.words.iter().any(|word| word.contains('/'));
    let everything = bare && selection.selector.is_none() && selection.field_selector.is_none();
    selection.all |= everything;
    let references = selection.resolve(session).await?;
    if references.is_empty() {
        session.note("No resources found");
        return Ok(Outcome::Success);
    }
    let mut failures = Failures::default();
    let mut printed = false;
    for reference in references {
        match description(session, &reference, arguments.show_events).await {
            Ok(text) => {
                session.print(&if printed { format!("\n\n{text}") } else { text })?;
                printed = true;
            }
            Err(error) => failures.add(session, error)?,
        }
    }
    failures.finish()?;
    Ok(Outcome::Success)
}

async fn description(session: &Session, reference: &ObjectReference, show_events: bool) -> Result<String> {
    let object = objects::fetch(session, reference).await?;
    let mut lines = Lines::default();
    head(&mut lines, &object);
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" | "metadata" | "status" => {}
            _ if reference.resource.kind == "Secret" && ["data", "stringData"].contains(&name.as_str()) => {
                lines.sizes(name, value);
            }
            _ => lines.field(0, name, value),
        }
    }
    status(&mut lines, &object, session);
    if show_events {
        let about = objects::events_about(session, reference, &object).await?;
        lines.text += &events_text(&about, session);
    }
    Ok(lines.text)
}

fn head(lines: &mut Lines, object: &Value) {
    let metadata = &object["metadata"];
    lines.pair("Name", fields::name(object));
    if let Some(namespace) = fields::namespace(object) {
        lines.pair("Namespace", namespace);
    }
    lines.map("Labels", &metadata["labels"], '=');
    lines.map("Annotations", &metadata["annotations"], ':');
    lines.pair("API Version", fields::text(object, "apiVersion"));
    lines.pair("Kind", fields::text(object, "kind"));
    let mut rest = metadata.clone();
    if let Some(rest) = rest.as_object_mut() {
        for shown in ["name", "namespace", "labels", "annotations", "managedFields"] {
            rest.remove(shown);
        }
    }
    lines.field(0, "metadata", &rest);
}

fn status(lines: &mut Lines, object: &Value, session: &Session) {
    let Some(status) = object["status"].as_object() else { return };
    let mut rest = status.clone();
    rest.remove("conditions");
    if !rest.is_empty() {
        lines.field(0, "status", &Value::Object(rest));
    }
    let conditions = fields::conditions(object);
    if conditions.is_empty() {
        return;
    }
    let headings = ["Type", "Status", "Since", "Reason", "Message"].map(str::to_owned).to_vec();
    let mut table = Table::new(headings, Style { colours: session.stdout_colours(), ..Style::default() });
    let rows: Vec<Vec<String>> = conditions
        .into_iter()
        .map(|condition| {
            let since = text::age(condition.last_transition_time.as_deref(), session.now());
            vec![condition.type_, condition.status, since, condition.reason, condition.message.replace('\n', " ")]
        })
        .collect();
    lines.text += "Conditions:\n";
    lines.text += &indented(&table.render(&rows));
}

fn events_text(events: &[Value], session: &Session) -> String {
    if events.is_empty() {
        return "Events:         <none>\n".to_owned();
    }
    let headings = ["Type", "Reason", "Age", "From", "Message"].map(str::to_owned).to_vec();
    let mut table = Table::new(headings, Style { colours: session.stdout_colours(), ..Style::default() });
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let from = match fields::text(&event["source"], "component") {
                "" => fields::text(event, "reportingComponent"),
                component => component,
            };
            vec![
                fields::text(event, "type").to_owned(),
                fields::text(event, "reason").to_owned(),
                events::last_seen(event, session.now()),
                from.to_owned(),
                fields::text(event, "message").trim().replace('\n', " "),
            ]
        })
        .collect();
    format!("Events:\n{}", indented(&table.render(&rows)))
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// Builds the indented text.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn pair(&mut self, name: &str, value: &str) {
        self.text += &format!("{:<15} {}\n", format!("{name}:"), harmless(value));
    }

    fn map(&mut self, name: &str, map: &Value, separator: char) {
        let pairs: Vec<(&String, &str)> = map
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key, value.as_str().unwrap_or_default()))
            .collect();
        if pairs.is_empty() {
            self.pair(name, "<none>");
        }
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            let space = if separator == ':' { " " } else { "" };
            let text = format!("{key}{separator}{space}{}", value.replace('\n', " "));
            if index == 0 {
                self.pair(name, &text);
            } else {
                self.text += &format!("{:16}{}\n", "", harmless(&text));
            }
        }
    }

    /// Prints the keys of a secret with sizes instead of values.
    fn sizes(&mut self, name: &str, map: &Value) {
        self.text += &format!("{}:\n", title(name));
        for (key, value) in map.as_object().into_iter().flatten() {
            // Three bytes in four characters of base64, less the padding.
            let encoded = value.as_str().unwrap_or_default();
            let bytes = encoded.len() / 4 * 3 - encoded.bytes().rev().take_while(|byte| *byte == b'=').count();
            self.text += &format!("  {key}:  {bytes} bytes\n");
        }
    }

    fn field(&mut self, depth: usize, name: &str, value: &Value) {
        let indent = "  ".repeat(depth);
        match value {
            Value::Object(fields) => {
                self.text += &format!("{indent}{}:\n", title(name));
                self.fields(depth + 1, fields);
            }
            Value::Array(items) => {
                self.text += &format!("{indent}{}:\n", title(name));
                self.items(depth + 1, items);
            }
            scalar => self.scalar(&indent, &title(name), scalar, 0),
        }
    }

    fn fields(&mut self, depth: usize, fields: &serde_json::Map<String, Value>) {
        let indent = "  ".repeat(depth);
        let is_scalar = |value: &Value| !value.is_object() && !value.is_array();
        let widest = fields.iter().filter(|(_, value)| is_scalar(value)).map(|(name, _)| title(name).len()).max();
        for (name, value) in fields {
            match value {
                Value::Object(_) | Value::Array(_) => self.field(depth, name, value),
                scalar => self.scalar(&indent, &title(name), scalar, widest.unwrap_or(0)),
            }
        }
    }

    fn items(&mut self, depth: usize, items: &[Value]) {
        let indent = "  ".repeat(depth);
        for item in items {
            match item {
                Value::Object(fields) => {
                    let before = self.text.len();
                    self.fields(depth + 1, fields);
                    // The first field carries the dash of its item.
                    if let Some(first) =
                        self.text.get(before..).and_then(|added| added.find(|character| character != ' '))
                    {
                        let dash = before + first - 2;
                        self.text.replace_range(dash..=dash, "-");
                    }
                }
                Value::Array(inner) => self.items(depth + 1, inner),
                scalar => self.text += &format!("{indent}{}\n", scalar_text(scalar)),
            }
        }
    }

    fn scalar(&mut self, indent: &str, name: &str, value: &Value, widest: usize) {
        let text = scalar_text(value);
        let label = format!("{name}:");
        if text.contains('\n') {
            self.text += &format!("{indent}{label}\n");
            for line in text.lines() {
                self.text += &format!("{indent}  {line}\n");
            }
        } else {
            self.text += &format!("{indent}{label:<width$}  {text}\n", width = widest + 1);
        }
    }
}

fn scalar_text(value: &Value) -> String {
    match value {
        Value::String(text) => harmless(text),
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// Returns a field's name as words: `creationTimestamp` is `Creation Timestamp`. Keys that are no field names stay.
fn title(name: &str) -> String {
    if !name.chars().all(|character| character.is_ascii_alphanumeric()) {
        return name.to_owned();
    }
    let mut text = String::new();
    let mut previous_lower = false;
    for (index, character) in name.chars().enumerate() {
        if index == 0 {
            text.extend(character.to_uppercase());
        } else {
            if character.is_ascii_uppercase() && previous_lower {
                text.push(' ');
            }
            text.push(character);
        }
        previous_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    if text == "Uid" { "UID".to_owned() } else { text }
}
