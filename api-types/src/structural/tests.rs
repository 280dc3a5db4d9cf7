//! Schemas from types: each Rust shape, and the shapes that cannot be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::*;
use crate::units::{DurationText, Quantity};

/// How it is done.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
enum Mode {
    /// By hand.
    #[default]
    Manual,
    /// By itself.
    Auto,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Inner {
    wait: DurationText,
    #[schemars(range(min = 1, max = 9))]
    tries: u32,
}

impl Default for Inner {
    fn default() -> Self {
        Self { wait: DurationText::seconds(30), tries: 3 }
    }
}

/// A thing
/// on two lines.
///
/// And a second paragraph.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["name", "mode"],
    "x-kubernetes-validations" = [{"rule": "self.name != 'x'", "message": "pick another name"}]
))]
struct Thing {
    /// Its name.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]+$"))]
    name: String,
    mode: Mode,
    #[serde(skip_serializing_if = "Option::is_none")]
    other_mode: Option<Mode>,
    /// Settings.
    inner: Inner,
    maybe: Option<Inner>,
    #[schemars(length(max = 4), extend("x-kubernetes-list-type" = "set"))]
    list: Vec<String>,
    map: BTreeMap<String, i64>,
    any: Value,
    size: Option<Quantity>,
    is_on: bool,
}

#[test]
fn a_type_becomes_a_schema() {
    let schema = structural::<Thing>().unwrap();
    insta::assert_json_snapshot!(schema);
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is looked at")]
struct Nested {
    nested: Option<Box<Self>>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is looked at")]
struct Pair {
    pair: (u8, String),
}

#[test]
fn what_cannot_be_structural_is_an_error_with_its_place() {
    assert_eq!(structural::<Nested>().unwrap_err().path, "nested");
    let error = structural::<Pair>().unwrap_err();
    assert_eq!(error.to_string(), "pair: the keyword prefixItems cannot be expressed");
}
