//! From idle to a session and back: attempts, close codes, draining.

use super::*;

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
fn ten_attempts_then_a_rest_and_what_waits_is_refused() {
    let mut rig = Rig::new();
    rig.input(Input::Send { kind: "hello".to_owned(), payload: None });
    rig.input(Input::Connect);
    let mut waits = Vec::new();
    for attempt in 1..=10 {
        assert_eq!(rig.machine.state(), ConnectionState::Connecting { attempt });
        let outputs = rig.input(Input::Token(Err("no".to_owned())));
        if attempt == 10 {
            let [
                Output::State(ConnectionState::Closed { reason, retry_at_ms: Some(at), .. }),
                Output::SendRefused { kind, failure, .. },
            ] = &outputs[..]
            else {
                panic!("{outputs:?}")
            };
            assert_eq!((kind.as_str(), &*failure.code), ("hello", "unavailable"));
            assert_eq!(reason, "gave up after the last attempt: no token: no");
            assert!((30_000..=60_000).contains(&(at - rig.now)), "{}", at - rig.now);
        } else {
            waits.push(rig.machine.next_deadline().unwrap() - rig.now);
            rig.ring();
        }
    }
    for (wait, capped) in waits.iter().zip([5_000, 10_000, 20_000, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000]) {
        assert!((capped / 2..=capped).contains(wait), "{wait} for {capped}");
    }
    assert!(matches!(&rig.ring()[..], [Output::State(ConnectionState::Connecting { attempt: 1 }), Output::NeedToken]));
    rig.input(Input::Token(Err("no".to_owned())));
    assert!(rig.machine.next_deadline().unwrap() - rig.now <= 5_000, "the delays begin anew");
}

#[test]
fn looking_at_the_page_does_not_use_up_the_attempts() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    rig.input(Input::Token(Err("no".to_owned())));
    for _ in 0..30 {
        assert_eq!(rig.input(Input::Visible).len(), 2);
        rig.input(Input::Token(Err("no".to_owned())));
    }
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 2, .. }));
    for _ in 2..=10 {
        rig.ring();
        rig.input(Input::Token(Err("no".to_owned())));
    }
    assert!(matches!(rig.machine.state(), ConnectionState::Closed { .. }));
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
        (4005, false),
        (4499, false),
        (4500, true),
        (4503, true),
        (4504, true),
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
fn a_connection_limit_is_tried_again_not_before_the_time_that_the_server_gave() {
    let mut rig = Rig::new();
    rig.input(Input::Connect);
    for attempt in 1..=3 {
        assert_eq!(rig.machine.state(), ConnectionState::Connecting { attempt });
        rig.open();
        let limit = ErrorBody { retry_after_ms: Some(60_000), ..error("limit_reached") };
        rig.control(Control::Error { id: Some(1), error: limit });
        rig.close(4005);
        let ConnectionState::Reconnecting { retry_at_ms: Some(at), code, .. } = rig.machine.state() else { panic!("gave up") };
        assert!((60_000..=90_000).contains(&(at - rig.now)), "{} ms", at - rig.now);
        assert_eq!(code, Some(4005));
        // Neither a look at the page nor the network that comes back shortens it.
        assert_eq!((rig.input(Input::Visible), rig.input(Input::Online)), (vec![], vec![]));
        rig.ring();
    }
    // It holds for this close alone.
    rig.close(1006);
    assert!(rig.machine.next_deadline().unwrap() - rig.now <= 30_000);
}

#[test]
fn a_fixed_token_that_is_refused_closes_for_good_even_without_the_close_frame() {
    let mut rig = Rig::new();
    rig.input(Input::TokenIsFixed(true));
    rig.input(Input::Connect);
    rig.open();
    let outputs = rig.control(Control::Error { id: None, error: error("unauthorized") });
    assert!(matches!(outputs[0], Output::CloseSocket { .. }));
    assert_eq!(rig.machine.state(), closed(Some(4501), "unauthorized", Some("m")));
    assert_eq!(rig.machine.next_deadline(), None);
    assert_eq!(rig.input(Input::Visible), []);
}

#[test]
fn disconnect_says_goodbye_and_nothing_follows() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    let id = rig.machine.request("x", None, None, rig.now);
    rig.outputs();
    let outputs = rig.input(Input::Disconnect);
    assert_eq!(outputs[0], Output::CloseSocket { code: 4000, reason: "goodbye" });
    assert!(outputs.contains(&Output::RequestFailed { id, failure: Failure::lost() }));
    assert_eq!(rig.machine.state(), closed(None, "disconnected", None));
    assert_eq!(rig.close(1000), []);
    assert_eq!(rig.machine.next_deadline(), None);
    assert_eq!(rig.event("agent:7", 6), Delivery::NotJoined);
    rig.input(Input::Connect);
    let connect = rig.open();
    assert_eq!((connect.resume, connect.rooms[0].offset), (None, Some(5)));
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
fn a_close_at_the_slot_is_followed_by_an_attempt_at_once_and_by_quick_ones_until_the_successor_listens() {
    let mut rig = Rig::live(vec![]);
    rig.advance(10_000);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 300 }));
    rig.now += 300;
    let outputs = rig.close(1012);
    assert_eq!(outputs.last(), Some(&Output::NeedToken), "its slot has come");
    let closed_at = rig.now;
    for _ in 0..6 {
        rig.input(Input::Token(Ok(None)));
        rig.close(1006);
        assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 1, .. }), "quick attempts don't count");
        rig.ring();
    }
    assert!(rig.now - closed_at <= 4_200, "{} ms", rig.now - closed_at);
    rig.input(Input::Token(Ok(None)));
    rig.close(1006);
    assert!(rig.machine.next_deadline().unwrap() >= rig.now + 2_500, "from here on as after any failure");
}

