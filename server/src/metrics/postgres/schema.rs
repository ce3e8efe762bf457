//! The tables in the database: a schema of their own, closed to everybody but the role that made it, brought to this program's version.
//!
//! Who serves a database to others (PostgREST does, with Supabase's `anon` key) gives its roles what lies in `public`. So nothing
//! lies there, nothing is granted, and each table has row security without a policy: three locks, of which an administrator may
//! open one by mistake.

use tokio_postgres::{Client, Error, error::SqlState, types::Type};

/// Newest version of the tables that this program knows. Version 1 lay in `public`.
const VERSION: i32 = 2;

/// `CREATE … IF NOT EXISTS`: where the mark of the version was lost, the tables are taken as they are.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS osbackend.metric_series (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, metric text NOT NULL UNIQUE
    );
    CREATE TABLE IF NOT EXISTS osbackend.metric_points (
        series bigint NOT NULL, at_ms bigint NOT NULL, seq bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL UNIQUE,
        data jsonb NOT NULL, PRIMARY KEY (series, at_ms, seq)
    );
    CREATE TABLE IF NOT EXISTS osbackend.metric_sums (
        series bigint NOT NULL, span_ms bigint NOT NULL, begin_ms bigint NOT NULL, name text NOT NULL,
        min double precision NOT NULL, max double precision NOT NULL, sum double precision NOT NULL, count bigint NOT NULL,
        last double precision NOT NULL, last_at_ms bigint NOT NULL, PRIMARY KEY (series, span_ms, begin_ms, name)
    );
    CREATE OR REPLACE VIEW osbackend.metrics AS
        SELECT metric, to_timestamp(at_ms / 1000.0) AS at, data AS \"values\"
        FROM osbackend.metric_points JOIN osbackend.metric_series ON series = id;
";

/// Takes back what default privileges gave, and what version 1 had in `public`. Grants that an administrator makes later stay.
const CLOSE: &str = "
    ALTER TABLE osbackend.metric_schema ENABLE ROW LEVEL SECURITY;
    ALTER TABLE osbackend.metric_series ENABLE ROW LEVEL SECURITY;
    ALTER TABLE osbackend.metric_points ENABLE ROW LEVEL SECURITY;
    ALTER TABLE osbackend.metric_sums ENABLE ROW LEVEL SECURITY;
    DO $$
    DECLARE who text;
    BEGIN
        FOR who IN SELECT 'PUBLIC' UNION ALL SELECT quote_ident(rolname) FROM pg_catalog.pg_roles
            WHERE rolname IN ('anon', 'authenticated')
        LOOP
            EXECUTE 'REVOKE ALL ON SCHEMA osbackend FROM ' || who;
            EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA osbackend FROM ' || who;
            EXECUTE 'REVOKE ALL ON ALL SEQUENCES IN SCHEMA osbackend FROM ' || who;
        END LOOP;
    END $$;
";

/// From this version of the server on a view can ask with the rights of who reads it.
const KNOWS_INVOKER: i32 = 150_000;
/// Changed only where it isn't so: this waits for everybody who reads the view.
const INVOKER: &str = "
    DO $$ BEGIN
        IF NOT COALESCE((SELECT reloptions @> '{security_invoker=true}' FROM pg_catalog.pg_class
            WHERE oid = 'osbackend.metrics'::regclass), false)
        THEN ALTER VIEW osbackend.metrics SET (security_invoker = true); END IF;
    END $$";

/// The tables of version 1 where they were made: in the first schema of the role's path. That is `public`, or for a role that is called
/// `osbackend` this schema, once there is one.
const FORMER: [&str; 3] = ["osbackend_metric_series", "osbackend_metric_points", "osbackend_metric_sums"];

/// Two servers that start at once must not both make the tables.
const LOCK: i64 = 0x05ba_ce4d;

