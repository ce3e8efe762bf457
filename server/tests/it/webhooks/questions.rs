//! Every question with every answer: allow, deny, reply, publish; order; and who is not disturbed.

use osbackend_server::config::HookEvent;
use serde_json::json;

use crate::support::{Backend, Client, TestServer, admin_token, user_token};

async fn asking(events: &[HookEvent]) -> (Backend, TestServer) {
    let backend = Backend::start().await;
    let server = TestServer::with(|config| backend.settings(config, events)).await;
    (backend, server)
}

async fn send(client: &mut Client, id: u32, kind: &str, payload: serde_json::Value) {
    client.send_text(json!({"type": kind, "payload": payload, "id": id}).to_string()).await;
}

#[tokio::test]
async fn connect_is_allowed_with_events_for_the_newcomer() {
    let (mut backend, server) = asking(&[HookEvent::Connect]).await;
    let connecting = server.connecting().connect(json!({"token": user_token("ada"), "rooms": [{"room": "agent:7"}]}));
    let mut client = connecting.await;
    let asked = backend.next("connect").await;
    assert_eq!((&asked.body["userId"], &asked.body["resumed"]), (&json!("ada"), &json!(false)));
    assert!(asked.body["clientId"].is_string() && asked.body["connectionId"].is_string(), "{}", asked.body);
    let events = json!([
        {"room": "agent:7", "type": "agent_status_change", "data": {"agentId": "7", "status": "online"}},
        {"userId": "ada", "type": "welcome", "data": {"n": 1}},
        {"userId": "ada", "type": "welcome", "data": {"n": 2}},
    ]);
    asked.answer(json!({"allow": true, "publish": events}));
    let greeting = client.expect("connection_established").await;
    assert_eq!(greeting["data"]["rooms"][0]["offset"], 1, "published before the client is in: {greeting}");
    assert_eq!(client.expect("agent_status_change").await["snapshot"], true);
    assert_eq!(greeting["data"]["rooms"][1]["offset"], 2);
    let history = client.request("history:get", json!({"room": "user:ada"})).await;
    let numbers: Vec<_> = history["data"]["events"].as_array().unwrap().iter().map(|event| &event["data"]["n"]).collect();
    assert_eq!(numbers, [1, 2], "in the answer's order");
    assert_eq!(server.handle.hooks().unwrap().stats().published.get(), 3);
}

#[tokio::test]
async fn connect_is_denied_with_the_backends_words() {
    let (mut backend, server) = asking(&[HookEvent::Connect, HookEvent::Disconnect]).await;
    let mut client = server.connecting().connect(json!({"token": user_token("ada")})).await;
    backend.next("connect").await.answer(json!({"deny": {"code": "limit_reached", "message": "pay first"}}));
    assert_eq!(client.expect_error("limit_reached").await["message"], "pay first");
    client.expect_close(4502, "forbidden").await;
    let mut plain = server.connecting().query(&user_token("eve")).open().await;
    backend.next("connect").await.answer(json!({"allow": false}));
    plain.expect_error("forbidden").await;
    plain.expect_close(4502, "forbidden").await;
    assert_eq!(server.handle.stats().authenticated_clients, 0);
    backend.is_quiet();
}

#[tokio::test]
async fn a_client_that_comes_back_is_asked_about_with_its_rooms() {
    let (mut backend, server) = asking(&[HookEvent::Connect, HookEvent::Join]).await;
    let mut client = server.connecting().connect(json!({"token": user_token("ada")})).await;
    let first = backend.next("connect").await;
    let (client_id, connection_id) = (first.body["clientId"].clone(), first.body["connectionId"].clone());
    first.allow();
    let greeting = client.expect("connection_established").await;
    drop(client);
    let resume = json!({"clientId": greeting["data"]["clientId"], "token": greeting["data"]["resume"]["token"]});
    let rooms = json!([{"room": "agent:7"}, {"room": "agent:8"}]);
    let mut client = server.connecting().connect(json!({"token": user_token("ada"), "resume": resume, "rooms": rooms})).await;
    let again = backend.next("connect").await;
    assert_eq!((&again.body["resumed"], &again.body["clientId"]), (&json!(true), &client_id));
    assert_ne!(again.body["connectionId"], connection_id);
    again.allow();
    for _ in 0..2 {
        let asked = backend.next("join").await;
        let denied = asked.body["room"] == "agent:8";
        asked.answer(if denied { json!({"deny": {"message": "not yours"}}) } else { json!({"allow": true}) });
    }
    let rooms = client.expect("reconnected").await["data"]["rooms"].clone();
    assert_eq!((&rooms[0]["room"], &rooms[0]["error"]), (&json!("agent:7"), &json!(null)));
    assert_eq!((&rooms[1]["error"]["code"], &rooms[1]["error"]["message"]), (&json!("forbidden"), &json!("not yours")));
    assert_eq!(rooms[2]["room"], "user:ada", "its own room is nobody's to refuse");
}

