//! The machine, step by step, in virtual time.

use super::*;
use crate::{control::*, rooms::RoomStatus};
use osbackend_protocol::{ClientMessage, Limits, decode_client};

/// A machine with a clock that only the test moves.
struct Rig {
    machine: Machine,
    now: u64,
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

fn outcome(name: &str, epoch: &str, offset: u64, recovered: bool) -> RoomOutcome {
    RoomOutcome { room: room(name), epoch: epoch.to_owned(), offset, recovered, replayed: 0, client_count: 1, error: None }
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
        downtime_ms: None,
    }
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
            rig.input(Input::Join { room: result.room.clone(), snapshot: true });
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

#[test]
fn the_way_to_a_session() {
    let mut rig = Rig::new();
    assert_eq!(rig.input(Input::Connect), [Output::State(ConnectionState::Connecting { attempt: 1 }), Output::NeedToken]);
    assert_eq!(rig.input(Input::Connect), []);
    let connect = rig.open();
    assert_eq!((connect.protocol, connect.token.as_deref(), connect.batch), (1, Some("t"), true));
    let outputs = rig.control(Control::Greeting(Box::new(greeting(vec![outcome("user:u1", "e", 3, false)]))));
    let [Output::State(ConnectionState::Connected { client_id, authenticated: true, resumed: false, .. }), Output::Room(state)] =
        &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((client_id.as_str(), state.room.as_str(), state.offset), ("c1", "user:u1", Some(3)));
    assert_eq!(rig.event("user:u1", 4), Delivery::Deliver);
}

#[test]
fn each_step_of_connecting_times_out_and_counts() {
    for steps in 0..3 {
        let mut rig = Rig::new();
        rig.input(Input::Connect);
        if steps > 0 {
            rig.input(Input::Token(Ok(None)));
        }
        if steps > 1 {
            rig.input(Input::SocketOpened);
        }
        let outputs = rig.ring();
        assert_eq!(rig.now, 11_000);
        assert_eq!(matches!(outputs[0], Output::CloseSocket { .. }), steps > 0);
        assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 2, .. }));
    }
}

#[test]
fn ten_attempts_then_closed_and_what_waits_is_refused() {
    let mut rig = Rig::new();
    rig.input(Input::Send { kind: "hello".to_owned(), payload: None });
    rig.input(Input::Connect);
    let mut waits = Vec::new();
    for attempt in 1..=10 {
        assert_eq!(rig.machine.state(), ConnectionState::Connecting { attempt });
        let outputs = rig.input(Input::Token(Err("no".to_owned())));
        if attempt == 10 {
            let [Output::State(ConnectionState::Closed { .. }), Output::SendRefused { kind, failure, .. }] = &outputs[..] else {
                panic!("{outputs:?}")
            };
            assert_eq!((kind.as_str(), &*failure.code), ("hello", "unavailable"));
        } else {
            waits.push(rig.machine.next_deadline().unwrap() - rig.now);
            rig.ring();
        }
    }
    for (wait, capped) in waits.iter().zip([5_000, 10_000, 20_000, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000]) {
        assert!((capped / 2..=capped).contains(wait), "{wait} for {capped}");
    }
    assert_eq!(rig.machine.next_deadline(), None);
    assert!(matches!(&rig.input(Input::Connect)[..], [Output::State(ConnectionState::Connecting { attempt: 1 }), _]));
}

#[test]
fn attempts_are_forgotten_only_after_a_session_of_five_seconds() {
    let mut rig = Rig::live(vec![]);
    rig.now += 4_999;
    rig.close(1006);
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 2, code: Some(1006), .. }));
    rig.again(vec![]);
    rig.now += 5_000;
    rig.close(1006);
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 1, .. }));
    assert!(rig.machine.next_deadline().unwrap() - rig.now <= 5_000);
}

