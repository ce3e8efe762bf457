//! What a token's claims say, looked up by a dotted path.

use super::Identity;
use serde_json::{Map, Value};

/// Values of one claim that are looked at, when it is a list; later ones count for nothing, here and in the SDK.
pub const MAX_CLAIM_VALUES: usize = 128;

/// Claims that no rule may name: what users edit themselves, and what has a name of its own in the policy.
const NOT_FOR_RULES: [&str; 7] = ["user_metadata", "raw_user_meta_data", "sub", "role", "exp", "nbf", "iat"];

/// Whether a rule may name the claim at `path`.
pub(super) fn is_for_rules(path: &str) -> bool {
    let first = path.split('.').next().unwrap_or_default();
    !path.is_empty() && !path.split('.').any(str::is_empty) && !NOT_FOR_RULES.contains(&first)
}

/// The values of the claim at `path`, as text: one, or the entries of a list. Empty texts, objects and null are no values.
pub(super) fn values(identity: &Identity, path: &str) -> Vec<String> {
    match find(&identity.claims, path) {
        Some(Value::Array(list)) => list.iter().take(MAX_CLAIM_VALUES).filter_map(text).collect(),
        Some(value) => text(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The claim at `path`; names with dots of their own (`https://example.com/team`) are found too.
fn find<'a>(claims: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    claims.get(path).or_else(|| {
        path.match_indices('.').find_map(|(at, _)| match claims.get(&path[..at]) {
            Some(Value::Object(inner)) => find(inner, &path[at + 1..]),
            _ => None,
        })
    })
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// The entries of the claim `rooms`, which narrows what the policy allows; `None` where there is no such claim.
/// A claim that is no list of texts names no rooms at all.
pub(super) fn rooms(identity: &Identity) -> Option<Vec<&str>> {
    match identity.claims.get("rooms")? {
        Value::Null => None,
        Value::Array(list) => Some(list.iter().take(MAX_CLAIM_VALUES).filter_map(Value::as_str).collect()),
        _ => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_found_by_path_and_read_as_texts() {
        let Value::Object(claims) = json!({
            "team_id": 7, "plan": "pro", "beta": true, "empty": "", "none": null,
            "app_metadata": {"teams": ["a", 8, null, {}], "org": {"id": "o 1"}},
            "https://example.com/team": "x", "https://example.com": {"deep": "no"},
        }) else {
            panic!("an object")
        };
        let identity = Identity { claims, ..Identity::new("ada", None) };
        let values = |path: &str| values(&identity, path);
        assert_eq!(values("team_id"), ["7"]);
        assert_eq!(values("beta"), ["true"]);
        assert_eq!(values("app_metadata.teams"), ["a", "8"]);
        assert_eq!(values("app_metadata.org.id"), ["o 1"]);
        assert_eq!(values("https://example.com/team"), ["x"]);
        for nothing in ["empty", "none", "app_metadata", "app_metadata.org", "team_id.x", "missing"] {
            assert_eq!(values(nothing), Vec::<String>::new(), "{nothing}");
        }
    }

    #[test]
    fn what_users_edit_is_for_no_rule() {
        for path in ["user_metadata", "user_metadata.role", "sub", "role", "", "a..b", ".a", "a."] {
            assert!(!is_for_rules(path), "{path}");
        }
        assert!(is_for_rules("app_metadata.role") && is_for_rules("team_id"));
    }
}
