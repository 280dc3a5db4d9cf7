//! Certificates that are ordered, from the first step to the renewal, with everything that goes wrong at authorities.

use std::time::Duration;

use api_types::condition::{ConditionStatus, find};
use api_types::kind::{Kind as _, Object};
use api_types::kinds::certificate::{Certificate, CertificateStatus};
use api_types::reason;
use ports::acme::Window;
use ports::acme::fake::Fault;
use ports::acme::solve::Change;
use ports::acme::solve::fake::{Fails, HOOK};
use serde_json::{Value, json};

use super::world::World;
use crate::runtime::objects::ObjectKey;

const DIRECTORY: &str = "https://acme.test/dir";
/// The calls of one order over HTTP, in their order.
const CALLS: [&str; 9] = ["register", "order", "look", "answer", "look", "look", "finalize", "look", "look"];

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(&Certificate::resource(), "default", name)
}

fn http(names: &[&str]) -> Value {
    json!({"source": {"acme": {"directory": DIRECTORY, "http01": {}}}, "dnsNames": names})
}

fn dns(names: &[&str]) -> Value {
    json!({"source": {"acme": {"directory": DIRECTORY, "dns01": {"hook": HOOK}}}, "dnsNames": names})
}

async fn create(world: &World, name: &str, spec: Value) {
    let value = json!({"apiVersion": Certificate::api_version(), "kind": "Certificate",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    world.objects.create(&Certificate::resource(), value).await.unwrap();
}

async fn change(world: &World, name: &str, spec: Value) {
    for _ in 0..100 {
        let mut value = world.objects.get(&key(name)).await.unwrap().value.clone();
        value["spec"] = spec.clone();
        // The reconciler may be faster.
        if world.objects.update(&key(name), value).await.is_ok() {
            return;
        }
    }
    panic!("{name} cannot be changed");
}

async fn status(world: &World, name: &str) -> CertificateStatus {
    let stored = world.objects.get(&key(name)).await.unwrap();
    Object::<Certificate>::from_value(&stored.value).unwrap().status
}

/// Waits until the status is as it should be, for at most two days of played time.
async fn until(world: &World, name: &str, is_so: impl Fn(&CertificateStatus) -> bool) -> CertificateStatus {
    for _ in 0..2 * 24 * 3600 {
        let status = status(world, name).await;
        if is_so(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it does not get there: {:#?}\n{:?}", status(world, name).await, world.acme.calls());
}

fn is(status: &CertificateStatus, type_: &str, word: ConditionStatus, reason: &str) -> bool {
    find(&status.conditions, type_).is_some_and(|found| found.status == word && found.reason == reason)
}

fn said<'a>(status: &'a CertificateStatus, type_: &str) -> &'a str {
    find(&status.conditions, type_).map_or("", |found| &found.message)
}

/// Waits until a pair is in use and everything else is gone.
async fn until_in_use(world: &World, name: &str) -> CertificateStatus {
    let is_done = |status: &CertificateStatus| {
        let acme = status.acme.clone().unwrap_or_default();
        is(status, "Ready", ConditionStatus::True, "Succeeded")
            && acme.order.is_none()
            && acme.challenges.is_empty()
            && acme.failure.is_none()
            && acme.renewal_info.is_some_and(|info| !info.next_check.starts_with("1970"))
            && acme.issued.map(|issued| issued.fingerprint) == status.fingerprint
    };
    let status = until(world, name, is_done).await;
    for _ in 0..100 {
        let left = world.objects.get(&ObjectKey::new("secrets", "default", &format!("{name}.next-key"))).await;
        if left.is_err() {
            return status;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("the key of the order stays");
}

async fn uid(world: &World, name: &str) -> String {
    world.objects.get(&key(name)).await.unwrap().metadata.uid.clone()
}

async fn is_answering(world: &World, name: &str) -> bool {
    use ports::acme::solve::Solver as _;
    !world.solver.answers(&uid(world, name).await).is_empty()
}

#[tokio::test(start_paused = true)]
async fn names_are_ordered_over_http_and_renewed_after_two_thirds() {
    let world = World::start().await;
    world.acme.set_lifetime(Duration::from_hours(6 * 24));
    create(&world, "web", http(&["b.test", "a.test"])).await;
    let first = until_in_use(&world, "web").await;
    assert_eq!(first.dns_names, ["a.test", "b.test"]);
    assert!(!is_answering(&world, "web").await);
    assert!(said(&first, "Valid").starts_with("The certificate from acme.test is good"), "{}", said(&first, "Valid"));
    let calls = world.acme.calls();
    assert_eq!(calls[..9], CALLS, "{calls:?}");
    assert_eq!((calls[9], world.acme.count("order")), ("fetch", 1));
    tokio::time::sleep(Duration::from_hours(4 * 24 - 2)).await;
    assert_eq!(status(&world, "web").await.serial, first.serial, "it is not time yet");
    let second = until(&world, "web", |status| status.serial != first.serial && status.serial.is_some()).await;
    assert!(second.not_before > first.not_before);
    until_in_use(&world, "web").await;
    assert_eq!((world.acme.accounts(), world.acme.count("order"), world.acme.renewals()), (1, 2, 1));
    assert!(is(&second, "Expiring", ConditionStatus::False, reason::NOT_DUE), "{second:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_authority_may_want_it_to_be_renewed_earlier() {
    let world = World::start().await;
    let now = world.clock.now();
    let window = Window {
        start: now + Duration::from_hours(10),
        end: now + Duration::from_hours(20),
        explanation_url: Some("https://acme.test/why".to_owned()),
        ask_again_seconds: 86_400,
    };
    world.acme.set_window(Some(window));
    create(&world, "web", http(&["a.test"])).await;
    let first = until_in_use(&world, "web").await;
    let told = until(&world, "web", |status| {
        status.acme.clone().and_then(|acme| acme.renewal_info).is_some_and(|info| info.start.is_some())
    });
    let info = told.await.acme.unwrap().renewal_info.unwrap();
    assert_eq!(info.explanation_url.as_deref(), Some("https://acme.test/why"));
    world.acme.set_window(None);
    let second = until(&world, "web", |status| status.serial != first.serial && status.serial.is_some()).await;
    let began: jiff::Timestamp = second.not_before.unwrap().parse().unwrap();
    let after = began.duration_since(now).as_hours();
    assert!((9..=21).contains(&after), "{after}");
    // A hint that cannot be had fails nothing.
    until_in_use(&world, "web").await;
    world.acme.break_next([Fault::Refuses("no such thing".to_owned())]);
    let asked = world.acme.count("renewal");
    while world.acme.count("renewal") == asked {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    let third = until_in_use(&world, "web").await;
    assert!(is(&third, "Ready", ConditionStatus::True, "Succeeded"));
}

#[tokio::test(start_paused = true)]
async fn a_wildcard_is_proved_by_records_that_are_taken_back() {
    let world = World::start().await;
    create(&world, "wild", dns(&["*.a.test", "a.test"])).await;
    until_in_use(&world, "wild").await;
    let record = "_acme-challenge.a.test";
    assert!(world.solver.values(record).is_empty());
    let count = |change| world.solver.written().iter().filter(|(made, _)| *made == change).count();
    assert_eq!((count(Change::Present), count(Change::Cleanup)), (2, 2));

    world.acme.doubt("b.test", "CAA forbids it (caa)");
    create(&world, "doubted", dns(&["b.test"])).await;
    let failed =
        until(&world, "doubted", |status| is(status, "Valid", ConditionStatus::False, "ChallengeFailed")).await;
    let text = said(&failed, "Valid");
    assert!(text.contains("could not see that b.test is ours: CAA forbids it (caa)"), "{text}");
    assert!(text.contains("dig TXT _acme-challenge.b.test") && text.contains("It is tried again at"), "{text}");
    until(&world, "doubted", |status| status.acme.as_ref().unwrap().challenges.is_empty()).await;
    assert!(world.solver.values("_acme-challenge.b.test").is_empty(), "also after a failure");
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_at_whichever_call_it_gets_there() {
    let faults = [
        Fault::Down,
        Fault::BadNonce,
        Fault::AnswerLost,
        Fault::OrdersGone,
        Fault::AccountsGone,
        Fault::Limited(Duration::from_mins(30)),
        Fault::Refuses("not today".to_owned()),
    ];
    for at in 0..=CALLS.len() {
        let world = World::start().await;
        for (number, fault) in faults.iter().enumerate() {
            world.acme.break_next((0..at).map(|_| Fault::Nothing).chain([fault.clone()]));
            let name = format!("web-{number}");
            create(&world, &name, http(&[&format!("{name}.test")])).await;
            until_in_use(&world, &name).await;
            world.acme.mend();
        }
        let accounts = world.acme.accounts();
        assert_eq!(accounts, 1, "the same key has the same account: fault at call {at}");
        assert!(world.acme.count("order") <= 2 * faults.len(), "at call {at}: {}", world.acme.count("order"));
    }
}

#[tokio::test(start_paused = true)]
async fn ccd_may_be_killed_at_every_step() {
    for fault in [Fault::Hangs, Fault::AnswerHangs] {
        for at in 0..=CALLS.len() {
            let mut world = World::start().await;
            world.acme.break_next((0..at).map(|_| Fault::Nothing).chain([fault.clone()]));
            create(&world, "web", http(&["a.test"])).await;
            while world.acme.calls().len() <= at {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            world.kill();
            world.solver.forget_answers();
            world.run();
            until_in_use(&world, "web").await;
            let orders = world.acme.count("order");
            let most = if at == 1 { 2 } else { 1 };
            assert_eq!(world.acme.accounts(), 1, "killed at call {at}, {fault:?}");
            assert!(orders <= most, "killed at call {at}, {fault:?}: {orders} orders, {:?}", world.acme.calls());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_burns_the_limits_of_an_authority() {
    let world = World::start().await;
    world.acme.doubt("a.test", "no such host (dns)");
    create(&world, "web", http(&["a.test", "b.test"])).await;
    let failed = until(&world, "web", |status| is(status, "Valid", ConditionStatus::False, "ChallengeFailed")).await;
    let text = said(&failed, "Valid");
    assert!(text.contains("http://a.test/.well-known/acme-challenge/ must lead to port 8181"), "{text}");
    tokio::time::sleep(Duration::from_hours(1)).await;
    let orders = world.acme.count("order");
    assert!((2..=4).contains(&orders), "{orders} orders in an hour");
    // Who changes the spec again and again gets no more than the limit either.
    for round in 0..20 {
        change(&world, "web", http(&["a.test", &format!("c{round}.test")])).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    }
    assert!(world.acme.count("order") <= 4 + 5, "{}", world.acme.count("order"));
    let limited = until(&world, "web", |status| is(status, "Valid", ConditionStatus::False, "RateLimited")).await;
    let text = said(&limited, "Valid");
    assert!(text.starts_with("To spare acme.test, at most 5 orders an hour are made for one Certificate"), "{text}");
    world.acme.mend();
    until_in_use(&world, "web").await;
    // What the authority says is heeded.
    world.acme.break_next([Fault::Limited(Duration::from_hours(3))]);
    let before = world.acme.calls().len();
    create(&world, "other", http(&["d.test"])).await;
    let limited = until(&world, "other", |status| is(status, "Valid", ConditionStatus::False, "RateLimited")).await;
    assert!(said(&limited, "Valid").contains("too many (rateLimited)"), "{}", said(&limited, "Valid"));
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(world.acme.calls().len(), before + 1);
    until_in_use(&world, "other").await;
}

#[tokio::test(start_paused = true)]
async fn what_comes_bad_is_not_used_and_the_old_pair_stays() {
    let world = World::start().await;
    create(&world, "web", http(&["a.test"])).await;
    let first = until_in_use(&world, "web").await;
    world.acme.set_lifetime(Duration::ZERO);
    change(&world, "web", http(&["a.test", "b.test"])).await;
    let failed = until(&world, "web", |status| is(status, "Valid", ConditionStatus::False, "OrderFailed")).await;
    assert_eq!(failed.serial, first.serial);
    assert!(said(&failed, "Valid").contains("stays in use"), "{}", said(&failed, "Valid"));
    world.acme.set_lifetime(Duration::from_hours(2160));
    change(&world, "web", http(&["b.test", "c.test"])).await;
    let second = until_in_use(&world, "web").await;
    assert_eq!(second.dns_names, ["b.test", "c.test"], "another spec is tried at once");
    let mut staging = http(&["b.test", "c.test"]);
    staging["source"]["acme"]["directory"] = json!("https://other.test/dir");
    change(&world, "web", staging).await;
    let third = until(&world, "web", |status| status.serial != second.serial).await;
    assert_eq!(third.acme.unwrap().account.unwrap().directory, "https://other.test/dir");
}

#[tokio::test(start_paused = true)]
async fn many_share_an_account_and_one_that_goes_leaves_nothing() {
    let world = World::start().await;
    for number in 0..20 {
        create(&world, &format!("web-{number}"), http(&[&format!("{number}.test")])).await;
    }
    for number in 0..20 {
        until_in_use(&world, &format!("web-{number}")).await;
    }
    assert_eq!((world.acme.accounts(), world.acme.count("order")), (1, 20));
    // One is deleted in the middle of its order, while its record cannot be removed.
    world.acme.break_next([Fault::Nothing, Fault::Nothing, Fault::Nothing, Fault::Hangs]);
    create(&world, "gone", dns(&["gone.test"])).await;
    let record = "_acme-challenge.gone.test";
    while world.solver.values(record).is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.solver.fail(Change::Cleanup, Fails::Yes);
    world.objects.delete(&key("gone"), None).await.unwrap();
    tokio::time::sleep(Duration::from_mins(4)).await;
    assert!(world.objects.get(&key("gone")).await.is_ok(), "it waits for its record");
    world.solver.fail(Change::Cleanup, Fails::No);
    while world.objects.get(&key("gone")).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(world.solver.values(record).is_empty());
    // It does not wait for ever.
    create(&world, "stuck", dns(&["stuck.test"])).await;
    world.solver.fail(Change::Cleanup, Fails::Yes);
    while world.solver.values("_acme-challenge.stuck.test").is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    world.objects.delete(&key("stuck"), None).await.unwrap();
    for _ in 0..3600 {
        if world.objects.get(&key("stuck")).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    panic!("it waits for ever");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_begin_says_what_to_do() {
    let world = World::start().await;
    let mut named = http(&["a.test"]);
    named["source"]["acme"]["accountKeySecretRef"] = json!({"name": "mine"});
    let mut bound = http(&["a.test"]);
    bound["source"]["acme"]["externalAccount"] = json!({"keyID": "k", "keySecretRef": {"name": "eab"}});
    let hook = json!({"source": {"acme": {"directory": DIRECTORY, "dns01": {"hook": "none"}}}, "dnsNames": ["a.test"]});
    let updates = json!({"source": {"acme": {"directory": DIRECTORY, "dns01": {"server": "ns.test:53",
        "keyName": "k.test", "keySecretRef": {"name": "tsig"}}}}, "dnsNames": ["a.test"]});
    for (name, spec, reason, words) in [
        ("named", named, "SecretMissing", "no Secret mine with the account's key"),
        ("bound", bound, "SecretMissing", "spec.source.acme.externalAccount.keySecretRef"),
        ("hook", hook, "HookFailed", "no hook none"),
        ("updates", updates, "SecretMissing", "spec.source.acme.dns01.keySecretRef"),
        ("wildcard", http(&["*.a.test"]), "InvalidSpec", "set spec.source.acme.dns01"),
    ] {
        create(&world, name, spec).await;
        let refused = until(&world, name, |status| is(status, "Valid", ConditionStatus::False, reason)).await;
        assert!(said(&refused, "Valid").contains(words), "{name}: {}", said(&refused, "Valid"));
    }
    assert_eq!(world.acme.calls(), Vec::<&str>::new(), "nobody was asked");
    let secret = |name: &str, value: &[u8]| {
        use base64::Engine as _;
        let value = base64::engine::general_purpose::STANDARD.encode(value);
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"},
            "data": {"key": value}})
    };
    let mine = ports::acme::AccountKey::generate().unwrap();
    world.objects.create("secrets", secret("mine", mine.to_pem().as_bytes())).await.unwrap();
    world.objects.create("secrets", secret("eab", b"c2VjcmV0")).await.unwrap();
    world.objects.create("secrets", secret("tsig", b"c2VjcmV0")).await.unwrap();
    for name in ["named", "bound", "updates"] {
        until_in_use(&world, name).await;
    }
    assert_eq!(world.acme.accounts(), 3, "the one that was named, and one each for what is bound and what is not");
}
