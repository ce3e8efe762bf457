//! The settings of a server as one typed value (docs/PROTOCOL.md §10), from defaults, a TOML file, environment and flags.
//!
//! Every name, default and description stands once, in [`settings::SETTINGS`]; parsing, `--help`,
//! `osbackend config` and the tables of docs/CONFIGURATION.md are made from it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::engine::sqlite::SyncMode;

mod effective;
mod file;
mod flags;
mod hooks;
mod later;
mod policy;
mod setting;
mod settings;
mod shown;
mod table;
mod value;

pub use effective::{Effective, Source};
pub use file::{ConfigFile, FileError, Lines};
pub use flags::{SettingFlags, SettingsError};
pub use hooks::{HookEvent, Hooks};
pub use later::not_there_yet;
pub use setting::Setting;
pub use settings::SETTINGS;
pub use shown::without_secrets;
pub use table::{markdown_table, text_table};
pub(crate) use value::pause as parse_time;

/// All settings of one server. [`Config::default`] has the defaults of §10, [`Config::dev`] those of `--dev`.
///
/// ```
/// use osbackend_server::config::Config;
/// let mut config = Config::default();
/// config.listen.ws_port = 0; // any free port
/// config.auth.jwt_secret = Some("a secret of at least 32 bytes, kept".into());
/// assert_eq!(config.limits.max_rooms, Some(100));
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    /// Started with `--dev`: development conveniences, never for a public address.
    pub dev: bool,
    /// Where to listen.
    pub listen: Listen,
    /// Who may connect.
    pub auth: Auth,
    /// What a room remembers.
    pub engine: Engine,
    /// Bounds on clients. `None` lifts one.
    pub limits: Limits,
    /// Timers of connections and of the shutdown (§8).
    pub liveness: Liveness,
    /// Backends that are asked and told by HTTP.
    pub hooks: Hooks,
    /// What is logged, and how.
    pub logs: Logs,
}

/// Addresses and ports.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Address of both listeners.
    pub host: IpAddr,
    /// Port of the API, the demo page and `/ws`. 0 takes a free one.
    pub port: u16,
    /// Port of `/ws` and the API. 0 takes a free one.
    pub ws_port: u16,
    /// Port that sends plain metric frames to whoever connects, as the old system did; `None`: off.
    pub metrics_ws_port: Option<u16>,
    /// `ws://` or `http://` address of another process's WebSocket listener, to which `/ws` of `port` is passed on.
    pub ws_upstream: Option<String>,
    /// PEM file of the certificate chain; with `tls_key` every listener speaks TLS.
    pub tls_cert: Option<PathBuf>,
    /// PEM file of the private key.
    pub tls_key: Option<PathBuf>,
    /// Whether other processes may listen on the same ports: a successor that is started before this one is stopped.
    pub reuse_port: bool,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Host` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// Who may connect.
#[derive(Clone, Debug)]
pub struct Auth {
    /// HS256 secret of the tokens.
    pub jwt_secret: Option<Secret>,
    /// `aud` that tokens signed with `jwt_secret` must have; `None`: any.
    pub jwt_audience: Option<String>,
    /// `iss` that tokens signed with `jwt_secret` must have; `None`: any.
    pub jwt_issuer: Option<String>,
    /// `https://….supabase.co`: its key set checks tokens, without a slash at the end.
    pub supabase_url: Option<String>,
    /// Supabase's public API key: lets its server be asked about tokens that can't be checked here.
    pub supabase_anon_key: Option<Secret>,
    /// The project's legacy HS256 secret.
    pub supabase_jwt_secret: Option<Secret>,
    /// Keys of backends for the HTTP API.
    pub api_keys: Vec<ApiKey>,
    /// Whether a connection without a token may stay (§1).
    pub allow_anonymous: bool,
    /// Origins that browsers may connect from; `None`: the same host, or any localhost with `--dev`.
    pub allowed_origins: Option<Vec<String>>,
    /// How long a connection may stay without a token; `None`: for ever.
    pub timeout: Option<Duration>,
    /// How long before `exp` a client is told (§4). Fixed at 60 s; a field so that tests can shrink it.
    pub token_warning: Duration,
    /// How long after `exp` a connection that was not refreshed is closed (§4). Fixed at 25 s; a field for tests too.
    pub token_grace: Duration,
    /// How long an issuer of tokens may take to answer. Fixed at 5 s; a field for tests too.
    pub fetch_timeout: Duration,
}

impl Auth {
    /// Whether there is anything that tokens can be checked with.
    pub fn accepts_tokens(&self) -> bool {
        self.jwt_secret.is_some() || self.supabase_jwt_secret.is_some() || self.supabase_url.is_some()
    }
}

