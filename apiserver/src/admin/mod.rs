//! What the daemon does for `ccd backup` and `ccd export` while it runs.
//!
//! Served under [`BACKUP_PATH`] through the same chain as everything else; only who may do everything gets it.

pub mod client;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use store::backup::write_backup;
use store::keyring::Keyring;
use store::state::State;
use tokio::sync::mpsc;

/// Where a backup is read from.
pub const BACKUP_PATH: &str = "/admin/backup";
/// Content type of a backup: JSON lines.
pub const BACKUP_CONTENT_TYPE: &str = "application/jsonl";

const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a slow reader. When they do, the writing thread waits too; the store does not notice.
const CHUNKS_MAX: usize = 8;

/// Returns a backup of `state` as a stream. When the reader goes away the work stops; when the writing fails the
/// stream breaks off, so that a part is never taken for the whole.
pub fn backup_body(state: Arc<State>, keyring: Arc<Keyring>) -> Body {
    let (sender, receiver) = mpsc::channel(CHUNKS_MAX);
    let failed = sender.clone();
    // Its end is the channel's end: nobody else has to wait for it.
    drop(tokio::task::spawn_blocking(move || {
        let mut output = ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK_BYTES) };
        if let Err(error) = write_backup(&state, &keyring, &mut output) {
            // The reader may be the reason, and gone.
            let _ = failed.blocking_send(Err(error));
        }
    }));
    Body::from_stream(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

/// Sends what is written in chunks.
struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        self.sender.blocking_send(Ok(Bytes::from(chunk))).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