#[tokio::test]
async fn join_is_allowed_or_denied() {
    let (mut backend, server) = asking(&[HookEvent::Join]).await;
    let mut client = server.user("ada").await;
    send(&mut client, 1, "join", json!({"room": "agent:7"})).await;
    let asked = backend.next("join").await;
    assert_eq!((&asked.body["room"], &asked.body["userId"]), (&json!("agent:7"), &json!("ada")));
    asked.answer(json!({"allow": true, "publish": [{"room": "agent:7", "type": "joining", "data": {"who": "ada"}}]}));
    assert_eq!(client.expect("room_joined").await["id"], 1);
    send(&mut client, 2, "join", json!({"room": "agent:8"})).await;
    backend.next("join").await.answer(json!({"deny": {}}));
    let error = client.expect_error("forbidden").await;
    assert_eq!(error["room"], "agent:8");
    assert_eq!(server.handle.client_count(&"agent:8".parse().unwrap()), 0);
    let history = client.request("history:get", json!({"room": "agent:7"})).await;
    assert_eq!(history["data"]["events"][0]["type"], "joining");
}

#[tokio::test]
async fn publish_is_allowed_or_denied() {
    let (mut backend, server) = asking(&[HookEvent::Publish]).await;
    let mut client = server.with_token(&admin_token()).await;
    client.join("agent:7").await;
    let publish = |n: u32| json!({"room": "agent:7", "type": "note", "data": {"n": n}});
    send(&mut client, 1, "publish", publish(1)).await;
    let asked = backend.next("publish").await;
    let told = (&asked.body["room"], &asked.body["type"], &asked.body["data"], &asked.body["role"]);
    assert_eq!(told, (&json!("agent:7"), &json!("note"), &json!({"n": 1}), &json!("admin")));
    asked.allow();
    let mut kinds = [client.next().await["type"].clone(), client.next().await["type"].clone()];
    kinds.sort_by_key(ToString::to_string);
    assert_eq!(kinds, ["note", "published"]);
    send(&mut client, 2, "publish", publish(2)).await;
    backend.next("publish").await.answer(json!({
        "deny": {"code": "rate_limited", "message": "enough"},
        "publish": [{"room": "agent:7", "type": "warned", "data": {}}],
    }));
    client.expect("warned").await;
    assert_eq!(client.expect_error("rate_limited").await["message"], "enough");
    let history = client.request("history:get", json!({"room": "agent:7"})).await;
    assert_eq!(history["data"]["events"].as_array().unwrap().len(), 2, "the denied one is not there");
}

