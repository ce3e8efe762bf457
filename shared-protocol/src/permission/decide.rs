//! The decision: may this identity do this in this room?

use super::{Action, Identity, Policy, claims, wire::covers};
use crate::room::RoomName;

/// Why something is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No rule of the policy names this room.
    #[error("no rule allows this room")]
    UnknownRoom,
    /// The token's `rooms` claim leaves this room out.
    #[error("the token's `rooms` claim leaves this room out")]
    OutsideToken,
    /// It needs a token.
    #[error("authentication is needed")]
    NotAuthenticated,
    /// It is another user's room.
    #[error("this room is for its user only")]
    NotOwner,
    /// It needs the role `admin` or `service_role`.
    #[error("the role admin or service_role is needed")]
    NotAdmin,
    /// It needs something else; what, for people.
    #[error("not allowed with this token: it takes {0}")]
    Needs(String),
    /// The rule lets nobody.
    #[error("nobody is allowed this")]
    Nobody,
    /// Clients may publish other types of events here: these.
    #[error("events of this type can't be published here; allowed: {}", .0.join(", "))]
    EventType(Vec<String>),
    /// The policy leaves it to the application's backend. Who can't ask it refuses.
    #[error("the application's backend decides this, and it was not asked")]
    AskBackend,
}

/// Whether `identity` (`None`: anonymous) may do `action` in `room` under `policy`.
///
/// # Errors
/// Why not. [`Denied::AskBackend`] is neither a yes nor a no.
pub fn allowed(policy: &Policy, identity: Option<&Identity>, room: &RoomName, action: Action) -> Result<(), Denied> {
    within_token(identity, room)?;
    match policy.deciding(identity, room) {
        Some(rule) => rule.access(action).check(identity, room),
        // With a token one of these could match.
        None if identity.is_none() && policy.rules.iter().any(|rule| rule.pattern.could_match(room)) => {
            Err(Denied::NotAuthenticated)
        }
        None => Err(Denied::UnknownRoom),
    }
}

/// Whether a client of `identity` may publish an event of type `kind` into `room`. (Events of the server's own process, of API keys
/// and of the admin's HTTP calls may be of any type.)
///
/// # Errors
/// As [`allowed`]; and [`Denied::EventType`], also where the backend is to be asked: it can't widen the list.
pub fn may_publish(policy: &Policy, identity: Option<&Identity>, room: &RoomName, kind: &str) -> Result<(), Denied> {
    let answer = allowed(policy, identity, room, Action::Publish);
    if matches!(answer, Ok(()) | Err(Denied::AskBackend))
        && let Some(events) = policy.deciding(identity, room).and_then(|rule| rule.options.events.as_ref())
        && !events.iter().any(|event| event == kind)
    {
        return Err(Denied::EventType(events.clone()));
    }
    answer
}

/// Whether the token's claim `rooms`, which can only take away, leaves this room: an admin's too.
///
/// # Errors
/// [`Denied::OutsideToken`].
pub fn within_token(identity: Option<&Identity>, room: &RoomName) -> Result<(), Denied> {
    match identity.and_then(claims::rooms) {
        Some(entries) if !entries.iter().any(|entry| covers(entry, room.as_str())) => Err(Denied::OutsideToken),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Pattern, Rule};
    use super::*;
    use serde_json::json;

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).expect("a room name")
    }

    fn rule(pattern: &str, join: &str) -> Rule {
        Rule::new(Pattern::parse(pattern).expect("a pattern"), Access::parse(join).expect("an access"))
    }

    #[test]
    fn default_policy() {
        let policy = Policy::default();
        assert_eq!(policy.rules.len(), 6);
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

    #[test]
    fn the_first_rule_that_matches_decides() {
        let policy = Policy { rules: vec![rule("a:1", "nobody"), rule("a:*", "public"), rule("*", "authenticated")] };
        let ada = Identity::new("ada", None);
        assert_eq!(allowed(&policy, Some(&ada), &room("a:1"), Action::Join), Err(Denied::Nobody));
        assert_eq!(allowed(&policy, None, &room("a:2"), Action::Join), Ok(()));
        assert_eq!(allowed(&policy, None, &room("b:2"), Action::Join), Err(Denied::NotAuthenticated));
        let own = Policy { rules: vec![rule("user:{sub}", "authenticated"), rule("user:*", "role:admin")] };
        assert_eq!(allowed(&own, Some(&ada), &room("user:ada"), Action::Join), Ok(()));
        assert_eq!(allowed(&own, Some(&ada), &room("user:bob"), Action::Join), Err(Denied::NotAdmin));
        let team = Policy { rules: vec![rule("team:{claim.team}", "authenticated")] };
        assert_eq!(allowed(&team, None, &room("team:7"), Action::Join), Err(Denied::NotAuthenticated));
        assert_eq!(allowed(&team, Some(&ada), &room("team:7"), Action::Join), Err(Denied::UnknownRoom));
    }

    #[test]
    fn the_rooms_claim_narrows_and_never_widens() {
        let policy = Policy { rules: vec![rule("agent:*", "authenticated")] };
        let with = |claim| {
            let mut who = Identity::new("ada", Some("admin"));
            who.claims.insert("rooms".into(), claim);
            who
        };
        let join = |who: &Identity, name: &str| allowed(&policy, Some(who), &room(name), Action::Join);
        let some = with(json!(["agent:7", "agent:eu-*", "secret:*"]));
        assert_eq!(join(&some, "agent:7"), Ok(()));
        assert_eq!(join(&some, "agent:eu-1"), Ok(()));
        assert_eq!(join(&some, "agent:8"), Err(Denied::OutsideToken));
        assert_eq!(join(&some, "secret:1"), Err(Denied::UnknownRoom));
        assert_eq!(join(&with(json!(["*"])), "agent:8"), Ok(()));
        assert_eq!(join(&with(json!(null)), "agent:8"), Ok(()));
        for nothing in [json!([]), json!("agent:8"), json!({"agent:8": true}), json!([8])] {
            assert_eq!(join(&with(nothing), "agent:8"), Err(Denied::OutsideToken));
        }
    }

    #[test]
    fn clients_publish_the_types_that_are_listed() {
        let mut listed = rule("agent:*", "authenticated");
        listed.publish = Access::Authenticated.into();
        listed.options.events = Some(vec!["note".into(), "ping".into()]);
        let policy = Policy { rules: vec![listed] };
        let ada = Identity::new("ada", None);
        assert_eq!(may_publish(&policy, Some(&ada), &room("agent:7"), "note"), Ok(()));
        let denied = may_publish(&policy, Some(&ada), &room("agent:7"), "other").expect_err("not listed");
        assert!(denied.to_string().contains("note, ping"), "{denied}");
        assert_eq!(may_publish(&policy, None, &room("agent:7"), "other"), Err(Denied::NotAuthenticated));
    }
}
