//! The golden frames of `fixtures/`, which are written from docs/PROTOCOL.md and which vitest reads too.

use osbackend_protocol::{
    CloseCode, DeliveryClass, DomainEvent, ErrorCode, JsonObject, Reconnect, RequestId, RoomName, ServerFrame, ServerMessage,
    decode_client, decode_server, encode_batch, encode_client, encode_server, event, server_msg::SYSTEM_TYPES,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeSet;

/// The entries of one file; never an empty list, which would pass every test.
fn entries<T: DeserializeOwned>(text: &str) -> Vec<T> {
    let entries: Vec<T> = serde_json::from_str(text).expect("a fixture is an array of entries");
    assert!(!entries.is_empty());
    entries
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).expect("what was encoded is JSON")
}

#[derive(Deserialize)]
struct Golden {
    name: String,
    frame: Value,
    canonical: Option<Value>,
}

impl Golden {
    fn comes_back(&self) -> &Value {
        self.canonical.as_ref().unwrap_or(&self.frame)
    }
}

/// The types of the frames of a file.
fn types(golden: &[Golden]) -> BTreeSet<&str> {
    golden.iter().filter_map(|golden| golden.frame["type"].as_str()).collect()
}

#[test]
fn client_frames_decode_and_come_back() {
    let golden: Vec<Golden> = entries(include_str!("../fixtures/client_frames.json"));
    for golden in &golden {
        let decoded = decode_client(&golden.frame.to_string());
        let [Ok(frame)] = decoded.as_slice() else { panic!("{}: {decoded:?}", golden.name) };
        assert_eq!(frame.message.kind(), golden.frame["type"], "{}", golden.name);
        let encoded = encode_client(frame);
        assert_eq!(value(&encoded), *golden.comes_back(), "{}", golden.name);
        assert_eq!(decode_client(&encoded), decoded, "{}", golden.name);
    }
    let types = types(&golden);
    for kind in ["connect", "auth", "join", "leave", "publish", "metrics:get", "presence:get", "history:get", "heartbeat"] {
        assert!(types.contains(kind), "no golden frame of {kind}");
    }
}

#[test]
fn server_frames_decode_and_come_back() {
    let golden: Vec<Golden> = entries(include_str!("../fixtures/server_frames.json"));
    for golden in &golden {
        let decoded = decode_server(&golden.frame.to_string()).unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        let [frame] = decoded.as_slice() else { panic!("{}: {decoded:?}", golden.name) };
        let kind = golden.frame["type"].as_str().expect("a type");
        match frame {
            // Typed, not just carried along as one of the unknown.
            ServerFrame::System(system) => {
                let other = matches!(system.message, ServerMessage::Other { .. });
                assert_eq!(other, !SYSTEM_TYPES.contains(&kind), "{}", golden.name);
                assert_eq!(system.message.kind(), kind);
            }
            ServerFrame::Event(event) => assert_eq!(event.kind, kind),
        }
        let encoded = encode_server(frame);
        assert_eq!(value(&encoded), *golden.comes_back(), "{}", golden.name);
        assert_eq!(decode_server(&encoded).as_ref(), Ok(&decoded), "{}", golden.name);
    }
    let types = types(&golden);
    for kind in SYSTEM_TYPES.iter().chain(&event::DOMAIN_TYPES) {
        assert!(types.contains(kind), "no golden frame of {kind}");
    }
    for code in ErrorCode::ALL {
        let shown = golden.iter().any(|golden| golden.frame["data"]["code"] == code.name());
        assert!(shown, "no golden error {code}");
    }
}

#[derive(Deserialize)]
struct Bad {
    name: String,
    text: String,
    path: String,
    malformed: bool,
    id: Option<RequestId>,
    room: Option<String>,
}

