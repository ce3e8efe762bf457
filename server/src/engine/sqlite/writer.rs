//! The one thread that writes: takes what is queued, commits it in one transaction, and only then lets the hub deliver it.

use super::{
    checkpoint::Checkpoints,
    error::unavailable,
    file::{get, put},
    handover::{DropThere, Handover},
    lock::LockFile,
    queue::{Next, Queue},
    store::{Store, is_stored},
    upkeep::Upkeep,
};
use crate::engine::{EngineError, Pending, Stored, in_order};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Between two steps of the upkeep.
const UPKEEP: Duration = Duration::from_millis(250);
/// Nobody has published for so long, at least: the steps follow one another. Shorter pauses are what a busy server has between two
/// publishes, and a step in each of them would be waited for by most.
const QUIET: Duration = Duration::from_millis(5);
/// Between two rounds of it.
const ROUND: Duration = Duration::from_secs(10);
/// Between two attempts to write while writing fails and nobody publishes.
const PROBE: Duration = Duration::from_secs(1);
/// Bytes that such an attempt writes: enough that a batch of small events fits where this did.
const PROBE_BYTES: usize = 256 * 1024;

/// What the writer's thread and the engine share.
#[derive(Default)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) handover: Arc<Handover>,
    /// Why the last attempt to write failed.
    pub(super) failing: Mutex<Option<EngineError>>,
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Store,
    pub(super) checkpoints: Checkpoints,
    pub(super) deliver_there: Option<DropThere>,
    pub(super) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(super) upkeep: Upkeep,
    /// Held until the file is closed.
    pub(super) lock: LockFile,
}

/// Nobody must wait for a thread that is gone, however it went.
struct Abandon(Arc<Shared>);

impl Drop for Abandon {
    fn drop(&mut self) {
        *self.0.failing.lock() = Some(EngineError::unavailable("the event store has stopped"));
        self.0.queue.abandon();
    }
}

impl Writer {
    /// Runs until the queue is stopped and empty.
    pub(super) fn run(mut self) {
        let _abandon = Abandon(self.shared.clone());
        let mut upkeep_at = Instant::now() + UPKEEP;
        let mut probe_at = Instant::now();
        // Whether the upkeep has more to do: at once while nobody publishes, else now and then.
        let mut more = false;
        let mut quiet = QUIET;
        loop {
            let idle = match self.shared.queue.next(if more { quiet } else { UPKEEP }) {
                Next::Batch(batch) => {
                    self.batch(batch);
                    false
                }
                Next::Idle => true,
                Next::Stop => break,
            };
            let now = Instant::now();
            if now >= upkeep_at || (idle && more) {
                let stepped = self.step();
                // The longer a step holds this thread, the longer nobody must have published before the next.
                quiet = QUIET.max(4 * now.elapsed());
                // What fails is tried again after a while: at once it would be all that this thread does.
                more = stepped == Some(true) && self.shared.failing.lock().is_none();
                upkeep_at = now + if more { UPKEEP } else { stepped.map_or(PROBE, |_| ROUND) };
                if idle && !more {
                    self.checkpoints.when_idle();
                }
            }
            if now >= probe_at && self.shared.failing.lock().is_some() {
                probe_at = now + PROBE;
                let probed = self.probe();
                self.note(probed.map_err(|error| unavailable(&error)));
            }
        }
        self.close();
    }

    fn batch(&mut self, batch: Vec<Pending>) {
        let batch = in_order(batch);
        let all = batch.iter().any(|pending| is_stored(&pending.event)).then(|| self.store.write(&batch));
        let mut stored = Vec::with_capacity(batch.len());
        match all {
            Some(Ok(written)) => {
                self.note(Ok(()));
                let numbered = written.iter().filter(|(event, _)| event.as_ref().is_some_and(|event| event.offset.is_some()));
                self.lock.committed(numbered.count() as u64);
                let together = batch.into_iter().zip(written);
                stored.extend(together.map(|(Pending { room, done, .. }, (event, published))| Stored {
                    room,
                    event,
                    published,
                    done,
                }));
            }
            failed => {
                // What is kept nowhere needs no disk.
                let refused = failed.and_then(Result::err).map(|error| {
                    let told = unavailable(&error);
                    if self.shared.failing.lock().is_none() {
                        tracing::error!(%error, "events can't be stored: publishes are refused until they can");
                    }
                    self.note(Err(told.clone()));
                    told
                });
                for pending in batch {
                    let result = match &refused {
                        Some(refused) if is_stored(&pending.event) => Err(refused.clone()),
                        _ => self.store.pass(&pending).map_err(|error| unavailable(&error)),
                    };
                    match (result, pending) {
                        (Ok((event, published)), Pending { room, done, .. }) => {
                            stored.push(Stored { room, event, published, done })
                        }
                        (Err(error), pending) => pending.refuse(error),
                    }
                }
            }
        }
        self.shared.handover.deliver(stored, self.deliver_there.as_ref());
        self.checkpoints.after_commit(&self.store.connection);
    }

    /// Whether the upkeep has more to do now; `None` where it failed.
    fn step(&mut self) -> Option<bool> {
        let now = (self.clock)();
        let step = self.upkeep.step(&mut self.store, now);
        self.checkpoints.after_commit(&self.store.connection);
        step.inspect_err(|error| tracing::debug!(%error, "the data file could not be tidied")).ok()
    }

    /// Whether something could be stored now.
    fn probe(&mut self) -> rusqlite::Result<()> {
        self.store.transaction(|store| put(&store.connection, "probe", &vec![0_u8; PROBE_BYTES]))?;
        self.store.transaction(|store| store.connection.execute("DELETE FROM meta WHERE name = 'probe'", []).map(|_| ()))
    }

    fn note(&self, result: Result<(), EngineError>) {
        let mut failing = self.shared.failing.lock();
        if result.is_ok() && failing.is_some() {
            tracing::info!("events can be stored again");
        }
        *failing = result.err();
    }

    /// Leaves a file without a log, marked as whole: a power loss from here on loses nothing.
    fn close(self) {
        let Self { store, checkpoints, lock, .. } = self;
        checkpoints.stop();
        let connection = store.connection;
        let close = || -> rusqlite::Result<()> {
            connection.pragma_update(None, "synchronous", "FULL")?;
            let moved = |_: &rusqlite::Row<'_>| Ok(());
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], moved)?;
            put(&connection, "clean", &1)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], moved)
        };
        if let Err(error) = close() {
            tracing::warn!(%error, "the data file was not closed as it should be; what was acknowledged is in it");
        }
        let clean = get::<i64>(&connection, "clean").ok().flatten();
        tracing::debug!(?clean, "the data file is closed");
        drop(connection);
        drop(lock);
    }
}
