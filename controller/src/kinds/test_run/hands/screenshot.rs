//! A picture of the app as people see it, taken before it is removed. It is for people alone: whatever goes wrong is a line
//! in the log, and there is no picture.

use std::time::Duration;

use api_types::kinds::test_run::Artifact;
use ports::camera::Subject;
use ports::error::chain;
use ports::probe::{HTTPS_PORT, HttpProbe};

use super::{Job, evidence};
use crate::pictures::AppCamera;

/// The artifact's name: the web pages look for it.
const NAME: &str = "screenshot.png";
/// Width and height, as on a small laptop.
const SIZE: (u32, u32) = (1280, 800);
/// How long all of it may take.
const TIME_MAX: Duration = Duration::from_secs(45);

/// Takes the picture, if it can be had.
pub(super) async fn take(job: &Job) -> Vec<Artifact> {
    let Some(camera) = &job.outside.camera else { return Vec::new() };
    let late = || format!("it took longer than {} s", TIME_MAX.as_secs());
    let taken = tokio::time::timeout(TIME_MAX, picture(job, camera)).await.unwrap_or_else(|_| Err(late()));
    match taken {
        Ok(artifact) => {
            job.say(format!("{NAME}: {} bytes", artifact.bytes)).await;
            vec![artifact]
        }
        Err(why) => {
            job.say(format!("there is no picture of the app: {}", job.clean(&why))).await;
            Vec::new()
        }
    }
}

async fn picture(job: &Job, camera: &AppCamera) -> Result<Artifact, String> {
    let path = &job.order.recipe.spec.health.path;
    let no_rule = || format!("probe.connect says nothing about {}", job.domain);
    let address = camera.connect.address(&job.domain, HTTPS_PORT).ok_or_else(no_rule)?;
    let mut probe = HttpProbe::https(&job.domain, path.as_str());
    probe.scheme = crate::kinds::app::health::scheme(job.order.recipe.spec.health.tls);
    let report = job.outside.probe.http(&probe).await;
    if report.status.is_none() {
        return Err(report.message);
    }
    let url = format!("https://{}{}", job.domain, path.as_str());
    let site = Subject::Site { url, host: job.domain.clone(), address };
    let picture = camera.camera.picture(&site, SIZE.0, SIZE.1).await.map_err(|error| chain(&error))?;
    // Nobody can take a secret out of a picture. What the scripts wrote is there as well.
    let document = String::from_utf8_lossy(&picture.document);
    if job.clean(&document) != document {
        return Err("the page shows a secret".to_owned());
    }
    evidence::put(job, NAME, picture.png).await.map_err(|failure| failure.message)
}
