//! Field numbers of the messages that clients send as protobuf.

/// What a field holds, in terms of the JSON that it becomes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Text; Go writes it even when it is empty, JSON leaves it out then.
    Text,
    /// An integer; left out when it is 0.
    Integer,
    /// A truth value; left out when it is false.
    Bool,
    /// Any of the three, of which Go knows whether it is set: kept whatever it is.
    Pointer(&'static Self),
    /// Bytes, base64 in JSON.
    Bytes,
    /// A message whose first field is JSON (`FieldsV1`).
    Json,
    /// A moment in whole seconds.
    Time,
    /// A moment in microseconds.
    MicroTime,
    /// A message whose first field is a list of texts (`ExtraValue`).
    Texts,
    /// Another message.
    Message(&'static Message),
    /// A repeated field.
    List(&'static Self),
    /// A map from text to this.
    Map(&'static Self),
}

/// The fields of a message: number, name in JSON, content.
pub(super) type Message = [(u64, &'static str, Kind)];

use Kind::{Bool, Integer, Json, List, Map, MicroTime, Pointer, Text, Texts, Time};

const BOOL_POINTER: Kind = Pointer(&Bool);
const INTEGER_POINTER: Kind = Pointer(&Integer);
const TEXT_POINTER: Kind = Pointer(&Text);
const TEXT_LIST: Kind = List(&Text);
const TEXT_MAP: Kind = Map(&Text);
const META: (u64, &str, Kind) = (1, "metadata", Kind::Message(OBJECT_META));

/// What may be sent: `apiVersion` (empty for any), kind, message.
pub(super) const TYPES: &[(&str, &str, &Message)] = &[
    ("v1", "Namespace", NAMESPACE),
    ("v1", "ConfigMap", CONFIG_MAP),
    ("v1", "Secret", SECRET),
    ("v1", "ServiceAccount", SERVICE_ACCOUNT),
    ("v1", "Event", EVENT),
    ("events.k8s.io/v1", "Event", NEW_EVENT),
    ("coordination.k8s.io/v1", "Lease", LEASE),
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview", ACCESS_REVIEW),
    ("authorization.k8s.io/v1", "SubjectAccessReview", ACCESS_REVIEW),
    ("authorization.k8s.io/v1", "LocalSubjectAccessReview", ACCESS_REVIEW),
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview", RULES_REVIEW),
    ("authentication.k8s.io/v1", "SelfSubjectReview", SELF_REVIEW),
    ("authentication.k8s.io/v1", "TokenReview", TOKEN_REVIEW),
    ("authentication.k8s.io/v1", "TokenRequest", TOKEN_REQUEST),
    ("rbac.authorization.k8s.io/v1", "Role", ROLE),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", ROLE),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", ROLE_BINDING),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", ROLE_BINDING),
    ("", "DeleteOptions", DELETE_OPTIONS),
];

const OBJECT_META: &Message = &[
    (1, "name", Text),
    (2, "generateName", Text),
    (3, "namespace", Text),
    (4, "selfLink", Text),
    (5, "uid", Text),
    (6, "resourceVersion", Text),
    (7, "generation", Integer),
    (8, "creationTimestamp", Time),
    (9, "deletionTimestamp", Time),
    (10, "deletionGracePeriodSeconds", INTEGER_POINTER),
    (11, "labels", TEXT_MAP),
    (12, "annotations", TEXT_MAP),
    (13, "ownerReferences", List(&Kind::Message(OWNER_REFERENCE))),
    (14, "finalizers", TEXT_LIST),
    (17, "managedFields", List(&Kind::Message(MANAGED_FIELDS))),
];

const OWNER_REFERENCE: &Message = &[
    (1, "kind", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "controller", BOOL_POINTER),
    (7, "blockOwnerDeletion", BOOL_POINTER),
];

const MANAGED_FIELDS: &Message = &[
    (1, "manager", Text),
    (2, "operation", Text),
    (3, "apiVersion", Text),
    (4, "time", Time),
    (6, "fieldsType", Text),
    (7, "fieldsV1", Json),
    (8, "subresource", Text),
];

const DELETE_OPTIONS: &Message = &[
    (1, "gracePeriodSeconds", INTEGER_POINTER),
    (2, "preconditions", Kind::Message(PRECONDITIONS)),
    (3, "orphanDependents", BOOL_POINTER),
    (4, "propagationPolicy", TEXT_POINTER),
    (5, "dryRun", TEXT_LIST),
];

const PRECONDITIONS: &Message = &[(1, "uid", TEXT_POINTER), (2, "resourceVersion", TEXT_POINTER)];

const NAMESPACE: &Message = &[
    META,
    (2, "spec", Kind::Message(&[(1, "finalizers", TEXT_LIST)])),
    (3, "status", Kind::Message(NAMESPACE_STATUS)),
];

const NAMESPACE_STATUS: &Message = &[(1, "phase", Text), (2, "conditions", List(&Kind::Message(CONDITION)))];

const CONDITION: &Message = &[
    (1, "type", Text),
    (2, "status", Text),
    (4, "lastTransitionTime", Time),
    (5, "reason", Text),
    (6, "message", Text),
];

const CONFIG_MAP: &Message =
    &[META, (2, "data", TEXT_MAP), (3, "binaryData", Map(&Kind::Bytes)), (4, "immutable", BOOL_POINTER)];

const SECRET: &Message = &[
    META,
    (2, "data", Map(&Kind::Bytes)),
    (3, "type", Text),
    (4, "stringData", TEXT_MAP),
    (5, "immutable", BOOL_POINTER),
];

const SERVICE_ACCOUNT: &Message = &[
    META,
    (2, "secrets", List(&Kind::Message(OBJECT_REFERENCE))),
    (3, "imagePullSecrets", List(&Kind::Message(&[(1, "name", Text)]))),
    (4, "automountServiceAccountToken", BOOL_POINTER),
];

const OBJECT_REFERENCE: &Message = &[
    (1, "kind", Text),
    (2, "namespace", Text),
    (3, "name", Text),
    (4, "uid", Text),
    (5, "apiVersion", Text),
    (6, "resourceVersion", Text),
    (7, "fieldPath", Text),
];

const EVENT: &Message = &[
    META,
    (2, "involvedObject", Kind::Message(OBJECT_REFERENCE)),
    (3, "reason", Text),
    (4, "message", Text),
    (5, "source", Kind::Message(EVENT_SOURCE)),
    (6, "firstTimestamp", Time),
    (7, "lastTimestamp", Time),
    (8, "count", Integer),
    (9, "type", Text),
    (10, "eventTime", MicroTime),
    (11, "series", Kind::Message(EVENT_SERIES)),
    (12, "action", Text),
    (13, "related", Kind::Message(OBJECT_REFERENCE)),
    (14, "reportingComponent", Text),
    (15, "reportingInstance", Text),
];

const EVENT_SOURCE: &Message = &[(1, "component", Text), (2, "host", Text)];

const EVENT_SERIES: &Message = &[(1, "count", Integer), (2, "lastObservedTime", MicroTime)];

const NEW_EVENT: &Message = &[
    META,
    (2, "eventTime", MicroTime),
    (3, "series", Kind::Message(EVENT_SERIES)),
    (4, "reportingController", Text),
    (5, "reportingInstance", Text),
    (6, "action", Text),
    (7, "reason", Text),
    (8, "regarding", Kind::Message(OBJECT_REFERENCE)),
    (9, "related", Kind::Message(OBJECT_REFERENCE)),
    (10, "note", Text),
    (11, "type", Text),
    (12, "deprecatedSource", Kind::Message(EVENT_SOURCE)),
    (13, "deprecatedFirstTimestamp", Time),
    (14, "deprecatedLastTimestamp", Time),
    (15, "deprecatedCount", Integer),
];

const LEASE: &Message = &[META, (2, "spec", Kind::Message(LEASE_SPEC))];

const LEASE_SPEC: &Message = &[
    (1, "holderIdentity", TEXT_POINTER),
    (2, "leaseDurationSeconds", INTEGER_POINTER),
    (3, "acquireTime", MicroTime),
    (4, "renewTime", MicroTime),
    (5, "leaseTransitions", INTEGER_POINTER),
    (6, "strategy", TEXT_POINTER),
    (7, "preferredHolder", TEXT_POINTER),
];

const ACCESS_REVIEW: &Message = &[META, (2, "spec", Kind::Message(ACCESS_SPEC))];

const ACCESS_SPEC: &Message = &[
    (1, "resourceAttributes", Kind::Message(RESOURCE_ATTRIBUTES)),
    (2, "nonResourceAttributes", Kind::Message(&[(1, "path", Text), (2, "verb", Text)])),
    (3, "user", Text),
    (4, "groups", TEXT_LIST),
    (5, "extra", Map(&Texts)),
    (6, "uid", Text),
];

const RESOURCE_ATTRIBUTES: &Message = &[
    (1, "namespace", Text),
    (2, "verb", Text),
    (3, "group", Text),
    (4, "version", Text),
    (5, "resource", Text),
    (6, "subresource", Text),
    (7, "name", Text),
    (8, "fieldSelector", Kind::Message(SELECTOR_ATTRIBUTES)),
    (9, "labelSelector", Kind::Message(SELECTOR_ATTRIBUTES)),
];

const SELECTOR_ATTRIBUTES: &Message = &[
    (1, "rawSelector", Text),
    (2, "requirements", List(&Kind::Message(&[(1, "key", Text), (2, "operator", Text), (3, "values", TEXT_LIST)]))),
];

const RULES_REVIEW: &Message = &[META, (2, "spec", Kind::Message(&[(1, "namespace", Text)]))];

const SELF_REVIEW: &Message = &[META];

const TOKEN_REVIEW: &Message = &[META, (2, "spec", Kind::Message(&[(1, "token", Text), (2, "audiences", TEXT_LIST)]))];

const TOKEN_REQUEST: &Message = &[META, (2, "spec", Kind::Message(TOKEN_REQUEST_SPEC))];

const TOKEN_REQUEST_SPEC: &Message = &[
    (1, "audiences", TEXT_LIST),
    (
        3,
        "boundObjectRef",
        Kind::Message(&[(1, "kind", Text), (2, "apiVersion", Text), (3, "name", Text), (4, "uid", Text)]),
    ),
    (4, "expirationSeconds", INTEGER_POINTER),
];

const ROLE: &Message = &[
    META,
    (2, "rules", List(&Kind::Message(RULE))),
    (3, "aggregationRule", Kind::Message(&[(1, "clusterRoleSelectors", List(&Kind::Message(LABEL_SELECTOR)))])),
];

const RULE: &Message = &[
    (1, "verbs", TEXT_LIST),
    (2, "apiGroups", TEXT_LIST),
    (3, "resources", TEXT_LIST),
    (4, "resourceNames", TEXT_LIST),
    (5, "nonResourceURLs", TEXT_LIST),
];

const LABEL_SELECTOR: &Message = &[
    (1, "matchLabels", TEXT_MAP),
    (2, "matchExpressions", List(&Kind::Message(&[(1, "key", Text), (2, "operator", Text), (3, "values", TEXT_LIST)]))),
];

const ROLE_BINDING: &Message = &[
    META,
    (2, "subjects", List(&Kind::Message(SUBJECT))),
    (3, "roleRef", Kind::Message(&[(1, "apiGroup", Text), (2, "kind", Text), (3, "name", Text)])),
];

const SUBJECT: &Message = &[(1, "kind", Text), (2, "apiGroup", Text), (3, "name", Text), (4, "namespace", Text)];
