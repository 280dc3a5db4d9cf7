//! From a comment to a green tick on a real engine: a played forge over HTTP, signed webhooks, a real deploy. The same with
//! a real Gitea or Forgejo: `real_forge.rs`.

use std::time::{Duration, Instant};

use ports::clock::SystemClock;
use ports::forge::fake::FakeForge;
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::forge::{ForgeAddress, ForgeToken, Forges as _, Permission, RepositoryName};
use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, ZONE, status_of};
use tests::recipes::{RecipeRepository, version};

const REPOSITORY: &str = "coop/wiki";
const TOKEN: &str = "token-of-the-bot-7f3a";
const SECRET: &str = "secret-of-the-webhook-91c2";
const RUN_WITHIN: Duration = Duration::from_mins(6);

fn objects(url: &str, recipe: &RecipeRepository) -> Vec<Value> {
    let api = "ci.coopcloud.tech/v1alpha1";
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge-token"}, "stringData": {"token": TOKEN}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook"}, "stringData": {"secret": SECRET}}),
        json!({"apiVersion": api, "kind": "Forge", "metadata": {"name": "home"},
            "spec": {"url": url, "tokenSecretRef": {"namespace": "default", "name": "forge-token"}}}),
        json!({"apiVersion": api, "kind": "Recipe", "metadata": {"name": "wiki"}, "spec": {
            "source": {"url": recipe.url()}, "zone": ZONE, "deployer": "Swarm", "repositoryRef": "wiki",
            "env": {"LETS_ENCRYPT_ENV": "", "TITLE": "Wiki"},
            "timeouts": {"pull": "1m", "converge": "3m", "http": "1m", "run": "10m"},
            "tests": crate::canaries::tests(),
        }}),
        json!({"apiVersion": api, "kind": "Repository", "metadata": {"name": "wiki"}, "spec": {
            "forgeRef": "home", "owner": "coop", "name": "wiki",
            // So rarely that it must have been the webhook.
            "pollInterval": "1h",
            "webhook": {"mode": "Optional", "secretRef": {"name": "webhook", "key": "secret"}},
            "triggers": [{"on": "Comment", "phrase": "!testme", "authorize": {"organization": "coop"},
                "run": {"recipeRef": "wiki"}}],
        }}),
    ]
}

fn played(head: &str, fork_head: &str) -> FakeForge {
    let forge = FakeForge::new(std::sync::Arc::new(SystemClock));
    forge
        .world()
        .token("bot", TOKEN, None)
        .token("ada", "token-of-ada", None)
        .member("coop", "bot", false)
        .member("coop", "ada", false)
        .repository(REPOSITORY)
        .collaborator(REPOSITORY, "bot", Permission::Write)
        .pull_request(REPOSITORY, 7, "ada", head, false)
        .pull_request(REPOSITORY, 8, "mallory", fork_head, true);
    forge
}

fn wait(what: &str, installation: &Installation, limit: Duration, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < limit, "{what} did not happen\n{}", installation.daemon.log());
        tests::daemon::wait_a_moment();
    }
}

fn runs(installation: &Installation, number: i64) -> Vec<Value> {
    let runs = installation.list("testruns").expect("ccd answers");
    runs.into_iter().filter(|run| run["spec"]["source"]["pullRequest"]["number"] == number).collect()
}

