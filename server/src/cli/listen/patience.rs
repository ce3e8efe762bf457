//! How long an HTTP connection is waited for: by whoever sends a head, whoever is idle, and whoever does not read its answer.
//!
//! hyper has one timer for the head, which also runs while a connection is idle, and none for writing. This wraps the socket below it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{HttpConnection, Phase};

/// Bytes a second that a client has to read of its answer beside its first [`Patience::write`], on average: a slower one would hold
/// the memory of the answer for as long as it likes.
const LEAST_BYTES_A_SECOND: u64 = 4 * 1024;

/// For how long to wait; `None`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// From the first byte of a request's head to its last; for the first head, from the connection's beginning.
    pub(super) head: Option<Duration>,
    /// From an answer to the first byte of the next request.
    pub(super) idle: Option<Duration>,
    /// For a client that doesn't read its answer.
    pub(super) write: Option<Duration>,
}

/// A socket that is given up when its time is over. Once it is a WebSocket it has no times here.
pub(super) struct Patient<S> {
    inner: S,
    connection: Arc<HttpConnection>,
    patience: Patience,
    reading: Timer,
    writing: Timer,
    /// Since when the system takes no more bytes, and how many it took since; `None` while it takes all.
    stalled: Option<(Instant, u64)>,
}

/// A timer that is only made when it is needed: most sockets become WebSockets.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    set: bool,
}

impl Timer {
    fn set(&mut self, at: Instant) {
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.sleep = Some(Box::pin(sleep_until(at))),
        }
        self.set = true;
    }

    fn clear(&mut self) {
        self.set = false;
    }

    /// Whether it is over; else the task is woken when it is.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.set && self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

impl<S> Patient<S> {
    /// A socket whose first head is waited for from now on.
    pub(super) fn new(inner: S, connection: Arc<HttpConnection>, patience: Patience) -> Self {
        let mut patient =
            Self { inner, connection, patience, reading: Timer::default(), writing: Timer::default(), stalled: None };
        patient.wait_for(patience.head);
        patient
    }

    fn wait_for(&mut self, limit: Option<Duration>) {
        match limit {
            Some(limit) => self.reading.set(Instant::now() + limit),
            None => self.reading.clear(),
        }
    }

    /// What a write came to. One that can't go on has its time.
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let Some(limit) = self.patience.write.filter(|_| self.connection.phase() != Phase::Upgraded) else { return result };
        if result.is_ready() {
            return result;
        }
        let (since, taken) = *self.stalled.get_or_insert_with(|| (Instant::now(), 0));
        self.writing.set(give_up(since, limit, taken));
        if self.writing.is_over(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")));
        }
        Poll::Pending
    }

    fn took(&mut self, result: &Poll<io::Result<usize>>) {
        if let (Poll::Ready(Ok(bytes)), Some((_, taken))) = (result, &mut self.stalled) {
            *taken += *bytes as u64;
        }
    }
}

