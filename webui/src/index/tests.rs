//! The index follows the store: brought up to date by changes, it is what a new one would be.

use serde_json::{Value, json};
use store::request::{Body, DeleteOptions, Target, WriteOptions};
use store::store::{OpenOptions, Store};

use super::*;

async fn open() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(OpenOptions::new(folder.path(), apiserver::built_in::registry())).unwrap();
    apiserver::bootstrap::prepare(&store, &apiserver::built_in::own_definitions()).await.unwrap();
    (folder, store)
}

fn target(store: &Store, key: &str, name: &str) -> Target {
    Target::new(store.registry().get(key).unwrap(), "default", name)
}

fn run(name: &str, recipe: &str, owner: Option<&str>) -> Value {
    let mut object = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"recipeRef": recipe, "source": {"ref": "main"}},
    });
    if let Some(uid) = owner {
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe", "name": recipe, "uid": uid}]);
    }
    object
}

/// Everything that can be told apart from outside.
fn picture(index: &Index) -> String {
    let runs = |runs: &RunsByAge| runs.values().map(|run| run.name.clone()).collect::<Vec<_>>();
    let mut groups: Vec<_> = index.runs_of.iter().map(|(key, of)| (key.clone(), runs(of))).collect();
    groups.sort();
    let mut children: Vec<_> = index.children.iter().map(|(uid, of)| (uid.clone(), of.len())).collect();
    children.sort();
    format!("{:?} {:?} {groups:?} {children:?} {}", runs(&index.runs), runs(&index.active), index.recipes.len())
}

#[tokio::test]
async fn following_changes_comes_to_the_same_as_reading_everything() {
    let (_folder, store) = open().await;
    let options = WriteOptions::by("test");
    let recipe = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Recipe",
        "metadata": {"name": "a", "namespace": "default"}, "spec": {"source": {"url": "https://git.example.org/a.git"}},
    });
    let shared = SharedIndex::default();
    let check = |what: &str| {
        let state = store.state();
        let mut fresh = Index::default();
        fresh.follow(&state);
        assert_eq!(picture(&shared.at(&state)), picture(&fresh), "{what}");
    };
    check("nothing");
    let written = store.create(&target(&store, RECIPES, "a"), Body::from(recipe), &options).await.unwrap();
    let uid = written.object.uid().to_owned();
    for at in 0..5 {
        let owner = (at % 2 == 0).then_some(uid.as_str());
        let name = format!("run-{at}");
        store.create(&target(&store, RUNS, &name), Body::from(run(&name, "a", owner)), &options).await.unwrap();
        check("a run came");
    }
    let patch = store::request::Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    let one = target(&store, RUNS, "run-2");
    store.patch(&one, store::request::Part::Status, &patch, &options).await.unwrap();
    check("a run ended");
    assert_eq!(shared.at(&store.state()).active.len(), 4);
    for name in ["run-0", "run-3"] {
        store.delete(&target(&store, RUNS, name), &DeleteOptions::default()).await.unwrap();
        check("a run went");
    }
    let index = shared.at(&store.state());
    assert_eq!(index.runs_of_recipe("default", "a").count(), 3);
    assert!(index.run("default/run-3").is_none());
}
