//! Questions that are asked by creating an object and answered in it: who am I, may I, whose token is this.

use serde_json::{Value, json};

use crate::answer::document;
use crate::api::Call;
use crate::authentication::review::{self_subject_review_status, token_review_status};
use crate::authorization::access_review::ReviewKind;
use crate::body::{decode_object, off_the_runtime};
use crate::negotiation::BodyType;
use crate::query::OptionsKind;
use crate::verbs::VerbResult;
use api_types::status::{Reason, Status};

/// One kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Review {
    /// Its API group.
    pub group: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its plural.
    pub plural: &'static str,
    /// Its kind.
    pub kind: &'static str,
    /// Whether it is asked in a namespace.
    pub namespaced: bool,
    question: Question,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    WhoAmI,
    WhoseToken,
    MayI(ReviewKind),
    WhatMayI,
}

const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";

/// Every question there is.
pub(crate) const REVIEWS: [Review; 7] = [
    review(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", Question::WhoAmI),
    // `kubectl auth whoami` of 1.27 knows no other version.
    Review {
        version: "v1beta1",
        ..review(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview", Question::WhoAmI)
    },
    review(AUTHENTICATION, "tokenreviews", "TokenReview", Question::WhoseToken),
    Review {
        namespaced: true,
        ..review(
            AUTHORIZATION,
            "localsubjectaccessreviews",
            "LocalSubjectAccessReview",
            Question::MayI(ReviewKind::LocalSubject),
        )
    },
    review(
        AUTHORIZATION,
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        Question::MayI(ReviewKind::SelfSubject),
    ),
    review(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview", Question::WhatMayI),
    review(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview", Question::MayI(ReviewKind::Subject)),
];

const fn review(group: &'static str, plural: &'static str, kind: &'static str, question: Question) -> Review {
    Review { group, version: "v1", plural, kind, namespaced: false, question }
}

/// Finds the question under an address.
pub(crate) fn find(group: &str, version: &str, plural: &str) -> Option<&'static Review> {
    REVIEWS.iter().find(|review| (review.group, review.version, review.plural) == (group, version, plural))
}

/// Answers a question: nothing is stored.
pub(crate) async fn answer(call: &Call, review: &'static Review) -> VerbResult {
    call.query.write_options(OptionsKind::Create, "")?;
    let body_type = BodyType::of(call.headers())?;
    let body = off_the_runtime(call.body_bytes(), move |bytes| decode_object(bytes, body_type, review.kind)).await?;
    let mut object = body.value;
    let api_version = format!("{}/{}", review.group, review.version);
    check_type(&object, review, &api_version)?;
    let spec = object["spec"].take();
    let (authorizer, user) = (&call.api.access.authorizer, &call.user);
    let namespace = &call.info.namespace;
    let status = match review.question {
        Question::WhoAmI => self_subject_review_status(user),
        Question::WhoseToken => token_review_status(&call.api.access.authenticator, &spec),
        Question::MayI(kind) => authorizer.review_access(user, kind, &spec, namespace)?,
        Question::WhatMayI => {
            let namespace = spec["namespace"].as_str().unwrap_or_default();
            if namespace.is_empty() {
                return Err(Status::failure(Reason::BadRequest, "no namespace on request"));
            }
            authorizer.review_rules(user, namespace)
        }
    };
    let mut metadata = json!({});
    if review.namespaced {
        metadata["namespace"] = json!(namespace);
    }
    let mut answer = json!({"kind": review.kind, "apiVersion": api_version, "metadata": metadata});
    match review.question {
        Question::WhoAmI => {
            let now = call.api.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            answer["metadata"]["creationTimestamp"] = json!(now);
        }
        Question::WhatMayI => answer["spec"] = json!({}),
        Question::WhoseToken | Question::MayI(_) => answer["spec"] = spec,
    }
    answer["status"] = status;
    Ok(document(201, answer.to_string().into(), &call.negotiated))
}

/// A body may leave out what it is, but may not say that it is something else.
pub(crate) fn check_type(object: &Value, review: &Review, api_version: &str) -> Result<(), Status> {
    if !object.is_object() {
        let message =
            format!("the object provided is unrecognized (must be of type {}): a JSON object is expected", review.kind);
        return Err(Status::failure(Reason::BadRequest, message));
    }
    let differs =
        |name: &str, expected: &str| object[name].as_str().is_some_and(|found| !found.is_empty() && found != expected);
    if differs("apiVersion", api_version) {
        let message = format!(
            "the API version in the data ({}) does not match the expected API version ({api_version})",
            object["apiVersion"].as_str().unwrap_or_default()
        );
        return Err(Status::failure(Reason::BadRequest, message));
    }
    if differs("kind", review.kind) {
        let message = format!("the object provided is of kind {}, not {}", object["kind"], review.kind);
        return Err(Status::failure(Reason::BadRequest, message));
    }
    Ok(())
}
