//! What a request asks for, in the words that authorisation, audit, limits and metrics share.
//!
//! ```text
//! /api/v1/namespaces/NS/secrets/NAME          group "", version v1, resource secrets
//! /apis/GROUP/VERSION/namespaces/NS/RES/NAME/SUB
//! /apis/GROUP/VERSION/watch/…                 the old spelling of ?watch=true
//! /readyz, /metrics, /                        not a resource: verb is the HTTP method in lower case
//! ```

use http::Method;

#[cfg(test)]
mod tests;

/// What a request asks for. Strings are decoded path segments and may hold anything a client can send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `get list watch create update patch delete deletecollection`, or the lower-case HTTP method.
    pub verb: String,
    /// API group; empty for the core group and for paths that are no resource.
    pub group: String,
    /// API version.
    pub version: String,
    /// Lower-case plural; empty for paths that are no resource.
    pub resource: String,
    /// `status`, `scale`, `log`, …; empty for the object itself.
    pub subresource: String,
    /// Namespace; empty at the cluster scope. For the resource `namespaces` it is the namespace's own name.
    pub namespace: String,
    /// Object's name; empty for collections and creates.
    pub name: String,
    /// The path as sent, without the query.
    pub path: String,
    /// Whether the path names a resource.
    pub is_resource: bool,
}

impl RequestInfo {
    /// Reads a request line. Never fails: what is no resource path is a non-resource request, which is denied by default.
    #[must_use]
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Self {
        let mut info = Self { verb: method.as_str().to_ascii_lowercase(), path: path.to_owned(), ..Self::default() };
        let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(percent_decode).collect();
        let mut rest = segments.iter().map(String::as_str);
        match rest.next() {
            Some("api") => {}
            Some("apis") => match rest.next() {
                Some(group) => group.clone_into(&mut info.group),
                None => return info,
            },
            _ => return info,
        }
        let (Some(version), Some(mut segment)) = (rest.next(), rest.next()) else {
            info.group.clear();
            return info;
        };
        version.clone_into(&mut info.version);
        info.is_resource = true;
        info.verb = resource_verb(method).to_owned();
        let mut forced_watch = false;
        if segment == "watch" {
            forced_watch = true;
            segment = rest.next().unwrap_or_default();
        }
        info.read_names(segment, &mut rest);
        info.refine_verb(method, query.unwrap_or_default(), forced_watch);
        info
    }

    /// Returns whether the request may change anything.
    #[must_use]
    pub fn is_mutating(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch" | "head" | "options")
    }

    /// Returns whether the answer has no natural end: a watch or a followed log. Such requests have limits of their own.
    #[must_use]
    pub fn is_long_running(&self) -> bool {
        self.verb == "watch" || (self.verb == "get" && self.subresource == "log")
    }

    /// Returns `resource` or `resource/subresource`, as RBAC rules write it.
    #[must_use]
    pub fn combined_resource(&self) -> std::borrow::Cow<'_, str> {
        if self.subresource.is_empty() {
            std::borrow::Cow::Borrowed(&self.resource)
        } else {
            std::borrow::Cow::Owned(format!("{}/{}", self.resource, self.subresource))
        }
    }

    fn read_names<'a>(&mut self, first: &str, rest: &mut impl Iterator<Item = &'a str>) {
        if first != "namespaces" {
            first.clone_into(&mut self.resource);
        } else {
            let namespace = rest.next().unwrap_or_default();
            namespace.clone_into(&mut self.namespace);
            match rest.next() {
                Some(next) if !matches!(next, "status" | "finalize") => next.clone_into(&mut self.resource),
                subresource => {
                    "namespaces".clone_into(&mut self.resource);
                    self.name = self.namespace.clone();
                    subresource.unwrap_or_default().clone_into(&mut self.subresource);
                    return;
                }
            }
        }
        rest.next().unwrap_or_default().clone_into(&mut self.name);
        rest.next().unwrap_or_default().clone_into(&mut self.subresource);
    }

    fn refine_verb(&mut self, method: &Method, query: &str, forced_watch: bool) {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        // What has a name in its path is got, whatever the query says.
        if reads && (forced_watch || (self.name.is_empty() && query_flag(query, "watch"))) {
            "watch".clone_into(&mut self.verb);
        } else if reads && self.name.is_empty() {
            "list".clone_into(&mut self.verb);
        } else if *method == Method::DELETE && self.name.is_empty() {
            "deletecollection".clone_into(&mut self.verb);
        }
        // A list or watch of one name is authorised as access to that name, as Kubernetes does.
        if self.name.is_empty()
            && matches!(self.verb.as_str(), "list" | "watch" | "deletecollection")
            && let Some(name) = selected_name(query)
        {
            self.name = name;
        }
    }
}

fn resource_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET | Method::HEAD => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        // No rule can grant this verb, so methods that the API does not have are denied to all but `*`.
        _ => "unknown",
    }
}

fn query_flag(query: &str, name: &str) -> bool {
    query_values(query).any(|(key, value)| key == name && !matches!(value.as_str(), "false" | "0" | "False" | "f"))
}

fn selected_name(query: &str) -> Option<String> {
    let selector = query_values(query).find(|(key, _)| key == "fieldSelector")?.1;
    selector.split(',').find_map(|term| {
        let value = term.strip_prefix("metadata.name=")?;
        Some(value.strip_prefix('=').unwrap_or(value).to_owned())
    })
}

/// Returns the decoded pairs of a query string, in order. Tolerates empty pairs, which kube-rs sends.
pub fn query_values(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decode(&key.replace('+', " ")), percent_decode(&value.replace('+', " ")))
    })
}

/// Returns `text` with `%XX` decoded; malformed escapes stay as they are, invalid UTF-8 becomes U+FFFD.
#[must_use]
pub fn percent_decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| bytes.get(at + 1..at + 3)).flatten();
        let value = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match value.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