/// A backend's key for the HTTP API, hashed: whoever reads the settings can't use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Whose it is; appears in logs.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
}

/// Where streams live, and what a room remembers.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Which engine.
    pub kind: EngineKind,
    /// Directory of the durable engine's file; made if it doesn't exist.
    pub data_dir: PathBuf,
    /// How long a start waits for the directory while another process has it.
    pub wait_for_data_dir: Duration,
    /// What an acknowledged publish survives.
    pub sync: SyncMode,
    /// Events kept per room; `None`: bounded by `history_ttl` only.
    pub history_size: Option<usize>,
    /// How long an event is kept; `None`: bounded by `history_size` only.
    pub history_ttl: Option<Duration>,
    /// How long a room that nobody is in keeps its newest events by key; `None`: for ever.
    pub snapshot_ttl: Option<Duration>,
    /// PostgreSQL database that the metrics are kept in; `None`: where the streams are.
    pub database_url: Option<Secret>,
    /// PEM file whose certificates alone the database's is checked with; `None`: the system's.
    pub database_ca: Option<PathBuf>,
    /// How long points of metrics are kept; `None`: for ever.
    pub metrics_raw: Option<Duration>,
    /// How long their aggregates by minute are kept; `None`: for ever.
    pub metrics_minutes: Option<Duration>,
    /// How long their aggregates by hour are kept; `None`: for ever.
    pub metrics_hours: Option<Duration>,
}

/// Where streams live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// In a file: they go on after a restart.
    Sqlite,
    /// In this process: they end with it.
    Memory,
}

/// Bounds on clients; `None` lifts one, where nothing else is said. The rates are of WebSocket connections, but for those of the API.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections of the whole server. The default fits the files that this process may open when it is made.
    pub max_connections: Option<usize>,
    /// Connections of one IP address.
    pub max_connections_per_ip: Option<usize>,
    /// Connections of one user.
    pub max_connections_per_user: Option<usize>,
    /// HTTP connections of one IP address that are not WebSockets; `None`: as many as `max_connections_per_ip`.
    pub max_http_connections_per_ip: Option<usize>,
    /// Calls a second of one user's token to the HTTP API, twice as many at once.
    pub api_rate: Option<u32>,
    /// Calls a second of one IP address to the HTTP API, twice as many at once.
    pub api_rate_per_ip: Option<u32>,
    /// How long an HTTP connection may be idle between two requests.
    pub http_keep_alive: Option<Duration>,
    /// How long an HTTP client may not read its answer.
    pub http_write_timeout: Option<Duration>,
    /// New connections a second of one IP address; five times as many at once.
    pub connect_rate_per_ip: Option<u32>,
    /// New connections a second.
    pub connect_rate: Option<u32>,
    /// Size of one incoming message in bytes; more: close 1009.
    pub max_message_bytes: Option<usize>,
    /// Rooms of one connection.
    pub max_rooms: Option<usize>,
    /// Messages a second of one connection.
    pub message_rate: Option<u32>,
    /// Messages at once of one connection.
    pub message_burst: Option<u32>,
    /// Bytes a second of one connection, as they come from the network.
    pub byte_rate: Option<u32>,
    /// Bytes at once of one connection; `max_message_bytes` at least.
    pub byte_burst: Option<u32>,
    /// From the first byte of a message, or of its first fragment, to its last.
    pub message_timeout: Option<Duration>,
    /// Joins a second of one connection.
    pub join_rate: Option<u32>,
    /// Joins at once of one connection. Fixed at 100 by §10; a field so that tests can shrink it.
    pub join_burst: u32,
    /// Bytes that may wait for one connection; more: close 4002.
    pub outbox_bytes: Option<usize>,
    /// How long the HTTP request head and the WebSocket handshake may take.
    pub handshake_timeout: Option<Duration>,
}

