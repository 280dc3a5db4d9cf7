//! A terminal of our own, for programs that do not work without one.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Stdio;

use rustix::fs::OFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;
use tokio::net::unix::pipe::Receiver;

/// The two ends of a terminal.
pub(super) struct Terminal {
    ours: OwnedFd,
    theirs: OwnedFd,
}

/// Opens a terminal that is wide enough for tables.
pub(super) fn open() -> io::Result<Terminal> {
    let ours = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    rustix::pty::grantpt(&ours)?;
    rustix::pty::unlockpt(&ours)?;
    let name = rustix::pty::ptsname(&ours, Vec::new())?;
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let mut options = OpenOptions::new();
    // Not our controlling terminal: a signal from its keyboard would be ours.
    let no_controlling = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    std::os::unix::fs::OpenOptionsExt::custom_flags(options.read(true).write(true), no_controlling);
    let theirs = OwnedFd::from(options.open(path)?);
    rustix::termios::tcsetwinsize(&ours, Winsize { ws_row: 80, ws_col: 400, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok(Terminal { ours, theirs })
}

impl Terminal {
    /// Returns the program's three streams.
    pub(super) fn streams(&self) -> io::Result<(Stdio, Stdio, Stdio)> {
        let stream = || Ok::<_, io::Error>(Stdio::from(self.theirs.try_clone()?));
        Ok((stream()?, stream()?, stream()?))
    }

    /// Lets go of the program's end, and returns what reads from ours: until nobody holds the other end any more.
    pub(super) fn into_reader(self) -> io::Result<Receiver> {
        drop(self.theirs);
        let flags = rustix::fs::fcntl_getfl(&self.ours)?;
        rustix::fs::fcntl_setfl(&self.ours, flags | OFlags::NONBLOCK)?;
        Receiver::from_owned_fd_unchecked(self.ours)
    }
}
