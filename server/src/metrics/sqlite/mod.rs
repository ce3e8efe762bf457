//! Metrics in the engine's SQLite file: points, and sums by minute and hour that are kept up with every point.

mod backlog;
mod read;
mod write;

pub use backlog::SqliteBacklog;
pub use write::{SCHEMA, expire, record};

use super::{Answer, Keep, MetricQuery, MetricStore, MetricsError, Point};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Questions that are answered at once; the others wait.
const READERS: usize = 2;

type Open = dyn Fn() -> rusqlite::Result<Connection> + Send + Sync;

/// Rows that are deleted in one go of the upkeep: a few milliseconds, for which who publishes waits.
const EXPIRED_AT_ONCE: usize = 1_000;

/// Where the engine puts points while it stores their events.
pub trait PointSink: Send + Sync + 'static {
    /// Stores points, within the transaction that `connection` is in.
    ///
    /// # Errors
    /// SQLite refused; nothing of the transaction may be kept.
    fn record(&self, connection: &Connection, points: &[Point]) -> rusqlite::Result<()>;

    /// They are committed.
    fn committed(&self) {}

    /// Deletes some of what is no longer needed, in a transaction of its own; whether there may be more of it.
    ///
    /// # Errors
    /// SQLite refused.
    fn upkeep(&self, connection: &Connection, now_ms: u64) -> rusqlite::Result<bool>;
}

/// Points stay in the engine's file.
#[derive(Clone, Copy, Debug)]
pub struct InThisFile(pub Keep);

impl PointSink for InThisFile {
    fn record(&self, connection: &Connection, points: &[Point]) -> rusqlite::Result<()> {
        record(connection, points)
    }

    fn upkeep(&self, connection: &Connection, now_ms: u64) -> rusqlite::Result<bool> {
        expire(connection, &self.0, now_ms, EXPIRED_AT_ONCE).map(|deleted| deleted >= EXPIRED_AT_ONCE)
    }
}

/// Reads the metrics of a file.
pub struct SqliteMetrics {
    shared: Arc<Readers>,
    keep: Keep,
}

struct Readers {
    open: Box<Open>,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

impl SqliteMetrics {
    /// `open` makes a connection that only reads.
    pub fn new(open: impl Fn() -> rusqlite::Result<Connection> + Send + Sync + 'static, keep: Keep) -> Self {
        let readers = Readers { open: Box::new(open), idle: Mutex::new(Vec::new()), turns: Semaphore::new(READERS) };
        Self { shared: Arc::new(readers), keep }
    }
}

impl Readers {
    fn read(&self, query: MetricQuery, keep: &Keep, now_ms: u64) -> Result<osbackend_protocol::metrics::Metrics, MetricsError> {
        let wrong = |error: rusqlite::Error| MetricsError(error.to_string());
        let idle = self.idle.lock().pop();
        let connection = idle.map_or_else(|| (self.open)(), Ok).map_err(wrong)?;
        let metrics = read::query(&connection, query, keep, now_ms).map_err(wrong)?;
        self.idle.lock().push(connection);
        Ok(metrics)
    }
}

impl MetricStore for SqliteMetrics {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn query(&self, query: MetricQuery, now_ms: u64) -> Answer {
        let (shared, keep) = (self.shared.clone(), self.keep);
        Box::pin(async move {
            let _turn = shared.turns.acquire().await.map_err(|error| MetricsError(error.to_string()))?;
            let reading = shared.clone();
            tokio::task::spawn_blocking(move || reading.read(query, &keep, now_ms))
                .await
                .map_err(|error| MetricsError(error.to_string()))?
        })
    }
}
