//! Text of a YAML file → [`Node`], with lines kept, anchors and `<<` resolved, and bounds against bombs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Span, Tag};

use super::scalar;
use super::stack::{LoadError, Place};
use super::tree::{Map, Node, Spot, Value};

/// Deepest nesting of lists and mappings.
const DEPTH_MAX: usize = 64;
/// Most bytes that a file may be once its aliases are written out; every value counts 64 besides its text.
const EXPANDED_BYTES_MAX: usize = 16 << 20;
/// What a value weighs besides its text.
const VALUE_BYTES: usize = 64;

/// Reads the first document of a file; further ones are ignored, as Docker does.
///
/// # Errors
///
/// The text is not YAML, has a key twice or one that is not text, an alias that stands for nothing or for itself, or
/// passes a bound. The error names the line.
pub(super) fn parse(file: &str, text: &str) -> Result<Node, LoadError> {
    let file: Arc<str> = Arc::from(file);
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX + 1;
    options.block_nesting_limit = DEPTH_MAX + 1;
    let mut builder = Builder { file: Arc::clone(&file), open: Vec::new(), anchors: HashMap::new(), bytes: 0 };
    let mut root = None;
    let mut parser = Parser::new_from_str_with_options(text, options);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let place = Place { file: file.to_string(), line: line_of(error.marker().line()), path: String::new() };
            LoadError::one("InvalidYaml", place, format!("the file is not YAML: {}", error.info()))
        })?;
        if let Event::DocumentEnd = event {
            break;
        }
        if let Some(node) = builder.take(event, span)? {
            root = Some(node);
        }
    }
    let mut root = root.unwrap_or_else(|| Node::new(Value::Null, &Arc::default()));
    root.settle(&file, "");
    Ok(root)
}

fn line_of(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// A list or mapping whose end has not come yet.
struct Open {
    anchor: usize,
    spot: Arc<Spot>,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Map, merges: Vec<Node>, key: Option<Key> },
}

/// A key that waits for its value.
struct Key {
    text: String,
    spot: Arc<Spot>,
    is_merge: bool,
}

struct Builder {
    file: Arc<str>,
    open: Vec<Open>,
    /// Finished nodes by anchor with what they weigh; `None` while the node is open.
    anchors: HashMap<usize, Option<(Node, usize)>>,
    bytes: usize,
}

impl Builder {
    /// Takes one event in; returns the root when it is whole.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, LoadError> {
        let spot =
            Arc::new(Spot { file: Arc::clone(&self.file), line: line_of(span.start.line()), path: String::new() });
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref(), &spot),
            Event::Alias(anchor) => self.alias(anchor, &spot),
            Event::SequenceStart(_, anchor, _) => {
                self.start(anchor, spot, Content::List(Vec::new()))?;
                Ok(None)
            }
            Event::MappingStart(_, anchor, _) => {
                let content = Content::Map { entries: BTreeMap::new(), merges: Vec::new(), key: None };
                self.start(anchor, spot, content)?;
                Ok(None)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(None),
        }
    }

    fn start(&mut self, anchor: usize, spot: Arc<Spot>, content: Content) -> Result<(), LoadError> {
        self.weigh(VALUE_BYTES, &spot)?;
        if self.open.len() >= DEPTH_MAX {
            let message = format!("lists and mappings are nested deeper than {DEPTH_MAX}");
            return Err(LoadError::one("TooDeep", spot.place(), message));
        }
        if self.expects_key() {
            return Err(not_text(&spot));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, None);
        }
        self.open.push(Open { anchor, spot, content });
        Ok(())
    }

    fn end(&mut self) -> Result<Option<Node>, LoadError> {
        let Some(open) = self.open.pop() else { return Ok(None) };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Map { entries, merges, .. } => Value::Map(merge_in(entries, merges)?),
        };
        let node = Node::new(value, &open.spot);
        self.remember(open.anchor, &node);
        self.place(node)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        spot: &Arc<Spot>,
    ) -> Result<Option<Node>, LoadError> {
        self.weigh(VALUE_BYTES + text.len(), spot)?;
        let is_plain = style == ScalarStyle::Plain;
        if self.expects_key() && text == "<<" && is_plain && tag.is_none() {
            return self.merge_key(spot);
        }
        let value =
            tagged(text, is_plain, tag).map_err(|message| LoadError::one("InvalidTag", spot.place(), message))?;
        let node = Node::new(value, spot);
        self.remember(anchor, &node);
        self.place(node)
    }

    fn merge_key(&mut self, spot: &Arc<Spot>) -> Result<Option<Node>, LoadError> {
        if let Some(Open { content: Content::Map { key, merges, .. }, .. }) = self.open.last_mut() {
            if !merges.is_empty() {
                return Err(LoadError::one("DuplicateKey", spot.place(), "the key `<<` stands twice: give it a list"));
            }
            *key = Some(Key { text: "<<".to_owned(), spot: Arc::clone(spot), is_merge: true });
        }
        Ok(None)
    }

    fn alias(&mut self, anchor: usize, spot: &Arc<Spot>) -> Result<Option<Node>, LoadError> {
        let Some(known) = self.anchors.get(&anchor) else {
            return Err(LoadError::one(
                "UnknownAnchor",
                spot.place(),
                "the alias stands for an anchor that is not there",
            ));
        };
        let Some((node, bytes)) = known.clone() else {
            return Err(LoadError::one("CircularAnchor", spot.place(), "the anchor contains itself"));
        };
        self.weigh(bytes, spot)?;
        self.place(node)
    }

    fn remember(&mut self, anchor: usize, node: &Node) {
        if anchor != 0 {
            self.anchors.insert(anchor, Some((node.clone(), weight(node))));
        }
    }

    fn weigh(&mut self, bytes: usize, spot: &Spot) -> Result<(), LoadError> {
        self.bytes += bytes;
        if self.bytes > EXPANDED_BYTES_MAX {
            let message =
                format!("the file is larger than {EXPANDED_BYTES_MAX} bytes once its aliases are written out");
            return Err(LoadError::one("TooLarge", spot.place(), message));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    /// Puts a finished node where it belongs; returns it when it belongs nowhere: it is the root.
    fn place(&mut self, node: Node) -> Result<Option<Node>, LoadError> {
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map { entries, merges, key } => match key.take() {
                Some(Key { is_merge: true, .. }) => merges.push(node),
                Some(Key { text, spot, .. }) => {
                    if let Some(first) = entries.get(&text) {
                        let message =
                            format!("the key {text:?} stands twice: the first is in line {}", first.spot.line);
                        return Err(LoadError::one("DuplicateKey", spot.place(), message));
                    }
                    // A value is found by its key: a block begins one line further down.
                    entries.insert(text, Node { value: node.value, spot });
                }
                None => {
                    let Value::Text(text) = node.value else { return Err(not_text(&node.spot)) };
                    *key = Some(Key { text, spot: node.spot, is_merge: false });
                }
            },
        }
        Ok(None)
    }
}

