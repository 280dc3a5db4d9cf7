//! The model of a disk with a cache: what programs see, what a power cut leaves, and faults to order.
//!
//! Everything is kept twice. `now` is what programs read; `durable` is what the last sync put on disk. A cut decides for
//! each difference between the two whether it made it, as [`Cut`] says, and everything goes on from there.
//!
//! The model is stricter than most file systems: a name is durable only when its directory was synced, and syncing a
//! file says nothing about its name.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use fuser::Errno;
use serde::{Deserialize, Serialize};

use crate::seed::Random;

/// Bytes of a page, the unit in which a cache writes.
pub const PAGE_BYTES: usize = 4096;
/// Bytes of a sector, the unit that a disk writes whole.
pub const SECTOR_BYTES: usize = 512;
/// The number of the root directory, as FUSE has it.
pub const ROOT: u64 = 1;

type Page = Arc<[u8; PAGE_BYTES]>;

/// What a power cut leaves of that which was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cut {
    /// Nothing.
    Drop,
    /// Any of it: each page, each size and each change of a name survives with even odds.
    Random,
    /// As `Random`, but by sectors, so that pages are torn; changes of names survive up to some moment.
    Torn,
}

/// Sorts of calls that can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Operation {
    /// Writing bytes.
    Write,
    /// `fsync` of a file.
    Sync,
    /// `fdatasync` of a file.
    DataSync,
    /// `fsync` of a directory.
    DirectorySync,
    /// Making, removing or renaming a file or directory, or changing a size.
    Metadata,
}

impl Operation {
    /// Every sort.
    pub const ALL: [Self; 5] = [Self::Write, Self::Sync, Self::DataSync, Self::DirectorySync, Self::Metadata];
}

/// Calls that fail.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which sort of call.
    pub operation: Operation,
    /// How many calls of that sort go well before.
    pub skip: u64,
    /// How many calls fail; after that all is well again.
    pub count: u64,
    /// What they answer.
    pub errno: Errno,
}

/// A power cut to come.
#[derive(Clone, Copy, Debug)]
struct Planned {
    cut: Cut,
    seed: u64,
    /// Calls of any sort that change something, before the one that finds no power.
    after: u64,
}

/// Bytes of a file; a page that is missing is all zeros.
#[derive(Clone, Debug, Default)]
struct Content {
    size: u64,
    pages: BTreeMap<u64, Page>,
}

#[derive(Clone, Debug, Default)]
struct File {
    now: Content,
    durable: Content,
    /// Pages that may differ.
    dirty: BTreeSet<u64>,
}

/// One change of a directory.
#[derive(Clone, Debug)]
enum Change {
    Link(OsString, u64),
    Unlink(OsString),
    Rename(OsString, OsString, u64),
}

#[derive(Clone, Debug, Default)]
struct Directory {
    now: BTreeMap<OsString, u64>,
    durable: BTreeMap<OsString, u64>,
    /// What happened since `durable`.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Node {
    File(File),
    Directory(Directory),
}

/// What there is to know about a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its number.
    pub number: u64,
    /// Whether it is a directory.
    pub is_directory: bool,
    /// Bytes.
    pub size: u64,
    /// Pages that take room.
    pub pages: u64,
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: BTreeMap<u64, Node>,
    next_number: u64,
    /// One in so many written pages goes to disk at once, as a cache that is short of room does; 0 for none.
    write_back: u64,
    random: Random,
    faults: Vec<Fault>,
    planned: Option<Planned>,
    has_power: bool,
    counts: BTreeMap<Operation, u64>,
}

impl Default for Disk {
    fn default() -> Self {
        let nodes = BTreeMap::from([(ROOT, Node::Directory(Directory::default()))]);
        Self {
            nodes,
            next_number: ROOT + 1,
            write_back: 0,
            random: Random::new(0),
            faults: Vec::new(),
            planned: None,
            has_power: true,
            counts: BTreeMap::new(),
        }
    }
}

impl Disk {
    /// Lets one in `write_back` written pages reach the disk unasked; 0 for none.
    pub fn set_write_back(&mut self, write_back: u64, seed: u64) {
        self.write_back = write_back;
        self.random = Random::new(seed);
    }

    /// Orders a fault.
    pub fn fail(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.faults.clear();
    }

