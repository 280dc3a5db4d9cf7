//! Where in an object something is, without allocating until somebody has to read it.

use std::borrow::Cow;
use std::fmt;

/// So much of one name is written, in bytes: a name can be as long as a body, and stand in the path of each of its
/// members.
const NAME_BYTES_MAX: usize = 256;

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
            Self::Member(Self::Root, name) => formatter.write_str(&shown(name)),
            Self::Member(parent, name) => write!(formatter, "{parent}.{}", shown(name)),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
            Self::Key(parent, key) => write!(formatter, "{parent}[{}]", shown(key)),
        }
    }
}

fn shown(name: &str) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES_MAX {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("{}…", &name[..name.floor_char_boundary(NAME_BYTES_MAX)]))
}
