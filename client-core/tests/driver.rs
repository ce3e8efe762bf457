//! The driver with text frames as the protocol's own encoder writes them: what the server sends, the client takes.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use osbackend_client_core::{Config, ConnectionState, Failure, Input, RoomState, RoomStatus, driver::*};
use osbackend_protocol::{
    ErrorBody, ErrorCode, EventFrame, Greeting, JsonObject, Limits, RoomName, RoomResult, ServerFrame, ServerMessage, Timestamp,
    encode_batch, encode_server,
    server_msg::{self, SystemFrame},
};

#[derive(Default)]
struct Log {
    opened: usize,
    written: Vec<String>,
    events: Vec<(String, Option<u64>, bool)>,
    states: Vec<ConnectionState>,
    rooms: Vec<RoomState>,
    replies: Vec<(u64, Result<String, Failure>)>,
    system: Vec<String>,
}

impl Host for Log {
    fn open_socket(&mut self) {
        self.opened += 1;
    }
    fn close_socket(&mut self, _code: u16, _reason: &'static str) {}
    fn write(&mut self, text: String) {
        self.written.push(text);
    }
    fn need_token(&mut self) {}
    fn event(&mut self, event: &Event<'_>) {
        self.events.push((format!("{} {} {}", event.room, event.kind, event.data), event.offset, event.snapshot));
    }
    fn state(&mut self, state: &ConnectionState) {
        self.states.push(state.clone());
    }
    fn room(&mut self, room: &RoomState) {
        self.rooms.push(room.clone());
    }
    fn reply(&mut self, id: u64, outcome: Result<&str, Failure>) {
        self.replies.push((id, outcome.map(str::to_owned)));
    }
    fn system(&mut self, kind: &str, _data: &str) {
        self.system.push(kind.to_owned());
    }
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn timestamp() -> Timestamp {
    Timestamp::parse("2026-11-23T04:00:00.000Z").unwrap()
}

fn frame(id: Option<u64>, message: ServerMessage) -> String {
    encode_server(&ServerFrame::System(SystemFrame { id: id.map(Into::into), timestamp: timestamp(), message }))
}

fn event(name: &str, offset: Option<u64>, snapshot: bool) -> String {
    serde_json::to_string(&EventFrame {
        kind: "tick".to_owned(),
        data: JsonObject::parse("{\"n\":1}").unwrap(),
        room: room(name),
        offset,
        event_id: "e1".to_owned(),
        timestamp: timestamp(),
        snapshot,
        skipped: 0,
    })
    .unwrap()
}

fn joined(name: &str, offset: u64, recovered: bool) -> server_msg::RoomJoined {
    server_msg::RoomJoined {
        room: room(name),
        epoch: "e".to_owned(),
        offset,
        recovered,
        replayed: 0,
        snapshot: 0,
        client_count: 2,
    }
}

fn greeting() -> Greeting {
    Greeting {
        client_id: "c1".to_owned(),
        authenticated: true,
        user_id: Some("u".to_owned()),
        role: Some("admin".to_owned()),
        expires_at: Some(timestamp()),
        protocol: 1,
        schema: "s".to_owned(),
        heartbeat_interval_ms: 25_000,
        limits: Limits::default(),
        resume: Some(server_msg::ResumeGrant { token: "r".to_owned(), expires_at: timestamp() }),
        rooms: vec![
            RoomResult::Joined(joined("agent:7", 5, false)),
            RoomResult::Refused(server_msg::RoomRefused {
                room: "secret:1".to_owned(),
                error: server_msg::RoomError { code: ErrorCode::Forbidden, message: "no".to_owned(), retry_after_ms: None },
            }),
        ],
        policy: None,
        downtime_ms: None,
        auth_timeout_ms: None,
    }
}

fn live() -> Driver<Log> {
    let mut driver = Driver::new(Config::default(), 1, 0, Log::default());
    for name in ["agent:7", "secret:1"] {
        driver.handle(Input::Join { room: room(name), snapshot: true }, 0);
    }
    driver.handle(Input::Connect, 0);
    driver.handle(Input::Token(Ok(None)), 0);
    driver.handle(Input::SocketOpened, 0);
    driver.text(&frame(None, ServerMessage::ConnectionEstablished(greeting())), 0);
    driver
}

#[test]
fn the_greeting_is_understood() {
    let driver = live();
    assert_eq!(driver.host.opened, 1);
    assert!(matches!(driver.host.states.last(), Some(ConnectionState::Connected { authenticated: true, .. })));
    assert_eq!(driver.host.rooms.iter().map(|room| room.status).collect::<Vec<_>>(), [RoomStatus::Joined, RoomStatus::Refused]);
    assert_eq!(driver.machine.client_id(), Some("c1"));
}

#[test]
fn a_batch_is_taken_in_order() {
    let mut driver = live();
    let messages = [
        event("agent:7", Some(3), true),
        event("agent:7", Some(6), false),
        event("agent:7", Some(6), false),
        event("agent:7", None, false),
    ];
    let mut batch = String::new();
    assert_eq!(encode_batch(&messages, &mut batch), 4);
    driver.text(&batch, 1);
    let seen: Vec<_> = driver.host.events.iter().map(|(text, offset, snapshot)| (text.as_str(), *offset, *snapshot)).collect();
    let text = "agent:7 tick {\"n\":1}";
    assert_eq!(seen, [(text, Some(3), true), (text, Some(6), false), (text, None, false)]);
}

#[test]
fn answers_find_their_requests() {
    let mut driver = live();
    let good = driver.request("x", None, None, 0);
    let bad = driver.request("x", None, None, 0);
    let other = ServerMessage::Other { kind: "pong".to_owned(), data: JsonObject::parse("{\"a\":1}").unwrap() };
    driver.text(&frame(Some(good), other), 1);
    driver.text(&frame(Some(bad), ServerMessage::Error(ErrorBody::new(ErrorCode::UnknownType, "m"))), 1);
    assert_eq!(driver.host.replies[0], (good, Ok("{\"a\":1}".to_owned())));
    assert_eq!(driver.host.replies[1].1.as_ref().map_err(|failure| &*failure.code), Err("unknown_type"));
}

#[test]
fn a_gap_writes_a_join_and_the_answer_heals_it() {
    let mut driver = live();
    driver.host.written.clear();
    driver.text(&event("agent:7", Some(8), false), 1);
    assert!(driver.host.events.is_empty());
    let sent: serde_json::Value = serde_json::from_str(&driver.host.written[0]).unwrap();
    assert_eq!(sent["payload"], serde_json::json!({"room": "agent:7", "epoch": "e", "offset": 5}));
    let id = sent["id"].as_u64();
    driver.text(&frame(id, ServerMessage::RoomJoined(joined("agent:7", 8, true))), 2);
    for offset in 6..=8 {
        driver.text(&event("agent:7", Some(offset), false), 3);
    }
    assert_eq!(driver.host.events.len(), 3);
}

#[test]
fn every_system_message_is_understood_and_told() {
    let mut driver = live();
    driver.host.system.clear();
    let left = server_msg::RoomLeft { room: room("agent:7"), reason: server_msg::LeaveReason::PermissionLost };
    let user = server_msg::Authenticated {
        user_id: "u".to_owned(),
        role: None,
        expires_at: timestamp(),
        rooms: vec![],
        policy: None,
        resume: None,
    };
    let messages = [
        ServerMessage::Heartbeat(server_msg::Heartbeat { server_time: timestamp(), resume: None }),
        ServerMessage::TokenExpiring(server_msg::TokenExpiring { expires_at: timestamp() }),
        ServerMessage::Authenticated(user),
        ServerMessage::RoomLeft(left),
        ServerMessage::Error(ErrorBody::new(ErrorCode::BadRequest, "m")),
        ServerMessage::Draining(server_msg::Draining { reconnect_after_ms: 5 }),
    ];
    for message in &messages {
        driver.text(&frame(None, message.clone()), 1);
    }
    assert_eq!(driver.host.system, messages.iter().map(ServerMessage::kind).collect::<Vec<_>>());
    assert!(matches!(driver.machine.state(), ConnectionState::Connected { .. }));
    assert!(driver.next_deadline().is_some_and(|at| at <= 6));
}

#[test]
fn a_message_whose_id_is_null_answers_nobody_and_is_told() {
    let mut driver = live();
    driver.text("{\"type\":\"presence_join\",\"data\":{},\"room\":\"agent:7\",\"id\":null}", 1);
    assert_eq!(driver.host.system.last().map(String::as_str), Some("presence_join"));
}

#[test]
fn what_is_no_json_ends_the_connection() {
    for text in ["", "{", "[]]", "7", "{\"data\":{}}", "{\"type\":\"draining\",\"data\":{\"reconnectAfterMs\":-1}}"] {
        let mut driver = live();
        driver.text(text, 1);
        assert!(matches!(driver.machine.state(), ConnectionState::Reconnecting { .. }), "{text}");
    }
}
