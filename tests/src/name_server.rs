//! A real name server with one zone, in which one record may be changed by dynamic updates (RFC 2136): Debian's `bind9`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::daemon::wait_a_moment;

/// How long it may take to start; generous, because the machine may be busy.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A name server on this machine. Ends when it is dropped.
pub struct NameServer {
    child: Child,
    folder: PathBuf,
    port: u16,
    zone: String,
}

impl NameServer {
    /// The name of the key with which it may be told changes.
    pub const KEY_NAME: &'static str = "acme.zone.test";
    /// That key.
    pub const KEY: &'static str = "dHNpZy1zZWNyZXQtY2FuYXJ5LW9mLXRoZS10ZXN0cw==";

    /// Starts one for `zone`, in a folder that must be there. It takes updates of TXT records at `_acme-challenge.ZONE`.
    ///
    /// # Errors
    /// When it is not installed or does not start: with what it said.
    pub fn start(folder: &Path, zone: &str) -> anyhow::Result<Self> {
        let (port, place) = (crate::installation::free_port()?, folder.display());
        let configuration = format!(
            "options {{\n  directory \"{place}\"; pid-file none; session-keyfile none;\n  listen-on port {port} {{ 127.0.0.1; \
             }}; listen-on-v6 {{ none; }};\n  recursion no; dnssec-validation no; allow-transfer {{ none; }};\n}};\n\
             controls {{ }};\nkey \"{name}\" {{ algorithm hmac-sha256; secret \"{key}\"; }};\nzone \"{zone}\" {{\n  type \
             primary; file \"zone\";\n  update-policy {{ grant {name} name _acme-challenge.{zone}. TXT; }};\n}};\n",
            name = Self::KEY_NAME,
            key = Self::KEY,
        );
        let records = "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n";
        std::fs::write(folder.join("named.conf"), configuration)?;
        std::fs::write(folder.join("zone"), records)?;
        let child = Command::new("named")
            .args(["-g", "-4", "-c"])
            .arg(folder.join("named.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()
            .context("named does not start: run .ci/setup, or apt-get install bind9")?;
        let mut server = Self { child, folder: folder.to_owned(), port, zone: zone.to_owned() };
        let started = Instant::now();
        while server.challenges().is_err() {
            let has_ended = server.child.try_wait()?.is_some();
            let log = server.log();
            anyhow::ensure!(!has_ended && started.elapsed() < READY_WITHIN, "named does not answer:\n{log}");
            wait_a_moment();
        }
        Ok(server)
    }

    /// Returns the port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the TXT records at `_acme-challenge.ZONE`.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn challenges(&self) -> anyhow::Result<Vec<String>> {
        let output = Command::new("dig")
            .args(["@127.0.0.1", "-p", &self.port.to_string(), "+short", "+time=1", "+tries=1", "TXT"])
            .arg(format!("_acme-challenge.{}", self.zone))
            .stdin(Stdio::null())
            .output()
            .context("dig does not start: run .ci/setup, or apt-get install bind9-dnsutils")?;
        anyhow::ensure!(output.status.success(), "it does not answer: {}", String::from_utf8_lossy(&output.stdout));
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Returns what it has said.
    #[must_use]
    pub fn log(&self) -> String {
        // A log that cannot be read is an empty one: this is for messages of failing tests.
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
