//! How much history each room keeps: the policy's word for it, or the server's setting.

use std::sync::Arc;

use osbackend_protocol::{Policy, RoomName};

use super::Retention;

/// The retention of every room.
#[derive(Clone, Debug)]
pub struct Retentions {
    default: Retention,
    policy: Option<Arc<Policy>>,
    snapshot_ms: u64,
}

/// How long a room that nobody is in keeps its snapshot after its last event, where nothing else is said: 7 days, in milliseconds.
pub const SNAPSHOT_MS: u64 = 7 * 86_400_000;

impl From<Retention> for Retentions {
    /// The same for every room.
    fn from(default: Retention) -> Self {
        Self { default, policy: None, snapshot_ms: SNAPSHOT_MS }
    }
}

impl Retentions {
    /// What `policy` says of a room, and `default` where it says nothing.
    pub fn new(default: Retention, policy: Arc<Policy>) -> Self {
        Self { default, policy: Some(policy), snapshot_ms: SNAPSHOT_MS }
    }

    /// Rooms that nobody is in keep their snapshots for so many milliseconds after their last event; 0: for ever.
    #[must_use]
    pub fn with_snapshots(self, snapshot_ms: u64) -> Self {
        Self { snapshot_ms, ..self }
    }

    /// See [`Self::with_snapshots`].
    pub fn snapshot_ms(&self) -> u64 {
        self.snapshot_ms
    }

    /// The retention of `room`.
    pub fn of(&self, room: &RoomName) -> Retention {
        let options = self.policy.as_ref().and_then(|policy| policy.options(room));
        let size = options.and_then(|options| options.history_size);
        let events = size.map_or(self.default.events, |size| if size == 0 { usize::MAX } else { size });
        let age_ms = options.and_then(|options| options.history_ttl_ms).unwrap_or(self.default.age_ms);
        Retention { events, age_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use osbackend_protocol::permission::{Access, Pattern, Rule};

    #[test]
    fn a_rooms_rule_goes_before_the_setting() {
        let mut team = Rule::new(Pattern::parse("team:{claim.team}").unwrap(), Access::Authenticated);
        team.options.history_size = Some(5);
        let mut all = Rule::new(Pattern::parse("log:*").unwrap(), Access::Authenticated);
        (all.options.history_size, all.options.history_ttl_ms) = (Some(0), Some(60_000));
        let default = Retention { events: 1000, age_ms: 3_600_000 };
        let retentions = Retentions::new(default, Arc::new(Policy { rules: vec![team, all] }));
        let of = |room: &str| retentions.of(&RoomName::parse(room).unwrap());
        assert_eq!(of("team:7"), Retention { events: 5, ..default });
        assert_eq!(of("log:7"), Retention { events: usize::MAX, age_ms: 60_000 });
        assert_eq!(of("other:7"), default);
    }
}
