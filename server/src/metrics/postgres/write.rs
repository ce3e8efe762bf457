//! Points and sums into the database, and what is over its age out of it.
//!
//! No statement is prepared under a name, and nothing is set for longer than a transaction: a pooler may stand in between, which gives
//! each transaction another connection.

use super::{
    super::{
        Keep, Point,
        aggregate::Additions,
        bound::{MOST_METRICS, refuse},
    },
    connect::{BEGIN, told},
    schema::ADD,
    text,
};
use osbackend_protocol::{event::MetricValue, metrics::Interval};
use std::collections::{HashMap, HashSet};
use tokio_postgres::{
    Client, Error,
    types::{ToSql, Type},
};

/// Writes points, each once: those that are there already change nothing. A point that the database refuses for what it holds
/// is given up, and the log says so: it would be refused for ever, and all others would wait behind it.
pub(super) async fn record(client: &Client, points: &[Point]) -> Result<(), Error> {
    let points: Vec<_> = points.iter().map(storable).collect();
    match transaction(client, &points).await {
        Err(error) if is_of_a_point(&error) => {
            for point in &points {
                match transaction(client, std::slice::from_ref(point)).await {
                    Err(error) if is_of_a_point(&error) => {
                        let why = told(&error);
                        tracing::error!(metric = point.metric, why, "the database refuses a point: it is given up");
                    }
                    other => other?,
                }
            }
            Ok(())
        }
        other => other,
    }
}

/// Data that is out of a range, breaks a rule, or is over one of the database's limits: SQLSTATE 22, 23 and 54.
fn is_of_a_point(error: &Error) -> bool {
    error.code().is_some_and(|state| ["22", "23", "54"].iter().any(|class| state.code().starts_with(class)))
}

/// The point with every text as the database can hold it.
fn storable(point: &Point) -> Point {
    let owned = |value: &str| text(value).into_owned();
    let value = |value: &MetricValue| match value {
        MetricValue::Text(value) => MetricValue::Text(owned(value)),
        other => other.clone(),
    };
    let values = point.values.iter().map(|(name, of_it)| (owned(name), value(of_it))).collect();
    Point { metric: owned(&point.metric), values, event_id: point.event_id.clone(), at_ms: point.at_ms }
}

async fn transaction(client: &Client, points: &[Point]) -> Result<(), Error> {
    client.batch_execute(&format!("{BEGIN}; SELECT pg_advisory_xact_lock_shared({FORGETTING})")).await?;
    let written = insert(client, points).await;
    let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    written
}

async fn insert(client: &Client, points: &[Point]) -> Result<(), Error> {
    let mut metrics: Vec<&str> = points.iter().map(|point| point.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    // Within their bound; not the ones that are there, as each attempt would use up an id.
    let add = "INSERT INTO osbackend.metric_series (metric)
        SELECT name FROM unnest($1) AS given (name) WHERE NOT EXISTS (SELECT 1 FROM osbackend.metric_series WHERE metric = name)
        LIMIT GREATEST(0, $2 - (SELECT count(*) FROM osbackend.metric_series)) ON CONFLICT DO NOTHING";
    client.execute_typed(add, &[(&metrics, Type::TEXT_ARRAY), (&(MOST_METRICS as i64), Type::INT8)]).await?;
    let ids = client
        .query_typed("SELECT metric, id FROM osbackend.metric_series WHERE metric = ANY($1)", &[(&metrics, Type::TEXT_ARRAY)])
        .await?;
    let ids: HashMap<String, i64> = ids.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known: Vec<(i64, &Point)> = points.iter().filter_map(|point| Some((*ids.get(&point.metric)?, point))).collect();

    for point in points.iter().filter(|point| !ids.contains_key(&point.metric)) {
        refuse(&point.metric);
    }
    let series: Vec<i64> = known.iter().map(|(id, _)| *id).collect();
    let at: Vec<i64> = known.iter().map(|(_, point)| point.at_ms.cast_signed()).collect();
    let event: Vec<&str> = known.iter().map(|(_, point)| point.event_id.as_str()).collect();
    let data: Vec<String> = known.iter().map(|(_, point)| serde_json::to_string(&point.values).unwrap_or_default()).collect();
    let fresh = client
        .query_typed(
            "INSERT INTO osbackend.metric_points (series, at_ms, event_id, data)
             SELECT s, a, e, d::jsonb FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS new (s, a, e, d)
             ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
            &[(&series, Type::INT8_ARRAY), (&at, Type::INT8_ARRAY), (&event, Type::TEXT_ARRAY), (&data, Type::TEXT_ARRAY)],
        )
        .await?;
    let mut fresh: HashSet<&str> = fresh.iter().map(|row| row.get(0)).collect();

    let mut additions = Additions::default();
    // Of two points of one event in this batch the first one counts, as in the table.
    for (id, point) in known.iter().filter(|(_, point)| fresh.remove(point.event_id.as_str())) {
        for (name, value) in point.numbers() {
            additions.add(id, name, value, point.at_ms);
        }
    }
    add_sums(client, &additions).await
}

async fn add_sums(client: &Client, additions: &Additions<i64>) -> Result<(), Error> {
    let (mut keys, mut names, mut floats, mut counts) =
        (<[Vec<i64>; 3]>::default(), Vec::new(), <[Vec<f64>; 4]>::default(), <[Vec<i64>; 2]>::default());
    // In the order of the primary key: two servers that add to the same rows take their locks in one order.
    for (series, span, begin, name, sum) in additions.each() {
        for (column, value) in keys.iter_mut().zip([*series, span.cast_signed(), begin.cast_signed()]) {
            column.push(value);
        }
        names.push(name);
        for (column, value) in floats.iter_mut().zip([sum.min, sum.max, sum.sum, sum.last]) {
            column.push(value);
        }
        for (column, value) in counts.iter_mut().zip([sum.count, sum.last_at]) {
            column.push(value.cast_signed());
        }
    }
    let add = format!(
        "INSERT INTO osbackend.metric_sums AS old (series, span_ms, begin_ms, name, min, max, sum, last, count, last_at_ms)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
            $5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::bigint[], $10::bigint[])
         ON CONFLICT (series, span_ms, begin_ms, name) DO UPDATE SET {ADD}"
    );
    client
        .execute_typed(
            &add,
            &[
                (&keys[0], Type::INT8_ARRAY),
                (&keys[1], Type::INT8_ARRAY),
                (&keys[2], Type::INT8_ARRAY),
                (&names, Type::TEXT_ARRAY),
                (&floats[0], Type::FLOAT8_ARRAY),
                (&floats[1], Type::FLOAT8_ARRAY),
                (&floats[2], Type::FLOAT8_ARRAY),
                (&floats[3], Type::FLOAT8_ARRAY),
                (&counts[0], Type::INT8_ARRAY),
                (&counts[1], Type::INT8_ARRAY),
            ],
        )
        .await?;
    Ok(())
}

