//! A real Gitea or Forgejo, when there is one: the client's contract, and the whole flow from a comment to a green tick.
//!
//! Which server that is: `tests/src/real_forge.rs`. What is played where there is none: `forge.rs`.

use std::path::Path;
use std::time::Duration;

use ports::forge::conformance::{self, Situation};
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::forge::{ForgeAddress, ForgeToken, Forges as _, RepositoryName};
use serde_json::{Value, json};
use tests::engine;
use tests::installation::{Installation, ZONE, status_of};
use tests::real_forge::{As, RealForge};
use tests::recipes::{RecipeRepository, version};

const RUN_WITHIN: Duration = Duration::from_mins(6);
const WEBHOOK_SECRET: &str = "secret-of-the-webhook-55d0";

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn or_say_so(server: Option<RealForge>) -> Option<RealForge> {
    if server.is_none() {
        println!("CC_TEST_GITEA is not set: only the played forge is tested, by forge.rs and ports/src/forge/tests.rs");
    }
    server
}

#[tokio::test]
async fn a_real_server_keeps_the_contract() {
    let Some(mut server) = or_say_so(RealForge::from_environment()) else { return };
    let own = server.ask(As::Token(&server.token), "GET", "/user", &Value::Null).await;
    let (owner, name) = (own["login"].as_str().expect("a name"), format!("cc-ci-contract-{}", std::process::id()));
    let body = json!({"name": name, "auto_init": true, "default_branch": "main"});
    server.make("/user/repos", body, format!("/repos/{owner}/{name}")).await;
    let (organization, member, stranger) = (
        format!("cc-ci-contract-org-{}", std::process::id()),
        owner.to_owned(),
        format!("cc-ci-nobody-{}", std::process::id()),
    );
    server.person(&stranger, &["read:user"]).await;
    server.organization(&organization, &[]).await;
    let file = json!({"content": "Y2hhbmdl", "branch": "main", "new_branch": "change", "message": "change"});
    server.ask(As::Token(&server.token), "POST", &format!("/repos/{owner}/{name}/contents/change"), &file).await;
    let body = json!({"head": "change", "base": "main", "title": "change"});
    server.ask(As::Token(&server.token), "POST", &format!("/repos/{owner}/{name}/pulls"), &body).await;

    let forges = HttpForges::open(&[], ForgeTimes::default()).expect("a client");
    let address = ForgeAddress { url: server.url.clone(), token: ForgeToken::new(&server.token) };
    let situation = Situation {
        repository: RepositoryName::new(owner, &name),
        pull_request: 1,
        organization: Some((organization, member, stranger)),
        before: jiff::Timestamp::UNIX_EPOCH,
    };
    conformance::check(&*forges.connect(&address).expect("a URL"), &situation).await;
}

/// Who and what plays along on the server; their names are nobody else's.
struct Cast {
    organization: String,
    ada: (String, String),
    mallory: (String, String),
    bot_token: String,
    bot: String,
}

async fn cast(server: &mut RealForge) -> Cast {
    let name = |what: &str| format!("cc-ci-{what}-{}", std::process::id());
    let (organization, ada, mallory, bot) = (name("coop"), name("ada"), name("mallory"), name("bot"));
    let people = ["write:repository", "write:issue", "write:user", "read:organization"];
    let ada_token = server.person(&ada, &people).await;
    let mallory_token = server.person(&mallory, &people).await;
    // What docs/forges.md asks for, and no more.
    let bot_token = server.person(&bot, &["write:repository", "write:issue", "read:user", "read:organization"]).await;
    server.organization(&organization, &[&ada, &bot]).await;
    Cast { organization, ada: (ada, ada_token), mallory: (mallory, mallory_token), bot_token, bot }
}

