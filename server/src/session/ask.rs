//! Questions to the application's backend: what is asked, what may be answered, and the order in which it takes effect.
//!
//! Requests that need an answer wait in one queue per connection, each with its questions asked at once. What is answered takes
//! effect in the order in which the client sent it, and what came behind a waiting request waits with it (§7); only heartbeats
//! don't. Answers are matched by ticket: one for a request that is no longer there finds nothing and is dropped.

use super::{Session, State, effect::Effect, effect::RoomRequest};
use osbackend_protocol::{
    ClientFrame, ClientMessage, CloseCode, ErrorBody, ErrorCode, JsonObject, RequestId, RoomName, RoomPosition, ServerMessage,
    server_msg::{Heartbeat, LeaveReason, RoomRefused},
};
use std::collections::VecDeque;

/// Requests and questions of one connection that may wait; nothing is read while there are as many.
const MAX_WAITING: usize = 32;

/// Which decisions the backend is asked for, whatever the policy says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// Before a client is greeted, or authenticates.
    pub connect: bool,
    /// Before a room is joined.
    pub join: bool,
    /// Before an event is published.
    pub publish: bool,
}

/// What the backend is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// May this client connect?
    Connect {
        /// Whether it takes up its former session.
        resumed: bool,
    },
    /// May it join this room?
    Join {
        /// The room.
        room: RoomName,
    },
    /// May it publish this event?
    Publish {
        /// The room.
        room: RoomName,
        /// The event's name.
        kind: String,
        /// The event's data.
        data: JsonObject,
    },
    /// May it see who is in this room?
    Presence {
        /// The room.
        room: RoomName,
    },
    /// May it read this room's history?
    History {
        /// The room.
        room: RoomName,
    },
}

/// The backend's decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No, with the error to answer with.
    Deny {
        /// Its code.
        code: ErrorCode,
        /// Its message.
        message: String,
    },
    /// Nobody could be asked: not now.
    Unavailable {
        /// When to try again, in milliseconds.
        retry_after_ms: u64,
    },
}

impl Verdict {
    /// The error that it stands for; `None` where it allows.
    fn error(self) -> Option<ErrorBody> {
        match self {
            Self::Allow => None,
            Self::Deny { code, message } => Some(ErrorBody::new(code, message)),
            Self::Unavailable { retry_after_ms } => {
                let message = "the backend that decides this can't be asked now: try again later";
                let mut error = ErrorBody::new(ErrorCode::Unavailable, message);
                error.retry_after_ms = Some(retry_after_ms);
                Some(error)
            }
        }
    }
}

/// Whether a rule lets a request through by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// It does.
    Given,
    /// The backend decides.
    Ask,
}

/// What happens once all questions of an entry are answered.
#[derive(Debug)]
pub(super) enum Then {
    /// The rooms of the greeting are looked at, if the client may connect.
    Greet { wanted: Vec<RoomPosition>, refused: Vec<RoomRefused>, id: Option<RequestId> },
    /// The greeting; each question is about the room at this place.
    Welcome { rooms: Vec<RoomRequest>, asked: Vec<usize>, id: Option<RequestId> },
    /// The answer to the first `auth`, if the client may connect.
    Authenticated { id: Option<RequestId> },
    /// The metrics of the legacy port, at the beginning or at an `auth`.
    Feed { id: Option<RequestId>, auth: bool },
    /// Rooms that stay joined only if the answers say so.
    Recheck { rooms: Vec<RoomName> },
    /// The request is carried out, if it is allowed. `fresh`: its join took a place that a refusal gives back.
    Request { frame: ClientFrame, fresh: bool },
    /// A request that asks nothing, or asks only once it has its turn.
    Turn { frame: ClientFrame },
}

/// One request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The ticket of its first question; the others' follow.
    first: u64,
    answers: Vec<Option<Verdict>>,
    /// Its room was left meanwhile.
    left: bool,
    then: Then,
}

impl Waiting {
    fn is_answered(&self) -> bool {
        self.left || self.answers.iter().all(Option::is_some)
    }

