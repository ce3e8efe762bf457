//! `osbackend health`: whether the server with these settings is alive on this machine, for a container's health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::{Config, SettingFlags, SettingsError};

const TIMEOUT: Duration = Duration::from_secs(3);

/// Whose health.
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    settings: SettingFlags,
}

/// It is not alive, or can't be asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthError {
    /// A setting has a value that is not allowed.
    #[error(transparent)]
    Config(#[from] SettingsError),
    /// No good answer.
    #[error("no good answer from {url}: {reason}. Is it running, with the same PORT, HOST and TLS_CERT?")]
    NotAlive {
        /// What was asked.
        url: String,
        /// What came instead.
        reason: String,
    },
    /// The system refused something else.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

impl HealthError {
    /// Whether the command line or a setting is to blame.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Config(_))
    }
}

pub(super) fn run(args: &Args) -> Result<(), HealthError> {
    let url = url(&args.settings.config(false)?);
    let bad = |reason: String| HealthError::NotAlive { url: url.clone(), reason };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        // The certificate names a public host, not this machine's own address: nothing secret is sent to whoever answers.
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().timeout(TIMEOUT).build();
        let answer = client.map_err(|error| bad(error.to_string()))?.get(&url).send().await;
        let status = answer
            .map_err(|error| bad(if error.is_timeout() { "it takes too long".into() } else { super::http::cause(&error) }))?
            .status();
        if status.is_success() { Ok(()) } else { Err(bad(status.to_string())) }
    })
}

fn url(config: &Config) -> String {
    let listen = &config.listen;
    let host = match listen.host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    };
    let scheme = if listen.tls_cert.is_some() { "https" } else { "http" };
    format!("{scheme}://{}/healthz", SocketAddr::from((host, listen.port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_where_the_settings_listen() {
        let mut config = Config::default();
        assert_eq!(url(&config), "http://127.0.0.1:8080/healthz");
        config.listen.host = Ipv6Addr::UNSPECIFIED.into();
        config.listen.tls_cert = Some("cert.pem".into());
        assert_eq!(url(&config), "https://[::1]:8080/healthz");
    }
}
