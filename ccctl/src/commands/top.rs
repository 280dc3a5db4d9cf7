//! `ccctl top`: figures from the status of hosts, apps or any other kind, side by side.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use crate::error::{Outcome, Result};
use crate::fields;
use crate::objects;
use crate::output::table::{Style, Table};
use crate::output::text;
use crate::session::Session;

/// Fields of a status that are no figures.
const IGNORED: [&str; 2] = ["observedGeneration", "conditions"];
/// Columns that fit beside each other.
const COLUMNS_MAX: usize = 12;

/// Print figures of hosts, apps or another type
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  ccctl top\n  ccctl top apps -A\n  ccctl top hosts --sort-by=memory.used")]
pub struct TopArguments {
    /// The type
    #[arg(value_name = "TYPE", default_value = "hosts")]
    pub resource_type: String,
    /// Objects whose labels match
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Print the largest of this figure first
    #[arg(long, value_name = "FIGURE")]
    pub sort_by: Option<String>,
    /// Leave the headings out
    #[arg(long)]
    pub no_headers: bool,
}

struct Row {
    namespace: String,
    name: String,
    state: String,
    figures: BTreeMap<String, f64>,
}

/// Runs the command.
///
/// # Errors
/// What the server refuses.
pub async fn run(session: &Session, arguments: TopArguments) -> Result<Outcome> {
    let resource = session.resource_type(&arguments.resource_type).await?;
    let namespace = if arguments.all_namespaces || !resource.namespaced { None } else { Some(session.namespace()?) };
    let request = crate::client::request::ApiRequest::get(resource.collection_path(namespace.as_deref()))
        .query_if("labelSelector", arguments.selector.as_deref());
    let list = objects::list_pages(session, request, objects::PAGE).await?;
    let mut rows: Vec<Row> = list["items"].as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        session.note(&format!("No {} found", resource.plural));
        return Ok(Outcome::Success);
    }
    if let Some(figure) = &arguments.sort_by {
        let value = |row: &Row| row.figures.get(figure).copied().unwrap_or(f64::NEG_INFINITY);
        rows.sort_by(|left, right| value(right).total_cmp(&value(left)));
    }
    let mut names: Vec<String> = rows.iter().flat_map(|row| row.figures.keys().cloned()).collect();
    names.sort();
    names.dedup();
    names.truncate(COLUMNS_MAX);
    let with_namespace = arguments.all_namespaces && resource.namespaced;
    let mut headings = vec!["NAME".to_owned(), "STATE".to_owned()];
    if with_namespace {
        headings.insert(0, "NAMESPACE".to_owned());
    }
    headings.extend(names.iter().map(|name| name.to_uppercase()));
    let style = Style {
        width_max: session.environment.stdout_width,
        colours: session.stdout_colours(),
        without_headings: arguments.no_headers,
        ..Style::default()
    };
    let lines: Vec<Vec<String>> = rows.into_iter().map(|row| cells(row, &names, with_namespace)).collect();
    session.print_table(&mut Table::new(headings, style), &lines)?;
    Ok(Outcome::Success)
}

fn row(object: &Value) -> Row {
    let mut figures = BTreeMap::new();
    for (name, value) in object["status"].as_object().into_iter().flatten() {
        if !IGNORED.contains(&name.as_str()) {
            collect(name, value, 2, &mut figures);
        }
    }
    Row {
        namespace: fields::namespace(object).unwrap_or_default().to_owned(),
        name: fields::name(object).to_owned(),
        state: fields::state(object),
        figures,
    }
}

/// Collects numbers, those of fields within fields under a dotted name; of lists the length counts.
fn collect(name: &str, value: &Value, depth: usize, figures: &mut BTreeMap<String, f64>) {
    match value {
        Value::Number(number) => {
            figures.extend(number.as_f64().map(|number| (name.to_owned(), number)));
        }
        Value::Array(items) => {
            figures.insert(name.to_owned(), f64::from(u32::try_from(items.len()).unwrap_or(u32::MAX)));
        }
        Value::Object(fields) if depth > 0 => {
            for (inner, value) in fields {
                collect(&format!("{name}.{inner}"), value, depth - 1, figures);
            }
        }
        _ => {}
    }
}

fn cells(row: Row, names: &[String], with_namespace: bool) -> Vec<String> {
    let mut cells = vec![row.name, row.state];
    if with_namespace {
        cells.insert(0, row.namespace);
    }
    cells.extend(names.iter().map(|name| row.figures.get(name).map_or_else(String::new, |value| figure(name, *value))));
    cells
}

/// Writes a number with the unit that its name tells.
fn figure(name: &str, value: f64) -> String {
    let lower = name.to_lowercase();
    let is_percent = lower.ends_with("percent");
    let is_bytes =
        !is_percent && ["bytes", "memory", "disk"].iter().any(|word| lower.contains(word)) && value >= 1024.0;
    match (is_percent, is_bytes) {
        (true, _) => format!("{value:.0}%"),
        (_, true) => text::bytes(value),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}
