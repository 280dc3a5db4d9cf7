//! `serviceaccounts/NAME/token`: a token of a service account, as `kubectl create token` asks for it.
//!
//! It ends with its time or with its account, whichever comes first. It opens this server and nothing else, so that
//! neither other audiences nor bound objects are offered.

use api_types::status::{Reason, ResourceNames, Status};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::blocking;
use crate::answer::document;
use crate::api::Call;
use crate::authentication::token_file;
use crate::authentication::tokens::ServiceAccountRef;
use crate::body::{decode_object, off_the_runtime};
use crate::negotiation::BodyType;
use crate::query::{OptionsKind, cause};
use crate::served::Served;
use crate::verbs::VerbResult;
use store::request::DryRun;

const KIND: &str = "TokenRequest";
const API_VERSION: &str = "authentication.k8s.io/v1";
/// Whom a token is for; a client may name it or leave it out.
const AUDIENCE: &str = "https://kubernetes.default.svc";
/// How long a token works, in seconds: as asked for, within these bounds.
const SECONDS_DEFAULT: i64 = 3600;
const SECONDS_MIN: i64 = 600;
const SECONDS_MAX: i64 = 1 << 32;

/// Makes a token; the answer is the only one that ever holds it.
pub(crate) async fn create(call: &mut Call, served: &Served) -> VerbResult {
    let options = call.query.write_options(OptionsKind::Create, "")?;
    let body_type = BodyType::of(call.headers())?;
    let body = off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, KIND)).await?;
    let (target, now) = (call.target(served), call.api.clock.now());
    let lifetime = lifetime(&body.value, &target.name)?;
    let not_found = || Status::not_found(served.names(), &target.name);
    let account = call.api.store.get(&served.resource, &target.key()).ok_or_else(not_found)?;
    if account.is_deleting() {
        return Err(not_found());
    }
    call.note_object(&account);
    let table = call.api.access.authenticator.account_tokens();
    let path = table.map(|table| table.path().to_owned()).ok_or_else(not_found)?;
    let expires = now
        .checked_add(SignedDuration::from_secs(lifetime))
        .map_err(|_| Status::failure(Reason::BadRequest, "the token would end after the year 9999"))?;
    let mut answer = json!({
        "kind": KIND, "apiVersion": API_VERSION,
        "metadata": {
            "name": target.name, "namespace": target.namespace,
            "creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        },
        "spec": {"audiences": [AUDIENCE], "expirationSeconds": lifetime, "boundObjectRef": null},
        "status": {"token": "", "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
    });
    if options.dry_run == DryRun::No {
        let owner = ServiceAccountRef {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            uid: account.uid().to_owned(),
        };
        let made = blocking(move || token_file::create_for_account(&path, &owner, now, expires)).await?;
        let (record, text) = made.map_err(|error| super::refused(&error, &target.name))?;
        if let Some(log) = &mut call.record {
            log.annotate("authentication.kubernetes.io/issued-credential-id", &record.id);
        }
        answer["status"]["token"] = json!(text);
    }
    Ok(document(201, answer.to_string().into(), &call.negotiated))
}

/// Reads how long the token shall work.
pub(crate) fn lifetime(request: &Value, name: &str) -> Result<i64, Status> {
    let names =
        ResourceNames { group: "authentication.k8s.io".to_owned(), plural: String::new(), kind: KIND.to_owned() };
    let is_other =
        |field: &str, wanted: &str| request[field].as_str().is_some_and(|found| !found.is_empty() && found != wanted);
    if !request.is_object() || is_other("kind", KIND) || is_other("apiVersion", API_VERSION) {
        return Err(Status::failure(Reason::BadRequest, format!("the body must be {API_VERSION} {KIND}")));
    }
    let spec = &request["spec"];
    let mut causes = Vec::new();
    let audiences = spec["audiences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(other) = audiences.iter().find(|audience| audience.as_str() != Some(AUDIENCE)) {
        let message = format!("Unsupported value: {other}: supported values: {AUDIENCE:?}");
        causes.push(cause("FieldValueNotSupported", "spec.audiences", message));
    }
    if !spec["boundObjectRef"].is_null() {
        let message = "Forbidden: tokens are bound to their service account only";
        causes.push(cause("FieldValueForbidden", "spec.boundObjectRef", message));
    }
    let seconds = match &spec["expirationSeconds"] {
        Value::Null => SECONDS_DEFAULT,
        number => number.as_i64().unwrap_or_default(),
    };
    if seconds < SECONDS_MIN {
        let message = format!("Invalid value: {seconds}: may not specify a duration less than 10 minutes");
        causes.push(cause("FieldValueInvalid", "spec.expirationSeconds", message));
    } else if seconds > SECONDS_MAX {
        let message = format!("Invalid value: {seconds}: may not specify a duration larger than 2^32 seconds");
        causes.push(cause("FieldValueInvalid", "spec.expirationSeconds", message));
    }
    if causes.is_empty() { Ok(seconds) } else { Err(Status::invalid(&names, name, causes)) }
}
