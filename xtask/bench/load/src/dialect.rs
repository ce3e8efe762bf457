//! How each server is spoken to: upgrade, greeting, publishing. All of them get the same token and the same event.

use anyhow::{Result, bail};
use memchr::memmem;
use serde_json::json;

/// The room of every measurement: one that any authenticated user may join at our server.
const ROOM: &str = "agent:7";

/// Where only those are that will stop reading: what is sent there fills what the system holds for them.
pub(crate) const SLOW_ROOM: &str = "agent:8";

/// Stands once in every event and in no other message, so that events are counted without parsing.
pub(crate) const MARKER: &str = "\"benchSeq\"";

/// The family of wire protocols that a server speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Our `osbackend.v1` with `batch: true`, as the SDK connects.
    Batch,
    /// Our plain mode, as wscat connects: one message a frame.
    Plain,
    /// The `ws` peer: our messages, answered by its own small server.
    Ws,
    /// Engine.IO 4 and Socket.IO 5 over a WebSocket.
    SocketIo,
}

/// What a connection does next after a message of its greeting.
pub(crate) enum Greeting {
    /// Nothing yet: the message was not the one awaited.
    Wait,
    /// Send this, and wait on.
    Say(String),
    /// Joined: the connection counts.
    Done,
}

impl Dialect {
    /// By the name that xtask gives it.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "batch" => Self::Batch,
            "plain" => Self::Plain,
            "ws" => Self::Ws,
            "socketio" => Self::SocketIo,
            _ => bail!("unknown dialect {name}"),
        })
    }

    /// The HTTP request that opens the WebSocket.
    pub(crate) fn upgrade(self, token: &str) -> String {
        let (path, more) = match self {
            Self::Batch => ("/ws".to_owned(), "Sec-WebSocket-Protocol: osbackend.v1\r\n"),
            Self::Plain => (format!("/ws?token={token}"), ""),
            Self::Ws => ("/ws".to_owned(), ""),
            Self::SocketIo => ("/socket.io/?EIO=4&transport=websocket".to_owned(), ""),
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        )
    }

    /// What the client says as soon as the WebSocket is open; `member` joins the room, a publisher does not.
    /// One that will be slow joins a second room, [`SLOW_ROOM`].
    pub(crate) fn opening(self, token: &str, member: bool, slow: bool) -> Option<String> {
        match self {
            Self::Batch | Self::Ws => {
                let rooms = match (member, slow) {
                    (true, true) => json!([{"room": ROOM}, {"room": SLOW_ROOM}]),
                    (true, false) => json!([{"room": ROOM}]),
                    (false, _) => json!([]),
                };
                let payload = json!({"protocol": 1, "token": token, "rooms": rooms, "batch": true});
                Some(json!({"type": "connect", "payload": payload}).to_string())
            }
            Self::Plain | Self::SocketIo => None,
        }
    }

    /// Takes one message of the server until the connection is joined.
    pub(crate) fn greet(self, message: &[u8], token: &str, member: bool) -> Result<Greeting> {
        let has = |word: &str| memmem::find(message, word.as_bytes()).is_some();
        if has("\"error\"") || message.starts_with(b"44") {
            bail!("refused by the server: {}", String::from_utf8_lossy(message));
        }
        Ok(match self {
            Self::Batch | Self::Ws if has("\"connection_established\"") => Greeting::Done,
            Self::Plain if has("\"connection_established\"") && member => {
                Greeting::Say(json!({"type": "join", "payload": {"room": ROOM}}).to_string())
            }
            Self::Plain if has("\"connection_established\"") || has("\"room_joined\"") => Greeting::Done,
            Self::SocketIo if message.starts_with(b"0") => {
                let room = if member { ROOM } else { "publishers" };
                Greeting::Say(format!("40{}", json!({"token": token, "room": room})))
            }
            Self::SocketIo if message.starts_with(b"40") => Greeting::Done,
            _ => Greeting::Wait,
        })
    }

    /// The message by which the publisher sends event `seq`, whose `data` is `bytes` long.
    pub(crate) fn publish(self, seq: u64, bytes: usize) -> String {
        let data = event_data(seq, bytes);
        match self {
            Self::Batch | Self::Plain | Self::Ws => {
                format!(r#"{{"type":"publish","payload":{{"room":"{ROOM}","type":"bench_event","data":{data}}}}}"#)
            }
            Self::SocketIo => {
                format!(r#"42["publish",{{"room":"{ROOM}","type":"bench_event","data":{data}}}]"#)
            }
        }
    }

    /// The answer to an application-level ping, which only Socket.IO has.
    pub(crate) fn pong(self, message: &[u8]) -> Option<&'static str> {
        (self == Self::SocketIo && message == b"2").then_some("3")
    }
}

/// A JSON object of exactly `bytes` bytes (at least 60) that looks like a small dashboard event.
fn event_data(seq: u64, bytes: usize) -> String {
    let head = format!(r#"{{{MARKER}:{seq},"status":"online","fill":""#);
    let fill = bytes.saturating_sub(head.len() + 2);
    format!(r#"{head}{}"}}"#, "abcdefgh ".repeat(fill.div_ceil(9)).split_at(fill).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_the_size_asked_for_and_one_marker() {
        for seq in [1, 99_999] {
            let data = event_data(seq, 150);
            assert_eq!(data.len(), 150);
            assert!(serde_json::from_str::<serde_json::Value>(&data).unwrap().is_object());
            assert_eq!(memmem::find_iter(data.as_bytes(), MARKER).count(), 1);
        }
    }
}
