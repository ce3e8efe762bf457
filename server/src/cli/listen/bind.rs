//! Taking a port, and telling which setting to change where it can't be had.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

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

pub(super) async fn bind(host: IpAddr, port: u16, variable: &'static str, flag: &'static str) -> Result<Bound, BindError> {
    let bound = async {
        let listener = TcpListener::bind((host, port)).await?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    bound.await.map_err(|source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse { host, port, variable, flag },
        _ => BindError::Other { host, port, variable, source },
    })
}
