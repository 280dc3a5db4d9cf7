//! The API over its whole path: TLS, authentication, authorisation, audit, validation with rules, `managedFields`.
//!
//! What a real kube-apiserver 1.36 did on two such cores, measured once and elsewhere, stands in the goals.

mod ccd;
mod http;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::http::header::{ACCEPT, ACCEPT_ENCODING};

use crate::etcd::Etcd;
use crate::load::{self, Figures, Side as _};
use crate::report::{Goal, Report};
use crate::size::Size;
use crate::{Arguments, SETTLE};
use ccd::{Ccd, GADGETS, Write};
use http::Protocol;

/// Bytes of text in each spec, so that a whole body has about 250.
const TEXT_BYTES: usize = 100;
const NAMES: [&str; 2] = ["ccd", "etcd new"];
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/// Measures everything that concerns the API.
pub(crate) async fn run(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let program = arguments.ccd()?;
    Box::pin(start(&program, &arguments.size, dir, report)).await?;
    Box::pin(load_rows(arguments, &program, dir, report)).await
}

/// Memory at rest, writes, reads, lists, watches, and memory after all of it, in one server as in one day.
async fn load_rows(arguments: &Arguments, program: &Path, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let own_dir = dir.join("api-own");
    let (mut ccd, _) = Ccd::start(program, &own_dir).await?;
    let etcd = Etcd::start(&arguments.new, &dir.join("api-etcd")).await?;
    let idle = ccd.memory_bytes()?;
    report.bytes("memory idle", &NAMES, &[idle, etcd.memory_bytes()?]);
    report.goal("memory idle, MiB", Goal::AtMost(25.0), mebibytes(idle));
    let size = &arguments.size;
    creations(&mut ccd, &etcd, size, report).await?;
    drop(etcd);
    // Lists are measured on a store that holds what they list and nothing else.
    let creating = ccd.memory_bytes()?;
    ccd.kill()?;
    std::fs::remove_dir_all(&own_dir)?;
    let (mut ccd, _) = Ccd::start(program, &own_dir).await?;
    let etcd = Etcd::start(&arguments.new, &dir.join("api-etcd-lists")).await?;
    ccd.connect(256).await?;
    load::fill(&ccd, size.api_listed, TEXT_BYTES).await?;
    load::fill(&etcd, size.api_listed, TEXT_BYTES + 600).await?;
    gets(&ccd, &etcd, size, report).await?;
    lists(&ccd, &etcd, size, report).await?;
    kubectl(&ccd, size, report)?;
    changes(&mut ccd, size, report).await?;
    watches(&mut ccd, &etcd, size, report).await?;
    let loaded = ccd.memory_bytes()?;
    report.bytes("memory after creations", &["ccd"], &[creating]);
    report.bytes(
        &format!("memory after lists, changes and watches of {}", size.api_listed),
        &NAMES,
        &[loaded, etcd.memory_bytes()?],
    );
    report.goal("memory after load, MiB", Goal::AtMost(150.0), mebibytes(loaded));
    Ok(())
}

async fn creations(ccd: &mut Ccd, etcd: &Etcd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    for &clients in size.api_clients {
        ccd.connect(clients).await?;
        let mut rounds: [Vec<Figures>; 2] = Default::default();
        for round in 0..size.rounds {
            rounds[0].push(load::creations(&*ccd, clients, round, size.duration, TEXT_BYTES).await?);
            tokio::time::sleep(SETTLE).await;
            rounds[1].push(load::creations(etcd, clients, round, size.duration, TEXT_BYTES + 600).await?);
            tokio::time::sleep(SETTLE).await;
        }
        let medians = report.figures(&format!("create, {clients} clients over shared connections"), &NAMES, &rounds);
        match clients {
            1 => report.goal("create p50, 1 client, ms", Goal::AtMost(1.0), milliseconds(medians[0].p50)),
            32 => {
                report.goal("creates/s, 32 clients (10x kube-apiserver)", Goal::AtLeast(7170.0), medians[0].per_second);
            }
            _ => {}
        }
    }
    for &clients in size.api_connections {
        creations_over_own_connections(ccd, etcd, clients, size, report).await?;
    }
    Ok(())
}

