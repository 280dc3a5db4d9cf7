//! How fast the loop brings many objects to where they should be, on the real store, and what it costs when all are.
//! `make bench` measures the same in a release build; here the bounds are those of a busy machine and a debug build.

use std::time::{Duration, Instant};

use tests::fleet::Fleet;
use tests::widgets;

const OBJECTS: usize = 10_000;
/// What the suite accepts in a debug build on a machine that does other things too; the goal is 5 s.
const PATIENCE: Duration = Duration::from_secs(100);
/// No resync during the test.
const RESYNC: Duration = Duration::from_mins(10);
const IDLE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_of_ten_thousand_objects_created_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = widgets::open(dir.path()).await.unwrap();
    let fleet = Fleet::start(&store, RESYNC);
    let began = Instant::now();
    fleet.create(OBJECTS).await.unwrap();
    let created = began.elapsed();
    fleet.wait_until_ready(OBJECTS, PATIENCE).await.unwrap();
    let (ready, p99, longest) = (began.elapsed(), fleet.wait_p99_at_most().unwrap(), fleet.longest_wait());
    println!(
        "{OBJECTS} objects: created in {created:.1?}, all Ready after {ready:.1?}, p99 wait <= {p99} s, longest {longest:.1?}"
    );
    // The echoes of the last writes are looked at, then nothing happens.
    fleet.wait_until_quiet(PATIENCE).await.unwrap();
    let share = 100.0 * fleet.idle_share(IDLE).await.unwrap();
    println!("idle with {OBJECTS} Ready objects: {share:.1} % of a core");
    assert!(share < 10.0, "an idle loop uses {share:.1} % of a core");
    assert!(fleet.stop().await.unwrap() < Duration::from_secs(10), "a stop takes at most ten seconds");
    store.close().await;
}
