//! The API server in this process: a store in a temporary directory, HTTP and HTTPS on free ports, two tokens.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use apiserver::access::Access;
use apiserver::api::Api;
use apiserver::audit::policy::Policy;
use apiserver::audit::{Audit, AuditWriter, WriterSettings};
use apiserver::authentication::Authenticator;
use apiserver::authentication::token_file::{self, NewToken};
use apiserver::authentication::tokens::TokenTable;
use apiserver::authorization::{Authorizer, follow};
use apiserver::clock::Clock;
use apiserver::config::{LimitsConfig, ServerConfig};
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::pods::{LogSource, NoLogs};
use apiserver::serve::{Lifecycle, Listeners, Server};
use apiserver::tls::Pki;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use controller::forge_accounts::StoredForges;
use controller::kinds::namespace;
use controller::runtime::controller::ControllerOptions;
use controller::runtime::guards::Guards;
use controller::runtime::manager::Manager;
use controller::runtime::objects::Objects;
use controller::runtime::objects::store_objects::StoreObjects;
use jiff::SignedDuration;
use ports::clock::SystemClock;
use ports::forge::http::{ForgeTimes, HttpForges};
use ports::redact::Redactor;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use store::collector::{Collector, CollectorOptions};
use store::state::HistoryLimits;
use store::store::{OpenOptions, Sources, Store};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use webui::pictures::Painter;
use webui::review::Reviews;
use webui::router::{Surroundings, Web};
use webui::session::SessionKey;

/// Name of the audit log in the server's directory.
const AUDIT_LOG: &str = "audit.log";

/// What becomes of namespaces that are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// They stay, as with an API server that nobody works beside.
    Stay,
    /// Their reconciler empties them and lets them go, as in ccd.
    Go,
}

/// How a server is started.
pub struct ServerOptions {
    /// How much history watches may resume from.
    pub history: HistoryLimits,
    /// Whole `CustomResourceDefinition` objects to start with.
    pub definitions: Vec<Value>,
    /// Where logs come from.
    pub logs: Arc<dyn LogSource>,
    /// What becomes of namespaces that are deleted.
    pub namespaces: Namespaces,
    /// Where people reach the web pages; `{address}` stands for host and port of the listener without TLS.
    pub public_url: Option<String>,
    /// Looks at commits that wait for trust.
    pub reviews: Option<Arc<dyn Reviews>>,
    /// Draws pictures.
    pub painter: Option<Arc<dyn Painter>>,
    /// Seconds by which the server's clock goes ahead of the machine's.
    pub ahead: Arc<AtomicI64>,
    /// Whether requests are written to an audit log, for [`TestServer::end_audit`].
    pub is_audited: bool,
}

impl ServerOptions {
    fn surroundings(&self) -> Surroundings {
        let (public_url, reviews, painter) = (self.public_url.clone(), self.reviews.clone(), self.painter.clone());
        Surroundings { public_url, accounts: None, reviews, painter }
    }
}

impl Default for ServerOptions {
    /// Our own kinds, no logs, nobody who works beside the server.
    fn default() -> Self {
        Self {
            history: HistoryLimits::default(),
            definitions: apiserver::built_in::own_definitions(),
            logs: Arc::new(NoLogs),
            namespaces: Namespaces::Stay,
            public_url: None,
            reviews: None,
            painter: None,
            ahead: Arc::default(),
            is_audited: false,
        }
    }
}

/// A running server; stopped when dropped.
pub struct TestServer {
    /// Where it listens without TLS.
    pub address: SocketAddr,
    /// Where it listens with TLS.
    pub encrypted: SocketAddr,
    /// The authority that its certificate comes from.
    pub authority_pem: String,
    /// Token of `admin`, who is in `system:masters`.
    pub admin: String,
    /// Token of `bob`, who is in `devs`.
    pub bob: String,
    /// The store below it.
    pub store: Store,
    /// The directory that holds everything.
    pub dir: TempDir,
    audit: Audit,
    _stop: DropGuard,
}