#[test]
fn close_codes_are_decided_by_their_range() {
    for (code, stays_closed) in [
        (1000, false),
        (1001, false),
        (1006, false),
        (1009, false),
        (1012, false),
        (3000, false),
        (4002, false),
        (4499, false),
        (4500, true),
        (4501, true),
        (4503, true),
        (4505, true),
        (4999, true),
    ] {
        let mut rig = Rig::live(vec![]);
        rig.advance(6_000);
        rig.close(code);
        match rig.machine.state() {
            ConnectionState::Closed { code: told, .. } => assert!(stays_closed && told == Some(code), "{code}"),
            ConnectionState::Reconnecting { code: told, .. } => assert!(!stays_closed && told == Some(code), "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn an_expired_token_is_replaced_without_delay_but_not_in_a_loop() {
    let mut rig = Rig::live(vec![]);
    rig.advance(6_000);
    let outputs = rig.close(4001);
    assert!(matches!(outputs.last(), Some(Output::NeedToken)), "{outputs:?}");
    rig.open();
    rig.close(4001);
    assert!(rig.machine.next_deadline().unwrap() >= rig.now + 2_500);
}

#[test]
fn an_unauthorized_answer_closes_for_good_even_without_its_close_frame() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let outputs = rig.control(Control::Error { id: None, error: error("unauthorized") });
    assert!(matches!(outputs[0], Output::CloseSocket { .. }));
    assert_eq!(rig.machine.state(), ConnectionState::Closed { code: Some(4501), reason: "unauthorized".to_owned() });
}

#[test]
fn disconnect_closes_with_1000_and_nothing_follows() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    let id = rig.machine.request("x", None, None, rig.now);
    rig.outputs();
    let outputs = rig.input(Input::Disconnect);
    assert_eq!(outputs[0], Output::CloseSocket { code: 1000, reason: "normal" });
    assert!(outputs.contains(&Output::RequestFailed { id, failure: Failure::lost() }));
    assert_eq!(rig.machine.state(), ConnectionState::Closed { code: None, reason: "disconnected".to_owned() });
    assert_eq!(rig.close(1000), []);
    assert_eq!(rig.machine.next_deadline(), None);
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    rig.input(Input::Connect);
    let connect = rig.open();
    assert_eq!((connect.resume, connect.rooms[0].offset), (None, Some(5)));
}

#[test]
fn a_reconnect_resumes_the_session_and_every_position() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.event("agent:7", 6), Delivery::Deliver);
    rig.close(1006);
    assert_eq!(rig.event("agent:7", 7), Delivery::NotJoined);
    let connect = rig.again(vec![outcome("agent:7", "e", 8, true)]);
    let resume = connect.resume.unwrap();
    assert_eq!((resume.client_id.as_str(), resume.token.as_str()), ("c1", "r1"));
    assert_eq!((connect.rooms[0].epoch.as_deref(), connect.rooms[0].offset), (Some("e"), Some(6)));
    // The replay goes on from our position, not from the room's newest offset.
    for (offset, delivery) in [(6, Delivery::Duplicate), (7, Delivery::Deliver), (8, Delivery::Deliver), (8, Delivery::Duplicate)]
    {
        assert_eq!(rig.event("agent:7", offset), delivery, "{offset}");
    }
}

#[test]
fn a_join_that_did_not_recover_takes_the_offset_of_the_room() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.close(1006);
    rig.again(vec![outcome("agent:7", "f", 2, false)]);
    let key = rig.machine.room_key("agent:7").unwrap();
    assert_eq!(rig.machine.on_event(key, 1, 0, true), Delivery::Deliver);
    assert_eq!(rig.machine.on_event(key, 2, 0, true), Delivery::Deliver);
    assert_eq!(rig.event("agent:7", 2), Delivery::Duplicate);
    assert_eq!(rig.event("agent:7", 3), Delivery::Deliver);
    assert_eq!(rig.machine.rooms()[0].recovered, Some(false));
}

#[test]
fn recovered_in_another_epoch_is_not_believed() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.close(1006);
    rig.again(vec![outcome("agent:7", "f", 9, true)]);
    assert_eq!(rig.machine.rooms()[0].recovered, Some(false));
    assert_eq!(rig.machine.rooms()[0].offset, Some(9));
}

#[test]
fn skipped_offsets_are_no_gap() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.skipping("agent:7", 9, 3), Delivery::Deliver);
    assert_eq!(rig.skipping("agent:7", 12, 1), Delivery::Gap);
    assert_eq!(rig.event("agent:7", 10), Delivery::Deliver);
}

