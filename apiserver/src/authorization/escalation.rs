//! Nobody gives away what they do not have: checks for writers of roles and bindings.

use api_types::status::{ResourceNames, Status};
use serde_json::Value;

use super::Authorizer;
use super::objects::{Binding, RBAC_GROUP, Role, RoleRef};
use super::rules::Rule;
use crate::authentication::{MASTERS, User};
use crate::request::RequestInfo;
use serde::Deserialize as _;

impl Authorizer {
    /// Checks the write of one object of any kind. `object` is what would be stored, `before` what is stored now.
    /// Objects that are no roles or bindings pass.
    ///
    /// # Errors
    /// 403 naming the missing rules, when the writer would give what they do not have.
    pub fn check_escalation(&self, user: &User, object: &Value, before: Option<&Value>) -> Result<(), Status> {
        let group = object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map(|(group, _)| group);
        if group != Some(RBAC_GROUP) || user.is_in(MASTERS) {
            return Ok(());
        }
        match object["kind"].as_str().unwrap_or_default() {
            kind @ ("Role" | "ClusterRole") => self.check_role(user, kind, object, before),
            kind @ ("RoleBinding" | "ClusterRoleBinding") => self.check_binding(user, kind, object, before),
            _ => Ok(()),
        }
    }

    fn check_role(&self, user: &User, kind: &str, object: &Value, before: Option<&Value>) -> Result<(), Status> {
        // What is already granted may be written again, so that labels can be changed by those who cannot escalate.
        if before.is_some_and(|before| {
            before["rules"] == object["rules"]
                && before["aggregationRule"] == object["aggregationRule"]
                && before["metadata"]["labels"] == object["metadata"]["labels"]
        }) {
            return Ok(());
        }
        let Ok(role) = Role::deserialize(object) else { return Ok(()) };
        let names = names_of(kind);
        let (namespace, name) = (&role.metadata.namespace, &role.metadata.name);
        if self.holds_verb(user, "escalate", &names.plural, namespace, name) {
            return Ok(());
        }
        // A role that takes in others by label could take in anything later.
        if role.aggregation_rule.is_some()
            && before.is_none_or(|before| before["aggregationRule"] != object["aggregationRule"])
        {
            let everything = [Rule::resources(&["*"], &["*"], &["*"]), Rule::paths(&["*"], &["*"])];
            self.check_covered(user, &everything, "", &names, name)?;
        }
        self.check_covered(user, &role.rules, namespace, &names, name)
    }

    fn check_binding(&self, user: &User, kind: &str, object: &Value, before: Option<&Value>) -> Result<(), Status> {
        if before
            .is_some_and(|before| before["roleRef"] == object["roleRef"] && before["subjects"] == object["subjects"])
        {
            return Ok(());
        }
        let Ok(binding) = Binding::deserialize(object) else { return Ok(()) };
        let (namespace, name) = (&binding.metadata.namespace, &binding.metadata.name);
        if self.may_bind(user, &binding.role_ref, namespace) {
            return Ok(());
        }
        let names = names_of(kind);
        let index = self.index.load();
        let Some(rules) = index.role_rules(&binding.role_ref, namespace) else {
            let role = names_of(&binding.role_ref.kind);
            return Err(Status::not_found(&role, &binding.role_ref.name));
        };
        self.check_covered(user, rules, namespace, &names, name)
    }

    fn may_bind(&self, user: &User, role_ref: &RoleRef, namespace: &str) -> bool {
        let resource = names_of(&role_ref.kind).plural;
        self.holds_verb(user, "bind", &resource, namespace, &role_ref.name)
    }

    fn holds_verb(&self, user: &User, verb: &str, resource: &str, namespace: &str, name: &str) -> bool {
        let request = RequestInfo {
            verb: verb.to_owned(),
            group: RBAC_GROUP.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            is_resource: true,
            ..RequestInfo::default()
        };
        self.authorize(user, &request).allowed
    }

    fn check_covered(
        &self,
        user: &User,
        wanted: &[Rule],
        namespace: &str,
        names: &ResourceNames,
        name: &str,
    ) -> Result<(), Status> {
        let index = self.index.load();
        let grants: Vec<_> = index.grants(user).filter(|grant| grant.applies_in(namespace)).collect();
        let held = |atom: &Rule| grants.iter().any(|grant| grant.rules.iter().any(|rule| rule.covers_atom(atom)));
        let mut missing: Vec<Rule> = wanted.iter().flat_map(Rule::atoms).filter(|atom| !held(atom)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        missing.dedup();
        let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
        let lines: Vec<String> = merge_verbs(&missing).iter().map(describe).collect();
        let why = format!(
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            user.name,
            groups.join(" "),
            lines.join("\n")
        );
        Err(Status::forbidden(names, name, &why))
    }
}

fn names_of(kind: &str) -> ResourceNames {
    ResourceNames {
        group: RBAC_GROUP.to_owned(),
        plural: format!("{}s", kind.to_ascii_lowercase()),
        kind: kind.to_owned(),
    }
}

/// Joins single grants that differ only in their verb, so that the message stays short.
fn merge_verbs(atoms: &[Rule]) -> Vec<Rule> {
    let mut merged: Vec<Rule> = Vec::new();
    for atom in atoms {
        let same = merged.iter_mut().find(|rule| {
            rule.api_groups == atom.api_groups
                && rule.resources == atom.resources
                && rule.resource_names == atom.resource_names
                && rule.non_resource_urls == atom.non_resource_urls
        });
        match same {
            Some(rule) => rule.verbs.extend(atom.verbs.iter().cloned()),
            None => merged.push(atom.clone()),
        }
    }
    merged
}

fn describe(rule: &Rule) -> String {
    let quoted = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        format!("[{}]", values.join(" "))
    };
    let mut parts = Vec::new();
    if !rule.non_resource_urls.is_empty() {
        parts.push(format!("NonResourceURLs:{}", quoted(&rule.non_resource_urls)));
    }
    if !rule.api_groups.is_empty() {
        parts.push(format!("APIGroups:{}", quoted(&rule.api_groups)));
    }
    if !rule.resources.is_empty() {
        parts.push(format!("Resources:{}", quoted(&rule.resources)));
    }
    if !rule.resource_names.is_empty() {
        parts.push(format!("ResourceNames:{}", quoted(&rule.resource_names)));
    }
    parts.push(format!("Verbs:{}", quoted(&rule.verbs)));
    format!("{{{}}}", parts.join(", "))
}