    /// Whether what comes behind it may depend on what it does to the user.
    fn changes_user(&self) -> bool {
        match &self.then {
            Then::Greet { .. } | Then::Welcome { .. } | Then::Authenticated { .. } | Then::Feed { .. } => true,
            Then::Turn { frame } => matches!(frame.message, ClientMessage::Auth(_) | ClientMessage::Connect(_)),
            Then::Recheck { .. } | Then::Request { .. } => false,
        }
    }

    fn joins(&self, room: &RoomName) -> bool {
        matches!(&self.then, Then::Request { frame: ClientFrame { message: ClientMessage::Join(join), .. }, .. } if join.room == *room)
    }
}

impl Session {
    /// Whether nothing should be read: a token is checked, or as much waits for the backend as may.
    pub fn is_held(&self) -> bool {
        self.is_verifying()
            || self.waiting.len() >= MAX_WAITING
            || self.waiting.iter().map(|waiting| waiting.answers.len()).sum::<usize>() >= MAX_WAITING
    }

    /// Whether the backend knows of this connection, and is to be told of its end.
    pub fn is_introduced(&self) -> bool {
        self.introduced
    }

    /// Asks, and puts what follows behind everything that waits already.
    pub(super) fn ask(&mut self, questions: Vec<Question>, then: Then) {
        let first = self.next_ticket;
        self.next_ticket += questions.len() as u64;
        let answers = vec![None; questions.len()];
        for (ticket, question) in (first..).zip(questions) {
            self.effects.push_back(Effect::Ask { ticket, question });
        }
        self.waiting.push_back(Waiting { first, answers, left: false, then });
    }

    /// A request that comes while others wait. It is asked about at once, so that a client's requests don't wait for each other's
    /// answers, unless it has to know first who the user is.
    pub(super) fn behind(&mut self, frame: ClientFrame, now: u64) {
        if matches!(frame.message, ClientMessage::Heartbeat) && self.greeted {
            return self.send(ServerMessage::Heartbeat(Heartbeat { server_time: self.shown(now), resume: None }), frame.id, now);
        }
        if let ClientMessage::Leave(leave) = &frame.message {
            self.waiting.iter_mut().filter(|waiting| waiting.joins(&leave.room)).for_each(|waiting| waiting.left = true);
        }
        let asks = matches!(
            frame.message,
            ClientMessage::Join(_) | ClientMessage::Publish(_) | ClientMessage::PresenceGet(_) | ClientMessage::HistoryGet(_)
        );
        let frame = if asks && !self.is_legacy() && !self.waiting.iter().any(Waiting::changes_user) {
            match self.ask_about(frame, now) {
                Some(frame) => frame,
                None => return self.take_turns(now),
            }
        } else {
            frame
        };
        self.waiting.push_back(Waiting { first: 0, answers: Vec::new(), left: false, then: Then::Turn { frame } });
        self.take_turns(now);
    }

