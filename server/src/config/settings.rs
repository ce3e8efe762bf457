//! The one table of settings: names, defaults, allowed values and what each is for.

use super::setting::{Setting, setting};
use super::value::{
    address, any_text, api_keys, at_least, choice, connections, duration, flag, host, limit, limit_from, log_filter, networks,
    number, optional_port, origins, pause, some_path, some_secret, some_text, words,
};
use super::{Config, EngineKind, HookEvent, LogFormat, Secret};
use crate::engine::sqlite::SyncMode;
use crate::metrics::postgres::DatabaseUrl;

const NUMBER: &str = "a whole number; 0 lifts the limit";
const TIME: &str = "a time such as 500ms, 25s, 5m, 1h or 2d; 0 lifts the limit";
const PAUSE: &str = "a time such as 500ms, 25s, 5m, 1h or 2d; 0 for none";

const PORT: &str = "a port, 0 to 65535; 0 takes a free one";

/// `into!(group.field, parser)`: puts what the parser makes of the text into that field.
macro_rules! into {
    ($group:ident . $field:ident, $parse:expr) => {
        |config: &mut Config, value: &str| {
            config.$group.$field = $parse(value)?;
            Some(())
        }
    };
}

/// Every setting, in the order of docs/PROTOCOL.md §10.
pub const SETTINGS: &[Setting] = &[
    setting(
        "listen",
        "WS_PORT",
        Some("8082"),
        PORT,
        "Port of the WebSocket endpoint `/ws`; the API answers there too.",
        into!(listen.ws_port, number),
    ),
    setting(
        "listen",
        "PORT",
        Some("8080"),
        PORT,
        "Port of the HTTP API and the demo page; `/ws` answers there too.",
        into!(listen.port, number),
    ),
    setting(
        "listen",
        "HOST",
        Some("0.0.0.0"),
        "an IP address, such as 0.0.0.0, 127.0.0.1 or ::",
        "Address that all ports listen on.",
        into!(listen.host, host),
    )
    .dev("127.0.0.1"),
    setting(
        "listen",
        "METRICS_WS_PORT",
        None,
        PORT,
        "Legacy port: whoever connects there gets the metrics at once, without rooms (8081 in the old system).",
        into!(listen.metrics_ws_port, optional_port),
    ),
    setting(
        "listen",
        "WS_UPSTREAM",
        None,
        "the address of a WebSocket listener, such as ws://127.0.0.1:8082",
        "Another process that `/ws` on `PORT` is passed on to. Unset: this one's.",
        into!(listen.ws_upstream, |v| address(v, &["ws", "wss", "http", "https"]).map(Some)),
    ),
    setting(
        "listen",
        "TLS_CERT",
        None,
        "the path of a PEM file",
        "Certificate chain; with `TLS_KEY` every port speaks TLS. Read again when the file changes.",
        into!(listen.tls_cert, some_path),
    ),
    setting("listen", "TLS_KEY", None, "the path of a PEM file", "Private key of `TLS_CERT`.", into!(listen.tls_key, some_path)),
    setting(
        "listen",
        "TRUSTED_PROXIES",
        None,
        "IP addresses or networks with commas between, such as 10.0.0.0/8,::1",
        "Proxies whose `X-Forwarded-For` tells the client's address, and `X-Forwarded-Host` the host that it asked for.",
        into!(listen.trusted_proxies, networks),
    ),
    setting(
        "auth",
        "JWT_SECRET",
        None,
        "the secret that your tokens are signed with",
        "Secret of the HS256 tokens. `serve` wants this, `SUPABASE_URL` or `SUPABASE_JWT_SECRET`, unless with `--dev` or `ALLOW_ANONYMOUS`.",
        into!(auth.jwt_secret, some_secret),
    )
    .secret(),
    setting(
        "auth",
        "JWT_AUDIENCE",
        None,
        "the `aud` of your tokens",
        "`aud` that tokens signed with `JWT_SECRET` must have. Unset: any.",
        into!(auth.jwt_audience, some_text),
    ),
    setting(
        "auth",
        "JWT_ISSUER",
        None,
        "the `iss` of your tokens",
        "`iss` that tokens signed with `JWT_SECRET` must have. Unset: any.",
        into!(auth.jwt_issuer, some_text),
    ),
    setting(
        "auth",
        "SUPABASE_URL",
        None,
        "the address of your project, such as https://abcdefgh.supabase.co",
        "Supabase project whose users may connect: its published keys check their tokens (ES256, RS256, EdDSA).",
        into!(auth.supabase_url, |v| address(v, &["https", "http"]).map(Some)),
    ),
    setting(
        "auth",
        "SUPABASE_ANON_KEY",
        None,
        "the project's anon (publishable) key",
        "With it, and without `SUPABASE_JWT_SECRET`, the project is asked about HS256 tokens, at most once a minute each.",
        into!(auth.supabase_anon_key, some_secret),
    )
    .secret(),
    setting(
        "auth",
        "SUPABASE_JWT_SECRET",
        None,
        "the project's legacy JWT secret",
        "Legacy HS256 secret of a Supabase project, for tokens that are signed with it.",
        into!(auth.supabase_jwt_secret, some_secret),
    )
    .secret(),
    setting(
        "auth",
        "API_KEYS",
        None,
        "name:sha256 pairs with commas between; `osbackend api-key NAME` makes one",
        "Keys with which backends may use the HTTP API (`Authorization: Bearer KEY` or `X-API-Key: KEY`).",
        into!(auth.api_keys, api_keys),
    )
    .secret(),
    setting(
        "auth",
        "ALLOW_ANONYMOUS",
        Some("false"),
        "true or false",
        "Whether a connection without a token may stay.",
        into!(auth.allow_anonymous, flag),
    ),
    setting(
        "auth",
        "ALLOWED_ORIGINS",
        None,
        "origins with commas between, such as https://app.example.com,https://*.example.org, or * for any; file:// and null for local pages",
        "Origins that browsers may connect from. Unset: the same host; with `--dev`: any localhost.",
        into!(auth.allowed_origins, |v| origins(v).map(Some)),
    ),
    setting(
        "auth",
        "AUTH_TIMEOUT",
        Some("10s"),
        TIME,
        "How long a connection may stay without a token.",
        into!(auth.timeout, duration),
    )
    .dev("5m"),
    setting(
        "engine",
        "ENGINE",
        Some("sqlite"),
        "sqlite or memory",
        "Where streams live: in a file, so that they go on after a restart, or in the process.",
        into!(engine.kind, |v| choice(v, &[("sqlite", EngineKind::Sqlite), ("memory", EngineKind::Memory)])),
    ),
    setting(
        "engine",
        "DATA_DIR",
        Some("./data"),
        "a directory that this user may write to",
        "Directory of the `sqlite` engine's file; for one process at a time. Made where it doesn't exist.",
        into!(engine.data_dir, |v| any_text(v).map(std::path::PathBuf::from)),
    )
    .dev("./data/dev"),
    setting(
        "engine",
        "SQLITE_SYNC",
        Some("normal"),
        "normal or full",
        "What an acknowledged publish survives: the end of the process (a power loss then changes all epochs), or, `full`, a power loss.",
        into!(engine.sync, |v| choice(v, &[("normal", SyncMode::Normal), ("full", SyncMode::Full)])),
    ),
    setting(
        "engine",
        "HISTORY_SIZE",
        Some("1000"),
        NUMBER,
        "Events kept per room, for recovery and `history:get`.",
        into!(engine.history_size, limit),
    ),
    setting("engine", "HISTORY_TTL", Some("1h"), TIME, "How long an event is kept.", into!(engine.history_ttl, duration)),
    setting("engine", "SNAPSHOT_TTL", Some("7d"), TIME, "How long a deserted room keeps its snapshot.", into!(engine.snapshot_ttl, duration)),
    setting(
        "engine",
        "DATABASE_URL",
        None,
        "an address such as postgres://user:password@host:5432/database",
        "PostgreSQL database that the metrics are kept in. Unset: where the streams are.",
        into!(engine.database_url, |v| DatabaseUrl::parse(v, None).ok().map(|_| Some(Secret::from(v)))),
    )
    .secret(),
    setting(
        "engine",
        "DATABASE_CA",
        None,
        "the path of a PEM file",
        "Certificates of the authority that the database's is checked with. Unset: the system's.",
        into!(engine.database_ca, some_path),
    ),
    setting(
        "engine",
        "METRICS_RAW",
        Some("7d"),
        TIME,
        "How long each point of the metrics is kept.",
        into!(engine.metrics_raw, duration),
    ),
    setting(
        "engine",
        "METRICS_MINUTES",
        Some("30d"),
        TIME,
        "How long their aggregates by minute are kept.",
        into!(engine.metrics_minutes, duration),
    ),
    setting(
        "engine",
        "METRICS_HOURS",
        Some("400d"),
        TIME,
        "How long their aggregates by hour are kept.",
        into!(engine.metrics_hours, duration),
    ),
    setting(
        "limits",
        "MAX_CONNECTIONS",
        Some("auto"),
        "a whole number, or auto; 0 lifts the limit",
        "Connections of the whole server. `auto`: three quarters of the files that the process may open (`ulimit -Hn`).",
        into!(limits.max_connections, connections),
    ),
    setting(
        "limits",
        "MAX_CONNECTIONS_PER_IP",
        Some("100"),
        NUMBER,
        "Connections of one IP address, or of one IPv6 network of 64 bits.",
        into!(limits.max_connections_per_ip, limit),
    )
    .dev("0"),
    setting(
        "limits",
        "MAX_CONNECTIONS_PER_USER",
        Some("20"),
        NUMBER,
        "Connections of one user.",
        into!(limits.max_connections_per_user, limit),
    )
    .dev("0"),
    setting(
        "limits",
        "CONNECT_RATE_PER_IP",
        Some("20"),
        NUMBER,
        "New connections a second of one IP address or IPv6 network of 64 bits (five seconds' worth at once); more wait up to 8 s for their turn.",
        into!(limits.connect_rate_per_ip, limit),
    )
    .dev("0"),
    setting("limits", "CONNECT_RATE", Some("500"), NUMBER, "New connections a second; more wait up to 8 s for their turn.", into!(limits.connect_rate, limit)),
    setting(
        "limits",
        "MAX_MESSAGE_BYTES",
        Some("65536"),
        "a number of bytes from 1024; 0 lifts the limit",
        "Size of one incoming message; a larger one closes with 1009.",
        into!(limits.max_message_bytes, |v| limit_from(v, 1024)),
    ),
    setting("limits", "MAX_ROOMS", Some("100"), NUMBER, "Rooms of one connection.", into!(limits.max_rooms, limit)),
    setting(
        "limits",
        "MESSAGE_RATE",
        Some("50"),
        NUMBER,
        "Messages a second of one connection; pings, pongs and fragments count too.",
        into!(limits.message_rate, limit),
    ),
    setting(
        "limits",
        "MESSAGE_BURST",
        Some("100"),
        NUMBER,
        "Messages that one connection may send at once.",
        into!(limits.message_burst, limit),
    ),
    setting("limits", "BYTE_RATE", Some("262144"), NUMBER, "Bytes a second of one connection.", into!(limits.byte_rate, limit)),
    setting(
        "limits",
        "BYTE_BURST",
        Some("1048576"),
        NUMBER,
        "Bytes that one connection may send at once; one message always may.",
        into!(limits.byte_burst, limit),
    ),
    setting(
        "limits",
        "MESSAGE_TIMEOUT",
        Some("30s"),
        TIME,
        "How long one message may take from its first byte to its last, in fragments or not, and the body of a call.",
        into!(limits.message_timeout, duration),
    ),
    setting(
        "limits",
        "JOIN_RATE",
        Some("20"),
        NUMBER,
        "Joins a second of one connection (100 at once).",
        into!(limits.join_rate, limit),
    ),
    setting(
        "limits",
        "OUTBOX_BYTES",
        Some("1048576"),
        "a number of bytes from 4096; 0 lifts the limit",
        "Bytes of events, and as many of answers, that may wait for one slow connection before it is closed with 4002; of replays 64 times as many.",
        into!(limits.outbox_bytes, |v| limit_from(v, 4096)),
    ),
    setting(
        "limits",
        "HANDSHAKE_TIMEOUT",
        Some("10s"),
        TIME,
        "How long the HTTP request head and the `connect` handshake may take.",
        into!(limits.handshake_timeout, duration),
    ),
    setting(
        "limits",
        "API_RATE",
        Some("50"),
        NUMBER,
        "Calls to the HTTP API a second of one user's token, twice as many at once; more are answered with 429. Admins and API keys are not counted.",
        into!(limits.api_rate, limit),
    )
    .dev("0"),
    setting(
        "limits",
        "API_RATE_PER_IP",
        Some("200"),
        NUMBER,
        "The same of one IP address (an IPv6 network of 64 bits), of all its users and of who calls without a token.",
        into!(limits.api_rate_per_ip, limit),
    )
    .dev("0"),
    setting(
        "limits",
        "MAX_HTTP_CONNECTIONS_PER_IP",
        None,
        NUMBER,
        "HTTP connections of one IP address that are no WebSockets; the one that is idle for longest gives way to a new one. Unset: as many as `MAX_CONNECTIONS_PER_IP`.",
        into!(limits.max_http_connections_per_ip, |v| number(v).map(Some)),
    ),
    setting(
        "limits",
        "HTTP_KEEP_ALIVE",
        Some("75s"),
        TIME,
        "How long an HTTP connection may be idle between two requests: longer than a load balancer keeps it (60 s, mostly).",
        into!(limits.http_keep_alive, duration),
    ),
    setting(
        "limits",
        "HTTP_WRITE_TIMEOUT",
        Some("10s"),
        TIME,
        "How long an HTTP client may read nothing of its answer, or less than 4 KiB a second, before the connection is closed.",
        into!(limits.http_write_timeout, duration),
    ),
    setting(
        "liveness",
        "HEARTBEAT",
        Some("25s"),
        "a time from 10ms, such as 500ms, 25s or 5m; 0 for no pings",
        "Between two pings of the server.",
        into!(liveness.heartbeat, |v| at_least(duration(v)?, 10)),
    ),
    setting(
        "liveness",
        "PONG_TIMEOUT",
        Some("10s"),
        "a time from 10ms, such as 500ms, 10s or 1m; 0 to wait for ever",
        "From a ping to close 4004 when nothing came back.",
        into!(liveness.pong_timeout, |v| at_least(duration(v)?, 10)),
    ),
    setting(
        "liveness",
        "DRAIN",
        Some("20s"),
        PAUSE,
        "Over how long a shutdown spreads the reconnects of its clients.",
        into!(liveness.drain, pause),
    ),
    setting(
        "liveness",
        "PRESENCE_GRACE",
        Some("15s"),
        PAUSE,
        "How long a user whose last connection is lost still counts as present in its rooms.",
        into!(liveness.presence_grace, pause),
    ),
    setting(
        "liveness",
        "PRESENCE_LIMIT",
        Some("200"),
        NUMBER,
        "Users of one room that are listed and whose coming and going is told; from there on only counts are.",
        into!(liveness.presence_limit, limit),
    ),
    setting(
        "hooks",
        "WEBHOOK_URL",
        None,
        "an http:// or https:// address",
        "Your backend: asked and told of what clients do.",
        into!(hooks.url, |v| address(v, &["https", "http"]).map(Some)),
    )
    .secret(),
    setting(
        "hooks",
        "WEBHOOK_SECRET",
        None,
        "a secret that your backend knows too",
        "Secret with which requests to `WEBHOOK_URL` are signed.",
        into!(hooks.secret, some_secret),
    )
    .secret(),
    setting(
        "hooks",
        "WEBHOOK_EVENTS",
        Some("connect,disconnect,custom"),
        "some of connect, disconnect, join, publish and custom, with commas between",
        "What is sent to `WEBHOOK_URL`.",
        into!(hooks.events, |v| words(v, &HookEvent::ALL)),
    ),
    setting(
        "hooks",
        "WEBHOOK_TIMEOUT",
        Some("3s"),
        "a time from 100ms to 30s",
        "How long `WEBHOOK_URL` may take to answer.",
        into!(hooks.timeout, |v| pause(v).filter(|time| (100..=30_000).contains(&time.as_millis()))),
    ),
    setting(
        "logs",
        "LOG_FORMAT",
        Some("text"),
        "text or json",
        "Form of the log lines.",
        into!(logs.format, |v| choice(v, &[("text", LogFormat::Text), ("json", LogFormat::Json)])),
    ),
    setting(
        "logs",
        "RUST_LOG",
        Some("info"),
        "a filter such as info, debug or osbackend_server=debug,info",
        "What is logged.",
        into!(logs.filter, log_filter),
    ),
    setting(
        "logs",
        "METRICS_ADDR",
        None,
        "an address and port, such as 127.0.0.1:9090",
        "Address that only answers `/metrics`. Unset: it is answered on `PORT`.",
        into!(logs.metrics_addr, |v| number(v).map(Some)),
    ),
];
