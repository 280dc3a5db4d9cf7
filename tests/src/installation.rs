//! A whole installation on the engine that the tests are given: ccd, a Host, and Traefik with a certificate in front.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::daemon::{Daemon, get_as, wait_a_moment};
use crate::engine;
use crate::recipes::{RecipeRepository, bundled};

/// The zone of every run.
pub const ZONE: &str = "ci.test";

/// A running installation. Its apps are removed by [`Installation::remove`]; the daemon ends when it is dropped.
pub struct Installation {
    /// The daemon.
    pub daemon: Daemon,
    environment: &'static [(&'static str, &'static str)],
    directory: PathBuf,
    https_port: u16,
    applied: AtomicU32,
}

impl Installation {
    /// Starts ccd with a Host that takes `capacity` runs at once, and waits until the proxy in front of it is ready.
    ///
    /// # Errors
    /// Says what did not become ready, with what ccd printed.
    pub fn start(directory: &Path, capacity: u32) -> anyhow::Result<Self> {
        Self::start_within(directory, capacity, &[], "")
    }

    /// Starts all of it, and lets recipes be fetched over plain HTTP from `host`, wherever that is.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn fetching_from(directory: &Path, capacity: u32, host: &str) -> anyhow::Result<Self> {
        let more = format!("[git]\nprotocols = [\"https\", \"http\"]\n\n[outbound]\nallow = [\"{host}\"]\n\n");
        Self::start_within(directory, capacity, &[], &more)
    }

    /// Starts all of it with Debian's Chromium as its camera, so that runs of maintainers take a picture of their app.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn with_camera(directory: &Path, capacity: u32) -> anyhow::Result<Self> {
        Self::start_within(directory, capacity, &[("CC_CHROMIUM", "/usr/bin/chromium")], "")
    }

    fn start_within(
        directory: &Path,
        capacity: u32,
        environment: &'static [(&'static str, &'static str)],
        more: &str,
    ) -> anyhow::Result<Self> {
        for recipe in ["guestbook", "traefik"] {
            let status = Command::new(bundled().join("images")).arg(recipe).status()?;
            anyhow::ensure!(status.success(), "the images of {recipe} cannot be made");
        }
        let https_port = free_port()?;
        certificate(directory)?;
        let configuration = format!(
            "[runs]\nzone = \"{ZONE}\"\nfile_urls = true\n\n{more}[probe]\nca_files = [\"{}\"]\n\n[probe.connect]\n\"{ZONE}\" = \"127.0.0.1:{https_port}\"\n",
            directory.join("cert.pem").display()
        );
        std::fs::write(directory.join("config.toml"), configuration)?;
        let daemon = Self::daemon(directory, environment)?;
        let applied = AtomicU32::default();
        let installation = Self { daemon, environment, directory: directory.to_owned(), https_port, applied };
        installation.prepare(capacity)?;
        Ok(installation)
    }

    /// Kills ccd as kill -9 does and starts it again on the same data.
    ///
    /// # Errors
    /// When it does not get ready again.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.daemon.kill()?;
        self.daemon = Self::daemon(&self.directory, self.environment)?;
        Ok(())
    }

    /// Starts ccd with a Host that takes `capacity` runs at once, and nothing else: for apps that no proxy is in front of.
    /// `more` is added to its configuration.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn plain(directory: &Path, capacity: u32, more: &str) -> anyhow::Result<Self> {
        let configuration = format!("[runs]\nzone = \"{ZONE}\"\nfile_urls = true\n\n{more}");
        std::fs::write(directory.join("config.toml"), configuration)?;
        let daemon = Self::daemon(directory, &[])?;
        let applied = AtomicU32::default();
        let installation = Self { daemon, environment: &[], directory: directory.to_owned(), https_port: 0, applied };
        installation.apply(&[host(capacity)])?;
        installation.wait_for("hosts", "local", "Ready")?;
        Ok(installation)
    }

    /// Starts ccd with this configuration and nothing else: not even a Host.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn bare(directory: &Path, configuration: &str) -> anyhow::Result<Self> {
        std::fs::write(directory.join("config.toml"), configuration)?;
        let daemon = Self::daemon(directory, &[])?;
        Ok(Self {
            daemon,
            directory: directory.to_owned(),
            https_port: 0,
            applied: AtomicU32::default(),
            environment: &[],
        })
    }

    /// Returns the port at which the proxy answers over TLS.
    #[must_use]
    pub fn https_port(&self) -> u16 {
        self.https_port
    }

    /// Returns how many requests it has made to engines since it was started.
    ///
    /// # Errors
    /// When it does not say.
    pub fn engine_calls(&self) -> anyhow::Result<u64> {
        let answer = crate::daemon::get(self.daemon.http(), "/metrics").context("ccd does not answer")?;
        let line = answer.lines().find_map(|line| line.strip_prefix("cc_engine_calls ")).context("no such figure")?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        Ok(line.trim().parse::<f64>()? as u64)
    }

    /// Creates or changes objects.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn apply(&self, objects: &[Value]) -> anyhow::Result<()> {
        let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
        let number = self.applied.fetch_add(1, Ordering::Relaxed);
        let file = self.directory.join(format!("apply-{number}.json"));
        std::fs::write(&file, documents.join("\n"))?;
        self.kubectl(&["apply", "--filename", &file.to_string_lossy()]).map(drop)
    }

    /// Lays members over those of an object.
    ///
    /// # Errors
    /// What kubectl says.
    pub fn change(&self, plural: &str, name: &str, members: &Value) -> anyhow::Result<()> {
        self.kubectl(&["patch", plural, name, "--type=merge", "--patch", &members.to_string()]).map(drop)
    }

    /// Returns an object of ours, or nothing when there is none.
    ///
    /// # Errors
    /// When the answer is none of both.
    pub fn get(&self, plural: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let object = self.read(&format!("{}/{name}", path(plural)))?;
        Ok((object["kind"] != "Status").then_some(object))
    }

    /// Returns all objects of a kind of ours.
    ///
    /// # Errors
    /// When the answer is no list.
    pub fn list(&self, plural: &str) -> anyhow::Result<Vec<Value>> {
        self.read(&path(plural))?["items"].as_array().cloned().context("the answer has no items")
    }

    fn read(&self, path: &str) -> anyhow::Result<Value> {
        let kubeconfig = std::fs::read_to_string(self.daemon.kubeconfig())?;
        let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token: ")).context("no token")?;
        let answer = get_as(self.daemon.http(), path, token.trim_matches('"')).context("ccd does not answer")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no body")?;
        serde_json::from_str(body).with_context(|| format!("not JSON: {head}"))
    }

    /// Waits until an object is as `is_so` says, and returns it.
    ///
    /// # Errors
    /// When it is not so in time: with the object and the end of what ccd printed.
    pub fn wait(
        &self,
        plural: &str,
        name: &str,
        limit: Duration,
        is_so: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let started = Instant::now();
        let mut last = Value::Null;
        while started.elapsed() < limit {
            if let Some(object) = self.get(plural, name)? {
                if is_so(&object) {
                    return Ok(object);
                }
                last = object["status"].clone();
            }
            wait_a_moment();
        }
        anyhow::bail!("{plural}/{name} is not as it should be after {limit:?}: {last:#}\n{}", self.end_of_log())
    }

    /// Waits until an object's condition is true.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for(&self, plural: &str, name: &str, condition: &str) -> anyhow::Result<Value> {
        self.wait(plural, name, Duration::from_secs(120), |object| status_of(object, condition) == "True")
    }

    /// Deletes every run and app and waits until their finalizers are done.
    ///
    /// # Errors
    /// When something does not go.
    pub fn remove(&self) -> anyhow::Result<()> {
        let deleted = self.kubectl(&["delete", "testruns,apps", "--all", "--timeout=240s"]);
        deleted.map(drop).map_err(|error| {
            let left = self.kubectl(&["get", "testruns,apps", "--output=yaml"]).unwrap_or_default();
            error.context(format!("what is left:\n{left}\n{}", self.end_of_log()))
        })
    }

    /// Returns the last lines that ccd said.
    fn end_of_log(&self) -> String {
        let log = self.daemon.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// When it fails: with what it said.
    pub fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        said(self.daemon.kubectl(arguments)?, &format!("kubectl {}", arguments.join(" ")))
    }

    fn daemon(directory: &Path, environment: &[(&str, &str)]) -> anyhow::Result<Daemon> {
        let configuration = directory.join("config.toml");
        let arguments = ["--config", &configuration.to_string_lossy()];
        Daemon::start_within(&directory.join("data"), &arguments, environment)
    }

    fn prepare(&self, capacity: u32) -> anyhow::Result<()> {
        let mut traefik = RecipeRepository::new(&self.directory.join("traefik"))?;
        traefik.publish_bundled("traefik", &["1.0.0+v3.7.15"])?;
        let (certificate, key) = (self.directory.join("cert.pem"), self.directory.join("key.pem"));
        let api = "ci.coopcloud.tech/v1alpha1";
        self.apply(&[
            host(capacity),
            json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wildcard"},
                "stringData": {
                    "tls.crt": std::fs::read_to_string(certificate)?, "tls.key": std::fs::read_to_string(key)?,
                },
            }),
            json!({
                "apiVersion": api, "kind": "App", "metadata": {"name": "traefik"},
                "spec": {
                    "recipe": {"url": traefik.url()}, "version": "1.0.0+v3.7.15",
                    "domain": format!("traefik.{ZONE}"), "deployer": "Swarm",
                    "env": {
                        "HTTP_PORT": free_port()?.to_string(), "HTTPS_PORT": self.https_port.to_string(),
                        "DOCKER_SOCKET": engine::address().trim_start_matches("unix://"),
                    },
                    "secrets": [
                        {"name": "ssl_cert", "valueFrom": {"name": "wildcard", "key": "tls.crt"}},
                        {"name": "ssl_key", "valueFrom": {"name": "wildcard", "key": "tls.key"}},
                    ],
                    "health": {"path": "/ping", "statuses": [200]},
                    "volumes": "Delete",
                },
            }),
        ])?;
        self.wait_for("hosts", "local", "Ready")?;
        self.wait_for("apps", "traefik", "Ready")?;
        Ok(())
    }
}

