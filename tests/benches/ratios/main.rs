//! The store, and the API over it, beside etcd on the same disk in the same run: durable creations, reads, lists,
//! watches, memory, opening.
//!
//! `make bench` runs it and prints tables of ratios; numbers of one run can be compared with each other, not with those
//! of another machine or day. Client and server share the machine's cores, ours and etcd's alike.

mod api;
mod etcd;
mod load;
mod report;
mod size;
mod store;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
// The allocator that `ccd` has.
use tikv_jemallocator as _;

use crate::etcd::Etcd;
use crate::load::{Figures, Side};
use crate::report::{Goal, Report};
use crate::size::Size;
use crate::store::Own;

/// Pause after each round of writes: what a side still does with them must not be counted against the next one.
pub(crate) const SETTLE: Duration = Duration::from_millis(500);

/// Number of the round that nobody measures.
const WARM_UP: usize = usize::MAX;

struct Arguments {
    old: PathBuf,
    new: PathBuf,
    ccd: Option<PathBuf>,
    /// `store` or `api`; both when absent.
    only: Option<String>,
    size: Size,
}

impl Arguments {
    fn ccd(&self) -> anyhow::Result<PathBuf> {
        self.ccd.clone().context("--ccd is missing: the path of a release build")
    }

    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == part)
    }
}

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "--fill") {
        let objects = words.get(at + 2).and_then(|count| count.parse().ok()).context("--fill DIR OBJECTS")?;
        return store::fill(Path::new(&words[at + 1]), objects);
    }
    if let Some(at) = words.iter().position(|word| word == "--overwrite") {
        let count = |offset: usize| words.get(at + offset).and_then(|count| count.parse().ok());
        let (objects, overwrites) = count(2).zip(count(3)).context("--overwrite DIR OBJECTS OVERWRITES")?;
        return store::overwrite(Path::new(&words[at + 1]), objects, overwrites);
    }
    let path = |flag: &str| -> anyhow::Result<PathBuf> {
        let at = words.iter().position(|word| word == flag).with_context(|| format!("{flag} is missing"))?;
        words.get(at + 1).map(PathBuf::from).with_context(|| format!("{flag} needs a path"))
    };
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    if let Some(at) = words.iter().position(|word| word == "--busy") {
        let what = words
            .get(at + 1)
            .context("--busy create[-http1|-http2]|get|patch|apply|list|table|gzip SECONDS --ccd PATH")?;
        let seconds = words.get(at + 2).and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
        let dir = Scratch::new(Size::SMALL.free_bytes_min)?;
        return runtime()?.block_on(Box::pin(api::busy(&path("--ccd")?, dir.path(), what, seconds)));
    }
    let Ok(old) = path("--etcd-old") else {
        // `cargo test --benches` only wants to know that it starts.
        println!("use `make bench`");
        return Ok(());
    };
    let only = words.iter().position(|word| word == "--only").and_then(|at| words.get(at + 1).cloned());
    let size = if words.iter().any(|word| word == "--small") { Size::SMALL } else { Size::FULL };
    let arguments = Arguments { old, new: path("--etcd-new")?, ccd: path("--ccd").ok(), only, size };
    runtime()?.block_on(Box::pin(run(&arguments)))
}

/// A directory that is emptied before and after: what a run that was killed left behind must not fill the disk.
struct Scratch(PathBuf);

