//! `Table` of `meta.k8s.io/v1`: rows and columns that kubectl and ccctl print as they are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::definition::PrinterColumn;
use crate::duration_text::age;
use crate::jsonpath::{JsonPath, Template, plain_text};

#[cfg(test)]
mod tests;

/// `apiVersion` of tables and of partial metadata.
pub const TABLE_API_VERSION: &str = "meta.k8s.io/v1";

/// A list of objects, or one, as rows of cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    /// Always `Table`.
    pub kind: String,
    /// Always [`TABLE_API_VERSION`].
    pub api_version: String,
    /// Revision of the list, token of the next page.
    pub metadata: TableMetadata,
    /// Headings. Absent in all but the first event of a watch.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub column_definitions: Vec<ColumnDefinition>,
    /// One row for each object.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub rows: Vec<TableRow>,
}

/// `ListMeta` of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TableMetadata {
    /// The store's revision that the table shows.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Token of the next page; empty on the last.
    #[serde(rename = "continue", skip_serializing_if = "String::is_empty")]
    pub continue_: String,
    /// How many objects follow on later pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_item_count: Option<u64>,
}

/// One heading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ColumnDefinition {
    /// Heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `name` for the column that holds the object's name.
    pub format: String,
    /// What the column shows.
    pub description: String,
    /// 0 is always shown, above 0 only with `-o wide`.
    pub priority: i32,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableRow {
    /// One value for each column; `null` is blank.
    pub cells: Vec<Value>,
    /// The object, its metadata alone, or `null`.
    pub object: Value,
}

/// The columns of a kind, ready to fill rows: the name, then those of the definition.
#[derive(Clone, Debug)]
pub struct TablePlan {
    definitions: Vec<ColumnDefinition>,
    cells: Vec<CellPlan>,
}

#[derive(Clone, Debug)]
struct CellPlan {
    path: JsonPath,
    /// Of a column whose text is put together from several values; only built-in kinds have such.
    template: Option<Template>,
    type_: String,
}

impl Table {
    /// Returns a table without rows.
    #[must_use]
    pub fn new(metadata: TableMetadata, column_definitions: Vec<ColumnDefinition>) -> Self {
        Self {
            kind: "Table".to_owned(),
            api_version: TABLE_API_VERSION.to_owned(),
            metadata,
            column_definitions,
            rows: Vec::new(),
        }
    }
}

impl TablePlan {
    /// Compiles a kind's columns; without any, the object's age stands alone after its name, as in Kubernetes.
    /// A column whose path cannot be parsed stays blank.
    #[must_use]
    pub fn new(columns: &[PrinterColumn]) -> Self {
        let age = [age_column()];
        let columns = if columns.is_empty() { &age } else { columns };
        let mut plan = Self { definitions: vec![name_column()], cells: Vec::new() };
        for column in columns {
            plan.definitions.push(column_definition(column));
            let template = if column.json_path.contains('{') { Template::parse(&column.json_path).ok() } else { None };
            plan.cells.push(CellPlan {
                path: JsonPath::parse(&column.json_path).unwrap_or_else(|_| JsonPath::nowhere()),
                template,
                type_: column.type_.clone(),
            });
        }
        plan
    }

    /// Returns the headings.
    #[must_use]
    pub fn column_definitions(&self) -> &[ColumnDefinition] {
        &self.definitions
    }

    /// Returns the cells of an object; dates are ages at `now`.
    #[must_use]
    pub fn cells(&self, object: &Value, now: jiff::Timestamp) -> Vec<Value> {
        let name = object["metadata"]["name"].clone();
        std::iter::once(name).chain(self.cells.iter().map(|cell| cell.value(object, now))).collect()
    }
}

impl CellPlan {
    fn value(&self, object: &Value, now: jiff::Timestamp) -> Value {
        if let Some(template) = &self.template {
            return Value::String(template.render(object));
        }
        let mut found = self.path.find(object);
        found.retain(|value| !value.is_null());
        let Some(first) = found.first().copied() else {
            return Value::Null;
        };
        match self.type_.as_str() {
            // A list or map is counted.
            "integer" => match first {
                Value::Array(items) => Value::from(items.len()),
                Value::Object(members) => Value::from(members.len()),
                number => number.as_i64().map_or(Value::Null, Value::from),
            },
            "number" if first.is_number() => first.clone(),
            "boolean" if first.is_boolean() => first.clone(),
            "date" => match first.as_str().and_then(|since| age(since, now)) {
                Some(age) => Value::String(age),
                None => Value::from("<unknown>"),
            },
            "string" => match found.as_slice() {
                [one] => Value::String(plain_text(one)),
                // Several values stand side by side; kubectl would show the first alone.
                many => Value::String(many.iter().map(|value| plain_text(value)).collect::<Vec<_>>().join(",")),
            },
            _ => Value::Null,
        }
    }
}

/// Returns the metadata of an object as `PartialObjectMetadata`.
#[must_use]
pub fn partial_object_metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": TABLE_API_VERSION, "metadata": object["metadata"]})
}

fn column_definition(column: &PrinterColumn) -> ColumnDefinition {
    ColumnDefinition {
        name: column.name.clone(),
        type_: column.type_.clone(),
        format: column.format.clone().unwrap_or_default(),
        description: column
            .description
            .clone()
            .unwrap_or_else(|| format!("Custom resource definition column (in JSONPath format): {}", column.json_path)),
        priority: column.priority.unwrap_or_default(),
    }
}

fn name_column() -> ColumnDefinition {
    ColumnDefinition {
        name: "Name".to_owned(),
        type_: "string".to_owned(),
        format: "name".to_owned(),
        description: "The object's name: unique among the objects of its kind in its namespace, and for ever the same."
            .to_owned(),
        priority: 0,
    }
}

fn age_column() -> PrinterColumn {
    PrinterColumn {
        name: "Age".to_owned(),
        type_: "date".to_owned(),
        description: Some("How long ago the object was created.".to_owned()),
        json_path: ".metadata.creationTimestamp".to_owned(),
        ..PrinterColumn::default()
    }
}

fn null_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
