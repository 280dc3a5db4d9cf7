//! What goes on by itself ends with the right to see it, however busy it is.

use std::path::PathBuf;
use std::time::Duration;

use apiserver::access::Access;
use apiserver::audit::Audit;
use apiserver::authentication::Authenticator;
use apiserver::authentication::token_file::{self, NewToken};
use apiserver::authentication::tokens::TokenTable;
use apiserver::authorization::Authorizer;
use apiserver::clock::Clock;
use apiserver::config::LimitsConfig;
use apiserver::limits::Limits;
use apiserver::metrics::Metrics;
use apiserver::pods::{LogRequest, LogSource, LogStream};
use apiserver::serve::Lifecycle;
use axum::body::BodyDataStream;
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::json;
use store::request::{Target, WriteOptions};
use store::store::{OpenOptions, Store};

use super::*;

/// Longer than any stream goes on without being asked about.
const LATER: Duration = Duration::from_secs(16);

/// A log that always has one more line.
struct Endless;

impl LogSource for Endless {
    fn open(&self, _request: LogRequest) -> BoxFuture<'_, Result<LogStream, Status>> {
        let line = || Ok(Bytes::from_static(b"2026-11-26T00:00:00.000001Z [install] line\n"));
        Box::pin(async move { Ok(futures::stream::repeat_with(line).boxed()) })
    }
}

/// The pages over a store with the run `r`, and the token of an administrator.
struct World {
    web: Arc<Web>,
    tokens: PathBuf,
    token: String,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(OpenOptions::new(dir.path().join("store"), apiserver::built_in::registry())).unwrap();
    apiserver::bootstrap::prepare(&store, &apiserver::built_in::own_definitions()).await.unwrap();
    let clock = Clock::fixed("2026-11-21T08:00:00Z".parse().unwrap());
    let tokens = dir.path().join("tokens.json");
    let groups = vec!["system:masters".to_owned()];
    let new = NewToken { name: "jane".to_owned(), user: "jane".to_owned(), groups, expires: None };
    let token = token_file::create(&tokens, &new, clock.now()).unwrap();
    let access = Access {
        authenticator: Arc::new(Authenticator::new(TokenTable::open(tokens.clone()), clock.clone())),
        authorizer: Arc::new(Authorizer::new(&[])),
        limits: Limits::new(LimitsConfig::default()),
        audit: Audit::off(),
        metrics: Metrics::new(),
    };
    let api = Arc::new(Api::new(store, access, Lifecycle::default(), clock, Arc::new(Endless)));
    let key = SessionKey::open(&dir.path().join("web.key")).unwrap();
    let world = World { web: Web::new(api, key, Surroundings::default()), tokens, token, _dir: dir };
    let run = json!({
        "apiVersion": "ci.coopcloud.tech/v1alpha1", "kind": "TestRun", "metadata": {"name": "r"},
        "spec": {"recipeRef": "some", "source": {"ref": "main"}},
    });
    world.create("testruns.ci.coopcloud.tech", "r", run).await;
    world
}

impl World {
    async fn create(&self, resource: &str, name: &str, object: serde_json::Value) {
        let store = &self.web.api.store;
        let target = Target::new(store.registry().get(resource).unwrap(), "default", name);
        store.create(&target, object.into(), &WriteOptions::by("test")).await.unwrap();
    }

    async fn open(&self, path: &str) -> BodyDataStream {
        let peer = Peer { address: "192.0.2.7:999".parse().unwrap(), encrypted: true, certificate: None };
        let request = Request::get(path)
            .header(ACCEPT, "text/html")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .extension(Arc::new(peer));
        let answer = serve(self.web.clone(), request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200, "{path}");
        answer.into_body().into_data_stream()
    }
}

/// Reads what is there without waiting and returns whether the stream goes on.
fn goes_on(stream: &mut BodyDataStream) -> bool {
    // An endless stream is read in portions.
    (0..64).all(|_| match stream.next().now_or_never() {
        None | Some(Some(Ok(_))) => true,
        Some(Some(Err(error))) => panic!("{error}"),
        Some(None) => false,
    })
}

#[tokio::test]
async fn a_busy_log_ends_with_the_right_to_read_it() {
    for path in ["/runs/default/r/log/stream", "/runs/default/r/log/raw"] {
        let world = world().await;
        tokio::time::pause();
        let mut stream = world.open(path).await;
        assert!(goes_on(&mut stream), "{path} has begun");
        tokio::time::advance(LATER).await;
        assert!(goes_on(&mut stream), "{path} may still be read");
        token_file::revoke(&world.tokens, "jane").unwrap();
        tokio::time::advance(LATER).await;
        assert!(!goes_on(&mut stream), "{path} goes on although the token was revoked");
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_page_ends_with_the_right_to_see_it_while_others_change() {
    let world = world().await;
    let mut stream = world.open("/live?page=/queue").await;
    assert!(stream.next().await.unwrap().is_ok(), "it has begun");
    token_file::revoke(&world.tokens, "jane").unwrap();
    assert!(goes_on(&mut stream), "nobody has asked again");
    for half in 0..2 {
        let name = format!("c{half}");
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        world.create("configmaps", &name, object).await;
        tokio::time::pause();
        tokio::time::advance(LATER / 2).await;
        tokio::time::resume();
        if half == 0 {
            assert!(goes_on(&mut stream), "nobody has asked again");
        }
    }
    assert!(!goes_on(&mut stream), "changes of what the page does not show put the question off");
}
