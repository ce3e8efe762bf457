//! Joining, leaving, positions, gaps and recovery.

use super::*;

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
fn what_was_missed_is_told_from_what_happens() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.close(1006);
    rig.again(vec![RoomOutcome { replayed: 3, ..outcome("agent:7", "e", 8, true) }]);
    for (offset, delivery) in [(6, Delivery::Replayed), (8, Delivery::Gap), (7, Delivery::Replayed), (8, Delivery::Replayed)] {
        assert_eq!(rig.event("agent:7", offset), delivery, "{offset}");
    }
    assert_eq!(rig.event("agent:7", 9), Delivery::Deliver);
    // A snapshot is no replay.
    rig.close(1006);
    rig.again(vec![RoomOutcome { snapshot: 1, ..outcome("agent:7", "f", 2, false) }]);
    let key = rig.machine.room_key("agent:7").unwrap();
    assert_eq!(rig.machine.on_event(key, 2, 0, true), Delivery::Deliver);
}

#[test]
fn another_client_goes_on_where_this_one_stopped() {
    let mut rig =
        Rig::live(vec![outcome("agent:7", "e", 5, false), RoomOutcome { snapshot: 2, ..outcome("agent:8", "e", 5, false) }]);
    rig.event("agent:7", 6);
    rig.input(Input::Disconnect);
    // Of the other room the snapshot hadn't come: there is nothing to go on from.
    let told = |state: RoomState| (state.epoch, state.offset);
    assert_eq!(rig.machine.rooms().into_iter().map(told).collect::<Vec<_>>(), [(Some("e".to_owned()), Some(6)), (None, None)]);
    let at = RoomPosition { room: room("agent:7"), epoch: Some("e".to_owned()), offset: Some(6) };

    let mut next = Rig::new();
    next.input(Input::Position(at.clone()));
    next.input(Input::Join { room: room("agent:7"), snapshot: true });
    next.input(Input::Position(at.clone()));
    next.input(Input::Connect);
    assert_eq!(next.open().rooms, [at]);
    next.control(Control::Greeting(Box::new(greeting(vec![RoomOutcome { replayed: 1, ..outcome("agent:7", "e", 7, true) }]))));
    assert_eq!(next.machine.rooms()[0].recovered, Some(true));
    assert_eq!(next.event("agent:7", 7), Delivery::Replayed);
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
    let reply = RoomLeft { room: "agent:7".to_owned(), reason: "requested".to_owned() };
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
    let left = RoomLeft { room: "agent:7".to_owned(), reason: "permission_lost".to_owned() };
    let outputs = rig.control(Control::RoomLeft { id: None, left });
    assert!(matches!(&outputs[..], [Output::Room(state)] if state.status == RoomStatus::Refused));
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    // A new token may allow it again.
    let user =
        Authenticated { user_id: "u1".to_owned(), role: Some("admin".to_owned()), rooms: vec![], policy: None, resume: None };
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
fn a_snapshot_that_was_cut_off_leaves_no_position_to_recover_from() {
    let mut rig = Rig::live(vec![RoomOutcome { snapshot: 2, ..outcome("agent:7", "e", 5, false) }]);
    let key = rig.machine.room_key("agent:7").unwrap();
    assert_eq!(rig.machine.rooms()[0].snapshot_due, Some(2));
    assert_eq!(rig.machine.on_event(key, 2, 0, true), Delivery::Deliver);
    assert_eq!(rig.machine.rooms()[0].snapshot_due, Some(1));
    rig.close(1006);
    assert_eq!(rig.machine.rooms()[0].snapshot_due, None);
    let connect = rig.again(vec![RoomOutcome { snapshot: 2, ..outcome("agent:7", "e", 5, false) }]);
    assert_eq!((connect.rooms[0].epoch.as_deref(), connect.rooms[0].offset), (None, None));
    assert_eq!(rig.machine.on_event(key, 2, 0, true), Delivery::Deliver);
    assert_eq!(rig.machine.on_event(key, 5, 0, true), Delivery::Deliver);
    assert_eq!(rig.machine.rooms()[0].snapshot_due, None);
    rig.close(1006);
    let connect = rig.again(vec![outcome("agent:7", "e", 5, true)]);
    assert_eq!((connect.rooms[0].epoch.as_deref(), connect.rooms[0].offset), (Some("e"), Some(5)));
}

#[test]
fn a_room_left_and_joined_during_the_greeting_begins_anew() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.close(1006);
    rig.ring();
    assert_eq!(rig.open().rooms[0].offset, Some(5));
    rig.input(Input::Leave { room: room("agent:7") });
    rig.input(Input::Join { room: room("agent:7"), snapshot: true });
    // The greeting speaks of the membership that was given up: its replay brings no snapshot.
    let (id, join) = join_of(rig.control(Control::Greeting(Box::new(greeting(vec![outcome("agent:7", "e", 7, true)])))));
    assert_eq!((join.epoch, join.offset), (None, None));
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    rig.control(Control::RoomJoined { id: Some(id), result: outcome("agent:7", "e", 7, false) });
    assert_eq!(rig.status("agent:7"), Some(RoomStatus::Joined));
}

