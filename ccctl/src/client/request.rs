//! One request to the API as data: built by commands, sent by the client, shown by `--curl`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::Value;

/// What stays readable in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
/// What stays readable in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');

/// The shape of the answer to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Objects.
    Json,
    /// Rows with the columns that the server chose.
    Table,
    /// Objects without spec and status.
    Metadata,
    /// Discovery in one document.
    Discovery,
    /// Anything, such as a log.
    Any,
}

impl Accept {
    /// Returns the header's value.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Table => "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            Self::Metadata => {
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json"
            }
            Self::Discovery => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
            Self::Any => "*/*",
        }
    }
}

/// How a PATCH body is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PatchType {
    /// RFC 6902: a list of operations
    Json,
    /// RFC 7386: fields to set, null removes
    Merge,
    /// Kubernetes' merge patch with directives; built-in kinds only
    Strategic,
    /// Server-side apply
    #[value(skip)]
    Apply,
}

impl PatchType {
    /// Returns the body's media type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json-patch+json",
            Self::Merge => "application/merge-patch+json",
            Self::Strategic => "application/strategic-merge-patch+json",
            Self::Apply => "application/apply-patch+yaml",
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct ApiRequest {
    /// HTTP method.
    pub method: Method,
    /// Path, percent-encoded.
    pub path: String,
    /// Query in order; encoded when sent.
    pub query: Vec<(String, String)>,
    /// Shape of the answer.
    pub accept: Accept,
    /// Media type and content.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// `If-None-Match`.
    pub known_etag: Option<String>,
    /// Whether the answer may take as long as it likes: watches and followed logs.
    pub unbounded: bool,
    /// Whether this is preparation that `--curl` does not show, such as discovery.
    pub hidden: bool,
}

impl ApiRequest {
    /// Starts a request without a body.
    #[must_use]
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            accept: Accept::Json,
            body: None,
            known_etag: None,
            unbounded: false,
            hidden: false,
        }
    }

    /// Starts a GET.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Starts a POST of JSON.
    #[must_use]
    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path).json("application/json", body)
    }

    /// Starts a PATCH.
    #[must_use]
    pub fn patch(path: impl Into<String>, patch_type: PatchType, body: &Value) -> Self {
        Self::new(Method::PATCH, path).json(patch_type.content_type(), body)
    }

    /// Starts a DELETE with options.
    #[must_use]
    pub fn delete(path: impl Into<String>, options: &Value) -> Self {
        Self::new(Method::DELETE, path).json("application/json", options)
    }

    fn json(mut self, content_type: &'static str, body: &Value) -> Self {
        self.body = Some((content_type, body.to_string().into_bytes()));
        self
    }

    /// Asks for a shape.
    #[must_use]
    pub fn accept(mut self, accept: Accept) -> Self {
        self.accept = accept;
        self
    }

    /// Adds to the query.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds to the query when there is something to add.
    #[must_use]
    pub fn query_if(self, name: &str, value: Option<&str>) -> Self {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Lets the answer take as long as it likes.
    #[must_use]
    pub fn unbounded(mut self) -> Self {
        self.unbounded = true;
        self
    }

    /// Keeps the request out of `--curl`.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Says whether the request changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }

    /// Returns path and query as they go over the wire.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        let query: Vec<String> =
            self.query.iter().map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, QUERY))).collect();
        match (query.is_empty(), self.path.contains('?')) {
            (true, _) => self.path.clone(),
            (false, false) => format!("{}?{}", self.path, query.join("&")),
            (false, true) => format!("{}&{}", self.path, query.join("&")),
        }
    }
}

/// Returns a name as a path segment.
#[must_use]
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

/// Returns the namespace that a path of the API names.
#[must_use]
pub fn namespace_of_path(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/namespaces/")?;
    let (namespace, after) = rest.split_once('/')?;
    // `/namespaces/x/status` is about the namespace itself.
    (!["status", "finalize"].contains(&after)).then_some(namespace)
}
