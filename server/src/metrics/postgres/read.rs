//! Points and sums out of the database: of all metrics that are asked for with one statement a source of data, so that an answer takes
//! as many round trips for forty metrics as for one. No statement is prepared under a name: a pooler may stand in between.
//!
//! The range is read in slices, from the end that is asked for first, each larger than the one before, until the answer is full: so
//! the database doesn't read much more than is answered. Rows are taken as they come, and none is kept that doesn't fit.
//!
//! `OFFSET 0` has each metric looked up in the index by itself: else the planner might join all sums that there are.

use super::{
    super::{
        Keep, MetricQuery, MetricsError, Order, QueryError,
        aggregate::Sum,
        numbers,
        page::Page,
        plan::{Kept, Segment, Source, plan},
        values_of,
        zone::Spans,
    },
    connect::told,
    text,
};
use futures_util::TryStreamExt as _;
use osbackend_protocol::metrics::{Interval, Metrics};
use std::{collections::HashMap, pin::pin, sync::Arc};
use tokio_postgres::{
    Client, Error, RowStream,
    types::{ToSql, Type},
};

/// How much longer each slice is than the one before.
const GROWTH: u64 = 4;
/// What a slice of points begins with: as if each metric had a point a second.
const BETWEEN_POINTS_MS: u64 = 1_000;

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The metrics that are asked for, by their ids.
type Names = HashMap<i64, Arc<str>>;

impl From<Error> for QueryError {
    fn from(error: Error) -> Self {
        MetricsError(told(&error)).into()
    }
}

pub(super) async fn query(client: &Client, query: MetricQuery, keep: &Keep, now_ms: u64) -> Result<Metrics, QueryError> {
    let only = query.metric.as_deref().map(text);
    let series = client
        .query_typed("SELECT id, metric FROM osbackend.metric_series WHERE $1 IS NULL OR metric = $1", &[(&only, Type::TEXT)])
        .await?;
    let names: Names = series.iter().map(|row| (row.get(0), row.get::<_, &str>(1).into())).collect();
    let ids: Vec<i64> = names.keys().copied().collect();
    let mut page = Page::new(query);
    let reading = Reading { client, ids, names };
    match page.query().interval {
        None => reading.points(&mut page).await?,
        Some(interval) => {
            let mut spans = Spans::new(interval, page.query().zone.clone());
            reading.sums(&mut page, &mut spans, Kept::new(keep, now_ms)).await?;
        }
    }
    page.finish()
}

struct Reading<'a> {
    client: &'a Client,
    ids: Vec<i64>,
    names: Names,
}

/// The parts of a range that are read one after the other, from the end that is asked for first.
struct Slices {
    order: Order,
    from: u64,
    end: u64,
    length: u64,
}

impl Slices {
    /// The next one; its far end is moved by `whole` to where a span begins.
    fn next(&mut self, mut whole: impl FnMut(u64) -> (u64, u64)) -> Option<(u64, u64)> {
        if self.from >= self.end {
            return None;
        }
        let length = self.length;
        self.length = length.saturating_mul(GROWTH);
        let slice = match self.order {
            Order::NewestFirst => {
                let begin = whole(self.end.saturating_sub(length)).0.max(self.from).min(self.end - 1);
                let slice = (begin, self.end);
                self.end = begin;
                slice
            }
            Order::OldestFirst => {
                let end = whole(self.from.saturating_add(length - 1)).1.min(self.end);
                let slice = (self.from, end);
                self.from = end;
                slice
            }
        };
        Some(slice)
    }
}

