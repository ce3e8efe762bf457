//! Metrics in the engine's SQLite file: points, and sums by minute and hour that are kept up with every point.

mod backlog;
mod read;
mod write;

pub use backlog::SqliteBacklog;
pub use write::{SCHEMA, expire, record};

use super::{
    Answer, Keep, MetricQuery, MetricStore, Point, QueryError,
    blocking::{self, Stop},
};
use osbackend_protocol::metrics::Metrics;
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

/// Connections that are kept for later questions.
const IDLE: usize = 2;

/// Steps of SQLite's machine after which a statement looks whether its answer is still wanted: some tens of microseconds.
const STEPS: i32 = 1_000;

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
}

impl SqliteMetrics {
    /// `open` makes a connection that only reads.
    pub fn new(open: impl Fn() -> rusqlite::Result<Connection> + Send + Sync + 'static, keep: Keep) -> Self {
        let readers = Readers { open: Box::new(open), idle: Mutex::new(Vec::new()) };
        Self { shared: Arc::new(readers), keep }
    }
}

impl Readers {
    fn read(&self, query: MetricQuery, keep: &Keep, now_ms: u64, stop: &Stop) -> Result<Metrics, QueryError> {
        let idle = self.idle.lock().pop();
        let mut connection = idle.map_or_else(|| (self.open)(), Ok)?;
        let metrics = until(stop, &mut connection, |connection| read::query(connection, query, keep, now_ms, stop))?;
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(connection);
        }
        Ok(metrics)
    }
}

/// Runs `read`, whose statements end with an error once it is stopped. Not by SQLite's interrupt, which is lost where it comes between
/// two statements.
fn until<T>(
    stop: &Stop,
    connection: &mut Connection,
    read: impl FnOnce(&Connection) -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    let stop = stop.clone();
    connection.progress_handler(STEPS, Some(move || stop.is_stopped()))?;
    let result = read(connection);
    connection.progress_handler(0, None::<fn() -> bool>)?;
    result
}

impl MetricStore for SqliteMetrics {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn query(&self, query: MetricQuery, now_ms: u64) -> Answer {
        let (shared, keep) = (self.shared.clone(), self.keep);
        Box::pin(blocking::run(move |stop| shared.read(query, &keep, now_ms, stop)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_statement_without_an_end_ends_with_the_question() {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let question = tokio::spawn(blocking::run(move |stop| {
            let mut connection = Connection::open_in_memory()?;
            let _ = begun.send(());
            let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n";
            let read = |connection: &Connection| Ok(connection.query_row(endless, [], |row| row.get::<_, i64>(0))?);
            let result = until(stop, &mut connection, read);
            // The connection is as good as before.
            let one: i64 = connection.query_row("SELECT 1", [], |row| row.get(0))?;
            let _ = ended.send(result.is_err() && stop.is_stopped() && one == 1);
            Ok(())
        }));
        has_begun.await.unwrap();
        question.abort();
        assert!(has_ended.await.unwrap());
    }
}