/// Deletes up to `most` points and sums of each span that are over their age; whether there may be more. A little at a time: what
/// is written meanwhile waits for it, and a statement has a limit of time.
pub(super) async fn expire(client: &Client, keep: &Keep, now_ms: u64, most: u64) -> Result<bool, Error> {
    client.batch_execute(BEGIN).await?;
    let more = delete(client, keep, now_ms, most).await;
    client.batch_execute(if more.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    more
}

/// Held by who forgets metrics, and shared by who writes points of them: none is forgotten that a point is being written of.
const FORGETTING: i64 = 0x05ba_ce4e;

/// Forgets metrics of which nothing is left.
pub(super) async fn forget(client: &Client) -> Result<(), Error> {
    // The lock in a statement of its own: what the next one sees was committed before it was had.
    client.batch_execute(&format!("{BEGIN}; SELECT pg_advisory_xact_lock({FORGETTING})")).await?;
    let forgotten = client
        .batch_execute(
            "DELETE FROM osbackend.metric_series AS of
             WHERE NOT EXISTS (SELECT 1 FROM osbackend.metric_points WHERE series = of.id)
             AND NOT EXISTS (SELECT 1 FROM osbackend.metric_sums WHERE series = of.id)",
        )
        .await;
    client.batch_execute(if forgotten.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    forgotten
}

async fn delete(client: &Client, keep: &Keep, now_ms: u64, most: u64) -> Result<bool, Error> {
    let mut more = false;
    if keep.raw.is_some() {
        let since = Keep::since(keep.raw, now_ms).cast_signed();
        // Metric by metric, as the primary key has them: by the time alone it would be a search through all points.
        let old = "DELETE FROM osbackend.metric_points WHERE ctid = ANY(ARRAY(
            SELECT old.ctid FROM osbackend.metric_series AS of CROSS JOIN LATERAL (
                SELECT ctid FROM osbackend.metric_points WHERE series = of.id AND at_ms < $1 ORDER BY at_ms LIMIT $2
            ) AS old LIMIT $2))";
        more |= client.execute_typed(old, &[(&since, Type::INT8), (&most.cast_signed(), Type::INT8)]).await? >= most;
    }
    for (span, age) in [(Interval::Minute, keep.minutes), (Interval::Hour, keep.hours)] {
        if age.is_some() {
            let since = Keep::since(age, now_ms).saturating_sub(span.ms()).cast_signed();
            let old = "DELETE FROM osbackend.metric_sums WHERE ctid = ANY(ARRAY(
                SELECT old.ctid FROM osbackend.metric_series AS of CROSS JOIN LATERAL (
                    SELECT ctid FROM osbackend.metric_sums
                    WHERE series = of.id AND span_ms = $1 AND begin_ms < $2 ORDER BY begin_ms LIMIT $3
                ) AS old LIMIT $3))";
            let given: [(&(dyn ToSql + Sync), Type); 3] =
                [(&span.ms().cast_signed(), Type::INT8), (&since, Type::INT8), (&most.cast_signed(), Type::INT8)];
            more |= client.execute_typed(old, &given).await? >= most;
        }
    }
    Ok(more)
}
