//! Publishes against a small server that stores by idempotency key: stored once, resolved once, in order, whatever is lost.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use osbackend_client_core::{
    BackoffConfig, Config, Control, Input, Machine, Output, Publish, Settled,
    control::{ErrorBody, Greeting, ResumeGrant},
};
use osbackend_protocol::{ClientMessage, Limits, decode_client};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    /// The server reads so many frames.
    Serve(u8),
    /// The client reads so many answers.
    Read(u8),
    /// The connection is gone, with all that is on its way.
    Cut,
    /// From here on the server refuses so many publishes for now.
    Refuse(u8),
    Advance(u64),
}

fn step(refusals: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u8..3).prop_map(Step::Publish),
        4 => (1u8..6).prop_map(Step::Serve),
        4 => (1u8..6).prop_map(Step::Read),
        2 => Just(Step::Cut),
        1 => (0u8..3).prop_map(move |count| Step::Refuse(if refusals { count } else { 0 })),
        3 => prop::sample::select(vec![10, 500, 4_000, 20_000, 120_000]).prop_map(Step::Advance),
    ]
}

/// A world of one client and one server.
struct World {
    machine: Machine,
    now: u64,
    socket: bool,
    up: VecDeque<String>,
    down: VecDeque<(u64, Result<(), &'static str>)>,
    refuse: u8,
    /// By room: the numbers that were stored, in their order.
    stored: BTreeMap<String, Vec<u64>>,
    keys: BTreeMap<(String, String), u64>,
    /// The keys that this connection was refused for now.
    refused: BTreeSet<String>,
    open: BTreeSet<u64>,
    outcomes: BTreeMap<u64, Result<(), String>>,
    numbers: BTreeMap<u64, (String, u64)>,
}

impl World {
    fn new(seed: u64) -> Self {
        let backoff = BackoffConfig { attempts: 0, ..BackoffConfig::default() };
        let mut world = Self {
            machine: Machine::new(Config { backoff, queue_limit: 1_000, ..Config::default() }, seed, 0),
            now: 0,
            socket: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            refuse: 0,
            stored: BTreeMap::new(),
            keys: BTreeMap::new(),
            refused: BTreeSet::new(),
            open: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            numbers: BTreeMap::new(),
        };
        world.input(Input::Connect);
        world
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(input, self.now);
        self.perform();
    }

    fn end(&mut self, id: u64, outcome: Result<(), String>) {
        assert!(self.open.remove(&id), "a second outcome of {id}: {outcome:?}");
        self.outcomes.insert(id, outcome);
    }

