//! Tables: the columns of a kind, and one row for each object, as `kubectl get` prints them.

mod built_in;

use api_types::status::{Reason, Status};
use api_types::table::{ColumnDefinition, TablePlan};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::served::Served;
use built_in::{CellFunction, built_in_columns};

/// What the age columns of Kubernetes' own kinds say about themselves.
const AGE_TEXT: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// How much of the object each row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Include {
    /// Reads `includeObject`.
    ///
    /// # Errors
    /// `BadRequest` for an unknown word.
    pub(crate) fn parse(text: &str) -> Result<Self, Status> {
        match text {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::Nothing),
            other => Err(Status::failure(
                Reason::BadRequest,
                format!(
                    "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
                ),
            )),
        }
    }
}

/// The table of one kind, seen at one moment.
pub(crate) struct Table {
    version: &'static str,
    plan: Plan,
    include: Include,
    now: Timestamp,
}

/// Where the columns come from.
enum Plan {
    /// The definition of the kind.
    Declared(TablePlan),
    /// This program: Kubernetes' own kinds.
    BuiltIn(Vec<(ColumnDefinition, CellFunction)>),
}

impl Table {
    /// Returns the table for what is served, in `version` of `meta.k8s.io`.
    pub(crate) fn new(served: &Served, version: &'static str, include: Include, now: Timestamp) -> Self {
        let names = served.names();
        let plan = match built_in_columns(&names.group, &names.plural) {
            Some(columns) => Plan::BuiltIn(columns),
            None => Plan::Declared(TablePlan::new(&served.version().columns)),
        };
        Self { version, plan, include, now }
    }

    /// Sets the moment that ages are counted to; a watch moves it.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Returns the beginning of the document, up to and with the bracket before the first row.
    pub(crate) fn head(&self, metadata: &Value, with_columns: bool) -> Vec<u8> {
        let columns = if with_columns { self.definitions() } else { Value::Null };
        let text = format!(
            "{{\"kind\":\"Table\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"columnDefinitions\":{columns},\"rows\":[",
            self.version
        );
        text.into_bytes()
    }

    fn definitions(&self) -> Value {
        let definitions: Vec<&ColumnDefinition> = match &self.plan {
            Plan::Declared(plan) => plan.column_definitions().iter().collect(),
            Plan::BuiltIn(columns) => columns.iter().map(|(definition, _)| definition).collect(),
        };
        serde_json::to_value(definitions).expect("column definitions always serialise")
    }

    /// Appends the row of an object, given as it is shown to the client.
    pub(crate) fn row(&self, object: &[u8], out: &mut Vec<u8>) {
        let value: Value = serde_json::from_slice(object).expect("stored JSON was serialised by this program");
        let cells: Vec<Value> = match &self.plan {
            Plan::Declared(plan) => plan.cells(&value, self.now),
            Plan::BuiltIn(columns) => columns.iter().map(|(_, cell)| cell(&value, self.now)).collect(),
        };
        out.extend_from_slice(b"{\"cells\":");
        serde_json::to_writer(&mut *out, &cells).expect("a JSON value always serialises");
        out.extend_from_slice(b",\"object\":");
        match self.include {
            Include::Nothing => out.extend_from_slice(b"null"),
            Include::Metadata => metadata_only(object, self.version, out),
            Include::Object => out.extend_from_slice(object),
        }
        out.push(b'}');
    }

    /// Appends the row of a bookmark: no cells, and an object that carries metadata only.
    pub(crate) fn bookmark_row(&self, metadata: &Value, out: &mut Vec<u8>) {
        let (count, name_at) = match &self.plan {
            Plan::Declared(plan) => (plan.column_definitions().len(), 0),
            Plan::BuiltIn(columns) => {
                (columns.len(), columns.iter().position(|(column, _)| column.format == "name").unwrap_or_default())
            }
        };
        let cells: Vec<Value> = (0..count).map(|at| if at == name_at { json!("") } else { Value::Null }).collect();
        let row = json!({
            "cells": cells,
            "object": {"kind": "PartialObjectMetadata", "apiVersion": self.version, "metadata": metadata},
        });
        serde_json::to_writer(out, &row).expect("a JSON value always serialises");
    }
}

#[derive(Deserialize)]
struct MetadataPart<'a> {
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// Appends `PartialObjectMetadata` of an object: its metadata, copied byte for byte.
pub(crate) fn metadata_only(object: &[u8], version: &str, out: &mut Vec<u8>) {
    let part: MetadataPart<'_> = serde_json::from_slice(object).expect("every stored object has metadata");
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    out.extend_from_slice(version.as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    out.extend_from_slice(part.metadata.get().as_bytes());
    out.push(b'}');
}
