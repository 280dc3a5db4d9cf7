//! The fake forge over real HTTP.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{FakeForge, FakeReply, FakeRequest};

/// Serves until the process ends.
pub(super) async fn serve(forge: FakeForge, address: &str) -> io::Result<String> {
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let forge = forge.clone();
            let service = service_fn(move |request| respond(forge.clone(), request));
            tokio::spawn(async move {
                // A connection that is broken on purpose ends with an error.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(url)
}

type Body = BoxBody<Bytes, Infallible>;

/// The connection is to break.
#[derive(Debug, thiserror::Error)]
#[error("break the connection")]
struct Broken;

async fn respond(forge: FakeForge, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let query = parts.uri.query().unwrap_or_default();
    let query = reqwest::Url::parse(&format!("http://forge/?{query}")).map_err(|_| Broken)?;
    let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fake = FakeRequest {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: query.query_pairs().into_owned().collect(),
        authorization: authorization.to_owned(),
        body: parsed(&parts.headers, &body),
    };
    let reply = forge.answer(&fake).await.ok_or(Broken)?;
    let response = response(&reply).map_err(|_| Broken)?;
    deliver(&forge, &fake, &reply);
    Ok(response)
}

/// Reads JSON, or a form as an object of its fields.
fn parsed(headers: &hyper::HeaderMap, body: &[u8]) -> serde_json::Value {
    let content_type = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if content_type.starts_with("application/x-www-form-urlencoded") {
        let url = reqwest::Url::parse(&format!("http://forge/?{}", String::from_utf8_lossy(body)));
        let fields = url.into_iter().flat_map(|url| url.query_pairs().into_owned().collect::<Vec<_>>());
        return fields.map(|(name, value)| (name, serde_json::Value::from(value))).collect();
    }
    serde_json::from_slice(body).unwrap_or_default()
}

fn response(reply: &FakeReply) -> Result<Response<Body>, http::Error> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let body = Bytes::from(reply.body.clone());
    // A length that is a lie is only believed of a body that does not know its own.
    let has_own_length = reply.headers.iter().any(|(name, _)| name == "content-length");
    response.body(if has_own_length {
        StreamBody::new(stream::iter([Ok(Frame::data(body))])).boxed()
    } else {
        Full::new(body).boxed()
    })
}

/// Tells the repository's hook about a comment that was written over HTTP. As with the real ones, at most once.
fn deliver(forge: &FakeForge, request: &FakeRequest, reply: &FakeReply) {
    if request.method != "POST" || !request.path.ends_with("/comments") || reply.status != 201 {
        return;
    }
    let comment: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let delivery = comment["id"].as_i64().and_then(|id| forge.world().delivery(id, "created"));
    if let Some(delivery) = delivery {
        tokio::spawn(async move { delivery.send().await });
    }
}
