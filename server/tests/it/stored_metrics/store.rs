//! One set of rules for the three stores, and what only a database can suffer.

use super::{Store, file, memory, postgres};
use crate::support::Postgres;
use osbackend_protocol::{
    Timestamp,
    event::MetricValue,
    metrics::{Aggregate, Interval, MetricPoint, Metrics, MetricsGet, PointValue},
    timestamp::DateOrTime,
};
use osbackend_server::metrics::{
    Cursor, Keep, MOST_METRICS, MetricQuery, Order, Point, Zone, refused_points,
    sqlite::{self, InThisFile, PointSink as _},
};
use std::time::Duration;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// 2024-05-01, a Wednesday.
const START: u64 = 1_714_521_600_000;
/// What deletes by the system's time would find these points to be years old.
const FOREVER: Keep = Keep { raw: None, minutes: None, hours: None };

fn point(metric: &str, at_ms: u64, value: impl Into<MetricValue>) -> Point {
    let values = [("active".to_owned(), value.into()), ("region".to_owned(), "eu".into())].into();
    Point { metric: metric.to_owned(), at_ms, values, event_id: format!("e-{metric}-{at_ms}") }
}

fn ask(metric: Option<&str>, from_ms: u64, to_ms: u64) -> MetricQuery {
    MetricQuery::of_range(metric, from_ms, to_ms)
}

impl Store {
    /// Time and value (or sum and count) of each point of the answer.
    async fn get(&self, query: MetricQuery) -> Vec<(String, u64, f64, u64)> {
        shown(self.store.query(query, START + 3 * DAY).await.unwrap())
    }
}

impl Store {
    /// The pages of all that is in range, oldest first.
    async fn pages(&self, mut query: MetricQuery) -> Vec<Vec<(String, u64, f64, u64)>> {
        let mut pages = Vec::new();
        loop {
            let answer = self.store.query(query.clone(), START + 3 * DAY).await.unwrap();
            query.cursor = answer.cursor.as_deref().map(|cursor| Cursor::parse(cursor).unwrap());
            pages.push(shown(answer));
            if query.cursor.is_none() {
                break;
            }
        }
        if query.order == Order::NewestFirst {
            pages.reverse();
        }
        pages
    }
}

/// Time and value (or sum and count) of each point.
fn shown(metrics: Metrics) -> Vec<(String, u64, f64, u64)> {
    let shown = metrics.points.into_iter().map(|point| match &point.values["active"] {
        PointValue::Plain(MetricValue::Number(number)) => (point.metric, point.timestamp.0, number.as_f64().unwrap(), 1),
        PointValue::Aggregate(aggregate) => (point.metric, point.timestamp.0, aggregate.sum, aggregate.count),
        other => panic!("{other:?}"),
    });
    shown.collect()
}

