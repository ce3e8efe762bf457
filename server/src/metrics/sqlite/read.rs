//! Points and sums out of the file.

use super::super::{
    Keep, MetricQuery,
    aggregate::{Sum, Sums, floor},
    answer, plain,
    plan::{Kept, Segment, Source, plan},
    spans,
};
use osbackend_protocol::{
    event::MetricValue,
    metrics::{Interval, MetricPoint, Metrics},
};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;

pub(super) fn query(connection: &Connection, query: MetricQuery, keep: &Keep, now_ms: u64) -> rusqlite::Result<Metrics> {
    let mut found = Vec::new();
    for (id, metric) in series(connection, query.metric.as_deref())? {
        match query.interval {
            None => found.extend(points(connection, id, &metric, &query)?),
            Some(interval) => {
                let sums = sums(connection, id, &query, interval, Kept::new(keep, now_ms))?;
                found.extend(spans(&metric, &sums));
            }
        }
    }
    Ok(answer(query, found))
}

fn series(connection: &Connection, only: Option<&str>) -> rusqlite::Result<Vec<(i64, String)>> {
    if let Some(metric) = only {
        let mut one = connection.prepare_cached("SELECT id FROM metric_series WHERE metric = ?1")?;
        let id: Option<i64> = one.query_row([metric], |row| row.get(0)).optional()?;
        return Ok(id.map(|id| (id, metric.to_owned())).into_iter().collect());
    }
    let mut all = connection.prepare_cached("SELECT id, metric FROM metric_series")?;
    all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn points(connection: &Connection, id: i64, metric: &str, query: &MetricQuery) -> rusqlite::Result<Vec<MetricPoint>> {
    let (from, end) = query.range();
    let mut newest = connection.prepare_cached(
        "SELECT at, data FROM metric_points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at DESC, seq DESC LIMIT ?4",
    )?;
    let rows = newest.query_map(params![id, from as i64, end as i64, query.limit as i64], |row| {
        let (at, data): (i64, String) = (row.get(0)?, row.get(1)?);
        Ok(plain(metric, at as u64, values(&data)))
    })?;
    let mut points: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
    // Oldest first: points of one time keep their order when all are sorted by time.
    points.reverse();
    Ok(points)
}

/// What this server has encoded decodes; what doesn't is left out rather than failing the answer.
fn values(data: &str) -> BTreeMap<String, MetricValue> {
    serde_json::from_str(data).unwrap_or_default()
}

fn sums(connection: &Connection, id: i64, query: &MetricQuery, interval: Interval, kept: Kept) -> rusqlite::Result<Sums> {
    let mut sums = Sums::default();
    let (from, end) = query.range();
    for segment in plan(from, end, interval, kept) {
        match segment.source {
            Source::Raw => add_points(connection, id, segment, interval, &mut sums)?,
            Source::Sums(span) => add_sums(connection, id, span, segment, query.limit, interval, &mut sums)?,
        }
        // Newest first: once there are more spans than are asked for, the oldest of them is complete or not needed.
        if sums.len() > query.limit {
            break;
        }
    }
    sums.keep_newest(query.limit);
    Ok(sums)
}

fn add_points(connection: &Connection, id: i64, segment: Segment, interval: Interval, sums: &mut Sums) -> rusqlite::Result<()> {
    let mut all = connection
        .prepare_cached("SELECT at, data FROM metric_points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, seq")?;
    let mut rows = all.query(params![id, segment.from as i64, segment.end as i64])?;
    while let Some(row) = rows.next()? {
        let (at, data): (i64, String) = (row.get(0)?, row.get(1)?);
        let at = at as u64;
        for (name, value) in values(&data) {
            if let MetricValue::Number(number) = value
                && let Some(number) = number.as_f64()
            {
                sums.add(floor(at, interval.ms()), &name, &Sum::of(number, at));
            }
        }
    }
    Ok(())
}

fn add_sums(
    connection: &Connection,
    id: i64,
    span: u64,
    segment: Segment,
    limit: usize,
    interval: Interval,
    sums: &mut Sums,
) -> rusqlite::Result<()> {
    let mut newest = connection.prepare_cached(
        "SELECT begin, name, min, max, sum, count, last, last_at FROM metric_sums
         WHERE series = ?1 AND span = ?2 AND begin >= ?3 AND begin < ?4 ORDER BY begin DESC",
    )?;
    let mut rows = newest.query(params![id, span as i64, segment.from as i64, segment.end as i64])?;
    while let Some(row) = rows.next()? {
        let begin = floor(row.get::<_, i64>(0)? as u64, interval.ms());
        let sum = Sum {
            min: row.get(2)?,
            max: row.get(3)?,
            sum: row.get(4)?,
            count: row.get::<_, i64>(5)? as u64,
            last: row.get(6)?,
            last_at: row.get::<_, i64>(7)? as u64,
        };
        sums.add(begin, row.get_ref(1)?.as_str()?, &sum);
        if sums.len() > limit {
            break;
        }
    }
    Ok(())
}
