//! What the API says: the data that ccd, ccctl, the web pages and third parties exchange. No tokio, no I/O.
//!
//! An object is JSON with `apiVersion`, `kind`, `metadata`, `spec` and `status`. A kind is data too: a
//! [`definition::DefinitionSpec`] whose [`schema::Schema`] says which fields exist. Our own kinds are Rust types in
//! [`kinds`]; [`registry::definitions`] makes their definitions from the types, and they are registered through the
//! same door as a definition that a user applies.

pub mod condition;
pub mod definition;
pub mod documentation;
pub mod duration_text;
pub mod grammar;
pub mod jsonpath;
pub mod kind;
pub mod kinds;
pub mod manifest;
pub mod meta;
pub mod names;
pub mod plan;
pub mod reason;
pub mod registry;
pub mod schema;
pub mod selector;
pub mod status;
pub mod structural;
pub mod table;
pub mod units;
