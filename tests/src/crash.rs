//! A process that writes until something stops it, what it said until then, and whether a store holds what it must.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use store::guards::{Guard, Guards};
use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchItem, WatchRequest, WatchStart};

use crate::history::{Operation, Sizes, operation, spec};
use crate::widgets;

/// How much of what a worker complained of is shown, in bytes.
const COMPLAINTS_MAX: u64 = 16 << 10;

/// What a worker does; its one argument, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// The store's directory.
    pub dir: PathBuf,
    /// How many write at once, each on a widget of its own.
    pub writers: usize,
    /// How large the widgets are.
    pub sizes: Sizes,
    /// How many revisions lie between two times that the files are written anew; nothing for never.
    pub rewrite_every: Option<u64>,
    /// Name of the guard that is taken away, to see that it is missed.
    pub without: Option<String>,
}

impl Work {
    /// Returns the guards of the worker's store.
    ///
    /// # Errors
    /// When no guard has the name.
    pub fn guards(&self) -> anyhow::Result<Guards> {
        let Some(name) = &self.without else { return Ok(Guards::all()) };
        let guard = Guard::ALL.into_iter().find(|guard| format!("{guard:?}") == *name);
        Ok(Guards::without(guard.with_context(|| format!("no guard is called {name}"))?))
    }
}

/// What a worker said before it was stopped.
#[derive(Debug, Default)]
pub struct Said {
    /// The revision at which it began; nothing if it was stopped before the store was open.
    pub opened_at: Option<u64>,
    /// Revision, name and step of each write that was acknowledged.
    pub acknowledged: Vec<(u64, String, u64)>,
    /// Revisions of the changes that its watcher saw.
    pub seen: Vec<u64>,
}

/// A running worker.
pub struct Worker {
    child: Child,
    /// What it complained of: much, on a broken disk, and of interest only when it hangs.
    complaints: File,
    opened: Receiver<()>,
    reader: JoinHandle<anyhow::Result<Said>>,
}

impl Worker {
    /// Starts the program `store-worker` at `program`.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, work: &Work) -> anyhow::Result<Self> {
        let complaints = tempfile::tempfile()?;
        let mut child = Command::new(program)
            .arg(serde_json::to_string(work)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone()?)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let output = BufReader::new(child.stdout.take().context("piped")?);
        let (opens, opened) = channel();
        let reader = std::thread::spawn(move || {
            let mut said = Said::default();
            for line in output.lines().map_while(Result::ok) {
                let words: Vec<&str> = line.split(' ').collect();
                match words.as_slice() {
                    ["open", revision] => {
                        said.opened_at = Some(revision.parse()?);
                        // Nobody may be waiting.
                        let _ = opens.send(());
                    }
                    ["ack", revision, name, step] => {
                        said.acknowledged.push((revision.parse()?, (*name).to_owned(), step.parse()?));
                    }
                    ["saw", revision] => said.seen.push(revision.parse()?),
                    _ => anyhow::bail!("the worker said {line:?}"),
                }
            }
            Ok(said)
        });
        Ok(Self { child, complaints, opened, reader })
    }

    /// Kills it at any moment up to `after` from when it had opened the store, and returns what it had said.
    ///
    /// # Errors
    /// When it does not open the store within half a minute.
    pub fn kill_after(mut self, after: std::time::Duration) -> anyhow::Result<Said> {
        self.opened.recv_timeout(std::time::Duration::from_secs(30)).context("the worker does not open the store")?;
        // Waiting for a moment that nobody announces is the point: the kill must come at any instant.
        let _ = self.opened.recv_timeout(after);
        self.child.kill()?;
        self.finish()
    }

    /// Waits for it to end by itself, which takes a failure, and returns what it had said.
    ///
    /// # Errors
    /// When it has not ended within `patience`; it is killed then.
    pub fn wait(mut self, patience: std::time::Duration) -> anyhow::Result<Said> {
        let started = std::time::Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > patience {
                let threads = threads(self.child.id())?;
                self.child.kill()?;
                let complaints = last_complaints(&mut self.complaints)?;
                let said = self.finish()?;
                anyhow::bail!("the worker neither goes on nor ends:\n{said:?}\n{threads}\n{complaints}");
            }
            crate::daemon::wait_a_moment();
        }
        self.finish()
    }

    fn finish(mut self) -> anyhow::Result<Said> {
        self.child.wait()?;
        self.reader.join().map_err(|_| anyhow::anyhow!("reading what the worker said panicked"))?
    }
}

/// Returns the name of each thread of a process, and what it waits for in the kernel.
fn threads(process: u32) -> anyhow::Result<String> {
    let mut threads = String::new();
    for thread in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let dir = thread?.path();
        // A thread may end while we look.
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).unwrap_or_default().trim().to_owned();
        let _ = writeln!(threads, "{}: {}, system call {}", read("comm"), read("wchan"), read("syscall"));
    }
    Ok(threads)
}