/// As clients are in real life: processes, each with a connection of its own.
async fn creations_over_own_connections(
    ccd: &Ccd,
    etcd: &Etcd,
    clients: usize,
    size: &Size,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut rounds: [Vec<Figures>; 3] = Default::default();
    for round in 0..size.rounds {
        let sides = [
            (ccd.separate(clients, Protocol::Http1).await?, "h1", TEXT_BYTES),
            (ccd.separate(clients, Protocol::Http2).await?, "h2", TEXT_BYTES),
            (etcd.separate(clients).await?, "own", TEXT_BYTES + 600),
        ];
        for (figures, (clients, prefix, bytes)) in rounds.iter_mut().zip(sides) {
            figures.push(load::creations_by(clients, prefix, round, size.duration, bytes).await?);
            tokio::time::sleep(SETTLE).await;
        }
    }
    let names = ["ccd, HTTP/1.1", "ccd, HTTP/2", "etcd new"];
    let medians = report.figures(&format!("create, {clients} clients with a connection each"), &names, &rounds);
    if clients == 32 {
        let ratio = medians[0].per_second / medians[2].per_second;
        report.goal("creates/s, 32 clients with a connection each, times etcd's", Goal::AtLeast(2.0), ratio);
    }
    Ok(())
}

async fn gets(ccd: &Ccd, etcd: &Etcd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    for (clients, goal) in [(1, 6_700.0), (32, 16_000.0)] {
        let mut rounds: [Vec<Figures>; 2] = Default::default();
        for _ in 0..size.rounds {
            rounds[0].push(load::gets(ccd, clients, size.api_listed, size.duration).await?);
            rounds[1].push(load::gets(etcd, clients, size.api_listed, size.duration).await?);
        }
        let medians = report.figures(&format!("get, {clients} clients"), &NAMES, &rounds);
        let rate = medians[0].per_second;
        report.goal(&format!("gets/s, {clients} clients (15x kube-apiserver)"), Goal::AtLeast(goal), rate);
    }
    Ok(())
}

async fn changes(ccd: &mut Ccd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    for (write, what) in [(Write::MergePatch, "merge patch"), (Write::Apply, "server-side apply")] {
        ccd.set_write(write);
        for clients in [1, 32] {
            let figures = load::creations(&*ccd, clients, 0, size.duration, TEXT_BYTES).await?;
            report.figures(&format!("{what}, {clients} clients"), &["ccd"], &[vec![figures]]);
        }
    }
    ccd.set_write(Write::Create);
    Ok(())
}

async fn lists(ccd: &Ccd, etcd: &Etcd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let listed = size.api_listed;
    let plain = timed(|| async { Ok(ccd.read(GADGETS, &[]).await?.len()) }).await?;
    let other = timed(|| etcd.list(listed)).await?;
    report.times(&format!("list of {listed}, plain"), &NAMES, &[plain, other]);
    report.goal(&format!("list of {listed}, ms"), Goal::AtMost(60.0), milliseconds(plain));
    let paged = timed(|| pages(ccd)).await?;
    report.times(&format!("list of {listed}, pages of 500"), &["ccd"], &[paged]);
    let packed = timed(|| async { Ok(ccd.read(GADGETS, &[(ACCEPT_ENCODING, "gzip")]).await?.len()) }).await?;
    report.times(&format!("list of {listed}, gzip"), &["ccd"], &[packed]);
    let table = timed(|| async { Ok(ccd.read(GADGETS, &[(ACCEPT, TABLE)]).await?.len()) }).await?;
    report.times(&format!("list of {listed}, Table"), &["ccd"], &[table]);
    Ok(())
}

async fn pages(ccd: &Ccd) -> anyhow::Result<usize> {
    let (mut token, mut bytes) = (String::new(), 0);
    loop {
        let page = ccd.read(&format!("{GADGETS}?limit=500&continue={token}"), &[]).await?;
        bytes += page.len();
        let head = &page[..page.len().min(512)];
        let text = std::str::from_utf8(head).unwrap_or_default();
        let Some((_, rest)) = text.split_once("\"continue\":\"") else { return Ok(bytes) };
        token = rest.split('"').next().unwrap_or_default().to_owned();
    }
}

/// Median of five.
async fn timed<F: Future<Output = anyhow::Result<usize>>>(work: impl Fn() -> F) -> anyhow::Result<Duration> {
    let mut samples = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        anyhow::ensure!(work().await? > 0, "the answer is empty");
        samples.push(started.elapsed());
    }
    samples.sort_unstable();
    Ok(samples[samples.len() / 2])
}

