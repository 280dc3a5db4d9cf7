//! Every parser of this crate of what browsers send, by name, for tests that feed them nonsense; see `apiserver::fuzz`.

use apiserver::fuzz::Target;
use apiserver::request::query_values;
use http::HeaderMap;
use http::header::COOKIE;

use crate::live::page_of;
use crate::route::Route;
use crate::session::cookie;

/// All parsers of this crate.
pub const TARGETS: [Target; 4] = [
    Target {
        name: "web-path",
        run: web_path,
        seeds: &[b"/runs/default/wiki-1/logs/install", b"/badge/default/wiki.svg", b"/objects/configmaps/default/a"],
    },
    Target {
        name: "web-live",
        run: web_live,
        seeds: &[b"page=%2Fruns%3Fphase%3DFailed%26page%3D2", b"page=/live?page=/", b"page=/runs/default/wiki-1"],
    },
    Target { name: "web-cookie", run: web_cookie, seeds: &[b"ccd_session=AAAA; other=b", b"a; =b; ccd_session=\"x\""] },
    Target { name: "web-form", run: web_form, seeds: &[b"token=abc&next=%2Fruns&reason=a+b%0d%0a", b"&&=&a=%zz"] },
];

fn web_path(bytes: &[u8]) {
    drop(Route::parse(&String::from_utf8_lossy(bytes)));
}

fn web_live(bytes: &[u8]) {
    let page = page_of(&String::from_utf8_lossy(bytes));
    assert!(page.is_none_or(|page| page.route != Route::Live), "a stream that is about itself");
}

fn web_cookie(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = http::HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    assert!(cookie(&headers, "ccd_session").is_none_or(|value| !value.contains(';')), "two cookies in one");
}

/// Forms are read as queries are.
fn web_form(bytes: &[u8]) {
    assert!(query_values(&String::from_utf8_lossy(bytes)).all(|(name, _)| name.len() <= bytes.len() * 3));
}
