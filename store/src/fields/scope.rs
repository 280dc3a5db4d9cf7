//! Which part of an object a write may own.

use api_types::schema::Schema;

use super::Writer;
use super::typed::{Members, Place, metadata_schema};

/// The part of an object that a writer may own: never its identity, and the status only through its own door.
#[derive(Clone, Copy)]
pub(super) struct Scope<'s> {
    schema: &'s Schema,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Everything,
    AllButStatus,
    Status,
}

impl<'s> Scope<'s> {
    pub(super) fn of(writer: &Writer<'s>) -> Self {
        let part = match writer.subresource {
            "status" => Part::Status,
            _ if writer.has_status_subresource => Part::AllButStatus,
            _ => Part::Everything,
        };
        Self { schema: writer.schema, part }
    }

    /// Returns the place of the whole object.
    pub(super) fn root(&self) -> Place<'s> {
        Place::Object(self.schema)
    }

    /// Returns the members of the whole object.
    pub(super) fn members(&self) -> Members<'s> {
        Members::of_object(self.schema)
    }

    /// Returns the members of `metadata`.
    pub(super) fn metadata_members(&self) -> Members<'s> {
        Members::of_map(metadata_schema())
    }

    /// Returns whether the top-level member `name`, or something in it, can have an owner.
    pub(super) fn tracks(&self, name: &str) -> bool {
        match name {
            "apiVersion" | "kind" => false,
            "status" => self.part != Part::AllButStatus,
            _ => self.part != Part::Status,
        }
    }

    /// Returns whether the member `name` of `metadata` can have an owner. What the server sets cannot.
    pub(super) fn tracks_metadata(&self, name: &str) -> bool {
        self.part != Part::Status
            && !matches!(
                name,
                "name"
                    | "namespace"
                    | "creationTimestamp"
                    | "selfLink"
                    | "uid"
                    | "clusterName"
                    | "generation"
                    | "managedFields"
                    | "resourceVersion"
                    | "deletionTimestamp"
                    | "deletionGracePeriodSeconds"
            )
    }

    /// Returns whether an applied configuration may change the top-level member `name` at all. Identity may be named
    /// everywhere, so that it can be compared.
    pub(super) fn accepts(&self, name: &str) -> bool {
        matches!(name, "apiVersion" | "kind" | "metadata") || self.tracks(name)
    }
}