fn host(capacity: u32) -> Value {
    json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "Host", "metadata": {"name": "local"},
        "spec": {
            "engine": engine::address(),
            "swarm": {"init": true, "advertiseAddr": "127.0.0.1"},
            "networks": [{"name": "proxy", "subnet": "10.64.0.0/16"}],
            "floors": {"diskBytes": "100Mi", "diskPercent": 1, "inodesPercent": 1, "memory": "100Mi"},
            "capacity": {"runs": capacity},
        },
    })
}

/// Returns the status of an object's condition; empty when it has none.
#[must_use]
pub fn status_of<'a>(object: &'a Value, condition: &str) -> &'a str {
    find(object, condition).and_then(|found| found["status"].as_str()).unwrap_or_default()
}

/// Returns the reason of an object's condition; empty when it has none.
#[must_use]
pub fn reason_of<'a>(object: &'a Value, condition: &str) -> &'a str {
    find(object, condition).and_then(|found| found["reason"].as_str()).unwrap_or_default()
}

fn find<'a>(object: &'a Value, condition: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|found| found["type"] == condition)
}

/// Returns the path of a kind of ours; hosts and forges belong to no namespace.
fn path(plural: &str) -> String {
    let namespace = if matches!(plural, "hosts" | "forges") { "" } else { "namespaces/default/" };
    format!("/apis/ci.coopcloud.tech/v1alpha1/{namespace}{plural}")
}

fn said(output: Output, what: &str) -> anyhow::Result<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{what} failed: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns a port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Writes a self-signed certificate for every domain of the zone.
fn certificate(directory: &Path) -> anyhow::Result<()> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN=*.{ZONE}"), "-addext", &format!("subjectAltName=DNS:*.{ZONE}")])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .context("run openssl")?;
    said(output, "openssl req").map(drop)
}
