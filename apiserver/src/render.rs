//! Objects as a client asked to see them: whole, as table rows, or metadata only; one by one, in lists, in watches.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use store::list::List;
use store::object::Object;
use store::watch::Change;

use crate::negotiation::Form;
use crate::served::Served;
use crate::table::{Include, Table, metadata_only};

/// A list is written in pieces of about this size: large enough to be few, small enough to start early.
const PIECE_BYTES: usize = 128 * 1024;

/// How the objects of one request are shown.
pub(crate) struct Rendering {
    served: Served,
    shape: Shape,
}

enum Shape {
    Object,
    Metadata(&'static str),
    Table(Box<Table>),
}

impl Rendering {
    pub(crate) fn new(served: Served, form: Form, include: Include, now: Timestamp) -> Self {
        let shape = match form {
            Form::Object => Shape::Object,
            Form::Metadata(version) => Shape::Metadata(version),
            Form::Table(version) => Shape::Table(Box::new(Table::new(&served, version, include, now))),
        };
        Self { served, shape }
    }

    /// Returns one object as the body of an answer.
    pub(crate) fn single(&self, object: &Object) -> Bytes {
        match &self.shape {
            Shape::Object => self.served.show(object),
            Shape::Metadata(version) => {
                let mut out = Vec::with_capacity(1024);
                metadata_only(&object.json(), version, &mut out);
                out.into()
            }
            Shape::Table(table) => self.one_row(table, object, true).into(),
        }
    }

    fn one_row(&self, table: &Table, object: &Object, with_columns: bool) -> Vec<u8> {
        let mut out = table.head(&json!({"resourceVersion": object.revision.to_string()}), with_columns);
        table.row(&self.served.show(object), &mut out);
        out.extend_from_slice(b"]}");
        out
    }

    /// Appends an object as an item of a list.
    fn item(&self, object: &Object, out: &mut Vec<u8>) {
        match &self.shape {
            Shape::Object => out.extend_from_slice(&self.served.show(object)),
            Shape::Metadata(version) => metadata_only(&object.json(), version, out),
            Shape::Table(table) => table.row(&self.served.show(object), out),
        }
    }

    fn list_head(&self, metadata: &Value) -> Vec<u8> {
        let (kind, api_version) = match &self.shape {
            Shape::Table(table) => return table.head(metadata, true),
            Shape::Object => (self.served.list_kind(), self.served.api_version()),
            Shape::Metadata(version) => ("PartialObjectMetadataList", *version),
        };
        format!("{{\"kind\":\"{kind}\",\"apiVersion\":\"{api_version}\",\"metadata\":{metadata},\"items\":[")
            .into_bytes()
    }

    /// Returns a list piece by piece. Objects that are shown as stored are copied once and never parsed.
    pub(crate) fn list(self, list: List) -> impl Iterator<Item = Bytes> + Send + 'static {
        let mut metadata = json!({"resourceVersion": list.revision.to_string()});
        if let Some(token) = &list.continue_token {
            metadata["continue"] = json!(token);
        }
        if let Some(remaining) = list.remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
        let head = self.list_head(&metadata);
        Pieces { rendering: self, objects: list.objects.into_iter(), buffer: Some(head), is_first: true }
    }

    /// Returns the line of a change in a watch. `with_columns` makes a table say what its columns are.
    pub(crate) fn change(&self, change: &Change, with_columns: bool) -> Bytes {
        let object = match &self.shape {
            Shape::Object if self.served.shows_stored_bytes() => return change.line(),
            Shape::Object => self.served.show(&change.object).to_vec(),
            Shape::Metadata(version) => {
                let mut out = Vec::with_capacity(1024);
                metadata_only(&change.object.json(), version, &mut out);
                out
            }
            Shape::Table(table) => self.one_row(table, &change.object, with_columns),
        };
        store::state::watch_line(change.kind, &object)
    }

    /// Returns the line of a bookmark.
    pub(crate) fn bookmark(&self, revision: u64, ends_initial_events: bool, with_columns: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if ends_initial_events {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match &self.shape {
            Shape::Table(table) => {
                let mut out = table.head(&json!({"resourceVersion": revision.to_string()}), with_columns);
                table.bookmark_row(&metadata, &mut out);
                out.extend_from_slice(b"]}");
                out
            }
            Shape::Object => {
                let object = json!({
                    "kind": self.served.names().kind, "apiVersion": self.served.api_version(), "metadata": metadata,
                });
                object.to_string().into_bytes()
            }
            Shape::Metadata(version) => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata})
                    .to_string()
                    .into_bytes()
            }
        };
        let mut line = b"{\"type\":\"BOOKMARK\",\"object\":".to_vec();
        line.extend_from_slice(&object);
        line.extend_from_slice(b"}\n");
        line.into()
    }

    /// Moves the moment that ages are counted to.
    pub(crate) fn set_now(&mut self, now: Timestamp) {
        if let Shape::Table(table) = &mut self.shape {
            table.set_now(now);
        }
    }
}

/// The pieces of a list that is being written.
struct Pieces {
    rendering: Rendering,
    objects: std::vec::IntoIter<std::sync::Arc<Object>>,
    /// What was begun; nothing once the end is written.
    buffer: Option<Vec<u8>>,
    is_first: bool,
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut buffer = self.buffer.take()?;
        for object in self.objects.by_ref() {
            if !std::mem::take(&mut self.is_first) {
                buffer.push(b',');
            }
            self.rendering.item(&object, &mut buffer);
            if buffer.len() >= PIECE_BYTES {
                self.buffer = Some(Vec::with_capacity(PIECE_BYTES + 4096));
                return Some(buffer.into());
            }
        }
        buffer.extend_from_slice(b"]}");
        Some(buffer.into())
    }
}
