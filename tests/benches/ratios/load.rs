//! The load: the same for every side.

use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A future of a side.
pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

/// Something that keeps objects.
pub(crate) trait Side: Send + Sync {
    /// Returns a handle for one more client.
    fn client(&self) -> Box<dyn Client>;
    /// Lists the first `count` objects and returns the bytes of the answer.
    fn list(&self, count: usize) -> Answer<'_, usize>;
}

/// One client of a side.
pub(crate) trait Client: Send {
    /// Creates an object of about `bytes` that must not be there yet; returns when it is on disk.
    fn create(&mut self, name: String, bytes: usize) -> Answer<'_, ()>;
    /// Reads an object.
    fn get(&mut self, name: String) -> Answer<'_, ()>;
    /// Watches from now on; calls `seen` for each event until the watch is dropped.
    fn watch(&mut self, seen: Arc<dyn Fn() + Send + Sync>) -> Answer<'_, Box<dyn Send>>;
}

/// What was measured in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Operations a second; 0 where only latency was measured.
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

impl Figures {
    fn new(mut samples: Vec<Duration>, elapsed: Option<Duration>) -> Self {
        samples.sort_unstable();
        let at = |share: f64| samples[((samples.len() - 1) as f64 * share) as usize];
        let per_second = elapsed.map_or(0.0, |elapsed| samples.len() as f64 / elapsed.as_secs_f64());
        Self { per_second, p50: at(0.5), p99: at(0.99) }
    }
}

/// Returns text of `bytes` characters.
pub(crate) fn text(bytes: usize) -> String {
    // As cheap as can be: it is done for every creation, and is not what is measured.
    let mut text = "0123456789abcdef".repeat(bytes.div_ceil(16));
    text.truncate(bytes);
    text
}

/// Returns how often a second this disk syncs a small append.
pub(crate) fn disk_syncs(dir: &Path) -> anyhow::Result<f64> {
    let mut file = std::fs::File::create(dir.join("syncs"))?;
    let block = vec![7; 2300];
    let started = Instant::now();
    let mut count = 0;
    while started.elapsed() < Duration::from_millis(1500) {
        file.write_all(&block)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

/// Creates objects from many clients for `duration`.
pub(crate) async fn creations(
    side: &dyn Side,
    clients: usize,
    round: usize,
    duration: Duration,
    bytes: usize,
) -> anyhow::Result<Figures> {
    let clients: Vec<_> = (0..clients).map(|_| side.client()).collect();
    creations_by(clients, "c", round, duration, bytes).await
}

/// Creates objects from these clients for `duration`; `prefix` and `round` make the names unique.
pub(crate) async fn creations_by(
    clients: Vec<Box<dyn Client>>,
    prefix: &'static str,
    round: usize,
    duration: Duration,
    bytes: usize,
) -> anyhow::Result<Figures> {
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let count = clients.len();
    let tasks: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, mut client)| {
            let stop = stop.clone();
            tokio::spawn(async move {
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    let name = format!("{prefix}{count}-r{round}-n{number}-{}", samples.len());
                    client.create(name, bytes).await?;
                    samples.push(before.elapsed());
                }
                anyhow::Ok(samples)
            })
        })
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    finish(tasks, started).await
}

/// Reads random objects from many clients for `duration`.
pub(crate) async fn gets(
    side: &dyn Side,
    clients: usize,
    objects: usize,
    duration: Duration,
) -> anyhow::Result<Figures> {
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let (mut client, stop) = (side.client(), stop.clone());
            tokio::spawn(async move {
                let mut random = tests::seed::Random::new(number as u64);
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let before = Instant::now();
                    let index = random.below(objects as u64);
                    client.get(format!("f{index:06}")).await?;
                    samples.push(before.elapsed());
                    if samples.len() % 64 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                anyhow::Ok(samples)
            })
        })
        .collect();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    finish(tasks, started).await
}

/// Ends a task when dropped.
pub(crate) struct Abort<T>(pub tokio::task::JoinHandle<T>);

impl<T> Drop for Abort<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn finish(
    tasks: Vec<tokio::task::JoinHandle<anyhow::Result<Vec<Duration>>>>,
    started: Instant,
) -> anyhow::Result<Figures> {
    let mut samples = Vec::new();
    for task in tasks {
        samples.extend(task.await??);
    }
    Ok(Figures::new(samples, Some(started.elapsed())))
}

/// Creates `objects` objects named `f000000` and so on.
pub(crate) async fn fill(side: &dyn Side, objects: usize, bytes: usize) -> anyhow::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..256)
        .map(|_| {
            let (mut client, next) = (side.client(), next.clone());
            tokio::spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= objects {
                        return anyhow::Ok(());
                    }
                    client.create(format!("f{index:06}"), bytes).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Creates `events` objects one after another, each when all watchers have seen the one before; returns the latencies
/// from just before the creation to each watcher's sight of it.
pub(crate) async fn watch(side: &dyn Side, watchers: usize, events: usize) -> anyhow::Result<Figures> {
    let (seen, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let seen: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
        // The measuring is over when nobody listens.
        let _ = seen.send(Instant::now());
    });
    let mut guards = Vec::new();
    let mut client = side.client();
    for _ in 0..watchers {
        let mut watcher = side.client();
        guards.push(watcher.watch(seen.clone()).await?);
    }
    let mut samples = Vec::new();
    for event in 0..events {
        let before = Instant::now();
        client.create(format!("e{watchers}-{event}"), 1024).await?;
        for _ in 0..watchers {
            let arrival = tokio::time::timeout(Duration::from_secs(20), arrivals.recv()).await?;
            samples.push(arrival.expect("the senders are alive").duration_since(before));
        }
    }
    Ok(Figures::new(samples, None))
}
