//! Connections without a token (§1), and pages of other origins.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Refused, TestServer, user_token};

#[tokio::test]
async fn until_it_authenticates_only_auth_connect_and_heartbeat_are_taken() {
    let server = TestServer::start().await;
    let mut client = server.connecting().open().await;
    client.expect("connection_established").await;
    for (kind, payload) in [
        ("join", json!({"room": "agent:7"})),
        ("leave", json!({"room": "agent:7"})),
        ("publish", json!({"room": "agent:7", "type": "x", "data": {}})),
        ("metrics:get", json!({})),
        ("presence:get", json!({"room": "agent:7"})),
        ("history:get", json!({"room": "agent:7"})),
        ("anything:else", json!({})),
    ] {
        client.refused(kind, payload, "unauthorized").await;
    }
    client.is_alive().await;
    client.request("auth", json!({"token": user_token("ada")})).await;
    client.join("agent:7").await;
}

#[tokio::test]
async fn who_does_not_authenticate_in_time_is_closed() {
    let server = TestServer::with(|config| config.auth.timeout = Some(Duration::from_millis(50))).await;
    let mut plain = server.connecting().open().await;
    plain.expect("connection_established").await;
    plain.expect_close(4500, "auth_timeout").await;
    let mut v1 = server.connecting().connect(json!({})).await;
    v1.expect("connection_established").await;
    v1.expect_close(4500, "auth_timeout").await;
    let mut in_time = server.user("ada").await;
    in_time.is_alive().await;
}

#[tokio::test]
async fn where_it_is_allowed_it_stays_and_may_do_what_needs_no_user() {
    let server = TestServer::with(|config| {
        config.auth.allow_anonymous = true;
        config.auth.timeout = Some(Duration::from_millis(1));
        config.liveness.heartbeat = Some(Duration::from_millis(30));
    })
    .await;
    let mut client = server.connecting().open().await;
    let greeting = client.expect("connection_established").await;
    assert_eq!(greeting["data"]["authenticated"], false);
    // Two heartbeats of the server are past the time to authenticate.
    client.expect("heartbeat").await;
    client.expect("heartbeat").await;
    client.send_text(r#"{"type":"join","payload":{"room":"dashboard:overview"}}"#).await;
    loop {
        let answer = client.next().await;
        if answer["type"] != "heartbeat" {
            assert_eq!((&answer["type"], &answer["data"]["code"]), (&json!("error"), &json!("unauthorized")), "{answer}");
            break;
        }
    }
}

#[tokio::test]
async fn other_origins_are_refused_before_the_upgrade() {
    let server = TestServer::start().await;
    let token = user_token("ada");
    let from = |origin: &str| server.connecting().query(&token).header("origin", origin);
    for origin in ["https://evil.example", "null", "http://127.0.0.1.evil.example"] {
        assert_eq!(from(origin).try_open().await.err(), Some(Refused(StatusCode::FORBIDDEN)), "{origin}");
    }
    from("http://127.0.0.1:8080").open().await.expect("connection_established").await;

    let listed = TestServer::with(|config| config.auth.allowed_origins = Some(vec!["https://app.example".into()])).await;
    listed.connecting().header("origin", "https://app.example").open().await.expect("connection_established").await;
    let refused = listed.connecting().header("origin", "https://other.example").try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::FORBIDDEN)));
    listed.connecting().open().await.expect("connection_established").await;
}
