//! Credentials for private registries, out of the Secrets that `imagePullSecrets` names.

use api_types::kinds::allow::AllowOption;
use api_types::kinds::recipe::RecipeSpec;
use api_types::kinds::reference::SecretReference;
use api_types::reason;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ports::compose::stack::Stack;
use ports::swarm::registries::{Registries, Unreadable};
use serde_json::Value;

use super::deployer::decorate::hash;
use super::labels::PULL_SECRETS_LABEL;
use crate::runtime::cache::Cache;
use crate::runtime::objects::ObjectKey;
use crate::runtime::outcome::Failure;
use crate::trust::Tier;

/// The resource of Secrets.
const SECRETS: &str = "secrets";
/// The type of Secret, and the key in it, that `kubectl create secret docker-registry` makes.
const CONFIG: (&str, &str) = ("kubernetes.io/dockerconfigjson", ".dockerconfigjson");
/// What it made long ago.
const LEGACY: (&str, &str) = ("kubernetes.io/dockercfg", ".dockercfg");

/// Credentials, and which state of the Secrets they are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullSecrets {
    /// The credentials.
    pub registries: Registries,
    /// Changes whenever one of the Secrets does.
    pub revision: String,
}

impl PullSecrets {
    /// Marks the services whose images are pulled with them.
    pub(crate) fn put_on(&self, stack: &mut Stack) {
        for service in &mut stack.services {
            let spec = &mut service.spec;
            if self.registries.of_image(&spec.task_template.container_spec.image).is_some() {
                spec.labels.insert(PULL_SECRETS_LABEL.to_owned(), hash(self.revision.as_bytes()));
            }
        }
    }
}

/// Reads the Secrets of these names; of two credentials for one registry the first counts.
///
/// # Errors
/// `Blocked` with `PullSecretInvalid` when one is not there or cannot be used.
pub(crate) fn read<'a>(
    cache: &Cache,
    namespace: &str,
    names: impl IntoIterator<Item = &'a SecretReference>,
) -> Result<PullSecrets, Failure> {
    let mut found = PullSecrets::default();
    for SecretReference { name } in names {
        let key = ObjectKey::new(SECRETS, namespace, name);
        if !cache.is_synced(SECRETS) {
            return Err(Failure::outdated("the first list of secrets has not arrived yet"));
        }
        let stored = cache.get(&key).filter(|stored| !stored.is_being_deleted());
        let read = match &stored {
            Some(stored) => registries(&stored.value),
            None => Err("it is not there".to_owned()),
        };
        let registries = read.map_err(|why| {
            let message = format!(
                "the Secret {name}, which imagePullSecrets names, gives no credentials for a registry: {why}. Make it \
                 with: kubectl create secret docker-registry {name} --namespace={namespace} --docker-server=HOST \
                 --docker-username=USER --docker-password=PASSWORD"
            );
            Failure::blocked(reason::PULL_SECRET_INVALID, message, vec![key.clone()])
        })?;
        found.registries.extend(registries);
        if let Some(stored) = stored {
            found.revision += &format!("{}@{} ", stored.metadata.uid, stored.metadata.resource_version);
        }
    }
    Ok(found)
}

/// Returns whether the stack of a run is given its Recipe's credentials: whoever wrote it may name any image that they
/// open, and read what it holds.
#[must_use]
pub(crate) fn are_for(recipe: &RecipeSpec, tier: Tier) -> bool {
    let allow = recipe.trust.allow.as_ref();
    tier == Tier::Trusted || allow.is_some_and(|allow| allow.options.contains(&AllowOption::PullSecrets))
}

/// Returns every value in a Secret that proves something to a registry, for the redactor.
pub(crate) fn values(secret: &Value) -> Vec<(String, String)> {
    let Ok(registries) = registries(secret) else { return Vec::new() };
    registries.passwords().map(|(registry, password)| (registry.to_owned(), password.to_owned())).collect()
}

