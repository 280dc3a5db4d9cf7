//! Tables: cells from columns, and the JSON of a real API server.

use super::*;

fn column(name: &str, type_: &str, json_path: &str) -> PrinterColumn {
    PrinterColumn {
        name: name.to_owned(),
        type_: type_.to_owned(),
        json_path: json_path.to_owned(),
        ..PrinterColumn::default()
    }
}

fn now() -> jiff::Timestamp {
    "2026-11-21T04:45:44Z".parse().unwrap()
}

#[test]
fn cells_are_what_the_columns_name() {
    let object = json!({
        "metadata": {"name": "a1", "creationTimestamp": "2026-11-21T04:40:32Z"},
        "spec": {"replicas": 3, "on": false, "ratio": 0.5, "tags": ["a", "b"], "empty": null, "map": {"k": 1}},
    });
    let cases = [
        ("string", ".spec.tags[*]", json!("a,b")),
        ("string", ".spec.tags", json!("[\"a\",\"b\"]")),
        ("string", ".spec.replicas", json!("3")),
        ("string", ".spec.map", json!("{\"k\":1}")),
        ("string", ".spec.nope", Value::Null),
        ("string", ".spec.empty", Value::Null),
        ("integer", ".spec.replicas", json!(3)),
        ("integer", ".spec.tags", json!(2)),
        ("integer", ".metadata.name", Value::Null),
        ("string", "{.metadata.name}/{.spec.replicas}", json!("a1/3")),
        ("integer", ".spec['empty','replicas']", json!(3)),
        ("number", ".spec.ratio", json!(0.5)),
        ("boolean", ".spec.on", json!(false)),
        ("date", ".metadata.creationTimestamp", json!("5m12s")),
        ("date", ".metadata.name", json!("<unknown>")),
        ("string", ".spec[", Value::Null),
    ];
    for (type_, path, wanted) in cases {
        let plan = TablePlan::new(&[column("X", type_, path)]);
        assert_eq!(plan.cells(&object, now()), [json!("a1"), wanted], "{type_} {path}");
    }
}

#[test]
fn a_kind_without_columns_shows_name_and_age() {
    let plan = TablePlan::new(&[]);
    let names: Vec<&str> = plan.column_definitions().iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["Name", "Age"]);
    assert_eq!(plan.column_definitions()[0].format, "name");
}

#[test]
fn a_column_without_text_is_described_by_its_path() {
    let plan = TablePlan::new(&[column("Version", "string", ".spec.version")]);
    assert_eq!(
        plan.column_definitions()[1].description,
        "Custom resource definition column (in JSONPath format): .spec.version"
    );
}

#[test]
fn later_events_of_a_watch_have_no_headings() {
    let table: Table = serde_json::from_value(json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"}, "columnDefinitions": null,
        "rows": [{"cells": ["a1"], "object": null}],
    }))
    .unwrap();
    assert!(table.column_definitions.is_empty());
    assert_eq!(table.rows.len(), 1);
    let written = serde_json::to_value(Table::new(table.metadata, Vec::new())).unwrap();
    assert_eq!(
        written,
        json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "7"}, "columnDefinitions": [], "rows": []})
    );
}

#[test]
fn partial_metadata_keeps_the_metadata_alone() {
    let object = json!({"metadata": {"name": "a"}, "spec": {"b": 1}});
    let wanted = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}});
    assert_eq!(partial_object_metadata(&object), wanted);
}
