//! Rooms at any number and speed: joins and leaves within the server's rates, and rooms that have no place for now.

use super::*;
use std::collections::BTreeSet;

/// What the server of a [`Hall`] allows.
const LIMITS: Limits =
    Limits { max_message_bytes: 65_536, max_rooms: 100, message_rate: 50, message_burst: 100, join_rate: 20, join_burst: 100 };

/// A rig at a server that counts as the real one does, and answers 50 ms after it was asked.
struct Hall {
    rig: Rig,
    limits: Limits,
    messages: f64,
    joins: f64,
    at: u64,
    members: BTreeSet<String>,
    answers: std::collections::VecDeque<(u64, Control)>,
    joins_written: usize,
    refused: usize,
}

impl Hall {
    /// The first `listed` rooms are wanted before the connection is made.
    fn new(limits: Limits, listed: usize) -> Self {
        let mut rig = Rig::new();
        for number in 0..listed {
            rig.input(Input::Join { room: agent(number), snapshot: true });
        }
        rig.input(Input::Connect);
        let connect = rig.open();
        let members: BTreeSet<_> = connect.rooms.iter().map(|position| position.room.to_string()).collect();
        let rooms = members.iter().map(|name| outcome(name, "e", 0, false)).collect();
        let (messages, joins) = (f64::from(limits.message_burst) - 1.0, f64::from(limits.join_burst));
        let (at, answers) = (rig.now, Default::default());
        let mut hall = Self { rig, limits, messages, joins, at, members, answers, joins_written: 0, refused: 0 };
        let greeting = Greeting { limits, ..greeting(rooms) };
        let outputs = hall.rig.control(Control::Greeting(Box::new(greeting)));
        hall.serve(outputs);
        hall
    }

    fn serve(&mut self, outputs: Vec<Output>) {
        let now = self.rig.now;
        let passed = (now - self.at) as f64 / 1_000.0;
        self.at = now;
        let refilled = |level: f64, rate: u32, burst: u32| (level + passed * f64::from(rate)).min(f64::from(burst));
        self.messages = refilled(self.messages, self.limits.message_rate, self.limits.message_burst);
        self.joins = refilled(self.joins, self.limits.join_rate, self.limits.join_burst);
        for (id, message) in writes(outputs) {
            self.messages -= 1.0;
            assert!(self.messages >= 0.0, "too many messages: {message:?}");
            let answer = match message {
                ClientMessage::Join(join) => {
                    self.joins -= 1.0;
                    self.joins_written += 1;
                    assert!(self.joins >= 0.0, "too many joins: {join:?}");
                    if self.members.len() < self.limits.max_rooms as usize || self.members.contains(join.room.as_str()) {
                        self.members.insert(join.room.to_string());
                        Control::RoomJoined { id: Some(id), result: outcome(join.room.as_str(), "e", 0, false) }
                    } else {
                        self.refused += 1;
                        Control::Error { id: Some(id), error: error("limit_reached") }
                    }
                }
                ClientMessage::Leave(leave) => {
                    assert!(self.members.remove(leave.room.as_str()), "left without being a member: {leave:?}");
                    let left = RoomLeft { room: leave.room.to_string(), reason: "requested".to_owned() };
                    Control::RoomLeft { id: Some(id), left }
                }
                other => panic!("{other:?}"),
            };
            self.answers.push_back((now + 50, answer));
        }
    }

    fn input(&mut self, input: Input) {
        let outputs = self.rig.input(input);
        self.serve(outputs);
    }

    /// Lets `ms` pass.
    fn pass(&mut self, ms: u64) {
        let end = self.rig.now + ms;
        loop {
            let answer = self.answers.front().map_or(u64::MAX, |(at, _)| *at);
            let next = answer.min(self.rig.machine.next_deadline().unwrap_or(u64::MAX));
            if next > end {
                self.rig.now = end;
                return;
            }
            self.rig.now = self.rig.now.max(next);
            let outputs = match self.answers.pop_front() {
                Some((at, answer)) if at <= next => self.rig.control(answer),
                Some(later) => {
                    self.answers.push_front(later);
                    self.rig.input(Input::Timer)
                }
                None => self.rig.input(Input::Timer),
            };
            self.serve(outputs);
            // The server is heard now and then.
            self.rig.machine.on_activity(self.rig.now);
        }
    }

