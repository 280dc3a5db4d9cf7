//! Every clock keeps its one promise.

use std::time::Duration;

use jiff::Timestamp;

use super::{Clock as _, FakeClock, PausedClock, SystemClock};

#[test]
fn the_machines_clock_does_not_stand_still_for_ever() {
    let first = SystemClock.now();
    while SystemClock.now() == first {
        std::thread::yield_now();
    }
}

#[test]
fn a_fake_clock_moves_only_when_told() {
    let clock = FakeClock::at(Timestamp::UNIX_EPOCH);
    assert_eq!(clock.now(), clock.now());
    let later = Timestamp::from_second(5).unwrap();
    clock.set(later);
    assert_eq!(clock.now(), later);
}

#[tokio::test(start_paused = true)]
async fn a_paused_clock_moves_with_tokios_time() {
    let clock = PausedClock::starting_at(Timestamp::UNIX_EPOCH);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(clock.now(), Timestamp::from_second(90).unwrap());
}
