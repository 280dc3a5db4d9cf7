//! Pictures of pages, where there is a Chromium to take them.
//!
//! A picture is for people and decides nothing: whoever asks for one goes on without it. Chromium runs in its own
//! sandbox and never without: where ccd is root, as `nobody`. It has a folder of its own that goes with it, no network
//! (a site is reached at one address alone), a time limit and a limit for the picture.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::program::{Bounds, Overflow, Program};

/// The user that Chromium runs as where ccd is root: `nobody` on every Linux.
const NOBODY: u32 = 65534;
/// Most bytes of a picture.
pub const PICTURE_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of the document of a site; there is no picture of a larger one.
const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// How long one picture may take.
const TIME_MAX: Duration = Duration::from_secs(20);
/// How the folders of pictures begin.
const FOLDER_PREFIX: &str = "ccd-picture-";
/// A folder that nobody has written to for so long belongs to nobody: much longer than a picture may take.
const LEFT_BEHIND_AFTER: Duration = Duration::from_mins(10);
/// How long somebody waits for their turn.
const TURN_MAX: Duration = Duration::from_secs(20);
/// Milliseconds of its own time that a site has to show itself.
const SITE_MILLISECONDS: u32 = 5_000;

/// What a picture is taken of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A page of our own, which holds everything that is on it.
    Page(String),
    /// A site: its URL, its host, and the address at which that host is reached. No other is.
    Site {
        /// The whole URL.
        url: String,
        /// Its host.
        host: String,
        /// Where the host answers.
        address: SocketAddr,
    },
}

/// A picture, and what was on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The PNG.
    pub png: Vec<u8>,
    /// The document that a site had become when the picture was taken, scripts included, as HTML; empty for a page of our
    /// own. For whoever must know whether something stands there that nobody may see.
    pub document: Vec<u8>,
}

/// Takes pictures.
#[async_trait]
pub trait Camera: Send + Sync {
    /// Returns a picture of this many pixels.
    ///
    /// # Errors
    /// `Retryable` when it took too long or many wait, `Terminal` when Chromium takes no picture.
    async fn picture(&self, subject: &Subject, width: u32, height: u32) -> Result<Picture, Error>;
}

/// A Chromium on this machine.
pub struct ChromiumCamera {
    program: PathBuf,
    /// Runs it as somebody else; `None` where we are nobody in particular already.
    as_nobody: Option<PathBuf>,
    folder: PathBuf,
    turn: Semaphore,
}

impl ChromiumCamera {
    /// Returns a camera that runs `program`, in folders below `folder`, which everybody must be able to reach. Where ccd
    /// is root, `as_nobody` is the program `setpriv`.
    #[must_use]
    pub fn new(program: PathBuf, as_nobody: Option<PathBuf>, folder: PathBuf) -> Self {
        Self { program, as_nobody, folder, turn: Semaphore::new(1) }
    }

