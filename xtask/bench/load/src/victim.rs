//! A server of this generator's own, for the measurements in which it dies or goes away.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// Limits that are lifted where one address and one publisher stand for many.
const FOR_MANY: [(&str, &str); 4] =
    [("MAX_CONNECTIONS_PER_IP", "0"), ("CONNECT_RATE_PER_IP", "0"), ("MESSAGE_RATE", "0"), ("BYTE_RATE", "0")];

/// How a server is started.
#[derive(Clone)]
pub(crate) struct Victim {
    pub(crate) program: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) secret: String,
    pub(crate) port: u16,
    /// Changes of its settings.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The file that its log goes to. With one, it runs with the default settings; without one it logs errors only, and one
    /// address and one publisher may stand for many.
    pub(crate) log: Option<PathBuf>,
}

/// A running one; killed when dropped.
pub(crate) struct Running {
    child: Child,
    /// Where its sockets are.
    pub(crate) ws: SocketAddr,
    /// Where its API is.
    pub(crate) http: SocketAddr,
    /// Kept, so that its output has somewhere to go.
    _stdout: BufReader<ChildStdout>,
}

impl Victim {
    /// Starts it and waits until it listens; blocks.
    pub(crate) fn start(&self) -> Result<Running> {
        // The hard limit of open files, which only a shell raises for another program without unsafe code.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$@\"", "sh"]).arg(&self.program).arg("serve");
        command.env("HOST", "127.0.0.1").env("WS_PORT", self.port.to_string()).env("PORT", "0");
        command.env("JWT_SECRET", &self.secret).env("DATA_DIR", &self.dir);
        if self.log.is_none() {
            command.env("RUST_LOG", "error").envs(FOR_MANY);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(log) = &self.log {
            if let Some(dir) = log.parent() {
                std::fs::create_dir_all(dir)?;
            }
            command.stderr(std::fs::File::create(log)?);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start a server")?;
        let mut stdout = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut line = String::new();
        while !line.starts_with("listening ") {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                bail!("the server ended before it listened ({})", child.wait()?);
            }
        }
        let address = |name: &str| -> Result<SocketAddr> {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)).context("no address")?;
            word.parse().with_context(|| format!("the server listens on {word}"))
        };
        Ok(Running { ws: address("ws=")?, http: address("http=")?, child, _stdout: stdout })
    }
}

impl Running {
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// As a crash does: without a word. Blocks until it is gone.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop, and waits until it has; blocks.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.terminate()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to drain and stop.
    pub(crate) fn terminate(&self) -> Result<()> {
        let status = Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status()?;
        if !status.success() {
            bail!("the server could not be told to stop");
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; nothing is left to do then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that no outgoing connection is given. With one of those, a client that connects while nobody listens may be
/// connected to itself, and then the server can't listen.
pub(crate) fn port_below_the_ephemeral() -> Result<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let low: u16 = range.split_whitespace().next().context("no range of ports")?.parse()?;
    let first = low.saturating_sub(10_000).max(1024) + (std::process::id() % 1000) as u16;
    let free = (first..low).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("no free port below the ephemeral ones")
}

/// An empty directory below `dir`.
pub(crate) fn fresh(dir: &Path, name: &str) -> Result<PathBuf> {
    let dir = dir.join(name);
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    Ok(dir)
}
