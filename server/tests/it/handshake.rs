//! The mode in which the client speaks first (§1): `connect`, its answers, and taking up a session again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{TestServer, user_token};

#[tokio::test]
async fn connect_joins_rooms_and_a_refused_one_does_not_fail_it() {
    let server = TestServer::start().await;
    let rooms = json!([
        {"room": "dashboard:overview"}, {"room": "user:bob"}, {"room": "no-colon"}, {"room": "secret:room"}, {"room": "agent:7"}
    ]);
    let mut client = server.connecting().connect(json!({"token": user_token("ada"), "rooms": rooms})).await;
    let greeting = client.expect("connection_established").await;
    let rooms = greeting["data"]["rooms"].as_array().unwrap();
    let result = |name: &str| rooms.iter().find(|room| room["room"] == name).unwrap_or_else(|| panic!("{name}: {greeting}"));
    for joined in ["dashboard:overview", "agent:7", "user:ada"] {
        let room = result(joined);
        assert_eq!((&room["offset"], &room["recovered"], &room["clientCount"]), (&json!(0), &json!(false), &json!(1)), "{room}");
        assert!(room["epoch"].is_string());
    }
    assert_eq!(result("user:bob")["error"]["code"], "forbidden");
    assert_eq!(result("secret:room")["error"]["code"], "forbidden");
    assert_eq!(result("no-colon")["error"]["code"], "bad_request");
    server.handle.broadcast_to_room("agent:7", "hi", &json!({})).await.unwrap();
    client.expect("hi").await;
}

#[tokio::test]
async fn the_answer_has_the_id_of_the_request() {
    let server = TestServer::start().await;
    let mut client = server.connecting().query(&user_token("ada")).v1().open().await;
    client.send_text(r#"{"type":"connect","payload":{"protocol":1},"id":"first"}"#).await;
    assert_eq!(client.expect("connection_established").await["id"], "first");
    client.send_text(r#"{"type":"connect","payload":{"protocol":1},"id":2}"#).await;
    let again = client.next().await;
    assert_eq!((&again["id"], &again["data"]["code"]), (&json!(2), &json!("bad_request")), "{again}");
    client.is_alive().await;
}

#[tokio::test]
async fn connect_works_on_a_plain_connection_too() {
    let server = TestServer::start().await;
    let mut client = server.connecting().open().await;
    client.expect("connection_established").await;
    let payload = json!({"protocol": 1, "token": user_token("ada"), "rooms": [{"room": "agent:7"}]});
    let greeting = client.request("connect", payload).await;
    assert_eq!((&greeting["type"], &greeting["data"]["userId"]), (&json!("connection_established"), &json!("ada")), "{greeting}");
    server.handle.broadcast_to_room("agent:7", "hi", &json!({})).await.unwrap();
    client.expect("hi").await;
}

#[tokio::test]
async fn another_version_must_upgrade() {
    let server = TestServer::start().await;
    let mut client = server.connecting().connect(json!({"protocol": 2, "token": user_token("ada")})).await;
    client.expect("error").await;
    client.expect_close(4503, "upgrade_required").await;
}

#[tokio::test]
async fn another_first_message_is_a_protocol_error() {
    let server = TestServer::start().await;
    for first in
        [r#"{"type":"heartbeat"}"#, r#"{"type":"join","payload":{"room":"agent:7"}}"#, "nonsense", r#"{"type":"connect"}"#]
    {
        let mut client = server.connecting().query(&user_token("ada")).v1().open().await;
        client.send_text(first).await;
        client.expect_error("bad_request").await;
        client.expect_close(4500, "protocol_error").await;
    }
}

#[tokio::test]
async fn who_never_speaks_is_closed() {
    let server = TestServer::with(|config| config.limits.handshake_timeout = Some(Duration::from_millis(50))).await;
    let mut client = server.connecting().query(&user_token("ada")).v1().open().await;
    // A code after which it may try again: perhaps only the network was slow.
    client.expect_close(4004, "no_heartbeat").await;
}

#[tokio::test]
async fn a_session_is_taken_up_with_its_resume_token() {
    let server = TestServer::start().await;
    let token = user_token("ada");
    let mut first = server.connecting().connect(json!({"token": token})).await;
    let greeting = first.expect("connection_established").await["data"].clone();
    assert_eq!(greeting.get("downtimeMs"), None);
    first.socket.close(None).await.unwrap();

    let resume = |token: &Value| json!({"clientId": greeting["clientId"], "token": token});
    let good = resume(&greeting["resume"]["token"]);
    let mut second = server.connecting().connect(json!({"token": token, "resume": good})).await;
    let again = second.expect("reconnected").await["data"].clone();
    assert_eq!(again["clientId"], greeting["clientId"]);
    assert!(again["downtimeMs"].is_u64(), "{again}");

    // What is not this user's own resume token makes a new client, and is no error.
    for (who, resume) in [("ada", resume(&json!("nonsense"))), ("bob", good.clone())] {
        let mut other = server.connecting().connect(json!({"token": user_token(who), "resume": resume})).await;
        let fresh = other.expect("connection_established").await["data"].clone();
        assert_ne!(fresh["clientId"], greeting["clientId"]);
    }
}

#[tokio::test]
async fn who_takes_up_a_session_that_still_lives_was_not_away() {
    let server = TestServer::start().await;
    let token = user_token("ada");
    let mut first = server.connecting().connect(json!({"token": token})).await;
    let greeting = first.expect("connection_established").await["data"].clone();
    let resume = json!({"clientId": greeting["clientId"], "token": greeting["resume"]["token"]});
    let mut second = server.connecting().connect(json!({"token": token, "resume": resume})).await;
    let again = second.expect("reconnected").await["data"].clone();
    assert_eq!((&again["clientId"], &again["downtimeMs"]), (&greeting["clientId"], &json!(0)));
    first.expect_close(4004, "no_heartbeat").await;
    second.is_alive().await;
}

#[tokio::test]
async fn a_room_that_connect_lists_twice_is_joined_once() {
    let server = TestServer::start().await;
    for n in 1..=3 {
        server.handle.broadcast_to_room("agent:7", "note", &json!({"n": n})).await.unwrap();
    }
    let mut client = server.connecting().connect(json!({"token": user_token("ada")})).await;
    client.expect("connection_established").await;
    let epoch = client.join("agent:7").await["epoch"].clone();
    let at = |offset: u64| json!({"room": "agent:7", "epoch": epoch, "offset": offset});
    let rooms = json!([at(1), at(0)]);
    let mut client = server.connecting().connect(json!({"token": user_token("ada"), "rooms": rooms})).await;
    let greeting = client.expect("connection_established").await;
    let rooms = &greeting["data"]["rooms"];
    assert_eq!((&rooms[0]["replayed"], &rooms[1]["error"]["code"]), (&json!(2), &json!("bad_request")), "{rooms}");
    assert_eq!(client.expect("note").await["offset"], 2);
    assert_eq!(client.expect("note").await["offset"], 3);
    client.is_alive().await;
}

#[tokio::test]
async fn a_subprotocol_of_others_is_the_plain_mode() {
    let server = TestServer::start().await;
    let mut client =
        server.connecting().query(&user_token("ada")).header("sec-websocket-protocol", "chat, osbackend.v1").open().await;
    assert_eq!(client.protocol.as_deref(), Some("osbackend.v1"), "one of several offered");
    client.send("connect", json!({"protocol": 1})).await;
    client.expect("connection_established").await;
}
