//! A WebSocket client that follows docs/PROTOCOL.md and nothing else.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::soon;

/// A connection to be made.
pub(crate) struct Connecting {
    address: SocketAddr,
    path: &'static str,
    query: String,
    headers: Vec<(&'static str, String)>,
    small_buffer: bool,
    from: Option<IpAddr>,
}

/// The upgrade was refused with this HTTP status.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) StatusCode);

impl Connecting {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, path: "/ws", query: String::new(), headers: Vec::new(), small_buffer: false, from: None }
    }

    pub(crate) fn query(mut self, token: &str) -> Self {
        self.query = format!("?token={token}");
        self
    }

    pub(crate) fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Offers the subprotocol in which the client speaks first.
    pub(crate) fn v1(self) -> Self {
        self.header("sec-websocket-protocol", "osbackend.v1")
    }

    /// Receives into a small buffer, so that a server notices sooner when nothing is read.
    pub(crate) fn small_buffer(mut self) -> Self {
        self.small_buffer = true;
        self
    }

    /// Connects from this address of the machine.
    pub(crate) fn from(mut self, address: impl Into<IpAddr>) -> Self {
        self.from = Some(address.into());
        self
    }

    async fn tcp(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        if self.small_buffer {
            socket.set_recv_buffer_size(8 * 1024).unwrap();
        }
        if let Some(address) = self.from {
            socket.bind((address, 0).into()).unwrap();
        }
        soon("a connection", socket.connect(self.address)).await.unwrap()
    }

    fn request(&self) -> Request<()> {
        let mut request = format!("ws://{}{}{}", self.address, self.path, self.query).into_client_request().unwrap();
        for (index, (name, value)) in self.headers.iter().enumerate() {
            let value = HeaderValue::from_str(value).unwrap();
            // One that is given twice is sent twice; the first takes the place of what the library would send.
            if self.headers[..index].iter().any(|(before, _)| before == name) {
                request.headers_mut().append(*name, value);
            } else {
                request.headers_mut().insert(*name, value);
            }
        }
        request
    }

    pub(crate) async fn try_open(self) -> Result<Client, Refused> {
        match soon("the upgrade", client_async(self.request(), self.tcp().await)).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                let protocol = protocol.map(|value| value.to_str().unwrap().to_owned());
                Ok(Client { socket, protocol, waiting: VecDeque::new(), frames: Vec::new(), watches: false })
            }
            Err(Error::Http(response)) => Err(Refused(response.status())),
            Err(error) => panic!("no connection: {error}"),
        }
    }

    pub(crate) async fn open(self) -> Client {
        self.try_open().await.unwrap()
    }

    /// Opens in SDK mode and sends `connect` with these fields of its payload.
    pub(crate) async fn connect(self, payload: Value) -> Client {
        let mut client = self.v1().open().await;
        assert_eq!(client.protocol.as_deref(), Some("osbackend.v1"));
        client.send("connect", merged(json!({"protocol": 1}), payload)).await;
        client
    }
}

fn is_coming_or_going(message: &Value) -> bool {
    message["type"] == "presence_join" || message["type"] == "presence_leave"
}

fn merged(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// The subprotocol that the server chose.
    pub(crate) protocol: Option<String>,
    /// Messages of an array that were not asked for yet.
    waiting: VecDeque<Value>,
    /// How many messages each frame held.
    pub(crate) frames: Vec<usize>,
    /// Whether it wants to hear who comes and goes; most tests don't.
    pub(crate) watches: bool,
}

impl Client {
    pub(crate) async fn send_text(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, kind: &str, payload: Value) {
        self.send_text(json!({"type": kind, "payload": payload}).to_string()).await;
    }

    /// Sends a request and returns its one answer; anything else that comes before is an error of the test.
    pub(crate) async fn request(&mut self, kind: &str, payload: Value) -> Value {
        let id = format!("{kind}-request");
        self.send_text(json!({"type": kind, "payload": payload, "id": id}).to_string()).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id.as_str(), "not the answer to {kind}: {answer}");
        answer
    }

    /// Sends a request that must fail, and returns the error's data.
    pub(crate) async fn refused(&mut self, kind: &str, payload: Value, code: &str) -> Value {
        let answer = self.request(kind, payload.clone()).await;
        assert_eq!(
            (answer["type"].as_str(), answer["data"]["code"].as_str()),
            (Some("error"), Some(code)),
            "{payload}: {answer}"
        );
        answer["data"].clone()
    }

    /// Joins a room and returns the data of `room_joined`.
    pub(crate) async fn join(&mut self, room: &str) -> Value {
        self.join_with(json!({"room": room})).await
    }

    pub(crate) async fn join_with(&mut self, payload: Value) -> Value {
        let joined = self.request("join", payload).await;
        assert_eq!(joined["type"], "room_joined", "{joined}");
        joined["data"].clone()
    }

    /// From now on it hears who comes and goes.
    pub(crate) fn watching(mut self) -> Self {
        self.watches = true;
        self
    }

    async fn message(&mut self) -> Option<Result<Message, Error>> {
        soon("a message", self.socket.next()).await
    }

    /// The next message of the protocol.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            if let Some(waiting) = self.waiting.pop_front() {
                return waiting;
            }
            match self.message().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(text.as_str()).unwrap() {
                    Value::Array(mut messages) => {
                        messages.retain(|message| self.watches || !is_coming_or_going(message));
                        if !messages.is_empty() {
                            self.frames.push(messages.len());
                        }
                        self.waiting.extend(messages);
                    }
                    message if !self.watches && is_coming_or_going(&message) => {}
                    message => {
                        self.frames.push(1);
                        return message;
                    }
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("the connection ended instead of a message: {other:?}"),
            }
        }
    }

    /// The next message, which must be of this type.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The next message, which must be `error` with this code; its data.
    pub(crate) async fn expect_error(&mut self, code: &str) -> Value {
        let message = self.expect("error").await;
        assert_eq!(message["data"]["code"], code, "{message}");
        message["data"].clone()
    }

    /// Closes with this code, and reads to the end.
    pub(crate) async fn close_with(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        self.socket.send(Message::Close(Some(frame))).await.unwrap();
        while let Some(Ok(_)) = self.message().await {}
    }

    /// Reads over messages to the close frame; its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(Some(frame)))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Ok(Message::Close(None))) => panic!("a close frame without a code"),
                Some(Ok(_)) => {}
                other => panic!("the connection ended without a close frame: {other:?}"),
            }
        }
    }

    /// Reads over messages to an end that no close frame announces.
    pub(crate) async fn cut_off(&mut self) {
        loop {
            match self.message().await {
                Some(Ok(Message::Close(frame))) => panic!("closed with {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            }
        }
    }

    /// The close frame, which must be the next thing that comes.
    pub(crate) async fn expect_close(&mut self, code: u16, reason: &str) {
        assert!(self.waiting.is_empty(), "{:?} came before the close", self.waiting);
        loop {
            match self.message().await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(Some(frame)))) => {
                    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (code, reason));
                    return;
                }
                other => panic!("expected close {code} {reason}, got {other:?}"),
            }
        }
    }

    /// Proves that the connection lives.
    pub(crate) async fn is_alive(&mut self) {
        let answer = self.request("heartbeat", json!({})).await;
        assert_eq!(answer["type"], "heartbeat", "{answer}");
    }
}
