//! Bounds: rooms, rates, connections, slow readers, silent ones (§5, §6, §8, §10).

use std::future::IntoFuture;
use std::time::Duration;

use osbackend_server::Realtime;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Connecting, RawSocket, Refused, SECRET, Scrape, TestServer, opcode, soon, user_token};

#[tokio::test]
async fn a_room_over_the_limit_is_refused() {
    let server = TestServer::with(|config| config.limits.max_rooms = Some(2)).await;
    let mut client = server.user("ada").await;
    // The user's own room, which the server joined, is none of them: by `connect` as many may be joined.
    client.join("agent:1").await;
    client.join("agent:2").await;
    let error = client.refused("join", json!({"room": "agent:3"}), "limit_reached").await;
    assert_eq!((&error["room"], error.get("retryAfterMs")), (&json!("agent:3"), None), "a leave helps, and no time");
    client.join("agent:2").await;
    client.request("leave", json!({"room": "agent:1"})).await;
    client.join("agent:3").await;
    client.request("leave", json!({"room": "user:ada"})).await;
    client.join("user:ada").await;
    client.refused("join", json!({"room": "agent:1"}), "limit_reached").await;
}

#[tokio::test]
async fn messages_over_the_rate_are_refused_and_tell_when_to_come_again() {
    let server = TestServer::with(|config| {
        config.limits.message_rate = Some(1);
        config.limits.message_burst = Some(3);
    })
    .await;
    let mut bystander = server.user("bob").await;
    let mut client = server.user("ada").await;
    for _ in 0..3 {
        client.is_alive().await;
    }
    let error = client.refused("heartbeat", json!({}), "rate_limited").await;
    let retry = error["retryAfterMs"].as_u64().unwrap();
    assert!((1..=1000).contains(&retry), "{retry}");
    bystander.is_alive().await;
}