#[test]
fn a_gap_joins_again_from_the_position_once_and_heals() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.event("agent:7", 7), Delivery::Gap);
    assert_eq!(rig.event("agent:7", 8), Delivery::Gap);
    let outputs = rig.outputs();
    assert_eq!(outputs.len(), 1);
    let (id, join) = join_of(outputs);
    assert_eq!((join.epoch.as_deref(), join.offset), (Some("e"), Some(5)));
    assert_eq!(rig.status("agent:7"), Some(RoomStatus::Joining));
    let outputs = rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 8, true) });
    assert!(matches!(&outputs[..], [Output::Room(state)] if state.recovered == Some(true)));
    for offset in 6..=8 {
        assert_eq!(rig.event("agent:7", offset), Delivery::Deliver);
    }
}

#[test]
fn a_gap_that_does_not_heal_escalates() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.event("agent:7", 7), Delivery::Gap);
    let (id, _) = join_of(rig.outputs());
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 7, true) });
    assert_eq!(rig.event("agent:7", 8), Delivery::Gap);
    let (id, join) = join_of(rig.outputs());
    assert_eq!((join.epoch, join.offset), (None, None));
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 8, false) });
    assert_eq!(rig.event("agent:7", 10), Delivery::Gap);
    assert!(matches!(rig.outputs()[0], Output::CloseSocket { .. }));
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }));
}

#[test]
fn ephemeral_events_need_only_the_room() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.event("agent:7", 0), Delivery::Deliver);
    assert_eq!(rig.event("agent:7", 0), Delivery::Deliver);
    assert_eq!(rig.event("agent:8", 0), Delivery::NotJoined);
}

#[test]
fn a_room_without_snapshot_never_shows_one() {
    let mut rig = Rig::live(vec![]);
    let (id, join) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: false }));
    assert!(!join.snapshot);
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 5, false) });
    rig.close(1006);
    rig.again(vec![outcome("agent:7", "e", 9, false)]);
    let key = rig.machine.room_key("agent:7").unwrap();
    assert_eq!(rig.machine.on_event(key, 8, 0, true), Delivery::Duplicate);
}

#[test]
fn left_and_joined_again_answers_are_told_apart() {
    let mut rig = Rig::live(vec![]);
    let (first, _) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    let old_key = rig.machine.room_key("agent:7").unwrap();
    let (left, _) = writes(rig.input(Input::Leave { room: room("agent:7") })).remove(0);
    let (second, _) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    rig.control(Control::RoomJoined { id: Some(first), result: outcome("agent:7", "e", 5, false) });
    assert_eq!(rig.status("agent:7"), Some(RoomStatus::Joining));
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    let reply = RoomLeft { room: room("agent:7"), reason: "requested".to_owned() };
    rig.control(Control::RoomLeft { id: Some(left), left: reply });
    rig.control(Control::RoomJoined { id: Some(second), result: outcome("agent:7", "e", 6, false) });
    assert_eq!(rig.event("agent:7", 7), Delivery::Deliver);
    assert_eq!(rig.machine.on_event(old_key, 8, 0, false), Delivery::NotJoined);
}

#[test]
fn a_join_under_way_when_the_socket_drops_goes_into_connect() {
    let mut rig = Rig::live(vec![]);
    let (id, _) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    rig.close(1006);
    rig.ring();
    assert_eq!(rig.open().rooms[0].room, room("agent:7"));
    rig.control(Control::Greeting(Box::new(greeting(vec![outcome("agent:7", "e", 5, false)]))));
    // An answer under the old id is nobody's.
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 90, false) });
    assert_eq!(rig.event("agent:7", 6), Delivery::Deliver);
}

#[test]
fn rooms_changed_while_the_greeting_is_under_way() {
    let mut rig = Rig::new();
    rig.input(Input::Join { room: room("agent:1"), snapshot: true });
    rig.input(Input::Connect);
    rig.open();
    assert_eq!(rig.input(Input::Leave { room: room("agent:1") }), []);
    assert_eq!(rig.input(Input::Join { room: room("agent:2"), snapshot: true }), []);
    let sent = writes(rig.control(Control::Greeting(Box::new(greeting(vec![outcome("agent:1", "e", 1, false)])))));
    assert!(matches!(&sent[0].1, ClientMessage::Leave(leave) if leave.room == room("agent:1")));
    assert!(matches!(&sent[1].1, ClientMessage::Join(join) if join.room == room("agent:2")));
    assert_eq!(rig.status("agent:1"), None);
}

