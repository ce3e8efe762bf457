//! The table `[policy]` of the TOML file, read into the protocol crate's policy.
//!
//! ```toml
//! [policy]
//! default = true               # the dashboard's rules follow after these
//!
//! [[policy.rooms]]
//! match = "team:{claim.team_id}"
//! join = ["authenticated"]
//! publish = ["role:editor", "role:admin"]
//! history_ttl = "10m"
//! max_clients = 500
//! events = ["note"]
//! ```

use osbackend_protocol::permission::{Access, AccessError, AnyOf, Pattern, RoomOptions, Rule};
use osbackend_protocol::{Action, Policy, event};
use toml::{Table, Value};

use super::parse_time;

const KEYS: &str = "match, join, publish, presence, history, history_size, history_ttl, max_clients, events";

/// What is wrong with a key of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PolicyError {
    /// Nothing reads it.
    UnknownKey { key: String, allowed: &'static str },
    /// Its value can't be used, or isn't there.
    BadValue { key: String, reason: String },
}

fn bad(key: impl Into<String>, reason: impl Into<String>) -> PolicyError {
    PolicyError::BadValue { key: key.into(), reason: reason.into() }
}

/// The policy of the table.
pub(super) fn read(table: &Table) -> Result<Policy, PolicyError> {
    if let Some(key) = table.keys().find(|key| !["rooms", "default"].contains(&key.as_str())) {
        return Err(PolicyError::UnknownKey { key: format!("policy.{key}"), allowed: "rooms, default" });
    }
    let with_default = match table.get("default") {
        None => false,
        Some(Value::Boolean(with)) => *with,
        Some(_) => return Err(bad("policy.default", "Use true or false: whether the default rules follow after policy.rooms")),
    };
    let form = "Use a list of tables: [[policy.rooms]] with match and join";
    let rooms = match table.get("rooms") {
        Some(Value::Array(rooms)) => rooms.as_slice(),
        None if with_default => &[],
        _ => return Err(bad("policy.rooms", form)),
    };
    let mut rules = Vec::with_capacity(rooms.len());
    for (index, room) in rooms.iter().enumerate() {
        let path = format!("policy.rooms[{index}]");
        let Value::Table(room) = room else { return Err(bad(path, form)) };
        rules.push(rule(&path, room)?);
    }
    if with_default {
        rules.extend(Policy::default().rules);
    }
    Ok(Policy { rules })
}

fn rule(path: &str, table: &Table) -> Result<Rule, PolicyError> {
    if let Some(key) = table.keys().find(|key| !KEYS.split(", ").any(|known| known == key.as_str())) {
        return Err(PolicyError::UnknownKey { key: format!("{path}.{key}"), allowed: KEYS });
    }
    let key = |name: &str| format!("{path}.{name}");
    let pattern = match table.get("match") {
        Some(Value::String(text)) => Pattern::parse(text).map_err(|error| bad(key("match"), error.to_string()))?,
        _ => return Err(bad(key("match"), "Use a room name or a pattern such as agent:*, user:{sub} or team:{claim.team_id}")),
    };
    let access = |action: Action| -> Result<Option<AnyOf>, PolicyError> {
        let path = key(action.name());
        table.get(action.name()).map(|value| any_of(value).map_err(|error| bad(path, error.to_string()))).transpose()
    };
    let join =
        access(Action::Join)?.ok_or_else(|| bad(key("join"), format!("missing. {}", AccessError::Unknown(String::new()))))?;
    let mut rule = Rule::new(pattern, join);
    for (field, action) in
        [(&mut rule.publish, Action::Publish), (&mut rule.presence, Action::Presence), (&mut rule.history, Action::History)]
    {
        if let Some(given) = access(action)? {
            *field = given;
        }
    }
    let number = |name: &str| -> Result<Option<usize>, PolicyError> {
        match table.get(name) {
            None => Ok(None),
            Some(Value::Integer(number)) if usize::try_from(*number).is_ok() => Ok(usize::try_from(*number).ok()),
            Some(_) => Err(bad(key(name), "Use a whole number; 0 lifts the limit")),
        }
    };
    let history_ttl_ms = match table.get("history_ttl") {
        None => None,
        Some(value) => {
            let time = value.as_str().and_then(parse_time).and_then(|time| u64::try_from(time.as_millis()).ok());
            Some(time.ok_or_else(|| bad(key("history_ttl"), "Use a time such as 90s, 10m, 1h or 7d; 0s lifts the limit"))?)
        }
    };
    let events = table.get("events").map(|value| events(value).map_err(|reason| bad(key("events"), reason))).transpose()?;
    rule.options =
        RoomOptions { history_size: number("history_size")?, history_ttl_ms, max_clients: number("max_clients")?, events };
    Ok(rule)
}

