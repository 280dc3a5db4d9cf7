//! Tests of everything that decides what may be stored.

mod bounds;
mod decoding;
mod definitions;
mod properties;
mod recorded;
mod rules;
mod tables;

use api_types::schema::Schema;
use api_types::status::StatusCause;
use serde_json::Value;

use super::CompiledSchema;

/// Compiles a schema that is written as JSON.
fn compile(schema: Value) -> CompiledSchema {
    try_compile(schema).unwrap()
}

/// Compiles a schema, or says why it cannot be.
fn try_compile(schema: Value) -> Result<CompiledSchema, Vec<StatusCause>> {
    CompiledSchema::compile(serde_json::from_value::<Schema>(schema).unwrap())
}

/// Writes causes as one line each: `reason field: message`.
fn lines(causes: &[StatusCause]) -> Vec<String> {
    causes.iter().map(|cause| format!("{} {}: {}", cause.reason, cause.field, cause.message)).collect()
}
