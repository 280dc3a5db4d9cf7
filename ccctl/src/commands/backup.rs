//! `ccctl backup` and `ccctl restore`: through the server's admin paths when it has them.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;

use crate::client::request::{Accept, ApiRequest};
use crate::error::{CommandError, Outcome, Result};
use crate::output::text;
use crate::session::Session;

/// Where a server offers backups.
const BACKUP_PATH: &str = "/admin/backup";
/// Where a server takes a backup back.
const RESTORE_PATH: &str = "/admin/restore";

/// Save everything that the server keeps to a file
///
/// The file holds every object, secrets included (encrypted with the server's key).
#[derive(Clone, Debug, Args)]
pub struct BackupArguments {
    /// File to write; it must not exist
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Replace everything that the server keeps with a backup
#[derive(Clone, Debug, Args)]
pub struct RestoreArguments {
    /// File to read
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
}

/// Runs `backup`.
///
/// # Errors
/// The server offers none; the file exists or cannot be written; the connection breaks, which leaves no file.
pub async fn backup(session: &Session, arguments: BackupArguments) -> Result<Outcome> {
    let file = &arguments.file;
    if file.exists() {
        return Err(
            CommandError::user(format!("{} exists already", file.display())).hint("name another file, or move it away")
        );
    }
    let request = ApiRequest::get(BACKUP_PATH).accept(Accept::Any).unbounded();
    let client = session.client()?;
    if client.shows_requests() {
        client.show(&request)?;
        return Ok(Outcome::Success);
    }
    let failed = |error: std::io::Error| CommandError::user(format!("cannot write {}: {error}", file.display()));
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut response = match client.stream(&request).await {
        Err(error) if error.is_not_found() => return Err(not_offered("backup", file)),
        other => other?,
    };
    let mut written = 0.0;
    while let Some(chunk) = response.chunk().await.map_err(|error| client.unreachable(&error))? {
        temporary.write_all(&chunk).map_err(failed)?;
        written += f64::from(u32::try_from(chunk.len()).unwrap_or(u32::MAX));
    }
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist_noclobber(file).map_err(|error| failed(error.error))?;
    session.note(&format!("{} written to {}", text::bytes(written), file.display()));
    Ok(Outcome::Success)
}

/// Runs `restore`.
///
/// # Errors
/// The server takes none; the file cannot be read; the person says no; the server refuses.
pub async fn restore(session: &Session, arguments: RestoreArguments) -> Result<Outcome> {
    let file = &arguments.file;
    let content =
        std::fs::read(file).map_err(|error| CommandError::user(format!("cannot read {}: {error}", file.display())))?;
    // Asked before the person is: a server that takes no backups has no such path at all.
    if let Err(error) = session.client()?.answer(ApiRequest::get(RESTORE_PATH).accept(Accept::Any)).await
        && (error.is_not_found() || error.status.is_none())
    {
        return Err(if error.is_not_found() { not_offered("restore", file) } else { error });
    }
    let server = session.connection()?.server.clone();
    if !arguments.yes && !session.shows_requests() {
        confirm(session, &format!("Everything that {server} keeps is replaced by {}.", file.display()))?;
    }
    let mut request = ApiRequest::new(Method::POST, RESTORE_PATH).unbounded();
    request.body = Some(("application/octet-stream", content));
    if session.shows_requests() {
        request.body = Some(("application/octet-stream", format!("@{}", file.display()).into_bytes()));
        session.client()?.show(&request)?;
        return Ok(Outcome::Success);
    }
    session.client()?.answer(request).await?;
    session.note(&format!("{server} restored from {}", file.display()));
    Ok(Outcome::Success)
}

/// Returns the error for a server without the path, with the command that does the same on its machine.
fn not_offered(verb: &str, file: &Path) -> CommandError {
    CommandError::user(format!("this server does not offer {verb} through its API"))
        .exit_with(1)
        .hint(format!("on the server's machine, as its user: `ccd {verb} {}`", file.display()))
}

fn confirm(session: &Session, warning: &str) -> Result<()> {
    if !session.environment.stdin_is_terminal {
        return Err(CommandError::user(format!("{warning} Nobody is here to confirm that")).hint("say so with --yes"));
    }
    eprint!("{warning} Type yes to go on: ");
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CommandError::user(format!("cannot read the answer: {error}")))?;
    if answer.trim() == "yes" { Ok(()) } else { Err(CommandError::user("nothing was changed").exit_with(1)) }
}
