//! Every order of calls that matters, and random ones against the rules.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use tokio::time::Instant;

use super::{Queue, Rest, Taken, Wake, WorkQueue};
use crate::runtime::backoff::Backoff;
use crate::runtime::guards::Guards;

const RESYNC: Duration = Duration::from_hours(1);

fn queue() -> Queue {
    Queue::new(Backoff::default(), RESYNC, Guards::all())
}

fn key(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn take(queue: &mut Queue, now: Instant) -> Option<String> {
    queue.take(now).map(|taken| taken.key.to_string())
}

fn run(queue: &mut Queue, now: Instant, rest: Rest) -> Taken {
    let taken = queue.take(now).unwrap();
    queue.finish(&taken, rest, now);
    taken
}

#[test]
fn a_key_that_is_woken_often_runs_once() {
    let (mut queue, now) = (queue(), Instant::now());
    for _ in 0..3 {
        queue.wake(&key("a"), Wake::Changed, now);
    }
    assert_eq!(take(&mut queue, now).as_deref(), Some("a"));
    assert_eq!(take(&mut queue, now), None);
}

#[test]
fn keys_run_in_the_order_in_which_they_became_ready() {
    let (mut queue, now) = (queue(), Instant::now());
    for name in ["c", "a", "b", "a"] {
        queue.wake(&key(name), Wake::Changed, now);
    }
    let order: Vec<_> = std::iter::from_fn(|| take(&mut queue, now)).collect();
    assert_eq!(order, ["c", "a", "b"]);
}

#[test]
fn a_key_that_is_woken_while_it_runs_runs_again_afterwards_and_not_before() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Changed, now);
    let taken = queue.take(now).unwrap();
    queue.wake(&key("a"), Wake::Changed, now);
    assert_eq!(take(&mut queue, now), None);
    queue.finish(&taken, Rest::OnChange, now);
    assert_eq!(take(&mut queue, now).as_deref(), Some("a"));
}

#[test]
fn failures_double_the_delay_up_to_the_cap() {
    let (mut queue, mut now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Changed, now);
    for failures in 1..12_u32 {
        run(&mut queue, now, Rest::Backoff { at_least: Duration::ZERO });
        let delay = queue.next_due().unwrap() - now;
        let plain = seconds(1 << (failures - 1)).min(seconds(300));
        assert!(
            delay >= plain.mul_f64(0.75) && delay <= plain.mul_f64(1.25).min(seconds(300)),
            "{failures}: {delay:?}"
        );
        now += delay;
    }
}

#[test]
fn a_backoff_is_no_shorter_than_the_other_side_asked_for() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Changed, now);
    run(&mut queue, now, Rest::Backoff { at_least: seconds(90) });
    assert_eq!(queue.next_due().unwrap() - now, seconds(90));
}

#[test]
fn what_ends_a_rest() {
    use Wake::{Changed, Echo, Resync};
    let backoff = Rest::Backoff { at_least: Duration::ZERO };
    let cases = [
        (Rest::OnChange, Changed, true),
        (Rest::OnChange, Echo, true),
        (Rest::OnChange, Resync, false),
        (Rest::After(seconds(60)), Changed, true),
        (Rest::After(seconds(60)), Echo, true),
        (backoff, Changed, true),
        (backoff, Echo, false),
        (backoff, Resync, false),
        (Rest::Blocked(seconds(60)), Changed, true),
        (Rest::Blocked(seconds(60)), Echo, false),
        (Rest::Parked, Changed, true),
        (Rest::Parked, Echo, false),
        (Rest::Parked, Resync, false),
    ];
    for (rest, wake, runs) in cases {
        let (mut queue, now) = (queue(), Instant::now());
        queue.wake(&key("a"), Changed, now);
        run(&mut queue, now, rest);
        queue.wake(&key("a"), wake, now);
        assert_eq!(take(&mut queue, now).is_some(), runs, "{rest:?} and {wake:?}, woken afterwards");

        let mut queue = self::queue();
        queue.wake(&key("a"), Changed, now);
        let taken = queue.take(now).unwrap();
        queue.wake(&key("a"), wake, now);
        queue.finish(&taken, rest, now);
        assert_eq!(take(&mut queue, now).is_some(), runs, "{rest:?} and {wake:?}, woken while running");
    }
}

#[test]
fn a_change_forgets_the_failures() {
    let (mut queue, mut now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Changed, now);
    for _ in 0..6 {
        run(&mut queue, now, Rest::Backoff { at_least: Duration::ZERO });
        now = queue.next_due().unwrap();
    }
    queue.wake(&key("a"), Wake::Changed, now - Duration::from_millis(1));
    let taken = run(&mut queue, now, Rest::Backoff { at_least: Duration::ZERO });
    assert_eq!(taken.failures, 0);
    assert!(queue.next_due().unwrap() - now <= Duration::from_millis(1250));
}

#[test]
fn a_hot_key_waits_behind_everybody_else() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("hot"), Wake::Changed, now);
    let hot = queue.take(now).unwrap();
    for name in ["a", "b"] {
        queue.wake(&key(name), Wake::Changed, now);
    }
    queue.finish(&hot, Rest::Now, now);
    let order: Vec<_> = std::iter::from_fn(|| take(&mut queue, now)).collect();
    assert_eq!(order, ["a", "b", "hot"]);
}

#[test]
fn a_key_that_never_rests_is_slowed_down_to_one_run_a_second() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("hot"), Wake::Changed, now);
    let mut runs = 0;
    while let Some(taken) = queue.take(now) {
        runs += 1;
        queue.finish(&taken, Rest::Now, now);
    }
    assert_eq!(runs, 201);
    assert_eq!(queue.next_due(), Some(now + seconds(1)));
    assert_eq!(take(&mut queue, now + seconds(1)).as_deref(), Some("hot"));
}

