//! The policy: an ordered list of rules, and what a rule says about its rooms.

use super::{Access, Action, AnyOf, Identity, Pattern};
use crate::room::RoomName;

/// What a rule says about its rooms, whoever is in them. `None`: the server's own setting, or no limit where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomOptions {
    /// Events that are kept at most; 0 lifts the limit.
    pub history_size: Option<usize>,
    /// Their age at most, in milliseconds; 0 lifts the limit.
    pub history_ttl_ms: Option<u64>,
    /// Connections in the room at most; 0 lifts the limit.
    pub max_clients: Option<usize>,
    /// The types of events that clients may publish; any where it is left out.
    pub events: Option<Vec<String>>,
}

/// The rule for the rooms that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Which rooms.
    pub pattern: Pattern,
    /// Who may join.
    pub join: AnyOf,
    /// Who may publish from a client.
    pub publish: AnyOf,
    /// Who may see who is in it.
    pub presence: AnyOf,
    /// Who may read its history.
    pub history: AnyOf,
    /// What else it says.
    pub options: RoomOptions,
}

impl Rule {
    /// Who joins may see presence and history; admins may publish.
    pub fn new(pattern: Pattern, join: impl Into<AnyOf>) -> Self {
        let join = join.into();
        Self {
            pattern,
            publish: AnyOf::admin(),
            presence: join.clone(),
            history: join.clone(),
            join,
            options: RoomOptions::default(),
        }
    }

    /// Who may do `action`.
    pub fn access(&self, action: Action) -> &AnyOf {
        match action {
            Action::Join => &self.join,
            Action::Publish => &self.publish,
            Action::Presence => &self.presence,
            Action::History => &self.history,
        }
    }
}

/// An ordered list of rules: the first whose pattern matches decides; a room that none matches is refused to all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The rules, in order.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// The rule that decides for `identity` in `room`.
    pub fn deciding(&self, identity: Option<&Identity>, room: &RoomName) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.pattern.matches(identity, room))
    }

    /// What holds for the room itself: of the first rule that is for it with any token.
    pub fn options(&self, room: &RoomName) -> Option<&RoomOptions> {
        self.rules.iter().find(|rule| rule.pattern.could_match(room)).map(|rule| &rule.options)
    }

    /// Whether a rule leaves something to the application's backend.
    pub fn asks_backend(&self) -> bool {
        self.rules.iter().any(|rule| Action::ALL.into_iter().any(|action| rule.access(action).asks_backend()))
    }

    /// How many connections may be in `room` at most.
    pub fn max_clients(&self, room: &RoomName) -> Option<usize> {
        self.options(room)?.max_clients.filter(|most| *most > 0)
    }
}

impl Default for Policy {
    /// The dashboard's rooms: any authenticated user may join, admins may publish; `user:{id}` is that user's and the admins'.
    fn default() -> Self {
        let rules = [
            ("dashboard:overview", Access::Authenticated),
            ("agent:*", Access::Authenticated),
            ("voice:training", Access::Authenticated),
            ("clips:analytics", Access::Authenticated),
            ("admin:broadcast", Access::Authenticated),
            ("user:*", Access::Owner),
        ];
        // Each of them is a pattern; a test holds that none is lost.
        let rule = |(text, join)| Some(Rule::new(Pattern::parse(text).ok()?, join));
        Self { rules: rules.into_iter().filter_map(rule).collect() }
    }
}
