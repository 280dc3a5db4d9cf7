//! Answers of one connection that are ready together are written together.
//!
//! The HTTP/2 library writes what it has whenever one of its streams has something, so that each answer, and each event of
//! each watch, is a TLS record, a system call and a wake-up of the client of its own. A [`Gathering`] stream keeps what is
//! written; the connection's [`Writer`] lets everybody else who can run at this moment have one turn, and then writes what
//! has come together. Nothing waits for a clock, and nothing waits at all when nobody else has a request on the connection.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most that is kept: what one TLS record holds (RFC 8446, section 5.1).
const GATHERED_BYTES_MAX: usize = 16 * 1024;

/// A stream whose writes are kept until its [`Writer`] lets them go.
pub(super) struct Gathering<S>(Arc<Mutex<Gathered<S>>>);

/// Lets go what a [`Gathering`] stream keeps; belongs to the task that drives the connection.
pub(super) struct Writer<S>(Arc<Mutex<Gathered<S>>>);

struct Gathered<S> {
    stream: S,
    bytes: BytesMut,
    /// Everybody else has had a turn since something was kept.
    has_yielded: bool,
}

/// Returns the two ends of a stream.
pub(super) fn gathering<S>(stream: S) -> (Gathering<S>, Writer<S>) {
    let shared = Arc::new(Mutex::new(Gathered { stream, bytes: BytesMut::new(), has_yielded: false }));
    (Gathering(Arc::clone(&shared)), Writer(shared))
}