impl Reading<'_> {
    fn slices(&self, page: &Page, (from, end): (u64, u64), each: u64) -> Slices {
        let query = page.query();
        let spans = (query.limit / self.ids.len().max(1)).max(1) as u64;
        Slices { order: query.order, from, end, length: spans.saturating_mul(each) }
    }

    /// The part of the range in which there is anything: the time of the first row, and that after the last one.
    async fn clip(&self, table: Table, (from, end): (u64, u64)) -> Result<(u64, u64), Error> {
        let (at, rows, length) = match table {
            Table::Points => ("at_ms", "osbackend.metric_points WHERE series = of.id".to_owned(), 1),
            Table::Sums(span) => ("begin_ms", format!("osbackend.metric_sums WHERE series = of.id AND span_ms = {span}"), span),
        };
        let end_of =
            |order: &str| format!("(SELECT {at} FROM {rows} AND {at} >= $2 AND {at} < $3 ORDER BY {at} {order} LIMIT 1)");
        let sql = format!("SELECT min({}), max({}) FROM unnest($1) AS of (id)", end_of("ASC"), end_of("DESC"));
        // A sum of the hour in which the range begins may be wanted.
        let since = from - from % length;
        let rows = self
            .client
            .query_typed(&sql, &[(&self.ids, Type::INT8_ARRAY), (&bound(since), Type::INT8), (&bound(end), Type::INT8)])
            .await?;
        let found = |column| rows.first().and_then(|row| row.get::<_, Option<i64>>(column)).map(i64::cast_unsigned);
        Ok(match (found(0), found(1)) {
            (Some(first), Some(last)) => (from.max(first), end.min(last.saturating_add(length))),
            _ => (end, end),
        })
    }

    async fn points(&self, page: &mut Page) -> Result<(), QueryError> {
        let range = self.clip(Table::Points, page.query().range()).await?;
        let order = if page.query().order == Order::NewestFirst { "DESC" } else { "ASC" };
        let most = page.query().limit as u64 + 1;
        let mut slices = self.slices(page, range, BETWEEN_POINTS_MS);
        // Of a metric's points in a slice so many are read that one is found not to fit, beside those that the page before had.
        let before = page.query().cursor.as_ref().map_or(0, |cursor| cursor.key.0);
        while let Some((from, end)) = slices.next(|at| (at, at.saturating_add(1))) {
            let sql = format!(
                "SELECT of.id, at_ms, seq, data FROM unnest($1) AS of (id) CROSS JOIN LATERAL (
                    SELECT at_ms, seq, data::text AS data FROM osbackend.metric_points
                    WHERE series = of.id AND at_ms >= $2 AND at_ms < $3
                    ORDER BY at_ms {order}, seq {order} LIMIT $4 + (SELECT count(*) FROM osbackend.metric_points
                        WHERE series = of.id AND at_ms = $5)
                 ) AS here"
            );
            let [from, end, most, before] = [from, end, most, before].map(bound);
            let parameters: [Parameter<'_>; 5] = [
                (&self.ids, Type::INT8_ARRAY),
                (&from, Type::INT8),
                (&end, Type::INT8),
                (&most, Type::INT8),
                (&before, Type::INT8),
            ];
            let mut rows = pin!(self.client.query_typed_raw(&sql, parameters).await?);
            while let Some(row) = rows.try_next().await? {
                let Some(metric) = self.names.get(&row.get::<_, i64>(0)) else { continue };
                let (at, seq) = (row.get::<_, i64>(1).cast_unsigned(), row.get::<_, i64>(2).cast_unsigned());
                let data: &str = row.get(3);
                page.point((at, metric, seq), data.len(), || values_of(data))?;
            }
            if page.is_full() {
                break;
            }
        }
        Ok(())
    }

    async fn sums(&self, page: &mut Page, spans: &mut Spans, kept: Kept) -> Result<(), QueryError> {
        // Every number is in a sum, so where there is none there is no point either.
        let finest = if spans.interval() < Interval::Hour { Interval::Minute } else { Interval::Hour };
        let range = self.clip(Table::Sums(finest.ms()), page.query().range()).await?;
        let mut slices = self.slices(page, range, spans.interval().ms());
        while let Some((from, end)) = slices.next(|at| spans.of(at)) {
            let segments = plan(from, end, spans, kept);
            let of = |source| segments.iter().filter(move |segment| segment.source == source).copied().collect::<Vec<_>>();
            let raw = of(Source::Raw);
            if !raw.is_empty() {
                self.add_points(&raw, page, spans).await?;
            }
            for span in [Interval::Minute.ms(), Interval::Hour.ms()] {
                let stored = of(Source::Sums(span));
                if !stored.is_empty() {
                    self.add_sums(span, &stored, page, spans).await?;
                }
            }
            if page.is_full() {
                break;
            }
        }
        Ok(())
    }

    async fn add_points(&self, segments: &[Segment], page: &mut Page, spans: &mut Spans) -> Result<(), QueryError> {
        let sql = "SELECT of.id, at_ms, data FROM unnest($1) AS of (id) CROSS JOIN unnest($2, $3) AS part (since, until)
            CROSS JOIN LATERAL (
                SELECT at_ms, seq, data::text AS data FROM osbackend.metric_points
                WHERE series = of.id AND at_ms >= part.since AND at_ms < part.until OFFSET 0
            ) AS here ORDER BY of.id, at_ms, seq";
        let mut rows = pin!(self.rows(sql, segments, None).await?);
        while let Some(row) = rows.try_next().await? {
            let Some(metric) = self.names.get(&row.get::<_, i64>(0)) else { continue };
            let at = row.get::<_, i64>(1).cast_unsigned();
            let begin = spans.of(at).0;
            for (name, number) in numbers(&values_of(row.get(2))) {
                page.add(begin, metric, name, &Sum::of(number, at))?;
            }
        }
        Ok(())
    }

    async fn add_sums(&self, span: u64, segments: &[Segment], page: &mut Page, spans: &mut Spans) -> Result<(), QueryError> {
        let sql = "SELECT of.id, begin_ms, name, min, max, sum, count, last, last_at_ms
            FROM unnest($1) AS of (id) CROSS JOIN unnest($2, $3) AS part (since, until) CROSS JOIN LATERAL (
                SELECT * FROM osbackend.metric_sums
                WHERE series = of.id AND span_ms = $4 AND begin_ms >= part.since AND begin_ms < part.until OFFSET 0
            ) AS here";
        let mut rows = pin!(self.rows(sql, segments, Some(span)).await?);
        while let Some(row) = rows.try_next().await? {
            let Some(metric) = self.names.get(&row.get::<_, i64>(0)) else { continue };
            let sum = Sum {
                min: row.get(3),
                max: row.get(4),
                sum: row.get(5),
                count: row.get::<_, i64>(6).cast_unsigned(),
                last: row.get(7),
                last_at: row.get::<_, i64>(8).cast_unsigned(),
            };
            let begin = spans.of(row.get::<_, i64>(1).cast_unsigned()).0;
            page.add(begin, metric, row.get(2), &sum)?;
        }
        Ok(())
    }

    async fn rows(&self, sql: &str, segments: &[Segment], span: Option<u64>) -> Result<RowStream, Error> {
        let since: Vec<i64> = segments.iter().map(|segment| bound(segment.from)).collect();
        let until: Vec<i64> = segments.iter().map(|segment| bound(segment.end)).collect();
        let span = span.map(bound);
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&self.ids, Type::INT8_ARRAY), (&since, Type::INT8_ARRAY), (&until, Type::INT8_ARRAY)];
        if span.is_some() {
            parameters.push((&span, Type::INT8));
        }
        self.client.query_typed_raw(sql, parameters).await
    }
}

/// What is looked through for where a range begins and ends.
#[derive(Clone, Copy)]
enum Table {
    Points,
    /// Sums of spans so long, in milliseconds.
    Sums(u64),
}

/// The years that a date can have fit; what is beyond is as good as the end of time.
fn bound(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