    fn program(&self, subject: &Subject, (width, height): (u32, u32), folder: &Path) -> Program {
        let mut argv: Vec<OsString> = Vec::new();
        if let Some(setpriv) = &self.as_nobody {
            argv.push(setpriv.into());
            let user = [format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")];
            argv.extend(user.into_iter().map(OsString::from));
            // Nobody watches the time of a Chromium whose ccd was killed: it goes with it.
            argv.extend(["--clear-groups", "--no-new-privs", "--pdeathsig=KILL"].map(OsString::from));
        }
        argv.push((&self.program).into());
        let fixed = [
            "--headless=new",
            "--hide-scrollbars",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-extensions",
            "--disable-background-networking",
            "--disable-sync",
            "--no-first-run",
            "--no-pings",
            "--mute-audio",
            "--deny-permission-prompts",
        ];
        argv.extend(fixed.map(OsString::from));
        argv.push(format!("--window-size={width},{height}").into());
        argv.push(format!("--user-data-dir={}", folder.join("profile").display()).into());
        argv.push(format!("--screenshot={}", folder.join("picture.png").display()).into());
        match subject {
            Subject::Page(_) => {
                argv.push("--host-resolver-rules=MAP * ~NOTFOUND".into());
                argv.push(format!("file://{}", folder.join("page.html").display()).into());
            }
            Subject::Site { url, host, address } => {
                // What the certificate says was checked by those who judge; here somebody only looks.
                argv.push("--ignore-certificate-errors".into());
                argv.push(format!("--host-resolver-rules=MAP {host}:443 {address}, MAP * ~NOTFOUND").into());
                argv.push(format!("--virtual-time-budget={SITE_MILLISECONDS}").into());
                argv.push("--dump-dom".into());
                argv.push(url.into());
            }
        }
        let mut program = Program::new(argv, folder.to_owned());
        program.env.insert("HOME".to_owned(), folder.display().to_string());
        program.env.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
        program.bounds = Bounds {
            time: TIME_MAX,
            stdout_bytes: DOCUMENT_BYTES_MAX,
            overflow: Overflow::Kill,
            file_bytes: Some(64 << 20),
            ..Bounds::default()
        };
        program
    }
}

#[async_trait]
impl Camera for ChromiumCamera {
    async fn picture(&self, subject: &Subject, width: u32, height: u32) -> Result<Picture, Error> {
        let many = || Error::retryable("TimedOut", "many pictures are taken at this moment");
        let turn = tokio::time::timeout(TURN_MAX, self.turn.acquire()).await.map_err(|_| many())?;
        let _turn = turn.expect("the turns are never closed");
        if let Subject::Site { url, host, .. } = subject {
            check(url, host)?;
        }
        let folder = Folder::make(&self.folder, subject, self.as_nobody.is_some())?;
        let finished = self.program(subject, (width, height), &folder.0).run().await?;
        if !finished.is_success() {
            let words = String::from_utf8_lossy(&finished.stderr);
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
            let last: String = last.chars().take(200).collect();
            return Err(Error::terminal("NoPicture", format!("Chromium takes no picture: {last}")));
        }
        Ok(Picture { png: read(&folder.0.join("picture.png"))?, document: finished.stdout })
    }
}

/// A host ends up among the rules by which names are found: it must be one, and nothing else.
fn check(url: &str, host: &str) -> Result<(), Error> {
    let wrong = || Error::terminal("InvalidSpec", format!("{url:?} is no site that a picture could be taken of"));
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    let is_so = parsed.scheme() == "https" && parsed.host_str() == Some(host) && parsed.port().is_none();
    if plain && !host.is_empty() && is_so { Ok(()) } else { Err(wrong()) }
}

/// A folder that Chromium may write to, which goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn make(within: &Path, subject: &Subject, is_nobodys: bool) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::retryable("FileFailed", "the folder of a picture cannot be made").because(error)
        };
        let mut random = [0; 12];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::bug("InternalError", "there is no randomness"))?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = Self(within.join(format!("{FOLDER_PREFIX}{name}")));
        fs::create_dir(&folder.0).map_err(failed)?;
        if let Ok(now) = fs::metadata(&folder.0).and_then(|found| found.modified()) {
            sweep(within, now);
        }
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        if let Subject::Page(html) = subject {
            let page = folder.0.join("page.html");
            fs::write(&page, html).map_err(failed)?;
            fs::set_permissions(&page, fs::Permissions::from_mode(0o644)).map_err(failed)?;
        }
        if is_nobodys {
            std::os::unix::fs::chown(&folder.0, Some(NOBODY), Some(NOBODY)).map_err(failed)?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), error = %error, "the folder of a picture is left behind");
        }
    }
}

/// Removes the folders that a ccd which was killed left behind.
fn sweep(within: &Path, now: SystemTime) {
    let own = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(within).into_iter().flatten().flatten() {
        if !entry.file_name().as_bytes().starts_with(FOLDER_PREFIX.as_bytes()) {
            continue;
        }
        // The entry itself, not what a link of somebody else may lead to.
        let Ok(found) = entry.metadata() else { continue };
        let is_ours = found.is_dir() && [own, NOBODY].contains(&found.uid());
        let age = found.modified().ok().and_then(|modified| now.duration_since(modified).ok());
        if is_ours && age.is_some_and(|age| age > LEFT_BEHIND_AFTER) && fs::remove_dir_all(entry.path()).is_ok() {
            tracing::info!(folder = %entry.path().display(), "removed the folder of a picture that was left behind");
        }
    }
}

/// Reads the picture. What lies there was written by a program that looked at somebody else's pages.
fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |why: &str| Error::terminal("NoPicture", format!("Chromium left no picture: {why}"));
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
    let file = file.map_err(|error| wrong(&error.to_string()))?;
    let is_file = file.metadata().is_ok_and(|found| found.is_file() && found.len() <= PICTURE_BYTES_MAX);
    if !is_file {
        return Err(wrong("it is none, or too large"));
    }
    let mut bytes = Vec::new();
    file.take(PICTURE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(&error.to_string()))?;
    if bytes.len() as u64 > PICTURE_BYTES_MAX || !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Err(wrong("it is none, or too large"));
    }
    Ok(bytes)
}
