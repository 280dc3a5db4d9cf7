//! Tags, pushes and times: what is news, and that each starts one run, whoever noticed it and whatever broke.

use std::time::Duration;

use api_types::kinds::repository::{Cursor, Repository, RepositorySpec, TriggerEvent};
use api_types::kinds::test_run::TestRun;
use jiff::Timestamp;
use ports::forge::fake::FaultKind;
use ports::forge::{ForgeTag, TagList};
use serde_json::{Value, json};

use super::world::{HEAD, PUSHED, REPO, World};
use crate::kinds::repository::happenings::{Sight, due, news, problems};
use crate::kinds::repository::names;
use crate::runtime::objects::ObjectKey;

const OTHER: &str = "0123456789abcdef0123456789abcdef01234567";

fn spec(triggers: &Value) -> RepositorySpec {
    serde_json::from_value(json!({"forgeRef": "home", "owner": "coop", "name": "wiki", "triggers": triggers})).unwrap()
}

fn on_tag(pattern: &str) -> Value {
    json!({"on": "Tag", "pattern": pattern, "run": {"recipeRef": "wiki"}})
}

fn on_push(branch: &str) -> Value {
    json!({"on": "Push", "branch": branch, "run": {"recipeRef": "wiki"}})
}

fn on_schedule(cron: &str) -> Value {
    json!({"on": "Schedule", "cron": cron, "run": {"recipeRef": "wiki"}})
}

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn tags(listed: &[(&str, &str)]) -> Sight {
    let tag = |(name, commit): &(&str, &str)| ForgeTag { name: (*name).to_owned(), commit: (*commit).to_owned() };
    Sight { tags: TagList { tags: listed.iter().map(tag).collect(), is_complete: true }, ..Sight::default() }
}

/// Shows one sight after the other, and returns what each brought: subject and beginning of the commit.
fn told(spec: &RepositorySpec, sights: &[Sight]) -> Vec<Vec<String>> {
    let mut cursor = Cursor::default();
    let one = |sight: &Sight| {
        let (happenings, marks) = news(spec, &cursor, sight, now());
        marks.put(&mut cursor);
        let short = |commit: &Option<String>| commit.as_deref().unwrap_or_default()[..4].to_owned();
        happenings.iter().map(|found| format!("{} {}", found.subject, short(&found.commit))).collect()
    };
    sights.iter().map(one).collect()
}

#[test]
fn a_tag_is_news_when_it_comes_and_when_it_moves() {
    let spec = spec(&json!([on_tag("v*")]));
    let sights = [
        tags(&[("v1", HEAD)]),
        tags(&[("v1", HEAD)]),
        // The newest stands first, and what was missed is told in its order.
        tags(&[("v3", OTHER), ("v2", PUSHED), ("other", PUSHED), ("v1", HEAD)]),
        tags(&[("v2", PUSHED), ("v1", PUSHED), ("v4", "no commit")]),
        // It went, and comes back with the same commit.
        tags(&[("v3", OTHER), ("v2", PUSHED), ("v1", PUSHED)]),
    ];
    let expected: [&[&str]; 5] = [&[], &[], &["v2 beef", "v3 0123"], &["v1 beef"], &[]];
    assert_eq!(told(&spec, &sights), expected);
}

#[test]
fn what_was_there_before_its_trigger_is_no_news() {
    let mut cursor = Cursor::default();
    let seen = tags(&[("w1", OTHER), ("v1", HEAD)]);
    news(&spec(&json!([on_tag("v*")])), &cursor, &seen, now()).1.put(&mut cursor);
    let both = spec(&json!([on_tag("v*"), on_tag("w*")]));
    assert_eq!(due(&both, &cursor, now()), Some(now()), "it is looked at without waiting for the interval");
    let (found, marks) = news(&both, &cursor, &seen, now());
    assert_eq!(found, []);
    marks.put(&mut cursor);
    assert_eq!(due(&both, &cursor, now()), None);
    // Another repository's tags are not this one's.
    let mut moved = both.clone();
    moved.name = "other".to_owned();
    let (found, marks) = news(&moved, &cursor, &tags(&[("v9", HEAD)]), now());
    assert_eq!(found, []);
    marks.put(&mut cursor);
    assert_eq!(cursor.tags.keys().collect::<Vec<_>>(), ["v9"]);
    assert_eq!(news(&moved, &cursor, &tags(&[("v10", HEAD), ("v9", HEAD)]), now()).0.len(), 1);
}