/// What holds of every store. Points of one metric and time are of different events here.
async fn rules(store: Store) {
    // A call a minute for two days, and another metric that is asked for alone.
    let calls = (0..2 * 24 * 60).map(|minute| point("calls", START + minute * MINUTE + 7, minute as f64));
    (store.record)(&calls.collect::<Vec<_>>());
    (store.record)(&[point("clips", START + 30, 5_u64), point("clips", START + 30, 6_u64)]);

    // Both ends are included, newest last, and the limit keeps the newest.
    let two = store.get(ask(Some("calls"), START + MINUTE + 7, START + 2 * MINUTE + 7)).await;
    assert_eq!(two, [("calls".to_owned(), START + MINUTE + 7, 1.0, 1), ("calls".to_owned(), START + 2 * MINUTE + 7, 2.0, 1)]);
    let newest = store.get(MetricQuery { limit: 1, ..ask(Some("calls"), START, START + DAY - 1) }).await;
    assert_eq!(newest, [("calls".to_owned(), START + (24 * 60 - 1) * MINUTE + 7, 1439.0, 1)]);
    // All metrics, by time; points of one time in the order in which they came.
    let all = store.get(ask(None, START, START + 40)).await;
    let values: Vec<_> = all.iter().map(|(metric, _, value, _)| (metric.as_str(), *value)).collect();
    assert_eq!(values, [("calls", 0.0), ("clips", 5.0), ("clips", 6.0)]);
    assert!(store.get(ask(Some("nothing"), START, START + DAY)).await.is_empty());
    assert!(store.get(ask(Some("calls"), 0, START)).await.is_empty());

    // Whole hours of a day.
    let by = |interval, from, to| MetricQuery { interval: Some(interval), ..ask(Some("calls"), from, to) };
    let hours = store.get(by(Interval::Hour, START, START + DAY - 1)).await;
    assert_eq!(hours.len(), 24);
    assert!(hours.iter().zip(0_u64..).all(|((_, at, sum, count), hour)| {
        let first = hour * 60;
        (*at, *sum, *count) == (START + hour * HOUR, (first..first + 60).sum::<u64>() as f64, 60)
    }));
    // Edges within an hour, within a minute, and all within one minute.
    let (from, to) = (START + 90 * MINUTE, START + 3 * HOUR + 5 * MINUTE + 6);
    let edges = store.get(by(Interval::Hour, from, to)).await;
    let counts: Vec<_> = edges.iter().map(|(_, at, _, count)| (*at, *count)).collect();
    assert_eq!(counts, [(START + HOUR, 30), (START + 2 * HOUR, 60), (START + 3 * HOUR, 5)]);
    assert_eq!(store.get(by(Interval::Hour, from, to + 1)).await[2].3, 6, "the end is included");
    assert_eq!(store.get(by(Interval::Minute, START + 7, START + 7)).await, [("calls".to_owned(), START, 0.0, 1)]);
    assert!(store.get(by(Interval::Minute, START + 8, START + 9)).await.is_empty());
    // Days of UTC, and minutes with a limit that keeps the newest.
    let days = store.get(by(Interval::Day, START, START + 2 * DAY)).await;
    assert_eq!(days.iter().map(|(_, at, _, count)| (*at, *count)).collect::<Vec<_>>(), [(START, 1440), (START + DAY, 1440)]);
    let minutes = store.get(MetricQuery { limit: 3, ..by(Interval::Minute, START, START + DAY - 1) }).await;
    assert_eq!(minutes.iter().map(|(_, _, sum, _)| *sum).collect::<Vec<_>>(), [1437.0, 1438.0, 1439.0]);

    // Quarters of an hour, and pages from either end: each point once, and together all of them.
    let quarters = store.get(by(Interval::Quarter, START + MINUTE, START + HOUR - 1)).await;
    let counts: Vec<_> = quarters.iter().map(|(_, at, _, count)| (*at, *count)).collect();
    assert_eq!(counts, [(START, 14), (START + 15 * MINUTE, 15), (START + 30 * MINUTE, 15), (START + 45 * MINUTE, 15)]);
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for (interval, limit, count) in
            [(None, 700, 2_882), (Some(Interval::Minute), 1_000, 2_881), (Some(Interval::Hour), 7, 49)]
        {
            let query = MetricQuery { order, interval, limit, ..ask(None, 0, START + 2 * DAY) };
            let pages = store.pages(query).await;
            assert!(pages.len() > 1 && pages.iter().all(|page| page.len() <= limit), "{order:?} {interval:?}");
            let all = pages.concat();
            assert_eq!(all.len(), count, "{order:?} {interval:?}");
            assert_eq!(all.iter().map(|(.., count)| count).sum::<u64>(), 2_882, "{order:?} {interval:?}");
            assert!(all.is_sorted_by_key(|(metric, at, ..)| (*at, metric.clone())), "{order:?} {interval:?}");
        }
    }
    // A page ends by its bytes, too.
    let pages = store.pages(MetricQuery { bytes: 100_000, ..ask(Some("calls"), START, START + 2 * DAY) }).await;
    assert!((3..10).contains(&pages.len()) && pages.concat().len() == 2_880, "{} pages", pages.len());

    // All of an aggregate; what is no number has none.
    let metrics =
        store.store.query(MetricQuery { interval: Some(Interval::Hour), ..ask(Some("clips"), START, START + 50) }, START).await;
    let values = &metrics.unwrap().points[0].values;
    assert_eq!(
        values["active"],
        PointValue::Aggregate(Aggregate { min: 5.0, max: 6.0, avg: 5.5, sum: 11.0, last: 6.0, count: 2 })
    );
    assert_eq!(values.len(), 1);

    // Sums beyond what a number can be stay numbers, in the store and in the answer; what comes later is stored all the same.
    for (second, value) in [(0, f64::MAX), (0, f64::MAX), (1, -f64::MAX), (1, -f64::MAX), (2, -f64::MAX), (3, 1.0)] {
        (store.record)(&[point("huge", START + second * 1000, value), point("huge", START + second * 1000, value)]);
    }
    let huge = MetricQuery { interval: Some(Interval::Hour), ..ask(Some("huge"), START, START + HOUR - 1) };
    let metrics = store.store.query(huge, START + DAY).await.unwrap();
    let PointValue::Aggregate(aggregate) = metrics.points[0].values["active"] else { panic!("{metrics:?}") };
    assert_eq!((aggregate.min, aggregate.max, aggregate.last, aggregate.count), (f64::MIN, f64::MAX, 1.0, 12));
    assert!(aggregate.sum.is_finite() && aggregate.avg.is_finite(), "{aggregate:?}");

    // Any text that JSON can have.
    let values = [("x\0y".to_owned(), "z\0".into()), ("active".to_owned(), 1_u64.into())].into();
    (store.record)(&[Point { values, event_id: "e-nul".to_owned(), ..point("nul\0", START, 1_u64) }]);
    assert_eq!(store.get(ask(Some("nul\0"), START, START)).await.len(), 1);
}

