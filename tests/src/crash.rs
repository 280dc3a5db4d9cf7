//! A process that writes until something stops it, what it said until then, and whether a store holds what it must.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use store::guards::{Guard, Guards};
use store::selector::Selector;
use store::store::Store;
use store::watch::{WatchItem, WatchRequest, WatchStart};

use crate::history::{Operation, Sizes, operation, spec};
use crate::widgets;

/// How much of what a worker complained of is shown, in bytes.
const COMPLAINTS_MAX: u64 = 16 << 10;
/// The signal of kill -9.
const SIGKILL: i32 = 9;

/// What a worker does; its one argument, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Work {
    /// The store's directory.
    pub dir: PathBuf,
    /// How many write at once, each on a widget of its own.
    pub writers: usize,
    /// How many watch everything, and break off and resume now and then.
    pub watchers: usize,
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
    /// Revisions of the changes that each of its watchers saw, by the watcher's number.
    pub seen: BTreeMap<usize, Vec<u64>>,
    /// Whether it was writing the files anew when it was stopped.
    pub is_rewriting: bool,
    /// What its own store told it that contradicts an acknowledgement.
    pub denials: Vec<String>,
}

impl Said {
    /// Looks whether the worker's own store stood by what it had acknowledged, while it ran.
    ///
    /// # Errors
    /// With what it said instead.
    pub fn check_denials(&self) -> anyhow::Result<()> {
        must(self.denials.is_empty(), Broken::Lost, || self.denials.join("; "))
    }
}

/// How a store fails to hold what it must: the context of an error that says the rest. Errors without one say that a test
/// could not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It does not open.
    Closed,
    /// It lacks what was acknowledged, or has only a part of it.
    Lost,
    /// It has what nobody wrote, or gives a revision out twice.
    Invented,
    /// A watch that goes on after a restart does not see a change, or sees one twice.
    Missed,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Closed => "the store does not open",
            Self::Lost => "something is lost",
            Self::Invented => "something is invented",
            Self::Missed => "a watch is not exact",
        })
    }
}

/// Returns an error of the kind `broken` that says `why`, unless all is well.
///
/// # Errors
/// That one.
pub fn must(is_well: bool, broken: Broken, why: impl FnOnce() -> String) -> anyhow::Result<()> {
    if is_well { Ok(()) } else { Err(anyhow::Error::msg(why()).context(broken)) }
}

