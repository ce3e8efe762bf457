//! Metrics in the engine's SQLite file: points, and sums by minute and hour that are kept up with every point.

mod backlog;
mod read;
mod write;

pub use backlog::SqliteBacklog;
pub use write::{SCHEMA, expire, record};

use super::{Answer, Keep, MetricQuery, MetricStore, MetricsError, Point};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};
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

/// Metrics that are looked at in one go of the upkeep.
const METRICS_AT_ONCE: usize = 200;

/// Points stay in the engine's file.
#[derive(Debug)]
pub struct InThisFile {
    keep: Keep,
    /// The last metric that the upkeep has looked at.
    at: AtomicI64,
}

impl InThisFile {
    /// Keeps them so long.
    pub fn new(keep: Keep) -> Self {
        Self { keep, at: AtomicI64::new(i64::MIN) }
    }
}

impl PointSink for InThisFile {
    fn record(&self, connection: &Connection, points: &[Point]) -> rusqlite::Result<()> {
        record(connection, points)
    }

    fn upkeep(&self, connection: &Connection, now_ms: u64) -> rusqlite::Result<bool> {
        let (most, after) = ((EXPIRED_AT_ONCE, METRICS_AT_ONCE), self.at.load(Ordering::Relaxed));
        let (_, next) = write::expire_after(connection, &self.keep, now_ms, most, after)?;
        self.at.store(next.unwrap_or(i64::MIN), Ordering::Relaxed);
        Ok(next.is_some())
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
