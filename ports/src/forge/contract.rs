//! What is asked, and what the played forge answers, against what real servers say of themselves.
//!
//! `fixtures/forge/contract.json` holds, for each recorded server, the calls that are used: their parameters, and the
//! names and types of what goes in and comes out.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::conformance::{self, Situation};
use super::fake::{FakeForge, Seen};
use super::sign_in::{Application, Proof};
use super::{Forge, ForgeAddress, ForgeToken, Permission, RepositoryName, WantedOAuthApplication};
use crate::clock::FakeClock;

const SHA: &str = "3fa21c9000000000000000000000000000000001";

#[derive(Deserialize)]
struct Described {
    calls: BTreeMap<String, Call>,
    definitions: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Call {
    query: Vec<String>,
    #[serde(default)]
    body: Option<Value>,
    responses: BTreeMap<String, Option<Value>>,
}

impl Described {
    fn call(&self, method: &str, path: &str) -> Option<(&str, &Call)> {
        let segments: Vec<&str> = path.trim_start_matches("/api/v1").split('/').collect();
        let fits = |template: &str| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == segments.len()
                && parts.iter().zip(&segments).all(|(part, segment)| part.starts_with('{') || part == segment)
        };
        // Of several templates that fit, the one with the fewest variables is meant.
        let found = self
            .calls
            .iter()
            .filter(|(name, _)| name.split_once(' ').is_some_and(|(of, template)| of == method && fits(template)));
        found.min_by_key(|(name, _)| name.matches('{').count()).map(|(name, call)| (name.as_str(), call))
    }

    /// Says what in a value is not as it is described.
    fn differences(&self, type_: &Value, value: &Value, place: &str, into: &mut Vec<String>) {
        if value.is_null() {
            return;
        }
        let fits = match type_ {
            Value::Object(members) => return self.members(members, value, place, into),
            Value::String(name) if name.starts_with('[') => {
                let inner = Value::from(name.trim_start_matches('[').strip_suffix(']').unwrap_or_default());
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.differences(&inner, item, &format!("{place}[{index}]"), into);
                }
                value.is_array()
            }
            Value::String(name) => match name.as_str() {
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                "object" => value.is_object(),
                "any" => true,
                name => match &self.definitions[name] {
                    Value::Object(members) => return self.members(members, value, place, into),
                    simple => return self.differences(simple, value, place, into),
                },
            },
            _ => false,
        };
        if !fits {
            into.push(format!("{place} is {value}, not {type_}"));
        }
    }

    fn members(&self, members: &serde_json::Map<String, Value>, value: &Value, place: &str, into: &mut Vec<String>) {
        let Some(object) = value.as_object() else {
            into.push(format!("{place} is {value}, not an object"));
            return;
        };
        for (name, member) in object {
            match members.get(name) {
                Some(type_) => self.differences(type_, member, &format!("{place}.{name}"), into),
                // Servers send it beside `login`, although none describes it.
                None if name == "username" => {}
                None => into.push(format!("{place}.{name} is not described")),
            }
        }
    }

    fn check(&self, seen: &Seen, into: &mut Vec<String>) {
        let (method, rest) = seen.what.split_once(' ').expect("method and path");
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some((name, call)) = self.call(method, path) else {
            into.push(format!("{method} {path} is not described"));
            return;
        };
        for parameter in query.split('&').filter_map(|pair| pair.split_once('=')).map(|(parameter, _)| parameter) {
            if !call.query.iter().any(|known| known == parameter) {
                into.push(format!("{name} has no parameter {parameter}"));
            }
        }
        match &call.body {
            Some(type_) => self.differences(type_, &seen.body, &format!("{name} body"), into),
            None if !seen.body.is_null() => into.push(format!("{name} takes no body")),
            None => {}
        }
        if (200..300).contains(&seen.status) {
            match call.responses.get(&seen.status.to_string()) {
                None => into.push(format!("{name} does not answer {}", seen.status)),
                Some(Some(type_)) => {
                    let answer: Value = serde_json::from_slice(&seen.answer).expect("JSON");
                    self.differences(type_, &answer, &format!("{name} answer"), into);
                }
                Some(None) => {}
            }
        }
    }
}

