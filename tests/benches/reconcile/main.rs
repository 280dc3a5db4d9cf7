//! The reconcile loop: object lifetimes in simulated time, ten thousand objects at once, idle cost, a full resync under
//! people who write, and how fast `ccctl` starts.
//!
//! `make bench` runs it; `cargo bench -p tests --bench reconcile -- simulation` runs the part whose name is given.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use controller::runtime::guards::Guards;
use serde_json::json;
use tests::fleet::Fleet;
use tests::server::{ServerOptions, TestServer};
use tests::widgets;
use tests::world::{Scenario, run};

const LIFETIMES: u64 = 100_000;
const OBJECTS: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(300);
/// No resync while something else is measured.
const NO_RESYNC: Duration = Duration::from_hours(10);
/// Every object is looked at about as often while the resync is measured.
const RESYNC: Duration = Duration::from_secs(8);
/// How long the writes are measured, quiet and during the resync.
const WRITING: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(10);
const STARTS: usize = 40;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let ccctl = std::env::args().find_map(|word| word.strip_prefix("--ccctl=").map(PathBuf::from));
    if std::env::args().all(|word| word != "--bench") {
        // `cargo test --benches` only wants to know that it starts.
        println!("use `make bench`");
        return Ok(());
    }
    let wants = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if wants("simulation") {
        simulation()?;
    }
    if wants("throughput") {
        runtime.block_on(throughput())?;
    }
    if wants("resync") {
        runtime.block_on(resync())?;
    }
    if let Some(ccctl) = ccctl.filter(|_| wants("startup")) {
        runtime.block_on(startup(&ccctl))?;
    }
    Ok(())
}

/// Plays whole lives of objects with faults, kills and restarts on two threads.
fn simulation() -> anyhow::Result<()> {
    std::panic::set_hook(Box::new(|panic| {
        // Panics of poisoned objects are part of the play.
        if panic.payload_as_str() != Some(tests::world::kinds::POISON) {
            eprintln!("{panic}");
        }
    }));
    let (next, lifetimes, restarts) = (AtomicU64::new(1), AtomicU64::new(0), AtomicU64::new(0));
    let failed = AtomicBool::new(false);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while lifetimes.load(Ordering::Relaxed) < LIFETIMES && !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    match run(Scenario::of_seed(seed, Guards::all())) {
                        Ok(summary) => {
                            lifetimes.fetch_add(summary.lifetimes, Ordering::Relaxed);
                            restarts.fetch_add(summary.restarts, Ordering::Relaxed);
                        }
                        Err(wrong) => {
                            println!("seed {seed}: {wrong}");
                            failed.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    anyhow::ensure!(!failed.into_inner(), "an invariant does not hold");
    let (lifetimes, restarts) = (lifetimes.into_inner(), restarts.into_inner());
    println!("simulation: {lifetimes} object lifetimes, {restarts} restarts, in {:.1?} (goal 60 s)", began.elapsed());
    Ok(())
}

async fn throughput() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let store = widgets::open(dir.path()).await?;
    let fleet = Fleet::start(&store, NO_RESYNC);
    let began = Instant::now();
    fleet.create(OBJECTS).await?;
    let created = began.elapsed();
    fleet.wait_until_ready(OBJECTS, PATIENCE).await?;
    println!(
        "throughput: {OBJECTS} objects created in {created:.2?}, all Ready after {:.2?} (goal 5 s)",
        began.elapsed()
    );
    println!("queue wait: p99 at most {} s, longest {:.2?}", fleet.wait_p99_at_most()?, fleet.longest_wait());
    fleet.wait_until_quiet(PATIENCE).await?;
    // What many writers leave behind is brought to the store's rows when they pause: it is theirs, not the price of rest.
    let after_writing = 100.0 * fleet.idle_share(IDLE).await?;
    let share = 100.0 * fleet.idle_share(IDLE).await?;
    println!(
        "idle: {share:.2} % of a core with {OBJECTS} Ready objects (goal 1 %); {after_writing:.2} % right after the writing"
    );
    fleet.stop().await?;
    store.close().await;
    Ok(())
}

async fn resync() -> anyhow::Result<()> {
    let options = ServerOptions { definitions: vec![widgets::definition_object()], ..ServerOptions::default() };
    let server = TestServer::start(options).await?;
    let fleet = Fleet::start(&server.store, RESYNC);
    fleet.create(OBJECTS).await?;
    fleet.wait_until_ready(OBJECTS, PATIENCE).await?;
    let before = fleet.passes();
    let during = Latencies::of_writes(&server, WRITING).await?;
    let passes = fleet.passes() - before;
    anyhow::ensure!(passes as usize > OBJECTS / 2, "the resync has hardly begun: {passes} passes");
    fleet.stop().await?;
    let quiet = Latencies::of_writes(&server, WRITING).await?;
    println!("API writes, nothing else: {quiet}");
    println!("API writes during {passes} passes of a full resync: {during} (goal: none above 50 ms)");
    Ok(())
}

struct Latencies(Vec<Duration>);

impl Latencies {
    /// Changes one ConfigMap over HTTP, again and again, and notes how long each change takes.
    async fn of_writes(server: &TestServer, time: Duration) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let url = server.url("/api/v1/namespaces/default/configmaps/bench?fieldManager=bench");
        let (began, mut latencies) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bench"},
                "data": {"round": latencies.len().to_string()}});
            let request = client.patch(&url).bearer_auth(&server.admin).body(body.to_string());
            let request = request.header("Content-Type", "application/apply-patch+yaml");
            let sent = Instant::now();
            let answer = request.send().await?;
            anyhow::ensure!(answer.status().is_success(), "{}", answer.text().await?);
            latencies.push(sent.elapsed());
        }
        latencies.sort();
        Ok(Self(latencies))
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |thousandths: usize| {
            self.0.get(self.0.len().saturating_sub(1) * thousandths / 1000).copied().unwrap_or_default()
        };
        write!(formatter, "{} writes, p50 {:.2?}, p99 {:.2?}, longest {:.2?}", self.0.len(), at(500), at(990), at(1000))
    }
}

/// Starts `ccctl get namespaces` with what earlier runs have kept on disk.
async fn startup(ccctl: &Path) -> anyhow::Result<()> {
    let options = ServerOptions { definitions: Vec::new(), ..ServerOptions::default() };
    let server = TestServer::start(options).await?;
    let authority = server.dir.path().join("authority.pem");
    std::fs::write(&authority, &server.authority_pem)?;
    let start = |words: &[&str]| {
        let mut command = Command::new(ccctl);
        command.args(words).arg("--server").arg(format!("https://localhost:{}", server.encrypted.port()));
        command.arg("--certificate-authority").arg(&authority).args(["--token", &server.admin]);
        command.env_clear().env("HOME", server.dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        command
    };
    for words in [&["version", "--client"][..], &["get", "namespaces"]] {
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let mut command = start(words);
            let began = Instant::now();
            let status = tokio::task::spawn_blocking(move || command.status()).await?;
            anyhow::ensure!(status.context("ccctl does not run")?.success(), "ccctl {} fails", words.join(" "));
            times.push(began.elapsed());
        }
        times.sort();
        let median = times[STARTS / 2];
        println!("ccctl {}: median {median:.1?}, fastest {:.1?} (goal 30 ms)", words.join(" "), times[0]);
    }
    Ok(())
}
