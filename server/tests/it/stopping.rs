//! SIGTERM against the binary: slots, close codes, exit code and the time it all takes.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use serde_json::json;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Connecting, Refused, SECRET, Served, TempDir, admin_token, osbackend, request, soon, user_token};

const DRAIN: Duration = Duration::from_millis(1_200);
/// What the process may take beside the window: closing handshakes, and the machine.
const BESIDE: Duration = Duration::from_secs(3);

/// With a rate at which so many clients a second would be let in: twice as many are sent away.
async fn served(connect_rate: u32, drain: &str) -> Served {
    let mut command = osbackend(&["serve", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--metrics-ws-port", "0"]);
    command.env("JWT_SECRET", SECRET).env("DRAIN", drain).env("CONNECT_RATE", connect_rate.to_string());
    Served::start(command).await
}

#[tokio::test]
async fn every_client_gets_a_slot_is_closed_in_it_and_the_process_ends_within_the_window() {
    let served = served(8, "1200ms").await;
    let mut clients = Vec::new();
    for user in ["ada", "bob", "eve", "sue"] {
        let mut client = Connecting::new(served.ws).query(&user_token(user)).open().await;
        client.expect("connection_established").await;
        clients.push(client);
    }
    let mut legacy = Connecting::new(served.metrics_ws()).query(&user_token("old")).open().await;
    // Registered: whoever is let in later would have no slot.
    legacy.is_alive().await;
    // A request that is still running takes no time of the window from the others.
    let mut slow = TcpStream::connect(served.http).await.unwrap();
    let token = admin_token();
    let head = format!("POST /api/ws/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 2\r\n");
    slow.write_all(format!("{head}expect: 100-continue\r\n\r\n").as_bytes()).await.unwrap();
    // The server asks for the body: the request is running.
    let mut running = vec![0; 25];
    soon("100 Continue", slow.read_exact(&mut running)).await.unwrap();
    assert!(running.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&running));

    let begin = Instant::now();
    served.signal("TERM");
    let mut slots = Vec::new();
    for client in &mut clients {
        let draining = client.expect("draining").await;
        slots.push(draining["data"]["reconnectAfterMs"].as_u64().unwrap());
    }
    assert_eq!(slots, [0, 240, 480, 720], "in the order of their arrival, spread over the window");
    for (client, slot) in clients.iter_mut().zip(&slots) {
        client.expect_close(1012, "restart").await;
        let after = begin.elapsed();
        assert!(after >= Duration::from_millis(*slot), "closed after {after:?}, its slot is {slot} ms");
    }
    assert_eq!(legacy.closed().await, (1012, "restart".to_owned()));
    assert!(begin.elapsed() >= Duration::from_millis(960), "the legacy client has the last slot");
    assert!(begin.elapsed() < DRAIN + BESIDE, "{:?}", begin.elapsed());
    slow.write_all(b"[]").await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", slow.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "it is answered all the same");
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(begin.elapsed() < DRAIN + BESIDE, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let served = served(2, "1200ms").await;
    let mut first = Connecting::new(served.ws).query(&user_token("ada")).open().await;
    let mut second = Connecting::new(served.ws).query(&user_token("bob")).open().await;
    first.expect("connection_established").await;
    second.expect("connection_established").await;
    let begin = Instant::now();
    served.signal("TERM");
    second.expect("draining").await;
    served.signal("TERM");
    assert_eq!(served.ended().await.0.code(), Some(0));
    assert!(begin.elapsed() < DRAIN, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_drain_is_as_long_as_its_clients_need_and_no_part_of_it_has_too_many_slots() {
    let server = crate::support::TestServer::with(|config| {
        config.limits.max_connections_per_ip = None;
        config.limits.connect_rate_per_ip = None;
    })
    .await;
    let mut clients = Vec::new();
    for number in 0..150 {
        clients.push(server.user(&format!("u{number}")).await);
    }
    let handle = server.handle.clone();
    let draining = tokio::spawn(async move { handle.drain(Duration::from_secs(20)).await });
    // By half of `CONNECT_RATE`, 500 a second, in this much: a twentieth of it is 30 ms.
    const WINDOW_MS: u64 = 600;
    let mut parts = [0; 20];
    for client in &mut clients {
        // Those whose slot has come are told before they are closed.
        let draining = client.expect("draining").await;
        let slot = draining["data"]["reconnectAfterMs"].as_u64().unwrap();
        parts[usize::try_from(slot / (WINDOW_MS / 20)).unwrap()] += 1;
    }
    draining.abort();
    // The mean is 7.5.
    assert!(parts.iter().all(|count| *count == 7 || *count == 8), "{parts:?}");
}

/// The drain lasts some seconds here, for the slots of four clients; a second signal ends it.
#[tokio::test]
async fn until_the_drain_ends_the_ports_answer_that_the_server_goes_away() {
    let served = served(1, "1h").await;
    let mut clients = Vec::new();
    for user in ["ada", "bob", "eve", "sue"] {
        let mut client = Connecting::new(served.ws).query(&user_token(user)).open().await;
        client.expect("connection_established").await;
        clients.push(client);
    }
    let ask = async |method: &str, path: &str, body: &str| request(served.http, method, path, Some(&admin_token()), body).await;
    assert_eq!(ask("GET", "/readyz", "").await.status, 200);
    served.signal("TERM");
    clients[3].expect("draining").await;
    let ready = ask("GET", "/readyz", "").await;
    assert!(ready.status == 503 && ready.head.contains("retry-after: 1"), "{}", ready.head);
    assert_eq!(ask("GET", "/healthz", "").await.status, 200);
    assert_eq!(ask("GET", "/api/ws/status", "").await.ok()["status"], "draining");
    let event = json!({"room": "agent:7", "type": "note", "data": {}}).to_string();
    for (method, path, body) in [("POST", "/api/ws/broadcast", event.as_str()), ("GET", "/api/ws/rooms", "")] {
        let answer = ask(method, path, body).await;
        answer.expect_error(503, "unavailable");
        assert!(answer.head.contains("retry-after: 1") && answer.head.contains("connection: close"), "{}", answer.head);
    }
    for port in [served.http, served.ws] {
        let refused = Connecting::new(port).query(&user_token("new")).try_open().await.err();
        assert_eq!(refused, Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
    }
    served.signal("TERM");
    assert_eq!(served.ended().await.0.code(), Some(0));
}

/// The engine's stop takes a while here, because somebody reads the file: nothing is to be published into it meanwhile.
#[tokio::test]
async fn the_demo_ends_before_the_engine_does() {
    let dir = TempDir::new();
    let served = Served::start(crate::support::durable(dir.path(), &["--dev"])).await;
    let mut client = Connecting::new(served.ws).query(&user_token("ada")).open().await;
    client.expect("connection_established").await;
    client.join("dashboard:overview").await;
    let reader = rusqlite::Connection::open(dir.path().join("osbackend.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    // Several steps of the demo that the reader has not seen, which the last checkpoint waits for.
    let mut live = 0;
    while live < 20 {
        let message = client.next().await;
        live += u32::from(message["type"] == "metric_update" && message["snapshot"].is_null());
    }
    served.signal("INT");
    let (status, log) = served.ended().await;
    assert!(status.success(), "{log}");
    assert!(!log.contains("could not publish"), "{log}");
}
