//! [`blocking`]: work on files, beside the threads that serve.

use super::outcome::Failure;

/// Runs work that blocks on a thread that may.
///
/// # Errors
/// A `Bug` when it panics.
pub async fn blocking<Output: Send + 'static>(
    work: impl FnOnce() -> Output + Send + 'static,
) -> Result<Output, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::bug(format!("work on files panicked: {error}")))
}
