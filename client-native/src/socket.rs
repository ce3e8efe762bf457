//! One WebSocket: opened over TCP or TLS, read frame by frame, written from a queue.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{Sink, SinkExt, StreamExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use crate::error::StartError;

const SUBPROTOCOL: &str = "osbackend.v1";
/// The answer to `history:get` is the largest message that a server sends: many events of 64 KiB.
const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
/// How long the server may take to answer a close.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// A socket that is being opened.
pub(crate) type Opening = Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>;

/// Where to connect, and whom to trust there.
pub(crate) struct Target {
    request: Request<()>,
    connector: Option<Connector>,
}

impl Target {
    pub(crate) fn new(url: &str, extra_roots: Option<&[u8]>) -> Result<Self, StartError> {
        let bad = || StartError::Url(url.to_owned());
        let mut request = url.into_client_request().map_err(|_| bad())?;
        let tls = match request.uri().scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(bad()),
        };
        if request.uri().host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let connector = if tls { Some(Connector::Rustls(Arc::new(tls_config(extra_roots)?))) } else { Some(Connector::Plain) };
        Ok(Self { request, connector })
    }

    pub(crate) fn open(&self) -> Opening {
        let (request, connector) = (self.request.clone(), self.connector.clone());
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        Box::pin(async move {
            let opened = connect_async_tls_with_config(request, Some(config), true, connector).await;
            let (stream, response) = opened.map_err(|error| reason(&error))?;
            let chosen = response.headers().get("sec-websocket-protocol").map(HeaderValue::as_bytes);
            if chosen != Some(SUBPROTOCOL.as_bytes()) {
                return Err(format!("the server doesn't speak {SUBPROTOCOL}: is the address right?"));
            }
            let (sink, stream) = stream.split();
            let writer = Writer { sink, waiting: VecDeque::new(), unflushed: false, broken: false };
            Ok(Socket { writer, reader: Reader { stream } })
        })
    }
}

fn tls_config(extra_roots: Option<&[u8]>) -> Result<rustls::ClientConfig, StartError> {
    let mut roots = rustls::RootCertStore::empty();
    // Certificates of the system that can't be read are as good as none: the connection tells then.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = extra_roots {
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| StartError::Roots(error.to_string()))?;
            roots.add(certificate).map_err(|error| StartError::Roots(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(StartError::Roots("there is no certificate in them".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Why there is no socket, for people.
fn reason(error: &Error) -> String {
    match error {
        Error::Io(error) => error.to_string(),
        Error::Http(response) => {
            let again = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let again = again.map(|seconds| format!(", try again in {seconds} s")).unwrap_or_default();
            format!("the server answered HTTP {}{again}", response.status())
        }
        other => other.to_string(),
    }
}

/// What came from the socket.
pub(crate) enum Received {
    Text(String),
    /// A ping or pong: the server lives.
    Sign,
    Closed {
        code: u16,
        reason: String,
    },
}

/// An open socket; its halves apart, so that it is read while it is written.
pub(crate) struct Socket {
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
}

/// The half that writes what waits.
pub(crate) struct Writer {
    sink: SplitSink<Stream, Message>,
    waiting: VecDeque<Message>,
    unflushed: bool,
    /// Writing has failed; the reader tells why.
    broken: bool,
}

/// The half that reads.
pub(crate) struct Reader {
    stream: SplitStream<Stream>,
}

impl Writer {
    /// Queues a text frame; [`Writer::write`] writes it.
    pub(crate) fn push(&mut self, text: String) {
        if !self.broken {
            self.waiting.push_back(Message::text(text));
        }
    }

    /// How many frames wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn has_to_write(&self) -> bool {
        !self.broken && (self.unflushed || !self.waiting.is_empty())
    }

    /// Nothing more is written: it failed.
    pub(crate) fn give_up(&mut self) {
        self.broken = true;
        self.waiting.clear();
    }

    /// Writes what waits. Cancel-safe.
    pub(crate) async fn write(&mut self) -> Result<(), Error> {
        let Self { sink, waiting, unflushed, .. } = self;
        poll_fn(|context| {
            while !waiting.is_empty() {
                ready!(Pin::new(&mut *sink).poll_ready(context))?;
                if let Some(message) = waiting.pop_front() {
                    Pin::new(&mut *sink).start_send(message)?;
                    *unflushed = true;
                }
            }
            ready!(Pin::new(&mut *sink).poll_flush(context))?;
            *unflushed = false;
            Poll::Ready(Ok(()))
        })
        .await
    }
}

impl Reader {
    /// The next frame. Cancel-safe.
    pub(crate) async fn read(&mut self) -> Received {
        let broken = |reason: String| Received::Closed { code: 1006, reason };
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => Received::Text(text.to_string()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Received::Sign,
            Some(Ok(Message::Close(Some(frame)))) => {
                Received::Closed { code: frame.code.into(), reason: frame.reason.to_string() }
            }
            Some(Ok(Message::Close(None))) => Received::Closed { code: 1005, reason: String::new() },
            Some(Ok(Message::Binary(_))) => broken("the server sent a binary frame".to_owned()),
            Some(Err(error)) => broken(reason(&error)),
            None => broken("the connection broke".to_owned()),
        }
    }
}

impl Socket {
    /// Writes what waits and a close frame, then reads to the server's answer, for as long as is reasonable.
    pub(crate) async fn close(mut self, code: u16, reason: &'static str) {
        let closing = async {
            self.writer.write().await?;
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            self.writer.sink.send(Message::Close(Some(frame))).await?;
            self.read_to_end().await;
            Ok::<_, Error>(())
        };
        // A server that doesn't answer is gone or busy: nothing is left to say to it.
        let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
    }

    /// The server closed: its close frame is answered, and the end awaited.
    pub(crate) async fn closed(mut self) {
        let closing = async {
            self.writer.sink.flush().await?;
            self.read_to_end().await;
            Ok::<_, Error>(())
        };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, closing).await;
    }

    async fn read_to_end(&mut self) {
        while let Some(Ok(_)) = self.reader.stream.next().await {}
    }
}
