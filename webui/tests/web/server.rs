//! The server of these tests: API and pages over a store in a temporary directory, and two tokens. Nobody reconciles.

use std::sync::Arc;

use anyhow::Context as _;
use apiserver::access::Access;
use apiserver::api::Api;
use apiserver::audit::Audit;
use apiserver::authentication::Authenticator;
use apiserver::authentication::token_file::{self, NewToken};
use apiserver::authentication::tokens::TokenTable;
use apiserver::authorization::{Authorizer, follow};
use apiserver::clock::Clock;
use apiserver::config::{LimitsConfig, ServerConfig};
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::serve::{Lifecycle, Listeners, Server};
use store::store::{OpenOptions, Sources, Store};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use webui::router::Web;
use webui::session::SessionKey;

use crate::memory_logs::MemoryLogs;

/// A running server; stopped when dropped.
pub(crate) struct TestServer {
    pub base: String,
    /// Token of `admin`, who is in `system:masters`.
    pub admin: String,
    /// Token of `bob`, who has no role.
    pub bob: String,
    pub store: Store,
    pub logs: Arc<MemoryLogs>,
    pub dir: TempDir,
    _stop: DropGuard,
}

impl TestServer {
    /// Starts a server on a free port.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let store = Store::open(OpenOptions::new(dir.path().join("store"), apiserver::built_in::registry()))?;
        apiserver::bootstrap::prepare(&store, &apiserver::built_in::own_definitions()).await?;
        let now = Sources::system().now;
        let clock = Clock::new(move || now());
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
        let access = Access {
            authenticator: Arc::new(Authenticator::new(TokenTable::open(tokens.clone()), clock.clone())),
            authorizer: authorizer.clone(),
            limits: Limits::new(limits.clone()),
            audit: Audit::off(),
            metrics: Metrics::new(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(follow::follow(authorizer, store.clone(), stop.clone()));
        let lifecycle = Lifecycle::default();
        lifecycle.health.set_started();
        let config = ServerConfig {
            http: "127.0.0.1:0".to_owned(),
            https: String::new(),
            drain_seconds: 1,
            ..ServerConfig::default()
        };
        let listeners = Listeners::bind(&config).await?;
        let address = listeners.addresses().0.context("the server listens on HTTP")?;
        let metrics = access.metrics.clone();
        let logs = Arc::new(MemoryLogs::default());
        let api = Api::new(store.clone(), access, lifecycle.clone(), clock, logs.clone());
        let web = Web::new(Arc::new(api), SessionKey::open(&dir.path().join("web.key"))?);
        let router = webui::router::router(web);
        let server = Server { listeners, router, pki: None, config, limits, lifecycle, metrics };
        tokio::spawn(server.run(stop.clone()));
        Ok(Self { base: format!("http://{address}"), admin, bob, store, logs, dir, _stop: stop.drop_guard() })
    }

    /// Returns the URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}
