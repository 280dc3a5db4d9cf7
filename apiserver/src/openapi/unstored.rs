//! The kinds that no store holds: what is asked by creating it, tokens, and runs shown as Pods.

use api_types::condition::Condition;
use api_types::plan::AppPlanStatus;
use api_types::structural::structural;
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::authorization::access_review::Question;
use crate::plans;
use crate::tokens;

/// Returns the schema of a kind, without what every object has; nothing for a kind that is stored.
pub(super) fn schema(group: &str, kind: &str) -> Option<Value> {
    Some(match (group, kind) {
        ("", "Pod") => pod(),
        (tokens::GROUP, tokens::KIND) => token(),
        ("authentication.k8s.io", "TokenRequest") => token_request(),
        ("authentication.k8s.io", "TokenReview") => token_review(),
        ("authentication.k8s.io", "SelfSubjectReview") => object(
            "SelfSubjectReview asks who the sender is.",
            json!({"status": object("The answer.", json!({"userInfo": user_info()}))}),
        ),
        ("authorization.k8s.io", "SubjectAccessReview") => {
            access_review("SubjectAccessReview asks whether somebody may do something.", of_type::<Question>())
        }
        ("authorization.k8s.io", "LocalSubjectAccessReview") => access_review(
            "LocalSubjectAccessReview asks whether somebody may do something in its namespace.",
            of_type::<Question>(),
        ),
        ("authorization.k8s.io", "SelfSubjectAccessReview") => {
            let mut spec = of_type::<Question>();
            let attributes = ["resourceAttributes", "nonResourceAttributes"];
            spec["properties"].as_object_mut()?.retain(|name, _| attributes.contains(&&**name));
            access_review("SelfSubjectAccessReview asks whether the sender may do something.", spec)
        }
        ("authorization.k8s.io", "SelfSubjectRulesReview") => rules_review(),
        (api_types::meta::GROUP, plans::KIND) => plan(),
        _ => return None,
    })
}

fn access_review(description: &str, mut spec: Value) -> Value {
    spec["description"] = json!("The question: exactly one of resourceAttributes and nonResourceAttributes.");
    let status = json!({
        "allowed": flag("Whether it is allowed."),
        "reason": text("Which binding allows it."),
    });
    let mut review = object(description, json!({"spec": spec, "status": object("The answer.", status)}));
    review["required"] = json!(["spec"]);
    review
}

fn rules_review() -> Value {
    let rule = |resources: Value| {
        let mut rule = object("One rule.", resources);
        rule["properties"]["verbs"] = texts("Verbs, or `*`.");
        rule["required"] = json!(["verbs"]);
        rule
    };
    let resources = rule(json!({
        "apiGroups": texts("API groups, \"\" for the core group, or `*`."),
        "resources": texts("Resources, `resource/subresource`, `*/subresource`, or `*`."),
        "resourceNames": texts("Names of objects; none stands for all."),
    }));
    let paths = rule(json!({
        "nonResourceURLs": texts("Paths that are no resource; a trailing `*` matches any rest."),
    }));
    let status = json!({
        "resourceRules": list("What may be done to resources.", resources),
        "nonResourceRules": list("What may be done to paths that are no resource.", paths),
        "incomplete": flag("Whether there may be more; always false here."),
        "evaluationError": text("Why there may be more; not filled."),
    });
    let spec = json!({"namespace": text("Where; what holds in the whole cluster is listed as well.")});
    let mut review = object(
        "SelfSubjectRulesReview asks for everything that the sender may do in a namespace.",
        json!({"spec": object("The question.", spec), "status": object("The answer.", status)}),
    );
    review["required"] = json!(["spec"]);
    review
}

fn token_review() -> Value {
    let spec = json!({
        "token": text("The token."),
        "audiences": texts("For whom the token must be; not looked at, as all tokens are for this server."),
    });
    let status = json!({
        "authenticated": flag("Whether the token is good."),
        "user": user_info(),
        "audiences": texts("For whom the token is."),
        "error": text("Why the token is not good."),
    });
    let mut review = object(
        "TokenReview asks whose token something is.",
        json!({"spec": object("The question.", spec), "status": object("The answer.", status)}),
    );
    review["required"] = json!(["spec"]);
    review
}

fn user_info() -> Value {
    let extra =
        json!({"type": "object", "description": "What else is known.", "additionalProperties": texts("Values.")});
    object(
        "Who it is.",
        json!({
            "username": text("Name of the user."),
            "uid": text("Identity of the user."),
            "groups": texts("Groups of the user."),
            "extra": extra,
        }),
    )
}

