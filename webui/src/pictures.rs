//! The summary card of a run as a picture, where a Chromium can draw it. It shows what the pages show and decides
//! nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::status::{Reason, Status};
use apiserver::pods::ArtifactRequest;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use maud::{DOCTYPE, PreEscaped, html};

use crate::answer::{Answer, raw};
use crate::assets::STYLE;
use crate::index::RUNS;
use crate::pages::card;
use crate::route::Place;
use crate::router::not_found;
use crate::view::{hash, safe::safe};
use crate::visit::Visit;

/// Width and height of a card, as messengers like them.
const CARD_SIZE: (u32, u32) = (1200, 630);
/// Cards that are kept: one is drawn in a second or two.
const KEPT_MAX: usize = 32;
/// Larger screenshots are left out.
const SCREENSHOT_BYTES_MAX: usize = 2 << 20;

/// Draws pages.
pub trait Painter: Send + Sync {
    /// Returns a page, which holds everything that is on it, as a PNG of this many pixels.
    ///
    /// # Errors
    /// A sentence for people.
    fn paint(&self, html: String, width: u32, height: u32) -> BoxFuture<'_, Result<Bytes, String>>;
}

/// A painter, and what it painted last.
#[derive(Clone)]
pub(crate) struct Gallery {
    painter: Arc<dyn Painter>,
    kept: Arc<Mutex<VecDeque<(String, Bytes)>>>,
}

impl Gallery {
    pub(crate) fn new(painter: Arc<dyn Painter>) -> Self {
        Self { painter, kept: Arc::default() }
    }

    async fn picture(&self, page: String) -> Result<Bytes, String> {
        let key = hash(&page);
        let known = |kept: &VecDeque<(String, Bytes)>| {
            kept.iter().find(|(of, _)| *of == key).map(|(_, picture)| picture.clone())
        };
        if let Some(picture) = known(&self.kept.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(picture);
        }
        let picture = self.painter.paint(page, CARD_SIZE.0, CARD_SIZE.1).await?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front((key, picture.clone()));
        kept.truncate(KEPT_MAX);
        Ok(picture)
    }
}

/// Answers with the card of a run as a picture.
///
/// # Errors
/// `NotFound` when there is no such run, or nothing that draws; `ServiceUnavailable` when drawing fails.
pub(crate) async fn answer(visit: &Visit, place: &Place) -> Result<Answer, Status> {
    let gallery = visit.gallery.clone().ok_or_else(|| {
        let message = "this server draws no pictures: CC_CHROMIUM names no Chromium; the card without `.png` is a page";
        Status::failure(Reason::NotFound, message)
    })?;
    let page = page(visit, place).await?;
    let picture = gallery.picture(page).await.map_err(|why| Status::failure(Reason::ServiceUnavailable, why))?;
    Ok(raw(200, "image/png", Body::from(picture)))
}

/// Returns the card as a page that holds everything that is on it.
async fn page(visit: &Visit, place: &Place) -> Result<String, Status> {
    let run = visit.state.get(RUNS, &place.key()).ok_or_else(not_found)?;
    let request = ArtifactRequest {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        uid: run.uid().to_owned(),
        file: card::SCREENSHOT.to_owned(),
    };
    // Whoever sees the run need not see what it left.
    let may = visit.sees_artifacts(&place.namespace, &place.name);
    let screenshot = if may { visit.api.logs.artifact(request).await.ok() } else { None };
    let is_shown = |content: &Bytes| content.len() <= SCREENSHOT_BYTES_MAX && content.starts_with(b"\x89PNG\r\n\x1a\n");
    let source = screenshot
        .filter(|file| is_shown(&file.content))
        .map(|file| format!("data:image/png;base64,{}", STANDARD.encode(&file.content)));
    let card = card::card_with(visit, place, source.as_deref())?;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"; style { (PreEscaped(STYLE)) } }
            body data-page="picture" { main { (card) } }
        }
    };
    Ok(safe(document.into_string()))
}