#[test]
fn bad_client_frames_are_refused_by_the_path_of_the_field() {
    for bad in entries::<Bad>(include_str!("../fixtures/bad_client_frames.json")) {
        let decoded = decode_client(&bad.text);
        let [Err(error)] = decoded.as_slice() else { panic!("{}: {decoded:?}", bad.name) };
        assert_eq!(error.path, bad.path, "{}: {error}", bad.name);
        assert_eq!(error.malformed, bad.malformed, "{}: {error}", bad.name);
        assert_eq!(error.id, bad.id, "{}", bad.name);
        assert_eq!(error.room, bad.room, "{}", bad.name);
        assert!(!error.message.is_empty() && error.message.len() < 400, "{}: {error}", bad.name);
    }
}

#[derive(Deserialize)]
struct Batch {
    name: String,
    from: String,
    text: String,
    items: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Good { frame: Value },
    Bad { path: String, malformed: bool, id: Option<RequestId> },
}

#[test]
fn batches_are_taken_or_refused_item_by_item() {
    for batch in entries::<Batch>(include_str!("../fixtures/batches.json")) {
        if batch.from == "server" {
            let frames = decode_server(&batch.text).unwrap_or_else(|error| panic!("{}: {error}", batch.name));
            let again: Vec<String> = frames.iter().map(encode_server).collect();
            let expected: Vec<&Value> = batch.items.iter().map(|item| item.frame(&batch.name)).collect();
            assert_eq!(again.iter().map(|text| value(text)).collect::<Vec<_>>().iter().collect::<Vec<_>>(), expected);
            let mut joined = String::new();
            assert_eq!(encode_batch(&again, &mut joined), again.len());
            assert_eq!(decode_server(&joined).as_ref(), Ok(&frames), "{}", batch.name);
            continue;
        }
        let decoded = decode_client(&batch.text);
        assert_eq!(decoded.len(), batch.items.len(), "{}: {decoded:?}", batch.name);
        for (decoded, item) in decoded.iter().zip(&batch.items) {
            match (decoded, item) {
                (Ok(frame), Item::Good { frame: expected }) => {
                    assert_eq!(value(&encode_client(frame)), *expected, "{}", batch.name);
                }
                (Err(error), Item::Bad { path, malformed, id }) => {
                    assert_eq!((&error.path, error.malformed, &error.id), (path, *malformed, id), "{}", batch.name);
                }
                _ => panic!("{}: {decoded:?}", batch.name),
            }
        }
    }
}

impl Item {
    fn frame(&self, name: &str) -> &Value {
        match self {
            Self::Good { frame } => frame,
            Self::Bad { path, .. } => panic!("{name}: a server sends nothing bad ({path})"),
        }
    }
}

#[derive(Deserialize)]
struct Close {
    code: u16,
    reason: Option<String>,
    reconnect: String,
}

#[test]
fn close_codes_tell_whether_to_come_back() {
    let golden: Vec<Close> = entries(include_str!("../fixtures/close_codes.json"));
    for close in &golden {
        let policy = match CloseCode::reconnect(close.code) {
            Reconnect::Yes => "yes",
            Reconnect::WithNewToken => "with_new_token",
            Reconnect::No => "no",
        };
        assert_eq!(policy, close.reconnect, "{}", close.code);
    }
    let named: BTreeSet<(u16, &str)> = golden.iter().filter_map(|close| Some((close.code, close.reason.as_deref()?))).collect();
    let ours: BTreeSet<(u16, &str)> = CloseCode::ALL.iter().map(|code| (code.code(), code.reason())).collect();
    assert_eq!(ours, named);
}

#[derive(Deserialize)]
struct Room {
    name: String,
    valid: bool,
}

#[derive(Deserialize)]
struct UserRoom {
    sub: String,
    room: String,
}

#[test]
fn room_names() {
    for room in entries::<Room>(include_str!("../fixtures/rooms.json")) {
        let parsed = RoomName::parse(&room.name);
        assert_eq!(parsed.is_ok(), room.valid, "{:?}: {parsed:?}", room.name);
    }
    for user in entries::<UserRoom>(include_str!("../fixtures/user_rooms.json")) {
        assert_eq!(RoomName::of_user(&user.sub).map(|room| room.to_string()), Ok(user.room), "{}", user.sub);
    }
}

