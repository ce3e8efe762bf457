//! A port and a data directory that go from one process to the next: shared ports, waiting, and systemd's sockets.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::{Connecting, SECRET, Served, TempDir, admin_token, osbackend, request, soon, user_token};

/// `osbackend serve` with its data in `dir` and one port for all.
fn on_port(dir: &TempDir, port: u16, more: &[&str]) -> Command {
    let port = port.to_string();
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", &port, "--ws-port", &port]);
    command.env("JWT_SECRET", SECRET).env("ENGINE", "sqlite").env("DATA_DIR", dir.path()).args(more);
    command
}

async fn publish(served: &Served) -> serde_json::Value {
    let event = json!({"room": "agent:7", "type": "note", "data": {}}).to_string();
    request(served.http, "POST", "/api/ws/broadcast", Some(&admin_token()), event).await.ok()
}

#[tokio::test]
async fn a_successor_shares_the_port_waits_for_the_data_and_goes_on_with_it() {
    let dir = TempDir::new();
    let shared = ["--reuse-port", "--wait-for-data-dir", "5m"];
    let mut ports = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--reuse-port"]);
    ports.env("JWT_SECRET", SECRET).env("ENGINE", "sqlite").env("DATA_DIR", dir.path());
    let first = Served::start(ports).await;
    let published = publish(&first).await;
    let mut client = Connecting::new(first.http).query(&user_token("ada")).open().await;
    client.expect("connection_established").await;

    let port = first.http.port();
    let http = first.http;
    let second = tokio::spawn(Served::start(on_port(&dir, port, &shared)));
    // The system gives each new connection to one of the two: the second one lives and is not ready.
    soon("an answer of the second", async { while request(http, "GET", "/readyz", None, "").await.status != 503 {} }).await;
    while request(http, "GET", "/healthz", None, "").await.status != 200 {}
    assert!(!second.is_finished(), "it serves what another process has");
    client.is_alive().await;

    first.signal("TERM");
    client.expect("draining").await;
    client.expect_close(1012, "restart").await;
    assert_eq!(first.ended().await.0.code(), Some(0));
    let second = soon("the second to have the data", second).await.unwrap();
    assert_eq!(second.http.port(), port);
    let mut client = Connecting::new(second.http).query(&user_token("ada")).open().await;
    client.expect("connection_established").await;
    let joined = client.join("agent:7").await;
    assert_eq!((&joined["epoch"], &joined["offset"]), (&published["epoch"], &published["offset"]));
}

#[tokio::test]
async fn who_does_not_wait_is_told_at_once_that_the_data_is_in_use() {
    let dir = TempDir::new();
    let _first = Served::durable(dir.path(), &[]).await;
    let ended = crate::support::run_with(on_port(&dir, 0, &["--wait-for-data-dir", "0"]), "").await;
    ended.failed(1, &["is in use by another osbackend"]);
    let ended = crate::support::run_with(on_port(&dir, 0, &["--wait-for-data-dir", "50ms"]), "").await;
    ended.failed(1, &["is in use by another osbackend"]);
}

/// As a service manager starts it: with the listening socket as descriptor 3.
async fn activated(listener: &TcpListener, dir: &TempDir) -> Served {
    let port = listener.local_addr().unwrap().port();
    let served = on_port(dir, port, &["--drain", "10s"]);
    let served = served.as_std();
    let mut command = Command::new("sh");
    command.args(["-c", "export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\" 3<&0 0</dev/null", "sh"]);
    command.arg(served.get_program()).args(served.get_args());
    command.env_clear().envs(served.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::from(OwnedFd::from(listener.try_clone().unwrap())));
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Served::start(command).await
}

#[tokio::test]
async fn a_socket_that_the_service_manager_keeps_refuses_nobody_between_two_processes() {
    let dir = TempDir::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = activated(&listener, &dir).await;
    assert_eq!(first.http, address);
    publish(&first).await;
    first.signal("TERM");
    assert_eq!(first.ended().await.0.code(), Some(0));
    // Nobody runs: the system takes the connection, and the next process answers.
    let mut early = TcpStream::connect(address).await.unwrap();
    early.write_all(b"GET /readyz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    let second = activated(&listener, &dir).await;
    let mut answer = String::new();
    soon("the answer", early.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    publish(&second).await;
}
