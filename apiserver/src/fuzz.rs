//! Every parser of bytes that strangers send, by name, for tests that feed them nonsense.
//!
//! Each target takes any bytes, never fails, and must not panic, hang or take unbounded memory. The signature is that of
//! `cargo fuzz` targets; `tests/it/fuzz.rs` drives them on the stable toolchain.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use crate::authentication::certificate::ClientCertificate;
use crate::authentication::impersonation::impersonate;
use crate::authentication::review::token_review_status;
use crate::authentication::tokens::TokenTable;
use crate::authentication::{Authenticator, Peer, User};
use crate::authorization::Authorizer;
use crate::authorization::access_review::ReviewKind;
use crate::clock::Clock;
use crate::config::Config;
use crate::discovery::documents::Document;
use crate::hooks;
use crate::negotiation::{BodyType, Negotiated, PatchType, aggregated_discovery};
use crate::query::{OptionsKind, Query};
use crate::request::RequestInfo;
use crate::reviews::{self, REVIEWS};
use crate::table::Include;
use crate::tokens;
use crate::verbs::{artifact, delete, log, patch, versions};

/// One parser.
#[derive(Clone, Copy)]
pub struct Target {
    /// What it is called; its corpus lies in a folder of this name.
    pub name: &'static str,
    /// Feeds it.
    pub run: fn(&[u8]),
    /// Inputs that it takes, to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// All parsers of this crate.
pub const TARGETS: [Target; 20] = [
    Target { name: "json-body", run: json_body, seeds: &[MAP, br#"{"a":[1,-2.5e3,null,true,"\u00e9\n"],"a":{}}"#] },
    Target {
        name: "yaml-body",
        run: yaml_body,
        seeds: &[
            b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: |\n    text\n    more\n",
            b"a: &x [1, 2]\nb: *x\nc: {<<: {d: 1}}\n---\n- 'q'\n- \"\\x41\"\n",
            MAP,
        ],
    },
    Target {
        name: "protobuf-body",
        run: protobuf_body,
        seeds: &[
            b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x0f\x0a\x09\x0a\x01n\x5a\x04\x0a\x01k\x12\x12\x00\x1a\x00",
            b"k8s\0\x0a\x0c\x0a\x02v1\x12\x06Secret\x12\x14\x0a\x03\x0a\x01s\x12\x08\x0a\x01k\x12\x03abc\x1a\x03Foo",
            b"k8s\0\x0a\x23\x0a\x16coordination.k8s.io/v1\x12\x05Lease\x12\x0e\x0a\x03\x0a\x01l\x12\x07\x10\x0f\x22\x03\x08\x80\x01",
        ],
    },
    Target {
        name: "query",
        run: query,
        seeds: &[
            b"limit=500&continue=eyJ2Ijo&labelSelector=a%3Db,c+in+(d,e)&fieldSelector=metadata.name=x",
            b"watch=true&resourceVersion=1&resourceVersionMatch=NotOlderThan&sendInitialEvents=true&timeoutSeconds=9",
            b"?&dryRun=All&fieldManager=m&fieldValidation=Strict&force=true&pretty=0",
        ],
    },
    Target {
        name: "path",
        run: path,
        seeds: &[
            b"/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/a/log",
            b"/api/v1/watch/namespaces/n/secrets/%2e%2e",
            b"/api/v1/namespaces/n/finalize",
        ],
    },
    Target {
        name: "accept",
        run: accept,
        seeds: &[
            b"application/json;as=Table;v=v1;g=meta.k8s.io,application/json;q=0.9, */*",
            b"application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            b"application/yaml",
        ],
    },
    Target {
        name: "content-type",
        run: content_type,
        seeds: &[b"application/json; charset=utf-8", b"application/apply-patch+yaml", b"application/vnd.kubernetes.protobuf"],
    },
    Target {
        name: "authorization",
        run: authorization,
        seeds: &[b"Bearer ccd_0123456789ab_c2VjcmV0", b"bearer  x", b"Basic eDp5"],
    },
    Target {
        name: "impersonation",
        run: impersonation,
        seeds: &[b"user: jane\ngroup: devs\nuid: 1\nextra-a%2fb: c", b"user: system:serviceaccount:n:s"],
    },
    Target {
        name: "config",
        run: config,
        seeds: &[
            b"[server]\nhttp = \"127.0.0.1:0\"\n[limits]\nbody_bytes_max = 1000\n",
            b"[[audit.rules]]\nlevel = \"None\"\nusers = [\"a\"]\n[anonymous]\nopen_paths = [\"/badge/*\"]\n",
        ],
    },
    Target {
        name: "patch-shape",
        run: patch_shape,
        seeds: &[br#"[{"op":"add","path":"/a","value":1}]"#, br#"{"spec":{"a":null}}"#],
    },
    Target {
        name: "client-certificate",
        run: client_certificate,
        // A whole one lies in the corpus.
        seeds: &[b"\x30\x82\x01\x00\x30\x03\x02\x01\x02"],
    },
    Target {
        name: "hook",
        run: hook,
        seeds: &[
            b"/hooks/default/wiki\n4b557196e6e1d00f78e900dfb5671576c5f2728510e2fa587f51ebb3cdc219ee",
            b"/hooks/a.b/c-d\nsha256=4b557196e6e1d00f78e900dfb5671576c5f2728510e2fa587f51ebb3cdc219ee",
        ],
    },
    Target {
        name: "delete-options",
        run: delete_options,
        seeds: &[
            br#"{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Foreground","dryRun":["All"],"preconditions":{"uid":"u","resourceVersion":"1"}}"#,
            b"orphanDependents: true\n",
            b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x0c\x22\x0aBackground\x1a\x00",
        ],
    },
    Target {
        name: "token-request",
        run: token_request,
        seeds: &[
            br#"{"spec":{"expirationSeconds":3600,"audiences":["https://kubernetes.default.svc"],"boundObjectRef":null}}"#,
            br#"{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{"expirationSeconds":-1}}"#,
        ],
    },
    Target {
        name: "review",
        run: review,
        seeds: &[
            br#"{"kind":"SubjectAccessReview","spec":{"user":"u","groups":["g"],"extra":{"a":["b"]},"resourceAttributes":{"namespace":"n","verb":"get","group":"g","resource":"r","subresource":"s","name":"x"}}}"#,
            br#"{"spec":{"nonResourceAttributes":{"path":"/metrics","verb":"get"}}}"#,
            br#"{"spec":{"token":"ccd_0123456789ab_c2VjcmV0"}}"#,
            br#"{"spec":{"namespace":"default"}}"#,
        ],
    },
    Target {
        name: "log-parameters",
        run: log_parameters,
        seeds: &[b"follow=true&sinceTime=2026-01-01T00:00:00.5%2B02:00&tailLines=10", b"sinceSeconds=60&limitBytes=1"],
    },
    Target { name: "artifact-name", run: artifact_name, seeds: &[b"results.json", b"a+b@c=d_1.tar.gz"] },
    Target { name: "if-none-match", run: if_none_match, seeds: &[b"\"ABC\", W/\"DEF\"", b"*", b"W/\"\",,"] },
    Target {
        name: "token-file",
        run: token_file,
        seeds: &[
            br#"{"format":1,"tokens":[{"name":"ci","id":"0123456789ab","sha256":"00","user":"ci","groups":["g"],"created":"2026-01-01T00:00:00Z"}]}"#,
        ],
    },
];

const MAP: &[u8] =
    br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","labels":{"b":"c"}},"data":{"k":"v"}}"#;

/// What a target makes of its input is nobody's business: only that it comes back counts.
fn forget<T>(_: T) {}

fn json_body(bytes: &[u8]) {
    forget(crate::body::decode_object(bytes, BodyType::Json, "ConfigMap"));
}

fn yaml_body(bytes: &[u8]) {
    forget(crate::body::decode_object(bytes, BodyType::Yaml, "ConfigMap"));
}

fn protobuf_body(bytes: &[u8]) {
    forget(crate::protobuf::decode(bytes));
}

fn query(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let query = Query::parse(Some(&text));
    for name in ["limit", "timeoutSeconds", "resourceVersion", "continue"] {
        forget((query.integer(name), query.flag(name)));
    }
    forget(query.write_options(OptionsKind::Patch, "fuzz"));
    forget((versions::list_match(&query), Include::parse(&text)));
    forget(RequestInfo::parse(&Method::GET, "/api/v1/pods", Some(&text)));
}

fn path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for method in [Method::GET, Method::POST, Method::DELETE, Method::OPTIONS] {
        let info = RequestInfo::parse(&method, &text, Some("watch=1"));
        forget((info.combined_resource().len(), info.is_long_running()));
    }
}

fn header(name: HeaderName, bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

fn accept(bytes: &[u8]) {
    let headers = header(ACCEPT, bytes);
    forget((Negotiated::new(&headers, &Query::default()), aggregated_discovery(&headers)));
}

fn content_type(bytes: &[u8]) {
    let headers = header(CONTENT_TYPE, bytes);
    forget((BodyType::of(&headers), PatchType::of(&headers, true), PatchType::of(&headers, false)));
}

fn clock() -> Clock {
    Clock::new(|| jiff::Timestamp::UNIX_EPOCH)
}

/// Knows nobody.
fn authenticator() -> Authenticator {
    Authenticator::new(TokenTable::open(Path::new("/nonexistent/tokens.json").to_owned()), clock())
}

fn authorization(bytes: &[u8]) {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers = header(AUTHORIZATION, bytes);
    let peer = Peer { address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), encrypted: true, certificate: None };
    let user = authenticator().authenticate(&parts, &peer);
    assert!(user.is_err() || parts.headers.is_empty(), "a made-up credential was accepted");
}

fn impersonation(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
        let name = [b"impersonate-", name].concat();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(&name), HeaderValue::from_bytes(value.strip_prefix(b": ").unwrap_or(value)))
        {
            headers.append(name, value);
        }
    }
    let sender = std::sync::Arc::new(User::anonymous());
    let user = impersonate(&Authorizer::new(&[]), sender.clone(), &headers, &RequestInfo::default());
    assert!(user.is_err() || headers.is_empty(), "anonymous became somebody");
}

fn config(bytes: &[u8]) {
    forget(Config::parse(&String::from_utf8_lossy(bytes), Path::new("fuzz.toml")));
}

fn patch_shape(bytes: &[u8]) {
    if let Ok(document) = crate::body::decode_patch(bytes) {
        for patch_type in [PatchType::Json, PatchType::Merge, PatchType::Strategic] {
            forget(patch::check_shape(&document, patch_type));
        }
    }
}

fn client_certificate(bytes: &[u8]) {
    if let Ok(certificate) = ClientCertificate::from_der(bytes) {
        assert!(!certificate.user.name.is_empty(), "a certificate names nobody");
    }
}

/// The first line is a path, the second a signature.
fn hook(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (path, value) = text.split_once('\n').unwrap_or((&text, ""));
    if let Some((namespace, name)) = hooks::target(&Method::POST, path) {
        assert!(!namespace.contains('/') && !name.contains('/'), "a doorbell of another place");
    }
    for name in ["x-gitea-signature", "x-hub-signature-256"] {
        let signature = hooks::signature(&header(HeaderName::from_static(name), value.as_bytes()));
        assert!(signature.is_none_or(|signature| signature.len() == 32), "half a signature");
    }
}

fn delete_options(bytes: &[u8]) {
    for body_type in [BodyType::Json, BodyType::Yaml, BodyType::Protobuf] {
        forget(delete::from_body(body_type, bytes));
    }
}

fn token_request(bytes: &[u8]) {
    for body_type in [BodyType::Json, BodyType::Yaml] {
        if let Ok(body) = crate::body::decode_object(bytes, body_type, "TokenRequest")
            && let Ok(seconds) = tokens::request::lifetime(&body.value, "fuzz")
        {
            assert!((600..=1 << 32).contains(&seconds), "a token for {seconds} seconds");
        }
    }
}

fn review(bytes: &[u8]) {
    let Ok(body) = crate::body::decode_object(bytes, BodyType::Json, "SubjectAccessReview") else { return };
    for review in &REVIEWS {
        forget(reviews::check_type(&body.value, review, "authorization.k8s.io/v1"));
    }
    let (authorizer, user, spec) = (Authorizer::new(&[]), User::anonymous(), &body.value["spec"]);
    for kind in [ReviewKind::SelfSubject, ReviewKind::Subject, ReviewKind::LocalSubject] {
        forget(authorizer.review_access(&user, kind, spec, "default"));
    }
    let status = token_review_status(&authenticator(), spec);
    assert!(status["authenticated"] != true, "a made-up token was accepted");
}

fn log_parameters(bytes: &[u8]) {
    let query = Query::parse(Some(&String::from_utf8_lossy(bytes)));
    forget((log::count(&query, "tailLines"), log::count(&query, "limitBytes")));
    for now in [jiff::Timestamp::UNIX_EPOCH, jiff::Timestamp::MIN, jiff::Timestamp::MAX] {
        forget(log::since(&query, now));
    }
}

fn artifact_name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let is_path = text.contains(['/', '\0', '\n']) || text.starts_with('.');
    assert!(!(is_path && artifact::is_name(&text)), "a name that leads elsewhere");
}

fn if_none_match(bytes: &[u8]) {
    let answer = Document::from_bytes(Vec::new()).answer(&header(IF_NONE_MATCH, bytes), "application/json");
    assert!(matches!(answer.status().as_u16(), 200 | 304), "neither there nor known");
}

fn token_file(bytes: &[u8]) {
    forget(crate::authentication::token_file::parse(bytes));
}
