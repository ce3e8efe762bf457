//! A server for tests: `osbackend serve --dev` on free ports, gone when the value is dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::project::Project;
use crate::sh::cmd;

const START: Duration = Duration::from_secs(20);

/// A running server and what `/dev/session` told about it.
#[derive(Debug)]
pub(super) struct DevServer {
    child: Child,
    log: PathBuf,
    ws_port: u16,
    user_token: String,
    admin_token: String,
}

impl DevServer {
    /// Starts it and waits until it hands out tokens.
    pub(super) fn start(project: &Project, program: &Path) -> Result<Self> {
        let (port, ws_port) = free_ports()?;
        let log = project.work_dir()?.join("test-server.log");
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = cmd(program)
            .args(["serve", "--dev"])
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("WS_PORT", ws_port.to_string())
            .dir(&project.root)
            .into_inner()
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()
            .context("the server could not be started")?;
        let mut server = Self { child, log, ws_port, user_token: String::new(), admin_token: String::new() };
        let session = server.wait_for_session(port)?;
        server.user_token = token(&session, "token")?;
        server.admin_token = token(&session, "adminToken")?;
        Ok(server)
    }

    pub(super) fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.ws_port)
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

    fn wait_for_session(&mut self, port: u16) -> Result<Value> {
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the server ended at once ({status}):\n{}", log.trim_end());
            }
            match get_session(port) {
                Ok(session) => return Ok(session),
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!(
                        "the server gave no session within {} s; its log is {}",
                        START.as_secs(),
                        self.log.display()
                    )));
                }
                // Not listening yet: nothing announces it, so ask again.
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both listeners are open at once, so the two differ.
fn free_ports() -> Result<(u16, u16)> {
    let first = TcpListener::bind("127.0.0.1:0")?;
    let second = TcpListener::bind("127.0.0.1:0")?;
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
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
    fn a_session_is_read_and_a_refusal_is_an_error() {
        let session = parse_answer("HTTP/1.0 200 OK\r\na: b\r\n\r\n{\"token\":\"t\"}").expect("session");
        assert_eq!(token(&session, "token").expect("token"), "t");
        assert!(token(&session, "adminToken").is_err());
        let error = parse_answer("HTTP/1.0 404 Not Found\r\n\r\n").expect_err("404");
        assert!(error.to_string().contains("404"), "{error}");
    }
}
