//! Our store's side: through its library, as the HTTP layer uses it, with admission and all.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;
use store::list::{ListAt, ListRequest};
use store::request::{Body, Part, Patch, WriteOptions};
use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchRequest, WatchStart};
use tests::widgets;

use crate::load::{self, Answer, Client, Side};

pub(crate) struct Own {
    store: Store,
}

impl Own {
    pub(crate) async fn open(dir: &Path) -> anyhow::Result<Self> {
        Ok(Self { store: widgets::open(dir).await? })
    }

    pub(crate) async fn close(&self) {
        self.store.close().await;
    }
}

impl Side for Own {
    fn client(&self) -> Box<dyn Client> {
        Box::new(OwnClient { store: self.store.clone() })
    }

    fn list(&self, count: usize) -> Answer<'_, usize> {
        Box::pin(async move {
            let resource = self.store.registry().get(widgets::WIDGETS).context("defined at open")?.clone();
            let request = ListRequest {
                resource,
                namespace: None,
                selector: Selector::default(),
                limit: count,
                at: ListAt::Latest,
            };
            let list = self.store.list(&request)?;
            // What the HTTP layer does: one body of the stored bytes.
            let parts: Vec<_> = list.objects.iter().map(|object| object.json()).collect();
            let mut body = Vec::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
            for part in parts {
                body.extend_from_slice(&part);
                body.push(b',');
            }
            Ok(body.len())
        })
    }
}

struct OwnClient {
    store: Store,
}

impl Client for OwnClient {
    fn create(&mut self, name: String, bytes: usize) -> Answer<'_, ()> {
        Box::pin(async move {
            let body = widgets::body(&name, json!({"text": load::text(bytes)}));
            let target = widgets::widget(&self.store, &name);
            self.store.create(&target, Body::from(body), &WriteOptions::by("bench")).await?;
            Ok(())
        })
    }

    fn get(&mut self, name: String) -> Answer<'_, ()> {
        Box::pin(async move {
            let target = widgets::widget(&self.store, &name);
            let object = self.store.get(&target.resource, &target.key()).context("it was created")?;
            anyhow::ensure!(!object.json().is_empty(), "an object is not empty");
            Ok(())
        })
    }

    fn watch(&mut self, seen: Arc<dyn Fn() + Send + Sync>) -> Answer<'_, Box<dyn Send>> {
        Box::pin(async move {
            let resource = self.store.registry().get(widgets::WIDGETS).context("defined at open")?.clone();
            let start = WatchStart::After(self.store.state().revision);
            let mut watch =
                self.store.watch(WatchRequest { resource, namespace: None, selector: Selector::default(), start })?;
            let task = tokio::spawn(async move {
                while let Ok(items) = watch.next().await {
                    for _ in items {
                        seen();
                    }
                }
            });
            Ok(Box::new(load::Abort(task)) as Box<dyn Send>)
        })
    }
}

/// What another process of ours said of itself.
pub(crate) struct ElsewhereFigures {
    pub memory_bytes: u64,
    pub per_second: f64,
    pub disk_bytes: u64,
    pub live_bytes: u64,
}

/// Fills a store in a process of its own, which then dies as if killed.
pub(crate) fn fill_elsewhere(dir: &Path, objects: usize) -> anyhow::Result<ElsewhereFigures> {
    elsewhere(&["--fill".as_ref(), dir.as_os_str(), objects.to_string().as_ref()])
}

/// Overwrites very often in a process of its own.
pub(crate) fn overwrite_elsewhere(dir: &Path, objects: usize, overwrites: usize) -> anyhow::Result<ElsewhereFigures> {
    let counts = [objects.to_string(), overwrites.to_string()];
    elsewhere(&["--overwrite".as_ref(), dir.as_os_str(), counts[0].as_ref(), counts[1].as_ref()])
}

fn elsewhere(arguments: &[&std::ffi::OsStr]) -> anyhow::Result<ElsewhereFigures> {
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    let last = text.lines().last().with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let numbers: Vec<f64> = last.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [memory, per_second, disk, live] = numbers[..] else { anyhow::bail!("four numbers are expected: {last}") };
    Ok(ElsewhereFigures { memory_bytes: memory as u64, per_second, disk_bytes: disk as u64, live_bytes: live as u64 })
}

pub(crate) fn fill(dir: &Path, objects: usize) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let own = Own::open(dir).await?;
        let started = Instant::now();
        load::fill(&own, objects, 2048).await?;
        say(&own.store, dir, objects, started)?;
        // Dies without closing, as after kill -9.
        std::process::abort()
    })
}

pub(crate) fn overwrite(dir: &Path, objects: usize, overwrites: usize) -> anyhow::Result<()> {
    runtime()?.block_on(async {
        let own = Own::open(dir).await?;
        load::fill(&own, objects, 2048).await?;
        let started = Instant::now();
        let tasks: Vec<_> = (0..256_usize)
            .map(|number| {
                let store = own.store.clone();
                tokio::spawn(async move {
                    for round in 0..overwrites / 256 {
                        let name = format!("f{:06}", (round * 256 + number) % objects);
                        let patch = Patch::Merge(json!({"status": {"round": round, "number": number}}));
                        let target = widgets::widget(&store, &name);
                        store.patch(&target, Part::Status, &patch, &WriteOptions::by("bench")).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        say(&own.store, dir, overwrites, started)
    })
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn say(store: &Store, dir: &Path, operations: usize, started: Instant) -> anyhow::Result<()> {
    let per_second = operations as f64 / started.elapsed().as_secs_f64();
    let memory = memory_bytes(std::process::id())?;
    println!("{memory} {per_second} {} {}", disk_bytes(dir)?, store.figures().live_bytes);
    Ok(())
}

/// Returns the resident memory of a process.
pub(crate) fn memory_bytes(process: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kilobytes * 1024)
}

fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            std::os::unix::fs::MetadataExt::blocks(&metadata) * 512
        };
    }
    Ok(bytes)
}
