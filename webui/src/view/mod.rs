//! What pages look like: one frame around all of them, and the pieces that they share.

pub(crate) mod layout;
pub(crate) mod parts;
pub(crate) mod picture;
pub(crate) mod safe;
pub(crate) mod words;

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::visit::Visit;

pub(crate) use layout::{bare, whole};

/// What may stand in a query as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/');

/// Where a page stands in the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Home,
    Recipes,
    Runs,
    Queue,
    Approvals,
    Apps,
    Certificates,
    Hosts,
    Repositories,
    Events,
    Kinds,
    None,
}

/// One page before it is framed.
pub(crate) struct Page {
    pub title: String,
    pub section: Section,
    /// Stands above everything else, and is never sent again.
    pub head: Markup,
    /// What changes while one looks, each under an id of its own.
    pub parts: Vec<Part>,
    /// The same on the command line.
    pub commands: Vec<String>,
    /// Resources whose changes may change the page; empty for a page that stays as it is.
    pub watches: Vec<String>,
    /// Which other script behaviour the page asks for, as `data-page`.
    pub kind: &'static str,
}

/// A part of a page that is sent again when it changes.
pub(crate) struct Part {
    pub id: String,
    pub html: Markup,
}

impl Page {
    /// Returns a page with a title and nothing on it.
    pub(crate) fn new(title: impl Into<String>, section: Section) -> Self {
        let title = title.into();
        let head = html! { h1 { (title) } };
        Self { title, section, head, parts: Vec::new(), commands: Vec::new(), watches: Vec::new(), kind: "page" }
    }

    /// Adds a part.
    pub(crate) fn part(&mut self, id: &str, html: Markup) {
        self.parts.push(Part { id: id.to_owned(), html });
    }

    /// Tells for some of the parts how the command line shows the same; parts that show nothing are left alone.
    pub(crate) fn by_command(&mut self, commands: &[(&str, String)]) {
        for (id, command) in commands {
            let shown = self.parts.iter_mut().filter(|part| part.id == *id && !part.html.0.is_empty());
            for part in shown {
                part.html = html! {
                    (part.html)
                    details.by-command { summary { "ccctl" } (parts::command(command)) }
                };
            }
        }
    }

    /// Names what the page is made of.
    pub(crate) fn watching(mut self, keys: &[&str]) -> Self {
        self.watches = keys.iter().map(|key| (*key).to_owned()).collect();
        self
    }
}

/// Returns text as it may stand in a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string()
}

/// Returns a short fingerprint of a text. What stands in `<time>` does not count: ages change by themselves.
pub(crate) fn hash(text: &str) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut rest = text;
    while !rest.is_empty() {
        let (counted, after) = match rest.find("<time") {
            Some(at) => {
                let opened = rest[at..].find('>').map_or(rest.len(), |end| at + end);
                let closed = rest[opened..].find("</time>").map_or(rest.len(), |end| opened + end);
                (&rest[..opened], &rest[closed..])
            }
            None => (rest, ""),
        };
        for byte in counted.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        rest = after.strip_prefix("</time>").unwrap_or(after);
    }
    format!("{hash:016x}")
}

/// Returns a query with one parameter set, or taken away when the value is empty.
pub(crate) fn with_parameter(visit: &Visit, name: &str, value: &str) -> String {
    let mut pairs: Vec<String> = visit
        .query
        .iter()
        .filter(|(key, old)| key != name && key != "page" && key != "done" && !old.is_empty())
        .map(|(key, old)| format!("{}={}", encode(key), encode(old)))
        .collect();
    if !value.is_empty() {
        pairs.push(format!("{}={}", encode(name), encode(value)));
    }
    if pairs.is_empty() { visit.path.clone() } else { format!("{}?{}", visit.path, pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_do_not_count_as_changes() {
        let page = |age: &str, text: &str| hash(&format!("<p><time datetime=\"x\">{age}</time> {text}</p>"));
        assert_eq!(page("2s", "good"), page("3s", "good"));
        assert_ne!(page("2s", "good"), page("2s", "bad"));
        assert_ne!(hash("<time datetime=\"x\">1</time>"), hash("<time datetime=\"y\">1</time>"));
    }
}
