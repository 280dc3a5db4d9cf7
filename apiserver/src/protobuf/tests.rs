//! Bodies as clients send them, and bodies that nobody should.

use serde_json::{Value, json};

use super::decode;

/// Writes a field of bytes; every message of these tests is shorter than 128 bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    bytes.extend_from_slice(content);
    bytes
}

fn number(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn envelope(api_version: &str, kind: &str, object: &[u8]) -> Vec<u8> {
    let type_meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [b"k8s\0".to_vec(), field(1, &type_meta), field(2, object), field(3, b""), field(4, b"")].concat()
}

#[test]
fn an_access_review_is_read() {
    let part = [field(1, b"app"), field(2, b"In"), field(3, b"wiki"), field(3, b"blog")].concat();
    let attributes = [
        field(1, b"prod"),
        field(2, b"create"),
        field(3, b"g.x"),
        field(5, b"things"),
        field(6, b""),
        field(7, b""),
        field(8, &field(1, b"metadata.name=a")),
        field(9, &[field(1, b""), field(2, &part)].concat()),
    ];
    let spec = field(1, &attributes.concat());
    // Go writes the empty parts of the metadata, too.
    let metadata = [field(1, b""), field(8, b"")].concat();
    let object = [field(1, &metadata), field(2, &spec), field(3, &number(1, 0))].concat();
    let expected = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "metadata": {},
        "spec": {"resourceAttributes": {
            "namespace": "prod", "verb": "create", "group": "g.x", "resource": "things",
            "fieldSelector": {"rawSelector": "metadata.name=a"},
            "labelSelector": {"requirements": [{"key": "app", "operator": "In", "values": ["wiki", "blog"]}]},
        }},
    });
    assert_eq!(decode(&envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", &object)).unwrap(), expected);
}

#[test]
fn a_lease_keeps_what_is_set_though_it_is_zero() {
    let moment = [vec![1 << 3, 60], number(2, 0)].concat();
    let spec = [field(1, b""), number(2, 15), field(4, &moment), number(5, 0)].concat();
    let object = [field(1, &field(1, b"l")), field(2, &spec)].concat();
    let expected = json!({
        "holderIdentity": "", "leaseDurationSeconds": 15, "renewTime": "1970-01-01T00:01:00.000000Z",
        "leaseTransitions": 0,
    });
    let lease = decode(&envelope("coordination.k8s.io/v1", "Lease", &object)).unwrap();
    assert_eq!(lease["spec"], expected);
}

#[test]
fn maps_bytes_and_empty_list_items_survive() {
    let entry = [field(1, b"key"), field(2, &[0, 255])].concat();
    let secret = decode(&envelope("v1", "Secret", &[field(2, &entry), field(3, b"Opaque")].concat())).unwrap();
    assert_eq!(secret["data"], json!({"key": "AP8="}));
    let rule = [field(1, b"get"), field(2, b""), field(3, b"pods")].concat();
    let role = decode(&envelope("rbac.authorization.k8s.io/v1", "Role", &field(2, &rule))).unwrap();
    assert_eq!(role["rules"], json!([{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]));
}

#[test]
fn delete_options_come_in_every_group() {
    let options = decode(&envelope("ci.coopcloud.tech/v1alpha1", "DeleteOptions", &field(4, b"Foreground"))).unwrap();
    assert_eq!(options["propagationPolicy"], "Foreground");
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    let good = envelope("v1", "ConfigMap", &field(2, &[field(1, b"a"), field(2, b"b")].concat()));
    let nested = (0..40).fold(Vec::new(), |inner, _| field(1, &inner[..inner.len().min(100)]));
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("no magic", b"{}".to_vec(), "does not begin"),
        ("nothing but magic", b"k8s\0".to_vec(), "not read as protobuf"),
        ("cut off", good[..good.len() - 6].to_vec(), "cut off"),
        ("a kind that is not read", envelope("v1", "Node", b""), "send it as application/json"),
        ("a number without end", [b"k8s\0".to_vec(), vec![0xff; 12]].concat(), "longer than 64 bits"),
        ("an unknown wire type", [b"k8s\0".to_vec(), vec![0x0f]].concat(), "wire type 7"),
        ("text where a message is", envelope("v1", "ConfigMap", &number(1, 1)), "another wire type"),
    ];
    for (name, bytes, expected) in cases {
        let why = decode(&bytes).unwrap_err();
        assert!(why.contains(expected), "{name}: {why}");
    }
    // Whatever it means, it does not overflow the stack.
    let _: Result<Value, String> = decode(&envelope("v1", "ConfigMap", &nested));
}
