//! The legacy port: metrics as plain frames for whoever may have them, and for nobody else.

use std::time::Duration;

use osbackend_protocol::JsonObject;
use serde_json::{Value, json};

use crate::support::{Connecting, RawSocket, SECRET, Served, TestServer, opcode, osbackend, request, user_token};

async fn server() -> TestServer {
    TestServer::with(|config| config.listen.metrics_ws_port = Some(0)).await
}

fn legacy(server: &TestServer) -> Connecting {
    Connecting::new(server.legacy.unwrap())
}

async fn emit(server: &TestServer, metric: &str, value: f64) {
    server.handle.emit_metric_update(metric, [("value", value)]).await.unwrap();
}

async fn emit_agent(server: &TestServer) {
    let data = JsonObject::parse(r#"{"agentId":"7","status":"busy"}"#).unwrap();
    server.handle.emit_json("agent_status_change", data).await.unwrap();
}

fn metric(frame: &Value) -> (&str, f64) {
    let keys: Vec<_> = frame.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["data", "timestamp", "type"], "a plain frame: {frame}");
    assert_eq!(frame["type"], "metric_update");
    (frame["data"]["metric"].as_str().unwrap(), frame["data"]["values"]["value"].as_f64().unwrap())
}

#[tokio::test]
async fn whoever_connects_gets_the_newest_of_each_metric_and_then_what_comes() {
    let server = server().await;
    emit(&server, "cpu", 1.0).await;
    emit(&server, "calls", 7.0).await;
    emit(&server, "cpu", 2.0).await;
    emit_agent(&server).await;
    let mut clients = Vec::new();
    for connecting in [
        legacy(&server).path("/").query(&user_token("ada")),
        legacy(&server).path("/metrics/live").bearer(&user_token("bob")),
        legacy(&server).header("x-auth-token", user_token("eve")),
    ] {
        let client = connecting.open().await;
        assert_eq!(client.protocol, None, "it speaks no version of the protocol");
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(metric(&client.next().await), ("calls", 7.0));
        assert_eq!(metric(&client.next().await), ("cpu", 2.0));
    }
    emit_agent(&server).await;
    emit(&server, "live", 3.0).await;
    emit(&server, "live", 4.0).await;
    for client in &mut clients {
        assert_eq!(metric(&client.next().await), ("live", 3.0));
        assert_eq!(metric(&client.next().await), ("live", 4.0));
    }
    assert_eq!(request(server.legacy.unwrap(), "GET", "/api/ws/status", None, "").await.status, 426, "it has no API");
}

#[tokio::test]
async fn without_a_good_token_there_are_no_metrics() {
    let server = TestServer::with(|config| {
        config.listen.metrics_ws_port = Some(0);
        config.auth.timeout = Some(Duration::from_millis(50));
    })
    .await;
    emit(&server, "cpu", 1.0).await;
    let mut refused = legacy(&server).query("no.such.token").open().await;
    refused.expect_error("unauthorized").await;
    refused.expect_close(4501, "unauthorized").await;
    legacy(&server).open().await.expect_close(4500, "auth_timeout").await;
    let evil = legacy(&server).header("origin", "https://evil.example").query(&user_token("ada")).try_open().await;
    assert_eq!(evil.err().map(|refused| refused.0.as_u16()), Some(403));
}

#[tokio::test]
async fn a_client_may_authenticate_after_it_connected() {
    let server = server().await;
    emit(&server, "cpu", 1.0).await;
    let mut client = legacy(&server).open().await;
    client.refused("join", json!({"room": "dashboard:overview"}), "bad_request").await;
    let answer = client.request("auth", json!({"token": user_token("ada")})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    assert_eq!(metric(&client.next().await), ("cpu", 1.0));
    client.refused("join", json!({"room": "agent:7"}), "bad_request").await;
    client.is_alive().await;
}

#[tokio::test]
async fn its_limits_and_liveness_are_those_of_every_connection() {
    let server = TestServer::with(|config| {
        config.listen.metrics_ws_port = Some(0);
        config.limits.max_connections_per_user = Some(1);
        config.limits.message_burst = Some(12);
        config.liveness.heartbeat = Some(Duration::from_millis(20));
        config.liveness.pong_timeout = Some(Duration::from_millis(60));
    })
    .await;
    let _first = server.user("ada").await;
    let mut second = legacy(&server).query(&user_token("ada")).open().await;
    second.expect_error("limit_reached").await;
    second.expect_close(4005, "connection_limit").await;

    let mut eager = legacy(&server).query(&user_token("bob")).open().await;
    for _ in 0..40 {
        eager.send("join", json!({"room": "agent:7"})).await;
    }
    assert_eq!(eager.closed().await.0, 4003);
    let mut large = legacy(&server).query(&user_token("eve")).open().await;
    large.send_text("x".repeat(65_537)).await;
    assert_eq!(large.closed().await.0, 1009);

    let mut silent = RawSocket::open(server.legacy.unwrap(), &format!("?token={}", user_token("sue"))).await;
    assert_eq!(silent.next().await.0, opcode::PING, "nothing but pings");
    assert_eq!(silent.closed().await, (4004, "no_heartbeat".to_owned()));
}

#[tokio::test]
async fn the_binary_feeds_tells_once_that_it_is_deprecated_and_drains() {
    let mut command = osbackend(&["serve", "--dev", "--host", "127.0.0.1", "--port", "0", "--ws-port", "0", "--drain", "50ms"]);
    command.env("JWT_SECRET", SECRET).env("METRICS_WS_PORT", "0").env("RUST_LOG", "osbackend_server=debug");
    let served = Served::start(command).await;
    let mut clients = Vec::new();
    for user in ["ada", "bob"] {
        let mut client = Connecting::new(served.metrics_ws()).path("/").query(&user_token(user)).open().await;
        assert_eq!(client.next().await["type"], "metric_update");
        clients.push(client);
    }
    served.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.closed().await, (1012, "restart".to_owned()));
    }
    let (status, log) = served.ended().await;
    assert_eq!(status.code(), Some(0), "{log}");
    assert_eq!(log.matches("METRICS_WS_PORT is deprecated").count(), 1, "{log}");
    assert_eq!(log.matches("a client on the deprecated METRICS_WS_PORT").count(), 2, "{log}");
}