#[tokio::test]
async fn who_goes_on_over_the_rate_is_closed() {
    let server = TestServer::with(|config| {
        config.limits.message_rate = Some(1);
        config.limits.message_burst = Some(3);
    })
    .await;
    let mut bystander = server.user("bob").await;
    let mut client = server.user("ada").await;
    client.send_text(format!("[{}]", vec![r#"{"type":"heartbeat"}"#; 100].join(","))).await;
    assert_eq!(client.closed().await, (4003, "rate_limited".to_owned()));
    bystander.is_alive().await;
}

#[tokio::test]
async fn joins_have_a_rate_of_their_own() {
    let server = TestServer::with(|config| {
        config.limits.join_rate = Some(1);
        config.limits.join_burst = 2;
    })
    .await;
    let mut client = server.user("ada").await;
    client.join("agent:1").await;
    client.join("agent:2").await;
    let error = client.refused("join", json!({"room": "agent:3"}), "rate_limited").await;
    assert!(error["retryAfterMs"].is_u64(), "{error}");
    client.is_alive().await;
}

#[tokio::test]
async fn connections_have_limits() {
    let per_user = TestServer::with(|config| config.limits.max_connections_per_user = Some(1)).await;
    let mut first = per_user.user("ada").await;
    let mut second = per_user.connecting().query(&user_token("ada")).open().await;
    second.expect_error("limit_reached").await;
    second.expect_close(4005, "connection_limit").await;
    per_user.user("bob").await.is_alive().await;
    first.is_alive().await;

    let per_address = TestServer::with(|config| config.limits.max_connections_per_ip = Some(1)).await;
    let mut first = per_address.user("ada").await;
    let mut second = per_address.connecting().query(&user_token("bob")).open().await;
    second.expect_error("limit_reached").await;
    second.expect_close(4005, "connection_limit").await;
    first.is_alive().await;

    let total = TestServer::with(|config| config.limits.max_connections = Some(1)).await;
    let mut first = total.user("ada").await;
    let refused = total.connecting().query(&user_token("bob")).try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
    first.is_alive().await;
}

/// More than the buffers of two sockets hold, the client's being small.
const FLOOD_BYTES: usize = 10 * 1024 * 1024;
const EVENT_BYTES: usize = 60 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_too_slowly_is_closed_and_the_others_lose_nothing() {
    const BOUND: u32 = 128 * 1024;
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(BOUND as usize)).await;
    let mut slow = server.connecting().query(&user_token("slow")).small_buffer().open().await;
    slow.expect("connection_established").await;
    let mut bystander = server.user("bob").await;
    slow.join("agent:7").await;
    bystander.join("agent:8").await;
    let padding = "x".repeat(EVENT_BYTES);
    // Until that is decided, and no longer: from then on the close frame has `CLOSE_TIMEOUT` to get through what the sockets'
    // buffers hold, so the client begins to read at once, however slow the machine is at flooding.
    let too_slow = || Scrape::parse(&server.handle.exposition().text()).get("osbackend_queue_bytes_max") > f64::from(BOUND);
    let mut sent = 0;
    while !too_slow() {
        assert!(sent < FLOOD_BYTES / EVENT_BYTES, "everything fitted into the sockets: the test tests nothing");
        server.handle.broadcast_to_room("agent:7", "note", &json!({"n": sent, "padding": padding})).await.unwrap();
        sent += 1;
    }
    assert_eq!(slow.closed().await, (4002, "slow_consumer".to_owned()));
    server.handle.broadcast_to_room("agent:8", "still", &json!({})).await.unwrap();
    bystander.expect("still").await;
    bystander.is_alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_replaced_do_not_close_a_slow_reader() {
    let server = TestServer::with(|config| config.limits.outbox_bytes = Some(256 * 1024)).await;
    let mut slow = server.connecting().query(&user_token("slow")).small_buffer().open().await;
    slow.expect("connection_established").await;
    slow.join("dashboard:overview").await;
    let padding = "x".repeat(EVENT_BYTES);
    let count = FLOOD_BYTES / EVENT_BYTES;
    for n in 1..=count {
        let values = [("n", n.to_string()), ("padding", padding.clone())];
        let values = values.iter().map(|(name, value)| (*name, value.as_str()));
        server.handle.emit_metric_update("calls", values).await.unwrap();
    }
    let (mut last, mut skipped) = (0, 0);
    while last < count as u64 {
        let event = slow.expect("metric_update").await;
        let offset = event["offset"].as_u64().unwrap();
        let missing = event.get("skipped").map_or(0, |skipped| skipped.as_u64().unwrap());
        assert_eq!(offset, last + missing + 1, "the frame says how many were conflated before it");
        assert_eq!(event["data"]["values"]["n"], offset.to_string());
        (last, skipped) = (offset, skipped + missing);
    }
    assert!(skipped > 0, "everything fitted into the sockets: the test tests nothing");
    slow.is_alive().await;
}

/// Writing must not keep the server from reading: else who reads slowly could not even leave the room that floods it.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_is_heard_while_more_always_waits_for_it() {
    const METRICS: usize = 50;
    let realtime = Realtime::builder().jwt_secret(SECRET).build().unwrap();
    let handle = realtime.handle();
    // Accepted sockets get the listener's buffer: with a large one a write is never stuck for long.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(8 * 1024).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(8).unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, realtime.router()).into_future());

    let mut slow = Connecting::new(address).query(&user_token("slow")).small_buffer().open().await;
    slow.expect("connection_established").await;
    slow.join("dashboard:overview").await;
    let padding = "x".repeat(4 * 1024);
    let flood = async || {
        for n in 0..METRICS {
            handle.emit_metric_update(format!("m{n}"), [("padding", padding.as_str())]).await.unwrap();
        }
    };
    flood().await;
    slow.send_text(r#"{"type":"heartbeat","id":1}"#).await;
    let mut read = 0;
    while slow.next().await["type"] != "heartbeat" {
        read += 1;
        assert!(read < 10 * METRICS, "no answer, however much was read");
        flood().await;
    }
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_is_closed_all_the_same_when_an_admin_says_so() {
    // Without pings, so that nothing else ends it.
    let server = TestServer::with(|config| config.liveness.heartbeat = None).await;
    let mut stuck = server.connecting().query(&user_token("stuck")).small_buffer().open().await;
    stuck.expect("connection_established").await;
    stuck.join("dashboard:overview").await;
    let padding = "x".repeat(EVENT_BYTES);
    for n in 1..=FLOOD_BYTES / EVENT_BYTES {
        let values = [("n", n.to_string()), ("padding", padding.clone())];
        server.handle.emit_metric_update("calls", values.iter().map(|(name, value)| (*name, value.as_str()))).await.unwrap();
    }
    assert_eq!(server.handle.disconnect_user("stuck"), 1);
    soon("the connection to be given up", async {
        while server.handle.stats().total_clients > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn who_does_not_answer_pings_is_closed() {
    let server = TestServer::with(|config| {
        config.liveness.heartbeat = Some(Duration::from_millis(60));
        config.liveness.pong_timeout = Some(Duration::from_millis(40));
    })
    .await;
    // A client that answers pings, as every client does by itself while it reads.
    let mut lively = server.user("bob").await;
    let lively = tokio::spawn(async move {
        for _ in 0..5 {
            let heartbeat = lively.expect("heartbeat").await;
            assert!(heartbeat["data"]["serverTime"].is_string());
        }
    });
    let mut silent = RawSocket::open(server.ws, &format!("?token={}", user_token("ada"))).await;
    let mut pinged = false;
    let end = loop {
        match silent.next().await {
            (opcode::PING, _) => pinged = true,
            (opcode::CLOSE, payload) => break payload,
            (opcode::TEXT, _) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(pinged);
    assert_eq!((u16::from_be_bytes([end[0], end[1]]), &end[2..]), (4004, "no_heartbeat".as_bytes()));
    lively.await.unwrap();
}

#[tokio::test]
async fn a_request_head_that_never_ends_is_dropped() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let server = TestServer::with(|config| config.limits.handshake_timeout = Some(Duration::from_millis(50))).await;
    let mut socket = tokio::net::TcpStream::connect(server.http).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nslow: ").await.unwrap();
    let mut rest = Vec::new();
    soon("the server to hang up", socket.read_to_end(&mut rest)).await.unwrap();
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

/// The body of a call, as a message, has its time.
#[tokio::test]
async fn a_body_that_never_ends_is_answered_and_its_connection_ended() {
    let server = TestServer::with(|config| config.limits.message_timeout = Some(Duration::from_millis(200))).await;
    let token = crate::support::admin_token();
    let head =
        format!("POST /api/ws/events HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n[");
    // Reads until the server closes.
    let answer = crate::support::send(server.http, head.as_bytes()).await;
    let message = answer.expect_error(408, "bad_request");
    assert!(message.contains("0.2 s"), "{message}");
    // One that comes in time is taken.
    let event = r#"{"type":"clip_played","data":{"clipId":"c","plays":1}}"#;
    crate::support::request(server.http, "POST", "/api/ws/events", Some(&token), event).await.ok();
}
