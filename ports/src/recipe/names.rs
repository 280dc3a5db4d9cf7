//! Names: of a stack from its domain, and how long those of its parts may get.

use crate::compose::{Finding, Severity, Stack};

/// Most bytes of the name of a secret or config in a swarm.
pub const NAME_BYTES_MAX: usize = 64;
/// Most characters of a stack's name; the rest of the domain is cut off.
pub const STACK_CHARACTERS_MAX: usize = 45;

/// Returns the name of an app's stack: its domain with `_` for every `.`, cut to 45 characters.
#[must_use]
pub fn stack_name(domain: &str) -> String {
    domain.replace('.', "_").chars().take(STACK_CHARACTERS_MAX).collect()
}

/// Returns the name that a version of a secret or config has in the swarm.
#[must_use]
pub fn object_name(stack: &str, object: &str, version: &str) -> String {
    format!("{stack}_{object}_{version}")
}

/// Returns an error for every secret and config whose name is too long for a swarm.
#[must_use]
pub fn check_lengths(stack: &Stack) -> Vec<Finding> {
    let sections = [("secrets", &stack.secrets), ("configs", &stack.configs)];
    let objects = sections.iter().flat_map(|(section, objects)| objects.iter().map(move |object| (*section, object)));
    objects
        .filter(|(_, object)| object.name.len() > NAME_BYTES_MAX)
        .map(|(section, object)| Finding {
            severity: Severity::Error,
            rule: "NameTooLong".to_owned(),
            place: stack.places.find(&[section, &object.key, "name"]),
            message: format!(
                "the name {:?} has {} characters, but a swarm takes {NAME_BYTES_MAX}: use a domain that is {} shorter, \
                 or a shorter key",
                object.name,
                object.name.len(),
                object.name.len() - NAME_BYTES_MAX
            ),
        })
        .collect()
}