#[test]
fn a_comment_becomes_a_green_tick() {
    let folder = tempfile::tempdir().expect("a folder");
    let installation = Installation::start(folder.path(), 2).expect("the installation starts");
    let before = engine::inventory();
    let mut recipe = RecipeRepository::new(&folder.path().join("wiki")).expect("git works");
    let tree = version("guestbook", "1.0.0+1.0.0").expect("the bundled recipe is there");
    let base = recipe.commit(&tree, "chore: publish the base").expect("git works");
    recipe.publish("1.0.0+1.0.0").expect("git works");
    let tree = version("guestbook", "1.1.0+1.1.0").expect("the bundled recipe is there");
    let head = recipe.commit(&tree, "feat: a change").expect("git works");
    recipe.propose(7, &head).expect("git works");
    recipe.propose(8, &base).expect("git works");
    let forge = played(&head, &base);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let url = runtime.block_on(forge.serve()).expect("the forge answers");
    let hook = format!("http://{}/hooks/default/wiki", installation.daemon.http());
    forge.world().hook(REPOSITORY, &hook, SECRET);
    installation.apply(&objects(&url, &recipe)).expect("the objects are accepted");
    installation.wait_for("recipes", "wiki", "Ready").expect("the recipe is fetched");
    installation.wait_for("repositories", "wiki", "Ready").expect("the repository is polled");

    // A member writes over HTTP, as in a browser: the forge rings.
    let ada = HttpForges::open(&[], ForgeTimes::default()).expect("a client");
    let ada = ada.connect(&ForgeAddress { url, token: ForgeToken::new("token-of-ada") }).expect("a URL");
    let place = RepositoryName::new("coop", "wiki");
    let began = Instant::now();
    runtime.block_on(ada.create_comment(&place, 7, "Please look.\n\n!testme")).expect("the comment is taken");
    wait("the run", &installation, Duration::from_secs(20), || !runs(&installation, 7).is_empty());
    println!("from the comment to the run: {:?}", began.elapsed());
    // A fork's waits, whoever asks.
    runtime.block_on(ada.create_comment(&place, 8, "!testme")).expect("the comment is taken");
    wait("the fork's run", &installation, Duration::from_secs(20), || !runs(&installation, 8).is_empty());
    forged_deliveries_are_refused(&runtime, &forge, &hook);

    let name = runs(&installation, 7)[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let run = installation
        .wait("testruns", &name, RUN_WITHIN, |run| {
            !matches!(run["status"]["phase"].as_str(), None | Some("Pending" | "Queued" | "Running"))
                && status_of(run, "Reported") == "True"
        })
        .expect("the run ends, and is told");
    assert_eq!(run["status"]["phase"], "Succeeded", "{run}");
    assert!(name.starts_with(&format!("wiki-pr7-{}-", &head[..7])), "{name}");
    // The report follows the run's end: the comment first, the status last.
    let is_told = || {
        let history = forge.world().status_history(REPOSITORY, &head, "cc-ci/wiki");
        history.iter().any(|(state, _)| state == "success")
    };
    wait("the commit status", &installation, Duration::from_secs(20), is_told);
    told(&forge, &head, &run);
    let waiting = runs(&installation, 8);
    assert_eq!((waiting.len(), status_of(&waiting[0], "Approved")), (1, "False"), "{}", waiting[0]);
    runtime.block_on(ada.create_comment(&place, 8, "!cancel")).expect("the comment is taken");
    let fork = waiting[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    installation
        .wait("testruns", &fork, Duration::from_mins(1), |run| run["status"]["phase"] == "Cancelled")
        .expect("it ends");
    assert_eq!(runs(&installation, 7).len() + runs(&installation, 8).len(), 2);
    assert!(!installation.daemon.log().contains(TOKEN) && !installation.daemon.log().contains(SECRET));
    assert_eq!(engine::inventory(), before, "the engine has what it had before the run");
    installation.remove().expect("the proxy goes as well");
}

fn told(forge: &FakeForge, head: &str, run: &Value) {
    let comments = forge.world().comments_by(REPOSITORY, 7, "bot");
    assert_eq!(comments.len(), 1, "{comments:?}");
    let level = run["status"]["level"].as_u64().expect("a level");
    assert!(comments[0].1.contains(&format!("level {level} of 5")), "{}", comments[0].1);
    assert!(comments[0].1.contains("Teardown: clean"), "{}", comments[0].1);
    let history = forge.world().status_history(REPOSITORY, head, "cc-ci/wiki");
    assert!(history.iter().any(|(state, _)| state == "success"), "{history:?}");
}

/// Without the secret nobody rings: not with none, a wrong one, or another body under a good signature.
fn forged_deliveries_are_refused(runtime: &tokio::runtime::Runtime, forge: &FakeForge, hook: &str) {
    let comment = forge.world().comment(REPOSITORY, 7, "ada", "Nice.");
    let good = forge.world().delivery(comment, "created").expect("a hook");
    let mut other = good.clone();
    other.body.push(b' ');
    let mut unsigned = good.clone();
    unsigned.headers.retain(|(name, _)| !name.contains("Signature"));
    let mut elsewhere = good.clone();
    elsewhere.url = hook.replace("/wiki", "/nobody");
    let expected = [(&other, 403), (&unsigned, 403), (&elsewhere, 404), (&good, 202), (&good, 200)];
    for (delivery, status) in expected {
        assert_eq!(runtime.block_on(delivery.send()).expect("ccd answers"), status);
    }
}
