//! Many WebSocket connections on one thread: connects them, answers pings, counts events.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use memchr::memmem::Finder;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::dialect::{Dialect, Greeting, MARKER};
use crate::frames;

/// One read takes what a socket holds: larger than its receive buffer ever is on loopback.
const READ_BUFFER: usize = 512 * 1024;
/// What the system holds at most for a connection that is to be slow, in bytes.
const SMALL_BUFFER: usize = 8 * 1024;
/// How many connections are on their way at the same time.
const CONNECTING_AT_ONCE: usize = 64;
/// Beyond this, the ephemeral ports of one source address run out.
const MOST_CONNECTIONS: usize = 25_000;

/// Who a connection is for the server.
pub(crate) struct Identity {
    /// Its signed token.
    pub(crate) token: String,
    /// Whether it joins the room; the publisher does not.
    pub(crate) member: bool,
    /// Whether the system holds only a few KiB for it.
    pub(crate) small_buffer: bool,
    /// What it says first, where that isn't what the dialect has for all.
    pub(crate) opening: Option<String>,
}

enum Stage {
    /// The upgrade was or will be sent; its answer is awaited.
    Upgrading,
    /// The WebSocket is open, the room not yet joined.
    Greeting,
    Joined,
}

struct Conn {
    stream: TcpStream,
    identity: Identity,
    stage: Stage,
    /// The front part of a frame whose rest is still to come.
    partial: Vec<u8>,
    unsent: Vec<u8>,
    upgrade_sent: bool,
    /// Nothing is read from it.
    paused: bool,
}

/// The connections and the poll that drives them.
pub(crate) struct Swarm {
    poll: Poll,
    ready: Events,
    conns: Vec<Conn>,
    joined: usize,
    connecting_at_once: usize,
    addr: SocketAddr,
    dialect: Dialect,
    buffer: Vec<u8>,
    marker: Finder<'static>,
}

impl Swarm {
    /// No connections yet.
    pub(crate) fn new(addr: SocketAddr, dialect: Dialect) -> Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            ready: Events::with_capacity(1024),
            conns: Vec::new(),
            joined: 0,
            connecting_at_once: CONNECTING_AT_ONCE,
            addr,
            dialect,
            buffer: vec![0; READ_BUFFER],
            marker: Finder::new(MARKER),
        })
    }

    /// All connections are on their way at the same time.
    pub(crate) fn all_at_once(mut self) -> Self {
        self.connecting_at_once = MOST_CONNECTIONS;
        self
    }

    /// Connects and joins all of `identities`, a bounded number at a time.
    pub(crate) fn connect(&mut self, identities: Vec<Identity>, within: Duration) -> Result<()> {
        self.connect_and_see(identities, within, |_, _| ())
    }

    /// The same; `seen(connection, message)` hears of every message meanwhile, greetings too.
    pub(crate) fn connect_and_see(
        &mut self,
        identities: Vec<Identity>,
        within: Duration,
        mut seen: impl FnMut(usize, &[u8]),
    ) -> Result<()> {
        let target = self.conns.len() + identities.len();
        if target > MOST_CONNECTIONS {
            bail!("{target} connections: at most {MOST_CONNECTIONS}, or the ports of one address run out");
        }
        let deadline = Instant::now() + within;
        let mut waiting = identities.into_iter();
        while self.joined < target {
            while self.conns.len() - self.joined < self.connecting_at_once {
                let Some(identity) = waiting.next() else {
                    break;
                };
                self.start(identity)?;
            }
            self.see(Duration::from_millis(200), &mut seen)?;
            if Instant::now() > deadline {
                bail!("only {} of {target} connections joined in {within:?}", self.joined);
            }
        }
        Ok(())
    }

    fn start(&mut self, identity: Identity) -> Result<()> {
        let mut stream = if identity.small_buffer {
            with_small_buffer(self.addr)?
        } else {
            TcpStream::connect(self.addr).context("connect")?
        };
        let token = Token(self.conns.len());
        self.poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.conns.push(Conn {
            stream,
            identity,
            stage: Stage::Upgrading,
            partial: Vec::new(),
            unsent: Vec::new(),
            upgrade_sent: false,
            paused: false,
        });
        Ok(())
    }

    /// Waits for readiness once and handles it; `counted(connection, events)` hears of events that came. Returns
    /// whether anything was ready.
    pub(crate) fn turn(&mut self, at_most: Duration, mut counted: impl FnMut(usize, u32)) -> Result<bool> {
        let marker = self.marker.clone();
        self.each_ready(at_most, |index, conn, dialect, buffer| {
            let events = conn.count(dialect, buffer, &marker)?;
            if events > 0 {
                counted(index, events);
            }
            Ok(())
        })
    }

    /// The same; `seen(connection, message)` hears of every message.
    pub(crate) fn see(&mut self, at_most: Duration, mut seen: impl FnMut(usize, &[u8])) -> Result<bool> {
        self.each_ready(at_most, |index, conn, dialect, buffer| {
            conn.receive(dialect, buffer, &mut |_, message: &[u8]| seen(index, message))
        })
    }

    fn each_ready(
        &mut self,
        at_most: Duration,
        mut read: impl FnMut(usize, &mut Conn, Dialect, &mut [u8]) -> Result<()>,
    ) -> Result<bool> {
        if let Err(error) = self.poll.poll(&mut self.ready, Some(at_most)) {
            if error.kind() == io::ErrorKind::Interrupted {
                return Ok(true);
            }
            return Err(error.into());
        }
        for event in self.ready.iter() {
            let index = event.token().0;
            let conn = &mut self.conns[index];
            if event.is_writable() {
                if !conn.upgrade_sent {
                    conn.stream.set_nodelay(true)?;
                    conn.unsent.extend_from_slice(self.dialect.upgrade(&conn.identity.token).as_bytes());
                    conn.upgrade_sent = true;
                }
                conn.flush()?;
            }
            if event.is_readable() && !conn.paused {
                let was_joined = matches!(conn.stage, Stage::Joined);
                read(index, conn, self.dialect, &mut self.buffer).with_context(|| format!("connection {index}"))?;
                if !was_joined && matches!(conn.stage, Stage::Joined) {
                    self.joined += 1;
                }
            }
        }
        Ok(!self.ready.is_empty())
    }

    /// Handles what comes until nothing has come for `quiet`: joins announced to others have then all arrived.
    pub(crate) fn settle(&mut self, quiet: Duration, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.turn(quiet, |_, _| ())? {
            if Instant::now() > deadline {
                bail!("the server is still sending {within:?} after the last join");
            }
        }
        Ok(())
    }

    /// Reads nothing from these connections any more.
    pub(crate) fn pause(&mut self, conns: Range<usize>) {
        self.conns[conns].iter_mut().for_each(|conn| conn.paused = true);
    }

    /// Reads from them again: what waits at once, the rest in [`Self::turn`].
    pub(crate) fn resume(&mut self, conns: Range<usize>, mut counted: impl FnMut(usize, u32)) -> Result<()> {
        for index in conns {
            let conn = &mut self.conns[index];
            conn.paused = false;
            let events = conn.count(self.dialect, &mut self.buffer, &self.marker);
            counted(index, events.with_context(|| format!("connection {index}"))?);
        }
        Ok(())
    }

    /// Sends already encoded frames on one connection.
    pub(crate) fn send(&mut self, index: usize, frames: &[u8]) -> Result<()> {
        let conn = &mut self.conns[index];
        conn.unsent.extend_from_slice(frames);
        conn.flush()
    }
}