fn token_request() -> Value {
    let bound = json!({
        "apiVersion": text("Group and version of the object."),
        "kind": text("Kind of the object."),
        "name": text("Name of the object."),
        "uid": text("Identity of the object."),
    });
    let spec = json!({
        "audiences": texts("For whom the token is: `https://kubernetes.default.svc`, which is also meant when it is left out."),
        "expirationSeconds": {
            "type": "integer", "format": "int64", "minimum": 600, "maximum": 4_294_967_296_i64, "default": 3600,
            "description": "How long the token works, in seconds.",
        },
        "boundObjectRef": object("Refused: tokens are bound to their service account only.", bound),
    });
    let status = json!({
        "token": text("The token; empty when nothing was made."),
        "expirationTimestamp": moment("When the token ends."),
    });
    object(
        "TokenRequest asks for a token of a service account.",
        json!({"spec": object("What is wanted.", spec), "status": object("What was made.", status)}),
    )
}

fn token() -> Value {
    let spec = json!({
        "user": text("Whom it stands for: a user's name, that of the token when it is left out."),
        "groups": texts("Groups besides `system:authenticated`."),
        "expiresAt": moment("When it ends: in 90 days when it is left out. One that is shown without it has no end."),
    });
    let status = json!({
        "id": text("Its identity, which is a part of the token as well."),
        "token": text("The secret, which only the answer to its creation ever holds."),
    });
    object(
        "Token lets whoever holds it act as a user until it ends or is deleted.",
        json!({"spec": object("Whom it stands for.", spec), "status": object("What was made.", status)}),
    )
}

fn pod() -> Value {
    let container = json!({
        "name": text("`run` for the whole run, or the name of one of its logs."),
        "image": text("Always `none`."),
    });
    let containers =
        list("One for the whole run, one for each rung and for each other log.", object("A log.", container));
    let spec = json!({"containers": containers, "restartPolicy": text("Always `Never`.")});
    let state = json!({
        "waiting": object("It has not begun.", json!({"reason": text("Phase of the run, or result of the rung.")})),
        "running": object("It has begun.", json!({"startedAt": moment("Since when.")})),
        "terminated": object(
            "It has ended.",
            json!({
                "exitCode": integer("0 when all is well, otherwise 1."),
                "reason": text("Phase of the run, or result of the rung."),
                "startedAt": moment("When it began."),
                "finishedAt": moment("When it ended."),
            }),
        ),
    });
    let container_status = json!({
        "name": text("Name of the container."),
        "ready": flag("Whether all is well."),
        "started": flag("Always true."),
        "restartCount": integer("Always 0."),
        "image": text("Always `none`."),
        "imageID": text("Always empty."),
        "state": object("Where it is: one of the three.", state),
        "lastState": object("Always empty.", json!({})),
    });
    let status = json!({
        "phase": text("Pending, Running, Succeeded or Failed."),
        "conditions": list("The conditions of the TestRun.", of_type::<Condition>()),
        "containerStatuses": list("Where each container is.", object("Where a container is.", container_status)),
    });
    object(
        "Pod is a TestRun as `kubectl get pods` and `kubectl logs` know it; it can only be read.",
        json!({"spec": object("The logs of the run.", spec), "status": object("Where the run is.", status)}),
    )
}

fn plan() -> Value {
    let any = |description: &str| json!({"type": "object", "description": description, "x-kubernetes-preserve-unknown-fields": true});
    let spec = json!({
        "objects": list("Objects as they would be applied, at most 1000.", any("An object.")),
    });
    object(
        "AppPlan asks what converging an App would do; nothing is done.",
        json!({"spec": object("What would be applied.", spec), "status": of_type::<AppPlanStatus>()}),
    )
}

/// Returns the schema of a type that requests are read into or answers are made of.
fn of_type<T: JsonSchema>() -> Value {
    let schema = structural::<T>().expect("a test makes every document");
    serde_json::to_value(schema).expect("a schema always serialises")
}

fn object(description: &str, properties: Value) -> Value {
    json!({"type": "object", "description": description, "properties": properties})
}

fn list(description: &str, items: Value) -> Value {
    json!({"type": "array", "description": description, "items": items, "x-kubernetes-list-type": "atomic"})
}

fn texts(description: &str) -> Value {
    list(description, json!({"type": "string"}))
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "description": description})
}

fn integer(description: &str) -> Value {
    json!({"type": "integer", "format": "int32", "description": description})
}

fn moment(description: &str) -> Value {
    json!({"type": "string", "format": "date-time", "description": description})
}
