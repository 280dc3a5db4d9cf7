//! Request lines and what they are taken to ask for.

use http::Method;

use super::{RequestInfo, percent_decode};

/// Renders the parts that decide, so that a case is one line.
fn summary(line: &str) -> String {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let info = RequestInfo::parse(&Method::from_bytes(method.as_bytes()).unwrap(), path, query);
    if !info.is_resource {
        return format!("{} path {}", info.verb, info.path);
    }
    format!(
        "{} {}/{} {} ns={} name={}",
        info.verb,
        info.group,
        info.version,
        info.combined_resource(),
        info.namespace,
        info.name
    )
}

#[test]
fn request_lines_become_verbs_and_names() {
    let cases = [
        ("GET /api/v1/namespaces", "list /v1 namespaces ns= name="),
        ("GET /api/v1/namespaces/a", "get /v1 namespaces ns=a name=a"),
        ("PUT /api/v1/namespaces/a/finalize", "update /v1 namespaces/finalize ns=a name=a"),
        ("DELETE /api/v1/namespaces/a", "delete /v1 namespaces ns=a name=a"),
        ("GET /api/v1/namespaces/a/secrets", "list /v1 secrets ns=a name="),
        ("GET /api/v1/namespaces/a/secrets/s", "get /v1 secrets ns=a name=s"),
        ("GET /api/v1/namespaces/a/secrets/s%2F..%2Ft", "get /v1 secrets ns=a name=s/../t"),
        ("DELETE /api/v1/namespaces/a/secrets", "deletecollection /v1 secrets ns=a name="),
        ("GET /api/v1/secrets?watch=true", "watch /v1 secrets ns= name="),
        ("GET /api/v1/secrets?watch=1", "watch /v1 secrets ns= name="),
        ("GET /api/v1/secrets?watch=false", "list /v1 secrets ns= name="),
        ("GET /api/v1/secrets?&watch", "watch /v1 secrets ns= name="),
        ("GET /api/v1/secrets?fieldSelector=metadata.name%3Dx", "list /v1 secrets ns= name=x"),
        ("GET /api/v1/secrets?watch=1&fieldSelector=metadata.name%3Dx", "watch /v1 secrets ns= name=x"),
        ("GET /api/v1/namespaces/a/secrets/s?watch=true", "get /v1 secrets ns=a name=s"),
        ("GET /api/v1/namespaces/a?watch=true", "get /v1 namespaces ns=a name=a"),
        ("GET /api/v1/namespaces/a/pods/p/log?watch=true", "get /v1 pods/log ns=a name=p"),
        ("GET /api/v1/watch/namespaces/a/secrets/s", "watch /v1 secrets ns=a name=s"),
        ("GET /apis/g.x/v1/things/t/status", "get g.x/v1 things/status ns= name=t"),
        ("PATCH /apis/g.x/v1/namespaces/n/things/t/scale", "patch g.x/v1 things/scale ns=n name=t"),
        ("POST /apis/g.x/v1/namespaces/n/things", "create g.x/v1 things ns=n name="),
        ("POST /apis/g.x/v1/namespaces/n/things/", "create g.x/v1 things ns=n name="),
        ("OPTIONS /apis/g.x/v1/things", "unknown g.x/v1 things ns= name="),
        ("GET /apis/g.x/v1", "get path /apis/g.x/v1"),
        ("GET /apis", "get path /apis"),
        ("GET /", "get path /"),
        ("POST /readyz", "post path /readyz"),
    ];
    for (line, expected) in cases {
        assert_eq!(summary(line), expected, "{line}");
    }
}

#[test]
fn malformed_escapes_are_left_alone() {
    for (text, expected) in
        [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%+1", "%+1"), ("a%41b", "aAb"), ("%ff", "\u{fffd}")]
    {
        assert_eq!(percent_decode(text), expected, "{text}");
    }
}
