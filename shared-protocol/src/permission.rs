//! Who may do what in which room: one pure function, used by the server to decide and by the SDK's `can()` to ask.

use crate::room::RoomName;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An authenticated user, as its verified token tells. Authority comes from `role` only, never from metadata that
/// the user can edit.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The token's `sub`.
    pub sub: String,
    /// The token's `role`, or `app_metadata.role`.
    pub role: Option<String>,
    /// The token's claims beyond these and its times (`exp`, `nbf`, `iat`).
    pub claims: Map<String, Value>,
}

impl Identity {
    /// An identity without further claims.
    pub fn new(sub: impl Into<String>, role: Option<&str>) -> Self {
        Self { sub: sub.into(), role: role.map(str::to_owned), claims: Map::new() }
    }

    /// Whether the role is `admin` or `service_role`.
    pub fn is_admin(&self) -> bool {
        matches!(self.role.as_deref(), Some("admin" | "service_role"))
    }
}

/// What someone wants to do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub enum Action {
    /// Become a member and receive its events.
    Join,
    /// Publish an event into it.
    Publish,
    /// See who is in it.
    Presence,
    /// Read its history.
    History,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Join, Self::Publish, Self::Presence, Self::History];
}

/// Who is let through by a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anyone, with a token or without.
    Public,
    /// Anyone with a valid token.
    Authenticated,
    /// The user whose `sub`, percent-encoded as in §5, is the room's id; and admins.
    Owner,
    /// `admin` and `service_role`.
    Admin,
    /// Nobody.
    Nobody,
}

/// Which rooms a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly this room.
    Exact(&'static str),
    /// Every room with this prefix.
    Prefix(&'static str),
}

impl Pattern {
    fn matches(&self, room: &RoomName) -> bool {
        match self {
            Self::Exact(name) => room.as_str() == *name,
            Self::Prefix(prefix) => room.prefix() == *prefix,
        }
    }
}

/// The rule for the rooms that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which rooms.
    pub pattern: Pattern,
    /// Who may join; the same may see presence and history.
    pub join: Access,
    /// Who may publish from a client.
    pub publish: Access,
}

/// An ordered list of rules: the first whose pattern matches decides; a room that none matches is refused to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

impl Default for Policy {
    /// The dashboard's rooms: any authenticated user may join, admins may publish; `user:{id}` is that user's and the admins'.
    fn default() -> Self {
        let rule = |pattern, join| Rule { pattern, join, publish: Access::Admin };
        Self {
            rules: vec![
                rule(Pattern::Exact("dashboard:overview"), Access::Authenticated),
                rule(Pattern::Prefix("agent"), Access::Authenticated),
                rule(Pattern::Exact("voice:training"), Access::Authenticated),
                rule(Pattern::Exact("clips:analytics"), Access::Authenticated),
                rule(Pattern::Exact("admin:broadcast"), Access::Authenticated),
                rule(Pattern::Prefix("user"), Access::Owner),
            ],
        }
    }
}

/// Why something is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No rule of the policy names this room.
    #[error("no rule allows this room")]
    UnknownRoom,
    /// It needs a token.
    #[error("authentication is needed")]
    NotAuthenticated,
    /// It is another user's room.
    #[error("this room is for its user only")]
    NotOwner,
    /// It needs the role `admin` or `service_role`.
    #[error("the role admin or service_role is needed")]
    NotAdmin,
    /// The rule lets nobody.
    #[error("nobody is allowed this")]
    Nobody,
}

/// Whether `identity` (`None`: anonymous) may do `action` in `room` under `policy`.
pub fn allowed(policy: &Policy, identity: Option<&Identity>, room: &RoomName, action: Action) -> Result<(), Denied> {
    let rule = policy.rules.iter().find(|rule| rule.pattern.matches(room)).ok_or(Denied::UnknownRoom)?;
    let access = match action {
        Action::Join | Action::Presence | Action::History => rule.join,
        Action::Publish => rule.publish,
    };
    let who = || identity.ok_or(Denied::NotAuthenticated);
    match access {
        Access::Public => Ok(()),
        Access::Authenticated => who().map(|_| ()),
        Access::Owner => {
            let who = who()?;
            let owns = RoomName::with_id(room.prefix(), &who.sub).is_ok_and(|own| own == *room);
            if owns || who.is_admin() { Ok(()) } else { Err(Denied::NotOwner) }
        }
        Access::Admin => {
            if who()?.is_admin() {
                Ok(())
            } else {
                Err(Denied::NotAdmin)
            }
        }
        Access::Nobody => Err(Denied::Nobody),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).expect("a room name")
    }

    #[test]
    fn default_policy() {
        let policy = Policy::default();
        let user = Identity::new("u 1", Some("user"));
        let admin = Identity::new("root", Some("admin"));
        let service = Identity::new("svc", Some("service_role"));
        let ask = |who: Option<&Identity>, name: &str, action| allowed(&policy, who, &room(name), action);
        for name in ["dashboard:overview", "agent:7", "voice:training", "clips:analytics", "admin:broadcast"] {
            assert_eq!(ask(Some(&user), name, Action::Join), Ok(()));
            assert_eq!(ask(Some(&user), name, Action::History), Ok(()));
            assert_eq!(ask(None, name, Action::Join), Err(Denied::NotAuthenticated));
            assert_eq!(ask(Some(&user), name, Action::Publish), Err(Denied::NotAdmin));
            assert_eq!(ask(Some(&admin), name, Action::Publish), Ok(()));
            assert_eq!(ask(Some(&service), name, Action::Publish), Ok(()));
        }
        assert_eq!(ask(Some(&user), "user:u%201", Action::Join), Ok(()));
        assert_eq!(ask(Some(&user), "user:root", Action::Join), Err(Denied::NotOwner));
        assert_eq!(ask(Some(&admin), "user:u%201", Action::Join), Ok(()));
        assert_eq!(ask(Some(&user), "user:u%201", Action::Publish), Err(Denied::NotAdmin));
        for name in ["dashboard:other", "secret:room", "voice:other"] {
            assert_eq!(ask(Some(&admin), name, Action::Join), Err(Denied::UnknownRoom));
        }
    }
}