/// Publishes the recipe there with a branch to be merged, from `ada`, and another one in a fork, from `mallory`. Returns
/// the head of the first.
async fn publish(server: &mut RealForge, cast: &Cast, folder: &Path) -> String {
    let organization = &cast.organization;
    let repository = json!({"name": "wiki", "default_branch": "main"});
    let path = format!("/orgs/{organization}/repos");
    server.make(&path, repository, format!("/repos/{organization}/wiki")).await;
    let mut recipe = RecipeRepository::new(folder).expect("git works");
    let tree = version("guestbook", "1.0.0+1.0.0").expect("the bundled recipe is there");
    recipe.commit(&tree, "chore: publish the base").expect("git works");
    recipe.publish("1.0.0+1.0.0").expect("git works");
    let (ada, token) = &cast.ada;
    let upstream = server.url.replacen("://", &format!("://{ada}:{token}@"), 1);
    let upstream = format!("{upstream}/{organization}/wiki.git");
    recipe.push(&upstream, &["main", "--tags"]).expect("the server takes it");
    server.has_branch(&format!("{organization}/wiki"), "main").await;
    server.ask(As::Token(&cast.mallory.1), "POST", &format!("/repos/{organization}/wiki/forks"), &json!({})).await;
    let tree = version("guestbook", "1.1.0+1.1.0").expect("the bundled recipe is there");
    let head = recipe.commit(&tree, "feat: a change").expect("git works");
    recipe.push(&upstream, &["main:change"]).expect("the server takes it");
    let file =
        json!({"content": "Y2hhbmdl", "branch": "main", "new_branch": "change", "message": "feat: another change"});
    let path = format!("/repos/{}/wiki/contents/change", cast.mallory.0);
    server.ask(As::Token(&cast.mallory.1), "POST", &path, &file).await;
    let fork = format!("{}:change", cast.mallory.0);
    let mallory = &cast.mallory.0;
    for (token, owner, branch) in [(&cast.ada.1, organization, "change"), (&cast.mallory.1, mallory, fork.as_str())] {
        server.has_branch(&format!("{owner}/wiki"), "change").await;
        let body = json!({"head": branch, "base": "main", "title": "A change"});
        server.ask(As::Token(token), "POST", &format!("/repos/{organization}/wiki/pulls"), &body).await;
    }
    server.made.insert(0, format!("/repos/{mallory}/wiki"));
    head
}

fn objects(server: &RealForge, cast: &Cast) -> Vec<Value> {
    let api = "ci.coopcloud.tech/v1alpha1";
    let organization = &cast.organization;
    vec![
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forge-token"},
            "stringData": {"token": cast.bot_token}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "webhook"},
            "stringData": {"secret": WEBHOOK_SECRET}}),
        json!({"apiVersion": api, "kind": "Forge", "metadata": {"name": "home"}, "spec": {
            "url": server.url, "tokenSecretRef": {"namespace": "default", "name": "forge-token"}}}),
        json!({"apiVersion": api, "kind": "Recipe", "metadata": {"name": "wiki"}, "spec": {
            "source": {"url": format!("{}/{organization}/wiki.git", server.url)}, "zone": ZONE, "deployer": "Swarm",
            "repositoryRef": "wiki",
            "env": {"LETS_ENCRYPT_ENV": "", "TITLE": "Wiki"},
            "timeouts": {"pull": "1m", "converge": "3m", "http": "1m", "run": "10m"},
            "tests": crate::canaries::tests(),
        }}),
        json!({"apiVersion": api, "kind": "Repository", "metadata": {"name": "wiki"}, "spec": {
            "forgeRef": "home", "owner": organization, "name": "wiki", "pollInterval": "10s",
            "webhook": {"mode": "Optional", "secretRef": {"name": "webhook", "key": "secret"}},
            "triggers": [{"on": "Comment", "phrase": "!testme", "authorize": {"organization": organization},
                "run": {"recipeRef": "wiki"}}],
        }}),
    ]
}

fn runs(installation: &Installation, number: u64) -> Vec<Value> {
    let runs = installation.list("testruns").expect("ccd answers");
    runs.into_iter().filter(|run| run["spec"]["source"]["pullRequest"]["number"] == number).collect()
}

fn run_of(installation: &Installation, number: u64) -> String {
    until(installation, || !runs(installation, number).is_empty(), &|| format!("there is no run of #{number}"));
    runs(installation, number)[0]["metadata"]["name"].as_str().expect("a name").to_owned()
}

/// Waits for at most a minute.
fn until(installation: &Installation, is_so: impl Fn() -> bool, what_is: &dyn Fn() -> String) {
    let started = std::time::Instant::now();
    while !is_so() {
        let is_late = started.elapsed() > Duration::from_mins(1);
        assert!(!is_late, "{}\n{}", what_is(), installation.daemon.log());
        tests::daemon::wait_a_moment();
    }
}

