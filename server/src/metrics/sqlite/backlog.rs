//! Points on their way to another store, kept in the engine's file until they are there: a restart or an outage loses none.

use super::{Open, PointSink, write::encode};
use crate::metrics::{Backlog, MetricsError, Point};
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Points that wait at most; of more, the oldest are given up, and the log says so.
const MOST: i64 = 1_000_000;
/// Rows that are deleted in one go.
const DELETED_AT_ONCE: usize = 5_000;

/// The table `metric_backlog`.
pub struct SqliteBacklog {
    open: Box<Open>,
    reader: Mutex<Option<Connection>>,
    /// Ids up to this one are in the other store.
    forwarded: AtomicU64,
    changed: Notify,
}

impl SqliteBacklog {
    /// `open` makes a connection to the engine's file that only reads; not before the file is there and read from.
    pub fn new(open: impl Fn() -> rusqlite::Result<Connection> + Send + Sync + 'static) -> Self {
        Self { open: Box::new(open), reader: Mutex::new(None), forwarded: AtomicU64::new(0), changed: Notify::new() }
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, MetricsError> {
        let mut reader = self.reader.lock();
        let connection = match reader.take() {
            Some(connection) => connection,
            None => (self.open)().map_err(wrong)?,
        };
        let result = read(&connection).map_err(wrong);
        *reader = Some(connection);
        result
    }
}

fn wrong(error: rusqlite::Error) -> MetricsError {
    MetricsError(error.to_string())
}

impl Backlog for SqliteBacklog {
    fn newest(&self) -> Result<u64, MetricsError> {
        self.read(|reader| {
            let newest: Option<i64> =
                reader.prepare_cached("SELECT max(id) FROM metric_backlog")?.query_row([], |row| row.get(0))?;
            Ok(newest.map_or(0, i64::cast_unsigned))
        })
    }

    fn after(&self, id: u64, most: usize) -> Result<Vec<(u64, Point)>, MetricsError> {
        self.read(|reader| {
            let mut after = reader
                .prepare_cached("SELECT id, metric, at, event_id, data FROM metric_backlog WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let rows = after.query_map(params![id.cast_signed(), most as i64], |row| {
                let data: String = row.get(4)?;
                let point = Point {
                    metric: row.get(1)?,
                    at_ms: row.get::<_, i64>(2)?.cast_unsigned(),
                    event_id: row.get(3)?,
                    // What this server has encoded decodes.
                    values: serde_json::from_str(&data).unwrap_or_default(),
                };
                Ok((row.get::<_, i64>(0)?.cast_unsigned(), point))
            })?;
            rows.collect()
        })
    }

    fn forwarded(&self, through: u64) {
        self.forwarded.fetch_max(through, Ordering::AcqRel);
    }

    fn changed(&self) -> &Notify {
        &self.changed
    }
}

impl PointSink for SqliteBacklog {
    fn record(&self, connection: &Connection, points: &[Point]) -> rusqlite::Result<()> {
        let mut add =
            connection.prepare_cached("INSERT INTO metric_backlog (metric, at, event_id, data) VALUES (?1, ?2, ?3, ?4)")?;
        for Point { metric, at_ms, values, event_id } in points {
            add.execute(params![metric, at_ms.cast_signed(), event_id, encode(values)?])?;
        }
        Ok(())
    }

    fn committed(&self) {
        self.changed.notify_one();
    }

    /// Here and not when they are forwarded: one thread writes the file.
    fn upkeep(&self, connection: &Connection, _now_ms: u64) -> rusqlite::Result<bool> {
        let forwarded = self.forwarded.load(Ordering::Acquire).cast_signed();
        let mut delete = connection.prepare_cached(
            "DELETE FROM metric_backlog WHERE id IN (SELECT id FROM metric_backlog WHERE id <= ?1 ORDER BY id LIMIT ?2)",
        )?;
        // What is there already goes before what is given up.
        if delete.execute(params![forwarded, DELETED_AT_ONCE as i64])? >= DELETED_AT_ONCE {
            return Ok(true);
        }
        let newest: Option<i64> =
            connection.prepare_cached("SELECT max(id) FROM metric_backlog")?.query_row([], |row| row.get(0))?;
        let given_up = delete.execute(params![newest.unwrap_or(0) - MOST, DELETED_AT_ONCE as i64])?;
        if given_up > 0 {
            tracing::error!(points = given_up, "the metrics database has been away for too long: the oldest points are given up");
        }
        Ok(given_up >= DELETED_AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_other_store_goes_and_is_not_called_given_up() {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(super::super::SCHEMA).expect("tables");
        let backlog = SqliteBacklog::new(Connection::open_in_memory);
        let point = Point { metric: "m".to_owned(), at_ms: 1, values: Default::default(), event_id: "e".to_owned() };
        backlog.record(&connection, &vec![point; 12_000]).expect("recorded");
        backlog.forwarded(11_000);
        let left =
            || connection.query_row("SELECT count(*) FROM metric_backlog", [], |row| row.get::<_, i64>(0)).expect("a number");
        assert!(backlog.upkeep(&connection, 1).expect("some deleted"), "there is more to delete");
        assert_eq!(left(), 7_000);
        while backlog.upkeep(&connection, 1).expect("some deleted") {}
        assert_eq!(left(), 1_000);
    }
}
