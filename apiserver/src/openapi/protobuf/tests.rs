//! The bytes of small documents, field by field.

use serde_json::json;

use super::encode;

/// Returns the content of the first field `number` of a message, which must hold bytes.
fn field(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut rest = message;
    let varint = |rest: &mut &[u8]| {
        let mut value = 0_u64;
        for shift in (0..).step_by(7) {
            let (first, more) = rest.split_first().unwrap();
            *rest = more;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                break;
            }
        }
        value
    };
    while !rest.is_empty() {
        let key = varint(&mut rest);
        match key & 7 {
            0 => {
                varint(&mut rest);
            }
            1 => rest = &rest[8..],
            2 => {
                let length = usize::try_from(varint(&mut rest)).unwrap();
                let (content, more) = rest.split_at(length);
                rest = more;
                if key >> 3 == number {
                    return Some(content);
                }
            }
            other => panic!("wire type {other}"),
        }
    }
    None
}

fn walk<'a>(message: &'a [u8], path: &[u64]) -> &'a str {
    let found = path.iter().fold(message, |message, number| field(message, *number).unwrap());
    std::str::from_utf8(found).unwrap()
}

#[test]
fn a_document_is_written_by_its_field_numbers() {
    let gvk = json!([{"group": "g", "version": "v1", "kind": "Thing"}]);
    let document = encode(&json!({
        "swagger": "2.0", "info": {"title": "t", "version": "1"},
        "paths": {"/apis/g/v1/things/{name}": {"patch": {
            "parameters": [{"name": "dryRun", "in": "query", "type": "string"}],
            "x-kubernetes-group-version-kind": {"kind": "Thing"},
        }}},
        "definitions": {"g.v1.Thing": {
            "type": "object", "description": "d".repeat(300), "required": ["spec"], "x-kubernetes-group-version-kind": gvk,
            "properties": {"spec": {"allOf": [{"$ref": "#/definitions/Spec"}], "default": {}}},
        }},
    }));
    assert_eq!(walk(&document, &[1]), "2.0");
    assert_eq!(walk(&document, &[2, 1]), "t");
    assert_eq!(walk(&document, &[8, 2, 1]), "/apis/g/v1/things/{name}");
    let patch: &[u64] = &[8, 2, 2, 8];
    assert_eq!(walk(&document, &[patch, &[8, 1, 2, 3, 4]].concat()), "dryRun");
    assert_eq!(walk(&document, &[patch, &[13, 1]].concat()), "x-kubernetes-group-version-kind");
    assert_eq!(walk(&document, &[patch, &[13, 2, 2]].concat()), r#"{"kind":"Thing"}"#);
    assert_eq!(walk(&document, &[9, 1, 1]), "g.v1.Thing");
    let thing: &[u64] = &[9, 1, 2];
    assert_eq!(walk(&document, &[thing, &[4]].concat()).len(), 300);
    assert_eq!(walk(&document, &[thing, &[19]].concat()), "spec");
    assert_eq!(walk(&document, &[thing, &[22, 1]].concat()), "object");
    assert_eq!(walk(&document, &[thing, &[25, 1, 1]].concat()), "spec");
    assert_eq!(walk(&document, &[thing, &[25, 1, 2, 1]].concat()), "#/definitions/Spec");
    assert_eq!(walk(&document, &[thing, &[31, 2, 2]].concat()), gvk.to_string());
}
