//! The two faces of Event: core/v1, in which Events are stored, and `events.k8s.io/v1`, the same under other names.

use serde_json::{Map, Value};

/// The group of the second face.
pub(crate) const NEW_GROUP: &str = "events.k8s.io";
/// The version of the second face.
pub(crate) const NEW_API_VERSION: &str = "events.k8s.io/v1";

/// Names in core/v1 and in `events.k8s.io/v1`, of members that differ in name only.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Members that `events.k8s.io/v1` leaves out when they are empty.
const OMITTED_WHEN_EMPTY: [&str; 2] = ["reportingController", "reportingInstance"];

/// Returns a core Event as `events.k8s.io/v1` shows it.
pub(crate) fn to_new(event: Value) -> Value {
    let mut event = rename(event, |core, _| core, |_, new| new);
    let Some(members) = event.as_object_mut() else { return event };
    for name in OMITTED_WHEN_EMPTY {
        if members.get(name).is_some_and(|value| value == "") {
            members.remove(name);
        }
    }
    members.insert("apiVersion".to_owned(), Value::from(NEW_API_VERSION));
    event
}

/// Returns an Event of `events.k8s.io/v1` as it is stored. Another `apiVersion` stays, so that it can be refused.
pub(crate) fn to_core(event: Value) -> Value {
    let mut event = rename(event, |_, new| new, |core, _| core);
    if let Some(members) = event.as_object_mut()
        && members.get("apiVersion").is_some_and(|version| version == NEW_API_VERSION)
    {
        members.insert("apiVersion".to_owned(), Value::from("v1"));
    }
    event
}

/// Turns the schema of core Events into that of `events.k8s.io/v1`.
pub(crate) fn schema_to_new(schema: &mut Value) {
    schema["properties"] = rename(schema["properties"].take(), |core, _| core, |_, new| new);
    for name in schema["required"].as_array_mut().into_iter().flatten() {
        if let Some((_, new)) = RENAMED.iter().find(|(core, _)| *name == *core) {
            *name = Value::from(*new);
        }
    }
}

/// Returns a field selector of `events.k8s.io/v1` in the names of core/v1.
pub(crate) fn selector_to_core(selector: &str) -> String {
    let terms = selector.split(',').map(|term| {
        RENAMED
            .iter()
            .find_map(|(core, new)| {
                let rest = term.strip_prefix(new)?;
                rest.starts_with(['.', '=', '!']).then(|| format!("{core}{rest}"))
            })
            .unwrap_or_else(|| term.to_owned())
    });
    terms.collect::<Vec<_>>().join(",")
}

fn rename(
    event: Value,
    from: fn(&'static str, &'static str) -> &'static str,
    to: fn(&'static str, &'static str) -> &'static str,
) -> Value {
    let Value::Object(members) = event else { return event };
    let renamed: Map<String, Value> = members
        .into_iter()
        .map(|(name, value)| {
            let new_name = RENAMED.iter().find(|(core, new)| from(core, new) == name).map(|(core, new)| to(core, new));
            (new_name.map_or(name, str::to_owned), value)
        })
        .collect();
    Value::Object(renamed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{selector_to_core, to_core, to_new};

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let core = json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"},
            "involvedObject": {"kind": "Recipe", "name": "r"}, "reason": "Tested", "message": "ok", "type": "Normal",
            "source": {"component": "c"}, "firstTimestamp": null, "lastTimestamp": "2026-01-01T00:00:00Z", "count": 2,
            "eventTime": null, "reportingComponent": "x", "reportingInstance": "y",
        });
        let new = to_new(core.clone());
        assert_eq!(new["apiVersion"], "events.k8s.io/v1");
        assert_eq!(new["regarding"]["kind"], "Recipe");
        assert_eq!(new["note"], "ok");
        assert_eq!(new["deprecatedCount"], 2);
        assert_eq!(new["reportingController"], "x");
        assert_eq!(to_core(new), core);
    }

    #[test]
    fn field_selectors_are_renamed_as_a_whole_word() {
        for (new, core) in [
            ("regarding.name=a,reason=b", "involvedObject.name=a,reason=b"),
            ("reportingController!=x", "reportingComponent!=x"),
            ("regardings.name=a", "regardings.name=a"),
            ("", ""),
        ] {
            assert_eq!(selector_to_core(new), core);
        }
    }
}
