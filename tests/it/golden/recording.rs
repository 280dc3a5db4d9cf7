//! The recording: what was asked of a real kube-apiserver, and what it answered.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::Deserialize;
use serde_json::Value;

/// One request and its answer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Step {
    pub step: String,
    pub req: Request,
    pub resp: Response,
}

/// What was asked.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub ct: Option<String>,
    pub accept: Option<String>,
    pub hdr: Option<BTreeMap<String, String>>,
    pub anon: bool,
    pub who: Option<String>,
    pub body: Option<String>,
}

/// What was answered; bodies are cut after 12 000 characters.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Bodies of this length were cut.
pub(super) const CUT_AT: usize = 12_000;

/// One difference that is meant to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Difference {
    pub step: String,
    /// Beginnings of the paths that differ, as the report prints them.
    pub paths: Vec<String>,
    /// What ours is answered with, when another status is meant to be.
    pub status: Option<u16>,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Differences {
    difference: Vec<Difference>,
}

/// Reads the recording.
pub(super) fn read_steps() -> Vec<Step> {
    let packed: &[u8] = include_bytes!("../../fixtures/golden/real.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Reads the differences that are meant to be.
pub(super) fn read_differences() -> Vec<Difference> {
    let text = include_str!("../../fixtures/golden/differences.toml");
    toml::from_str::<Differences>(text).unwrap().difference
}

/// Returns the whole items of a list that was cut, and nothing behind them; nothing when it is no list in JSON.
pub(super) fn whole_items(body: &str) -> Option<Value> {
    let (mut depth, mut end, mut is_text, mut is_escaped) = (0_u32, None, false, false);
    for (index, character) in body.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            '{' | '[' if !is_text => depth += 1,
            '}' | ']' if !is_text => {
                depth = depth.checked_sub(1)?;
                // An item of a list that is a member of the whole.
                if depth == 2 {
                    end = Some(index + 1);
                }
            }
            _ => {}
        }
    }
    serde_json::from_str(&format!("{}]}}", &body[..end?])).ok()
}

/// Returns of a list what the cut one has: its members, and of its items as many as there are there or come before the
/// last of those.
pub(super) fn as_far(list: &Value, cut: &Value) -> Value {
    let mut list = list.clone();
    let (Some(members), Some(known)) = (list.as_object_mut(), cut.as_object()) else { return list };
    members.retain(|name, _| known.contains_key(name));
    if let (Some(items), Some(whole)) =
        (members.get_mut("items").and_then(Value::as_array_mut), cut["items"].as_array())
    {
        let last = whole.last().map(|item| &item["metadata"]["name"]);
        let kept = items.iter().position(|item| Some(&item["metadata"]["name"]) == last);
        items.truncate(kept.map_or(whole.len(), |index| index + 1));
    }
    list
}

/// Reads the definition that the recording needs.
pub(super) fn definition() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/golden/crd.yaml")).unwrap()
}