fn with_small_buffer(addr: SocketAddr) -> Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    // Before it connects: later the window is agreed upon already.
    socket.set_recv_buffer_size(SMALL_BUFFER)?;
    socket.connect(&addr.into()).context("connect")?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

impl Conn {
    fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => drop(self.unsent.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(())
    }

    /// Reads all that is there. Returns how many events were in it, after those of the greeting.
    fn count(&mut self, dialect: Dialect, buffer: &mut [u8], marker: &Finder<'_>) -> Result<u32> {
        let mut events = 0;
        self.receive(dialect, buffer, &mut |greeted, message: &[u8]| {
            if greeted {
                events += marker.find_iter(message).count() as u32;
            }
        })?;
        Ok(events)
    }

    /// Reads all that is there; `seen(greeted, message)` hears of every message, and whether it came after the greeting.
    fn receive(&mut self, dialect: Dialect, buffer: &mut [u8], seen: &mut impl FnMut(bool, &[u8])) -> Result<()> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => bail!("closed by the server"),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("read"),
            };
            if self.partial.is_empty() {
                let used = self.consume(dialect, &buffer[..read], seen)?;
                self.partial.extend_from_slice(&buffer[used..read]);
            } else {
                let mut bytes = std::mem::take(&mut self.partial);
                bytes.extend_from_slice(&buffer[..read]);
                let used = self.consume(dialect, &bytes, seen)?;
                bytes.drain(..used);
                self.partial = bytes;
            }
            // A short read emptied the socket (epoll(7)): no second call just to hear "would block".
            if read < buffer.len() {
                return Ok(());
            }
        }
    }

    /// Handles every complete frame at the front of `bytes`; returns how many bytes they were.
    fn consume(&mut self, dialect: Dialect, bytes: &[u8], seen: &mut impl FnMut(bool, &[u8])) -> Result<usize> {
        let mut used = 0;
        if matches!(self.stage, Stage::Upgrading) {
            let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                return Ok(0);
            };
            if !bytes.starts_with(b"HTTP/1.1 101") {
                bail!("upgrade refused: {}", String::from_utf8_lossy(bytes));
            }
            self.stage = Stage::Greeting;
            let Identity { token, member, small_buffer, opening } = &mut self.identity;
            if let Some(opening) = opening.take().or_else(|| dialect.opening(token, *member, *small_buffer)) {
                self.say(&opening)?;
            }
            used = end + 4;
        }
        while let Some((opcode, payload, length)) = frames::first(&bytes[used..])? {
            used += length;
            match opcode {
                frames::PING => {
                    frames::encode(frames::PONG, payload, &mut self.unsent);
                    self.flush()?;
                }
                frames::CLOSE => bail!("closed by the server: {}", String::from_utf8_lossy(payload.get(2..).unwrap_or_default())),
                frames::PONG => {}
                _ if matches!(self.stage, Stage::Joined) => match dialect.pong(payload) {
                    Some(pong) => self.say(pong)?,
                    None => seen(true, payload),
                },
                _ => match dialect.greet(payload, &self.identity.token, self.identity.member)? {
                    Greeting::Wait => {}
                    Greeting::Say(text) => self.say(&text)?,
                    Greeting::Done => {
                        seen(false, payload);
                        self.stage = Stage::Joined;
                        // Not needed again: thousands of tokens would only cost memory.
                        self.identity.token = String::new();
                    }
                },
            }
        }
        Ok(used)
    }

    fn say(&mut self, text: &str) -> Result<()> {
        frames::encode(frames::TEXT, text.as_bytes(), &mut self.unsent);
        self.flush()
    }
}
