//! Selectors: what they match, and the words in which they refuse. Recorded from a real API server are the refusals of
//! `a=b=c`, `n in 1`, the field `foo` and the unknown field; the others follow Kubernetes' wording without a recording.

use proptest::prelude::*;

use super::*;

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn check_match(selector: &str, object: &str, wanted: bool) {
    let selector = Selector::parse(selector).unwrap();
    assert_eq!(selector.matches_labels(&labels(object)), wanted, "{selector} on {object}");
}

fn check_error(selector: &str, wanted: &str) {
    let found = Selector::parse(selector).unwrap_err().to_string();
    assert!(found.starts_with(wanted), "{selector:?}: {found:?}");
}

#[test]
fn labels_are_selected_by_every_operator() {
    let object = "app=x,n=4,empty=";
    let cases = [
        ("", true),
        ("app", true),
        ("nope", false),
        ("!app", false),
        ("!nope", true),
        ("app=x", true),
        ("app==x", true),
        ("app=y", false),
        ("nope=x", false),
        ("app!=x", false),
        ("app!=y", true),
        ("nope!=x", true),
        ("app in (x,y)", true),
        ("app in (y)", false),
        ("nope in (x)", false),
        ("app notin (y)", true),
        ("app notin (x,y)", false),
        ("nope notin (x)", true),
        ("n>3", true),
        ("n>4", false),
        ("n<5", true),
        ("app>3", false),
        ("nope<3", false),
        ("empty=", true),
        ("app=", false),
        ("empty in (,x)", true),
        (" app = x , n in ( 4 ) ", true),
        ("app=x,n=5", false),
        ("n notin (1,2),app", true),
    ];
    for (selector, wanted) in cases {
        check_match(selector, object, wanted);
    }
}

#[test]
fn words_of_the_grammar_are_also_keys_and_values() {
    check_match("in in (notin)", "in=notin", true);
    check_match("notin=in", "notin=in", true);
}

#[test]
fn a_bad_label_selector_is_refused_in_the_words_of_kubernetes() {
    let cases = [
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("n in 1", "unable to parse requirement: found '1' expected: '('"),
        ("n in (1", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("n in ()", "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators"),
        ("a,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("n>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators"),
        ("-a", "unable to parse requirement: key: Invalid value: \"-a\": name part must consist of"),
        ("a=-b", "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid label must"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
    ];
    for (selector, wanted) in cases {
        check_error(selector, wanted);
    }
}

#[test]
fn objects_are_selected_by_their_metadata() {
    let object = serde_json::json!({"metadata": {"labels": {"app": "x"}}});
    assert!(Selector::parse("app=x").unwrap().matches_object(&object));
    assert!(!Selector::parse("app").unwrap().matches_object(&serde_json::json!({"metadata": {}})));
}

#[test]
fn a_selector_field_becomes_a_selector() {
    let field: LabelSelector = serde_json::from_value(serde_json::json!({
        "matchLabels": {"app": "x"},
        "matchExpressions": [{"key": "n", "operator": "NotIn", "values": ["2", "1"]}, {"key": "m", "operator": "Exists"}],
    }))
    .unwrap();
    assert_eq!(field.to_selector().unwrap().to_string(), "app=x,n notin (1,2),m");
    let bad = LabelSelectorRequirement { key: "a".to_owned(), operator: "Is".to_owned(), values: Vec::new() };
    let field = LabelSelector { match_expressions: vec![bad], ..LabelSelector::default() };
    assert!(field.to_selector().unwrap_err().to_string().contains("use In, NotIn, Exists or DoesNotExist"));
}

fn check_field(selector: &str, wanted: bool) {
    let selector = FieldSelector::parse(selector).unwrap();
    let value_of = |field: &str| match field {
        "metadata.name" => Some("l1".to_owned()),
        "odd" => Some("a,b=c\\".to_owned()),
        _ => None,
    };
    assert_eq!(selector.matches(value_of), wanted, "{selector}");
}

#[test]
fn fields_are_selected_by_equality() {
    check_field("", true);
    check_field("metadata.name=l1", true);
    check_field("metadata.name==l1,", true);
    check_field("metadata.name!=l1", false);
    check_field("metadata.name!=l2,absent=", true);
    check_field("absent!=", false);
    check_field("odd=a\\,b\\=c\\\\", true);
    let exact = FieldSelector::parse("a!=1,metadata.name=x").unwrap();
    assert_eq!(exact.exact("metadata.name"), Some("x"));
    assert_eq!(exact.exact("a"), None);
}

#[test]
fn a_bad_field_selector_is_refused_in_the_words_of_kubernetes() {
    let error = |text: &str| FieldSelector::parse(text).unwrap_err().to_string();
    assert_eq!(error("foo"), "invalid selector: 'foo'; can't understand 'foo'");
    assert_eq!(error("a=b,c!d"), "invalid selector: 'a=b,c!d'; can't understand 'c!d'");
    assert!(error("a=b=c").starts_with("invalid field selector: unescaped character in value: ="));
    assert!(error("a=\\n").starts_with("invalid field selector: invalid escape sequence: \\n"));
    let selector = FieldSelector::parse("spec.mode=a").unwrap();
    let unknown = selector.check_fields(|field| field == "metadata.name").unwrap_err();
    assert_eq!(unknown.to_string(), "field label not supported: spec.mode");
}

proptest! {
    #[test]
    fn no_text_makes_a_selector_panic(text in ".{0,40}") {
        let _ = Selector::parse(&text);
        let _ = FieldSelector::parse(&text);
    }

    #[test]
    fn what_is_printed_is_read_again(text in "(!?[a-c]|[a-c](=|!=|>|<)[0-9]|[a-c] (in|notin) \\([a-c],[0-9]\\))(,(!?[a-c]|[a-c]=[0-9])){0,3}") {
        let selector = Selector::parse(&text).unwrap();
        prop_assert_eq!(Selector::parse(&selector.to_string()).unwrap(), selector);
    }

    #[test]
    fn what_is_printed_of_fields_is_read_again(value in "[a-c,=\\\\!]{0,6}", field in "[a-c.]{1,5}") {
        let requirement = FieldRequirement { field, operator: FieldOperator::NotEquals, value };
        let selector = FieldSelector { requirements: vec![requirement] };
        prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
    }
}