#[tokio::test]
async fn a_custom_message_is_answered_taken_or_refused() {
    let (mut backend, server) = asking(&[HookEvent::Custom]).await;
    server.handle.on_custom_message("mine", |_| async { Ok(osbackend_server::handlers::CustomReply::ok()) });
    let mut client = server.user("ada").await;
    client.join("agent:7").await;
    assert_eq!(client.request("mine", json!({})).await["type"], "mine", "a handler in Rust goes first");
    backend.is_quiet();
    send(&mut client, 1, "call:start", json!({"agent": 7})).await;
    let asked = backend.next("custom").await;
    assert_eq!((&asked.body["type"], &asked.body["payload"]), (&json!("call:start"), &json!({"agent": 7})));
    asked.answer(json!({"reply": {"data": {"line": 3}}, "publish": [{"room": "agent:7", "type": "ringing", "data": {}}]}));
    client.expect("ringing").await;
    let reply = client.expect("call:start").await;
    assert_eq!((&reply["id"], &reply["data"]), (&json!(1), &json!({"line": 3})));
    send(&mut client, 2, "call:stop", json!({})).await;
    backend.next("custom").await.answer(json!({"reply": {"type": "call_stopped"}}));
    assert_eq!(client.expect("call_stopped").await["id"], 2);
    send(&mut client, 3, "call:note", json!({})).await;
    backend.next("custom").await.status(204);
    assert_eq!(client.expect("call:note").await["data"], json!({}));
    send(&mut client, 4, "call:start", json!({})).await;
    backend.next("custom").await.answer(json!({"deny": {"code": "limit_reached", "message": "no line is free"}}));
    assert_eq!(client.expect_error("limit_reached").await["message"], "no line is free");
    client.send("call:hint", json!({})).await;
    backend.next("custom").await.answer(json!({}));
    client.is_alive().await;
}

#[tokio::test]
async fn what_is_not_listed_is_not_asked() {
    let (mut backend, server) = asking(&[]).await;
    let mut client = server.with_token(&admin_token()).await;
    client.join("agent:7").await;
    client.request("publish", json!({"room": "agent:8", "type": "note", "data": {}})).await;
    client.refused("call:start", json!({}), "unknown_type").await;
    backend.is_quiet();
}

#[tokio::test]
async fn a_slow_answer_holds_up_the_same_clients_order_and_nobody_else() {
    let (mut backend, server) = asking(&[HookEvent::Join]).await;
    let (mut slow, mut other) = (server.user("ada").await, server.user("bob").await);
    let requests = json!([
        {"type": "join", "payload": {"room": "agent:7"}, "id": "first"},
        {"type": "presence:get", "payload": {"room": "agent:7"}, "id": "second"},
        {"type": "heartbeat", "id": "beat"},
    ]);
    slow.send_text(requests.to_string()).await;
    let waiting = backend.next("join").await;
    assert_eq!(slow.expect("heartbeat").await["id"], "beat", "a heartbeat waits for no backend");
    slow.is_alive().await;
    send(&mut other, 1, "join", json!({"room": "agent:7"})).await;
    backend.next("join").await.allow();
    other.expect("room_joined").await;
    other.is_alive().await;
    waiting.allow();
    assert_eq!(slow.expect("room_joined").await["id"], "first");
    let presence = slow.expect("presence").await;
    assert_eq!(presence["data"]["users"].as_array().unwrap().len(), 2, "after the join: {presence}");
}

#[tokio::test]
async fn a_flood_of_questions_is_read_only_as_fast_as_it_is_answered() {
    let (mut backend, server) = asking(&[HookEvent::Join]).await;
    let mut client = server.user("ada").await;
    for n in 0..40 {
        send(&mut client, n, "join", json!({"room": format!("agent:{n}")})).await;
    }
    let mut waiting = Vec::new();
    // One user's share of the questions about rooms.
    for _ in 0..16 {
        waiting.push(backend.next("join").await);
    }
    server.user("bob").await.is_alive().await;
    backend.is_quiet();
    waiting.into_iter().for_each(crate::support::Asked::allow);
    for _ in 16..40 {
        backend.next("join").await.allow();
    }
    for n in 0..40 {
        assert_eq!(client.expect("room_joined").await["id"], n, "in order");
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_is_asked_about_is_never_a_member() {
    let (mut backend, server) = asking(&[HookEvent::Join, HookEvent::Disconnect]).await;
    let mut client = server.user("ada").await;
    send(&mut client, 1, "join", json!({"room": "agent:7"})).await;
    let asked = backend.next("join").await;
    drop(client);
    backend.next("disconnect").await.answer(json!({}));
    asked.answer(json!({"allow": true, "publish": [{"room": "agent:7", "type": "tried", "data": {}}]}));
    let mut other = server.user("bob").await;
    send(&mut other, 1, "join", json!({"room": "agent:7"})).await;
    backend.next("join").await.allow();
    let joined = other.expect("room_joined").await;
    assert_eq!(joined["data"]["clientCount"], 1, "{joined}");
}
