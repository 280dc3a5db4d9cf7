//! `SubjectAccessReview` and its sisters: answering "may they" without doing it.

use std::collections::BTreeMap;

use api_types::status::{ResourceNames, Status, StatusCause};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Authorizer;
use super::rules::Rule;
use crate::authentication::{Credential, MASTERS, User};
use crate::request::RequestInfo;

/// The group of all review kinds.
pub const REVIEW_GROUP: &str = "authorization.k8s.io";

/// Which review is asked for; they differ in who may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewKind {
    /// About the sender.
    SelfSubject,
    /// About anybody.
    Subject,
    /// About anybody, in one namespace.
    LocalSubject,
}

/// Who is asked about, and what they would do.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Question {
    /// A request for a resource.
    resource_attributes: Option<ResourceAttributes>,
    /// A request for a path that is no resource.
    non_resource_attributes: Option<NonResourceAttributes>,
    /// Name of the user who is asked about.
    user: String,
    /// Identity of the user.
    uid: String,
    /// Groups of the user.
    groups: Vec<String>,
    /// What else is known of the user.
    extra: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct ResourceAttributes {
    /// Namespace of the object; empty for all namespaces, and for what lives in none.
    namespace: String,
    /// What would be done: get, list, watch, create, update, patch, delete, deletecollection, or `*` for all.
    verb: String,
    /// API group; empty for the core group, `*` for all.
    group: String,
    /// API version; decisions do not depend on it.
    version: String,
    /// Resource, as `testruns`; `*` for all.
    resource: String,
    /// Subresource, as `log`; empty for none.
    subresource: String,
    /// Name of the object; empty for all.
    name: String,
    /// To which fields the request would be limited; decisions do not depend on it.
    field_selector: Option<Selector>,
    /// To which labels the request would be limited; decisions do not depend on it.
    label_selector: Option<Selector>,
}

/// A selector, in one of two forms.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    /// The selector as it stands in a query.
    raw_selector: String,
    /// The selector in parts, all of which hold.
    requirements: Vec<Requirement>,
}

/// One part of a selector.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Requirement {
    /// The field or label.
    key: String,
    /// In, NotIn, Exists or DoesNotExist.
    operator: String,
    /// What it is compared with.
    values: Vec<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct NonResourceAttributes {
    /// The path.
    path: String,
    /// The HTTP method in lower case.
    verb: String,
}

impl Authorizer {
    /// Returns the `status` for a review's `spec`. `namespace` is the path's, for [`ReviewKind::LocalSubject`].
    ///
    /// # Errors
    /// 422 with every cause, when the question is incomplete or contradicts itself.
    pub fn review_access(
        &self,
        sender: &User,
        kind: ReviewKind,
        spec: &Value,
        namespace: &str,
    ) -> Result<Value, Status> {
        let spec = match Option::<Question>::deserialize(spec) {
            Ok(spec) => spec.unwrap_or_default(),
            Err(error) => return Err(invalid(vec![cause("spec", error.to_string())])),
        };
        let causes = check(&spec, kind, namespace);
        if !causes.is_empty() {
            return Err(invalid(causes));
        }
        let subject = (kind != ReviewKind::SelfSubject).then(|| User {
            name: spec.user.clone(),
            uid: spec.uid.clone(),
            groups: spec.groups.clone(),
            extra: spec.extra.clone(),
            credential: Credential::None,
            impersonator: None,
        });
        let decision = self.authorize(subject.as_ref().unwrap_or(sender), &question(&spec));
        let mut status = json!({"allowed": decision.allowed});
        if !decision.reason.is_empty() {
            status["reason"] = json!(&*decision.reason);
        }
        Ok(status)
    }