fn kubectl(ccd: &Ccd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    let mut samples = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        let output = ccd.daemon().kubectl(&["get", "gadgets"])?;
        anyhow::ensure!(output.status.success(), "kubectl: {}", String::from_utf8_lossy(&output.stderr));
        let rows = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        anyhow::ensure!(rows > size.api_listed, "kubectl printed {rows} lines");
        samples.push(started.elapsed());
    }
    samples.sort_unstable();
    report.times(&format!("kubectl get of {}", size.api_listed), &["ccd"], &[samples[1]]);
    report.goal(&format!("kubectl get of {}, s", size.api_listed), Goal::AtMost(1.0), samples[1].as_secs_f64());
    Ok(())
}

async fn watches(ccd: &mut Ccd, etcd: &Etcd, size: &Size, report: &mut Report) -> anyhow::Result<()> {
    for &watchers in size.api_watchers {
        ccd.connect(256).await?;
        let own = load::watch(&*ccd, watchers, size.events).await?;
        let other = load::watch(etcd, watchers, size.events).await?;
        report.figures(&format!("create to event, {watchers} watchers"), &NAMES, &[vec![own], vec![other]]);
        if watchers == 32 {
            report.goal("watch p99, 32 watchers, ms", Goal::AtMost(5.0), milliseconds(own.p99));
        }
    }
    Ok(())
}

/// From the start of the process to the first 200 of `/readyz`.
async fn start(program: &Path, size: &Size, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    for &(objects, goal) in size.starts {
        let own_dir: PathBuf = dir.join(format!("api-start-{objects}"));
        let (mut first, first_start) = Ccd::start(program, &own_dir).await?;
        if objects == 0 {
            report.times("the very first start to ready", &["ccd"], &[first_start]);
        }
        first.connect(256).await?;
        load::fill(&first, objects, TEXT_BYTES).await?;
        first.kill()?;
        drop(first);
        let mut samples = Vec::new();
        for _ in 0..3 {
            let (mut again, ready) = Ccd::start(program, &own_dir).await?;
            samples.push(ready);
            again.kill()?;
        }
        samples.sort_unstable();
        report.times(&format!("start after kill -9 to ready with {objects} objects"), &["ccd"], &[samples[1]]);
        report.goal(&format!("start with {objects} objects, s"), Goal::AtMost(goal), samples[1].as_secs_f64());
        std::fs::remove_dir_all(&own_dir)?;
    }
    Ok(())
}

/// Starts the server alone and keeps it busy with one thing, for a profiler beside it.
pub(crate) async fn busy(program: &Path, dir: &Path, what: &str, seconds: u64) -> anyhow::Result<()> {
    let (mut ccd, _) = Ccd::start(program, &dir.join("api-busy")).await?;
    let listed = Size::FULL.api_listed;
    ccd.connect(256).await?;
    load::fill(&ccd, listed, TEXT_BYTES).await?;
    println!("process {}", ccd.daemon().id());
    let before = processor_seconds(ccd.daemon().id())?;
    let duration = Duration::from_secs(seconds);
    let started = Instant::now();
    let operations = match what {
        "get" => load::gets(&ccd, 32, listed, duration).await?.per_second * seconds as f64,
        "list" | "table" | "gzip" => {
            let headers: &[_] = match what {
                "table" => &[(ACCEPT, TABLE)],
                "gzip" => &[(ACCEPT_ENCODING, "gzip")],
                _ => &[],
            };
            let mut count = 0.0;
            while started.elapsed() < duration {
                ccd.read(GADGETS, headers).await?;
                count += 1.0;
            }
            count
        }
        "create-http1" | "create-http2" => {
            let protocol = if what == "create-http1" { Protocol::Http1 } else { Protocol::Http2 };
            let clients = ccd.separate(32, protocol).await?;
            load::creations_by(clients, "own", 0, duration, TEXT_BYTES).await?.per_second * seconds as f64
        }
        _ => {
            ccd.set_write(match what {
                "patch" => Write::MergePatch,
                "apply" => Write::Apply,
                _ => Write::Create,
            });
            load::creations(&ccd, 32, 0, duration, TEXT_BYTES).await?.per_second * seconds as f64
        }
    };
    let used = processor_seconds(ccd.daemon().id())? - before;
    let memory = mebibytes(ccd.memory_bytes()?);
    println!(
        "{what}: {operations:.0} in {seconds} s, {:.1} µs of processor each, {memory:.0} MiB",
        used * 1e6 / operations
    );
    Ok(())
}

/// Returns user and system time of a process.
fn processor_seconds(process: u32) -> anyhow::Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / TICKS_PER_SECOND)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