async fn sign_in(forge: &FakeForge) {
    let to = "http://ci.test/callback";
    forge.world().application("id", "secret", to).browser_of(Some("bot")).grant("id", "bot");
    let code = forge.world().code("id", to);
    let application = Application {
        url: "http://forge.test".to_owned(),
        client_id: "id".to_owned(),
        client_secret: "secret".to_owned(),
    };
    let proof = Proof { code, verifier: String::new(), redirect_uri: to.to_owned() };
    let person = forge.forges().sign_in(&application, &proof).await.unwrap();
    assert_eq!((person.account.login.as_str(), person.organizations), ("bot", vec!["coop".to_owned()]));
    assert_eq!(person.teams, [("coop".to_owned(), "crew".to_owned())]);
}

async fn everything(version: &str) -> Vec<Seen> {
    let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    let forge = FakeForge::new(Arc::new(FakeClock::at(now)));
    version.clone_into(&mut forge.world().version);
    forge
        .world()
        .token("bot", "t", None)
        .team_member("coop", "crew", "bot")
        .member("coop", "ada", false)
        .user("mallory")
        .repository("coop/wiki")
        .collaborator("coop/wiki", "bot", Permission::Admin)
        .tag("coop/wiki", "1.0.0+1.0.0", SHA)
        .branch("coop/wiki", "main", SHA)
        .pull_request("coop/wiki", 7, "ada", SHA, true);
    let address = ForgeAddress { url: "http://forge.test".to_owned(), token: ForgeToken::new("t") };
    let client: Arc<dyn Forge> = forge.forges().connect(&address).unwrap();
    let situation = Situation {
        repository: RepositoryName::new("coop", "wiki"),
        pull_request: 7,
        organization: Some(("coop".into(), "ada".into(), "mallory".into())),
        before: now - SignedDuration::from_hours(1),
    };
    conformance::check(&*client, &situation).await;
    client.team_member("coop", "crew", "bot").await.unwrap();
    client.branch(&situation.repository, "main").await.unwrap();
    let wanted =
        WantedOAuthApplication { name: "drone".to_owned(), redirect_uris: vec!["https://drone.test/login".to_owned()] };
    let (made, secret) = client.create_oauth_application(&wanted).await.unwrap();
    assert_eq!(client.oauth_applications().await.unwrap(), std::slice::from_ref(&made));
    let (changed, other) = client.replace_oauth_application(made.id, &wanted).await.unwrap().unwrap();
    assert!(changed == made && secret != other, "every change makes another secret");
    client.remove_oauth_application(made.id).await.unwrap();
    client.remove_oauth_application(made.id).await.unwrap();
    assert_eq!(client.replace_oauth_application(made.id, &wanted).await.unwrap(), None);
    sign_in(&forge).await;
    // How tokens are got is OAuth's, and described nowhere here.
    forge.seen().into_iter().filter(|seen| !seen.what.contains(" /login/oauth/")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_and_answered_is_what_real_servers_describe() {
    let text = include_str!("../../fixtures/forge/contract.json");
    let servers: BTreeMap<String, Described> = serde_json::from_str(text).unwrap();
    assert_eq!(servers.len(), 3);
    for (server, described) in &servers {
        let version = if server.starts_with("forgejo") { "15.0.0+gitea-1.22.0" } else { "1.24.2" };
        let seen = everything(version).await;
        let mut differences = Vec::new();
        for request in &seen {
            described.check(request, &mut differences);
        }
        differences.sort();
        differences.dedup();
        assert!(differences.is_empty(), "{server}: {differences:#?}");
        let used: Vec<&str> = seen
            .iter()
            .filter_map(|request| {
                let (method, rest) = request.what.split_once(' ')?;
                Some(described.call(method, rest.split('?').next()?)?.0)
            })
            .collect();
        let unused: Vec<&String> = described.calls.keys().filter(|name| !used.contains(&name.as_str())).collect();
        assert!(unused.iter().all(|name| name.contains("public_members")), "never asked: {unused:?}");
    }
}
