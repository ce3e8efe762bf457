//! Which rooms a rule is for.

use super::{Identity, claims};
use crate::room::{RoomName, encode_id};
use std::fmt;

/// A pattern of room names: `*`, `agent:*`, `agent:eu-*`, `dashboard:overview`, `user:{sub}`, `team:{claim.team_id}`.
///
/// `{…}` stands for a value of the user's token, percent-encoded as in §5; a claim that is a list stands for any of its entries.
/// There is at most one in a pattern, and no `*` beside it: two users' values could make the same room otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Exactly this room.
    Exact,
    /// Every room that begins so; every room where it is empty.
    Begins(String),
    /// The room with a value of the token between these.
    Of { before: String, value: Value, after: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Sub,
    Claim(String),
}

/// A text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No room could match.
    #[error(
        "not a pattern of room names. Use a room such as dashboard:overview, or agent:*, agent:eu-*, user:{{sub}}, team:{{claim.team_id}}, *"
    )]
    Shape,
    /// More than one variable part.
    #[error(
        "only one of * and {{…}} may stand in a pattern, and * at its end: otherwise two users' values could make the same room"
    )]
    Several,
    /// Not a name for a value.
    #[error("{{…}} must be {{sub}} or {{claim.PATH}}; user_metadata is the user's own to edit and can't decide")]
    Value,
}

impl Pattern {
    /// The pattern of this text.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let pattern = |shape| Self { text: text.to_owned(), shape };
        if text == "*" {
            return Ok(pattern(Shape::Begins(String::new())));
        }
        let is_room = |text: &str| RoomName::parse(text).is_ok();
        if let Some((before, rest)) = text.split_once('{') {
            let (name, after) = rest.split_once('}').ok_or(PatternError::Shape)?;
            if [before, after].iter().any(|part| part.contains(['*', '{', '}'])) {
                return Err(PatternError::Several);
            }
            let value = match name.strip_prefix("claim.") {
                Some(path) if claims::is_for_rules(path) => Value::Claim(path.to_owned()),
                None if name == "sub" => Value::Sub,
                _ => return Err(PatternError::Value),
            };
            // The prefix is the policy's to choose, never a token's.
            if !before.contains(':') || !is_room(&format!("{before}x{after}")) {
                return Err(PatternError::Shape);
            }
            return Ok(pattern(Shape::Of { before: before.to_owned(), value, after: after.to_owned() }));
        }
        if let Some(begin) = text.strip_suffix('*') {
            if begin.contains('*') {
                return Err(PatternError::Several);
            }
            return if is_room(&format!("{begin}x")) {
                Ok(pattern(Shape::Begins(begin.to_owned())))
            } else {
                Err(PatternError::Shape)
            };
        }
        if text.contains('*') {
            return Err(PatternError::Several);
        }
        if is_room(text) { Ok(pattern(Shape::Exact)) } else { Err(PatternError::Shape) }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches `room` for `identity`.
    pub fn matches(&self, identity: Option<&Identity>, room: &RoomName) -> bool {
        match &self.shape {
            Shape::Exact => room.as_str() == self.text,
            Shape::Begins(begin) => room.as_str().starts_with(begin.as_str()),
            Shape::Of { value, .. } => match (self.between(room), identity) {
                (Some(between), Some(who)) => value.of(who).iter().any(|value| encode_id(value) == between),
                _ => false,
            },
        }
    }

    /// Whether it matches `room` for someone.
    pub fn could_match(&self, room: &RoomName) -> bool {
        match &self.shape {
            Shape::Of { .. } => self.between(room).is_some(),
            _ => self.matches(None, room),
        }
    }

