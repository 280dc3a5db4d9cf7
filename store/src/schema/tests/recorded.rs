//! Answers recorded from a real kube-apiserver (1.36) over the schema in `recipe.json`, compared to the letter.

use api_types::status::StatusCause;
use serde::Deserialize;
use serde_json::Value;

use super::compile;
use crate::schema::{CompiledSchema, MetadataRules, NameGrammar, decode_json, validate_metadata};

/// One recorded request to create something.
#[derive(Deserialize)]
struct Recorded {
    step: String,
    body: String,
    causes: Option<Vec<StatusCause>>,
    message: Option<String>,
    warning: Option<String>,
    stored: Option<Value>,
}

fn recordings() -> Vec<Recorded> {
    serde_json::from_str(include_str!("recorded.json")).unwrap()
}

fn recipe() -> CompiledSchema {
    compile(serde_json::from_str(include_str!("recipe.json")).unwrap())
}

/// What creating does, as far as it is decided here.
struct Outcome {
    strict: Vec<String>,
    object: Value,
    causes: Vec<StatusCause>,
    warnings: Vec<String>,
}

fn create(schema: &CompiledSchema, body: &str, grammar: NameGrammar) -> Result<Outcome, String> {
    let decoded = decode_json(body.as_bytes()).map_err(|error| error.to_string())?;
    let mut object = decoded.value;
    let mut strict: Vec<String> = decoded.duplicates.iter().map(|path| format!("duplicate field \"{path}\"")).collect();
    strict.extend(schema.prune(&mut object).iter().map(|path| format!("unknown field \"{path}\"")));
    if grammar == NameGrammar::Subdomain {
        object["metadata"]["namespace"] = Value::from("wire");
    }
    if object["metadata"]["generateName"].is_string() {
        object["metadata"]["name"] = Value::from("generated");
    }
    schema.default(&mut object);
    let rules = MetadataRules { namespaced: grammar == NameGrammar::Subdomain, name: grammar };
    let (mut causes, warnings) = validate_metadata(&object, None, &rules);
    causes.extend(schema.validate_structure(&object, None));
    let rules = schema.validate_rules(&object, None, &causes);
    causes.extend(rules);
    Ok(Outcome { strict, object, causes, warnings })
}

#[test]
fn every_recorded_create_gets_the_recorded_answer() {
    let schema = recipe();
    for recorded in recordings() {
        let grammar = if recorded.step.starts_with("ns ") { NameGrammar::Label } else { NameGrammar::Subdomain };
        let answer = create(&schema, &recorded.body, grammar);
        let step = &recorded.step;
        if let Some(message) = &recorded.message {
            match answer {
                Err(error) => {
                    let shown = if recorded.body.is_empty() { "<empty>" } else { &recorded.body };
                    let whole = format!(
                        "the object provided is unrecognized (must be of type Recipe): couldn't get version/kind; \
                         json parse error: {error} ({shown})"
                    );
                    assert_eq!(&whole, message, "{step}");
                }
                Ok(outcome) => {
                    let whole = format!(
                        "Recipe in version \"v1alpha1\" cannot be handled as a Recipe: strict decoding error: {}",
                        outcome.strict.join(", ")
                    );
                    assert_eq!(&whole, message, "{step}");
                }
            }
            continue;
        }
        let outcome = answer.unwrap();
        // The cause of the scale subresource comes from the strategy of the kind, not from its schema; a namespace
        // has no schema of ours here.
        let is_ours = |cause: &&StatusCause| {
            cause.field != ".spec.replicas"
                && (grammar == NameGrammar::Subdomain || cause.field.starts_with("metadata"))
        };
        let expected: Vec<&StatusCause> = recorded.causes.iter().flatten().filter(is_ours).collect();
        let got: Vec<&StatusCause> = outcome.causes.iter().filter(is_ours).collect();
        assert_eq!(got, expected, "{step}");
        if let Some(stored) = recorded.stored {
            assert_eq!(outcome.object["spec"], stored["spec"], "{step}");
        }
        if let Some(warning) = recorded.warning {
            // The recorder kept the last of several headers.
            let all = [outcome.strict, outcome.warnings].concat();
            let header = format!("299 - {}", Value::String(all.last().unwrap().clone()));
            assert_eq!(header, warning, "{step}");
        } else {
            assert!(outcome.warnings.is_empty() && outcome.strict.is_empty(), "{step}");
        }
    }
}

#[test]
fn annotations_beyond_256_kib_block_the_rules_like_in_the_recording() {
    let body = serde_json::json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe",
        "metadata": {"name": "q", "annotations": {"a": "x".repeat(256 * 1024)}}, "spec": {"version": "1"},
    });
    let outcome = create(&recipe(), &body.to_string(), NameGrammar::Subdomain).unwrap();
    assert_eq!(
        super::lines(&outcome.causes),
        [
            "FieldValueTooLong metadata.annotations: Too long: may not be more than 262144 bytes",
            "FieldValueInvalid <nil>: Invalid value: null: some validation rules were not checked because the object \
             was invalid; correct the existing errors to complete validation",
        ]
    );
}

#[test]
fn a_negative_scale_is_refused_without_keeping_the_rules_from_running() {
    let body = r#"{"metadata": {"name": "a1"}, "spec": {"version": "2", "replicas": -1}}"#;
    let outcome = create(&recipe(), body, NameGrammar::Subdomain).unwrap();
    assert_eq!(
        super::lines(&outcome.causes),
        [
            "FieldValueInvalid spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0"
        ]
    );
}
