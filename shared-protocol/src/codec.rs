//! Frames to text and back (§2, §7): bounded, total, and with errors that name the field.

use crate::{
    client_msg::{ClientFrame, ClientMessage, Custom, RequestId},
    limits::{
        MAX_BATCH_BYTES, MAX_DEPTH, MAX_IDEMPOTENCY_KEY_BYTES, MAX_INTEGER, MAX_REQUEST_ID_BYTES, MAX_SERVER_DEPTH,
        MAX_TYPE_BYTES,
    },
    server_msg::ServerFrame,
};
use serde::{Deserialize, Serialize, ser::SerializeMap};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A frame that is not one; the answer is `error` `bad_request` with this text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct DecodeError {
    /// The id of the request, where it could be read.
    pub id: Option<RequestId>,
    /// The field, such as `payload.room`; `frame` for the whole. Never empty.
    pub path: String,
    /// What is wrong with it, and what is expected; a few hundred bytes at most, whatever was sent.
    pub message: String,
    /// Whether it counts as a malformed frame (§2: ten within 10 s close the connection): not JSON, no object, no
    /// readable `type`, too deep. A bad `id` or `payload` beside a good `type` doesn't count.
    pub malformed: bool,
    /// The room that the payload named, if it did.
    pub room: Option<String>,
}

impl DecodeError {
    fn malformed(path: &str, message: impl Into<String>) -> Self {
        Self { id: None, path: path.to_owned(), message: message.into(), malformed: true, room: None }
    }
}

/// Decodes what a client sent: one message, or an array of them in order (§7). Each is taken or refused by itself.
pub fn decode_client(text: &str) -> Vec<Result<ClientFrame, DecodeError>> {
    let array = is_array(text);
    // The array itself is one level; it doesn't count towards the depth of a message.
    if !nests_within(text, MAX_DEPTH + usize::from(array)) {
        return vec![Err(DecodeError::malformed("frame", "nests deeper than 32 levels"))];
    }
    if array {
        return match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(items) if items.is_empty() => {
                vec![Err(DecodeError::malformed("frame", "an array must hold at least one message"))]
            }
            Ok(items) => items.into_iter().map(|item| decode_one(item.get())).collect(),
            Err(error) => vec![Err(not_json(&error))],
        };
    }
    vec![decode_one(text)]
}

/// The fields of a client's envelope; the payload is looked at once the type is known.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

fn decode_one(text: &str) -> Result<ClientFrame, DecodeError> {
    if !text.trim_start().starts_with('{') {
        // Tell "not JSON" from "JSON, but no object".
        return Err(match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => DecodeError::malformed("frame", "expected a JSON object with a `type`"),
            Err(error) => not_json(&error),
        });
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    let id = match envelope.id.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(raw) => match serde_json::from_str::<RequestId>(raw) {
            Ok(RequestId::Text(text)) if text.len() > MAX_REQUEST_ID_BYTES => Err("must not be longer than 128 bytes"),
            // A larger one would come back rounded, and so match no request.
            Ok(RequestId::Number(number)) if !number.as_f64().is_some_and(|n| n.abs() <= MAX_INTEGER as f64) => {
                Err("must be a string, or a number below 2^53")
            }
            Ok(id) => Ok(Some(id)),
            Err(_) => Err("must be a string or a number"),
        },
    };
    // The type first: whether the frame counts as malformed hangs on it alone.
    let (id, bad_id) = match id {
        Ok(id) => (id, None),
        Err(message) => (None, Some(message)),
    };
    let malformed = |path: &str, message: &str| DecodeError { id: id.clone(), ..DecodeError::malformed(path, message) };
    let kind = match envelope.kind.map(|raw| serde_json::from_str::<Cow<'_, str>>(raw.get())) {
        Some(Ok(kind)) => kind,
        Some(Err(_)) => return Err(malformed("type", "must be a string")),
        None => return Err(malformed("type", "is missing: every message has a `type`")),
    };
    let refused = |path: &str, message: &str| DecodeError { malformed: false, ..malformed(path, message) };
    if kind.is_empty() || kind.len() > MAX_TYPE_BYTES {
        return Err(refused("type", "must be 1 to 128 bytes"));
    }
    if let Some(message) = bad_id {
        return Err(refused("id", message));
    }
    let payload = match envelope.payload.map(RawValue::get) {
        None | Some("null") => "{}",
        Some(payload) if payload.starts_with('{') => payload,
        Some(_) => return Err(refused("payload", "must be an object")),
    };
    match decode_message(&kind, payload) {
        Ok(message) => Ok(ClientFrame { id, message }),
        Err((path, message)) => Err(DecodeError { id, path, message, malformed: false, room: room_of(payload) }),
    }
}

/// The room that a payload names, for the error about it; only what is short enough to be given back.
fn room_of(payload: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        room: String,
    }
    let named: Named = serde_json::from_str(payload).ok()?;
    (named.room.len() <= crate::room::MAX_ROOM_BYTES).then_some(named.room)
}

/// A `T` out of the JSON object `text`, or path and message of what is wrong; `base` is the path of the object.
pub(crate) fn typed<'a, T: Deserialize<'a>>(base: &str, text: &'a str) -> Result<T, (String, String)> {
    if !text.trim_start().starts_with('{') {
        return Err((base.to_owned(), "must be an object".to_owned()));
    }
    // Following the path costs an allocation a field: only what failed is read that way, once more.
    serde_json::from_str(text).map_err(|first| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Ok(_) => locate(base, ".", &first),
            Err(error) => locate(base, &error.path().to_string(), error.inner()),
        }
    })
}

