//! What volumes hold: how much it is, and copies of it.
//!
//! ```text
//!   volume from ─ container, never started ─ GET archive ─► PUT archive ─ container, never started ─ volume to
//! ```
//!
//! The engine mounts the volumes of a container whenever it reads or writes its files, whether it runs or not. So any image
//! will do, and nothing of it is run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hyper::Method;
use serde_json::{Value, json};

use super::DockerEngine;
use super::client::{Client, Request};
use super::wire::{Created, RawVolumes};
use crate::error::Error;
use crate::swarm::{Engine as _, Removal, VolumeCopy};

/// Where volumes are mounted: a place that no image has, so that nothing of one gets into them.
const PARENT: &str = "/.cc-ci-volume";
/// The same with the name that entries of the archive begin with, on both sides.
const TARGET: &str = "/.cc-ci-volume/data";

/// Returns the sizes of all volumes.
pub(super) async fn bytes(client: &Client) -> Result<BTreeMap<String, u64>, Error> {
    // Engines before 23.0 pass over the type and count everything.
    let request = Request::get("/system/df").query("type", "volume");
    let raw: RawVolumes = serde_json::from_slice(&client.call_unhurried(&request).await?)
        .map_err(|error| Error::bug("EngineAnswerUnknown", "the sizes of volumes are not understood").because(error))?;
    Ok(raw.volumes.into_iter().filter_map(super::wire::RawVolume::into_size).collect())
}

/// Copies a volume.
pub(super) async fn copy(engine: &DockerEngine, client: &Arc<Client>, copy: &VolumeCopy) -> Result<(), Error> {
    let (reader, writer) = (container_name(copy, "read"), container_name(copy, "write"));
    // What a copy left that was cut off.
    remove(engine, &[&reader, &writer]).await?;
    if let Removal::InUse(why) = engine.remove_volume(&copy.to.name).await? {
        return Err(Error::retryable("VolumeInUse", format!("the volume {} is in use: {why}", copy.to.name)));
    }
    engine.create_volume(&copy.to).await?;
    let result = through(engine, client, copy, (&reader, &writer)).await;
    let removed = remove(engine, &[&reader, &writer]).await;
    result?;
    removed?;
    // An engine that cannot read a file leaves it out of the archive without a word.
    let sizes = bytes(client).await?;
    match (sizes.get(&copy.from), sizes.get(&copy.to.name)) {
        (Some(from), Some(to)) if from != to => {
            let message = format!("only {to} of {from} bytes of the volume {} came over", copy.from);
            Err(Error::retryable("VolumeCopyIncomplete", message))
        }
        _ => Ok(()),
    }
}

async fn through(
    engine: &DockerEngine,
    client: &Arc<Client>,
    copy: &VolumeCopy,
    (reader, writer): (&str, &str),
) -> Result<(), Error> {
    let image = smallest_image(engine).await?;
    let reader = create(client, &container(copy, &image, &copy.from, true), reader).await?;
    let writer = create(client, &container(copy, &image, &copy.to.name, false), writer).await?;
    let archive = Request::get(&format!("/containers/{reader}/archive")).query("path", TARGET);
    let archive = client.open(&archive).await?.into_body();
    let unpack = Request::new(Method::PUT, &format!("/containers/{writer}/archive")).query("path", PARENT);
    client.pass_on(&unpack, "application/x-tar", archive).await?;
    Ok(())
}

/// Returns the id of the image that costs least to make a container of.
async fn smallest_image(engine: &DockerEngine) -> Result<String, Error> {
    let images = engine.images().await?;
    let smallest = images.into_iter().min_by_key(|image| (image.bytes, image.id.clone()));
    smallest
        .map(|image| image.id)
        .ok_or_else(|| Error::blocked("NoImage", "the engine has no image at all, to reach into volumes with"))
}

fn container(copy: &VolumeCopy, image: &str, volume: &str, is_read_only: bool) -> Value {
    json!({
        "Image": image,
        "Entrypoint": ["never-started"],
        "Labels": copy.labels,
        "HostConfig": {
            "NetworkMode": "none",
            "Mounts": [{
                "Type": "volume", "Source": volume, "Target": TARGET, "ReadOnly": is_read_only,
                "VolumeOptions": {"NoCopy": true},
            }],
        },
    })
}

async fn create(client: &Client, body: &Value, name: &str) -> Result<String, Error> {
    let request = Request::post("/containers/create").query("name", name).json(body)?;
    let created: Created = client.json(&request).await?;
    Ok(created.id)
}

/// Returns a name that the same copy always has.
fn container_name(copy: &VolumeCopy, side: &str) -> String {
    format!("{}.{side}", copy.to.name)
}

async fn remove(engine: &DockerEngine, names: &[&str]) -> Result<(), Error> {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    for name in names {
        engine.remove_container(name).await?;
    }
    Ok(())
}
