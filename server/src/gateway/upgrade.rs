//! From an HTTP request to a WebSocket (RFC 6455, 4.2), with the bounds that hold below its messages.
//!
//! axum's own extractor hands out a socket that can't be looked into; this one meters the bytes under it.

use super::meter::Metered;
use axum::{
    Json,
    body::Body,
    extract::FromRequestParts,
    http::{
        HeaderValue, StatusCode,
        header::{ALLOW, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use osbackend_protocol::ErrorCode;
use std::{future::Future, time::Duration};
use tokio_tungstenite::WebSocketStream;
use tungstenite::{
    Error,
    error::ProtocolError,
    handshake::server::{Request, create_response},
    protocol::{Role, WebSocketConfig},
};

/// A WebSocket whose frames are counted.
pub type Socket = WebSocketStream<Metered<TokioIo<Upgraded>>>;

/// Read buffer of a connection, in bytes: small, because most connections are idle most of the time. A longer message grows it.
const READ_BUFFER_BYTES: usize = 1024;
/// Bytes that are collected before the socket is written to while a batch is fed.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;

/// What one message may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its size in bytes; more: close 1009. `usize::MAX`: any.
    pub max_message_bytes: usize,
    /// From its first byte to its last; longer: close 4004. `None`: any.
    pub message_timeout: Option<Duration>,
}

impl Bounds {
    /// The WebSocket layer is let read a message twice as long: it can't skip one that it refuses, and closing a socket with
    /// unread bytes resets it, so that the client might never see the close code.
    fn socket_config(&self) -> WebSocketConfig {
        let hard_limit = Some(self.max_message_bytes.saturating_mul(2));
        WebSocketConfig::default()
            .max_message_size(hard_limit)
            .max_frame_size(hard_limit)
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(WRITE_BUFFER_BYTES)
    }
}

/// A request that asks for a WebSocket.
pub struct Upgrade {
    on_upgrade: OnUpgrade,
    answer: Response,
    offered: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let mut request = Request::new(());
        *request.method_mut() = parts.method.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        let answer = create_response(&request);
        parts.headers = std::mem::take(request.headers_mut());
        let answer = answer.map_err(|error| refused(&error))?.map(|()| Body::empty());
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return Err(refused(&Error::Protocol(ProtocolError::MissingConnectionUpgradeHeader)));
        };
        let offered = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let offered = offered.flat_map(|list| list.split(',')).map(|name| name.trim().to_owned()).collect();
        Ok(Self { on_upgrade, answer, offered })
    }
}

impl Upgrade {
    /// Chooses a subprotocol if the client offers it, and tells whether it does.
    pub fn choose(&mut self, protocol: &'static str) -> bool {
        let offered = self.offered.iter().any(|name| name == protocol);
        if offered {
            self.answer.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
        }
        offered
    }

    /// The answer to the request; once it is sent, `serve` gets the socket, in a task of its own.
    pub fn on_upgrade<F, Serving>(self, bounds: Bounds, serve: F) -> Response
    where
        F: FnOnce(Socket) -> Serving + Send + 'static,
        Serving: Future<Output = ()> + Send + 'static,
    {
        let on_upgrade = self.on_upgrade;
        tokio::spawn(async move {
            // The client may be gone before it is answered.
            let Ok(upgraded) = on_upgrade.await else { return };
            let stream = Metered::new(TokioIo::new(upgraded));
            let config = Some(bounds.socket_config());
            serve(WebSocketStream::from_raw_socket(stream, Role::Server, config).await).await;
        });
        self.answer
    }
}

/// Why this request is no WebSocket's.
fn refused(error: &Error) -> Response {
    let (status, header) = match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => (StatusCode::METHOD_NOT_ALLOWED, Some((ALLOW, "GET"))),
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            (StatusCode::UPGRADE_REQUIRED, Some((SEC_WEBSOCKET_VERSION, "13")))
        }
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader
            | ProtocolError::WrongHttpVersion,
        ) => (StatusCode::UPGRADE_REQUIRED, Some((UPGRADE, "websocket"))),
        _ => (StatusCode::BAD_REQUEST, None),
    };
    let message = format!("this is the address of a WebSocket: {error}");
    let body = serde_json::json!({ "error": { "code": ErrorCode::BadRequest, "message": message } });
    let mut response = (status, Json(body)).into_response();
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
