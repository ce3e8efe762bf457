//! The programs under measurement: built once, started for one measurement, stopped after it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::options::Options;
use crate::artifact;
use crate::project::Project;
use crate::sh::cmd;
use crate::stamp::Stamp;

/// Signs the tokens of a run; the servers live only as long as it does.
pub(crate) const SECRET: &str = "only-for-the-bench-only-for-the-bench";
const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// A server, and for ours the way of speaking to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// `osbackend serve`, spoken to as the SDK does: `osbackend.v1` with batches.
    Ours,
    /// The same in plain mode: one message a frame.
    OursPlain,
    /// Streams in memory: what durability costs is seen beside it.
    OursMemory,
    Ws,
    SocketIo,
    Socketioxide,
}

impl Server {
    pub(crate) const PEERS: [Self; 3] = [Self::Ws, Self::SocketIo, Self::Socketioxide];

    /// As it stands in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "osbackend",
            Self::OursPlain => "osbackend, plain mode",
            Self::OursMemory => "osbackend, memory engine",
            Self::Ws => "ws",
            Self::SocketIo => "socketio",
            Self::Socketioxide => "socketioxide",
        }
    }

    /// The peer that an option names.
    pub(crate) fn peer(name: &str) -> Option<Self> {
        Self::PEERS.into_iter().find(|peer| peer.name() == name)
    }

    /// The load generator's name for the protocol.
    fn dialect(self) -> &'static str {
        match self {
            Self::Ours | Self::OursMemory => "batch",
            Self::OursPlain => "plain",
            Self::Ws => "ws",
            Self::SocketIo | Self::Socketioxide => "socketio",
        }
    }
}

/// Everything that a run starts.
pub(crate) struct Programs {
    osbackend: PathBuf,
    load: PathBuf,
    socketioxide: Option<PathBuf>,
    node_peers: PathBuf,
    data: PathBuf,
}

/// A started server; it is stopped when this is dropped.
pub(crate) struct Running {
    server: Server,
    child: Child,
    /// Where its WebSocket endpoint is.
    pub(crate) addr: SocketAddr,
}

impl Programs {
    /// Builds our server, the load generator and the peers that `options` ask for.
    pub(crate) fn build(project: &Project, options: &Options) -> Result<Self> {
        let release = |package: &str, bin: &str| {
            let cargo = cmd("cargo").args(["build", "--release", "--package", package, "--bin", bin]).dir(&project.root);
            artifact::build(cargo, bin, std::env::consts::EXE_SUFFIX)
        };
        let peers = project.path("xtask/bench/peers");
        let wanted = |peer| options.has_servers() && options.peers.contains(&peer);
        let socketioxide = if wanted(Server::Socketioxide) {
            let cargo = cmd("cargo").args(["build", "--release", "--locked"]).dir(peers.join("socketioxide"));
            // Its own folder: the profile and the dependencies differ, so nothing is shared but the lock.
            let cargo = cargo.arg("--target-dir").arg(project.work_dir()?.join("peers"));
            Some(artifact::build(cargo, "bench-peer-socketioxide", std::env::consts::EXE_SUFFIX)?)
        } else {
            None
        };
        let node_peers = peers.join("node");
        // The bench of the client uses its `ws` as well.
        let stamp = Stamp::new(
            project,
            "bench-peers",
            &["xtask/bench/peers/node/package-lock.json"],
            &["xtask/bench/peers/node/node_modules/.package-lock.json"],
        )?;
        if !stamp.is_fresh()? {
            cmd("npm").args(["ci", "--no-audit", "--no-fund"]).dir(&node_peers).run()?;
            stamp.record()?;
        }
        Ok(Self {
            osbackend: release("osbackend-server", "osbackend")?,
            load: release("osbackend-bench-load", "osbackend-bench-load")?,
            socketioxide,
            node_peers,
            data: project.work_dir()?.join("bench-data"),
        })
    }

