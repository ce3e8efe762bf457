//! The binary as a process of its own.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::soon;

/// The binary with these arguments, and nothing of the environment that the tests run in.
pub(crate) fn osbackend(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osbackend"));
    command.env_clear().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

/// `osbackend serve` as a process.
pub(crate) struct Served {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed before it listened.
    pub(crate) banner: String,
    /// Of a gateway: the same as `http`.
    pub(crate) ws: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The line of addresses, such as `ws=127.0.0.1:1 http=127.0.0.1:2`.
    pub(crate) listening: String,
    log: Option<Lines<BufReader<ChildStderr>>>,
}

impl Served {
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        let listening = loop {
            let line = soon("a line of osbackend", lines.next_line()).await.unwrap().expect("osbackend ended");
            match line.strip_prefix("listening ") {
                Some(addresses) => break addresses.to_owned(),
                None => banner += &(line + "\n"),
            }
        };
        let address = |names: [&str; 2]| {
            let mut pairs = listening.split(' ').map(|pair| pair.split_once('=').unwrap());
            pairs.find(|(name, _)| names.contains(name)).map(|(_, address)| address.parse().unwrap())
        };
        let http = address(["http", "https"]).unwrap();
        let ws = address(["ws", "wss"]).unwrap_or(http);
        Self { child, lines, banner, ws, http, listening, log: None }
    }

    /// The legacy port.
    pub(crate) fn metrics_ws(&self) -> SocketAddr {
        let (_, address) = self.listening.split_once(" metrics-ws=").unwrap();
        address.parse().unwrap()
    }

    /// Reads the log to a line with this in it.
    pub(crate) async fn logged(&mut self, what: &str) -> String {
        let log = self.log.get_or_insert_with(|| BufReader::new(self.child.stderr.take().unwrap()).lines());
        loop {
            let line = soon(what, log.next_line()).await.unwrap().unwrap_or_else(|| panic!("it ended without logging {what}"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// With `--dev`, on free ports, with a short drain.
    pub(crate) async fn dev() -> Self {
        Self::start(osbackend(&["serve", "--dev", "--port", "0", "--ws-port", "0", "--drain", "50ms"])).await
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Nobody reads its log from here on.
    pub(crate) fn close_log(&mut self) {
        self.child.stderr = None;
    }

    /// Waits for its end; the status, and what it logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon("osbackend to end", self.child.wait()).await.unwrap();
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).await.unwrap();
        }
        if let Some(rest) = &mut self.log {
            while let Some(line) = rest.next_line().await.unwrap() {
                log += &line;
            }
        }
        while let Some(line) = self.lines.next_line().await.unwrap() {
            log += &line;
        }
        (status, log)
    }
}
