//! Which of the names that a definition asks for it gets: what others of its group have, it does not.
//!
//! As in Kubernetes: a definition that does not get all of its names at first is not served until it does; one that is
//! served and asks for a taken name goes on under the names it has.

use api_types::definition::DefinitionNames;

use crate::registry::Claim;

/// What came of a request for names.
pub(super) struct Judged {
    /// The names it has from now on.
    pub accepted: DefinitionNames,
    /// Reason and message of the refusal of the others.
    pub conflict: Option<(&'static str, String)>,
}

/// Compares what is `requested` with what the definition had `before` and what others have `taken`.
pub(super) fn judge(requested: &DefinitionNames, before: &DefinitionNames, taken: &Claim) -> Judged {
    let mut accepted = DefinitionNames { categories: requested.categories.clone(), ..before.clone() };
    let mut conflict = None;
    let mut refuse = |reason, name: &str| conflict = Some((reason, format!("\"{name}\" is already in use")));
    let (resources, kinds) = (&taken.resources, &taken.kinds);
    if resources.contains(&requested.plural) {
        refuse("PluralConflict", &requested.plural);
    } else {
        accepted.plural.clone_from(&requested.plural);
    }
    match &requested.singular {
        Some(name) if resources.contains(name) => refuse("SingularConflict", name),
        name => accepted.singular.clone_from(name),
    }
    match requested.short_names.iter().find(|name| resources.contains(*name)) {
        Some(name) => refuse("ShortNamesConflict", name),
        None => accepted.short_names.clone_from(&requested.short_names),
    }
    if kinds.contains(&requested.kind) {
        refuse("KindConflict", &requested.kind);
    } else {
        accepted.kind.clone_from(&requested.kind);
    }
    match &requested.list_kind {
        Some(name) if kinds.contains(name) => refuse("ListKindConflict", name),
        name => accepted.list_kind.clone_from(name),
    }
    Judged { accepted, conflict }
}
