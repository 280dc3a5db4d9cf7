//! Mounts in the short form: `source:target:options`.

use std::sync::Arc;

use super::tree::{Map, Node, Spot, Value};

/// Words among the options that say how mounts below a bind spread.
const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// Reads the short form into the fields of the long one.
///
/// # Errors
///
/// A sentence that says what is wrong.
pub(super) fn parse(text: &str, spot: &Arc<Spot>) -> Result<Map, String> {
    let wrong = |what: &str| format!("{text:?} is not `source:target:options`: {what}");
    if text.is_empty() {
        return Err("a mount cannot be empty".to_owned());
    }
    let mut fields = Map::new();
    let mut set = |key: &str, value: &str| fields.insert(key.to_owned(), Node::text(value, spot));
    let sections = sections(text);
    if sections.iter().any(|section| section.is_empty()) && text.len() > 2 {
        return Err(wrong("a part is empty"));
    }
    let (source, target, options) = match sections.as_slice() {
        // One or two characters are a target, whatever they are.
        _ if text.len() <= 2 => (None, text, None),
        [target] => (None, target.as_str(), None),
        [source, target] => (Some(source.as_str()), target.as_str(), None),
        [source, target, options] => (Some(source.as_str()), target.as_str(), Some(options.as_str())),
        _ => return Err(wrong("it has too many colons")),
    };
    set("target", target);
    set("type", if source.is_some_and(is_path) { "bind" } else { "volume" });
    if let Some(source) = source {
        set("source", source);
    }
    let on = |key: &str, value: Node| Node::new(Value::Map(Map::from([(key.to_owned(), value)])), spot);
    for option in options.unwrap_or_default().split(',') {
        match option {
            "ro" => {
                fields.insert("read_only".to_owned(), Node::new(Value::Bool(true), spot));
            }
            "rw" => {
                fields.remove("read_only");
            }
            "nocopy" => {
                fields.insert("volume".to_owned(), on("nocopy", Node::new(Value::Bool(true), spot)));
            }
            propagation if PROPAGATIONS.contains(&propagation) => {
                fields.insert("bind".to_owned(), on("propagation", Node::text(propagation, spot)));
            }
            _ => {}
        }
    }
    Ok(fields)
}

/// Splits at colons, but not at the one of `C:`.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    for letter in text.chars() {
        let last = sections.last_mut().expect("there is always a last section");
        let is_drive = letter == ':' && last.chars().count() == 1 && last.chars().all(char::is_alphabetic);
        if letter == ':' && !is_drive { sections.push(String::new()) } else { last.push(letter) }
    }
    sections
}

/// Returns whether a source is a path, and no volume's name.
fn is_path(source: &str) -> bool {
    let mut letters = source.chars();
    let (first, second) = (letters.next(), letters.next());
    matches!(first, Some('.' | '/' | '~'))
        || source.starts_with(r"\\")
        || (second == Some(':') && first.is_some_and(char::is_alphabetic))
}
