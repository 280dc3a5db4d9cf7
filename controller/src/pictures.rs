//! Draws the web pages' pictures with a camera.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ports::camera::{Camera, Subject};
use ports::error::chain;
use webui::pictures::Painter;

use crate::runtime::outcome::sentence;

/// A camera that draws pages.
pub struct CameraPainter(pub Arc<dyn Camera>);

impl Painter for CameraPainter {
    fn paint(&self, html: String, width: u32, height: u32) -> BoxFuture<'_, Result<Bytes, String>> {
        async move {
            let picture = self.0.picture(&Subject::Page(html), width, height).await;
            picture.map(Bytes::from).map_err(|error| sentence(&chain(&error)))
        }
        .boxed()
    }
}
