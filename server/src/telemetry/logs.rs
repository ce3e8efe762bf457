//! Log lines to stderr, for people or for machines. No line has a token: they are never given to `tracing`.

use std::io::IsTerminal;

use tracing::{Level, Metadata, level_filters::LevelFilter};
use tracing_subscriber::filter::{FilterExt, ParseError, filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogFormat, Logs};

/// Logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is malformed; the settings refuse such a one earlier.
    #[error("RUST_LOG: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process logs already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// What these log in detail are frames, request heads and addresses with the tokens in them: never, whatever the filter says.
const NEVER_IN_DETAIL: [&str; 10] =
    ["tungstenite", "tokio_tungstenite", "hyper", "hyper_util", "axum", "axum_core", "tower_http", "reqwest", "h2", "rustls"];

/// Sets up logging for this process, as the settings say. Embedders with a subscriber of their own don't call it.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(logs: &Logs) -> Result<(), TelemetryError> {
    let filter = filter(&logs.filter)?;
    // A failed write would be told on stderr too, and `eprintln!` panics where nobody reads that: a log that went away must
    // not end the server, least of all while it drains.
    let lines = fmt::layer().with_writer(std::io::stderr).log_internal_errors(false);
    match logs.format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal()).with_filter(filter);
            tracing_subscriber::registry().with(lines).try_init()?;
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter(filter);
            tracing_subscriber::registry().with(lines).try_init()?;
        }
    }
    Ok(())
}

/// The lines that `directives` ask for, and that may be logged.
fn filter<S>(directives: &str) -> Result<impl Filter<S> + use<S>, ParseError> {
    let asked_for = EnvFilter::builder().parse(directives)?;
    // Of two filters the one that names no level lets all levels through, and every line that tungstenite doesn't log then
    // costs a look: a tenth of what a delivery costs.
    let level = asked_for.max_level_hint().unwrap_or(LevelFilter::TRACE);
    // Not as directives of the filter: a longer one, such as `tungstenite::protocol=trace`, would win over them.
    Ok(asked_for.and(filter_fn(may_be_logged).with_max_level_hint(level)))
}

fn may_be_logged(line: &Metadata<'_>) -> bool {
    // `TRACE` is the greatest level.
    *line.level() <= Level::INFO || !is_of_a_talkative_crate(line.target())
}

fn is_of_a_talkative_crate(target: &str) -> bool {
    NEVER_IN_DETAIL.iter().any(|name| target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")))
}

#[cfg(test)]
mod tests {
    use super::{filter, is_of_a_talkative_crate};
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::{Registry, layer::Filter};

    #[test]
    fn lines_below_the_filters_level_are_not_even_looked_at() {
        for (directives, level) in [("warn", LevelFilter::WARN), ("info,osbackend_server=debug", LevelFilter::DEBUG)] {
            let filter = filter::<Registry>(directives).expect("a filter");
            assert_eq!(Filter::<Registry>::max_level_hint(&filter), Some(level), "{directives}");
        }
    }

    #[test]
    fn modules_of_a_talkative_crate_are_talkative_and_crates_of_a_longer_name_are_not() {
        for target in ["hyper", "tungstenite::protocol::frame", "hyper_util::client::legacy", "reqwest::connect"] {
            assert!(is_of_a_talkative_crate(target), "{target}");
        }
        for target in ["osbackend_server::gateway", "hyperactive", "axumatic::x"] {
            assert!(!is_of_a_talkative_crate(target), "{target}");
        }
    }
}