impl TestServer {
    /// Starts a server and waits until it can be asked.
    ///
    /// # Errors
    /// When the store cannot be opened or prepared, or no port is free.
    pub async fn start(options: ServerOptions) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut open = OpenOptions::new(dir.path().join("store"), apiserver::built_in::registry());
        open.history = options.history;
        let store = Store::open(open)?;
        apiserver::bootstrap::prepare(&store, &options.definitions).await?;
        let now = Sources::system().now;
        let ahead = options.ahead.clone();
        let clock = Clock::new(move || now() + SignedDuration::from_secs(ahead.load(Ordering::Relaxed)));
        let tokens = dir.path().join("tokens.json");
        let token = |name: &str, groups: &[&str]| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let new = NewToken { name: name.to_owned(), user: name.to_owned(), groups, expires: None };
            token_file::create(&tokens, &new, clock.now())
        };
        let (admin, bob) = (token("admin", &["system:masters"])?, token("bob", &["devs"])?);
        // Tests ask faster than any stranger may.
        let limits = LimitsConfig { anonymous_rate_per_second: 0, ..LimitsConfig::default() };
        let authorizer = Arc::new(Authorizer::new(&[]));
        follow::load(&authorizer, &store.state());
        let audit = if options.is_audited { audit(dir.path(), &clock)? } else { Audit::off() };
        let access = Access {
            authenticator: Arc::new(
                Authenticator::new(TokenTable::open(tokens.clone()), clock.clone())
                    .with_service_accounts(TokenTable::open(dir.path().join("account-tokens.json")), store.clone()),
            ),
            authorizer: authorizer.clone(),
            limits: Limits::new(limits.clone()),
            audit: audit.clone(),
            metrics: Metrics::new(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(Collector::new(store.clone(), CollectorOptions::default()).run(stop.clone()));
        if options.namespaces == Namespaces::Go {
            reconcile_namespaces(&store, &stop);
        }
        tokio::spawn(follow::follow(authorizer, store.clone(), stop.clone()));
        let lifecycle = Lifecycle::default();
        lifecycle.health.set_started();
        let config = ServerConfig {
            http: "127.0.0.1:0".to_owned(),
            https: "127.0.0.1:0".to_owned(),
            drain_seconds: 1,
            ..ServerConfig::default()
        };
        let listeners = Listeners::bind(&config).await?;
        let address = listeners.addresses().0.context("the server listens on HTTP")?;
        let encrypted = listeners.addresses().1.context("the server listens on HTTPS")?;
        std::fs::create_dir(dir.path().join("pki"))?;
        let pki = Arc::new(Pki::open(&dir.path().join("pki"), &[], true, clock.clone())?);
        let authority_pem = pki.authorities_pem();
        let metrics = access.metrics.clone();
        let api = Api::new(store.clone(), access, lifecycle.clone(), clock, options.logs.clone());
        let web = web(api, dir.path(), address, options.surroundings())?;
        let server = Server {
            listeners,
            answers: webui::router::answers(web),
            pki: Some(pki),
            config,
            limits,
            lifecycle,
            metrics,
        };
        tokio::spawn(server.run(stop.clone()));
        Ok(Self { address, encrypted, authority_pem, admin, bob, store, dir, audit, _stop: stop.drop_guard() })
    }

    /// Writes a kubeconfig with the contexts `admin`, `bob` and `nobody`, whose token is wrong.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_kubeconfig(&self, path: &Path) -> anyhow::Result<()> {
        let user = |name: &str, token: &str| json!({"name": name, "user": {"token": token}});
        let context = |name: &str| json!({"name": name, "context": {"cluster": "here", "user": name}});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "admin",
            "clusters": [{"name": "here", "cluster": {
                "server": format!("https://{}", self.encrypted),
                "certificate-authority-data": STANDARD.encode(&self.authority_pem),
            }}],
            "users": [user("admin", &self.admin), user("bob", &self.bob), user("nobody", "wrong")],
            "contexts": [context("admin"), context("bob"), context("nobody")],
        });
        Ok(std::fs::write(path, config.to_string())?)
    }

    /// Ends the audit log and returns its events.
    ///
    /// # Errors
    /// There is none ([`ServerOptions::is_audited`]), or it is no JSON.
    pub fn end_audit(&self) -> anyhow::Result<Vec<Value>> {
        self.audit.close();
        let log = std::fs::read_to_string(self.dir.path().join(AUDIT_LOG)).context("read the audit log")?;
        log.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Returns the URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// The pages, whose people may come from any forge that the store knows.
fn web(api: Api, dir: &Path, address: SocketAddr, surroundings: Surroundings) -> anyhow::Result<Arc<Web>> {
    let key = SessionKey::open(&dir.join("web.key"))?;
    let forges = Arc::new(HttpForges::open(&[], ForgeTimes::default())?);
    let accounts = StoredForges::new(api.store.clone(), forges, Redactor::default());
    // A free port is only known by now, and people come by it.
    let public_url = surroundings.public_url.map(|url| url.replace("{address}", &address.to_string()));
    let surroundings = Surroundings { public_url, accounts: Some(Arc::new(accounts)), ..surroundings };
    Ok(Web::new(Arc::new(api), key, surroundings))
}

/// Everything is written, and nothing is lost.
fn audit(dir: &Path, clock: &Clock) -> anyhow::Result<Audit> {
    let settings =
        WriterSettings { path: dir.join(AUDIT_LOG), file_bytes_max: 64 << 20, files_max: 1, queue_max: 100_000 };
    let writer = AuditWriter::open(settings, clock.clone())?;
    Ok(Audit::new(Policy::new(Vec::new()), writer, clock.clone(), None))
}

fn reconcile_namespaces(store: &Store, stop: &CancellationToken) {
    let objects: Arc<dyn Objects> = Arc::new(StoreObjects::new(store.clone()));
    let mut manager =
        Manager::new(objects.clone(), Arc::new(SystemClock), &mut Registry::default(), None, Guards::all());
    manager.register(namespace::Namespaces::new(objects), ControllerOptions::default());
    let stopped = stop.clone();
    tokio::spawn(async move { manager.run(stopped).await });
}

/// How long a test waits for what must happen soon.
pub const SOON: Duration = Duration::from_secs(10);
