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

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_write_buf;

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
    /// The stream may still hold something of what was written: TLS does while its socket is full.
    is_unflushed: bool,
}

/// Returns the two ends of a stream.
pub(super) fn gathering<S>(stream: S) -> (Gathering<S>, Writer<S>) {
    let gathered = Gathered { stream, bytes: BytesMut::new(), has_yielded: false, is_unflushed: false };
    let shared = Arc::new(Mutex::new(gathered));
    (Gathering(Arc::clone(&shared)), Writer(shared))
}

/// Writes all of `bytes`, which are as many fewer when it has to wait.
///
/// # Errors
/// What the stream says, and `WriteZero` when it takes nothing.
pub(super) fn poll_write_all<S: AsyncWrite + Unpin>(
    stream: &mut S,
    context: &mut Context<'_>,
    bytes: &mut impl Buf,
) -> Poll<io::Result<()>> {
    while bytes.has_remaining() {
        if ready!(poll_write_buf(Pin::new(&mut *stream), context, bytes))? == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
    }
    Poll::Ready(Ok(()))
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
        if gathered.bytes.is_empty() && !gathered.is_unflushed {
            return Ok(());
        }
        if others && !gathered.has_yielded && !gathered.bytes.is_empty() {
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
        self.is_unflushed |= self.bytes.has_remaining();
        ready!(poll_write_all(&mut self.stream, context, &mut self.bytes))?;
        // A connection at rest keeps no buffer.
        self.bytes = BytesMut::new();
        self.has_yielded = false;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_unflushed = false;
        Poll::Ready(Ok(()))
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
            gathered.is_unflushed = true;
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
            return gathered.poll_write_out(context);
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

    /// Takes everything at once and lets it go byte by byte, each time it is asked to flush: as TLS before a full socket.
    #[derive(Default)]
    struct Sluggish {
        taken: Vec<u8>,
        gone: Vec<u8>,
    }

    impl AsyncWrite for Sluggish {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.taken.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.taken.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let next = self.taken.remove(0);
            self.gone.push(next);
            context.waker().wake_by_ref();
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(context)
        }
    }

    #[tokio::test]
    async fn what_the_stream_still_holds_is_the_writers_business() {
        let (mut gathering, writer) = gathering(Sluggish::default());
        gathering.write_all(b"abc").await.unwrap();
        gathering.flush().await.unwrap();
        let bell: Arc<Bell> = Arc::default();
        let waker = Waker::from(Arc::clone(&bell));
        for rings in [1, 2, 3, 3] {
            writer.write(&mut Context::from_waker(&waker), false).unwrap();
            assert_eq!(bell.0.load(Ordering::Relaxed), rings);
        }
        assert_eq!(lock(&writer.0).stream.gone, b"abc");
    }
}
