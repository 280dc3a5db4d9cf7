//! Tests of field ownership and server-side apply.

mod golden;

use api_types::schema::Schema;

/// The schema that the recordings were made with.
fn recipe_schema() -> Schema {
    serde_json::from_str(include_str!("recipe_schema.json")).unwrap()
}
