//! Telling systemd that we are ready or stopping (`Type=notify`).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What systemd is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The start is over.
    Ready,
    /// The end has begun.
    Stopping,
}

/// Sends a notice to the socket that the variable `NOTIFY_SOCKET` names; a leading `@` is an abstract name.
///
/// # Errors
/// When the socket is not there or refuses.
pub fn notify(socket: &OsStr, notice: Notice) -> io::Result<()> {
    let text: &[u8] = match notice {
        Notice::Ready => b"READY=1\nSTATUS=serving\n",
        Notice::Stopping => b"STOPPING=1\nSTATUS=finishing requests\n",
    };
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text, &address).map(drop)
}
