//! The way to the upstream: its address, a connection to it with or without TLS, and one request on each.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

use crate::config::without_secrets;

/// How long `/readyz` waits for the upstream.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Room for the answer's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// `WS_UPSTREAM` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It is no address.
    #[error("WS_UPSTREAM={0:?} is not allowed. Use the address of a WebSocket listener, such as ws://127.0.0.1:8082")]
    Address(String),
    /// Its certificate could not be checked.
    #[error(
        "WS_UPSTREAM asks for TLS, but this system's certificates can't be used: {0}. Install its CA certificates, or name a file with SSL_CERT_FILE"
    )]
    Certificates(rustls::Error),
    /// The system has no randomness.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
}

/// The upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    /// Neither connection nor answer in time.
    #[error("no answer in time")]
    Timeout,
    /// A connection, but no HTTP answer on it.
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
}

/// Where requests are passed on to.
pub(super) struct Upstream {
    host: String,
    port: u16,
    path: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    timeout: Option<Duration>,
    shown: String,
}

/// Without a path, which may hold what is not for a log.
impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// An answer, with the connection that must be driven for its body or its upgrade to come.
pub(super) struct Reply {
    pub(super) response: hyper::Response<Incoming>,
    pub(super) connection: Pin<Box<dyn Future<Output = ()> + Send>>,
}

trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

impl Upstream {
    /// `timeout` is for connection and answer together; `None`: no limit.
    pub(super) fn new(address: &str, timeout: Option<Duration>) -> Result<Self, UpstreamError> {
        let bad = || UpstreamError::Address(without_secrets(address));
        let uri: Uri = address.parse().map_err(|_| bad())?;
        let secure = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(bad()),
        };
        let authority = uri.authority().ok_or_else(bad)?;
        let port = match authority.as_str().strip_prefix(authority.host()).ok_or_else(bad)? {
            "" if secure => 443,
            "" => 80,
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).ok_or_else(bad)?,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
            Some((TlsConnector::from(Arc::new(client_config()?)), name))
        } else {
            None
        };
        let path = match uri.path() {
            "" | "/" => "/ws".to_owned(),
            path => path.to_owned(),
        };
        let shown = format!("{}://{host}:{port}", if secure { "wss" } else { "ws" });
        Ok(Self { host, port, path, tls, timeout, shown })
    }

    /// Sends one `GET` and returns its answer's head.
    pub(super) async fn ask(&self, query: Option<&str>, headers: HeaderMap) -> Result<Reply, Unreachable> {
        let asking = async {
            let socket = self.connect().await?;
            let (mut sender, connection) =
                http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(socket)).await?;
            let mut connection: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
                // What failed shows in the answer, or in the tunnel's end.
                let _ = connection.with_upgrades().await;
            });
            let mut request = hyper::Request::new(Body::empty());
            *request.uri_mut() = self.target(query);
            *request.headers_mut() = headers;
            let answered = sender.send_request(request);
            tokio::pin!(answered);
            let mut driven = false;
            let response = loop {
                tokio::select! {
                    response = &mut answered => break response?,
                    () = connection.as_mut(), if !driven => driven = true,
                }
            };
            if driven {
                connection = Box::pin(std::future::ready(()));
            }
            Ok(Reply { response, connection })
        };
        match self.timeout {
            Some(limit) => tokio::time::timeout(limit, asking).await.unwrap_or(Err(Unreachable::Timeout)),
            None => asking.await,
        }
    }

    /// Whether it takes a connection.
    pub(super) async fn probe(&self) -> Result<(), Unreachable> {
        let limit = self.timeout.map_or(PROBE_TIMEOUT, |limit| limit.min(PROBE_TIMEOUT));
        tokio::time::timeout(limit, self.connect()).await.map_err(|_| Unreachable::Timeout)??;
        Ok(())
    }

    fn target(&self, query: Option<&str>) -> Uri {
        let target = match query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        };
        // Both parts were part of a valid address.
        target.parse::<PathAndQuery>().map(Uri::from).unwrap_or_else(|_| Uri::from_static("/ws"))
    }

    async fn connect(&self) -> io::Result<Box<dyn Socket>> {
        let socket = self.connect_tcp().await?;
        match &self.tls {
            None => Ok(Box::new(socket)),
            Some((connector, name)) => Ok(Box::new(connector.connect(name.clone(), socket).await?)),
        }
    }

    async fn connect_tcp(&self) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in lookup_host((self.host.as_str(), self.port)).await? {
            let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // An upstream that vanished without a word is noticed in the end, even where no client speaks.
            socket.set_keepalive(true)?;
            socket.set_nodelay(true)?;
            match socket.connect(address).await {
                Ok(socket) => return Ok(socket),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// TLS that trusts whom this system trusts.
fn client_config() -> Result<ClientConfig, UpstreamError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(UpstreamError::Certificates)?
        .with_platform_verifier()
        .map_err(UpstreamError::Certificates)?
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Upstream {
        Upstream::new(address, None).unwrap()
    }

    #[test]
    fn an_address_has_defaults_for_what_it_leaves_out() {
        let plain = of("ws://127.0.0.1:8082");
        assert_eq!((plain.host.as_str(), plain.port, plain.path.as_str()), ("127.0.0.1", 8082, "/ws"));
        assert_eq!((of("http://ws.internal").port, of("ws://[::1]:1").host.as_str()), (80, "::1"));
        assert_eq!(of("ws://a:1/realtime/ws").target(Some("token=x")), "/realtime/ws?token=x");
        assert_eq!(plain.target(None), "/ws");
        assert_eq!(plain.to_string(), "ws://127.0.0.1:8082");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for address in ["ftp://a", "ws://", "127.0.0.1:8082", "ws://a:99999"] {
            let error = Upstream::new(address, None).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(address) && error.contains("ws://127.0.0.1:8082"), "{error}");
        }
    }
}
