//! TLS on every listener: what it takes, what is refused at the start, and a certificate that changes while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use osbackend_server::cli::listen::{Listeners, Reloaded, Tls, TlsError};
use osbackend_server::config::Config;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::{Connecting, SECRET, Served, TestServer, osbackend, soon, user_token};

/// A certificate for `localhost` with its key.
struct Pair {
    cert: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Pair {
    fn new() -> Self {
        let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Self { cert, key: signing_key }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.cert.der().clone()
    }
}

/// The two files, removed with it.
struct Files {
    dir: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(name: &str, pair: &Pair) -> Self {
        let dir = std::env::temp_dir().join(format!("osbackend-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let files = Self { cert: dir.join("cert.pem"), key: dir.join("key.pem"), dir };
        files.write(pair);
        files
    }

    fn write(&self, pair: &Pair) {
        std::fs::write(&self.cert, pair.cert.pem()).unwrap();
        std::fs::write(&self.key, pair.key.serialize_pem()).unwrap();
    }

    fn set(&self, config: &mut Config) {
        config.listen.tls_cert = Some(self.cert.clone());
        config.listen.tls_key = Some(self.key.clone());
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A TLS connection that trusts this certificate alone.
async fn connect(address: SocketAddr, trusted: &Pair) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let socket = TcpStream::connect(address).await.unwrap();
    let connecting = TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), socket);
    soon("the TLS handshake", connecting).await
}

struct Secure(WebSocketStream<TlsStream<TcpStream>>);

impl Secure {
    async fn open(address: SocketAddr, trusted: &Pair) -> Self {
        let socket = connect(address, trusted).await.unwrap();
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let url = format!("wss://localhost/ws?token={}", user_token("ada"));
        Self(soon("the upgrade", client_async(url, socket)).await.unwrap().0)
    }

    /// The next message, or how it was closed.
    async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match soon("a message", self.0.next()).await.unwrap().unwrap() {
                Message::Text(text) => return Ok(serde_json::from_str(&text).unwrap()),
                Message::Close(Some(frame)) => return Err(frame.code.into()),
                _ => {}
            }
        }
    }

