//! References to secrets.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One value of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub name: String,
    /// Key in the Secret's data. Absent: the Secret's only key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::data_key")]
    pub key: Option<String>,
}

/// One value of a Secret in any namespace; only cluster-scoped kinds have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct ClusterSecretKeyReference {
    /// Namespace of the Secret.
    #[schemars(schema_with = "crate::grammar::part_name")]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub name: String,
    /// Key in the Secret's data. Absent: the Secret's only key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::data_key")]
    pub key: Option<String>,
}

impl Default for ClusterSecretKeyReference {
    fn default() -> Self {
        Self { namespace: "default".to_owned(), name: String::new(), key: None }
    }
}

/// A Secret in the same namespace, of the type that the field asks for: `kubernetes.io/tls` has the keys `tls.crt` and
/// `tls.key`, `kubernetes.io/dockerconfigjson` the key `.dockerconfigjson`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["name"]))]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub name: String,
}