#[test]
fn an_old_tag_that_comes_into_sight_is_no_news() {
    let spec = spec(&json!([on_tag("*")]));
    let mut cursor = Cursor::default();
    let mut sight = tags(&[("a", HEAD), ("b", HEAD), ("c", HEAD), ("d", HEAD)]);
    sight.tags.is_complete = false;
    news(&spec, &cursor, &sight, now()).1.put(&mut cursor);
    let mut next = tags(&[("new", OTHER), ("b", HEAD), ("c", HEAD), ("d", HEAD), ("old", HEAD)]);
    next.tags.is_complete = false;
    let found = news(&spec, &cursor, &next, now()).0;
    assert_eq!(found.iter().map(|found| found.subject.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_push_is_news_when_the_tip_is_another_one() {
    let spec = spec(&json!([on_push("main"), on_push("main"), on_push("feat/x")]));
    let sight = |main: Option<&str>, other: Option<&str>| {
        let tip = |tip: Option<&str>| tip.map(str::to_owned);
        let branches = [("main".to_owned(), tip(main)), ("feat/x".to_owned(), tip(other))].into();
        Sight { branches, ..Sight::default() }
    };
    let sights = [
        sight(Some(HEAD), None),
        sight(Some(HEAD), None),
        sight(Some(PUSHED), Some(OTHER)),
        // Gone, and there again.
        sight(None, Some("nonsense")),
        sight(Some(PUSHED), Some(OTHER)),
    ];
    let expected: [&[&str]; 5] = [&[], &[], &["main beef", "feat/x 0123"], &[], &[]];
    assert_eq!(told(&spec, &sights), expected);
}

#[test]
fn of_the_times_that_were_missed_the_last_one_counts() {
    let mut zoned = on_schedule("30 6 * * *");
    zoned["timeZone"] = json!("Europe/Berlin");
    let spec = spec(&json!([on_schedule("0 3 * * *"), zoned]));
    let mut cursor = Cursor::default();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let fired = |cursor: &mut Cursor, now: &str| {
        let (found, marks) = news(&spec, cursor, &Sight::default(), at(now));
        marks.put(cursor);
        found.iter().map(|found| format!("{} {}", found.subject, found.at)).collect::<Vec<_>>()
    };
    assert_eq!(due(&spec, &cursor, now()), Some(now()), "it begins at once");
    assert_eq!(fired(&mut cursor, "2026-11-25T12:00:00Z"), Vec::<String>::new());
    assert_eq!(due(&spec, &cursor, now()), Some(at("2026-11-26T03:00:00Z")));
    assert_eq!(fired(&mut cursor, "2026-11-26T02:59:59Z"), Vec::<String>::new());
    assert_eq!(fired(&mut cursor, "2026-11-26T03:00:00Z"), ["0 3 * * * 2026-11-26T03:00:00Z"]);
    assert_eq!(fired(&mut cursor, "2026-11-26T03:00:00Z"), Vec::<String>::new());
    let late = fired(&mut cursor, "2026-11-29T12:00:00Z");
    assert_eq!(late, ["0 3 * * * 2026-11-29T03:00:00Z", "30 6 * * * Europe/Berlin 2026-11-29T05:30:00Z"]);
}

#[test]
fn patterns_are_whole_and_stars_take_anything() {
    for (pattern, name, expected) in [
        ("boot-v*", "boot-v1", true),
        ("boot-v*", "boot-v", true),
        ("boot-v*", "reboot-v1", false),
        ("*", "any/thing", true),
        ("v?.0", "v1.0", true),
        ("v?.0", "v10.0", false),
        ("*-rc*", "1-rc-2-rc", true),
        ("*.0", "1.0.1.0", true),
        ("*.0", "1.0.1", false),
        ("v1", "v1", true),
        ("v1", "V1", false),
        ("v1", "v12", false),
        ("a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
    ] {
        let spec = spec(&json!([on_tag(pattern)]));
        let found = told(&spec, &[tags(&[]), tags(&[(name, HEAD)])]);
        assert_eq!(!found[1].is_empty(), expected, "{pattern} {name}");
    }
}

#[test]
fn triggers_that_cannot_start_anything_say_so() {
    let mut nowhere = on_schedule("@daily");
    nowhere["timeZone"] = json!("Mars/Olympus");
    let spec = spec(&json!([
        {"on": "Tag", "pattern": "boot-v*", "run": {"releaseRef": "boot"}},
        {"on": "Push", "branch": "main", "run": {"flakeBuildRef": "tools"}},
        {"on": "Push", "branch": "gone", "run": {"recipeRef": "wiki"}},
        {"on": "Tag", "pattern": "v*", "run": {"recipeRef": "unknown"}},
        nowhere,
    ]));
    let mut cursor = Cursor::default();
    let sight = Sight { branches: [("gone".to_owned(), None)].into(), ..Sight::default() };
    let (_, marks) = news(&spec, &cursor, &sight, now());
    marks.put(&mut cursor);
    let found = problems(&spec, &cursor, |name| name == "wiki");
    let parts = ["releaseRef boot", "flakeBuildRef tools", "Recipe unknown", "Mars/Olympus", "no branch gone"];
    assert_eq!(found.len(), parts.len(), "{found:#?}");
    for (problem, part) in found.iter().zip(parts) {
        assert!(problem.contains(part), "{problem}");
    }
    // Nor is anything asked because of them, but for what can start something.
    assert_eq!(due(&spec, &cursor, now()), None);
}

#[test]
fn names_tell_apart_what_they_cannot_hold() {
    let happening = |subject: &str, commit: &str| crate::kinds::repository::happenings::Happening {
        on: TriggerEvent::Tag,
        at: now(),
        subject: subject.to_owned(),
        commit: Some(commit.to_owned()),
        recipe: "wiki".to_owned(),
    };
    let name = |subject: &str, commit: &str| names::happening_run_name("wiki", &happening(subject, commit));
    let one = name("1.2.0+3.4.5", HEAD);
    assert!(one.starts_with("wiki-tag-1-2-0-3-4-5-3fa21c9-"), "{one}");
    assert_eq!(one, name("1.2.0+3.4.5", HEAD));
    for other in [name("1-2-0+3.4.5", HEAD), name("1.2.0+3.4.5", &format!("{}2", &HEAD[..39]))] {
        assert_ne!(one, other);
    }
    let odd = name(&"Ünï/".repeat(60), HEAD);
    assert!(odd.len() <= 253 && odd.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{odd}");
    assert!(name("///", HEAD).starts_with("wiki-tag-x-"));
}

/// Returns the runs that no comment started: their word, their subject, and what they test.
async fn begun(world: &World) -> Vec<(String, String, String)> {
    let text = |run: &api_types::kind::Object<TestRun>| {
        let word = run.metadata.labels.get(names::TRIGGER_LABEL)?.clone();
        let subject = run.metadata.annotations.get(names::TRIGGERED_BY_ANNOTATION)?.clone();
        let source = &run.spec.source;
        Some((word, subject, source.commit.clone().or(source.reference.clone())?))
    };
    let mut found: Vec<_> = world.runs().await.iter().filter_map(text).collect();
    found.sort();
    found
}

fn of(word: &str, subject: &str, source: &str) -> (String, String, String) {
    (word.to_owned(), subject.to_owned(), source.to_owned())
}

async fn count(world: &World, count: usize) {
    world.until(&format!("there are {count} runs"), || async { begun(world).await.len() == count }).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_and_a_push_start_one_run_each_by_poll_and_by_bell() {
    let world = World::unseen(json!({"others": [on_tag("v*"), on_push("main")]})).await;
    world.forge.world().tag(REPO, "v0", HEAD).branch(REPO, "main", HEAD);
    world.until_seen().await;
    let began = world.clock.now();
    world.forge.world().tag(REPO, "v1", OTHER);
    world.ring();
    count(&world, 1).await;
    assert!(world.clock.now().duration_since(began).as_secs() < 2, "the bell is heard at once");
    world.forge.world().branch(REPO, "main", PUSHED);
    count(&world, 2).await;
    assert!(world.clock.now().duration_since(began).as_secs() < 40, "the interval is enough");
    world.ring();
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(begun(&world).await, [of("push", "main", PUSHED), of("tag", "v1", OTHER)]);
    let status = world.status().await;
    assert_eq!((status.counts.seen, status.counts.accepted), (2, 2));
    let handled: Vec<_> = status.handled.iter().map(|event| (event.on, event.subject.as_deref())).collect();
    assert_eq!(handled, [(TriggerEvent::Push, Some("main")), (TriggerEvent::Tag, Some("v1"))]);
    assert!(status.handled[1].message.starts_with("Tag v1 at 0123456 was seen: wiki-tag-v1-0123456-"));
    assert_eq!(status.handled[1].commit.as_deref(), Some(OTHER));
    assert_eq!(world.condition::<Repository>("default", "wiki", "TriggersActive").await.0, "True");
    let events = world.objects.list("events", None).await.unwrap().objects;
    assert!(events.iter().any(|event| event.value["message"].as_str().unwrap().contains("Tag v1")), "{events:#?}");
    // Nobody is told on a pull request.
    assert!(world.reports(7).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kill_at_any_moment_makes_neither_two_runs_nor_none() {
    // Pass by pass, and in the middle of each: the requests and writes lie some milliseconds apart.
    for milliseconds in (0..700).step_by(50) {
        let mut world = World::with_triggers(json!([on_tag("v*"), on_schedule("1 12 * * *")])).await;
        world.forge.world().tag(REPO, "v1", HEAD).tag(REPO, "v2", OTHER);
        world.ring();
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        world.run();
        world.ring();
        count(&world, 3).await;
        world.run();
        tokio::time::sleep(Duration::from_mins(2)).await;
        let expected = [of("schedule", "1 12 * * *", "main"), of("tag", "v1", HEAD), of("tag", "v2", OTHER)];
        assert_eq!(begun(&world).await, expected, "killed after {milliseconds} ms");
        assert_eq!(world.status().await.counts.accepted, 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_schedule_fires_when_it_should_and_misses_are_made_up_for_once() {
    let mut world = World::with_triggers(json!([on_schedule("*/10 * * * *")])).await;
    let all = || async { begun(&world).await.len() };
    tokio::time::sleep(Duration::from_secs(590)).await;
    assert_eq!(all().await, 0);
    world.until("the first time has come", || async { all().await == 1 }).await;
    assert_eq!(world.clock.now().to_string()[..18], *"2026-11-25T12:10:0", "not an interval later");
    // The run is not over: the next times are left out, and the inbox says why.
    tokio::time::sleep(Duration::from_mins(20)).await;
    assert_eq!(all().await, 1);
    let status = world.status().await;
    let left_out = status.ignored.iter().filter(|event| event.reason == "StillRunning").count();
    assert_eq!(left_out, 2, "{:#?}", status.ignored);
    let first = world.runs().await.pop().unwrap().metadata.name;
    assert!(first.starts_with("wiki-schedule-20261125-1210-"), "{first}");
    world.finish(&first, "Succeeded", 5).await;
    // Down over three times, and the forge is away for another one.
    world.kill();
    tokio::time::sleep(Duration::from_mins(30)).await;
    world.forge.fail("", usize::MAX, FaultKind::Refused);
    world.run();
    tokio::time::sleep(Duration::from_mins(10)).await;
    world.forge.heal();
    count(&world, 2).await;
    let second = world.runs().await.pop().unwrap().metadata.name;
    assert!(second.starts_with("wiki-schedule-20261125-1310-"), "{second}: the last one that was missed");
}

#[tokio::test(start_paused = true)]
async fn triggers_that_are_added_begin_with_what_comes() {
    let world = World::start().await;
    world.forge.world().tag(REPO, "v1", HEAD).branch(REPO, "main", HEAD);
    let key = ObjectKey::new(&<Repository as api_types::kind::Kind>::resource(), "default", "wiki");
    world
        .until("the triggers are there", || async {
            let mut value = world.objects.get(&key).await.unwrap().value.clone();
            value["spec"]["triggers"].as_array_mut().unwrap().extend([on_tag("v*"), on_push("main"), on_push("next")]);
            world.objects.update(&key, value).await.is_ok()
        })
        .await;
    world
        .until("the branch is missed", || async {
            world.condition::<Repository>("default", "wiki", "TriggersActive").await.2.contains("no branch next")
        })
        .await;
    world.forge.world().tag(REPO, "v2", OTHER).branch(REPO, "next", PUSHED);
    count(&world, 2).await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(begun(&world).await, [of("push", "next", PUSHED), of("tag", "v2", OTHER)]);
    assert_eq!(world.condition::<Repository>("default", "wiki", "TriggersActive").await.0, "True");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_whose_recipe_is_not_there_says_so_and_goes_on() {
    let mut trigger = on_tag("v*");
    trigger["run"]["recipeRef"] = json!("unknown");
    let world = World::with_triggers(json!([trigger])).await;
    world.forge.world().tag(REPO, "v1", HEAD);
    world.until("it is in the inbox", || async { !world.status().await.ignored.is_empty() }).await;
    let event = world.status().await.ignored.remove(0);
    assert_eq!((event.reason.as_str(), event.subject.as_deref()), ("NotEnrolled", Some("v1")));
    let (word, _, message) = world.condition::<Repository>("default", "wiki", "TriggersActive").await;
    assert!(word == "False" && message.contains("Recipe unknown"), "{word} {message}");
    let asked = world.comment(7, "ada", "!testme");
    world.run_of(asked).await;
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_hides_its_tags_is_told_and_nothing_is_lost() {
    let world = World::with_triggers(json!([on_tag("v*")])).await;
    world.forge.fail("/tags?", usize::MAX, FaultKind::Status(403, Vec::new(), String::new()));
    world.forge.world().tag(REPO, "v1", HEAD);
    let asked = world.comment(7, "ada", "!testme");
    world
        .until("it is told", || async {
            world.condition::<Repository>("default", "wiki", "Polled").await.1 == "Forbidden"
        })
        .await;
    world.forge.heal();
    world.run_of(asked).await;
    count(&world, 1).await;
}
