//! Points into the file, within the transaction that stores their events; and out of it again when they are over their age.

use super::super::{
    Keep, Point,
    aggregate::Additions,
    bound::{MOST_METRICS, refuse},
};
use osbackend_protocol::{event::MetricValue, metrics::Interval};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

/// The tables, one step of the engine's migrations: never changed once released.
pub const SCHEMA: &str = "
CREATE TABLE metric_series (id INTEGER PRIMARY KEY, metric TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE metric_backlog (
    id INTEGER PRIMARY KEY AUTOINCREMENT, metric TEXT NOT NULL, at INTEGER NOT NULL, event_id TEXT NOT NULL, data TEXT NOT NULL
) STRICT;
CREATE TABLE metric_points (
    series INTEGER NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (series, at, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE metric_sums (
    series INTEGER NOT NULL, span INTEGER NOT NULL, begin INTEGER NOT NULL, name TEXT NOT NULL,
    min REAL NOT NULL, max REAL NOT NULL, sum REAL NOT NULL, count INTEGER NOT NULL, last REAL NOT NULL, last_at INTEGER NOT NULL,
    PRIMARY KEY (series, span, begin, name)
) STRICT, WITHOUT ROWID;
";

/// Stores points, within the transaction that `connection` is in.
///
/// # Errors
/// SQLite refused one.
pub fn record(connection: &Connection, points: &[Point]) -> rusqlite::Result<()> {
    let mut find = connection.prepare_cached("SELECT id FROM metric_series WHERE metric = ?1")?;
    let mut add = connection.prepare_cached("INSERT INTO metric_series (metric) VALUES (?1)")?;
    let mut count = connection.prepare_cached("SELECT count(*) FROM metric_series")?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO metric_points (series, at, seq, data) VALUES (?1, ?2,
            (SELECT COALESCE(MAX(seq) + 1, 0) FROM metric_points WHERE series = ?1 AND at = ?2), ?3)",
    )?;
    let mut additions = Additions::default();
    for point in points {
        let found: Option<i64> = find.query_row([&point.metric], |row| row.get(0)).optional()?;
        let series = match found {
            Some(id) => id,
            None => {
                if count.query_row([], |row| row.get::<_, i64>(0))? >= MOST_METRICS as i64 {
                    refuse(&point.metric);
                    continue;
                }
                add.execute([&point.metric])?;
                connection.last_insert_rowid()
            }
        };
        let data = encode(&point.values)?;
        insert.execute(params![series, point.at_ms as i64, data])?;
        for (name, value) in point.numbers() {
            additions.add(&series, name, value, point.at_ms);
        }
    }
    let mut upsert = connection.prepare_cached(
        "INSERT INTO metric_sums (series, span, begin, name, min, max, sum, count, last, last_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (series, span, begin, name) DO UPDATE SET
            min = min(min, excluded.min), max = max(max, excluded.max),
            sum = max(?11, min(?12, sum + excluded.sum)), count = count + excluded.count,
            last = CASE WHEN excluded.last_at >= last_at THEN excluded.last ELSE last END,
            last_at = max(last_at, excluded.last_at)",
    )?;
    for (series, span, begin, name, sum) in additions.each() {
        upsert.execute(params![
            series,
            span as i64,
            begin as i64,
            name,
            sum.min,
            sum.max,
            sum.sum,
            sum.count as i64,
            sum.last,
            sum.last_at as i64,
            f64::MIN,
            f64::MAX
        ])?;
    }
    Ok(())
}

/// Values as the file has them.
pub(super) fn encode(values: &BTreeMap<String, MetricValue>) -> rusqlite::Result<String> {
    serde_json::to_string(values).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// Deletes up to `most` rows that are over their age; how many there were. Call it again while that many were.
///
/// # Errors
/// SQLite refused.
pub fn expire(connection: &Connection, keep: &Keep, now_ms: u64, most: usize) -> rusqlite::Result<usize> {
    expire_after(connection, keep, now_ms, (most, usize::MAX), i64::MIN).map(|(deleted, _)| deleted)
}

/// As [`expire`], of so many metrics at most behind the one with the id `after`: how many rows, and where to go on; `None` at the end.
pub(super) fn expire_after(
    connection: &Connection,
    keep: &Keep,
    now_ms: u64,
    (most, metrics): (usize, usize),
    after: i64,
) -> rusqlite::Result<(usize, Option<i64>)> {
    let mut ids = connection.prepare_cached("SELECT id FROM metric_series WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let metrics = i64::try_from(metrics).unwrap_or(i64::MAX);
    let ids: Vec<i64> = ids.query_map([after, metrics], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    // Fewer than were asked for are the last ones.
    let mut next = ids.last().copied().filter(|_| ids.len() as i64 == metrics);
    let mut points = connection.prepare_cached(
        "DELETE FROM metric_points WHERE series = ?1 AND (at, seq) IN
            (SELECT at, seq FROM metric_points WHERE series = ?1 AND at < ?2 ORDER BY at LIMIT ?3)",
    )?;
    let mut sums = connection.prepare_cached(
        "DELETE FROM metric_sums WHERE series = ?1 AND span = ?2 AND (begin, name) IN
            (SELECT begin, name FROM metric_sums WHERE series = ?1 AND span = ?2 AND begin < ?3 ORDER BY begin LIMIT ?4)",
    )?;
    let mut forgotten = connection.prepare_cached(
        "DELETE FROM metric_series WHERE id = ?1
            AND NOT EXISTS (SELECT 1 FROM metric_points WHERE series = ?1)
            AND NOT EXISTS (SELECT 1 FROM metric_sums WHERE series = ?1)",
    )?;
    let mut deleted = 0;
    for id in ids {
        let mut here = 0;
        if let Some(age) = keep.raw {
            here += points.execute(params![id, Keep::since(Some(age), now_ms) as i64, (most - deleted) as i64])?;
        }
        for (span, age) in [(Interval::Minute, keep.minutes), (Interval::Hour, keep.hours)] {
            let left = most.saturating_sub(deleted + here);
            if let Some(age) = age
                && left > 0
            {
                // A sum is kept until the whole of its span is over the age.
                let since = Keep::since(Some(age), now_ms).saturating_sub(span.ms());
                here += sums.execute(params![id, span.ms() as i64, since as i64, left as i64])?;
            }
        }
        if here > 0 {
            forgotten.execute([id])?;
        }
        deleted += here;
        if deleted >= most {
            // There may be more of this one.
            next = Some(id - 1);
            break;
        }
    }
    Ok((deleted, next))
}