    /// What stands in `room` where the pattern has `{…}`.
    fn between<'a>(&self, room: &'a RoomName) -> Option<&'a str> {
        let Shape::Of { before, after, .. } = &self.shape else { return None };
        let between = room.as_str().strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
        (!between.is_empty()).then_some(between)
    }

    /// The rooms that it matches for `identity`, in the form of [`super::wire::covers`].
    pub(super) fn rooms(&self, identity: Option<&Identity>) -> Vec<String> {
        match &self.shape {
            Shape::Exact => vec![self.text.clone()],
            Shape::Begins(_) => vec![self.text.clone()],
            Shape::Of { before, value, after } => {
                let values = identity.map(|who| value.of(who)).unwrap_or_default();
                let names = values.iter().map(|value| format!("{before}{}{after}", encode_id(value)));
                names.filter(|name| RoomName::parse(name).is_ok()).collect()
            }
        }
    }

    /// Those of its rooms whose id is the user's own, in the same form.
    pub(super) fn own_rooms(&self, identity: &Identity) -> Vec<String> {
        let own = encode_id(&identity.sub);
        match &self.shape {
            Shape::Begins(begin) if begin.is_empty() => vec![format!("*:{own}")],
            Shape::Begins(begin) => {
                let prefix = begin.split(':').next().unwrap_or_default();
                let name = format!("{prefix}:{own}");
                if name.starts_with(begin.as_str()) && RoomName::parse(&name).is_ok() { vec![name] } else { Vec::new() }
            }
            _ => {
                let mut rooms = self.rooms(Some(identity));
                rooms.retain(|room| room.split_once(':').is_some_and(|(_, id)| id == own));
                rooms
            }
        }
    }

    /// What the token says for `{…}`, for people.
    pub(super) fn says(&self, identity: Option<&Identity>) -> Option<String> {
        let Shape::Of { value, .. } = &self.shape else { return None };
        let name = match value {
            Value::Sub => "sub".to_owned(),
            Value::Claim(path) => format!("claim {path}"),
        };
        let Some(who) = identity else { return Some(format!("{name}: there is no token")) };
        let values = value.of(who);
        Some(if values.is_empty() { format!("{name}: not in the token") } else { format!("{name}: {}", values.join(", ")) })
    }
}

impl Value {
    fn of(&self, identity: &Identity) -> Vec<String> {
        match self {
            Self::Sub => vec![identity.sub.clone()],
            Self::Claim(path) => claims::values(identity, path),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_match_for_the_token_that_asks() {
        let mut ada = Identity::new("a b", None);
        ada.claims.insert("team_id".into(), json!([7, "red/blue"]));
        ada.claims.insert("app_metadata".into(), json!({"org": "acme"}));
        let matches = |pattern: &str, room: &str| {
            let room = RoomName::parse(room).expect("a room name");
            Pattern::parse(pattern).expect("a pattern").matches(Some(&ada), &room)
        };
        for (pattern, room) in [
            ("*", "any:thing"),
            ("agent:*", "agent:7"),
            ("agent:eu-*", "agent:eu-7"),
            ("dashboard:overview", "dashboard:overview"),
            ("user:{sub}", "user:a%20b"),
            ("team:{claim.team_id}", "team:7"),
            ("team:{claim.team_id}", "team:red%2Fblue"),
            ("org:{claim.app_metadata.org}-news", "org:acme-news"),
        ] {
            assert!(matches(pattern, room), "{pattern} {room}");
        }
        for (pattern, room) in [
            ("agent:*", "agents:7"),
            ("agent:eu-*", "agent:us-7"),
            ("dashboard:overview", "dashboard:overview2"),
            ("user:{sub}", "user:other"),
            ("team:{claim.team_id}", "team:70"),
            ("team:{claim.missing}", "team:7"),
            ("org:{claim.app_metadata.org}-news", "org:acme"),
        ] {
            assert!(!matches(pattern, room), "{pattern} {room}");
        }
        let team = Pattern::parse("team:{claim.team_id}").expect("a pattern");
        let room = RoomName::parse("team:7").expect("a room name");
        assert!(!team.matches(None, &room) && team.could_match(&room));
        assert_eq!(team.rooms(Some(&ada)), ["team:7", "team:red%2Fblue"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        use PatternError::{Several, Shape, Value};
        for (text, error) in [
            ("", Shape),
            ("agent", Shape),
            ("Agent:7", Shape),
            ("a:b:c", Shape),
            ("ag*", Shape),
            ("a:*b", Several),
            ("*:7", Several),
            ("a:*-*", Several),
            ("a:{sub}*", Several),
            ("a:{sub}-{claim.x}", Several),
            ("{sub}:a", Shape),
            ("a:{sub", Shape),
            ("a:{role}", Value),
            ("a:{claim.}", Value),
            ("a:{claim.user_metadata.team}", Value),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }
}
