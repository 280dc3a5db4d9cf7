//! Acting as somebody else: `Impersonate-User`, `-Group`, `-Uid`, `-Extra-*`.
//!
//! Allowed to those who hold the verb `impersonate` on every name they take, or Kubernetes' narrower pair:
//! `impersonate:user-info` on the names and `impersonate-on:user-info:VERB` on what they do with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_types::status::{Reason, Status};
use http::HeaderMap;

use super::{ANONYMOUS, AUTHENTICATED, Credential, UNAUTHENTICATED, User};
use crate::authorization::{Authorizer, forbidden};
use crate::request::{RequestInfo, percent_decode};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const GROUPS_MAX: usize = 64;

/// Whom the headers ask to be.
struct Request {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

/// Returns the user as whom the request is judged: the sender, or whom the headers name.
///
/// # Errors
/// 400 for headers that make no sense, 403 when the sender may not act as that user.
pub fn impersonate(
    authorizer: &Authorizer,
    sender: Arc<User>,
    headers: &HeaderMap,
    info: &RequestInfo,
) -> Result<Arc<User>, Status> {
    let Some(request) = read_headers(headers)? else { return Ok(sender) };
    if !may_impersonate(authorizer, &sender, &request, info) {
        let verb = format!("impersonate-on:user-info:{}", info.verb);
        let attempt = RequestInfo { verb, ..info.clone() };
        return Err(forbidden(&sender, &attempt, ""));
    }
    let mut groups = request.groups;
    let known = if request.user == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == known) {
        groups.push(known.to_owned());
    }
    Ok(Arc::new(User {
        name: request.user,
        uid: request.uid,
        groups,
        extra: request.extra,
        credential: Credential::None,
        impersonator: Some(sender),
    }))
}

fn read_headers(headers: &HeaderMap) -> Result<Option<Request>, Status> {
    let mut request = Request { user: String::new(), uid: String::new(), groups: Vec::new(), extra: BTreeMap::new() };
    let mut found = false;
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with("impersonate-") {
            continue;
        }
        found = true;
        let value =
            std::str::from_utf8(value.as_bytes()).map_err(|_| bad(format!("header {name} is not UTF-8")))?.to_owned();
        match name {
            USER => set_once(&mut request.user, name, value)?,
            UID => set_once(&mut request.uid, name, value)?,
            GROUP => request.groups.push(value),
            _ => match name.strip_prefix(EXTRA) {
                Some(key) => request.extra.entry(percent_decode(key)).or_default().push(value),
                // A header that we do not understand could narrow what is asked for: never ignore it.
                None => return Err(bad(format!("unknown impersonation header {name}"))),
            },
        }
    }
    if !found {
        return Ok(None);
    }
    if request.user.is_empty() {
        return Err(bad("requested to impersonate without Impersonate-User; name the user too".to_owned()));
    }
    if request.groups.len() > GROUPS_MAX {
        return Err(bad(format!("more than {GROUPS_MAX} Impersonate-Group headers")));
    }
    Ok(Some(request))
}

fn set_once(slot: &mut String, name: &str, value: String) -> Result<(), Status> {
    if !slot.is_empty() {
        return Err(bad(format!("header {name} was sent twice")));
    }
    *slot = value;
    Ok(())
}

fn bad(message: String) -> Status {
    Status::failure(Reason::BadRequest, message)
}

fn may_impersonate(authorizer: &Authorizer, sender: &User, request: &Request, info: &RequestInfo) -> bool {
    let attempts = attempts(request);
    let all = |verb: &str, group_of: &dyn Fn(&RequestInfo) -> String| {
        attempts.iter().all(|attempt| {
            let attempt = RequestInfo { verb: verb.to_owned(), group: group_of(attempt), ..attempt.clone() };
            authorizer.authorize(sender, &attempt).allowed
        })
    };
    if all("impersonate", &|attempt| attempt.group.clone()) {
        return true;
    }
    let on = RequestInfo { verb: format!("impersonate-on:user-info:{}", info.verb), ..info.clone() };
    authorizer.authorize(sender, &on).allowed && all("impersonate:user-info", &|_| "authentication.k8s.io".to_owned())
}

/// Checks that `sender` may act as `user` with `groups`: whoever makes a credential for somebody can be them.
///
/// # Errors
/// 403 that names the first of the names that they may not take.
pub(crate) fn require_acting_as(
    authorizer: &Authorizer,
    sender: &User,
    user: &str,
    groups: &[String],
) -> Result<(), Status> {
    let request =
        Request { user: user.to_owned(), uid: String::new(), groups: groups.to_vec(), extra: BTreeMap::new() };
    attempts(&request)
        .into_iter()
        .try_for_each(|attempt| authorizer.require(sender, &RequestInfo { verb: "impersonate".to_owned(), ..attempt }))
}

/// Returns one authorisation question per name that is taken.
fn attempts(request: &Request) -> Vec<RequestInfo> {
    let question = |group: &str, resource: &str, subresource: &str, name: &str| RequestInfo {
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        name: name.to_owned(),
        is_resource: true,
        ..RequestInfo::default()
    };
    let mut questions = Vec::new();
    match request.user.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => {
            questions
                .push(RequestInfo { namespace: namespace.to_owned(), ..question("", "serviceaccounts", "", name) });
        }
        None => questions.push(question("", "users", "", &request.user)),
    }
    questions.extend(request.groups.iter().map(|group| question("", "groups", "", group)));
    if !request.uid.is_empty() {
        questions.push(question("authentication.k8s.io", "uids", "", &request.uid));
    }
    for (key, values) in &request.extra {
        questions.extend(values.iter().map(|value| question("authentication.k8s.io", "userextras", key, value)));
    }
    questions
}
