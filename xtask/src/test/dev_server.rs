//! A server for tests: `osbackend serve --dev` on free ports, gone when the value is dropped.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::sh::cmd;

/// Generous: the machine may be busy.
const START: Duration = Duration::from_secs(60);

/// A running server and what `/dev/session` told about it.
#[derive(Debug)]
pub(super) struct DevServer {
    child: Child,
    log: PathBuf,
    ports: Ports,
    user_token: String,
    admin_token: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ports {
    ws: u16,
    http: u16,
}

impl DevServer {
    /// Starts it on ports that the system chooses, and waits until it says that it listens.
    pub(super) fn start(project: &Project, program: &Path) -> Result<Self> {
        let log = project.work_dir()?.join("test-server.log");
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        // Streams of an earlier run are none of this one's business.
        let data = project.work_dir()?.join("test-data");
        if data.exists() {
            std::fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
        }
        let mut child = cmd(program)
            .args(["serve", "--dev"])
            .env("HOST", "127.0.0.1")
            .env("PORT", "0")
            .env("WS_PORT", "0")
            .env("DATA_DIR", &data)
            .dir(&project.root)
            .into_inner()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(out.try_clone()?)
            .spawn()
            .context("the server could not be started")?;
        let stdout = child.stdout.take().context("the server's output was not piped")?;
        // From here on a return stops the server.
        let mut server = Self { child, log, ports: Ports::default(), user_token: String::new(), admin_token: String::new() };
        server.ports = match watch(stdout, out).recv_timeout(START) {
            Ok(ports) => ports,
            // Either it ended, and the other side of the channel with it, or it is still silent.
            Err(_) => {
                let log = std::fs::read_to_string(&server.log).unwrap_or_default();
                bail!("the server did not say within {} s that it listens:\n{}", START.as_secs(), log.trim_end());
            }
        };
        let session = get_session(server.ports.http)?;
        server.user_token = token(&session, "token")?;
        server.admin_token = token(&session, "adminToken")?;
        Ok(server)
    }

    pub(super) fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.ports.ws)
    }

    pub(super) fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.http)
    }

    /// The key for backends that it printed.
    pub(super) fn api_key(&self) -> Result<String> {
        let log = std::fs::read_to_string(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        let key = log.lines().find(|line| line.starts_with("osb_")).context("the server printed no API key")?;
        Ok(key.to_owned())
    }

    pub(super) fn user_token(&self) -> &str {
        &self.user_token
    }

    pub(super) fn admin_token(&self) -> &str {
        &self.admin_token
    }

    /// Where its output goes.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes the server's output to the log as long as it lives, and sends the ports when they are printed.
fn watch(stdout: ChildStdout, mut log: File) -> Receiver<Ports> {
    let (send, ports) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Without its log the server goes on; and nobody may be waiting any more.
            let _ = writeln!(log, "{line}");
            if let Some(found) = parse_listening(&line) {
                let _ = send.send(found);
            }
        }
    });
    ports
}

/// `listening ws=ADDRESS:PORT http=ADDRESS:PORT`
fn parse_listening(line: &str) -> Option<Ports> {
    let (ws, http) = line.strip_prefix("listening ws=")?.split_once(" http=")?;
    let port = |address: &str| address.rsplit_once(':')?.1.trim().parse().ok();
    Some(Ports { ws: port(ws)?, http: port(http)? })
}

fn get_session(port: u16) -> Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    // 1.0: the answer ends where the connection does.
    write!(stream, "GET /dev/session HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    parse_answer(&answer)
}

fn parse_answer(answer: &str) -> Result<Value> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the server's answer has no body")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        bail!("GET /dev/session answered {status:?}: {body}");
    }
    serde_json::from_str(body).context("GET /dev/session did not answer with JSON")
}

fn token(session: &Value, name: &str) -> Result<String> {
    let token = session[name].as_str().with_context(|| format!("GET /dev/session gave no `{name}`"))?;
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_line_that_names_them() {
        let line = "listening ws=127.0.0.1:40001 http=[::1]:40002";
        assert_eq!(parse_listening(line), Some(Ports { ws: 40001, http: 40002 }));
        assert_eq!(parse_listening("something else"), None);
    }

    #[test]
    fn a_session_is_read_and_a_refusal_is_an_error() {
        let session = parse_answer("HTTP/1.0 200 OK\r\na: b\r\n\r\n{\"token\":\"t\"}").expect("session");
        assert_eq!(token(&session, "token").expect("token"), "t");
        assert!(token(&session, "adminToken").is_err());
        let error = parse_answer("HTTP/1.0 404 Not Found\r\n\r\n").expect_err("404");
        assert!(error.to_string().contains("404"), "{error}");
    }
}