#[test]
fn a_restart_without_a_slot_is_followed_by_a_short_delay_so_that_not_all_clients_come_at_once() {
    let mut rig = Rig::live(vec![]);
    rig.advance(10_000);
    rig.close(1012);
    let delay = rig.machine.next_deadline().unwrap() - rig.now;
    assert!((100..=200).contains(&delay), "{delay}");
}

#[test]
fn a_draining_server_that_dies_before_the_slot_is_waited_for_until_the_slot_and_tried_quickly_then() {
    let mut rig = Rig::live(vec![]);
    rig.advance(10_000);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 2_000 }));
    rig.close(1006);
    assert_eq!(rig.machine.next_deadline(), Some(rig.now + 2_000));
    rig.ring();
    rig.input(Input::Token(Ok(None)));
    rig.close(1006);
    assert!(rig.machine.next_deadline().unwrap() <= rig.now + 200);
}

#[test]
fn a_server_that_always_drains_makes_no_hot_loop() {
    let mut rig = Rig::live(vec![]);
    rig.control(Control::Draining(Draining { reconnect_after_ms: 0 }));
    assert!(rig.machine.next_deadline().unwrap() >= rig.now + 2_500);
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

#[test]
fn off_line_attempts_are_slow_do_not_count_and_end_with_the_network() {
    let mut rig = Rig::new();
    rig.input(Input::Offline);
    rig.input(Input::Connect);
    for _ in 0..30 {
        rig.input(Input::Token(Err("no".to_owned())));
        let ConnectionState::Reconnecting { attempt, reason, .. } = rig.machine.state() else { panic!("gave up") };
        assert_eq!((attempt, reason.as_str(), rig.machine.next_deadline()), (1, "offline", Some(rig.now + 30_000)));
        rig.ring();
    }
    rig.input(Input::Token(Err("no".to_owned())));
    assert!(matches!(
        rig.input(Input::Online)[..],
        [Output::State(ConnectionState::Connecting { attempt: 1 }), Output::NeedToken]
    ));
    rig.input(Input::Token(Err("no".to_owned())));
    assert!(rig.machine.next_deadline().unwrap() <= rig.now + 30_000);
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { reason, .. } if reason == "no token: no"));
}

#[test]
fn off_line_a_wait_becomes_slow_and_a_live_connection_is_asked() {
    let mut rig = Rig::live(vec![]);
    rig.advance(6_000);
    assert_eq!(rig.input(Input::Offline).len(), 1);
    assert!(matches!(rig.machine.state(), ConnectionState::Connected { .. }));
    assert!(matches!(rig.advance(10_000)[0], Output::CloseSocket { code: 4004, .. }));
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { reason, .. } if reason == "offline"));
    let mut rig = Rig::live(vec![]);
    rig.advance(6_000);
    rig.close(1006);
    rig.input(Input::Offline);
    assert_eq!(rig.machine.next_deadline(), Some(rig.now + 30_000));
}

#[test]
fn a_page_that_goes_away_has_no_socket_and_comes_back_at_once_with_its_session() {
    let mut rig = Rig::live(vec![outcome("agent:7", "e", 5, false)]);
    rig.advance(6_000);
    assert_eq!(rig.input(Input::Away)[0], Output::CloseSocket { code: 1000, reason: "normal" });
    assert!(matches!(rig.machine.state(), ConnectionState::Reconnecting { attempt: 1, .. }));
    assert_eq!(rig.input(Input::Away), []);
    rig.now += 3_600_000;
    assert!(matches!(
        rig.input(Input::Visible)[..],
        [Output::State(ConnectionState::Connecting { attempt: 1 }), Output::NeedToken]
    ));
    let connect = rig.open();
    assert_eq!((connect.resume.is_some(), connect.rooms[0].offset), (true, Some(5)));
    // One that was never frozen after all goes on by itself.
    rig.input(Input::Away);
    assert_eq!(rig.machine.next_deadline(), Some(rig.now + 30_000));
}

#[test]
fn a_page_that_slept_through_its_deadline_connects_at_once() {
    let mut rig = Rig::live(vec![]);
    rig.now += 60_000;
    let outputs = rig.input(Input::Visible);
    assert!(matches!(outputs[0], Output::CloseSocket { code: 4004, .. }));
    assert_eq!(outputs.last(), Some(&Output::NeedToken));
}
