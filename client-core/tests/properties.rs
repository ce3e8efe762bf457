//! Whatever is put in, in whatever order: no panic, never stuck, nothing lost in silence.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use osbackend_client_core::{
    Config, ConnectionState, Control, Input, Machine, Output, Publish,
    control::{Authenticated, Draining, ErrorBody, Greeting, ResumeGrant, RoomLeft, RoomOutcome},
};
use osbackend_protocol::{Limits, RoomName};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn room(number: u8) -> RoomName {
    RoomName::parse(&format!("agent:{}", number % 4)).unwrap()
}

fn outcome() -> impl Strategy<Value = RoomOutcome> {
    (any::<u8>(), 0u8..2, 0u64..12, any::<bool>(), 0u64..4, any::<bool>(), code()).prop_map(
        |(number, epoch, offset, recovered, replayed, refused, code)| RoomOutcome {
            room: room(number).as_str().to_owned(),
            epoch: format!("e{epoch}"),
            offset,
            recovered,
            replayed,
            snapshot: replayed,
            client_count: 1,
            error: refused.then(|| ErrorBody { code, message: String::new(), retry_after_ms: None }),
        },
    )
}

fn code() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "forbidden",
        "rate_limited",
        "unavailable",
        "internal",
        "unauthorized",
        "limit_reached",
        "from_the_future",
    ])
    .prop_map(str::to_owned)
}

fn greeting() -> impl Strategy<Value = Control> {
    let rooms = prop::collection::vec(outcome(), 0..4);
    (rooms, any::<bool>(), 0u64..60_000, 0u32..3, any::<bool>()).prop_map(|(rooms, authenticated, heartbeat, rate, resumed)| {
        Control::Greeting(Box::new(Greeting {
            client_id: "c".to_owned(),
            authenticated,
            user_id: authenticated.then(|| "u".to_owned()),
            role: None,
            protocol: 1,
            heartbeat_interval_ms: heartbeat,
            limits: Limits { message_rate: rate, ..Limits::default() },
            resume: Some(ResumeGrant { token: "r".to_owned() }),
            rooms,
            policy: None,
            downtime_ms: resumed.then_some(5),
            auth_timeout_ms: None,
        }))
    })
}

/// What a test does next; a step is an input, an event, or time.
#[derive(Clone, Debug)]
enum Step {
    Input(Input),
    Request,
    Publish(Publish),
    Event { room: u8, offset: u64, skipped: u64, snapshot: bool },
    Advance(u64),
    Ring,
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop::option::of(0u64..40);
    prop_oneof![
        3 => Just(Step::Input(Input::Connect)),
        1 => Just(Step::Input(Input::Disconnect)),
        1 => Just(Step::Input(Input::Online)),
        1 => Just(Step::Input(Input::Visible)),
        1 => Just(Step::Input(Input::Offline)),
        1 => Just(Step::Input(Input::Away)),
        1 => Just(Step::Input(Input::Malformed)),
        1 => Just(Step::Input(Input::SocketClosing)),
        2 => Just(Step::Input(Input::Activity)),
        4 => Just(Step::Input(Input::Token(Ok(Some("t".to_owned()))))),
        1 => Just(Step::Input(Input::Token(Ok(None)))),
        1 => Just(Step::Input(Input::Token(Err("no".to_owned())))),
        4 => Just(Step::Input(Input::SocketOpened)),
        2 => prop::sample::select(vec![1000u16, 1006, 1012, 4001, 4002, 4501, 4777, 0, 65_535])
            .prop_map(|code| Step::Input(Input::SocketClosed { code, reason: String::new() })),
        6 => greeting().prop_map(|control| Step::Input(Input::Control(control))),
        2 => (id.clone(), outcome()).prop_map(|(id, result)| Step::Input(Input::Control(Control::RoomJoined { id, result }))),
        1 => (id.clone(), any::<u8>(), prop::sample::select(vec!["requested", "permission_lost", "room_closed", "?"]))
            .prop_map(|(id, number, reason)| {
                let left = RoomLeft { room: room(number).as_str().to_owned(), reason: reason.to_owned() };
                Step::Input(Input::Control(Control::RoomLeft { id, left }))
            }),
        2 => (id, code()).prop_map(|(id, code)| {
            let error = ErrorBody { code, message: String::new(), retry_after_ms: None };
            Step::Input(Input::Control(Control::Error { id, error }))
        }),
        1 => prop::collection::vec(outcome(), 0..2).prop_map(|rooms| {
            Step::Input(Input::Control(Control::Authenticated(Authenticated { user_id: "v".to_owned(), role: None, rooms, policy: None, resume: None })))
        }),
        1 => Just(Step::Input(Input::Control(Control::TokenExpiring))),
        1 => prop::sample::select(vec![0, 1_000, u64::MAX])
            .prop_map(|ms| Step::Input(Input::Control(Control::Draining(Draining { reconnect_after_ms: ms })))),
        3 => (any::<u8>(), any::<bool>()).prop_map(|(number, snapshot)| Step::Input(Input::Join { room: room(number), snapshot })),
        1 => any::<u8>().prop_map(|number| Step::Input(Input::Leave { room: room(number) })),
        2 => Just(Step::Request),
        // A timeout of 0 has passed when it is given: it ends with the next input.
        3 => (any::<u8>(), any::<bool>(), prop::option::of(1u64..400_000)).prop_map(|(number, ephemeral, timeout_ms)| {
            let (room, kind) = (room(number).as_str().to_owned(), "note".to_owned());
            Step::Publish(Publish { room, kind, data: Some("{}".to_owned()), ephemeral, timeout_ms, ..Publish::default() })
        }),
        2 => Just(Step::Input(Input::Send { kind: "s".to_owned(), payload: None })),
        8 => (any::<u8>(), 0u64..14, 0u64..3, any::<bool>())
            .prop_map(|(room, offset, skipped, snapshot)| Step::Event { room, offset, skipped, snapshot }),
        2 => (0u64..40_000).prop_map(Step::Advance),
        4 => Just(Step::Ring),
    ]
}

