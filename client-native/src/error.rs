//! How starting a client and asking something of it can fail.

use osbackend_client_core::Failure;
use osbackend_protocol::RoomNameError;

/// A client can't be started with these options.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is no WebSocket's.
    #[error("{0:?} is no WebSocket address. Use one such as ws://localhost:8082/ws or wss://example.com/ws")]
    Url(String),
    /// A root certificate that was given can't be used.
    #[error("the given root certificates can't be used: {0}. Give certificates in PEM form")]
    Roots(String),
    /// TLS could not be set up.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// There is no tokio runtime to run the connection on.
    #[error("no tokio runtime: start the client from within one")]
    NoRuntime,
}

/// A request, a publication or a join failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The server refused it, or it was lost on the way; `code` is one of §6, or `timeout`.
    #[error("{}: {}", .0.code, .0.message)]
    Failed(Failure),
    /// The payload is no JSON object.
    #[error("the payload is no JSON object. Give a map or a struct")]
    NotAnObject,
    /// The payload can't be written as JSON.
    #[error("the payload can't be written as JSON: {0}")]
    Payload(serde_json::Error),
    /// The answer isn't what §3 has it to be.
    #[error("the server's answer can't be read: {0}")]
    Answer(serde_json::Error),
    /// The name of the room is malformed (§5).
    #[error("room: {0}")]
    Room(#[from] RoomNameError),
    /// The client has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// The client was closed; nothing more can be asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client was closed. Start another one")]
pub struct Ended;
