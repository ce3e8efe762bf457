//! The policy as one user's client gets it in the greeting (§4): resolved, bounded, and small to evaluate.

use super::{Action, Identity, Policy, claims};
use serde::{Deserialize, Deserializer, Serialize};

/// Bytes of room names and rules at most. A policy that needs more is cut at its end, where `can()` then is false.
const MAX_BYTES: usize = 32 * 1024;

/// What the user of this connection may do. The first rule that names a room decides; a room that none names is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct EvaluatedPolicy {
    /// In order.
    #[serde(default)]
    pub rules: Vec<EvaluatedRule>,
    /// The token's `rooms` claim: a room that isn't among these is refused whatever the rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "ts", ts(optional))]
    pub within: Option<Vec<String>>,
}

/// A rule for some rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "ts", derive(ts_rs::TS))]
pub struct EvaluatedRule {
    /// Room names; `agent:*` is every room that begins so, `*:7` every room with this id, `*` every room.
    pub rooms: Vec<String>,
    /// What may be done there. What only the application's backend decides is not among it.
    #[serde(default, deserialize_with = "known")]
    pub can: Vec<Action>,
}

/// The actions of a newer server that this version doesn't know are let be.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Action>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    Ok(names.iter().filter_map(|name| Action::from_name(name)).collect())
}

/// Whether `entry` of a list of rooms names `room`.
pub(super) fn covers(entry: &str, room: &str) -> bool {
    if let Some(begin) = entry.strip_suffix('*') {
        room.starts_with(begin)
    } else {
        // No slicing by index in what the browser runs: its panic's message alone would bring 4 KB into the module.
        match entry.strip_prefix('*') {
            Some(id) => id.starts_with(':') && room.ends_with(id),
            None => entry == room,
        }
    }
}

/// Whether a room could be named by both. In doubt it is.
fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_suffix('*'), b.strip_suffix('*')) {
        (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a) || a.starts_with('*') || b.starts_with('*'),
        _ => {
            a.starts_with('*') && b.starts_with('*')
                || a.starts_with("*:") && b.ends_with('*')
                || b.starts_with("*:") && a.ends_with('*')
                || covers(a, b)
                || covers(b, a)
        }
    }
}

impl EvaluatedPolicy {
    /// Whether `action` is allowed in `room`, as the server would answer. `room` must be a well-formed name.
    pub fn can(&self, room: &str, action: Action) -> bool {
        let named = |rooms: &[String]| rooms.iter().any(|entry| covers(entry, room));
        self.within.as_deref().is_none_or(named)
            && self.rules.iter().find(|rule| named(&rule.rooms)).is_some_and(|rule| rule.can.contains(&action))
    }

    /// What `policy` lets `identity` do. It holds nothing of other users; rooms that `identity` may do nothing in are named only
    /// where a later rule would allow them otherwise.
    pub fn of(policy: &Policy, identity: Option<&Identity>) -> Self {
        let mut rules: Vec<EvaluatedRule> = Vec::new();
        let mut bytes = 0;
        'rules: for rule in &policy.rules {
            let everywhere: Vec<Action> =
                Action::ALL.into_iter().filter(|action| rule.access(*action).everywhere(identity)).collect();
            let as_owner = |action: &Action| everywhere.contains(action) || rule.access(*action).has_owner();
            let own: Vec<Action> = Action::ALL.into_iter().filter(as_owner).collect();
            let own_rooms = identity.filter(|_| own != everywhere).map(|who| rule.pattern.own_rooms(who)).unwrap_or_default();
            for (rooms, can) in [(own_rooms, own), (rule.pattern.rooms(identity), everywhere)] {
                if rooms.is_empty() {
                    continue;
                }
                bytes += 64 + rooms.iter().map(|room| room.len() + 4).sum::<usize>();
                if bytes > MAX_BYTES {
                    break 'rules;
                }
                rules.push(EvaluatedRule { rooms, can });
            }
        }
        let rooms_claim = identity.and_then(claims::rooms);
        let longest = crate::room::MAX_ROOM_BYTES + 1;
        let within =
            rooms_claim.map(|entries| entries.into_iter().filter(|entry| entry.len() <= longest).map(str::to_owned).collect());
        Self { rules: shortest(rules), within }
    }
}

/// A rule that allows nothing matters only where it stands before one that does.
fn shortest(mut rules: Vec<EvaluatedRule>) -> Vec<EvaluatedRule> {
    for index in (0..rules.len()).rev() {
        let (before, later) = rules.split_at_mut(index + 1);
        if let [.., rule] = before
            && rule.can.is_empty()
        {
            let granted = || later.iter().filter(|rule| !rule.can.is_empty()).flat_map(|rule| &rule.rooms);
            rule.rooms.retain(|room| granted().any(|other| overlap(room, other)));
        }
    }
    rules.retain(|rule| !rule.rooms.is_empty());
    // Neighbours that allow the same are one.
    rules.dedup_by(|rule, before| {
        let same = rule.can == before.can;
        if same {
            before.rooms.append(&mut rule.rooms);
        }
        same
    });
    rules
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Pattern, Rule};
    use super::*;
    use serde_json::json;

    fn rule(pattern: &str, join: &str) -> Rule {
        Rule::new(Pattern::parse(pattern).expect("a pattern"), Access::parse(join).expect("an access"))
    }

    #[test]
    fn the_default_policy_of_a_user_is_one_line() {
        let of =
            |who: Option<Identity>| serde_json::to_value(EvaluatedPolicy::of(&Policy::default(), who.as_ref())).expect("JSON");
        assert_eq!(
            of(Some(Identity::new("a b", Some("user")))),
            json!({"rules": [{
                "rooms": ["dashboard:overview", "agent:*", "voice:training", "clips:analytics", "admin:broadcast", "user:a%20b"],
                "can": ["join", "presence", "history"],
            }]})
        );
        assert_eq!(of(None), json!({"rules": []}));
    }

    #[test]
    fn what_is_nobodys_business_is_not_told() {
        let rules = vec![
            rule("plan:secret", "role:admin"),
            rule("agent:x", "nobody"),
            rule("user:bob", "owner"),
            rule("agent:*", "public"),
        ];
        let text =
            serde_json::to_string(&EvaluatedPolicy::of(&Policy { rules }, Some(&Identity::new("ada", None)))).expect("JSON");
        assert!(!text.contains("secret") && !text.contains("bob"), "{text}");
        assert!(text.contains("agent:x"), "it stands before agent:*: {text}");
    }

    #[test]
    fn a_large_claim_does_not_make_a_large_greeting() {
        let mut who = Identity::new("ada", None);
        let many: Vec<String> = (0..2000).map(|number| format!("{number:0>100}")).collect();
        who.claims.insert("teams".into(), json!(many));
        let rules = (0..50).map(|number| rule(&format!("t{number}:{{claim.teams}}"), "authenticated")).collect();
        let evaluated = EvaluatedPolicy::of(&Policy { rules }, Some(&who));
        assert!(serde_json::to_string(&evaluated).expect("JSON").len() <= MAX_BYTES);
        assert!(evaluated.can(&format!("t0:{:0>100}", 3), Action::Join));
    }

    #[test]
    fn a_newer_servers_actions_are_let_be() {
        let policy: EvaluatedPolicy =
            serde_json::from_value(json!({"rules": [{"rooms": ["*"], "can": ["join", "moderate"]}], "more": 1})).expect("known");
        assert!(policy.can("a:b", Action::Join) && !policy.can("a:b", Action::Publish));
    }
}
