//! The tables in a PostgreSQL that others use too: closed to them, moved out of `public`, and written through a pooler.

use super::postgres;
use crate::support::Postgres;
use osbackend_protocol::metrics::{Interval, PointValue};
use osbackend_server::metrics::{
    Keep, MetricQuery, Point,
    postgres::{ConnectError, DatabaseUrl, SchemaError, prepare},
};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

const FOREVER: Keep = Keep { raw: None, minutes: None, hours: None };
/// 2024-05-01.
const START: u64 = 1_714_521_600_000;

/// What a Supabase project has, and what its administrator may have said of all schemas.
const SUPABASE: &str = "
    CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
    GRANT USAGE ON SCHEMA public TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, anon, authenticated;
    ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC, anon, authenticated;
    ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO PUBLIC, anon, authenticated;
";

/// The tables as version 1 made them, with ten points of one day.
const VERSION_1: &str = "
    CREATE TABLE osbackend_metric_schema (version int NOT NULL);
    INSERT INTO osbackend_metric_schema VALUES (1);
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
    INSERT INTO osbackend_metric_series (metric) VALUES ('other'), ('calls');
    INSERT INTO osbackend_metric_points (series, at_ms, event_id, data)
        SELECT 2, 1714521600000 + n, 'e-' || n, '{\"active\": 2}' FROM generate_series(1, 10) AS n;
    INSERT INTO osbackend_metric_sums
        SELECT 2, span, 1714521600000, 'active', 2, 2, 20, 10, 2, 1714521600010 FROM unnest(ARRAY[60000, 3600000, 86400000]) AS span;
";

async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}")).get(0)
}

async fn prepared(server: &Postgres) -> Result<(), ConnectError> {
    prepare(&DatabaseUrl::parse(&server.url(), None).unwrap()).await
}

fn point(number: u64) -> Point {
    let values = [("active".to_owned(), 2_u64.into())].into();
    Point { metric: "calls".to_owned(), at_ms: START + number, values, event_id: format!("e-{number}") }
}

/// Sum and count of the day by the stored sums, and the points themselves.
async fn counted(server: &Postgres, store: &super::Store) -> (f64, u64, i64) {
    let range = MetricQuery::of_range(Some("calls"), START, START + 86_400_000 - 1);
    let day = MetricQuery { interval: Some(Interval::Day), ..range };
    let metrics = store.store.query(day, START).await.unwrap();
    let PointValue::Aggregate(day) = metrics.points[0].values["active"] else { panic!("{metrics:?}") };
    let points = number(&session(&server.url()).await, "SELECT count(*) FROM osbackend.metrics WHERE metric = 'calls'").await;
    (day.sum, day.count, points)
}