fn decode_message(kind: &str, payload: &str) -> Result<ClientMessage, (String, String)> {
    fn typed<'a, T: Deserialize<'a>>(payload: &'a str) -> Result<T, (String, String)> {
        self::typed("payload", payload)
    }
    Ok(match kind {
        "connect" => ClientMessage::Connect(typed(payload)?),
        "auth" => ClientMessage::Auth(typed(payload)?),
        "join" => ClientMessage::Join(typed(payload)?),
        "leave" => ClientMessage::Leave(typed(payload)?),
        "publish" => {
            let publish: crate::client_msg::Publish = typed(payload)?;
            for (field, key) in [("idempotencyKey", &publish.idempotency_key), ("after", &publish.after)] {
                if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES) {
                    return Err((format!("payload.{field}"), "must be 1 to 128 bytes".into()));
                }
            }
            ClientMessage::Publish(publish)
        }
        "metrics:get" => ClientMessage::MetricsGet(typed(payload)?),
        "presence:get" => ClientMessage::PresenceGet(typed(payload)?),
        "history:get" => ClientMessage::HistoryGet(typed(payload)?),
        "heartbeat" => ClientMessage::Heartbeat,
        _ => ClientMessage::Custom(Custom { kind: kind.to_owned(), payload: typed(payload)? }),
    })
}

/// Path and message of a serde error: a field that is missing, or there twice, is named by its own path.
pub(crate) fn locate(base: &str, path: &str, error: &serde_json::Error) -> (String, String) {
    let message = plain_message(error);
    let full = if path == "." { base.to_owned() } else { clip(format!("{base}.{path}")) };
    for (begin, says) in [("missing field `", "is missing"), ("duplicate field `", "is there twice")] {
        if let Some(field) = message.strip_prefix(begin).and_then(|rest| rest.split('`').next()) {
            return (format!("{full}.{field}"), says.to_owned());
        }
    }
    (full, message)
}

/// At most 300 bytes of `text`: serde quotes the client's own strings, however long.
fn clip(mut text: String) -> String {
    const MOST: usize = 300;
    if text.len() > MOST {
        text.truncate(text.floor_char_boundary(MOST));
        text.push('…');
    }
    text
}

/// The error's text without the position, which means nothing inside a frame.
pub(crate) fn plain_message(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    clip(text)
}

/// The error of an envelope that can't be read.
fn not_json(error: &serde_json::Error) -> DecodeError {
    match error.classify() {
        // All fields of the envelope are optional and of any type: it is one that is there twice.
        serde_json::error::Category::Data => {
            let (path, message) = locate("frame", ".", error);
            DecodeError::malformed(path.strip_prefix("frame.").unwrap_or(&path), message)
        }
        _ => DecodeError::malformed("frame", format!("not JSON: {error}")),
    }
}

/// Whether the text can only be a JSON array (§7).
fn is_array(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

/// Whether a JSON text nests no deeper than `allowed` levels; looked at before anything is parsed.
pub fn nests_within(text: &str, allowed: usize) -> bool {
    // What has no more brackets than levels needs no closer look: nearly every frame.
    if text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count() <= allowed {
        return true;
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > allowed {
                        return false;
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
    }
    true
}

/// A client's message as text.
pub fn encode_client(frame: &ClientFrame) -> String {
    to_text(&ClientOut(frame))
}

struct ClientOut<'a>(&'a ClientFrame);

impl Serialize for ClientOut<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", self.0.message.kind())?;
        match &self.0.message {
            ClientMessage::Connect(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::Auth(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::Join(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::Leave(payload) | ClientMessage::PresenceGet(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::Publish(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::MetricsGet(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::HistoryGet(payload) => map.serialize_entry("payload", payload)?,
            ClientMessage::Heartbeat => {}
            ClientMessage::Custom(custom) => map.serialize_entry("payload", &custom.payload)?,
        }
        if let Some(id) = &self.0.id {
            map.serialize_entry("id", id)?;
        }
        map.end()
    }
}

/// A server's message as text.
pub fn encode_server(frame: &ServerFrame) -> String {
    to_text(frame)
}

/// Maps with string keys and no failing serializer inside can't fail to serialize.
fn to_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Decodes what a server sent: one message, or an array of them (§7).
pub fn decode_server(text: &str) -> Result<Vec<ServerFrame>, DecodeError> {
    let array = is_array(text);
    if !nests_within(text, MAX_SERVER_DEPTH + usize::from(array)) {
        return Err(DecodeError::malformed("frame", "nests too deep"));
    }
    let one = |text: &str| {
        ServerFrame::parse(text).map_err(|(path, message)| {
            let field = path.strip_prefix("frame.").unwrap_or(&path);
            DecodeError::malformed(field, message)
        })
    };
    if array {
        let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_json(&error))?;
        items.into_iter().map(|item| one(item.get())).collect()
    } else {
        one(text).map(|frame| vec![frame])
    }
}

/// Appends to `out` the longest run of `messages` (encoded ones) that fits one frame of [`MAX_BATCH_BYTES`] (§7) and
/// returns how many were taken: at least one, and a single one goes without brackets.
pub fn encode_batch<T: AsRef<str>>(messages: &[T], out: &mut String) -> usize {
    let Some(first) = messages.first() else { return 0 };
    let mut bytes = first.as_ref().len() + 2;
    let more = messages[1..].iter().take_while(|message| {
        bytes += message.as_ref().len() + 1;
        bytes <= MAX_BATCH_BYTES
    });
    let count = 1 + more.count();
    if count == 1 {
        out.push_str(first.as_ref());
        return 1;
    }
    for (index, message) in messages[..count].iter().enumerate() {
        out.push(if index == 0 { '[' } else { ',' });
        out.push_str(message.as_ref());
    }
    out.push(']');
    count
}