/// Days of places: a point a minute over the days on which the clocks change in Berlin, and in Kolkata, where they don't.
async fn days_of_a_zone(store: Store) {
    for (first, zone, lengths) in [
        ("2026-03-28T00:00:00Z", "Europe/Berlin", [24, 23, 24].map(|hours| hours * 60)),
        ("2026-10-24T00:00:00Z", "Europe/Berlin", [24, 25, 24].map(|hours| hours * 60)),
        ("2026-10-24T00:00:00Z", "Asia/Kolkata", [24, 24, 24].map(|hours| hours * 60)),
        ("2026-10-24T00:00:00Z", "Asia/Kathmandu", [24, 24, 24].map(|hours| hours * 60)),
    ] {
        let first = Timestamp::parse(first).unwrap().0;
        let metric = format!("{zone} {first}");
        let points = (0..5 * 1440).map(|minute| point(&metric, first - DAY + minute * MINUTE, 1_u64));
        (store.record)(&points.collect::<Vec<_>>());
        let zone = Zone::named(zone).unwrap();
        let get = MetricsGet {
            kind: Some(metric.clone()),
            start_date: Some(DateOrTime::Date(Timestamp(first))),
            end_date: Some(DateOrTime::Date(Timestamp(first + 2 * DAY))),
            interval: Some(Interval::Day),
            tz: Some(zone.name().to_owned()),
            ..MetricsGet::default()
        };
        let query = MetricQuery::new(get, first + 4 * DAY).unwrap();
        // A day after them: what a store keeps by default is all there.
        let ask = async || store.store.query(query.clone(), first + 4 * DAY).await.unwrap();
        let mut days = ask().await;
        for _ in 0..30 {
            // A question waits for what is on its way to the database, but not for ever.
            if days.points.iter().map(count).sum::<u64>() == lengths.iter().sum::<u64>() {
                break;
            }
            days = ask().await;
        }
        assert_eq!(days.points.iter().map(count).collect::<Vec<_>>(), lengths, "{metric}");
        assert_eq!(days.points[0].timestamp, days.from);
        for order in [Order::NewestFirst, Order::OldestFirst] {
            let pages = store.pages(MetricQuery { order, limit: 1, ..query.clone() }).await;
            assert_eq!(pages.concat().iter().map(|(.., count)| *count).collect::<Vec<_>>(), lengths, "{metric} {order:?}");
        }
    }
}