    fn perform(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::NeedToken => self.machine.handle(Input::Token(Ok(None)), self.now),
                Output::OpenSocket => {
                    self.socket = true;
                    self.machine.handle(Input::SocketOpened, self.now);
                }
                Output::CloseSocket { .. } => self.lose(),
                Output::Write(text) => self.up.push_back(text),
                Output::RequestFailed { id, failure } => self.end(id, Err(failure.code.into_owned())),
                _ => {}
            }
        }
    }

    fn lose(&mut self) {
        self.socket = false;
        self.up.clear();
        self.down.clear();
        self.refused.clear();
    }

    /// The server reads one frame.
    fn serve(&mut self) {
        let Some(text) = self.up.pop_front() else { return };
        let frame = decode_client(&text).remove(0).unwrap();
        let id: u64 = frame.id.map_or(0, |id| serde_json::to_string(&id).unwrap().parse().unwrap());
        match frame.message {
            ClientMessage::Connect(_) => self.down.push_back((0, Ok(()))),
            ClientMessage::Publish(publish) => {
                let given = publish.idempotency_key.clone().unwrap();
                let passes = publish.after.is_some_and(|after| self.refused.contains(&after));
                if passes || self.refuse > 0 {
                    self.refuse -= u8::from(!passes);
                    self.refused.insert(given);
                    return self.down.push_back((id, Err(if passes { "unavailable" } else { "rate_limited" })));
                }
                self.refused.remove(&given);
                let room = publish.room.to_string();
                let number: u64 = publish.data.get().trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                let key = (room.clone(), publish.idempotency_key.unwrap());
                match self.keys.get(&key) {
                    Some(before) => assert_eq!(*before, number, "two events have one key"),
                    None => {
                        self.keys.insert(key, number);
                        self.stored.entry(room).or_default().push(number);
                    }
                }
                self.down.push_back((id, Ok(())));
            }
            _ => {}
        }
    }

    /// The client reads one answer.
    fn read(&mut self) {
        match self.down.pop_front() {
            None => {}
            Some((0, _)) => self.input(Input::Control(Control::Greeting(Box::new(Greeting {
                client_id: "c".to_owned(),
                authenticated: true,
                user_id: Some("u".to_owned()),
                role: None,
                protocol: 1,
                heartbeat_interval_ms: 0,
                limits: Limits { message_rate: 0, ..Limits::default() },
                resume: Some(ResumeGrant { token: "r".to_owned() }),
                rooms: vec![],
                policy: None,
                downtime_ms: None,
                auth_timeout_ms: None,
            })))),
            Some((id, Ok(()))) => {
                if self.machine.settle(id) == Settled::Request {
                    self.end(id, Ok(()));
                }
                self.perform();
            }
            Some((id, Err(code))) => {
                let error = ErrorBody { code: code.to_owned(), message: String::new(), retry_after_ms: Some(700) };
                self.input(Input::Control(Control::Error { id: Some(id), error }));
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(room) => {
                let number = self.numbers.len() as u64;
                let room = format!("agent:{room}");
                let (kind, data) = ("note".to_owned(), Some(format!("{{\"n\":{number}}}")));
                let event = Publish { room: room.clone(), kind, data, ..Publish::default() };
                let id = self.machine.publish(&event, self.now);
                self.open.insert(id);
                self.numbers.insert(id, (room, number));
                self.perform();
            }
            Step::Serve(count) => (0..count).for_each(|_| self.serve()),
            Step::Read(count) => (0..count).for_each(|_| self.read()),
            Step::Cut if self.socket => {
                self.lose();
                self.input(Input::SocketClosed { code: 1006, reason: String::new() });
            }
            Step::Cut => {}
            Step::Refuse(count) => self.refuse = count,
            Step::Advance(ms) => {
                let until = self.now + ms;
                while let Some(at) = self.machine.next_deadline().filter(|at| *at <= until) {
                    self.now = self.now.max(at);
                    self.input(Input::Timer);
                }
                self.now = until;
            }
        }
    }

    /// No more faults: everything gets its outcome, and the outcomes are the truth.
    fn check(mut self) {
        self.refuse = 0;
        for _ in 0..400 {
            self.serve();
            self.read();
            self.step(Step::Advance(1_000));
        }
        assert!(self.open.is_empty(), "without an outcome: {:?}", self.open);
        for (id, (room, number)) in &self.numbers {
            let count = self.stored.get(room).map_or(0, |all| all.iter().filter(|other| *other == number).count());
            assert!(count <= 1, "{number} was stored {count} times");
            match &self.outcomes[id] {
                Ok(()) => assert_eq!(count, 1, "{number} was confirmed and not stored"),
                Err(code) if code == "outcome_unknown" => {}
                Err(code) => assert_eq!(count, 0, "{number} failed with {code} and was stored"),
            }
        }
        for (room, stored) in &self.stored {
            assert!(stored.is_sorted(), "{room}: stored as {stored:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lost_connections_store_nothing_twice_and_keep_the_order(
        seed in any::<u64>(), steps in prop::collection::vec(step(false), 0..150),
    ) {
        let mut world = World::new(seed);
        steps.into_iter().for_each(|step| world.step(step));
        world.check();
    }

    #[test]
    fn refusals_for_now_store_nothing_twice_and_keep_the_order(seed in any::<u64>(), steps in prop::collection::vec(step(true), 0..150)) {
        let mut world = World::new(seed);
        steps.into_iter().for_each(|step| world.step(step));
        world.check();
    }
}
