//! What the process gets from outside: the clock, variables, the machine's name. Read here and nowhere else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use apiserver::clock::Clock;

/// What commands may know about the machine.
#[derive(Clone, Debug)]
pub(crate) struct Environment {
    /// The time.
    pub(crate) clock: Clock,
    /// Directories in which programs are looked for.
    pub(crate) path: Vec<PathBuf>,
    /// This very program, as it was when it was started.
    pub(crate) program: Option<PathBuf>,
    /// Where systemd wants to be told that we are ready.
    pub(crate) notify_socket: Option<OsString>,
    /// Where systemd puts credentials, such as the store's key.
    pub(crate) credentials: Option<PathBuf>,
    /// Where the Docker engine listens, when the variable says so.
    pub(crate) docker_host: Option<String>,
    /// The Chromium that takes pictures, when the variable `CC_CHROMIUM` names one.
    pub(crate) chromium: Option<PathBuf>,
    /// Where files lie that nobody keeps.
    pub(crate) temporary: PathBuf,
    /// This machine's name.
    pub(crate) hostname: Option<String>,
    /// Whether we run as root.
    pub(crate) is_root: bool,
}

impl Environment {
    /// Reads the process's own.
    #[expect(clippy::disallowed_methods, reason = "this is the one place where clock and variables are read")]
    pub(crate) fn real() -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        Self {
            clock: Clock::new(jiff::Timestamp::now),
            path: std::env::split_paths(&path).collect(),
            program: std::env::current_exe().ok(),
            notify_socket: std::env::var_os("NOTIFY_SOCKET"),
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            docker_host: std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()),
            chromium: std::env::var_os("CC_CHROMIUM").filter(|path| !path.is_empty()).map(PathBuf::from),
            temporary: std::env::temp_dir(),
            hostname: hostname(Path::new("/proc/sys/kernel/hostname")),
            is_root: apiserver::data_dir::is_root(),
        }
    }

    /// Returns the data directory that is meant when none is named.
    pub(crate) fn default_data_dir(&self) -> PathBuf {
        if self.is_root { PathBuf::from("/var/lib/ccd") } else { PathBuf::from("./ccd-data") }
    }

    /// Returns where a program lies.
    pub(crate) fn find_program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        self.path.iter().map(|directory| directory.join(name)).find(|candidate| {
            candidate.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
        })
    }
}

fn hostname(path: &Path) -> Option<String> {
    let name = std::fs::read_to_string(path).ok()?.trim().to_owned();
    // A name that cannot stand in a certificate is of no use to anybody.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (!name.is_empty() && name != "(none)" && name.bytes().all(plain)).then_some(name)
}