/// When a client is given up that took so many bytes since its socket was full.
fn give_up(since: Instant, limit: Duration, taken: u64) -> Instant {
    since + limit + Duration::from_secs(taken / LEAST_BYTES_A_SECOND)
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let phase = this.connection.phase();
        match phase {
            Phase::Busy | Phase::Flushing | Phase::Upgraded => return Pin::new(&mut this.inner).poll_read(cx, buf),
            // No byte is the end: hyper then says goodbye as it does to a client that went.
            Phase::Evicted => return Poll::Ready(Ok(())),
            Phase::Idle => this.connection.register(cx.waker()),
            Phase::Head => {}
        }
        let before = buf.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if phase == Phase::Idle && buf.filled().len() > before {
                if !this.connection.step(Phase::Idle, Phase::Head) {
                    buf.set_filled(before);
                    return Poll::Ready(Ok(()));
                }
                this.wait_for(this.patience.head);
            }
            return Poll::Ready(read);
        }
        // Looked at after the waker was registered: an eviction in between is not missed.
        if this.reading.is_over(cx) || this.connection.phase() == Phase::Evicted {
            this.connection.step(Phase::Idle, Phase::Evicted);
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.inner).poll_write(cx, data);
        this.took(&result);
        this.written(cx, result)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.inner).poll_write_vectored(cx, data);
        this.took(&result);
        this.written(cx, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.inner).poll_flush(cx);
        ready!(this.written(cx, result))?;
        this.stalled = None;
        if this.connection.step(Phase::Flushing, Phase::Idle) {
            // Here and not at the next read: hyper may have read already, and wait for nothing but this socket.
            this.wait_for(this.patience.idle);
            this.connection.register(cx.waker());
            if this.reading.is_over(cx) {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.inner).poll_shutdown(cx);
        this.written(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const SHORT: Duration = Duration::from_millis(50);

    fn patient(patience: Patience) -> (Patient<DuplexStream>, DuplexStream, Arc<HttpConnection>) {
        let (ours, theirs) = duplex(1024);
        let connection = Arc::new(HttpConnection::default());
        (Patient::new(ours, connection.clone(), patience), theirs, connection)
    }

    /// Answers a request as hyper does, so that the connection is idle.
    async fn answered(patient: &mut Patient<DuplexStream>, connection: &HttpConnection) {
        connection.begin();
        assert!(connection.step(Phase::Busy, Phase::Flushing));
        patient.flush().await.unwrap();
        assert_eq!(connection.phase(), Phase::Idle);
    }

    /// The time of a head passes, and whatever was set before for that time is over.
    async fn time_of_a_head() {
        let (mut silent, _theirs, _) = patient(Patience { head: Some(SHORT), ..Patience::default() });
        let began = Instant::now();
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(began.elapsed() >= SHORT);
    }

    #[tokio::test]
    async fn an_idle_connection_outlives_the_time_of_a_head_which_counts_from_its_first_byte() {
        let (mut patient, mut theirs, connection) = patient(Patience { head: Some(SHORT), ..Patience::default() });
        answered(&mut patient, &connection).await;
        time_of_a_head().await;
        theirs.write_all(b"G").await.unwrap();
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 1, "it was idle, and is not ended");
        theirs.write_all(b"E").await.unwrap();
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 1);
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 0, "a head that is never complete");
        assert_eq!(connection.phase(), Phase::Head);
    }

    #[tokio::test]
    async fn an_idle_connection_ends_after_its_time_or_when_it_is_evicted() {
        let (mut patient, _theirs, connection) = patient(Patience { idle: Some(SHORT), ..Patience::default() });
        let began = Instant::now();
        answered(&mut patient, &connection).await;
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(began.elapsed() >= SHORT && connection.phase() == Phase::Evicted);

        let connections = crate::limits::HttpConnections::new(Some(1));
        let (mut patient, _theirs2, connection) = self::patient(Patience::default());
        let ip = std::net::IpAddr::from([192, 0, 2, 1]);
        let _place = connections.admit(ip, &connection).unwrap();
        answered(&mut patient, &connection).await;
        let ended = tokio::spawn(async move { patient.read(&mut [0; 8]).await });
        tokio::task::yield_now().await;
        let _other = connections.admit(ip, &Arc::default()).unwrap();
        assert_eq!(ended.await.unwrap().unwrap(), 0);
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_given_up_and_one_that_reads_is_not() {
        let patience = Patience { write: Some(SHORT), ..Patience::default() };
        let (mut unread, _theirs, connection) = patient(patience);
        connection.begin();
        let began = Instant::now();
        let error = unread.write_all(&[0; 64 * 1024]).await.unwrap_err();
        assert!(error.kind() == io::ErrorKind::TimedOut && began.elapsed() >= SHORT);

        let (mut read, mut theirs, connection) = patient(Patience { write: Some(Duration::from_secs(60)), ..patience });
        connection.begin();
        let reading = tokio::spawn(async move { theirs.read_exact(&mut vec![0; 64 * 1024]).await.map(drop) });
        read.write_all(&[0; 64 * 1024]).await.unwrap();
        reading.await.unwrap().unwrap();
    }

    #[test]
    fn what_a_slow_client_reads_gives_it_time_for_more() {
        let since = Instant::now();
        let limit = Duration::from_secs(10);
        assert_eq!(give_up(since, limit, 0) - since, limit);
        assert_eq!(give_up(since, limit, 40 * 1024) - since, limit * 2, "4 KiB a second");
    }

    #[tokio::test]
    async fn a_websocket_has_none_of_these_times() {
        let (mut patient, mut theirs, connection) =
            patient(Patience { head: Some(SHORT), idle: Some(SHORT), write: Some(SHORT) });
        connection.begin();
        connection.upgraded();
        time_of_a_head().await;
        theirs.write_all(b"hello").await.unwrap();
        assert_eq!(patient.read(&mut [0; 8]).await.unwrap(), 5);
        let writing = tokio::spawn(async move { patient.write_all(&[0; 64 * 1024]).await });
        time_of_a_head().await;
        theirs.read_exact(&mut vec![0; 64 * 1024]).await.unwrap();
        writing.await.unwrap().unwrap();
    }
}