/// A running worker.
pub struct Worker {
    child: Child,
    /// What it complained of: much, on a broken disk, and of interest only when it hangs.
    complaints: File,
    started: Instant,
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
        let started = Instant::now();
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
                    ["saw", watcher, revision] => {
                        said.seen.entry(watcher.parse()?).or_default().push(revision.parse()?);
                    }
                    ["denies", ..] => said.denials.push(line.clone()),
                    ["rewrites"] => said.is_rewriting = true,
                    ["rewrote"] => said.is_rewriting = false,
                    _ => anyhow::bail!("the worker said {line:?}"),
                }
            }
            Ok(said)
        });
        Ok(Self { child, complaints, started, opened, reader })
    }

    /// Waits until it has the store open, and returns how long that took since its start.
    ///
    /// # Errors
    /// When it has not within half a minute, or ended before.
    pub fn wait_until_open(&self) -> anyhow::Result<Duration> {
        self.opened.recv_timeout(Duration::from_secs(30)).context("the worker does not open the store")?;
        Ok(self.started.elapsed())
    }

    /// Kills it when `after` has passed from now on, and returns what it had said.
    ///
    /// # Errors
    /// When it was not the kill that it died of: a worker on a sound disk ends by nothing else.
    pub fn kill_after(mut self, after: Duration) -> anyhow::Result<Said> {
        let moment = Instant::now() + after;
        // Waiting for a moment that nobody announces is the point: the kill must come at any instant.
        while !matches!(
            self.opened.recv_timeout(moment.saturating_duration_since(Instant::now())),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)
        ) {}
        self.child.kill()?;
        let mut complaints = self.complaints.try_clone()?;
        let (said, status) = self.finish()?;
        said.check_denials()?;
        if status.signal() != Some(SIGKILL) {
            anyhow::bail!("the worker ended by itself with {status}:\n{}", last_complaints(&mut complaints)?);
        }
        Ok(said)
    }

    /// Waits for it to end by itself, which takes a failure, and returns what it had said.
    ///
    /// # Errors
    /// When it has not ended within `patience`; it is killed then.
    pub fn wait(mut self, patience: Duration) -> anyhow::Result<Said> {
        let started = Instant::now();
        while self.child.try_wait()?.is_none() {
            if started.elapsed() > patience {
                let threads = threads(self.child.id())?;
                self.child.kill()?;
                let complaints = last_complaints(&mut self.complaints)?;
                let (said, _) = self.finish()?;
                anyhow::bail!("the worker neither goes on nor ends:\n{said:?}\n{threads}\n{complaints}");
            }
            crate::daemon::wait_a_moment();
        }
        Ok(self.finish()?.0)
    }

    fn finish(mut self) -> anyhow::Result<(Said, ExitStatus)> {
        let status = self.child.wait()?;
        let said = self.reader.join().map_err(|_| anyhow::anyhow!("reading what the worker said panicked"))?;
        Ok((said?, status))
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
    /// With a sentence that says what is lost, half there, or too much, in the context of what sort of thing that is.
    pub fn check(&mut self, store: &Store, said: &Said, sizes: Sizes) -> anyhow::Result<()> {
        said.check_denials()?;
        self.check_revisions(store, said)?;
        self.check_widgets(store, said)?;
        if let Some(opened_at) = said.opened_at {
            // A watcher that had no time to see anything is one as well.
            for seen in said.seen.values().chain([&Vec::new()]) {
                check_watch(store, said, opened_at, seen)?;
            }
        }
        self.learn(store, sizes)
    }

    fn check_revisions(&self, store: &Store, said: &Said) -> anyhow::Result<()> {
        let opened_at = said.opened_at.unwrap_or(self.revision);
        let back = |now| format!("the revision went back to {now} from {}", self.revision);
        must(opened_at >= self.revision, Broken::Lost, || back(opened_at))?;
        let revision = store.state().revision;
        must(revision >= self.revision, Broken::Lost, || back(revision))?;
        let mut given = BTreeSet::new();
        for (revision, ..) in &said.acknowledged {
            must(*revision > opened_at, Broken::Invented, || format!("revision {revision} was given out before"))?;
            must(given.insert(revision), Broken::Invented, || format!("revision {revision} was given out twice"))?;
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
            must(is_right, Broken::Lost, || format!("{name} was acknowledged at step {step:?}, found {found_step:?}"))?;
            let found_revision = found.map_or(u64::MAX, |object| object.revision);
            must(found_revision >= revision, Broken::Lost, || {
                format!("{name} went back to {found_revision} from {revision}")
            })?;
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
            let is_whole = value["spec"] == spec(object.name(), step, sizes);
            must(is_whole, Broken::Lost, || format!("half of {} is there", object.name()))?;
            self.steps.insert(object.name().to_owned(), step);
        }
        Ok(())
    }
}

/// A watch that goes on where one of the worker's was cut off sees the rest: nothing missing, nothing twice, nothing
/// invented.
fn check_watch(store: &Store, said: &Said, opened_at: u64, seen: &[u64]) -> anyhow::Result<()> {
    let is_sorted = seen.is_sorted_by(|left, right| left < right);
    must(is_sorted, Broken::Missed, || format!("a watcher saw disorder: {seen:?}"))?;
    let after = seen.last().copied().unwrap_or(opened_at);
    let resource = store.registry().get(widgets::WIDGETS).context("widgets are served")?.clone();
    let request =
        WatchRequest { resource, namespace: None, selector: Selector::default(), start: WatchStart::After(after) };
    let mut watch = store.watch(request)?;
    let mut all: BTreeSet<u64> = seen.iter().copied().collect();
    loop {
        let items = watch.take()?;
        if items.is_empty() {
            break;
        }
        for item in items {
            let WatchItem::Change(change) = item else { continue };
            let revision = change.object.revision;
            must(all.insert(revision), Broken::Missed, || format!("{revision} came twice"))?;
        }
    }
    for (revision, name, step) in &said.acknowledged {
        must(all.contains(revision), Broken::Missed, || {
            format!("the watch misses step {step} of {name} at {revision}")
        })?;
    }
    let expected: BTreeSet<u64> = (opened_at + 1..=store.state().revision).collect();
    let surplus: Vec<_> = all.difference(&expected).collect();
    let missing: Vec<_> = expected.difference(&all).collect();
    let is_exact = surplus.is_empty() && missing.is_empty();
    must(is_exact, Broken::Missed, || format!("the watch misses {missing:?} and invents {surplus:?}"))
}