    /// Cuts the power when `after` more calls have changed something.
    pub fn plan_cut(&mut self, cut: Cut, after: u64, seed: u64) {
        self.planned = Some(Planned { cut, seed, after });
    }

    /// Cuts the power now. Every call fails until [`Disk::power_on`].
    pub fn cut(&mut self, cut: Cut, seed: u64) {
        if !self.has_power {
            return;
        }
        self.has_power = false;
        self.planned = None;
        self.faults.clear();
        let mut random = Random::new(seed);
        for node in self.nodes.values_mut() {
            match node {
                Node::File(file) => file.cut(cut, &mut random),
                Node::Directory(directory) => directory.cut(cut, &mut random),
            }
        }
        self.forget_unreachable();
    }

    /// Turns the power on again.
    pub fn power_on(&mut self) {
        self.has_power = true;
    }

    /// Whether there is power.
    #[must_use]
    pub fn has_power(&self) -> bool {
        self.has_power
    }

    /// Returns how many calls of a sort were made.
    #[must_use]
    pub fn count(&self, operation: Operation) -> u64 {
        self.counts.get(&operation).copied().unwrap_or_default()
    }

    /// Returns the entry `name` of a directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`; `EIO` without power.
    pub fn lookup(&self, parent: u64, name: &OsStr) -> Result<Facts, Errno> {
        let number = *self.directory(parent)?.now.get(name).ok_or(Errno::ENOENT)?;
        self.facts(number)
    }

    /// Returns what there is to know about a number.
    ///
    /// # Errors
    /// `ENOENT`; `EIO` without power.
    pub fn facts(&self, number: u64) -> Result<Facts, Errno> {
        let node = self.node(number)?;
        Ok(match node {
            Node::File(file) => {
                let (size, pages) = (file.now.size, file.now.pages.len() as u64);
                Facts { number, is_directory: false, size, pages }
            }
            Node::Directory(_) => Facts { number, is_directory: true, size: 0, pages: 0 },
        })
    }

    /// Returns names and facts of what is in a directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`; `EIO` without power.
    pub fn entries(&self, number: u64) -> Result<Vec<(OsString, Facts)>, Errno> {
        let entries = self.directory(number)?.now.iter();
        entries.map(|(name, number)| Ok((name.clone(), self.facts(*number)?))).collect()
    }

    /// Makes a file.
    ///
    /// # Errors
    /// `EEXIST`, `ENOTDIR`, and what was ordered.
    pub fn create_file(&mut self, parent: u64, name: &OsStr) -> Result<Facts, Errno> {
        self.create(parent, name, Node::File(File::default()))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// `EEXIST`, `ENOTDIR`, and what was ordered.
    pub fn create_directory(&mut self, parent: u64, name: &OsStr) -> Result<Facts, Errno> {
        self.create(parent, name, Node::Directory(Directory::default()))
    }

    /// Removes a file's name, or an empty directory.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, and what was ordered.
    pub fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        let number = self.lookup(parent, name)?.number;
        if let Node::Directory(directory) = self.node(number)?
            && !directory.now.is_empty()
        {
            return Err(Errno::ENOTEMPTY);
        }
        self.begin(Operation::Metadata)?;
        self.directory_mut(parent)?.change(Change::Unlink(name.to_owned()));
        Ok(())
    }

    /// Renames within a directory, replacing what had the new name.
    ///
    /// # Errors
    /// `EXDEV` for two directories, `ENOENT`, and what was ordered.
    pub fn rename(&mut self, parent: u64, from: &OsStr, new_parent: u64, to: &OsStr) -> Result<(), Errno> {
        if parent != new_parent {
            return Err(Errno::EXDEV);
        }
        let number = self.lookup(parent, from)?.number;
        self.begin(Operation::Metadata)?;
        self.directory_mut(parent)?.change(Change::Rename(from.to_owned(), to.to_owned(), number));
        Ok(())
    }

    /// Changes the size of a file.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, and what was ordered.
    pub fn resize(&mut self, number: u64, size: u64) -> Result<(), Errno> {
        self.begin(Operation::Metadata)?;
        self.file_mut(number)?.resize(size);
        Ok(())
    }

    /// Reads up to `length` bytes at `offset`.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`; `EIO` without power.
    pub fn read(&self, number: u64, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
        match self.node(number)? {
            Node::File(file) => Ok(file.now.read(offset, length)),
            Node::Directory(_) => Err(Errno::EISDIR),
        }
    }