/// One task holds both ends, so this never waits.
fn lock<S>(shared: &Mutex<Gathered<S>>) -> MutexGuard<'_, Gathered<S>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncWrite + Unpin> Writer<S> {
    /// Writes what is kept; call it whenever the connection has been polled. When `others` have requests on it, that is
    /// the next time the task runs, which is after everybody who can run now.
    ///
    /// # Errors
    /// What the stream says; the connection is at its end.
    pub(super) fn write(&self, context: &mut Context<'_>, others: bool) -> io::Result<()> {
        let mut gathered = lock(&self.0);
        if gathered.bytes.is_empty() {
            return Ok(());
        }
        if others && !gathered.has_yielded {
            gathered.has_yielded = true;
            context.waker().wake_by_ref();
            return Ok(());
        }
        match gathered.poll_write_out(context) {
            Poll::Ready(result) => result,
            // The stream wakes the task when it has room.
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    fn poll_write_out(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.bytes.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.bytes))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.bytes.advance(written);
        }
        // A connection at rest keeps no buffer.
        self.bytes = BytesMut::new();
        self.has_yielded = false;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Returns when `more` bytes can be kept, or when nothing is kept and they are too many to keep.
    fn poll_room(&mut self, context: &mut Context<'_>, more: usize) -> Poll<io::Result<bool>> {
        if self.bytes.len() + more > GATHERED_BYTES_MAX && !self.bytes.is_empty() {
            ready!(self.poll_write_out(context))?;
        }
        Poll::Ready(Ok(more <= GATHERED_BYTES_MAX))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.0).stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = lock(&self.0);
        let more = slices.iter().map(|slice| slice.len()).sum();
        if !ready!(gathered.poll_room(context, more))? {
            return Pin::new(&mut gathered.stream).poll_write_vectored(context, slices);
        }
        for slice in slices {
            gathered.bytes.extend_from_slice(slice);
        }
        Poll::Ready(Ok(more))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = lock(&self.0);
        if gathered.bytes.is_empty() {
            return Pin::new(&mut gathered.stream).poll_flush(context);
        }
        // The writer does it.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = lock(&self.0);
        ready!(gathered.poll_write_out(context))?;
        Pin::new(&mut gathered.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;

    /// Counts how often it was woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct World {
        gathering: Gathering<DuplexStream>,
        writer: Writer<DuplexStream>,
        client: DuplexStream,
        bell: Arc<Bell>,
    }

    impl World {
        /// A client that takes `room` bytes before it reads.
        fn new(room: usize) -> Self {
            let (server, client) = tokio::io::duplex(room);
            let (gathering, writer) = gathering(server);
            Self { gathering, writer, client, bell: Arc::default() }
        }

        async fn send(&mut self, bytes: &[u8]) {
            self.gathering.write_all(bytes).await.unwrap();
            self.gathering.flush().await.unwrap();
        }

        fn write(&self, others: bool) -> io::Result<()> {
            let waker = Waker::from(Arc::clone(&self.bell));
            self.writer.write(&mut Context::from_waker(&waker), others)
        }

        /// Returns what has arrived until now.
        fn arrived(&mut self) -> Vec<u8> {
            let mut bytes = vec![0; 1 << 20];
            let mut buffer = ReadBuf::new(&mut bytes);
            let waker = Waker::noop();
            match Pin::new(&mut self.client).poll_read(&mut Context::from_waker(waker), &mut buffer) {
                Poll::Ready(result) => result.unwrap(),
                Poll::Pending => {}
            }
            buffer.filled().to_vec()
        }

        fn rings(&self) -> usize {
            self.bell.0.load(Ordering::Relaxed)
        }
    }

    #[tokio::test]
    async fn what_comes_while_others_have_their_turn_is_written_together() {
        let mut world = World::new(1 << 20);
        world.send(b"a").await;
        world.write(true).unwrap();
        assert_eq!((world.arrived(), world.rings()), (vec![], 1), "the task runs again by itself");
        world.send(b"b").await;
        world.write(true).unwrap();
        assert_eq!((world.arrived(), world.rings()), (b"ab".to_vec(), 1));
        // What comes next has a turn of its own.
        world.send(b"c").await;
        world.write(true).unwrap();
        assert_eq!((world.arrived(), world.rings()), (vec![], 2));
        world.write(true).unwrap();
        assert_eq!(world.arrived(), b"c");
        world.write(true).unwrap();
        assert_eq!(world.rings(), 2, "nothing is kept, nobody is woken");
    }

    #[tokio::test]
    async fn nothing_waits_when_there_is_nobody_else() {
        let mut world = World::new(1 << 20);
        world.send(b"a").await;
        world.write(false).unwrap();
        assert_eq!((world.arrived(), world.rings()), (b"a".to_vec(), 0));
    }

    #[tokio::test]
    async fn what_is_more_than_may_be_kept_goes_on_in_order() {
        let sizes =
            [1, GATHERED_BYTES_MAX - 1, 1, GATHERED_BYTES_MAX, 7, GATHERED_BYTES_MAX + 1, 3 * GATHERED_BYTES_MAX, 9];
        let mut world = World::new(1 << 20);
        let mut expected = Vec::new();
        for (number, size) in sizes.into_iter().enumerate() {
            let bytes = vec![number as u8; size];
            world.send(&bytes).await;
            expected.extend(bytes);
        }
        let kept = expected.split_off(expected.len() - 9);
        assert_eq!(world.arrived(), expected);
        world.write(false).unwrap();
        assert_eq!(world.arrived(), kept);
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_gets_everything_and_a_closed_stream_keeps_nothing() {
        let World { mut gathering, writer, mut client, bell } = World::new(100);
        let expected: Vec<u8> = (0..50_000u32).flat_map(u32::to_le_bytes).collect();
        let bytes = expected.clone();
        let waker = Waker::from(bell);
        let sent = tokio::spawn(async move {
            for piece in bytes.chunks(1000) {
                gathering.write_all(piece).await.unwrap();
                gathering.flush().await.unwrap();
                writer.write(&mut Context::from_waker(&waker), true).unwrap();
            }
            gathering.shutdown().await.unwrap();
        });
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, expected);
        sent.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_has_gone_is_an_error() {
        let mut world = World::new(100);
        world.send(b"a").await;
        let (_, gone) = tokio::io::duplex(1);
        world.client = gone;
        assert_eq!(world.write(false).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