/// The tables can't be brought to this program's version.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A newer program was here.
    #[error(
        "the tables of the schema osbackend are of version {found}, and this program knows those up to {VERSION}. \
         Run the newer osbackend that made them, or name another database"
    )]
    Newer {
        /// The version of the tables.
        found: i32,
    },
    /// The role may not make the schema.
    #[error(
        "the role {role} may not create the schema osbackend in this database. Let its owner run once: \
         CREATE SCHEMA osbackend AUTHORIZATION {role}"
    )]
    MayNotCreate {
        /// The role, quoted for SQL.
        role: String,
    },
    /// Tables of version 1 that aren't ours to take over: whoever made them could have put a trigger there.
    #[error(
        "the tables {FORMER:?} in the schema {schema} belong to another role than {role}. If they are osbackend's, \
         change their owner (ALTER TABLE … OWNER TO {role}) to have their points taken over; else rename or drop them"
    )]
    Foreign {
        /// Where they are, quoted for SQL.
        schema: String,
        /// The role of `DATABASE_URL`, quoted for SQL.
        role: String,
    },
    /// The database refused.
    #[error("{}", super::connect::told(.0))]
    Database(#[from] Error),
}

/// Brings the tables to this program's version. All of it is one transaction: interrupted, nothing has happened.
pub(super) async fn migrate(client: &Client) -> Result<(), SchemaError> {
    // Moving is a matter of names, but the points of an old version beside a new one are copied: no limit of time.
    let begin = format!(
        "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL client_min_messages = warning; SELECT pg_advisory_xact_lock({LOCK})"
    );
    client.batch_execute(&begin).await?;
    let migrated = steps(client).await;
    let end = if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" };
    client.batch_execute(end).await?;
    migrated
}

async fn steps(client: &Client) -> Result<(), SchemaError> {
    let about = client
        .query_typed_one(
            "SELECT quote_ident(current_user), current_setting('server_version_num')::int, to_regnamespace('osbackend') IS NOT NULL",
            &[],
        )
        .await?;
    let (role, server, exists): (String, i32, bool) = (about.get(0), about.get(1), about.get(2));
    if !exists {
        // Not `IF NOT EXISTS`: this wants the right to create schemas even where the schema is there.
        client.batch_execute("CREATE SCHEMA osbackend").await.map_err(|error| match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE) => SchemaError::MayNotCreate { role: role.clone() },
            _ => error.into(),
        })?;
    }
    client.batch_execute("CREATE TABLE IF NOT EXISTS osbackend.metric_schema (version int NOT NULL)").await?;
    let found = client.query_typed("SELECT max(version) FROM osbackend.metric_schema", &[]).await?;
    let version = found.first().and_then(|row| row.get::<_, Option<i32>>(0)).unwrap_or(0);
    if version > VERSION {
        return Err(SchemaError::Newer { found: version });
    }
    let moved = take_over(client, &role).await?;
    if version < VERSION || moved {
        client.batch_execute(TABLES).await?;
        client.batch_execute(CLOSE).await?;
        client.batch_execute("DELETE FROM osbackend.metric_schema").await?;
        client.execute_typed("INSERT INTO osbackend.metric_schema VALUES ($1)", &[(&VERSION, Type::INT4)]).await?;
    }
    if server >= KNOWS_INVOKER {
        // Each time, since the server may have become a newer one.
        client.batch_execute(INVOKER).await?;
    } else {
        tracing::info!(
            server,
            "before PostgreSQL 15 a view asks with its owner's rights: grant osbackend.metrics only to roles that may read all metrics"
        );
    }
    Ok(())
}

