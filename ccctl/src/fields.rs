//! Questions about the fields of any object: its conditions, its state in one word, its names.

use serde_json::Value;

/// A condition as it stands in `status.conditions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Adjective or past participle: `Ready`.
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
    /// When the status changed last.
    pub last_transition_time: Option<String>,
}

/// Conditions that sum an object up, in order of preference.
const SUMMARIES: [&str; 2] = ["Ready", "Succeeded"];
/// Conditions that are only there when something is unusual: `True` is the bad value.
const ABNORMAL: [&str; 4] = ["Stalled", "Reconciling", "Drifted", "Expiring"];

impl Condition {
    /// Says whether the condition tells of something bad.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        if ABNORMAL.contains(&self.type_.as_str()) { self.status == "True" } else { self.status == "False" }
    }

    /// Says whether the condition tells of something unfinished.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status == "Unknown"
    }
}

/// Returns the text of a field, empty when it is missing or no text.
#[must_use]
pub fn text<'value>(value: &'value Value, field: &str) -> &'value str {
    value[field].as_str().unwrap_or_default()
}

/// Returns `metadata.name`.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(&object["metadata"], "name")
}

/// Returns `metadata.namespace`, `None` when the object has none.
#[must_use]
pub fn namespace(object: &Value) -> Option<&str> {
    object["metadata"]["namespace"].as_str().filter(|namespace| !namespace.is_empty())
}

/// Returns the conditions in the order in which the object lists them.
#[must_use]
pub fn conditions(object: &Value) -> Vec<Condition> {
    let list = object["status"]["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .map(|condition| Condition {
            type_: text(condition, "type").to_owned(),
            status: text(condition, "status").to_owned(),
            reason: text(condition, "reason").to_owned(),
            message: text(condition, "message").to_owned(),
            last_transition_time: condition["lastTransitionTime"].as_str().map(str::to_owned),
        })
        .collect()
}

/// Returns the condition that sums the object up.
#[must_use]
pub fn summary(conditions: &[Condition]) -> Option<&Condition> {
    SUMMARIES.into_iter().find_map(|summary| conditions.iter().find(|condition| condition.type_ == summary))
}

/// Says whether the object's status is about an older spec.
#[must_use]
pub fn is_outdated(object: &Value) -> bool {
    let observed = object["status"]["observedGeneration"].as_i64();
    observed.is_some_and(|observed| object["metadata"]["generation"].as_i64().is_some_and(|now| observed < now))
}

/// Returns the object's state in a word or two.
#[must_use]
pub fn state(object: &Value) -> String {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    if object["spec"]["suspend"] == true {
        return "Suspended".to_owned();
    }
    let phase = text(&object["status"], "phase");
    if !phase.is_empty() {
        return phase.to_owned();
    }
    let conditions = conditions(object);
    match summary(&conditions) {
        Some(condition) if condition.status == "True" => condition.type_.clone(),
        Some(condition) if condition.status == "False" => format!("not {}", condition.type_),
        Some(condition) => format!("{} not known yet", condition.type_),
        None => String::new(),
    }
}