    fn join(&mut self, rooms: std::ops::Range<usize>) {
        rooms.for_each(|number| self.input(Input::Join { room: agent(number), snapshot: true }));
    }

    fn leave(&mut self, rooms: std::ops::Range<usize>) {
        rooms.for_each(|number| self.input(Input::Leave { room: agent(number) }));
    }

    fn count(&self, status: RoomStatus) -> usize {
        self.rig.machine.rooms().iter().filter(|state| state.status == status).count()
    }
}

fn agent(number: usize) -> RoomName {
    room(&format!("agent:{number}"))
}

#[test]
fn hundreds_of_rooms_are_joined_within_the_rates_and_come_back_in_one_connect() {
    let mut hall = Hall::new(Limits { max_rooms: 1_000, ..LIMITS }, 350);
    hall.pass(20_000);
    assert_eq!((hall.count(RoomStatus::Joined), hall.joins_written), (350, 250));
    hall.rig.close(1006);
    hall.rig.ring();
    let connect = hall.rig.open();
    assert!(connect.rooms.len() > 300, "as many as fit: the server has told how many it allows");
}

#[test]
fn more_rooms_than_a_connection_may_have_are_refused_with_hardly_a_question() {
    let mut hall = Hall::new(LIMITS, 0);
    hall.join(0..230);
    hall.pass(20_000);
    assert_eq!((hall.count(RoomStatus::Joined), hall.count(RoomStatus::Refused)), (100, 130));
    assert!(hall.refused < 10, "{} were asked for in vain", hall.refused);
}

#[test]
fn a_list_that_is_dragged_ends_with_every_visible_row_joined() {
    for tick_ms in [60, 400] {
        let mut hall = Hall::new(LIMITS, 0);
        let mut leaving = std::collections::VecDeque::new();
        for first in (0..1_000).step_by(40) {
            hall.join(first..first + 40);
            leaving.push_back((hall.rig.now + 500, first));
            hall.pass(tick_ms);
            while leaving.front().is_some_and(|(at, first)| *at <= hall.rig.now && *first < 960) {
                let (_, first) = leaving.pop_front().unwrap();
                hall.leave(first..first + 40);
            }
        }
        hall.pass(500);
        for (_, first) in leaving.into_iter().filter(|(_, first)| *first < 960) {
            hall.leave(first..first + 40);
        }
        hall.pass(8_000);
        assert_eq!(hall.count(RoomStatus::Joined), 40, "{:?}", hall.rig.machine.rooms());
        let visible: BTreeSet<String> = (960..1_000).map(|number| agent(number).to_string()).collect();
        assert_eq!(hall.members, visible, "the server thinks the same");
    }
}

#[test]
fn a_leave_that_its_rooms_join_overtakes_is_never_written() {
    let mut rig = Rig::live(vec![outcome("agent:1", "e", 5, false)]);
    let (id, _) = join_of(rig.input(Input::Join { room: room("agent:2"), snapshot: true }));
    let limited = ErrorBody { retry_after_ms: Some(1_000), ..error("rate_limited") };
    rig.machine.request("any", None, None, rig.now);
    let request = writes(rig.outputs()).remove(0).0;
    rig.control(Control::Error { id: Some(request), error: limited });
    assert_eq!(rig.input(Input::Leave { room: room("agent:1") }), []);
    assert_eq!(rig.input(Input::Join { room: room("agent:1"), snapshot: true }), []);
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:2", "e", 1, false) });
    let (_, join) = join_of(rig.advance(2_000));
    assert_eq!((join.room, join.offset), (room("agent:1"), None), "with its snapshot, as a new member");
}

#[test]
fn a_room_that_is_left_again_before_its_join_was_written_is_left() {
    let mut rig = Rig::live(vec![outcome("agent:1", "e", 5, false)]);
    let request = rig.machine.request("any", None, None, rig.now);
    rig.outputs();
    let limited = ErrorBody { retry_after_ms: Some(1_000), ..error("rate_limited") };
    rig.control(Control::Error { id: Some(request), error: limited });
    rig.input(Input::Leave { room: room("agent:1") });
    rig.input(Input::Join { room: room("agent:1"), snapshot: true });
    rig.input(Input::Leave { room: room("agent:1") });
    let written = writes(rig.advance(2_000));
    assert!(matches!(&written[..], [(_, ClientMessage::Leave(_))]), "the server still has us in it: {written:?}");
}

