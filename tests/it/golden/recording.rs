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

/// Reads the definition that the recording needs.
pub(super) fn definition() -> Value {
    serde_saphyr::from_str(include_str!("../../fixtures/golden/crd.yaml")).unwrap()
}