#[test]
fn a_refused_room_is_told_once_and_asked_again_with_the_next_connection() {
    let mut rig = Rig::live(vec![]);
    let (id, _) = join_of(rig.input(Input::Join { room: room("secret:1"), snapshot: true }));
    let outputs = rig.control(Control::Error { id: Some(id), error: error("forbidden") });
    let [Output::Room(state)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(state.error.as_ref().map(|failure| &*failure.code), Some("forbidden"));
    rig.close(1006);
    rig.ring();
    assert_eq!(rig.open().rooms.len(), 1);
    let mut refused = outcome("secret:1", "", 0, false);
    refused.error = Some(error("forbidden"));
    let outputs = rig.control(Control::Greeting(Box::new(greeting(vec![refused]))));
    assert!(!outputs.iter().any(|output| matches!(output, Output::Room(_))), "{outputs:?}");
    // Asking by oneself does ask.
    join_of(rig.input(Input::Join { room: room("secret:1"), snapshot: true }));
}

#[test]
fn a_join_refused_for_now_is_asked_again_later() {
    let mut rig = Rig::live(vec![]);
    let (id, _) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    let mut body = error("rate_limited");
    body.retry_after_ms = Some(300);
    assert_eq!(rig.control(Control::Error { id: Some(id), error: body }), []);
    assert_eq!(rig.advance(299), []);
    join_of(rig.advance(301));
}

#[test]
fn an_unanswered_join_is_asked_again() {
    let mut rig = Rig::live(vec![]);
    join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    join_of(rig.advance(10_000));
}

#[test]
fn losing_the_permission_ends_the_membership() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    let left = RoomLeft { room: room("agent:7"), reason: "permission_lost".to_owned() };
    let outputs = rig.control(Control::RoomLeft { id: None, left });
    assert!(matches!(&outputs[..], [Output::Room(state)] if state.status == RoomStatus::Refused));
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    // A new token may allow it again.
    let user = Authenticated { user_id: "u1".to_owned(), role: Some("admin".to_owned()), rooms: vec![] };
    join_of(rig.control(Control::Authenticated(user)));
}

#[test]
fn another_users_own_room_is_not_kept() {
    let mut rig = Rig::live(vec![]);
    rig.close(1006);
    rig.again(vec![outcome("user:u1", "e", 1, false)]);
    assert!(rig.status("user:u1").is_some());
    rig.close(1006);
    rig.ring();
    assert_eq!(rig.open().rooms[0].room, room("user:u1"));
    let mut refused = outcome("user:u1", "", 0, false);
    refused.error = Some(error("forbidden"));
    let mut other = greeting(vec![refused, outcome("user:u2", "e", 1, false)]);
    other.user_id = Some("u2".to_owned());
    rig.control(Control::Greeting(Box::new(other)));
    assert_eq!((rig.status("user:u1"), rig.status("user:u2")), (None, Some(RoomStatus::Joined)));
}

#[test]
fn too_many_rooms_for_one_connect_are_joined_one_by_one() {
    let mut rig = Rig::new();
    for number in 0..130 {
        rig.input(Input::Join { room: room(&format!("agent:{number}")), snapshot: true });
    }
    rig.input(Input::Connect);
    let connect = rig.open();
    assert_eq!(connect.rooms.len(), 100);
    let results = connect.rooms.iter().map(|position| outcome(position.room.as_str(), "e", 0, false)).collect();
    let sent = writes(rig.control(Control::Greeting(Box::new(greeting(results)))));
    assert_eq!(sent.len(), 30);
}

#[test]
fn requests_time_out_in_the_queue_and_in_flight() {
    let mut rig = Rig::new();
    let queued = rig.machine.request("a", None, Some(500), rig.now);
    assert_eq!(rig.ring(), [Output::RequestFailed { id: queued, failure: Failure::timeout() }]);
    let mut rig = Rig::live(vec![]);
    let flying = rig.machine.request("a", Some("{\"x\":1}".to_owned()), Some(500), rig.now);
    assert_eq!(writes(rig.outputs())[0].0, flying);
    assert_eq!(rig.advance(500), [Output::RequestFailed { id: flying, failure: Failure::timeout() }]);
    assert_eq!(rig.machine.settle(flying), Settled::Nobody);
}

