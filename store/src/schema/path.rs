//! Where in an object something is, without allocating until somebody has to read it.

use std::fmt;

/// A step on the way from the root of an object; the chain lives on the stack of the walk that made it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'walk> {
    /// The object itself.
    Root,
    /// A member of an object: `.name`.
    Member(&'walk Self, &'walk str),
    /// An item of a list: `[3]`.
    Index(&'walk Self, usize),
    /// A member of a map with free keys, as the rules of lists and of CEL print it: `[key]`.
    Key(&'walk Self, &'walk str),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Deep paths are bounded by the depth of a schema or of the decoder, so recursion is safe here.
        match self {
            Self::Root => Ok(()),
            Self::Member(Self::Root, name) => formatter.write_str(name),
            Self::Member(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
            Self::Key(parent, key) => write!(formatter, "{parent}[{key}]"),
        }
    }
}