#[test]
fn a_room_that_was_too_much_for_connect_is_asked_for_by_itself() {
    let mut rig = Rig::new();
    for number in 0..2 {
        rig.input(Input::Join { room: agent(number), snapshot: true });
    }
    rig.input(Input::Connect);
    rig.open();
    let over = RoomOutcome { error: Some(error("limit_reached")), ..outcome("agent:1", "", 0, false) };
    let forbidden = RoomOutcome { error: Some(error("forbidden")), ..outcome("agent:0", "", 0, false) };
    let outputs = rig.control(Control::Greeting(Box::new(greeting(vec![forbidden, over]))));
    assert_eq!(join_of(outputs).1.room, agent(1), "the forbidden one has left it a place");
}

#[test]
fn one_refusal_for_the_rate_pauses_every_join() {
    let mut rig = Rig::live(vec![]);
    let asked: Vec<u64> = (0..3).map(|n| join_of(rig.input(Input::Join { room: agent(n), snapshot: true })).0).collect();
    let limited = |ms| ErrorBody { retry_after_ms: Some(ms), ..error("rate_limited") };
    assert_eq!(rig.control(Control::Error { id: Some(asked[1]), error: limited(400) }), []);
    assert_eq!(rig.input(Input::Join { room: agent(7), snapshot: true }), []);
    assert_eq!(rig.advance(399), []);
    let mut written = Vec::new();
    while rig.now < 3_000 {
        let joins = writes(rig.ring()).into_iter().filter(|(_, message)| matches!(message, ClientMessage::Join(_)));
        written.extend(joins.map(|_| rig.now).filter(|at| *at < 3_000));
    }
    let [first, second] = written[..] else { panic!("{written:?}") };
    assert!(
        (1_400..=1_800).contains(&first) && second == first + 63,
        "one after the other, as the burst is used up: {written:?}"
    );
    assert_eq!(rig.status("agent:1"), Some(RoomStatus::Joining), "it is told of nothing");
}

#[test]
fn a_room_without_a_place_is_asked_for_again_once_another_was_left() {
    let mut hall = Hall::new(LIMITS, 100);
    hall.join(100..101);
    hall.pass(100);
    hall.join(101..103);
    hall.pass(1_000);
    assert_eq!((hall.count(RoomStatus::Refused), hall.refused), (3, 1), "one was asked for to know");
    hall.pass(60_000);
    assert_eq!(hall.refused, 1, "nothing has changed");
    hall.leave(0..2);
    hall.pass(1_000);
    assert_eq!((hall.count(RoomStatus::Joined), hall.count(RoomStatus::Refused), hall.refused), (100, 1, 2));
    hall.leave(2..50);
    hall.pass(2_000);
    assert_eq!((hall.count(RoomStatus::Joined), hall.count(RoomStatus::Refused)), (53, 0));
}

#[test]
fn a_full_room_is_asked_for_again_by_and_by_and_stays_refused_meanwhile() {
    let mut rig = Rig::live(vec![]);
    let (mut id, _) = join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    let full = || ErrorBody { retry_after_ms: Some(5_000), ..error("limit_reached") };
    let outputs = rig.control(Control::Error { id: Some(id), error: full() });
    let [Output::Room(state)] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(state.error.as_ref().and_then(|error| error.retry_after_ms), Some(5_000), "which of the limits it is");
    for (least, most) in [(5_000, 10_000), (10_000, 20_000), (15_000, 30_000), (15_000, 30_000)] {
        let before = rig.now;
        id = loop {
            rig.machine.on_activity(rig.now);
            let written = writes(rig.ring());
            if let Some((id, ClientMessage::Join(_))) = written.into_iter().next() {
                break id;
            }
        };
        assert!((least..=most).contains(&(rig.now - before)), "{}", rig.now - before);
        assert_eq!(rig.status("agent:7"), Some(RoomStatus::Refused));
        let outputs = rig.control(Control::Error { id: Some(id), error: full() });
        assert_eq!(outputs, [], "the same refusal isn't told twice");
        // Other rooms are not concerned.
        join_of(rig.input(Input::Join { room: room(&format!("agent:8{least}{before}")), snapshot: true }));
        rig.input(Input::Leave { room: room(&format!("agent:8{least}{before}")) });
    }
    join_of(rig.input(Input::Join { room: room("agent:7"), snapshot: true }));
    assert_eq!(rig.status("agent:7"), Some(RoomStatus::Joining), "the application asks by itself");
}
