//! Attacks by messages: too deep, forged, misnamed, too many.

use serde_json::{Value, json};

use crate::support::{Bystander, TestServer, admin_token, request};

#[tokio::test]
async fn json_of_33_levels() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("eve").await;
    // The frame itself is the first level.
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let of_levels = |levels: usize| {
            let inside = levels - 2;
            format!(r#"{{"type":"x:y","payload":{{"b":{}1{}}}}}"#, open.repeat(inside), close.repeat(inside))
        };
        client.send_text(of_levels(32)).await;
        client.expect_error("unknown_type").await;
        for levels in [33, 10_000] {
            client.send_text(of_levels(levels)).await;
            client.expect_error("bad_request").await;
            client.send_text(format!("[{}]", of_levels(levels))).await;
            client.expect_error("bad_request").await;
        }
    }
    // Never closed, never parsed: only brackets.
    client.send_text("[".repeat(65_000)).await;
    client.expect_error("bad_request").await;
    client.is_alive().await;
    bystander.goes_on().await;
}

/// Every name of §4's system messages, and those of requests that would look like one.
const RESERVED: [&str; 15] = [
    "connection_established",
    "reconnected",
    "authenticated",
    "room_joined",
    "room_left",
    "presence_join",
    "presence_leave",
    "presence",
    "history",
    "metrics",
    "published",
    "heartbeat",
    "token_expiring",
    "draining",
    "error",
];

#[tokio::test]
async fn reserved_type() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut admin = server.admin().await;
    for kind in RESERVED {
        let forged = json!({"room": "agent:7", "type": kind, "data": {"code": "internal", "message": "forged"}});
        let error = admin.refused("publish", forged.clone(), "bad_request").await;
        assert!(error["message"].as_str().unwrap().contains("type"), "{error}");
        let answer = request(server.http, "POST", "/api/ws/broadcast", Some(&admin_token()), forged.to_string()).await;
        assert!(matches!(answer.status, 400 | 422), "{kind}: {} {}", answer.status, answer.body);
    }
    // Nothing of it reached the room: the next that comes is the test's own.
    bystander.goes_on().await;
}

fn tricky_rooms() -> Vec<String> {
    let mut rooms: Vec<String> = [
        // Control characters, and what ends strings elsewhere.
        "agent:\0",
        "agent:7\0",
        "agent:a\nb",
        "agent:a\r\nb",
        "agent:\u{7f}",
        "agent:\u{1b}[2J",
        "agent:a\tb",
        "agent:\u{85}",
        // Unicode that looks alike, is invisible or turns the text round.
        "agent:\u{ff17}",
        "\u{430}gent:7",
        "agent:7\u{200b}",
        "agent:\u{202e}7",
        "agent:e\u{301}",
        "agent:\u{1f600}",
        "agent\u{ff1a}7",
        // Paths, patterns, queries.
        "agent:../7",
        "agent:..\\7",
        "agent:/etc/passwd",
        "agent:7/../8",
        "agent:*",
        "agent:{sub}",
        "agent:7?x=1",
        "agent:7#x",
        "agent:a b",
        "agent:'; DROP TABLE rooms;--",
        // Separators and cases.
        "agent",
        "agent:",
        ":7",
        ":",
        "",
        "agent::7",
        "agent:7:8",
        "Agent:7",
        "AGENT:7",
        " agent:7",
        "agent:7 ",
        "7agent:7",
        "-a:7",
        "_a:7",
    ]
    .map(str::to_owned)
    .to_vec();
    // Lengths: prefix 32, id 128, one more of either, and far more.
    rooms.extend([
        format!("{}:7", "a".repeat(33)),
        format!("agent:{}", "7".repeat(129)),
        format!("{}:{}", "a".repeat(32), "7".repeat(129)),
        format!("agent:{}", "7".repeat(50_000)),
    ]);
    rooms
}

