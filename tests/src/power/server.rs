//! The model as a FUSE file system. The kernel caches nothing: every call arrives here.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen,
    ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::disk::{Disk, Facts, Operation, PAGE_BYTES};

/// The kernel asks again each time.
const TTL: Duration = Duration::ZERO;
/// Room that is always left, in pages: running out of it is ordered as a fault.
const FREE_PAGES: u64 = 1 << 22;

/// A disk that the file system and its process share.
pub type SharedDisk = Arc<Mutex<Disk>>;

/// A mounted [`Disk`].
pub struct DiskServer {
    disk: SharedDisk,
}

impl DiskServer {
    /// Serves `disk`.
    #[must_use]
    pub fn new(disk: SharedDisk) -> Self {
        Self { disk }
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filesystem for DiskServer {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(self.disk().lookup(parent.0, name), reply);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        attributes(self.disk().facts(number.0), reply);
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        let resized = size.map_or(Ok(()), |size| disk.resize(number.0, size));
        attributes(resized.and_then(|()| disk.facts(number.0)), reply);
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        entry(self.disk().create_directory(parent.0, name), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(self.disk().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let renamed = if flags.is_empty() {
            self.disk().rename(parent.0, name, new_parent.0, new_name)
        } else {
            Err(Errno::EINVAL)
        };
        empty(renamed, reply);
    }

    fn create(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        match self.disk().create_file(parent.0, name) {
            Ok(facts) => {
                let attributes = attributes_of(facts);
                reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.disk().facts(number.0) {
            Ok(_) => reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO),
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(number.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        match self.disk().write(number.0, offset, data) {
            Ok(()) => reply.written(u32::try_from(data.len()).expect("the kernel writes at most a few MiB")),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file promises nothing.
        reply.ok();
    }

    fn fsync(&self, _: &Request, number: INodeNo, _: FileHandle, is_data_only: bool, reply: ReplyEmpty) {
        let operation = if is_data_only { Operation::DataSync } else { Operation::Sync };
        empty(self.disk().sync(number.0, operation), reply);
    }

    fn fsyncdir(&self, _: &Request, number: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        empty(self.disk().sync_directory(number.0), reply);
    }

    fn readdir(&self, _: &Request, number: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let entries = match self.disk().entries(number.0) {
            Ok(entries) => entries,
            Err(errno) => return reply.error(errno),
        };
        for (next, (name, facts)) in (1..).zip(entries).skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(INodeNo(facts.number), next, kind(facts), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let page_bytes = u32::try_from(PAGE_BYTES).expect("a page is small");
        reply.statfs(FREE_PAGES, FREE_PAGES, FREE_PAGES, FREE_PAGES, FREE_PAGES, page_bytes, 255, page_bytes);
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let mut disk = self.disk();
        let size = disk.facts(number.0).map(|facts| facts.size.max(offset + length));
        empty(size.and_then(|size| disk.resize(number.0, size)), reply);
    }
}

fn kind(facts: Facts) -> FileType {
    if facts.is_directory { FileType::Directory } else { FileType::RegularFile }
}

fn attributes_of(facts: Facts) -> FileAttr {
    const BLOCK_BYTES: u64 = 512;
    FileAttr {
        ino: INodeNo(facts.number),
        size: facts.size,
        blocks: facts.pages * (PAGE_BYTES as u64 / BLOCK_BYTES),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: kind(facts),
        perm: if facts.is_directory { 0o755 } else { 0o644 },
        nlink: if facts.is_directory { 2 } else { 1 },
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: u32::try_from(PAGE_BYTES).expect("a page is small"),
        flags: 0,
    }
}

fn entry(found: Result<Facts, Errno>, reply: ReplyEntry) {
    match found {
        Ok(facts) => reply.entry(&TTL, &attributes_of(facts), Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn attributes(found: Result<Facts, Errno>, reply: ReplyAttr) {
    match found {
        Ok(facts) => reply.attr(&TTL, &attributes_of(facts)),
        Err(errno) => reply.error(errno),
    }
}

fn empty(done: Result<(), Errno>, reply: ReplyEmpty) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}
