//! Frames that are wrong (§2, §6): each gets its error or close, and the others never notice.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use futures_util::SinkExt;

use crate::support::{Bystander, RawSocket, TestServer, opcode, user_token};

const MALFORMED: [&str; 12] = [
    "",
    "nonsense",
    "{",
    "7",
    "null",
    "\"text\"",
    "[]",
    "[1]",
    "{}",
    r#"{"type":7}"#,
    r#"{"type":null,"payload":{}}"#,
    r#"{"type":"heartbeat"} trailing"#,
];

#[tokio::test]
async fn malformed_frames_get_bad_request() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let too_deep = format!(r#"{{"type":"x","payload":{}{}}}"#, r#"{"a":"#.repeat(32), "1".to_owned() + &"}".repeat(32));
    for frame in MALFORMED.into_iter().chain([too_deep.as_str()]) {
        let mut client = server.user("ada").await;
        client.send_text(frame).await;
        let error = client.expect_error("bad_request").await;
        assert!(!error["message"].as_str().unwrap().is_empty(), "{frame}");
        client.is_alive().await;
    }
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_depth_of_32_is_taken() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    // The frame is one level, the payload the others.
    let payload = format!("{}1{}", r#"{"a":"#.repeat(31), "}".repeat(31));
    client.send_text(format!(r#"{{"type":"x:y","payload":{payload}}}"#)).await;
    client.expect_error("unknown_type").await;
}

#[tokio::test]
async fn ten_malformed_frames_in_a_row_close() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("ada").await;
    for _ in 0..10 {
        client.send_text("nonsense").await;
    }
    for _ in 0..10 {
        client.expect_error("bad_request").await;
    }
    client.expect_close(4500, "protocol_error").await;
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_bad_payload_of_a_good_frame_names_its_field_and_never_closes() {
    let server = TestServer::start().await;
    let mut client = server.admin().await;
    let long = "x".repeat(129);
    for (kind, payload, field) in [
        ("join", json!({}), "room"),
        ("join", json!({"room": 7}), "room"),
        ("join", json!({"room": "agent:7", "offset": "3", "epoch": "e"}), "offset"),
        ("join", json!({"room": "agent:7", "offset": -1, "epoch": "e"}), "offset"),
        ("join", json!({"room": "agent:7", "snapshot": "yes"}), "snapshot"),
        ("leave", json!({}), "room"),
        ("auth", json!({}), "token"),
        ("auth", json!({"token": null}), "token"),
        ("publish", json!({"room": "agent:7", "data": {}}), "type"),
        ("publish", json!({"room": "agent:7", "type": "x"}), "data"),
        ("publish", json!({"room": "agent:7", "type": "x", "data": [1]}), "data"),
        ("publish", json!({"room": "agent:7", "type": "", "data": {}}), "type"),
        ("publish", json!({"room": "agent:7", "type": long, "data": {}}), "type"),
        ("publish", json!({"room": "agent:7", "type": "x", "data": {}, "idempotencyKey": ""}), "idempotencyKey"),
        ("publish", json!({"room": "agent:7", "type": "room_joined", "data": {}}), "type"),
        ("publish", json!({"room": "agent:7", "type": "clip_played", "data": {"clipId": "c"}}), "plays"),
        (
            "publish",
            json!({"room": "agent:7", "type": "voice_clone_progress", "data": {"userId": "u", "status": "queued", "progress": 101}}),
            "progress",
        ),
        ("metrics:get", json!({"limit": "ten"}), "limit"),
        ("metrics:get", json!({"startDate": "yesterday"}), "startDate"),
        ("metrics:get", json!({"startDate": "2026-02-01", "endDate": "2026-01-01"}), "endDate"),
        ("presence:get", json!({}), "room"),
        ("history:get", json!({"room": "agent:7", "since": -1}), "since"),
        ("history:get", json!({"room": "agent:7", "limit": 0}), "limit"),
        ("connect", json!({}), "protocol"),
    ] {
        let error = client.refused(kind, payload.clone(), "bad_request").await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(field), "{kind} {payload}: {message:?} does not name {field}");
    }
    client.is_alive().await;
}

#[tokio::test]
async fn a_payload_that_is_no_object_is_bad() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    for payload in ["[]", "7", "\"x\"", "true"] {
        client.send_text(format!(r#"{{"type":"join","payload":{payload},"id":1}}"#)).await;
        client.expect_error("bad_request").await;
    }
    client.is_alive().await;
}

#[tokio::test]
async fn bad_room_names_are_bad_requests() {
    let server = TestServer::start().await;
    let mut client = server.admin().await;
    let (long_id, long_name) = (format!("a:{}", "x".repeat(129)), "x".repeat(200));
    for room in [
        "",
        "agent",
        "agent:",
        ":7",
        "agent:7:8",
        "Agent:7",
        "1gent:7",
        "agent:a b",
        "agent:../x",
        "agent:\u{e4}",
        "agent:*",
        &long_id,
        &long_name,
    ] {
        client.refused("join", json!({"room": room}), "bad_request").await;
    }
    client.is_alive().await;
}

#[tokio::test]
async fn unknown_types_are_told_and_unknown_fields_ignored() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    client.refused("no:such", json!({"x": 1}), "unknown_type").await;
    client.send_text(r#"{"type":"heartbeat","payload":null,"id":1,"more":{"of":"it"}}"#).await;
    assert_eq!(client.expect("heartbeat").await["id"], 1);
    let joined = client.request("join", json!({"room": "agent:7", "colour": "blue"})).await;
    assert_eq!(joined["type"], "room_joined");
}

#[tokio::test]
async fn an_id_comes_back_as_it_was_and_only_then() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    for id in [json!(0), json!(42), json!(9_007_199_254_740_991_u64), json!("a text"), json!("")] {
        client.send_text(json!({"type": "heartbeat", "id": id}).to_string()).await;
        assert_eq!(client.expect("heartbeat").await["id"], id);
    }
    client.send_text(r#"{"type":"heartbeat"}"#).await;
    assert_eq!(client.expect("heartbeat").await.get("id"), None);
    for id in [json!({}), json!([1]), json!(true), json!("x".repeat(129))] {
        client.send_text(json!({"type": "heartbeat", "id": id}).to_string()).await;
        client.expect_error("bad_request").await;
    }
}

#[tokio::test]
async fn the_requests_of_an_array_are_handled_in_order() {
    let server = TestServer::start().await;
    let mut client = server.user("ada").await;
    let requests = r#"[{"type":"join","payload":{"room":"agent:1"},"id":1},{"type":"no:such","id":2},7,{"type":"leave","payload":{"room":"agent:1"},"id":3},{"type":"heartbeat","id":4}]"#;
    client.send_text(requests).await;
    assert_eq!(client.expect("room_joined").await["id"], 1);
    client.expect_error("unknown_type").await;
    client.expect_error("bad_request").await;
    assert_eq!(client.expect("room_left").await["id"], 3);
    assert_eq!(client.expect("heartbeat").await["id"], 4);
}

#[tokio::test]
async fn a_binary_frame_closes_with_1003() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("ada").await;
    client.socket.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    client.expect_close(1003, "binary_frame").await;
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_with_1009() {
    let server = TestServer::with(|config| config.limits.max_message_bytes = Some(2048)).await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("ada").await;
    let text = |bytes: usize| {
        let frame = json!({"type": "x:y", "payload": {"a": ""}}).to_string();
        frame.replace(r#""a":"""#, &format!(r#""a":"{}""#, "x".repeat(bytes - frame.len())))
    };
    client.send_text(text(2048)).await;
    client.expect_error("unknown_type").await;
    client.send_text(text(2049)).await;
    client.expect_close(1009, "too_big").await;

    // In fragments as well, none of them over the limit by itself: a message that ends, and one that never does.
    for (fragments, ends) in [(1, true), (5, false)] {
        let mut raw = RawSocket::open(server.ws, &format!("?token={}", user_token("ada"))).await;
        raw.send(false, opcode::TEXT, &[b'x'; 1500]).await;
        for _ in 0..fragments {
            raw.send(ends, opcode::CONTINUATION, &[b'x'; 1500]).await;
        }
        assert_eq!(raw.closed().await, (1009, "too_big".to_owned()));
    }
    bystander.goes_on().await;
}

#[tokio::test]
async fn bad_utf8_closes_with_1007() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut raw = RawSocket::open(server.ws, &format!("?token={}", user_token("ada"))).await;
    raw.send(true, opcode::TEXT, b"{\"type\":\"\xff\xfe\"}").await;
    assert_eq!(raw.closed().await, (1007, "bad_utf8".to_owned()));
    bystander.goes_on().await;
}

#[tokio::test]
async fn a_close_is_answered() {
    let server = TestServer::start().await;
    let mut raw = RawSocket::open(server.ws, &format!("?token={}", user_token("ada"))).await;
    raw.send(true, opcode::CLOSE, &1000_u16.to_be_bytes()).await;
    assert_eq!(raw.closed().await.0, 1000);
}
