//! What a webhook request says: the event, the client it is about, and never a token.

use osbackend_protocol::{Identity, JsonObject, Timestamp};
use serde::Serialize;
use std::{net::IpAddr, sync::Arc};

use crate::session::Question;

/// What happened, or is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Topic {
    /// May it?
    Question(Question),
    /// A message of the application's own.
    Custom {
        /// Its type.
        kind: String,
        /// Its payload.
        payload: JsonObject,
    },
    /// The client is gone.
    Disconnect,
}

impl Topic {
    /// The event's name.
    pub fn event(&self) -> &'static str {
        match self {
            Self::Question(Question::Connect { .. }) => "connect",
            Self::Question(Question::Join { .. }) => "join",
            Self::Question(Question::Publish { .. }) => "publish",
            Self::Question(Question::Presence { .. }) => "presence",
            Self::Question(Question::History { .. }) => "history",
            Self::Custom { .. } => "custom",
            Self::Disconnect => "disconnect",
        }
    }
}

/// One request to the backend, before it is sent.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it is about.
    pub topic: Topic,
    /// The client.
    pub client_id: Arc<str>,
    /// The connection: a client that comes back has the same id and another connection.
    pub connection_id: Arc<str>,
    /// The client's user, if it has one.
    pub identity: Option<Identity>,
    /// Where it comes from. Not told to the backend: who has no user is counted by it.
    pub address: Option<IpAddr>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    event: &'static str,
    delivery_id: &'a str,
    timestamp: Timestamp,
    client_id: &'a str,
    connection_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resumed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a JsonObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a JsonObject>,
}

impl Call {
    /// The request's body.
    pub(super) fn body(&self, delivery_id: &str, now_ms: u64) -> String {
        let mut body = Body {
            event: self.topic.event(),
            delivery_id,
            timestamp: Timestamp(now_ms),
            client_id: &self.client_id,
            connection_id: &self.connection_id,
            user_id: self.identity.as_ref().map(|who| who.sub.as_str()),
            role: self.identity.as_ref().and_then(|who| who.role.as_deref()),
            resumed: None,
            room: None,
            kind: None,
            data: None,
            payload: None,
        };
        match &self.topic {
            Topic::Disconnect => {}
            Topic::Custom { kind, payload } => (body.kind, body.payload) = (Some(kind.as_str()), Some(payload)),
            Topic::Question(Question::Connect { resumed }) => body.resumed = Some(*resumed),
            Topic::Question(Question::Join { room } | Question::Presence { room } | Question::History { room }) => {
                body.room = Some(room.as_str());
            }
            Topic::Question(Question::Publish { room, kind, data }) => {
                (body.room, body.kind, body.data) = (Some(room.as_str()), Some(kind.as_str()), Some(data));
            }
        }
        serde_json::to_string(&body).unwrap_or_else(|_| unreachable!("texts, numbers and JSON objects serialize"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_and_what_and_leaves_out_what_is_not_there() {
        let room = "agent:7".parse().unwrap();
        let data = JsonObject::parse(r#"{"n": 1}"#).unwrap();
        let mut call = Call {
            topic: Topic::Question(Question::Publish { room, kind: "note".to_owned(), data }),
            client_id: "c-1".into(),
            connection_id: "s-1".into(),
            identity: Some(Identity::new("ada", Some("user"))),
            address: Some([192, 0, 2, 1].into()),
        };
        assert_eq!(
            call.body("d-1", 0),
            concat!(
                r#"{"event":"publish","deliveryId":"d-1","timestamp":"1970-01-01T00:00:00.000Z","clientId":"c-1","#,
                r#""connectionId":"s-1","userId":"ada","role":"user","room":"agent:7","type":"note","data":{"n": 1}}"#
            )
        );
        (call.topic, call.identity) = (Topic::Disconnect, None);
        assert!(call.body("d-2", 0).ends_with(r#""clientId":"c-1","connectionId":"s-1"}"#));
    }
}
