//! What a client is told: events, states, rooms, in the order in which they happened.

use std::pin::Pin;
use std::task::{Context, Poll};

use osbackend_client_core::{ConnectionState, Failure, RoomState, driver};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// An event of a room (§4), each exactly once and in its room's order.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its name.
    pub kind: String,
    /// Its room.
    pub room: String,
    /// Its data: a JSON object as text. Read it with `serde_json::from_str(event.data.get())`.
    pub data: Box<RawValue>,
    /// Its place in the room's stream; `None` for an ephemeral one.
    pub offset: Option<u64>,
    /// The same in every room that it was emitted to.
    pub event_id: Option<String>,
    /// When the server took it, ISO 8601 in UTC.
    pub timestamp: Option<String>,
    /// Whether it belongs to the snapshot of a join: the newest of its key, maybe seen before.
    pub snapshot: bool,
    /// Whether it was missed at its time, and comes now because the stream was taken up again after a loss.
    pub replayed: bool,
    /// How many events of the room before it were conflated (§5).
    pub skipped: u64,
}

impl Event {
    pub(crate) fn of(event: &driver::Event<'_>) -> Option<Self> {
        Some(Self {
            kind: event.kind.to_owned(),
            room: event.room.to_owned(),
            data: RawValue::from_string(event.data.to_owned()).ok()?,
            offset: event.offset,
            event_id: event.event_id.map(str::to_owned),
            timestamp: event.timestamp.map(str::to_owned),
            snapshot: event.snapshot,
            replayed: event.replayed,
            skipped: event.skipped,
        })
    }
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Notice {
    /// An event.
    Event(Event),
    /// The connection changed. After `Closed` nothing more comes until [`crate::Client::connect`] is called.
    State(ConnectionState),
    /// A room was joined, refused, or left by the server's will.
    Room(RoomState),
    /// A system message that answers nothing (§4), such as `draining` or `presence_join`; its data as JSON text.
    System {
        /// Its type.
        kind: String,
        /// Its data.
        data: String,
    },
    /// A [`crate::Client::send`] was given up unwritten, or a refreshed token was refused (`kind` is `auth`).
    SendRefused {
        /// The message type.
        kind: String,
        /// Why.
        failure: Failure,
    },
    /// So many events were dropped here, because nobody took them ([`crate::WhenFull::Drop`]).
    Dropped(u64),
}

/// The stream of notices of one client. When it is dropped, the client goes on without telling.
#[derive(Debug)]
pub struct Incoming {
    pub(crate) notices: mpsc::Receiver<Notice>,
}

impl Incoming {
    /// The next notice; `None` once the client has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// A notice that is there already.
    pub fn try_next(&mut self) -> Option<Notice> {
        self.notices.try_recv().ok()
    }
}

impl futures_util::Stream for Incoming {
    type Item = Notice;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        self.notices.poll_recv(context)
    }
}
