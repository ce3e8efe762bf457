//! The machine, step by step, in virtual time: the rig that the tests share.

mod connecting;
mod many_rooms;
mod messages;
mod order;
mod publishing;
mod resting;
mod rooms;
mod session;
mod tokens;

use super::*;
use crate::{config::BackoffConfig, control::*, pending::Settled, room::RoomStatus};
use osbackend_protocol::{ClientMessage, EvaluatedPolicy, Identity, Limits, Policy, RoomPosition, decode_client};

/// What a server tells of its default policy.
fn policy(sub: &str, role: &str) -> Option<EvaluatedPolicy> {
    Some(EvaluatedPolicy::of(&Policy::default(), Some(&Identity::new(sub, Some(role)))))
}

/// A machine with a clock that only the test moves.
struct Rig {
    machine: Machine,
    now: u64,
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn outcome(name: &str, epoch: &str, offset: u64, recovered: bool) -> RoomOutcome {
    RoomOutcome {
        room: name.to_owned(),
        epoch: epoch.to_owned(),
        offset,
        recovered,
        replayed: 0,
        snapshot: 0,
        client_count: 1,
        error: None,
    }
}

fn greeting(rooms: Vec<RoomOutcome>) -> Greeting {
    Greeting {
        client_id: "c1".to_owned(),
        authenticated: true,
        user_id: Some("u1".to_owned()),
        role: Some("user".to_owned()),
        protocol: 1,
        heartbeat_interval_ms: 25_000,
        limits: Limits { message_rate: 0, ..Limits::default() },
        resume: Some(ResumeGrant { token: "r1".to_owned() }),
        rooms,
        policy: None,
        downtime_ms: None,
        auth_timeout_ms: None,
    }
}

fn closed(code: Option<u16>, reason: &str, message: Option<&str>) -> ConnectionState {
    ConnectionState::Closed { code, reason: reason.to_owned(), message: message.map(str::to_owned), retry_at_ms: None }
}

fn error(code: &str) -> ErrorBody {
    ErrorBody { code: code.to_owned(), message: "m".to_owned(), retry_after_ms: None }
}

impl Rig {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        Self { machine: Machine::new(config, 42, 1_000), now: 1_000 }
    }

    fn input(&mut self, input: Input) -> Vec<Output> {
        self.machine.handle(input, self.now);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    fn control(&mut self, control: Control) -> Vec<Output> {
        self.input(Input::Control(control))
    }

    /// Moves the clock to the next deadline and lets it ring.
    fn ring(&mut self) -> Vec<Output> {
        self.now = self.machine.next_deadline().expect("a deadline").max(self.now);
        self.input(Input::Timer)
    }

    fn advance(&mut self, ms: u64) -> Vec<Output> {
        self.now += ms;
        self.input(Input::Timer)
    }

    fn close(&mut self, code: u16) -> Vec<Output> {
        self.input(Input::SocketClosed { code, reason: String::new() })
    }

    /// From a started attempt to the written `connect`, which is returned.
    fn open(&mut self) -> osbackend_protocol::client_msg::Connect {
        assert_eq!(self.input(Input::Token(Ok(Some("t".to_owned())))), [Output::OpenSocket]);
        match writes(self.input(Input::SocketOpened)).remove(0) {
            (_, ClientMessage::Connect(connect)) => connect,
            other => panic!("{other:?}"),
        }
    }

    fn live(rooms: Vec<RoomOutcome>) -> Self {
        let mut rig = Self::new();
        for result in &rooms {
            rig.input(Input::Join { room: room(&result.room), snapshot: true });
        }
        rig.input(Input::Connect);
        rig.open();
        rig.control(Control::Greeting(Box::new(greeting(rooms))));
        rig
    }

    /// After a drop: waits, connects again and is greeted.
    fn again(&mut self, rooms: Vec<RoomOutcome>) -> osbackend_protocol::client_msg::Connect {
        self.ring();
        let connect = self.open();
        self.control(Control::Greeting(Box::new(greeting(rooms))));
        connect
    }

    fn event(&mut self, name: &str, offset: u64) -> Delivery {
        self.skipping(name, offset, 0)
    }

    fn skipping(&mut self, name: &str, offset: u64, skipped: u64) -> Delivery {
        match self.machine.room_key(name) {
            Some(key) => self.machine.on_event(key, offset, skipped, false),
            None => Delivery::NotJoined,
        }
    }

    fn status(&self, name: &str) -> Option<RoomStatus> {
        self.machine.rooms().into_iter().find(|state| state.room == name).map(|state| state.status)
    }
}

/// The written messages, decoded by the protocol's own decoder.
fn writes(outputs: Vec<Output>) -> Vec<(u64, ClientMessage)> {
    outputs
        .into_iter()
        .filter_map(|output| if let Output::Write(text) = output { Some(text) } else { None })
        .map(|text| {
            let frame = decode_client(&text).remove(0).expect("the server takes it");
            let id = frame.id.map_or(0, |id| serde_json::to_string(&id).unwrap().parse().unwrap());
            (id, frame.message)
        })
        .collect()
}

fn join_of(outputs: Vec<Output>) -> (u64, osbackend_protocol::client_msg::Join) {
    match writes(outputs).remove(0) {
        (id, ClientMessage::Join(join)) => (id, join),
        other => panic!("{other:?}"),
    }
}
