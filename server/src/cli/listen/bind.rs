//! Taking a port, and telling which setting to change where it can't be had.

use std::io;
use std::net::{IpAddr, SocketAddr};

use listenfd::ListenFd;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the system takes for a port before they are accepted.
const BACKLOG: u32 = 1024;

/// A port could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has it.
    #[error(
        "port {port} of {host} is in use ({variable}). Stop the program that has it, or take another: --{flag} 0 takes a free one"
    )]
    InUse {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// The setting.
        variable: &'static str,
        /// Its flag.
        flag: &'static str,
    },
    /// What a service manager handed over is no listening socket.
    #[error(
        "a socket of LISTEN_FDS can't be used: {0}. Hand over TCP sockets alone: in a .socket unit, `ListenStream=` and a port"
    )]
    Inherited(io::Error),
    /// Anything else.
    #[error("can't listen on port {port} of {host} ({variable}): {source}")]
    Other {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// The setting.
        variable: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// A bound port with its real address.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

/// Where ports come from: a service manager has some of them and hands them over (`LISTEN_FDS`), the others are taken.
pub(super) struct Ports {
    inherited: Vec<std::net::TcpListener>,
    reuse_port: bool,
    /// Whether a port was handed over.
    pub(super) handed_over: bool,
}

impl Ports {
    pub(super) fn new(reuse_port: bool) -> Result<Self, BindError> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Vec::new();
        for index in 0..handed.len() {
            inherited.extend(handed.take_tcp_listener(index).map_err(BindError::Inherited)?);
        }
        Ok(Self { inherited, reuse_port, handed_over: false })
    }

    /// The listener of this port: the one that was handed over for it, or a new one.
    pub(super) fn bind(
        &mut self,
        host: IpAddr,
        port: u16,
        variable: &'static str,
        flag: &'static str,
    ) -> Result<Bound, BindError> {
        let is_it = |listener: &std::net::TcpListener| listener.local_addr().is_ok_and(|address| address.port() == port);
        if let Some(index) = self.inherited.iter().position(is_it) {
            let listener = self.inherited.swap_remove(index);
            self.handed_over = true;
            return inherit(listener).map_err(BindError::Inherited);
        }
        take(host, port, self.reuse_port).map_err(|source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { host, port, variable, flag },
            _ => BindError::Other { host, port, variable, source },
        })
    }

    /// Says which sockets were handed over in vain: whoever connects there would wait for ever.
    pub(super) fn warn_of_unused(&self) {
        for address in self.inherited.iter().filter_map(|listener| listener.local_addr().ok()) {
            tracing::warn!(%address, "a socket was handed over (LISTEN_FDS) whose port is neither PORT, WS_PORT nor METRICS_WS_PORT");
        }
    }
}

fn inherit(listener: std::net::TcpListener) -> io::Result<Bound> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

fn take(host: IpAddr, port: u16, reuse_port: bool) -> io::Result<Bound> {
    let socket = if host.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A port that connections of an earlier process still linger on is free all the same.
    socket.set_reuseaddr(true)?;
    if reuse_port {
        socket.set_reuseport(true)?;
    }
    socket.bind((host, port).into())?;
    let listener = socket.listen(BACKLOG)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}
