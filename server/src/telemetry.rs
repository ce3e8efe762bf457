//! Log lines to stderr, for people or for machines. No line has a token: they are never given to `tracing`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Logs};

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed; the settings refuse such a one earlier.
    #[error("RUST_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process logs already.
    #[error("logging is set up already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// What these log in detail are frames and request heads, with the tokens in them: never, whatever the filter says.
const NEVER_IN_DETAIL: [&str; 5] = ["tungstenite=info", "tokio_tungstenite=info", "hyper=info", "hyper_util=info", "axum=info"];

/// Sets up logging for this process, as the settings say. Embedders with a subscriber of their own don't call it.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(logs: &Logs) -> Result<(), TelemetryError> {
    let mut filter = EnvFilter::builder().parse(&logs.filter)?;
    for directive in NEVER_IN_DETAIL {
        filter = filter.add_directive(directive.parse()?);
    }
    // A failed write would be told on stderr too, and `eprintln!` panics where nobody reads that: a log that went away must
    // not end the server, least of all while it drains.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match logs.format {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    }
    .map_err(TelemetryError::Twice)
}
