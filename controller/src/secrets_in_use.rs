//! Tells the redactor every value of every Secret in the store, so that none of them leaves in a log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::redact::Redactor;
use store::state::State;
use store::store::Store;
use tokio_util::sync::CancellationToken;

use crate::kinds::app::pull_secrets;

const SECRETS: &str = "secrets";
const PREFIX: &str = "secret/";
/// Shorter values are not looked for, in bytes: Secrets also hold things like `default` and `admin`, without which no
/// log can be read.
const VALUE_BYTES_MIN: usize = 8;

/// Makes the redactor know the Secrets of `state`, and forget those that are gone. Returns the revision that was read.
pub fn load(redactor: &Redactor, state: &State) -> u64 {
    let values = state.objects_from(SECRETS, "").flat_map(|object| {
        let (uid, value) = (object.uid().to_owned(), object.value());
        // The passwords in a file of credentials are secrets of their own.
        let passwords =
            pull_secrets::values(&value).into_iter().map(|(registry, password)| (registry, password.into()));
        let data = value["data"].as_object().cloned().unwrap_or_default();
        let whole = data
            .into_iter()
            .filter_map(|(key, text)| Some((key, STANDARD.decode(text.as_str().unwrap_or_default()).ok()?)));
        let all: Vec<(String, Vec<u8>)> = whole.chain(passwords).collect();
        let is_long = |(_, bytes): &(String, Vec<u8>)| bytes.len() >= VALUE_BYTES_MIN;
        all.into_iter().filter(is_long).map(move |(key, bytes)| (format!("{PREFIX}{uid}/{key}"), bytes))
    });
    redactor.replace_all(PREFIX, values);
    state.resource_revision(SECRETS)
}

/// Does so again after each change of a Secret, until `cancel`.
pub async fn follow(redactor: Redactor, store: Store, cancel: CancellationToken) {
    let mut bell = store.changes();
    let mut loaded = load(&redactor, &store.state());
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            rung = bell.changed() => {
                if rung.is_err() {
                    return;
                }
            }
        }
        let state = store.state();
        if state.resource_revision(SECRETS) != loaded {
            loaded = load(&redactor, &state);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::request::{Body, DeleteOptions, Target, WriteOptions};
    use store::store::OpenOptions;

    use super::*;

    #[tokio::test]
    async fn values_of_secrets_are_masked_while_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(OpenOptions::new(dir.path(), apiserver::built_in::registry())).unwrap();
        apiserver::bootstrap::prepare(&store, &[]).await.unwrap();
        let target = Target::new(store.registry().get(SECRETS).unwrap(), "default", "s");
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "stringData": {"password": "hunter2-canary", "user": "admin"}});
        store.create(&target, Body::from(secret), &WriteOptions::by("test")).await.unwrap();
        let login = Target::new(store.registry().get(SECRETS).unwrap(), "default", "login");
        let config = json!({"auths": {"r.example": {"auth": STANDARD.encode("robot:registry-canary")}}});
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()}});
        store.create(&login, Body::from(secret), &WriteOptions::by("test")).await.unwrap();
        let redactor = Redactor::default();
        load(&redactor, &store.state());
        let said = redactor.text("401 for robot with registry-canary");
        assert!(said.starts_with("401 for robot") && !said.contains("registry-canary"), "{said}");
        let line = "pasted hunter2-canary and aHVudGVyMi1jYW5hcnk= and admin";
        let masked = redactor.text(line);
        assert!(!masked.contains("hunter2") && !masked.contains("aHVudGVyMi1jYW5hcnk"), "{masked}");
        assert!(masked.ends_with("and admin"), "what is too short is no secret: {masked}");
        store.delete(&target, &DeleteOptions::default()).await.unwrap();
        load(&redactor, &store.state());
        assert_eq!(redactor.text(line), line);
    }
}
