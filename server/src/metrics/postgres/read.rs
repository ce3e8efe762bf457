//! Points and sums out of the database: of all metrics that are asked for with one statement a segment, so that an answer takes as
//! many round trips for forty metrics as for one. No statement is prepared under a name: a pooler may stand in between.
//!
//! `OFFSET 0` has each metric looked up in the index by itself: else the planner might join all sums that there are.

use super::{
    super::{
        Keep, MetricQuery,
        aggregate::{Sum, Sums, floor},
        answer, plain,
        plan::{Kept, Segment, Source, plan},
        spans,
    },
    text,
};
use osbackend_protocol::{
    event::MetricValue,
    metrics::{Interval, MetricPoint, Metrics},
};
use std::collections::{BTreeMap, HashMap};
use tokio_postgres::{Client, Error, types::Type};

/// What each metric's sums are added to, by the metric's id.
type BySeries = HashMap<i64, Sums>;

pub(super) async fn query(client: &Client, query: MetricQuery, keep: &Keep, now_ms: u64) -> Result<Metrics, Error> {
    let only = query.metric.as_deref().map(text);
    let series = client
        .query_typed("SELECT id, metric FROM osbackend.metric_series WHERE $1 IS NULL OR metric = $1", &[(&only, Type::TEXT)])
        .await?;
    let names: HashMap<i64, String> = series.iter().map(|row| (row.get(0), row.get(1))).collect();
    let ids: Vec<i64> = names.keys().copied().collect();
    let found = match query.interval {
        None => points(client, &ids, &names, &query).await?,
        Some(interval) => {
            let sums = sums(client, &ids, &query, interval, Kept::new(keep, now_ms)).await?;
            sums.iter().filter_map(|(id, sums)| Some(spans(names.get(id)?, sums))).flatten().collect()
        }
    };
    Ok(answer(query, found))
}

async fn points(
    client: &Client,
    ids: &[i64],
    names: &HashMap<i64, String>,
    query: &MetricQuery,
) -> Result<Vec<MetricPoint>, Error> {
    let (from, end) = query.range();
    // Oldest first: points of one time keep their order when all are sorted by time.
    let rows = client
        .query_typed(
            "SELECT of.id, at_ms, data FROM unnest($1) AS of (id) CROSS JOIN LATERAL (
                SELECT at_ms, seq, data::text AS data FROM osbackend.metric_points
                WHERE series = of.id AND at_ms >= $2 AND at_ms < $3 ORDER BY at_ms DESC, seq DESC LIMIT $4
             ) AS newest ORDER BY of.id, at_ms, seq",
            &[
                (&ids, Type::INT8_ARRAY),
                (&bound(from), Type::INT8),
                (&bound(end), Type::INT8),
                (&bound(query.limit as u64), Type::INT8),
            ],
        )
        .await?;
    let point = |row: &tokio_postgres::Row| {
        let metric = names.get(&row.get::<_, i64>(0))?;
        Some(plain(metric, row.get::<_, i64>(1).cast_unsigned(), values(row.get(2))))
    };
    Ok(rows.iter().filter_map(point).collect())
}

/// The years that a date can have fit; what is beyond is as good as the end of time.
fn bound(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn values(data: &str) -> BTreeMap<String, MetricValue> {
    serde_json::from_str(data).unwrap_or_default()
}

async fn sums(client: &Client, ids: &[i64], query: &MetricQuery, interval: Interval, kept: Kept) -> Result<BySeries, Error> {
    let mut sums = BySeries::new();
    let (from, end) = query.range();
    for segment in plan(from, end, interval, kept) {
        match segment.source {
            Source::Raw => add_points(client, ids, segment, interval, &mut sums).await?,
            Source::Sums(span) => {
                // So many of the stored spans make the asked number of the interval's.
                let most = (query.limit as u64 + 1).saturating_mul(interval.ms() / span);
                add_sums(client, ids, (span, most), segment, interval, &mut sums).await?;
            }
        }
        // Newest first: once each has more spans than are asked for, the oldest of them is complete or not needed.
        if sums.len() == ids.len() && sums.values().all(|sums| sums.len() > query.limit) {
            break;
        }
    }
    sums.values_mut().for_each(|sums| sums.keep_newest(query.limit));
    Ok(sums)
}

async fn add_points(
    client: &Client,
    ids: &[i64],
    segment: Segment,
    interval: Interval,
    sums: &mut BySeries,
) -> Result<(), Error> {
    let rows = client
        .query_typed(
            "SELECT of.id, at_ms, data FROM unnest($1) AS of (id) CROSS JOIN LATERAL (
                SELECT at_ms, seq, data::text AS data FROM osbackend.metric_points
                WHERE series = of.id AND at_ms >= $2 AND at_ms < $3 OFFSET 0
             ) AS here ORDER BY of.id, at_ms, seq",
            &[(&ids, Type::INT8_ARRAY), (&bound(segment.from), Type::INT8), (&bound(segment.end), Type::INT8)],
        )
        .await?;
    for row in &rows {
        let (sums, at) = (sums.entry(row.get(0)).or_default(), row.get::<_, i64>(1).cast_unsigned());
        for (name, value) in values(row.get(2)) {
            if let MetricValue::Number(number) = value
                && let Some(number) = number.as_f64()
            {
                sums.add(floor(at, interval.ms()), &name, &Sum::of(number, at));
            }
        }
    }
    Ok(())
}

/// Adds the newest `most` stored sums of the span.
async fn add_sums(
    client: &Client,
    ids: &[i64],
    (span, most): (u64, u64),
    segment: Segment,
    interval: Interval,
    sums: &mut BySeries,
) -> Result<(), Error> {
    let rows = client
        .query_typed(
            "SELECT of.id, begin_ms, name, min, max, sum, count, last, last_at_ms FROM unnest($1) AS of (id)
             CROSS JOIN LATERAL (SELECT COALESCE((
                SELECT min(begin_ms) FROM (
                    SELECT DISTINCT begin_ms FROM osbackend.metric_sums
                    WHERE series = of.id AND span_ms = $2 AND begin_ms >= $3 AND begin_ms < $4 ORDER BY begin_ms DESC LIMIT $5
                ) AS newest), $3) AS since OFFSET 0) AS first
             CROSS JOIN LATERAL (
                SELECT * FROM osbackend.metric_sums
                WHERE series = of.id AND span_ms = $2 AND begin_ms >= first.since AND begin_ms < $4 OFFSET 0
             ) AS here",
            &[
                (&ids, Type::INT8_ARRAY),
                (&bound(span), Type::INT8),
                (&bound(segment.from), Type::INT8),
                (&bound(segment.end), Type::INT8),
                (&bound(most), Type::INT8),
            ],
        )
        .await?;
    for row in &rows {
        let sum = Sum {
            min: row.get(3),
            max: row.get(4),
            sum: row.get(5),
            count: row.get::<_, i64>(6).cast_unsigned(),
            last: row.get(7),
            last_at: row.get::<_, i64>(8).cast_unsigned(),
        };
        let begin = floor(row.get::<_, i64>(1).cast_unsigned(), interval.ms());
        sums.entry(row.get(0)).or_default().add(begin, row.get(2), &sum);
    }
    Ok(())
}
