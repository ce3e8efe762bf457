//! `osbackend serve` as a process that is killed and started again, and where it listens now.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::{SECRET, soon};

/// The address of the running server and the number of its life, from 1; `None` while it is dead.
pub(crate) type Address = Option<(u64, SocketAddr)>;

pub(crate) struct Server {
    engine: &'static str,
    dir: PathBuf,
    /// `CONNECT_RATE`; 0: any.
    connect_rate: u32,
    child: Option<Child>,
    life: u64,
    address: watch::Sender<Address>,
}

impl Server {
    pub(crate) fn new(engine: &'static str, dir: &Path, connect_rate: u32) -> Self {
        Self { engine, dir: dir.to_owned(), connect_rate, child: None, life: 0, address: watch::Sender::new(None) }
    }

    pub(crate) fn address(&self) -> watch::Receiver<Address> {
        self.address.subscribe()
    }

    /// Starts it. All clients come from one address and are of few rates: what is limited by them is not tested here.
    pub(crate) async fn start(&mut self) -> SocketAddr {
        let mut command = Command::new(env!("CARGO_BIN_EXE_osbackend"));
        command.env_clear().args(["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0"]);
        command.env("JWT_SECRET", SECRET).env("ENGINE", self.engine).env("DATA_DIR", &self.dir);
        command
            .envs([("MAX_CONNECTIONS_PER_IP", "0"), ("CONNECT_RATE_PER_IP", "0"), ("MESSAGE_RATE", "0")])
            .env("CONNECT_RATE", self.connect_rate.to_string());
        command.envs([("HISTORY_SIZE", "0"), ("RUST_LOG", "warn")]);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = loop {
            let line = soon("a line of osbackend", lines.next_line()).await.unwrap().expect("osbackend ended");
            if let Some(rest) = line.strip_prefix("listening ws=") {
                break rest.split(' ').next().unwrap().parse().unwrap();
            }
        };
        self.child = Some(child);
        self.life += 1;
        self.address.send_replace(Some((self.life, address)));
        address
    }

    /// SIGKILL: nothing is flushed, nobody is told.
    pub(crate) async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.start_kill().unwrap();
        self.address.send_replace(None);
        let status = soon("osbackend to be dead", child.wait()).await.unwrap();
        assert!(!status.success(), "it ended by itself: {status}");
    }
}

/// Waits for a server of a later life than `after`.
pub(crate) async fn up(address: &mut watch::Receiver<Address>, after: u64) -> (u64, SocketAddr) {
    let found = address.wait_for(|address| address.is_some_and(|(life, _)| life > after)).await;
    // The sender lives as long as the run, and the run ends the clients before it.
    found.unwrap().unwrap()
}