impl Scratch {
    fn new(free_bytes_min: u64) -> anyhow::Result<Self> {
        let dir = std::env::current_exe()?.with_file_name("bench-data");
        remove(&dir)?;
        std::fs::create_dir_all(&dir)?;
        let free = apiserver::data_dir::space::free_space(&dir)?.bytes;
        anyhow::ensure!(
            free >= free_bytes_min,
            "{free} bytes are free in {}, {free_bytes_min} are needed",
            dir.display()
        );
        Ok(Self(dir))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// Removes what a part has written.
    fn empty(&self) -> anyhow::Result<()> {
        remove(&self.0)?;
        Ok(std::fs::create_dir_all(&self.0)?)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}

fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let dir = Scratch::new(arguments.size.free_bytes_min)?;
    let mut report = Report::default();
    report.line(&format!("fdatasync of 2.3 KB appended: {:.0}/s", load::disk_syncs(dir.path())?));
    if arguments.wants("api") {
        Box::pin(api::run(arguments, dir.path(), &mut report)).await?;
        dir.empty()?;
    }
    if arguments.wants("store") {
        Box::pin(creations(arguments, dir.path(), &mut report)).await?;
        dir.empty()?;
        Box::pin(reads(arguments, dir.path(), &mut report)).await?;
        dir.empty()?;
        Box::pin(watches(arguments, dir.path(), &mut report)).await?;
        dir.empty()?;
        Box::pin(memory_and_opening(arguments, dir.path(), &mut report)).await?;
        dir.empty()?;
        overwrites(arguments, dir.path(), &mut report)?;
    }
    println!("{report}");
    Ok(())
}

/// All three, with what they are called in the tables.
async fn sides(arguments: &Arguments, dir: &Path, what: &str) -> anyhow::Result<Vec<(&'static str, Box<dyn Side>)>> {
    Ok(vec![
        ("cc-ci", Box::new(Own::open(&dir.join(format!("own-{what}"))).await?) as Box<dyn Side>),
        ("etcd new", Box::new(Etcd::start(&arguments.new, &dir.join(format!("new-{what}"))).await?)),
        ("etcd old", Box::new(Etcd::start(&arguments.old, &dir.join(format!("old-{what}"))).await?)),
    ])
}

async fn creations(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let sides = sides(arguments, dir, "creations").await?;
    for (_, side) in &sides {
        // So that the files of each have the size at which they stay: etcd makes its own as large at the start.
        load::creations(&**side, 64, WARM_UP, arguments.size.duration, 1024).await?;
        tokio::time::sleep(SETTLE).await;
    }
    for &writers in arguments.size.writers {
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); sides.len()];
        for round in 0..arguments.size.rounds {
            for (index, (_, side)) in sides.iter().enumerate() {
                rounds[index].push(load::creations(&**side, writers, round, arguments.size.duration, 1024).await?);
                tokio::time::sleep(SETTLE).await;
            }
        }
        let names: Vec<&str> = sides.iter().map(|(name, _)| *name).collect();
        let medians = report.figures(&format!("creations of 1 KiB, {writers} clients"), &names, &rounds);
        let Some((new, old)) = creation_goals(writers) else { continue };
        for (other, goal) in [(1, new), (2, old)] {
            let rate = medians[0].per_second / medians[other].per_second;
            report.goal(&format!("creations, {writers} clients, times {}'s", names[other]), Goal::AtLeast(goal), rate);
        }
        let p99 = medians[0].p99.as_secs_f64() / medians[1].p99.as_secs_f64();
        report.goal(&format!("p99 of creations, {writers} clients, times {}'s", names[1]), Goal::AtMost(0.4), p99);
    }
    Ok(())
}

/// How many times as many creations as the newer and the older etcd there shall be.
fn creation_goals(writers: usize) -> Option<(f64, f64)> {
    match writers {
        1 => Some((1.4, 2.5)),
        64 => Some((2.2, 5.0)),
        256 => Some((1.8, 5.0)),
        _ => None,
    }
}

/// How many times as fast as the newer etcd's a list shall be.
fn list_goal(objects: usize) -> Option<f64> {
    match objects {
        500 => Some(20.0),
        10_000 => Some(5.0),
        100_000 => Some(4.0),
        _ => None,
    }
}

