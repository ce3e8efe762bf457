//! Properties of the codec: what is encoded comes back as it was; what anyone may send is taken or refused by the
//! name of a field, never with a panic.

mod strategies;

use osbackend_protocol::{
    ClientMessage, DecodeError, EventFrame, JsonObject, RoomName, ServerFrame, ServerMessage, Timestamp, decode_client,
    decode_server, encode_batch, encode_client, encode_server,
    event::{self, DOMAIN_TYPES, DomainEvent},
    limits::{MAX_BATCH_BYTES, MAX_DEPTH},
    server_msg::{History, SystemFrame},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;
use strategies::{REQUESTS, client_frame, integer, json, object, room, server_frame};

/// What §2 promises of a refusal.
fn names_a_field(error: &DecodeError) -> Result<(), TestCaseError> {
    let first = error.path.split(['.', '[']).next().unwrap_or_default();
    prop_assert!(["frame", "type", "id", "payload"].contains(&first), "{error}");
    prop_assert!(!error.message.is_empty() && error.message.len() < 400, "{error}");
    prop_assert!(error.path.len() < 400, "{error}");
    prop_assert!(!error.malformed || ["frame", "type", "payload", "id"].contains(&error.path.as_str()), "{error}");
    Ok(())
}

/// Takes or refuses `text` at both ends, and at the places behind; what is taken comes back.
fn is_safe(text: &str) -> Result<(), TestCaseError> {
    let decoded = decode_client(text);
    prop_assert!(!decoded.is_empty());
    for decoded in decoded {
        match decoded {
            Ok(mut frame) => {
                if let ClientMessage::Connect(connect) = &mut frame.message {
                    connect.refused.clear();
                }
                prop_assert_eq!(decode_client(&encode_client(&frame)), vec![Ok(frame)]);
            }
            Err(error) => names_a_field(&error)?,
        }
    }
    match decode_server(text) {
        Ok(frames) => {
            for frame in frames {
                prop_assert_eq!(decode_server(&encode_server(&frame)), Ok(vec![frame]));
            }
        }
        Err(error) => prop_assert!(!error.path.is_empty() && error.message.len() < 400, "{}", error),
    }
    for kind in DOMAIN_TYPES {
        if let Some(Err(error)) = DomainEvent::parse(kind, text) {
            prop_assert!(error.path.starts_with("data") && error.message.len() < 400, "{error}");
        }
    }
    if let Ok(data) = JsonObject::parse(text) {
        let may_be_deep = text.matches(['{', '[']).count() >= MAX_DEPTH;
        prop_assert!(event::classify("anything", &data).is_ok() || may_be_deep);
    }
    Ok(())
}

/// A frame with one byte changed, taken out or put in, or cut off; still UTF-8.
fn mutate(text: &str, at: usize, how: u8, with: char) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let at = at % chars.len().max(1);
    match how % 4 {
        0 => chars[at] = with,
        1 => drop(chars.remove(at)),
        2 => chars.insert(at, with),
        _ => chars.truncate(at),
    }
    chars.into_iter().collect()
}

/// `value` with the field or item number `at`, counted through all levels, replaced by `with`.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    let inner: Vec<&mut Value> = match value {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => return,
    };
    for inner in inner {
        if *at == 0 {
            *inner = with.clone();
            *at = usize::MAX;
            return;
        }
        *at -= 1;
        replace(inner, at, with);
    }
}

#[test]
fn a_batch_may_fill_its_bound_to_the_byte() {
    for (over, taken) in [(0, 2), (1, 1)] {
        // Two brackets and one comma.
        let messages = ["x".repeat(1000), "y".repeat(MAX_BATCH_BYTES - 1003 + over)];
        let mut batch = String::new();
        assert_eq!(encode_batch(&messages, &mut batch), taken);
        assert!(batch.len() <= MAX_BATCH_BYTES);
    }
}

