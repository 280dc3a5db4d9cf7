//! The client against the played forge: the suite, every way of going wrong, and where the token goes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::conformance::{self, Situation};
use super::fake::{FakeForge, FaultKind};
use super::http::{ForgeTimes, HttpForges};
use super::sign_in::{Application, Proof};
use super::{Forge, ForgeAddress, ForgeToken, Forges as _, Membership, Permission, RepositoryName, Server};
use crate::clock::{FakeClock, PausedClock};
use crate::error::ErrorKind;

const SHA: &str = "3fa21c9000000000000000000000000000000001";

fn start() -> Timestamp {
    "2026-11-20T10:00:00Z".parse().unwrap()
}

fn repository() -> RepositoryName {
    RepositoryName::new("coop", "wiki")
}

fn address(url: &str, token: &str) -> ForgeAddress {
    ForgeAddress { url: url.to_owned(), token: ForgeToken::new(token) }
}

fn played() -> FakeForge {
    let forge = FakeForge::new(Arc::new(FakeClock::at(start())));
    forge
        .world()
        .token("bot", "t0ken-of-the-bot", None)
        .member("coop", "bot", false)
        .member("coop", "ada", false)
        .user("mallory")
        .repository("coop/wiki")
        .collaborator("coop/wiki", "bot", Permission::Write)
        .pull_request("coop/wiki", 7, "ada", SHA, false);
    forge
}

fn situation() -> Situation {
    Situation {
        repository: repository(),
        pull_request: 7,
        organization: Some(("coop".into(), "ada".into(), "mallory".into())),
        before: start() - SignedDuration::from_hours(1),
    }
}