/// Watches the outputs for what must never happen.
#[derive(Default)]
struct Witness {
    socket: bool,
    written: usize,
    open_requests: BTreeSet<u64>,
    unsent: usize,
}

impl Witness {
    fn see(&mut self, output: Output) {
        match output {
            Output::OpenSocket => {
                assert!(!self.socket, "a second socket");
                self.socket = true;
            }
            Output::CloseSocket { code, .. } => {
                assert!(self.socket, "closes what isn't open");
                assert!(code == 1000 || (4000..5000).contains(&code), "a browser refuses {code}");
                self.socket = false;
            }
            Output::Write(text) => {
                assert!(self.socket, "writes without a socket: {text}");
                let frames = osbackend_protocol::decode_client(&text);
                assert!(frames.iter().all(Result::is_ok), "{text}: {frames:?}");
                self.written += 1;
                self.unsent -= usize::from(text == "{\"type\":\"s\"}");
            }
            Output::RequestFailed { id, .. } => assert!(self.open_requests.remove(&id), "failed twice or never made"),
            Output::SendRefused { kind, .. } => self.unsent -= usize::from(kind != "auth"),
            Output::NeedToken | Output::State(_) | Output::Room(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_stuck_never_lost(seed in any::<u64>(), steps in prop::collection::vec(step(), 0..120)) {
        let mut now = 0;
        let config = Config { queue_limit: 4, ..Config::default() };
        let mut machine = Machine::new(config, seed, now);
        let mut witness = Witness::default();
        // Per room: the epoch and offset of the last event that was shown live.
        let mut shown: BTreeMap<String, (String, u64)> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Input(input) => {
                    match &input {
                        Input::Send { .. } => witness.unsent += 1,
                        Input::SocketClosed { .. } if !witness.socket => continue,
                        Input::SocketClosed { .. } => witness.socket = false,
                        Input::Leave { room } => { shown.remove(room.as_str()); }
                        _ => {}
                    }
                    machine.handle(input, now);
                }
                Step::Request => {
                    let id = machine.request("r", None, None, now);
                    prop_assert!(witness.open_requests.insert(id), "an id was given twice");
                }
                Step::Publish(event) => {
                    let id = machine.publish(&event, now);
                    prop_assert!(witness.open_requests.insert(id), "an id was given twice");
                }
                Step::Event { room: number, offset, skipped, snapshot } => {
                    let name = room(number);
                    let Some(key) = machine.room_key(name.as_str()) else { continue };
                    let before = machine.rooms().into_iter().find(|state| state.room == name.as_str());
                    let delivery = machine.on_event(key, offset, skipped, snapshot);
                    let after = machine.rooms().into_iter().find(|state| state.room == name.as_str());
                    let (before, after) = (before.unwrap(), after.unwrap());
                    if delivery.is_shown() && offset != 0 && after.offset != before.offset {
                        let epoch = after.epoch.clone().unwrap();
                        prop_assert!(offset > before.offset.unwrap());
                        prop_assert!(offset <= before.offset.unwrap() + 1 + skipped, "a gap was shown");
                        shown.insert(after.room, (epoch, offset));
                    } else {
                        prop_assert_eq!(before.offset, after.offset, "only a delivery moves the position");
                    }
                }
                Step::Advance(ms) => {
                    now += ms;
                    machine.handle(Input::Timer, now);
                }
                Step::Ring => {
                    if let Some(at) = machine.next_deadline().filter(|at| *at < u64::MAX) {
                        now = now.max(at);
                        machine.handle(Input::Timer, now);
                    }
                }
            }
            while let Some(output) = machine.poll_output() {
                witness.see(output);
            }
            let state = machine.state();
            if !matches!(state, ConnectionState::Closed { .. } | ConnectionState::Idle) {
                prop_assert!(machine.next_deadline().is_some(), "stuck in {state:?}");
            }
            prop_assert_eq!(
                witness.socket && matches!(state, ConnectionState::Closed { .. } | ConnectionState::Reconnecting { .. }),
                false,
                "a socket is left behind in {:?}", machine.state()
            );
            if let Some(at) = machine.next_deadline() {
                prop_assert!(at > now, "a deadline that has passed wasn't handled");
            }
        }
        // In the end every request and every send has had its outcome.
        machine.handle(Input::Disconnect, now);
        while let Some(output) = machine.poll_output() {
            witness.see(output);
        }
        prop_assert!(witness.open_requests.is_empty(), "requests without an outcome: {:?}", witness.open_requests);
        prop_assert_eq!(witness.unsent, 0, "sends were lost in silence");
    }
}
