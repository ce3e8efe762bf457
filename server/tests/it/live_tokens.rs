//! The end of a token on a live connection, over real sockets with short times: announced, refreshed in place, or closed with 4001.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use osbackend_server::auth::mint::Token;
use serde_json::json;

use crate::support::{TestServer, token, user_token};

/// A token of `ada` that ends in this many milliseconds. (`exp` may have a fraction.)
fn ending_in(ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    token(Token::for_user("ada").claim("exp", (now + Duration::from_millis(ms)).as_secs_f64()))
}

async fn server(warning: Duration, grace: Duration) -> TestServer {
    TestServer::with(|config| {
        config.auth.token_warning = warning;
        config.auth.token_grace = grace;
    })
    .await
}

#[tokio::test]
async fn a_token_that_is_not_refreshed_is_announced_and_then_closed_with_4001() {
    let server = server(Duration::from_millis(200), Duration::from_millis(100)).await;
    let mut client = server.with_token(&ending_in(400)).await;
    client.join("agent:7").await;
    let connected = tokio::time::Instant::now();
    client.expect("token_expiring").await;
    client.is_alive().await;
    client.expect_error("token_expired").await;
    client.expect_close(4001, "token_expired").await;
    assert!(connected.elapsed() >= Duration::from_millis(300), "not before `exp` and the grace");
}

#[tokio::test]
async fn the_grace_after_exp_is_time_to_refresh() {
    // Ended already, within the leeway; there is a long grace.
    let server = server(Duration::from_secs(60), Duration::from_secs(600)).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut client = server.with_token(&token(Token::for_user("ada").claim("exp", now - 1))).await;
    client.expect("token_expiring").await;
    let answer = client.request("auth", json!({"token": user_token("ada")})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    client.is_alive().await;
}

#[tokio::test]
async fn a_refresh_in_place_moves_both_deadlines() {
    let server = server(Duration::from_millis(100), Duration::ZERO).await;
    let mut client = server.with_token(&ending_in(600)).await;
    client.join("agent:7").await;
    let mut witness = server.with_token(&ending_in(600)).await;
    let answer = client.request("auth", json!({"token": user_token("ada")})).await;
    assert_eq!(answer["type"], "authenticated", "{answer}");
    // The witness holds the same kind of token and refreshes nothing: once it is closed, the time has passed.
    witness.expect("token_expiring").await;
    assert_eq!(witness.closed().await.0, 4001);
    server.handle.broadcast_to_room("agent:7", "still", &json!({})).await.unwrap();
    client.expect("still").await;
    client.is_alive().await;
}

#[tokio::test]
async fn a_refused_refresh_does_not_put_off_the_end() {
    let server = server(Duration::from_millis(100), Duration::ZERO).await;
    let mut client = server.with_token(&ending_in(500)).await;
    client.refused("auth", json!({"token": user_token("bob")}), "forbidden").await;
    client.refused("auth", json!({"token": "nonsense"}), "unauthorized").await;
    client.expect("token_expiring").await;
    client.expect_error("token_expired").await;
    client.expect_close(4001, "token_expired").await;
}
