//! The machine: inputs and time in, outputs and a deadline out.
//!
//! What happens between two sessions is in `machine/connecting.rs`, what happens within one in `machine/session.rs`, what becomes of
//! rooms in `machine/rooms.rs`, and how the application's messages are queued and written in `machine/messages.rs`.

mod connecting;
mod messages;
mod rooms;
mod session;

use crate::{
    backoff::Backoff,
    config::Config,
    control::Control,
    deadlines::{Deadlines, Due},
    leaves::Leaves,
    pending::{Failure, Message, Pending},
    publish::{Keys, Lane},
    rates::Rates,
    refusals::Refusals,
    room::{Delivery, RoomKey, RoomState},
    rooms::Rooms,
    state::{ConnectionState, Phase},
};
use osbackend_protocol::{Action, RoomName, RoomPosition, client_msg::Resume};
use std::collections::VecDeque;

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The application wants a connection. Does nothing where there is one, or one is being made.
    Connect,
    /// The application wants none any more: the socket is closed with 4000 (goodbye), and what waits is refused.
    Disconnect,
    /// The network came back.
    Online,
    /// The network is gone, as far as the page is told: a live connection must show that it lives, and attempts don't count.
    Offline,
    /// The page is about to be frozen, or kept for when its user comes back: it must have no socket then.
    Away,
    /// The page is seen again; its timers may have slept.
    Visible,
    /// The provider's answer to [`Output::NeedToken`]: a token, none (anonymous), or why there is none. Unasked on a
    /// live connection it refreshes the token in place.
    Token(Result<Option<String>, String>),
    /// Whether the token is a fixed text rather than a provider's answer; a provider's unless this says otherwise. A fixed
    /// one that expired is not sent again, and one that was refused ends the connection.
    TokenIsFixed(bool),
    /// The answer to [`Output::NeedToken`] where the fixed token is known to have expired.
    TokenExpired,
    /// The socket of the last [`Output::OpenSocket`] is open.
    SocketOpened,
    /// That socket is closed, or couldn't be opened (1006).
    SocketClosed {
        /// The close code; 1006 when there was none.
        code: u16,
        /// The close reason.
        reason: String,
    },
    /// That socket is closing, and what is written to it now would be lost without a word; its close will be told.
    SocketClosing,
    /// A system message.
    Control(Control),
    /// Any frame arrived.
    Activity,
    /// A frame arrived that isn't this protocol's.
    Malformed,
    /// The application wants to be in a room. Does nothing where it is, or asked already.
    Join {
        /// The room.
        room: RoomName,
        /// Whether it wants the newest event of each key at first (§5).
        snapshot: bool,
    },
    /// A room that is wanted, and not joined yet, was read up to here by a client before this one, as its
    /// [`Machine::rooms`] told after it was closed.
    Position(RoomPosition),
    /// The application doesn't want to be in a room any more.
    Leave {
        /// The room.
        room: RoomName,
    },
    /// A message with an answer; see [`Machine::request`].
    Request {
        /// From [`Machine::request`]: unique.
        id: u64,
        /// The message type.
        kind: String,
        /// A JSON object as text.
        payload: Option<String>,
        /// Milliseconds for the answer, time in the queue included; the configured time when `None`.
        timeout_ms: Option<u64>,
        /// It is a `publish` with an idempotency key; see [`Machine::publish`].
        lane: Option<Lane>,
    },
    /// A message without an answer.
    Send {
        /// The message type.
        kind: String,
        /// A JSON object as text.
        payload: Option<String>,
    },
    /// [`Machine::next_deadline`] may have passed.
    Timer,
}

/// Something to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask the token provider, then answer with [`Input::Token`].
    NeedToken,
    /// Open a socket with the subprotocol `osbackend.v1`.
    OpenSocket,
    /// Close the socket and report nothing of it any more, not its close either.
    CloseSocket {
        /// 1000, or 4000 and above.
        code: u16,
        /// The reason.
        reason: &'static str,
    },
    /// Write a text frame.
    Write(String),
    /// Tell the application the new state.
    State(ConnectionState),
    /// Tell the application what became of a room.
    Room(RoomState),
    /// Tell the application that a request failed. (Where it succeeded, [`Machine::settle`] said so.)
    RequestFailed {
        /// The request.
        id: u64,
        /// Why.
        failure: Failure,
    },
    /// Tell the application that a send was given up without being written; or, with the type `auth`, that the server refused
    /// the newer token.
    SendRefused {
        /// The message type.
        kind: String,
        /// The payload's text.
        payload: Option<String>,
        /// Why.
        failure: Failure,
    },
}

/// Rooms in one `connect` before a greeting has told how many a connection may join.
const ROOMS_IN_CONNECT: usize = 100;

/// The client's side of a connection.
#[derive(Debug)]
pub struct Machine {
    config: Config,
    phase: Phase,
    backoff: Backoff,
    deadlines: Deadlines,
    rooms: Rooms,
    leaves: Leaves,
    pending: Pending,
    rates: Rates,
    /// Rooms that the next `connect` may list.
    rooms_in_connect: usize,
    refusals: Refusals,
    /// The token is a text, which nobody can be asked to renew.
    token_is_fixed: bool,
    /// The last error about the connection itself, and when it came: a close that follows is explained by it.
    last_words: Option<(u64, String)>,
    outputs: VecDeque<Output>,
    keys: Keys,
    resume: Option<Resume>,
    /// The user of the last session: rooms of the server's own belong to them.
    user: Option<String>,
    /// The page says that there is no network.
    offline: bool,
    /// The server said of this connection that a new one is of no use before this time.
    not_before: Option<u64>,
    next_id: u64,
    now: u64,
}

