//! [`Address`]: where an engine listens, and how a byte stream to it is opened.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use crate::error::Error;

/// Most bytes that are kept of what `ssh` complains about.
const COMPLAINT_BYTES_MAX: u64 = 2048;

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A machine that is reached by `ssh`, where `docker system dial-stdio` passes bytes on to the engine.
    Ssh {
        /// `host` or `user@host`.
        destination: String,
        /// Its port; what `ssh` is configured to when `None`.
        port: Option<u16>,
        /// The program that is called `ssh`.
        program: PathBuf,
    },
}

impl Address {
    /// Reads `unix:///path` or `ssh://[user@]host[:port]`.
    ///
    /// # Errors
    /// `Terminal` with `EngineAddressInvalid`.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let invalid = || {
            let message = format!("\"{text}\" is no address of an engine: write unix:///path or ssh://user@host");
            Error::terminal("EngineAddressInvalid", message)
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(invalid()) };
        }
        let rest = text.strip_prefix("ssh://").ok_or_else(invalid)?;
        let (destination, port) = match rest.rsplit_once(':') {
            Some((destination, port)) => (destination, Some(port.parse().map_err(|_| invalid())?)),
            None => (rest, None),
        };
        let fits = |character: char| character.is_ascii_alphanumeric() || "._-@".contains(character);
        let starts_well = destination.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !starts_well || !destination.chars().all(fits) || destination.matches('@').count() > 1 {
            return Err(invalid());
        }
        Ok(Self::Ssh { destination: destination.to_owned(), port, program: "ssh".into() })
    }

    /// Opens a byte stream to the engine.
    pub(super) async fn open(&self) -> std::io::Result<Wire> {
        match self {
            Self::Unix(path) => Ok(Wire::Unix(UnixStream::connect(path).await?)),
            Self::Ssh { destination, port, program } => {
                Ok(Wire::Ssh(Box::new(Ssh::start(program, destination, *port)?)))
            }
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Ssh { destination, port: None, .. } => write!(formatter, "ssh://{destination}"),
            Self::Ssh { destination, port: Some(port), .. } => write!(formatter, "ssh://{destination}:{port}"),
        }
    }
}

/// A byte stream to an engine.
pub(super) enum Wire {
    /// Through a Unix socket.
    Unix(UnixStream),
    /// Through a child process.
    Ssh(Box<Ssh>),
}

impl Wire {
    /// Returns what the other side complains about, as far as it has said anything.
    pub(super) fn complaints(&self) -> Complaints {
        match self {
            Self::Unix(_) => Complaints::default(),
            Self::Ssh(ssh) => ssh.complaints.clone(),
        }
    }
}

/// What `ssh` wrote to its standard error so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaints(Arc<Mutex<String>>);

impl Complaints {
    /// Returns the text in brackets, with a space before it; empty when there is none.
    pub(super) fn bracketed(&self) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if text.trim().is_empty() { String::new() } else { format!(" ({})", text.trim()) }
    }
}

/// A running `ssh`; it is killed when this is dropped.
pub(super) struct Ssh {
    input: ChildStdin,
    output: ChildStdout,
    complaints: Complaints,
    _child: Child,
}

impl Ssh {
    fn start(program: &Path, destination: &str, port: Option<u16>) -> std::io::Result<Self> {
        let mut command = Command::new(program);
        // Nobody sits there to answer questions, and a machine that went away is noticed within a minute.
        command.args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=20"]);
        if let Some(port) = port {
            command.args(["-p", &port.to_string()]);
        }
        command.args(["--", destination, "docker", "system", "dial-stdio"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let closed = || std::io::Error::other("ssh has no standard streams");
        let input = child.stdin.take().ok_or_else(closed)?;
        let output = child.stdout.take().ok_or_else(closed)?;
        let stderr = child.stderr.take().ok_or_else(closed)?;
        let complaints = Complaints::default();
        tokio::spawn(listen(stderr, complaints.clone()));
        Ok(Self { input, output, complaints, _child: child })
    }
}

/// Keeps the first bytes of what `ssh` writes and reads the rest away, so that it never waits for us.
async fn listen(stderr: ChildStderr, complaints: Complaints) {
    let mut bytes = Vec::new();
    let mut bounded = stderr.take(COMPLAINT_BYTES_MAX);
    let mut piece = [0; 256];
    while let Ok(read @ 1..) = bounded.read(&mut piece).await {
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        *complaints.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
    let mut rest = bounded.into_inner();
    while let Ok(1..) = rest.read(&mut piece).await {}
}

use std::pin::Pin;
use std::task::{Context, Poll};

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Ssh(ssh) => Pin::new(&mut ssh.output).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_write(context, bytes),
            Self::Ssh(ssh) => Pin::new(&mut ssh.input).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_flush(context),
            Self::Ssh(ssh) => Pin::new(&mut ssh.input).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Ssh(ssh) => Pin::new(&mut ssh.input).poll_shutdown(context),
        }
    }
}
