//! Roles and bindings compiled for questions: subject → grants.

use std::collections::HashMap;
use std::sync::Arc;

use super::objects::{Binding, RBAC_GROUP, Role, RoleObjects, RoleRef, Subject};
use super::rules::Rule;
use crate::authentication::User;
use crate::request::RequestInfo;

/// What all bindings together give, by who gets it.
#[derive(Default)]
pub(super) struct Index {
    users: HashMap<String, Vec<Arc<Grant>>>,
    groups: HashMap<String, Vec<Arc<Grant>>>,
    roles: HashMap<(String, String), Arc<[Rule]>>,
}

/// What one binding gives to each of its subjects.
pub(super) struct Grant {
    /// Where; `None` is everywhere.
    namespace: Option<String>,
    /// What; empty when the role is missing.
    pub(super) rules: Arc<[Rule]>,
    /// What to say when it allows.
    reason: Arc<str>,
    /// What to say when the role is missing.
    problem: Option<Arc<str>>,
}

impl Grant {
    /// Returns whether the grant counts for requests in `namespace`; empty is the cluster scope.
    pub(super) fn applies_in(&self, namespace: &str) -> bool {
        self.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

impl Index {
    pub(super) fn compile(objects: &RoleObjects) -> Self {
        let mut index = Self::default();
        for role in &objects.roles {
            let key = (role.metadata.namespace.clone(), role.metadata.name.clone());
            index.roles.insert(key, effective_rules(role, &objects.roles));
        }
        for binding in &objects.bindings {
            let grant = Arc::new(index.grant(binding));
            for subject in &binding.subjects {
                index.add(subject, binding, &grant);
            }
        }
        index
    }

    /// Returns the reason of the first grant that allows the request.
    pub(super) fn allows(&self, user: &User, request: &RequestInfo) -> Option<Arc<str>> {
        self.grants(user)
            .find(|grant| grant.applies_in(&request.namespace) && grant.rules.iter().any(|rule| rule.matches(request)))
            .map(|grant| Arc::clone(&grant.reason))
    }

    /// Returns what is wrong with a binding of the user that counts for the request.
    pub(super) fn problem(&self, user: &User, request: &RequestInfo) -> Option<Arc<str>> {
        self.grants(user).filter(|grant| grant.applies_in(&request.namespace)).find_map(|grant| grant.problem.clone())
    }

    /// Returns whether any binding names this user.
    pub(super) fn knows_user(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// Returns whether any binding names this group.
    pub(super) fn knows_group(&self, name: &str) -> bool {
        self.groups.contains_key(name)
    }

    /// Returns every grant of the user: by name, then group by group.
    pub(super) fn grants<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a Arc<Grant>> {
        let by_name = self.users.get(&user.name).into_iter().flatten();
        let by_group = user.groups.iter().filter_map(|group| self.groups.get(group)).flatten();
        by_name.chain(by_group)
    }

    /// Returns the rules of the role that a binding in `namespace` refers to.
    pub(super) fn role_rules(&self, role_ref: &RoleRef, namespace: &str) -> Option<&Arc<[Rule]>> {
        let namespace = if role_ref.kind == "Role" { namespace } else { "" };
        self.roles.get(&(namespace.to_owned(), role_ref.name.clone()))
    }

    fn grant(&self, binding: &Binding) -> Grant {
        let (namespace, name) = (&binding.metadata.namespace, &binding.metadata.name);
        let role_ref = &binding.role_ref;
        let rules = self.role_rules(role_ref, namespace).map(Arc::clone);
        let (kind, shown) = if namespace.is_empty() {
            ("ClusterRoleBinding", name.clone())
        } else {
            ("RoleBinding", format!("{name}/{namespace}"))
        };
        let problem = rules.is_none().then(|| {
            let resource = role_ref.kind.to_ascii_lowercase();
            Arc::from(format!("RBAC: {resource}.{RBAC_GROUP} {:?} not found", role_ref.name))
        });
        Grant {
            namespace: (!namespace.is_empty()).then(|| namespace.clone()),
            rules: rules.unwrap_or_default(),
            reason: Arc::from(format!("RBAC: allowed by {kind} {shown:?} of {} {:?}", role_ref.kind, role_ref.name)),
            problem,
        }
    }

    fn add(&mut self, subject: &Subject, binding: &Binding, grant: &Arc<Grant>) {
        let (subjects, name) = match subject.kind.as_str() {
            "User" => (&mut self.users, subject.name.clone()),
            "Group" => (&mut self.groups, subject.name.clone()),
            "ServiceAccount" => {
                let own = &binding.metadata.namespace;
                let namespace = if subject.namespace.is_empty() { own } else { &subject.namespace };
                (&mut self.users, format!("system:serviceaccount:{namespace}:{}", subject.name))
            }
            _ => return,
        };
        subjects.entry(name).or_default().push(Arc::clone(grant));
    }
}

/// Returns a role's own rules and those that it takes in by label. Aggregated roles do not aggregate again: what they
/// select is plain cluster roles, as in Kubernetes' own defaults.
fn effective_rules(role: &Role, all: &[Role]) -> Arc<[Rule]> {
    let mut rules = role.rules.clone();
    if let Some(aggregation) = &role.aggregation_rule {
        for other in all.iter().filter(|other| other.metadata.namespace.is_empty()) {
            let selected = other.metadata.name != role.metadata.name
                && aggregation.cluster_role_selectors.iter().any(|selector| selector.matches(&other.metadata.labels));
            if selected {
                rules.extend(other.rules.iter().filter(|rule| !role.rules.contains(rule)).cloned());
            }
        }
    }
    rules.into()
}
