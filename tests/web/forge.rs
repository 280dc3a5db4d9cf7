//! Signing in with an account of a forge: the whole way there and back, and everybody who tries another one.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ports::clock::SystemClock;
use ports::forge::fake::{FakeForge, FaultKind};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use tests::real_forge::{As, PASSWORD, RealForge};
use tests::server::{ServerOptions, TestServer};

use crate::browser::{root, set_up};
use crate::showcase::{HOSTILE, own, put};
use crate::visitor::{SOON, Seen, field};

const CLIENT_ID: &str = "6f2f0f4c-0d4e-4e0c-9c3f-0a7a5d3d9b11";
const CLIENT_SECRET: &str = "gto_secret-of-the-application";

/// A server and a forge that knows it.
struct Place {
    server: TestServer,
    forge: FakeForge,
    ahead: Arc<AtomicI64>,
}

/// A browser that keeps the cookies of our server.
struct Browser {
    http: Client,
    base: String,
    cookies: BTreeMap<String, String>,
}

impl Place {
    async fn open() -> Self {
        Self::open_with(Some("http://{address}")).await
    }

    async fn open_with(public_url: Option<&str>) -> Self {
        let ahead = Arc::new(AtomicI64::new(0));
        let public_url = public_url.map(str::to_owned);
        let options = ServerOptions { public_url, ahead: ahead.clone(), is_audited: true, ..ServerOptions::default() };
        let server = TestServer::start(options).await.unwrap();
        let forge = FakeForge::new(Arc::new(SystemClock));
        let url = forge.serve().await.unwrap();
        forge
            .world()
            .application(CLIENT_ID, CLIENT_SECRET, &server.url("/login/forge/home/callback"))
            .team_member("Coop", "Crew", "Ada")
            .member("coop-guests", "eve", false)
            .browser_of(Some("Ada"));
        introduce(&server, &url, (CLIENT_ID, CLIENT_SECRET), "forge:home:coop/crew").await;
        let place = Self { server, forge, ahead };
        until_bound(&place.server, "forge:home:coop/crew").await;
        place
    }

    fn browser(&self) -> Browser {
        let http = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Browser { http, base: self.server.url(""), cookies: BTreeMap::new() }
    }

    /// Has whoever sits before the browser granted it earlier, and lets them come as far as the way back.
    async fn there(&self, browser: &mut Browser, login: &str) -> String {
        self.forge.world().browser_of(Some(login)).grant(CLIENT_ID, login);
        let away = browser.get("/login/forge/home?next=/queue").await;
        assert_eq!(away.code, 303, "{}", away.text());
        let answer = browser.http.get(away.location()).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let back = answer.headers()["location"].to_str().unwrap();
        back.strip_prefix(&self.server.url("")).expect("back to us").to_owned()
    }

    async fn signed_in(&self, login: &str) -> Browser {
        let mut browser = self.browser();
        let back = self.there(&mut browser, login).await;
        let arrived = browser.get(&back).await;
        assert_eq!((arrived.code, arrived.location()), (303, "/queue"), "{}", arrived.text());
        browser
    }
}

impl Browser {
    async fn get(&mut self, path: &str) -> Seen {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Seen {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("accept", "text/html").header("cookie", cookies.join("; "));
        let seen = Seen::of(request.send().await.unwrap()).await;
        for set in seen.headers.get_all("set-cookie") {
            let set = set.to_str().unwrap();
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        seen
    }

    fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("ccd_session")
    }
}

/// Tells the server of a forge with which people sign in, and lets this group of theirs edit.
async fn introduce(server: &TestServer, url: &str, (id, secret): (&str, &str), group: &str) {
    let spec = json!({
        "url": url, "tokenSecretRef": {"namespace": "default", "name": "forge-token"},
        "signIn": {"clientID": id, "clientSecretRef": {"namespace": "default", "name": "oauth"}},
    });
    for object in [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "oauth", "namespace": "default"},
            "stringData": {"secret": format!("{secret}\n")}}),
        json!({"apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Forge", "metadata": {"name": "home"}, "spec": spec}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "crew"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        }),
    ] {
        put(&server.store, object).await.unwrap();
    }
}

