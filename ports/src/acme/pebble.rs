//! The real thing to test with: Pebble, the small authority of those who make Let's Encrypt, with a DNS of its own.
//!
//! Debian has both programs in the package `pebble`. Every name leads to this machine, and TXT records are what
//! [`Pebble::hook`] writes.

#![expect(clippy::panic, reason = "only tests start it")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::Authority;

/// How long they may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// How Pebble behaves.
#[derive(Clone, Copy, Debug)]
pub struct PebbleSettings {
    /// Of a hundred good nonces, so many are refused.
    pub bad_nonces: u32,
    /// Whether accounts must be bound to one of its shop: the key's id is `kid-1`, the key [`BINDING_KEY`].
    pub wants_binding: bool,
    /// How long certificates are valid.
    pub lifetime: Duration,
    /// The port on this machine of the name server that it asks, instead of that of its own DNS.
    pub name_server: Option<u16>,
}

/// The key of the one account in its shop, in base64url.
pub const BINDING_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl Default for PebbleSettings {
    fn default() -> Self {
        Self { bad_nonces: 20, wants_binding: false, lifetime: Duration::from_hours(90 * 24), name_server: None }
    }
}

/// A Pebble that runs, and its DNS. Both end when it is dropped.
pub struct Pebble {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
    pebble: Option<Child>,
    dns: Child,
    port: u16,
    management: u16,
    name_server: u16,
    /// The port on which it looks for answers over HTTP.
    pub http_port: u16,
    ca_bundle: String,
}

/// Returns a port that is free now.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

impl Pebble {
    /// Starts both in a folder, which must be there.
    ///
    /// # Panics
    /// They are not installed, or do not start.
    #[must_use]
    pub fn start(folder: &Path, settings: PebbleSettings) -> Self {
        let (port, management, dns_port, http_port) = (free_port(), free_port(), free_port(), free_port());
        let ca_bundle = certificate(folder);
        let binding = if settings.wants_binding {
            format!(
                ",\"externalAccountBindingRequired\":true,\"externalAccountMACKeys\":{{\"kid-1\":\"{BINDING_KEY}\"}}"
            )
        } else {
            String::new()
        };
        let configuration = format!(
            "{{\"pebble\":{{\"listenAddress\":\"127.0.0.1:{port}\",\"managementListenAddress\":\"127.0.0.1:{}\",\
             \"certificate\":\"{cert}\",\"privateKey\":\"{key}\",\"httpPort\":{http_port},\"tlsPort\":{},\
             \"ocspResponderURL\":\"\",\"certificateValidityPeriod\":{}{binding}}}}}",
            free_port(),
            free_port(),
            settings.lifetime.as_secs(),
            cert = folder.join("pebble.pem").display(),
            key = folder.join("pebble.key").display(),
        );
        std::fs::write(folder.join("pebble.json"), configuration).expect("the folder can be written");
        let dns = spawn(
            Command::new("pebble-challtestsrv")
                .args(["-dns01", &format!("127.0.0.1:{dns_port}"), "-management", &format!("127.0.0.1:{management}")])
                .args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]),
        );
        let environment = vec![
            ("PEBBLE_VA_NOSLEEP", "1".to_owned()),
            ("PEBBLE_AUTHZREUSE", "0".to_owned()),
            ("PEBBLE_WFE_NONCEREJECT", settings.bad_nonces.to_string()),
        ];
        let folder = folder.to_owned();
        let name_server = settings.name_server.unwrap_or(dns_port);
        let mut pebble =
            Self { folder, environment, pebble: None, dns, port, management, name_server, http_port, ca_bundle };
        pebble.start_again();
        wait_for(management);
        pebble
    }

    /// Starts an authority that was stopped, which has forgotten everything.
    ///
    /// # Panics
    /// It does not start.
    pub fn start_again(&mut self) {
        let child = spawn(
            Command::new("pebble")
                .args(["-config", "pebble.json", "-dnsserver", &format!("127.0.0.1:{}", self.name_server)])
                .envs(self.environment.iter().map(|(name, value)| (name, value)))
                .current_dir(&self.folder),
        );
        self.pebble = Some(child);
        wait_for(self.port);
    }

    /// Stops the authority: nobody answers any more.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.pebble.take() {
            end(&mut child);
        }
    }

    /// Returns what clients are told.
    #[must_use]
    pub fn authority(&self) -> Authority {
        Authority { directory: format!("https://localhost:{}/dir", self.port), ca_bundle: Some(self.ca_bundle.clone()) }
    }

    /// Writes a program that changes records of its DNS, as the configuration may name one, and returns its path. Each
    /// start adds a line to the file `hook.log` beside it.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn hook(&self) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.join("hook");
        let script = format!(
            "#!/bin/sh\nset -eu\necho \"$1 $2 $3 $ACME_ACTION $ACME_DOMAIN\" >>'{folder}/hook.log'\n\
             case $1 in present) call=set-txt;; cleanup) call=clear-txt;; *) exit 2;; esac\n\
             exec curl --silent --show-error --fail --output /dev/null --data \
             \"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" http://127.0.0.1:{port}/$call\n",
            folder = self.folder.display(),
            port = self.management,
        );
        std::fs::write(&path, script).expect("the folder can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        path
    }

    /// Returns what the program of [`hook`](Self::hook) was started with, a line each time.
    #[must_use]
    pub fn hook_log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join("hook.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Lets a name lead nowhere.
    ///
    /// # Panics
    /// Its DNS does not answer.
    pub fn lead_astray(&self, name: &str) {
        let body = format!("{{\"host\":\"{name}.\",\"addresses\":[\"127.255.255.254\"]}}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.management)).expect("it listens");
        let request = format!(
            "POST /add-a HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("it answers");
        assert!(answer.contains("200"), "{answer}");
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
        end(&mut self.dns);
    }
}

fn spawn(command: &mut Command) -> Child {
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{name} does not start ({error}): run .ci/setup, or apt-get install pebble"))
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Waits until somebody listens.
fn wait_for(port: u16) {
    let began = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens on port {port}");
        std::thread::yield_now();
    }
}

/// Writes a certificate for `localhost` and its key, and returns the authority that vouches for it.
fn certificate(folder: &Path) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Who vouches for Pebble");
    let key = KeyPair::generate().expect("a key can be made");
    let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate can sign itself");
    let key = KeyPair::generate().expect("a key can be made");
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("it is a name");
    let leaf = leaf.signed_by(&key, &issuer).expect("it can be signed");
    std::fs::write(folder.join("pebble.pem"), leaf.pem()).expect("the folder can be written");
    std::fs::write(folder.join("pebble.key"), key.serialize_pem()).expect("the folder can be written");
    issuer.pem()
}