/// §4: a refused room in `connect` does not fail the connection, be it refused for its name.
#[test]
fn a_malformed_room_in_connect_is_refused_alone() {
    let rooms = entries::<Room>(include_str!("../fixtures/rooms.json"));
    let positions: Vec<Value> = rooms.iter().map(|room| serde_json::json!({ "room": room.name })).collect();
    let text = serde_json::json!({ "type": "connect", "payload": { "protocol": 1, "rooms": positions } }).to_string();
    let decoded = decode_client(&text);
    let [Ok(frame)] = decoded.as_slice() else { panic!("{decoded:?}") };
    let osbackend_protocol::ClientMessage::Connect(connect) = &frame.message else { panic!("{frame:?}") };
    let names = |valid| rooms.iter().filter(move |room| room.valid == valid).map(|room| room.name.as_str());
    assert!(connect.rooms.iter().map(|position| position.room.as_str()).eq(names(true)));
    assert!(connect.refused.iter().map(|refused| refused.room.as_str()).eq(names(false)));
    assert!(connect.refused.iter().all(|refused| refused.error.code == ErrorCode::BadRequest));
}

#[derive(Deserialize)]
struct Event {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    data: Value,
    #[serde(default)]
    rooms: Vec<String>,
    class: Option<String>,
    key: Option<Vec<String>>,
    path: Option<String>,
}

#[test]
fn events_have_rooms_class_and_key_or_are_refused_by_the_path() {
    let golden: Vec<Event> = entries(include_str!("../fixtures/events.json"));
    let mut keys: Vec<(&str, &[String], String)> = Vec::new();
    for golden in &golden {
        let text = golden.data.to_string();
        let typed = DomainEvent::parse(&golden.kind, &text);
        let taken = match JsonObject::parse(&text) {
            Ok(data) => event::classify(&golden.kind, &data).map_err(|error| error.path),
            Err(_) => Err("data".to_owned()),
        };
        if let Some(path) = &golden.path {
            assert_eq!(taken.as_ref().err(), Some(path), "{}", golden.name);
            if let Some(typed) = typed {
                assert_eq!(typed.err().map(|error| error.path).as_ref(), Some(path), "{}", golden.name);
            }
            continue;
        }
        let taken = taken.unwrap_or_else(|path| panic!("{}: {path}", golden.name));
        let class = match taken.class {
            DeliveryClass::Reliable => "reliable",
            DeliveryClass::Latest => "latest",
        };
        assert_eq!(Some(class), golden.class.as_deref(), "{}", golden.name);
        assert_eq!(taken.key.is_some(), golden.key.is_some(), "{}", golden.name);
        if let (Some(parts), Some(key)) = (&golden.key, taken.key.clone()) {
            keys.push((&golden.kind, parts, key));
        }
        let Some(typed) = typed else {
            assert!(golden.rooms.is_empty(), "{}: not a domain event", golden.name);
            continue;
        };
        let typed = typed.unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        assert_eq!(typed.classify(), taken, "{}", golden.name);
        let rooms = typed.rooms().unwrap_or_else(|error| panic!("{}: {error}", golden.name));
        assert!(rooms.iter().map(RoomName::as_str).eq(&golden.rooms), "{}: {rooms:?}", golden.name);
        let again = typed.data().expect("a domain event is an object");
        assert_eq!(DomainEvent::parse(&golden.kind, again.get()), Some(Ok(typed)), "{}", golden.name);
        let mut known = golden.data.clone();
        known.as_object_mut().expect("an object").remove("colour");
        assert_eq!(value(again.get()), known, "{}", golden.name);
    }
    // What the key is made of is ours to choose; that equal parts, and no others, give equal keys is the contract.
    for (kind, parts, key) in &keys {
        for (other_kind, other_parts, other_key) in &keys {
            if kind == other_kind {
                assert_eq!(parts == other_parts, key == other_key, "{kind}: {parts:?}, {other_parts:?}");
            }
        }
    }
}
