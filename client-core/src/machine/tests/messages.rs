//! Requests, sends, the queue and the limits of the server.

use super::*;

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
fn what_is_sent_while_the_socket_closes_waits_for_the_next_session() {
    let mut rig = Rig::live(vec![]);
    rig.input(Input::SocketClosing);
    assert_eq!(rig.input(Input::Send { kind: "a".to_owned(), payload: None }), []);
    let id = rig.machine.request("b", None, None, rig.now);
    assert_eq!(rig.outputs(), []);
    rig.close(4002);
    rig.ring();
    rig.open();
    let sent = writes(rig.control(Control::Greeting(Box::new(greeting(vec![])))));
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[1].0, id);
}
