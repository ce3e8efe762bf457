//! Raw sockets for the attacks: from an address that is chosen, read as slowly as wanted, and dropped without a goodbye.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::frames;

/// The address that every attack comes from.
pub(super) const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
/// The address of everybody else.
pub(super) const OTHERS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A TCP connection from `from`; a small `receive` buffer (bytes) makes a reader that stops felt at once.
pub(super) async fn tcp(to: SocketAddr, from: Ipv4Addr, receive: Option<u32>) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    if let Some(bytes) = receive {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(SocketAddr::V4(SocketAddrV4::new(from, 0)))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The head of a request to upgrade to a plain WebSocket.
pub(super) fn upgrade(token: Option<&str>) -> String {
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{authorization}\r\n"
    )
}

/// A WebSocket whose frames are read or left lying by the attack itself.
pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one; fails where the server answers anything but 101.
    pub(super) async fn open(to: SocketAddr, from: Ipv4Addr, token: Option<&str>, receive: Option<u32>) -> Result<Self> {
        let mut stream = tcp(to, from, receive).await?;
        stream.write_all(upgrade(token).as_bytes()).await?;
        let mut socket = Self { stream, buffer: Vec::new() };
        let end = loop {
            if let Some(end) = memchr::memmem::find(&socket.buffer, b"\r\n\r\n") {
                break end;
            }
            socket.fill().await?;
        };
        if !socket.buffer.starts_with(b"HTTP/1.1 101") {
            bail!("{}", String::from_utf8_lossy(&socket.buffer[..end.min(120)]));
        }
        socket.buffer.drain(..end + 4);
        Ok(socket)
    }

    /// Reads some bytes more.
    async fn fill(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// Sends one text frame.
    pub(super) async fn send(&mut self, text: &str) -> Result<()> {
        let mut frame = Vec::new();
        frames::encode(frames::TEXT, text.as_bytes(), &mut frame);
        Ok(self.stream.write_all(&frame).await?)
    }

    /// The next text frame; pings are left unanswered.
    pub(super) async fn text(&mut self) -> Result<String> {
        loop {
            if let Some((opcode, payload, length)) = frames::first(&self.buffer)? {
                let text = (opcode == frames::TEXT).then(|| String::from_utf8_lossy(payload).into_owned());
                let is_close = opcode == frames::CLOSE;
                self.buffer.drain(..length);
                match text {
                    Some(text) => return Ok(text),
                    None if is_close => bail!("the server closed the connection"),
                    None => continue,
                }
            }
            self.fill().await?;
        }
    }

    /// The next text frame that names `kind`.
    pub(super) async fn expect(&mut self, kind: &str) -> Result<String> {
        loop {
            let text = self.text().await?;
            if text.contains(kind) {
                return Ok(text);
            }
        }
    }

    /// Takes about so many bytes off the line, without looking at them.
    pub(super) async fn swallow(&mut self, mut bytes: usize) -> Result<()> {
        let mut chunk = vec![0; 16 * 1024];
        while bytes > 0 {
            let room = bytes.min(chunk.len());
            let count = self.stream.read(&mut chunk[..room]).await?;
            if count == 0 {
                bail!("the server closed the connection");
            }
            bytes -= count;
        }
        Ok(())
    }

    /// Drops the connection by a reset.
    pub(super) fn reset(self) -> Result<()> {
        self.stream.set_zero_linger().context("no reset")
    }
}

/// One call of the HTTP API on a connection of its own: status and body.
pub(super) async fn call(
    to: SocketAddr,
    from: Ipv4Addr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<(u16, String)> {
    let mut stream = tcp(to, from, None).await?;
    stream.write_all(request(method, path, token, body, "close").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
    Ok((status, answer.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())))
}

/// A request as text.
pub(super) fn request(method: &str, path: &str, token: Option<&str>, body: &str, connection: &str) -> String {
    let authorization = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
