//! The SQLite engine: streams in one file that outlive the process, in the epoch that clients know.
//!
//! One thread writes. It numbers events, commits all that was queued meanwhile in one transaction, and then lets the hub
//! append and deliver exactly what was committed: nothing is acknowledged or seen that a crash can take back under the
//! same epoch. Rooms are opened by connections of their own, which the writer doesn't hinder.

mod checkpoint;
mod error;
mod file;
mod handover;
mod lock;
mod open_rooms;
mod queue;
mod reader;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

pub use error::OpenError;
pub use handover::DropThere;

use super::{Apply, Engine, EngineError, Pending, Retentions, Stream};
use crate::metrics::sqlite::PointSink;
use checkpoint::Checkpoints;
use file::DataFile;
use open_rooms::OpenRooms;
use osbackend_protocol::RoomName;
use parking_lot::Mutex;
use reader::Readers;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    thread::JoinHandle,
};
use store::Store;
use upkeep::Upkeep;
use writer::{Shared, Writer};

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncMode {
    /// The end of the process, however it comes. A power loss may take the last commits: all rooms then get a new epoch.
    #[default]
    Normal,
    /// A power loss too: each group of commits waits for the disk.
    Full,
}

/// How the engine is run.
#[derive(Clone)]
pub struct SqliteOptions {
    /// Where the file lives; made if it doesn't exist.
    pub dir: PathBuf,
    /// What a commit survives.
    pub sync: SyncMode,
    /// How much history each room keeps.
    pub retention: Retentions,
    /// Milliseconds since 1970.
    pub clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Name of the system's boot; `None` where it has none, and then every end without [`Engine::stop`] counts as a power loss.
    pub boot: Option<String>,
    /// Where the points of the metrics go, within the transaction of their events.
    pub points: Option<Arc<dyn PointSink>>,
    /// Pages (4 KiB) that the file may have; `None`: as many as the disk has. A full file is like a full disk.
    pub max_pages: Option<u32>,
    /// Where deliveries run; `None`: on the writer's thread.
    pub deliver_there: Option<DropThere>,
}

impl SqliteOptions {
    /// In `dir`, on this machine.
    pub fn new(dir: impl Into<PathBuf>, retention: Retentions, clock: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self {
            dir: dir.into(),
            sync: SyncMode::default(),
            retention,
            clock,
            boot: file::boot_id(),
            points: None,
            max_pages: None,
            deliver_there: None,
        }
    }
}

/// Streams in a file.
pub struct SqliteEngine {
    shared: Arc<Shared>,
    open: Arc<OpenRooms>,
    readers: Readers,
    retention: Retentions,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteEngine {
    /// Opens the file, or makes it, and begins to write.
    ///
    /// # Errors
    /// See [`OpenError`]; each tells what to do.
    pub fn start(options: SqliteOptions) -> Result<Self, OpenError> {
        let DataFile { path, mut connection, lineage, generation, lock } = DataFile::open(&options)?;
        let checkpoints =
            Checkpoints::start(path.clone(), &mut connection).map_err(|error| OpenError::of(path.clone(), &error))?;
        let open = Arc::new(OpenRooms::new(generation));
        let readers = Readers::new(path, lineage.clone(), open.clone());
        let shared = Arc::new(Shared::default());
        let writer = Writer {
            shared: shared.clone(),
            store: Store::new(connection, lineage, options.retention.clone(), open.clone(), options.points),
            checkpoints,
            deliver_there: options.deliver_there,
            clock: options.clock,
            upkeep: Upkeep::default(),
            lock,
        };
        let thread = std::thread::Builder::new().name("writer".to_owned()).spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::Directory { dir: options.dir, error })?;
        Ok(Self { shared, open, readers, retention: options.retention, thread: Mutex::new(Some(thread)) })
    }
}

/// A connection that only reads the file of `dir`, which an engine has opened.
///
/// # Errors
/// SQLite refused.
pub fn read_only(dir: &Path) -> rusqlite::Result<Connection> {
    let connection = file::connect(&dir.join(file::FILE))?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

impl Engine for SqliteEngine {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn attach(&self, hub: Weak<dyn Apply + Send + Sync>) {
        // A second hub would number its own rooms; there is none.
        let _ = self.shared.handover.hub.set(hub);
    }

    fn open(&self, room: &RoomName, id: u64) -> Result<Stream, EngineError> {
        self.readers.open(room, id, self.retention.of(room)).map_err(|error| {
            tracing::error!(%error, "a room can't be read");
            error::unavailable(&error)
        })
    }

    fn vacant(&self, room: &RoomName) -> Result<Option<String>, EngineError> {
        self.readers.vacant(room).map_err(|error| error::unavailable(&error))
    }

    fn publish(&self, pending: Vec<Pending>, _hub: &dyn Apply) {
        self.shared.queue.push(pending);
    }

    fn closed(&self, room: &RoomName, _last: u64) {
        self.open.close(room);
    }

    fn keeps_streams(&self) -> bool {
        true
    }

    fn ready(&self) -> Result<(), EngineError> {
        self.shared.failing.lock().clone().map_or(Ok(()), Err)
    }

    fn stop(&self) {
        self.shared.queue.stop();
        self.shared.handover.stop();
        let Some(thread) = self.thread.lock().take() else { return };
        // The writer itself may hold the last reference to the hub; it ends as soon as it is back in its loop.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the writer's thread panicked");
        }
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