proptest! {
    #[test]
    fn a_client_frame_comes_back(frame in client_frame()) {
        prop_assert_eq!(decode_client(&encode_client(&frame)), vec![Ok(frame)]);
    }

    #[test]
    fn a_server_frame_comes_back(frame in server_frame()) {
        prop_assert_eq!(decode_server(&encode_server(&frame)), Ok(vec![frame]));
    }

    #[test]
    fn an_array_of_client_frames_comes_back(frames in vec(client_frame(), 1..6)) {
        let texts: Vec<_> = frames.iter().map(encode_client).collect();
        let decoded: Result<Vec<_>, _> = decode_client(&format!("[{}]", texts.join(","))).into_iter().collect();
        prop_assert_eq!(decoded, Ok(frames));
    }

    #[test]
    fn batches_hold_everything_in_order_and_keep_their_bound(
        frames in vec(server_frame(), 1..12), padding in vec(0..40_000_usize, 1..12),
    ) {
        // Padding is white space behind a message: it counts, and changes nothing.
        let texts: Vec<_> = frames
            .iter()
            .zip(padding.iter().cycle())
            .map(|(frame, padding)| encode_server(frame) + &" ".repeat(*padding))
            .collect();
        let (mut decoded, mut rest) = (Vec::new(), texts.as_slice());
        while !rest.is_empty() {
            let mut batch = String::new();
            let taken = encode_batch(rest, &mut batch);
            prop_assert!(taken >= 1);
            prop_assert!(batch.len() <= MAX_BATCH_BYTES || taken == 1);
            if let Some(next) = rest.get(taken) {
                let brackets = if taken == 1 { 2 } else { 0 };
                prop_assert!(batch.len() + brackets + 1 + next.len() > MAX_BATCH_BYTES, "one more would have fitted");
            }
            decoded.extend(decode_server(&batch).map_err(|error| TestCaseError::fail(error.to_string()))?);
            rest = &rest[taken..];
        }
        prop_assert_eq!(decoded, frames);
    }

    #[test]
    fn arbitrary_bytes_are_safe(bytes in vec(any::<u8>(), 0..200)) {
        is_safe(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn arbitrary_text_is_safe(text in "\\PC{0,80}|[\\[\\]{}\":,0-9a-z\\\\ ]{0,80}") {
        is_safe(&text)?;
    }

    #[test]
    fn arbitrary_json_is_safe(value in json(6)) {
        is_safe(&value.to_string())?;
    }

    #[test]
    fn arbitrary_payloads_are_safe(kind in select(REQUESTS.to_vec()), payload in json(3), id in json(1)) {
        is_safe(&serde_json::json!({ "type": kind, "payload": payload, "id": id }).to_string())?;
    }

    #[test]
    fn mutated_frames_are_safe(
        client in client_frame(), server in server_frame(), at in any::<usize>(), how in any::<u8>(),
        with in prop_oneof![any::<char>(), select("{}[]\",:0-.e\\ tfn\u{feff}".chars().collect::<Vec<_>>())],
    ) {
        is_safe(&mutate(&encode_client(&client), at, how, with))?;
        is_safe(&mutate(&encode_server(&server), at, how, with))?;
    }

    #[test]
    fn frames_with_a_field_of_another_kind_are_safe(
        client in client_frame(), server in server_frame(), at in 0..12_usize, with in json(2),
    ) {
        for text in [encode_client(&client), encode_server(&server)] {
            let mut value: Value = serde_json::from_str(&text).expect("JSON");
            replace(&mut value, &mut { at }, &with);
            is_safe(&value.to_string())?;
        }
    }

    /// Depth is refused before anything is parsed: no text, however deep, reaches a recursive parser.
    #[test]
    fn nesting_is_bounded(depth in 1..100_usize, brackets in select(vec![("[", "]"), ("{\"[{\\\"\":", "}")])) {
        let inner = brackets.0.repeat(depth) + "0" + &brackets.1.repeat(depth);
        let decoded = decode_client(&format!("{{\"type\":\"x\",\"payload\":{{\"in\":{inner}}}}}"));
        prop_assert_eq!(decoded.len(), 1);
        match &decoded[0] {
            Ok(_) => prop_assert!(depth + 2 <= MAX_DEPTH),
            Err(error) => {
                prop_assert!(depth + 2 > MAX_DEPTH, "{}", error);
                prop_assert_eq!((error.path.as_str(), error.malformed), ("frame", true));
            }
        }
        // The same bound for an event at its source: its frame is one level more.
        let data = JsonObject::parse(&format!("{{\"in\":{inner}}}")).expect("an object");
        prop_assert_eq!(event::classify("note", &data).is_ok(), depth + 2 <= MAX_DEPTH);
    }

    /// Every event that may be published can be sent, read by every client, and read again out of the history.
    #[test]
    fn what_classify_takes_can_be_sent(kind in "\\PC{1,20}", data in object(), room in room()) {
        if event::classify(&kind, &data).is_err() {
            return Ok(());
        }
        let (epoch, event_id, timestamp) = ("e".to_owned(), "ev".to_owned(), Timestamp(0));
        let event = EventFrame {
            kind, data, room: room.clone(), offset: Some(1), event_id, timestamp, snapshot: false, skipped: 0,
        };
        let history = ServerFrame::System(SystemFrame {
            message: ServerMessage::History(History { room, epoch, offset: 1, events: vec![event.clone()], more: false }),
            id: None,
            timestamp,
        });
        for frame in [ServerFrame::Event(event), history] {
            prop_assert_eq!(decode_server(&encode_server(&frame)), Ok(vec![frame]));
        }
    }

    #[test]
    fn a_domain_event_has_rooms_and_comes_back(
        kind in select(DOMAIN_TYPES.to_vec()), name in "\\PC{1,10}", job in option::of("\\PC{1,10}"),
        progress in prop_oneof![0.0..=100.0_f64, (0..=100_u8).prop_map(f64::from)], plays in integer(),
    ) {
        let data = serde_json::json!({
            "metric": name, "values": { "a": progress }, "agentId": name, "status": "queued", "userId": name,
            "jobId": job, "progress": progress, "milestone": name, "clipId": name, "plays": plays,
        });
        let event = DomainEvent::parse(kind, &data.to_string()).expect("a domain event");
        let event = event.map_err(|error| TestCaseError::fail(error.to_string()))?;
        let rooms = event.rooms().map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert!(!rooms.is_empty());
        let own = ["agent_status_change", "voice_clone_progress", "training_milestone"].contains(&kind);
        prop_assert_eq!(rooms.len(), if own { 2 } else { 1 });
        let data = event.data().expect("an object");
        prop_assert_eq!(event::classify(kind, &data).map(|taken| taken.key), Ok(event.classify().key));
        prop_assert_eq!(DomainEvent::parse(kind, data.get()), Some(Ok(event)));
    }

    #[test]
    fn a_users_room_tells_users_apart(one in "\\PC{1,12}|[%a-c0-9]{1,6}", other in "\\PC{1,12}|[%a-c0-9]{1,6}") {
        let (one_room, other_room) = (RoomName::of_user(&one), RoomName::of_user(&other));
        prop_assert!(one_room.is_ok() && other_room.is_ok());
        prop_assert_eq!(one == other, one_room == other_room);
    }

    /// Checked against §5 by another road than the code's: a list of characters.
    #[test]
    fn room_names_are_those_of_the_grammar(name in "[a-zA-Z0-9:_. @|+=~%é/-]{0,12}|[a-c]{30,34}:[x:]{125,130}") {
        const PREFIX: &str = "abcdefghijklmnopqrstuvwxyz0123456789_-";
        const ID: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@|+=~%";
        let parts: Vec<&str> = name.split(':').collect();
        let good = match parts.as_slice() {
            [prefix, id] => {
                prefix.starts_with(|first: char| first.is_ascii_lowercase())
                    && (1..=32).contains(&prefix.len())
                    && prefix.chars().all(|c| PREFIX.contains(c))
                    && (1..=128).contains(&id.len())
                    && id.chars().all(|c| ID.contains(c))
                    && name.len() <= 160
            }
            _ => false,
        };
        prop_assert_eq!(RoomName::parse(&name).is_ok(), good);
    }
}