    /// The backend answered the question with this ticket.
    pub fn on_answer(&mut self, ticket: u64, verdict: Verdict, now: u64) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let place = self.waiting.iter_mut().find_map(|waiting| {
            let index = usize::try_from(ticket.checked_sub(waiting.first)?).ok()?;
            waiting.answers.get_mut(index)
        });
        if let Some(place) = place {
            *place = Some(verdict);
            self.take_turns(now);
        }
    }

    /// Carries out what waits, from the front, up to what isn't answered yet.
    pub(super) fn take_turns(&mut self, now: u64) {
        while matches!(self.state, State::Open) && self.waiting.front().is_some_and(Waiting::is_answered) {
            if let Some(next) = self.waiting.pop_front() {
                self.in_front(|session| session.turn(next, now));
            }
        }
    }

    /// Runs `with`; what waits since then has its turn before what waited already.
    pub(super) fn in_front(&mut self, with: impl FnOnce(&mut Self)) {
        let mut rest = std::mem::take(&mut self.waiting);
        with(self);
        if self.waiting.is_empty() {
            self.waiting = rest;
        } else {
            self.waiting.append(&mut rest);
        }
        if matches!(self.state, State::Closed) {
            self.waiting = VecDeque::new();
        }
    }

    fn turn(&mut self, waiting: Waiting, now: u64) {
        let Waiting { answers, left, then, .. } = waiting;
        let mut answers = answers.into_iter().flatten();
        match then {
            Then::Turn { frame } if self.is_legacy() => self.legacy_request(frame, now),
            Then::Turn { frame } => self.request(frame, now),
            Then::Request { frame, .. } if left => {
                let message = "the room was left before the backend had answered";
                let error = ErrorBody::new(ErrorCode::NotJoined, message);
                self.send_error(frame.id, in_room_of(&frame.message, error), now);
            }
            Then::Request { frame, fresh } => match answers.next().and_then(Verdict::error) {
                None => self.answered(frame, now),
                Some(error) => self.denied(frame, fresh, error, now),
            },
            Then::Greet { wanted, refused, id } => match answers.next().and_then(Verdict::error) {
                None => self.greet_with(wanted, refused, id, now),
                Some(error) => self.not_admitted(id, error, now),
            },
            Then::Authenticated { id } => match answers.next().and_then(Verdict::error) {
                None => self.refreshed(id, now),
                Some(error) => self.not_admitted(id, error, now),
            },
            Then::Welcome { mut rooms, asked, id } => {
                for (place, verdict) in asked.into_iter().zip(answers) {
                    let Some(error) = verdict.error() else { continue };
                    if let Some(Ok(request)) = rooms.get(place) {
                        self.rooms.remove(&request.room);
                        rooms[place] = Err(RoomRefused { room: request.room.to_string(), error: error.into() });
                    }
                }
                self.welcomed(rooms, id, now);
            }
            Then::Feed { id, auth } => match answers.next().and_then(Verdict::error) {
                None => self.feed_allowed(id, auth, now),
                Some(error) => self.refuse_feed(id, error, now),
            },
            Then::Recheck { rooms } => self.rechecked(rooms, answers, now),
        }
    }

    fn denied(&mut self, frame: ClientFrame, fresh: bool, error: ErrorBody, now: u64) {
        let lost = error.code != ErrorCode::Unavailable;
        let error = in_room_of(&frame.message, error);
        self.remember(&frame.message, error.code, now);
        self.send_error(frame.id, error, now);
        if let ClientMessage::Join(join) = frame.message {
            if fresh {
                self.rooms.remove(&join.room);
            } else if lost && self.rooms.remove(&join.room) {
                // It was a member, and asked again to heal a gap: the newer answer counts.
                let reason = LeaveReason::PermissionLost;
                self.effects.push_back(Effect::Leave { room: join.room, reason, id: None });
            }
        }
    }

    /// The backend doesn't want this client, or can't be asked: it doesn't come in.
    fn not_admitted(&mut self, id: Option<RequestId>, error: ErrorBody, now: u64) {
        let unavailable = error.code == ErrorCode::Unavailable && error.retry_after_ms.is_some();
        if !unavailable {
            self.introduced = false;
        }
        self.send_error(id, error, now);
        self.close(if unavailable { CloseCode::TryLater } else { CloseCode::Forbidden });
    }

    fn rechecked(&mut self, rooms: Vec<RoomName>, answers: impl Iterator<Item = Verdict>, now: u64) {
        for (room, verdict) in rooms.into_iter().zip(answers) {
            match verdict {
                Verdict::Allow => {}
                Verdict::Deny { .. } => {
                    if self.rooms.remove(&room) {
                        self.effects.push_back(Effect::Leave { room, reason: LeaveReason::PermissionLost, id: None });
                    }
                }
                // Staying in would be open, and leaving would lose a room that is probably still allowed: the client comes
                // back by itself, and its rooms are asked about then.
                unavailable => {
                    if let Some(error) = unavailable.error() {
                        self.send_error(None, error, now);
                    }
                    return self.close(CloseCode::TryLater);
                }
            }
        }
    }
}

/// The error with the room that the request is about.
fn in_room_of(message: &ClientMessage, error: ErrorBody) -> ErrorBody {
    let room = match message {
        ClientMessage::Join(join) => &join.room,
        ClientMessage::Publish(publish) => &publish.room,
        ClientMessage::PresenceGet(get) => &get.room,
        ClientMessage::HistoryGet(get) => &get.room,
        _ => return error,
    };
    ErrorBody { room: Some(room.to_string()), ..error }
}
