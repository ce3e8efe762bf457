//! What a backend may answer, read strictly: an answer that doesn't say yes is no yes.

use osbackend_protocol::{
    Classified, ErrorCode, JsonObject, RoomName,
    event::{self, check_event_name},
};
use serde::Deserialize;

/// Events that one answer may publish.
const MAX_PUBLISHES: usize = 100;
/// Longest message of a denial that reaches the client, in bytes.
const MAX_MESSAGE_BYTES: usize = 512;
/// What a denial without a message says.
const DENIED: &str = "the backend does not allow this";

/// What the backend decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// It allows it.
    Allow,
    /// It says neither yes nor no: fine for a custom message, no consent to anything else.
    Nothing,
    /// It denies it, with the error for the client.
    Deny {
        /// The error's code.
        code: ErrorCode,
        /// The error's message.
        message: String,
    },
    /// It answers a custom message.
    Reply {
        /// The answer's type; the request's own when `None`.
        kind: Option<String>,
        /// The answer's data.
        data: JsonObject,
    },
}

/// An event that the answer publishes.
#[derive(Clone, Debug)]
pub(super) struct ToPublish {
    pub(super) room: RoomName,
    pub(super) kind: String,
    pub(super) data: JsonObject,
    pub(super) classified: Classified,
}

/// An answer, checked.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) publish: Vec<ToPublish>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Raw {
    allow: Option<bool>,
    deny: Option<Deny>,
    reply: Option<Reply>,
    publish: Vec<Event>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Deny {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    data: JsonObject,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    room: Option<String>,
    user_id: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: JsonObject,
}

/// Reads an answer; the error names the field, and repeats nothing of what the backend sent.
pub(super) fn read(body: &[u8]) -> Result<Answer, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Answer { decision: Decision::Nothing, publish: Vec::new() });
    }
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8".to_owned())?;
    let object = JsonObject::parse(text).map_err(|_| "it is no JSON object".to_owned())?;
    let mut json = serde_json::Deserializer::from_str(object.get());
    let raw: Raw = serde_path_to_error::deserialize(&mut json).map_err(|error| format!("`{}` is malformed", error.path()))?;
    if raw.publish.len() > MAX_PUBLISHES {
        return Err(format!("`publish` has more than {MAX_PUBLISHES} events"));
    }
    let publish = raw.publish.into_iter().enumerate().map(|(index, event)| checked(index, event)).collect::<Result<_, _>>()?;
    let decision = match (raw.deny, raw.allow, raw.reply) {
        (Some(deny), _, _) => denial(deny),
        (None, Some(false), _) => denial(Deny::default()),
        (None, _, Some(Reply { kind, data })) => {
            if let Some(kind) = &kind {
                check_event_name(kind).map_err(|error| format!("`reply.type`: {}", error.message))?;
            }
            Decision::Reply { kind, data }
        }
        (None, Some(true), None) => Decision::Allow,
        (None, None, None) => Decision::Nothing,
    };
    Ok(Answer { decision, publish })
}

fn denial(deny: Deny) -> Decision {
    let code = deny.code.and_then(|name| ErrorCode::ALL.into_iter().find(|code| code.name() == name));
    let mut message = deny.message.filter(|message| !message.is_empty()).unwrap_or_else(|| DENIED.to_owned());
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    Decision::Deny { code: code.unwrap_or(ErrorCode::Forbidden), message }
}

fn checked(index: usize, event: Event) -> Result<ToPublish, String> {
    let field = |name: &str, error: &dyn std::fmt::Display| format!("`publish[{index}].{name}`: {error}");
    let room = match (&event.room, &event.user_id) {
        (Some(room), None) => RoomName::parse(room).map_err(|error| field("room", &error))?,
        (None, Some(user)) => RoomName::of_user(user).map_err(|error| field("userId", &error))?,
        _ => return Err(format!("`publish[{index}]`: give either `room` or `userId`")),
    };
    let classified = event::classify(&event.kind, &event.data).map_err(|error| field(&error.path, &error.message))?;
    Ok(ToPublish { room, kind: event.kind, data: event.data, classified })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(text: &str) -> Decision {
        read(text.as_bytes()).unwrap().decision
    }

    fn denied(code: ErrorCode, message: &str) -> Decision {
        Decision::Deny { code, message: message.to_owned() }
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        assert_eq!(decision(r#"{"allow":true,"later":1}"#), Decision::Allow);
        for nothing in ["", " \n", "{}", r#"{"allow":null}"#, r#"{"publish":[]}"#] {
            assert_eq!(decision(nothing), Decision::Nothing, "{nothing:?}");
        }
        assert_eq!(decision(r#"{"allow":false}"#), denied(ErrorCode::Forbidden, DENIED));
        assert_eq!(decision(r#"{"allow":true,"deny":{}}"#), denied(ErrorCode::Forbidden, DENIED), "a no wins");
        let full = r#"{"deny":{"code":"limit_reached","message":"two seats only"}}"#;
        assert_eq!(decision(full), denied(ErrorCode::LimitReached, "two seats only"));
        assert_eq!(decision(r#"{"deny":{"code":"mine"}}"#), denied(ErrorCode::Forbidden, DENIED));
        for bad in ["ok", "true", "[true]", r#"{"allow":"yes"}"#, r#"{"deny":true}"#, r#"{"reply":{"data":1}}"#, "\u{1}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(read(b"\xff").is_err());
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let Decision::Deny { message, .. } = decision(&format!(r#"{{"deny":{{"message":"a{}"}}}}"#, "ä".repeat(600))) else {
            panic!("not denied");
        };
        assert_eq!(message.len(), 511);
    }

    #[test]
    fn one_bad_event_spoils_the_answer_and_is_named() {
        let error = |event: &str| read(format!(r#"{{"allow":true,"publish":[{event}]}}"#).as_bytes()).unwrap_err();
        assert!(error(r#"{"room":"nowhere","type":"note","data":{}}"#).contains("publish[0].room"));
        assert!(error(r#"{"type":"note","data":{}}"#).contains("`room` or `userId`"));
        assert!(error(r#"{"room":"a:1","userId":"u","type":"note"}"#).contains("`room` or `userId`"));
        assert!(error(r#"{"room":"a:1","type":"room_joined","data":{}}"#).contains("publish[0].type"));
        assert!(error(r#"{"room":"a:1","type":"note","data":[1]}"#).contains("publish[0]"));
        let many = vec![r#"{"room":"a:1","type":"note"}"#; 101].join(",");
        assert!(error(&many).contains("more than 100"));
    }
}
