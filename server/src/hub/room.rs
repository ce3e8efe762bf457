//! A room: its stream and its members, under one lock, so that order, history and snapshot agree.

use crate::{
    engine::{EngineError, Position, Recovered, Stream},
    hub::{
        counts::Batch,
        event::{Encoded, NewEvent, StoredEvent},
        outbox::{Outbox, ReplayMark, Run},
        presence::Roster,
        registry::ConnectionId,
    },
};
use osbackend_protocol::{ErrorCode, Published, RoomJoined, RoomName, Timestamp};
use std::{collections::HashMap, sync::Arc};

/// When a join is to be tried again that was refused because of the replays that wait, in milliseconds.
const BEHIND_RETRY_MS: u64 = 2_000;

/// Someone who receives the room's events.
pub(super) struct Member {
    pub(super) connection: ConnectionId,
    pub(super) outbox: Arc<Outbox>,
    pub(super) user: Option<Arc<str>>,
    /// Whether it is told who comes and goes.
    pub(super) sees_presence: bool,
    /// Whether it has asked who is there: what it was told is kept true.
    pub(super) follows_presence: bool,
    /// From which offset on it was last sent what it had missed, and whether that still waits whole.
    replay: Option<(u64, ReplayMark)>,
}

/// A room.
pub(super) struct Room {
    pub(super) name: RoomName,
    id: u64,
    pub(super) stream: Stream,
    pub(super) members: Vec<Member>,
    /// Where in `members` a connection is.
    pub(super) places: HashMap<ConnectionId, usize>,
    /// Who the members are, to each other.
    pub(super) roster: Roster,
    /// Whether a new picture of the roster is due to who follows it, after the start.
    pub(super) stale: bool,
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
    /// Whether who joins is to be told who else comes and goes.
    pub presence: bool,
    /// Whether the client was here before, as far as it shows: right after a start that is no news.
    pub returning: bool,
    /// Whether it is the user's own room, which is joined however many replays wait: no client asks again for a room that it
    /// did not ask for.
    pub own: bool,
}

/// When who found a room full may ask again, in milliseconds.
const FULL_ROOM_RETRY_MS: u64 = 5_000;

/// Why a room was not joined.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JoinError {
    /// It has as many members as the policy lets in.
    #[error("the room is full: {0} connections at most. Try again later")]
    Full(usize),
    /// The connection has yet to read what earlier joins brought about.
    #[error("too much that was missed waits to be read: join this room again in a moment")]
    Behind {
        /// Whether it is in the room, and stays there.
        member: bool,
    },
    /// Its stream can't be opened.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl JoinError {
    /// The code to answer with (§6).
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full(_) => ErrorCode::LimitReached,
            Self::Behind { .. } => ErrorCode::RateLimited,
            Self::Engine(_) => ErrorCode::Unavailable,
        }
    }

    /// When to join again, in milliseconds, where that is known.
    pub fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Behind { .. } => Some(BEHIND_RETRY_MS),
            Self::Full(_) => Some(FULL_ROOM_RETRY_MS),
            Self::Engine(_) => None,
        }
    }

    /// Whether the connection is still in the room.
    pub fn keeps_membership(&self) -> bool {
        matches!(self, Self::Behind { member: true })
    }
}

impl Room {
    pub(super) fn new(name: RoomName, id: u64, stream: Stream) -> Self {
        let (members, places) = (Vec::new(), HashMap::new());
        Self { name, id, stream, members, places, roster: Roster::default(), stale: false, used: true }
    }

    pub(super) fn client_count(&self) -> usize {
        self.members.len()
    }

    pub(super) fn is_member(&self, connection: ConnectionId) -> bool {
        self.places.contains_key(&connection)
    }

    /// Whether nobody is in it, nor on the way back.
    pub(super) fn is_deserted(&self) -> bool {
        self.members.is_empty() && self.roster.is_empty()
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
        let place = self.places.get(&connection).copied();
        // What it asks for once more waits whole: it gets that, and nothing twice.
        let waits =
            |(from, mark): &(u64, ReplayMark)| request.position.as_ref().is_some_and(|p| p.offset == *from) && mark.is_whole();
        let again = recovered && place.is_some_and(|place| self.members[place].replay.as_ref().is_some_and(waits));
        let events = if again { Vec::new() } else { events };
        if !events.is_empty() && !request.own && outbox.replays_are_full() {
            return Err(JoinError::Behind { member: place.is_some() });
        }
        if place.is_some() {
            outbox.seal(self.id);
        } else {
            self.places.insert(connection, self.members.len());
            if self.members.is_empty() {
                // Most rooms are a user's own: `Vec` would begin with room for four.
                self.members.reserve_exact(1);
            }
            let (outbox, sees_presence) = (outbox.clone(), request.presence);
            self.members.push(Member { connection, outbox, user, sees_presence, follows_presence: false, replay: None });
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
        if !again {
            let mark = outbox.replay(events, !recovered);
            let from = request.position.as_ref().filter(|_| recovered).map(|position| position.offset);
            if let Some(member) = self.places.get(&connection).and_then(|place| self.members.get_mut(*place)) {
                member.replay = from.filter(|_| mark.is_whole()).map(|from| (from, mark));
            }
        }
        Ok(joined)
    }

    /// The member that the connection was.
    pub(super) fn leave(&mut self, connection: ConnectionId) -> Option<Member> {
        let place = self.places.remove(&connection)?;
        let member = self.members.swap_remove(place);
        member.outbox.seal(self.id);
        if let Some(moved) = self.members.get(place) {
            self.places.insert(moved.connection, place);
        }
        // Rooms swell at reconnect storms; what they don't need afterwards goes back.
        if self.members.capacity() > 64 && self.members.len() * 4 < self.members.capacity() {
            self.members.shrink_to(self.members.len() * 2);
            self.places.shrink_to(self.members.len() * 2);
        }
        Some(member)
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
}
