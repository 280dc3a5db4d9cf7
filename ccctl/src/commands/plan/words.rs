//! A plan in words. Pure.

use serde_json::Value;

use crate::reference::ObjectReference;

/// Digits of a commit that are shown.
const COMMIT_DIGITS: usize = 8;

/// Returns what converging an App would do.
#[must_use]
pub(super) fn of_app(app: &ObjectReference, plan: &Value) -> String {
    let text = |field: &str| plan[field].as_str().unwrap_or_default();
    let mut head = format!("{}{}", app.text(), app.namespace_option());
    if !text("commit").is_empty() {
        let commit: String = text("commit").chars().take(COMMIT_DIGITS).collect();
        let what = match text("version") {
            "" => format!("commit {commit}"),
            version => format!("version {version} (commit {commit})"),
        };
        head += &format!(": {what} on the host {}, deployer {}", text("host"), text("deployer"));
    }
    let mut lines = vec![head];
    let calls = plan["calls"].as_array().map_or(&[][..], Vec::as_slice);
    for call in calls {
        let word = |field: &str| call[field].as_str().unwrap_or_default();
        lines.push(format!("  {} {} {}", word("verb"), word("kind"), word("name")));
        let changes = call["changes"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.extend(changes.map(|change| format!("      {change}")));
    }
    if !text("availableVersion").is_empty() {
        lines.push(format!("  version {} is there and is not taken", text("availableVersion")));
    }
    match (text("reason"), text("message")) {
        ("", "") if calls.is_empty() => lines.push("  nothing to do".to_owned()),
        ("", "") => {}
        ("", message) => lines.push(format!("  {message}")),
        (reason, message) => lines.push(format!("  cannot be told: {reason}: {message}")),
    }
    lines.join("\n") + "\n"
}

/// Returns what would become of an object that the files no longer name.
#[must_use]
pub(super) fn of_pruned(object: &ObjectReference) -> String {
    let what = match object.resource.kind.as_str() {
        "App" => "would be pruned: its stack is taken down, and its data goes or stays as its spec.volumes says",
        _ => "would be pruned",
    };
    format!("{}{} {what}\n", object.text(), object.namespace_option())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::discovery::ResourceType;

    fn app() -> ObjectReference {
        let resource =
            ResourceType { kind: "App".to_owned(), group: "ci.coopcloud.tech".to_owned(), ..ResourceType::default() };
        ObjectReference { resource, namespace: Some("default".to_owned()), name: "cloud".to_owned() }
    }

    #[test]
    fn a_plan_says_what_is_done_in_order_and_why_no_more_can_be_said() {
        let plan = json!({
            "stack": "c", "host": "one", "deployer": "Swarm", "version": "1.2.0+3", "commit": "0123456789abcdef",
            "availableVersion": "2.0.0+4",
            "calls": [
                {"verb": "pull", "kind": "image", "name": "a:2"},
                {"verb": "update", "kind": "service", "name": "c_app", "changes": ["image: a:1 → a:2"]},
            ],
        });
        insta::assert_snapshot!(of_app(&app(), &plan), @r"
        app.ci.coopcloud.tech/cloud -n default: version 1.2.0+3 (commit 01234567) on the host one, deployer Swarm
          pull image a:2
          update service c_app
              image: a:1 → a:2
          version 2.0.0+4 is there and is not taken
        ");
        insta::assert_snapshot!(of_app(&app(), &json!({"commit": "01", "host": "one", "deployer": "Swarm", "calls": []})), @r"
        app.ci.coopcloud.tech/cloud -n default: commit 01 on the host one, deployer Swarm
          nothing to do
        ");
        insta::assert_snapshot!(of_app(&app(), &json!({"calls": [], "reason": "NoHost", "message": "There is no Host."})), @r"
        app.ci.coopcloud.tech/cloud -n default
          cannot be told: NoHost: There is no Host.
        ");
    }
}