fn registries(secret: &Value) -> Result<Registries, String> {
    let type_ = secret["type"].as_str().unwrap_or_default();
    let content = |key: &str| {
        let text = secret["data"][key].as_str().ok_or_else(|| format!("it has no key {key}"))?;
        STANDARD.decode(text).map_err(|_| format!("{key} is no base64"))
    };
    let read = |error: Unreadable| error.to_string();
    match type_ {
        _ if type_ == CONFIG.0 => Registries::from_config(&content(CONFIG.1)?).map_err(read),
        _ if type_ == LEGACY.0 => Registries::from_legacy(&content(LEGACY.1)?).map_err(read),
        _ => Err(format!("its type is {type_} instead of {}", CONFIG.0)),
    }
}

#[cfg(test)]
mod tests {
    use api_types::kinds::allow::Allow;
    use ports::compose::stack::StackService;
    use serde_json::json;

    use super::*;

    fn secret(type_: &str, key: &str, content: &str) -> Value {
        json!({"type": type_, "data": {key: STANDARD.encode(content)}})
    }

    #[test]
    fn secrets_of_both_types_are_read_and_others_are_refused_without_showing_them() {
        let entry = r#"{"r.example": {"username": "u", "password": "s3cret-canary"}}"#;
        let config = format!(r#"{{"auths": {entry}}}"#);
        let cases = [
            (secret(CONFIG.0, CONFIG.1, &config), Ok("s3cret-canary")),
            (secret(LEGACY.0, LEGACY.1, entry), Ok("s3cret-canary")),
            (secret("Opaque", CONFIG.1, &config), Err("its type is Opaque instead of kubernetes.io/dockerconfigjson")),
            (secret(CONFIG.0, LEGACY.1, &config), Err("it has no key .dockerconfigjson")),
            (secret(CONFIG.0, CONFIG.1, "s3cret-canary"), Err("it is no JSON of the shape")),
        ];
        for (secret, expected) in cases {
            match (registries(&secret), expected) {
                (Ok(found), Ok(password)) => {
                    assert_eq!(found.of_image("r.example/app:1").map(|auth| auth.password.as_str()), Some(password));
                    assert_eq!(values(&secret), [("r.example".to_owned(), password.to_owned())]);
                }
                (Err(why), Err(expected)) => {
                    assert!(why.starts_with(expected) && !why.contains("s3cret"), "{why}");
                    assert_eq!(values(&secret), []);
                }
                other => panic!("{secret}: {other:?}"),
            }
        }
    }

    #[test]
    fn services_say_of_which_secrets_their_credentials_are_and_only_those_that_have_some() {
        let entry = r#"{"r.example": {"username": "u", "password": "s3cret-canary"}}"#;
        let registries = registries(&secret(LEGACY.0, LEGACY.1, entry)).unwrap();
        let marks = |revision: &str| {
            let mut stack = Stack::default();
            for image in ["r.example/team/app:1", "elsewhere.example/app:1"] {
                let mut service = StackService::default();
                image.clone_into(&mut service.spec.task_template.container_spec.image);
                stack.services.push(service);
            }
            PullSecrets { registries: registries.clone(), revision: revision.to_owned() }.put_on(&mut stack);
            let mark = |service: &StackService| service.spec.labels.get(PULL_SECRETS_LABEL).cloned();
            stack.services.iter().map(mark).collect::<Vec<_>>()
        };
        let (before, after) = (marks("uid@1 "), marks("uid@2 "));
        assert!(before[0].is_some() && before[0] != after[0], "{before:?} {after:?}");
        assert_eq!((&before[1], &after[1]), (&None, &None));
    }

    #[test]
    fn stacks_of_strangers_get_credentials_with_the_recipes_permission_only() {
        let mut recipe = RecipeSpec::default();
        assert!(are_for(&recipe, Tier::Trusted));
        assert!(!are_for(&recipe, Tier::Untrusted));
        recipe.trust.allow = Some(Allow { options: vec![AllowOption::Routers], ..Allow::default() });
        assert!(!are_for(&recipe, Tier::Untrusted));
        recipe.trust.allow = Some(Allow { options: vec![AllowOption::PullSecrets], ..Allow::default() });
        assert!(are_for(&recipe, Tier::Untrusted));
    }
}
