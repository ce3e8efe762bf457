//! Settings of docs/PROTOCOL.md §10 that this version does not have yet: whoever sets one is told, instead of relying on it.

const LATER: [&str; 1] = ["REDIS_URL"];

/// Those that `given` has a value for.
pub fn not_there_yet(given: impl Fn(&str) -> Option<String>) -> Vec<&'static str> {
    let is_set = |name: &&str| given(name).is_some_and(|value| !value.is_empty());
    LATER.into_iter().filter(is_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SETTINGS;

    #[test]
    fn what_is_set_and_not_there_is_named() {
        let set = |name: &str| match name {
            "REDIS_URL" => Some("redis://localhost".to_owned()),
            "DATABASE_URL" => Some(String::new()),
            _ => None,
        };
        assert_eq!(not_there_yet(set), ["REDIS_URL"]);
    }

    #[test]
    fn what_is_there_is_not_named() {
        assert!(SETTINGS.iter().all(|setting| !LATER.contains(&setting.name)));
    }
}