#[tokio::test(flavor = "multi_thread")]
async fn others_in_the_database_neither_read_nor_change_the_metrics() {
    let server = Postgres::start();
    let admin = session(&server.url()).await;
    admin.batch_execute(SUPABASE).await.unwrap();
    let store = postgres(&server, FOREVER).await;
    (store.record)(&[point(1)]);
    assert_eq!(counted(&server, &store).await, (2.0, 1, 1));

    assert_eq!(
        number(&admin, "SELECT count(*) FROM pg_class WHERE relname LIKE 'osbackend%' AND relnamespace = 'public'::regnamespace")
            .await,
        0
    );
    let things = "SELECT count(*) FROM pg_class WHERE relnamespace = 'osbackend'::regnamespace AND relkind IN ('r', 'v')";
    assert_eq!(number(&admin, things).await, 5, "four tables and the view");
    let unlocked = format!("{things} AND relkind = 'r' AND NOT relrowsecurity");
    assert_eq!(number(&admin, &unlocked).await, 0, "each table has row security");
    for role in ["anon", "authenticated"] {
        let may = |right: &str| {
            format!(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'osbackend'::regnamespace AND relkind IN ('r', 'v', 'S')
                 AND CASE WHEN relkind = 'S' THEN has_sequence_privilege('{role}', oid, 'USAGE, SELECT, UPDATE')
                     ELSE has_table_privilege('{role}', oid, '{right}') END"
            )
        };
        assert_eq!(number(&admin, &may("SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER")).await, 0, "{role}");
        let enters = format!("SELECT has_schema_privilege('{role}', 'osbackend', 'USAGE, CREATE')::int::bigint");
        assert_eq!(number(&admin, &enters).await, 0, "{role}");
    }

    // Where an administrator grants too much, the view still asks with the rights of who reads it, and no row is theirs.
    admin
        .batch_execute(
            "GRANT USAGE ON SCHEMA osbackend TO anon; GRANT ALL ON ALL TABLES IN SCHEMA osbackend TO anon; SET ROLE anon",
        )
        .await
        .unwrap();
    for what in ["metrics", "metric_points", "metric_series", "metric_sums", "metric_schema"] {
        assert_eq!(number(&admin, &format!("SELECT count(*) FROM osbackend.{what}")).await, 0, "{what}");
    }
    assert_eq!(admin.execute("DELETE FROM osbackend.metric_schema", &[]).await.unwrap(), 0);
    // A grant that was meant outlives a restart.
    admin.batch_execute("RESET ROLE").await.unwrap();
    prepared(&server).await.unwrap();
    assert_eq!(number(&admin, "SELECT has_schema_privilege('anon', 'osbackend', 'USAGE')::int::bigint").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_in_public_moves_with_every_point_also_when_interrupted() {
    let server = Postgres::start();
    let admin = session(&server.url()).await;
    admin.batch_execute(SUPABASE).await.unwrap();
    admin.batch_execute(VERSION_1).await.unwrap();
    // A chart of the application's own goes on working.
    admin
        .batch_execute("CREATE VIEW chart AS SELECT * FROM osbackend_metrics; DELETE FROM osbackend_metric_schema")
        .await
        .unwrap();

    // Somebody reads the last of the tables that are moved; the migration is ended while it waits for that.
    let reading = session(&server.url()).await;
    reading.batch_execute("BEGIN; LOCK TABLE osbackend_metric_sums IN ACCESS SHARE MODE").await.unwrap();
    let url = server.url();
    let migrating = tokio::spawn(async move { prepare(&DatabaseUrl::parse(&url, None).unwrap()).await });
    let waiting = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid <> pg_backend_pid()";
    while number(&admin, waiting).await == 0 {}
    migrating.await.unwrap().unwrap_err();
    assert_eq!(number(&admin, "SELECT count(*) FROM public.osbackend_metrics").await, 10, "nothing has happened");
    assert_eq!(number(&admin, "SELECT count(*) FROM pg_namespace WHERE nspname = 'osbackend'").await, 0);
    reading.batch_execute("COMMIT").await.unwrap();

    let store = postgres(&server, FOREVER).await;
    assert_eq!(counted(&server, &store).await, (20.0, 10, 10));
    assert_eq!(number(&admin, "SELECT count(*) FROM chart").await, 10);
    let open = "SELECT count(*) FROM pg_class WHERE relnamespace = 'osbackend'::regnamespace AND relkind IN ('r', 'v')
        AND (has_table_privilege('anon', oid, 'SELECT, INSERT, UPDATE, DELETE') OR relkind = 'r' AND NOT relrowsecurity)";
    assert_eq!(number(&admin, open).await, 0, "what the old tables had granted is taken back");
    (store.record)(&[point(10), point(11)]);
    assert_eq!(counted(&server, &store).await, (22.0, 11, 11), "it goes on, and knows the points that it had");

    // An old version ran again for a while (its tables go where the role's path leads, into the schema of the role's name), and the
    // mark of the version is lost.
    admin.batch_execute(VERSION_1).await.unwrap();
    let more = "INSERT INTO osbackend_metric_points (series, at_ms, event_id, data) VALUES (2, 1714521600020, 'e-20', '{\"active\": 2}');
        UPDATE osbackend_metric_sums SET sum = 2, count = 1; DELETE FROM osbackend.metric_schema";
    admin.batch_execute(more).await.unwrap();
    prepared(&server).await.unwrap();
    assert_eq!(counted(&server, &store).await, (24.0, 12, 12));
    assert_eq!(
        number(&admin, "SELECT count(*) FROM pg_class WHERE relname LIKE 'osbackend_metric%' AND relkind IN ('r', 'v')").await,
        0
    );
}

#[tokio::test]
async fn what_can_not_be_migrated_is_refused_in_clear_words() {
    let server = Postgres::start();
    let admin = session(&server.url()).await;
    prepared(&server).await.unwrap();
    admin.batch_execute("UPDATE osbackend.metric_schema SET version = 999").await.unwrap();
    let error = prepared(&server).await.unwrap_err();
    assert!(matches!(error, ConnectError::Schema(SchemaError::Newer { found: 999 })), "{error:?}");
    assert!(error.to_string().contains("newer osbackend") && error.to_string().contains("DATABASE_URL"), "{error}");
    // Nor does a server that goes on by itself write into them.
    let store = super::unprepared(&server, FOREVER);
    (store.record)(&[point(1)]);
    tokio::time::timeout(Duration::from_millis(100), store.store.query(super::all(START), START)).await.unwrap_err();
    assert_eq!(number(&admin, "SELECT count(*) FROM osbackend.metric_points").await, 0);
    drop(store);

    // Tables of another's in `public` may have triggers: they are not taken over.
    admin
        .batch_execute("DROP SCHEMA osbackend CASCADE; CREATE ROLE eve LOGIN; GRANT CREATE ON SCHEMA public TO eve")
        .await
        .unwrap();
    let eve = server.url().replace("osbackend@", "eve@");
    session(&eve).await.batch_execute(VERSION_1).await.unwrap();
    let error = prepared(&server).await.unwrap_err().to_string();
    assert!(error.contains("belong to another role") && error.contains("OWNER TO osbackend"), "{error}");
    // A role that may make tables but no schema is told what its administrator is to run; then it works.
    let as_eve = || DatabaseUrl::parse(&eve, None).unwrap();
    let error = prepare(&as_eve()).await.unwrap_err().to_string();
    assert!(error.contains("CREATE SCHEMA osbackend AUTHORIZATION eve"), "{error}");
    admin.batch_execute("CREATE SCHEMA osbackend AUTHORIZATION eve").await.unwrap();
    prepare(&as_eve()).await.unwrap();
    assert_eq!(number(&admin, "SELECT count(*) FROM osbackend.metrics").await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_may_give_each_transaction_another_connection() {
    let server = Postgres::start();
    session(&server.url()).await.batch_execute("ALTER ROLE osbackend SET log_statement = 'all'").await.unwrap();
    // Everything that is done with a database: tables, writes, deletions, questions.
    let age = Some(Duration::from_secs(60));
    let store = postgres(&server, Keep { raw: age, minutes: age, hours: age }).await;
    (store.record)(&[point(1), Point { event_id: "now".to_owned(), at_ms: u64::MAX / 4, ..point(2) }]);
    // Of the point that is not over its age; a question waits for what is on its way, but not for ever.
    let now = MetricQuery::of_range(None, u64::MAX / 4, u64::MAX / 4);
    let days = MetricQuery { interval: Some(Interval::Day), ..now.clone() };
    for query in [now, days] {
        while store.store.query(query.clone(), START).await.unwrap().points.is_empty() {}
    }
    let log = server.log();
    let executed: Vec<_> = log.lines().filter(|line| line.contains("execute ")).collect();
    for what in
        ["INSERT INTO osbackend.metric_points", "osbackend.metric_sums AS old", "DELETE FROM osbackend.metric_", "LATERAL"]
    {
        assert!(executed.iter().any(|line| line.contains(what)) || log.contains(what), "{what}: {log}");
    }
    assert!(
        !executed.is_empty() && executed.iter().all(|line| line.contains("execute <unnamed>")),
        "a named statement: {executed:#?}"
    );
    // What is set for longer than a transaction would be found by whoever gets the connection next.
    let set = log
        .lines()
        .filter(|line| line.to_uppercase().contains("SET STATEMENT_TIMEOUT") || line.to_uppercase().contains("SET JIT"));
    assert_eq!(set.collect::<Vec<_>>(), [""; 0]);
}
