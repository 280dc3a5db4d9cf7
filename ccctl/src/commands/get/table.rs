//! The server's tables, with the columns that ccctl adds: namespace, kind, labels.

use serde_json::{Value, json};

use crate::output::table::{Style, Table, cell_text};
use crate::output::text;
use crate::session::Session;

/// Which columns to print.
#[derive(Clone, Debug, Default)]
pub(super) struct TableSettings {
    /// The less important columns too.
    pub(super) wide: bool,
    /// A column with all labels.
    pub(super) show_labels: bool,
    /// A column per label.
    pub(super) label_columns: Vec<String>,
    /// A column with the namespace.
    pub(super) with_namespace: bool,
    /// What to put before each name: `kind.group`.
    pub(super) kind_prefix: Option<String>,
    /// No headings.
    pub(super) without_headings: bool,
    /// More rows may follow: columns that are empty now stay.
    pub(super) watches: bool,
}

/// Prints rows of the server's tables.
pub(super) struct TablePrinter {
    settings: TableSettings,
    style: Style,
    columns: Vec<Column>,
    table: Option<Table>,
    now: jiff::Timestamp,
}

struct Column {
    index: usize,
    heading: String,
    is_name: bool,
}

impl TablePrinter {
    pub(super) fn new(session: &Session, settings: TableSettings) -> Self {
        let style = Style { hides_empty: !settings.watches, ..session.table_style(settings.without_headings) };
        Self { settings, style, columns: Vec::new(), table: None, now: session.now() }
    }

    /// Returns a table's rows and learns its columns, which a watch sends only once. A server without tables sends
    /// objects: they become rows of name and age.
    pub(super) fn rows(&mut self, table: &Value) -> Vec<Value> {
        if table["kind"] != "Table" {
            self.learn(&[json!({"name": "Name", "format": "name"}), json!({"name": "Age"})]);
            return crate::output::items(table)
                .iter()
                .map(|object| {
                    let age = text::age(object["metadata"]["creationTimestamp"].as_str(), self.now);
                    json!({"cells": [object["metadata"]["name"], age], "object": object})
                })
                .collect();
        }
        if let Some(definitions) = table["columnDefinitions"].as_array().filter(|list| !list.is_empty()) {
            self.learn(definitions);
        }
        table["rows"].as_array().cloned().unwrap_or_default()
    }

    fn learn(&mut self, definitions: &[Value]) {
        if self.table.is_some() {
            return;
        }
        self.columns = definitions
            .iter()
            .enumerate()
            .filter(|(_, definition)| self.settings.wide || definition["priority"].as_i64().unwrap_or(0) == 0)
            .map(|(index, definition)| Column {
                index,
                heading: definition["name"].as_str().unwrap_or_default().to_uppercase(),
                is_name: definition["format"] == "name",
            })
            .collect();
        let mut headings = Vec::new();
        if self.settings.with_namespace {
            headings.push("NAMESPACE".to_owned());
        }
        headings.extend(self.columns.iter().map(|column| column.heading.clone()));
        let short = |label: &String| label.rsplit('/').next().unwrap_or_default().to_uppercase();
        headings.extend(self.settings.label_columns.iter().map(short));
        if self.settings.show_labels {
            headings.push("LABELS".to_owned());
        }
        self.table = Some(Table::new(headings, self.style));
    }

    /// Returns rows as lines.
    pub(super) fn render(&mut self, rows: &[Value]) -> String {
        let lines: Vec<Vec<String>> = rows.iter().map(|row| self.cells(row)).collect();
        self.table.as_mut().map(|table| table.render(&lines)).unwrap_or_default()
    }

    /// Returns the headings of columns that are not shown.
    pub(super) fn left_out(&self) -> Vec<&str> {
        self.table.as_ref().map(Table::left_out).unwrap_or_default()
    }

    fn cells(&self, row: &Value) -> Vec<String> {
        let metadata = &row["object"]["metadata"];
        let mut cells = Vec::new();
        if self.settings.with_namespace {
            cells.push(metadata["namespace"].as_str().unwrap_or_default().to_owned());
        }
        for column in &self.columns {
            let text = cell_text(&row["cells"][column.index]);
            cells.push(match &self.settings.kind_prefix {
                Some(prefix) if column.is_name => format!("{prefix}/{text}"),
                _ => text,
            });
        }
        let label = |name: &String| metadata["labels"][name.as_str()].as_str().unwrap_or_default().to_owned();
        cells.extend(self.settings.label_columns.iter().map(label));
        if self.settings.show_labels {
            let all = metadata["labels"].as_object().map_or_else(String::new, |labels| {
                let pairs: Vec<String> = labels
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
                    .collect();
                pairs.join(",")
            });
            cells.push(if all.is_empty() { "<none>".to_owned() } else { all });
        }
        cells
    }
}