    /// Starts a server and waits until it accepts connections.
    pub(crate) fn start(&self, server: Server) -> Result<Running> {
        let port = free_port()?;
        // The hard limit of open files, which this tool cannot raise for itself without unsafe code.
        let shell = cmd("sh").args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"", "sh"]);
        let described = match server {
            Server::Ours | Server::OursPlain | Server::OursMemory => shell
                .arg(&self.osbackend)
                .arg("serve")
                .env("HOST", "127.0.0.1")
                .env("WS_PORT", port.to_string())
                .env("PORT", free_port()?.to_string())
                .env("ENGINE", if server == Server::OursMemory { "memory" } else { "sqlite" })
                .env("DATA_DIR", self.fresh_data()?)
                .env("RUST_LOG", "warn")
                // One address and one publisher stand for many: what is limited by them is not measured here.
                .env("MAX_CONNECTIONS_PER_IP", "0")
                .env("CONNECT_RATE", "0")
                .env("CONNECT_RATE_PER_IP", "0")
                .env("MESSAGE_RATE", "0")
                .env("BYTE_RATE", "0"),
            Server::Ws => shell.arg("node").arg(self.node_peers.join("ws.mjs")),
            Server::SocketIo => shell.arg("node").arg(self.node_peers.join("socketio.mjs")),
            Server::Socketioxide => shell.arg(self.socketioxide.as_ref().context("socketioxide was not built")?),
        };
        let described = match server {
            Server::Ours | Server::OursPlain | Server::OursMemory => described,
            _ => described.env("PORT", port.to_string()).env("NODE_ENV", "production"),
        };
        let mut command = described.env("JWT_SECRET", SECRET).into_inner();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start a server")?;
        let mut running = Running { server, child, addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(running.addr).is_err() {
            if let Some(status) = running.child.try_wait()? {
                bail!("{} ended at once ({status})", server.name());
            }
            if Instant::now() > deadline {
                bail!("{} did not listen within {STARTS_WITHIN:?}", server.name());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// The server as a library in the load generator: `publishers` publish `rate` events a second, 0 for as many as they can.
    pub(crate) fn publish(&self, publishers: usize, rate: u64, amounts: &[(&str, String)]) -> Result<Value> {
        let mut load = cmd(&self.load)
            .args(["publish", "--publishers", &publishers.to_string(), "--rate", &rate.to_string(), "--dir"])
            .arg(self.fresh_data()?);
        for (name, value) in amounts {
            load = load.arg(format!("--{name}")).arg(value);
        }
        let figures = serde_json::from_str(&load.read()?).context("the load generator did not print JSON")?;
        eprintln!("  durable, {rate} a second: {figures}");
        Ok(figures)
    }

    /// A measurement of servers that the load generator starts and kills by itself.
    pub(crate) fn alone(&self, what: &str, amounts: &[(&str, String)]) -> Result<Value> {
        let mut load = cmd(&self.load).args([what, "--secret", SECRET, "--server"]).arg(&self.osbackend);
        load = load.arg("--dir").arg(self.fresh_data()?);
        for (name, value) in amounts {
            load = load.arg(format!("--{name}")).arg(value);
        }
        let figures = serde_json::from_str(&load.read()?).context("the load generator did not print JSON")?;
        eprintln!("  {what}: {figures}");
        Ok(figures)
    }

    /// The data directory, without what an earlier measurement left.
    fn fresh_data(&self) -> Result<&PathBuf> {
        if self.data.exists() {
            std::fs::remove_dir_all(&self.data).with_context(|| format!("cannot empty {}", self.data.display()))?;
        }
        Ok(&self.data)
    }

    /// Lets the load generator measure a running server; it ends by itself.
    pub(crate) fn load(&self, running: &Running, what: &str, amounts: &[(&str, String)]) -> Result<Value> {
        let mut load = cmd(&self.load)
            .arg(what)
            .args(["--addr", &running.addr.to_string(), "--pid", &running.child.id().to_string()])
            .args(["--dialect", running.server.dialect(), "--secret", SECRET]);
        for (name, value) in amounts {
            load = load.arg(format!("--{name}")).arg(value);
        }
        let line = load.read().with_context(|| running.server.name())?;
        let figures = serde_json::from_str(&line).context("the load generator did not print JSON")?;
        eprintln!("  {} {what}: {figures}", running.server.name());
        Ok(figures)
    }

    /// The folder whose `node_modules` has `ws`.
    pub(crate) fn node_peers(&self) -> &PathBuf {
        &self.node_peers
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
