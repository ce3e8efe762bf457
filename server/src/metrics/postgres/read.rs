//! Points and sums out of the database.

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
use std::collections::BTreeMap;
use tokio_postgres::{Client, Error};

pub(super) async fn query(client: &Client, query: MetricQuery, keep: &Keep, now_ms: u64) -> Result<Metrics, Error> {
    let mut found = Vec::new();
    let only = query.metric.as_deref().map(text);
    let series =
        client.query("SELECT id, metric FROM osbackend_metric_series WHERE $1::text IS NULL OR metric = $1", &[&only]).await?;
    for (id, metric) in series.iter().map(|row| (row.get(0), row.get::<_, &str>(1))) {
        match query.interval {
            None => found.extend(points(client, id, metric, &query).await?),
            Some(interval) => {
                let sums = sums(client, id, &query, interval, Kept::new(keep, now_ms)).await?;
                found.extend(spans(metric, &sums));
            }
        }
    }
    Ok(answer(query, found))
}

async fn points(client: &Client, id: i64, metric: &str, query: &MetricQuery) -> Result<Vec<MetricPoint>, Error> {
    let (from, end) = query.range();
    let rows = client
        .query(
            "SELECT at_ms, data::text FROM osbackend_metric_points
             WHERE series = $1 AND at_ms >= $2 AND at_ms < $3 ORDER BY at_ms DESC, seq DESC LIMIT $4",
            &[&id, &bound(from), &bound(end), &(query.limit as i64)],
        )
        .await?;
    Ok(rows.iter().rev().map(|row| plain(metric, row.get::<_, i64>(0).cast_unsigned(), values(row.get(1)))).collect())
}

/// The years that a date can have fit; what is beyond is as good as the end of time.
fn bound(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

fn values(data: &str) -> BTreeMap<String, MetricValue> {
    serde_json::from_str(data).unwrap_or_default()
}

async fn sums(client: &Client, id: i64, query: &MetricQuery, interval: Interval, kept: Kept) -> Result<Sums, Error> {
    let mut sums = Sums::default();
    let (from, end) = query.range();
    for segment in plan(from, end, interval, kept) {
        match segment.source {
            Source::Raw => add_points(client, id, segment, interval, &mut sums).await?,
            Source::Sums(span) => add_sums(client, id, span, segment, query.limit, interval, &mut sums).await?,
        }
        if sums.len() > query.limit {
            break;
        }
    }
    sums.keep_newest(query.limit);
    Ok(sums)
}

async fn add_points(client: &Client, id: i64, segment: Segment, interval: Interval, sums: &mut Sums) -> Result<(), Error> {
    let rows = client
        .query(
            "SELECT at_ms, data::text FROM osbackend_metric_points
             WHERE series = $1 AND at_ms >= $2 AND at_ms < $3 ORDER BY at_ms, seq",
            &[&id, &bound(segment.from), &bound(segment.end)],
        )
        .await?;
    for row in &rows {
        let at = row.get::<_, i64>(0).cast_unsigned();
        for (name, value) in values(row.get(1)) {
            if let MetricValue::Number(number) = value
                && let Some(number) = number.as_f64()
            {
                sums.add(floor(at, interval.ms()), &name, &Sum::of(number, at));
            }
        }
    }
    Ok(())
}

async fn add_sums(
    client: &Client,
    id: i64,
    span: u64,
    segment: Segment,
    limit: usize,
    interval: Interval,
    sums: &mut Sums,
) -> Result<(), Error> {
    // So many of the stored spans make the asked number of the interval's.
    let most = (limit as u64 + 1).saturating_mul(interval.ms() / span);
    let rows = client
        .query(
            "SELECT begin_ms, name, min, max, sum, count, last, last_at_ms FROM osbackend_metric_sums
             WHERE series = $1 AND span_ms = $2 AND begin_ms < $4 AND begin_ms >= COALESCE((
                SELECT min(begin_ms) FROM (
                    SELECT DISTINCT begin_ms FROM osbackend_metric_sums
                    WHERE series = $1 AND span_ms = $2 AND begin_ms >= $3 AND begin_ms < $4 ORDER BY begin_ms DESC LIMIT $5
                ) AS newest), $3)
             ORDER BY begin_ms DESC",
            &[&id, &bound(span), &bound(segment.from), &bound(segment.end), &bound(most)],
        )
        .await?;
    for row in &rows {
        let sum = Sum {
            min: row.get(2),
            max: row.get(3),
            sum: row.get(4),
            count: row.get::<_, i64>(5).cast_unsigned(),
            last: row.get(6),
            last_at: row.get::<_, i64>(7).cast_unsigned(),
        };
        sums.add(floor(row.get::<_, i64>(0).cast_unsigned(), interval.ms()), row.get(1), &sum);
    }
    Ok(())
}
