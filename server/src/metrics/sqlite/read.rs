//! Points and sums out of the file: metric by metric, each from the end of the range that is asked for first, until nothing more
//! of it belongs to the answer.

use super::super::{
    Keep, MetricQuery, MetricsError, Order, QueryError,
    aggregate::Sum,
    blocking::Stop,
    numbers,
    page::Page,
    plan::{Kept, Segment, Source, plan},
    values_of,
    zone::Spans,
};
use osbackend_protocol::metrics::{Interval, Metrics};
use rusqlite::{Connection, params};
use std::sync::Arc;

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        MetricsError(error.to_string()).into()
    }
}

pub(super) fn query(
    connection: &Connection,
    query: MetricQuery,
    keep: &Keep,
    now_ms: u64,
    stop: &Stop,
) -> Result<Metrics, QueryError> {
    let mut page = Page::new(query);
    let query = page.query();
    let (order, (from, end)) = (query.order, query.range());
    let mut by_span = query.interval.map(|interval| Spans::new(interval, query.zone.clone()));
    let mut segments = Vec::new();
    if let Some(spans) = &mut by_span {
        // Days of a zone are counted out: not those before there was anything.
        let from = if spans.has_zone() { from.max(first_hour(connection)?).min(end) } else { from };
        segments = plan(from, end, spans, Kept::new(keep, now_ms));
        if order == Order::OldestFirst {
            segments.reverse();
        }
    }
    let only = query.metric.clone();
    let mut series = match &only {
        Some(_) => connection.prepare_cached("SELECT id, metric FROM metric_series WHERE metric = ?1")?,
        // What came last is likely to have the newest points: the rest is then soon seen not to be wanted.
        None => connection.prepare_cached("SELECT id, metric FROM metric_series WHERE ?1 IS NULL ORDER BY id DESC")?,
    };
    let mut series = series.query([only.as_deref()])?;
    while let Some(row) = series.next()? {
        if stop.is_stopped() {
            break;
        }
        let (id, metric): (i64, String) = (row.get(0)?, row.get(1)?);
        let metric = metric.into();
        match &mut by_span {
            None => points(connection, id, &metric, (from, end), &mut page)?,
            Some(spans) => {
                for segment in &segments {
                    match segment.source {
                        Source::Raw => add_points(connection, id, &metric, *segment, spans, &mut page)?,
                        Source::Sums(span) => add_sums(connection, id, &metric, (span, *segment), spans, &mut page)?,
                    }
                }
            }
        }
    }
    page.finish()
}

/// When the oldest hour that is kept begins; the end of time without any.
fn first_hour(connection: &Connection) -> rusqlite::Result<u64> {
    // Metric by metric, as the primary key has them.
    let mut first = connection.prepare_cached(
        "SELECT min((SELECT min(begin) FROM metric_sums WHERE series = metric_series.id AND span = ?1)) FROM metric_series",
    )?;
    let first: Option<i64> = first.query_row([Interval::Hour.ms() as i64], |row| row.get(0))?;
    Ok(first.map_or(u64::MAX, i64::cast_unsigned))
}

fn points(
    connection: &Connection,
    id: i64,
    metric: &Arc<str>,
    (from, end): (u64, u64),
    page: &mut Page,
) -> Result<(), QueryError> {
    let mut rows = connection.prepare_cached(match page.query().order {
        Order::NewestFirst => {
            "SELECT at, seq, data FROM metric_points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at DESC, seq DESC"
        }
        Order::OldestFirst => {
            "SELECT at, seq, data FROM metric_points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, seq"
        }
    })?;
    let mut rows = rows.query(params![id, bound(from), bound(end)])?;
    while let Some(row) = rows.next()? {
        let (at, seq): (i64, i64) = (row.get(0)?, row.get(1)?);
        if page.is_past(at.cast_unsigned()) {
            break;
        }
        let data = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        page.point((at.cast_unsigned(), metric, seq.cast_unsigned()), data.len(), || values_of(data))?;
    }
    Ok(())
}

/// The years that a date can have fit; what is beyond is as good as the end of time.
fn bound(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn add_points(
    connection: &Connection,
    id: i64,
    metric: &Arc<str>,
    segment: Segment,
    spans: &mut Spans,
    page: &mut Page,
) -> Result<(), QueryError> {
    // Oldest first: of two points at one time the later one is the last.
    let mut all = connection
        .prepare_cached("SELECT at, data FROM metric_points WHERE series = ?1 AND at >= ?2 AND at < ?3 ORDER BY at, seq")?;
    let mut rows = all.query(params![id, bound(segment.from), bound(segment.end)])?;
    while let Some(row) = rows.next()? {
        let at = row.get::<_, i64>(0)?.cast_unsigned();
        let data = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let begin = spans.of(at).0;
        for (name, number) in numbers(&values_of(data)) {
            page.add(begin, metric, name, &Sum::of(number, at))?;
        }
    }
    Ok(())
}

fn add_sums(
    connection: &Connection,
    id: i64,
    metric: &Arc<str>,
    (span, segment): (u64, Segment),
    spans: &mut Spans,
    page: &mut Page,
) -> Result<(), QueryError> {
    let mut rows = connection.prepare_cached(match page.query().order {
        Order::NewestFirst => {
            "SELECT begin, name, min, max, sum, count, last, last_at FROM metric_sums
             WHERE series = ?1 AND span = ?2 AND begin >= ?3 AND begin < ?4 ORDER BY begin DESC"
        }
        Order::OldestFirst => {
            "SELECT begin, name, min, max, sum, count, last, last_at FROM metric_sums
             WHERE series = ?1 AND span = ?2 AND begin >= ?3 AND begin < ?4 ORDER BY begin"
        }
    })?;
    let mut rows = rows.query(params![id, span as i64, bound(segment.from), bound(segment.end)])?;
    while let Some(row) = rows.next()? {
        let begin = spans.of(row.get::<_, i64>(0)?.cast_unsigned()).0;
        if page.is_past(begin) {
            break;
        }
        let sum = Sum {
            min: row.get(2)?,
            max: row.get(3)?,
            sum: row.get(4)?,
            count: row.get::<_, i64>(5)?.cast_unsigned(),
            last: row.get(6)?,
            last_at: row.get::<_, i64>(7)?.cast_unsigned(),
        };
        page.add(begin, metric, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, &sum)?;
    }
    Ok(())
}