#[test]
fn answers_settle_requests_once() {
    let mut rig = Rig::live(vec![]);
    let good = rig.machine.request("a", None, None, rig.now);
    let bad = rig.machine.request("a", None, None, rig.now);
    rig.outputs();
    assert_eq!((rig.machine.settle(good), rig.machine.settle(good)), (Settled::Request, Settled::Nobody));
    let outputs = rig.control(Control::Error { id: Some(bad), error: error("unknown_type") });
    assert!(matches!(&outputs[..], [Output::RequestFailed { id, failure }] if *id == bad && failure.code == "unknown_type"));
    assert_eq!(rig.control(Control::Error { id: Some(bad), error: error("unknown_type") }), []);
}

#[test]
fn in_flight_fails_at_a_drop_and_what_is_unwritten_is_kept() {
    let mut rig = Rig::live(vec![]);
    let flying = rig.machine.request("a", None, None, rig.now);
    rig.outputs();
    let outputs = rig.close(1006);
    assert_eq!(outputs[0], Output::RequestFailed { id: flying, failure: Failure::lost() });
    let waiting = rig.machine.request("b", None, None, rig.now);
    rig.input(Input::Send { kind: "c".to_owned(), payload: None });
    assert_eq!(rig.outputs(), []);
    rig.ring();
    rig.open();
    let sent = writes(rig.control(Control::Greeting(Box::new(greeting(vec![])))));
    assert_eq!(sent.iter().map(|(id, message)| (*id, message.kind())).collect::<Vec<_>>(), [(waiting, "b"), (0, "c")]);
}

#[test]
fn the_queue_is_bounded_and_the_oldest_is_refused_aloud() {
    let mut rig = Rig::with(Config { queue_limit: 2, ..Config::default() });
    let first = rig.machine.request("a", None, None, rig.now);
    rig.input(Input::Send { kind: "b".to_owned(), payload: Some("{}".to_owned()) });
    let outputs = rig.input(Input::Send { kind: "c".to_owned(), payload: None });
    assert_eq!(outputs, [Output::RequestFailed { id: first, failure: Failure::overflow() }]);
    let outputs = rig.input(Input::Send { kind: "d".to_owned(), payload: None });
    assert_eq!(
        outputs,
        [Output::SendRefused { kind: "b".to_owned(), payload: Some("{}".to_owned()), failure: Failure::overflow() }]
    );
}

#[test]
fn the_servers_rate_and_size_limits_are_kept() {
    let mut rig = Rig::new();
    for _ in 0..50 {
        rig.input(Input::Send { kind: "a".to_owned(), payload: None });
    }
    rig.input(Input::Connect);
    rig.open();
    let mut slow = greeting(vec![]);
    slow.limits = Limits { message_rate: 10, message_burst: 20, max_message_bytes: 100, ..Limits::default() };
    assert_eq!(writes(rig.control(Control::Greeting(Box::new(slow)))).len(), 16);
    let mut sent = 0;
    for _ in 0..34 {
        sent += writes(rig.ring()).len();
    }
    assert_eq!((sent, rig.now), (34, 1_000 + 34 * 125));
    let outputs = rig.input(Input::Send { kind: "x".repeat(100), payload: None });
    assert_eq!(outputs, []);
    let outputs = rig.ring();
    assert!(matches!(&outputs[..], [Output::SendRefused { failure, .. }] if failure.code == "too_large"));
}

#[test]
fn silence_is_death_and_any_frame_is_life() {
    let mut rig = Rig::live(vec![]);
    rig.now += 34_000;
    rig.machine.on_activity(rig.now);
    assert_eq!(rig.advance(34_999), []);
    let outputs = rig.advance(1);
    assert!(matches!(outputs[0], Output::CloseSocket { code: 4004, .. }));
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }));
}

#[test]
fn a_page_that_is_seen_again_checks_at_once() {
    let mut rig = Rig::live(vec![]);
    rig.now += 20_000;
    let probe = writes(rig.input(Input::Visible));
    assert_eq!(probe[0].1, ClientMessage::Heartbeat);
    assert_eq!(rig.input(Input::Online), []);
    assert!(matches!(rig.advance(10_000)[0], Output::CloseSocket { code: 4004, .. }));
    // And a wait is over.
    assert!(matches!(rig.input(Input::Online)[..], [Output::State(ConnectionState::Connecting { .. }), Output::NeedToken]));
}

#[test]
fn a_server_without_heartbeats_is_asked() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut quiet = greeting(vec![]);
    quiet.heartbeat_interval_ms = 0;
    rig.control(Control::Greeting(Box::new(quiet)));
    assert_eq!(writes(rig.advance(25_000))[0].1, ClientMessage::Heartbeat);
    rig.machine.on_activity(rig.now + 5);
    assert_eq!(rig.advance(10_000), []);
    assert!(!writes(rig.advance(15_005)).is_empty());
    assert!(matches!(rig.advance(10_000)[0], Output::CloseSocket { .. }));
}