    /// Returns the `status` of a `SelfSubjectRulesReview` for `namespace`: all that the user may do there.
    #[must_use]
    pub fn review_rules(&self, user: &User, namespace: &str) -> Value {
        let index = self.index.load();
        let mut resource_rules: Vec<Rule> = Vec::new();
        let mut path_rules: Vec<Rule> = Vec::new();
        if user.is_in(MASTERS) {
            resource_rules.push(Rule::resources(&["*"], &["*"], &["*"]));
            path_rules.push(Rule::paths(&["*"], &["*"]));
        }
        for grant in index.grants(user).filter(|grant| grant.applies_in(namespace)) {
            for rule in grant.rules.iter() {
                let target = if rule.non_resource_urls.is_empty() { &mut resource_rules } else { &mut path_rules };
                if !target.contains(rule) {
                    target.push(rule.clone());
                }
            }
        }
        json!({"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": false})
    }
}

fn check(spec: &Question, kind: ReviewKind, namespace: &str) -> Vec<StatusCause> {
    const EXACTLY_ONE: &str = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
    let mut causes = Vec::new();
    match (&spec.resource_attributes, &spec.non_resource_attributes) {
        (None, None) => causes.push(cause("spec.resourceAttributes", format!("Invalid value: null: {EXACTLY_ONE}"))),
        (Some(_), Some(_)) => causes.push(cause(
            "spec.nonResourceAttributes",
            "Invalid value: cannot be specified in combination with resourceAttributes".to_owned(),
        )),
        _ => {}
    }
    if let Some(attributes) = &spec.resource_attributes {
        let selectors = [("fieldSelector", &attributes.field_selector), ("labelSelector", &attributes.label_selector)];
        causes.extend(selectors.into_iter().filter_map(|(name, selector)| check_selector(name, selector.as_ref()?)));
    }
    if kind != ReviewKind::SelfSubject && spec.user.is_empty() && spec.groups.is_empty() {
        let text = "Invalid value: \"\": at least one of user or group must be specified";
        causes.push(cause("spec.user", text.to_owned()));
    }
    if kind == ReviewKind::LocalSubject {
        if spec.non_resource_attributes.is_some() {
            let text = "Invalid value: disallowed on this kind of request";
            causes.push(cause("spec.nonResourceAttributes", text.to_owned()));
        }
        let own = spec.resource_attributes.as_ref().map_or("", |attributes| attributes.namespace.as_str());
        if spec.resource_attributes.is_some() && own != namespace {
            let text = format!("Invalid value: {own:?}: must match metadata.namespace");
            causes.push(cause("spec.resourceAttributes.namespace", text));
        }
    }
    causes
}

fn check_selector(name: &str, selector: &Selector) -> Option<StatusCause> {
    let field = |last: &str| format!("spec.resourceAttributes.{name}.{last}");
    match (selector.raw_selector.is_empty(), selector.requirements.is_empty()) {
        (false, false) => {
            let raw = &selector.raw_selector;
            let text = format!("Invalid value: {raw:?}: may not specified at the same time as requirements");
            Some(cause(&field("rawSelector"), text))
        }
        (true, true) => {
            let message = format!("Required value: when {name} is specified, requirements or rawSelector is required");
            Some(StatusCause { reason: "FieldValueRequired".to_owned(), message, field: field("requirements") })
        }
        _ => None,
    }
}

fn question(spec: &Question) -> RequestInfo {
    if let Some(attributes) = &spec.resource_attributes {
        return RequestInfo {
            verb: attributes.verb.clone(),
            group: attributes.group.clone(),
            version: attributes.version.clone(),
            resource: attributes.resource.clone(),
            subresource: attributes.subresource.clone(),
            namespace: attributes.namespace.clone(),
            name: attributes.name.clone(),
            is_resource: true,
            ..RequestInfo::default()
        };
    }
    let (path, verb) = spec
        .non_resource_attributes
        .as_ref()
        .map_or_else(Default::default, |attributes| (attributes.path.clone(), attributes.verb.clone()));
    RequestInfo { verb, path, ..RequestInfo::default() }
}

fn cause(field: &str, message: String) -> StatusCause {
    StatusCause { reason: "FieldValueInvalid".to_owned(), message, field: field.to_owned() }
}

/// The real server leaves kind and name of reviews empty in this message; clients compare the text.
fn invalid(causes: Vec<StatusCause>) -> Status {
    let nameless = ResourceNames { group: REVIEW_GROUP.to_owned(), plural: String::new(), kind: String::new() };
    Status::invalid(&nameless, "", causes)
}