    /// Writes `bytes` at `offset`; they are not on disk before a sync.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, and what was ordered.
    pub fn write(&mut self, number: u64, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        self.begin(Operation::Write)?;
        let (write_back, mut random) = (self.write_back, self.random.clone());
        let file = self.file_mut(number)?;
        for page in file.write(offset, bytes) {
            if write_back > 0 && random.below(write_back) == 0 {
                file.persist(page);
            }
        }
        self.random = random;
        Ok(())
    }

    /// Puts a file's bytes and size on disk. A sync that fails forgets what it should have written, as kernels do: the
    /// next one succeeds and has nothing to write.
    ///
    /// # Errors
    /// `ENOENT`, `EISDIR`, and what was ordered.
    pub fn sync(&mut self, number: u64, operation: Operation) -> Result<(), Errno> {
        let begun = self.begin(operation);
        if !self.has_power {
            return begun;
        }
        let file = self.file_mut(number)?;
        let dirty = std::mem::take(&mut file.dirty);
        if begun.is_ok() {
            for page in dirty {
                copy_page(&file.now, &mut file.durable, page);
            }
            file.durable.size = file.now.size;
            file.durable.clip();
        }
        begun
    }

    /// Puts the names in a directory on disk.
    ///
    /// # Errors
    /// `ENOENT`, `ENOTDIR`, and what was ordered.
    pub fn sync_directory(&mut self, number: u64) -> Result<(), Errno> {
        self.begin(Operation::DirectorySync)?;
        let directory = self.directory_mut(number)?;
        directory.durable = directory.now.clone();
        directory.changes.clear();
        Ok(())
    }

    fn create(&mut self, parent: u64, name: &OsStr, node: Node) -> Result<Facts, Errno> {
        if self.directory(parent)?.now.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        self.begin(Operation::Metadata)?;
        let number = self.next_number;
        self.next_number += 1;
        self.nodes.insert(number, node);
        self.directory_mut(parent)?.change(Change::Link(name.to_owned(), number));
        self.facts(number)
    }

    /// Counts a call, and fails where that was ordered or the power is gone.
    fn begin(&mut self, operation: Operation) -> Result<(), Errno> {
        if !self.has_power {
            return Err(Errno::EIO);
        }
        *self.counts.entry(operation).or_default() += 1;
        if let Some(planned) = &mut self.planned {
            if planned.after == 0 {
                let Planned { cut, seed, .. } = *planned;
                self.cut(cut, seed);
                return Err(Errno::EIO);
            }
            planned.after -= 1;
        }
        let Some(at) = self.faults.iter().position(|fault| fault.operation == operation) else { return Ok(()) };
        let fault = &mut self.faults[at];
        if fault.skip > 0 {
            fault.skip -= 1;
            return Ok(());
        }
        let errno = fault.errno;
        fault.count -= 1;
        if fault.count == 0 {
            self.faults.remove(at);
        }
        Err(errno)
    }

    fn node(&self, number: u64) -> Result<&Node, Errno> {
        if !self.has_power {
            return Err(Errno::EIO);
        }
        self.nodes.get(&number).ok_or(Errno::ENOENT)
    }

    fn directory(&self, number: u64) -> Result<&Directory, Errno> {
        match self.node(number)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(Errno::ENOTDIR),
        }
    }

    fn directory_mut(&mut self, number: u64) -> Result<&mut Directory, Errno> {
        match self.nodes.get_mut(&number) {
            Some(Node::Directory(directory)) => Ok(directory),
            Some(Node::File(_)) => Err(Errno::ENOTDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn file_mut(&mut self, number: u64) -> Result<&mut File, Errno> {
        match self.nodes.get_mut(&number) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory(_)) => Err(Errno::EISDIR),
            None => Err(Errno::ENOENT),
        }
    }

    fn forget_unreachable(&mut self) {
        let mut reachable = BTreeSet::from([ROOT]);
        let mut to_visit = vec![ROOT];
        while let Some(number) = to_visit.pop() {
            let Some(Node::Directory(directory)) = self.nodes.get(&number) else { continue };
            to_visit.extend(directory.now.values().filter(|number| reachable.insert(**number)));
        }
        self.nodes.retain(|number, _| reachable.contains(number));
    }
}

