//! Who begins when.

use proptest::prelude::*;

use super::*;

const GIB: u64 = 1 << 30;

fn waiting(key: &str, recipe: &str, created: u32) -> Waiting {
    Waiting {
        key: key.to_owned(),
        recipe: recipe.to_owned(),
        created_at: format!("2026-01-01T00:00:{created:02}Z"),
        domain: format!("{key}.ci.example"),
        memory_bytes: 0,
        disk_bytes: 0,
    }
}

fn active(key: &str, recipe: &str) -> Active {
    Active {
        key: key.to_owned(),
        recipe: recipe.to_owned(),
        domain: format!("{key}.ci.example"),
        memory_bytes: 0,
        is_held: false,
    }
}

fn room(runs_max: usize) -> Room {
    Room { host: Some("here".to_owned()), runs_max, ..Room::default() }
}

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn word(place: &Place) -> String {
    match place {
        Place::Go => "go".to_owned(),
        Place::Wait { position, reason, .. } => format!("{position} {reason}"),
    }
}

fn places(queue: &Queue) -> Vec<String> {
    queue.waiting.iter().map(|run| word(&queue.place(&run.key, now()))).collect()
}

#[test]
fn recipes_take_turns_and_each_keeps_its_order() {
    let waiting = vec![
        waiting("a1", "a", 1),
        waiting("a2", "a", 2),
        waiting("a3", "a", 3),
        waiting("b1", "b", 4),
        waiting("b2", "b", 5),
    ];
    let queue = Queue { waiting, room: room(2), ..Queue::default() };
    let order: Vec<&str> = queue.order().into_iter().map(|run| &*run.key).collect();
    assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
    assert_eq!(places(&queue), ["go", "3 NoCapacity", "5 NoCapacity", "go", "4 NoCapacity"]);
}

#[test]
fn a_recipe_that_is_running_waits_behind_one_that_is_not() {
    let waiting = vec![waiting("a2", "a", 1), waiting("b1", "b", 2)];
    let queue = Queue { waiting, active: vec![active("a1", "a")], room: room(2), ..Queue::default() };
    assert_eq!(places(&queue), ["2 NoCapacity", "go"]);
}

#[test]
fn among_equals_the_recipe_whose_turn_was_longest_ago_goes_first() {
    let waiting = vec![waiting("a2", "a", 1), waiting("b2", "b", 2)];
    let last_begun = BTreeMap::from([
        ("a".to_owned(), "2026-01-01T00:00:30Z".to_owned()),
        ("b".to_owned(), "2026-01-01T00:00:20Z".to_owned()),
    ]);
    let queue = Queue { waiting, last_begun, room: room(1), ..Queue::default() };
    assert_eq!(places(&queue), ["2 NoCapacity", "go"]);
}

#[test]
fn runs_of_one_domain_take_turns_and_let_others_past() {
    let mut second = waiting("a2", "a", 2);
    second.domain = "a1.ci.example".to_owned();
    let waiting = vec![waiting("a1", "a", 1), second, waiting("b1", "b", 3)];
    let queue = Queue { waiting, room: room(3), ..Queue::default() };
    assert_eq!(places(&queue), ["go", "3 DomainBusy", "go"]);
    let mut foreign = queue;
    foreign.other_domains.insert("b1.ci.example".to_owned());
    assert_eq!(places(&foreign), ["go", "3 DomainBusy", "2 DomainBusy"]);
}

#[test]
fn a_run_that_is_too_large_for_now_lets_nobody_past() {
    let mut large = waiting("a1", "a", 1);
    large.memory_bytes = 3 * GIB;
    let mut small = waiting("b1", "b", 2);
    small.memory_bytes = GIB;
    let room = Room { memory_bytes_free: Some(2 * GIB), memory_bytes_max: Some(4 * GIB), ..room(3) };
    let queue = Queue { waiting: vec![large, small], room, ..Queue::default() };
    assert_eq!(places(&queue), ["1 BelowFloor", "2 BelowFloor"]);
    let Place::Wait { message, .. } = queue.place("a1", now()) else { panic!("it waits") };
    assert!(message.contains("3Gi of memory, and 2Gi is free"), "{message}");
    let Place::Wait { message, .. } = queue.place("b1", now()) else { panic!("it waits") };
    assert!(message.contains("a1 is ahead"), "{message}");
}

