//! Tables, points and sums in the database, and what is over its age out of it.

use super::{
    super::{Keep, Point, aggregate::Additions},
    connect::told,
    text,
};
use osbackend_protocol::{event::MetricValue, metrics::Interval};
use std::collections::{HashMap, HashSet};
use tokio_postgres::{Client, Error};

/// `MIGRATIONS[n]` leads from version n to n + 1. Never changed once released: a new version is a new entry.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE osbackend_metric_series (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, metric text NOT NULL UNIQUE);
    CREATE TABLE osbackend_metric_points (
        series bigint NOT NULL, at_ms bigint NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL UNIQUE,
        data jsonb NOT NULL, PRIMARY KEY (series, at_ms, seq)
    );
    CREATE TABLE osbackend_metric_sums (
        series bigint NOT NULL, span_ms bigint NOT NULL, begin_ms bigint NOT NULL, name text NOT NULL,
        min double precision NOT NULL, max double precision NOT NULL, sum double precision NOT NULL, count bigint NOT NULL,
        last double precision NOT NULL, last_at_ms bigint NOT NULL, PRIMARY KEY (series, span_ms, begin_ms, name)
    );
    CREATE VIEW osbackend_metrics AS
        SELECT metric, to_timestamp(at_ms / 1000.0) AS at, data AS \"values\"
        FROM osbackend_metric_points JOIN osbackend_metric_series ON series = id;
    ALTER TABLE osbackend_metric_series ENABLE ROW LEVEL SECURITY;
    ALTER TABLE osbackend_metric_points ENABLE ROW LEVEL SECURITY;
    ALTER TABLE osbackend_metric_sums ENABLE ROW LEVEL SECURITY;
"];

/// Two servers that start at once must not both make the tables.
const LOCK: i64 = 0x05ba_ce4d;

/// Brings the tables to this program's version.
pub(super) async fn migrate(client: &Client) -> Result<(), Error> {
    client
        .batch_execute(&format!(
            "BEGIN; SELECT pg_advisory_xact_lock({LOCK}); CREATE TABLE IF NOT EXISTS osbackend_metric_schema (version int NOT NULL);"
        ))
        .await?;
    let migrated = steps(client).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    migrated
}

async fn steps(client: &Client) -> Result<(), Error> {
    let found = client.query_opt("SELECT version FROM osbackend_metric_schema", &[]).await?;
    let version: i32 = found.map_or(0, |row| row.get(0));
    for step in MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        client.batch_execute(step).await?;
    }
    let now = i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX);
    client.execute("DELETE FROM osbackend_metric_schema", &[]).await?;
    // A newer version's tables are only ever added to: this one goes on with them, and leaves its mark alone.
    client.execute("INSERT INTO osbackend_metric_schema VALUES ($1)", &[&now.max(version)]).await?;
    Ok(())
}

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
    client.batch_execute("BEGIN").await?;
    let written = insert(client, points).await;
    let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    written
}

async fn insert(client: &Client, points: &[Point]) -> Result<(), Error> {
    let mut metrics: Vec<&str> = points.iter().map(|point| point.metric.as_str()).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let add = "INSERT INTO osbackend_metric_series (metric) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
    client.execute(add, &[&metrics]).await?;
    let ids = client.query("SELECT metric, id FROM osbackend_metric_series WHERE metric = ANY($1)", &[&metrics]).await?;
    let ids: HashMap<String, i64> = ids.iter().map(|row| (row.get(0), row.get(1))).collect();
    let known: Vec<(i64, &Point)> = points.iter().filter_map(|point| Some((*ids.get(&point.metric)?, point))).collect();

    let series: Vec<i64> = known.iter().map(|(id, _)| *id).collect();
    let at: Vec<i64> = known.iter().map(|(_, point)| point.at_ms.cast_signed()).collect();
    let event: Vec<&str> = known.iter().map(|(_, point)| point.event_id.as_str()).collect();
    let data: Vec<String> = known.iter().map(|(_, point)| serde_json::to_string(&point.values).unwrap_or_default()).collect();
    let fresh = client
        .query(
            "INSERT INTO osbackend_metric_points (series, at_ms, event_id, data)
             SELECT s, a, e, d::jsonb FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS new (s, a, e, d)
             ON CONFLICT (event_id) DO NOTHING RETURNING event_id",
            &[&series, &at, &event, &data],
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
    client
        .execute(
            "INSERT INTO osbackend_metric_sums AS old (series, span_ms, begin_ms, name, min, max, sum, last, count, last_at_ms)
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[],
                $5::float8[], $6::float8[], $7::float8[], $8::float8[], $9::bigint[], $10::bigint[])
             ON CONFLICT (series, span_ms, begin_ms, name) DO UPDATE SET
                min = LEAST(old.min, excluded.min), max = GREATEST(old.max, excluded.max),
                sum = CASE WHEN old.sum > 0 AND excluded.sum > $11::float8 - old.sum THEN $11::float8
                    WHEN old.sum < 0 AND excluded.sum < -$11::float8 - old.sum THEN -$11::float8 ELSE old.sum + excluded.sum END,
                count = old.count + excluded.count,
                last = CASE WHEN excluded.last_at_ms >= old.last_at_ms THEN excluded.last ELSE old.last END,
                last_at_ms = GREATEST(old.last_at_ms, excluded.last_at_ms)",
            &[
                &keys[0],
                &keys[1],
                &keys[2],
                &names,
                &floats[0],
                &floats[1],
                &floats[2],
                &floats[3],
                &counts[0],
                &counts[1],
                &f64::MAX,
            ],
        )
        .await?;
    Ok(())
}

/// Deletes up to `most` points and sums of each span that are over their age; whether there may be more. A little at a time: what
/// is written meanwhile waits for it, and a statement has a limit of time.
pub(super) async fn expire(client: &Client, keep: &Keep, now_ms: u64, most: u64) -> Result<bool, Error> {
    let mut more = false;
    if keep.raw.is_some() {
        let since = Keep::since(keep.raw, now_ms).cast_signed();
        // Metric by metric, as the primary key has them: by the time alone it would be a search through all points.
        let old = "DELETE FROM osbackend_metric_points WHERE ctid = ANY(ARRAY(
            SELECT old.ctid FROM osbackend_metric_series AS of CROSS JOIN LATERAL (
                SELECT ctid FROM osbackend_metric_points WHERE series = of.id AND at_ms < $1 ORDER BY at_ms LIMIT $2
            ) AS old LIMIT $2))";
        more |= client.execute(old, &[&since, &most.cast_signed()]).await? >= most;
    }
    for (span, age) in [(Interval::Minute, keep.minutes), (Interval::Hour, keep.hours)] {
        if age.is_some() {
            let since = Keep::since(age, now_ms).saturating_sub(span.ms()).cast_signed();
            let old = "DELETE FROM osbackend_metric_sums WHERE ctid = ANY(ARRAY(
                SELECT old.ctid FROM osbackend_metric_series AS of CROSS JOIN LATERAL (
                    SELECT ctid FROM osbackend_metric_sums
                    WHERE series = of.id AND span_ms = $1 AND begin_ms < $2 ORDER BY begin_ms LIMIT $3
                ) AS old LIMIT $3))";
            more |= client.execute(old, &[&span.ms().cast_signed(), &since, &most.cast_signed()]).await? >= most;
        }
    }
    Ok(more)
}