#[test]
fn a_draining_server_gives_a_slot_that_nothing_shortens() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.advance(10_000);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 8_000 }));
    assert_eq!(rig.event("agent:7", 6), Delivery::Deliver);
    rig.advance(1_000);
    rig.close(1012);
    assert_eq!(rig.input(Input::Online), []);
    assert_eq!(rig.input(Input::Connect), []);
    assert_eq!(rig.advance(6_999), []);
    let outputs = rig.advance(1);
    assert_eq!(outputs[0], Output::State(ConnectionState::Connecting { attempt: 1 }));
}

#[test]
fn at_its_slot_the_client_goes_even_if_the_server_lingers() {
    let mut rig = Rig::live(vec![]);
    rig.advance(10_000);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 3_000 }));
    let outputs = rig.advance(3_000);
    assert_eq!(outputs[0], Output::CloseSocket { code: 1000, reason: "normal" });
    assert_eq!(outputs.last(), Some(&Output::NeedToken));
}

#[test]
fn a_server_that_always_drains_makes_no_hot_loop() {
    let mut rig = Rig::live(vec![]);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 0 }));
    assert!(rig.machine.next_deadline().unwrap() >= rig.now + 2_500);
}

#[test]
fn the_token_is_refreshed_in_place() {
    let mut rig = Rig::live(vec![]);
    assert_eq!(rig.control(Control::TokenExpiring), [Output::NeedToken]);
    // The provider fails, and is asked again.
    rig.input(Input::Token(Err("offline".to_owned())));
    assert_eq!(rig.advance(5_000), [Output::NeedToken]);
    let sent = writes(rig.input(Input::Token(Ok(Some("t2".to_owned())))));
    assert!(matches!(&sent[0].1, ClientMessage::Auth(auth) if auth.token == "t2"));
    let user = Authenticated { user_id: "u1".to_owned(), role: Some("user".to_owned()), rooms: vec![] };
    assert_eq!(rig.control(Control::Authenticated(user)), []);
    rig.machine.on_activity(rig.now + 20_000);
    assert_eq!(rig.advance(30_000), []);
}

#[test]
fn another_users_token_is_another_session() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.advance(6_000);
    let (id, _) = writes(rig.input(Input::Token(Ok(Some("other".to_owned()))))).remove(0);
    let outputs = rig.control(Control::Error { id: Some(id), error: error("forbidden") });
    assert!(matches!(outputs[0], Output::CloseSocket { .. }));
    assert_eq!(outputs.last(), Some(&Output::NeedToken));
    assert_eq!(rig.open().resume, None);
}

#[test]
fn an_anonymous_session_becomes_a_users() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut anonymous = greeting(vec![]);
    (anonymous.authenticated, anonymous.user_id, anonymous.role) = (false, None, None);
    rig.control(Control::Greeting(Box::new(anonymous)));
    assert!(!rig.machine.can(&room("dashboard:overview"), Action::Join));
    rig.input(Input::Token(Ok(Some("t".to_owned()))));
    let rooms = vec![outcome("user:u1", "e", 0, false)];
    let user = Authenticated { user_id: "u1".to_owned(), role: Some("admin".to_owned()), rooms };
    let outputs = rig.control(Control::Authenticated(user));
    assert!(matches!(&outputs[0], Output::State(ConnectionState::Connected { authenticated: true, .. })));
    assert_eq!(rig.event("user:u1", 1), Delivery::Deliver);
    assert!(rig.machine.can(&room("dashboard:overview"), Action::Publish));
}

#[test]
fn another_protocol_version_is_not_tried_again() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.open();
    let mut other = greeting(vec![]);
    other.protocol = 2;
    rig.control(Control::Greeting(Box::new(other)));
    assert!(matches!(rig.machine.state(), ConnectionState::Closed { code: Some(4503), .. }));
}

#[test]
fn what_is_not_the_protocol_ends_the_connection() {
    let mut rig = Rig::live(vec![]);
    let outputs = rig.input(Input::Malformed);
    assert!(matches!(outputs[0], Output::CloseSocket { code: 4500, .. }));
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { .. }));
}
