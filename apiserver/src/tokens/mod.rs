//! Named tokens through the API: `tokens.authentication.ci.coopcloud.tech`, what `ccd token` does on the server's machine.
//!
//! They are no objects of the store: the file of tokens is read without it, hashes never travel, and no backup carries
//! a credential. Whoever makes a token for somebody can be them, so that the right to impersonate is asked for.

pub(crate) mod request;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::LazyLock;

use api_types::duration_text::human_duration;
use api_types::status::{Reason, ResourceNames, Status, StatusCause};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::document;
use crate::api::Call;
use crate::authentication::impersonation::require_acting_as;
use crate::authentication::token_file::{self, NewToken, TokenError};
use crate::authentication::tokens::TokenRecord;
use crate::body::{decode_object, off_the_runtime};
use crate::negotiation::{BodyType, Form};
use crate::query::OptionsKind;
use crate::verbs::VerbResult;
use crate::verbs::delete::read_options;
use store::request::DryRun;

/// Where tokens are, in discovery and in rules.
pub(crate) const GROUP: &str = "authentication.ci.coopcloud.tech";
pub(crate) const VERSION: &str = "v1alpha1";
pub(crate) const PLURAL: &str = "tokens";
pub(crate) const KIND: &str = "Token";
/// How long a token works when its maker does not say. Tokens without an end are made on the server's machine.
const LIFE_DEFAULT: SignedDuration = SignedDuration::from_hours(24 * 90);

static NAMES: LazyLock<ResourceNames> =
    LazyLock::new(|| ResourceNames { group: GROUP.to_owned(), plural: PLURAL.to_owned(), kind: KIND.to_owned() });

/// A token as it is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct Wanted {
    api_version: String,
    kind: String,
    metadata: WantedMetadata,
    spec: WantedSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct WantedMetadata {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct WantedSpec {
    user: String,
    groups: Vec<String>,
    expires_at: Option<Timestamp>,
}

/// Answers with every token that has not ended.
pub(crate) async fn list(call: &mut Call) -> VerbResult {
    let now = call.api.clock.now();
    let mut records = read(call).await?;
    records.retain(|record| !record.is_expired(now));
    records.sort_by(|left, right| left.name.cmp(&right.name));
    let answer = match call.negotiated.form {
        Form::Table(version) => table(version, &records, now),
        Form::Object => json!({
            "kind": "TokenList", "apiVersion": format!("{GROUP}/{VERSION}"), "metadata": {"resourceVersion": ""},
            "items": records.iter().map(object).collect::<Vec<_>>(),
        }),
        Form::Metadata(version) => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": version, "metadata": {"resourceVersion": ""},
            "items": records.iter().map(|record| metadata_only(record, version)).collect::<Vec<_>>(),
        }),
    };
    Ok(document(200, answer.to_string().into(), &call.negotiated))
}

/// Answers with one token: all that is known of it but its secret, which is nowhere kept.
pub(crate) async fn get(call: &mut Call) -> VerbResult {
    let record = find(call).await?;
    let now = call.api.clock.now();
    let answer = match call.negotiated.form {
        Form::Table(version) => table(version, std::slice::from_ref(&record), now),
        Form::Object => object(&record),
        Form::Metadata(version) => metadata_only(&record, version),
    };
    Ok(document(200, answer.to_string().into(), &call.negotiated))
}

/// Makes a token; the answer is the only one that ever holds it, in `status.token`.
pub(crate) async fn create(call: &mut Call) -> VerbResult {
    let options = call.query.write_options(OptionsKind::Create, "")?;
    let body_type = BodyType::of(call.headers())?;
    let body = off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, KIND)).await?;
    let now = call.api.clock.now();
    let new = wanted(body.value, now)?;
    require_acting_as(&call.api.access.authorizer, &call.user, &new.user, &new.groups)?;
    let path = file(call);
    let name = new.name.clone();
    let (record, token) = match options.dry_run {
        DryRun::All => {
            let (record, _) = TokenRecord::generate(&new.name, &new.user, &new.groups, now, new.expires);
            let is_taken = read(call).await?.iter().any(|token| token.name == new.name && !token.is_expired(now));
            if is_taken {
                return Err(Status::already_exists(&NAMES, &name));
            }
            (record, None)
        }
        DryRun::No => {
            let made = blocking(move || token_file::issue(&path, &new, now)).await?;
            let (record, text) = made.map_err(|error| refused(&error, &name))?;
            (record, Some(text))
        }
    };
    if let Some(log) = &mut call.record {
        log.object(&record.name, &record.id, "");
    }
    let mut answer = object(&record);
    if let Some(token) = token {
        answer["status"]["token"] = json!(token);
    }
    Ok(document(201, answer.to_string().into(), &call.negotiated))
}

/// Revokes a token: it stops working at once.
pub(crate) async fn delete(call: &mut Call) -> VerbResult {
    let options = read_options(call).await?;
    let record = find(call).await?;
    let differs = options.uid.as_ref().is_some_and(|uid| *uid != record.id);
    if differs {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            options.uid.unwrap_or_default(),
            record.id
        );
        return Err(Status::failure(Reason::Conflict, why).about(&NAMES, &record.name));
    }
    if options.dry_run == DryRun::No {
        let (path, name) = (file(call), record.name.clone());
        blocking(move || token_file::revoke(&path, &name)).await?.map_err(|error| refused(&error, &record.name))?;
    }
    if let Some(log) = &mut call.record {
        log.object(&record.name, &record.id, "");
    }
    let details = json!({"name": record.name, "group": GROUP, "kind": PLURAL, "uid": record.id});
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details});
    Ok(document(200, status.to_string().into(), &call.negotiated))
}