/// Waits until the server knows the binding.
async fn until_bound(server: &TestServer, group: &str) {
    let path = "/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns";
    let http = Client::builder().no_proxy().build().unwrap();
    let asked = async {
        loop {
            let request = http.get(server.url(path)).bearer_auth(&server.admin);
            let request = request.header("impersonate-user", "x").header("impersonate-group", group);
            if request.send().await.unwrap().status() == 200 {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, asked).await.expect("the binding counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_a_team_sign_in_with_their_forge_and_act_as_themselves() {
    let place = Place::open().await;
    put(&place.server.store, own("Recipe", "wiki", json!({"source": {"url": "https://git.example.org/wiki.git"}})))
        .await
        .unwrap();
    let mut browser = place.browser();
    let form = browser.get("/login?next=/queue").await.text();
    assert!(form.contains("href=\"/login/forge/home?next=/queue\""), "{form}");
    let away = browser.get("/login/forge/home?next=/queue").await;
    let to = Url::parse(away.location()).unwrap();
    let query: BTreeMap<String, String> = to.query_pairs().into_owned().collect();
    assert_eq!(to.path(), "/login/oauth/authorize");
    assert_eq!(query["redirect_uri"], place.server.url("/login/forge/home/callback"));
    assert_eq!((&*query["response_type"], &*query["code_challenge_method"]), ("code", "S256"));
    assert_eq!((query["code_challenge"].len(), query["state"].len()), (43, 43));

    let mut browser = place.signed_in("Ada").await;
    let page = browser.get("/queue").await;
    assert_eq!(page.code, 200);
    assert!(page.text().contains("forge:home:ada"), "{}", page.text());
    let token = field(&page.text(), "token");
    let path = format!("{}/do/test/recipes.ci.coopcloud.tech/default/wiki", browser.base);
    // The token is made of letters that forms take as they are.
    let request = browser.http.post(path).header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(format!("token={token}&ref=main"));
    let started = browser.send(request).await;
    assert_eq!(started.code, 303, "{}", started.text());
    let forbidden = browser.get("/kinds/clusterroles.rbac.authorization.k8s.io/_/edit").await;
    assert_eq!(forbidden.code, 403, "the role is `edit` and no more");

    let exchange: Vec<_> = place.forge.seen().into_iter().filter(|seen| seen.what.contains("access_token")).collect();
    assert_eq!(exchange.len(), 1);
    assert_eq!(exchange[0].body["grant_type"], "authorization_code");
    assert_eq!(exchange[0].body["code_verifier"].as_str().unwrap().len(), 43);
    let events = place.server.end_audit().unwrap();
    let created = events.iter().find(|event| event["verb"] == "create").expect("the run is in the audit log");
    assert_eq!(created["user"]["username"], "forge:home:ada");
    let log = Value::from(events).to_string();
    for secret in ["gta_", "access-token-of", CLIENT_SECRET] {
        assert!(!log.contains(secret) && !browser.cookies["ccd_session"].contains(secret), "{secret} is told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_finishes_what_another_browser_began() {
    let place = Place::open().await;
    let mut attacker = place.browser();
    let back = place.there(&mut attacker, "Ada").await;
    // Somebody else opens the attacker's way back: they would be signed in as the attacker.
    let mut victim = place.browser();
    assert_eq!(victim.get(&back).await.code, 400);
    let own = place.there(&mut victim, "Ada").await;
    assert_eq!(victim.get(&back).await.code, 400, "the state is another browser's");
    assert!(!victim.is_signed_in());
    assert_eq!(victim.get(&own).await.code, 400, "a journey ends with the first return");

    // The state is right, and the code was made for another browser: the forge sees it by the verifier.
    let code = |back: &str| back.split_once("code=").unwrap().1.split('&').next().unwrap().to_owned();
    let own = place.there(&mut victim, "Ada").await;
    let foreign = place.there(&mut attacker, "Ada").await;
    let injected = victim.get(&own.replace(&code(&own), &code(&foreign))).await;
    assert_eq!(injected.code, 401, "{}", injected.text());
    assert!(injected.text().contains("failed PKCE code challenge"));

    // Nor does such a link sign anybody out.
    let mut signed_in = place.signed_in("Ada").await;
    assert_eq!(signed_in.get(&foreign).await.code, 400);
    assert!(signed_in.is_signed_in());

    // The same way back again, with the cookie of before.
    let back = place.there(&mut victim, "Ada").await;
    let journey = victim.cookies["ccd_journey"].clone();
    assert_eq!(victim.get(&back).await.code, 303);
    victim.cookies.insert("ccd_journey".to_owned(), journey);
    victim.cookies.remove("ccd_session");
    assert_eq!(victim.get(&back).await.code, 401, "a code is good once");
    assert!(!victim.is_signed_in());

    let back = place.there(&mut victim, "Ada").await;
    place.ahead.store(601, Ordering::Relaxed);
    assert_eq!(victim.get(&back).await.code, 400, "ten minutes are enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_role_is_told_what_to_ask_for_and_does_not_get_in() {
    let place = Place::open().await;
    let mut browser = place.browser();
    let back = place.there(&mut browser, "eve").await;
    let refused = browser.get(&back).await;
    let text = refused.text();
    assert_eq!(refused.code, 403, "{text}");
    assert!(text.contains("forge:home:eve") && text.contains("--group=forge:home:coop-guests"), "{text}");
    assert!(!browser.is_signed_in());
    assert_eq!(browser.get("/queue").await.location(), "/login?next=/queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_fails_lets_nobody_in_and_says_so() {
    let place = Place::open().await;
    for (matches, fault, code, words) in [
        ("access_token", FaultKind::Refused, 502, "cannot be reached"),
        ("access_token", FaultKind::Status(500, Vec::new(), "oops".to_owned()), 502, "answered 500"),
        ("access_token", FaultKind::Status(200, Vec::new(), "<html>".to_owned()), 502, "not what it should be"),
        ("user/teams", FaultKind::Refused, 502, "cannot be reached"),
        ("user/orgs", FaultKind::Status(403, Vec::new(), "{}".to_owned()), 401, "see the organisations"),
    ] {
        let mut browser = place.browser();
        let back = place.there(&mut browser, "Ada").await;
        place.forge.fail(matches, 1, fault);
        let answer = browser.get(&back).await;
        let text = answer.text();
        assert_eq!(answer.code, code, "{text}");
        assert!(text.contains(words) && text.contains("/login/forge/home"), "{text}");
        assert!(!browser.is_signed_in() && !text.contains(CLIENT_SECRET));
    }
    let mut browser = place.browser();
    let back = place.there(&mut browser, "Ada").await;
    place.forge.world().application(CLIENT_ID, "another", &place.server.url("/login/forge/home/callback"));
    let wrong = browser.get(&back).await;
    assert_eq!(wrong.code, 401);
    assert!(wrong.text().contains("invalid client secret"), "{}", wrong.text());
    let state = |browser: &Browser| browser.cookies.contains_key("ccd_journey");
    assert!(!state(&browser));
    browser.get("/login/forge/home").await;
    assert!(state(&browser));
    let denied = browser
        .get(&format!("/login/forge/home/callback?error=access_denied&error_description={}&state=x", "%3Cb%3E"))
        .await;
    assert_eq!(denied.code, 400, "a stranger's words count for nothing");
    assert_eq!(browser.get("/login/forge/elsewhere").await.code, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_and_addresses_do_no_harm() {
    let place = Place::open().await;
    place.forge.world().member(HOSTILE, "Ada", false).member("masters", "Ada", false);
    let browser = place.signed_in("Ada").await;
    assert!(browser.is_signed_in());
    let mut other = place.browser();
    let back = place.there(&mut other, "a<b>").await;
    let refused = other.get(&back).await;
    assert_eq!(refused.code, 502, "{}", refused.text());
    assert!(!refused.text().contains("a<b>"));
    for next in ["//evil.example", "https://evil.example", "/%5Cevil.example", "/login/forge/home"] {
        let mut browser = place.browser();
        place.forge.world().browser_of(Some("Ada"));
        let away = browser.get(&format!("/login/forge/home?next={next}")).await;
        let answer = browser.http.get(away.location()).send().await.unwrap();
        let back = answer.headers()["location"].to_str().unwrap().strip_prefix(&browser.base).unwrap().to_owned();
        assert_eq!(browser.get(&back).await.location(), "/", "{next}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_leaves_the_team_is_noticed_within_the_hour() {
    let place = Place::open().await;
    let mut browser = place.signed_in("Ada").await;
    place.ahead.store(59 * 60, Ordering::Relaxed);
    assert_eq!(browser.get("/queue").await.code, 200);
    place.ahead.store(61 * 60, Ordering::Relaxed);
    let again = browser.get("/queue").await;
    assert_eq!((again.code, again.location()), (303, "/login/forge/home?next=/queue"));
    // Who still belongs to it is let in again without doing anything.
    let back = place.there(&mut browser, "Ada").await;
    assert_eq!(browser.get(&back).await.code, 303);
    assert_eq!(browser.get("/queue").await.code, 200);
    place.ahead.store(2 * 61 * 60, Ordering::Relaxed);
    place.forge.world().leave_team("Coop", "Crew", "Ada");
    let back = place.there(&mut browser, "Ada").await;
    assert_eq!(browser.get(&back).await.code, 403);
    assert!(!browser.is_signed_in());
    assert_eq!(browser.get("/queue").await.location(), "/login?next=/queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_with_which_nobody_signs_in_any_more_ends_its_sessions() {
    let place = Place::open().await;
    let mut browser = place.signed_in("Ada").await;
    assert_eq!(browser.get("/queue").await.code, 200);
    let path = "/apis/ci.coopcloud.tech/v1alpha1/forges/home";
    let request = browser.http.patch(place.server.url(path)).bearer_auth(&place.server.admin);
    let request = request.header("content-type", "application/merge-patch+json").body(r#"{"spec":{"signIn":null}}"#);
    assert_eq!(request.send().await.unwrap().status(), 200);
    assert_eq!(browser.get("/queue").await.location(), "/login?next=/queue");
    assert!(!browser.get("/login").await.text().contains("/login/forge/"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_to_come_back_to_nobody_is_sent_away() {
    let place = Place::open_with(None).await;
    let mut browser = place.browser();
    let form = browser.get("/login").await.text();
    assert!(form.contains("[server] public_url") && !form.contains("/login/forge/home"), "{form}");
    assert_eq!(browser.get("/login/forge/home").await.code, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_forge_in_chromium() {
    set_up();
    let place = Place::open().await;
    sign_in_in_chromium(place.server.url(""), vec!["forge:home:ada".to_owned()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_with_a_real_forge_in_chromium() {
    let Some(mut forge) = RealForge::from_environment() else {
        println!("CC_TEST_GITEA is not set: only signing in with the played forge is tested");
        return;
    };
    set_up();
    let name = |what: &str| format!("cc-ci-{what}-{}", std::process::id());
    let (ada, organization) = (name("ada"), name("coop"));
    forge.person(&ada, &["read:user"]).await;
    forge.organization(&organization, &[&ada]).await;
    let public_url = Some("http://{address}".to_owned());
    let server = TestServer::start(ServerOptions { public_url, ..ServerOptions::default() }).await.unwrap();
    let application = json!({
        "name": name("sign-in"), "confidential_client": true,
        "redirect_uris": [server.url("/login/forge/home/callback")],
    });
    let token = forge.token.clone();
    let application = forge.ask(As::Token(&token), "POST", "/user/applications/oauth2", &application).await;
    forge.made.insert(0, format!("/user/applications/oauth2/{}", application["id"]));
    let text = |key: &str| application[key].as_str().expect("the forge says it").to_owned();
    let (id, secret) = (text("client_id"), text("client_secret"));
    let group = format!("forge:home:{organization}/keepers");
    introduce(&server, &forge.url, (&id, &secret), &group).await;
    until_bound(&server, &group).await;
    let arguments = vec![format!("forge:home:{ada}"), PASSWORD.to_owned()];
    sign_in_in_chromium(server.url(""), arguments).await;
}

async fn sign_in_in_chromium(url: String, arguments: Vec<String>) {
    let program = move || {
        Command::new("node")
            .arg(root().join("target/web/sign-in.mjs"))
            .arg(&url)
            .arg(root().join("target/web/pictures/sign-in"))
            .args(&arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = tokio::task::spawn_blocking(program).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}