/// Timers of connections and of the shutdown.
#[derive(Clone, Debug)]
pub struct Liveness {
    /// Between two pings of the server; `None`: no pings.
    pub heartbeat: Option<Duration>,
    /// From a ping to close 4004 when no byte came; `None`: never.
    pub pong_timeout: Option<Duration>,
    /// Over how long a shutdown spreads the reconnects of its clients. Zero closes all at once.
    pub drain: Duration,
    /// How long a user whose last connection is lost counts as present (§5). Zero: not at all.
    pub presence_grace: Duration,
    /// Users of one room that are listed and told of; `None`: all.
    pub presence_limit: Option<usize>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Logs {
    /// Lines for people or for machines.
    pub format: LogFormat,
    /// Filter in the syntax of `RUST_LOG`.
    pub filter: String,
    /// Address of a listener that only answers `/metrics`; `None`: it is answered on `PORT`.
    pub metrics_addr: Option<SocketAddr>,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A value that must not be shown: `Debug` prints `[redacted]`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The value itself, for the one who checks or signs with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A setting has a value that is not allowed. The message names the variable and what is allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{variable}{} is not allowed. Use {allowed}", shown(.value))]
pub struct ConfigError {
    /// Name of the environment variable.
    pub variable: &'static str,
    /// What was given, as far as it may be shown; `None` where the setting is a secret.
    pub value: Option<String>,
    /// What may be given.
    pub allowed: &'static str,
}

fn shown(value: &Option<String>) -> String {
    value.as_ref().map(|value| format!("={value:?}")).unwrap_or_default()
}

impl Config {
    /// The settings for development: `--dev` and nothing else given.
    pub fn dev() -> Self {
        Self::of_defaults(true)
    }

    /// The settings of this process's environment. An empty variable counts as unset.
    ///
    /// # Errors
    /// The first variable, in the order of [`SETTINGS`], whose value is not allowed.
    pub fn from_env(dev: bool) -> Result<Self, ConfigError> {
        Self::resolve(dev, |name| std::env::var(name).ok())
    }

    /// Settings with the values that `given` has for a variable's name, defaults for the others.
    ///
    /// # Errors
    /// The first setting, in the order of [`SETTINGS`], whose value is not allowed.
    pub fn resolve(dev: bool, given: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::of_defaults(dev);
        for setting in SETTINGS {
            if let Some(value) = given(setting.name).filter(|value| !value.is_empty()) {
                setting.set(&mut config, &value)?;
            }
        }
        Ok(config)
    }

    /// Every setting whose value in `given` is not allowed, in the order of [`SETTINGS`].
    pub fn errors(dev: bool, given: impl Fn(&str) -> Option<String>) -> Vec<ConfigError> {
        let mut config = Self::of_defaults(dev);
        let all = SETTINGS.iter().filter_map(|setting| Some((setting, given(setting.name).filter(|value| !value.is_empty())?)));
        all.filter_map(|(setting, value)| setting.set(&mut config, &value).err()).collect()
    }

    fn of_defaults(dev: bool) -> Self {
        let mut config = Self::unset(dev);
        for setting in SETTINGS {
            if let Some(value) = setting.default_for(dev) {
                setting.set(&mut config, value).expect("a test sets every default of the table");
            }
        }
        config
    }

    /// What stands before the table's defaults are applied: nothing of it is seen outside.
    fn unset(dev: bool) -> Self {
        Self {
            dev,
            listen: Listen {
                host: IpAddr::from([127, 0, 0, 1]),
                port: 0,
                ws_port: 0,
                metrics_ws_port: None,
                ws_upstream: None,
                tls_cert: None,
                tls_key: None,
                reuse_port: false,
                trusted_proxies: Vec::new(),
            },
            auth: Auth {
                jwt_secret: None,
                jwt_audience: None,
                jwt_issuer: None,
                supabase_url: None,
                supabase_anon_key: None,
                supabase_jwt_secret: None,
                api_keys: Vec::new(),
                allow_anonymous: false,
                allowed_origins: None,
                timeout: None,
                token_warning: Duration::from_secs(60),
                token_grace: Duration::from_secs(25),
                fetch_timeout: Duration::from_secs(5),
            },
            engine: Engine {
                kind: EngineKind::Sqlite,
                data_dir: PathBuf::new(),
                wait_for_data_dir: Duration::ZERO,
                sync: SyncMode::Normal,
                history_size: None,
                history_ttl: None,
                snapshot_ttl: None,
                database_url: None,
                database_ca: None,
                metrics_raw: None,
                metrics_minutes: None,
                metrics_hours: None,
            },
            limits: Limits {
                max_connections: None,
                max_connections_per_ip: None,
                max_connections_per_user: None,
                max_http_connections_per_ip: None,
                api_rate: None,
                api_rate_per_ip: None,
                http_keep_alive: None,
                http_write_timeout: None,
                connect_rate_per_ip: None,
                connect_rate: None,
                max_message_bytes: None,
                max_rooms: None,
                message_rate: None,
                message_burst: None,
                byte_rate: None,
                byte_burst: None,
                message_timeout: None,
                join_rate: None,
                join_burst: 100,
                outbox_bytes: None,
                handshake_timeout: None,
            },
            liveness: Liveness {
                heartbeat: None,
                pong_timeout: None,
                drain: Duration::ZERO,
                presence_grace: Duration::ZERO,
                presence_limit: None,
            },
            hooks: Hooks::default(),
            logs: Logs { format: LogFormat::Text, filter: String::new(), metrics_addr: None },
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::of_defaults(false)
    }
}

#[cfg(test)]
mod tests;