async fn reads(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let sides = sides(arguments, dir, "reads").await?;
    let names: Vec<&str> = sides.iter().map(|(name, _)| *name).collect();
    let lists = arguments.size.lists;
    let objects = lists[lists.len() - 1];
    for (_, side) in &sides {
        load::fill(&**side, objects, 2048).await?;
    }
    let mut gets = Vec::new();
    for (_, side) in &sides {
        gets.push(vec![load::gets(&**side, 64, objects, arguments.size.duration).await?]);
    }
    let medians = report.figures("get, 64 clients", &names, &gets);
    report.goal("get, times etcd new's", Goal::AtLeast(3.5), medians[0].per_second / medians[1].per_second);
    for &count in lists {
        let mut times = Vec::new();
        for (_, side) in &sides {
            let mut samples = Vec::new();
            for _ in 0..5 {
                let started = Instant::now();
                let bytes = side.list(count).await?;
                anyhow::ensure!(bytes >= count * 2048, "the list is too short: {bytes}");
                samples.push(started.elapsed());
            }
            samples.sort();
            times.push(samples[samples.len() / 2]);
        }
        report.times(&format!("list of {count} x 2 KiB"), &names, &times);
        if let Some(goal) = list_goal(count) {
            let ratio = times[1].as_secs_f64() / times[0].as_secs_f64();
            report.goal(&format!("list of {count}, times as fast as etcd new's"), Goal::AtLeast(goal), ratio);
        }
    }
    Ok(())
}

async fn watches(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let sides = sides(arguments, dir, "watches").await?;
    let names: Vec<&str> = sides.iter().map(|(name, _)| *name).collect();
    for &watchers in arguments.size.watchers {
        let mut rounds = Vec::new();
        for (_, side) in &sides {
            rounds.push(vec![load::watch(&**side, watchers, arguments.size.events / 2).await?]);
        }
        let what = format!("creation to event, {watchers} watchers (one event at a time)");
        let medians = report.figures(&what, &names, &rounds);
        if watchers == 1000 {
            let p50 = medians[0].p50.as_secs_f64() / medians[1].p50.as_secs_f64();
            report.goal("p50 to 1000 watchers, times etcd new's", Goal::AtMost(0.8), p50);
        }
    }
    Ok(())
}

async fn memory_and_opening(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    for &objects in arguments.size.memories {
        let own_dir = dir.join(format!("own-memory-{objects}"));
        let own = store::fill_elsewhere(&own_dir, objects)?;
        let etcd_dir = dir.join(format!("new-memory-{objects}"));
        let mut etcd = Etcd::start(&arguments.new, &etcd_dir).await?;
        load::fill(&etcd, objects, 2048).await?;
        let etcd_memory = etcd.memory_bytes()?;
        report.bytes(
            &format!("memory with {objects} x 2 KiB"),
            &["cc-ci", "etcd new"],
            &[own.memory_bytes, etcd_memory],
        );
        etcd.kill()?;
        drop(etcd);
        let started = Instant::now();
        let _again = Etcd::start(&arguments.new, &etcd_dir).await?;
        let etcd_open = started.elapsed();
        let started = Instant::now();
        let store = Own::open(&own_dir).await?;
        let own_open = started.elapsed();
        store.close().await;
        report.times(
            &format!("open after kill -9 with {objects} x 2 KiB"),
            &["cc-ci", "etcd new"],
            &[own_open, etcd_open],
        );
        if objects == 100_000 {
            let memory = own.memory_bytes as f64 / etcd_memory as f64;
            report.goal("memory with 100000 x 2 KiB, times etcd new's", Goal::AtMost(0.7), memory);
            let opening = own_open.as_secs_f64() / etcd_open.as_secs_f64();
            report.goal("opening after kill -9 with 100000, times etcd new's", Goal::AtMost(0.5), opening);
        }
    }
    Ok(())
}

fn overwrites(arguments: &Arguments, dir: &Path, report: &mut Report) -> anyhow::Result<()> {
    let (objects, overwrites) = arguments.size.overwrites;
    let figures = store::overwrite_elsewhere(&dir.join("own-overwrites"), objects, overwrites)?;
    report.line(&format!(
        "{overwrites} overwrites of {objects} x 2 KiB: {:.0}/s, disk {} MB, live {} MB, ratio {:.2}, memory {} MB",
        figures.per_second,
        figures.disk_bytes >> 20,
        figures.live_bytes >> 20,
        figures.disk_bytes as f64 / figures.live_bytes as f64,
        figures.memory_bytes >> 20,
    ));
    // A small store keeps a whole segment of its log: only a full one says what overwriting costs.
    if objects == 100_000 {
        let ratio = figures.disk_bytes as f64 / figures.live_bytes as f64;
        report.goal("disk after 1000000 overwrites, times the live bytes", Goal::AtMost(4.0), ratio);
    }
    Ok(())
}