#[test]
fn a_room_of_the_servers_own_becomes_the_applications_with_its_wish() {
    let mut rig = Rig::live(vec![]);
    rig.control(Control::RoomJoined { id: None, result: outcome("user:u1", "e", 0, false) });
    rig.input(Input::Join { room: room("user:u1"), snapshot: false });
    rig.close(1006);
    rig.again(vec![RoomOutcome { snapshot: 1, ..outcome("user:u1", "f", 3, false) }]);
    let key = rig.machine.room_key("user:u1").unwrap();
    assert_eq!(rig.machine.on_event(key, 3, 0, true), Delivery::Duplicate, "no snapshot was wanted");
}

#[test]
fn a_leave_that_is_refused_for_now_is_asked_again_unless_the_room_is_wanted_again() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false), outcome("agent:8", "e", 5, false)]);
    let left = ["agent:7", "agent:8"].map(|name| writes(rig.input(Input::Leave { room: room(name) })).remove(0).0);
    for id in left {
        let error = ErrorBody { retry_after_ms: Some(200), ..error("rate_limited") };
        assert!(rig.control(Control::Error { id: Some(id), error }).is_empty());
    }
    rig.input(Input::Join { room: room("agent:8"), snapshot: true });
    let again = writes(rig.advance(400));
    let [(id, ClientMessage::Leave(leave)), (_, ClientMessage::Join(join))] = &again[..] else { panic!("{again:?}") };
    assert_eq!((&leave.room, &join.room), (&room("agent:7"), &room("agent:8")));
    let left = RoomLeft { room: "agent:7".to_owned(), reason: "requested".to_owned() };
    rig.control(Control::RoomLeft { id: Some(*id), left });
    assert!(writes(rig.advance(5_000)).iter().all(|(_, message)| !matches!(message, ClientMessage::Leave(_))));
}

#[test]
fn a_room_whose_name_this_version_cannot_read_is_let_be() {
    let mut rig = Rig::live(vec![]);
    rig.input(Input::Join { room: room("agent:7"), snapshot: true });
    rig.close(1006);
    rig.again(vec![outcome("user:a/b", "e", 1, false), outcome("agent:7", "e", 5, false)]);
    assert_eq!(rig.status("agent:7"), Some(RoomStatus::Joined));
    assert_eq!(rig.machine.rooms().len(), 1);
    assert_eq!(rig.control(Control::RoomJoined { id: None, result: outcome("no room", "e", 1, false) }), []);
    let left = RoomLeft { room: "no room".to_owned(), reason: "room_closed".to_owned() };
    assert_eq!(rig.control(Control::RoomLeft { id: None, left }), []);
    assert!(matches!(rig.machine.state(), ConnectionState::Connected { .. }));
}
