//! Asking a daemon over its own sockets.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::client::{AdminError, download};
use crate::config::{LimitsConfig, ServerConfig};
use crate::data_dir::DataDir;
use crate::data_dir::administrator::keep_kubeconfig;
use crate::metrics::Metrics;
use crate::serve::{Lifecycle, Listeners, Server};
use crate::tls::Pki;

#[expect(clippy::disallowed_methods, reason = "the TLS library looks at the machine's clock")]
fn clock() -> crate::clock::Clock {
    crate::clock::Clock::new(jiff::Timestamp::now)
}

#[tokio::test]
async fn answers_arrive_whole_or_not_at_all() {
    for with_tls in [true, false] {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&parent.path().join("data")).unwrap();
        let paths = directory.paths().clone();
        let mut output = Vec::new();
        let error = download(&paths, "/whole", &mut output).await.unwrap_err();
        assert!(matches!(error, AdminError::NoAddress(_)), "{error}");
        let pki = Arc::new(Pki::open(&paths.pki(), &[], false, clock()).unwrap());
        let https = if with_tls { "127.0.0.1:0" } else { "" };
        let config = ServerConfig { http: "127.0.0.1:0".into(), https: https.into(), ..ServerConfig::default() };
        let listeners = Listeners::bind(&config).await.unwrap();
        let (http, https) = listeners.addresses();
        directory.write_addresses(http, https).unwrap();
        let error = download(&paths, "/whole", &mut output).await.unwrap_err();
        assert!(error.to_string().contains("holds no token"), "{error}");
        keep_kubeconfig(&paths, "https://127.0.0.1:1", &pki.authorities_pem(), clock().now()).unwrap();
        let broken = async || {
            let frames = [Ok(Bytes::from("part")), Err(std::io::Error::other("disk"))];
            Body::from_stream(futures::stream::iter(frames))
        };
        let refused = (http::StatusCode::FORBIDDEN, r#"{"kind":"Status","message":"no"}"#);
        let router = Router::new()
            .route("/whole", get(|request: Request| async move { format!("{:?}", request.headers()["authorization"]) }))
            .route("/broken", get(broken))
            .route("/refused", get(async move || refused));
        let server = Server {
            listeners,
            answers: router,
            pki: Some(pki),
            config,
            limits: LimitsConfig::default(),
            lifecycle: Lifecycle::default(),
            metrics: Metrics::new(),
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        download(&paths, "/whole", &mut output).await.unwrap();
        assert!(String::from_utf8_lossy(&output).contains("Bearer ccd_"));
        let error = download(&paths, "/broken", &mut output).await.unwrap_err();
        assert!(matches!(error, AdminError::Connection { .. }), "{error}");
        let error = download(&paths, "/refused", &mut output).await.unwrap_err();
        assert_eq!(error.to_string(), "ask the daemon: it answered 403: no");
        stop.cancel();
        running.await.unwrap();
        let error = download(&paths, "/whole", &mut output).await.unwrap_err();
        assert!(matches!(error, AdminError::Connection { .. }), "{error}");
    }
}
