//! `--curl`: a request as a command that a shell understands, with the token left to `$TOKEN`.

use super::request::ApiRequest;
use crate::config::Connection;

/// Returns the curl command for a request.
#[must_use]
pub fn command(connection: &Connection, request: &ApiRequest, headers: &[(String, String)]) -> String {
    let mut words = vec!["curl".to_owned(), "-sS".to_owned()];
    if request.unbounded {
        words.push("-N".to_owned());
    }
    if request.method != reqwest::Method::GET {
        words.push(format!("-X {}", request.method));
    }
    if connection.insecure {
        words.push("-k".to_owned());
    } else if connection.authorities.is_some() {
        words.push("--cacert \"$CA\"".to_owned());
    }
    if connection.identity.is_some() {
        words.push("--cert \"$CERT\" --key \"$KEY\"".to_owned());
    }
    if connection.token.is_some() {
        words.push("-H \"Authorization: Bearer $TOKEN\"".to_owned());
    } else if connection.basic.is_some() {
        words.push("-u \"$USER_AND_PASSWORD\"".to_owned());
    }
    words.push(format!("-H {}", quoted(&format!("Accept: {}", request.accept.header()))));
    for (name, value) in headers {
        words.push(format!("-H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some((content_type, body)) = &request.body {
        words.push(format!("-H {}", quoted(&format!("Content-Type: {content_type}"))));
        words.push(format!("--data-binary {}", quoted(&String::from_utf8_lossy(body))));
    }
    words.push(quoted(&format!("{}{}", connection.server, request.path_and_query())));
    words.join(" ")
}

/// Quotes for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
