//! Recipes as small as they can be: one or two services of the image that the engine has, without a route.

use std::path::Path;

use serde_json::{Value, json};
use tests::engine;
use tests::recipes::{RecipeRepository, Tree};

/// The API of our kinds.
pub(crate) const API: &str = "ci.coopcloud.tech/v1alpha1";

/// Returns a recipe with this compose file, in which `IMAGE` stands for the engine's image.
pub(crate) fn recipe(compose: &str) -> Tree {
    let compose = compose.replace("IMAGE", &engine::image());
    let sample = "TYPE=small\nDOMAIN=small.example.com\nSECRET_TOKEN_VERSION=v1 # length=20\n";
    let files = [
        ("compose.yml", compose.as_str()),
        (".env.sample", sample),
        ("abra.sh", "export CONF_VERSION=v1\n"),
        ("conf.tmpl", "a page\n"),
        ("README.md", "# Small\n"),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// Makes a repository whose versions have these files, oldest first.
pub(crate) fn publish(path: &Path, versions: &[(&str, Tree)]) -> RecipeRepository {
    let mut repository = RecipeRepository::new(path).expect("git works");
    for (version, tree) in versions {
        repository.commit(tree, &format!("chore: publish {version} release")).expect("git works");
        repository.publish(version).expect("git works");
    }
    repository
}

/// Returns an App whose data goes with it, with more in its spec.
pub(crate) fn app(name: &str, url: &str, domain: &str, more: &Value) -> Value {
    let mut spec = json!({"recipe": {"url": url}, "domain": domain, "deployer": "Swarm", "volumes": "Delete"});
    for (key, value) in more.as_object().expect("an object") {
        spec[key] = value.clone();
    }
    json!({"apiVersion": API, "kind": "App", "metadata": {"name": name}, "spec": spec})
}

/// Returns whether every service of an App has the tasks that it should have.
pub(crate) fn runs(app: &Value) -> bool {
    let services = app["status"]["services"].as_array();
    services.is_some_and(|all| !all.is_empty() && all.iter().all(|service| service["running"] == service["desired"]))
}
