//! Who may do what in which room: pure functions, used by the server to decide and by the SDK's `can()` to ask.
//!
//! A [`Policy`] is an ordered list of rules; [`allowed`] decides by the first whose pattern matches. [`explain()`] tells how it came to
//! that, and [`EvaluatedPolicy`] is what one user's client needs to answer the same.

mod access;
mod claims;
mod decide;
mod explain;
mod pattern;
mod policy;
mod wire;

pub use access::{Access, AccessError, AnyOf};
pub use claims::MAX_CLAIM_VALUES;
pub use decide::{Denied, allowed, may_publish, within_token};
pub use explain::{Explanation, LookedAt, Outcome, explain};
pub use pattern::{Pattern, PatternError};
pub use policy::{Policy, RoomOptions, Rule};
pub use wire::{EvaluatedPolicy, EvaluatedRule};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// An authenticated user, as its verified token tells. Authority comes from `role` and the claims that the issuer sets, never from
/// metadata that the user can edit.
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
        self.role.as_deref().is_some_and(access::is_admin_role)
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

    /// Its name on the wire and in the policy.
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Publish => "publish",
            Self::Presence => "presence",
            Self::History => "history",
        }
    }

    /// The action of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}
