//! The real `ccd` in a temporary directory: started, asked, killed, started again.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::Value;

/// How long a daemon may take to answer; generous, because the machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A running `ccd serve`. Killed when dropped.
pub struct Daemon {
    child: Child,
    dir: PathBuf,
    addresses: Value,
}

impl Daemon {
    /// Starts `ccd serve` on free ports with `dir` as its data directory and waits until it is ready.
    ///
    /// # Errors
    /// When it ends or does not answer in time; the error carries what it printed.
    pub fn start(dir: &Path) -> anyhow::Result<Self> {
        Self::start_with(dir, &[])
    }

    /// Starts `ccd serve` with further arguments.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_with(dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::start_within(dir, arguments, &[])
    }

    /// Starts `ccd serve` with further arguments and variables of the environment.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn start_within(dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Self> {
        let mut daemon = Self::spawn_within(&program("ccd"), dir, arguments, environment)?;
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Starts a `ccd serve` that may be another program than ours, and waits for nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn spawn(program: &Path, dir: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Self::spawn_within(program, dir, arguments, &[])
    }

    fn spawn_within(
        program: &Path,
        dir: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let addresses = dir.join("addresses.json");
        if addresses.exists() {
            std::fs::remove_file(&addresses)?;
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.with_extension("log"))?;
        let child = Command::new(program)
            .args(["serve", "--http", "127.0.0.1:0", "--https", "127.0.0.1:0", "--data-dir"])
            .arg(dir)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child, dir: dir.to_path_buf(), addresses: Value::Null })
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not answer in time; the error carries what it printed.
    pub fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let addresses = self.dir.join("addresses.json");
        let started = Instant::now();
        while !self.is_ready(&addresses) {
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("ccd ended with {status}:\n{}", self.log());
            }
            anyhow::ensure!(started.elapsed() < READY_WITHIN, "ccd is not ready:\n{}", self.log());
            wait_a_moment();
        }
        Ok(())
    }

    /// Returns what it has printed since it was first started in this directory.
    #[must_use]
    pub fn log(&self) -> String {
        let mut text = String::new();
        // A log that cannot be read is an empty one: this is for messages of failing tests.
        let _ = std::fs::File::open(self.dir.with_extension("log")).and_then(|mut log| log.read_to_string(&mut text));
        text
    }

    /// Returns the kubeconfig that it wrote.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// Returns the address of its HTTP listener, as `127.0.0.1:8180`.
    #[must_use]
    pub fn http(&self) -> &str {
        self.addresses["http"].as_str().unwrap_or_default()
    }

    /// Returns the address of its HTTPS listener.
    #[must_use]
    pub fn https(&self) -> &str {
        self.addresses["https"].as_str().unwrap_or_default()
    }

    /// Returns its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as kill -9 does.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop and waits for its end.
    ///
    /// # Errors
    /// When it has not ended within 15 seconds (it promises 10).
    pub fn stop(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            anyhow::ensure!(started.elapsed() < Duration::from_secs(15), "ccd does not stop:\n{}", self.log());
            wait_a_moment();
        }
    }

    /// Runs `kubectl` with its kubeconfig, a cache of its own and `arguments`.
    ///
    /// # Errors
    /// When kubectl does not run.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.dir.with_extension("kubectl-cache"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .context("kubectl does not run")
    }

    fn is_ready(&mut self, addresses: &Path) -> bool {
        let Ok(text) = std::fs::read_to_string(addresses) else { return false };
        let Ok(parsed) = serde_json::from_str(&text) else { return false };
        self.addresses = parsed;
        get(self.http(), "/readyz").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.kill();
    }
}

/// Returns the path of one of our programs. `CC_TEST_BUILT` says that the cargo invocation that runs the tests has built
/// them, as it does for the whole workspace; otherwise, as when only this crate's tests were asked for, they are built now.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        if are_programs_built() {
            return;
        }
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let mut arguments = vec!["build", "--quiet", "--package", "controller", "--package", "ccctl", "--bins"];
        // Benches are built for release, and so is what they measure.
        if !cfg!(debug_assertions) {
            arguments.push("--release");
        }
        let status = Command::new(cargo).args(&arguments).current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(status.is_ok_and(|status| status.success()), "cargo {} fails", arguments.join(" "));
    });
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.join(name)
}

#[expect(clippy::disallowed_methods, reason = "`make test` says so by the environment")]
fn are_programs_built() -> bool {
    std::env::var_os("CC_TEST_BUILT").is_some()
}

/// Asks for one page over plain HTTP and returns head and body, or nothing when nobody answers.
#[must_use]
pub fn get(address: &str, path: &str) -> Option<String> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Asks for one page over plain HTTP with a bearer token and returns head and body, or nothing when nobody answers.
#[must_use]
pub fn get_as(address: &str, path: &str, token: &str) -> Option<String> {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    // HTTP/1.0 knows no chunks: the body is the rest.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Gives way while something that announces itself to nobody happens in another process.
#[expect(clippy::disallowed_methods, reason = "another process has no bell that rings here; callers bound the wait")]
pub fn wait_a_moment() {
    std::thread::sleep(Duration::from_millis(5));
}
