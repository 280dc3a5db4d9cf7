//! Typed objects: there and back, and errors that name the field.

use serde_json::json;

use crate::kind::Object;
use crate::kinds::recipe::Recipe;
use crate::kinds::test_run::TestRun;

#[test]
fn an_object_survives_the_way_to_json_and_back() {
    let value = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"recipeRef": "wordpress", "source": {"ref": "main"}, "lane": "Quick"},
        "status": {"phase": "Running", "unknownToThisVersion": 1},
    });
    let run = Object::<TestRun>::from_value(&value).unwrap();
    assert_eq!(run.spec.recipe_ref, "wordpress");
    let again = Object::<TestRun>::from_value(&run.to_value()).unwrap();
    assert_eq!(again.spec, run.spec);
    assert_eq!(again.status, run.status);
}

#[test]
fn an_error_names_the_field() {
    let value = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": "a"},
        "spec": {"source": {"pullRequest": {"number": "x"}}},
    });
    let error = Object::<TestRun>::from_value(&value).unwrap_err();
    assert_eq!(error.path, "spec.source.pullRequest.number");
    assert!(error.to_string().starts_with("failed to read a TestRun: spec.source.pullRequest.number: "), "{error}");
}

#[test]
fn another_kind_is_refused() {
    let value = json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": "a"}});
    let error = Object::<Recipe>::from_value(&value).unwrap_err().to_string();
    assert!(error.contains("expected Recipe of ci.coopcloud.tech/v1alpha1, found TestRun"), "{error}");
    let value = json!({"apiVersion": "other.io/v1alpha1", "kind": "Recipe", "metadata": {"name": "a"}});
    assert!(Object::<Recipe>::from_value(&value).is_err());
}