/// Reads what is asked for.
fn wanted(value: Value, now: Timestamp) -> Result<NewToken, Status> {
    if !value.is_object() {
        return Err(Status::failure(Reason::BadRequest, format!("{KIND} cannot be read: a JSON object is expected")));
    }
    let wanted = Wanted::deserialize(value)
        .map_err(|error| Status::failure(Reason::BadRequest, format!("{KIND} cannot be read: {error}")))?;
    let api_version = format!("{GROUP}/{VERSION}");
    if !matches!(wanted.kind.as_str(), "" | KIND)
        || (!wanted.api_version.is_empty() && wanted.api_version != api_version)
    {
        let message = format!("the body must be {api_version} {KIND}, not {} {}", wanted.api_version, wanted.kind);
        return Err(Status::failure(Reason::BadRequest, message));
    }
    let name = wanted.metadata.name;
    let expires = wanted.spec.expires_at.or_else(|| now.checked_add(LIFE_DEFAULT).ok());
    if expires.is_none_or(|expires| expires <= now) {
        let message = "Invalid value: must lie in the future".to_owned();
        return Err(invalid(&name, "FieldValueInvalid", "spec.expiresAt", message));
    }
    let user = if wanted.spec.user.is_empty() { name.clone() } else { wanted.spec.user };
    Ok(NewToken { name, user, groups: wanted.spec.groups, expires })
}

fn object(record: &TokenRecord) -> Value {
    let mut spec = json!({"user": record.user, "groups": record.groups});
    if let Some(expires) = record.expires {
        spec["expiresAt"] = json!(seconds(expires));
    }
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": KIND, "metadata": metadata(record), "spec": spec,
        "status": {"id": record.id},
    })
}

fn metadata(record: &TokenRecord) -> Value {
    json!({"name": record.name, "uid": record.id, "creationTimestamp": seconds(record.created)})
}

fn metadata_only(record: &TokenRecord, version: &str) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": version, "metadata": metadata(record)})
}

fn table(version: &str, records: &[TokenRecord], now: Timestamp) -> Value {
    let column = |name: &str, format: &str, description: &str| json!({"name": name, "type": "string", "format": format, "description": description, "priority": 0});
    let age = |time: Timestamp| human_duration(now.duration_since(time).as_secs());
    let rows: Vec<Value> = records
        .iter()
        .map(|record| {
            let expires = record.expires.map_or("never".to_owned(), seconds);
            let cells = json!([record.name, record.user, record.groups.join(","), expires, age(record.created)]);
            json!({"cells": cells, "object": metadata_only(record, version)})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": version, "metadata": {"resourceVersion": ""},
        "columnDefinitions": [
            column("Name", "name", "What people call it"),
            column("User", "", "Whom it stands for"),
            column("Groups", "", "Groups besides system:authenticated"),
            column("Expires", "", "When it ends"),
            column("Age", "", "How long ago it was made"),
        ],
        "rows": rows,
    })
}

fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn file(call: &Call) -> PathBuf {
    call.api.access.authenticator.named_tokens().path().to_owned()
}

async fn read(call: &Call) -> Result<Vec<TokenRecord>, Status> {
    let path = file(call);
    blocking(move || token_file::read(&path)).await?.map_err(|error| refused(&error, ""))
}

async fn find(call: &Call) -> Result<TokenRecord, Status> {
    let (name, now) = (&call.info.name, call.api.clock.now());
    let found = read(call).await?.into_iter().find(|record| record.name == *name && !record.is_expired(now));
    found.ok_or_else(|| Status::not_found(&NAMES, name))
}

/// Runs what waits for the disk, or for another process that changes the file.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Status::failure(Reason::InternalError, "the token file was not read; the server's log says why"))
}

/// Says what went wrong with the file; where it lies is nobody's business who asks over the network.
fn refused(error: &TokenError, name: &str) -> Status {
    match error {
        TokenError::Exists(name) => Status::already_exists(&NAMES, name),
        TokenError::NotFound(name) => Status::not_found(&NAMES, name),
        TokenError::Invalid { field, value, why } => {
            let path = if *field == "name" { "metadata.name".to_owned() } else { format!("spec.{field}") };
            invalid(name, "FieldValueInvalid", &path, format!("Invalid value: {value:?}: {why}"))
        }
        TokenError::TooMany => Status::failure(Reason::TooManyRequests, error.to_string()),
        TokenError::File { .. } | TokenError::Malformed { .. } => {
            tracing::error!("failed to {error}");
            Status::failure(Reason::InternalError, "the file of tokens cannot be used; the server's log says why")
        }
    }
}

fn invalid(name: &str, reason: &str, field: &str, message: String) -> Status {
    Status::invalid(&NAMES, name, vec![StatusCause { reason: reason.to_owned(), message, field: field.to_owned() }])
}