fn count(point: &MetricPoint) -> u64 {
    match &point.values["active"] {
        PointValue::Aggregate(aggregate) => aggregate.count,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn days_of_a_zone_in_memory() {
    days_of_a_zone(memory()).await;
}

#[tokio::test]
async fn days_of_a_zone_in_the_file() {
    days_of_a_zone(file(Keep::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_a_zone_in_postgres() {
    let server = Postgres::start();
    days_of_a_zone(postgres(&server, FOREVER).await).await;
}

#[tokio::test]
async fn days_of_a_zone_are_whole_hours_where_the_minutes_are_gone() {
    let keep = Keep { raw: Some(Duration::from_secs(3600)), minutes: Some(Duration::from_secs(7200)), hours: None };
    let store = file(keep);
    (store.record)(&(0..3 * 1440).map(|minute| point("calls", START + minute * MINUTE, 1_u64)).collect::<Vec<_>>());
    let zone = Zone::named("Asia/Kolkata");
    let day = MetricQuery { interval: Some(Interval::Day), zone, ..ask(Some("calls"), START, START + 3 * DAY - 1) };
    // Midnight there is 18:30: the hour from 18:00 is the ending day's, and no hour is lost or counted twice.
    let answer = shown(store.store.query(day, START + 10 * DAY).await.unwrap());
    assert_eq!(answer.iter().map(|(.., count)| *count).collect::<Vec<_>>(), [19 * 60, 1440, 1440, 5 * 60]);
}

#[tokio::test]
async fn the_rules_in_memory() {
    rules(memory()).await;
}

#[tokio::test]
async fn the_rules_in_the_file() {
    rules(file(Keep::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_in_postgres_and_an_outage_of_it() {
    let server = Postgres::start();
    // Two points of one id are one, so that a batch may be written again: the rules' own ids are made unlike.
    let store = postgres(&server, FOREVER).await;
    let record = store.record;
    let number = std::sync::atomic::AtomicU64::new(0);
    let unlike = move |points: &[Point]| {
        let named = |point: &Point| {
            let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Point { event_id: format!("{}-{number}", point.event_id), ..point.clone() }
        };
        record(&points.iter().map(named).collect::<Vec<_>>());
    };
    rules(Store { record: Box::new(unlike), ..store }).await;

    // A name that no index of PostgreSQL takes: the point is given up, and those beside and behind it are not.
    let store = postgres(&server, FOREVER).await;
    let mut letters = std::iter::successors(Some(7_u32), |seed| Some(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    let name: String = letters.by_ref().take(30_000).map(|seed| char::from(b'!' + (seed >> 24) as u8 % 90)).collect();
    let bad = Point { values: [(name, 1_u64.into())].into(), ..point("mixed", START, 1_u64) };
    (store.record)(&[point("mixed", START + 1, 1_u64), bad, point("mixed", START + 2, 2_u64)]);
    (store.record)(&[point("mixed", START + 3, 3_u64)]);
    let by_day = MetricQuery { interval: Some(Interval::Day), ..ask(Some("mixed"), START, START + DAY - 1) };
    assert_eq!(store.get(by_day).await, [("mixed".to_owned(), START, 6.0, 3)]);

    let store = postgres(&server, FOREVER).await;
    let at = START + 10 * DAY;
    let all = || MetricQuery { interval: Some(Interval::Day), ..ask(Some("outage"), at, at + DAY - 1) };
    (store.record)(&[point("outage", at, 1_u64)]);
    assert_eq!(store.get(all()).await[0].3, 1);
    server.crash();
    (store.record)(&[point("outage", at + 1, 2_u64), point("outage", at + 1, 2_u64)]);
    assert!(store.store.query(all(), at).await.is_err(), "an outage is no empty answer");
    server.resume();
    // The question waits for what is on its way, but the writer's pause after failures may be longer.
    let mut counted = 0;
    for _ in 0..30 {
        counted = store.store.query(all(), at).await.map_or(0, |metrics| match metrics.points[0].values["active"] {
            PointValue::Aggregate(aggregate) => aggregate.count,
            _ => 0,
        });
        if counted > 1 {
            break;
        }
    }
    assert_eq!(counted, 2, "of the points of one event one counts, however often it was sent");
}

#[tokio::test]
async fn what_is_over_its_age_goes_and_the_coarser_stays() {
    let keep = Keep {
        raw: Some(Duration::from_secs(3600)),
        minutes: Some(Duration::from_secs(24 * 3600)),
        hours: Some(Duration::from_secs(48 * 3600)),
    };
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(osbackend_server::metrics::sqlite::SCHEMA).unwrap();
    let points: Vec<_> = (0..3 * 24 * 60).map(|minute| point("calls", START + minute * MINUTE, 1_u64)).collect();
    osbackend_server::metrics::sqlite::record(&connection, &points).unwrap();
    let now = START + 3 * DAY;
    let mut rounds = 0;
    while osbackend_server::metrics::sqlite::expire(&connection, &keep, now, 500).unwrap() == 500 {
        rounds += 1;
    }
    assert!(rounds > 10, "a little at a time: {rounds} rounds");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM metric_points"), 60);
    assert_eq!(count("SELECT count(*) FROM metric_sums WHERE span = 60000"), 24 * 60 + 1);
    assert_eq!(count("SELECT count(*) FROM metric_sums WHERE span = 3600000"), 48 + 1);

    // When all of a metric is gone, so is its name.
    while osbackend_server::metrics::sqlite::expire(&connection, &keep, now + 4 * DAY, 500).unwrap() > 0 {}
    assert_eq!(count("SELECT count(*) FROM metric_series"), 0);
}

#[tokio::test]
async fn there_is_a_bound_on_metrics_that_age_makes_room_in() {
    let age = Some(Duration::from_secs(3600));
    let keep = Keep { raw: age, minutes: age, hours: age };
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch(sqlite::SCHEMA).unwrap();
    let count = |sql: &str| usize::try_from(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap()).unwrap();
    let (metrics, points) = ("SELECT count(*) FROM metric_series", "SELECT count(*) FROM metric_points");
    let refused = refused_points();
    let all: Vec<_> = (0..MOST_METRICS + 5).map(|n| point(&format!("m-{n}"), START, 1_u64)).collect();
    sqlite::record(&connection, &all).unwrap();
    assert_eq!((count(metrics), count(points)), (MOST_METRICS, MOST_METRICS));
    assert!(refused_points() >= refused + 5, "what is not stored is counted");
    sqlite::record(&connection, &[point("m-7", START + 1, 1_u64)]).unwrap();
    assert_eq!(count(points), MOST_METRICS + 1, "those that are there go on");

    // The upkeep takes a few of them at a time, in turn.
    let file = InThisFile::new(keep);
    assert!(file.upkeep(&connection, START + DAY).unwrap());
    let left = count(metrics);
    assert!((MOST_METRICS - 500..MOST_METRICS).contains(&left), "{left}");
    let mut steps = 1;
    while file.upkeep(&connection, START + DAY).unwrap() {
        steps += 1;
    }
    assert!(steps >= MOST_METRICS / 500 && count(metrics) == 0, "{steps} steps, {} left", count(metrics));
    sqlite::record(&connection, &[point("another", START + DAY, 1_u64)]).unwrap();
    assert_eq!(count(metrics), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_on_metrics_holds_in_postgres() {
    let server = Postgres::start();
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let count = async || client.query_one("SELECT count(*) FROM osbackend.metric_series", &[]).await.unwrap().get::<_, i64>(0);
    let store = postgres(&server, FOREVER).await;
    // Nearly full; in SQL, as one by one takes long. Each has a sum, as what nothing is left of is forgotten.
    let full = format!(
        "WITH new AS (INSERT INTO osbackend.metric_series (metric) SELECT 'm-' || n FROM generate_series(1, {}) AS n RETURNING id)
         INSERT INTO osbackend.metric_sums SELECT id, 60000, 0, 'active', 1, 1, 1, 1, 1, 0 FROM new",
        MOST_METRICS - 2
    );
    client.batch_execute(&full).await.unwrap();
    let refused = refused_points();
    (store.record)(&["m-7", "one", "two", "three", "four"].map(|metric| point(metric, START, 1_u64)));
    // The answer waits for what is on its way.
    let stored = store.get(ask(None, START, START)).await;
    assert_eq!(stored.len(), 3, "{stored:?}");
    assert_eq!(count().await, MOST_METRICS as i64);
    assert!(refused_points() >= refused + 2);
    drop(store);
    let age = Some(Duration::from_secs(3600));
    let _aging = postgres(&server, Keep { raw: age, minutes: age, hours: age }).await;
    let all_gone = async { while count().await > 0 {} };
    tokio::time::timeout(Duration::from_secs(120), all_gone).await.unwrap();
}

#[tokio::test]
async fn old_ranges_are_answered_from_what_is_left() {
    let keep = Keep { raw: Some(Duration::from_secs(3600)), minutes: Some(Duration::from_secs(86_400)), hours: None };
    let store = file(keep);
    (store.record)(&(0..24 * 60).map(|minute| point("calls", START + minute * MINUTE + 1, 1_u64)).collect::<Vec<_>>());
    // Two days later the points are over their age, and the minutes too: hours stand in for the edges.
    let query = MetricQuery { interval: Some(Interval::Hour), ..ask(Some("calls"), START + 30 * MINUTE, START + 90 * MINUTE) };
    assert_eq!(store.get(query).await.iter().map(|(.., count)| *count).collect::<Vec<_>>(), [60, 60]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_over_its_age_goes_from_postgres_a_little_at_a_time() {
    let server = Postgres::start();
    let filling = postgres(&server, FOREVER).await;
    // More than one deletion takes, of two metrics.
    let points = (0..4 * 1440).flat_map(|n| ["calls", "clips"].map(|metric| point(metric, START + n * MINUTE, 1_u64)));
    (filling.record)(&points.collect::<Vec<_>>());
    let hours = |metric| MetricQuery { interval: Some(Interval::Hour), ..ask(Some(metric), START, START + 4 * DAY - 1) };
    // The answer waits for what is on its way, for a while.
    while filling.get(hours("clips")).await.iter().map(|(.., count)| count).sum::<u64>() < 4 * 1440 {}
    drop(filling);

    // By the system's time all but the last day is over its age; hours are kept for ever.
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let age = Some(Duration::from_millis(now_ms - (START + 3 * DAY)));
    let store = postgres(&server, Keep { raw: age, minutes: age, hours: None }).await;
    let (url, counting) = (
        server.url(),
        "SELECT (SELECT count(*) FROM osbackend.metric_points),
        (SELECT count(*) FROM osbackend.metric_sums WHERE span_ms = 60000)",
    );
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let mut left = (0, 0);
    for _ in 0..2_000 {
        let row = client.query_one(counting, &[]).await.unwrap();
        left = (row.get::<_, i64>(0), row.get::<_, i64>(1));
        if left.0 <= 2 * 1440 && left.1 <= 2 * 1441 {
            break;
        }
    }
    // A second or so may have passed, but no minute's point: the last day's are in the future of their age.
    assert!((2 * 1439..=2 * 1440).contains(&left.0) && (2 * 1439..=2 * 1441).contains(&left.1), "{left:?}");
    for metric in ["calls", "clips"] {
        assert_eq!(store.get(hours(metric)).await.len(), 4 * 24, "the coarser stays");
    }
}
