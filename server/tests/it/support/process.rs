//! The binary as a process of its own.

use std::net::SocketAddr;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

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
    /// Reads its log, so that a long one doesn't hold it up.
    log: JoinHandle<String>,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed before it listened.
    pub(crate) banner: String,
    pub(crate) ws: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Served {
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr.read_to_string(&mut log).await.unwrap();
            log
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut banner = String::new();
        let listening = loop {
            let line = soon("a line of osbackend", lines.next_line()).await.unwrap().expect("osbackend ended");
            match line.strip_prefix("listening ") {
                Some(addresses) => break addresses.to_owned(),
                None => banner += &(line + "\n"),
            }
        };
        let (ws, http) = listening.strip_prefix("ws=").unwrap().split_once(" http=").unwrap();
        Self { child, log, lines, banner, ws: ws.parse().unwrap(), http: http.parse().unwrap() }
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
    pub(crate) async fn close_log(&mut self) {
        self.log.abort();
        while !self.log.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its end; the status, and what it logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon("osbackend to end", self.child.wait()).await.unwrap();
        // Cancelled by `close_log`: then there is none.
        let mut log = self.log.await.unwrap_or_default();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            log += &line;
        }
        (status, log)
    }
}
