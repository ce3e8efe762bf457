//! A room: its stream and its members, under one lock, so that order, history and snapshot agree.

use crate::{
    engine::{EngineError, Position, Recovered, Stream},
    hub::{
        counts::Batch,
        event::{Encoded, NewEvent, StoredEvent},
        outbox::{Item, Outbox, QueuedEvent, Run},
        registry::ConnectionId,
    },
};
use osbackend_protocol::{ErrorCode, PresenceUser, Published, RoomJoined, RoomName, Timestamp};
use std::{collections::BTreeMap, collections::HashMap, sync::Arc};

/// Someone who receives the room's events.
struct Member {
    connection: ConnectionId,
    outbox: Arc<Outbox>,
    user: Option<Arc<str>>,
    joined_at: Timestamp,
}

/// A room.
pub(super) struct Room {
    name: RoomName,
    id: u64,
    pub(super) stream: Stream,
    members: Vec<Member>,
    /// Where in `members` a connection is.
    places: HashMap<ConnectionId, usize>,
    /// Whether somebody joined or read since the last sweep.
    pub(super) used: bool,
}

/// What a join asks for.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// The room.
    pub room: RoomName,
    /// How far the client has read it.
    pub position: Option<Position>,
    /// Whether the newest event of each key is wanted when the position can't be recovered.
    pub snapshot: bool,
    /// Connections in the room at most, by the policy.
    pub max_clients: Option<usize>,
}

/// Why a room was not joined.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JoinError {
    /// It has as many members as the policy lets in.
    #[error("the room is full: {0} connections at most. Try again later")]
    Full(usize),
    /// Its stream can't be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl JoinError {
    /// The code to answer with (§6).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full(_) => ErrorCode::LimitReached,
            Self::Engine(_) => ErrorCode::Unavailable,
        }
    }
}

impl Room {
    pub(super) fn new(name: RoomName, id: u64, stream: Stream) -> Self {
        Self { name, id, stream, members: Vec::new(), places: HashMap::new(), used: true }
    }

    pub(super) fn client_count(&self) -> usize {
        self.members.len()
    }

    /// Makes `outbox` a member (it may be one already) and queues what it missed. `announce` is called with the result before
    /// anything of the room is queued, so that its message comes first.
    pub(super) fn join(
        &mut self,
        connection: ConnectionId,
        outbox: &Arc<Outbox>,
        user: Option<Arc<str>>,
        request: &JoinRequest,
        now: Timestamp,
        announce: impl FnOnce(&RoomJoined),
    ) -> Result<RoomJoined, JoinError> {
        if let Some(most) = request.max_clients
            && self.members.len() >= most
            && !self.places.contains_key(&connection)
        {
            return Err(JoinError::Full(most));
        }
        self.stream.expire(now);
        let (events, recovered) = match self.stream.recover(request.position.as_ref()) {
            Recovered::Replay(events) => (events, true),
            Recovered::Lost(events) if request.snapshot => (events, false),
            Recovered::Lost(_) => (Vec::new(), false),
        };
        if self.places.contains_key(&connection) {
            outbox.seal(self.id);
        } else {
            self.places.insert(connection, self.members.len());
            if self.members.is_empty() {
                // Most rooms are a user's own: `Vec` would begin with room for four.
                self.members.reserve_exact(1);
            }
            self.members.push(Member { connection, outbox: outbox.clone(), user, joined_at: now });
        }
        let joined = RoomJoined {
            room: self.name.clone(),
            epoch: self.stream.epoch().to_owned(),
            offset: self.stream.offset(),
            recovered,
            replayed: if recovered { events.len() as u64 } else { 0 },
            snapshot: if recovered { 0 } else { events.len() as u64 },
            client_count: self.members.len() as u64,
        };
        announce(&joined);
        outbox.push_all(events.into_iter().map(|event| Item::Event(QueuedEvent::replayed(event, !recovered))));
        Ok(joined)
    }

    /// Whether the connection was a member.
    pub(super) fn leave(&mut self, connection: ConnectionId) -> bool {
        let Some(place) = self.places.remove(&connection) else { return false };
        self.members.swap_remove(place).outbox.seal(self.id);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(moved.connection, place);
        }
        // Rooms swell at reconnect storms; what they don't need afterwards goes back.
        if self.members.capacity() > 64 && self.members.len() * 4 < self.members.capacity() {
            self.members.shrink_to(self.members.len() * 2);
            self.places.shrink_to(self.members.len() * 2);
        }
        true
    }

    /// Numbers and encodes the events, appends them to the stream and queues them for every member.
    pub(super) fn publish(&mut self, events: Vec<(NewEvent, Timestamp)>) -> (Vec<Published>, Batch) {
        let mut fresh = Vec::with_capacity(events.len());
        let published = events.into_iter().map(|(event, now)| self.number(event, now, &mut fresh)).collect();
        let batch = Batch::of(fresh.iter().map(|event| (event.offset, event.key.is_some())), self.members.len());
        self.fan_out(fresh);
        (published, batch)
    }

    /// Appends events that the engine has numbered, and queues them for every member; how many deliveries that is.
    pub(super) fn deliver(&mut self, events: Vec<Encoded>) -> u64 {
        let mut fresh = Vec::with_capacity(events.len());
        for event in events {
            // Opened after the commit: the stream holds it, and who joined since has got it or had it before.
            if event.offset.is_some_and(|offset| offset <= self.stream.offset()) {
                continue;
            }
            let event = Arc::new(StoredEvent::of(event, self.id));
            if event.offset.is_some() {
                self.stream.append(event.clone());
            }
            fresh.push(event);
        }
        let deliveries = (fresh.len() * self.members.len()) as u64;
        self.fan_out(fresh);
        deliveries
    }

    fn fan_out(&self, fresh: Vec<Arc<StoredEvent>>) {
        for item in Run::items(fresh) {
            for member in &self.members {
                member.outbox.push(item.clone());
            }
        }
    }

    /// Gives one event its place. It is added to `fresh` unless it was published before.
    fn number(&mut self, event: NewEvent, now: Timestamp, fresh: &mut Vec<Arc<StoredEvent>>) -> Published {
        self.stream.expire(now);
        if let Some(key) = &event.idempotency_key
            && let Some(published) = self.stream.idempotent(key)
        {
            return published.clone();
        }
        let offset = (!event.ephemeral).then(|| self.stream.next_offset());
        let stored = Arc::new(StoredEvent::new(&event, &self.name, self.id, offset, now));
        fresh.push(stored.clone());
        if offset.is_some() {
            self.stream.append(stored);
        }
        let published = Published {
            room: self.name.clone(),
            offset,
            epoch: self.stream.epoch().to_owned(),
            event_id: event.event_id.to_string(),
        };
        if let Some(key) = event.idempotency_key {
            self.stream.remember(key, published.clone(), now.0);
        }
        published
    }

    /// The members by user, and how many have none.
    pub(super) fn presence(&self) -> (Vec<PresenceUser>, u64) {
        let mut users: BTreeMap<&str, PresenceUser> = BTreeMap::new();
        let mut anonymous = 0;
        for member in &self.members {
            let Some(user) = &member.user else {
                anonymous += 1;
                continue;
            };
            let joined_at = member.joined_at;
            let entry = users.entry(user).or_insert_with(|| PresenceUser {
                user_id: user.to_string(),
                clients: 0,
                joined_at,
                info: None,
            });
            entry.clients += 1;
            entry.joined_at = entry.joined_at.min(joined_at);
        }
        (users.into_values().collect(), anonymous)
    }
}
