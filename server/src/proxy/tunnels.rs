//! The connections that are passed on: bytes both ways, and an orderly end to all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, copy, split};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

/// How long the other side has to end once one has.
const LINGER: Duration = Duration::from_secs(5);

/// All tunnels of a proxy; clones share them.
#[derive(Clone, Default)]
pub(super) struct Tunnels {
    state: Arc<Mutex<State>>,
    /// Told when the last one is gone.
    empty: Arc<Notify>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// By age; sending ends it.
    live: BTreeMap<u64, oneshot::Sender<()>>,
    count: usize,
    draining: bool,
}

/// Counts a tunnel for as long as it lives, a panic included.
struct Counted<'a> {
    tunnels: &'a Tunnels,
    id: u64,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.tunnels.state.lock();
        state.live.remove(&self.id);
        state.count -= 1;
        if state.count == 0 {
            self.tunnels.empty.notify_waiters();
        }
    }
}

impl Tunnels {
    /// Carries bytes both ways until both sides have ended, or a drain ends it.
    pub(super) async fn run<A, B>(&self, client: A, upstream: B)
    where
        A: AsyncRead + AsyncWrite,
        B: AsyncRead + AsyncWrite,
    {
        let (end, ended) = oneshot::channel();
        let id = {
            let mut state = self.state.lock();
            state.next += 1;
            state.count += 1;
            let id = state.next;
            if state.draining {
                // Let in just before a drain that has not seen it: that ends it at once.
                drop(end);
            } else {
                state.live.insert(id, end);
            }
            id
        };
        let _counted = Counted { tunnels: self, id };
        carry(client, upstream, ended).await;
    }

    pub(super) fn count(&self) -> usize {
        self.state.lock().count
    }

    pub(super) fn is_draining(&self) -> bool {
        self.state.lock().draining
    }

    /// Ends all, the oldest first, spread evenly over `window`; returns when they are gone, or some seconds later.
    pub(super) async fn drain(&self, window: Duration) {
        let live: Vec<u64> = {
            let mut state = self.state.lock();
            state.draining = true;
            state.live.keys().copied().collect()
        };
        let begin = Instant::now();
        let count = u32::try_from(live.len()).unwrap_or(u32::MAX).max(1);
        let ending = async {
            for (index, id) in (0_u32..).zip(live) {
                sleep_until(begin + window.mul_f64(f64::from(index) / f64::from(count))).await;
                // Its sender goes, whether it ended by itself meanwhile or not.
                drop(self.state.lock().live.remove(&id));
            }
            self.gone().await;
        };
        if timeout(window + LINGER + Duration::from_secs(1), ending).await.is_err() {
            tracing::warn!(connections = self.count(), "some connections did not end in time");
        }
    }

    async fn gone(&self) {
        loop {
            let notified = self.empty.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// Like `tokio::io::copy_bidirectional`, but where one side has ended the other has a limit to end too, and so has a drain.
async fn carry<A, B>(client: A, upstream: B, drained: oneshot::Receiver<()>)
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (mut client_read, mut client_write) = split(client);
    let (mut upstream_read, mut upstream_write) = split(upstream);
    let is_drained = {
        let up = one_way(&mut client_read, &mut upstream_write);
        let down = one_way(&mut upstream_read, &mut client_write);
        tokio::pin!(up, down);
        tokio::select! {
            () = &mut up => {
                let _ = timeout(LINGER, down).await;
                false
            }
            () = &mut down => {
                let _ = timeout(LINGER, up).await;
                false
            }
            _ = drained => true,
        }
    };
    if is_drained {
        // With TLS this says that the end is meant.
        let _ = timeout(LINGER, async { tokio::join!(client_write.shutdown(), upstream_write.shutdown()) }).await;
    }
}

/// Carries what is read until it ends, and tells the reader on the other side of that end.
async fn one_way<R: AsyncRead, W: AsyncWrite>(from: &mut ReadHalf<R>, to: &mut WriteHalf<W>) {
    // A reset counts as an end: nothing more comes either way.
    let _ = copy(from, to).await;
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn the_end_of_one_side_reaches_the_other_and_ends_both() {
        let tunnels = Tunnels::default();
        let ((mut client, inner), (outer, mut upstream)) = (duplex(64), duplex(64));
        let running = tokio::spawn({
            let tunnels = tunnels.clone();
            async move { tunnels.run(inner, outer).await }
        });
        upstream.write_all(b"last words").await.unwrap();
        drop(upstream);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"last words");
        drop(client);
        running.await.unwrap();
        assert_eq!(tunnels.count(), 0);
    }

    #[tokio::test]
    async fn a_drain_ends_each_at_its_time() {
        let tunnels = Tunnels::default();
        let mut far = Vec::new();
        for _ in 0..4 {
            let ((client, inner), (outer, upstream)) = (duplex(64), duplex(64));
            far.push((client, upstream));
            let tunnels = tunnels.clone();
            tokio::spawn(async move { tunnels.run(inner, outer).await });
            tokio::task::yield_now().await;
        }
        assert_eq!(tunnels.count(), 4);
        let begin = Instant::now();
        let draining = tokio::spawn({
            let tunnels = tunnels.clone();
            async move { tunnels.drain(Duration::from_millis(200)).await }
        });
        for (index, (client, upstream)) in far.iter_mut().enumerate() {
            assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
            assert_eq!(upstream.read(&mut [0; 8]).await.unwrap(), 0);
            assert!(begin.elapsed() >= Duration::from_millis(50 * index as u64), "number {index} before its time");
        }
        draining.await.unwrap();
        assert!(tunnels.is_draining() && tunnels.count() == 0);

        let ((mut late, inner), (outer, _upstream)) = (duplex(64), duplex(64));
        tunnels.run(inner, outer).await;
        assert_eq!(late.read(&mut [0; 8]).await.unwrap(), 0, "who comes late is not kept");
    }
}