impl Machine {
    /// An idle machine. `seed` decides the jitter; `now_ms` may count from any fixed moment.
    pub fn new(config: Config, seed: u64, now_ms: u64) -> Self {
        Self {
            backoff: Backoff::new(config.backoff, seed),
            config,
            phase: Phase::Idle,
            deadlines: Deadlines::default(),
            rooms: Rooms::default(),
            leaves: Leaves::default(),
            pending: Pending::default(),
            rates: Rates::default(),
            rooms_in_connect: ROOMS_IN_CONNECT,
            refusals: Refusals::default(),
            token_is_fixed: false,
            last_words: None,
            outputs: VecDeque::new(),
            keys: Keys::new(seed),
            resume: None,
            user: None,
            offline: false,
            not_before: None,
            next_id: 1,
            now: now_ms,
        }
    }

    /// Takes in what happened. A `now_ms` before the last one counts as the last one.
    pub fn handle(&mut self, input: Input, now_ms: u64) {
        self.now = self.now.max(now_ms);
        match input {
            Input::Connect => self.connect(),
            Input::Disconnect => self.disconnect(),
            Input::Online => self.online(),
            Input::Offline => self.offline(),
            Input::Visible => self.nudge(),
            Input::Away => self.away(),
            Input::Token(answer) => self.token(answer),
            Input::TokenIsFixed(fixed) => self.token_is_fixed = fixed,
            Input::TokenExpired => self.token_expired(),
            Input::SocketOpened => self.socket_opened(),
            Input::SocketClosed { code, reason } => self.socket_closed(code, reason),
            Input::SocketClosing => self.socket_closing(),
            Input::Control(control) => self.control(control),
            Input::Activity => self.heard(),
            Input::Malformed => self.malformed(),
            Input::Join { room, snapshot } => self.join(&room, snapshot),
            Input::Position(position) => self.rooms.begin_at(position),
            Input::Leave { room } => self.leave(room),
            Input::Request { id, kind, payload, timeout_ms, lane } => self.take_request(id, kind, payload, timeout_ms, lane),
            Input::Send { kind, payload } => self.enqueue(Message { request: None, kind, payload, attempts: None }),
            Input::Timer => {}
        }
        self.run_deadlines();
        self.flush();
        self.deadlines.put(Due::Requests, self.pending.next_deadline());
        self.arm_joins();
    }

    /// The next thing to do. Do it (listeners may call back into the machine), then ask again.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timer`] is due, in the machine's milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.deadlines.next()
    }

    /// The hot path: judges an event. Poll the outputs after a [`Delivery::Gap`].
    ///
    /// `offset` 0 stands for an ephemeral event (§5), which is delivered wherever its room is joined.
    pub fn on_event(&mut self, room: RoomKey, offset: u64, skipped: u64, snapshot: bool) -> Delivery {
        if !matches!(self.phase, Phase::Live(_)) {
            return Delivery::NotJoined;
        }
        let delivery = self.rooms.judge(room, offset, skipped, snapshot);
        if delivery == Delivery::Gap {
            self.heal(room);
            self.flush();
            self.arm_joins();
        }
        delivery
    }

    /// A frame arrived at `now_ms`: [`Input::Activity`] without its outputs and deadlines, cheap enough for each frame.
    pub fn on_activity(&mut self, now_ms: u64) {
        self.now = self.now.max(now_ms);
        self.heard();
    }

    /// The key for the hot path, of a room that is joined or wanted.
    pub fn room_key(&self, room: &str) -> Option<RoomKey> {
        self.rooms.key(room)
    }

    /// Every room, in the order of their names.
    pub fn rooms(&self) -> Vec<RoomState> {
        self.rooms.states()
    }

    /// The connection, as the application sees it.
    pub fn state(&self) -> ConnectionState {
        self.phase.public()
    }

    /// The client id of the live session, or the one that the next session will try to resume.
    pub fn client_id(&self) -> Option<&str> {
        match &self.phase {
            Phase::Live(live) => Some(&live.client_id),
            _ => self.resume.as_ref().map(|resume| resume.client_id.as_str()),
        }
    }

    /// Whether the live session's user may do `action`, by what the server told of its policy: to show or hide things. The
    /// server decides by itself; what only the application's backend decides is false here.
    pub fn can(&self, room: &RoomName, action: Action) -> bool {
        match &self.phase {
            Phase::Live(live) => live.policy.can(room.as_str(), action),
            _ => false,
        }
    }

    fn allocate_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    fn emit_state(&mut self) {
        let state = self.phase.public();
        self.emit(Output::State(state));
    }

    fn emit_room(&mut self, state: Option<RoomState>) {
        if let Some(state) = state {
            self.emit(Output::Room(state));
        }
    }

    fn step_timeout(&self) -> u64 {
        self.now.saturating_add(self.config.connect_timeout_ms.max(1))
    }

    fn run_deadlines(&mut self) {
        while let Some(due) = self.deadlines.expired(self.now) {
            match due {
                Due::Connecting => self.step_timed_out(),
                Due::Retry => self.retry(),
                Due::Liveness => self.check_liveness(),
                Due::Drain => self.slot_came(),
                Due::Refresh => self.ask_for_newer_token(),
                Due::Requests => {
                    let (over, messages) = self.pending.expired(self.now);
                    for id in over {
                        self.emit(Output::RequestFailed { id, failure: Failure::timeout() });
                    }
                    for message in messages {
                        self.refuse(message, Failure::timeout());
                    }
                }
                // flush() follows.
                Due::Joins => self.rooms.due(self.now),
                Due::Queue => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