    async fn is_alive(&mut self) {
        self.0.send(Message::text(r#"{"type":"heartbeat","id":1}"#)).await.unwrap();
        assert_eq!(self.next().await.unwrap()["type"], "heartbeat");
    }
}

#[tokio::test]
async fn every_listener_speaks_it() {
    let pair = Pair::new();
    let files = Files::of("all", &pair);
    let server = TestServer::with(|config| {
        files.set(config);
        config.listen.metrics_ws_port = Some(0);
    })
    .await;
    server.handle.emit_metric_update("cpu", [("load", 1.0)]).await.unwrap();
    for address in [server.ws, server.http] {
        let mut client = Secure::open(address, &pair).await;
        assert_eq!(client.next().await.unwrap()["type"], "connection_established");
        client.is_alive().await;
    }
    let mut legacy = Secure::open(server.legacy.unwrap(), &pair).await;
    assert_eq!(legacy.next().await.unwrap()["type"], "metric_update");

    let mut api = connect(server.http, &pair).await.unwrap();
    api.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", api.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));

    let mut plain = TcpStream::connect(server.ws).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = soon("the end", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "nothing is answered in the clear");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let files = Files::of("slow", &Pair::new());
    let server = TestServer::with(|config| {
        files.set(config);
        config.limits.handshake_timeout = Some(std::time::Duration::from_millis(50));
    })
    .await;
    let mut silent = TcpStream::connect(server.ws).await.unwrap();
    silent.write_all(&[0x16, 0x03]).await.unwrap();
    assert_eq!(soon("the end", silent.read(&mut [0; 8])).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn what_can_not_be_used_stops_the_start_with_what_to_do() {
    let (pair, other) = (Pair::new(), Pair::new());
    let files = Files::of("bad", &pair);
    let start = async |change: &dyn Fn(&mut Config)| {
        let mut config = Config::default();
        config.listen.host = [127, 0, 0, 1].into();
        (config.listen.port, config.listen.ws_port) = (0, 0);
        files.set(&mut config);
        change(&mut config);
        Listeners::bind(&config).await.map(|_| ()).unwrap_err().to_string()
    };
    let error = start(&|config| config.listen.tls_key = None).await;
    assert!(error.contains("TLS_CERT is set") && error.contains("Set TLS_KEY too"), "{error}");
    let error = start(&|config| config.listen.tls_cert = None).await;
    assert!(error.contains("TLS_KEY is set") && error.contains("Set TLS_CERT too"), "{error}");
    let error = start(&|config| config.listen.tls_cert = Some("no/such.pem".into())).await;
    assert!(error.contains("TLS_CERT") && error.contains("no/such.pem"), "{error}");
    let error = start(&|config| config.listen.tls_cert = config.listen.tls_key.clone()).await;
    assert!(error.contains("TLS_CERT") && error.contains("certificate") && !error.contains("PRIVATE"), "{error}");
    std::fs::write(&files.key, other.key.serialize_pem()).unwrap();
    let error = start(&|_| {}).await;
    assert!(error.contains("TLS_KEY") && error.contains("certificate's own"), "{error}");

    let mut command = osbackend(&["serve", "--dev", "--port", "0", "--ws-port", "0"]);
    command.env("TLS_CERT", &files.cert);
    let output = soon("the refusal", command.output()).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("TLS_KEY"));
}

#[test]
fn a_file_that_can_not_be_used_is_told_once_and_keeps_the_old_certificate() {
    let pair = Pair::new();
    let files = Files::of("reload", &pair);
    let mut config = Config::default();
    files.set(&mut config);
    let tls = Tls::from_config(&config.listen).unwrap().unwrap();
    assert!(matches!(tls.reload(), Reloaded::Unchanged));
    std::fs::write(&files.cert, "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    assert!(matches!(tls.reload(), Reloaded::Kept(TlsError::NotPem { variable: "TLS_CERT", .. })));
    assert!(matches!(tls.reload(), Reloaded::Unchanged), "told once");
    std::fs::remove_file(&files.cert).unwrap();
    assert!(matches!(tls.reload(), Reloaded::Kept(TlsError::Unreadable { .. })));
    assert!(matches!(tls.reload(), Reloaded::Unchanged), "told once");
    files.write(&pair);
    assert!(matches!(tls.reload(), Reloaded::Exchanged));
}

#[tokio::test]
async fn a_new_certificate_is_served_a_bad_one_is_not_and_connections_live_on() {
    let [first, second, third] = [(); 3].map(|()| Pair::new());
    let files = Files::of("binary", &first);
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "50ms"]);
    command.env("JWT_SECRET", SECRET).env("TLS_CERT", &files.cert).env("TLS_KEY", &files.key);
    let mut served = Served::start(command).await;
    assert!(served.listening.starts_with("wss=127.0.0.1:") && served.listening.contains(" https="), "{}", served.listening);
    let mut client = Secure::open(served.ws, &first).await;
    client.next().await.unwrap();
    let mut health = osbackend(&["health", "--host", "127.0.0.1", "--port", &served.http.port().to_string()]);
    let output = soon("the health check", health.env("TLS_CERT", &files.cert).output()).await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    // Noticed by looking at the files.
    files.write(&second);
    served.logged("new connections get the new certificate").await;
    let mut newer = Secure::open(served.ws, &second).await;
    newer.next().await.unwrap();
    assert!(connect(served.http, &first).await.is_err(), "the old one is not served any more");
    client.is_alive().await;

    std::fs::write(&files.cert, "not a certificate").unwrap();
    let line = served.logged("the old certificate goes on").await;
    assert!(line.contains("ERROR") && line.contains("TLS_CERT"), "{line}");
    drop(Secure::open(served.ws, &second).await);

    // And on SIGHUP, which must not end the process.
    files.write(&third);
    served.signal("HUP");
    served.logged("new connections get the new certificate").await;
    drop(Secure::open(served.ws, &third).await);
    client.is_alive().await;

    served.signal("TERM");
    for client in [&mut client, &mut newer] {
        assert_eq!(client.next().await.unwrap()["type"], "draining");
        assert_eq!(client.next().await, Err(1012));
    }
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_gateway_trusts_its_upstream_by_the_certificates_of_the_system() {
    let (pair, other) = (Pair::new(), Pair::new());
    let (files, others) = (Files::of("upstream", &pair), Files::of("other", &other));
    let server = TestServer::with(|config| files.set(config)).await;
    for (trusted, status) in [(&files, None), (&others, Some(503))] {
        let mut command = osbackend(&["gateway", "--host", "127.0.0.1", "--port", "0", "--drain", "0"]);
        command.env("WS_UPSTREAM", format!("wss://localhost:{}", server.ws.port())).env("SSL_CERT_FILE", &trusted.cert);
        let gateway = Served::start(command).await;
        let opened = Connecting::new(gateway.http).query(&user_token("ada")).try_open().await;
        match opened {
            Ok(mut client) => {
                client.expect("connection_established").await;
                client.is_alive().await;
                assert_eq!(status, None);
            }
            Err(refused) => assert_eq!(Some(refused.0.as_u16()), status),
        }
    }
}
