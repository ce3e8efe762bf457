//! The client's messages as text frames (§2, §3).

use crate::rooms::JoinFrame;
use osbackend_protocol::{
    RoomName,
    client_msg::{Auth, Connect, Join, OfRoom},
};
use serde::Serialize;

/// `{"type": kind, "id": id, "payload": payload}`; `payload` is JSON text already.
pub(crate) fn envelope(kind: &str, id: Option<u64>, payload: Option<&str>) -> String {
    let mut text = String::with_capacity(48 + kind.len() + payload.map_or(0, str::len));
    text.push_str("{\"type\":");
    text.push_str(&json(kind));
    if let Some(id) = id {
        text.push_str(",\"id\":");
        text.push_str(&json(&id));
    }
    if let Some(payload) = payload {
        text.push_str(",\"payload\":");
        text.push_str(payload);
    }
    text.push('}');
    text
}

pub(crate) fn connect(id: u64, connect: &Connect) -> String {
    envelope("connect", Some(id), Some(&json(connect)))
}

pub(crate) fn auth(id: u64, token: String) -> String {
    envelope("auth", Some(id), Some(&json(&Auth { token })))
}

pub(crate) fn join(id: u64, frame: JoinFrame) -> String {
    let (epoch, offset) = frame.position.unzip();
    let join = Join { room: frame.room, epoch, offset, snapshot: frame.snapshot };
    envelope("join", Some(id), Some(&json(&join)))
}

pub(crate) fn leave(id: u64, room: RoomName) -> String {
    envelope("leave", Some(id), Some(&json(&OfRoom { room })))
}

pub(crate) fn heartbeat(id: u64) -> String {
    envelope("heartbeat", Some(id), None)
}

pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> String {
    // Only strings, numbers and structs of them come here: there is nothing that JSON can't hold.
    serde_json::to_string(value).unwrap_or_default()
}
