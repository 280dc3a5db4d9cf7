//! What is done with a camera: the web pages' pictures are drawn, and apps are looked at.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use ports::camera::{Camera, Subject};
use ports::error::chain;
use ports::probe::ConnectRules;
use webui::pictures::Painter;

use crate::runtime::outcome::sentence;

/// A camera that draws pages.
pub struct CameraPainter(pub Arc<dyn Camera>);

/// A camera that looks at apps as people do, from outside.
#[derive(Clone)]
pub struct AppCamera {
    /// The camera.
    pub camera: Arc<dyn Camera>,
    /// Where apps are reached. An app without a rule is not looked at: nobody knows what the DNS would lead to.
    pub connect: ConnectRules,
}

impl Painter for CameraPainter {
    fn paint(&self, html: String, width: u32, height: u32) -> BoxFuture<'_, Result<Bytes, String>> {
        async move {
            let picture = self.0.picture(&Subject::Page(html), width, height).await;
            picture.map(|picture| Bytes::from(picture.png)).map_err(|error| sentence(&chain(&error)))
        }
        .boxed()
    }
}