fn any_of(value: &Value) -> Result<AnyOf, AccessError> {
    let parse = |value: &Value| match value {
        Value::String(text) => Access::parse(text),
        other => Err(AccessError::Unknown(other.to_string())),
    };
    match value {
        Value::Array(list) => AnyOf::new(list.iter().map(parse).collect::<Result<_, _>>()?),
        one => Ok(parse(one)?.into()),
    }
}

fn events(value: &Value) -> Result<Vec<String>, String> {
    let form = || {
        "Use a list of names of events, such as [\"agent_status_change\"]; publish = \"nobody\" where none is allowed".to_owned()
    };
    let names = value.as_array().filter(|names| !names.is_empty()).ok_or_else(form)?;
    let name = |value: &Value| {
        let name = value.as_str().ok_or_else(form)?;
        event::check_event_name(name).map_err(|error| error.to_string())?;
        Ok(name.to_owned())
    };
    names.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbackend_protocol::{Identity, RoomName, allowed};

    fn policy(text: &str) -> Result<Policy, PolicyError> {
        read(&text.parse().unwrap())
    }

    #[test]
    fn every_key_says_what_it_means() {
        let policy = policy(
            "default = true\n[[rooms]]\nmatch = \"team:{claim.team}\"\njoin = \"authenticated\"\npublish = [\"role:editor\", \"claim:plan=pro\"]\n\
             presence = \"nobody\"\nhistory = \"webhook\"\nhistory_size = 100\nhistory_ttl = \"1h\"\nmax_clients = 500\nevents = [\"note\"]\n\
             [[rooms]]\nmatch = \"lobby:*\"\njoin = \"public\"",
        )
        .unwrap();
        let [team, lobby, ..] = policy.rules.as_slice() else { panic!("two rules, and the default ones") };
        assert_eq!(policy.rules.len(), 2 + Policy::default().rules.len());
        let shown = Action::ALL.map(|action| team.access(action).to_string());
        assert_eq!(shown, ["authenticated", "role:editor or claim:plan=pro", "nobody", "webhook"]);
        let options = RoomOptions {
            history_size: Some(100),
            history_ttl_ms: Some(3_600_000),
            max_clients: Some(500),
            events: Some(vec!["note".to_owned()]),
        };
        assert_eq!(team.options, options);
        let shown = Action::ALL.map(|action| lobby.access(action).to_string());
        assert_eq!(shown, ["public", "role:admin", "public", "public"]);
        let agent = RoomName::parse("agent:7").unwrap();
        assert_eq!(allowed(&policy, Some(&Identity::new("ada", None)), &agent, Action::Join), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_path_and_what_is_allowed() {
        let ok = "[[rooms]]\nmatch = \"a:*\"\njoin = \"public\"\n";
        for (text, key, says) in [
            ("rooms = 3", "policy.rooms", "[[policy.rooms]]"),
            ("", "policy.rooms", "[[policy.rooms]]"),
            ("rooms = [3]", "policy.rooms[0]", "[[policy.rooms]]"),
            ("default = 1", "policy.default", "true or false"),
            ("[[rooms]]\njoin = \"public\"", "policy.rooms[0].match", "agent:*"),
            ("[[rooms]]\nmatch = \"a:*\"", "policy.rooms[0].join", "authenticated"),
            ("[[rooms]]\nmatch = \"a\"\njoin = \"public\"", "policy.rooms[0].match", "agent:*"),
            ("[[rooms]]\nmatch = \"a:{claim.user_metadata.x}\"\njoin = \"public\"", "policy.rooms[0].match", "user_metadata"),
            (&format!("{ok}{ok}publish = \"admins\""), "policy.rooms[1].publish", "role:NAME"),
            (&format!("{ok}presence = []"), "policy.rooms[0].presence", "nobody"),
            (&format!("{ok}history = \"claim:user_metadata.x=1\""), "policy.rooms[0].history", "user_metadata"),
            (&format!("{ok}history = 3"), "policy.rooms[0].history", "authenticated"),
            (&format!("{ok}history_size = -1"), "policy.rooms[0].history_size", "whole number"),
            (&format!("{ok}history_ttl = 60"), "policy.rooms[0].history_ttl", "10m"),
            (&format!("{ok}max_clients = \"many\""), "policy.rooms[0].max_clients", "whole number"),
            (&format!("{ok}events = []"), "policy.rooms[0].events", "agent_status_change"),
            (&format!("{ok}events = [\"heartbeat\"]"), "policy.rooms[0].events", "name of the system"),
        ] {
            match policy(text).unwrap_err() {
                PolicyError::BadValue { key: at, reason } => {
                    assert!(at == key && reason.contains(says), "{text}: {at}: {reason}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        let unknown = |text: &str| match policy(text).unwrap_err() {
            PolicyError::UnknownKey { key, allowed } => (key, allowed),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(unknown("room = 1"), ("policy.room".to_owned(), "rooms, default"));
        assert_eq!(unknown(&format!("{ok}joins = \"public\"")), ("policy.rooms[0].joins".to_owned(), KEYS));
    }
}
