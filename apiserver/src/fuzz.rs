//! Whatever bytes come from outside: the parsers answer and do not panic. A failing case is printed with its seed.

use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use crate::body::decode_object;
use crate::negotiation::{BodyType, Negotiated, PatchType, aggregated_discovery};
use crate::protobuf;
use crate::query::{OptionsKind, Query, default_manager};
use crate::request::{RequestInfo, percent_decode};

/// Text that looks like what the parsers look for, and text that does not.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "/",
        "api",
        "apis",
        "v1",
        "namespaces",
        "watch",
        "status",
        "%",
        "%2f",
        "%00",
        "%ff",
        "%zz",
        "..",
        "&",
        "=",
        "+",
        "limit",
        "dryRun",
        "All",
        "fieldValidation",
        "fieldSelector",
        "metadata.name=",
        "continue",
        ",",
        ";",
        "\"",
        "application/json",
        "as=Table",
        "g=meta.k8s.io",
        "v=v1",
        "*/*",
        "q=0.1",
        "é",
        "\u{0}",
        "-1",
        "9999999999999999999",
    ]);
    prop_oneof![prop::collection::vec(words, 0..24).prop_map(|words| words.concat()), any::<String>(),]
}

/// The beginning of a body of one of the kinds that are read as protobuf, and any bytes as its object.
fn protobuf_body() -> impl Strategy<Value = Vec<u8>> {
    let kinds = prop::sample::select(vec!["Namespace", "ConfigMap", "Secret", "ServiceAccount", "Event", "Lease"]);
    let field = (1_u8..24, 0_u8..8, prop::collection::vec(any::<u8>(), 0..24)).prop_map(|(number, wire, content)| {
        let mut field = vec![number << 3 | wire];
        if wire == 2 {
            field.push(u8::try_from(content.len()).expect("below 24"));
        }
        field.extend(content);
        field
    });
    let object = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        prop::collection::vec(field, 0..8).prop_map(|fields| fields.concat()),
    ];
    (kinds, object).prop_map(|(kind, object)| {
        let kind_length = u8::try_from(kind.len()).expect("short");
        let mut body = b"k8s\0\x0a".to_vec();
        body.extend([kind_length + 6, 0x0a, 2, b'v', b'1', 0x12, kind_length]);
        body.extend_from_slice(kind.as_bytes());
        body.push(0x12);
        let length = object.len();
        body.extend([
            u8::try_from(length & 0x7f).expect("seven bits") | 0x80,
            u8::try_from(length >> 7).expect("short"),
        ]);
        body.extend(object);
        body
    })
}

proptest! {
    #[test]
    fn a_query_string_never_panics(query in text(), agent in text()) {
        let query = Query::parse(Some(&query));
        for name in ["limit", "timeoutSeconds", "dryRun", "watch", "continue"] {
            let _ = (query.integer(name), query.flag(name), query.dry_run());
        }
        let manager = default_manager(Some(&agent));
        prop_assert!(!manager.is_empty() && manager.len() <= 128);
        let _ = query.write_options(OptionsKind::Create, &manager);
    }

    #[test]
    fn a_path_never_panics(path in text(), query in text()) {
        let _ = percent_decode(&path);
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let info = RequestInfo::parse(&method, &path, Some(&query));
            prop_assert!(info.is_resource || info.resource.is_empty(), "{info:?}");
        }
    }

    #[test]
    fn headers_never_panic(value in prop_oneof![text().prop_map(String::into_bytes), any::<Vec<u8>>()]) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let names = [ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE];
            let headers: HeaderMap = names.map(|name| (name, value.clone())).into_iter().collect();
            let _ = Negotiated::new(&headers, &Query::default());
            let _ = (aggregated_discovery(&headers), BodyType::of(&headers), PatchType::of(&headers, true));
        }
    }

    #[test]
    fn a_protobuf_body_never_panics(body in prop_oneof![protobuf_body(), any::<Vec<u8>>()]) {
        let _ = protobuf::decode(&body);
    }

    #[test]
    fn a_body_never_panics(body in prop_oneof![text().prop_map(String::into_bytes), any::<Vec<u8>>()]) {
        for body_type in [BodyType::Json, BodyType::Yaml, BodyType::Protobuf] {
            let _ = decode_object(&body, body_type, "ConfigMap");
        }
    }
}
