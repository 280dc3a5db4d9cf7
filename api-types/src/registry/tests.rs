//! The list of kinds: every schema as it is published, and what holds for all of them.

use std::collections::BTreeSet;

use super::*;
use crate::jsonpath::JsonPath;
use crate::schema::AdditionalProperties;
use crate::table::TablePlan;

fn everything() -> Vec<Definition> {
    definitions().into_iter().chain(aliases().into_iter().map(|alias| alias.definition)).collect()
}

fn root(definition: &Definition) -> &Schema {
    &definition.storage_version().schema.as_ref().unwrap().open_api_v3_schema
}

/// Calls `visit` with every node and its path.
fn walk(schema: &Schema, path: &str, visit: &mut dyn FnMut(&str, &Schema)) {
    visit(path, schema);
    for (name, property) in &schema.properties {
        walk(property, &format!("{path}.{name}"), visit);
    }
    if let Some(items) = &schema.items {
        walk(items, &format!("{path}[]"), visit);
    }
    if let Some(AdditionalProperties::Schema(members)) = schema.additional_properties.as_deref() {
        walk(members, &format!("{path}{{}}"), visit);
    }
}

#[test]
fn every_definition_is_published_like_this() {
    for definition in everything() {
        let name = format!("{}_{}", definition.spec.group.replace('.', "_"), definition.spec.names.plural);
        insta::assert_yaml_snapshot!(name.trim_start_matches('_'), definition.spec);
    }
}

#[test]
fn every_node_has_a_type_and_a_description_and_every_list_a_merge_rule() {
    let mut problems = Vec::new();
    for definition in everything() {
        walk(root(&definition), &definition.resource(), &mut |path, node| {
            let is_open = node.preserve_unknown_fields == Some(true) || node.int_or_string;
            if node.type_.is_none() && !is_open {
                problems.push(format!("{path} has no type"));
            }
            let is_field = !path.ends_with(']') && !path.ends_with('}');
            if is_field && node.description.is_empty() {
                problems.push(format!("{path} has no description"));
            }
            if node.type_ == Some(SchemaType::Array) && node.items.is_none() {
                problems.push(format!("{path} has no items"));
            }
            if !node.list_map_keys.is_empty() {
                let items = node.items.as_ref().unwrap();
                for key in &node.list_map_keys {
                    if !items.required.contains(key) {
                        problems.push(format!("{path}: the key {key} is not required"));
                    }
                }
            }
            for required in &node.required {
                if !node.properties.contains_key(required) {
                    problems.push(format!("{path} requires {required}, which is no field"));
                }
            }
        });
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn everything_in_our_kinds_has_a_bound() {
    let mut problems = Vec::new();
    for definition in definitions().into_iter().filter(|definition| !definition.built_in) {
        for part in ["spec", "status"] {
            walk(
                &root(&definition).properties[part],
                &format!("{}.{part}", definition.resource()),
                &mut |path, node| match node.type_ {
                    Some(SchemaType::String) if node.max_length.is_none() && node.enum_.is_empty() => {
                        problems.push(format!("{path} has no maxLength"));
                    }
                    Some(SchemaType::Array) if node.max_items.is_none() => {
                        problems.push(format!("{path} has no maxItems"));
                    }
                    Some(SchemaType::Array) if node.list_type.is_none() => {
                        problems.push(format!("{path} has no list type"));
                    }
                    Some(SchemaType::Object)
                        if node.additional_properties.is_some() && node.max_properties.is_none() =>
                    {
                        problems.push(format!("{path} has no maxProperties"));
                    }
                    _ => {}
                },
            );
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn our_kinds_can_be_suspended_and_report_conditions() {
    for definition in definitions().into_iter().filter(|definition| !definition.built_in) {
        let name = definition.resource();
        let spec = &root(&definition).properties["spec"];
        let status = &root(&definition).properties["status"];
        assert_eq!(spec.properties["suspend"].type_, Some(SchemaType::Boolean), "{name}");
        assert_eq!(status.properties["observedGeneration"].type_, Some(SchemaType::Integer), "{name}");
        assert_eq!(status.properties["conditions"].list_map_keys, ["type"], "{name}");
        let version = definition.storage_version();
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{name}");
        assert!(definition.spec.names.categories.contains(&"cc".to_owned()), "{name}");
        let headings: Vec<&str> =
            version.additional_printer_columns.iter().map(|column| column.name.as_str()).collect();
        assert!(headings.contains(&"Ready") || headings.contains(&"Succeeded"), "{name}: {headings:?}");
        assert_eq!(headings.last(), Some(&"Age"), "{name}");
        assert!(!definition.spec.names.short_names.is_empty(), "{name}");
    }
}

#[test]
fn columns_and_selectable_fields_lead_to_fields() {
    for definition in everything() {
        let version = definition.storage_version();
        for column in &version.additional_printer_columns {
            if !column.json_path.contains('{') {
                JsonPath::parse(&column.json_path).unwrap_or_else(|error| panic!("{}: {error}", column.json_path));
            }
        }
        assert_eq!(
            TablePlan::new(&version.additional_printer_columns).column_definitions().len(),
            version.additional_printer_columns.len().max(1) + 1
        );
        for field in &version.selectable_fields {
            let path = JsonPath::parse(&field.json_path).unwrap();
            let mut node = root(&definition);
            for member in path.members().unwrap() {
                node = node.properties.get(member).unwrap_or_else(|| panic!("{} is no field", field.json_path));
            }
        }
    }
}

#[test]
fn no_two_kinds_share_a_name() {
    let mut seen = BTreeSet::new();
    for definition in definitions() {
        assert!(seen.insert(definition.resource()), "{} occurs twice", definition.resource());
        let names = &definition.spec.names;
        for name in names.short_names.iter().chain([&names.plural, names.singular.as_ref().unwrap()]) {
            assert!(seen.insert(format!("typed {name}")), "{name} means two kinds");
        }
        assert!(crate::names::dns_1035_label_problems(&names.plural).is_empty());
    }
}

#[test]
fn a_definition_is_an_object_that_a_client_could_create() {
    let definition = definitions().into_iter().find(|definition| definition.spec.names.kind == "TestRun").unwrap();
    let object = definition.to_object();
    assert_eq!(object["metadata"]["name"], "testruns.ci.coopcloud.tech");
    let read: DefinitionSpec = serde_json::from_value(object["spec"].clone()).unwrap();
    assert_eq!(read, definition.spec);
}
