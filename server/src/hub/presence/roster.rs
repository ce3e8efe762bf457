//! Who is in one room, as a machine: arrivals, departures and time in, what is to be told out. It knows of no connection.

use super::{Person, PresenceOptions};
use osbackend_protocol::{PresenceUser, RoomName, Timestamp, server_msg::Presence, server_msg::PresenceCounts};
use std::{collections::HashMap, sync::Arc};

/// How a connection went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// For good: it left the room, or may not come back.
    Left,
    /// Its socket is gone, and the client may be on its way back.
    Lost,
}

/// What the members are to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) enum Change {
    /// Nothing.
    None,
    /// A user came.
    Joined,
    /// A user went.
    Left,
    /// The room began or ceased to list its users: who follows it needs a new picture.
    Redrawn,
    /// Who follows the room needs a new picture, once the time after a start is over.
    Stale,
}

/// What became of a departure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hub) struct Departed {
    pub(in crate::hub) change: Change,
    /// When to call [`Roster::expire`] for this user; `None` where nothing is new.
    pub(in crate::hub) due: Option<u64>,
}

impl Departed {
    const NOTHING: Self = Self { change: Change::None, due: None };
}

/// A user in the room.
#[derive(Debug)]
struct Present {
    clients: u32,
    joined_at: Timestamp,
    /// Until when the newest of the lost connections may come back; 0 for none.
    lost_until: u64,
    /// Whether a call of [`Roster::expire`] is due for it.
    missed: bool,
    info: Option<Arc<super::Info>>,
}

/// The users of a room. A user is present from the first connection on until the last one left, or was lost a grace ago.
#[derive(Debug, Default)]
pub(in crate::hub) struct Roster {
    users: HashMap<Arc<str>, Present>,
    anonymous: u64,
    /// Whether there are too many to be listed.
    crowded: bool,
}

impl Roster {
    /// Whether nobody is present, nor may come back.
    pub(in crate::hub) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.anonymous == 0
    }

    /// Users that are present.
    pub(in crate::hub) fn user_count(&self) -> usize {
        self.users.len()
    }

    /// A connection joined. `returning`: its client was here before, maybe in an earlier process.
    pub(in crate::hub) fn arrive(
        &mut self,
        person: Option<&Person>,
        returning: bool,
        now: u64,
        options: &PresenceOptions,
    ) -> Change {
        let Some(person) = person else {
            self.anonymous += 1;
            return Change::None;
        };
        if let Some(present) = self.users.get_mut(&person.user) {
            present.clients += 1;
            present.lost_until = 0;
            if person.info.is_some() {
                present.info.clone_from(&person.info);
            }
            return Change::None;
        }
        let joined_at = Timestamp(now);
        let present = Present { clients: 1, joined_at, lost_until: 0, missed: false, info: person.info.clone() };
        self.users.insert(person.user.clone(), present);
        if self.crowded {
            return Change::None;
        }
        if options.limit > 0 && self.users.len() > options.limit {
            self.crowded = true;
            return Change::Redrawn;
        }
        // Right after a start everyone comes back: that is no news, but who looked meanwhile has seen too few.
        if returning && now < options.quiet_until { Change::Stale } else { Change::Joined }
    }

    /// A connection is gone.
    pub(in crate::hub) fn depart(
        &mut self,
        user: Option<&Arc<str>>,
        how: Departure,
        now: u64,
        options: &PresenceOptions,
    ) -> Departed {
        let Some(user) = user else {
            self.anonymous = self.anonymous.saturating_sub(1);
            return Departed::NOTHING;
        };
        let Some(present) = self.users.get_mut(user) else { return Departed::NOTHING };
        present.clients = present.clients.saturating_sub(1);
        if how == Departure::Lost {
            present.lost_until = now + options.grace_ms;
        }
        if present.clients > 0 {
            return Departed::NOTHING;
        }
        if present.lost_until <= now {
            return Departed { change: self.remove(user, options), due: None };
        }
        let due = (!present.missed).then_some(present.lost_until);
        present.missed = true;
        Departed { change: Change::None, due }
    }

    /// The time has come that [`Departed::due`] named for this user.
    pub(in crate::hub) fn expire(&mut self, user: &Arc<str>, now: u64, options: &PresenceOptions) -> Departed {
        let Some(present) = self.users.get_mut(user).filter(|present| present.missed) else { return Departed::NOTHING };
        present.missed = false;
        if present.clients > 0 {
            return Departed::NOTHING;
        }
        if present.lost_until <= now {
            return Departed { change: self.remove(user, options), due: None };
        }
        present.missed = true;
        Departed { change: Change::None, due: Some(present.lost_until) }
    }

    fn remove(&mut self, user: &Arc<str>, options: &PresenceOptions) -> Change {
        self.users.remove(user);
        if self.users.capacity() > 64 && self.users.len() * 4 < self.users.capacity() {
            self.users.shrink_to(self.users.len() * 2);
        }
        if !self.crowded {
            return Change::Left;
        }
        // Not at the limit itself, or a room that is just as large would be drawn anew with every coming and going.
        if self.users.len() > options.limit - options.limit / 4 {
            return Change::None;
        }
        self.crowded = false;
        Change::Redrawn
    }

    /// What others see of a user who is present.
    pub(in crate::hub) fn info(&self, user: &str) -> Option<&Arc<super::Info>> {
        self.users.get(user)?.info.as_ref()
    }

    /// Who is in the room.
    pub(in crate::hub) fn presence(&self, room: RoomName) -> Presence {
        if self.crowded {
            let clients = self.users.values().map(|present| u64::from(present.clients)).sum();
            let counts = Some(PresenceCounts { users: self.users.len() as u64, clients });
            return Presence { room, users: Vec::new(), anonymous: self.anonymous, counts };
        }
        let mut users: Vec<_> = self
            .users
            .iter()
            .map(|(user, present)| PresenceUser {
                user_id: user.to_string(),
                clients: present.clients,
                joined_at: present.joined_at,
                info: present.info.as_deref().map(super::Info::to_json),
            })
            .collect();
        users.sort_unstable_by(|a, b| a.user_id.cmp(&b.user_id));
        Presence { room, users, anonymous: self.anonymous, counts: None }
    }
}
