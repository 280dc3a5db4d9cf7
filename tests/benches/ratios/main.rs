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
use std::time::Instant;

use anyhow::Context as _;

use crate::etcd::Etcd;
use crate::load::{Figures, Side};
use crate::report::Report;
use crate::size::Size;
use crate::store::Own;

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

/// The one that `ccd` has.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
        let what = words.get(at + 1).context("--busy create|get|patch|apply|list|table|gzip SECONDS --ccd PATH")?;
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
    for &writers in arguments.size.writers {
        let mut rounds: Vec<Vec<Figures>> = vec![Vec::new(); sides.len()];
        for round in 0..arguments.size.rounds {
            for (index, (_, side)) in sides.iter().enumerate() {
                rounds[index].push(load::creations(&**side, writers, round, arguments.size.duration, 1024).await?);
            }
        }
        let names: Vec<&str> = sides.iter().map(|(name, _)| *name).collect();
        report.figures(&format!("creations of 1 KiB, {writers} clients"), &names, &rounds);
    }
    Ok(())
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
    report.figures("get, 64 clients", &names, &gets);
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
        report.figures(&format!("creation to event, {watchers} watchers (one event at a time)"), &names, &rounds);
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
    Ok(())
}