#[test]
fn a_comment_on_a_real_server_becomes_a_green_tick() {
    let Some(mut server) = or_say_so(RealForge::from_environment()) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = runtime();
    let cast = runtime.block_on(cast(&mut server));
    let head = runtime.block_on(publish(&mut server, &cast, &folder.path().join("wiki")));
    let host = reqwest::Url::parse(&server.url).expect("CC_TEST_GITEA is a URL");
    let host = host.host_str().expect("CC_TEST_GITEA names a host");
    let installation = Installation::fetching_from(folder.path(), 2, host).expect("the installation starts");
    let before = engine::inventory();
    let place = format!("/repos/{}/wiki", cast.organization);
    let hook = json!({
        "type": "gitea", "active": true, "events": ["issue_comment", "pull_request_comment", "pull_request"],
        "config": {
            "url": format!("http://{}/hooks/default/wiki", installation.daemon.http()),
            "content_type": "json", "secret": WEBHOOK_SECRET,
        },
    });
    runtime.block_on(server.ask(As::Token(&server.token), "POST", &format!("{place}/hooks"), &hook));
    installation.apply(&objects(&server, &cast)).expect("the objects are accepted");
    for (plural, name) in [("forges", "home"), ("recipes", "wiki"), ("repositories", "wiki")] {
        installation.wait_for(plural, name, "Ready").expect("it gets ready");
    }

    let say = |token: &str, number: u64, words: &str| {
        let path = format!("{place}/issues/{number}/comments");
        runtime.block_on(server.ask(As::Token(token), "POST", &path, &json!({"body": words})));
    };
    // Who is in nobody's team asks for nothing.
    say(&cast.mallory.1, 1, "!testme");
    say(&cast.ada.1, 1, "Please look.\n\n!testme");
    say(&cast.ada.1, 2, "!testme");
    let (name, fork) = (run_of(&installation, 1), run_of(&installation, 2));
    let is_told = |run: &Value| {
        !matches!(run["status"]["phase"].as_str(), None | Some("Pending" | "Queued" | "Running"))
            && status_of(run, "Reported") == "True"
    };
    let run = installation.wait("testruns", &name, RUN_WITHIN, is_told).expect("the run ends, and is told");
    assert_eq!((&run["status"]["phase"], &run["status"]["level"]), (&json!("Succeeded"), &json!(5)), "{run:#}");

    let waits = installation.get("testruns", &fork).expect("ccd answers").expect("it is there");
    assert_eq!(status_of(&waits, "Approved"), "False", "{waits:#}");
    say(&cast.ada.1, 2, "!cancel");
    let is_cancelled = |run: &Value| run["status"]["phase"] == "Cancelled" && status_of(run, "Reported") == "True";
    installation.wait("testruns", &fork, Duration::from_mins(1), is_cancelled).expect("it ends");
    assert_eq!((runs(&installation, 1).len(), runs(&installation, 2).len()), (1, 1), "one run for each command");

    let get = |path: String| runtime.block_on(server.ask(As::Token(&server.token), "GET", &path, &Value::Null));
    let comments = |number: u64| -> Vec<String> {
        let comments = get(format!("{place}/issues/{number}/comments"));
        let by_bot = comments.as_array().expect("a list").iter().filter(|found| found["user"]["login"] == *cast.bot);
        by_bot.filter_map(|found| found["body"].as_str().map(str::to_owned)).collect()
    };
    for (number, words) in [(1, "level 5 of 5"), (2, "cancelled")] {
        let is_told = || matches!(&comments(number)[..], [text] if text.to_lowercase().contains(words));
        until(&installation, is_told, &|| format!("#{number}: {:#?}", comments(number)));
    }
    let statuses = || get(format!("{place}/commits/{head}/statuses"));
    let is_green = |found: &Value| found["context"] == "cc-ci/wiki" && found["status"] == "success";
    let is_told = || statuses().as_array().is_some_and(|list| list.iter().any(is_green));
    until(&installation, is_told, &|| format!("{:#}", statuses()));
    let log = installation.daemon.log();
    assert!(!log.contains(&cast.bot_token) && !log.contains(WEBHOOK_SECRET), "the log tells a secret");
    assert_eq!(engine::inventory(), before, "the engine has what it had before the runs");
    installation.remove().expect("the proxy goes as well");
}