fn not_text(spot: &Spot) -> LoadError {
    LoadError::one("KeyNotText", spot.place(), "the key is not text: put it in quotes")
}

fn weight(node: &Node) -> usize {
    VALUE_BYTES
        + match &node.value {
            Value::Text(text) | Value::Time(text) => text.len(),
            Value::List(items) => items.iter().map(weight).sum(),
            Value::Map(map) => map.iter().map(|(key, node)| VALUE_BYTES + key.len() + weight(node)).sum(),
            _ => 0,
        }
}

/// Adds what `<<` brings: keys of the mapping itself win, then earlier mappings over later ones.
fn merge_in(mut entries: Map, merges: Vec<Node>) -> Result<Map, LoadError> {
    for merge in merges {
        let maps = match merge.value {
            Value::List(items) => items,
            _ => vec![merge],
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                let message = "`<<` takes a mapping or a list of mappings";
                return Err(LoadError::one("InvalidMerge", map.spot.place(), message));
            };
            for (key, node) in more {
                entries.entry(key).or_insert(node);
            }
        }
    }
    Ok(entries)
}

/// Returns what a scalar means, its tag heeded.
fn tagged(text: &str, is_plain: bool, tag: Option<&Tag>) -> Result<Value, String> {
    let Some(suffix) = tag.and_then(|tag| tag.suffix_in_namespace("tag:yaml.org,2002:")) else {
        // Tags of one's own do not change what a scalar is, but they keep it text.
        let is_text = !is_plain || tag.is_some();
        return Ok(if is_text { Value::Text(text.to_owned()) } else { scalar::resolve(text) });
    };
    let value = scalar::resolve(text);
    let fits = match (suffix.as_ref(), &value) {
        ("str", _) => return Ok(Value::Text(text.to_owned())),
        ("binary", _) => return binary(text).map(Value::Text),
        ("int", Value::Int(_) | Value::Unsigned(_))
        | ("float", Value::Float(_))
        | ("bool", Value::Bool(_))
        | ("null", Value::Null)
        | ("timestamp", Value::Time(_)) => true,
        #[expect(clippy::cast_precision_loss, reason = "a float was asked for")]
        ("float", Value::Int(number)) => return Ok(Value::Float(*number as f64)),
        ("int" | "float" | "bool" | "null" | "timestamp", _) => false,
        _ => return Ok(Value::Text(text.to_owned())),
    };
    if fits { Ok(value) } else { Err(format!("{text:?} is not a {suffix}")) }
}

/// Reads base64, as `!!binary` has it.
fn binary(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0u32);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let digit = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err("the text is not base64".to_owned()),
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or_default());
        }
    }
    String::from_utf8(bytes).map_err(|_| "the text is not UTF-8 once it is decoded".to_owned())
}
