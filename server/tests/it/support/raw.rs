//! A WebSocket by hand: for frames that no client library sends, and for not answering pings.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::soon;

/// RFC 6455, 5.2.
pub(crate) mod opcode {
    pub(crate) const CONTINUATION: u8 = 0;
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const BINARY: u8 = 2;
    pub(crate) const CLOSE: u8 = 8;
    pub(crate) const PING: u8 = 9;
    pub(crate) const PONG: u8 = 10;
}

pub(crate) struct RawSocket {
    pub(crate) socket: TcpStream,
}

impl RawSocket {
    /// Upgrades with this query, such as `?token=…`.
    pub(crate) async fn open(address: SocketAddr, query: &str) -> Self {
        Self::upgrade(TcpStream::connect(address).await.unwrap(), address, query).await
    }

    /// As [`Self::open`], with a receive buffer so small that the server notices soon when nothing is read.
    pub(crate) async fn open_slow(address: SocketAddr, query: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        Self::upgrade(socket.connect(address).await.unwrap(), address, query).await
    }

    async fn upgrade(mut socket: TcpStream, address: SocketAddr, query: &str) -> Self {
        let head = format!(
            "GET /ws{query} HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon("the upgrade", socket.read_u8()).await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Self { socket }
    }

    /// Sends a frame; the mask is zeros, so the payload goes as it is.
    pub(crate) async fn send(&mut self, last: bool, opcode: u8, payload: &[u8]) {
        let mut frame = vec![opcode | if last { 0x80 } else { 0 }];
        match payload.len() {
            short @ 0..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 127);
                frame.extend((long as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        // The server may have closed already.
        let _ = self.socket.write_all(&frame).await;
    }

    /// Sends a message of the protocol with an id.
    pub(crate) async fn ask(&mut self, kind: &str, payload: &serde_json::Value) {
        let message = serde_json::json!({"type": kind, "payload": payload, "id": 1}).to_string();
        self.send(true, opcode::TEXT, message.as_bytes()).await;
    }

    /// The next frame: opcode and payload.
    pub(crate) async fn next(&mut self) -> (u8, Vec<u8>) {
        soon("a frame", async {
            let first = self.socket.read_u8().await.unwrap();
            let length = match self.socket.read_u8().await.unwrap() & 0x7f {
                126 => u64::from(self.socket.read_u16().await.unwrap()),
                127 => self.socket.read_u64().await.unwrap(),
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.socket.read_exact(&mut payload).await.unwrap();
            (first & 0x0f, payload)
        })
        .await
    }

    /// Reads over other frames to the next text frame.
    pub(crate) async fn text(&mut self) -> serde_json::Value {
        loop {
            match self.next().await {
                (opcode::TEXT, payload) => return serde_json::from_slice(&payload).unwrap(),
                (opcode::CLOSE, payload) => panic!("closed instead of a message: {payload:?}"),
                _ => {}
            }
        }
    }

    /// Reads over other frames to the close frame; its code and reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            let (opcode, payload) = self.next().await;
            if opcode == opcode::CLOSE {
                let (code, reason) = payload.split_at(2);
                return (u16::from_be_bytes([code[0], code[1]]), String::from_utf8(reason.to_vec()).unwrap());
            }
        }
    }
}
