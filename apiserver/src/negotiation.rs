//! What a client can read (`Accept`) and what it sends (`Content-Type`).

use api_types::status::{Reason, Status};
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};

use crate::query::Query;

/// The list of types in the answers to clients that accept, or send, none of them.
const MEDIA_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// How an answer is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    PrettyJson,
    Yaml,
}

impl Encoding {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::PrettyJson => "application/json",
            Self::Yaml => "application/yaml",
        }
    }
}

/// What an answer shows of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// All of it.
    Object,
    /// A row of a table, in this version of `meta.k8s.io`.
    Table(&'static str),
    /// Its metadata alone, in this version of `meta.k8s.io`.
    Metadata(&'static str),
}

/// What was agreed with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Negotiated {
    pub encoding: Encoding,
    pub form: Form,
    /// Whether large answers may be compressed.
    pub gzip: bool,
}

/// One entry of an `Accept` header.
struct Entry<'a> {
    media_type: &'a str,
    parameters: &'a str,
}

impl<'a> Entry<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key.trim() == name).then(|| value.trim().trim_matches('"'))
        })
    }
}

/// Returns the entries of all `Accept` headers, in order; quality values are not looked at, as in Kubernetes.
fn accept_entries(headers: &HeaderMap) -> impl Iterator<Item = Entry<'_>> {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(',')).map(
        |entry| {
            let (media_type, parameters) = entry.split_once(';').unwrap_or((entry, ""));
            Entry { media_type: media_type.trim(), parameters }
        },
    )
}

impl Negotiated {
    /// Chooses the first thing in the `Accept` header that can be served.
    ///
    /// # Errors
    /// `NotAcceptable` when there is none.
    pub(crate) fn new(headers: &HeaderMap, query: &Query) -> Result<Self, Status> {
        let (encoding, form) = choose(headers)?;
        let pretty = encoding == Encoding::Json && is_pretty(headers, query);
        let encoding = if pretty { Encoding::PrettyJson } else { encoding };
        Ok(Self { encoding, form, gzip: accepts_gzip(headers) })
    }

    /// Returns what a client gets that could not be understood: JSON.
    pub(crate) fn fallback(headers: &HeaderMap, query: &Query) -> Self {
        let encoding = if is_pretty(headers, query) { Encoding::PrettyJson } else { Encoding::Json };
        Self { encoding, form: Form::Object, gzip: false }
    }
}

fn choose(headers: &HeaderMap) -> Result<(Encoding, Form), Status> {
    if !headers.contains_key(ACCEPT) {
        return Ok((Encoding::Json, Form::Object));
    }
    for entry in accept_entries(headers) {
        let encoding = match entry.media_type {
            "application/json" | "*/*" | "application/*" | "" => Encoding::Json,
            "application/yaml" => Encoding::Yaml,
            _ => continue,
        };
        if let Some(form) = form(&entry) {
            return Ok((encoding, form));
        }
    }
    Err(Status::failure(Reason::NotAcceptable, format!("only the following media types are accepted: {MEDIA_TYPES}")))
}

fn form(entry: &Entry<'_>) -> Option<Form> {
    let Some(kind) = entry.parameter("as") else { return Some(Form::Object) };
    if entry.parameter("g").is_some_and(|group| group != "meta.k8s.io") {
        return None;
    }
    let version = match entry.parameter("v") {
        None | Some("v1") => "meta.k8s.io/v1",
        Some("v1beta1") => "meta.k8s.io/v1beta1",
        Some(_) => return None,
    };
    match kind {
        "Table" => Some(Form::Table(version)),
        "PartialObjectMetadata" | "PartialObjectMetadataList" => Some(Form::Metadata(version)),
        _ => None,
    }
}

/// People who look with a browser or curl get lines; `?pretty=` decides otherwise.
fn is_pretty(headers: &HeaderMap, query: &Query) -> bool {
    if query.has("pretty") {
        return query.flag("pretty");
    }
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|program| agent.starts_with(program))
}

/// Whether a client reads compressed answers.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|text| text.split(',').any(|coding| coding.split(';').next().unwrap_or_default().trim() == "gzip"))
}

/// Which discovery document an `Accept` header asks for: the version of `apidiscovery.k8s.io`, or the legacy lists.
pub(crate) fn aggregated_discovery(headers: &HeaderMap) -> Option<&'static str> {
    accept_entries(headers).find_map(|entry| {
        if entry.media_type != "application/json" && entry.media_type != "*/*" {
            return None;
        }
        match (entry.parameter("as"), entry.parameter("g"), entry.parameter("v")) {
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2")) => Some(Some("v2")),
            (Some("APIGroupDiscoveryList"), Some("apidiscovery.k8s.io"), Some("v2beta1")) => Some(Some("v2beta1")),
            (None, _, _) => Some(None),
            _ => None,
        }
    })?
}

/// What a request's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyType {
    Json,
    Yaml,
    Protobuf,
}

impl BodyType {
    /// Reads the `Content-Type` of a body that holds an object; none means JSON.
    ///
    /// # Errors
    /// `UnsupportedMediaType`.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match media_type(headers).as_str() {
            "" | "application/json" => Ok(Self::Json),
            "application/yaml" => Ok(Self::Yaml),
            "application/vnd.kubernetes.protobuf" => Ok(Self::Protobuf),
            _ => Err(unsupported(MEDIA_TYPES)),
        }
    }

    /// Returns how the bytes of any body are written down, patches among them. What is not known is taken for JSON.
    pub(crate) fn of_any(headers: &HeaderMap) -> Self {
        match media_type(headers).as_str() {
            "application/yaml" | "application/apply-patch+yaml" => Self::Yaml,
            "application/vnd.kubernetes.protobuf" => Self::Protobuf,
            _ => Self::Json,
        }
    }
}

/// What a patch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchType {
    /// Reads the `Content-Type` of a patch.
    ///
    /// # Errors
    /// `UnsupportedMediaType`; strategic patches need a kind whose lists have merge keys: a built-in one.
    pub(crate) fn of(headers: &HeaderMap, is_built_in: bool) -> Result<Self, Status> {
        match media_type(headers).as_str() {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if is_built_in => Ok(Self::Strategic),
            "application/apply-patch+yaml" => Ok(Self::Apply),
            _ if is_built_in => Err(unsupported(
                "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
            )),
            _ => Err(unsupported(
                "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
            )),
        }
    }
}

/// Returns the media type of the body in lower case, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn unsupported(accepted: &str) -> Status {
    Status::failure(
        Reason::UnsupportedMediaType,
        format!("the body of the request was in an unknown format - accepted media types include: {accepted}"),
    )
}
