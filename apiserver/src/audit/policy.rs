//! How much is written about which request.

use crate::authentication::User;
use crate::authorization::rules::path_matches;
use crate::config::{AuditLevel, AuditRule};
use crate::request::RequestInfo;

/// Rules in order; the first that matches decides.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<AuditRule>,
}

impl Policy {
    /// Returns a policy of these rules. What none matches is logged as metadata.
    #[must_use]
    pub fn new(rules: Vec<AuditRule>) -> Self {
        Self { rules }
    }

    /// Returns how much is written. `user` is `None` for a wrong credential: only rules without users and groups match.
    #[must_use]
    pub fn level(&self, user: Option<&User>, request: &RequestInfo) -> AuditLevel {
        self.rules.iter().find(|rule| matches(rule, user, request)).map_or(AuditLevel::Metadata, |rule| rule.level)
    }
}

fn matches(rule: &AuditRule, user: Option<&User>, request: &RequestInfo) -> bool {
    let users = rule.users.is_empty() || user.is_some_and(|user| rule.users.contains(&user.name));
    let groups = rule.groups.is_empty() || user.is_some_and(|user| rule.groups.iter().any(|group| user.is_in(group)));
    users && groups && within(&rule.verbs, &request.verb) && matches_target(rule, request)
}

fn matches_target(rule: &AuditRule, request: &RequestInfo) -> bool {
    let names_resources = !(rule.resources.is_empty() && rule.api_groups.is_empty() && rule.namespaces.is_empty());
    if !request.is_resource {
        return if rule.paths.is_empty() {
            !names_resources
        } else {
            rule.paths.iter().any(|pattern| path_matches(pattern, &request.path))
        };
    }
    if !names_resources {
        return rule.paths.is_empty();
    }
    let resource = request.combined_resource();
    (rule.resources.is_empty() || rule.resources.iter().any(|own| own == "*" || *own == resource))
        && within(&rule.api_groups, &request.group)
        && within(&rule.namespaces, &request.namespace)
}

fn within(values: &[String], wanted: &str) -> bool {
    values.is_empty() || values.iter().any(|value| value == wanted || value == "*")
}
