//! Commands and files in containers.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::Method;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client::{Client, Request};
use super::refusal::{CallError, Refusal};
use super::streams::{Frame, Frames, Pieces};
use super::wire::{Created, RawExec};
use crate::error::Error;
use crate::swarm::{CALL_TIME_MAX, EXEC_OUTPUT_BYTES_MAX, ExecResult, ExecSpec};

/// How often an exec whose output has ended is asked for its exit code, which may come a moment later.
const EXIT_POLL: Duration = Duration::from_millis(20);

/// Runs a command in a container.
pub(super) async fn exec(client: &Client, container_id: &str, exec: &ExecSpec) -> Result<ExecResult, Error> {
    let time_max = if exec.time_max.is_zero() { CALL_TIME_MAX } else { exec.time_max };
    match tokio::time::timeout(time_max, run(client, container_id, exec)).await {
        Ok(result) => result,
        Err(_) => {
            let program = exec.command.first().map_or("the command", String::as_str);
            let message = format!("{program} did not end within {} s", time_max.as_secs_f64());
            Err(Error::retryable("ExecTimeout", message))
        }
    }
}

async fn run(client: &Client, container_id: &str, exec: &ExecSpec) -> Result<ExecResult, Error> {
    let body = json!({
        "Cmd": exec.command,
        "User": exec.user,
        "Env": exec.env,
        "AttachStdin": !exec.input.is_empty(),
        "AttachStdout": true,
        "AttachStderr": true,
        "Tty": false,
    });
    let request = Request::post(&format!("/containers/{container_id}/exec")).json(&body)?;
    let created: Created = client.json(&request).await.map_err(|error| refused(error, container_id))?;
    let request =
        Request::post(&format!("/exec/{}/start", created.id)).json(&json!({"Detach": false, "Tty": false}))?;
    let response = client.open(&request.upgrade()).await.map_err(|error| refused(error, container_id))?;
    let connection = hyper::upgrade::on(response)
        .await
        .map_err(|error| client.broken("it does not pass on input and output").because(error))?;
    let broke = |error: std::io::Error| client.broken("the connection broke").because(error);
    let (mut output, mut input) = tokio::io::split(TokioIo::new(connection));
    let feed = async {
        // A program that does not read to the end is no error.
        if !exec.input.is_empty() && input.write_all(&exec.input).await.is_ok() {
            let _ = input.shutdown().await;
        }
    };
    let read = async {
        let mut frames = Frames::new(false);
        let (mut kept, mut is_truncated) = (Vec::new(), false);
        let mut piece = vec![0; 32 << 10];
        loop {
            while let Some(frame) = frames.next()? {
                let Frame::Output(bytes) = frame else { continue };
                let room = EXEC_OUTPUT_BYTES_MAX - kept.len();
                kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
                is_truncated |= bytes.len() > room;
            }
            match output.read(&mut piece).await.map_err(broke)? {
                0 => return Ok::<_, Error>((kept, is_truncated)),
                read => frames.push(&piece[..read]),
            }
        }
    };
    let ((), read) = tokio::join!(feed, read);
    let (output, is_truncated) = read?;
    let exit_code = exit_code(client, &created.id, container_id).await?;
    // An engine that could not start the program says so in its output.
    let text = String::from_utf8_lossy(&output[..output.len().min(1000)]);
    if matches!(exit_code, 126 | 127) && (is_start_failure(&text) || text.contains("OCI runtime exec failed")) {
        return Err(not_found(text.trim()));
    }
    Ok(ExecResult { exit_code, output, is_truncated })
}

async fn exit_code(client: &Client, exec_id: &str, container_id: &str) -> Result<i64, Error> {
    loop {
        let request = Request::get(&format!("/exec/{exec_id}/json"));
        let exec: RawExec = client.json(&request).await.map_err(|error| refused(error, container_id))?;
        match exec.exit_code {
            Some(code) if !exec.running => return Ok(code),
            _ => tokio::time::sleep(EXIT_POLL).await,
        }
    }
}

fn is_start_failure(text: &str) -> bool {
    text.contains("executable file not found") || text.contains("no such file or directory")
}

fn not_found(message: &str) -> Error {
    Error::terminal("CommandNotFound", format!("the command cannot be started in the container: {message}"))
}

/// Returns what it means that the engine refuses a command.
fn refused(error: CallError, container_id: &str) -> Error {
    match error {
        CallError::Refused(refusal) if is_start_failure(&refusal.message) => not_found(&refusal.message),
        CallError::Refused(refusal) => not_running(refusal, container_id),
        error @ CallError::Failed(_) => error.into(),
    }
}

fn not_running(refusal: Refusal, container_id: &str) -> Error {
    let is_gone = refusal.is_not_found() || refusal.says("no such container");
    if is_gone || refusal.says("is not running") || refusal.says("is paused") || refusal.says("is restarting") {
        let message = format!("the container {container_id} does not run: {}", refusal.message);
        return Error::retryable("ContainerNotRunning", message);
    }
    refusal.into()
}

/// Returns what it means that the engine refuses to hand a file over.
fn archive_refused(error: CallError, container_id: &str, path: &str) -> Error {
    match error {
        CallError::Refused(refusal) if refusal.is_not_found() && !refusal.says("no such container") => {
            Error::terminal("PathNotFound", format!("there is no {path} in the container {container_id}"))
        }
        CallError::Refused(refusal) => not_running(refusal, container_id),
        error @ CallError::Failed(_) => error.into(),
    }
}

/// Returns a tar archive of a path in a container.
pub(super) async fn read_archive(
    client: &Arc<Client>,
    container_id: &str,
    path: &str,
    bytes_max: usize,
) -> Result<Bytes, Error> {
    let request = Request::get(&format!("/containers/{container_id}/archive")).query("path", path);
    let response = client.open(&request).await.map_err(|error| archive_refused(error, container_id, path))?;
    let mut pieces = Pieces::new(response.into_body(), client.clone());
    let mut archive = BytesMut::new();
    while let Some(bytes) = pieces.next().await? {
        if archive.len() + bytes.len() > bytes_max {
            let message = format!("{path} of the container {container_id} is larger than {bytes_max} bytes");
            return Err(Error::terminal("ArchiveTooLarge", message));
        }
        archive.extend_from_slice(&bytes);
    }
    Ok(archive.freeze())
}

/// Unpacks a tar archive in a container.
pub(super) async fn write_archive(
    client: &Client,
    container_id: &str,
    path: &str,
    archive: Bytes,
) -> Result<(), Error> {
    let request = Request::new(Method::PUT, &format!("/containers/{container_id}/archive"))
        .query("path", path)
        .bytes("application/x-tar", archive);
    match client.call(&request).await {
        Ok(_) => Ok(()),
        Err(error) => Err(archive_refused(error, container_id, path)),
    }
}