fn connect(forge: &FakeForge) -> Arc<dyn Forge> {
    forge.forges().connect(&address("http://forge.test", "t0ken-of-the-bot")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_played_forge_keeps_the_contract() {
    conformance::check(&*connect(&played()), &situation()).await;
}

#[tokio::test]
async fn the_played_forge_keeps_the_contract_over_http() {
    let forge = played();
    let url = forge.serve().await.unwrap();
    let forges = HttpForges::open(&[], ForgeTimes::default()).unwrap();
    let real = forges.connect(&address(&format!("{url}/"), "t0ken-of-the-bot\n")).unwrap();
    conformance::check(&*real, &situation()).await;
    assert!(forges.calls() > 20);
}

#[tokio::test(start_paused = true)]
async fn every_wrong_answer_has_its_kind_and_its_wait() {
    let forge = played();
    let status = |code: u16, body: &str| FaultKind::Status(code, Vec::new(), body.to_owned());
    let later =
        |code: u16, after: &str| FaultKind::Status(code, vec![("retry-after".into(), after.into())], String::new());
    let scope = r#"{"message":"token does not have at least one of required scope(s): [read:issue]"}"#;
    let cases = [
        (status(401, "{}"), ErrorKind::Blocked, "Unauthorized", None),
        (status(403, r#"{"message":"no"}"#), ErrorKind::Blocked, "Forbidden", None),
        (status(403, scope), ErrorKind::Blocked, "ScopesMissing", None),
        (status(404, "{}"), ErrorKind::Blocked, "NotFound", None),
        (status(409, "{}"), ErrorKind::Retryable, "Conflict", None),
        (status(422, "{}"), ErrorKind::Terminal, "Rejected", None),
        (status(423, "{}"), ErrorKind::Blocked, "Archived", None),
        (later(429, "7"), ErrorKind::Retryable, "RateLimited", Some(7)),
        (status(429, ""), ErrorKind::Retryable, "RateLimited", Some(60)),
        (later(503, "120"), ErrorKind::Retryable, "RateLimited", Some(120)),
        (later(429, "99999999"), ErrorKind::Retryable, "RateLimited", Some(3600)),
        (status(500, "<html>"), ErrorKind::Retryable, "Unreachable", None),
        (status(302, ""), ErrorKind::Blocked, "Redirected", None),
        (status(200, "[{]"), ErrorKind::Retryable, "BadAnswer", None),
        (status(200, r#"{"an":"object"}"#), ErrorKind::Retryable, "BadAnswer", None),
        (FaultKind::Truncated, ErrorKind::Retryable, "BadAnswer", None),
        (FaultKind::Oversized, ErrorKind::Blocked, "AnswerTooLarge", None),
        (FaultKind::Refused, ErrorKind::Retryable, "Unreachable", None),
        (FaultKind::Slow(Duration::from_mins(10)), ErrorKind::Retryable, "TimedOut", None),
    ];
    for (fault, kind, reason, after) in cases {
        let client = connect(&forge);
        forge.fail("GET", 1, fault.clone());
        let error = client.comments_of(&repository(), 7).await.expect_err("it went wrong");
        assert_eq!((error.kind, error.reason), (kind, reason), "{fault:?}: {error}");
        assert_eq!(error.retry_after.map(|time| time.as_secs()), after, "{fault:?}");
        assert!(!crate::error::chain(&error).contains("t0ken"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_asks_for_a_pause_is_left_alone() {
    let forge = played();
    let client = connect(&forge);
    forge.fail("GET", 1, FaultKind::Status(429, vec![("retry-after".into(), "30".into())], String::new()));
    client.account().await.expect_err("it asked for a pause");
    let asked = forge.seen().len();
    let error = client.account().await.expect_err("it is still paused");
    assert_eq!((error.reason, forge.seen().len()), ("RateLimited", asked), "nothing was sent");
    tokio::time::advance(Duration::from_secs(31)).await;
    client.account().await.expect("the pause is over");
}

#[tokio::test]
async fn what_comes_late_or_ends_early_over_http_is_no_answer() {
    let forge = played();
    let url = forge.serve().await.unwrap();
    // Long enough for a busy machine, and short of what comes late.
    let times = ForgeTimes { connect: Duration::from_secs(2), whole: Duration::from_secs(2) };
    let client = HttpForges::open(&[], times).unwrap().connect(&address(&url, "t0ken-of-the-bot")).unwrap();
    for (fault, reason) in [
        (FaultKind::Slow(Duration::from_mins(10)), "TimedOut"),
        (FaultKind::Truncated, "BadAnswer"),
        (FaultKind::Oversized, "AnswerTooLarge"),
        (FaultKind::ReplyLost, "Unreachable"),
    ] {
        forge.fail("GET", 1, fault.clone());
        let error = client.comments_of(&repository(), 7).await.expect_err("it went wrong");
        // An answer that is cut off at once looks like none: nothing of it may have been sent.
        let is_cut_off = fault == FaultKind::Truncated && error.reason == "Unreachable";
        assert!(error.reason == reason || is_cut_off, "{fault:?}: {} {error}", error.reason);
    }
    let nobody = HttpForges::open(&[], times).unwrap().connect(&address("http://127.0.0.1:9", "t")).unwrap();
    assert_eq!(nobody.server().await.expect_err("nobody is there").reason, "Unreachable");
}

#[tokio::test]
async fn the_token_never_goes_to_another_host() {
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/api/v1/user", other.local_addr().unwrap());
    let first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", first.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = first.accept().await.unwrap();
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(String::from_utf8_lossy(&bytes[..count]).contains("t0ken"), "the forge itself gets it");
        let answer = format!(
            "HTTP/1.1 302 Found\r\nlocation: {target}\r\nlink: <{target}>; rel=\"next\"\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let client = HttpForges::open(&[], ForgeTimes::default()).unwrap().connect(&address(&url, "t0ken")).unwrap();
    let error = client.account().await.expect_err("it sends elsewhere");
    assert_eq!(error.reason, "Redirected");
    let nobody_came = tokio::time::timeout(Duration::from_millis(200), other.accept()).await;
    assert!(nobody_came.is_err(), "somebody asked the other host");
}

#[test]
fn only_urls_of_web_servers_are_asked() {
    let forges = HttpForges::open(&[], ForgeTimes::default()).unwrap();
    for url in
        ["ftp://a", "https://user@forge.test", "https://forge.test/?token=x", "https://", "forge.test", "file:///etc"]
    {
        assert!(forges.connect(&address(url, "t")).is_err(), "{url}");
    }
    assert!(forges.connect(&address("https://forge.test/git", "t")).is_ok());
    assert!(forges.connect(&address("https://forge.test", "to\nken")).is_err());
    assert!(!format!("{:?}", address("https://forge.test", "t0ken")).contains("t0ken"));
}

#[tokio::test(start_paused = true)]
async fn names_cannot_leave_their_place_in_the_path() {
    let forge = played();
    let client = connect(&forge);
    client.member_of("coop", "../../user").await.expect("nobody has this name");
    client.branch(&repository(), "a/b?c#d").await.expect("no such branch");
    assert!(client.branch(&repository(), "..").await.is_err());
    for seen in forge.seen() {
        let path = seen.what.split('?').next().unwrap().to_owned();
        assert!(!path.contains("/../") && !path.contains("b?c"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn long_lists_are_read_to_their_end() {
    let forge = played();
    forge.world().page_items_max = 7;
    let last = (0..60).map(|index| forge.world().comment("coop/wiki", 7, "ada", &format!("words {index}"))).max();
    let client = connect(&forge);
    let list = client.comments_since(&repository(), start()).await.unwrap();
    assert_eq!((list.comments.len(), list.is_complete), (60, true));
    assert_eq!(list.comments.last().map(|comment| comment.id), last);
}

#[tokio::test(start_paused = true)]
async fn a_page_of_a_proxy_is_no_status_that_was_set() {
    let forge = played();
    let status = super::CommitStatus {
        context: "cc-ci/wiki".to_owned(),
        state: "success".to_owned(),
        description: String::new(),
        target_url: String::new(),
    };
    forge.fail("/statuses/", 1, FaultKind::Status(200, Vec::new(), "<html>Sign in</html>".to_owned()));
    let error = connect(&forge).set_status(&repository(), SHA, &status).await.expect_err("nothing was set");
    assert_eq!(error.reason, "BadAnswer");
    connect(&forge).set_status(&repository(), SHA, &status).await.expect("now it is");
}

#[tokio::test(start_paused = true)]
async fn of_a_slow_forge_a_part_of_a_long_list_is_read_in_a_bounded_time() {
    let forge = played();
    forge.world().page_items_max = 5;
    for index in 0..60 {
        forge.world().comment("coop/wiki", 7, "ada", &format!("words {index}"));
    }
    forge.fail("issues/comments?", usize::MAX, FaultKind::Slow(Duration::from_secs(8)));
    let began = tokio::time::Instant::now();
    let list = connect(&forge).comments_since(&repository(), start()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(40), "{:?}", began.elapsed());
    assert!(!list.is_complete && (5..60).contains(&list.comments.len()), "{}", list.comments.len());
    assert!(list.comments.is_sorted_by_key(|comment| comment.id), "the oldest, so that nothing is passed over");
}

#[tokio::test(start_paused = true)]
async fn a_forge_gets_ten_requests_in_a_second_and_no_more() {
    let forge = FakeForge::new(Arc::new(PausedClock::starting_at(start())));
    forge.world().token("bot", "t", None);
    let forges = forge.forges();
    let clients = (0..60).map(|_| {
        let client = forges.connect(&address("http://forge.test", "t")).unwrap();
        async move { client.account().await.unwrap() }
    });
    futures::future::join_all(clients).await;
    let times: Vec<_> = forge.seen().iter().map(|seen| seen.at).collect();
    for window in times.windows(11) {
        assert!(window[10].duration_since(window[0]) >= Duration::from_millis(990), "more than ten in a second");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_bot_that_is_no_member_sees_is_told_apart_from_no() {
    let forge = played();
    forge.world().token("guest", "guest-token", None).member("coop", "grace", true);
    let client = forge.forges().connect(&address("http://forge.test", "guest-token")).unwrap();
    for (login, expected) in
        [("ada", Membership::Hidden), ("grace", Membership::Member), ("mallory", Membership::Hidden)]
    {
        assert_eq!(client.member_of("coop", login).await.unwrap(), expected, "{login}");
    }
    assert_eq!(client.team_member("coop", "crew", "ada").await.unwrap(), Membership::Hidden);
    assert_eq!(client.permission(&repository(), "ada").await.unwrap(), None);
    forge.world().collaborator("coop/wiki", "guest", Permission::Admin).collaborator(
        "coop/wiki",
        "eve",
        Permission::Write,
    );
    assert_eq!(client.permission(&repository(), "eve").await.unwrap(), Some(Permission::Write));
    assert_eq!(client.permission(&repository(), "nobody-at-all").await.unwrap(), Some(Permission::None));
}

#[tokio::test(start_paused = true)]
async fn teams_are_found_by_their_whole_name() {
    let forge = played();
    forge.world().team_member("coop", "crew-guests", "mallory").team_member("coop", "crew", "ada");
    let client = connect(&forge);
    assert_eq!(client.team_member("coop", "Crew", "ada").await.unwrap(), Membership::Member);
    assert_eq!(client.team_member("coop", "crew", "mallory").await.unwrap(), Membership::Stranger);
    assert_eq!(client.team_member("coop", "no-team", "ada").await.unwrap(), Membership::Hidden);
}

#[tokio::test(start_paused = true)]
async fn missing_scopes_are_named_and_nothing_is_changed_to_find_them() {
    let forge = played();
    forge.world().token("bot", "weak", Some(&["read:user", "read:issue", "write:repository"]));
    let client = forge.forges().connect(&address("http://forge.test", "weak")).unwrap();
    let scopes = client.scopes().await.unwrap();
    assert_eq!(scopes.missing, ["read:organization", "write:issue"]);
    assert_eq!(scopes.found, ["read:user", "write:repository"]);
    assert!(forge.world().comments_by("coop/wiki", 7, "bot").is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_is_odd_about_a_head_is_a_fork() {
    let forge = played();
    forge.world().pull_request("coop/wiki", 8, "mallory", SHA, true).pull_request("coop/wiki", 9, "ada", SHA, false);
    forge.world().delete_fork("coop/wiki", 9);
    let client = connect(&forge);
    for (number, is_fork) in [(7, false), (8, true), (9, true)] {
        let pull = client.pull_request(&repository(), number).await.unwrap().unwrap();
        assert_eq!(pull.is_fork, is_fork, "{number}");
    }
}

#[test]
fn versions_are_told_apart() {
    for (version, is_forgejo, is_supported) in [
        ("1.24.2", false, true),
        ("1.21.0+rc1", false, true),
        ("1.20.5", false, false),
        ("15.0.0+gitea-1.22.0", true, true),
        ("8.0.0-dev-1514-f9ad844fd6+gitea-1.22.0", true, true),
        ("7.0.1+gitea-1.21.11", true, false),
        ("main", false, false),
    ] {
        let server = Server::of_version(version);
        assert_eq!(
            (server.flavor == super::Flavor::Forgejo, server.is_supported()),
            (is_forgejo, is_supported),
            "{version}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_is_good_once_for_its_verifier_its_application_and_its_address() {
    const TO: &str = "https://ci.test/login/forge/home/callback";
    let forge = played();
    forge.world().application("id", "s3cret-of-the-app", TO).browser_of(Some("ada")).grant("id", "ada");
    let application = Application {
        url: "http://forge.test".to_owned(),
        client_id: "id".to_owned(),
        client_secret: "s3cret-of-the-app".to_owned(),
    };
    let code = forge.world().code("id", TO);
    let proof = Proof { code, verifier: String::new(), redirect_uri: TO.to_owned() };
    let elsewhere = Proof { redirect_uri: "https://evil.test/".to_owned(), ..proof.clone() };
    let impostor = Application { client_secret: "guessed".to_owned(), ..application.clone() };
    for (application, proof, words) in [
        (&application, &elsewhere, "unexpected redirect URI"),
        (&impostor, &proof, "invalid client secret"),
        (&Application { client_id: "other".to_owned(), ..application.clone() }, &proof, "cannot load client"),
    ] {
        let error = forge.forges().sign_in(application, proof).await.expect_err(words);
        assert_eq!((error.kind, error.reason), (ErrorKind::Terminal, "Rejected"));
        let text = crate::error::chain(&error);
        assert!(text.contains(words) && !text.contains("s3cret") && !text.contains("guessed"), "{text}");
    }
    let person = forge.forges().sign_in(&application, &proof).await.unwrap();
    assert_eq!((person.account.login.as_str(), person.organizations), ("ada", vec!["coop".to_owned()]));
    let error = forge.forges().sign_in(&application, &proof).await.expect_err("it was used");
    assert!(error.message.contains("client is not authorized"), "{error}");
    // What signing in costs slows nobody else down.
    let forges = forge.forges();
    for _ in 0..20 {
        forges.sign_in(&application, &proof).await.expect_err("it was used");
    }
    let begun = tokio::time::Instant::now();
    forges.connect(&address("http://forge.test", "t0ken-of-the-bot")).unwrap().account().await.unwrap();
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
}