#[test]
fn a_run_that_never_fits_lets_everybody_past() {
    let mut huge = waiting("a1", "a", 1);
    huge.memory_bytes = 9 * GIB;
    let room = Room { memory_bytes_max: Some(4 * GIB), ..room(3) };
    let queue = Queue { waiting: vec![huge, waiting("b1", "b", 2)], room, ..Queue::default() };
    assert_eq!(places(&queue), ["1 NoCapacity", "go"]);
}

#[test]
fn memory_that_is_set_aside_counts() {
    let mut running = active("a1", "a");
    running.memory_bytes = 3 * GIB;
    let mut next = waiting("b1", "b", 2);
    next.memory_bytes = 2 * GIB;
    let room = Room { memory_bytes_max: Some(4 * GIB), memory_bytes_free: Some(8 * GIB), ..room(3) };
    let queue = Queue { waiting: vec![next], active: vec![running], room, ..Queue::default() };
    assert_eq!(places(&queue), ["1 BelowFloor"]);
}

#[test]
fn a_closed_host_and_a_tired_registry_keep_everybody() {
    let closed = Room { closed: Some((reason::HOST_NOT_READY, "No host.".to_owned())), ..room(3) };
    let queue = Queue { waiting: vec![waiting("a1", "a", 1)], room: closed, ..Queue::default() };
    assert_eq!(places(&queue), ["1 HostNotReady"]);
    let until = |text: &str| Room { pulls_paused_until: Some(text.parse().unwrap()), ..room(3) };
    let tired = Queue { room: until("2026-01-01T02:00:00Z"), ..queue.clone() };
    assert_eq!(places(&tired), ["1 RateLimited"]);
    let over = Queue { room: until("2026-01-01T00:00:00Z"), ..queue };
    assert_eq!(places(&over), ["go"]);
}

#[test]
fn a_full_host_names_what_it_runs() {
    let mut held = active("a1", "a");
    held.is_held = true;
    let queue = Queue { waiting: vec![waiting("b1", "b", 1)], active: vec![held], room: room(1), ..Queue::default() };
    let Place::Wait { message, .. } = queue.place("b1", now()) else { panic!("it waits") };
    assert_eq!(message, "Host here runs 1 at once, and these are going on: a1 (held for a look).");
    let nothing = Queue { room: room(0), ..queue };
    let Place::Wait { message, .. } = nothing.place("b1", now()) else { panic!("it waits") };
    assert!(message.contains("capacity.runs is 0"), "{message}");
}

#[test]
fn sizes_are_written_as_people_do() {
    let cases = [(512, "512 bytes"), (1 << 10, "1Ki"), (3 << 29, "1.5Gi"), (512 << 20, "512Mi")];
    for (bytes, expected) in cases {
        assert_eq!(size(bytes), expected);
    }
}

proptest! {
    /// Whoever may begin according to one look, may begin together: the queue never gives more than there is.
    #[test]
    fn the_queue_never_gives_more_than_there_is(
        runs in proptest::collection::vec((0_u8..4, 0_u64..5, 0_u8..6), 0..12),
        going in 0_usize..4,
        runs_max in 0_usize..5,
        free in 0_u64..8,
    ) {
        let waiting: Vec<Waiting> = runs
            .iter()
            .enumerate()
            .map(|(index, (recipe, memory, domain))| Waiting {
                memory_bytes: memory * GIB,
                domain: format!("d{domain}"),
                ..waiting(&format!("r{index}"), &format!("recipe{recipe}"), u32::try_from(index).unwrap())
            })
            .collect();
        let active: Vec<Active> = (0..going).map(|index| active(&format!("g{index}"), "recipe0")).collect();
        let room = Room { memory_bytes_free: Some(free * GIB), ..room(runs_max) };
        let queue = Queue { waiting, active, room, ..Queue::default() };
        let going_now: Vec<&Waiting> =
            queue.waiting.iter().filter(|run| queue.place(&run.key, now()) == Place::Go).collect();
        prop_assert!(going_now.len() + going <= runs_max.max(going));
        prop_assert!(going_now.iter().map(|run| run.memory_bytes).sum::<u64>() <= free * GIB);
        let domains: BTreeSet<&str> = going_now.iter().map(|run| &*run.domain).collect();
        prop_assert_eq!(domains.len(), going_now.len());
        let positions: BTreeSet<usize> = queue.order().iter().enumerate().map(|(index, _)| index + 1).collect();
        prop_assert_eq!(positions.len(), queue.waiting.len());
    }
}
