//! How connections end from the server's side: a drain, an admin.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::http::StatusCode;

use crate::support::{Refused, TestServer, admin_token, request, soon, user_token};

#[tokio::test]
async fn a_drain_gives_each_client_its_slot_and_closes_with_1012() {
    let server = TestServer::start().await;
    let mut clients = Vec::new();
    for user in ["ada", "bob", "eve"] {
        clients.push(server.user(user).await);
    }
    let handle = server.handle.clone();
    let drained = tokio::spawn(async move { handle.drain(Duration::from_millis(90)).await });
    let mut slots = BTreeSet::new();
    for client in &mut clients {
        let draining = client.expect("draining").await;
        let slot = draining["data"]["reconnectAfterMs"].as_u64().unwrap();
        assert!(slot <= 90, "{slot}");
        slots.insert(slot);
    }
    assert_eq!(slots.len(), 3, "each a slot of its own: {slots:?}");
    for client in &mut clients {
        client.expect_close(1012, "restart").await;
    }
    soon("the drain to end", drained).await.unwrap();
    assert_eq!(server.handle.stats().total_clients, 0);
}

#[tokio::test]
async fn who_comes_during_a_drain_is_told_to_come_again() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    request(server.http, "GET", "/readyz", None, "").await.ok();
    let handle = server.handle.clone();
    let drained = tokio::spawn(async move { handle.drain(Duration::ZERO).await });
    client.expect("draining").await;
    client.expect_close(1012, "restart").await;
    soon("the drain to end", drained).await.unwrap();
    // An application may still be listening, for requests of its own.
    let refused = server.connecting().query(&user_token("ada")).try_open().await;
    assert_eq!(refused.err(), Some(Refused(StatusCode::SERVICE_UNAVAILABLE)));
    request(server.http, "GET", "/readyz", None, "").await.expect_error(503, "unavailable");
    request(server.http, "GET", "/healthz", None, "").await.ok();
}

#[tokio::test]
async fn an_admin_disconnects_a_user_or_a_client() {
    let server = TestServer::start().await;
    let admin = admin_token();
    let disconnect = async |body: serde_json::Value| {
        let answer = request(server.http, "POST", "/api/ws/disconnect", Some(&admin), body.to_string()).await;
        answer.ok()["disconnected"].clone()
    };
    let (mut one, mut two) = (server.user("ada").await, server.user("ada").await);
    let mut bob = server.connecting().query(&crate::support::user_token("bob")).open().await;
    let client_id = bob.expect("connection_established").await["data"]["clientId"].clone();

    assert_eq!(disconnect(json!({"userId": "ada"})).await, 2);
    one.expect_close(4505, "disconnected").await;
    two.expect_close(4505, "disconnected").await;
    bob.is_alive().await;
    assert_eq!(disconnect(json!({"clientId": client_id})).await, 1);
    bob.expect_close(4505, "disconnected").await;
    assert_eq!(disconnect(json!({"userId": "nobody"})).await, 0);
}