/// Returns the end of what a worker wrote to standard error.
fn last_complaints(complaints: &mut File) -> anyhow::Result<String> {
    let length = complaints.seek(SeekFrom::End(0))?;
    complaints.seek(SeekFrom::Start(length.saturating_sub(COMPLAINTS_MAX)))?;
    let mut text = Vec::new();
    complaints.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What a store is known to hold: the step of each widget that is there.
#[derive(Clone, Debug, Default)]
pub struct Known {
    steps: BTreeMap<String, u64>,
    revision: u64,
}

impl Known {
    /// Looks at everything in `store`, which holds what `said` was told and this holds, or more.
    ///
    /// # Errors
    /// With a sentence that says what is lost, half there, or too much.
    pub fn check(&mut self, store: &Store, said: &Said, sizes: Sizes) -> anyhow::Result<()> {
        self.check_revisions(store, said)?;
        self.check_widgets(store, said)?;
        check_watch(store, said)?;
        self.learn(store, sizes)
    }

    fn check_revisions(&self, store: &Store, said: &Said) -> anyhow::Result<()> {
        let opened_at = said.opened_at.unwrap_or(self.revision);
        ensure!(opened_at >= self.revision, "the revision went back to {opened_at} from {}", self.revision);
        let revision = store.state().revision;
        ensure!(revision >= self.revision, "the revision went back to {revision} from {}", self.revision);
        let mut given = BTreeSet::new();
        for (revision, ..) in &said.acknowledged {
            ensure!(*revision > opened_at, "revision {revision} was given out before");
            ensure!(given.insert(revision), "revision {revision} was given out twice");
        }
        Ok(())
    }

    fn check_widgets(&self, store: &Store, said: &Said) -> anyhow::Result<()> {
        // Of each widget the last step that is certain, and the revision of it if this worker wrote it.
        let mut certain: BTreeMap<&str, (Option<u64>, u64)> = BTreeMap::new();
        for (name, step) in &self.steps {
            certain.insert(name, (Some(*step), 0));
        }
        for (revision, name, step) in &said.acknowledged {
            let there = (operation(*step) != Operation::Delete).then_some(*step);
            certain.insert(name, (there, *revision));
        }
        for (name, (step, revision)) in certain {
            let found = store.get(&widgets::widget(store, name).resource, &format!("default/{name}"));
            let found_step = found.as_ref().and_then(|object| object.value()["spec"]["step"].as_u64());
            // At most one write was in flight and may have reached the disk without its acknowledgement.
            let is_right = match (step, found_step) {
                (None, None) => true,
                (None, Some(new_life)) => operation(new_life) == Operation::Create,
                (Some(step), Some(found)) => found == step || found == step + 1,
                (Some(step), None) => operation(step + 1) == Operation::Delete,
            };
            ensure!(is_right, "{name} was acknowledged at step {step:?}, found {found_step:?}");
            let found_revision = found.map_or(u64::MAX, |object| object.revision);
            ensure!(found_revision >= revision, "{name} went back to {found_revision} from {revision}");
        }
        Ok(())
    }

    fn learn(&mut self, store: &Store, sizes: Sizes) -> anyhow::Result<()> {
        let state = store.state();
        self.revision = state.revision;
        self.steps.clear();
        for object in state.objects_from(widgets::WIDGETS, "") {
            let value = object.value();
            let step = value["spec"]["step"].as_u64().context("a widget has a step")?;
            ensure!(value["spec"] == spec(object.name(), step, sizes), "half of {} is there", object.name());
            self.steps.insert(object.name().to_owned(), step);
        }
        Ok(())
    }
}

/// A watch that goes on where the worker's was cut off sees the rest: nothing missing, nothing twice, nothing invented.
fn check_watch(store: &Store, said: &Said) -> anyhow::Result<()> {
    let Some(opened_at) = said.opened_at else { return Ok(()) };
    ensure!(said.seen.is_sorted_by(|left, right| left < right), "the watcher saw disorder");
    let after = said.seen.last().copied().unwrap_or(opened_at);
    let resource = store.registry().get(widgets::WIDGETS).context("widgets are served")?.clone();
    let request =
        WatchRequest { resource, namespace: None, selector: Selector::default(), start: WatchStart::After(after) };
    let mut watch = store.watch(request)?;
    let mut all: BTreeSet<u64> = said.seen.iter().copied().collect();
    loop {
        let items = watch.take()?;
        if items.is_empty() {
            break;
        }
        for item in items {
            let WatchItem::Change(change) = item else { continue };
            ensure!(all.insert(change.object.revision), "{} came twice", change.object.revision);
        }
    }
    for (revision, name, step) in &said.acknowledged {
        ensure!(all.contains(revision), "the watch misses step {step} of {name} at {revision}");
    }
    let expected: BTreeSet<u64> = (opened_at + 1..=store.state().revision).collect();
    let surplus: Vec<_> = all.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&all).collect();
    ensure!(surplus.is_empty() && missing.is_empty(), "the watch misses {missing:?} and invents {surplus:?}");
    Ok(())
}