#[test]
fn resync_waits_for_users_but_gets_every_ninth_turn() {
    let (mut queue, now) = (queue(), Instant::now());
    for index in 0..3 {
        queue.wake(&key(&format!("resync-{index}")), Wake::Resync, now);
    }
    for index in 0..20 {
        queue.wake(&key(&format!("user-{index:02}")), Wake::Changed, now);
    }
    let order: Vec<_> = std::iter::from_fn(|| take(&mut queue, now)).collect();
    let turns: Vec<_> =
        order.iter().enumerate().filter(|(_, name)| name.starts_with("resync")).map(|(turn, _)| turn).collect();
    assert_eq!(turns, [8, 17, 22]);
}

#[test]
fn a_user_who_waits_for_a_key_moves_it_out_of_the_resync_line() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Resync, now);
    queue.wake(&key("b"), Wake::Changed, now);
    queue.wake(&key("a"), Wake::Changed, now);
    let order: Vec<_> = std::iter::from_fn(|| take(&mut queue, now)).collect();
    assert_eq!(order, ["b", "a"]);
}

#[test]
fn resync_is_spread_over_half_its_period() {
    let (mut queue, now) = (queue(), Instant::now());
    for index in 0..1000 {
        queue.wake(&key(&format!("object-{index}")), Wake::Changed, now);
        run(&mut queue, now, Rest::OnChange);
    }
    let due: Vec<Duration> = queue.delayed.iter().map(|(due, ..)| *due - now).collect();
    assert!(due.iter().all(|due| *due >= RESYNC.mul_f64(0.75) && *due <= RESYNC.mul_f64(1.25)));
    let in_one_minute = |minute: u32| {
        due.iter().filter(|due| **due >= seconds(60) * minute && **due < seconds(60) * (minute + 1)).count()
    };
    assert!((45..75).map(in_one_minute).max().unwrap() < 80, "a thousand over thirty minutes");
}

#[test]
fn a_key_that_is_gone_is_forgotten_unless_it_has_come_back() {
    let (mut queue, now) = (queue(), Instant::now());
    queue.wake(&key("a"), Wake::Changed, now);
    run(&mut queue, now, Rest::Gone);
    assert!(queue.entries.is_empty());
    queue.wake(&key("a"), Wake::Changed, now);
    let taken = queue.take(now).unwrap();
    queue.wake(&key("a"), Wake::Changed, now);
    queue.finish(&taken, Rest::Gone, now);
    assert_eq!(take(&mut queue, now).as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_of_wakes_and_of_moments() {
    let queue = Arc::new(WorkQueue::new(Backoff::default(), RESYNC, Guards::all()));
    let waiter = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    tokio::task::yield_now().await;
    queue.wake(&key("a"), Wake::Changed);
    let taken = waiter.await.unwrap();
    queue.finish(&taken, Rest::After(seconds(30)));
    let began = Instant::now();
    assert_eq!(&*queue.next().await.key, "a");
    assert_eq!(began.elapsed().as_secs(), 30);
}

#[derive(Clone, Debug)]
enum Step {
    Wake(u8, Wake),
    Take,
    Finish(usize, Rest),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let wake = prop_oneof![Just(Wake::Changed), Just(Wake::Echo), Just(Wake::Resync)];
    let rest = prop_oneof![
        Just(Rest::Now),
        Just(Rest::OnChange),
        Just(Rest::Parked),
        Just(Rest::Gone),
        Just(Rest::Backoff { at_least: Duration::ZERO }),
        Just(Rest::Blocked(Duration::from_secs(60))),
        (0..100_u64).prop_map(|count| Rest::After(Duration::from_secs(count))),
    ];
    prop_oneof![
        (0..6_u8, wake).prop_map(|(name, wake)| Step::Wake(name, wake)),
        Just(Step::Take),
        (any::<usize>(), rest).prop_map(|(index, rest)| Step::Finish(index, rest)),
        any::<u16>().prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn no_key_runs_twice_at_once_and_no_change_is_lost(steps in proptest::collection::vec(step(), 1..200)) {
        let (mut queue, mut now) = (queue(), Instant::now());
        let mut running: Vec<Taken> = Vec::new();
        let mut owed: HashSet<Arc<str>> = HashSet::new();
        for step in steps {
            match step {
                Step::Wake(name, wake) => {
                    let key = key(&format!("key-{name}"));
                    queue.wake(&key, wake, now);
                    if wake == Wake::Changed {
                        owed.insert(key);
                    }
                }
                Step::Take => {
                    if let Some(taken) = queue.take(now) {
                        assert!(running.iter().all(|other| other.key != taken.key), "{} runs twice", taken.key);
                        owed.remove(&taken.key);
                        running.push(taken);
                    }
                }
                Step::Finish(index, rest) => {
                    if !running.is_empty() {
                        let taken = running.swap_remove(index % running.len());
                        queue.finish(&taken, rest, now);
                    }
                }
                Step::Pass(milliseconds) => now += Duration::from_millis(u64::from(milliseconds)),
            }
        }
        for taken in running.drain(..) {
            queue.finish(&taken, Rest::Parked, now);
        }
        // Everything that was promised runs within the pause of a key that was slowed down.
        now += seconds(2);
        while let Some(taken) = queue.take(now) {
            owed.remove(&taken.key);
            queue.finish(&taken, Rest::Parked, now);
        }
        assert!(owed.is_empty(), "never ran: {owed:?}");
    }
}
