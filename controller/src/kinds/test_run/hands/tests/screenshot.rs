//! Pictures of apps, with a camera that notes what it is asked for.

use std::sync::Mutex;

use async_trait::async_trait;
use ports::camera::{Camera, Picture, Subject};
use ports::error::Error;
use ports::probe::ConnectRules;

use super::*;
use crate::pictures::AppCamera;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nplayed";

/// Takes the same picture of everything, or none; or takes for ever.
#[derive(Default)]
struct Played {
    asked: Mutex<Vec<Subject>>,
    fails: bool,
    hangs: bool,
    document: &'static str,
}

#[async_trait]
impl Camera for Played {
    async fn picture(&self, subject: &Subject, _width: u32, _height: u32) -> Result<Picture, Error> {
        self.asked.lock().unwrap().push(subject.clone());
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err(Error::terminal("NoPicture", "Chromium takes no picture"));
        }
        Ok(Picture { png: PNG.to_vec(), document: self.document.as_bytes().to_vec() })
    }
}

/// Returns the names of the artifacts, and what the camera was asked for.
async fn taken(bench: &mut Bench, camera: Played, zone: &str) -> (Vec<String>, Vec<Subject>) {
    let camera = Arc::new(camera);
    let zones = [(zone.to_owned(), "127.0.0.1:8443".parse().unwrap())].into();
    bench.outside.camera = Some(AppCamera { camera: camera.clone(), connect: ConnectRules { zones } });
    let artifacts = pictures::take(&bench.job(json!({"health": {"path": "/start"}}))).await;
    let asked = camera.asked.lock().unwrap().clone();
    (artifacts.into_iter().map(|artifact| format!("{} {}", artifact.name, artifact.media_type)).collect(), asked)
}

#[tokio::test(start_paused = true)]
async fn the_app_is_looked_at_where_the_rules_say_that_it_is() {
    let mut bench = Bench::new(&[]).await;
    let (artifacts, asked) = taken(&mut bench, Played::default(), "example").await;
    assert_eq!(artifacts, ["screenshot.png image/png"]);
    let url = "https://x.example/start".to_owned();
    let host = "x.example".to_owned();
    assert_eq!(asked, [Subject::Site { url, host, address: "127.0.0.1:8443".parse().unwrap() }]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_had_is_left_out() {
    let mut bench = Bench::new(&[]).await;
    let nothing = Vec::<String>::new();
    assert_eq!(taken(&mut bench, Played::default(), "other").await, (nothing.clone(), Vec::new()), "there is no rule");
    let fails = Played { fails: true, ..Played::default() };
    assert_eq!(taken(&mut bench, fails, "example").await.0, nothing);
    let hangs = Played { hangs: true, ..Played::default() };
    let began = tokio::time::Instant::now();
    assert_eq!(taken(&mut bench, hangs, "example").await.0, nothing);
    assert!(began.elapsed() <= Duration::from_secs(46), "{:?}", began.elapsed());
    bench.outside.redactor.insert("a", b"hunter2-secret");
    let tells = Played { document: "<p>your token: hunter2-secret</p>", ..Played::default() };
    assert_eq!(taken(&mut bench, tells, "example").await.0, nothing, "nobody takes a secret out of a picture");
    let tells = Played { document: "<p>your token: aHVudGVyMi1zZWNyZXQ=</p>", ..Played::default() };
    assert_eq!(taken(&mut bench, tells, "example").await.0, nothing, "in whatever form");
    bench.outside.camera = None;
    assert_eq!(pictures::take(&bench.job(json!({}))).await, Vec::new());
}
