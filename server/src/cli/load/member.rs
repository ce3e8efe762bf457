//! One member of the load: connects, joins its room, and accounts for what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use osbackend_client::{BackoffConfig, Builder, Client, ConnectionState, Incoming, Notice, RoomStatus, WhenFull};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::tally::{Probe, Tally};
use super::{EVENT, LoadError};

/// The longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// What all members write into.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) began: Instant,
    /// Events that came for the first time, of all members.
    pub(super) delivered: AtomicU64,
    pub(super) reconnects: AtomicU64,
    /// From publishing to delivery, in microseconds.
    pub(super) latency: Mutex<Histogram<u64>>,
}

impl Shared {
    pub(super) fn new() -> Result<Arc<Self>, LoadError> {
        Ok(Arc::new(Self {
            began: Instant::now(),
            delivered: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
            latency: Mutex::new(histogram()?),
        }))
    }

    /// Microseconds since the run began.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// For times in microseconds, three digits of each.
pub(super) fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).map_err(|error| LoadError::Histogram(error.to_string()))
}

/// A member that is in its room.
pub(super) struct Member {
    /// Which of the rooms.
    pub(super) room: usize,
    /// From the first attempt to the join.
    pub(super) connect: Duration,
    client: Client,
    incoming: Incoming,
    epoch: Option<String>,
}

/// Retries often enough that a restart of the server is survived.
pub(super) fn backoff() -> BackoffConfig {
    BackoffConfig { initial_ms: 500, max_ms: 5_000, attempts: 20, ..BackoffConfig::default() }
}

impl Member {
    /// Connects and joins.
    ///
    /// # Errors
    /// Why the first attempt failed, or the room was refused.
    pub(super) async fn join(builder: Builder, index: usize, name: &str) -> Result<Self, String> {
        let began = Instant::now();
        let (client, mut incoming) =
            builder.backoff(backoff()).queue(1_024, WhenFull::Wait).start().map_err(|error| error.to_string())?;
        client.join_with(name, false).await.map_err(|error| error.to_string())?;
        loop {
            match incoming.next().await {
                Some(Notice::Room(room)) if room.room == name => match (room.status, room.error) {
                    (RoomStatus::Joined, _) => {
                        return Ok(Self { room: index, connect: began.elapsed(), client, incoming, epoch: room.epoch });
                    }
                    (_, Some(error)) => return Err(format!("room {name}: {}: {}", error.code, error.message)),
                    _ => {}
                },
                Some(Notice::State(ConnectionState::Reconnecting { reason, message, .. })) => {
                    return Err(message.unwrap_or(reason));
                }
                Some(Notice::State(ConnectionState::Closed { code, reason, message, .. })) => {
                    let reason = message.unwrap_or(reason);
                    return Err(code.map_or_else(|| reason.clone(), |code| format!("{reason} ({code})")));
                }
                Some(_) => {}
                None => return Err("the client ended".to_owned()),
            }
        }
    }

    /// Accounts for events until `stop` is sent or dropped.
    pub(super) async fn account(mut self, shared: Arc<Shared>, mut stop: watch::Receiver<bool>) -> (usize, Tally) {
        let mut tally = Tally::default();
        loop {
            let notice = tokio::select! {
                notice = self.incoming.next() => notice,
                _ = stop.changed() => break,
            };
            match notice {
                Some(Notice::Event(event)) if event.kind == EVENT => {
                    let Ok(probe) = serde_json::from_str::<Probe>(event.data.get()) else { continue };
                    let took = shared.now_us().saturating_sub(probe.sent_us);
                    if tally.take(probe.seq, event.offset, event.skipped) {
                        shared.delivered.fetch_add(1, Ordering::Relaxed);
                        shared.latency.lock().saturating_record(took.max(1));
                    }
                }
                Some(Notice::State(ConnectionState::Connected { .. })) => {
                    shared.reconnects.fetch_add(1, Ordering::Relaxed);
                }
                Some(Notice::Room(room)) if room.status == RoomStatus::Joined && room.epoch != self.epoch => {
                    self.epoch = room.epoch;
                    tally.new_stream();
                }
                Some(_) => {}
                None => break,
            }
        }
        self.client.close().await;
        (self.room, tally)
    }
}
