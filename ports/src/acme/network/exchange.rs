//! One request to an authority and its answer, both bounded.

use bytes::{Bytes, BytesMut};
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, response};
use reqwest::{Client, Url};

use super::super::AUTHORITY_UNREACHABLE;
use super::problem::Heard;
use crate::error::Error;

/// Most bytes of an answer; certificates with their chains are a few thousand.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Who asks.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("ccd/", env!("CARGO_PKG_VERSION"), " instant-acme"));

/// Carries requests to one authority.
#[derive(Clone)]
pub(super) struct Exchange {
    client: Client,
    host: String,
    heard: Heard,
}

impl Exchange {
    pub(super) fn new(client: Client, directory: &str) -> Self {
        let host = Url::parse(directory).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        Self { client, host, heard: Heard::default() }
    }

    /// Returns what the authority says beside its answers.
    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }

    pub(super) async fn carry(
        &self,
        method: Method,
        url: &str,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<(response::Parts, Bytes), Error> {
        let host = &self.host;
        let unreachable = |error: reqwest::Error| {
            let what = if error.is_timeout() {
                format!("{host} does not answer in time")
            } else if error.is_connect() {
                format!("{host} cannot be reached")
            } else {
                format!("{host} breaks off")
            };
            // Its URL may be long, and is known.
            Error::retryable(AUTHORITY_UNREACHABLE, what).because(error.without_url())
        };
        headers.insert(USER_AGENT, AGENT);
        let sent = self.client.request(method, url).headers(headers).body(body).send().await;
        let mut answer = sent.map_err(unreachable)?;
        let (mut parts, ()) = http::Response::new(()).into_parts();
        (parts.status, parts.headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        self.heard.note(parts.headers.get(RETRY_AFTER), parts.status.as_u16());
        let mut body = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Error::retryable(
                    AUTHORITY_UNREACHABLE,
                    format!("{host} answers with more than a megabyte"),
                ));
            }
            body.extend_from_slice(&piece);
        }
        Ok((parts, body.freeze()))
    }
}
