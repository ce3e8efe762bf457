//! A shell for everything that isn't a browser: text frames in, calls of a [`Host`] out.
//!
//! Still without I/O and clock: the deterministic simulation runs it in virtual time, a native client runs it
//! between its socket and its timer. The browser's shell does the same, but lets the browser parse the frames.

use crate::{
    config::Config,
    control::Control,
    machine::{Input, Machine, Output},
    pending::{Failure, Settled},
    publish::Publish,
    room::{Delivery, RoomState},
    state::ConnectionState,
};
use osbackend_protocol::server_msg::SYSTEM_TYPES;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What a [`Driver`] needs done, and to whom it tells what happened.
pub trait Host {
    /// Open a socket with the subprotocol `osbackend.v1`; report [`Input::SocketOpened`] or [`Input::SocketClosed`].
    fn open_socket(&mut self);
    /// Close the socket and report nothing of it any more.
    fn close_socket(&mut self, code: u16, reason: &'static str);
    /// Write a text frame to the socket.
    fn write(&mut self, text: String);
    /// Answer with [`Input::Token`], now or later.
    fn need_token(&mut self);
    /// An event, each exactly once and in its room's order.
    fn event(&mut self, event: &Event<'_>);
    /// The connection's state changed.
    fn state(&mut self, _state: &ConnectionState) {}
    /// A room was joined, refused or left by the server.
    fn room(&mut self, _room: &RoomState) {}
    /// A request is over: the answer's data as JSON text, or why there is none.
    fn reply(&mut self, _id: u64, _outcome: Result<&str, Failure>) {}
    /// A send was given up without being written.
    fn send_refused(&mut self, _kind: &str, _payload: Option<&str>, _failure: Failure) {}
    /// A system message that is no answer to a request; `data` is JSON text.
    fn system(&mut self, _kind: &str, _data: &str) {}
}

/// An event of a room (§4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its name.
    pub kind: &'a str,
    /// Its data, as JSON text.
    pub data: &'a str,
    /// Its room.
    pub room: &'a str,
    /// Its place in the room; `None` for an ephemeral one.
    pub offset: Option<u64>,
    /// The same in every room that it was emitted to.
    pub event_id: Option<&'a str>,
    /// When the server took it, ISO 8601 in UTC.
    pub timestamp: Option<&'a str>,
    /// Whether it belongs to the snapshot of a join.
    pub snapshot: bool,
    /// Whether it was missed at its time, and comes now because the stream was taken up again.
    pub replayed: bool,
    /// How many events before it were conflated.
    pub skipped: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    room: Option<Cow<'a, str>>,
    #[serde(default)]
    offset: Option<u64>,
    #[serde(borrow, default)]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    timestamp: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(default)]
    snapshot: bool,
    #[serde(default)]
    skipped: u64,
}

/// A machine with its host.
#[derive(Debug)]
pub struct Driver<H> {
    /// The machine; after changing it directly call [`Driver::drain`].
    pub machine: Machine,
    /// The host.
    pub host: H,
}

impl<H: Host> Driver<H> {
    /// An idle client; see [`Machine::new`].
    pub fn new(config: Config, seed: u64, now_ms: u64, host: H) -> Self {
        Self { machine: Machine::new(config, seed, now_ms), host }
    }

    /// Takes in what happened and performs what follows from it.
    pub fn handle(&mut self, input: Input, now_ms: u64) {
        self.machine.handle(input, now_ms);
        self.drain();
    }

    /// Sends a request; the outcome comes by [`Host::reply`] under the id that is returned.
    pub fn request(&mut self, kind: &str, payload: Option<String>, timeout_ms: Option<u64>, now_ms: u64) -> u64 {
        let id = self.machine.request(kind, payload, timeout_ms, now_ms);
        self.drain();
        id
    }

    /// Publishes an event; see [`Machine::publish`]. The outcome comes by [`Host::reply`].
    pub fn publish(&mut self, event: &Publish, now_ms: u64) -> u64 {
        let id = self.machine.publish(event, now_ms);
        self.drain();
        id
    }

    /// When [`Input::Timer`] is due.
    pub fn next_deadline(&self) -> Option<u64> {
        self.machine.next_deadline()
    }

    /// Takes in a text frame: one message, or an array of them (§7).
    pub fn text(&mut self, text: &str, now_ms: u64) {
        self.machine.on_activity(now_ms);
        let frames = if text.trim_start().starts_with('[') {
            serde_json::from_str::<Vec<Frame<'_>>>(text)
        } else {
            serde_json::from_str::<Frame<'_>>(text).map(|frame| vec![frame])
        };
        let Ok(frames) = frames else { return self.handle(Input::Malformed, now_ms) };
        for frame in frames {
            self.frame(&frame, now_ms);
        }
    }

    fn frame(&mut self, frame: &Frame<'_>, now_ms: u64) {
        let kind = &*frame.kind;
        let data = frame.data.map_or("{}", RawValue::get);
        let own = SYSTEM_TYPES.contains(&kind);
        if !own
            && frame.id.is_none()
            && let Some(room) = frame.room.as_deref()
        {
            let Some(key) = self.machine.room_key(room) else { return };
            let delivery = self.machine.on_event(key, frame.offset.unwrap_or(0), frame.skipped, frame.snapshot);
            if delivery.is_shown() {
                let replayed = delivery == Delivery::Replayed;
                let (offset, event_id) = (frame.offset, frame.event_id.as_deref());
                let (timestamp, snapshot, skipped) = (frame.timestamp.as_deref(), frame.snapshot, frame.skipped);
                self.host.event(&Event { kind, data, room, offset, event_id, timestamp, snapshot, replayed, skipped });
            }
            return self.drain();
        }
        let id = frame.id.and_then(|raw| raw.get().parse::<u64>().ok());
        match Control::decode(kind, id, &mut serde_json::Deserializer::from_str(data)) {
            Ok(Some(control)) => self.handle(Input::Control(control), now_ms),
            Ok(None) => {}
            Err(_) => return self.handle(Input::Malformed, now_ms),
        }
        match id {
            Some(id) if kind != "error" => {
                if self.machine.settle(id) == Settled::Request {
                    self.host.reply(id, Ok(data));
                    self.drain();
                }
            }
            Some(_) => {}
            None => self.host.system(kind, data),
        }
    }

    /// Performs what the machine has asked for.
    pub fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::NeedToken => self.host.need_token(),
                Output::OpenSocket => self.host.open_socket(),
                Output::CloseSocket { code, reason } => self.host.close_socket(code, reason),
                Output::Write(text) => self.host.write(text),
                Output::State(state) => self.host.state(&state),
                Output::Room(room) => self.host.room(&room),
                Output::RequestFailed { id, failure } => self.host.reply(id, Err(failure)),
                Output::SendRefused { kind, payload, failure } => {
                    self.host.send_refused(&kind, payload.as_deref(), failure);
                }
            }
        }
    }
}
