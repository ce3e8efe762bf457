//! How a decision comes about, rule by rule, for people.

use super::{Action, Denied, Identity, Policy, RoomOptions, allowed, claims};
use crate::room::RoomName;
use std::fmt;

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookedAt {
    /// Its place in the policy, from 0.
    pub index: usize,
    /// Its pattern.
    pub pattern: String,
    /// Whether the room matches.
    pub matches: bool,
    /// What the token says for the pattern's `{…}`.
    pub says: Option<String>,
}

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The action.
    pub action: Action,
    /// Who may do it, by the rule that decided.
    pub access: Option<String>,
    /// The decision.
    pub answer: Result<(), Denied>,
}

/// How the decisions about a room come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Who asks.
    pub who: String,
    /// The room.
    pub room: RoomName,
    /// The token's `rooms` claim, and whether the room is among them.
    pub within: Option<(Vec<String>, bool)>,
    /// How many of the rules are the application's own; the default ones follow after them.
    pub own_rules: usize,
    /// The rules up to the one that decides.
    pub looked_at: Vec<LookedAt>,
    /// What became of each action.
    pub outcomes: Vec<Outcome>,
    /// What holds for the room itself, and the place of the rule that says so.
    pub options: Option<(usize, RoomOptions)>,
}

/// Explains what [`allowed`] answers for each action.
pub fn explain(policy: &Policy, identity: Option<&Identity>, room: &RoomName) -> Explanation {
    let who = match identity {
        None => "anonymous".to_owned(),
        Some(Identity { sub, role: None, .. }) => format!("user {sub}, no role"),
        Some(Identity { sub, role: Some(role), .. }) => format!("user {sub}, role {role}"),
    };
    let within = identity.and_then(claims::rooms).map(|entries| {
        let inside = entries.iter().any(|entry| super::wire::covers(entry, room.as_str()));
        (entries.into_iter().map(str::to_owned).collect(), inside)
    });
    let defaults = Policy::default().rules;
    let own_rules = policy.rules.len() - if policy.rules.ends_with(&defaults) { defaults.len() } else { 0 };
    let mut looked_at = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let matches = rule.pattern.matches(identity, room);
        // What the token says is of interest where the room could be another's.
        let says = if rule.pattern.could_match(room) { rule.pattern.says(identity) } else { None };
        looked_at.push(LookedAt { index, pattern: rule.pattern.to_string(), matches, says });
        if matches {
            break;
        }
    }
    let deciding = policy.deciding(identity, room);
    let outcomes = Action::ALL.map(|action| Outcome {
        action,
        access: deciding.map(|rule| rule.access(action).to_string()),
        answer: allowed(policy, identity, room, action),
    });
    let index = policy.rules.iter().position(|rule| rule.pattern.could_match(room));
    let options = index.and_then(|index| Some((index, policy.options(room)?.clone())));
    Explanation { who, room: room.clone(), within, own_rules, looked_at, outcomes: outcomes.into(), options }
}

impl Explanation {
    /// What the rule at `index` is called: by its place in the settings, or among the default ones, which stand in no file.
    fn name_of(&self, index: usize) -> String {
        match index.checked_sub(self.own_rules) {
            None => format!("policy.rooms[{index}]"),
            Some(place) => format!("default rule {}", place + 1),
        }
    }

    /// What became of `action`.
    pub fn allows(&self, action: Action) -> bool {
        self.outcomes.iter().any(|outcome| outcome.action == action && outcome.answer.is_ok())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} asks for {}", self.who, self.room)?;
        if let Some((entries, inside)) = &self.within {
            let inside = if *inside { "the room is among them" } else { "the room is not among them" };
            writeln!(f, "the token's rooms claim: {}: {inside}", entries.join(", "))?;
        }
        for rule in &self.looked_at {
            let matches = if rule.matches { "matches" } else { "does not match" };
            write!(f, "{} {}: {matches}", self.name_of(rule.index), rule.pattern)?;
            match &rule.says {
                Some(says) => writeln!(f, " ({says})")?,
                None => writeln!(f)?,
            }
        }
        if !self.looked_at.iter().any(|rule| rule.matches) {
            writeln!(f, "no rule matches")?;
        }
        for outcome in &self.outcomes {
            let access = outcome.access.as_ref().map(|access| format!(" for {access}")).unwrap_or_default();
            match &outcome.answer {
                Ok(()) => writeln!(f, "{}{access}: allowed", outcome.action.name())?,
                Err(Denied::AskBackend) => writeln!(f, "{}{access}: the backend is asked", outcome.action.name())?,
                Err(denied) => writeln!(f, "{}{access}: denied: {denied}", outcome.action.name())?,
            }
        }
        let Some((index, options)) = &self.options else { return Ok(()) };
        let mut line = |name: &str, value: Option<String>| match value {
            Some(value) => writeln!(f, "{name} = {value} ({}, for this room whoever asks)", self.name_of(*index)),
            None => Ok(()),
        };
        line("history_size", options.history_size.map(|size| size.to_string()))?;
        line("history_ttl", options.history_ttl_ms.map(|ms| format!("{ms}ms")))?;
        line("max_clients", options.max_clients.map(|most| most.to_string()))?;
        line("events", options.events.as_ref().map(|events| events.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Access, Pattern, Rule};
    use super::*;
    use serde_json::json;

    #[test]
    fn every_rule_that_was_looked_at_is_named_with_what_the_claim_said() {
        let rule = |pattern: &str| Rule::new(Pattern::parse(pattern).expect("a pattern"), Access::Authenticated);
        let mut team = rule("team:*");
        team.options.max_clients = Some(5);
        let policy = Policy { rules: vec![rule("agent:*"), rule("team:{claim.team_id}"), team] };
        let mut ada = Identity::new("ada", Some("user"));
        ada.claims.insert("team_id".into(), json!([7, 8]));
        let room = RoomName::parse("team:7").expect("a room name");
        let text = explain(&policy, Some(&ada), &room).to_string();
        let expected = "user ada, role user asks for team:7\n\
            policy.rooms[0] agent:*: does not match\n\
            policy.rooms[1] team:{claim.team_id}: matches (claim team_id: 7, 8)\n\
            join for authenticated: allowed\n\
            publish for role:admin: denied: the role admin or service_role is needed\n\
            presence for authenticated: allowed\n\
            history for authenticated: allowed\n";
        assert_eq!(text, expected);
        let other = explain(&policy, Some(&Identity::new("bob", None)), &room);
        assert!(other.to_string().contains("(claim team_id: not in the token)"), "{other}");
        assert!(other.allows(Action::Join) && !other.allows(Action::Publish));
        let with_default = Policy { rules: [policy.rules.clone(), Policy::default().rules].concat() };
        let text = explain(&with_default, Some(&ada), &RoomName::parse("dashboard:overview").expect("a room name")).to_string();
        assert!(text.contains("policy.rooms[2] team:*: does not match\ndefault rule 1 dashboard:overview: matches\n"), "{text}");
        ada.claims.insert("rooms".into(), json!(["agent:*"]));
        let narrowed = explain(&policy, Some(&ada), &room);
        assert!(narrowed.to_string().contains("rooms claim: agent:*: the room is not among them"), "{narrowed}");
        assert!(!narrowed.allows(Action::Join));
    }
}