/// Moves what version 1 made, with all that is in it; whether there was something. Also where a version 1 ran again beside the
/// tables of a newer one: then its points and sums are added to theirs.
async fn take_over(client: &Client, role: &str) -> Result<bool, SchemaError> {
    let found = client
        .query_typed(
            "SELECT quote_ident(nspname), bool_and(relowner = (SELECT oid FROM pg_roles WHERE rolname = current_user)), count(*)
             FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS of ON of.oid = relnamespace
             WHERE nspname = ANY(current_schemas(false)) AND relname = ANY($1) AND relkind = 'r'
             GROUP BY nspname",
            &[(&FORMER.as_slice(), Type::TEXT_ARRAY)],
        )
        .await?;
    let mut moved = false;
    for row in found {
        let (schema, ours, tables): (String, bool, i64) = (row.get(0), row.get(1), row.get(2));
        // They were made together.
        if tables < FORMER.len() as i64 {
            tracing::warn!(schema, tables, "some tables of an older version are missing: what is left of them is left alone");
            continue;
        }
        if !ours {
            return Err(SchemaError::Foreign { schema, role: role.to_owned() });
        }
        let there = client.query_typed_one("SELECT to_regclass('osbackend.metric_series') IS NOT NULL", &[]).await?;
        client.batch_execute(&if there.get(0) { merge(&schema) } else { rename(&schema) }).await?;
        tracing::info!(schema, "the metrics' tables were moved into the schema osbackend; the view is osbackend.metrics now");
        moved = true;
    }
    Ok(moved)
}

/// Views of the application's own on these keep working: they know tables by number.
fn rename(schema: &str) -> String {
    let moves = [("TABLE", "series"), ("TABLE", "points"), ("TABLE", "sums")].map(|(what, name)| {
        format!(
            "ALTER {what} {schema}.osbackend_metric_{name} SET SCHEMA osbackend;
             ALTER {what} osbackend.osbackend_metric_{name} RENAME TO metric_{name};"
        )
    });
    format!(
        "{}
         ALTER VIEW IF EXISTS {schema}.osbackend_metrics SET SCHEMA osbackend;
         ALTER VIEW IF EXISTS osbackend.osbackend_metrics RENAME TO metrics;
         DROP TABLE IF EXISTS {schema}.osbackend_metric_schema;",
        moves.concat()
    )
}

/// A point that is in both counts once; the sums are added, as those of points that are gone can't be told from others.
fn merge(schema: &str) -> String {
    format!(
        "INSERT INTO osbackend.metric_series (metric) SELECT metric FROM {schema}.osbackend_metric_series ON CONFLICT DO NOTHING;
         INSERT INTO osbackend.metric_points (series, at_ms, event_id, data)
            SELECT new.id, at_ms, event_id, data FROM {schema}.osbackend_metric_points
            JOIN {schema}.osbackend_metric_series AS old ON old.id = series JOIN osbackend.metric_series AS new USING (metric)
            ORDER BY seq ON CONFLICT (event_id) DO NOTHING;
         INSERT INTO osbackend.metric_sums AS old (series, span_ms, begin_ms, name, min, max, sum, count, last, last_at_ms)
            SELECT new.id, span_ms, begin_ms, name, min, max, sum, count, last, last_at_ms
            FROM {schema}.osbackend_metric_sums
            JOIN {schema}.osbackend_metric_series AS former ON former.id = series JOIN osbackend.metric_series AS new USING (metric)
            ON CONFLICT (series, span_ms, begin_ms, name) DO UPDATE SET {ADD};
         DROP VIEW IF EXISTS {schema}.osbackend_metrics;
         DROP TABLE {schema}.osbackend_metric_points, {schema}.osbackend_metric_sums, {schema}.osbackend_metric_series;
         DROP TABLE IF EXISTS {schema}.osbackend_metric_schema;"
    )
}

/// How a sum (`excluded`) is added to another (`old`). What is beyond the largest number is the largest number.
pub(super) const ADD: &str = "
    min = LEAST(old.min, excluded.min), max = GREATEST(old.max, excluded.max),
    sum = CASE WHEN old.sum > 0 AND excluded.sum > 1.7976931348623157e308::float8 - old.sum THEN 1.7976931348623157e308::float8
        WHEN old.sum < 0 AND excluded.sum < -1.7976931348623157e308::float8 - old.sum THEN -1.7976931348623157e308::float8
        ELSE old.sum + excluded.sum END,
    count = old.count + excluded.count,
    last = CASE WHEN excluded.last_at_ms >= old.last_at_ms THEN excluded.last ELSE old.last END,
    last_at_ms = GREATEST(old.last_at_ms, excluded.last_at_ms)";