#[tokio::test]
async fn room_names_of_every_trick() {
    let server = TestServer::with(|config| {
        config.limits.message_rate = None;
        config.limits.join_rate = None;
        config.limits.byte_rate = None;
    })
    .await;
    let mut bystander = Bystander::join(&server).await;
    let mut admin = server.admin().await;
    let rooms_before = server.handle.stats().rooms.len();
    for room in tricky_rooms() {
        for kind in ["join", "leave", "presence:get", "history:get"] {
            let error = admin.refused(kind, json!({"room": room}), "bad_request").await;
            assert!(error["message"].as_str().unwrap().len() < 1000, "an answer as long as the attack: {error}");
        }
        admin.refused("publish", json!({"room": room, "type": "x", "data": {}}), "bad_request").await;
        let body = json!({"room": room, "type": "x", "data": {}}).to_string();
        let answer = request(server.http, "POST", "/api/ws/broadcast", Some(&admin_token()), body).await;
        assert!(matches!(answer.status, 400 | 422), "{room:?}: {} {}", answer.status, answer.body);
    }
    // As a path, where a decoder may undo what hid it.
    for path in ["agent%3A..%2F..%2Fx", "agent%3A7%00", "agent:%E2%80%AE7", "agent:7%2f..%2f8", "agent%253A7", "%ff%fe"] {
        let path = format!("/api/ws/rooms/{path}/presence");
        let answer = request(server.http, "GET", &path, Some(&admin_token()), "").await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {} {}", answer.status, answer.body);
    }
    assert_eq!(server.handle.stats().rooms.len(), rooms_before, "no such room came to be");
    // The longest that are names; no rule lets anyone into the first.
    admin.refused("join", json!({"room": format!("{}:7", "a".repeat(32))}), "forbidden").await;
    admin.join(&format!("agent:{}", "7".repeat(128))).await;
    bystander.goes_on().await;
}

const JOINS: usize = 10_000;
const JOINS_A_FRAME: usize = 500;

fn joins(from: usize) -> String {
    let of = |n| json!({"type": "join", "payload": {"room": format!("agent:{n}")}, "id": n});
    Value::Array((from..from + JOINS_A_FRAME).map(of).collect()).to_string()
}

#[tokio::test]
async fn ten_thousand_joins() {
    let server = TestServer::start().await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("eve").await;
    for from in (0..JOINS).step_by(JOINS_A_FRAME) {
        // It is closed on the way.
        let sent = tokio_tungstenite::tungstenite::Message::text(joins(from));
        if futures_util::SinkExt::send(&mut client.socket, sent).await.is_err() {
            break;
        }
    }
    assert_eq!(client.closed().await, (4003, "rate_limited".to_owned()));
    assert!(server.handle.stats().rooms.len() <= 103, "eve's hundred, her own, the bystander's two");
    bystander.goes_on().await;
}

/// Without the rates it is the count of rooms that holds.
#[tokio::test]
async fn ten_thousand_joins_at_leisure() {
    let server = TestServer::with(|config| {
        config.limits.message_rate = None;
        config.limits.join_rate = None;
        config.limits.byte_rate = None;
    })
    .await;
    let mut bystander = Bystander::join(&server).await;
    let mut client = server.user("eve").await;
    let (mut joined, mut refused) = (0, 0);
    for from in (0..JOINS).step_by(JOINS_A_FRAME) {
        client.send_text(joins(from)).await;
        for n in from..from + JOINS_A_FRAME {
            let answer = client.next().await;
            assert_eq!(answer["id"], n, "{answer}");
            match answer["type"].as_str().unwrap() {
                "room_joined" => joined += 1,
                "error" if answer["data"]["code"] == "limit_reached" => refused += 1,
                _ => panic!("{answer}"),
            }
        }
    }
    assert_eq!((joined, refused), (100, JOINS - 100));
    client.is_alive().await;
    bystander.goes_on().await;
}
