//! Messages of the application's own (§3): handlers, their errors, their panics.

use osbackend_protocol::{ErrorBody, ErrorCode};
use osbackend_server::handlers::CustomReply;
use serde_json::json;

use crate::support::TestServer;

#[tokio::test]
async fn a_handler_answers_its_type() {
    let server = TestServer::start().await;
    server.handle.on_custom_message("call:start", |request| async move {
        let who = request.identity.map(|identity| identity.sub);
        CustomReply::json(&json!({"who": who, "asked": request.payload}))
    });
    server.handle.on_custom_message("call:refuse", |_| async { Err(ErrorBody::new(ErrorCode::LimitReached, "no line is free")) });
    let mut client = server.user("ada").await;
    let answer = client.request("call:start", json!({"agent": 7})).await;
    assert_eq!((&answer["type"], &answer["data"]), (&json!("call:start"), &json!({"who": "ada", "asked": {"agent": 7}})));
    let error = client.refused("call:refuse", json!({}), "limit_reached").await;
    assert_eq!(error["message"], "no line is free");
    client.refused("call:other", json!({}), "unknown_type").await;
}

#[tokio::test]
async fn a_panic_of_a_handler_ends_its_own_connection_only() {
    let server = TestServer::start().await;
    server.handle.on_custom_message("boom", |_| async { panic!("on purpose") });
    let mut bystander = server.user("bob").await;
    bystander.join("agent:7").await;
    let mut client = server.user("ada").await;
    client.send("boom", json!({})).await;
    client.expect_close(1011, "internal").await;
    server.handle.broadcast_to_room("agent:7", "still", &json!({})).await.unwrap();
    bystander.expect("still").await;
    server.user("ada").await.is_alive().await;
}
