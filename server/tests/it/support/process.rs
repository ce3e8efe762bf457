//! The binary as a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{SECRET, soon};

/// The binary with these arguments, and nothing of the environment that the tests run in.
pub(crate) fn osbackend(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_osbackend"));
    command.env_clear().args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    // Tests run side by side: those that are about files have a directory each.
    if args.first() == Some(&"serve") {
        command.env("ENGINE", "memory");
    }
    command
}

/// `osbackend serve` with the secret of the tests, and its data in `dir`.
pub(crate) fn durable(dir: &Path, args: &[&str]) -> Command {
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "50ms"]);
    command.env("JWT_SECRET", SECRET).env("ENGINE", "sqlite").env("DATA_DIR", dir).args(args);
    command
}

/// The same, but a write beyond the limit of [`Served::limit_files`] is an error to it, and no signal.
pub(crate) fn durable_without_signal(dir: &Path) -> Command {
    let served = durable(dir, &[]);
    let served = served.as_std();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(served.get_program()).args(served.get_args());
    command.env_clear().envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// `osbackend serve` as a process.
pub(crate) struct Served {
    child: Child,
    /// Lines of its log.
    log: mpsc::UnboundedReceiver<String>,
    /// Reads them, so that a long log doesn't hold it up.
    reader: JoinHandle<()>,
    /// Those that [`Self::logged`] went through.
    heard: String,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it printed before it listened.
    pub(crate) banner: String,
    /// Of a gateway: the same as `http`.
    pub(crate) ws: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The line of addresses, such as `ws=127.0.0.1:1 http=127.0.0.1:2`.
    pub(crate) listening: String,
}

impl Served {
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, log) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            while let Some(line) = stderr.next_line().await.unwrap() {
                // Nobody may be listening any more; the log is read to its end all the same.
                let _ = tell.send(line);
            }
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
        let address = |names: [&str; 2]| {
            let mut pairs = listening.split(' ').map(|pair| pair.split_once('=').unwrap());
            pairs.find(|(name, _)| names.contains(name)).map(|(_, address)| address.parse().unwrap())
        };
        let http = address(["http", "https"]).unwrap();
        let ws = address(["ws", "wss"]).unwrap_or(http);
        Self { child, log, reader, heard: String::new(), lines, banner, ws, http, listening }
    }

    /// The legacy port.
    pub(crate) fn metrics_ws(&self) -> SocketAddr {
        let (_, address) = self.listening.split_once(" metrics-ws=").unwrap();
        address.parse().unwrap()
    }

    /// Reads the log to a line with this in it.
    pub(crate) async fn logged(&mut self, what: &str) -> String {
        loop {
            let line = soon(what, self.log.recv()).await.unwrap_or_else(|| panic!("it ended without logging {what}"));
            self.heard += &format!("{line}\n");
            if line.contains(what) {
                return line;
            }
        }
    }

    /// With `--dev`, on free ports, with a short drain.
    pub(crate) async fn dev() -> Self {
        Self::start(osbackend(&["serve", "--dev", "--port", "0", "--ws-port", "0", "--drain", "50ms"])).await
    }

    /// With the secret of the tests, and its data in `dir`.
    pub(crate) async fn durable(dir: &Path, args: &[&str]) -> Self {
        Self::start(durable(dir, args)).await
    }

    /// Ends it as a crash does: without a word.
    pub(crate) async fn kill(mut self) {
        soon("osbackend to be killed", self.child.kill()).await.unwrap();
    }

    /// Bytes that a file of this process may have; `None` for no limit. A write beyond fails as on a full disk.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().unwrap().to_string();
        let set = std::process::Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={limit}:unlimited")]).status();
        assert!(set.unwrap().success());
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Nobody reads its log from here on.
    pub(crate) async fn close_log(&mut self) {
        self.reader.abort();
        while !self.reader.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    /// Waits for its end; the status, and what it logged.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let status = soon("osbackend to end", self.child.wait()).await.unwrap();
        let mut log = self.heard;
        // Ended by `close_log` in the middle: then the rest is not known.
        while let Some(line) = soon("the rest of the log", self.log.recv()).await {
            log += &format!("{line}\n");
        }
        while let Some(line) = self.lines.next_line().await.unwrap() {
            log += &line;
        }
        (status, log)
    }
}