impl Content {
    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let end = self.size.min(offset.saturating_add(length as u64));
        let mut bytes = Vec::with_capacity(length);
        let mut at = offset;
        while at < end {
            let (page, start) = place(at);
            let stop = PAGE_BYTES.min(start + index(end - at));
            match self.pages.get(&page) {
                Some(found) => bytes.extend_from_slice(&found[start..stop]),
                None => bytes.resize(bytes.len() + stop - start, 0),
            }
            at += (stop - start) as u64;
        }
        bytes
    }

    /// Drops what lies behind the size, so that growing again shows zeros.
    fn clip(&mut self) {
        let (page, start) = place(self.size);
        self.pages.split_off(&(page + u64::from(start > 0)));
        if start > 0
            && let Some(last) = self.pages.get_mut(&page)
        {
            Arc::make_mut(last)[start..].fill(0);
        }
    }
}

impl File {
    /// Returns the pages that were written.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Vec<u64> {
        let mut written = Vec::new();
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (page, start) = place(at);
            let (part, after) = rest.split_at(rest.len().min(PAGE_BYTES - start));
            let target = self.now.pages.entry(page).or_insert_with(|| Arc::new([0; PAGE_BYTES]));
            Arc::make_mut(target)[start..start + part.len()].copy_from_slice(part);
            written.push(page);
            (at, rest) = (at + part.len() as u64, after);
        }
        self.dirty.extend(&written);
        self.now.size = self.now.size.max(at);
        written
    }

    fn resize(&mut self, size: u64) {
        let gone = self.now.pages.range(place(size).0..).map(|(page, _)| *page);
        self.dirty.extend(gone);
        self.now.size = size;
        self.now.clip();
    }

    /// Puts one page on disk, where the file is long enough for it there.
    fn persist(&mut self, page: u64) {
        copy_page(&self.now, &mut self.durable, page);
        self.durable.clip();
    }

    fn cut(&mut self, cut: Cut, random: &mut Random) {
        if cut != Cut::Drop {
            if random.below(2) == 0 {
                self.durable.size = self.now.size;
            }
            for page in &self.dirty {
                match cut {
                    Cut::Torn => tear_page(&self.now, &mut self.durable, *page, random),
                    _ if random.below(2) == 0 => copy_page(&self.now, &mut self.durable, *page),
                    _ => {}
                }
            }
            self.durable.clip();
        }
        self.now = self.durable.clone();
        self.dirty.clear();
    }
}

impl Directory {
    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.changes.push(change);
    }

    fn cut(&mut self, cut: Cut, random: &mut Random) {
        let kept = match cut {
            Cut::Drop => 0,
            Cut::Random => self.changes.len(),
            Cut::Torn => index(random.below(self.changes.len() as u64 + 1)),
        };
        for change in &self.changes[..kept] {
            if cut == Cut::Torn || random.below(2) == 0 {
                apply(&mut self.durable, change);
            }
        }
        self.changes.clear();
        self.now = self.durable.clone();
    }
}

fn apply(names: &mut BTreeMap<OsString, u64>, change: &Change) {
    match change {
        Change::Link(name, number) => {
            names.insert(name.clone(), *number);
        }
        Change::Unlink(name) => {
            names.remove(name);
        }
        Change::Rename(from, to, number) => {
            names.remove(from);
            names.insert(to.clone(), *number);
        }
    }
}

fn copy_page(from: &Content, to: &mut Content, page: u64) {
    match from.pages.get(&page) {
        Some(found) => to.pages.insert(page, found.clone()),
        None => to.pages.remove(&page),
    };
}

fn tear_page(from: &Content, to: &mut Content, page: u64, random: &mut Random) {
    let zeros: Page = Arc::new([0; PAGE_BYTES]);
    let new = from.pages.get(&page).unwrap_or(&zeros).clone();
    let torn = Arc::make_mut(to.pages.entry(page).or_insert(zeros));
    for start in (0..PAGE_BYTES).step_by(SECTOR_BYTES) {
        if random.below(2) == 0 {
            torn[start..start + SECTOR_BYTES].copy_from_slice(&new[start..start + SECTOR_BYTES]);
        }
    }
}

fn place(offset: u64) -> (u64, usize) {
    let page_bytes = PAGE_BYTES as u64;
    (offset / page_bytes, index(offset % page_bytes))
}

fn index(number: u64) -> usize {
    usize::try_from(number).expect("this machine has 64 bits")
}
