//! The flags with which every command that talks to a server says where it is and who asks.

use std::net::IpAddr;
use std::path::PathBuf;

use osbackend_client::{Builder, Client};
use reqwest::Url;

use super::http::{Api, CallError, Credential};
use crate::config::without_secrets;

/// Where the server is, and who asks.
#[derive(clap::Args, Clone)]
pub(super) struct Connection {
    /// Address of the server, http(s):// or ws(s)://.
    #[arg(long, env = "OSBACKEND_URL", default_value = "http://127.0.0.1:8080", value_name = "URL", help_heading = "Connection")]
    url: String,
    /// Token of a user; an admin's where the command publishes.
    #[arg(long, env = "OSBACKEND_TOKEN", hide_env_values = true, value_name = "TOKEN", help_heading = "Connection")]
    token: Option<String>,
    /// API key of a backend (setting API_KEYS), for the HTTP API.
    #[arg(long, env = "OSBACKEND_API_KEY", hide_env_values = true, value_name = "KEY", help_heading = "Connection")]
    api_key: Option<String>,
    /// Take the token from a server on this machine that runs with --dev.
    #[arg(long, help_heading = "Connection")]
    dev: bool,
    /// Certificates (PEM) to trust beside the system's, for a server with a certificate of its own.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    cacert: Option<PathBuf>,
}

/// Whose token is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    User,
    Admin,
}

/// The flags can't be used, or the server didn't give what they promise.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("--url={0:?} is no address of a server. Use one such as http://127.0.0.1:8080 or wss://example.com")]
    Url(String),
    #[error("--cacert: {path}: {reason}. Give a file with certificates in PEM form")]
    Certificates { path: String, reason: String },
    #[error("{0}. It gives tokens to this machine only, and only when started with `osbackend serve --dev`")]
    Dev(CallError),
    #[error("TLS could not be set up: {0}")]
    Tls(String),
}

impl ConnectionError {
    /// Whether the command line is to blame.
    pub(super) fn is_usage(&self) -> bool {
        !matches!(self, Self::Dev(_))
    }
}

impl Connection {
    /// Whether a token was given, or is to be had from the server.
    pub(super) fn has_token(&self) -> bool {
        self.dev || self.token.as_ref().is_some_and(|token| !token.is_empty())
    }

    fn parsed(&self) -> Result<Url, ConnectionError> {
        let bad = || ConnectionError::Url(without_secrets(&self.url));
        let url = Url::parse(&self.url).map_err(|_| bad())?;
        let known = matches!(url.scheme(), "http" | "https" | "ws" | "wss");
        // A password in an address ends up in logs; a token has its own flag.
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        (known && plain && url.host_str().is_some()).then_some(url).ok_or_else(bad)
    }

    fn with_path(&self, tls: &str, plain: &str, path: &str) -> Result<Url, ConnectionError> {
        let mut url = self.parsed()?;
        let scheme = if matches!(url.scheme(), "https" | "wss") { tls } else { plain };
        // Between http and ws, and between https and wss, a scheme may always be changed.
        let _ = url.set_scheme(scheme);
        let base = url.path().trim_end_matches('/').trim_end_matches("/ws").to_owned();
        url.set_path(&format!("{base}{path}"));
        Ok(url)
    }

    /// Address of the HTTP API, with a slash at its end.
    pub(super) fn http_url(&self) -> Result<Url, ConnectionError> {
        self.with_path("https", "http", "/")
    }

    /// Address of the WebSocket endpoint.
    pub(super) fn ws_url(&self) -> Result<Url, ConnectionError> {
        self.with_path("wss", "ws", "/ws")
    }

    /// Whether the server is this machine, by the address alone: names but `localhost` are not looked up.
    pub(super) fn is_loopback(&self) -> Result<bool, ConnectionError> {
        let url = self.parsed()?;
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        Ok(host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
    }

    fn certificates(&self) -> Result<Option<Vec<u8>>, ConnectionError> {
        let Some(path) = &self.cacert else { return Ok(None) };
        let error = |reason: String| ConnectionError::Certificates { path: path.display().to_string(), reason };
        std::fs::read(path).map(Some).map_err(|source| error(source.to_string()))
    }

    /// The HTTP API without a token or key.
    pub(super) fn anonymous_api(&self) -> Result<Api, ConnectionError> {
        Api::new(self.http_url()?, self.certificates()?.as_deref()).map_err(|error| ConnectionError::Tls(error.to_string()))
    }

    /// The HTTP API with the API key, or else the token.
    pub(super) async fn api(&self, who: As) -> Result<Api, ConnectionError> {
        let api = self.anonymous_api()?;
        match &self.api_key {
            Some(key) if !key.is_empty() => Ok(api.with(Credential::ApiKey(key.clone()))),
            _ => Ok(match self.user_token(who).await? {
                Some(token) => api.with(Credential::Token(token)),
                None => api,
            }),
        }
    }

    /// The token that was given, or one of a development server.
    pub(super) async fn user_token(&self, who: As) -> Result<Option<String>, ConnectionError> {
        match &self.token {
            Some(token) if !token.is_empty() => Ok(Some(token.trim().to_owned())),
            _ if self.dev => {
                let session = self.anonymous_api()?.get("dev/session").await.map_err(ConnectionError::Dev)?;
                let field = if who == As::Admin { "adminToken" } else { "token" };
                Ok(session[field].as_str().map(str::to_owned))
            }
            _ => Ok(None),
        }
    }

    /// A client of the WebSocket endpoint, without a token yet.
    pub(super) fn client(&self) -> Result<Builder, ConnectionError> {
        let builder = Client::builder(self.ws_url()?.as_str()).name(concat!("osbackend-cli/", env!("CARGO_PKG_VERSION")));
        Ok(match self.certificates()? {
            Some(pem) => builder.extra_roots(pem),
            None => builder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Connection {
        Connection { url: url.to_owned(), token: None, api_key: None, dev: false, cacert: None }
    }

    #[test]
    fn one_address_serves_http_and_the_websocket() {
        for (given, http, ws) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/", "ws://127.0.0.1:8080/ws"),
            ("ws://localhost:8082/ws", "http://localhost:8082/", "ws://localhost:8082/ws"),
            ("https://a.example/realtime/", "https://a.example/realtime/", "wss://a.example/realtime/ws"),
        ] {
            let connection = at(given);
            assert_eq!((connection.http_url().unwrap().as_str(), connection.ws_url().unwrap().as_str()), (http, ws));
        }
        for bad in ["127.0.0.1:8080", "ftp://a.example", "http://u:p@a.example", "http://a.example/?token=x", ""] {
            assert!(at(bad).http_url().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn this_machine_is_known_by_its_address() {
        let here = ["http://localhost:1", "ws://127.8.0.1:1", "http://[::1]:1"];
        let elsewhere = ["http://localhost.example", "http://10.0.0.1", "http://127.0.0.1.example"];
        assert!(here.iter().all(|url| at(url).is_loopback().unwrap()));
        assert!(elsewhere.iter().all(|url| !at(url).is_loopback().unwrap()));
    }
}
