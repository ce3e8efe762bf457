//! Messages of the application's own (§3): handlers, their errors, their panics.

use osbackend_protocol::{ErrorBody, ErrorCode, JsonObject};
use osbackend_server::handlers::CustomReply;
use serde_json::json;

use crate::support::{TestServer, user_token};

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

#[tokio::test]
async fn a_handler_knows_who_asks_and_publishes_through_the_handle() {
    let server = TestServer::start().await;
    let handle = server.handle.clone();
    server.handle.on_custom_message("chat:say", move |request| {
        let handle = handle.clone();
        async move {
            let who = request.identity.ok_or_else(|| ErrorBody::new(ErrorCode::Unauthorized, "who are you?"))?;
            let said = json!({"by": who.sub, "role": who.role, "client": &*request.client_id, "said": request.payload});
            handle.broadcast_to_room("agent:7", "said", &said).await.expect("published");
            Ok(CustomReply { kind: Some("chat_said".to_owned()), data: JsonObject::empty() })
        }
    });
    server.handle.on_custom_message("*", |request| async move { CustomReply::json(&json!({"other": request.kind})) });
    let mut listener = server.user("bob").await;
    listener.join("agent:7").await;
    let mut client = server.connecting().query(&user_token("ada")).open().await;
    let greeting = client.expect("connection_established").await;
    let reply = client.request("chat:say", json!({"text": "hello"})).await;
    assert_eq!(reply["type"], "chat_said");
    let said = listener.expect("said").await["data"].clone();
    assert_eq!((&said["by"], &said["said"]), (&json!("ada"), &json!({"text": "hello"})));
    assert_eq!((&said["client"], &said["role"]), (&greeting["data"]["clientId"], &json!(null)));
    assert_eq!(client.request("else", json!({})).await["data"], json!({"other": "else"}));
}

#[tokio::test]
async fn a_slow_handler_holds_up_neither_its_own_connection_nor_others() {
    let server = TestServer::start().await;
    let (release, released) = tokio::sync::watch::channel(false);
    server.handle.on_custom_message("slow", move |_| {
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.expect("released");
            Ok(CustomReply::ok())
        }
    });
    let mut client = server.user("ada").await;
    client.send_text(json!({"type": "slow", "id": "late"}).to_string()).await;
    client.join("agent:7").await;
    client.is_alive().await;
    release.send_replace(true);
    assert_eq!(client.expect("slow").await["id"], "late");
}
