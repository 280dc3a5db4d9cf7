//! Certificate: read or made, checked, distributed, and looked at where it is served.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::condition::{Condition, READY};
use crate::definition::PrinterColumn;
use crate::kind::Kind;
use crate::kinds::acme::{Acme, AcmeStatus};
use crate::kinds::is_false;
use crate::kinds::reference::SecretReference;
use crate::meta::{GROUP, VERSION};
use crate::units::DurationText;

/// The kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate;

impl Kind for Certificate {
    const GROUP: &'static str = GROUP;
    const VERSION: &'static str = VERSION;
    const KIND: &'static str = "Certificate";
    const PLURAL: &'static str = "certificates";
    const DESCRIPTION: &'static str = "Certificate is a certificate and its key: checked, distributed as swarm secrets, rotated, and probed where it is served.";
    const SHORT_NAMES: &'static [&'static str] = &["cert"];
    type Spec = CertificateSpec;
    type Status = CertificateStatus;

    fn columns() -> Vec<PrinterColumn> {
        vec![
            PrinterColumn::new("Names", "string", ".status.dnsNames[*]", "Names that the certificate covers."),
            PrinterColumn::condition(READY),
            PrinterColumn::reason(READY),
            PrinterColumn::new("Expires", "string", ".status.notAfter", "When the certificate expires."),
            PrinterColumn::condition("Served"),
            PrinterColumn::new("Renewal", "string", ".status.renewalTime", "From when on it counts as expiring.")
                .wide(),
            PrinterColumn::new("Issuer", "string", ".status.issuer", "Who signed it.").wide(),
            PrinterColumn::new("Serial", "string", ".status.serial", "Serial number.").wide(),
            PrinterColumn::new(
                "Failure",
                "string",
                ".status.acme.failure.reason",
                "What kept it from being ordered last.",
            )
            .wide(),
            PrinterColumn::message(READY),
            PrinterColumn::age(),
        ]
    }
}

/// What is wanted of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend(
    "required" = ["source"],
    "x-kubernetes-validations" = [
        {
            "rule": "!has(self.source.acme) || has(self.dnsNames)",
            "message": "an ACME certificate needs dnsNames: the names to order it for",
        },
        {
            "rule": "!has(self.source.acme) || !has(self.source.acme.http01) || !has(self.dnsNames) || \
                     !self.dnsNames.exists(name, name.startsWith('*.'))",
            "message": "dnsNames has a wildcard, which no authority issues over HTTP: set source.acme.dns01 in the place of \
                        http01, or name each host",
        },
    ]
))]
pub struct CertificateSpec {
    /// Where the pair comes from.
    pub source: CertificateSource,
    /// Names that the certificate must cover; `*.` covers one label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "names")]
    pub dns_names: Vec<String>,
    /// How long before its end it counts as expiring, and is renewed where that can be done. Absent: a third of its
    /// lifetime, which is 30 days of 90, and 15 of 45. What is made here or ordered is renewed after two thirds of its
    /// lifetime as well when this is not less than the lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1h') && duration(self) <= duration('8760h')",
        "message": "renewBefore must be between 1h and 8760h (a year)",
    }]))]
    pub renew_before: Option<DurationText>,
    /// Apps that get the pair as swarm secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["appRef", "certSecret"]))]
    pub distribute: Vec<Distribution>,
    /// Addresses that must present it. They may be this machine's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address", "serverName"]))]
    pub probes: Vec<CertificateProbe>,
    /// Leaves everything as it is while true.
    #[serde(skip_serializing_if = "is_false")]
    pub suspend: bool,
}

/// Where a pair comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "[has(self.files), has(self.secretRef), has(self.selfSigned), has(self.acme)].filter(given, given).size() == 1",
    "message": "source has exactly one of files, secretRef, selfSigned and acme",
}]))]
pub struct CertificateSource {
    /// Files on the host that somebody else renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<CertificateFiles>,
    /// A Secret of type `kubernetes.io/tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Made here, and renewed: for tests, and behind a proxy of one's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<SelfSigned>,
    /// Ordered from an authority such as Let's Encrypt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<Acme>,
}

/// Files in PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["cert", "key"]))]
pub struct CertificateFiles {
    /// The certificate, followed by its chain.
    #[schemars(schema_with = "crate::grammar::file_path")]
    pub cert: String,
    /// The key.
    #[schemars(schema_with = "crate::grammar::file_path")]
    pub key: String,
}

/// A certificate that signs itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["dnsNames"]))]
pub struct SelfSigned {
    /// Names that it covers.
    #[schemars(schema_with = "names")]
    pub dns_names: Vec<String>,
    /// How long it is valid; 90 days when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = [{
        "rule": "duration(self) >= duration('1m') && duration(self) <= duration('87600h')",
        "message": "duration must be between 1m and 87600h (ten years)",
    }]))]
    pub duration: Option<DurationText>,
}

/// An app that gets the pair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["appRef", "certSecret", "keySecret"]))]
pub struct Distribution {
    /// Name of the App.
    #[schemars(schema_with = "crate::grammar::object_name")]
    pub app_ref: String,
    /// Name of the certificate among the recipe's secrets, such as `ssl_cert`.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub cert_secret: String,
    /// Name of the key among the recipe's secrets, such as `ssl_key`.
    #[schemars(schema_with = "crate::grammar::swarm_name")]
    pub key_secret: String,
}

/// An address that must present the certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["address", "serverName"]))]
pub struct CertificateProbe {
    /// Host and port.
    #[schemars(schema_with = "crate::grammar::host_port")]
    pub address: String,
    /// Name that is asked for (SNI).
    #[schemars(schema_with = "crate::grammar::domain")]
    pub server_name: String,
}

/// What was seen of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// Generation of the spec that the status is about.
    pub observed_generation: i64,
    /// Serial number of the pair in use, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub serial: Option<String>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub fingerprint: Option<String>,
    /// Who signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub issuer: Option<String>,
    /// First moment of validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub not_before: Option<String>,
    /// Last moment of validity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub not_after: Option<String>,
    /// From when on it counts as expiring, and is renewed where that can be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub renewal_time: Option<String>,
    /// Names that it covers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(max = 253)), extend("x-kubernetes-list-type" = "set"))]
    pub dns_names: Vec<String>,
    /// Swarm secrets that hold it now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    pub secret_names: Vec<String>,
    /// How far ordering is; absent unless the source is `acme`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeStatus>,
    /// What each address presented last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address", "serverName"]))]
    pub served: Vec<ServedCertificate>,
    /// `Valid`, `Distributed`, `Served`, `Expiring`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What an address presented.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("required" = ["address", "serverName"]))]
pub struct ServedCertificate {
    /// Host and port.
    #[schemars(length(max = 262))]
    pub address: String,
    /// Name that was asked for.
    #[schemars(length(max = 253))]
    pub server_name: String,
    /// Serial number of what it presented, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub serial: Option<String>,
    /// SHA-256 of what it presented, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub fingerprint: Option<String>,
    /// Why nothing could be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub error: Option<String>,
    /// When it was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::grammar::moment")]
    pub checked_at: Option<String>,
}

fn names(_: &mut SchemaGenerator) -> Schema {
    crate::grammar::set_of(&crate::grammar::CERTIFICATE_NAME, 100)
}
